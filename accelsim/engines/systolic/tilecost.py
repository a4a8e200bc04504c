"""What one tile costs the array: the values of `counts_kernel`, which says how much.

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

from accelsim.tiled.base import Count

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


def tile_cost(
    flow: int, rows: int, cols: int, overlap: bool, g: Count, m: Count, n: Count, k: Count, tail: int = 0, hold: int = 0
) -> Counts:  # fmt: skip
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
    tail, hold : int
        Cycles from the last multiplication of a fold to its last result, and from one fold to the next at least.
    """
    from accelsim.engines.systolic.counts_kernel import many

    tiles = np.stack(np.broadcast_arrays(g, m, n, k), axis=1).astype(np.int64)
    counts = np.empty((len(tiles), len(Counts._fields)), dtype=np.int64)
    many(flow, rows, cols, overlap, tail, hold, tiles, counts)
    return Counts(*counts.T)
