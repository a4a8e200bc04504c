"""What one tile costs a fusion array, in closed form and for many tiles at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.engines.bitfusion.params import INNER, Fused
from accelsim.tiled.base import Count

IS, OS, WS = range(3)
"""Places in `INNER`."""


class Counts(NamedTuple):
    """Counts of a tile: cycles, brick-cycles by cause, unit operations, elements moved by the buffers."""

    cycles: Count
    work: Count
    unmapped: Count
    fill_drain: Count
    unit_ops: Count
    inputs: Count
    weights: Count
    sums: Count


def tile_cost(array: Fused, taps: Count, g: Count, m: Count, k: Count, c: Count) -> Counts:
    """Return the cost of each tile of ``g`` groups, ``m`` pixels, ``k`` outputs, ``c`` channels of ``taps`` taps.

    Words of a tile follow each other in three loops, over pixels, depth and blocks of filters; in ``is`` in this order
    from outside in, in ``os`` filters, pixels, depth, in ``ws`` filters, depth, pixels. A buffer is read (or written)
    when the operand is not that of the word before: again in every trip of a loop around one that changes it.
    """
    depth, unit_rows = _depth(array, taps, c)
    blocks, inner = -(-k // array.cols), np.asarray(array.inner)
    units = array.rows * array.cols * array.unit_bricks
    words = g * m * blocks * depth
    work = g * m * k * taps * c * array.bricks * array.passes
    inputs_again = (inner != IS) & ((m > 1) | (depth > 1))
    weights_again = ((inner == IS) & ((depth > 1) | (blocks > 1))) | ((inner == OS) & (depth > 1))
    sums_again = ((inner == IS) & (blocks > 1)) | ((inner == WS) & (m > 1))
    return Counts(
        cycles=words * array.passes + array.rows + array.cols - 1,
        work=work,
        unmapped=words * array.passes * units - work,
        fill_drain=work * 0 + (array.rows + array.cols - 1) * units,
        unit_ops=g * m * k * unit_rows * array.passes,
        inputs=g * m * taps * c * np.where(inputs_again, blocks, 1),
        weights=g * k * taps * c * np.where(weights_again, m, 1),
        sums=g * m * k * np.where(sums_again, depth, 1),
    )


def _depth(array: Fused, taps: Count, c: Count) -> tuple[Count, Count]:
    """Return words per pixel, and units in use over all of them."""
    together = np.where(array.packed, c * taps, c)
    words = -(-together // array.lanes)
    units = together // array.lanes * array.rows + -(-(together % array.lanes) // array.products)
    times = np.where(array.packed, 1, taps)
    return times * words, times * units


def best_inner(array: Fused, taps: Count, bits: tuple[Count, Count, Count], *tile: Count) -> np.ndarray:
    """Return the inner order of each tile that moves the fewest bits of inputs, weights and sums; ties as listed."""
    orders: Any = np.arange(len(INNER))[:, None]
    cost = tile_cost(array._replace(inner=orders), taps, *tile)
    moved: np.ndarray = cost.inputs * bits[0] + cost.weights * bits[1] + 2 * cost.sums * bits[2]
    return moved.argmin(axis=0)
