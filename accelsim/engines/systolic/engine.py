"""Systolic array with the weights, the inputs or the outputs held still in the processing elements.

Source: H. T. Kung, "Why Systolic Architectures?", IEEE Computer 15(1), 1982; dataflow names and fold order after
A. Samajdar et al., "SCALE-Sim: Systolic CNN Accelerator Simulator", arXiv:1811.02883, 2018.

Modelled:
- R x C multiply-accumulate units with nearest-neighbour links; a layer as a matrix product, cut into folds.
- Skewed fill and drain of every fold, or folds that follow right behind each other (overlap_folds).
- Loading of the held operand, hidden where the machine has a second register per PE (overlap_folds).
- Partly filled folds at the edges cost the rows and columns that they occupy.
- Three double-buffered scratchpads: half of each holds a tile; tiles and loop order are chosen or pinned.
- Partial sums accumulate in the output scratchpad and go to DRAM and back when the loop order makes them.
- Tensors whose home is the chip: inputs and outputs in the input scratchpad, weights in theirs, without DRAM traffic.
- Groups, depthwise, padding, per-dimension stride, dilation, batch and operand widths.

Not modelled:
- Bias: its values are not added and its words are not fetched.
- Port and bank conflicts of the scratchpads, and the time to form the im2col order.
- Overlap between tiles inside the array: it drains at the end of each tile.
- Overlap of a layer's first load with the layer before it.

Assumed:
- One multiply-accumulate per PE and cycle; zero operands are multiplied like any other.
- In os, a finished output leaves over a bus of its column: PE (i, j) finishes one cycle after PE (i-1, j).
- A searched mapping is the best of a list of tilings (`docs/decisions/0070-mapper.md`), not of all of them.
- Groups of a layer run one after another: depthwise layers use one column (ws, os) at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Activity, Event, Flow
from accelsim.components import Component, Link, Mac, RegisterFile, Sram
from accelsim.engines.systolic import sample, tilecost
from accelsim.errors import MappingError
from accelsim.mapping import loopnest, search, tile_forms, tilings
from accelsim.mapping.choose import Bounds, Choice, Price
from accelsim.mapping.loopnest import LoopNest, Tile, Tiling
from accelsim.mapping.search import TiledNest, Variant
from accelsim.operands.handle import Operands
from accelsim.seam import Columns, Engine, Machine, Many, Room, Sample, Word
from accelsim.spec.schema import MappingSpec, Strict
from accelsim.units import INT64_MAX, KIB_BITS
from accelsim.workload.network import LayerView
from accelsim.workload.shapes import PRODUCTS, Conv2d

WHOLE = Tiling(groups=1, n=1, e=1, f=1, k=1, c=1, order="mkc")
"""A tiling for where only the layer matters."""

Cost = dict[Tile, tuple[int, ...]]
"""Tile -> its counts in the order of `TileCost`."""


class Params(Strict):
    """A systolic array and its scratchpads."""

    rows: int = Field(ge=1, le=4096, description="PE rows")
    cols: int = Field(ge=1, le=4096, description="PE columns")
    dataflow: Literal["ws", "os", "is"] = Field(description="operand held still: weights, outputs or inputs")
    overlap_folds: bool = Field(
        False, description="a second register per PE: the next fold's operand loads and follows behind the current"
    )
    operand_bits: int = Field(8, ge=1, le=32, description="widest input and weight that a PE multiplies")
    accumulator_bits: int = Field(32, ge=2, le=64, description="width of a partial sum")
    input_kib: int = Field(ge=1, le=1 << 22, description="input scratchpad, both halves")
    weight_kib: int = Field(ge=1, le=1 << 22, description="weight scratchpad, both halves")
    output_kib: int = Field(ge=1, le=1 << 22, description="accumulator scratchpad, both halves")


class Plan(NamedTuple):
    """What a walk needs: the cut layer, the parameters and the DRAM."""

    nest: LoopNest
    params: Params
    machine: Machine
    effective_macs: int


class Systolic(Engine[Params, Tiling]):
    """The engine of this folder."""

    name = "systolic"
    params_schema = Params
    mapping_schema = Tiling
    primary = "pes"
    support_params = ("operand_bits", "accumulator_bits")

    def units(self, params: Params) -> dict[str, int]:
        """Return the PEs."""
        return {"pes": params.rows * params.cols}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products, and only operands that fit the multiplier."""
        del params
        if view.kind not in PRODUCTS:
            return f"a systolic array has no {view.kind} unit"
        return None

    def rooms(self, params: Params) -> tuple[Room, ...]:
        """Return the scratchpads: outputs at home leave the accumulators for the inputs' one."""
        del params
        return (Room("glb.inputs", ("input", "output")), Room("glb.weights", ("weight", "input2")))

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the width of operands and of sums."""
        del view
        operand = Word(params.operand_bits, "multipliers")
        return {"input": operand, "weight": operand, "output": Word(params.accumulator_bits, "accumulators")}

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers, PE registers, links and scratchpads."""
        pes, width, acc = params.rows * params.cols, params.operand_bits, params.accumulator_bits
        registers = 2 * width + acc + (width if params.overlap_folds else 0)
        return (
            Mac("macs", pes, input_bits=width, weight_bits=width, accumulator_bits=acc),
            RegisterFile("pe", pes, size_bits=registers, width_bits=acc),
            Link("array", 2 * pes, width_bits=acc),
            Sram("glb.inputs", 1, size_bits=params.input_kib * KIB_BITS, width_bits=params.rows * width),
            Sram("glb.weights", 1, size_bits=params.weight_kib * KIB_BITS, width_bits=params.cols * width),
            Sram("glb.outputs", 1, size_bits=params.output_kib * KIB_BITS, width_bits=params.cols * acc),
        )

    def candidates(self, view: LayerView, params: Params, machine: Machine) -> Columns:
        """Return tilings that fit the scratchpads."""
        del machine
        return search.tilings(tiled_nest(view, params))

    def search(self, view: LayerView, params: Params, machine: Machine, objective: str) -> Choice | None:
        """Return the best tiling of the list."""
        return search.best(tiled_nest(view, params), machine.dram, objective)

    def bounds(self, view: LayerView, params: Params, machine: Machine, columns: Columns) -> Bounds:
        """Return exact traffic, and cycles that no candidate undercuts."""
        nest, array = _nest(view, params), (params.rows, params.cols, params.overlap_folds)
        conv, flow, taps = nest.conv, tilecost.FLOWS[params.dataflow], nest.conv.r * nest.conv.s

        def costs(g, n, e, f, k, c):  # type: ignore[no-untyped-def]
            return np.stack(tilecost.tile_cost(flow, *array, g, n * e * f, k, c * taps))

        def on_chip(moved: search.Measured) -> dict[tuple[str, str], Any]:
            total = tilecost.TileCost(*tilings.total(conv, columns, costs))
            dram = {
                Flow("dram", "input", "read"): moved.input,
                Flow("dram", "weight", "read"): moved.weight,
                Flow("dram", "psum", "read"): moved.spill,
                Flow("dram", "psum", "write"): moved.spill,
            }
            bits: dict[tuple[str, str], Any] = {}
            for flow, count in _on_chip(nest, params.dataflow, total, dram).items():
                bits[flow.boundary, flow.direction] = bits.get((flow.boundary, flow.direction), 0) + count
            return bits

        found = search.bounds(tiled_nest(view, params), machine.dram, columns, on_chip)
        return found._replace(events={("macs", "mac"): conv.macs})

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: Tiling, machine: Machine) -> Plan:
        """Check that the tiles fit and that no count can overflow."""
        nest = _nest(view, params, mapping)
        needed = nest.largest_bits()
        for tensor, limit in _limits(view, params).items():
            if needed[tensor] > limit:
                raise MappingError(
                    f"layer '{view.name}': the {tensor} tile takes {needed[tensor]:,} bits, half the scratchpad "
                    f"holds {limit:,}",
                    f"cut it smaller or raise params.{tensor}_kib to {-(-needed[tensor] * 2 // KIB_BITS)}",
                )
        if mapping.groups > 1 and (nest.trips["k"], nest.trips["c"]) != (1, 1):
            raise MappingError(
                f"layer '{view.name}': a tile of {mapping.groups} groups must hold all their channels", "set groups: 1"
            )
        if view.macs * max(params.rows * params.cols, params.accumulator_bits) > INT64_MAX // 4:
            raise MappingError(f"layer '{view.name}': its counts exceed 64-bit integers", "split the layer")
        return Plan(nest, params, machine, operands.effective_macs)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk every distinct tile; with operands, every tile with its values."""
        from accelsim.engines.systolic import walk

        p = plan.params
        array = (tilecost.FLOWS[p.dataflow], p.rows, p.cols, p.overlap_folds)
        costs, values = walk.walk(plan.nest, array, operands)
        return _activity(plan, costs, values)

    def closed_form(self, plan: Plan) -> Activity:
        """Evaluate the closed form of every distinct tile."""
        p, tiles = plan.params, list(plan.nest.tiles())
        g, m, n, k = (np.array(column, dtype=np.int64) for column in zip(*map(self._gemm(plan), tiles), strict=True))
        flow = tilecost.FLOWS[p.dataflow]
        cost = tilecost.tile_cost(flow, p.rows, p.cols, p.overlap_folds, g, m, n, k)
        counts = np.stack(cost, axis=1).tolist()
        return _activity(plan, {tile: tuple(row) for tile, row in zip(tiles, counts, strict=True)}, None)

    def encode(self, view: LayerView, effective_macs: int) -> tuple[int, ...] | None:
        """Return a product layer as a row of the kernel's table."""
        from accelsim.engines.systolic import columnar

        return columnar.encode(view, effective_macs)

    def closed_form_many(
        self, layers: np.ndarray, params: Params, machine: Machine, mapping: MappingSpec, price: Price,
        leak_pj_per_cycle: float,
    ) -> Many | None:  # fmt: skip
        """Choose mappings, count and run the timeline in one kernel."""
        from accelsim.engines.systolic import columnar

        return columnar.totals(layers, params, machine, mapping, price, leak_pj_per_cycle)

    @staticmethod
    def _gemm(plan: Plan) -> Any:
        taps = plan.nest.conv.r * plan.nest.conv.s
        return lambda t: (t.groups, t.m, t.k, t.c * taps)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer of any product kind, cut at random, on a small array of any shape."""
        return sample.sample(rng)


def _conv(view: LayerView) -> Conv2d:
    return view.shape.as_conv()  # type: ignore[union-attr]


def _widths(view: LayerView, params: Params) -> loopnest.Widths:
    return loopnest.widths(view, params.accumulator_bits)


def _nest(view: LayerView, params: Params, tiling: Tiling = WHOLE) -> LoopNest:
    return LoopNest(_conv(view), tiling, _widths(view, params), loopnest.resident(view))


def tiled_nest(view: LayerView, params: Params) -> TiledNest:
    """Return the layer as the search for its tiling sees it."""
    conv = _conv(view)
    flow = tilecost.FLOWS[params.dataflow]
    form = (tile_forms.FOLDS, flow, params.rows, params.cols, int(params.overlap_folds), conv.r * conv.s)
    units = (params.rows, params.cols)
    return TiledNest(
        view.name, conv, _widths(view, params), _limits(view, params), units, 1, (Variant({}, form),),
        loopnest.resident(view),
    )  # fmt: skip


def scratchpad_bits(params: Params) -> dict[str, int]:
    """Return the bits of each scratchpad."""
    kib = {"input": params.input_kib, "weight": params.weight_kib, "output": params.output_kib}
    return {tensor: size * KIB_BITS for tensor, size in kib.items()}


def _limits(view: LayerView, params: Params) -> dict[str, int]:
    """Return the bits that a tile may take: half of what tensors at home in its scratchpad leave free.

    A tensor at home needs no second half: its tile is already there.
    """
    capacities = scratchpad_bits(params)
    homes = {"input": ("input", view.input), "output": ("input", view.output), "weight": ("weight", view.weight)}
    taken = {"input": 0, "weight": 0, "output": 0}
    for role in loopnest.resident(view):
        scratchpad, tensor = homes[role]
        taken[scratchpad] += tensor.elements * (tensor.bits or 0)
        if taken[scratchpad] > capacities[scratchpad]:
            raise MappingError(
                f"layer '{view.name}': tensors at home on the chip take {taken[scratchpad]:,} bits, the {scratchpad} "
                f"scratchpad holds {capacities[scratchpad]:,}",
                f"raise params.{scratchpad}_kib or give them home: dram",
            )
    at_home = {role for role in ("input", "weight") if role in loopnest.resident(view)}
    return {t: INT64_MAX if t in at_home else (capacities[t] - taken[t]) // 2 for t in capacities}


def _activity(plan: Plan, costs: Cost, values: np.ndarray | None) -> Activity:
    """Add tiles up to the layer's account, traffic and schedule."""
    nest, params, conv = plan.nest, plan.params, plan.nest.conv
    tiles = nest.tiles()
    total = tilecost.TileCost(
        *(sum(times * int(costs[tile][i]) for tile, times in tiles.items()) for i in range(10))  # type: ignore[arg-type]
    )
    schedule = nest.schedule(lambda tile: costs[tile][0])
    dram = loopnest.dram_traffic(schedule, plan.machine.dram)
    causes = {
        "busy": plan.effective_macs,
        "zero": int(total.work) - plan.effective_macs,
        "unmapped": int(total.unmapped),
        "fill_drain": int(total.fill_drain),
        "starved": int(total.starved),
    }
    traffic = {**dram, **_on_chip(nest, params.dataflow, total, dram)}
    return Activity(
        compute_cycles=int(total.cycles),
        accounts={"pes": causes},
        traffic=traffic,
        events={Event("macs", "mac"): conv.macs},
        schedule=schedule,
        buffers=_buffers(nest, params),
        details={"tiles": sum(tiles.values()), "held_words": int(total.held)},
        performed_macs=conv.macs,
        values=values,
    )


def _on_chip(nest: LoopNest, dataflow: str, total: tilecost.TileCost, dram: Mapping[Flow, Any]) -> dict[Flow, Any]:
    """Return the traffic of scratchpads, links and PE registers in bits: of a layer, or of many candidates."""
    w, conv = nest.widths, nest.conv
    left, top, held, results = total.left, total.top, total.held, total.results
    words = {
        "ws": {"input": left, "weight": held},
        "is": {"input": held, "weight": left},
        "os": {"input": left, "weight": top},
    }[dataflow]
    outputs = conv.n * conv.k * conv.e * conv.f
    # every result is added to what the scratchpad holds, except the first of each output
    read_back = results - outputs
    spilled = dram.get(Flow("dram", "psum", "write"), 0)
    returned = dram.get(Flow("dram", "psum", "read"), 0)
    hops = {"ws": ("weight", w.weight), "is": ("input", w.input)}.get(dataflow)
    flows: dict[Flow, Any] = {
        Flow("glb.inputs", "input", "write"): dram.get(Flow("dram", "input", "read"), 0),
        Flow("glb.inputs", "input", "read"): words["input"] * w.input,
        Flow("glb.weights", "weight", "write"): dram.get(Flow("dram", "weight", "read"), 0),
        Flow("glb.weights", "weight", "read"): words["weight"] * w.weight,
        Flow("glb.outputs", "psum", "write"): results * w.psum + returned,
        Flow("glb.outputs", "psum", "read"): read_back * w.psum + spilled,
        Flow("glb.outputs", "output", "read"): outputs * w.psum,
        Flow("glb.inputs", "output", "write"): outputs * w.output if "output" in nest.resident else 0,
        Flow("pe", "input", "read"): conv.macs * w.input,
        Flow("pe", "weight", "read"): conv.macs * w.weight,
        Flow("pe", "psum", "read"): conv.macs * w.psum,
        Flow("pe", "psum", "write"): conv.macs * w.psum,
    }
    held_hops = total.held_hops
    moves: dict[str, Any] = {"input": conv.macs * w.input, "weight": conv.macs * w.weight}
    if hops is not None:
        moves[hops[0]] = held_hops * hops[1]
        flows[Flow("array", "psum", "write")] = conv.macs * w.psum
    else:
        flows[Flow("array", "psum", "write")] = results * w.psum
    for tensor, bits in moves.items():
        flows[Flow("array", tensor, "read")] = bits
        flows[Flow("pe", tensor, "write")] = bits
    return flows


def _buffers(nest: LoopNest, params: Params) -> dict[str, tuple[int, int]]:
    """Return capacity and peak of each scratchpad: two tiles where another one follows, else one; tensors at home."""
    largest, trips, conv, w = nest.largest_bits(), nest.trips, nest.conv, nest.widths
    follows = {
        "input": trips["groups"] * trips["m"] * trips["c"] > 1,
        "weight": trips["groups"] * trips["k"] * trips["c"] > 1,
        "output": trips["groups"] * trips["m"] * trips["k"] > 1,
    }
    peak = {t: largest[t] * (2 if follows[t] else 1) for t in follows}
    if "input" in nest.resident:
        peak["input"] = conv.n * conv.c * conv.h * conv.w * w.input
    if "output" in nest.resident:
        peak["input"] += conv.n * conv.k * conv.e * conv.f * w.output
    if "weight" in nest.resident:
        peak["weight"] = conv.k * (conv.c // conv.groups) * conv.r * conv.s * w.weight
    return {f"glb.{t}s": (size, peak[t]) for t, size in scratchpad_bits(params).items()}


ENGINE = Systolic()
