"""Lookup-table units that take weights bit by bit: UNPU (approximate).

Source: J. Lee et al., "UNPU: A 50.6 TOPS/W Unified Deep Neural Network Accelerator with 1b-to-16b Fully-Variable Weight
Bit-Precision", ISSCC 2018; rates derived from its throughput at 16 bits and at 1 bit.

Modelled:
- Units with one table of three inputs at a time, whose partial sums all outputs of the unit look up, plane by plane.
- Weights of one bit (also +1 and -1) with tables of four inputs.
- Units on different pixels or on different inputs of one pixel, whose sums are added: chosen or pinned.
- Three double-buffered memories: half of each holds a tile; tiles and loop order are chosen or pinned.

Not modelled:
- The real mapping, which is not published in readable form: the split over units, outputs and inputs is derived.
- Bias, the 1-D SIMD unit, the controller; registers and the network between cores.
- Overlap between tiles inside the units, and of a layer's first load with the layer before it.

Assumed:
- A table is built while the one before it is in use; it costs an addition per entry that is no single input.
- Sums stay in a unit until its tile's inputs are complete.
- With tables of three inputs the fourth port of a lookup idles (unmapped).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Activity, Event, Flow
from accelsim.components import Alu, Component, Sram
from accelsim.engines.unpu import sample
from accelsim.engines.unpu.cost import TileCost, Units, tile_cost
from accelsim.errors import MappingError
from accelsim.mapping import loopnest, search, tile_forms, tilings
from accelsim.mapping.choose import Bounds, Choice
from accelsim.mapping.loopnest import LoopNest, Tile, Tiling
from accelsim.mapping.search import TiledNest, Variant
from accelsim.operands.handle import Operands
from accelsim.seam import Columns, Engine, Machine, Sample, Word
from accelsim.spec.schema import Strict
from accelsim.units import INT64_MAX, KIB_BITS
from accelsim.workload.network import LayerView
from accelsim.workload.shapes import PRODUCTS, Conv2d


class Params(Strict):
    """Lookup-table units and their memories."""

    units: int = Field(ge=1, le=1024, description="lookup-table units (LBPEs)")
    outputs: int = Field(ge=1, le=4096, description="output channels of a unit")
    table_inputs: int = Field(3, ge=1, le=8, description="inputs of a table")
    binary_inputs: int = Field(4, ge=1, le=8, description="inputs of a table with one-bit weights")
    input_bits: int = Field(16, ge=1, le=16, description="widest activation")
    weight_bits: int = Field(16, ge=1, le=16, description="widest weight")
    accumulator_bits: int = Field(32, ge=8, le=64, description="width of a partial sum")
    input_kib: int = Field(ge=1, le=1 << 22, description="activation memory, both halves")
    weight_kib: int = Field(ge=1, le=1 << 22, description="weight memory, both halves")
    output_kib: int = Field(ge=1, le=1 << 22, description="memory of partial sums, both halves")

    @property
    def ports(self) -> int:
        """Inputs of the largest table."""
        return max(self.table_inputs, self.binary_inputs)


class UnitTiling(Tiling):
    """A tiling, and how many units share a pixel's inputs."""

    across: int = Field(1, ge=1, description="units on different inputs of one pixel; divides the units")


class Plan(NamedTuple):
    """What a walk needs."""

    nest: LoopNest
    units: Units
    params: Params
    machine: Machine
    effective_macs: int


class Unpu(Engine[Params, UnitTiling]):
    """The engine of this folder."""

    name = "unpu"
    params_schema = Params
    mapping_schema = UnitTiling
    primary = "ports"
    support_params = ("input_bits", "weight_bits", "accumulator_bits")

    def units(self, params: Params) -> dict[str, int]:
        """Return the table inputs that the outputs of all units could look up together."""
        return {"ports": params.units * params.outputs * params.ports}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products."""
        del params
        if view.kind not in PRODUCTS:
            return f"lookup-table units have no {view.kind} unit"
        return None

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return what tables are built for, what comes as planes, and the width of sums."""
        del view
        return {
            "input": Word(params.input_bits, "tables"),
            "weight": Word(params.weight_bits, "planes"),
            "output": Word(params.accumulator_bits, "accumulators"),
        }

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return the accumulators behind the tables, the table builders and the memories."""
        p, acc = params, params.accumulator_bits
        return (
            Alu("lookups", p.units * p.outputs, bits=acc),
            Alu("builders", p.units, bits=p.input_bits),
            Sram("glb.inputs", 1, size_bits=p.input_kib * KIB_BITS, width_bits=p.units * p.input_bits),
            Sram("glb.weights", 1, size_bits=p.weight_kib * KIB_BITS, width_bits=p.outputs),
            Sram("glb.outputs", 1, size_bits=p.output_kib * KIB_BITS, width_bits=p.units * acc),
        )

    def candidates(self, view: LayerView, params: Params, machine: Machine) -> Columns:
        """Return tilings that fit, for every split of the units over pixels and inputs."""
        del machine
        return search.tilings(tiled_nest(view, params))

    def search(self, view: LayerView, params: Params, machine: Machine, objective: str) -> Choice | None:
        """Return the best tiling of the list."""
        return search.best(tiled_nest(view, params), machine.dram, objective)

    def bounds(self, view: LayerView, params: Params, machine: Machine, columns: Columns) -> Bounds:
        """Return exact traffic and operations, and cycles that no candidate undercuts."""
        w = _widths(view, params)
        total = _totals(view, params, columns)
        entries = 2 ** _units(view, params, 1).inputs - 1 - _units(view, params, 1).inputs

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
        return found._replace(events={("lookups", "add"): total.lookups, ("builders", "add"): total.tables * entries})

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: UnitTiling, machine: Machine) -> Plan:
        """Check that the tiles fit, that the split divides the units, and that no count can overflow."""
        nest = LoopNest(_conv(view), Tiling(**mapping.model_dump(exclude={"across"})), _widths(view, params))
        tilings.check_halves(view.name, nest, _halves(params))
        if params.units % mapping.across:
            raise MappingError(
                f"layer '{view.name}': across {mapping.across} does not divide {params.units} units",
                "use a divisor",
            )
        if view.macs * 16 * params.units * params.outputs * params.ports > INT64_MAX // 64:
            raise MappingError(f"layer '{view.name}': its counts exceed 64-bit integers", "split the layer")
        return Plan(nest, _units(view, params, mapping.across), params, machine, operands.effective_macs)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk every distinct tile; with operands, every tile with its values."""
        from accelsim.engines.unpu import walk

        costs = walk.walk(plan.nest, plan.units)
        return _activity(plan, costs, None if operands is None else walk.values(plan.nest, plan.units, operands))

    def closed_form(self, plan: Plan) -> Activity:
        """Evaluate the closed form of every distinct tile."""
        taps = plan.nest.conv.r * plan.nest.conv.s
        costs: dict[Tile, Any] = {
            t: tile_cost(plan.units, taps, t.groups, t.m, t.k, t.c)  # type: ignore[arg-type]
            for t in plan.nest.tiles()
        }
        return _activity(plan, costs, None)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer of any product kind, cut at random, on a few small units."""
        return sample.sample(rng)


def _conv(view: LayerView) -> Conv2d:
    return view.shape.as_conv()  # type: ignore[union-attr]


def _widths(view: LayerView, params: Params) -> loopnest.Widths:
    return loopnest.widths(view, params.accumulator_bits)


def _halves(params: Params) -> dict[str, int]:
    kib = {"input": params.input_kib, "weight": params.weight_kib, "output": params.output_kib}
    return {tensor: size * KIB_BITS // 2 for tensor, size in kib.items()}


def _units(view: LayerView, params: Params, across: int) -> Units:
    planes = view.weight.bits or 1
    inputs = params.binary_inputs if planes == 1 else params.table_inputs
    return Units(params.units // across, across, params.outputs, inputs, params.ports, planes)


def tiled_nest(view: LayerView, params: Params) -> TiledNest:
    """Return the layer as the search for its tiling sees it."""
    conv, taps = _conv(view), _conv(view).r * _conv(view).s
    variants = []
    for across in range(1, params.units + 1):
        if params.units % across == 0:
            u = _units(view, params, across)
            form = (tile_forms.PRODUCT, 0, u.planes, 1, u.pixels, u.outputs, taps, u.inputs, across)
            variants.append(Variant({"across": across}, form))
    halves, units = _halves(params), (params.outputs,)
    return TiledNest(view.name, conv, _widths(view, params), halves, units, params.table_inputs, tuple(variants))


def _totals(view: LayerView, params: Params, columns: Columns) -> TileCost:
    """Return the counts of the whole layer under each candidate."""
    conv = _conv(view)
    found = np.zeros((len(TileCost._fields), len(columns["k"])), dtype=np.int64)
    for across in set(columns["across"].tolist()):
        units, rows = _units(view, params, across), columns["across"] == across
        part = {name: column[rows] for name, column in columns.items()}

        def costs(g, n, e, f, k, c, units=units):  # type: ignore[no-untyped-def]
            return np.stack(tile_cost(units, conv.r * conv.s, g, n * e * f, k, c))

        found[:, rows] = tilings.total(conv, part, costs)
    return TileCost(*found)


def _activity(plan: Plan, costs: dict[Tile, TileCost], values: np.ndarray | None) -> Activity:
    """Add tiles up to the layer's account, traffic and schedule."""
    nest, conv, w, units = plan.nest, plan.nest.conv, plan.nest.widths, plan.units
    tiles = nest.tiles()
    total = TileCost(*(sum(times * int(costs[t][i]) for t, times in tiles.items()) for i in range(7)))  # type: ignore[arg-type]
    schedule = nest.schedule(lambda tile: int(costs[tile].cycles))
    dram = loopnest.dram_traffic(schedule, plan.machine.dram)
    busy, work, outputs = plan.effective_macs * units.planes, int(total.work), conv.n * conv.k * conv.e * conv.f
    sums = int(total.sums)
    on_chip = {
        Flow("glb.inputs", "input", "write"): dram.get(Flow("dram", "input", "read"), 0),
        Flow("glb.inputs", "input", "read"): int(total.inputs) * w.input,
        Flow("glb.weights", "weight", "write"): dram.get(Flow("dram", "weight", "read"), 0),
        Flow("glb.weights", "weight", "read"): int(total.weights) * w.weight,
        Flow("glb.outputs", "psum", "write"): sums * w.psum + dram.get(Flow("dram", "psum", "read"), 0),
        Flow("glb.outputs", "psum", "read"): (sums - outputs) * w.psum + dram.get(Flow("dram", "psum", "write"), 0),
        Flow("glb.outputs", "output", "read"): outputs * w.psum,
    }
    entries = 2**units.inputs - 1 - units.inputs
    return Activity(
        compute_cycles=int(total.cycles),
        accounts={
            "ports": {"busy": busy, "zero": work - busy, "unmapped": units.all_ports * int(total.cycles) - work},
        },
        traffic={**dram, **on_chip},
        events={Event("lookups", "add"): int(total.lookups), Event("builders", "add"): int(total.tables) * entries},
        schedule=schedule,
        buffers=tilings.buffer_use(nest, _halves(plan.params)),
        details={"tiles": sum(tiles.values()), "tables": int(total.tables)},
        performed_macs=conv.macs,
        values=values,
    )


ENGINE = Unpu()
