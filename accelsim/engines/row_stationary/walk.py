"""Feeds the kernel: passes in the order of the loops, each kind of them once unless values are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np

from accelsim.engines.row_stationary.cut import Content, Cut, Residency, Span
from accelsim.engines.row_stationary.kernel import walk_pass

NOTHING = np.zeros((1, 1, 1, 1), dtype=np.int64)


class Counts(NamedTuple):
    """Cycles of a pass, and PE-cycles of the PEs in use by cause, multiplications apart."""

    cycles: int
    fill_drain: int
    starved: int
    conflict: int


Kind: TypeAlias = tuple[int, int, int]
"""Filters, images and output rows of a residency: two that agree take the same time."""

Passed: TypeAlias = tuple[tuple[int, ...], int, tuple[int, ...]]
"""Of a channel block: cycles of each pass; until the psums of the last are back; PE-cycles by cause."""

Cycles: TypeAlias = tuple[tuple[int, ...], ...]
"""Cycles of each pass of a residency: channel blocks, and filter blocks in them."""


@dataclass(frozen=True)
class Walked:
    """What a layer's passes took."""

    cycles: dict[Kind, Cycles]
    total: Counts


def kind(residency: Residency) -> Kind:
    """Return what decides how long a residency takes."""
    return residency.filters.size, residency.images.size, residency.rows.size


def walk(cut: Cut) -> Walked:
    """Walk each kind of residency once and add up the layer."""
    geometry = cut.geometry

    @cache
    def one(content: Content) -> tuple[int, ...]:
        return tuple(walk_pass(geometry, content, False, NOTHING, NOTHING, NOTHING).tolist())

    @cache
    def passes(key: Kind, channels: int, reads_psums: bool, lag: int) -> Passed:
        return _passes(cut, key, Span(0, channels), reads_psums, lag, lambda content, *_: one(content))

    def of(key: Kind) -> Callable[[Span, bool, int], Passed]:
        return lambda channels, reads_psums, lag: passes(key, channels.size, reads_psums, lag)

    kinds: dict[Kind, tuple[Cycles, Counts]] = {}
    total = Counts(0, 0, 0, 0)
    for residency in cut.residencies():
        key = kind(residency)
        if key not in kinds:
            kinds[key] = _residency(cut, of(key), alike=True)
        total = Counts(*(a + b for a, b in zip(total, kinds[key][1], strict=True)))
    return Walked({key: cycles for key, (cycles, _) in kinds.items()}, total)


def compute(cut: Cut, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, Counts]:
    """Walk every pass with its values.

    Parameters
    ----------
    x : ndarray (n, c, h, w) of int64
    w : ndarray (k, c/groups, r, s) of int64

    Returns
    -------
    tuple
        Output (n, k, e, f), int64, and the layer's counts.
    """
    conv, geometry = cut.conv, cut.geometry
    top, left, bottom, right = conv.pad
    missing = conv.stride[0] * (cut.mapping.e * len(cut.strips) - 1) + conv.r - (conv.h + top + bottom)
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom + max(0, missing)), (left, right)))[..., : cut.strip_words]
    out = np.zeros((conv.n, conv.k, conv.e, conv.f), dtype=np.int64)
    total = Counts(0, 0, 0, 0)
    for at in cut.residencies():
        rows = slice(at.rows.start * conv.stride[0], at.rows.start * conv.stride[0] + cut.strip_rows)
        images = slice(at.images.start, at.images.start + at.images.size)
        out_rows = slice(at.rows.start, at.rows.start + at.rows.size)

        def one(content: Content, channels: int, filters: int) -> tuple[int, ...]:
            c0 = at.group * cut.channels + channels  # noqa: B023
            k0 = at.group * cut.filters + at.filters.start + filters  # noqa: B023
            k = slice(k0, k0 + content.filters)
            strip = np.ascontiguousarray(padded[images, c0 : c0 + content.channels, rows])  # noqa: B023
            held = np.ascontiguousarray(w[k, channels : channels + content.channels])
            psums = np.ascontiguousarray(out[images, k, out_rows])  # noqa: B023
            counts = walk_pass(geometry, content, True, strip, held, psums)
            out[images, k, out_rows] = psums  # noqa: B023
            return tuple(counts.tolist())

        def passes(channels: Span, reads_psums: bool, lag: int) -> Passed:
            return _passes(cut, kind(at), channels, reads_psums, lag, one)  # noqa: B023

        _, counts = _residency(cut, passes, alike=False)
        total = Counts(*(a + b for a, b in zip(total, counts, strict=True)))
    return out, total


def _residency(cut: Cut, passes: Callable[[Span, bool, int], Passed], alike: bool) -> tuple[Cycles, Counts]:
    """Walk the passes of a residency, channel block after channel block.

    With ``alike``, blocks of a size differ in nothing: once one ends with the lag that it began with, all do.
    """
    cycles: list[tuple[int, ...]] = []
    total = [0, 0, 0]
    blocks, lag = cut.channel_blocks, 0
    whole = cut.channels // blocks[0].size
    while len(cycles) < len(blocks):
        index = len(cycles)
        taken, after, causes = passes(blocks[index], cut.reads_psums(index), lag)
        times = whole - index if alike and 0 < index < whole and after == lag else 1
        total = [a + b * times for a, b in zip(total, causes, strict=True)]
        cycles += [taken] * times
        lag = after
    # the dump of the outputs waits for the last psums
    cycles[-1] = (*cycles[-1][:-1], cycles[-1][-1] + lag)
    total[0] += lag * cut.used_pes
    return tuple(cycles), Counts(sum(map(sum, cycles)), *total)


def _passes(
    cut: Cut, key: Kind, channels: Span, reads_psums: bool, lag: int,
    one: Callable[[Content, int, int], tuple[int, ...]],
) -> Passed:  # fmt: skip
    """Walk the passes of a channel block; ``one`` walks a pass, given its content, first channel and first filter."""
    filters, images, rows = key
    taken: list[int] = []
    total = [0, 0, 0]
    for held in cut.filter_blocks(filters):
        content = Content(held.size, channels.size, images, rows, reads_psums, lag)
        count, lag, *causes = one(content, channels.start, held.start)
        taken.append(count)
        total = [a + b for a, b in zip(total, causes, strict=True)]
    return tuple(taken), lag, tuple(total)
