"""Closed forms for what the array does: cycles, utilisations, SRAM accesses and the lines they span.

Source: SCALE-Sim 3.0.0, ``systolic_compute_{os,ws,is}.py`` and ``single_layer_sim.py``. Nothing here walks
the layer or counts DRAM words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.config.scalesim.config import Config
from accelsim.errors import WorkloadError

from .layer import Folds, Layer
from .sparse import Pruned

Floats = NDArray[np.float64]

MAX_FOLDS = 2**24
"""SCALE-Sim averages utilisation over a list of folds; longer lists are refused."""


@dataclass(frozen=True, slots=True)
class Compute:
    """What SCALE-Sim's compute and SRAM columns hold before any stall.

    ``lines`` is the number of cycles; SCALE-Sim reports the index of the last one. Reads are counted in
    words; ``ifmap_reads`` is a float in sparse ws, where SCALE-Sim multiplies by M/N.
    """

    lines: int
    mapping_efficiency: float
    compute_utilization: float
    ifmap_reads: int | float
    filter_reads: int
    ofmap_writes: int


def compute(config: Config, layer: Layer, folds: Folds, pruned: Pruned | None) -> Compute:
    """Return the closed forms of one layer.

    Raises
    ------
    WorkloadError
        A layer of a single cycle (SCALE-Sim divides by its 0) or of too many folds.
    """
    if folds.lines < 2:
        raise WorkloadError("a layer of one cycle: SCALE-Sim divides by zero", "use a larger layer or array")
    if folds.count > MAX_FOLDS:
        problem = f"{folds.count} folds, more than {MAX_FOLDS}"
        raise WorkloadError(problem, "use a larger array")
    reads = _reads(config, layer, folds, pruned)
    return Compute(folds.lines, _mapping(config, folds, pruned), _utilization(config, folds), *reads)


def _reads(config: Config, layer: Layer, folds: Folds, pruned: Pruned | None) -> tuple[int | float, int, int]:
    m, n, rows, cols = layer.pixels, layer.filters, config.rows, config.cols
    weights = folds.filter_window * n
    if config.dataflow == "os":
        # SCALE-Sim adds rows + columns to the writes of every fold
        writes = m * n + folds.count * (rows + cols)
        return m * folds.ifmap_window * folds.col_folds, weights * folds.row_folds, writes
    writes = m * n * folds.row_folds
    if config.dataflow == "is":
        return m * folds.ifmap_window, weights * folds.col_folds, writes
    if pruned is None:
        return m * folds.ifmap_window * folds.col_folds, weights, writes
    if pruned.row_wise:
        words = 2 * rows * (pruned.block // 2)  # a line holds each block B/2 times, absent words counted
        return folds.count * (m + rows - 1) * words, weights, writes
    n_kept, of_m = layer.n_of_m
    width = np.full(folds.row_folds, min(rows, folds.ifmap_window), np.int64)
    width[-1] = min(rows, folds.ifmap_window - (folds.row_folds - 1) * rows)
    per_fold = (width * m).astype(np.float64) * (of_m / n_kept)
    return _sequential_sum(per_fold, per_fold, folds.col_folds), weights, writes


def _used(extent: int, size: int, folds: int) -> list[int]:
    """Return the rows (or columns) in use in a full fold and in the last one."""
    return [min(extent, size), extent - (folds - 1) * size]


def _per_fold(values: list[float], row_folds: int) -> Floats:
    """Return one column of folds: ``values`` are those of a full row fold and of the last."""
    column = np.full(row_folds, values[0])
    column[-1] = values[1]
    return column


def _mapping(config: Config, folds: Folds, pruned: Pruned | None) -> float:
    size = config.rows * config.cols
    if config.dataflow == "ws" and pruned is not None and pruned.row_wise and pruned.table is not None:
        filled = pruned.table != -1
        by_row = np.add.reduceat(filled, range(0, filled.shape[0], config.rows), axis=0, dtype=np.int64)
        counts = np.add.reduceat(by_row, range(0, filled.shape[1], config.cols), axis=1)
        total = _last_of_running_sum((counts / size).T.ravel())
        return total / folds.count
    rows = _used(folds.sr, config.rows, folds.row_folds)
    cols = _used(folds.sc, config.cols, folds.col_folds)
    full, last = ([r * c / size for r in rows] for c in cols)
    total = _sequential_sum(_per_fold(full, folds.row_folds), _per_fold(last, folds.row_folds), folds.col_folds)
    return total / folds.count


def _utilization(config: Config, folds: Folds) -> float:
    """MACs over array x cycles, averaged over folds; ws and is count the drain of C-1 cycles twice."""
    cycles = folds.fold_lines + (0 if config.dataflow == "os" else config.cols - 1)
    size = config.rows * config.cols * cycles
    rows = _used(folds.sr, config.rows, folds.row_folds)
    cols = _used(folds.sc, config.cols, folds.col_folds)
    full, last = ([r * c * folds.time / size for r in rows] for c in cols)
    total = _sequential_sum(_per_fold(full, folds.row_folds), _per_fold(last, folds.row_folds), folds.col_folds)
    return total / folds.count


def _sequential_sum(column: Floats, last: Floats, col_folds: int) -> float:
    """Add ``col_folds - 1`` times ``column``, then ``last``, one value after the other.

    SCALE-Sim sums a list with Python's ``sum``; up to Python 3.11 that rounds after every addition, as here.
    """
    return _last_of_running_sum(np.concatenate([np.tile(column, col_folds - 1), last]))


def _last_of_running_sum(values: Floats) -> float:
    return float(np.add.accumulate(values)[-1])
