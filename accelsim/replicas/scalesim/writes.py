"""When the array writes its outputs, and the OFMAP buffer it writes them to.

Source: SCALE-Sim 3.0.0, ``systolic_compute_{os,ws,is}.py`` and ``write_buffer.py``.
"""

from __future__ import annotations

from typing import NamedTuple

from accelsim.config.scalesim.config import Config

from .layer import Folds


class Writes(NamedTuple):
    """When the array writes, fold by fold, and the OFMAP buffer in words.

    In a fold, port j < ``used`` writes from line ``start + j`` for ``length`` lines; ``last_*`` hold in the
    last row fold (start, length) and the last column fold (used).
    """

    row_folds: int
    col_folds: int
    fold_lines: int
    start: int
    last_start: int
    length: int
    last_length: int
    used: int
    last_used: int
    words_per_cycle: int
    capacity: int
    drain: int

    @property
    def last_line(self) -> int:
        """The last line with a write."""
        before = (self.row_folds * self.col_folds - 1) * self.fold_lines
        return before + self.last_start + self.last_length - 1 + self.last_used - 1


def write_plan(config: Config, folds: Folds) -> Writes:
    """Return when ``folds`` write. In os the bottom row leaves first: a partly filled fold starts late."""
    last_used = folds.sc - (folds.col_folds - 1) * config.cols
    used = config.cols if folds.col_folds > 1 else last_used
    if config.dataflow == "os":
        last_length = folds.sr - (folds.row_folds - 1) * config.rows
        length = config.rows if folds.row_folds > 1 else last_length
        start = folds.time - 1 + config.rows - length
        last_start = folds.time - 1 + config.rows - last_length
    else:
        start = last_start = 2 * config.rows - 1
        length = last_length = folds.time
    words = config.ofmap_words_per_cycle if config.user_bandwidth else config.cols
    total = 1024 * config.ofmap_kib
    shape = (folds.row_folds, folds.col_folds, folds.fold_lines)
    return Writes(*shape, start, last_start, length, last_length, used, last_used, words, total, total - -(-total // 2))
