"""A row of multipliers, each with an output of its own, that share one input per cycle; tiles in three buffers.

Source: made up for the documentation of accelsim.

Modelled:
- A cycle for every pixel, filter position, input channel and row of outputs; multipliers without an output.
- Three double-buffered buffers: half of each holds a tile; tiles and loop order are chosen or pinned.

Not modelled:
- Filter positions are not cut: a tile holds all taps of its input channels.

Assumed:
- The sum of an output stays in a register while a tile has inputs for it, and in the output buffer between tiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Event
from accelsim.components import Component, Mac, Registers, Sram
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
    """The row of multipliers and its three buffers."""

    outputs: int = Field(16, ge=1, le=1024, description="multipliers, an output each")
    operand_bits: int = Field(8, ge=1, le=32, description="widest operand")
    accumulator_bits: int = Field(32, ge=2, le=64, description="width of a partial sum")
    input_kib: int = Field(8, ge=1, le=1 << 20, description="input buffer, both halves")
    weight_kib: int = Field(32, ge=1, le=1 << 20, description="weight buffer, both halves")
    output_kib: int = Field(8, ge=1, le=1 << 20, description="output buffer, both halves")


class Row(NamedTuple):
    """What the cost of a tile depends on."""

    outputs: int


class Counts(NamedTuple):
    """Counts of a tile: cycles; products, each with a weight of its own; inputs read; sums that leave the registers."""

    cycles: Count
    weights: Count
    inputs: Count
    sums: Count


class Tiled(TiledEngine[Params, Tiling]):
    """The engine of this folder."""

    name = "tiled"
    params_schema = Params
    mapping_schema = Tiling
    primary = "multipliers"
    support_params = ("operand_bits", "accumulator_bits")
    what = "the row multiplies and adds: it"
    counts = Counts

    def units(self, params: Params) -> dict[str, int]:
        """Return how many units of each kind there are; their accounts must close."""
        return {"multipliers": params.outputs}

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the widest tensor of each role; wider ones are refused, in the same words on every machine."""
        del view
        operand = Word(params.operand_bits, "multipliers")
        return {"input": operand, "weight": operand, "output": Word(params.accumulator_bits, "accumulators")}

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return the hardware. A storage that bears a boundary's name pays for that boundary's traffic."""
        p, width, acc = params, params.operand_bits, params.accumulator_bits
        return (
            Mac("macs", p.outputs, width, width, acc),
            Registers(
                "registers",
                p.outputs,
                clocked_bits=3 * width + acc + 8,
                source="assumed: a weight, a product, a sum, 8 bits as a share of the input and of control",
            ),
            Sram("glb.inputs", 1, p.input_kib * KIB_BITS, width),
            Sram("glb.weights", 1, p.weight_kib * KIB_BITS, p.outputs * width),
            Sram("glb.outputs", 1, p.output_kib * KIB_BITS, p.outputs * acc),
        )

    def unit(self, view: LayerView, params: Params, fields: Mapping[str, Any]) -> Row:
        """Return the numbers that the cost of a tile depends on."""
        del view, fields
        return Row(params.outputs)

    def variants(self, view: LayerView, params: Params) -> tuple[Variant, ...]:
        """Return the one form of a tile's cycles: taps x g x m x ceil(k / outputs) x c (`mapping.tile_kernel`)."""
        taps = view.conv.r * view.conv.s
        return (Variant({}, (tile_forms.PRODUCT, 0, taps, 1, 1, params.outputs, 1, 1, 1)),)

    def grain(self, view: LayerView, params: Params) -> tuple[tuple[int, ...], int]:
        """Return what tiles should be multiples of: rows of outputs, single inputs."""
        del view
        return (params.outputs,), 1

    def cost(self, unit: Row, taps: Count, g: Count, m: Count, k: Count, c: Count) -> Counts:
        """Return the cost of each tile."""
        rows = -(-k // unit.outputs)
        return Counts(
            cycles=g * m * taps * rows * c,
            weights=g * m * taps * k * c,
            inputs=g * m * taps * rows * c,
            sums=g * m * k,
        )

    def account(self, unit: Row, total: Counts, params: Params, effective_macs: int) -> dict[str, Count]:
        """Return multiplier-cycles by cause: in the last row some have no output."""
        products = total.weights
        unmapped = total.cycles * unit.outputs - products
        return {"busy": effective_macs, "zero": products - effective_macs, "unmapped": unmapped}

    def events(self, unit: Row, total: Counts, params: Params, macs: int) -> dict[Event, Count]:
        """Return the multiplications."""
        return {Event("macs", "mac"): macs}

    def growth(self, params: Params) -> int:
        """Return what a multiplication adds to any count at most, with some room."""
        return 64 * 32 * params.outputs

    def walk_tile(self, plan: TiledPlan, operands: Operands | None, *tile: Any) -> np.ndarray:
        """Step through a tile cycle by cycle."""
        from accelsim.starters.tiled.kernel import walk_tile

        counts: np.ndarray = walk_tile(plan.unit.outputs, *tile)
        return counts

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small random case, cut at random: the contract tests run hundreds of them."""
        draw = drawing(rng)
        shape = sample.product(draw)
        params = {"outputs": draw(1, 5), "input_kib": 8, "weight_kib": 8, "output_kib": 16}
        return Sample(shape, params, sample.tiling(shape.as_conv(), draw, 8, 32, 32768))


ENGINE = Tiled()
