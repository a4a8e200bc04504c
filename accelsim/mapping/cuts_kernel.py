"""Into which tiles a nest may be cut, in machine code: fixed sets of sizes per layer and machine.

Layers are rows of integers in the order of `nest_kernel.LAYER`.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import lean
from accelsim.mapping import nest_kernel as nest

SPLITS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 4096], dtype=np.int64)
"""Into how many pieces a loop is cut; a piece is rounded up."""
MOST_CUTS = 1024
"""Cuts of the output pixels, at most: dimensions stay below 2^31."""


@lean
def pieces(size, found):  # type: ignore[no-untyped-def]
    """List the sizes of even pieces, large ones first, and return how many there are."""
    count, last = 0, 0
    for i in range(len(SPLITS) + 1):
        piece = nest.ceil_div(size, SPLITS[i]) if i < len(SPLITS) else 1
        if piece != last:
            found[count], last = piece, piece
            count += 1
    return count


@lean
def doublings(size, found):  # type: ignore[no-untyped-def]
    """List ``size`` and all of 1, 2, 3, 4, 6, 8, 12, ... below it, large ones first: the same below any size."""
    count, step = 0, 1
    while step < size:
        found[count] = step
        count += 1
        if step > 1 and step // 2 * 3 < size:
            found[count] = step // 2 * 3
            count += 1
        step *= 2
    found[count] = size
    return decreasing(found, count + 1)


@lean
def decreasing(found, count):  # type: ignore[no-untyped-def]
    """Sort a short list in place, large ones first and equal ones once; return how many are left."""
    kept = 0
    for i in range(count):
        size, at = found[i], kept
        while at > 0 and found[at - 1] < size:
            at -= 1
        if at > 0 and found[at - 1] == size:
            continue
        for j in range(kept, at, -1):
            found[j] = found[j - 1]
        found[at] = size
        kept += 1
    return kept


@lean
def pixel_cuts(layer, size, found):  # type: ignore[no-untyped-def]
    """List (n, e, f): several whole images, rows of one image, or blocks of both: halvings, columns cut at most as
    often as rows; of at most four rows, any width. ``size`` has room for 160 integers."""
    e, f, count = layer[nest.E], layer[nest.F], 0
    for i in range(doublings(layer[nest.N], size)):
        found[count, 0], found[count, 1], found[count, 2] = size[i], e, f
        count += 1
    for i in range(1, pieces(e, size)):
        found[count, 0], found[count, 1], found[count, 2] = 1, size[i], f
        count += 1
    tall, halved = e, 0
    while tall > 1:
        tall, halved, wide = nest.ceil_div(tall, 2), halved + 1, f
        for _ in range(halved if tall > 4 else 0):
            if wide == 1:
                break
            wide = nest.ceil_div(wide, 2)
            found[count, 0], found[count, 1], found[count, 2] = 1, tall, wide
            count += 1
        if tall <= 4:
            count = parts_of_a_row(f, tall, size, count, found)
    if e == 1:
        count = parts_of_a_row(f, 1, size, count, found)
    return count


@lean
def parts_of_a_row(f, tall, size, count, found):  # type: ignore[no-untyped-def]
    """Add blocks of a few rows, of every width: the smallest buffers hold nothing else; return how many there are."""
    for i in range(1, doublings(f, size)):
        found[count, 0], found[count, 1], found[count, 2] = 1, tall, size[i]
        count += 1
    return count


@lean
def output_cuts(kg, units, found):  # type: ignore[no-untyped-def]
    """List output-channel tiles: doublings of the units, halvings of the smallest, and even pieces not below it."""
    found[0], count, least = kg, 1, kg
    for unit in units:
        least, count = min(least, unit), add_doublings(kg, unit, count, found)
    count = add_halvings(kg, least, count, found)
    return decreasing(found, add_halvings(least, 1, count, found))


@lean
def input_cuts(cg, unit, found):  # type: ignore[no-untyped-def]
    """List input-channel tiles: doublings of the unit, and even pieces, plain and of whole units (of 0: all alone)."""
    found[0] = cg
    if unit == 0:
        return 1
    halvings = add_halvings(cg, 1, 1, found)
    count = add_doublings(cg, unit, halvings, found)
    for i in range(1, halvings):
        if 1 < unit < found[i]:
            found[count] = nest.ceil_div(found[i], unit) * unit
            count += 1
    return decreasing(found, count)


@lean
def add_doublings(size, unit, count, found):  # type: ignore[no-untyped-def]
    """Add the doublings of a unit below ``size``; return how many there are."""
    while unit < size:
        found[count] = unit
        count, unit = count + 1, 2 * unit
    return count


@lean
def add_halvings(size, least, count, found):  # type: ignore[no-untyped-def]
    """Add the halvings of ``size``, rounded up, that are not below ``least``; return how many there are."""
    while size > 1 and nest.ceil_div(size, 2) >= least:
        size = nest.ceil_div(size, 2)
        found[count] = size
        count += 1
    return count


@lean
def largest_tile(layer, cut, limits, k, c, psum_width):  # type: ignore[no-untyped-def]
    """Return how many groups fit as one tile: 0 if none does."""
    region = cut[0] * nest.reach(layer, 0, cut[1]) * nest.reach(layer, 1, cut[2])
    inputs = region * c * layer[nest.INPUT_W]
    weights = k * c * layer[nest.R] * layer[nest.S] * layer[nest.WEIGHT_W]
    outputs = cut[0] * cut[1] * cut[2] * k * psum_width
    return min(limits[0] // max(1, inputs), limits[1] // weights, limits[2] // outputs)
