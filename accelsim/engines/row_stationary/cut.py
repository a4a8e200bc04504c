"""A layer cut into passes: sizes, counts and what must fit.

Symbols are the authors': R x S filter, U and V strides, E x F outputs; m n e p q r t as in `Mapping`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from accelsim.engines.row_stationary.params import Mapping, Params
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.shapes import Conv2d

MOST_PASSES = 1 << 20
"""Most passes over what stays in the buffer: each is listed."""


class Geometry(NamedTuple):
    """What all passes of a layer share, as the kernel takes it."""

    filter_rows: int
    taps: int
    stride_v: int
    stride_h: int
    outputs: int
    """Output columns F."""
    e: int
    n: int
    p: int
    q: int
    r: int
    t: int
    fifo: int
    """Words of the FIFO in front of an ifmap spad."""
    filter_rate: int
    ifmap_rate: int
    psum_rate: int


class Content(NamedTuple):
    """What one pass holds of what it has room for, and how it starts."""

    filters: int
    channels: int
    images: int
    rows: int
    """Output rows of the strip that exist."""
    reads_psums: bool
    lag: int
    """Cycles into the pass until the psums of the pass before are back in the buffer."""


class Span(NamedTuple):
    """A piece of a dimension."""

    start: int
    size: int


def spans(size: int, step: int) -> list[Span]:
    """Return the pieces of at most ``step`` that make up ``size``."""
    return [Span(start, min(step, size - start)) for start in range(0, size, step)]


class Residency(NamedTuple):
    """What stays in the buffer from its first channel to its last: n m psum strips of a group."""

    group: int
    filters: Span
    images: Span
    rows: Span


@dataclass(frozen=True)
class Cut:
    """A layer cut by a mapping."""

    conv: Conv2d
    params: Params
    mapping: Mapping

    @property
    def channels(self) -> int:
        """Input channels of a group."""
        return self.conv.c // self.conv.groups

    @property
    def filters(self) -> int:
        """Filters of a group."""
        return self.conv.k // self.conv.groups

    @property
    def strip_rows(self) -> int:
        """Ifmap rows under a strip of e output rows."""
        return self.conv.stride[0] * (self.mapping.e - 1) + self.conv.r

    @property
    def strip_words(self) -> int:
        """Words of an ifmap row from the first window to the last."""
        return self.conv.stride[1] * (self.conv.f - 1) + self.conv.s

    @property
    def used_columns(self) -> int:
        """Words of an ifmap row that some window meets."""
        return self.conv.s + min(self.conv.s, self.conv.stride[1]) * (self.conv.f - 1)

    @property
    def slots(self) -> int:
        """Multiply slots of a PE in a pass."""
        mp = self.mapping
        return mp.p * mp.q * self.conv.s * self.conv.f * mp.n

    @property
    def used_pes(self) -> int:
        """PEs that the mapping uses."""
        mp = self.mapping
        return self.conv.r * mp.e * mp.r * mp.t

    @cached_property
    def channel_blocks(self) -> list[Span]:
        """Channels of one pass after another."""
        return spans(self.channels, self.mapping.q * self.mapping.r)

    def filter_blocks(self, filters: int) -> list[Span]:
        """Return the filters of one pass after another, of a block of ``filters``."""
        return spans(filters, self.mapping.p * self.mapping.t)

    @cached_property
    def strips(self) -> list[Span]:
        """Output rows of one strip after another."""
        return spans(self.conv.e, self.mapping.e)

    @cached_property
    def image_blocks(self) -> list[Span]:
        """Images of one pass after another."""
        return spans(self.conv.n, self.mapping.n)

    @cached_property
    def blocks(self) -> list[Span]:
        """Blocks of m filters."""
        return spans(self.filters, self.mapping.m)

    def residencies(self) -> Iterator[Residency]:
        """Yield what stays in the buffer, one after another."""
        for group in range(self.conv.groups):
            for filters in self.blocks:
                for images in self.image_blocks:
                    for rows in self.strips:
                        yield Residency(group, filters, images, rows)

    @property
    def filter_passes(self) -> int:
        """Passes over the filters of all blocks."""
        step, filters, mp = self.mapping.p * self.mapping.t, self.filters, self.mapping
        return filters // mp.m * ceil_div(mp.m, step) + ceil_div(filters % mp.m, step)

    @property
    def passes(self) -> int:
        """Kinds of passes at most: those of a residency."""
        mp = self.mapping
        return ceil_div(self.channels, mp.q * mp.r) * ceil_div(min(mp.m, self.filters), mp.p * mp.t)

    def reads_psums(self, block: int) -> bool:
        """Whether the passes of a channel block read psums from the buffer."""
        return block > 0 or self.params.psum_counting == "every_pass"

    def image_rows(self, rows: Span) -> Span:
        """Return the rows of the image under a strip of outputs."""
        first = rows.start * self.conv.stride[0] - self.conv.pad[0]
        start = max(first, 0)
        return Span(start, max(0, min(first + self.strip_rows, self.conv.h) - start))

    @property
    def geometry(self) -> Geometry:
        """What all passes share."""
        conv, p, mp = self.conv, self.params, self.mapping
        return Geometry(
            conv.r, conv.s, *conv.stride, conv.f, mp.e, mp.n, mp.p, mp.q, mp.r, mp.t,
            p.ifmap_spad_words, p.filter_words_per_cycle, p.ifmap_words_per_cycle, p.psum_words_per_cycle,
        )  # fmt: skip

    @property
    def bank_words(self) -> int:
        """Words of a bank."""
        return self.params.bank_kib * KIB_BITS // self.params.word_bits

    def misfits(self) -> list[str]:
        """Return what does not fit, and by how much."""
        from accelsim.engines.row_stationary.list_kernel import shelves_needed
        from accelsim.jit import plain

        p, mp, taps = self.params, self.mapping, self.conv.s
        ifmap = mp.n * mp.q * mp.r * self.strip_rows * self.strip_words
        psum = mp.n * mp.m * mp.e * self.conv.f
        banks = ceil_div(ifmap, self.bank_words) + ceil_div(psum, self.bank_words)
        shelves = p.rows // (self.conv.r * mp.r)
        limits = [
            ("words of p q S in the filter spad", mp.p * mp.q * taps, p.filter_spad_words),
            ("words of q S in the ifmap spad", mp.q * taps, p.ifmap_spad_words),
            ("words of p in the psum spad", mp.p, p.psum_spad_words),
            ("rows of r R on the array", mp.r * self.conv.r, p.rows),
            ("filter words of a pass in the prefetch banks", mp.p * mp.t * mp.q * mp.r * self.conv.r * taps,
             p.filter_banks * self.bank_words),
            (f"banks for {ifmap:,} ifmap and {psum:,} psum words", banks, p.fmap_banks),
            ("output rows of e", mp.e, self.conv.e),
        ]  # fmt: skip
        found = [f"{need:,} {what}, which has room for {room:,}" for what, need, room in limits if need > room]
        if shelves and (need := plain(shelves_needed)(mp.e, mp.t, p.cols)) > shelves:
            found.append(f"{need:,} shelves of r R rows for t stacks of width e, where there are {shelves:,}")
        if mp.m % (mp.p * mp.t) and mp.m < self.filters:
            found.append(f"m = {mp.m}, which is neither a multiple of p t = {mp.p * mp.t} nor all {self.filters}")
        return found
