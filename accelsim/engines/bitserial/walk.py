"""Feeds the kernel: operands as terms, tiles in the order of the schedule."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from accelsim.engines.bitserial.grid import FIXED, PAIRS, SHIFT, WIDTH, Counts, Grid
from accelsim.engines.bitserial.kernel import walk_tile
from accelsim.mapping.loopnest import AXES, LoopNest, Tile
from accelsim.operands import terms
from accelsim.operands.handle import Operand, Operands, from_conv_output

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
    nothing = np.zeros((3, 1, 1, 1, 1), dtype=np.int64)
    costs: Costs = {}
    for tile in nest.tiles():
        span = (0, tile.groups, 0, tile.n, 0, tile.e, 0, tile.f, 0, tile.k)
        fixed = grid._replace(mode=FIXED)
        counts = walk_tile(
            fixed, span, _shape(nest), lanes, False, False, (True, True), nothing, nothing, nothing[0]
        )  # fmt: skip
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
    code = (coding.recoding, grid.mode, f"layer '{view.name}'")
    x_terms, w_terms = _terms(x, operands.input, *code), _terms(w, operands.weight, *code)
    out = np.zeros((conv.n, conv.k, conv.e, conv.f), dtype=np.int64)
    counts = []
    for span in spans(nest):
        row = walk_tile(
            grid, span, _shape(nest), lanes, grid.mode != FIXED, with_values, (coding.x_whole, coding.w_whole),
            x_terms, w_terms, out,
        )  # fmt: skip
        counts.append(Counts(*row.tolist()))
    return counts, from_conv_output(view, out) if with_values else None


def _terms(values: np.ndarray, operand: Operand, recoding: str, mode: int, layer: str) -> np.ndarray:
    """Return masks and measure of each operand; a pad is a zero like any other."""
    bits, signed = operand.bits, operand.tensor.signed
    terms.check_fit(values, bits, signed, f"{layer}: tensor '{operand.tensor.name}'")
    coded = terms.planes(values, bits, signed) if recoding == "planes" else terms.RECODINGS[recoding](values)
    measure = {
        FIXED: coded.mask,
        WIDTH: terms.needed_widths(values, signed),
        SHIFT: coded.mask,
        PAIRS: coded.counts,
    }[mode]
    return np.ascontiguousarray(np.stack((coded.plus, coded.minus, measure)))


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
