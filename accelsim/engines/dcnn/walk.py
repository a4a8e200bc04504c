"""Feeds the kernel, tile by tile."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from accelsim.compressed.values import Values, windows
from accelsim.engines.dcnn.kernel import walk_tile
from accelsim.engines.dcnn.totals import Counts, pieces
from accelsim.operands.handle import Operands
from accelsim.units import ceil_div
from accelsim.workload.shapes import Conv2d


def walk(conv: Conv2d, params: Any, kc: int, operands: Operands | None) -> tuple[Counts, np.ndarray | None]:
    """Return the counts of a layer and, with operands, its output."""
    te, tf = ceil_div(conv.e, params.pe_rows), ceil_div(conv.f, params.pe_cols)
    kg, taps = conv.k // conv.groups, conv.c // conv.groups * conv.r * conv.s
    nothing, values = np.zeros((1, 1), dtype=np.int64), Values(conv, operands)
    longest = te * tf * pieces(conv, params.lanes) * kg
    products = padding = imbalance = unmapped = 0
    for n, g in np.ndindex(conv.n, conv.groups):
        x, w, out = values.of(n, g)
        columns = windows(conv, x) if values.given else nothing
        for e0, f0 in product(range(0, te * params.pe_rows, te), range(0, tf * params.pe_cols, tf)):
            rows, cols = min(te, conv.e - e0), min(tf, conv.f - f0)
            if rows <= 0 or cols <= 0:
                unmapped += longest * params.lanes
                continue
            tile = sums = nothing
            if values.given:
                tile = np.ascontiguousarray(columns[e0 : e0 + rows, f0 : f0 + cols].reshape(rows * cols, taps))
                sums = np.zeros((kg, rows * cols), dtype=np.int64)
            one = (tile, w.reshape(len(w), -1), sums)
            dots, made = walk_tile(rows, cols, kg, kc, taps, params.lanes, values.given, *one)
            if values.given:
                out[:, e0 : e0 + rows, f0 : f0 + cols] = sums.reshape(kg, rows, cols)
            products += made
            padding += dots * params.lanes - made
            imbalance += (longest - dots) * params.lanes
    return Counts(longest * conv.groups * conv.n, products, padding, imbalance, unmapped), values.output()
