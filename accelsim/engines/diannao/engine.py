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

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Event
from accelsim.components import Component, Mac, Registers, Sram, dot_product_bits
from accelsim.config.schema import Strict
from accelsim.engine import Sample, Word, drawing
from accelsim.mapping import tile_forms
from accelsim.mapping.loopnest import Tiling
from accelsim.mapping.search import Variant
from accelsim.operands.handle import Operands
from accelsim.tiled import sample
from accelsim.tiled.base import Count, TiledPlan
from accelsim.tiled.engine import TiledEngine
from accelsim.units import KIB_BITS
from accelsim.workload.layers import LayerView


class Params(Strict):
    """The functional unit and its three buffers."""

    outputs: int = Field(16, ge=1, le=1024, description="output neurons at once, adder trees (Tn)")
    inputs: int = Field(16, ge=1, le=1024, description="inputs of an output in a cycle (Ti)")
    operand_bits: int = Field(16, ge=1, le=32, description="widest neuron and synapse that is multiplied")
    accumulator_bits: int = Field(16, ge=2, le=64, description="width of a partial sum in NBout")
    input_kib: int = Field(2, ge=1, le=1 << 20, description="NBin, both halves")
    weight_kib: int = Field(32, ge=1, le=1 << 20, description="SB, both halves")
    output_kib: int = Field(2, ge=1, le=1 << 20, description="NBout, both halves")
    instruction_kib: int = Field(8, ge=1, le=1 << 20, description="instructions: area and leakage only")


class Nfu(NamedTuple):
    """The functional unit: output neurons at once, and inputs of each in a cycle."""

    outputs: int
    inputs: int


class Counts(NamedTuple):
    """Counts of a tile: cycles; products, each with a synapse of its own; inputs read; sums that go to NBout."""

    cycles: Count
    weights: Count
    inputs: Count
    sums: Count


class DianNao(TiledEngine[Params, Tiling]):
    """The engine of this folder."""

    name = "diannao"
    params_schema = Params
    mapping_schema = Tiling
    primary = "multipliers"
    support_params = ("operand_bits", "accumulator_bits")
    what = "the functional unit multiplies and adds: it"
    counts = Counts

    def units(self, params: Params) -> dict[str, int]:
        """Return the multipliers of NFU-1."""
        return {"multipliers": params.outputs * params.inputs}

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
            Registers(
                "registers",
                1,
                clocked_bits=dot_product_bits(p.outputs, p.inputs, p.operand_bits) + 2000,
                source="assumed: operand latches, products, sums within the trees, stage 3, 2,000 bits of control",
            ),
            Sram("glb.inputs", 1, p.input_kib * KIB_BITS, p.inputs * p.operand_bits),
            Sram("glb.weights", 1, p.weight_kib * KIB_BITS, p.outputs * p.inputs * p.operand_bits),
            Sram("glb.outputs", 1, p.output_kib * KIB_BITS, p.outputs * acc),
            Sram("control", 1, p.instruction_kib * KIB_BITS, 64),
        )

    def unit(self, view: LayerView, params: Params, fields: Mapping[str, Any]) -> Nfu:
        """Return the functional unit, the same for every layer."""
        del view, fields
        return Nfu(params.outputs, params.inputs)

    def variants(self, view: LayerView, params: Params) -> tuple[Variant, ...]:
        """Return the only one."""
        taps = view.conv.r * view.conv.s
        return (Variant({}, (tile_forms.PRODUCT, 0, taps, 1, 1, params.outputs, 1, params.inputs, 1)),)

    def grain(self, view: LayerView, params: Params) -> tuple[tuple[int, ...], int]:
        """Return rows of outputs and of inputs."""
        del view
        return (params.outputs,), params.inputs

    def cost(self, unit: Nfu, taps: Count, g: Count, m: Count, k: Count, c: Count) -> Counts:
        """Return the cost of each tile: a cycle for every pixel, tap, row of outputs and row of inputs."""
        blocks = -(-k // unit.outputs)
        return Counts(
            cycles=g * m * taps * blocks * -(-c // unit.inputs),
            weights=g * m * k * taps * c,
            inputs=g * m * blocks * taps * c,
            sums=g * m * k,
        )

    def account(self, unit: Nfu, total: Counts, params: Params, effective_macs: int) -> dict[str, Count]:
        """Return multiplier-cycles: what padding to whole rows leaves without work is unmapped."""
        work = total.weights
        unmapped = total.cycles * unit.outputs * unit.inputs - work
        return {"busy": effective_macs, "zero": work - effective_macs, "unmapped": unmapped}

    def events(self, unit: Nfu, total: Counts, params: Params, macs: int) -> dict[Event, Count]:
        """Return the multiplications."""
        return {Event("macs", "mac"): macs}

    def growth(self, params: Params) -> int:
        """Return a bound from the multipliers' cycles and from bits of operands and sums."""
        return 64 * 32 * params.outputs * params.inputs

    def walk_tile(self, plan: TiledPlan, operands: Operands | None, *tile: Any) -> np.ndarray:
        """Step through a tile cycle by cycle."""
        from accelsim.engines.diannao.kernel import walk_tile

        counts: np.ndarray = walk_tile(plan.unit, *tile)
        return counts

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer of any product kind, cut at random, on a narrow unit."""
        draw = drawing(rng)
        shape = sample.product(draw)
        params = {
            "outputs": draw(1, 4), "inputs": draw(1, 4), "accumulator_bits": draw(8, 40),
            "input_kib": 8, "weight_kib": 8, "output_kib": 16,
        }  # fmt: skip
        return Sample(shape, params, sample.tiling(shape.as_conv(), draw, 16, 40, 32768), widest_bits=16)


ENGINE = DianNao()
