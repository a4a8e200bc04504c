"""The shape of a layer in SCALE-Sim's terms, and how it folds onto the array.

Glossary (SCALE-Sim's names): M output pixels, N filters, K window size (filter height x width x channels); Sr
and Sc the extents mapped onto array rows and columns, T the one streamed in time; a *fold* is one residence
of a tile in the array.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from accelsim.config.scalesim.config import Config
from accelsim.errors import WorkloadError
from accelsim.workload.scalesim.topology import Topology, TopologyRow

MAX_LAYERS = 1_000_000
MAX_MACS = 2**62


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as SCALE-Sim simulates it: no padding, no groups, batch 1. Equal layers report alike."""

    ifmap_h: int
    ifmap_w: int
    filter_h: int
    filter_w: int
    channels: int
    filters: int
    stride_h: int
    stride_w: int
    n_of_m: tuple[int, int] = (1, 1)

    @property
    def out_h(self) -> int:
        """Output rows, rounded up."""
        return -(-(self.ifmap_h - self.filter_h + self.stride_h) // self.stride_h)

    @property
    def out_w(self) -> int:
        """Output columns, rounded up."""
        return -(-(self.ifmap_w - self.filter_w + self.stride_w) // self.stride_w)

    @property
    def pixels(self) -> int:
        """M: output pixels."""
        return self.out_h * self.out_w

    @property
    def window(self) -> int:
        """K: weights of a filter."""
        return self.filter_h * self.filter_w * self.channels

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates, windows outside the ifmap included."""
        return self.pixels * self.window * self.filters

    @property
    def overlaps(self) -> bool:
        """Whether two windows share a word."""
        tall = self.filter_h > self.stride_h and self.out_h > 1
        return tall or (self.filter_w > self.stride_w and self.out_w > 1)

    @property
    def inside(self) -> bool:
        """Whether every window lies inside the ifmap."""
        tall = (self.out_h - 1) * self.stride_h + self.filter_h <= self.ifmap_h
        return tall and (self.out_w - 1) * self.stride_w + self.filter_w <= self.ifmap_w


@dataclass(frozen=True, slots=True)
class Folds:
    """How a layer folds: ``row_folds`` x ``col_folds`` folds of ``fold_lines`` cycles, row folds innermost.

    ``ifmap_window`` and ``filter_window`` are K as the two operands have it: shorter than the layer's when
    sparse, and then not always equal (row-wise sparsity streams the whole ifmap).
    """

    sr: int
    sc: int
    time: int
    row_folds: int
    col_folds: int
    fold_lines: int
    ifmap_window: int
    filter_window: int

    @property
    def count(self) -> int:
        """F: the number of folds."""
        return self.row_folds * self.col_folds

    @property
    def lines(self) -> int:
        """Cycles without stalls, one more than SCALE-Sim's Total Cycles."""
        return self.count * self.fold_lines


def layers(topology: Topology) -> Iterator[Layer]:
    """Yield the layers SCALE-Sim makes of ``topology``: a 'DP' row becomes one layer per channel.

    Raises
    ------
    WorkloadError
        Too many layers, or a layer too large to count in 64 bits.
    """
    total = sum(row.channels if row.depthwise == "expanded" else 1 for row in topology.rows)
    if total > MAX_LAYERS:
        problem = f"{total} layers once 'DP' rows are expanded"
        raise WorkloadError(problem, f"use at most {MAX_LAYERS}", file=topology.file)
    for row in topology.rows:
        expanded = row.depthwise == "expanded"
        layer = _layer(row, 1 if expanded else row.channels)
        if layer.macs > MAX_MACS or row.ifmap_h * row.ifmap_w * row.channels > MAX_MACS:
            problem = f"layer {row.name!r} is too large to count in 64 bits"
            raise WorkloadError(problem, "split it", file=topology.file, line=row.line)
        for _ in range(row.channels if expanded else 1):
            yield layer


def _layer(row: TopologyRow, channels: int) -> Layer:
    size = (row.ifmap_h, row.ifmap_w, row.filter_h, row.filter_w)
    return Layer(*size, channels, row.filters, row.stride_h, row.stride_w, row.n_of_m)


def fold(config: Config, layer: Layer, ifmap_window: int, filter_window: int) -> Folds:
    """Fold ``layer`` onto the array (SCALE-Sim 3.0.0, ``systolic_compute_{os,ws,is}.py``).

    The windows are K, or what sparsity leaves of it. Every fold costs the lines of a full one.
    """
    rows, cols, m, n = config.rows, config.cols, layer.pixels, layer.filters
    if config.dataflow == "os":
        sr, sc, time, lines = m, n, filter_window, filter_window + rows + cols - 2
    elif config.dataflow == "ws":
        sr, sc, time, lines = filter_window, n, m, m + 2 * rows + cols - 2
    else:
        sr, sc, time, lines = filter_window, m, n, n + 2 * rows + cols - 2
    return Folds(sr, sc, time, -(-sr // rows), -(-sc // cols), lines, ifmap_window, filter_window)
