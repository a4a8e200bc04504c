"""What one tile costs a fusion array, in closed form and for many tiles at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelsim.engines.bitfusion.params import INNER, Fused
from accelsim.tiled.engine import Count

LOOPS = {"is": ("pixel", "depth", "filters"), "os": ("filters", "pixel", "depth"), "ws": ("filters", "depth", "pixel")}
"""Loops over words inside a tile, from the outermost to the innermost."""


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


def tile_cost(array: Fused, taps: int, g: np.ndarray, m: np.ndarray, k: np.ndarray, c: np.ndarray) -> Counts:
    """Return the cost of each tile; buffers are read (or written) when an operand is not that of the word before.

    Parameters
    ----------
    array : Fused
    taps : int
        Filter positions.
    g, m, k, c : int or ndarray of int64
        Groups, pixels, output channels and input channels of each tile.
    """
    depth, unit_rows = _depth(array, taps, c)
    blocks = -(-k // array.cols)
    units = array.rows * array.cols * array.unit_bricks
    words = g * m * blocks * depth
    cycles = words * array.passes + array.rows + array.cols - 1
    work = g * m * k * taps * c * array.bricks * array.passes
    inner = INNER[array.inner]
    trips = {"pixel": m, "depth": depth, "filters": blocks}
    return Counts(
        cycles=cycles,
        work=work,
        unmapped=words * array.passes * units - work,
        fill_drain=work * 0 + (array.rows + array.cols - 1) * units,
        unit_ops=g * m * k * unit_rows * array.passes,
        inputs=g * m * taps * c * _again(inner, trips, ("pixel", "depth")),
        weights=g * k * taps * c * _again(inner, trips, ("filters", "depth")),
        sums=g * m * k * _again(inner, trips, ("filters", "pixel")),
    )


def _depth(array: Fused, taps: int, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return words per pixel, and units in use over all of them."""
    if array.packed:
        total = c * taps
        return -(-total // array.lanes), total // array.lanes * array.rows + -(-(total % array.lanes) // array.products)
    rows = c // array.lanes * array.rows + -(-(c % array.lanes) // array.products)
    return taps * -(-c // array.lanes), taps * rows


def _again(inner: str, trips: dict[str, np.ndarray], own: tuple[str, str]) -> np.ndarray:
    """Return how often an operand passes: the trips of the other loop if that lies outside one that changes it."""
    order = LOOPS[inner]
    (other,) = set(order) - set(own)
    inside = [loop for loop in order[order.index(other) + 1 :] if loop in own]
    changes = np.any([np.asarray(trips[loop]) > 1 for loop in inside], axis=0) if inside else np.False_
    return np.where(changes, trips[other], 1)


def best_inner(
    array: Fused, taps: int, bits: tuple[int, int, int], g: np.ndarray, m: np.ndarray, k: np.ndarray, c: np.ndarray
) -> np.ndarray:
    """Return the inner order of each tile that moves the fewest bits of inputs, weights and sums; ties as listed."""
    moved = []
    for inner in range(len(INNER)):
        cost = tile_cost(array._replace(inner=inner), taps, g, m, k, c)
        moved.append(cost.inputs * bits[0] + cost.weights * bits[1] + 2 * cost.sums * bits[2])
    return np.array(INNER)[np.argmin(np.stack(moved), axis=0)]
