"""Which items get room: the exact choice, as a 0/1 programme that is checked in integers."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import NamedTuple

NODES = 100_000
"""Nodes of the search; it counts no seconds, so that a plan is the same on every computer."""


class Item(NamedTuple):
    """What wants room: ``value``, alive at positions ``first`` to ``last``, of a size in each room."""

    value: int
    first: int
    last: int
    sizes: tuple[int, ...]


class Choice(NamedTuple):
    """The room of each item, None for those without, and what no choice exceeds in value."""

    rooms: list[int | None]
    bound: int

    def value(self, items: Sequence[Item]) -> int:
        """Return what the choice is worth."""
        return sum(item.value for item, room in zip(items, self.rooms, strict=True) if room is not None)


class _Row(NamedTuple):
    """Variables that are alive together in one room, and how much of them it holds."""

    names: frozenset[int]
    most: int


def choose(items: Sequence[Item], rooms: Sequence[Sequence[int]], nodes: int = NODES) -> Choice:
    """Return the items of the greatest value that fit: at every position, those alive in a room fill it at most.

    Parameters
    ----------
    items : sequence of Item
    rooms : sequence of sequence of int
        What each room holds at each position.
    nodes : int
        After so many the best choice so far is taken, and ``bound`` may exceed it.
    """
    names = [
        (i, b) for i, item in enumerate(items) for b, room in enumerate(rooms)
        if item.value and item.sizes[b] <= min(room[item.first : item.last + 1])
    ]  # fmt: skip
    sizes = [items[i].sizes[b] for i, b in names]
    rows = [row for b, room in enumerate(rooms) for row in _rows(items, names, sizes, b, room)]
    covers = [_Row(frozenset(group), 1) for group in _of_one_item(names) if len(group) > 1]
    values = [items[i].value for i, _ in names]
    if not rows:
        taken, bound = _firsts(names), sum(items[i].value for i in {i for i, _ in names})
    else:
        taken, bound = _solve(values, sizes, rows, covers, nodes)
    chosen: list[int | None] = [None] * len(items)
    for v in taken:
        chosen[names[v][0]] = names[v][1]
    return Choice(chosen, bound)


def _firsts(names: Sequence[tuple[int, int]]) -> list[int]:
    """Return the first variable of each item."""
    return [v for v, (i, _) in enumerate(names) if not v or names[v - 1][0] != i]


def _of_one_item(names: Sequence[tuple[int, int]]) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for v, (i, _) in enumerate(names):
        groups.setdefault(i, []).append(v)
    return list(groups.values())


def _rows(
    items: Sequence[Item], names: Sequence[tuple[int, int]], sizes: Sequence[int], b: int, room: Sequence[int]
) -> list[_Row]:
    """Return what a room demands, without positions that demand nothing, or nothing beyond their neighbours."""
    starts: dict[int, list[int]] = {}
    ends: dict[int, list[int]] = {}
    for v, (i, at) in enumerate(names):
        if at == b:
            starts.setdefault(items[i].first, []).append(v)
            ends.setdefault(items[i].last + 1, []).append(v)
    alive: set[int] = set()
    rows: list[_Row] = []
    for position, most in enumerate(room):
        alive.difference_update(ends.get(position, ()))
        alive.update(starts.get(position, ()))
        if sum(sizes[v] for v in alive) <= most:
            continue
        row = _Row(frozenset(alive), most)
        if rows and rows[-1].names <= row.names and rows[-1].most >= most:
            rows.pop()
        if not rows or not (row.names <= rows[-1].names and most >= rows[-1].most):
            rows.append(row)
    return rows


def _solve(
    values: Sequence[int], sizes: Sequence[int], rows: Sequence[_Row], covers: list[_Row], nodes: int
) -> tuple[list[int], int]:
    """Return the variables to take and a bound on their value."""
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    unit, worth = gcd(*sizes), gcd(*values)
    objective = -np.array([value // worth for value in values], dtype=float)
    while True:
        table = [(row.names, [sizes[v] // unit for v in row.names], row.most // unit) for row in rows]
        table += [(row.names, [1] * len(row.names), row.most) for row in covers]
        starts = np.cumsum([0, *(len(names) for names, _, _ in table)])
        columns = [v for names, _, _ in table for v in names]
        factors = [float(factor) for _, of_row, _ in table for factor in of_row]
        matrix = csr_array((factors, columns, starts), shape=(len(table), len(values)))
        most = np.array([float(limit) for _, _, limit in table])
        done = milp(
            objective, integrality=np.ones(len(values)), bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix, ub=most), options={"mip_rel_gap": 0.0, "node_limit": nodes},
        )  # fmt: skip
        taken = [] if done.x is None else [v for v, share in enumerate(done.x) if share > 0.5]
        filled = [row.names.intersection(taken) for row in rows]
        spoilt = [held for held, row in zip(filled, rows, strict=True) if sum(sizes[v] for v in held) > row.most]
        if spoilt:  # legal within the solver's tolerance only
            covers = [*covers, *(_Row(frozenset(held), len(held) - 1) for held in spoilt)]
            continue
        value = sum(values[v] for v in taken)
        if done.status == 0:
            return taken, value
        bound = sum(values) if done.mip_dual_bound is None else worth * int(-done.mip_dual_bound + 1e-6)
        return taken, max(bound, value)
