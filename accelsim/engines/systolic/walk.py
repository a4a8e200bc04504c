"""Feeds the kernel: tiles as matrices, in the order of the schedule."""

from __future__ import annotations

import numpy as np

from accelsim.engines.systolic.kernel import walk_tile
from accelsim.errors import ModelError
from accelsim.mapping.loopnest import LoopNest
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.workload.shapes import Conv2d

Array = tuple[int, int, int, bool, int, int]
"""Dataflow, rows, columns, overlap, tail, hold."""


def walk(nest: LoopNest, array: Array, operands: Operands | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the counts of each step's tile and, with operands, the layer's output."""
    taps = nest.conv.r * nest.conv.s
    costs: dict[tuple[int, ...], np.ndarray] = {}
    nothing = np.zeros((1, 1, 1), dtype=np.int64)
    for tile in nest.tiles:
        if tile[:6] not in costs:
            groups = np.zeros((tile.groups, 1, 1), dtype=np.int64)
            costs[tile[:6]] = walk_tile(
                *array[:4], tile.m, tile.k, tile.c * taps, False, groups, nothing, nothing, *array[4:]
            )  # fmt: skip
    counts = np.array([costs[tile[:6]] for tile in nest.tiles])
    return counts, None if operands is None else _values(nest, array, operands, costs)


def _values(nest: LoopNest, array: Array, operands: Operands, costs: dict[tuple[int, ...], np.ndarray]) -> np.ndarray:
    conv = nest.conv
    x, w = operands.conv_arrays()
    top, left, bottom, right = conv.pad
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    out = np.zeros((conv.n, conv.groups, conv.k // conv.groups, conv.e, conv.f), dtype=np.int64)
    x = x.reshape(conv.n, conv.groups, conv.c // conv.groups, *x.shape[2:])
    w = w.reshape(conv.groups, conv.k // conv.groups, conv.c // conv.groups, conv.r, conv.s)
    for span in nest.spans():
        g, n, e, f, k, c = (slice(start, start + extent) for start, extent in zip(span[::2], span[1::2], strict=True))
        a = _columns(conv, x[n, g, c], e, f)
        b = w[g, k, c].transpose(0, 2, 3, 4, 1).reshape(a.shape[0], a.shape[2], -1)
        size_n, size_k = n.stop - n.start, k.stop - k.start
        held = np.ascontiguousarray(out[n, g, k, e, f].transpose(1, 0, 3, 4, 2).reshape(a.shape[0], a.shape[1], -1))
        counts = walk_tile(
            *array[:4], a.shape[1], size_k, a.shape[2], True, a, np.ascontiguousarray(b), held, *array[4:]
        )  # fmt: skip
        if (counts != costs[span[1::2]]).any():
            raise ModelError(f"tile {span[1::2]} costs {counts} with values, {costs[span[1::2]]} without")
        back = held.reshape(a.shape[0], size_n, e.stop - e.start, f.stop - f.start, size_k)
        out[n, g, k, e, f] = back.transpose(1, 0, 4, 2, 3)
    return from_conv_output(operands.view, out.reshape(conv.n, conv.k, conv.e, conv.f))


def _columns(conv: Conv2d, x: np.ndarray, e: slice, f: slice) -> np.ndarray:
    """Return the tile's inputs as (groups, pixels, channels x taps), the im2col matrix."""
    n, g, c = x.shape[:3]
    rows = np.arange(e.start, e.stop)[:, None] * conv.stride[0] + np.arange(conv.r) * conv.dilation[0]
    cols = np.arange(f.start, f.stop)[:, None] * conv.stride[1] + np.arange(conv.s) * conv.dilation[1]
    taps = x[:, :, :, rows[:, None, :, None], cols[None, :, None, :]]  # n g c e f r s
    matrix = taps.transpose(1, 0, 3, 4, 2, 5, 6).reshape(g, n * rows.shape[0] * cols.shape[0], -1)
    assert matrix.shape[2] == c * conv.r * conv.s
    return np.ascontiguousarray(matrix)
