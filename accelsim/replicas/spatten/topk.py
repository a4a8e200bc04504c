"""The top-k engine's quick-select: expected cycles, pivots uniform among what is left, all values distinct.

Source: Wang et al., HPCA 2021, top-k engine; a round compares ``parallel`` values a cycle and has three more cycles.

Expectation without recursion: the values that are left are always a run of ranks around the wanted one. A run of m
ranks, with others below and above it, is left when the first pivots among it and its two neighbours are the
neighbours: 2 in (m + 1)(m + 2). At an end of the list there is one neighbour: 1 in m + 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accelsim.errors import ConfigError

ROUND_CYCLES = 3
"""Of a round beyond its comparisons."""


def expected_cycles(n: int, rank: int, parallel: int = 16) -> float:
    """Return the expected cycles of selecting the value of a rank, counted from 0, among n; the fill not included.

    Raises
    ------
    ConfigError
        A rank that is none of n.
    """
    if not 0 <= rank < n:
        raise ConfigError(f"no rank {rank} among {n} values", f"use 0 to {n - 1}", key="--rank")
    m = np.arange(1, n, dtype=np.int64)
    at_ends = (m > rank).astype(np.int64) + (m >= n - rank)
    inside = np.maximum(np.minimum(rank, n - 1 - m) - np.maximum(1, rank - m + 1) + 1, 0)
    left = at_ends / (m + 1) + 2 * inside / ((m + 1) * (m + 2))
    return float(_round(n, parallel) + np.sum(left * (-(-m // parallel) + ROUND_CYCLES)))


def drawn_cycles(n: int, rank: int, parallel: int, draw: Callable[[int], int]) -> int:
    """Return the cycles with pivots that ``draw(n)`` takes from 0 to n - 1."""
    cycles = 0
    while True:
        cycles += _round(n, parallel)
        pivot = draw(n)
        if pivot == rank:
            return cycles
        n, rank = (pivot, rank) if rank < pivot else (n - pivot - 1, rank - pivot - 1)


def figures(n: int, rank: int, parallel: int) -> dict[str, float]:
    """Return the figure that `accelsim validate` judges."""
    return {"expected_cycles": expected_cycles(n, rank, parallel)}


def _round(n: int, parallel: int) -> int:
    return -(-n // parallel) + ROUND_CYCLES
