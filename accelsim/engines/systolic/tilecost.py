"""What one tile costs the array, in closed form and for many tiles at once.

A tile is ``g`` products of (m, k) by (k, n). The array holds one operand (``ws`` weights, ``is`` inputs) or the
outputs (``os``) still, as folds of at most rows x cols; ``t`` words then stream past each PE of a fold.

======== ========== ========== ==========
dataflow array rows array cols streamed t
======== ========== ========== ==========
ws       k          n          m
is       k          m          n
os       m          n          k
======== ========== ========== ==========

Fold order: groups, then column folds, then row folds. PE (i, j) meets word ``x`` at cycle ``start + x + i + j``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelsim.tiled.engine import Count

OS, WS, IS = 0, 1, 2
FLOWS = {"os": OS, "ws": WS, "is": IS}


class Counts(NamedTuple):
    """Counts of a tile: unit-cycles of the PEs, words at the array's edges, word-hops inside it.

    ``cycles`` runs from the first stationary word to the last result. Words: ``left`` enters the rows (inputs; in
    ``is`` weights), ``top`` enters the columns (only ``os``: weights), ``held`` is shifted in to stay,
    ``results`` leave at the bottom. ``held_hops`` counts the links that held words pass on their way.
    """

    cycles: Count
    work: Count
    fill_drain: Count
    starved: Count
    unmapped: Count
    left: Count
    top: Count
    held: Count
    held_hops: Count
    results: Count


def sides(flow: int, m: np.ndarray, n: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the operand sizes along the array's rows and columns, and the stream length."""
    if flow == OS:
        return m, n, k
    return (k, n, m) if flow == WS else (k, m, n)


def tile_cost(
    flow: int, rows: int, cols: int, overlap: bool, g: np.ndarray, m: np.ndarray, n: np.ndarray, k: np.ndarray
) -> Counts:
    """Return the cost of each tile.

    Parameters
    ----------
    flow : int
        OS, WS or IS.
    rows, cols : int
        The array.
    overlap : bool
        Whether the next fold follows right behind the current one.
    g, m, n, k : ndarray of int64, shape (tiles,)
        Products per tile and their dimensions.
    """
    sr, sc, t = sides(flow, m, n, k)
    row_folds, col_folds = -(-sr // rows), -(-sc // cols)
    r_first, c_first = np.minimum(sr, rows), np.minimum(sc, cols)
    r_last, c_last = sr - (row_folds - 1) * rows, sc - (col_folds - 1) * cols
    folds = g * row_folds * col_folds
    pes = rows * cols
    work = g * m * n * k
    held = np.zeros_like(work) if flow == OS else g * sr * sc
    triangle = (row_folds - 1) * (rows * (rows + 1) // 2) + r_last * (r_last + 1) // 2
    hops = np.zeros_like(work) if flow == OS else g * sc * triangle
    left, top, results = g * sr * t * col_folds, np.zeros_like(work), g * sc * t * row_folds
    if flow == OS:
        top, results = g * sc * t * row_folds, g * sr * sc
    if not overlap:
        # each fold: load (ws, is), stream, and the skew of its last corner
        load = 0 if flow == OS else 1
        cycles = folds * (t - 2) + (1 + load) * g * sr * col_folds + g * sc * row_folds
        square_r = (row_folds - 1) * rows * rows + r_last * r_last
        square_c = (col_folds - 1) * cols * cols + c_last * c_last
        # sum over folds of r c (load r + r + c - 2)
        fill = g * ((1 + load) * square_r * sc + sr * square_c - 2 * sr * sc)
        starved = np.zeros_like(work)
        return Counts(cycles, work, fill, starved, pes * cycles - work - fill, left, top, held, hops, results)
    shift = np.zeros_like(t) if flow == OS else np.ones_like(t)
    head = r_first * shift
    slot_full, slot_last = np.maximum(t, rows * shift), np.maximum(t, r_last * shift)
    # a fold starts when the one before it has streamed and its own operand is in
    per_column = (row_folds - 1) * slot_full + slot_last
    slot_first = np.where(row_folds > 1, slot_full, slot_last)
    last_start = head + g * col_folds * per_column - slot_first
    end = _last_result(last_start, t, row_folds, col_folds, r_last, c_last, rows, cols, slot_last, per_column)
    # every fold but the first may wait for its held operand, which loads while the fold before it streams
    extra_full, extra_last = slot_full - t, slot_last - t
    waiting_rows = (row_folds - 1) * rows * extra_full + r_last * extra_last
    first_waits = r_first * c_first * np.where(row_folds > 1, extra_full, extra_last)
    starved = g * sc * waiting_rows - first_waits
    tail = end - (last_start + t)
    fill = r_first * c_first * head + _skew(r_first, c_first) + r_last * c_last * tail - _skew(r_last, c_last)
    return Counts(end, work, fill, starved, pes * end - work - fill - starved, left, top, held, hops, results)


def _skew(r: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return the sum of ``i + j`` over an r x c block."""
    return c * (r * (r - 1) // 2) + r * (c * (c - 1) // 2)


def _last_result(
    last_start: np.ndarray, t: np.ndarray, row_folds: np.ndarray, col_folds: np.ndarray, r_last: np.ndarray,
    c_last: np.ndarray, rows: int, cols: int, slot_last: np.ndarray, per_column: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Return when the last result leaves: an earlier, larger fold may drain later than the last one.

    Of each size of fold only the youngest matters: the last fold; the one before it (full rows); the last of the
    column fold before (full columns); and the one before that.
    """
    end = last_start + t + r_last + c_last - 2
    before_rows = last_start - slot_last
    end = np.where(row_folds > 1, np.maximum(end, before_rows + t + rows + c_last - 2), end)
    before_cols = last_start - per_column
    end = np.where(col_folds > 1, np.maximum(end, before_cols + t + r_last + cols - 2), end)
    both = (row_folds > 1) & (col_folds > 1)
    return np.where(both, np.maximum(end, before_cols - slot_last + t + rows + cols - 2), end)
