"""SIGMA: packed non-zeros held still in flexible dot-product engines, the other operand streamed past them.

Source: E. Qin et al., "SIGMA: A Sparse and Irregular GEMM Accelerator with Flexible Interconnects for DNN Training",
HPCA 2020.

Modelled:
- A (m, k) held still: of each chunk of k, its non-zeros row by row, packed into groups as large as the multipliers.
- Every group streams the n columns of B past it, one per cycle: Benes networks deliver any of their words anywhere.
- Loading a group through the distribution network, as many words per cycle as it is wide; not hidden.
- Reduction trees (FAN) that add neighbouring products of one row, of any number; their depth is a pipeline latency.
- Bitmaps of both operands; B streamed without its zeros or, as published, with them (they take their slot).
- Dense products too: linear layers and matrix multiplications, with one group after another.
- DRAM: both operands once, with bitmaps, and the result once, at the machine's bandwidth beside the computation.
- Values: products of a row within a group are added first, then groups in order.

Not modelled:
- Configuration of the networks, which the paper overlaps with loading.
- Splitting of A over the SRAM when it does not fit.

Assumed:
- Rows that straddle two groups give a partial result in each, added in the accumulators without further time.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.activity import Activity, Event, Flow, Phase
from accelsim.components import Alu, Component, Link, Registers, Sram
from accelsim.engine import Engine, Machine, NoMapping, Sample, Word
from accelsim.engines.sigma import operand
from accelsim.engines.sigma.plan import Params, Plan, Tally
from accelsim.errors import MappingError, ModelError
from accelsim.memory.runs import in_order
from accelsim.operands.handle import Operands
from accelsim.remedy import Remedy, doubled, reshaped
from accelsim.units import INT64_MAX, KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Linear, Matmul, SpGemm

if TYPE_CHECKING:
    from accelsim.memory.device.door import Door


class Sigma(Engine[Params, NoMapping]):
    """The engine of this folder."""

    name = "sigma"
    asks_device = "runs"
    params_schema = Params
    primary = "pes"
    support_params = ("word_bits",)

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return another cut into engines, a wider way for stationary words."""
        return (*reshaped(params, "dpes", "dpe_pes"), *doubled(params, "fill_drain", "load_words"))

    def units(self, params: Params) -> dict[str, int]:
        """Return the multipliers."""
        return {"pes": params.pes}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products of two matrices."""
        del params
        return None if view.kind in ("spgemm", "linear", "matmul") else f"a GEMM accelerator has no {view.kind} unit"

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the one width that the machine has."""
        del view
        return dict.fromkeys(("input", "weight", "output"), Word(params.word_bits, "words"))

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers, adders of the trees, the distribution network and the SRAM."""
        return (
            Alu("multipliers", params.pes, bits=params.word_bits, parts=("multiplier",)),
            Alu("adders", params.pes, bits=params.word_bits, parts=("adder",)),
            Registers(
                "registers",
                params.pes,
                clocked_bits=4 * params.word_bits + 8,
                gated_words=1,
                source="assumed: a streamed word in the network and at the multiplier, a product, a sum of the "
                "tree, 8 bits of routing; gated: the word held still",
            ),
            Link("array", params.pes, width_bits=params.word_bits),
            Link("bus", 1, params.word_bits, reach="trunk", carries=("glb/read", "glb/write")),
            Sram("glb", 1, size_bits=params.sram_kib * KIB_BITS, width_bits=params.dpe_pes * params.word_bits),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Lay the operands out as pairs of matrices and check that no count can overflow."""
        del mapping
        shape = view.shape
        assert isinstance(shape, SpGemm | Linear | Matmul)
        pairs = operand.pairs(operands)
        if sum(a.nnz * b.shape[1] for a, b in pairs) * params.pes * params.word_bits > INT64_MAX:
            raise MappingError.too_many(view.name)
        return Plan(pairs, params, machine.dram.bits_per_cycle, view, machine.door)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk chunk by chunk and group by group."""
        from accelsim.engines.sigma import walk

        tally, products = walk.walk(plan, operands is not None)
        sizes = operand.Sizes.of(plan.pairs)
        values = operand.result(plan.view, products) if operands is not None else None
        on_bus = None if plan.door is None else asked(plan.door, plan.params.word_bits, sizes, tally)
        return activity(plan.params, plan.bits_per_cycle, sizes, tally, values, on_bus)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small product of any kind on a few multipliers."""
        draw = [int(rng.integers(1, high + 1)) for high in (9, 9, 14, 3, 4, 4)]
        m, n, k = draw[:3]
        shape = (SpGemm(m, n, k), Linear(m, k, n), Matmul(draw[3], m, n, k))[int(rng.integers(3))]
        params = {"dpes": draw[4], "dpe_pes": draw[5], "load_words": draw[3], "pipeline": bool(rng.integers(2))}
        return Sample(shape, params | {"sram_kib": 64})


def asked(door: Door, word: int, sizes: operand.Sizes, tally: Tally) -> int:
    """Return the cycles in which a DRAM device moves all: bitmaps, both operands and the result in turns."""
    flows = (
        ("index", sizes.bitmap_bits, 0), ("input", tally.held * word, 0), ("weight", sizes.nnz_b * word, 0),
        ("output", sizes.outputs * word, 1),
    )  # fmt: skip
    parts = []
    for name, bits, write in flows:
        ends = np.append(np.arange(door.turn_bits, bits, door.turn_bits), bits)
        parts.append((door.stream(door.room(name, bits), ends, write), np.arange(ends.size)))
    return int(door.serve(in_order(parts), 0).over.max())


def activity(
    p: Params, rate: Fraction, sizes: operand.Sizes, tally: Tally, values: Any, on_bus: int | None = None
) -> Activity:
    """Return the account and traffic of a tally: computation beside DRAM, whichever is longer.

    ``on_bus`` are the cycles that a DRAM device takes; without one, ``rate`` decides.
    """
    word = p.word_bits
    compute = tally.load_cycles + tally.stream_cycles + tally.drain_cycles
    traffic = {
        Flow("dram", "input", "read"): tally.held * word,
        Flow("dram", "weight", "read"): sizes.nnz_b * word,
        Flow("dram", "index", "read"): sizes.bitmap_bits,
        Flow("dram", "output", "write"): sizes.outputs * word,
        Flow("glb", "input", "write"): tally.held * word,
        Flow("glb", "input", "read"): tally.held * word,
        Flow("glb", "weight", "write"): sizes.nnz_b * word,
        Flow("glb", "weight", "read"): tally.streamed * word,
        Flow("glb", "psum", "write"): tally.partials * word,
        Flow("array", "weight", "read"): tally.slots * word,
    }
    bits = sum(count for flow, count in traffic.items() if flow.boundary == "dram")
    phase = Phase(compute, bits, {"memory": p.pes})
    stall = phase.stall_cycles(rate) if on_bus is None else max(0, on_bus - compute)
    cycles = compute + stall
    dram = ceil_div(bits * rate.denominator, rate.numerator) if on_bus is None else on_bus  # which posts writes
    bound = max(ceil_div(tally.slots, p.pes) + ceil_div(tally.held, p.load_words), dram)
    if cycles < bound:
        raise ModelError(f"{cycles} cycles are below the analytic bound of {bound}")
    return Activity(
        compute_cycles=cycles,
        accounts={
            "pes": {
                "busy": tally.products,
                "zero": tally.slots - tally.products,
                "unmapped": p.pes * tally.stream_cycles - tally.slots,
                "starved": p.pes * tally.load_cycles,
                "fill_drain": p.pes * tally.drain_cycles,
                "memory": p.pes * stall,
            }
        },
        traffic=traffic,
        events={Event("multipliers", "mul"): tally.slots, Event("adders", "add"): tally.slots - tally.partials},
        schedule=None,
        stall_cycles=stall,
        phases=(phase,),
        buffers={"glb": (p.sram_kib * KIB_BITS, (tally.held + sizes.nnz_b) * word + sizes.bitmap_bits)},
        details={
            "products": tally.products,
            "groups": tally.groups,
            "array_cycles": compute,
            "stream_cycles": tally.stream_cycles,
            "load_cycles": tally.load_cycles,
            "bound_cycles": bound,
        },
        performed_macs=tally.slots,
        values=values,
    )


ENGINE = Sigma()
