"""Feeds the kernel: operands as integers, tiles in the order of the schedule."""

from __future__ import annotations

import numpy as np

from accelsim.engines.bitfusion.kernel import walk_tile
from accelsim.engines.bitfusion.params import INNER, Fused, Params, supported
from accelsim.engines.bitfusion.tilecost import TileCost
from accelsim.mapping.loopnest import LoopNest, Tile
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.operands.terms import check_fit


def walk(nest: LoopNest, array: Fused, inner: str) -> dict[Tile, TileCost]:
    """Return the counts of each distinct tile."""
    nothing = np.zeros((1, 1, 1, 1), dtype=np.int64)
    costs = {}
    for tile in nest.tiles():
        span = (0, tile.groups, 0, tile.n, 0, tile.e, 0, tile.f, 0, tile.k, 0, tile.c)
        coding = (8, 8, 2, True, True)
        counts = walk_tile(
            array, INNER.index(inner), span, _shape(nest), False, coding, nothing, nothing, nothing
        )  # fmt: skip
        costs[tile] = TileCost(*counts.tolist())
    return costs


def values(nest: LoopNest, array: Fused, inner: str, params: Params, operands: Operands) -> np.ndarray:
    """Return the layer's output, multiplied brick by brick."""
    conv, view = nest.conv, operands.view
    x, w = operands.conv_arrays()
    for operand, numbers in ((operands.input, x), (operands.weight, w)):
        tensor = operand.tensor
        check_fit(numbers, operand.bits, tensor.signed, f"layer '{view.name}': tensor '{tensor.name}'")
    top, left, bottom, right = conv.pad
    x = np.ascontiguousarray(np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right))))
    coding = (
        supported(operands.input.bits, params), supported(operands.weight.bits, params), params.brick_bits,
        view.input.signed, view.weight.signed,
    )  # fmt: skip
    out = np.zeros((conv.n, conv.k, conv.e, conv.f), dtype=np.int64)
    for span in nest.spans():
        walk_tile(array, INNER.index(inner), span, _shape(nest), True, coding, x, np.ascontiguousarray(w), out)
    return from_conv_output(view, out)


def _shape(nest: LoopNest) -> tuple[int, ...]:
    conv = nest.conv
    return (conv.c // conv.groups, conv.k // conv.groups, conv.r, conv.s, *conv.stride, *conv.dilation)
