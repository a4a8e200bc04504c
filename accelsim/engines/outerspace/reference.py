"""The plain twin: real lists of chunks, filled column by column and merged row by row."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from accelsim.activity import Activity
from accelsim.engines.outerspace.engine import Params, Tally, activity
from accelsim.operands.handle import Operands
from accelsim.seam import Machine, NoMapping
from accelsim.units import KIB_BITS
from accelsim.workload.csr_matrix import CsrMatrix, from_entries
from accelsim.workload.network import LayerView


def reference(view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Activity:
    """Return what the engine must give; knows the operands and parameters, not the plan."""
    del mapping
    p, dram = params, machine.dram
    latency, burst = dram.latency_cycles, dram.burst_bits
    a, b = operands.input.sparse, operands.weight.sparse
    inner = a.shape[1]
    of_a, of_b = _by(a, 1, inner), _by(b, 0, inner)

    def bursts(elements: int) -> int:
        return ceil(elements * p.element_bits / burst) * burst

    lists: list[list[list[tuple[int, Any]]]] = [[] for _ in range(a.shape[0])]
    tiles, waits, b_read, bus, products = [0] * p.tiles, 0, 0, 0, 0
    for k in range(inner):
        tile = tiles.index(min(tiles))
        column, row = of_a[k], of_b[k]
        if column:
            bus += bursts(len(column))
        for start in range(0, len(column), p.tile_pes):
            together = column[start : start + p.tile_pes]
            cached = start > 0 and len(row) * p.element_bits <= p.cache_kib * KIB_BITS
            requests = 1 if cached or not row else 2
            if requests == 2:
                b_read += len(row)
                bus += bursts(len(row))
            tiles[tile] += requests * latency + len(row)
            waits += len(together) * requests * latency
            for i, value in together:
                if row:
                    lists[i].append([(j, value * w) for j, w in row])
                products += len(row)
                bus += bursts(len(row))
    ends, merge_wait, taken, merge_bus = [0] * p.merge_pes, 0, 0, 0
    entries: list[tuple[int, int, Any]] = []
    for i, chunks in enumerate(lists):
        if not chunks:
            continue
        total: dict[int, Any] = {}
        for chunk in chunks:
            for j, value in chunk:
                total[j] = total[j] + value if j in total else value
        entries += [(i, j, total[j]) for j in sorted(total)]
        size, count, passes = sum(map(len, chunks)), len(chunks), 1
        while count > p.scratchpad_elements:
            count, passes = ceil(count / p.scratchpad_elements), passes + 1
        requests = 1 + len(chunks) + passes * size
        ends[ends.index(min(ends))] += requests * latency + passes * size
        merge_wait, taken = merge_wait + requests * latency, taken + passes * size
        merge_bus += sum(bursts(len(chunk)) for chunk in chunks) + bursts(len(total))
        merge_bus += 2 * (passes - 1) * bursts(size)
    tally = Tally(max(tiles), waits, max(ends), merge_wait, products, taken, len(entries), b_read, bus, merge_bus)
    kind = (a.values[:0] * b.values[:0]).dtype
    rows, columns, values = (list(part) for part in zip(*entries, strict=True)) if entries else ([], [], [])
    shape: tuple[int, int] = view.shape.output_shape  # type: ignore[assignment]
    product = from_entries(shape, np.array(rows), np.array(columns), np.array(values, kind))
    return activity(p, dram.bits_per_cycle, burst, (*a.shape, a.nnz), tally, product)


def _by(matrix: CsrMatrix, axis: int, size: int) -> list[list[tuple[int, Any]]]:
    """Return the entries of each row (axis 0) or column (axis 1)."""
    found: list[list[tuple[int, Any]]] = [[] for _ in range(size)]
    for place in zip(matrix.rows.tolist(), matrix.columns.tolist(), matrix.values.tolist(), strict=True):
        found[place[axis]].append((place[1 - axis], place[2]))
    return found
