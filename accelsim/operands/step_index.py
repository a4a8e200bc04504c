"""Step indexing of Cambricon-X: each non-zero synapse with its distance from the one before.

Source: Zhang et al., "Cambricon-X", MICRO 2016. The synapses of one output are stored in the order of their
inputs, each with the step from the previous one; the indexing module works on blocks of 256 buffered inputs.
Assumed: an 8-bit step, counted afresh in each block from just before it (so at least 1); a longer step takes a
padding entry (step 2^bits - 1, value 0); one count per output and block, 16 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError, WorkloadError
from accelsim.operands.codec import (
    Ints,
    check_count,
    check_width,
    entries_of,
    gaps,
    integers,
    join,
    padded_runs,
    places,
    split,
)
from accelsim.units import ceil_div


@dataclass(frozen=True, eq=False)
class StepCode:
    """``counts``: int64 (outputs, blocks); ``values`` and ``steps``: int64 (entries,), output by output."""

    shape: tuple[int, int]
    counts: Ints
    values: Ints
    steps: Ints
    count_bits: int
    entry_bits: int

    @property
    def bits(self) -> int:
        """Size of counts and entries."""
        return self.counts.size * self.count_bits + self.values.size * self.entry_bits


@dataclass(frozen=True)
class StepIndex:
    """The format, for (outputs, inputs) matrices."""

    block: int = 256
    value_bits: int = 16
    step_bits: int = 8
    count_bits: int = 16
    signed: bool = True

    def __post_init__(self) -> None:
        for field in ("value_bits", "step_bits", "count_bits"):
            check_width(field, getattr(self, field))
        if self.block < 1:
            raise ConfigError(f"{self.block} is not a count", "give at least 1", key="block")

    @property
    def _span(self) -> int:
        """Inputs that the longest step passes."""
        return (1 << self.step_bits) - 1

    def encode(self, values: NDArray[Any], name: str = "tensor") -> StepCode:
        """Compress each output's synapses; WorkloadError for values or counts that do not fit."""
        matrix = integers(values, self.value_bits, self.signed, name)
        blocks = self._blocks(matrix, name)
        flat = blocks.reshape(-1, self.block)
        found = gaps(flat != 0)
        runs, levels = padded_runs(found.zeros, flat[flat != 0], self._span)
        counts = found.entries_by_group(self._span, flat.shape[0]).reshape(blocks.shape[:2])
        check_count(int(counts.max(initial=0)), self.count_bits, "a block's count", name)
        rows, columns = matrix.shape
        entry_bits = self.value_bits + self.step_bits
        return StepCode((rows, columns), counts, levels, runs + 1, self.count_bits, entry_bits)

    def decode(self, coded: StepCode) -> Ints:
        """Return the matrix; padding entries leave their zeros."""
        rows, columns = coded.shape
        out = np.zeros((coded.counts.size, self.block), np.int64)
        group, place = places(coded.steps - 1, coded.counts.ravel())
        out[group, place] = coded.values
        return join(out.reshape(rows, ceil_div(columns, self.block), self.block), columns).copy()

    def size_bits(self, mask: NDArray[Any]) -> int:
        """Return the size of a matrix with these non-zeros."""
        counts = self.entries(mask)
        return counts.size * self.count_bits + int(counts.sum()) * (self.value_bits + self.step_bits)

    def entries(self, mask: NDArray[Any]) -> Ints:
        """Return the entries, padding included, of each output in each block; int64 (outputs, blocks)."""
        blocks = self._blocks(np.asarray(mask, np.bool_), "mask")
        flat = blocks.reshape(-1, self.block)
        return entries_of(flat, self._span).reshape(blocks.shape[:2])

    def _blocks(self, matrix: NDArray[Any], name: str) -> NDArray[Any]:
        if matrix.ndim != 2:
            raise WorkloadError(f"tensor '{name}': shape {matrix.shape} is not a matrix", "reshape it to two axes")
        return split(matrix, self.block)
