"""Feeds the kernel: weights as planes, tiles in the order of the schedule."""

from __future__ import annotations

import numpy as np

from accelsim.engines.unpu.cost import TileCost, Units
from accelsim.engines.unpu.kernel import walk_tile
from accelsim.mapping.loopnest import LoopNest, Tile
from accelsim.operands import terms
from accelsim.operands.handle import Operands, from_conv_output


def walk(nest: LoopNest, units: Units) -> dict[Tile, TileCost]:
    """Return the counts of each distinct tile."""
    nothing = np.zeros((1, 1, 1, 1), dtype=np.int64)
    costs = {}
    for tile in nest.tiles():
        span = (0, tile.groups, 0, tile.n, 0, tile.e, 0, tile.f, 0, tile.k, 0, tile.c)
        counts = walk_tile(units, span, _shape(nest), False, nothing, nothing[None], nothing)
        costs[tile] = TileCost(*counts.tolist())
    return costs


def values(nest: LoopNest, units: Units, operands: Operands) -> np.ndarray:
    """Return the layer's output, looked up plane by plane."""
    conv, view = nest.conv, operands.view
    x, w = operands.conv_arrays()
    for operand, numbers in ((operands.input, x), (operands.weight, w)):
        tensor = operand.tensor
        terms.check_fit(numbers, operand.bits, tensor.signed, f"layer '{view.name}': tensor '{tensor.name}'")
    planes = terms.planes(w, operands.weight.bits, view.weight.signed)
    top, left, bottom, right = conv.pad
    x = np.ascontiguousarray(np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right))))
    coded = np.ascontiguousarray(np.stack(planes))
    out = np.zeros((conv.n, conv.k, conv.e, conv.f), dtype=np.int64)
    for span in nest.spans():
        walk_tile(units, span, _shape(nest), True, x, coded, out)
    return from_conv_output(view, out)


def _shape(nest: LoopNest) -> tuple[int, ...]:
    conv = nest.conv
    return (conv.c // conv.groups, conv.k // conv.groups, conv.r, conv.s, *conv.stride, *conv.dilation)
