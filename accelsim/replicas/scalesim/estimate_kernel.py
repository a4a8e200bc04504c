"""SCALE-Sim's CALC mode read buffer: a set of words that is emptied at once when half the buffer is full."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

from .demand_kernel import fold_words
from .operands import Ints, Ints32, Operand, Order


@kernel
def estimate_folds(
    op: Operand, order: Order, capacity: int, left: int, begin: int, end: int, words: Ints32, ends: Ints
) -> tuple[int, int, int, int]:
    """Count what misses in the folds ``begin`` to ``end``, in a set that already holds ``left`` other words.

    A fold whose tile was read in full since the set was last emptied hits with every word and is passed over.

    Returns
    -------
    emptied, left, last_line, twice : int
        How often the set was emptied, the words in it at the end, the line of the last time (-1: never) and
        whether one line emptied it twice.
    """
    seen = np.zeros(op.footprint, np.int32)
    walked = np.full(max(order.row_folds, order.col_folds), -1, np.int64)  # tile -> the last fold with it
    emptied, last_line, twice, clean = 0, -1, 0, begin
    for f in range(begin, end):
        fr, fc = f % order.row_folds, f // order.row_folds
        tile = fc if order.by_column else fr
        if order.stationary or walked[tile] < clean:
            done = 0
            lines = fold_words(op, order, fr, fc, done, words, ends)
            while lines > 0:
                more, left, line, again = fill(words, ends[:lines], seen, emptied, left, capacity)
                if more > 0:
                    twice |= again
                    last_line = f * order.fold_lines + order.lead + done + line
                    emptied += more
                    clean = f + 1
                done += lines
                lines = fold_words(op, order, fr, fc, done, words, ends)
        walked[tile] = f
    return emptied, left, last_line, twice


@kernel
def fill(words: Ints32, ends: Ints, seen: Ints32, emptied: int, left: int, capacity: int) -> tuple[int, int, int, int]:
    """Ask for the words of some lines; return how often the set was emptied, its size, line and twice."""
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
