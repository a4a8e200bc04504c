"""Feeds the kernel, image by image and group by group."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.compressed.values import windows
from accelsim.engines.snapea.kernel import walk_kernels
from accelsim.engines.snapea.totals import Counts
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.units import ceil_div


def walk(plan: Any, operands: Operands | None) -> tuple[Counts, np.ndarray | None]:
    """Return the counts of a layer and, if asked for, its output."""
    conv, p = plan.conv, plan.params
    kg, outputs = conv.k // conv.groups, conv.e * conv.f
    x = plan.x.reshape(conv.n, conv.groups, -1, conv.h, conv.w)
    w = np.ascontiguousarray(plan.w.reshape(conv.groups, kg, -1))
    order = np.argsort(w < 0, axis=2, kind="stable").astype(np.int64)
    out = np.zeros((conv.n, conv.groups, kg, outputs), dtype=np.int64)
    sums, cycles = np.zeros(5, dtype=np.int64), []
    for n in range(conv.n):
        now = np.zeros(p.pes, dtype=np.int64)
        for g in range(conv.groups):
            first = g * kg * ceil_div(outputs, p.lanes)
            columns = np.ascontiguousarray(windows(conv, x[n, g]).reshape(outputs, -1))
            sums += walk_kernels(columns, order[g], w[g], plan.stops, p.lanes, first, now, out[n, g])
        cycles.append(int(now.max()))
    counts = Counts(tuple(cycles), *sums.tolist())
    return counts, None if operands is None else from_conv_output(operands.view, out)
