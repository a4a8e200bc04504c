"""A sparse matrix as a value: compressed rows, sorted, without duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from accelsim.errors import WorkloadError

MAX_ENTRIES = 1 << 28
"""A matrix with more stored entries is refused: its operands alone would take 4 GiB."""
MAX_ROWS = 1 << 26
"""A matrix with more rows or columns is refused: machines keep several numbers for each."""
MAX_DENSE = 1 << 26
"""Largest number of elements that is laid out densely."""


@dataclass(frozen=True, eq=False)
class CsrMatrix:
    """A frozen sparse matrix; stored zeros are entries like any other.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    pointers : ndarray of int64, (rows + 1,)
    columns : ndarray of int64, (entries,)
        Ascending within a row.
    values : ndarray of int64 or float64, (entries,)
    """

    shape: tuple[int, int]
    pointers: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    @property
    def nnz(self) -> int:
        """Stored entries."""
        return int(self.columns.size)

    def tobytes(self) -> bytes:
        """Return what tells it from other matrices, as arrays do."""
        return repr(self.shape).encode() + b"".join(a.tobytes() for a in (self.pointers, self.columns, self.values))

    @property
    def density(self) -> float:
        """Share of elements that are stored."""
        return self.nnz / (self.shape[0] * self.shape[1])

    @cached_property
    def row_lengths(self) -> np.ndarray:
        """Entries of each row, int64."""
        return np.diff(self.pointers)

    @property
    def rows(self) -> np.ndarray:
        """Row of each entry, int64."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int64), self.row_lengths)

    def without_zeros(self) -> CsrMatrix:
        """Return the matrix without the zeros that it stores; itself if there are none."""
        kept = self.values != 0
        if kept.all():
            return self
        before = np.append(0, np.cumsum(kept, dtype=np.int64))
        return CsrMatrix(self.shape, before[self.pointers], self.columns[kept], self.values[kept])

    def transposed(self) -> CsrMatrix:
        """Return the transpose: the same entries in compressed columns."""
        return from_entries((self.shape[1], self.shape[0]), self.columns, self.rows, self.values)

    def to_dense(self) -> np.ndarray:
        """Return the matrix as an array; WorkloadError above `MAX_DENSE` elements."""
        if self.shape[0] * self.shape[1] > MAX_DENSE:
            raise WorkloadError(f"a matrix of {self.shape[0]} x {self.shape[1]} is too large to lay out densely")
        out = np.zeros(self.shape, self.values.dtype)
        out[self.rows, self.columns] = self.values
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Lay the matrix out for NumPy."""
        del copy
        return self.to_dense() if dtype is None else self.to_dense().astype(dtype)


def from_entries(
    shape: tuple[int, int], rows: np.ndarray, columns: np.ndarray, values: np.ndarray, name: str = "matrix"
) -> CsrMatrix:
    """Return the matrix of unsorted entries.

    Raises
    ------
    WorkloadError
        Empty dimensions, too many entries, entries outside the matrix, duplicates, values that are not finite.
    """
    check_size(shape, rows.size, name)
    rows, columns = np.asarray(rows, np.int64), np.asarray(columns, np.int64)
    for what, index, size in (("row", rows, shape[0]), ("column", columns, shape[1])):
        if index.size and (index.min() < 0 or index.max() >= size):
            bad = int(index.min()) if index.min() < 0 else int(index.max())
            raise WorkloadError(
                f"an entry in {what} {bad} (from 0), the matrix has {size}", "correct the entry or the size", file=name
            )
    values = np.asarray(values)
    values = values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        at = int(np.flatnonzero(~np.isfinite(values))[0])
        raise WorkloadError(
            f"the value at ({rows[at]}, {columns[at]}) is {values[at]}", "give finite numbers", file=name
        )
    order = np.lexsort((columns, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    twice = np.flatnonzero((np.diff(rows) == 0) & (np.diff(columns) == 0))
    if twice.size:
        at = int(twice[0])
        raise WorkloadError(
            f"{twice.size} entries occur twice, the first at ({rows[at]}, {columns[at]})",
            "keep one entry for each position",
            file=name,
        )
    pointers = np.zeros(shape[0] + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=pointers[1:])
    return CsrMatrix(shape, pointers, columns, values)


def check_size(shape: tuple[int, int], entries: int, name: str) -> None:
    """Raise WorkloadError for a size that no matrix has, or that memory does not hold."""
    if min(shape) < 1:
        raise WorkloadError(f"{shape[0]} x {shape[1]} is no matrix", "give at least one row and column", file=name)
    if entries < 0 or entries > shape[0] * shape[1]:
        raise WorkloadError(
            f"{entries} entries in a matrix of {shape[0]} x {shape[1]}", "correct the size line", file=name
        )
    if entries > MAX_ENTRIES or max(shape) > MAX_ROWS:
        raise WorkloadError(
            f"{shape[0]} x {shape[1]} with {entries:,} entries is too large",
            f"at most {MAX_ROWS:,} rows and columns and {MAX_ENTRIES:,} entries",
            file=name,
        )


def from_dense(array: np.ndarray) -> CsrMatrix:
    """Return the non-zero elements of a two-dimensional array."""
    rows, columns = np.nonzero(array)
    return from_entries((array.shape[0], array.shape[1]), rows, columns, array[rows, columns])


def product_count(a: CsrMatrix, b: CsrMatrix) -> int:
    """Return the multiplications of A x B: the sum over entries of A of the length of their row of B."""
    return int(b.row_lengths[a.columns].sum())
