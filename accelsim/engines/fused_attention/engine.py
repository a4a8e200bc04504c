"""An array of PEs with a row of lanes beside it: attention unfused, FLAT, and FuseMax with its two steps.

Source: S.-C. Kao et al., "FLAT: An Optimized Dataflow for Mitigating Attention Bottlenecks", ASPLOS 2023; N. Nayak et
al., "FuseMax: Leveraging Extended Einsums to Optimize Attention Accelerator Design", MICRO 2024, and its model.

Modelled:
- Scores, softmax and context of tiles of queries x keys on the array and its lanes, side by side slot by slot.
- Fill and drain of the pipe between array and lanes, and the travel of the running maximum without interleaving.
- Ragged edges, tiles behind the diagonal of a causal layer, heads that share keys, a decode step of one query.
- What a group of query blocks loads and stores; scores that spill (FLAT) or go through DRAM (unfused).

Not modelled:
- Skew of operands along the array, and the rounding of exponentials and scores: values are exact.
- Masks among the inputs: such a layer is lowered. A causal mask is made on the chip.

Assumed:
- Interleaving hides the travel of the running maximum whole, as in the released model.
- Scores and probabilities have operand_bits; the loads of a group of FLAT stream through its tiles.
- Lanes work on registers of their own; a lane's exponential and division take a cycle each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Activity, Event, Flow
from accelsim.components import Alu, Component, Link, Mac, Registers, Sram
from accelsim.config.schema import MappingSpec, Strict
from accelsim.engine import Engine, Machine, Many, Sample, Word, drawing
from accelsim.engines.fused_attention import columns
from accelsim.engines.fused_attention.cut import Counts, Cut, blocks_of, cut
from accelsim.engines.fused_attention.params import DESIGNS, Params
from accelsim.engines.fused_attention.schedule import schedule
from accelsim.errors import MappingError
from accelsim.mapping.choose import PriceOf
from accelsim.memory import timeline
from accelsim.operands.handle import Operands
from accelsim.remedy import Remedy, doubled
from accelsim.units import INT64_MAX, KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Attention, Causal


class Mapping(Strict):
    """What is loaded together."""

    query_blocks: int | None = Field(
        None, ge=1, description="query blocks that share each load of keys and values; null: the most that fit evenly"
    )


class Plan(NamedTuple):
    """A layer, cut, on a machine."""

    view: LayerView
    cut: Cut
    machine: Machine


class FusedAttention(Engine[Params, Mapping]):
    """The engine of this folder."""

    name = "fused_attention"
    params_schema = Params
    mapping_schema = Mapping
    primary = "pes"
    support_params = ("operand_bits",)
    attends = True

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return two tiles at a time, a larger buffer."""
        apart = () if params.interleave else (Remedy({"interleave": True}, ("starved",)),)
        return (*apart, *doubled(params, "memory", "buffer_kib"))

    def units(self, params: Params) -> dict[str, int]:
        """Return the PEs of the array and the lanes beside it."""
        return {"pes": params.rows * params.cols, "lanes": params.cols}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only attention without a mask among its inputs."""
        del params
        if not isinstance(view.shape, Attention):
            return f"an attention array has no {view.kind} unit"
        if len(view.inputs) > 3 or (view.weights and view.shape.causal == "none"):
            return "an attention array makes a causal mask itself and takes no other"
        return None

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the width of operands."""
        del view
        word = Word(params.operand_bits, "operands")
        return {"input": word, "weight": word, "output": word}

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return PEs, lanes, the buffer and the links of the array."""
        p, pes = params, params.rows * params.cols
        rich = (Alu("pe_alus", pes, p.operand_bits, ("adder", "comparator")),) if p.pe != "mac" else ()
        return (
            Mac("macs", pes, p.operand_bits, p.operand_bits, p.accumulator_bits),
            *rich,
            Alu("lanes", p.cols, bits=p.accumulator_bits),
            Registers(
                "registers", pes, clocked_bits=p.pe_registers * p.operand_bits,
                source="FLAT 4 words in a PE, FuseMax 16 (released model); that all are clocked is assumed",
            ),
            Registers(
                "lane_registers", p.cols, clocked_bits=3 * p.accumulator_bits + 8, unit="lanes",
                source="assumed: two operands, a result, 8 bits of control",
            ),
            Link("array", 2 * pes, width_bits=p.accumulator_bits),
            Sram("glb", 1, size_bits=p.buffer_bits, width_bits=p.cols * p.operand_bits),
        )  # fmt: skip

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: Mapping, machine: Machine) -> Plan:
        """Cut the layer; MappingError if its blocks do not fit or counts may exceed 64 bits."""
        del operands
        return self._plan(view, params, mapping, machine)

    def _plan(self, view: LayerView, params: Params, mapping: Mapping, machine: Machine) -> Plan:
        made = cut(view, params, mapping.query_blocks)
        each = params.rows * params.cols * (5 * params.rows + 8 * made.shape.head_dim + 64) * 64
        if made.units * int(made.tiles.sum()) * each > INT64_MAX * 64:
            raise MappingError.too_many(view.name)
        return Plan(view, made, machine)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk tile by tile; with operands, compute the output in the same order."""
        from accelsim.engines.fused_attention import kernel

        c, a, p = plan.cut, plan.cut.shape, plan.cut.params
        sizes = (c.units, a.q, a.kv, a.head_dim, int(a.causal == "skip"))
        counts = Counts(*kernel.walk(sizes, (p.rows, p.cols, *p.flags), c.tiles, c.together).tolist())
        if operands is None:
            return _activity(plan, counts, None)
        heads = (a.heads, a.kv_heads, a.kv_heads)
        q, k, v = (
            each.values.reshape(a.batch, -1, many, a.head_dim)
            for each, many in zip(operands.inputs[:3], heads, strict=True)
        )
        out, one_pass = np.zeros(q.shape), p.softmax == "one_pass"
        shared = (a.heads // a.kv_heads, a.q, a.head_dim)
        kernel.attend(shared, p.rows, p.cols, one_pass, a.causal != "none", c.tiles, c.together, q, k, v, out)
        return _activity(plan, counts, out.reshape(a.output_shape))

    def closed_form(self, plan: Plan) -> Activity:
        """Return the same integers without a walk."""
        return _activity(plan, plan.cut.counts(), None)

    def encode(self, view: LayerView, effective_macs: int) -> tuple[int, ...] | None:
        """Return a layer as integers."""
        del effective_macs
        return columns.encode(view)

    def closed_form_many(
        self, layers: np.ndarray, params: Params, machine: Machine, mapping: MappingSpec, price: PriceOf,
        leak_pj_per_cycle: float,
    ) -> Many | None:  # fmt: skip
        """Return the totals of layers by their closed forms; those that do not fit are left to the plain path."""
        del price, leak_pj_per_cycle
        if mapping.fixed.keys() - Mapping.model_fields.keys():
            return None  # the plain path says what is wrong
        chosen = Mapping.model_validate(dict(mapping.fixed))
        found: list[Activity | None] = []
        for row in layers.tolist():
            try:
                found.append(self.closed_form(self._plan(columns.decoded(row), params, chosen, machine)))
            except MappingError:
                found.append(None)
        return columns.totals(found, self.components(params), self.units(params), machine)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer on a small array of any design."""
        draw = drawing(rng)
        kv_heads, q = draw(1, 2), draw(1, 11)
        kv, e = q + draw(0, 9) * (1, 8)[draw(0, 1)], (draw(1, 7), 24)[draw(0, 7) == 0]
        causal: Causal = ("none", "skip", "full")[draw(0, 2)]
        shape = Attention(draw(1, 2), kv_heads * draw(1, 2), kv_heads, q, kv, e, causal)
        keys, bits = ("fused", "softmax", "pe", "interleave"), (8, 16, 24)[draw(0, 2)]
        given: dict[str, Any] = dict(zip(keys, list(DESIGNS)[draw(0, 4)], strict=True))
        given |= {"rows": draw(1, 4), "cols": draw(1, 4), "operand_bits": bits}
        if given["softmax"] == "three_pass" and given["fused"]:
            given["keep"] = [name for name in ("q", "k", "v", "scores") if draw(0, 1)]
        together = draw(1, 3) if draw(0, 1) else None
        least = blocks_of(shape, Params.model_validate(given), (bits,) * 5).needed_bits(together or 1, scores=False)
        mapping = {"query_blocks": together} if together else [None, {}][draw(0, 1)]
        return Sample(shape, given | {"buffer_kib": ceil_div(least, KIB_BITS)}, mapping, widest_bits=bits)


def _activity(plan: Plan, n: Counts, values: np.ndarray | None) -> Activity:
    """Return the report of a layer's counts."""
    c, a, p, e = plan.cut, plan.cut.shape, plan.cut.params, plan.cut.shape.head_dim
    steps = schedule(c)
    traffic = timeline.dram_traffic(steps, plan.machine.dram)
    pes, lanes = p.rows * p.cols, p.cols
    rich, one_pass = p.pe != "mac", p.softmax == "one_pass"
    busy = n.scores * (2 * e + 9 * rich)
    array = {"busy": busy, "padding": n.array * pes - busy, "starved": n.wait * pes, "fill_drain": n.array_edge * pes}
    lane = {
        "busy": n.lane_work, "padding": n.lanes * lanes - n.lane_work, "starved": n.wait * lanes,
        "fill_drain": n.lanes_edge * lanes,
    }  # fmt: skip
    array["imbalance"] = n.cycles * pes - sum(array.values())
    lane["imbalance"] = n.cycles * lanes - sum(lane.values())
    return Activity(
        compute_cycles=n.cycles,
        accounts={"pes": array, "lanes": lane},
        traffic=traffic | _on_chip(c, n, traffic),
        events=_three_pass(n, e) if not one_pass else _one_pass(n, a, rich),
        schedule=steps,
        buffers={"glb": (p.buffer_bits, min(p.buffer_bits, c.needed_bits(c.together)))},
        details={
            "tiles": n.tiles,
            "query_blocks": c.together,
            "array_cycles": n.array,
            "lane_cycles": n.lanes,
        },
        performed_macs=a.macs - a.skipped_macs,
        values=values,
    )


def _on_chip(c: Cut, n: Counts, far: dict[Flow, int]) -> dict[Flow, int]:
    """Return bits of buffer and array: operands of each tile, scores or numerators, and what DRAM brings and takes."""
    e, p, (q, k, v, o, s) = c.shape.head_dim, c.params, c.bits
    writes, reads = (3, 4) if p.softmax == "three_pass" else (2, 4) if p.pe == "mac" else (0, 0)
    numerators = n.tile_queries * (e + 2) * s if p.softmax == "one_pass" else 0
    outputs = c.units * int(c.widths.sum()) * e * o

    def moved(tensor: str, direction: Any) -> int:
        return far.get(Flow("dram", tensor, direction), 0)

    return {
        Flow("glb", "input", "write"): moved("input", "read"),
        Flow("glb", "weight", "write"): moved("weight", "read"),
        Flow("glb", "output", "write"): outputs,
        Flow("glb", "output", "read"): outputs,
        Flow("glb", "input", "read"): n.tile_queries * e * q,
        Flow("glb", "weight", "read"): n.tile_keys * e * (k + v),
        Flow("glb", "psum", "write"): writes * n.scores * s + numerators + moved("psum", "read"),
        Flow("glb", "psum", "read"): reads * n.scores * s + numerators + moved("psum", "write"),
        Flow("array", "input", "read"): n.scores * e * q,
        Flow("array", "weight", "read"): n.scores * e * (k + v),
        Flow("array", "psum", "write"): n.scores * e * p.accumulator_bits,
    }


def _three_pass(n: Counts, e: int) -> dict[Event, int]:
    """Return operations: maximum, exponential of a difference, sum and quotient of each score."""
    lanes = {"compare": 1, "add": 2, "special": 2}
    return {Event("macs", "mac"): 2 * e * n.scores} | {
        Event("lanes", action): each * n.scores for action, each in lanes.items()
    }


def _one_pass(n: Counts, a: Attention, rich: bool) -> dict[Event, int]:
    """Return operations: of each score and of each tile's queries; a PE multiplies 6 times for an exponential."""
    e, t, ends = a.head_dim, n.tile_queries, a.batch * a.heads * a.q * a.head_dim
    lanes = {"compare": t, "add": t * (2 + e), "mul": t * (1 + e), "special": ends}
    if rich:
        lanes["mul"] += 6 * t
        pes = {Event("pe_alus", "compare"): n.scores, Event("pe_alus", "add"): 2 * n.scores}
    else:
        pes = {}
        lanes = {
            "compare": t + n.scores, "add": lanes["add"] + 2 * n.scores, "mul": lanes["mul"],
            "special": ends + t + n.scores,
        }  # fmt: skip
    return (
        {Event("macs", "mac"): (2 * e + 6 * rich) * n.scores}
        | pes
        | {Event("lanes", action): count for action, count in lanes.items()}
    )


ENGINE = FusedAttention()
