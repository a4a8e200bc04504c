"""How a layer is cut: bands of output rows, tiles of PEs, what a PE's inputs reach. Integers only, no operands."""

from __future__ import annotations

from dataclasses import dataclass

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

    @property
    def edges(self) -> list[int]:
        """Where the tiles begin, and where the last one ends."""
        first, last = self.inputs
        tile = ceil_div(last - first, self.parts)
        return [min(first + i * tile, last) for i in range(self.parts + 1)]

    @property
    def owned_edges(self) -> list[int]:
        """Where the outputs that each PE keeps begin, and where the last ones end."""
        tile = ceil_div(self.out_to - self.out_from, self.parts)
        return [min(self.out_from + i * tile, self.out_to) for i in range(self.parts + 1)]

    def reached(self, part: int) -> tuple[int, int]:
        """First and last + 1 output that a tile's inputs can reach; equal if none."""
        edges = self.edges
        if edges[part] == edges[part + 1]:
            return 0, 0
        first = max(self.out_from, ceil_div(edges[part] + self.pad - (self.taps - 1) * self.dilation, self.stride))
        last = min(self.out_to, (edges[part + 1] - 1 + self.pad) // self.stride + 1)
        return (first, last) if last > first else (0, 0)

    def reach(self) -> list[int]:
        """Outputs that each tile reaches."""
        return [b - a for a, b in map(self.reached, range(self.parts))]

    def own(self) -> list[int]:
        """Outputs among them that the PE keeps."""
        edges, kept = self.owned_edges, []
        for part in range(self.parts):
            first, last = self.reached(part)
            kept.append(max(0, min(last, edges[part + 1]) - max(first, edges[part])))
        return kept


@dataclass(frozen=True)
class Band:
    """Some output rows of one image, spread over all PEs."""

    image: int
    rows: Axis
    cols: Axis

    @property
    def mapped(self) -> list[int]:
        """Per PE, 1 if it has pixels."""
        rows, cols = self.rows.edges, self.cols.edges
        return [
            int(rows[i + 1] > rows[i] and cols[j + 1] > cols[j])
            for i in range(self.rows.parts)
            for j in range(self.cols.parts)
        ]

    @property
    def reached(self) -> list[int]:
        """Accumulators per output channel that each PE needs."""
        return [a * b for a in self.rows.reach() for b in self.cols.reach()]

    @property
    def foreign(self) -> list[int]:
        """Of them, those that belong to other PEs: the halo."""
        own = [a * b for a in self.rows.own() for b in self.cols.own()]
        return [r - o for r, o in zip(self.reached, own, strict=True)]


def bands(conv: Conv2d, image: int, height: int, pe_rows: int, pe_cols: int) -> list[Band]:
    """Cut an image in bands of ``height`` output rows, the last one perhaps lower."""
    cols = Axis(conv.stride[1], conv.pad[1], conv.dilation[1], conv.s, conv.w, 0, conv.f, pe_cols)
    found = []
    for first in range(0, conv.e, height):
        last = min(first + height, conv.e)
        rows = Axis(conv.stride[0], conv.pad[0], conv.dilation[0], conv.r, conv.h, first, last, pe_rows)
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
