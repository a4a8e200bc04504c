"""The tile grid as numbers: what is mapped where, how long a step lasts, and the closed form of fixed-length steps."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from accelsim.mapping import tile_forms
from accelsim.tiled.base import Count
from accelsim.units import ceil_div
from accelsim.workload.shapes import Conv2d

FIXED, WIDTH, SHIFT, PAIRS = 0, 1, 2, 3
"""What sets the length of a step: the layer's widths; the widest operand in it; essential bits; pairs of terms."""

WINDOWS, STEPS, FILTERS = 0, 1, 2
"""What the columns work on side by side."""
SPREAD = {"windows": WINDOWS, "steps": STEPS, "filters": FILTERS}


class Grid(NamedTuple):
    """Integers of a grid for one layer.

    Attributes
    ----------
    columns : int
        Columns, after wide activations have joined some of them.
    filters : int
        Filters side by side in all tiles, after wide weights have joined rows.
    column_units, spare_units : int
        Lanes behind one (joined) column; lanes of columns left over from joining.
    blocks : int
        Lanes that one product occupies.
    depthwise : int
        Groups side by side if each group has one channel and one filter, else 0.
    steps : int
        Steps of a filter.
    ta, tw : int
        Cycles for the activation's and the weight's bits; a fixed step lasts ``ta * tw``.
    trim_weights : int
        Whether steps trimmed to the widest operand trim the weights too.
    """

    lanes: int
    columns: int
    filters: int
    column_units: int
    spare_units: int
    blocks: int
    depthwise: int
    mode: int
    spread: int
    steps: int
    ta: int
    tw: int
    bits_per_cycle: int
    trim_weights: int
    shift: int
    registers: int

    @property
    def units(self) -> int:
        """All lanes."""
        return self.columns * self.column_units + self.spare_units


class Counts(NamedTuple):
    """What a tile costs: cycles, unit-cycles by cause, operands read from the buffers. Ints or arrays."""

    cycles: Count
    busy: Count
    zero: Count
    unmapped: Count
    imbalance: Count
    starved: Count
    fill_drain: Count
    inputs: Count
    weights: Count


def is_depthwise(conv: Conv2d) -> bool:
    """Whether each group has one input and one output channel."""
    return 1 < conv.groups == conv.c == conv.k


@lru_cache(maxsize=64)
def lane_taps(conv: Conv2d, lanes: int, space_to_depth: bool) -> np.ndarray:
    """Return which tap each lane holds in each step: (channel * r + row) * s + column of the filter, or -1.

    Normally a step is one filter position and up to ``lanes`` channels. A strided layer of three channels may be
    laid out space to depth: the stride's positions become channels, 3 s^2 of them over ceil(K / s)^2 positions.

    Returns
    -------
    ndarray of int64, shape (steps, lanes)
    """
    cg = conv.c // conv.groups
    step = conv.stride[0] if space_to_depth and folds_to_depth(conv) else 1
    rows: list[list[int]] = []
    for r0 in range(0, conv.r, step):
        for s0 in range(0, conv.s, step):
            depth = []
            for dr in range(step):
                for ds in range(step):
                    inside = r0 + dr < conv.r and s0 + ds < conv.s
                    tap = (r0 + dr) * conv.s + s0 + ds
                    depth += [c * conv.r * conv.s + tap if inside else -1 for c in range(cg)]
            rows += [depth[i : i + lanes] for i in range(0, len(depth), lanes)]
    table = np.full((len(rows), lanes), -1, dtype=np.int64)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    table.flags.writeable = False  # it is shared
    return table


def steps_of(conv: Conv2d, lanes: int, space_to_depth: bool) -> int:
    """Return the rows of `lane_taps`."""
    step = conv.stride[0] if space_to_depth and folds_to_depth(conv) else 1
    places = ceil_div(conv.r, step) * ceil_div(conv.s, step)
    return places * ceil_div(conv.c // conv.groups * step * step, lanes)


def folds_to_depth(conv: Conv2d) -> bool:
    """Whether the layer reads an image of three channels with a stride."""
    stride, other = conv.stride
    return conv.c == 3 and conv.groups == 1 and stride == other > 1 and conv.dilation == (1, 1)


def tile_counts(grid: Grid, taps: np.ndarray, groups: np.ndarray, m: np.ndarray, k: np.ndarray) -> Counts:
    """Return the cost of tiles whose steps last ``ta * tw`` cycles; all work counts as busy.

    Parameters
    ----------
    taps : int or ndarray of int64
        Products of an output.
    groups, m, k : int or ndarray of int64
        Groups, output pixels and output channels of each tile.
    """
    t, steps = grid.ta * grid.tw, grid.steps
    products = groups * m * k * taps * grid.blocks
    work, zero = products * t, products * 0
    c, f, unit = grid.columns, grid.filters, grid.column_units
    if grid.spread == WINDOWS:
        sets = -(-groups // grid.depthwise) if grid.depthwise else groups * -(-k // f)
        rereads = groups if grid.depthwise else sets
        cycles = sets * -(-m // c) * steps * t
        unmapped = grid.units * cycles - work
        return Counts(cycles, work, zero, unmapped, zero, zero, zero, rereads * m * taps,
                      groups * -(-m // c) * k * taps)  # fmt: skip
    if grid.spread == STEPS:
        n = groups * -(-k // f) * m * steps
        cycles = n - 1 + t if t <= c else (n - 1) // c * t + (n - 1) % c + t
        unmapped = n * t * unit - work + grid.spare_units * cycles
        starved = grid.units * cycles - work - unmapped
        return Counts(cycles, work, zero, unmapped, zero, starved, zero, groups * -(-k // f) * m * taps,
                      groups * m * k * taps)  # fmt: skip
    sets = groups * -(-k // (f * c))
    slot = grid.tw * max(c, grid.ta)
    cycles = sets * m * steps * slot + c - 1
    unmapped = (sets * m * steps * unit * c - products) * slot + grid.spare_units * cycles
    fill = zero + unit * c * (c - 1)
    return Counts(cycles, work, zero, unmapped, zero, products * (slot - t), fill, sets * m * taps,
                  groups * m * k * taps)  # fmt: skip


def form(grid: Grid) -> tuple[int, ...]:
    """Return what `tile_counts` says of cycles as a row of `tile_kernel`."""
    steps = grid.steps
    if grid.spread == STEPS:
        return (tile_forms.STREAM, grid.filters, steps, grid.columns, grid.ta * grid.tw)
    if grid.spread == FILTERS:
        slot, outputs = grid.tw * max(grid.columns, grid.ta), grid.filters * grid.columns
        return (tile_forms.PRODUCT, grid.columns - 1, steps * slot, 1, 1, outputs, 0, 1, 1)
    scale = steps * grid.ta * grid.tw
    return (tile_forms.PRODUCT, 0, scale, grid.depthwise or 1, grid.columns, grid.filters, 0, 1, 1)


def blocks_of(bits: int, pe_bits: int) -> int:
    """Return into how many pieces an operand wider than a lane is cut."""
    return ceil_div(bits, pe_bits)
