"""Systolic array with the weights, the inputs or the outputs held still in the processing elements.

Source: H. T. Kung, "Why Systolic Architectures?", IEEE Computer 15(1), 1982; dataflow names and fold order after
A. Samajdar et al., "SCALE-Sim: Systolic CNN Accelerator Simulator", arXiv:1811.02883, 2018.

Modelled:
- R x C multiply-accumulate units with nearest-neighbour links; a layer as a matrix product, cut into folds.
- Skewed fill and drain of every fold, or folds that follow right behind each other (overlap_folds).
- Loading of the held operand, hidden where the machine has a second register per PE (overlap_folds).
- In os, results that leave along rows or columns of the array behind the multipliers' registers (drain); without it
  (the default, as SCALE-Sim has it) a fold ends with its last multiplication, and results have not left the array.
- Partly filled folds at the edges cost the rows and columns that they occupy.
- Three double-buffered scratchpads: half of each holds a tile; tiles and loop order are chosen or pinned.
- Partial sums accumulate in the output scratchpad and go to DRAM and back when the loop order makes them.
- With whole_weight_tiles, every fold's weights come from DRAM as a block of the whole array, padding included.
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
from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow
from accelsim.components import Component, Link, Mac, RegisterFile, Registers, Sram
from accelsim.config.schema import MappingSpec
from accelsim.engine import Chosen, Machine, Many, Room, Sample, Word, drawing
from accelsim.engines.systolic import tilecost, whole_tiles
from accelsim.engines.systolic.params import Params
from accelsim.engines.systolic.tilecost import Counts
from accelsim.errors import MappingError
from accelsim.mapping import loopnest, tile_forms
from accelsim.mapping.choose import Bounds, Candidates, Choice, PriceOf
from accelsim.mapping.loopnest import LoopNest, Tiling
from accelsim.mapping.search import Variant
from accelsim.operands.handle import Operands
from accelsim.remedy import Remedy, reshaped
from accelsim.tiled import sample
from accelsim.tiled.base import BUFFERS, Count, CutLayer, TiledPlan, buffer_bits, output_elements
from accelsim.tiled.engine import TiledEngine
from accelsim.units import INT64_MAX, KIB_BITS
from accelsim.workload.layers import LayerView


class Array(NamedTuple):
    """The array: a key of `tilecost.FLOWS` by number, its sides, whether folds follow one another, how results go."""

    flow: int
    rows: int
    cols: int
    overlap: bool
    tail: int
    hold: int


class Systolic(TiledEngine[Params, Tiling]):
    """The engine of this folder."""

    name = "systolic"
    params_schema = Params
    mapping_schema = Tiling
    primary = "pes"
    support_params = ("operand_bits", "accumulator_bits")
    what = "a systolic array"
    counts = Counts

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return another dataflow, folds that overlap, another shape of the array, larger scratchpads."""
        overlap = () if params.overlap_folds else (Remedy({"overlap_folds": True}, ("fill_drain",)),)
        others = [flow for flow in ("ws", "os", "is") if flow != params.dataflow]
        flows = tuple(Remedy({"dataflow": flow}, ("fill_drain", "unmapped")) for flow in others)
        return (*overlap, *flows, *reshaped(params, "rows", "cols"), *super().remedies(params))

    def dear(self, params: Params) -> str:
        """Return that mappings with whole weight tiles are stepped."""
        return "mappings with whole weight tiles are stepped one by one" if params.whole_weight_tiles else ""

    def units(self, params: Params) -> dict[str, int]:
        """Return the PEs."""
        return {"pes": params.rows * params.cols}

    def rooms(self, params: Params) -> tuple[Room, ...]:
        """Return the scratchpads: outputs at home leave the accumulators for the inputs' one."""
        inputs = Room("glb.inputs", ("input", "output"), shared=True)
        return (inputs, Room("glb.weights", ("weight", "input2")))

    def least_bits(self, view: LayerView, params: Params, mapping: Tiling | None = None) -> int:
        """Return two input tiles, of one output and one channel or the largest of a mapping; none of inputs at home."""
        conv = view.conv
        if view.input.home == "chip":
            return 0
        if mapping is not None:
            return 2 * LoopNest(conv, mapping, self.widths(view, params)).largest_bits["input"]
        reach = ((conv.r - 1) * conv.dilation[0] + 1) * ((conv.s - 1) * conv.dilation[1] + 1)
        return 2 * reach * view.input.width

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the width of operands and of sums."""
        del view
        operand = Word(params.operand_bits, "multipliers")
        return {"input": operand, "weight": operand, "output": Word(params.accumulator_bits, "accumulators")}

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers, PE registers, links and scratchpads."""
        pes, width, acc = params.rows * params.cols, params.operand_bits, params.accumulator_bits
        registers = 2 * width + acc + (width if params.overlap_folds else 0)
        held = 0 if params.dataflow == "os" else 1 + params.overlap_folds
        pipeline = Registers(
            "registers", pes, clocked_bits=(1 if held else 2) * width + 2 * width + acc, gated_words=held,
            source="assumed: operands that move, a product, a sum; gated: words held still",
        )  # fmt: skip
        return (
            Mac("macs", pes, input_bits=width, weight_bits=width, accumulator_bits=acc),
            RegisterFile("pe", pes, size_bits=registers, width_bits=acc, clocked=True),
            pipeline,
            Link("array", 2 * pes, width_bits=acc),
            Link("bus", 1, acc, reach="trunk", carries=("glb.inputs/read", "glb.weights/read", "glb.outputs/write")),
            Sram("glb.inputs", 1, size_bits=params.input_kib * KIB_BITS, width_bits=params.rows * width),
            Sram("glb.weights", 1, size_bits=params.weight_kib * KIB_BITS, width_bits=params.cols * width),
            Sram("glb.outputs", 1, size_bits=params.output_kib * KIB_BITS, width_bits=params.cols * acc),
        )

    def limits(self, view: LayerView, params: Params) -> dict[str, int]:
        """Return half of what tensors at home in a scratchpad leave free; one at home needs no second half."""
        capacities = buffer_bits(params)
        homes = {"input": ("input", view.input), "output": ("input", view.output), "weight": ("weight", view.weight)}
        taken = {"input": view.beside_bits, "weight": 0, "output": 0}
        for role in loopnest.resident(view):
            scratchpad, tensor = homes[role]
            taken[scratchpad] += tensor.elements * tensor.width
            if taken[scratchpad] > capacities[scratchpad]:
                raise MappingError(
                    f"layer '{view.name}': tensors at home on the chip take {taken[scratchpad]:,} bits, the "
                    f"{scratchpad} scratchpad holds {capacities[scratchpad]:,}",
                    f"raise params.{scratchpad}_kib or give them home: dram",
                )
        at_home = {role for role in ("input", "weight") if role in loopnest.resident(view)}
        return {t: INT64_MAX if t in at_home else max(0, capacities[t] - taken[t]) // 2 for t in capacities}

    def unit(self, view: LayerView, params: Params, fields: Mapping[str, Any]) -> Array:
        """Return the array, the same for every layer."""
        del view, fields
        flow = tilecost.FLOWS[params.dataflow]
        return Array(flow, params.rows, params.cols, params.overlap_folds, params.tail, params.hold)

    def variants(self, view: LayerView, params: Params) -> tuple[Variant, ...]:
        """Return the only one."""
        flow, rows, cols, overlap, tail, hold = self.unit(view, params, {})
        form = (tile_forms.FOLDS, flow, rows, cols, int(overlap), view.conv.r * view.conv.s, tail, hold)
        return (Variant({}, form),)

    def grain(self, view: LayerView, params: Params) -> tuple[tuple[int, ...], int]:
        """Return both sides of the array for output channels; any number of input channels."""
        del view
        return (params.rows, params.cols), 1

    def cost(self, unit: Array, taps: Count, g: Count, m: Count, k: Count, c: Count) -> Counts:
        """Return the cost of each tile as a matrix product."""
        return tilecost.tile_cost(*unit[:4], g, m, k, c * taps, *unit[4:])

    def account(self, unit: Array, total: Counts, params: Params, effective_macs: int) -> dict[str, Count]:
        """Return PE-cycles."""
        del unit, params
        return {
            "busy": effective_macs, "zero": total.work - effective_macs, "unmapped": total.unmapped,
            "fill_drain": total.fill_drain, "starved": total.starved,
        }  # fmt: skip

    def events(self, unit: Array, total: Counts, params: Params, macs: int) -> dict[Event, Count]:
        """Return the multiplications."""
        del unit, total, params
        return {Event("macs", "mac"): macs}

    def on_chip(self, unit: Array, total: Counts, cut: CutLayer, dram: Mapping[Flow, Count]) -> dict[Flow, Count]:
        """Return the traffic of scratchpads, links and PE registers in bits."""
        from accelsim.engines.systolic.counts_kernel import edges
        from accelsim.jit import plain

        w, macs, results, outputs = cut.widths, cut.conv.macs, total.results, output_elements(cut.conv)
        inputs, weights, input_hops, weight_hops, psum_hops = plain(edges)(
            unit.flow, macs, total.left, total.top, total.held, total.held_hops, results
        )
        moves = {"input": input_hops * w.input, "weight": weight_hops * w.weight}
        return {
            Flow("glb.inputs", "input", "write"): dram.get(Flow("dram", "input", "read"), 0),
            Flow("glb.inputs", "input", "read"): inputs * w.input,
            Flow("glb.weights", "weight", "write"): dram.get(Flow("dram", "weight", "read"), 0),
            Flow("glb.weights", "weight", "read"): weights * w.weight,
            Flow("glb.outputs", "psum", "write"): results * w.psum + dram.get(Flow("dram", "psum", "read"), 0),
            # every result is added to what the scratchpad holds, except the first of each output
            Flow("glb.outputs", "psum", "read"): (results - outputs) * w.psum
            + dram.get(Flow("dram", "psum", "write"), 0),
            Flow("glb.outputs", "output", "read"): outputs * w.psum,
            Flow("glb.inputs", "output", "write"): outputs * w.output if "output" in cut.resident else 0,
            Flow("pe", "input", "read"): macs * w.input,
            Flow("pe", "weight", "read"): macs * w.weight,
            Flow("pe", "psum", "read"): macs * w.psum,
            Flow("pe", "psum", "write"): macs * w.psum,
            Flow("array", "psum", "write"): psum_hops * w.psum,
            **{Flow("array", tensor, "read"): bits for tensor, bits in moves.items()},
            **{Flow("pe", tensor, "write"): bits for tensor, bits in moves.items()},
        }

    def details(self, plan: TiledPlan, total: Counts) -> dict[str, int]:
        """Return the words that were shifted in to stay, and the results for whose way out no time is counted."""
        stays = plan.unit.flow == tilecost.OS and not plan.unit.hold
        return {"held_words": total.held} | ({"results_not_drained": total.results} if stays else {})

    def growth(self, params: Params) -> int:
        """Return a bound from PE-cycles and from bits of sums."""
        return 4 * max(params.rows * params.cols, params.accumulator_bits)

    def buffer_use(self, nest: LoopNest, params: Params) -> dict[str, tuple[int, int]]:
        """Return capacity and peak of each scratchpad, with the tensors at home there."""
        conv, w, found = nest.conv, nest.widths, super().buffer_use(nest, params)
        peak = {tensor: found[name][1] for tensor, name in BUFFERS.items()}
        if "input" in nest.resident:
            peak["input"] = conv.n * conv.c * conv.h * conv.w * w.input
        if "output" in nest.resident:
            peak["input"] += output_elements(conv) * w.output
        if "weight" in nest.resident:
            peak["weight"] = conv.k * (conv.c // conv.groups) * conv.r * conv.s * w.weight
        return {name: (found[name][0], peak[tensor]) for tensor, name in BUFFERS.items()}

    def run(self, plan: TiledPlan, operands: Operands | None = None) -> Activity:
        """Walk every distinct tile as a matrix product; with operands, every tile with its values."""
        from accelsim.engines.systolic import walk

        return self.activity(plan, *walk.walk(plan.nest, plan.unit, operands))

    def whole(self, params: Params) -> tuple[int, int]:
        """Return the array, if weights come in blocks of it."""
        return (params.rows, params.cols) if params.whole_weight_tiles else (0, 0)

    def candidates(self, view: LayerView, params: Params, machine: Machine) -> Candidates:
        """Return every tiling of the list that fits, its weights in whole blocks too."""
        found = super().candidates(view, params, machine)
        return whole_tiles.fitting(self, view, params, found) if params.whole_weight_tiles else found

    def search(
        self, view: LayerView, params: Params, machine: Machine, objective: str, price: PriceOf,
        leak_pj_per_cycle: float,
    ) -> Choice | None:  # fmt: skip
        """Return the best mapping of the list; None where weights come in whole blocks, which no kernel sees."""
        if params.whole_weight_tiles:
            return None
        return super().search(view, params, machine, objective, price, leak_pj_per_cycle)

    def bounds(self, view: LayerView, params: Params, machine: Machine, candidates: Candidates) -> Bounds:
        """Return exact traffic and operations, and cycles that no candidate undercuts."""
        if params.whole_weight_tiles:
            return whole_tiles.bounds(self, view, params, machine, candidates)
        return super().bounds(view, params, machine, candidates)

    def mappings_of_many(
        self, layers: np.ndarray, params: Params, machine: Machine, mapping: MappingSpec
    ) -> Chosen | None:
        """Choose mappings in one kernel; None where weights come in whole blocks."""
        return None if params.whole_weight_tiles else super().mappings_of_many(layers, params, machine, mapping)

    def closed_form_many(
        self, layers: np.ndarray, params: Params, machine: Machine, mapping: MappingSpec, price: PriceOf,
        leak_pj_per_cycle: float,
    ) -> Many | None:  # fmt: skip
        """Choose mappings, count and run the timeline in one kernel."""
        from accelsim.engines.systolic import columnar

        if params.whole_weight_tiles:
            return None
        return columnar.totals(layers, params, machine, mapping, price, leak_pj_per_cycle)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer of any product kind, cut at random, on a small array of any shape."""
        draw = drawing(rng)
        shape, on_chip = sample.product(draw), bool(draw(0, 1))
        params = {
            "rows": draw(1, 6), "cols": draw(1, 6), "dataflow": ("ws", "os", "is")[draw(0, 2)],
            "overlap_folds": bool(draw(0, 1)), "accumulator_bits": 24, "input_kib": 8 if on_chip else 4,
            "weight_kib": 8 if on_chip else 4, "output_kib": 4,
        }  # fmt: skip
        if params["dataflow"] == "os":
            params |= {"drain": ("none", "rows", "cols")[draw(0, 2)], "output_registers": draw(0, 3)}
        if params["dataflow"] == "ws":
            params |= {"whole_weight_tiles": bool(draw(0, 1))}
        return Sample(shape, params, sample.tiling(shape.as_conv(), draw, 8, 24, 16384), on_chip=on_chip)


ENGINE = Systolic()
