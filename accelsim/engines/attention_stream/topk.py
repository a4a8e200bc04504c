"""The quick-select with expected pivots.

What is left of n ranks is always a run of them around the wanted one. A run of m, with others below and above it, is
left if the first pivots among it and its two neighbours are the neighbours: 2 in (m + 1)(m + 2). At an end of the list
there is one neighbour: 1 in m + 1.
"""

from __future__ import annotations

from functools import cache

import numpy as np

ROUND_CYCLES = 3
"""Of a round beyond its comparisons."""
TIE = 1e-6
"""A mean that ends in a half rounds up, however its terms were rounded."""


@cache
def expected(n: int, rank: int, parallel: int) -> tuple[int, int]:
    """Return the mean cycles and comparisons until the value of a rank, counted from 0, is found; whole numbers."""
    m = np.arange(1, n, dtype=np.int64)
    at_ends = (m > rank).astype(np.int64) + (m >= n - rank)
    inside = np.maximum(np.minimum(rank, n - 1 - m) - np.maximum(1, rank - m + 1) + 1, 0)
    left = at_ends / (m + 1) + 2 * inside / ((m + 1) * (m + 2))
    cycles = -(-n // parallel) + ROUND_CYCLES + float(np.sum(left * (-(-m // parallel) + ROUND_CYCLES)))
    compared = n + float(np.sum(left * m))
    return int(cycles + 0.5 + TIE), int(compared + 0.5 + TIE)
