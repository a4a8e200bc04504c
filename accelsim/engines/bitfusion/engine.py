"""Systolic array of fusion units: 2-bit bricks that fuse in space up to 8 x 8 bits, and over time to 16.

Source: H. Sharma et al., "Bit Fusion: Bit-Level Dynamically Composable Architecture for Accelerating Deep Neural
Networks", ISCA 2018, and the layer and buffer rules of the released simulator hsharma35/bitfusion.

Modelled:
- N x M units of bricks: inputs move along rows (input channels), partial sums down columns (output channels).
- Widths rounded up to 2, 4, 8 (in space) or 16 bits (8-bit pieces over time); all products of a unit add up.
- Fill and drain of every tile; layers of few channels fill the rows with filter positions too.
- Three double-buffered buffers: half of each holds a tile; tiles and loop order are chosen or pinned.
- Inside a tile inputs, outputs or weights stay, whichever moves the fewest bits to and from the buffers.
- Partial sums are not read on the first visit; outputs leave at the next layer's width; padding is not fetched.
- Legality: tiles against half buffers, banks of whole words, widths between the brick's and the widest.

Not modelled:
- Bias, activation functions and pooling beside the array; registers and links inside it.
- Port conflicts of the buffers, and the time to form the im2col order.
- Overlap between tiles inside the array, and of a layer's first load with the layer before it.

Assumed:
- Pieces of 16-bit operands wait in the unit: the buffers are read once for all passes.
- im2col serves layers of at most 3 channels; the release serves those that read the image.
- An operation of a unit costs a multiply-accumulate of its widest operands in space, whatever it is fused to.
- Groups of a layer run one after another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow
from accelsim.components import Component, Mac, Sram
from accelsim.engines.bitfusion import sample, tilecost
from accelsim.engines.bitfusion.params import Fused, FusionTiling, Params, fuse
from accelsim.engines.bitfusion.tilecost import TileCost
from accelsim.errors import MappingError
from accelsim.mapping import loopnest, search, tile_forms, tilings
from accelsim.mapping.choose import Bounds, Choice
from accelsim.mapping.loopnest import LoopNest, Tile, Tiling
from accelsim.mapping.search import TiledNest, Variant
from accelsim.operands.handle import Operands
from accelsim.seam import Columns, Engine, Machine, Sample, Word
from accelsim.units import INT64_MAX, KIB_BITS, ceil_div
from accelsim.workload.network import LayerView
from accelsim.workload.shapes import PRODUCTS, Conv2d


class Plan(NamedTuple):
    """What a walk needs."""

    nest: LoopNest
    array: Fused
    inner: str
    params: Params
    machine: Machine
    effective_macs: int


class BitFusion(Engine[Params, FusionTiling]):
    """The engine of this folder."""

    name = "bitfusion"
    params_schema = Params
    mapping_schema = FusionTiling
    primary = "bricks"
    support_params = ("max_bits", "accumulator_bits")

    def units(self, params: Params) -> dict[str, int]:
        """Return the bricks."""
        return {"bricks": params.rows * params.cols * params.unit_bricks}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products, and only widths that bricks fuse to."""
        del params
        if view.kind not in PRODUCTS:
            return f"a fusion array has no {view.kind} unit"
        return None

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the width of operands and of sums."""
        del view
        operand = Word(params.max_bits, "fused bricks")
        return {"input": operand, "weight": operand, "output": Word(params.accumulator_bits, "accumulators")}

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return the units and the buffers, one bank per row, unit and column."""
        p, acc = params, params.accumulator_bits
        word = p.spatial_bits**2 // p.brick_bits
        return (
            Mac("units", p.rows * p.cols, input_bits=p.spatial_bits, weight_bits=p.spatial_bits, accumulator_bits=acc),
            Sram("glb.inputs", p.rows, size_bits=p.input_kib * KIB_BITS // p.rows, width_bits=word),
            Sram(
                "glb.weights", p.rows * p.cols, size_bits=p.weight_kib * KIB_BITS // (p.rows * p.cols), width_bits=word
            ),
            Sram("glb.outputs", p.cols, size_bits=p.output_kib * KIB_BITS // p.cols, width_bits=acc),
        )

    def candidates(self, view: LayerView, params: Params, machine: Machine) -> Columns:
        """Return tilings that fit, each with the inner order that moves the fewest bits."""
        del machine
        return _with_inner(view, params, search.tilings(tiled_nest(view, params)))

    def search(self, view: LayerView, params: Params, machine: Machine, objective: str) -> Choice | None:
        """Return the best tiling of the list, with its inner order."""
        choice = search.best(tiled_nest(view, params), machine.dram, objective)
        if choice is None:
            return None
        columns = {name: np.array([value]) for name, value in choice.row.items()}
        inner = _with_inner(view, params, columns)["inner"][0].item()
        return choice._replace(row=choice.row | {"inner": inner})

    def bounds(self, view: LayerView, params: Params, machine: Machine, columns: Columns) -> Bounds:
        """Return exact traffic and operations, and cycles that no candidate undercuts."""
        w, total = loopnest.widths(view, params.accumulator_bits), _totals(view, params, columns)

        def on_chip(moved: search.Measured) -> dict[tuple[str, str], np.ndarray]:
            sums = total.sums * w.psum + moved.spill
            return {
                ("glb.inputs", "read"): total.inputs * w.input,
                ("glb.inputs", "write"): moved.input,
                ("glb.weights", "read"): total.weights * w.weight,
                ("glb.weights", "write"): moved.weight,
                ("glb.outputs", "read"): sums,
                ("glb.outputs", "write"): sums,
            }

        found = search.bounds(tiled_nest(view, params), machine.dram, columns, on_chip)
        return found._replace(events={("units", "mac"): total.unit_ops})

    def plan(
        self, view: LayerView, operands: Operands, params: Params, mapping: FusionTiling, machine: Machine
    ) -> Plan:
        """Check that the tiles fit and that no count can overflow."""
        tiling = Tiling(**mapping.model_dump(exclude={"inner"}))
        nest = LoopNest(_conv(view), tiling, loopnest.widths(view, params.accumulator_bits))
        tilings.check_halves(view.name, nest, _halves(params))
        if view.macs * params.rows * params.cols * params.unit_bricks * 4 > INT64_MAX // 64:
            raise MappingError(f"layer '{view.name}': its counts exceed 64-bit integers", "split the layer")
        return Plan(nest, _array(view, params), mapping.inner, params, machine, operands.effective_macs)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk every distinct tile; with operands, every tile with its values."""
        from accelsim.engines.bitfusion import walk

        costs = walk.walk(plan.nest, plan.array, plan.inner)
        if operands is None:
            return _activity(plan, costs, None)
        return _activity(plan, costs, walk.values(plan.nest, plan.array, plan.inner, plan.params, operands))

    def closed_form(self, plan: Plan) -> Activity:
        """Evaluate the closed form of every distinct tile."""
        taps = plan.nest.conv.r * plan.nest.conv.s
        costs = {
            t: tilecost.tile_cost(plan.array, plan.inner, taps, t.groups, t.m, t.k, t.c)  # type: ignore[arg-type]
            for t in plan.nest.tiles()
        }
        return _activity(plan, costs, None)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer of any product kind, cut at random, on a small array."""
        return sample.sample(rng)


def _conv(view: LayerView) -> Conv2d:
    return view.shape.as_conv()  # type: ignore[union-attr]


def _array(view: LayerView, params: Params) -> Fused:
    conv = _conv(view)
    return fuse(view.input.bits or 1, view.weight.bits or 1, conv.c // conv.groups, params)


def _halves(params: Params) -> dict[str, int]:
    kib = {"input": params.input_kib, "weight": params.weight_kib, "output": params.output_kib}
    return {tensor: size * KIB_BITS // 2 for tensor, size in kib.items()}


def tiled_nest(view: LayerView, params: Params) -> TiledNest:
    """Return the layer as the search for its tiling sees it."""
    conv, array = _conv(view), _array(view, params)
    inside, outside = (conv.r * conv.s, 1) if array.packed else (1, conv.r * conv.s)
    start, scale = array.rows + array.cols - 1, array.passes * outside
    form = (tile_forms.PRODUCT, start, scale, 1, 1, array.cols, inside, array.lanes, 1)
    widths, units = loopnest.widths(view, params.accumulator_bits), (params.cols, array.lanes)
    return TiledNest(view.name, conv, widths, _halves(params), units, array.lanes, (Variant({}, form),))


def _with_inner(view: LayerView, params: Params, table: Columns) -> Columns:
    conv, w, array = _conv(view), loopnest.widths(view, params.accumulator_bits), _array(view, params)
    sizes = (table["groups"], table["n"] * table["e"] * table["f"], table["k"], table["c"])
    bits = (w.input, w.weight, w.psum)
    return table | {"inner": tilecost.best_inner(array, conv.r * conv.s, bits, *sizes)}


def _totals(view: LayerView, params: Params, columns: Columns) -> TileCost:
    """Return the counts of the whole layer under each candidate."""
    conv, array = _conv(view), _array(view, params)
    found = np.zeros((len(TileCost._fields), len(columns["k"])), dtype=np.int64)
    for inner in set(columns["inner"].tolist()):
        rows = columns["inner"] == inner
        part = {name: column[rows] for name, column in columns.items()}

        def costs(g, n, e, f, k, c, inner=inner):  # type: ignore[no-untyped-def]
            return np.stack(tilecost.tile_cost(array, inner, conv.r * conv.s, g, n * e * f, k, c))

        found[:, rows] = tilings.total(conv, part, costs)
    return TileCost(*found)


def _activity(plan: Plan, costs: dict[Tile, TileCost], values: np.ndarray | None) -> Activity:
    """Add tiles up to the layer's account, traffic and schedule."""
    nest, conv, w = plan.nest, plan.nest.conv, plan.nest.widths
    tiles = nest.tiles()
    total = TileCost(*(sum(times * int(costs[t][i]) for t, times in tiles.items()) for i in range(8)))  # type: ignore[arg-type]
    schedule = nest.schedule(lambda tile: int(costs[tile].cycles))
    dram = loopnest.dram_traffic(schedule, plan.machine.dram)
    busy = plan.effective_macs * plan.array.bricks * plan.array.passes
    outputs = conv.n * conv.k * conv.e * conv.f
    sums = int(total.sums)
    spilled, returned = (dram.get(Flow("dram", "psum", way), 0) for way in ("write", "read"))
    on_chip = {
        Flow("glb.inputs", "input", "write"): dram.get(Flow("dram", "input", "read"), 0),
        Flow("glb.inputs", "input", "read"): int(total.inputs) * w.input,
        Flow("glb.weights", "weight", "write"): dram.get(Flow("dram", "weight", "read"), 0),
        Flow("glb.weights", "weight", "read"): int(total.weights) * w.weight,
        Flow("glb.outputs", "psum", "write"): sums * w.psum + returned,
        Flow("glb.outputs", "psum", "read"): (sums - outputs) * w.psum + spilled,
        Flow("glb.outputs", "output", "read"): outputs * w.psum,
    }
    return Activity(
        compute_cycles=int(total.cycles),
        accounts={
            "bricks": {
                "busy": busy,
                "zero": int(total.work) - busy,
                "unmapped": int(total.unmapped),
                "fill_drain": int(total.fill_drain),
            }
        },
        traffic={**dram, **on_chip},
        events={Event("units", "mac"): int(total.unit_ops)},
        schedule=schedule,
        buffers=tilings.buffer_use(nest, _halves(plan.params)),
        details={"tiles": sum(tiles.values()), "word_cycles": _word_cycles(plan, total), **_soft(plan)},
        performed_macs=conv.macs,
        values=values,
    )


def _word_cycles(plan: Plan, total: TileCost) -> int:
    """Return the compute cycles without fill and drain: what the released model counts."""
    return int(total.work + total.unmapped) // (plan.array.rows * plan.array.cols * plan.array.unit_bricks)


def _soft(plan: Plan) -> dict[str, int]:
    """Return how much of rows and columns the layer's channels can fill, in parts per million.

    These are the rules that a layer may break at a price: input channels (of a packed layer, filter positions times
    channels) a multiple of the lanes, output channels a multiple of the columns.
    """
    conv, lanes, cols = plan.nest.conv, plan.array.lanes, plan.array.cols
    c, k = conv.c // conv.groups, conv.k // conv.groups
    c = c * conv.r * conv.s if plan.array.packed else c
    return {
        "row_utilization_ppm": c * 1_000_000 // (lanes * ceil_div(c, lanes)),
        "column_utilization_ppm": k * 1_000_000 // (cols * ceil_div(k, cols)),
    }


ENGINE = BitFusion()
