"""Feeds the kernel: layers as products of matrices, one per group."""

from __future__ import annotations

import numpy as np

from accelsim.engines.bismo.cost import Cut
from accelsim.engines.bismo.kernel import walk_product
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.operands.terms import check_fit


def walk(cut: Cut) -> tuple[int, int, int]:
    """Return cycles without the drain, gate-cycles with work and with padding, of all products."""
    nothing = np.zeros((1, 1), dtype=np.int64)
    totals = walk_product(cut, False, (False, False), nothing, nothing, nothing)
    cycles, work, padding = (int(value) * cut.groups for value in totals)
    return cycles, work, padding


def values(cut: Cut, operands: Operands) -> np.ndarray:
    """Return the layer's output, popcount by popcount."""
    view = operands.view
    conv = view.conv
    x, w = operands.conv_arrays()
    for operand, numbers in ((operands.input, x), (operands.weight, w)):
        what = f"layer '{view.name}': tensor '{operand.tensor.name}'"
        check_fit(numbers, operand.bits, operand.tensor.signed, what, sign_only=False)
    top, left, bottom, right = conv.pad
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    rows = np.arange(conv.e)[:, None] * conv.stride[0] + np.arange(conv.r) * conv.dilation[0]
    cols = np.arange(conv.f)[:, None] * conv.stride[1] + np.arange(conv.s) * conv.dilation[1]
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    out = np.zeros((conv.n, conv.k, conv.e, conv.f), dtype=np.int64)
    signs = (view.input.signed, view.weight.signed)
    for g in range(conv.groups):
        part = x[:, g * cg : (g + 1) * cg]
        lowered = part[:, :, rows[:, None, :, None], cols[None, :, None, :]].transpose(0, 2, 3, 1, 4, 5)
        a = np.ascontiguousarray(lowered.reshape(cut.m, cut.k))
        b = np.ascontiguousarray(w[g * kg : (g + 1) * kg].reshape(kg, cut.k).T)
        result = np.zeros((cut.m, cut.n), dtype=np.int64)
        walk_product(cut, True, signs, a, b, result)
        out[:, g * kg : (g + 1) * kg] = result.reshape(conv.n, conv.e, conv.f, kg).transpose(0, 3, 1, 2)
    return from_conv_output(view, out)
