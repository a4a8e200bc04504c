"""How a layer is cut: bands of output rows, tiles of PEs, what a PE's inputs reach. Integers only, no operands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from accelsim.units import ceil_div
from accelsim.workload.shapes import Conv2d


@dataclass(frozen=True)
class Axis:
    """Rows or columns of a band: outputs ``out_from`` to ``out_to`` and the inputs that they touch, in ``parts``."""

    stride: int
    pad: int
    dilation: int
    taps: int
    size: int
    out_from: int
    out_to: int
    parts: int

    @property
    def inputs(self) -> tuple[int, int]:
        """First and last + 1 input inside the image that some output touches; equal if none."""
        first = max(0, self.out_from * self.stride - self.pad)
        end = (self.out_to - 1) * self.stride - self.pad + (self.taps - 1) * self.dilation + 1
        last = min(self.size, end)
        return (first, last) if last > first else (0, 0)

    @cached_property
    def edges(self) -> np.ndarray:
        """Where the tiles begin, and where the last one ends: int64, (parts + 1,)."""
        first, last = self.inputs
        tile = ceil_div(last - first, self.parts)
        return np.minimum(first + tile * np.arange(self.parts + 1, dtype=np.int64), last)

    @cached_property
    def owned_edges(self) -> np.ndarray:
        """Where the outputs that each PE keeps begin, and where the last ones end: int64, (parts + 1,)."""
        tile = ceil_div(self.out_to - self.out_from, self.parts)
        return np.minimum(self.out_from + tile * np.arange(self.parts + 1, dtype=np.int64), self.out_to)

    @cached_property
    def _reached(self) -> tuple[np.ndarray, np.ndarray]:
        """First and last + 1 output that the inputs of each tile can reach; equal if none."""
        low, high = self.edges[:-1], self.edges[1:]
        first = -(-(low + self.pad - (self.taps - 1) * self.dilation) // self.stride)
        first = np.maximum(first, self.out_from)
        last = np.minimum((high - 1 + self.pad) // self.stride + 1, self.out_to)
        return first, np.where(low < high, np.maximum(first, last), first)

    @cached_property
    def reach(self) -> np.ndarray:
        """Outputs that each tile reaches: int64, (parts,)."""
        first, last = self._reached
        return last - first

    @cached_property
    def own(self) -> np.ndarray:
        """Outputs among them that the PE keeps: int64, (parts,)."""
        first, last = self._reached
        edges = self.owned_edges
        return np.maximum(0, np.minimum(last, edges[1:]) - np.maximum(first, edges[:-1]))


axis = lru_cache(maxsize=4096)(Axis)
"""Images, and cuts that are tried one after another, share most of their axes and what has been found of them."""


@dataclass(frozen=True)
class Band:
    """Some output rows of one image, spread over all PEs."""

    image: int
    rows: Axis
    cols: Axis

    @cached_property
    def mapped(self) -> np.ndarray:
        """Whether a PE has pixels: bool, (PEs,)."""
        return np.logical_and.outer(np.diff(self.rows.edges) > 0, np.diff(self.cols.edges) > 0).ravel()

    @property
    def most_reached(self) -> int:
        """Accumulators per output channel that some PE needs."""
        return int(self.rows.reach.max() * self.cols.reach.max())

    @property
    def all_reached(self) -> int:
        """Accumulators per output channel that all PEs need."""
        return int(self.rows.reach.sum() * self.cols.reach.sum())

    @cached_property
    def foreign(self) -> np.ndarray:
        """Of the accumulators of each PE, those that belong to other PEs, the halo: int64, (PEs,)."""
        reached, own = (np.outer(getattr(self.rows, what), getattr(self.cols, what)) for what in ("reach", "own"))
        return (reached - own).ravel()


def bands(conv: Conv2d, image: int, height: int, pe_rows: int, pe_cols: int) -> list[Band]:
    """Cut an image in bands of ``height`` output rows, the last one perhaps lower."""
    cols = axis(conv.stride[1], conv.pad[1], conv.dilation[1], conv.s, conv.w, 0, conv.f, pe_cols)
    found = []
    for first in range(0, conv.e, height):
        last = min(first + height, conv.e)
        rows = axis(conv.stride[0], conv.pad[0], conv.dilation[0], conv.r, conv.h, first, last, pe_rows)
        found.append(Band(image, rows, cols))
    return found


def channel_groups(conv: Conv2d, kc: int) -> list[tuple[int, int, int, int]]:
    """Return (first, last + 1 output channel, first, last + 1 input channel) of every group of ``kc`` channels."""
    kg, cg = conv.k // conv.groups, conv.c // conv.groups
    return [
        (g * kg + k, g * kg + min(k + kc, kg), g * cg, (g + 1) * cg)
        for g in range(conv.groups)
        for k in range(0, kg, kc)
    ]
