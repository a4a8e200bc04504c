"""The plain twin: rows as dictionaries, the cache as a list, processing elements as a list of ends."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from accelsim.activity import Activity
from accelsim.engines.gamma.engine import Params, Tally, activity
from accelsim.operands.handle import Operands
from accelsim.seam import Machine, NoMapping
from accelsim.units import KIB_BITS
from accelsim.workload.csr_matrix import CsrMatrix, from_entries
from accelsim.workload.network import LayerView


def reference(view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Activity:
    """Return what the engine must give; knows the operands and parameters, not the plan."""
    del mapping
    a, b = operands.input.sparse, operands.weight.sparse
    rows_a, rows_b = _rows(a), _rows(b)
    ends = [0] * params.pes
    work = swaps = products = 0
    entries: list[tuple[int, int, Any]] = []
    for r, row in enumerate(rows_a):
        fibres = [{j: v * w for j, w in rows_b[c].items()} for c, v in row.items() if rows_b[c]]
        elements = sum(map(len, fibres))
        cost, heads = 0, len(fibres)
        while heads > 1:
            cost += elements + heads
            heads = ceil(heads / params.radix)
        ends[ends.index(min(ends))] += max(cost, elements)
        work, swaps, products = work + max(cost, elements), swaps + cost, products + elements
        while len(fibres) > 1:
            fibres = [_add(*fibres[i : i + 2]) for i in range(0, len(fibres), 2)]
        entries += [(r, j, v) for fibre in fibres for j, v in fibre.items()]
    cached = _cache([c for row in rows_a for c in row], [len(row) for row in rows_b], params)
    tally = Tally(max(ends), work, swaps, products, len(entries), *cached)
    kind = (a.values[:0] * b.values[:0]).dtype
    rows, columns, values = (list(part) for part in zip(*entries, strict=True)) if entries else ([], [], [])
    shape: tuple[int, int] = view.shape.output_shape  # type: ignore[assignment]
    product = from_entries(shape, np.array(rows), np.array(columns), np.array(values, kind))
    return activity(params, machine.dram.bits_per_cycle, a.nnz, a.shape[0], tally, product)


def _rows(matrix: CsrMatrix) -> list[dict[int, Any]]:
    rows: list[dict[int, Any]] = [{} for _ in range(matrix.shape[0])]
    for r, c, v in zip(matrix.rows.tolist(), matrix.columns.tolist(), matrix.values.tolist(), strict=True):
        rows[r][c] = v
    return rows


def _add(left: dict[int, Any], right: dict[int, Any] | None = None) -> dict[int, Any]:
    total = dict(left)
    for column, value in (right or {}).items():
        total[column] = total[column] + value if column in total else value
    return total


def _cache(uses: list[int], lengths: list[int], p: Params) -> tuple[int, int, int]:
    capacity = p.cache_kib * KIB_BITS // p.element_bits
    held: list[int] = []
    read = peak = 0
    for row in uses:
        if row in held:
            held.remove(row)
        else:
            read += lengths[row]
            if lengths[row] > capacity:
                continue
            while sum(lengths[r] for r in held) + lengths[row] > capacity:
                held.pop(0)
        held.append(row)
        peak = max(peak, sum(lengths[r] for r in held))
    return len(set(uses)), read, peak
