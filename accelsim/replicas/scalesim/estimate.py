"""SCALE-Sim's CALC mode read buffer over a layer: by closed form where every word misses, else by the kernel.

Where the words of an operand all differ and half a buffer holds no more of them than the array asks for
before it repeats itself, no word is ever found again: the buffer is emptied at every so-many-th word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .demand import Demand


class Estimate(NamedTuple):
    """How often half a buffer was filled (``emptied``), the words left over, and the line of the last time.

    ``last_line`` is -1 when it never was; ``twice`` says that one line filled it twice.
    """

    emptied: int = 0
    left: int = 0
    last_line: int = -1
    twice: bool = False


def estimate_reads(asked: Demand, capacity: int) -> Estimate:
    """Count the misses of a layer in a buffer that is emptied when it holds ``capacity`` words."""
    reads, operand, order = _Reads(asked, capacity), asked.operand, asked.order
    size = operand.times.size * operand.ports.size
    if not operand.distinct or operand.width > capacity:
        return reads.walk(Estimate(), 0)
    if order.stationary:
        return reads.all_miss(Estimate(), size, reads.stationary_fold)
    if order.by_column:
        return reads.columns()
    if size < capacity:
        return reads.walk(Estimate(), 0)
    return reads.all_miss(Estimate(), size * order.col_folds, reads.row_fold)


class _Reads(NamedTuple):
    """The reads of one operand, and the two ways of counting them."""

    asked: Demand
    capacity: int

    def walk(self, before: Estimate, first_fold: int) -> Estimate:
        """Count fold by fold from ``first_fold`` on; the words in the buffer ``before`` do not return."""
        from .estimate_kernel import estimate_folds

        asked, folds = self.asked, (first_fold, self.asked.folds)
        found = estimate_folds(asked.operand, asked.order, self.capacity, before.left, *folds, asked.words, asked.ends)
        emptied, left, line, twice = (int(x) for x in found)
        last_line = line if emptied else before.last_line
        return Estimate(before.emptied + emptied, left, last_line, bool(twice))

    def all_miss(self, before: Estimate, total: int, locate: Callable[[int], tuple[int, int]]) -> Estimate:
        """Count ``total`` words that all miss; ``locate`` finds a word's fold and its number there."""
        emptied, left = divmod(before.left + total, self.capacity)
        if not emptied:
            return before._replace(left=left)
        fold, number = locate(total - left - 1)
        line = self.asked.line_of_word(fold, number)
        return Estimate(before.emptied + emptied, left, line, False)

    def columns(self) -> Estimate:
        """Count tiles that repeat for every row fold: all miss if one is larger than half the buffer."""
        operand, row_folds = self.asked.operand, self.asked.order.row_folds
        times, width = operand.times.size, operand.width
        whole, rest = divmod(operand.ports.size, width)
        if whole == 0 or times * width < self.capacity:
            return self.walk(Estimate(), 0)
        tile, tiles = times * width, whole * row_folds
        found = self.all_miss(Estimate(), tile * tiles, lambda n: divmod(n, tile))
        if rest == 0:
            return found
        if times * rest < self.capacity:
            return self.walk(found, tiles)
        last = times * rest
        return self.all_miss(found, last * row_folds, lambda n: (tiles + n // last, n % last))

    def row_fold(self, number: int) -> tuple[int, int]:
        """Locate a word where each round of row folds reads the whole operand."""
        operand = self.asked.operand
        tile = operand.times.size * operand.width
        rounds, number = divmod(number, operand.times.size * operand.ports.size)
        return rounds * self.asked.order.row_folds + number // tile, number % tile

    def stationary_fold(self, number: int) -> tuple[int, int]:
        """Locate a word where each fold loads its own tile."""
        operand, order = self.asked.operand, self.asked.order
        column, number = divmod(number, operand.times.size * operand.width)
        rows = order.depth * min(operand.width, operand.ports.size - column * operand.width)
        return column * order.row_folds + number // rows, number % rows
