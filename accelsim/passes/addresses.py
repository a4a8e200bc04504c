"""Addresses: blocks that are alive together lie apart; first fit, or exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from math import gcd
from typing import NamedTuple

NODES = 2_000
"""Nodes of the search for exact addresses; it counts no seconds, so that a plan is the same on every computer."""
ROUNDS = 30
"""How often first fit starts again with what found no place ahead."""
MOST_PAIRS = 4_000
"""Pairs alive together, above which the exact search is not tried."""


class Block(NamedTuple):
    """What needs a place: ``size`` alive at positions ``first`` to ``last``, with its end at ``limit`` or below."""

    size: int
    first: int
    last: int
    limit: int

    def meets(self, other: Block) -> bool:
        """Whether both are alive at some position."""
        return self.first <= other.last and other.first <= self.last


ORDERS: dict[str, Callable[[Block], tuple[int, ...]]] = {
    "largest": lambda block: (-block.size,),
    "longest lived": lambda block: (block.first - block.last, -block.size),
    "earliest": lambda block: (block.first, -block.size),
    "largest area": lambda block: (-block.size * (block.last - block.first + 1),),
}
"""Name of an order of first fit -> what it sorts by."""


def may_fit(blocks: Sequence[Block], positions: int) -> bool:
    """Return whether, at each position, all that live there are no more than the highest of their limits."""
    more, most = [0] * (positions + 1), [0] * positions
    for block in blocks:
        more[block.first] += block.size
        more[block.last + 1] -= block.size
    if len({block.limit for block in blocks}) < 2:
        return not blocks or max(accumulate(more)) <= blocks[0].limit
    for block in blocks:
        for position in range(block.first, block.last + 1):
            most[position] = max(most[position], block.limit)
    return all(live <= limit for live, limit in zip(accumulate(more), most, strict=False))


def first_fit(blocks: Sequence[Block], order: Sequence[int]) -> list[int | None]:
    """Return the lowest address at which each block fits beside those ahead of it in ``order``; None: nowhere."""
    found: list[int | None] = [None] * len(blocks)
    taken: dict[int, list[tuple[int, int]]] = {}
    for i in order:
        block, at = blocks[i], 0
        lives = range(block.first, block.last + 1)
        for low, high in sorted({span for position in lives for span in taken.get(position, ())}):
            if low - at >= block.size:
                break
            at = max(at, high)
        if at + block.size <= block.limit:
            found[i] = at
            for position in lives:
                taken.setdefault(position, []).append((at, at + block.size))
    return found


def attempts(blocks: Sequence[Block]) -> Iterator[tuple[str, list[int | None]]]:
    """Yield what first fit finds, and in which order: four of them, then each with those ahead that found no place."""
    orders: dict[str, list[int]] = {}
    for name, key in ORDERS.items():
        order = [i for _, i in sorted((key(block), i) for i, block in enumerate(blocks))]
        found = first_fit(blocks, order)
        yield name, found
        orders[name] = _failed_first(order, found)
    for name, order in orders.items():
        for _ in range(ROUNDS):
            found = first_fit(blocks, order)
            yield f"{name}, repaired", found
            order = _failed_first(order, found)


def _failed_first(order: Sequence[int], found: Sequence[int | None]) -> list[int]:
    return [i for i in order if found[i] is None] + [i for i in order if found[i] is not None]


def whole(addresses: Sequence[int | None]) -> list[int] | None:
    """Return the addresses if every block has one."""
    found = [at for at in addresses if at is not None]
    return found if len(found) == len(addresses) else None


def exact(blocks: Sequence[Block], nodes: int = NODES) -> list[int] | None:
    """Return addresses for all blocks, or None if there are none or the search ends before it finds them.

    A programme with one binary per pair that is alive together: which of the two lies below. Its order is replayed in
    integers, each block as low as those below allow.
    """
    pairs = [(i, j) for j in range(len(blocks)) for i in range(j) if blocks[i].meets(blocks[j])]
    if len(pairs) > MOST_PAIRS:
        return None
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    unit = gcd(*(block.size for block in blocks))
    sizes, limits = [block.size // unit for block in blocks], [block.limit // unit for block in blocks]
    count, rows, columns, factors = len(blocks), [], [], []
    most: list[int] = []
    for pair, (i, j) in enumerate(pairs):
        # y = 1: i below j, address i + size i <= address j; y = 0: the other way round
        for low, high, sign in ((i, j, 1), (j, i, -1)):
            reach = limits[low]
            rows += [len(most)] * 3
            columns += [low, high, count + pair]
            factors += [1, -1, sign * reach]
            most.append((reach if sign > 0 else 0) - sizes[low])
    shape = (len(most), count + len(pairs))
    bounds = Bounds(np.zeros(shape[1]), np.array([*(np.array(limits) - sizes), *(1,) * len(pairs)]))
    done = milp(
        np.zeros(shape[1]), integrality=np.array([0] * count + [1] * len(pairs)), bounds=bounds,
        constraints=LinearConstraint(coo_array((factors, (rows, columns)), shape), ub=np.array(most)),
        options={"node_limit": nodes},
    )  # fmt: skip
    return None if done.x is None else _replayed(blocks, done.x[:count])


def _replayed(blocks: Sequence[Block], rough: Sequence[float]) -> list[int] | None:
    """Return integers for addresses that rounding may have spoilt; None if the order does not fit after all."""
    found: dict[int, int] = {}
    for i in sorted(range(len(blocks)), key=lambda i: float(rough[i])):
        below = (at + blocks[j].size for j, at in found.items() if blocks[j].meets(blocks[i]))
        found[i] = max(below, default=0)
        if found[i] + blocks[i].size > blocks[i].limit:
            return None
    return [found[i] for i in range(len(blocks))]
