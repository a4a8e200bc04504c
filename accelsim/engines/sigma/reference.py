"""The plain twin: groups as lists of entries, one column of B at a time."""

from __future__ import annotations

from math import ceil, log2
from typing import Any

import numpy as np

from accelsim.activity import Activity
from accelsim.engines.sigma.engine import Params, Tally, activity
from accelsim.engines.sigma.operand import Sizes, result
from accelsim.operands.handle import Operands
from accelsim.seam import Machine, NoMapping
from accelsim.workload.csr_matrix import CsrMatrix, from_dense, from_entries
from accelsim.workload.network import LayerView


def reference(view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Activity:
    """Return what the engine must give; knows the operands and parameters, not the plan."""
    del mapping
    pairs = _pairs(view, operands)
    counts: dict[str, int] = dict.fromkeys(Tally._fields, 0)
    products = [_multiply(a, b, params, counts) for a, b in pairs]
    sizes = Sizes.of(pairs)
    return activity(params, machine.dram.bits_per_cycle, sizes, Tally(**counts), result(view, products))


def _pairs(view: LayerView, operands: Operands) -> tuple[tuple[CsrMatrix, CsrMatrix], ...]:
    if view.kind == "spgemm":
        return ((operands.input.sparse, operands.weight.sparse),)
    left, right = operands.input.values, operands.weight.values
    if view.kind == "linear":
        left, right = left[None], right.T[None]
    return tuple((from_dense(left[i]), from_dense(right[i])) for i in range(len(left)))


def _multiply(a: CsrMatrix, b: CsrMatrix, p: Params, counts: dict[str, int]) -> CsrMatrix:
    held = list(zip(a.rows.tolist(), a.columns.tolist(), a.values.tolist(), strict=True))
    by_row: list[dict[int, Any]] = [{} for _ in range(b.shape[0])]
    for k, j, v in zip(b.rows.tolist(), b.columns.tolist(), b.values.tolist(), strict=True):
        by_row[k][j] = v
    total: dict[tuple[int, int], Any] = {}
    for start in range(0, a.shape[1], p.dpe_pes):
        chunk = [entry for entry in held if start <= entry[1] < start + p.dpe_pes]
        for first in range(0, len(chunk), p.pes):
            group = chunk[first : first + p.pes]
            counts["groups"] += 1
            counts["held"] += len(group)
            counts["load_cycles"] += ceil(len(group) / p.load_words)
            counts["drain_cycles"] += ceil(log2(p.dpe_pes)) if p.pipeline else 0
            for j in range(b.shape[1]):
                counts["stream_cycles"] += 1
                counts["slots"] += len(group)
                counts["streamed"] += len({k for _, k, _ in group})
                parts: dict[int, Any] = {}
                for i, k, v in group:
                    if j in by_row[k]:
                        parts[i] = parts.get(i, 0) + v * by_row[k][j]
                        counts["products"] += 1
                counts["partials"] += len({i for i, _, _ in group})
                for i, part in parts.items():
                    total[i, j] = total.get((i, j), 0) + part
    places = sorted(total)
    values = np.array([total[place] for place in places], (a.values[:0] * b.values[:0]).dtype)
    rows, columns = (np.array([place[axis] for place in places], np.int64) for axis in (0, 1))
    return from_entries((a.shape[0], b.shape[1]), rows, columns, values)
