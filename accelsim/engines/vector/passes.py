"""Rows that are too long for the scratchpad: each passes through it three times, piece by piece.

====== ======================================= ==================================================
pass   softmax, per element                    layer normalisation, per element
====== ======================================= ==================================================
1      compare                                 add
2      subtract, exp, add                      subtract, square, add
3      subtract, exp, quotient; stored         subtract, scale, gain, shift; stored
====== ======================================= ==================================================

The lanes keep their partial results from piece to piece; the last piece of the first two passes combines them. Nothing
else stays: exponentials and differences are computed anew in the third pass, gains and shifts are fetched with it.
"""

from __future__ import annotations

from typing import NamedTuple

from accelsim.activity import Loop, Transfer
from accelsim.activity import Step as TileStep
from accelsim.engines.vector.program import Counts, Pace, Program, Tree
from accelsim.engines.vector.tiles import Work
from accelsim.units import ceil_div

TURNS = 3


class Piece(NamedTuple):
    """Part of a row in one pass: number of the pass from 0, elements, whether it ends the row."""

    turn: int
    size: int
    last: bool


def size(w: Work, buffer_bits: int, lanes: int) -> int:
    """Return the most elements of a piece, whole groups of lanes; 0 if whole rows fit, or not even a group does."""
    if not w.program.length or w.resident_bits + 2 * w.tile_bits(w.tile(0, 1, 1)) <= buffer_bits:
        return 0
    return min(w.program.length, buffer_bits // (2 * bits(w, 1) * lanes) * lanes)


def bits(w: Work, elements: int) -> int:
    """Return what a piece takes at most in the scratchpad, that of the last pass."""
    return elements * (sum(s.bits for s in w.streams) + w.output_bits)


def row(w: Work, piece: int) -> list[tuple[int, Piece]]:
    """Return the pieces of a row in order, with how often each comes in a row."""
    whole = ceil_div(w.program.length, piece) - 1
    rest = w.program.length - whole * piece
    parts = [(whole, piece, False), (1, rest, True)]
    return [(times, Piece(turn, some, last)) for turn in range(TURNS) for times, some, last in parts if times]


def cost(w: Work, piece: Piece, lanes: int, special: int, latency: int) -> Counts:
    """Return the cost of a piece in closed form."""
    length, turn = w.program.length, w.program.turns[piece.turn]
    program = Program((), turn.per_element, True, length=length, trees=turn.trees, scalars=turn.scalars)
    pace = Pace.of(program, Tree.of(lanes, length), lanes, special, latency)
    return pace.cost(piece.size, 0, int(piece.last), ceil_div(piece.size, lanes))


def schedule(w: Work, piece: int, cycles: dict[Piece, int]) -> tuple[TileStep | Loop, ...]:
    """Return the pieces of all rows as steps of the memory timeline."""
    body: list[TileStep | Loop] = []
    for count, part in row(w, piece):
        ends = part.turn == TURNS - 1
        loads = tuple(Transfer(s.tensor, "read", part.size * s.bits) for s in w.streams if s.tensor == "input" or ends)
        stores = (Transfer("output", "write", part.size * w.output_bits),) if ends else ()
        step = TileStep(loads, cycles[part], stores)
        body.append(step if count == 1 else Loop(count, (step,)))
    return tuple(body) if w.rows == 1 else (Loop(w.rows, tuple(body)),)
