"""Where demand begins and ends, and which line asks for a word: the questions that take single folds."""

from __future__ import annotations

import numpy as np

from .operands import Ints, Ints32, Operand, Order


def buffers(operand: Operand, order: Order) -> tuple[Ints32, Ints]:
    """Return buffers for the words of any fold (int32) and for where each of its lines ends (int64)."""
    times, width = operand.times.size, min(operand.width, operand.ports.size)
    words = (order.depth if order.stationary else times) * width
    if order.block:
        words = times * 2 * order.depth * (order.block // 2)
    return np.empty(words, np.int32), np.empty(times + max(width, order.depth), np.int64)


def line_ends(operand: Operand, order: Order, fold: int, words: Ints32, ends: Ints) -> Ints:
    """Return how many words the lines of ``fold`` have asked for so far, from its lead on (a view)."""
    from .demand_kernel import fold_words

    lines = fold_words(operand, order, fold % order.row_folds, fold // order.row_folds, words, ends)
    return ends[:lines]


def edge_lines(operand: Operand, order: Order, words: Ints32, ends: Ints) -> tuple[int, int]:
    """Return the first and the last line that ask for a word (-1, -1 when none does)."""
    first = last = -1
    for fold in range(order.row_folds * order.col_folds):
        counts = line_ends(operand, order, fold, words, ends)
        if counts[-1]:
            first = line_of(order, fold, int(np.searchsorted(counts, 0, side="right")))
            break
    for fold in range(order.row_folds * order.col_folds - 1, -1, -1):
        counts = line_ends(operand, order, fold, words, ends)
        if counts[-1]:
            last = line_of(order, fold, int(np.searchsorted(counts, counts[-1])))
            break
    return first, last


def line_of(order: Order, fold: int, line: int) -> int:
    """Return the line of the layer that is ``line`` lines after the lead of ``fold``."""
    return fold * order.fold_lines + order.lead + line


def line_of_word(operand: Operand, order: Order, fold: int, number: int, words: Ints32, ends: Ints) -> int:
    """Return the line of the layer that asks for word ``number`` (from 0) of ``fold``."""
    counts = line_ends(operand, order, fold, words, ends)
    return line_of(order, fold, int(np.searchsorted(counts, number, side="right")))
