"""Tiles of serial inner-product units: DaDianNao, Stripes, Loom, Bit-Pragmatic and Laconic.

Source: Y. Chen et al., "DaDianNao", MICRO 2014; P. Judd et al., "Stripes", MICRO 2016; S. Sharify et al., "Loom",
DAC 2018; J. Albericio et al., "Bit-Pragmatic", MICRO 2017; S. Sharify et al., "Laconic", ISCA 2019. Step counts as
in the public simulator isakedo/DNNsim.

Modelled:
- Tiles of filter rows x window columns x lanes that walk sets of filters, sets of windows and steps of lanes.
- How long a step lasts: one cycle (dadiannao), the activation's bits (stripes), both operands' bits (loom), the
  essential bits of the slowest lane behind two-stage shifters (pragmatic), the pairs of terms (laconic).
- Widths of the layer, or trimmed to the widest operand that is processed together (stripes, loom).
- Layers of one output pixel: steps issued to the columns in turn (stripes), or more filters in the columns, whose
  weights come one column per cycle (loom).
- Operands wider than a lane join columns or rows; strided layers of three channels run space to depth; depthwise
  layers put one group on each row.
- Double-buffered memories whose halves hold a tile; operands at their own width or in whole words.

Not modelled:
- Bias, activation functions and the registers inside a unit; the time to lay activations out for the lanes.
- Port conflicts of the memories; the dispatcher that cuts activations into bits or terms.
- Overlap of a layer's first load with the layer before it, and between tiles inside the grid.

Assumed:
- Memories are double-buffered: half of each holds a tile.
- A serial lane costs an addition as wide as what it adds: the weight (stripes, pragmatic), 5-bit exponents
  (laconic), one bit (loom).
- In loom's layers of one output pixel a set of columns ends its stagger once per tile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step, flatten
from accelsim.components import Alu, Component, Link, Mac, Registers, Sram, dot_product_bits
from accelsim.engine import Sample, Word, too_wide
from accelsim.engines.bitserial import grid as gridlib
from accelsim.engines.bitserial import sample
from accelsim.engines.bitserial.grid import Counts, Grid
from accelsim.engines.bitserial.params import GridTiling, Params, grid_of, unfit, widest
from accelsim.errors import MappingError
from accelsim.mapping.loopnest import LoopNest, Widths
from accelsim.mapping.search import Variant
from accelsim.operands.handle import Operands
from accelsim.tiled.base import Count, CutLayer, TiledPlan, feeds, output_elements
from accelsim.tiled.engine import TiledEngine
from accelsim.units import KIB_BITS
from accelsim.workload.layers import LayerView


class BitSerial(TiledEngine[Params, GridTiling]):
    """The engine of this folder."""

    name = "bitserial"
    params_schema = Params
    mapping_schema = GridTiling
    primary = "lanes"
    support_params = ("machine", "trim", "pe_bits", "columns", "rows")
    what = "a grid of inner-product units"
    counts = Counts
    operand_axes = (5, 5)

    def units(self, params: Params) -> dict[str, int]:
        """Return the lanes."""
        return {"lanes": params.units}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products, and only widths that lanes or joined lanes take."""
        return super().supports(view, params) or too_wide(view, self.words(view, params)) or unfit(view, params)

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the width of lanes, joined where the machine can join them."""
        del view
        return widest(params)

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return the lanes and the memories."""
        p = params
        port = p.lanes * p.pe_bits
        return (
            _lane(p),
            _registers(p),
            Link("bus", 1, port, reach="trunk", carries=("glb.inputs/read", "glb.outputs/write")),
            Sram("glb.inputs", 1, size_bits=p.input_kib * KIB_BITS, width_bits=port),
            Sram("glb.weights", p.tiles, size_bits=p.weight_kib * KIB_BITS // p.tiles, width_bits=port * p.rows),
            Sram("glb.outputs", 1, size_bits=p.output_kib * KIB_BITS, width_bits=port),
        )

    def widths(self, view: LayerView, params: Params) -> Widths:
        """Return what memories store: words of at least `word_bits`, and no sum that is not complete."""
        a, w, o = (max(t.width, params.word_bits) for t in (view.input, view.weight, view.output))
        return Widths(a, w, o, o)

    def unit(self, view: LayerView, params: Params, fields: Mapping[str, Any]) -> Grid:
        """Return the grid as the layer's widths and the mapping arrange it."""
        return grid_of(view, params, fields["columns"])

    def variants(self, view: LayerView, params: Params) -> tuple[Variant, ...]:
        """Return what the columns may take, the machine's own choice first."""
        conv, kinds = view.conv, ["windows"]
        if conv.e * conv.f == 1 and not gridlib.is_depthwise(conv) and params.fc_columns != "windows":
            kinds = [params.fc_columns, "windows"]
        return tuple(Variant({"columns": kind}, gridlib.form(grid_of(view, params, kind))) for kind in kinds)

    def grain(self, view: LayerView, params: Params) -> tuple[tuple[int, ...], int]:
        """Return the filters side by side; input channels are never cut."""
        del view
        return (params.rows * params.tiles, params.rows), 0

    def check(self, view: LayerView, params: Params, mapping: GridTiling, nest: LoopNest) -> None:
        """Refuse tiles of a part of the input channels, and what the machine's columns cannot do."""
        if nest.trips["c"] != 1:
            raise MappingError(
                f"layer '{view.name}': a tile of {mapping.c} input channels is not whole",
                f"set c: {view.conv.c // view.conv.groups}; sums stay in the units until they are complete",
            )
        if mapping.columns == "filters" and params.machine != "loom":
            raise MappingError(f"layer '{view.name}': columns: filters is for loom", "use windows or steps")
        if mapping.columns != "windows" and gridlib.is_depthwise(view.conv):
            raise MappingError(f"layer '{view.name}': depthwise layers run by windows", "set columns: windows")

    def cost(self, unit: Grid, taps: Count, g: Count, m: Count, k: Count, c: Count) -> Counts:
        """Return the cost of each tile, of operands at full width if they decide."""
        return gridlib.tile_counts(unit, taps * c, g, m, k)

    def account(self, unit: Grid, total: Counts, params: Params, effective_macs: int) -> dict[str, Count]:
        """Return lane-cycles; where operands do not decide, products without a zero operand are busy."""
        if unit.mode == gridlib.FIXED:
            busy = effective_macs * unit.ta * unit.tw * unit.blocks
            total = total._replace(busy=busy, zero=total.busy + total.zero - busy)
        return {name: getattr(total, name) for name in Counts._fields[1:7]}

    def events(self, unit: Grid, total: Counts, params: Params, macs: int) -> dict[Event, Count]:
        """Return the cycles of lanes with work."""
        del unit, macs
        event = Event("macs", "mac") if params.machine == "dadiannao" else Event("lanes", "add")
        return {event: total.busy + total.zero}

    def on_chip(self, unit: Grid, total: Counts, cut: CutLayer, dram: Mapping[Flow, Count]) -> dict[Flow, Count]:
        """Return the traffic of the memories; sums leave the units when they are complete."""
        outputs = output_elements(cut.conv) * cut.widths.output
        return feeds(total, cut.widths, dram) | {
            Flow("glb.outputs", "output", "read"): outputs,
            Flow("glb.outputs", "output", "write"): outputs,
        }

    def details(self, plan: TiledPlan, total: Counts) -> dict[str, int]:
        """Return the steps of a filter."""
        return {"steps": plan.unit.steps}

    def growth(self, params: Params) -> int:
        """Return a bound from the lanes' cycles, of operands and steps of any length."""
        return 2048 * params.units

    def alike(self, unit: Grid) -> Grid:
        """Return the grid but for the steps of a filter: what its columns do side by side decides its formulas."""
        return unit._replace(steps=0)

    def walks(self, params: Params) -> bool:
        """Whether operands decide how long steps last."""
        return params.machine in ("pragmatic", "laconic") or params.trim != "layer"

    def in_columns(self, unit: Grid) -> bool:
        """Whether all steps of a layer last the same."""
        return unit.mode == gridlib.FIXED

    def run(self, plan: TiledPlan, operands: Operands | None = None) -> Activity:
        """Walk each distinct tile, or where operands decide how long steps last, each tile over its operands."""
        if self.in_columns(plan.unit):
            return super().run(plan, operands)
        from accelsim.engines.bitserial import walk

        given = plan.operands if operands is None else operands
        rows, values = walk.over_operands(plan, given, operands is not None)
        steps = flatten(plan.nest.schedule(lambda tile: 0))
        schedule = tuple(Step(s.loads, row[0], s.stores) for s, row in zip(steps, rows, strict=True))
        return self.added_up(plan, Counts(*map(sum, zip(*rows, strict=True))), schedule, values)

    def coded(self, plan: TiledPlan, operands: Operands) -> tuple[np.ndarray, np.ndarray]:
        """Return the masks of both operands that add and that subtract: shape (2, ...) of what they are."""
        from accelsim.engines.bitserial import walk

        return walk.coded(plan.params, operands)

    def walk_tile(self, plan: TiledPlan, operands: Operands | None, *tile: Any) -> np.ndarray:
        """Step through a tile whose steps all last the same."""
        from accelsim.engines.bitserial import walk

        return walk.fixed_tile(plan, *tile)

    def closed_form(self, plan: TiledPlan) -> Activity | None:
        """Evaluate the closed form of every distinct tile, unless operands decide how long steps last."""
        return super().closed_form(plan) if self.in_columns(plan.unit) else None

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer of any product kind on a small grid of any machine."""
        return sample.sample(rng)


def _lane(params: Params) -> Component:
    if params.machine == "dadiannao":
        return Mac("macs", params.units, input_bits=params.pe_bits, weight_bits=params.pe_bits)
    width = {"stripes": params.pe_bits, "pragmatic": params.pe_bits, "laconic": 5, "loom": 1}[params.machine]
    return Alu("lanes", params.units, bits=width, parts=("adder",))


def _registers(params: Params) -> Registers:
    """Return the pipeline of a tile: of dot products, or of serial units with weights that stay for a step."""
    p = params
    if p.machine == "dadiannao":
        bits = p.columns * dot_product_bits(p.rows, p.lanes, p.pe_bits) + 2000
        what = "operand latches, products, sums within the trees, 2,000 bits of control"
        return Registers("registers", p.tiles, clocked_bits=bits, source=f"assumed: {what}")
    # bits of an activation, and of a weight where it does not stay for a step, that a lane takes in a cycle
    term = 5  # a power of two up to 15, and a sign
    activation = term if p.machine in ("pragmatic", "laconic") else p.activation_bits_per_cycle
    weight = {"stripes": 0, "pragmatic": 0, "loom": 1, "laconic": term}[p.machine]
    unit = p.lanes * weight + 3 * p.pe_bits
    return Registers(
        "registers", p.tiles, clocked_bits=p.columns * (p.lanes * activation + p.rows * unit) + 2000,
        gated_words=0 if weight else p.columns * p.rows * p.lanes,
        source="assumed: bits or terms of a column's activations, and of a unit's weights if they move; per unit a "
        "sum of the tree and an accumulator twice as wide as operands; 2,000 bits of control; gated: weights that "
        "stay",
    )  # fmt: skip


ENGINE = BitSerial()
