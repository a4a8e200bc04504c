"""Feeds the kernel: operands as terms, tiles in the order of the schedule."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from accelsim.engines.bitserial.grid import SHIFT, WIDTH, lane_taps
from accelsim.engines.bitserial.kernel import walk_tile
from accelsim.engines.bitserial.params import Params
from accelsim.operands import terms
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.tiled.base import TiledPlan
from accelsim.tiled.walk import padded, shape_of


class Coding(NamedTuple):
    """How operands enter a lane: in one piece or term by term, and recoded how.

    Attributes
    ----------
    recoding : str
        Key of `terms.RECODINGS`, or ``planes`` for two's complement bits.
    """

    x_whole: bool
    w_whole: bool
    recoding: str


def coding_of(params: Params) -> Coding:
    """Return how operands enter a machine's lanes."""
    planes = params.machine in ("dadiannao", "stripes", "loom")
    return Coding(
        x_whole=params.machine == "dadiannao",
        w_whole=params.machine in ("dadiannao", "stripes", "pragmatic"),
        recoding="planes" if planes else params.recoding,
    )


def fixed_tile(plan: TiledPlan, *tile: Any) -> np.ndarray:
    """Walk a tile whose steps do not depend on operands; ``tile`` is what `tiled.walk.TileWalk` takes."""
    span, shape, with_values, x, w, out = tile
    coding, marks = coding_of(plan.params), np.zeros((1, 1, 1, 1), dtype=np.int32)
    lanes = lane_taps(plan.nest.conv, plan.unit.lanes, plan.params.space_to_depth)
    counts: np.ndarray = walk_tile(
        plan.unit, span, shape, lanes, False, with_values, coding[:2], marks, marks, x, w, out
    )  # fmt: skip
    return counts


def over_operands(
    plan: TiledPlan, operands: Operands, with_values: bool
) -> tuple[list[tuple[int, ...]], np.ndarray | None]:
    """Walk every tile over the operands; return its counts in the order of the schedule, and the layer's output."""
    nest, grid, coding, view = plan.nest, plan.unit, coding_of(plan.params), operands.view
    conv, (x, w) = nest.conv, operands.conv_arrays()
    terms.check_operands(operands, x, w)
    x_marks, w_marks = (
        _looked_up(numbers, partial(_marks, signed=tensor.signed, recoding=coding.recoding, mode=grid.mode))
        for numbers, tensor in ((padded(nest, x), view.input), (w, view.weight))
    )
    x_terms = w_terms = np.zeros((2, 1, 1, 1, 1), dtype=np.int64)
    if with_values:
        x_terms, w_terms = coded(plan.params, operands)
        x_terms = padded(nest, x_terms)
    lanes, marks, masks = (
        lane_taps(conv, grid.lanes, plan.params.space_to_depth),
        (x_marks, w_marks),
        (x_terms, w_terms),
    )
    out = np.zeros((conv.n, conv.k, conv.e, conv.f), dtype=np.int64)
    counts: list[tuple[int, ...]] = []
    for span in nest.spans():
        row = walk_tile(grid, span, shape_of(nest), lanes, True, with_values, coding[:2], *marks, *masks, out)
        counts.append(tuple(row.tolist()))
    return counts, from_conv_output(view, out) if with_values else None


def coded(params: Params, operands: Operands) -> tuple[np.ndarray, np.ndarray]:
    """Return the masks of input and weights that add and that subtract."""
    x, w = operands.conv_arrays()
    terms.check_operands(operands, x, w)
    view, recoding = operands.view, coding_of(params).recoding
    return (
        _terms(x, operands.input.bits, view.input.signed, recoding),
        _terms(w, operands.weight.bits, view.weight.signed, recoding),
    )


def _terms(values: np.ndarray, bits: int, signed: bool, recoding: str) -> np.ndarray:
    """Return the masks of each operand that add and that subtract."""
    coded = terms.planes(values, bits, signed) if recoding == "planes" else terms.RECODINGS[recoding](values)
    return np.ascontiguousarray(np.stack(coded))


def _marks(values: np.ndarray, signed: bool, recoding: str, mode: int) -> np.ndarray:
    """Return what decides a step, of each operand; 0 of zeros alone."""
    if mode == WIDTH:
        return np.where(values == 0, 0, terms.needed_widths(values, signed))
    coded = terms.RECODINGS[recoding](values)
    return coded.mask if mode == SHIFT else coded.counts


def _looked_up(values: np.ndarray, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return ``of(values)`` as int32, through a table of all numbers between the extremes, if there are few."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if high - low > 1 << 17:
        return of(values).astype(np.int32)
    table: np.ndarray = of(np.arange(low, high + 1, dtype=np.int64)).astype(np.int32)
    return np.ascontiguousarray(table[values - low])
