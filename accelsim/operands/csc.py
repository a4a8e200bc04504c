"""Compressed sparse columns with relative row index: EIE's slices interleaved over PEs.

Source: Han et al., "EIE", ISCA 2016: matrix row i lives in PE i mod N; a PE keeps, column by column, an entry
(v, z) per non-zero of its slice, z zeros since the previous one in that column. More than 15 zeros (4-bit run)
take a padding entry (v = 0, z = 15), which stands for 16 of them; zeros at the end of a column take nothing.
``pointers`` say where each column starts, one more for the end. With one PE and any widths it is plain CSC with
a relative index (ESE: 12-bit signed values).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError, WorkloadError
from accelsim.operands.codec import (
    Gaps,
    Ints,
    check_count,
    check_width,
    entries_of,
    gaps,
    integers,
    padded_runs,
    places,
)
from accelsim.units import ceil_div


@dataclass(frozen=True, eq=False)
class CscCode:
    """The slices of all PEs.

    ``values`` and ``runs``: int64 (entries,), ordered by PE, column, row; ``starts``: int64 (pes + 1,), where the
    entries of a PE begin; ``pointers``: int64 (pes, columns + 1), counted from there.
    """

    shape: tuple[int, int]
    values: Ints
    runs: Ints
    starts: Ints
    pointers: Ints
    entry_bits: int
    pointer_bits: int

    @property
    def bits(self) -> int:
        """Size of entries and pointers."""
        return self.values.size * self.entry_bits + self.pointers.size * self.pointer_bits


@dataclass(frozen=True)
class Csc:
    """The format. Values are codes: 0 stands for a zero weight and is never stored but as padding."""

    pes: int = 64
    value_bits: int = 4
    run_bits: int = 4
    pointer_bits: int = 16
    signed: bool = False

    def __post_init__(self) -> None:
        for field in ("value_bits", "run_bits", "pointer_bits"):
            check_width(field, getattr(self, field))
        if self.pes < 1:
            raise ConfigError(f"{self.pes} is not a count", "give at least 1", key="pes")

    def encode(self, values: NDArray[Any], name: str = "tensor") -> CscCode:
        """Compress a (rows, columns) matrix; WorkloadError for values or addresses that do not fit."""
        slices = self._slices(integers(values, self.value_bits, self.signed, name), name)
        rows, columns = np.shape(values)
        found = gaps(slices != 0)
        runs, levels = padded_runs(found.zeros, slices[slices != 0], 1 << self.run_bits)
        counts = self._counts(found, columns)
        pointers = np.zeros((self.pes, columns + 1), np.int64)
        np.cumsum(counts, axis=1, out=pointers[:, 1:])
        for pe in np.flatnonzero(pointers[:, -1] >> self.pointer_bits)[:1]:
            check_count(int(pointers[pe, -1]), self.pointer_bits, f"pointer to the end of PE {pe}", name)
        starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(pointers[:, -1])))
        entry_bits = self.value_bits + self.run_bits
        return CscCode((rows, columns), levels, runs, starts, pointers, entry_bits, self.pointer_bits)

    def decode(self, coded: CscCode) -> Ints:
        """Return the matrix; padding entries leave their zeros."""
        rows, columns = coded.shape
        longest = ceil_div(rows, self.pes)
        slices = np.zeros((self.pes * columns, longest), np.int64)
        group, place = places(coded.runs, np.diff(coded.pointers, axis=1).ravel())
        slices[group, place] = coded.values
        whole = slices.reshape(self.pes, columns, longest).transpose(2, 0, 1)
        return whole.reshape(longest * self.pes, columns)[:rows].copy()

    def size_bits(self, mask: NDArray[Any]) -> int:
        """Return the size of a matrix with these non-zeros."""
        counts = self.entries(mask)
        pointers = self.pes * (int(counts.shape[1]) + 1)
        return int(counts.sum()) * (self.value_bits + self.run_bits) + pointers * self.pointer_bits

    def entries(self, mask: NDArray[Any]) -> Ints:
        """Return the entries, padding included, of each PE in each column; int64 (pes, columns)."""
        mask = np.asarray(mask, np.bool_)
        found = entries_of(self._slices(mask, "mask"), 1 << self.run_bits)
        return found.reshape(self.pes, mask.shape[1])

    def _counts(self, found: Gaps, columns: int) -> Ints:
        return found.entries_by_group(1 << self.run_bits, self.pes * columns).reshape(self.pes, columns)

    def _slices(self, matrix: NDArray[Any], name: str) -> NDArray[Any]:
        """Return (pes x columns, rows of a PE), zeros added where a slice is one row shorter."""
        if matrix.ndim != 2:
            raise WorkloadError(f"tensor '{name}': shape {matrix.shape} is not a matrix", "reshape it to two axes")
        rows, columns = matrix.shape
        longest = ceil_div(rows, self.pes)
        padded = np.pad(matrix, ((0, longest * self.pes - rows), (0, 0)))
        by_pe = padded.reshape(longest, self.pes, columns).transpose(1, 2, 0)
        return by_pe.reshape(self.pes * columns, longest)
