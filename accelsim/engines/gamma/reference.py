"""The plain twin: rows as dictionaries, the cache as a list, processing elements as ends. Blind to any plan."""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import Ledger
from accelsim.workload.csr_matrix import CsrMatrix, from_entries
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return what the engine must give; knows the operands and parameters, not the plan."""
    del mapping
    return _Twin(operands.input.sparse, operands.weight.sparse, params, machine).run(view)


class _Twin(Ledger):
    def __init__(self, a: CsrMatrix, b: CsrMatrix, p: Any, machine: Machine) -> None:
        super().__init__(machine.dram)
        self.p = p
        self.rows_a, self.rows_b = _rows(a), _rows(b)
        self.kind = (a.values[:0] * b.values[:0]).dtype
        self.room = p.cache_kib * 8192 // self.element
        self.held: list[int] = []
        self.touched: set[int] = set()
        self.peak = 0
        self.sums: Counter[str] = Counter()

    @property
    def element(self) -> int:
        return int(self.p.coordinate_bits + self.p.value_bits)

    def run(self, view: LayerView) -> Activity:
        p, ends = self.p, [0] * self.p.pes
        entries: list[tuple[int, int, Any]] = []
        # each row of a compressed matrix begins at a pointer; one more ends the last row
        self.add("dram", "index", "read", (len(self.rows_a) + 1) * p.pointer_bits)
        self.add("dram", "index", "write", (len(self.rows_a) + 1) * p.pointer_bits)
        for r, row in enumerate(self.rows_a):
            fibres = []
            for k, value in row.items():
                self.add("dram", "input", "read", self.element)
                self._take(k)
                if self.rows_b[k]:
                    fibres.append({j: value * w for j, w in self.rows_b[k].items()})
                for _ in self.rows_b[k]:
                    self.add("glb.fibers", "weight", "read", self.element)
                    self.sums["products"] += 1
            ends[ends.index(min(ends))] += self._time(fibres)
            while len(fibres) > 1:
                fibres = [self._sum(fibres[i : i + 2]) for i in range(0, len(fibres), 2)]
            for fibre in fibres:
                for j, value in fibre.items():
                    self.add("dram", "output", "write", self.element)
                    entries.append((r, j, value))
        rows, columns, values = (list(part) for part in zip(*entries, strict=True)) if entries else ([], [], [])
        shape: tuple[int, int] = view.shape.output_shape  # type: ignore[assignment]
        product = from_entries(shape, np.array(rows), np.array(columns), np.array(values, self.kind))
        return self._activity(ends, len(entries), product)

    def _take(self, row: int) -> None:
        """Use a row of B: from the cache, else from DRAM, for which the oldest rows make room."""
        if row not in self.touched:
            self.touched.add(row)  # its two pointers, where it begins and ends, come once
            self.add("dram", "index", "read", 2 * self.p.pointer_bits)
        length = len(self.rows_b[row])
        if row in self.held:
            self.held.remove(row)
        else:
            self.add("dram", "weight", "read", length * self.element)
            self.add("glb.fibers", "weight", "write", length * self.element)
            self.sums["read"] += length
            if length > self.room:
                return
            while sum(len(self.rows_b[r]) for r in self.held) + length > self.room:
                self.held.pop(0)
        self.held.append(row)
        self.peak = max(self.peak, sum(len(self.rows_b[r]) for r in self.held))

    def _time(self, fibres: list[dict[int, Any]]) -> int:
        """Return the cycles of a row: its products, or its swaps where they are more."""
        elements, heads, swaps = sum(map(len, fibres)), len(fibres), 0
        while heads > 1:
            swaps += elements + heads
            heads = ceil(heads / self.p.radix)
        self.sums["swaps"] += swaps
        return max(swaps, elements)

    def _sum(self, fibres: list[dict[int, Any]]) -> dict[int, Any]:
        total = dict(fibres[0])
        for column, value in (fibres[1] if len(fibres) > 1 else {}).items():
            self.sums["additions"] += column in total
            total[column] = total[column] + value if column in total else value
        return total

    def _activity(self, ends: list[int], outputs: int, product: CsrMatrix) -> Activity:
        p, n, last = self.p, self.sums, max(ends)
        bits = self.dram_bits()
        dram = ceil(bits / self.dram.bits_per_cycle)
        cycles = max(last, dram)
        causes = {"busy": sum(ends), "imbalance": sum(last - end for end in ends), "memory": (cycles - last) * p.pes}
        return Activity(
            compute_cycles=cycles,
            accounts={"pes": causes},
            traffic=self.flows,
            events={
                Event("multipliers", "mul"): n["products"],
                Event("adders", "add"): n["additions"],
                Event("comparators", "compare"): n["swaps"],
            },
            schedule=None,
            stall_cycles=cycles - last,
            buffers={"glb.fibers": (p.cache_kib * 8192, self.peak * self.element)},
            details={
                "products": n["products"],
                "additions": n["additions"],
                "outputs": outputs,
                "swaps": n["swaps"],
                "b_elements_used": n["products"],
                "b_elements_read": n["read"],
                "bound_cycles": max(ceil(n["swaps"] / p.pes), ceil(n["products"] / p.pes), dram),
                "dram_bytes": bits // 8,
            },
            performed_macs=n["products"],
            values=product,
        )


def _rows(matrix: CsrMatrix) -> list[dict[int, Any]]:
    rows: list[dict[int, Any]] = [{} for _ in range(matrix.shape[0])]
    for r, c, v in zip(matrix.rows.tolist(), matrix.columns.tolist(), matrix.values.tolist(), strict=True):
        rows[r][c] = v
    return rows
