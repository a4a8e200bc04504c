"""Feeds the kernel, image by image and group by group."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.engines.nullhop.kernel import walk_image
from accelsim.operands.handle import Operands, from_conv_output


def walk(plan: Any, operands: Operands | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the cycles of one pass over each row (n, groups, h) and, with operands, the output."""
    conv = plan.conv
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    numbers = [conv.r, conv.s, conv.e, conv.f, *conv.stride, *conv.pad[:2], *conv.dilation]
    packed = np.array(numbers, dtype=np.int64)
    cycles = np.zeros((conv.n, conv.groups, conv.h), dtype=np.int64)
    x = w = out = np.zeros((1, 1, 1, 1, 1), dtype=np.int64)
    if operands is not None:
        values, weights = operands.conv_arrays()
        x = values.reshape(conv.n, conv.groups, cg, conv.h, conv.w)
        w = weights.reshape(conv.groups, kg, cg, conv.r, conv.s)
        out = np.zeros((conv.n, conv.groups, kg, conv.e, conv.f), dtype=np.int64)
    mask = plan.mask.reshape(conv.n, conv.groups, cg, conv.h, conv.w)
    for n in range(conv.n):
        for g in range(conv.groups):
            i, j = (n, g) if operands is not None else (0, 0)
            arrays = (x[i, j], w[j], out[i, j], cycles[n, g])
            walk_image(mask[n, g], packed, plan.params.macs, operands is not None, *arrays)
    if operands is None:
        return cycles, None
    return cycles, from_conv_output(operands.view, out.reshape(conv.n, conv.k, conv.e, conv.f))
