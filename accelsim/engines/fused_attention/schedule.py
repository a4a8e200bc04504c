"""The tiles that the memory timeline double-buffers: a few steps per group of query blocks, whatever its length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import Literal, TypeAlias

from accelsim.activity import Direction, Loop, Step, Transfer
from accelsim.engines.fused_attention.cut import Cut

Steps: TypeAlias = tuple[Step | Loop, ...]
Part: TypeAlias = Literal["scores", "context", "both"]


def schedule(cut: Cut) -> Steps:
    """Return the steps of a layer."""
    p = cut.params
    if p.design == "unfused":
        softmax = packed([(_softmax(cut, block),) for block in range(len(cut.tiles))])
        parts = (_streamed(cut, "scores"), softmax, _streamed(cut, "context"))
        return tuple(Loop(cut.units, part) for part in parts)
    body = _overlapped if p.design == "flat" else _one_pass
    return _around(cut.units, lambda first, last: body(cut, first, last))


def packed(bodies: Sequence[Steps]) -> Steps:
    """Return bodies behind each other, equal neighbours as a loop."""
    found: list[Step | Loop] = []
    for body, equal in groupby(bodies):
        count = sum(1 for _ in equal)
        found += body if count == 1 else (Loop(count, body),)
    return tuple(found)


def _around(units: int, body: Callable[[bool, bool], Steps]) -> Steps:
    """Return ``body(first, last)`` of each head of keys."""
    if units == 1:
        return body(True, True)
    return (*body(True, False), Loop(units - 2, body(False, False)), *body(False, True))


def _one_pass(cut: Cut, first: bool, last: bool) -> Steps:
    fill, drain = cut.ends()
    return _streamed(cut, "both", fill * first, drain * last)


def _streamed(cut: Cut, part: Part, fill: int = 0, drain: int = 0) -> Steps:
    """Return the groups of a head of keys, key block by key block; the ends of the pipe are cycles of its ends."""
    known: dict[tuple[bytes, bytes], Steps] = {}
    bodies: list[Steps] = []
    for group in cut.groups:
        key = (cut.tiles[group].tobytes(), cut.widths[group].tobytes())
        if key not in known:
            known[key] = _key_blocks(cut, part, group)
        bodies.append(known[key])
    if fill:
        bodies[0] = (_longer(bodies[0][0], fill), *bodies[0][1:])
    if drain:
        bodies[-1] = (*bodies[-1][:-1], _longer(bodies[-1][-1], drain))
    return packed(bodies)


def _longer(step: Step | Loop, cycles: int) -> Step:
    assert isinstance(step, Step)  # the first and the last key block of a group are no loop
    return step._replace(compute_cycles=step.compute_cycles + cycles)


def _key_blocks(cut: Cut, part: Part, group: slice) -> Steps:
    """Return a step per key block of a group, those between two ends of blocks as loops."""
    a, p, (q, k, v, o, s) = cut.shape, cut.params, cut.bits
    e, tiles, widths = a.head_dim, cut.tiles[group], cut.widths[group]
    ends = {int(n) for n in tiles}
    found: list[Step | Loop] = []
    for at, following in pairwise(sorted({0, 1} | ends | {n - 1 for n in ends})):
        here, height = tiles > at, min(p.rows, a.kv - at * p.rows)
        loads, stores = [], []
        scores = (height * s, int(widths[here].sum()))
        if part != "context":
            loads += _move("input", "read", e * q, int(widths.sum()) * (at == 0)) + _move(
                "weight", "read", e * k, height
            )
        if part != "scores":
            loads += _move("weight", "read", e * v, height)
            stores += _move("output", "write", e * o, int(widths.sum()) * (following == max(ends)))
        if part == "scores":
            stores += _move("psum", "write", *scores)
        if part == "context":
            loads += _move("psum", "read", *scores)
        cycles = e * int(here.sum())
        if part == "both":
            ending = int((tiles == at + 1).sum())
            cycles = (int(here.sum()) - ending) * cut.tile_cycles(False) + ending * cut.tile_cycles(True)
        step = Step(tuple(loads), cycles, tuple(stores))
        found.append(step if following == at + 1 else Loop(following - at, (step,)))
    return tuple(found)


def _softmax(cut: Cut, block: int) -> Step:
    """Return softmax of a query block of the unfused design, whose scores come from DRAM and go there."""
    rows = (int(cut.keys[block]) * cut.bits[4], int(cut.widths[block]))
    cycles = 4 * cut.params.rows * int(cut.tiles[block])
    return Step(tuple(_move("psum", "read", *rows)), cycles, tuple(_move("psum", "write", *rows)))


def _overlapped(cut: Cut, first: bool, last: bool) -> Steps:
    """Return FLAT's groups of a head of keys: softmax of one, scores of the next, context of the one before."""
    e, n, groups = cut.shape.head_dim, [int(x) for x in cut.slots()], cut.groups
    steps = []
    if first:
        steps.append(Step(tuple(_for_scores(cut, 0)), e * n[0], ()))
    for i, group in enumerate(groups):
        before, ahead = i > 0 or not first, i < len(groups) - 1 or not last
        following = (i + 1) % len(groups)
        reads, writes = _scores_moved(cut, group)
        loads = (
            (_for_scores(cut, following) if ahead else [])
            + (_for_context(cut, (i - 1) % len(groups)) if before else [])
            + reads
        )
        stores = (_outputs(cut, (i - 1) % len(groups)) if before else []) + writes
        cycles = cut.slot_cycles(n[i], n[i - 1] * before, n[following] * ahead)
        steps.append(Step(tuple(loads), cycles, tuple(stores)))
    if last:
        steps.append(Step(tuple(_for_context(cut, len(groups) - 1)), e * n[-1], tuple(_outputs(cut, len(groups) - 1))))
    return packed([(step,) for step in steps])


def _for_scores(cut: Cut, number: int) -> list[Transfer]:
    """Return Q, with each tile unless it is kept, and K, of which a kept one comes with the first group."""
    e, group, keep = cut.shape.head_dim, cut.group(number), cut.params.keep
    queries = int(cut.widths[group].sum() if "q" in keep else cut.widths[group] @ cut.tiles[group])
    keys = _kept_keys(cut, number, "k")
    return _move("input", "read", e * cut.bits[0], queries) + _move("weight", "read", e * cut.bits[1], keys)


def _for_context(cut: Cut, number: int) -> list[Transfer]:
    return _move("weight", "read", cut.shape.head_dim * cut.bits[2], _kept_keys(cut, number, "v"))


def _kept_keys(cut: Cut, number: int, tensor: str) -> int:
    if tensor in cut.params.keep:
        return cut.shape.kv if number == 0 else 0
    return int(cut.keys[cut.group(number)].max())


def _outputs(cut: Cut, number: int) -> list[Transfer]:
    return _move("output", "write", cut.shape.head_dim * cut.bits[3], int(cut.widths[cut.group(number)].sum()))


def _scores_moved(cut: Cut, group: slice) -> tuple[list[Transfer], list[Transfer]]:
    """Return what scores of a group read and write in DRAM: all of them, what does not fit, or none."""
    if "scores" in cut.params.keep:
        bits, reads, writes = cut.spilled_bits(group), 4, 3
    else:
        bits, reads, writes = int(cut.widths[group] @ cut.keys[group]) * cut.bits[4], 2, 2
    return _move("psum", "read", bits, reads), _move("psum", "write", bits, writes)


def _move(tensor: str, direction: Direction, run_bits: int, runs: int) -> list[Transfer]:
    return [Transfer(tensor, direction, run_bits, runs)] if run_bits * runs else []
