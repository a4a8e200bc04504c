"""Feeds the kernel, output group by output group."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.compressed.values import Values, windows
from accelsim.engines.cambricon_x.kernel import multiply, walk_group
from accelsim.engines.cambricon_x.totals import Counts, output_groups
from accelsim.operands.handle import Operands


def walk(plan: Any, operands: Operands | None) -> tuple[Counts, np.ndarray | None]:
    """Return the counts of a layer and, with operands, its output."""
    p, groups = plan.params, output_groups(plan)
    cycles = np.zeros(len(groups), dtype=np.int64)
    worked = waited = 0
    for i, (k0, k1) in enumerate(groups):
        cycles[i], work, wait = walk_group(plan.entries[k0:k1], p.multipliers, p.barrier == "block")
        worked, waited = worked + int(work), waited + int(wait)
    return Counts(cycles, worked, waited), _values(plan, operands)


def _values(plan: Any, operands: Operands | None) -> np.ndarray | None:
    conv, p, values = plan.conv, plan.params, Values(plan.conv, operands)
    for n, g in np.ndindex(conv.n, conv.groups) if values.given else ():
        x, w, out = values.of(n, g)
        columns = windows(conv, x).transpose(0, 1, 3, 4, 2).reshape(conv.e * conv.f, -1)  # channel fastest
        synapses = w.transpose(0, 2, 3, 1).reshape(len(w), -1)
        multiply(np.ascontiguousarray(columns), np.ascontiguousarray(synapses), p.block, p.pes, out.reshape(len(w), -1))
    return values.output()
