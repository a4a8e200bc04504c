"""Feeds the kernel, image by image and group by group."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.engines.snapea.kernel import walk_kernels
from accelsim.engines.snapea.totals import Counts
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.units import ceil_div


def walk(plan: Any, operands: Operands | None) -> tuple[Counts, np.ndarray | None]:
    """Return the counts of a layer and, if asked for, its output."""
    conv, p = plan.conv, plan.params
    kg, windows = conv.k // conv.groups, conv.e * conv.f
    w = np.ascontiguousarray(plan.w.reshape(conv.groups, kg, -1))
    order = np.argsort(w < 0, axis=2, kind="stable").astype(np.int64)
    out = np.zeros((conv.n, conv.groups, kg, windows), dtype=np.int64)
    sums, cycles = np.zeros(5, dtype=np.int64), []
    for n in range(conv.n):
        now = np.zeros(p.pes, dtype=np.int64)
        for g in range(conv.groups):
            first = g * kg * ceil_div(windows, p.lanes)
            columns = _columns(plan, n, g)
            sums += walk_kernels(columns, order[g], w[g], plan.stops, p.lanes, first, now, out[n, g])
        cycles.append(int(now.max()))
    counts = Counts(tuple(cycles), *sums.tolist())
    if operands is None:
        return counts, None
    return counts, from_conv_output(operands.view, out.reshape(conv.n, conv.k, conv.e, conv.f))


def _columns(plan: Any, n: int, g: int) -> np.ndarray:
    """Return the windows of an image and group as (windows, length), the im2col matrix."""
    conv = plan.conv
    cg = conv.c // conv.groups
    top, left, bottom, right = conv.pad
    x = np.pad(plan.x[n, g * cg : (g + 1) * cg], ((0, 0), (top, bottom), (left, right)))
    rows = np.arange(conv.e)[:, None] * conv.stride[0] + np.arange(conv.r) * conv.dilation[0]
    cols = np.arange(conv.f)[:, None] * conv.stride[1] + np.arange(conv.s) * conv.dilation[1]
    taps = x[:, rows[:, None, :, None], cols[None, :, None, :]]  # c e f r s
    return np.ascontiguousarray(taps.transpose(1, 2, 0, 3, 4).reshape(conv.e * conv.f, -1))
