"""Feeds the kernel, tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.engines.dcnn.kernel import walk_tile
from accelsim.engines.dcnn.totals import Counts, pieces
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.units import ceil_div
from accelsim.workload.shapes import Conv2d


def walk(conv: Conv2d, params: Any, kc: int, operands: Operands | None) -> tuple[Counts, np.ndarray | None]:
    """Return the counts of a layer and, with operands, its output."""
    te, tf = ceil_div(conv.e, params.pe_rows), ceil_div(conv.f, params.pe_cols)
    kg, taps = conv.k // conv.groups, conv.c // conv.groups * conv.r * conv.s
    nothing = np.zeros((1, 1), dtype=np.int64)
    columns, w, out = _arrays(conv, operands)
    longest = te * tf * pieces(conv, params.lanes) * kg
    cycles = longest * conv.groups * conv.n
    products = padding = imbalance = unmapped = 0
    for e0 in range(0, te * params.pe_rows, te):
        for f0 in range(0, tf * params.pe_cols, tf):
            rows, cols = min(te, conv.e - e0), min(tf, conv.f - f0)
            if rows <= 0 or cols <= 0:
                unmapped += cycles * params.lanes
                continue
            for n in range(conv.n):
                for g in range(conv.groups):
                    one = (nothing, nothing, nothing)
                    if columns is not None and w is not None and out is not None:
                        tile = columns[n, g, e0 : e0 + rows, f0 : f0 + cols].reshape(rows * cols, taps)
                        one = (np.ascontiguousarray(tile), w[g], np.zeros((kg, rows * cols), dtype=np.int64))
                    dots, made = walk_tile(rows, cols, kg, kc, taps, params.lanes, operands is not None, *one)
                    if out is not None:
                        out[n, g, :, e0 : e0 + rows, f0 : f0 + cols] = one[2].reshape(kg, rows, cols)
                    products += made
                    padding += dots * params.lanes - made
                    imbalance += (longest - dots) * params.lanes
    counts = Counts(cycles, products, padding, imbalance, unmapped)
    if operands is None or out is None:
        return counts, None
    return counts, from_conv_output(operands.view, out.reshape(conv.n, conv.k, conv.e, conv.f))


def _arrays(conv: Conv2d, operands: Operands | None) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the im2col view (n, g, e, f, taps), weights (g, k, taps) and zeros (n, g, k, e, f)."""
    if operands is None:
        return None, None, None
    x, w = operands.conv_arrays()
    top, left, bottom, right = conv.pad
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    x = x.reshape(conv.n, conv.groups, conv.c // conv.groups, *x.shape[2:])
    rows = np.arange(conv.e)[:, None] * conv.stride[0] + np.arange(conv.r) * conv.dilation[0]
    cols = np.arange(conv.f)[:, None] * conv.stride[1] + np.arange(conv.s) * conv.dilation[1]
    patches = x[:, :, :, rows[:, None, :, None], cols[None, :, None, :]]  # n g c e f r s
    columns = patches.transpose(0, 1, 3, 4, 2, 5, 6).reshape(conv.n, conv.groups, conv.e, conv.f, -1)
    out = np.zeros((conv.n, conv.groups, conv.k // conv.groups, conv.e, conv.f), dtype=np.int64)
    return columns, w.reshape(conv.groups, conv.k // conv.groups, -1), out
