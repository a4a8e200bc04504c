"""What a row leaves out, by brute force: the two queues of greedy candidates, and the rounds of the top-k."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any


def greedy(query: list[int], keys: list[list[int]], n: int, seen: int, share: Fraction) -> tuple[int, list[int]]:
    """Step through the two queues; return how many steps there were, and the candidates."""
    steps = math.ceil(share * n)
    partial = dict.fromkeys(range(seen), 0)
    columns = range(len(query))
    sorted_columns = [sorted(range(seen), key=lambda j, c=c: keys[j][c]) for c in columns]  # type: ignore[misc]
    largest = [list(order if x >= 0 else order[::-1]) for x, order in zip(query, sorted_columns, strict=True)]
    smallest = [order[::-1] for order in largest]  # the heads of both queues are at the ends of these lists

    def product(column: int, order: list[int]) -> int:
        return query[column] * keys[order[-1]][column]

    for _ in range(steps):
        for queues, sign in ((largest, 1), (smallest, -1)):
            heads = [(-sign * product(c, order), c) for c, order in enumerate(queues) if order]
            if heads and min(heads)[0] < 0:
                c = min(heads)[1]
                partial[queues[c][-1]] += product(c, queues[c])
                queues[c].pop()
    mine = [j for j in partial if partial[j] > 0]
    return steps, mine or [max(partial, key=lambda j: (partial[j], -j))]


def topk_rounds(n: int, k: int, p: Any, row: int) -> tuple[int, int]:
    """Run the quick-select for the k largest of n; return the cycles of its rounds, and comparisons."""
    if p.pivot == "expected":
        half = Fraction(1, 2)
        return math.floor(_expected(n, k, p.topk_parallel) + half), math.floor(_compared(n, k) + half)
    left = list(_ranks(n, k, p, row))
    return sum(-(-m // p.topk_parallel) + 3 for m in left), sum(left)


def _ranks(n: int, k: int, p: Any, row: int) -> Iterator[int]:
    """Yield how many values are left in each round."""
    modulus = 2**31 - 1
    state = (p.pivot_seed * 7919 + row * 104729 + n * 31 + k) % modulus
    for _ in range(3):
        state = (state * 48271 + 11) % modulus
    left, rank = n, k
    while True:
        yield left
        state = (state * 48271 + 11) % modulus
        pivot = left // 2 if p.pivot == "middle" else state * left // modulus
        if pivot == rank:
            return
        left, rank = (pivot, rank) if rank < pivot else (left - pivot - 1, rank - pivot - 1)


@cache
def _expected(n: int, k: int, parallel: int) -> Fraction:
    return -(-n // parallel) + 3 + _after(n, k, lambda m, rank: _expected(m, rank, parallel))


@cache
def _compared(n: int, k: int) -> Fraction:
    return n + _after(n, k, _compared)


def _after(n: int, k: int, of: Any) -> Fraction:
    """Return the mean over pivots of what is left to do."""
    return sum((of(p, k) if k < p else of(n - p - 1, k - p - 1) for p in range(n) if p != k), Fraction(0)) / n
