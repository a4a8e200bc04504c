"""ZFNAf bricks of Cnvlutin: the non-zeros of 16 channels first, each with its offset.

Source: Albericio et al., "Cnvlutin", ISCA 2016: aligned bricks of 16 neurons along the channels; each slot holds a
16-bit value and a 4-bit offset. Bricks keep their place so that they can be addressed, so nothing is saved: the
format costs 25 % whatever the data, and makes skipping possible. Slots after the last non-zero hold 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError, WorkloadError
from accelsim.operands.codec import Ints, check_width, integers, join, split
from accelsim.units import ceil_div


@dataclass(frozen=True, eq=False)
class ZfnafCode:
    """``values`` and ``offsets``: int64 (..., bricks, brick), the channel axis moved last and cut in bricks."""

    shape: tuple[int, ...]
    values: Ints
    offsets: Ints
    slot_bits: int

    @property
    def bits(self) -> int:
        """Size of all slots, used or not."""
        return self.values.size * self.slot_bits


@dataclass(frozen=True)
class Zfnaf:
    """The format; ``channel_axis`` 1 suits (n, c, h, w)."""

    brick: int = 16
    value_bits: int = 16
    channel_axis: int = 1
    signed: bool = True

    def __post_init__(self) -> None:
        check_width("value_bits", self.value_bits)
        if self.brick < 1:
            raise ConfigError(f"{self.brick} is not a count", "give at least 1", key="brick")

    @property
    def slot_bits(self) -> int:
        """Size of a value and its offset."""
        return self.value_bits + (self.brick - 1).bit_length()

    def encode(self, values: NDArray[Any], name: str = "tensor") -> ZfnafCode:
        """Move the non-zeros of each brick to its front; WorkloadError for values that do not fit."""
        values = integers(values, self.value_bits, self.signed, name)
        self._check_axis(values.shape, name)
        bricks = split(np.moveaxis(values, self.channel_axis, -1), self.brick)
        order = np.argsort(bricks == 0, axis=-1, kind="stable").astype(np.int64)
        packed = np.take_along_axis(bricks, order, axis=-1)
        return ZfnafCode(values.shape, packed, np.where(packed != 0, order, 0), self.slot_bits)

    def decode(self, coded: ZfnafCode) -> Ints:
        """Return the tensor."""
        bricks = np.zeros_like(coded.values)
        used = coded.values != 0
        where = np.nonzero(used)[:-1]
        bricks[(*where, coded.offsets[used])] = coded.values[used]
        channels = coded.shape[self.channel_axis]
        return np.moveaxis(join(bricks, channels), -1, self.channel_axis).copy()

    def size_bits(self, mask: NDArray[Any]) -> int:
        """Return the size of a tensor of the mask's shape: its zeros do not matter."""
        shape = np.shape(mask)
        self._check_axis(shape, "mask")
        channels = shape[self.channel_axis]
        others = prod(size for axis, size in enumerate(shape) if axis != self.channel_axis % len(shape))
        slots = others * ceil_div(channels, self.brick) * self.brick
        return int(slots) * self.slot_bits

    def _check_axis(self, shape: tuple[int, ...], name: str) -> None:
        if not -len(shape) <= self.channel_axis < len(shape):
            raise WorkloadError(f"tensor '{name}': shape {shape} has no axis {self.channel_axis}", "reshape it")
