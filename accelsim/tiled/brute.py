"""A nest by brute force: every step, every instance, every word an element of a set. The plain twin of `nest_kernel`.

Shares nothing with it but the value types: a box is a set of words, what a step brings is a difference of sets, and
what instances share is a union. Time and memory grow with the work: for small nests only.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import TypeAlias

from accelsim.tiled.nest import DIMS, TENSORS, Counts, Factor, Nest, Words

Ranges: TypeAlias = dict[str, range]
Word: TypeAlias = tuple[int, ...]


def counted(nest: Nest) -> Counts:
    """Return the counts of a small nest, step by step."""
    words, inner = {}, len(nest.levels)
    for tensor in TENSORS:
        keepers = [i for i, cut in enumerate(nest.mapping.cuts) if tensor in cut.keeps]
        came, went = {0: 0}, {}
        for parent, child in zip(keepers, [*keepers[1:], inner], strict=True):
            went[parent], came[child] = _between(nest, tensor, parent, child)
        for i in keepers:
            box = max(len(_words(nest, tensor, at, False)) for _, at in _tiles(nest, i) if at)
            if tensor == "O":
                first = len({(place, word) for place, at in _tiles(nest, i) if at for word in _words(nest, "O", at)})
                found = Words(came[i] - first if i else 0, went[i] - first, went[i], came[i], box)
            else:
                found = Words(came[i], went[i], box=box)
            words[nest.levels[i].name, tensor] = found
    at_work = [place for place, at in _tiles(nest, inner) if at]
    steps = {step for step, at in _steps(nest, inner) if any(at.values())}
    return Counts(len(steps), nest.problem.macs, len(set(at_work)), words)


def _between(nest: Nest, tensor: str, parent: int, child: int) -> tuple[int, int]:
    """Return the words of separate reads of a parent, and those that all children are given."""
    level = nest.levels[parent]
    shared = level.reduce if tensor == "O" else level.multicast or level.neighbours
    latched = child < len(nest.levels)
    keeps_halo = latched and nest.levels[child].halo == "keep"
    parents = sum(len(cut.spatial) for cut in nest.mapping.cuts[:parent])
    held: dict[Word, tuple[Ranges, set[Word]]] = {}
    reads = given = 0
    for _, tiles in _steps(nest, child):
        deliveries: dict[object, set[Word]] = {}
        for place, at in tiles.items():
            if not at:
                continue
            whole, box = _reach(nest, tensor, at), _words(nest, tensor, at)
            before, there = held.get(place, (None, set()))
            if not latched or (not keeps_halo and before != whole):
                there = set()
            brought = box - there
            held[place] = (whole, box)
            given += len(brought)
            group: object = place
            if shared:
                group = (place[:parents], None if level.neighbours else tuple(whole.values()))
            deliveries.setdefault(group, set()).update(brought)
        reads += sum(map(len, deliveries.values()))
    return reads, given


def _steps(nest: Nest, level: int) -> Iterator[tuple[Word, dict[Word, Ranges]]]:
    """Yield the loops in time outside a level's tiles, in order, with the indices of each instance's tile then."""
    outer = nest.mapping.cuts[:level]
    timed = [(i, at, False) for i, cut in enumerate(outer) for at in range(len(cut.loops))]
    spread = [(i, at, True) for i, cut in enumerate(outer) for at in range(len(cut.spatial))]
    known = _chunks(nest)
    for step in product(*(range(known[loop][0].times) for loop in timed)):
        tiles = {}
        for place in product(*(range(known[loop][0].times) for loop in spread)):
            start = dict.fromkeys(DIMS, 0)
            for loop, digit in zip([*timed, *spread], [*step, *place], strict=True):
                start[known[loop][0].dim] += digit * known[loop][1]
            at = {}
            for dim, size in nest.problem.sizes.items():
                full = prod(x.times for cut in nest.mapping.cuts[level:] for x in (*cut.loops, *cut.spatial)
                            if x.dim == dim)  # fmt: skip
                at[dim] = range(start[dim], min(start[dim] + full, size))
            tiles[place] = at if all(at.values()) else {}
        yield step, tiles


def _tiles(nest: Nest, level: int) -> Iterator[tuple[Word, Ranges]]:
    for _, tiles in _steps(nest, level):
        yield from tiles.items()


def _chunks(nest: Nest) -> dict[tuple[int, int, bool], tuple[Factor, int]]:
    """Return (level, place, whether in space) -> loop, and how far one step of it goes: all factors inside it."""
    order: list[tuple[tuple[int, int, bool], Factor]] = []
    for i, cut in enumerate(nest.mapping.cuts):
        order += [((i, at, False), loop) for at, loop in enumerate(cut.loops)]
        order += [((i, at, True), loop) for at, loop in enumerate(cut.spatial)]
    return {
        key: (loop, prod(x.times for _, x in order[at + 1 :] if x.dim == loop.dim))
        for at, (key, loop) in enumerate(order)
    }


def _reach(nest: Nest, tensor: str, at: Ranges) -> Ranges:
    """Return the positions of each rank of a tensor from the first to the last that a tile needs."""
    if tensor != "I":
        return {dim: at[dim] for dim in ("GMCRS" if tensor == "W" else "GNMPQ")}
    ranks = {dim: at[dim] for dim in "GNC"}
    for d, (out, window) in enumerate((("P", "R"), ("Q", "S"))):
        taps = [p * nest.problem.stride[d] + r * nest.problem.dilation[d] for p in at[out] for r in at[window]]
        ranks[out] = range(min(taps), max(taps) + 1)
    return ranks


def _words(nest: Nest, tensor: str, at: Ranges, existing: bool = True) -> set[Word]:
    """Return the words of a tile, those in the padding only if they are not asked to exist."""
    ranks = _reach(nest, tensor, at)
    found = set(product(*ranks.values()))
    if tensor == "I" and existing and nest.problem.image is not None:
        (top, height), (left, width) = nest.problem.image
        found = {w for w in found if top <= w[3] < top + height and left <= w[4] < left + width}
    return found
