"""Bitmap: one bit per element, the non-zero values, and where each row's values begin.

The usual format of sparse matrix engines at moderate density. A row is the last axis; with ``pointer_bits`` every
row has a pointer to its first value, so that rows can be read alone; 0 leaves the pointers out.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.operands.codec import Bools, Ints, check_count, check_width, integers


@dataclass(frozen=True, eq=False)
class BitmapCode:
    """``mask``: bool (rows, length); ``values``: int64 (non-zeros,); ``pointers``: int64 (rows,)."""

    shape: tuple[int, ...]
    mask: Bools
    values: Ints
    pointers: Ints
    value_bits: int
    pointer_bits: int

    @property
    def bits(self) -> int:
        """Size of bits, values and pointers."""
        return int(self.mask.size) + self.values.size * self.value_bits + self.pointers.size * self.pointer_bits


@dataclass(frozen=True)
class Bitmap:
    """The format, for tensors of at least one axis."""

    value_bits: int = 16
    pointer_bits: int = 0
    signed: bool = True

    def __post_init__(self) -> None:
        check_width("value_bits", self.value_bits)
        check_width("pointer_bits", self.pointer_bits, least=0)

    def encode(self, values: NDArray[Any], name: str = "tensor") -> BitmapCode:
        """Compress each row; WorkloadError for values or pointers that do not fit."""
        rows = self._rows(integers(values, self.value_bits, self.signed, name), name)
        mask = rows != 0
        counts = mask.sum(axis=1, dtype=np.int64)
        pointers = np.cumsum(counts) - counts
        if self.pointer_bits:
            check_count(int(pointers.max(initial=0)), self.pointer_bits, "a row pointer", name)
        return BitmapCode(np.shape(values), mask, rows[mask], pointers, self.value_bits, self.pointer_bits)

    def decode(self, coded: BitmapCode) -> Ints:
        """Return the tensor."""
        out = np.zeros(coded.mask.shape, np.int64)
        out[coded.mask] = coded.values
        return out.reshape(coded.shape)

    def size_bits(self, mask: NDArray[Any]) -> int:
        """Return the size of a tensor with these non-zeros."""
        rows = self._rows(np.asarray(mask), "mask")
        values = int(np.count_nonzero(rows))
        return int(rows.size) + values * self.value_bits + len(rows) * self.pointer_bits

    def _rows(self, array: NDArray[Any], name: str) -> NDArray[Any]:
        if array.ndim < 1:
            raise WorkloadError(f"tensor '{name}': a single number has no rows", "give at least one axis")
        return array.reshape(prod(array.shape[:-1]), array.shape[-1])
