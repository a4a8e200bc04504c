"""What one tile costs the array, in closed form: the only statement of `tilecost`, for a tile, a list and a sweep."""

from __future__ import annotations

from accelsim.jit import kernel, lean
from accelsim.mapping.tile_kernel import OS, WS, ceil_div, fold_cycles, sides

CYCLES, WORK, FILL_DRAIN, STARVED, UNMAPPED, LEFT, TOP, HELD, HELD_HOPS, RESULTS = range(10)
"""What `tile_cost` returns, in the order of `tilecost.Counts`."""
INPUTS, WEIGHTS, INPUT_HOPS, WEIGHT_HOPS, PSUM_HOPS = range(5)
"""What `edges` returns."""


@lean
def tile_cost(flow, rows, cols, overlap, g, m, n, k, tail, hold):  # type: ignore[no-untyped-def]
    """Return the counts of a tile of ``g`` products (m, k) by (k, n), `CYCLES` and so on; see `fold_cycles`."""
    sr, sc, t = sides(flow, m, n, k)
    row_folds, col_folds = ceil_div(sr, rows), ceil_div(sc, cols)
    r_last, c_last = sr - (row_folds - 1) * rows, sc - (col_folds - 1) * cols
    pes, work = rows * cols, g * m * n * k
    cycles = fold_cycles(flow, rows, cols, overlap, g, sr, sc, t, row_folds, col_folds, tail, hold)
    left, top, held, hops, results = words(flow, g, sr, sc, t, row_folds, col_folds, 1, column_hops(sr, rows))
    load = 0 if flow == OS else 1
    if not overlap:
        square_r = (row_folds - 1) * rows * rows + r_last * r_last
        square_c = (col_folds - 1) * cols * cols + c_last * c_last
        # sum over folds of r c (load r + r + c - 2 + tail)
        fill = g * ((1 + load) * square_r * sc + sr * square_c + (tail - 2) * sr * sc)
        return cycles, work, fill, 0, pes * cycles - work - fill, left, top, held, hops, results
    r_first, c_first = min(sr, rows), min(sc, cols)
    head = r_first * load
    # a fold starts when the one before it has streamed and its own operand is in
    slot_full, slot_last = max(t, rows * load, hold), max(t, r_last * load, hold)
    slot_first = slot_full if row_folds > 1 else slot_last
    last_start = head + g * col_folds * ((row_folds - 1) * slot_full + slot_last) - slot_first
    # every fold but the first may wait for its held operand, which loads while the fold before it streams
    waiting = (row_folds - 1) * rows * (slot_full - t) + r_last * (slot_last - t)
    starved = g * sc * waiting - r_first * c_first * (slot_first - t)
    left_over = cycles - (last_start + t)
    fill = r_first * c_first * head + skew(r_first, c_first) + r_last * c_last * left_over - skew(r_last, c_last)
    return cycles, work, fill, starved, pes * cycles - work - fill - starved, left, top, held, hops, results


@lean
def words(flow, g, sr, sc, t, row_folds, col_folds, streams, hops):  # type: ignore[no-untyped-def]
    """Return `LEFT` to `RESULTS` of a tile, or of all that cut these sides: folds are then those of all tiles.

    ``streams`` are the tiles along the streamed dimension, ``hops`` the links that a column of held words passes.
    """
    if flow == OS:
        return g * sr * t * col_folds, g * sc * t * row_folds, 0, 0, g * sr * sc * streams
    return g * sr * t * col_folds, 0, g * sr * sc * streams, g * sc * hops * streams, g * sc * t * row_folds


@lean
def column_hops(held, rows):  # type: ignore[no-untyped-def]
    """Return the links that the held words of a column of folds pass."""
    full, rest = held // rows, held % rows
    return full * (rows * (rows + 1) // 2) + rest * (rest + 1) // 2


@lean
def skew(r, c):  # type: ignore[no-untyped-def]
    """Return the sum of ``i + j`` over an r x c block."""
    return c * (r * (r - 1) // 2) + r * (c * (c - 1) // 2)


@lean
def edges(flow, macs, left, top, held, held_hops, results):  # type: ignore[no-untyped-def]
    """Return the words of inputs and weights that enter the array, and those of inputs, weights and sums that pass a
    link inside it: only words that are held are shifted less than once a multiplication."""
    if flow == OS:
        return left, top, macs, macs, results
    return (left, held, macs, held_hops, macs) if flow == WS else (held, left, held_hops, macs, macs)


@kernel
def many(flow, rows, cols, overlap, tail, hold, tiles, counts):  # type: ignore[no-untyped-def]
    """Write the counts of tiles, rows of g, m, n, k, to the rows of ``counts``, shape (tiles, 10)."""
    for i in range(len(tiles)):
        found = tile_cost(flow, rows, cols, overlap, tiles[i, 0], tiles[i, 1], tiles[i, 2], tiles[i, 3], tail, hold)
        for j in range(10):
            counts[i, j] = found[j]
