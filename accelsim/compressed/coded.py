"""Sizes of tensors in a machine's format, and what they become: transfers, traffic on the chip, figures in reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from accelsim.activity import Direction, Flow, Transfer
from accelsim.results import StoredBits
from accelsim.workload.layers import Tensor


class Coded(NamedTuple):
    """Bits of a tensor or of a part of it: its values, and what says where they stand (runs, offsets, maps, counts)."""

    values: int
    index: int = 0

    @property
    def bits(self) -> int:
        """All of them."""
        return self.values + self.index

    def piece(self, number: int, pieces: int) -> Coded:
        """Return one of so many pieces, as equal as can be."""
        cut = [bits * (number + 1) // pieces - bits * number // pieces for bits in self]
        return Coded(*cut)

    def stored(self, tensor: Tensor) -> StoredBits:
        """Return what reports show of ``tensor``, of which this is the size."""
        return StoredBits(tensor.elements * tensor.width, self.values, self.index)


def total(sizes: Iterable[Coded]) -> Coded:
    """Return the sum of sizes."""
    listed = list(sizes)
    return Coded(sum(size.values for size in listed), sum(size.index for size in listed))


def moved(tensor: str, direction: Direction, values: int, index: int = 0) -> tuple[Transfer, ...]:
    """Return the transfers that move bits of a tensor through DRAM: its values, then its index; not what is empty."""
    parts = (Transfer(tensor, direction, values), Transfer("index", direction, index))
    return tuple(part for part in parts if part.run_bits)


def on_chip(*crossings: tuple[str, str, Direction, Coded | int]) -> dict[Flow, int]:
    """Return the traffic of ``(boundary, tensor, direction, size)``: values as the tensor's, the rest as index.

    A size is `Coded`, or bits of values alone. Sizes of one flow add up.
    """
    traffic: Counter[Flow] = Counter()
    for boundary, tensor, direction, size in crossings:
        values, index = size if isinstance(size, Coded) else (size, 0)
        traffic[Flow(boundary, tensor, direction)] += values
        traffic[Flow(boundary, "index", direction)] += index
    return {flow: bits for flow, bits in traffic.items() if bits}
