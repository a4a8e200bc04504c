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

from collections.abc import Mapping
from typing import Any

import numpy as np

from accelsim.activity import Event
from accelsim.components import Component, Mac, Registers, Sram
from accelsim.engine import Sample, Word, drawing
from accelsim.engines.bitfusion import tilecost
from accelsim.engines.bitfusion.params import INNER, Fused, FusionTiling, Params, fuse, supported
from accelsim.engines.bitfusion.tilecost import Counts
from accelsim.mapping import tile_forms
from accelsim.mapping.choose import Candidates
from accelsim.mapping.loopnest import Widths
from accelsim.mapping.search import Variant
from accelsim.operands import terms
from accelsim.operands.handle import Operands
from accelsim.tiled import sample
from accelsim.tiled.base import Count, TiledPlan
from accelsim.tiled.engine import TiledEngine
from accelsim.tiled.totals import tile_sizes
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView


class BitFusion(TiledEngine[Params, FusionTiling]):
    """The engine of this folder."""

    name = "bitfusion"
    params_schema = Params
    mapping_schema = FusionTiling
    primary = "bricks"
    support_params = ("max_bits", "accumulator_bits")
    what = "a fusion array"
    counts = Counts

    def units(self, params: Params) -> dict[str, int]:
        """Return the bricks."""
        return {"bricks": params.rows * params.cols * params.unit_bricks}

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
            Registers(
                "registers",
                p.rows * p.cols,
                clocked_bits=2 * word + 4 * p.brick_bits * p.unit_bricks + acc,
                source="assumed: both operands, products of the bricks before and behind the shifters, a sum",
            ),
            Sram("glb.inputs", p.rows, size_bits=p.input_kib * KIB_BITS // p.rows, width_bits=word),
            Sram(
                "glb.weights", p.rows * p.cols, size_bits=p.weight_kib * KIB_BITS // (p.rows * p.cols), width_bits=word
            ),
            Sram("glb.outputs", p.cols, size_bits=p.output_kib * KIB_BITS // p.cols, width_bits=acc),
        )

    def unit(self, view: LayerView, params: Params, fields: Mapping[str, Any]) -> Fused:
        """Return the array as the layer's widths fuse it, and the operand that stays inside a tile."""
        channels = view.conv.c // view.conv.groups
        return fuse(view.input.width, view.weight.width, channels, params, fields.get("inner", "os"))

    def variants(self, view: LayerView, params: Params) -> tuple[Variant, ...]:
        """Return the only one: the inner order changes no cycle."""
        array, taps = self.unit(view, params, {}), view.conv.r * view.conv.s
        inside, outside = (taps, 1) if array.packed else (1, taps)
        start, scale = array.rows + array.cols - 1, array.passes * outside
        return (Variant({}, (tile_forms.PRODUCT, start, scale, 1, 1, array.cols, inside, array.lanes, 1)),)

    def grain(self, view: LayerView, params: Params) -> tuple[tuple[int, ...], int]:
        """Return the columns, and the products that add up in one."""
        lanes = self.unit(view, params, {}).lanes
        return (params.cols, lanes), lanes

    def completed(self, view: LayerView, params: Params, candidates: Candidates) -> Candidates:
        """Return candidates with the inner order that moves the fewest bits."""
        sizes = (candidates[axis] for axis in ("groups", "n", "e", "f", "k", "c"))
        unit, taps = self.unit(view, params, {}), view.conv.r * view.conv.s
        inner = self.settled(unit, self.widths(view, params), taps, *tile_sizes(*sizes)).inner
        return candidates | {"inner": np.array(INNER)[inner]}

    def settled(self, unit: Fused, widths: Widths, taps: Count, *tile: Count) -> Fused:
        """Return the array with the inner order that moves the fewest bits of a tile."""
        bits = (widths.input, widths.weight, widths.psum)
        return unit._replace(inner=tilecost.best_inner(unit, taps, bits, *tile))  # type: ignore[arg-type]

    def cost(self, unit: Fused, taps: Count, g: Count, m: Count, k: Count, c: Count) -> Counts:
        """Return the cost of each tile."""
        return tilecost.tile_cost(unit, taps, g, m, k, c)

    def account(self, unit: Fused, total: Counts, params: Params, effective_macs: int) -> dict[str, Count]:
        """Return brick-cycles."""
        busy = effective_macs * unit.bricks * unit.passes
        return {
            "busy": busy, "zero": total.work - busy, "unmapped": total.unmapped, "fill_drain": total.fill_drain,
        }  # fmt: skip

    def events(self, unit: Fused, total: Counts, params: Params, macs: int) -> dict[Event, Count]:
        """Return operations of whole units, whatever they are fused to."""
        return {Event("units", "mac"): total.unit_ops}

    def details(self, plan: TiledPlan, total: Counts) -> dict[str, int]:
        """Return the compute cycles without fill and drain, which the released model counts, and `_soft`."""
        array = plan.unit
        words = (total.work + total.unmapped) // (array.rows * array.cols * array.unit_bricks)
        return {"word_cycles": int(words), **_soft(plan)}

    def growth(self, params: Params) -> int:
        """Return a bound from brick-cycles of 16-bit operands and from bits of sums."""
        return 64 * 4 * params.rows * params.cols * params.unit_bricks

    def coded(self, plan: TiledPlan, operands: Operands) -> tuple[np.ndarray, np.ndarray]:
        """Return the operands, whose values must fit what the bricks are fused to."""
        x, w = operands.conv_arrays()
        terms.check_operands(operands, x, w)
        return x, w

    def walk_tile(self, plan: TiledPlan, operands: Operands | None, *tile: Any) -> np.ndarray:
        """Go through a tile word by word; products are made brick by brick."""
        from accelsim.engines.bitfusion.kernel import walk_tile

        span, shape, with_values, x, w, out = tile
        p, coding = plan.params, (8, 8, 2, True, True)
        if operands is not None:
            widths = (supported(operand.bits, p) for operand in (operands.input, operands.weight))
            coding = (*widths, p.brick_bits, operands.view.input.signed, operands.view.weight.signed)
        counts: np.ndarray = walk_tile(plan.unit, span, shape, with_values, coding, x, w, out)
        return counts

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer of any product kind, cut at random, on a small array of any brick."""
        draw = drawing(rng)
        shape = sample.product(draw)
        brick, spatial, widest = ((2, 8, 16), (2, 8, 8), (1, 4, 8), (4, 8, 16))[draw(0, 3)]
        params = {
            "rows": draw(1, 4) if draw(0, 1) else 2, "cols": draw(1, 3), "brick_bits": brick, "spatial_bits": spatial,
            "max_bits": widest, "im2col_channels": draw(0, 3), "input_kib": 12, "weight_kib": 36, "output_kib": 12,
        }  # fmt: skip
        cut = sample.tiling(shape.as_conv(), draw, 16, 32, 49152)
        return Sample(shape, params, cut | {"inner": INNER[draw(0, 2)]}, widest)


def _soft(plan: TiledPlan) -> dict[str, int]:
    """Return how much of rows and columns the layer's channels can fill, in parts per million.

    These are the rules that a layer may break at a price: input channels (of a packed layer, filter positions times
    channels) a multiple of the lanes, output channels a multiple of the columns.
    """
    conv, lanes, cols = plan.nest.conv, plan.unit.lanes, plan.unit.cols
    c, k = conv.c // conv.groups, conv.k // conv.groups
    c = c * conv.r * conv.s if plan.unit.packed else c
    return {
        "row_utilization_ppm": c * 1_000_000 // (lanes * ceil_div(c, lanes)),
        "column_utilization_ppm": k * 1_000_000 // (cols * ceil_div(k, cols)),
    }


ENGINE = BitFusion()
