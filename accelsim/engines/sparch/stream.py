"""Partial products, and the pieces of rows that a round merges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from accelsim.workload.csr_matrix import CsrMatrix

BLOCK = 1 << 23
"""Elements that are merged at a time, a longer row apart: bounds the scratch, and paces the progress."""


class Stream(NamedTuple):
    """A partial product: the rows that hold anything, where each ends, and its columns.

    Columns are int32, half of what a machine word takes: a matrix has at most 2^26 columns. Without ``values`` they
    stand in any order within a row.
    """

    rows: np.ndarray
    ends: np.ndarray
    columns: np.ndarray
    values: np.ndarray | None

    @property
    def starts(self) -> np.ndarray:
        """Where each row begins."""
        return self.ends - np.diff(self.ends, prepend=0)


class Pieces(NamedTuple):
    """Rows of streams by row and slot: ``begins:ends`` of B, scaled by a factor, or of the partial products."""

    rows: np.ndarray
    slots: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    from_b: np.ndarray
    entries: np.ndarray
    """Entry of A that scales a row of B."""

    @property
    def elements(self) -> int:
        """Elements in all pieces."""
        return int((self.ends - self.begins).sum())


def pieces_of_leaves(a: CsrMatrix, b: CsrMatrix, entries: np.ndarray, slots: np.ndarray) -> Pieces:
    """Return the rows of B that entries of A name; the entries are in ascending order."""
    uses = a.columns[entries]
    rows = np.searchsorted(a.pointers, entries, side="right").astype(np.int64) - 1
    return Pieces(rows, slots, b.pointers[uses], b.pointers[uses + 1], np.ones(entries.size, np.bool_), entries)


def pieces_of_stream(stream: Stream, slot: int, offset: int) -> Pieces:
    """Return the rows of a partial product that begins at ``offset`` of the round's."""
    n = stream.rows.size
    none = np.zeros(n, np.int64)
    starts, ends = stream.starts + offset, stream.ends + offset
    return Pieces(stream.rows, np.full(n, slot, np.int64), starts, ends, np.zeros(n, np.bool_), none)


def blocks(parts: list[Pieces], n_rows: int, ways: int) -> Iterator[Pieces]:
    """Yield the pieces of all parts sorted by row and slot, whole rows of about `BLOCK` elements at a time.

    Parameters
    ----------
    parts : list of Pieces
        Each sorted by rows.
    """
    cuts: Any = [n_rows]
    if sum(part.elements for part in parts) > BLOCK:
        load = np.zeros(n_rows, np.int64)
        for part in parts:
            np.add.at(load, part.rows, part.ends - part.begins)
        total = np.cumsum(load)
        cuts = np.searchsorted(total, np.arange(BLOCK, total[-1], BLOCK)) + 1
        cuts = np.unique(np.append(cuts, n_rows)).tolist()
    first = 0
    for stop in cuts:
        inside = [slice(*np.searchsorted(part.rows, (first, stop)).tolist()) for part in parts]
        joined = [
            np.concatenate([column[within] for column, within in zip(columns, inside, strict=True)])
            for columns in zip(*parts, strict=True)
        ]
        first = stop
        if joined[0].size:
            order = np.argsort(joined[0] * ways + joined[1], kind="stable")
            yield Pieces(*(column[order] for column in joined))
