"""Where demand begins and ends, and which line asks for a word: the questions that take single folds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .operands import Ints, Ints32, Operand, Order

CHUNK_WORDS = 2**15
"""About as many words are written out at a time: they stay in a core's own cache."""


class Demand(NamedTuple):
    """An operand, the order in which it is asked for, and buffers for a chunk of lines."""

    operand: Operand
    order: Order
    words: Ints32
    ends: Ints

    @property
    def folds(self) -> int:
        """The number of folds."""
        return self.order.row_folds * self.order.col_folds

    def line_counts(self, fold: int) -> Iterator[Ints]:
        """Yield the words asked for in the lines of ``fold``, from its lead on, by chunks of lines."""
        from .demand_kernel import fold_words

        row_fold, col_fold, begin = fold % self.order.row_folds, fold // self.order.row_folds, 0
        where = (self.operand, self.order, row_fold, col_fold)
        while lines := fold_words(*where, begin, self.words, self.ends):
            yield np.diff(self.ends[:lines], prepend=0)
            begin += lines

    def first_line(self) -> int:
        """Return the first line that asks for a word, -1 if none does."""
        for fold in range(self.folds):
            busy = self._busy_lines(fold)
            if busy.size:
                return self._line(fold, int(busy[0]))
        return -1

    def last_line(self) -> int:
        """Return the last line that asks for a word, -1 if none does."""
        for fold in range(self.folds - 1, -1, -1):
            busy = self._busy_lines(fold)
            if busy.size:
                return self._line(fold, int(busy[-1]))
        return -1

    def line_of_word(self, fold: int, number: int) -> int:
        """Return the line that asks for word ``number`` (from 0) of ``fold``."""
        counts = np.concatenate(list(self.line_counts(fold)))
        return self._line(fold, int(np.searchsorted(np.cumsum(counts), number, side="right")))

    def _busy_lines(self, fold: int) -> Ints:
        return np.flatnonzero(np.concatenate(list(self.line_counts(fold))))

    def _line(self, fold: int, line: int) -> int:
        return fold * self.order.fold_lines + self.order.lead + line


def demand(operand: Operand, order: Order) -> Demand:
    """Return the demand for ``operand`` in ``order``, with its buffers."""
    width = min(operand.width, operand.ports.size)
    if order.block:
        width = 2 * order.depth * (order.block // 2)
    lines = max(1, CHUNK_WORDS // width)
    return Demand(operand, order, np.empty(lines * width, np.int32), np.empty(lines, np.int64))
