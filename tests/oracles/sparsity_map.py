"""Sparsity map and non-zero list of NullHop: one bit per pixel, then the values.

Source: Aimar et al., "NullHop", TNNLS 2019: feature maps as a bit per pixel and the list of non-zero 16-bit
values, both in pixel order. ``map_word_bits`` rounds the map up to whole memory words (1: not rounded).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.operands.codec import Ints, check_width, integers
from accelsim.units import ceil_div


@dataclass(frozen=True, eq=False)
class SparsityMapCode:
    """``map``: uint8 (bytes,), first pixel in the highest bit; ``values``: int64 (non-zeros,)."""

    shape: tuple[int, ...]
    map: NDArray[np.uint8]
    values: Ints
    map_bits: int
    value_bits: int

    @property
    def bits(self) -> int:
        """Size of map and list."""
        return self.map_bits + self.values.size * self.value_bits


@dataclass(frozen=True)
class SparsityMap:
    """The format, for a tensor of any shape, in C order."""

    value_bits: int = 16
    map_word_bits: int = 1
    signed: bool = True

    def __post_init__(self) -> None:
        check_width("value_bits", self.value_bits)
        check_width("map_word_bits", self.map_word_bits, most=1 << 16)

    def encode(self, values: NDArray[Any], name: str = "tensor") -> SparsityMapCode:
        """Compress integers; WorkloadError for values that do not fit."""
        flat = integers(values, self.value_bits, self.signed, name).ravel()
        map_bits = self._map_bits(flat.size)
        return SparsityMapCode(np.shape(values), np.packbits(flat != 0), flat[flat != 0], map_bits, self.value_bits)

    def decode(self, coded: SparsityMapCode) -> Ints:
        """Return the tensor."""
        size = prod(coded.shape)
        out = np.zeros(size, np.int64)
        out[np.unpackbits(coded.map, count=size).astype(np.bool_)] = coded.values
        return out.reshape(coded.shape)

    def size_bits(self, mask: NDArray[Any]) -> int:
        """Return the size of a tensor with these non-zeros."""
        return self._map_bits(np.size(mask)) + int(np.count_nonzero(mask)) * self.value_bits

    def _map_bits(self, pixels: int) -> int:
        return ceil_div(pixels, self.map_word_bits) * self.map_word_bits
