"""What fits a memory stays there, and does not go through DRAM."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from accelsim.engine import too_large
from accelsim.workload.layers import LayerView, Tensor


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
