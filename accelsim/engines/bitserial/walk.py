"""Feeds the kernel: operands as terms, tiles in the order of the schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np

from accelsim.engines.bitserial.grid import FIXED, SHIFT, WIDTH, Counts, Grid
from accelsim.engines.bitserial.kernel import walk_tile
from accelsim.mapping.loopnest import AXES, LoopNest, Tile
from accelsim.operands import terms
from accelsim.operands.handle import Operands, from_conv_output

Costs = dict[Tile, Counts]


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


def walk_static(nest: LoopNest, grid: Grid, lanes: np.ndarray) -> Costs:
    """Return the counts of each distinct tile, whose steps do not depend on operands."""
    terms_, marks = np.zeros((2, 1, 1, 1, 1), dtype=np.int64), np.zeros((1, 1, 1, 1), dtype=np.int32)
    costs: Costs = {}
    fixed = grid._replace(mode=FIXED)
    for tile in nest.tiles():
        span = (0, tile.groups, 0, tile.n, 0, tile.e, 0, tile.f, 0, tile.k)
        none = (marks, marks, terms_, terms_, terms_[0])
        counts = walk_tile(fixed, span, _shape(nest), lanes, False, False, (True, True), *none)
        costs[tile] = Counts(*counts.tolist())
    return costs


def walk_data(
    nest: LoopNest, grid: Grid, lanes: np.ndarray, coding: Coding, operands: Operands, with_values: bool
) -> tuple[list[Counts], np.ndarray | None]:
    """Walk every tile over the operands; return its counts in the order of the schedule, and the layer's output."""
    conv = nest.conv
    x, w = operands.conv_arrays()
    view = operands.view
    top, left, bottom, right = conv.pad
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    for operand, numbers in ((operands.input, x), (operands.weight, w)):
        tensor = operand.tensor
        terms.check_fit(numbers, operand.bits, tensor.signed, f"layer '{view.name}': tensor '{tensor.name}'")
    x_marks, w_marks = (
        _looked_up(numbers, partial(_marks, signed=tensor.signed, recoding=coding.recoding, mode=grid.mode))
        for numbers, tensor in ((x, view.input), (w, view.weight))
    )
    x_terms, w_terms = np.zeros((2, 1, 1, 1, 1), dtype=np.int64), np.zeros((2, 1, 1, 1, 1), dtype=np.int64)
    if with_values:
        x_terms = _terms(x, operands.input.bits, view.input.signed, coding.recoding)
        w_terms = _terms(w, operands.weight.bits, view.weight.signed, coding.recoding)
    out = np.zeros((conv.n, conv.k, conv.e, conv.f), dtype=np.int64)
    counts = []
    for span in spans(nest):
        row = walk_tile(
            grid, span, _shape(nest), lanes, grid.mode != FIXED, with_values, (coding.x_whole, coding.w_whole),
            x_marks, w_marks, x_terms, w_terms, out,
        )  # fmt: skip
        counts.append(Counts(*row.tolist()))
    return counts, from_conv_output(view, out) if with_values else None


def _terms(values: np.ndarray, bits: int, signed: bool, recoding: str) -> np.ndarray:
    """Return the masks of each operand that add and that subtract."""
    coded = terms.planes(values, bits, signed) if recoding == "planes" else terms.RECODINGS[recoding](values)
    return np.ascontiguousarray(np.stack(coded))


def _marks(values: np.ndarray, signed: bool, recoding: str, mode: int) -> np.ndarray:
    """Return what decides a step, of each operand; 0 of zeros alone."""
    if mode == FIXED:
        return values
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


def _shape(nest: LoopNest) -> tuple[int, ...]:
    conv = nest.conv
    return (conv.c // conv.groups, conv.k // conv.groups, conv.r, conv.s, *conv.stride, *conv.dilation)


def spans(nest: LoopNest) -> Iterator[tuple[int, ...]]:
    """Yield first index and extent of groups, n, e, f and k of every tile, in the order of the schedule."""
    axes = ["groups", *(axis for loop in nest.tiling.order for axis in AXES[loop])]
    conv = nest.conv
    sizes = {"groups": conv.groups, "n": conv.n, "e": conv.e, "f": conv.f, "k": conv.k // conv.groups, "c": 1}
    cuts = []
    for axis in axes:
        size, tile = sizes[axis], getattr(nest.tiling, axis)
        cuts.append([(start, min(tile, size - start)) for start in range(0, size, tile)])
    for combination in product(*cuts):
        at = dict(zip(axes, combination, strict=True))
        yield tuple(number for axis in ("groups", "n", "e", "f", "k") for number in at[axis])
