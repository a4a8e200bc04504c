"""The steady state of the released pipeline on a trace of GPT-2: a row is one query of one head, rows in a row.

Source: mit-han-lab/spatten, spatten_hardware/hardware: the columns of its workloads, 512 + 512 multipliers, 16
channels, top-k of 16 comparators that keeps the next row waiting. Latencies of the pipeline come once and are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from accelsim.replicas.spatten.topk import drawn_cycles, expected_cycles
from accelsim.workload import spatten_trace
from accelsim.workload.spatten_trace import DIM

T = TypeVar("T", int, float)

LINE = 512 // DIM
"""Vectors of a line of 512 values."""
CHANNELS, TRANSACTION_BITS = 16, 256
COMPARATORS = 16
HANDOVER_CYCLES = 1


@dataclass(frozen=True)
class Row:
    """One query of one head: vectors fetched and the bits of each element, ``again_bits`` of the keys' second fetch."""

    keys: int
    key_bits: int
    again_bits: int
    values: int
    value_bits: int

    @property
    def dram_cycles(self) -> Fraction:
        """Transactions of 32 bytes over all channels; at 6 bits two heads share three."""
        bits = _filled(self.keys) * (self.key_bits + self.again_bits) + _filled(self.values) * self.value_bits
        return Fraction(bits * DIM, TRANSACTION_BITS * CHANNELS)

    @property
    def qk_cycles(self) -> int:
        """Lines of keys, once more where the low bits are fetched."""
        return _filled(self.keys) // LINE * (2 if self.again_bits else 1)

    @property
    def pv_cycles(self) -> int:
        """Lines of values."""
        return _filled(self.values) // LINE

    @property
    def topk_cycles(self) -> float:
        """Expected cycles of the selection of values."""
        return self.topk_with(_selected)

    def topk_with(self, rounds: Callable[[int, int], T]) -> T | int:
        """Return the cycles of the selection, if there is one: rounds(keys, values), its fill, one to hand over."""
        if self.values >= self.keys:
            return 0
        return rounds(self.keys, self.values) + _filled(self.keys) // LINE + HANDOVER_CYCLES

    @property
    def overlapped_cycles(self) -> float:
        """The longest of the others, were top-k to overlap with the next row."""
        return max(float(self.dram_cycles), self.qk_cycles, self.pv_cycles)

    @property
    def cycles(self) -> float:
        """The longest of the four."""
        return max(self.overlapped_cycles, self.topk_cycles)


@dataclass(frozen=True)
class Totals:
    """Sums over the rows of a trace; vectors and MACs as the trace has them, cycles by whole lines."""

    rows: int
    keys_read: int
    values_read: int
    macs: int
    dram_cycles: float
    qk_cycles: int
    pv_cycles: int
    topk_cycles: float
    cycles: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return vars(self)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Totals:
        """Return the sums over rows; alike rows are looked at once."""
        counts = Counter(rows)
        keys = sum(n * row.keys for row, n in counts.items())
        values = sum(n * row.values for row, n in counts.items())
        return cls(
            rows=counts.total(), keys_read=keys, values_read=values, macs=(keys + values) * DIM,
            dram_cycles=float(sum(n * row.dram_cycles for row, n in counts.items())),
            qk_cycles=sum(n * row.qk_cycles for row, n in counts.items()),
            pv_cycles=sum(n * row.pv_cycles for row, n in counts.items()),
            topk_cycles=sum(n * row.topk_cycles for row, n in counts.items()),
            cycles=sum(n * row.cycles for row, n in counts.items()),
        )  # fmt: skip


def read(path: Path) -> list[Row]:
    """Return the rows of a trace, as `spatten_trace.read` does."""
    return [Row(*row) for row in spatten_trace.read(path)]


def overlapped_cycles(rows: Iterable[Row]) -> float:
    """Return the cycles of a trace without top-k."""
    return sum(row.overlapped_cycles for row in rows)


def drawn_topk_cycles(rows: Iterable[Row], seed: int) -> int:
    """Return the cycles of all selections with pivots drawn from a seeded generator, row by row."""
    draw = Random(seed).randrange
    return sum(row.topk_with(lambda keys, values: drawn_cycles(keys, values, COMPARATORS, draw)) for row in rows)


def figures(path: Path) -> dict[str, float]:
    """Return the figures that `accelsim validate` judges; ``tops`` at 1 GHz."""
    totals = Totals.of(read(path))
    return {**totals.to_dict(), "tops": 2 * totals.macs / totals.cycles / 1000}


def _filled(vectors: int) -> int:
    return -(-vectors // LINE) * LINE


@cache
def _selected(keys: int, values: int) -> float:
    return expected_cycles(keys, values, COMPARATORS)
