"""Sizes of tensors in a machine's format, and what follows from them: what stays, what moves, what reports show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from accelsim.activity import Direction, Flow, Transfer
from accelsim.engine import too_large
from accelsim.results import StoredBits
from accelsim.workload.layers import LayerView, Tensor


class Size(NamedTuple):
    """A tensor or a part of it: its values, and what says where they stand (runs, steps, offsets, maps, counts)."""

    value_bits: int
    index_bits: int = 0

    @property
    def bits(self) -> int:
        """All of them."""
        return self.value_bits + self.index_bits

    def piece(self, number: int, pieces: int) -> Size:
        """Return one of so many pieces, as equal as can be."""
        return Size(*(bits * (number + 1) // pieces - bits * number // pieces for bits in self))

    def stored(self, tensor: Tensor) -> StoredBits:
        """Return what reports show of ``tensor``, of which this is the size."""
        return StoredBits(tensor.elements * tensor.width, *self)


def total(sizes: Iterable[Size]) -> Size:
    """Return the sum of sizes, of which there is one at least."""
    return Size(*map(sum, zip(*sizes, strict=True)))


def moved(tensor: str, direction: Direction, value_bits: int, index_bits: int = 0) -> tuple[Transfer, ...]:
    """Return the transfers that take a tensor through DRAM: its values, then its index; nothing of what is empty."""
    parts = (Transfer(tensor, direction, value_bits), Transfer("index", direction, index_bits))
    return tuple(part for part in parts if part.run_bits)


def on_chip(*crossings: tuple[str, str, Direction, Size | int]) -> dict[Flow, int]:
    """Return the traffic of ``(boundary, tensor, direction, size)``: values as the tensor's, the rest as index.

    A size is `Size`, or bits of values alone, of many layers in columns. Sizes of one flow add up.
    """
    traffic: Counter[Flow] = Counter()
    for boundary, tensor, direction, size in crossings:
        value_bits, index_bits = size if isinstance(size, Size) else (size, 0)
        traffic[Flow(boundary, tensor, direction)] += value_bits
        if np.any(index_bits):
            traffic[Flow(boundary, "index", direction)] += index_bits
    return dict(traffic)


class Held(NamedTuple):
    """``bits`` that a layer wants to keep in a memory of ``room_bits``."""

    room_bits: int
    bits: int

    @property
    def fits(self) -> bool:
        """Whether all of it fits, to the last bit."""
        return self.bits <= self.room_bits

    @property
    def use(self) -> tuple[int, int]:
        """Capacity and peak of the memory; what does not fit passes through all of it."""
        return self.room_bits, min(self.room_bits, self.bits)


def check_homes(view: LayerView, tensors: Iterable[Tensor], stay: bool, memory: str, key: str) -> None:
    """Raise MappingError for a tensor at home on the chip that does not stay there; ``key`` is to be raised."""
    for tensor in tensors:
        if tensor.home == "chip" and not stay:
            raise too_large(view, tensor, memory, key)
