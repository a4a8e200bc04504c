"""Feeds the kernel, image by image and group by group."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.compressed.values import Values
from accelsim.engines.nullhop.kernel import walk_image
from accelsim.operands.handle import Operands


def walk(plan: Any, operands: Operands | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the cycles of one pass over each row (n, groups, h) and, with operands, the output."""
    conv = plan.conv
    numbers = [conv.r, conv.s, conv.e, conv.f, *conv.stride, *conv.pad[:2], *conv.dilation]
    packed = np.array(numbers, dtype=np.int64)
    cycles = np.zeros((conv.n, conv.groups, conv.h), dtype=np.int64)
    mask, values = plan.mask.reshape(conv.n, conv.groups, -1, conv.h, conv.w), Values(conv, operands)
    for n, g in np.ndindex(conv.n, conv.groups):
        walk_image(mask[n, g], packed, plan.params.macs, values.given, *values.of(n, g), cycles[n, g])
    return cycles, values.output()
