"""Feeds the kernel of a tile: each distinct tile once for its counts, or all with values, as scheduled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from accelsim.mapping.loopnest import TILE, LoopNest
from accelsim.operands.handle import from_conv_output
from accelsim.workload.layers import LayerView

TileWalk: TypeAlias = Callable[..., np.ndarray]
"""(span, shape, with values, x, w, out) -> the counts of a tile.

span: first index and extent of groups, n, e, f, k, c. shape: channels and filters of a group, filter rows and columns,
stride and dilation in rows and columns. x: padded input, shape (..., n, c, h, w). out: shape (n, k, e, f), added to.
"""


def counts(nest: LoopNest, walk: TileWalk, axes: tuple[int, int]) -> np.ndarray:
    """Return the counts of each step's tile, each distinct one walked without values; ``axes`` are those of x and w."""
    x, w, out = (np.zeros((1,) * number, dtype=np.int64) for number in (*axes, 4))
    tiles, place = np.unique(nest.steps[:, TILE], axis=0, return_inverse=True)
    spans = ([number for extent in tile for number in (0, extent)] for tile in tiles.tolist())
    return np.array([walk(tuple(span), shape_of(nest), False, x, w, out) for span in spans])[place.ravel()]


def values(nest: LoopNest, walk: TileWalk, view: LayerView, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return the layer's output, added up tile by tile."""
    conv = nest.conv
    x, w = padded(nest, x), np.ascontiguousarray(w)
    out = np.zeros((conv.n, conv.k, conv.e, conv.f), dtype=np.int64)
    for span in nest.spans():
        walk(span, shape_of(nest), True, x, w, out)
    return from_conv_output(view, out)


def padded(nest: LoopNest, x: np.ndarray) -> np.ndarray:
    """Return the input with zeros around its last two axes."""
    top, left, bottom, right = nest.conv.pad
    around = ((0, 0),) * (x.ndim - 2) + ((top, bottom), (left, right))
    return np.ascontiguousarray(np.pad(x, around))


def shape_of(nest: LoopNest) -> tuple[int, ...]:
    """Return the ``shape`` of `TileWalk`."""
    conv = nest.conv
    return (conv.c // conv.groups, conv.k // conv.groups, conv.r, conv.s, *conv.stride, *conv.dilation)
