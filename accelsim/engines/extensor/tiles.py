"""Matrices in tiles, as they are stored: fibres within tiles, tiles within lists, and how many lists go together."""

from __future__ import annotations

from itertools import product
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.config.schema import Strict
from accelsim.units import INT64_MAX, KIB_BITS, ceil_div
from accelsim.workload.csr_matrix import CsrMatrix

MAX_STEPS = 1 << 20


class Params(Strict):
    """An ExTensor machine."""

    pes: int = Field(128, ge=1, le=4096, description="processing elements, each with an intersection unit and a MAC")
    sequencers: int = Field(128, ge=1, le=4096, description="K1 intersections that run side by side")
    deal: Literal["free", "turn"] = Field(
        "free", description="a pair of tiles goes to the PE that is free first, or whose turn it is"
    )
    tile_elements: int = Field(128, ge=1, le=1 << 20, description="rows and columns of a tile: K0, M0 and N0")
    m1_tiles: int = Field(0, ge=0, le=1 << 26, description="tiles along rows of A held together; 0 searches")
    k1_tiles: int = Field(0, ge=0, le=1 << 26, description="tiles along columns of A held together; 0 searches")
    n1_tiles: int = Field(0, ge=0, le=1 << 26, description="tiles along columns of B held together; 0 searches")
    llb_kib: int = Field(30720, ge=1, le=1 << 22, description="last-level buffer")
    peb_kib: int = Field(64, ge=1, le=1 << 16, description="buffer of a PE")
    coordinate_bits: int = Field(32, ge=1, le=64, description="coordinate")
    pointer_bits: int = Field(32, ge=1, le=64, description="pointer to a fibre")
    value_bits: int = Field(64, ge=1, le=64, description="value")
    line_bits: int = Field(64, ge=1, le=4096, description="arrays take whole lines of this size")
    partial_bytes: int = Field(
        -1, ge=-1, le=1 << 50, description="partial outputs read and written, as a source states them; -1 counts them"
    )

    @property
    def output_bits(self) -> int:
        """Two coordinates and a value."""
        return 2 * self.coordinate_bits + self.value_bits


class Cut(NamedTuple):
    """Elements of a tile, and tiles of a step."""

    t: int
    m1: int
    k1: int
    n1: int


class Tiles(NamedTuple):
    """A matrix of rows over k, cut: fibres (k ascending) of tiles, tiles (k ascending) of lists; int64 arrays.

    List g has tiles ``tile[g]`` to ``tile[g + 1]``, tile i the fibres ``fibre[i]`` to ``fibre[i + 1]``, fibre f the
    entries ``begin[f]`` to ``end[f]`` of ``k``. Lists come in ascending order of K2, then of their rows.
    """

    k: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    fibre: np.ndarray
    tile: np.ndarray
    at: np.ndarray
    """Place of each tile along k."""
    bits: np.ndarray
    """What each tile takes: its fibres and their two arrays."""
    row: np.ndarray
    """Place of each list along the rows."""
    k2: np.ndarray

    def lists(self, k2: int, first: int, stop: int) -> tuple[int, int]:
        """Return which lists lie in ``k2`` and in the rows of tiles from ``first``."""
        low, high = np.searchsorted(self.k2, (k2, k2 + 1))
        begin, end = np.searchsorted(self.row[low:high], (first, stop))
        return int(low + begin), int(low + end)


def cut(matrix: CsrMatrix, t: int, k1: int, p: Params) -> Tiles:
    """Return a matrix in tiles of ``t``, ``k1`` of which along k make a list."""
    rows, at = matrix.rows, matrix.columns // t
    begin = _changes(rows, at)
    end = np.append(begin[1:], matrix.nnz)
    rows, at = rows[begin], at[begin]
    order = np.lexsort((rows, at, rows // t, at // k1))
    begin, end, rows, at = begin[order], end[order], rows[order] // t, at[order]
    fibre = _changes(rows, at)
    rows, at = rows[fibre], at[fibre]
    tile = _changes(rows, at // k1)
    fibres = np.diff(np.append(fibre, begin.size))
    entries = _lines((end - begin) * (p.coordinate_bits + p.value_bits), p)
    heads = _lines(fibres * p.coordinate_bits, p) + _lines(fibres * p.pointer_bits, p)
    bits = (np.add.reduceat(entries, fibre) if fibre.size else entries) + heads
    return Tiles(
        matrix.columns, begin, end, np.append(fibre, begin.size), np.append(tile, fibre.size), at, bits, rows[tile],
        at[tile] // k1,
    )  # fmt: skip


def _changes(*keys: np.ndarray) -> np.ndarray:
    """Return where any of some arrays differs from the element before it."""
    if not keys[0].size:
        return np.zeros(0, np.int64)
    new = np.any([np.diff(key) != 0 for key in keys], axis=0)
    return np.flatnonzero(np.append(True, new))


def _lines(bits: np.ndarray, p: Params) -> np.ndarray:
    return -(-bits // p.line_bits) * p.line_bits


def array_bits(sizes: np.ndarray, p: Params) -> np.ndarray:
    """Return what a coordinate and a pointer for each of some elements take, each array in whole lines."""
    return _lines(sizes * p.coordinate_bits, p) + _lines(sizes * p.pointer_bits, p)


class Held(NamedTuple):
    """Bits that steps bring into the last-level buffer, arrays of (n2, k2, m2), (k2, m2) or (n2, k2)."""

    a: np.ndarray
    b: np.ndarray
    made: np.ndarray
    """Outputs that a step touches, elements."""
    again: np.ndarray
    """Those of them that an earlier k2 has touched, too."""

    def peak(self, output_bits: int) -> int:
        """Return the most that a step with entries of A and of B holds, outputs included."""
        steps = self.a[None] + self.b[:, :, None] + self.made * output_bits
        both = (self.a[None] > 0) & (self.b[:, :, None] > 0)
        return int(steps[both].max(initial=0))


def held(a: CsrMatrix, b: CsrMatrix, b_rows: CsrMatrix, c: Cut, p: Params) -> Held:
    """Return what the steps of a cut hold; ``b`` in columns, ``b_rows`` in rows."""
    from accelsim.engines.extensor.kernel import outputs

    m2, k2, n2 = steps_of(a, b, c)
    in_a, in_b = np.zeros((k2, m2), np.int64), np.zeros((n2, k2), np.int64)
    tiles = cut(a, c.t, c.k1, p)
    size = np.diff(tiles.tile)
    np.add.at(in_a, (np.repeat(tiles.k2, size), np.repeat(tiles.row, size) // c.m1), tiles.bits + 2 * p.coordinate_bits)
    tiles = cut(b, c.t, c.k1, p)
    size = np.diff(tiles.tile)
    np.add.at(in_b, (np.repeat(tiles.row, size) // c.n1, np.repeat(tiles.k2, size)), tiles.bits)
    np.add.at(in_b, (tiles.row // c.n1, tiles.k2), array_bits(size, p))
    lists = np.zeros((n2, k2), np.int64)
    np.add.at(lists, (tiles.row // c.n1, tiles.k2), 1)
    made, again = np.zeros((n2, k2, m2), np.int64), np.zeros((n2, k2, m2), np.int64)
    seen = np.full(b_rows.shape[1], -1, np.int64)
    outputs(a.pointers, a.columns, b_rows.pointers, b_rows.columns, c.t, c.m1, c.k1, c.n1, seen, made, again)
    return Held(in_a, in_b + array_bits(lists, p), made, again)


def steps_of(a: CsrMatrix, b: CsrMatrix, c: Cut) -> tuple[int, int, int]:
    """Return how many M2, K2 and N2 there are; ``b`` in columns."""
    sizes = (a.shape[0], c.m1), (a.shape[1], c.k1), (b.shape[0], c.n1)
    m2, k2, n2 = (ceil_div(ceil_div(size, c.t), tiles) for size, tiles in sizes)
    return m2, k2, n2


def choose(a: CsrMatrix, b: CsrMatrix, b_rows: CsrMatrix, p: Params) -> tuple[Cut, Held] | None:
    """Return the cut of least DRAM traffic before anything is skipped, of those that fit; None if none does.

    Tiles that are not given are a power of two, up to the first that holds all. Of equal traffic the larger along k,
    then n, then m.
    """
    t = p.tile_elements
    given = (a.shape[1], p.k1_tiles), (b.shape[0], p.n1_tiles), (a.shape[0], p.m1_tiles)
    ways = [[g] if g else [1 << i for i in reversed(range((ceil_div(s, t) - 1).bit_length() + 1))] for s, g in given]
    cuts = [Cut(t, m1, k1, n1) for k1, n1, m1 in product(*ways)]
    cuts = [c for c in cuts if np.prod(steps_of(a, b, c), dtype=object) <= MAX_STEPS]
    if len(cuts) > 1:
        traffic: dict[tuple[int, int], int] = {}
        for c in cuts:
            if (c.k1, c.n1) not in traffic:
                whole = held(a, b, b_rows, c._replace(m1=1 << 30), p)
                again = 0 if p.partial_bytes >= 0 else 2 * int(whole.again.sum()) * p.output_bits
                traffic[c.k1, c.n1] = len(whole.b) * int(whole.a.sum()) + int(whole.b.sum()) + again
        cuts.sort(key=lambda c: traffic[c.k1, c.n1])
    for c in cuts:
        found = held(a, b, b_rows, c, p)
        if found.peak(p.output_bits) <= p.llb_kib * KIB_BITS:
            return c, found
    return None


def longest(a: Tiles, b: Tiles, tiles: int) -> int:
    """Return what the K0 intersections take at most; beyond 64 bits INT64_MAX."""
    counts = np.zeros((4, tiles))
    for n, one in enumerate((a, b)):
        fibres = np.diff(one.fibre)
        np.add.at(counts[n], one.at, fibres)
        np.add.at(counts[2 + n], np.repeat(one.at, fibres), one.end - one.begin)
    most = float(counts[0] @ counts[3] + counts[1] @ counts[2])
    return int(most) if most < 1 << 62 else INT64_MAX
