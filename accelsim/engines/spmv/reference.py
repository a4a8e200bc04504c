"""The plain twin: the matrix as a list of entries, formats written out one code after another. Blind to any plan."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import ceil, log2
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Phase
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import Ledger
from accelsim.workload.csr_matrix import from_entries
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return what the engine must give; knows the operands and parameters, not the plan."""
    del mapping
    a, b = operands.input.sparse, operands.weight.sparse
    rows: dict[int, dict[int, Any]] = defaultdict(dict)
    for r, c, v in zip(a.rows.tolist(), a.columns.tolist(), a.values.tolist(), strict=True):
        rows[r][c] = v
    x = dict(zip(b.rows.tolist(), b.values.tolist(), strict=True))
    twin = _Twin(rows, x, (view.shape.m, view.shape.k), params, machine)  # type: ignore[union-attr]
    getattr(twin, params.format)()
    return twin.activity_of((a.values[:0] * b.values[:0]).dtype)


class _Twin(Ledger):
    def __init__(
        self, rows: dict[int, dict[int, Any]], x: dict[int, Any], shape: tuple[int, int], p: Any, machine: Machine
    ) -> None:
        super().__init__(machine.dram, ("busy", "zero", "padding", "imbalance", "unmapped", "fill_drain"))
        self.rows, self.x, self.shape, self.p, self.machine = rows, x, shape, p, machine
        self.cycles, self.rounds, self.copies, self.longest = 0, 1, p.lanes, 0
        self.n: Counter[str] = Counter()

    def lane(self, row: int, column: int) -> None:
        """One product in one lane-cycle."""
        met = column in self.rows[row] and column in self.x
        self.causes["busy" if met else "zero"] += 1
        self.n["performed"] += 1
        self.add("dram", "input", "read", self.p.value_bits)
        self.add("glb.vector", "weight", "read", self.p.value_bits * (self.p.format != "stripes"))
        self.add("array", "psum", "read", self.p.value_bits)

    def group(self, places: list[tuple[int, int]]) -> None:
        """One cycle of all lanes."""
        self.cycles += 1
        self.n["groups"] += 1
        for place in places:
            self.lane(*place)
        self.causes["padding"] += self.p.lanes - len(places)

    def wait(self, cycles: int) -> None:
        self.cycles += cycles
        self.causes["fill_drain"] += cycles * self.p.lanes

    def code(self, bits: int, name: str = "") -> None:
        self.add("dram", "index", "read", bits)
        self.n[name] += 1

    def blocks_of_columns(self) -> list[range]:
        step = self.p.vector_elements
        found = [range(first, min(first + step, self.shape[1])) for first in range(0, self.shape[1], step)]
        self.rounds = len(found)
        for _ in found:  # the pointers of every row, and one more
            self.code((self.shape[0] + 1) * self.p.pointer_bits)
        return found

    def cuts(self, places: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
        return [places[i : i + self.p.lanes] for i in range(0, len(places), self.p.lanes)]

    def tree(self) -> None:
        """Wait for the last products: through the tree, and through the reduction of the longest row."""
        if self.cycles:
            self.wait(self.p.adder_latency * (ceil(log2(self.p.lanes)) + 2 * ceil(log2(max(1, self.longest)))))

    def csr(self) -> None:
        for columns in self.blocks_of_columns():
            for row in range(self.shape[0]):
                places = [(row, c) for c in sorted(self.rows[row]) if c in columns]
                for _ in places:
                    self.code(self.p.index_bits)
                parts = self.cuts(places)
                self.longest = max(self.longest, len(parts))
                for part in parts:
                    self.group(part)
        self.tree()

    def bitmap(self) -> None:
        for columns in self.blocks_of_columns():
            places = []
            for row in range(self.shape[0]):
                mine = [c for c in sorted(self.rows[row]) if c in columns]
                for _ in {c // self.p.block for c in mine}:
                    self.code(self.p.index_bits + self.p.block, "codes")
                places += [(row, c) for c in mine]
            for part in self.cuts(places):
                self.group(part)
        self.tree()

    def runs(self) -> None:
        for columns in self.blocks_of_columns():
            places = []
            for row in range(self.shape[0]):
                last, length = -2, 0
                for c in (c for c in sorted(self.rows[row]) if c in columns):
                    if c == last + 1 and length < 2**self.p.run_bits:
                        length += 1
                    else:
                        self.code(self.p.index_bits + self.p.run_bits, "codes")
                        length = 1
                    last = c
                    places.append((row, c))
            for part in self.cuts(places):
                self.group(part)
        self.tree()

    def blocks(self) -> None:
        self.copies = 1
        for row in range(self.shape[0]):
            first = row // self.p.block * self.p.block
            parts = self.cuts([(row, c) for c in range(first, min(first + self.p.block, self.shape[1]))])
            self.longest = max(self.longest, len(parts))
            for part in parts:
                self.group(part)
        self.tree()

    def stripes(self) -> None:
        self.copies = 1
        found: list[list[tuple[int, int]]] = []
        for row in range(self.shape[0]):
            taken: set[int] = set()
            ends = [stripe[-1][1] for stripe in found]
            for c in sorted(self.rows[row], reverse=True):
                free = [(end, -i) for i, end in enumerate(ends) if end < c and i not in taken]
                if free:
                    i = -max(free)[1]
                    found[i].append((row, c))
                    taken.add(i)
                else:
                    found.append([(row, c)])
        found.sort(key=len, reverse=True)
        for stripe in found:
            self.code(2 * self.p.pointer_bits, "codes")
            for place in stripe:
                self.code(self.p.index_bits)
                self.lane(*place)
        passes = [found[i : i + self.p.lanes] for i in range(0, len(found), self.p.lanes)]
        self.rounds = max(1, len(passes))
        for one in passes:
            slowest = max(len(stripe) for stripe in one)
            self.cycles += slowest
            self.causes["imbalance"] += sum(slowest - len(stripe) for stripe in one)
            self.causes["unmapped"] += slowest * (self.p.lanes - len(one))
            self.wait(self.p.lanes + self.p.adder_latency)

    def activity_of(self, kind: Any) -> Activity:
        p, (m, n), streams = self.p, self.shape, self.rounds if self.p.format == "stripes" else 1
        self.add("dram", "weight", "read", streams * n * p.value_bits)
        self.add("glb.vector", "weight", "write", streams * n * p.value_bits * self.copies)
        if p.format == "stripes":
            self.add("glb.vector", "weight", "read", streams * n * p.value_bits)
        self.add("dram", "output", "write", m * p.value_bits)
        for way in ("read", "write"):
            self.add("dram", "psum", way, (self.rounds - 1) * m * p.value_bits)
        y: dict[int, Any] = {}
        for row, entries in self.rows.items():
            for c in sorted(entries):
                if c in self.x:
                    y[row] = y[row] + entries[c] * self.x[c] if row in y else entries[c] * self.x[c]
        values = from_entries((m, 1), np.array(list(y)), np.zeros(len(y)), np.array(list(y.values()), kind))
        bits, own, done = self.dram_bits(), self.cycles, self.n["performed"]
        cycles = max(own, ceil(bits / self.dram.bits_per_cycle))
        index = sum(b for flow, b in self.flows.items() if flow.tensor == "index")
        return Activity(
            compute_cycles=cycles,
            accounts={"lanes": {**self.causes, "memory": (cycles - own) * p.lanes}},
            traffic=self.flows,
            events={Event("multipliers", "mul"): done, Event("adders", "add"): done},
            schedule=None,
            stall_cycles=cycles - own,
            phases=(Phase(own, bits, {"memory": p.lanes}),),
            buffers={"glb.vector": (self.copies * p.vector_elements * p.value_bits,
                                    self.copies * min(n, p.vector_elements) * p.value_bits)},
            details={
                "products": self.causes["busy"],
                "entries": sum(map(len, self.rows.values())),
                "groups": self.n["groups"],
                "codes": self.n["codes"],
                "index_bits": index,
                "rounds": self.rounds,
                "peak_mflop_per_s": int(2 * p.lanes * self.machine.clocks_mhz["core"]),
                "bound_cycles": max(ceil(done / p.lanes), ceil(bits / self.dram.bits_per_cycle)),
                "dram_bytes": bits // 8,
            },
            performed_macs=done,
            values=values,
        )  # fmt: skip
