"""Feeds the kernel, image by image and group by group."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.compressed.values import Values
from accelsim.engines.cnvlutin.kernel import walk_windows
from accelsim.engines.cnvlutin.totals import Counts
from accelsim.operands.handle import Operands


def walk(plan: Any, operands: Operands | None) -> tuple[Counts, np.ndarray | None]:
    """Return the counts of a layer and, with operands, its output."""
    conv, p = plan.conv, plan.params
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    numbers = [cg, conv.r, conv.s, conv.e, conv.f, *conv.stride, *conv.pad[:2], *conv.dilation, p.lanes, kg]
    packed = np.array(numbers, dtype=np.int64)
    values, sums = Values(conv, operands), np.zeros(5, dtype=np.int64)
    for n, g in np.ndindex(conv.n, conv.groups):
        sums += walk_windows(plan.nonzeros[n, g], packed, plan.skips, values.given, *values.of(n, g))
    return Counts(*sums.tolist()), values.output()
