"""Feeds the kernel, output group by output group."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.engines.cambricon_x.kernel import multiply, walk_group
from accelsim.engines.cambricon_x.totals import Counts, output_groups
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.workload.shapes import Conv2d


def walk(plan: Any, operands: Operands | None) -> tuple[Counts, np.ndarray | None]:
    """Return the counts of a layer and, with operands, its output."""
    p, groups = plan.params, output_groups(plan)
    cycles = np.zeros(len(groups), dtype=np.int64)
    worked = waited = 0
    for i, (k0, k1) in enumerate(groups):
        cycles[i], work, wait = walk_group(plan.entries[k0:k1], p.multipliers, p.barrier == "block")
        worked, waited = worked + int(work), waited + int(wait)
    return Counts(cycles, worked, waited), None if operands is None else _values(plan.conv, p, operands)


def _values(conv: Conv2d, params: Any, operands: Operands) -> np.ndarray:
    x, w = operands.conv_arrays()
    top, left, bottom, right = conv.pad
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    x = x.reshape(conv.n, conv.groups, conv.c // conv.groups, *x.shape[2:])
    rows = np.arange(conv.e)[:, None] * conv.stride[0] + np.arange(conv.r) * conv.dilation[0]
    cols = np.arange(conv.f)[:, None] * conv.stride[1] + np.arange(conv.s) * conv.dilation[1]
    taps = x[:, :, :, rows[:, None, :, None], cols[None, :, None, :]]  # n g c e f r s
    columns = taps.transpose(1, 0, 3, 4, 5, 6, 2).reshape(conv.groups, conv.n * conv.e * conv.f, -1)
    kg = conv.k // conv.groups
    synapses = w.transpose(0, 2, 3, 1).reshape(conv.groups, kg, -1)
    out = np.zeros((conv.groups, kg, conv.n * conv.e * conv.f), dtype=np.int64)
    for g in range(conv.groups):
        multiply(np.ascontiguousarray(columns[g]), np.ascontiguousarray(synapses[g]), params.block, params.pes, out[g])
    shaped = out.reshape(conv.k, conv.n, conv.e, conv.f).transpose(1, 0, 2, 3)
    return from_conv_output(operands.view, np.ascontiguousarray(shaped))
