"""DianNao: a functional unit that multiplies a row of inputs by as many synapses of several outputs each cycle.

Source: T. Chen et al., "DianNao: A Small-Footprint High-Throughput Accelerator for Ubiquitous Machine-Learning",
ASPLOS 2014.

Modelled:
- NFU-1 and NFU-2: Ti inputs times Tn x Ti synapses per cycle, Tn adder trees; one output pixel at a time.
- Channels and outputs padded up to whole rows: E F R S ceil(C / Ti) ceil(K / Tn) cycles per group and image.
- NBin, SB and NBout, double-buffered: half of each holds a tile; tiles and loop order are chosen or pinned.
- Partial sums in the registers of NFU-2 for as long as a tile has inputs for them, in NBout between tiles.

Not modelled:
- NFU-3 (activation functions), pooling, bias, the filling of the pipeline, the control processor.
- Filter positions are not cut: a tile holds all taps of its input channels, so that large filters make small tiles.
- The circular use of NBin: neighbouring tiles fetch the inputs that they share twice.
- Sums are exact: the rounding to 16 bits is not.

Assumed:
- Groups of a layer run one after another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Activity, Event, Flow
from accelsim.components import Component, Mac, Sram
from accelsim.engines.diannao import sample
from accelsim.engines.diannao.cost import TileCost, tile_cost
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
    """The functional unit and its three buffers."""

    outputs: int = Field(16, ge=1, le=1024, description="output neurons at once, adder trees (Tn)")
    inputs: int = Field(16, ge=1, le=1024, description="inputs of an output in a cycle (Ti)")
    operand_bits: int = Field(16, ge=1, le=32, description="widest neuron and synapse that is multiplied")
    accumulator_bits: int = Field(16, ge=2, le=64, description="width of a partial sum in NBout")
    input_kib: int = Field(2, ge=1, le=1 << 20, description="NBin, both halves")
    weight_kib: int = Field(32, ge=1, le=1 << 20, description="SB, both halves")
    output_kib: int = Field(2, ge=1, le=1 << 20, description="NBout, both halves")


class Plan(NamedTuple):
    """What a walk needs."""

    nest: LoopNest
    params: Params
    machine: Machine
    effective_macs: int


class DianNao(Engine[Params, Tiling]):
    """The engine of this folder."""

    name = "diannao"
    params_schema = Params
    mapping_schema = Tiling
    primary = "multipliers"
    support_params = ("operand_bits", "accumulator_bits")

    def units(self, params: Params) -> dict[str, int]:
        """Return the multipliers of NFU-1."""
        return {"multipliers": params.outputs * params.inputs}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products, and only operands that fit the multipliers."""
        del params
        if view.kind not in PRODUCTS:
            return f"the functional unit multiplies and adds: it has no {view.kind} unit"
        return None

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the width of operands and of sums."""
        del view
        operand = Word(params.operand_bits, "multipliers")
        return {"input": operand, "weight": operand, "output": Word(params.accumulator_bits, "accumulators")}

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers and the three buffers, whose rows feed all of them at once."""
        p, acc = params, params.accumulator_bits
        return (
            Mac("macs", p.outputs * p.inputs, p.operand_bits, p.operand_bits, acc),
            Sram("glb.inputs", 1, p.input_kib * KIB_BITS, p.inputs * p.operand_bits),
            Sram("glb.weights", 1, p.weight_kib * KIB_BITS, p.outputs * p.inputs * p.operand_bits),
            Sram("glb.outputs", 1, p.output_kib * KIB_BITS, p.outputs * acc),
        )

    def candidates(self, view: LayerView, params: Params, machine: Machine) -> Columns:
        """Return tilings that fit half of each buffer."""
        del machine
        return search.tilings(tiled_nest(view, params))

    def search(self, view: LayerView, params: Params, machine: Machine, objective: str) -> Choice | None:
        """Return the best tiling of the list."""
        return search.best(tiled_nest(view, params), machine.dram, objective)

    def bounds(self, view: LayerView, params: Params, machine: Machine, columns: Columns) -> Bounds:
        """Return exact traffic, and cycles that no candidate undercuts."""
        conv, w = _conv(view), _widths(view, params)

        def costs(g, n, e, f, k, c):  # type: ignore[no-untyped-def]
            return np.stack(tile_cost(params, conv.r * conv.s, g, n * e * f, k, c))

        def on_chip(moved: search.Measured) -> dict[tuple[str, str], np.ndarray]:
            total = TileCost(*tilings.total(conv, columns, costs))
            sums = total.sums * w.psum + moved.spill
            return {
                ("glb.inputs", "read"): total.inputs * w.input,
                ("glb.inputs", "write"): moved.input,
                ("glb.weights", "read"): total.work * w.weight,
                ("glb.weights", "write"): moved.weight,
                ("glb.outputs", "read"): sums,
                ("glb.outputs", "write"): sums,
            }

        found = search.bounds(tiled_nest(view, params), machine.dram, columns, on_chip)
        return found._replace(events={("macs", "mac"): conv.macs})

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: Tiling, machine: Machine) -> Plan:
        """Check that the tiles fit and that no count can overflow."""
        nest = LoopNest(_conv(view), mapping, _widths(view, params))
        tilings.check_halves(view.name, nest, _halves(params))
        if view.macs * 32 * params.outputs * params.inputs > INT64_MAX // 64:
            raise MappingError(f"layer '{view.name}': its counts exceed 64-bit integers", "split the layer")
        return Plan(nest, params, machine, operands.effective_macs)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk every distinct tile; with operands, every tile with its values."""
        from accelsim.engines.diannao import walk

        costs = walk.walk(plan.nest, plan.params)
        return _activity(plan, costs, None if operands is None else walk.values(plan.nest, plan.params, operands))

    def closed_form(self, plan: Plan) -> Activity:
        """Evaluate the closed form of every distinct tile."""
        taps = plan.nest.conv.r * plan.nest.conv.s
        costs = {
            t: tile_cost(plan.params, taps, t.groups, t.m, t.k, t.c)  # type: ignore[arg-type]
            for t in plan.nest.tiles()
        }
        return _activity(plan, costs, None)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer of any product kind, cut at random, on a narrow unit."""
        return sample.sample(rng)


def _conv(view: LayerView) -> Conv2d:
    return view.shape.as_conv()  # type: ignore[union-attr]


def _widths(view: LayerView, params: Params) -> loopnest.Widths:
    return loopnest.widths(view, params.accumulator_bits)


def _halves(params: Params) -> dict[str, int]:
    kib = {"input": params.input_kib, "weight": params.weight_kib, "output": params.output_kib}
    return {tensor: size * KIB_BITS // 2 for tensor, size in kib.items()}


def tiled_nest(view: LayerView, params: Params) -> TiledNest:
    """Return the layer as the search for its tiling sees it."""
    conv = _conv(view)
    form = (tile_forms.PRODUCT, 0, conv.r * conv.s, 1, 1, params.outputs, 1, params.inputs, 1)
    return TiledNest(
        view.name, conv, _widths(view, params), _halves(params), (params.outputs,), params.inputs, (Variant({}, form),)
    )


def _activity(plan: Plan, costs: dict[Tile, TileCost], values: np.ndarray | None) -> Activity:
    """Add tiles up to the layer's account, traffic and schedule."""
    nest, conv, w, p = plan.nest, plan.nest.conv, plan.nest.widths, plan.params
    tiles = nest.tiles()
    cycles, work, inputs, sums = (sum(times * int(costs[t][i]) for t, times in tiles.items()) for i in range(4))
    schedule = nest.schedule(lambda tile: int(costs[tile].cycles))
    dram = loopnest.dram_traffic(schedule, plan.machine.dram)
    outputs = conv.n * conv.k * conv.e * conv.f
    spilled, returned = (dram.get(Flow("dram", "psum", way), 0) for way in ("write", "read"))
    on_chip = {
        Flow("glb.inputs", "input", "write"): dram.get(Flow("dram", "input", "read"), 0),
        Flow("glb.inputs", "input", "read"): inputs * w.input,
        Flow("glb.weights", "weight", "write"): dram.get(Flow("dram", "weight", "read"), 0),
        Flow("glb.weights", "weight", "read"): work * w.weight,
        Flow("glb.outputs", "psum", "write"): sums * w.psum + returned,
        Flow("glb.outputs", "psum", "read"): (sums - outputs) * w.psum + spilled,
        Flow("glb.outputs", "output", "read"): outputs * w.psum,
    }
    causes = {
        "busy": plan.effective_macs,
        "zero": work - plan.effective_macs,
        "unmapped": cycles * p.outputs * p.inputs - work,
    }
    return Activity(
        compute_cycles=cycles,
        accounts={"multipliers": causes},
        traffic={**dram, **on_chip},
        events={Event("macs", "mac"): work},
        schedule=schedule,
        buffers=tilings.buffer_use(nest, _halves(p)),
        details={"tiles": sum(tiles.values())},
        performed_macs=work,
        values=values,
    )


ENGINE = DianNao()
