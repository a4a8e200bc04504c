"""The plain twin: groups as lists of entries, one column of B at a time. Blind to any plan."""

from __future__ import annotations

from collections import Counter
from math import ceil, log2
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import Ledger
from accelsim.workload.csr_matrix import CsrMatrix, from_dense, from_entries
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return what the engine must give; knows the operands and parameters, not the plan."""
    del mapping
    twin = _Twin(params, machine)
    products = [twin.multiply(a, b) for a, b in _pairs(view, operands)]
    values: Any = products[0]
    if view.kind != "spgemm":
        values = np.stack([product.to_dense() for product in products]).reshape(view.shape.output_shape)
    return twin.report(values)


def _pairs(view: LayerView, operands: Operands) -> list[tuple[CsrMatrix, CsrMatrix]]:
    """Return what is held and what is streamed of each matrix of the batch."""
    if view.kind == "spgemm":
        return [(operands.input.sparse, operands.weight.sparse)]
    # a producer may have left them in another shape
    left, right = (
        o.values.reshape(dims) for o, dims in zip((operands.input, operands.weight), _dims(view), strict=True)
    )
    if view.kind == "linear":
        left, right = left[None], right.T[None]
    return [(from_dense(held), from_dense(streamed)) for held, streamed in zip(left, right, strict=True)]


def _dims(view: LayerView) -> list[tuple[int, ...]]:
    s: Any = view.shape
    return [(s.n, s.c), (s.k, s.c)] if view.kind == "linear" else [(s.batch, s.m, s.k), (s.batch, s.k, s.n)]


class _Twin(Ledger):
    def __init__(self, p: Any, machine: Machine) -> None:
        super().__init__(machine.dram, ("busy", "zero", "unmapped", "starved", "fill_drain"))
        self.p, self.pes = p, p.dpes * p.dpe_pes
        self.sums: Counter[str] = Counter()
        self.held_bits = 0

    def multiply(self, a: CsrMatrix, b: CsrMatrix) -> CsrMatrix:
        """Hold A group by group and stream B past it; return the product."""
        p = self.p
        self._fetch(a, b)
        rows: list[dict[int, Any]] = [{} for _ in range(b.shape[0])]
        for k, j, v in zip(b.rows.tolist(), b.columns.tolist(), b.values.tolist(), strict=True):
            rows[k][j] = v
        total: dict[tuple[int, int], Any] = {}
        held = list(zip(a.rows.tolist(), a.columns.tolist(), a.values.tolist(), strict=True))
        for start in range(0, a.shape[1], p.dpe_pes):
            chunk = [entry for entry in held if start <= entry[1] < start + p.dpe_pes]
            for first in range(0, len(chunk), self.pes):
                group = chunk[first : first + self.pes]
                self._load(group)
                for j in range(b.shape[1]):
                    for i, part in self._column(group, rows, j).items():
                        total[i, j] = total.get((i, j), 0) + part
        places = sorted(total)
        values = np.array([total[place] for place in places], (a.values[:0] * b.values[:0]).dtype)
        at_rows, at_columns = (np.array([place[axis] for place in places], np.int64) for axis in (0, 1))
        return from_entries((a.shape[0], b.shape[1]), at_rows, at_columns, values)

    def _fetch(self, a: CsrMatrix, b: CsrMatrix) -> None:
        """Bring both matrices on the chip: non-zeros, and a bit for every element; send a dense result away."""
        word = self.p.word_bits
        bitmaps = a.shape[0] * a.shape[1] + b.shape[0] * b.shape[1]
        for tensor, matrix in (("input", a), ("weight", b)):
            self.add("dram", tensor, "read", matrix.nnz * word)
            self.add("glb", tensor, "write", matrix.nnz * word)
            self.held_bits += matrix.nnz * word
        self.add("dram", "index", "read", bitmaps)
        self.add("dram", "output", "write", a.shape[0] * b.shape[1] * word)
        self.held_bits += bitmaps

    def _load(self, group: list[Any]) -> None:
        """Load a group into the multipliers, a few words per cycle, and pay for the depth of the trees."""
        p = self.p
        cycles, depth = ceil(len(group) / p.load_words), ceil(log2(p.dpe_pes)) if p.pipeline else 0
        self.sums.update({"groups": 1, "load": cycles, "drain": depth, "loaded": len(group)})
        self.causes["starved"] += cycles * self.pes
        self.causes["fill_drain"] += depth * self.pes
        self.add("glb", "input", "read", len(group) * p.word_bits)

    def _column(self, group: list[Any], rows: list[dict[int, Any]], j: int) -> dict[int, Any]:
        """Stream a column of B past a group in one cycle; return row -> sum of what its tree adds."""
        word, parts = self.p.word_bits, dict[int, Any]()
        self.sums["stream"] += 1
        self.causes["unmapped"] += self.pes - len(group)
        self.add("glb", "weight", "read", len({k for _, k, _ in group}) * word)
        met = set()
        for i, k, value in group:
            self.add("array", "weight", "read", word)
            self.sums["multiplications"] += 1
            # an addition for each product of a row behind its first
            self.sums["additions"] += i in met
            met.add(i)
            self.causes["busy" if j in rows[k] else "zero"] += 1
            if j in rows[k]:
                parts[i] = parts.get(i, 0) + value * rows[k][j]
        self.add("glb", "psum", "write", len(met) * word)
        return parts

    def report(self, values: Any) -> Activity:
        """Return the report: computation beside DRAM, whichever is longer."""
        p, n = self.p, self.sums
        compute = n["load"] + n["stream"] + n["drain"]
        dram = ceil(self.dram_bits() / self.dram.bits_per_cycle)
        cycles = max(compute, dram)
        work = ceil(n["multiplications"] / self.pes) + ceil(n["loaded"] / p.load_words)
        return Activity(
            compute_cycles=cycles,
            accounts={"pes": {**self.causes, "memory": (cycles - compute) * self.pes}},
            traffic=self.flows,
            events={Event("multipliers", "mul"): n["multiplications"], Event("adders", "add"): n["additions"]},
            schedule=None,
            stall_cycles=cycles - compute,
            buffers={"glb": (p.sram_kib * 8192, self.held_bits)},
            details={
                "products": self.causes["busy"],
                "groups": n["groups"],
                "array_cycles": compute,
                "stream_cycles": n["stream"],
                "load_cycles": n["load"],
                "bound_cycles": max(work, dram),
            },
            performed_macs=n["multiplications"],
            values=values,
        )
