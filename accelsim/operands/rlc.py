"""Run-length compression of Eyeriss: (run, level) pairs, three to a 64-bit word.

Source: Chen, Krishna, Emer, Sze, "Eyeriss", JSSC 2017: 5-bit run of at most 31 zeros, 16-bit level, three pairs
and one bit that marks the last word. A longer run takes pairs (31, 0), 32 zeros each. Assumed: trailing zeros
are written like any others (their last pair has level 0), the first pair is in the highest bits, and unused
pairs of the last word are 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError
from accelsim.operands.codec import MOST_AT_ONCE, Ints, check_width, gaps, integers, padded_runs
from accelsim.units import ceil_div


@dataclass(frozen=True, eq=False)
class RlcCode:
    """``words``: uint64 (words,), each in its lowest ``word_bits`` bits."""

    shape: tuple[int, ...]
    words: NDArray[np.uint64]
    word_bits: int

    @property
    def bits(self) -> int:
        """Size of all words."""
        return self.words.size * self.word_bits


@dataclass(frozen=True)
class Rlc:
    """The format; a word has at most 64 bits."""

    run_bits: int = 5
    level_bits: int = 16
    pairs: int = 3
    signed: bool = True

    def __post_init__(self) -> None:
        check_width("run_bits", self.run_bits)
        check_width("level_bits", self.level_bits)
        if self.pairs < 1 or self.word_bits > 64:
            raise ConfigError(f"a word of {self.pairs} pairs has {self.word_bits} bits", "make it at most 64 bits")

    @property
    def word_bits(self) -> int:
        """Size of a word: its pairs and the mark of the last word."""
        return self.pairs * (self.run_bits + self.level_bits) + 1

    def encode(self, values: NDArray[Any], name: str = "tensor") -> RlcCode:
        """Compress integers in C order; WorkloadError if one does not fit a level."""
        flat = integers(values, self.level_bits, self.signed, name).ravel()
        kept = _written(flat != 0)
        zeros = gaps(kept[None, :]).zeros
        runs, levels = padded_runs(zeros, flat[kept], 1 << self.run_bits)
        pairs = np.zeros((ceil_div(runs.size, self.pairs), self.pairs), np.uint64)
        level_mask = (1 << self.level_bits) - 1
        pairs.reshape(-1)[: runs.size] = (runs << self.level_bits | levels & level_mask).astype(np.uint64)
        words = np.bitwise_or.reduce(pairs << self._shifts(), axis=1)
        words[-1:] |= np.uint64(1)
        return RlcCode(np.shape(values), words, self.word_bits)

    def decode(self, coded: RlcCode) -> Ints:
        """Return the tensor; pairs past its last element are the unused ones of the last word."""
        pairs = coded.words[:, None] >> self._shifts() & np.uint64((1 << self.run_bits + self.level_bits) - 1)
        runs = (pairs >> np.uint64(self.level_bits)).ravel().astype(np.int64)
        levels = (pairs & np.uint64((1 << self.level_bits) - 1)).ravel().astype(np.int64)
        if self.signed:
            levels -= (levels >> self.level_bits - 1) << self.level_bits
        out = np.zeros(prod(coded.shape), np.int64)
        place = np.cumsum(runs + 1) - 1
        inside = place < out.size
        out[place[inside]] = levels[inside]
        return out.reshape(coded.shape)

    def size_bits(self, mask: NDArray[Any]) -> int:
        """Return the size of a tensor with these non-zeros, without building words."""
        written = _written(np.asarray(mask, np.bool_).ravel())
        pairs, before = 0, -1
        for first in range(0, written.size, MOST_AT_ONCE):
            place = np.flatnonzero(written[first : first + MOST_AT_ONCE]) + first
            if place.size:
                zeros = np.diff(place, prepend=before) - 1
                pairs += place.size + int((zeros >> self.run_bits).sum())
                before = int(place[-1])
        return ceil_div(pairs, self.pairs) * self.word_bits

    def _shifts(self) -> NDArray[np.uint64]:
        pair_bits = self.run_bits + self.level_bits
        return np.arange(self.pairs - 1, -1, -1, dtype=np.uint64) * np.uint64(pair_bits) + np.uint64(1)


def _written(nonzero: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which elements end a run: the non-zeros, and the last element whatever it is."""
    written = nonzero.copy()
    written[-1:] = True
    return written
