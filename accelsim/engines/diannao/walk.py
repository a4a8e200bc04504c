"""Feeds the kernel: tiles in the order of the schedule."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.engines.diannao.cost import TileCost
from accelsim.engines.diannao.kernel import walk_tile
from accelsim.mapping.loopnest import LoopNest, Tile
from accelsim.operands.handle import Operands, from_conv_output


def walk(nest: LoopNest, params: Any) -> dict[Tile, TileCost]:
    """Return the counts of each distinct tile."""
    nothing = np.zeros((1, 1, 1, 1), dtype=np.int64)
    unit, costs = (params.outputs, params.inputs), {}
    for tile in nest.tiles():
        span = (0, tile.groups, 0, tile.n, 0, tile.e, 0, tile.f, 0, tile.k, 0, tile.c)
        counts = walk_tile(unit, span, _shape(nest), False, nothing, nothing, nothing)
        costs[tile] = TileCost(*counts.tolist())
    return costs


def values(nest: LoopNest, params: Any, operands: Operands) -> np.ndarray:
    """Return the layer's output, added up tile by tile."""
    conv = nest.conv
    x, w = operands.conv_arrays()
    top, left, bottom, right = conv.pad
    x = np.ascontiguousarray(np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right))))
    out = np.zeros((conv.n, conv.k, conv.e, conv.f), dtype=np.int64)
    for span in nest.spans():
        walk_tile((params.outputs, params.inputs), span, _shape(nest), True, x, np.ascontiguousarray(w), out)
    return from_conv_output(operands.view, out)


def _shape(nest: LoopNest) -> tuple[int, ...]:
    conv = nest.conv
    return (conv.c // conv.groups, conv.k // conv.groups, conv.r, conv.s, *conv.stride, *conv.dilation)
