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

from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Loop, Step, flatten
from accelsim.components import Alu, Component, Mac, Sram
from accelsim.engines.bitserial import grid as gridlib
from accelsim.engines.bitserial import sample
from accelsim.engines.bitserial.grid import Counts, Grid
from accelsim.engines.bitserial.params import GridTiling, Params, grid_of, unfit, widest
from accelsim.errors import MappingError
from accelsim.mapping import loopnest, search, tilings
from accelsim.mapping.choose import Bounds, Choice
from accelsim.mapping.loopnest import LoopNest, Tiling, Widths
from accelsim.mapping.search import TiledNest, Variant
from accelsim.operands.handle import Operands
from accelsim.seam import Columns, Engine, Machine, Sample, Word, too_wide
from accelsim.units import INT64_MAX, KIB_BITS
from accelsim.workload.network import LayerView
from accelsim.workload.shapes import PRODUCTS, Conv2d


class Plan(NamedTuple):
    """What a walk needs."""

    nest: LoopNest
    grid: Grid
    lanes: np.ndarray
    params: Params
    machine: Machine
    operands: Operands


class BitSerial(Engine[Params, GridTiling]):
    """The engine of this folder."""

    name = "bitserial"
    params_schema = Params
    mapping_schema = GridTiling
    primary = "lanes"

    def units(self, params: Params) -> dict[str, int]:
        """Return the lanes."""
        return {"lanes": params.units}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products, and only widths that lanes or joined lanes take."""
        if view.kind not in PRODUCTS:
            return f"a grid of inner-product units has no {view.kind} unit"
        return too_wide(view, self.words(view, params)) or unfit(view, params)

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
            Sram("glb.inputs", 1, size_bits=p.input_kib * KIB_BITS, width_bits=port),
            Sram("glb.weights", p.tiles, size_bits=p.weight_kib * KIB_BITS // p.tiles, width_bits=port * p.rows),
            Sram("glb.outputs", 1, size_bits=p.output_kib * KIB_BITS, width_bits=port),
        )

    def candidates(self, view: LayerView, params: Params, machine: Machine) -> Columns:
        """Return the tilings that fit, for each thing that the columns may take."""
        del machine
        return search.tilings(tiled_nest(view, params))

    def search(self, view: LayerView, params: Params, machine: Machine, objective: str) -> Choice | None:
        """Return the best tiling of the list."""
        return search.best(tiled_nest(view, params), machine.dram, objective)

    def bounds(self, view: LayerView, params: Params, machine: Machine, columns: Columns) -> Bounds:
        """Return exact traffic, and cycles that no candidate undercuts (of operands at full width, if they decide)."""
        conv, w = _conv(view), _widths(view, params)
        total = _totals(view, params, columns)

        def on_chip(moved: search.Measured) -> dict[tuple[str, str], Any]:
            outputs = conv.n * conv.k * conv.e * conv.f * w.output
            return {
                ("glb.inputs", "read"): total.inputs * w.input,
                ("glb.inputs", "write"): moved.input,
                ("glb.weights", "read"): total.weights * w.weight,
                ("glb.weights", "write"): moved.weight,
                ("glb.outputs", "read"): outputs,
                ("glb.outputs", "write"): outputs,
            }

        event = ("macs", "mac") if params.machine == "dadiannao" else ("lanes", "add")
        found = search.bounds(tiled_nest(view, params), machine.dram, columns, on_chip)
        return found._replace(events={event: total.busy})

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: GridTiling, machine: Machine) -> Plan:
        """Check that the tiles fit, that the columns can do what the mapping asks, and that no count overflows."""
        conv = _conv(view)
        tiling = Tiling(**mapping.model_dump(exclude={"columns"}))
        nest = LoopNest(conv, tiling, _widths(view, params))
        tilings.check_halves(view.name, nest, _halves(params))
        if nest.trips["c"] != 1:
            raise MappingError(
                f"layer '{view.name}': a tile of {mapping.c} input channels is not whole",
                f"set c: {conv.c // conv.groups}; sums stay in the units until they are complete",
            )
        if mapping.columns == "filters" and params.machine != "loom":
            raise MappingError(f"layer '{view.name}': columns: filters is for loom", "use windows or steps")
        if mapping.columns != "windows" and gridlib.is_depthwise(conv):
            raise MappingError(f"layer '{view.name}': depthwise layers run by windows", "set columns: windows")
        if view.macs * params.units > INT64_MAX // 2048:
            raise MappingError(f"layer '{view.name}': its counts exceed 64-bit integers", "split the layer")
        grid = grid_of(view, params, mapping.columns)
        lanes = gridlib.lane_taps(conv, grid.lanes, params.space_to_depth)
        return Plan(nest, grid, lanes, params, machine, operands)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk each distinct tile, or each tile over its operands where these decide or values are asked for."""
        from accelsim.engines.bitserial import walk

        if plan.grid.mode == gridlib.FIXED and operands is None:
            costs = walk.walk_static(plan.nest, plan.grid, plan.lanes)
            return _static_activity(plan, costs, None)
        p = plan.params
        serial = p.machine in ("stripes", "loom")
        coding = walk.Coding(
            x_whole=p.machine == "dadiannao",
            w_whole=p.machine in ("dadiannao", "stripes", "pragmatic"),
            recoding="planes" if serial or p.machine == "dadiannao" else p.recoding,
        )
        given = operands if operands is not None else plan.operands
        counts, values = walk.walk_data(plan.nest, plan.grid, plan.lanes, coding, given, operands is not None)
        if plan.grid.mode == gridlib.FIXED:
            return _static_activity(plan, walk.walk_static(plan.nest, plan.grid, plan.lanes), values)
        schedule = _timed(plan.nest, [int(c.cycles) for c in counts])
        total = Counts(*(sum(int(c[i]) for c in counts) for i in range(len(Counts._fields))))  # type: ignore[arg-type]
        return _activity(plan, total, schedule, values)

    def closed_form(self, plan: Plan) -> Activity | None:
        """Evaluate the closed form of every distinct tile; None where operands decide."""
        if plan.grid.mode != gridlib.FIXED:
            return None
        taps, steps = _taps(plan.nest.conv), len(plan.lanes)
        costs = {t: gridlib.tile_counts(plan.grid, steps, taps, t.groups, t.m, t.k) for t in plan.nest.tiles()}  # type: ignore[arg-type]
        return _static_activity(plan, costs, None)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer of any product kind on a small grid of any machine."""
        return sample.sample(rng)


def _conv(view: LayerView) -> Conv2d:
    return view.shape.as_conv()  # type: ignore[union-attr]


def _taps(conv: Conv2d) -> int:
    return conv.c // conv.groups * conv.r * conv.s


def tiled_nest(view: LayerView, params: Params) -> TiledNest:
    """Return the layer as the search for its tiling sees it."""
    conv = _conv(view)
    kinds = ["windows"]
    if conv.e * conv.f == 1 and not gridlib.is_depthwise(conv) and params.fc_columns != "windows":
        kinds = [params.fc_columns, "windows"]
    variants = []
    for kind in kinds:
        grid = grid_of(view, params, kind)
        steps = len(gridlib.lane_taps(conv, grid.lanes, params.space_to_depth))
        variants.append(Variant({"columns": kind}, gridlib.form(grid, steps)))
    units = (params.rows * params.tiles, params.rows)
    return TiledNest(view.name, conv, _widths(view, params), _halves(params), units, 0, tuple(variants))


def _totals(view: LayerView, params: Params, columns: Columns) -> Counts:
    """Return the counts of the whole layer under each candidate."""
    conv = _conv(view)
    found = np.zeros((len(Counts._fields), len(columns["k"])), dtype=np.int64)
    for kind in set(columns["columns"].tolist()):
        grid, rows = grid_of(view, params, kind), columns["columns"] == kind
        part = {name: column[rows] for name, column in columns.items()}
        steps = len(gridlib.lane_taps(conv, grid.lanes, params.space_to_depth))

        def costs(g, n, e, f, k, c, grid=grid, steps=steps):  # type: ignore[no-untyped-def]
            return np.stack(
                np.broadcast_arrays(*gridlib.tile_counts(grid, steps, _taps(conv), g, n * e * f, k), c)[:-1]
            )

        found[:, rows] = tilings.total(conv, part, costs)
    return Counts(*found)


def _widths(view: LayerView, params: Params) -> Widths:
    a, w, o = (max(t.bits or 1, params.word_bits) for t in (view.input, view.weight, view.output))
    return Widths(a, w, o, o)


def _halves(params: Params) -> dict[str, int]:
    kib = {"input": params.input_kib, "weight": params.weight_kib, "output": params.output_kib}
    return {tensor: size * KIB_BITS // 2 for tensor, size in kib.items()}


def _lane(params: Params) -> Component:
    if params.machine == "dadiannao":
        return Mac("macs", params.units, input_bits=params.pe_bits, weight_bits=params.pe_bits)
    width = {"stripes": params.pe_bits, "pragmatic": params.pe_bits, "laconic": 5, "loom": 1}[params.machine]
    return Alu("lanes", params.units, bits=width)


def _timed(nest: LoopNest, cycles: list[int]) -> tuple[Step, ...]:
    """Return the schedule tile by tile, each with its own cycles."""
    steps = flatten(nest.schedule(lambda tile: 0))
    return tuple(Step(s.loads, t, s.stores) for s, t in zip(steps, cycles, strict=True))


def _static_activity(plan: Plan, costs: dict[loopnest.Tile, Counts], values: np.ndarray | None) -> Activity:
    """Add tiles up; of the work, the products without a zero operand are busy."""
    tiles = plan.nest.tiles().items()
    total = Counts(*(sum(n * int(costs[t][i]) for t, n in tiles) for i in range(len(Counts._fields))))  # type: ignore[arg-type]
    busy = plan.operands.effective_macs * plan.grid.ta * plan.grid.tw * plan.grid.blocks
    total = total._replace(busy=busy, zero=total.busy - busy)  # type: ignore[arg-type]
    return _activity(plan, total, plan.nest.schedule(lambda tile: int(costs[tile].cycles)), values)


def _activity(plan: Plan, total: Counts, schedule: tuple[Step | Loop, ...], values: np.ndarray | None) -> Activity:
    """Return the layer's activity from its counts."""
    nest, conv, w = plan.nest, plan.nest.conv, plan.nest.widths
    dram = loopnest.dram_traffic(schedule, plan.machine.dram)
    outputs = conv.n * conv.k * conv.e * conv.f * w.output
    on_chip = {
        Flow("glb.inputs", "input", "write"): dram.get(Flow("dram", "input", "read"), 0),
        Flow("glb.inputs", "input", "read"): int(total.inputs) * w.input,
        Flow("glb.weights", "weight", "write"): dram.get(Flow("dram", "weight", "read"), 0),
        Flow("glb.weights", "weight", "read"): int(total.weights) * w.weight,
        Flow("glb.outputs", "output", "write"): outputs,
        Flow("glb.outputs", "output", "read"): outputs,
    }
    work = int(total.busy + total.zero)
    event = Event("macs", "mac") if plan.params.machine == "dadiannao" else Event("lanes", "add")
    return Activity(
        compute_cycles=int(total.cycles),
        accounts={"lanes": {name: int(getattr(total, name)) for name in Counts._fields[1:7]}},
        traffic={flow: bits for flow, bits in {**dram, **on_chip}.items() if bits},
        events={event: work},
        schedule=schedule,
        buffers=tilings.buffer_use(nest, _halves(plan.params)),
        details={"tiles": sum(nest.tiles().values()), "steps": len(plan.lanes)},
        performed_macs=conv.macs,
        values=values,
    )


ENGINE = BitSerial()
