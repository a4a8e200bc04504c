"""Compressed sparse rows: per row the columns and values of its non-zeros, and a pointer to its start.

The standard format of sparse matrix products; ``pointers`` has one entry more than there are rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.operands.codec import Ints, check_count, check_width, integers


@dataclass(frozen=True, eq=False)
class CsrCode:
    """``columns`` and ``values``: int64 (non-zeros,), row by row; ``pointers``: int64 (rows + 1,)."""

    shape: tuple[int, int]
    columns: Ints
    values: Ints
    pointers: Ints
    entry_bits: int
    pointer_bits: int

    @property
    def bits(self) -> int:
        """Size of entries and pointers."""
        return self.values.size * self.entry_bits + self.pointers.size * self.pointer_bits


@dataclass(frozen=True)
class Csr:
    """The format, for matrices."""

    value_bits: int = 16
    index_bits: int = 32
    pointer_bits: int = 32
    signed: bool = True

    def __post_init__(self) -> None:
        check_width("value_bits", self.value_bits, most=64)
        check_width("index_bits", self.index_bits)
        check_width("pointer_bits", self.pointer_bits)

    def encode(self, values: NDArray[Any], name: str = "tensor") -> CsrCode:
        """Compress a (rows, columns) matrix; WorkloadError for values, columns or pointers that do not fit."""
        matrix = integers(values, self.value_bits, self.signed, name)
        _check_matrix(matrix, name)
        rows, columns = np.nonzero(matrix)
        check_count(int(columns.max(initial=0)), self.index_bits, "a column index", name)
        check_count(columns.size, self.pointer_bits, "the last pointer", name)
        counts = np.bincount(rows, minlength=matrix.shape[0])
        pointers = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))
        return CsrCode(
            (matrix.shape[0], matrix.shape[1]),
            columns.astype(np.int64),
            matrix[rows, columns],
            pointers,
            self.value_bits + self.index_bits,
            self.pointer_bits,
        )

    def decode(self, coded: CsrCode) -> Ints:
        """Return the matrix."""
        out = np.zeros(coded.shape, np.int64)
        rows = np.repeat(np.arange(coded.shape[0]), np.diff(coded.pointers))
        out[rows, coded.columns] = coded.values
        return out

    def size_bits(self, mask: NDArray[Any]) -> int:
        """Return the size of a matrix with these non-zeros."""
        mask = np.asarray(mask)
        _check_matrix(mask, "mask")
        entries = int(np.count_nonzero(mask))
        return entries * (self.value_bits + self.index_bits) + (len(mask) + 1) * self.pointer_bits


def _check_matrix(matrix: NDArray[Any], name: str) -> None:
    if matrix.ndim != 2:
        raise WorkloadError(f"tensor '{name}': shape {matrix.shape} is not a matrix", "reshape it to two axes")
