"""What must be equal between a run of SCALE-Sim's files imported here and SCALE-Sim's own reports.

Equal, layer by layer, where a layer is one tile (half of each scratchpad holds its operand): the products; the words
read from the IFMAP and FILTER scratchpads; the words written to the OFMAP scratchpad, but for the rows + cols that
SCALE-Sim adds per fold in os; and the cycles of computing, but for the rows and columns of the array that a fold leaves
empty: SCALE-Sim lets every fold fill and drain the whole array. SCALE-Sim prints the index of the last cycle, one less
than their number.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from accelsim.config.arch import Arch
from accelsim.config.scalesim.machine import UNLIMITED_GB_PER_S
from accelsim.replicas import scalesim
from accelsim.results import LayerResult

ROOMY_KIB = 1 << 14
"""Scratchpads that hold any layer here whole: SCALE-Sim's compute and SRAM columns do not depend on their sizes."""


class Counts(NamedTuple):
    """Products, cycles without stalls, and scratchpad words of a row of a topology."""

    macs: int
    cycles: int
    ifmap_reads: int
    filter_reads: int
    ofmap_writes: int


def roomy(arch: Arch) -> Arch:
    """Return the machine with scratchpads that hold any layer, and DRAM that no tiling is chosen to spare."""
    arch = arch.replace("memory.dram.gb_per_s", UNLIMITED_GB_PER_S)
    for tensor in ("input", "weight", "output"):
        arch = arch.replace(f"params.{tensor}_kib", ROOMY_KIB)
    return arch


def ours(layer: LayerResult, config: scalesim.Config) -> Counts:
    """Return our figures as SCALE-Sim counts: empty rows and columns paid for, its extra writes in os added."""
    shape = layer.shape
    if layer.kind == "linear":
        groups, m, n, k = 1, shape["n"], shape["k"], shape["c"]
    else:
        groups = shape["groups"]
        m, n = shape["n"] * shape["e"] * shape["f"], shape["k"] // groups
        k = shape["c"] // groups * shape["r"] * shape["s"]
    sr, sc = {"os": (m, n), "ws": (k, n), "is": (k, m)}[config.dataflow]
    row_folds, col_folds = -(-sr // config.rows), -(-sc // config.cols)
    loads = 0 if config.dataflow == "os" else 1
    empty = (1 + loads) * col_folds * (row_folds * config.rows - sr) + row_folds * (col_folds * config.cols - sc)
    extra = row_folds * col_folds * (config.rows + config.cols) if config.dataflow == "os" else 0
    return Counts(
        layer.macs,
        layer.compute_cycles + groups * empty,
        _words(layer, "glb.inputs", "input", "read", 8),
        _words(layer, "glb.weights", "weight", "read", 8),
        _words(layer, "glb.outputs", "psum", "write", 32) + groups * extra,
    )


def _words(layer: LayerResult, boundary: str, tensor: str, direction: str, width: int) -> int:
    bits = sum(t.bits for t in layer.traffic if (t.boundary, t.tensor, t.direction) == (boundary, tensor, direction))
    assert bits % width == 0
    return bits // width


def replicas(config: scalesim.Config, topology: scalesim.Topology) -> list[Counts]:
    """Return what the replica's closed forms say of each row."""
    rows = scalesim.closed(config, topology)
    figures = [(r.total_cycles + 1, r.ifmap_sram_reads, r.filter_sram_reads, r.ofmap_sram_writes) for r in rows]
    return _by_row(topology, figures)


def reports(folder: Path, topology: scalesim.Topology) -> list[Counts]:
    """Return what SCALE-Sim's report files in ``folder`` say of each row."""
    compute = list(_table(folder / "COMPUTE_REPORT.csv"))
    access = list(_table(folder / "DETAILED_ACCESS_REPORT.csv"))
    words = ("SRAM IFMAP Reads", "SRAM Filter Reads", "SRAM OFMAP Writes")
    figures = [
        (c["Total Cycles"] - c["Stall Cycles"] + 1, *(a[title] for title in words))
        for c, a in zip(compute, access, strict=True)
    ]
    return _by_row(topology, figures)


def _table(path: Path) -> Iterator[dict[str, int]]:
    with path.open(newline="") as file:
        header, *rows = csv.reader(file, skipinitialspace=True)
    for row in rows:
        yield {title: int(float(cell)) for title, cell in zip(header, row, strict=True) if title}


def _by_row(topology: scalesim.Topology, figures: Iterable[tuple[float, ...]]) -> list[Counts]:
    """Add up the layers that SCALE-Sim makes of one row: a 'DP' row is one per channel."""
    rest, found = iter(figures), []
    for row in topology.rows:
        copies = row.channels if row.depthwise == "expanded" else 1
        sums = [int(sum(column)) for column in zip(*(next(rest) for _ in range(copies)), strict=True)]
        macs = row.out_h * row.out_w * row.filter_h * row.filter_w * row.channels * row.filters
        found.append(Counts(macs, *sums))
    assert next(rest, None) is None
    return found
