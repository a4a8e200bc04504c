"""SCALE-Sim's CALC mode read buffer: a set of words that is emptied at once when half the buffer is full.

Two things are passed over, both exactly. A fold whose tile has been read in full since the set was last
emptied hits with every word. Where all words differ and half a buffer holds no more than what repeats, every
word misses.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

from .demand_kernel import fold_buffers, fold_words
from .operands import Ints, Ints32, Operand, Order


@kernel
def estimate_reads(op: Operand, order: Order, capacity: int) -> tuple[int, int, int, int]:
    """Count what misses when the set holds ``capacity`` words.

    Returns
    -------
    emptied, left, last_line, twice : int
        How often the set was emptied, the words in it at the end, the line of the last time (-1: never) and
        whether one line emptied it twice (SCALE-Sim then divides by zero).
    """
    repeats = op.times.size * op.ports.size >= capacity and not order.by_column
    if op.distinct and op.width <= capacity and (order.stationary or repeats):
        return all_miss(op, order, capacity)
    words, ends = fold_buffers(op, order)
    seen = np.zeros(op.footprint, np.int32)
    walked = np.full(max(order.row_folds, order.col_folds), -1, np.int64)  # tile -> the last fold with it
    emptied, left, last_line, twice, clean = 0, 0, -1, 0, 0
    f = 0
    while f < order.row_folds * order.col_folds:
        fr, fc = f % order.row_folds, f // order.row_folds
        tile = fc if order.by_column else fr
        tile_words = op.times.size * min(op.width, op.ports.size - tile * op.width)
        if op.distinct and order.by_column and op.width <= capacity <= tile_words:
            left += tile_words * order.row_folds
            if left >= capacity:
                at = tile_words * order.row_folds - left % capacity - 1  # the word that emptied it last
                last_line = line_of_word(op, order, f + at // tile_words, at % tile_words)
                emptied += left // capacity
                left %= capacity
            f += order.row_folds
            clean = f
            continue
        if order.stationary or walked[tile] < clean:
            lines = fold_words(op, order, fr, fc, words, ends)
            first = f * order.fold_lines + order.lead
            more, left, line, again = fill(words, ends[:lines], seen, emptied, left, capacity)
            if more > 0:
                twice |= again
                last_line = first + line
                emptied += more
                clean = f + 1
        walked[tile] = f
        f += 1
    return emptied, left, last_line, twice


@kernel
def fill(words: Ints32, ends: Ints, seen: Ints32, emptied: int, left: int, capacity: int) -> tuple[int, int, int, int]:
    """Ask for the words of one fold; return how often the set was emptied, its size, the line, and twice."""
    mark, line_before, twice, begin = emptied + 1, -1, 0, 0
    for line in range(ends.size):
        end = ends[line]
        if left + end - begin < capacity:
            for q in range(begin, end):
                left += seen[words[q]] != mark
                seen[words[q]] = mark
        else:
            for q in range(begin, end):
                left += seen[words[q]] != mark
                seen[words[q]] = mark
                if left == capacity:
                    left = 0
                    mark += 1
                    twice |= line_before == line
                    line_before = line
        begin = end
    return mark - emptied - 1, left, line_before, twice


@kernel
def all_miss(op: Operand, order: Order, capacity: int) -> tuple[int, int, int, int]:
    """Return what :func:`estimate_reads` does where no word is ever read twice between two emptyings."""
    once = op.times.size * op.ports.size
    total = once if order.stationary else once * order.col_folds
    if total < capacity:
        return 0, total, -1, 0
    at = total - total % capacity - 1
    if order.stationary:
        column = at // (op.times.size * op.width)
        used = min(op.width, op.ports.size - column * op.width)
        at -= column * op.times.size * op.width
        row_fold, at = at // (order.depth * used), at % (order.depth * used)
        line = line_of_word(op, order, column * order.row_folds + row_fold, at)
    else:
        rounds, at = at // once, at % once
        tile = at // (op.times.size * op.width)
        line = line_of_word(op, order, rounds * order.row_folds + tile, at - tile * op.times.size * op.width)
    return total // capacity, total % capacity, line, 0


@kernel
def line_of_word(op: Operand, order: Order, f: int, number: int) -> int:
    """Return the line that asks for word ``number`` (from 0) of fold ``f``."""
    words, ends = fold_buffers(op, order)
    lines = fold_words(op, order, f % order.row_folds, f // order.row_folds, words, ends)
    line = np.searchsorted(ends[:lines], number, side="right")
    return f * order.fold_lines + order.lead + int(line)
