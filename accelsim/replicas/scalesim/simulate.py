"""Runs layers through the replica: closed forms for the array, state machines for the three buffers.

Source: SCALE-Sim 3.0.0, ``single_layer_sim.py``, ``read_buffer.py``, ``read_buffer_estimate_bw.py``,
``write_buffer.py`` and ``double_buffered_scratchpad_mem.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from accelsim.config.scalesim.config import Config
from accelsim.errors import ConfigError, WorkloadError
from accelsim.workload.scalesim.topology import Topology

from .compute import Compute, compute
from .demand import Demand, demand
from .estimate import estimate_reads
from .layer import Layer, layers
from .operands import Ints, Operand, Order, Plan, plan, windows
from .reports import ClosedRow, Port, ReportRow, SparseRow
from .writes import write_plan

if TYPE_CHECKING:
    from .sparse import Pruned

PREFETCH_WORDS_PER_CYCLE = 10
"""CALC mode fills its buffers at this rate, a constant of SCALE-Sim's ``single_layer_sim.py``."""

MAX_STEPS = 10**12
"""Layers of more cycles or SRAM reads would not end: refused for DRAM counts, fine for the closed forms."""

MAX_FETCHED = 2**29
"""USER mode keeps an operand's words in fetch order, four bytes each; longer orders are refused."""


class Reads(NamedTuple):
    """One read buffer over a layer, before cycles are known: lines asked for, misses, and words from DRAM.

    ``lines``/``counts`` (int64) are the misses of USER mode; ``flush_line`` is the last emptying of CALC mode
    (-1: none); ``first_fill_lines`` is the length of the initial prefetch in cycles.
    """

    first: int
    last: int
    lines: Ints
    counts: Ints
    flush_line: int
    first_fill_lines: int
    step: int
    words: int


def run(config: Config, topology: Topology) -> Iterator[ReportRow]:
    """Yield the report row of every layer, in order. Equal layers are simulated once.

    Raises
    ------
    ConfigError, WorkloadError
        What SCALE-Sim stops at, or what is not replicated (custom layouts, Ramulator traces).
    """
    if config.custom_layout:
        problem = "custom data layouts are not replicated"
        raise ConfigError(problem, "set IfmapCustomLayout and FilterCustomLayout to False", file=config.file)
    if config.ramulator and config.user_bandwidth:
        problem = "Ramulator traces are not replicated"
        raise ConfigError(problem, "set UseRamulatorTrace to False", file=config.file)
    rows: dict[Layer, ReportRow] = {}
    for layer in layers(topology):
        if layer not in rows:
            rows[layer] = run_layer(config, layer)
        yield rows[layer]


def closed(config: Config, topology: Topology) -> Iterator[ClosedRow]:
    """Yield compute and SRAM counts of every layer by closed form: no DRAM, so no stalls either."""
    rows: dict[Layer, ClosedRow] = {}
    for layer in layers(topology):
        if layer not in rows:
            folds, pruned = windows(config, layer)
            rows[layer] = _closed_row(config, layer, compute(config, layer, folds, pruned))
        yield rows[layer]


def _closed_row(config: Config, layer: Layer, counts: Compute) -> ClosedRow:
    cycles = counts.lines - 1
    return ClosedRow(
        total_cycles=cycles,
        overall_util=layer.macs * 100 / (cycles * config.rows * config.cols),
        mapping_efficiency=counts.mapping_efficiency * 100,
        compute_util=counts.compute_utilization * 100,
        ifmap_sram_reads=counts.ifmap_reads,
        filter_sram_reads=counts.filter_reads,
        ofmap_sram_writes=counts.ofmap_writes,
    )


def run_layer(config: Config, layer: Layer) -> ReportRow:
    """Simulate one layer."""
    from .lines_kernel import run_lines

    laid = plan(config, layer)
    counts = compute(config, layer, laid.folds, laid.pruned)
    _check_size(config, laid)
    writes = write_plan(config, laid.folds)
    ifmap = _reads(config, laid.ifmap, laid.ifmap_order, config.ifmap_kib, config.ifmap_words_per_cycle)
    weights = _reads(config, laid.filter, laid.filter_order, config.filter_kib, config.filter_words_per_cycle)
    wanted = {writes.start, writes.last_line, laid.folds.lines - 1}
    wanted |= {ifmap.first, ifmap.last, ifmap.flush_line, weights.first, weights.last, weights.flush_line}
    marks = np.array(sorted(wanted - {-1}), np.int64)
    misses = (ifmap.lines, ifmap.counts, ifmap.step, weights.lines, weights.counts, weights.step)
    seen, totals = run_lines(writes, *misses, marks)
    at = {line: tuple(cycles) for line, cycles in zip(marks.tolist(), seen.tolist(), strict=True)}
    stalls, ifmap_fetch, filter_fetch, written, first_write, last_write = (int(x) for x in totals)
    ports = (
        Port(at[ifmap.first][1], at[ifmap.last][1], counts.ifmap_reads),
        Port(at[weights.first][2], at[weights.last][2], counts.filter_reads),
        Port(at[writes.start][3], at[writes.last_line][3], counts.ofmap_writes),
        _dram_read(config, ifmap, at, ifmap_fetch),
        _dram_read(config, weights, at, filter_fetch),
        Port(first_write, last_write, written),
    )
    return ReportRow(
        total_cycles=at[laid.folds.lines - 1][3],
        stall_cycles=stalls,
        macs=layer.macs,
        mac_units=config.rows * config.cols,
        mapping_efficiency=counts.mapping_efficiency * 100,
        compute_util=counts.compute_utilization * 100,
        ports=ports,
        sparse=_sparse_row(config, laid.pruned),
    )


def _sparse_row(config: Config, pruned: Pruned | None) -> SparseRow | None:
    if pruned is None or config.sparsity is None:
        return None
    words = (pruned.original_words, pruned.stored_words, pruned.metadata_words)
    return SparseRow(config.sparsity.representation, *words)


def _check_size(config: Config, laid: Plan) -> None:
    """Refuse what would take hours or more memory than an operand's own."""
    steps = laid.folds.lines
    for operand, order in ((laid.ifmap, laid.ifmap_order), (laid.filter, laid.filter_order)):
        words = operand.times.size * operand.ports.size
        rounds = order.row_folds if order.by_column else order.col_folds
        steps = max(steps, words if order.stationary else words * rounds)
        if config.user_bandwidth and words > MAX_FETCHED:
            problem = f"USER mode fetches {words} words, more than {MAX_FETCHED}"
            raise WorkloadError(problem, "use CALC mode, or split the layer", file=config.file)
    if steps > MAX_STEPS:
        problem = f"{steps} steps to walk for DRAM counts, more than {MAX_STEPS}"
        raise WorkloadError(problem, "use the closed forms, or split the layer", file=config.file)


def _reads(config: Config, operand: Operand, order: Order, kib: int, words_per_cycle: int) -> Reads:
    asked = demand(operand, order)
    first, last = asked.first_line(), asked.last_line()
    if first < 0:
        raise WorkloadError("an operand is never read", "SCALE-Sim stops at such a layer", file=config.file)
    total = 1024 * kib
    if config.user_bandwidth:
        return _user_reads(asked, total, words_per_cycle, (first, last))
    return _estimated_reads(asked, total, (first, last))


def _estimated_reads(asked: Demand, total: int, edges: tuple[int, int]) -> Reads:
    """CALC mode: what misses is read; only the first fill has a rate, the constant one."""
    size = total // 100
    emptied, left, flush_line, twice = estimate_reads(asked, 50 * size)
    if twice:
        problem = "one line of the array fills half a buffer twice; SCALE-Sim divides by zero"
        raise WorkloadError(problem, "use a larger buffer")
    words = emptied * 50 * size + left
    fill = 50 * size if emptied else -(-left // size) * size
    fill_lines = -(-fill // PREFETCH_WORDS_PER_CYCLE)
    none = np.zeros(0, np.int64)
    return Reads(*edges, none, none, flush_line, fill_lines, 0, words)


def _user_reads(asked: Demand, total: int, words_per_cycle: int, edges: tuple[int, int]) -> Reads:
    """USER mode: whole prefetches are read, wherever a word is missing."""
    from .window_kernel import user_misses

    active = -(-total // 2)
    prefetch = total - active
    operand, size = asked.operand, -(-total // 100)
    lines, counts = user_misses(operand, asked.order, active, prefetch, size, asked.words, asked.ends)
    stacked = -(-operand.ports.size // operand.width) * operand.width * operand.times.size
    fill_lines = min(-(-active // words_per_cycle), -(-stacked // words_per_cycle))
    step = -(-prefetch // words_per_cycle)
    words = (fill_lines + int(counts.sum()) * step) * words_per_cycle
    return Reads(*edges, lines, counts, -1, fill_lines, step + 1, words)


def _dram_read(config: Config, reads: Reads, at: dict[int, tuple[int, ...]], last_fetch: int) -> Port:
    if config.user_bandwidth:
        return Port(-reads.first_fill_lines, last_fetch, reads.words)
    if reads.flush_line < 0:
        return Port(-reads.first_fill_lines, -1, reads.words)
    start = at[reads.first][0] - reads.first_fill_lines
    return Port(start, at[reads.flush_line][0] + 1, reads.words)
