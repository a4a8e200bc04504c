"""Feeds the kernel, image by image and group by group."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.engines.cnvlutin.kernel import walk_windows
from accelsim.engines.cnvlutin.totals import Counts
from accelsim.operands.handle import Operands, from_conv_output


def walk(plan: Any, operands: Operands | None) -> tuple[Counts, np.ndarray | None]:
    """Return the counts of a layer and, with operands, its output."""
    conv, p = plan.conv, plan.params
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    numbers = [cg, conv.r, conv.s, conv.e, conv.f, *conv.stride, *conv.pad[:2], *conv.dilation, p.lanes, kg]
    packed = np.array(numbers, dtype=np.int64)
    x, w = np.zeros((1, 1, 1, 1, 1), dtype=np.int64), np.zeros((1, 1, 1, 1, 1), dtype=np.int64)
    out = np.zeros((1, 1, 1, 1, 1), dtype=np.int64)
    if operands is not None:
        values, weights = map(np.ascontiguousarray, operands.conv_arrays())  # those of a matmul are transposed
        x = values.reshape(conv.n, conv.groups, cg, conv.h, conv.w)
        w = weights.reshape(conv.groups, kg, cg, conv.r, conv.s)
        out = np.zeros((conv.n, conv.groups, kg, conv.e, conv.f), dtype=np.int64)
    sums = np.zeros(5, dtype=np.int64)
    for n in range(conv.n):
        for g in range(conv.groups):
            i, j = (n, g) if operands is not None else (0, 0)
            sums += walk_windows(
                plan.nonzeros[n, g], packed, plan.skips, operands is not None, x[i, j], w[j], out[i, j]
            )
    counts = Counts(*sums.tolist())
    if operands is None:
        return counts, None
    return counts, from_conv_output(operands.view, out.reshape(conv.n, conv.k, conv.e, conv.f))
