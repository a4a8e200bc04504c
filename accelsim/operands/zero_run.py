"""Zero-run blocks of SCNN: a count, the non-zero values, and the zeros before each.

Source: Parashar et al., "SCNN", ISCA 2017: weights are compressed per block of Kc x R x S values of one input
channel, activations per Wt x Ht tile of one channel, with a 4-bit run of at most 15 zeros. A longer run takes a
placeholder (value 0, run 15), which stands for 16 zeros and is multiplied like any value; zeros at the end of a
block take nothing. The width of the count is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError, WorkloadError
from accelsim.operands.codec import Ints, check_count, check_width, entries_of, gaps, integers, padded_runs, places


@dataclass(frozen=True, eq=False)
class ZeroRunCode:
    """``counts``: int64 (blocks,), entries of each block; ``values`` and ``runs``: int64 (entries,)."""

    shape: tuple[int, ...]
    counts: Ints
    values: Ints
    runs: Ints
    count_bits: int
    entry_bits: int

    @property
    def bits(self) -> int:
        """Size of counts and entries."""
        return self.counts.size * self.count_bits + self.values.size * self.entry_bits


@dataclass(frozen=True)
class ZeroRun:
    """The format; the last ``block_axes`` axes of a tensor make a block."""

    block_axes: int = 2
    value_bits: int = 16
    run_bits: int = 4
    count_bits: int = 16
    signed: bool = True

    def __post_init__(self) -> None:
        for field in ("value_bits", "run_bits", "count_bits"):
            check_width(field, getattr(self, field))
        if self.block_axes < 1:
            raise ConfigError(f"{self.block_axes} is not a count", "give at least 1", key="block_axes")

    def encode(self, values: NDArray[Any], name: str = "tensor") -> ZeroRunCode:
        """Compress each block; WorkloadError for values or counts that do not fit."""
        blocks = self._blocks(integers(values, self.value_bits, self.signed, name), name)
        found = gaps(blocks != 0)
        runs, levels = padded_runs(found.zeros, blocks[blocks != 0], 1 << self.run_bits)
        counts = found.entries_by_group(1 << self.run_bits, blocks.shape[0])
        check_count(int(counts.max(initial=0)), self.count_bits, "a block's count", name)
        entry_bits = self.value_bits + self.run_bits
        return ZeroRunCode(np.shape(values), counts, levels, runs, self.count_bits, entry_bits)

    def decode(self, coded: ZeroRunCode) -> Ints:
        """Return the tensor; placeholders leave their zeros."""
        out = np.zeros((coded.counts.size, prod(coded.shape[-self.block_axes :])), np.int64)
        group, place = places(coded.runs, coded.counts)
        out[group, place] = coded.values
        return out.reshape(coded.shape)

    def size_bits(self, mask: NDArray[Any]) -> int:
        """Return the size of a tensor with these non-zeros."""
        counts = self.entries(mask)
        return counts.size * self.count_bits + int(counts.sum()) * (self.value_bits + self.run_bits)

    def entries(self, mask: NDArray[Any]) -> Ints:
        """Return the entries, placeholders included, of each block in C order; int64 (blocks,)."""
        blocks = self._blocks(np.asarray(mask, np.bool_), "mask")
        return entries_of(blocks, 1 << self.run_bits)

    def _blocks(self, array: NDArray[Any], name: str) -> NDArray[Any]:
        if array.ndim < self.block_axes:
            raise WorkloadError(
                f"tensor '{name}': shape {array.shape} has fewer axes than a block", f"give {self.block_axes} or more"
            )
        cut = array.ndim - self.block_axes
        return array.reshape(prod(array.shape[:cut]), prod(array.shape[cut:]))
