"""The machine stepped cycle by cycle, queue by queue: slow, plain, and blind to any plan.

Slices come from the codec of compressed columns; causes are decided in the cycle in which a PE idles.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Direction, Event, Transfer
from accelsim.engine import Machine
from accelsim.memory.dram import DramModel
from accelsim.operands.csc import Csc, CscCode
from accelsim.operands.handle import Operands
from accelsim.stepped import WAYS, Ledger
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    del mapping
    return _Layer(view, operands, params, machine.dram).run()


class _Entry(NamedTuple):
    row: int
    value: int
    memory_row: int


class _Pe:
    """One PE: a queue, a pair of pointers read ahead, and the column at work."""

    def __init__(self, params: Any, slices: list[list[_Entry]], pe: int, book: list[int]) -> None:
        self.params, self.slices, self.pe, self.book = params, slices, pe, book
        self.queue: deque[int] = deque()
        self.pair: tuple[int, int] | None = None  # column, cycle from which its pointers are there
        self.current: list[_Entry] | None = None
        self.value = 0
        self.taken = self.read = 0  # columns that the issue stage and the pointer unit have begun
        self.taken_at, self.last = -1, (-2, -1)
        self.held = -1
        self.counts: Counter[str] = Counter()

    def take(self, cycle: int, inputs: dict[int, int]) -> None:
        """Begin the next column if its pointers are there; drop an empty one that costs nothing."""
        if self.current is not None or self.pair is None or self.pair[1] > cycle:
            return
        column = self.pair[0]
        self.pair, self.taken_at, self.taken = None, cycle, self.taken + 1
        entries = self.slices[column]
        for entry in entries:
            self.counts["memory_rows"] += entry.memory_row != self.held
            self.held = entry.memory_row
        self.counts["entries"] += len(entries)
        self.value = inputs[column]
        issued = [e for e in entries if e.value or self.params.padding_cycle]
        if issued or (not entries and self.params.empty_cycle):
            self.current = issued
        else:
            self.queue.popleft()

    def point(self, cycle: int, pushed: list[tuple[int, int]]) -> None:
        """Begin to read the next pair of pointers if a column is there and the pair before has been taken."""
        if self.pair is None and self.read < len(pushed) and pushed[self.read][0] < cycle:
            self.pair = (pushed[self.read][1], cycle + (1 if self.params.pointer_banks == 2 else 2))
            self.read += 1

    def issue(self, cycle: int, sums: dict[tuple[int, int], int]) -> str:
        """Work for a cycle on the column at hand and return the cause."""
        assert self.current is not None
        if not self.current:
            self._finish()
            return "control"
        entry = self.current[0]
        if not self.params.bypass and self.last == (cycle - 1, entry.row):
            return "conflict"
        self.last = (cycle, entry.row)
        self.current.pop(0)
        weight = self.book[entry.value] if self.book else entry.value
        sums[entry.row, self.pe] = sums.get((entry.row, self.pe), 0) + weight * self.value
        if not self.current:
            self._finish()
        return "busy" if entry.value else "padding"

    def _finish(self) -> None:
        self.current = None
        self.queue.popleft()

    def idle(self, cycle: int, pushed: list[tuple[int, int]], total: int, blocked: dict[int, set[int]]) -> str:
        """Return why there is nothing to issue in this cycle."""
        if self.taken == total:
            return "imbalance"
        if self.taken < len(pushed) and pushed[self.taken][0] + 1 <= cycle - 1:
            return "control" if self.taken_at == cycle else "conflict"
        if cycle < 2:
            return "fill_drain"
        full = blocked.get(cycle - 2, set())
        return "imbalance" if full and self.pe not in full else "starved"


class _Layer(Ledger):
    def __init__(self, view: LayerView, operands: Operands, params: Any, dram: DramModel) -> None:
        super().__init__(
            dram, ("busy", "padding", "control", "conflict", "imbalance", "fill_drain", "starved", "unmapped")
        )
        self.view, self.params = view, params
        shape: Any = view.shape
        self.n, self.c, self.k = shape.n, shape.c, shape.k
        self.x = operands.input.values.reshape(self.n, self.c)
        w = operands.weight.values
        self.book: list[int] = []
        if params.codebook_bits:
            self.book = [0, *sorted({int(v) for v in w.ravel() if v})]
            codes = {value: code for code, value in enumerate(self.book)}
            w = np.array([codes[int(v)] if v else 0 for v in w.ravel()], dtype=np.int64).reshape(w.shape)
        self.w = w
        self.totals: Counter[str] = Counter()
        self.out = np.zeros((self.n, self.k), dtype=np.int64)

    def passes(self) -> Iterator[tuple[range, range]]:
        batch = self.params.pes * self.params.registers
        group = min(batch, self.params.pass_rows) if self.params.pass_rows else batch
        for row in range(0, self.k, group):
            for col in range(0, self.c, batch):
                yield range(row, min(row + group, self.k)), range(col, min(col + batch, self.c))

    def run(self) -> Activity:
        p, cuts = self.params, list(self.passes())
        coded = [self.encode(rows, cols) for rows, cols in cuts]
        matrix = [max(np.diff(c.starts).tolist()) * (p.value_bits + p.run_bits) for c in coded]
        pointer = [c.pointers.shape[1] * p.pointer_bits for c in coded]
        resident = (p.weights == "resident" or self.view.weight.home == "chip") and (
            sum(matrix) <= p.matrix_bytes * 8 and sum(pointer) <= p.pointer_bytes * 8
        )
        vector = self.c * self.view.input.width + self.k * self.view.output.width
        kept = vector <= p.pes * p.activation_bytes * 8
        for start in range(0, self.n, p.channels):
            vectors = list(range(start, min(start + p.channels, self.n)))
            sizes = [0, 0]
            for (rows, cols), code in zip(cuts, coded, strict=True):
                self.one_pass(rows, cols, code, vectors, resident, kept, sizes)
        steps = len(cuts) * -(-self.n // p.channels)
        largest = [sum(b) if resident else max(b) * min(2, steps) for b in (matrix, pointer)]
        busiest = 2 * max(len(c) for _, c in cuts) * self.view.input.width
        busiest += max(len(r) for r, _ in cuts) * self.view.output.width
        padding = self.totals["entries"] - self.causes["busy"]
        issued = self.causes["busy"] + self.causes["padding"]
        for way in WAYS:
            self.add("pe", "psum", way, issued * p.accumulator_bits)
        if p.codebook_bits:
            self.add("pe.codebook", "weight", "read", issued * p.codebook_bits)
        return self.activity(
            "pes",
            {Event("macs", "mac"): issued},
            buffers={
                "glb.weights": (p.matrix_bytes * 8, largest[0]),
                "glb.pointers": (p.pointer_bytes * 8, largest[1]),
                "glb.activations": (p.pes * p.activation_bytes * 8, vector if kept else busiest),
            },
            details={
                "passes": len(cuts),
                "resident": int(resident),
                "broadcasts": self.totals["broadcasts"],
                "entries": self.totals["entries"],
                "padding_entries": padding,
                "stored_entries": sum(code.values.size for code in coded),
                "ideal_cycles": -(-self.totals["entries"] // (p.pes * min(p.channels, self.n))),
            },
            performed_macs=issued,
            values=self.out,
        )

    def encode(self, rows: range, cols: range) -> CscCode:
        p = self.params
        block = self.w[rows.start : rows.stop, cols.start : cols.stop]
        signed = bool((block < 0).any())
        return Csc(min(p.pes, len(rows)), p.value_bits, p.run_bits, p.pointer_bits, signed).encode(block)

    def one_pass(
        self, rows: range, cols: range, code: CscCode, vectors: list[int], resident: bool, kept: bool, sizes: list[int]
    ) -> None:
        p = self.params
        mapped = min(p.pes, len(rows))
        drain = p.pipeline_stages - 1 if cols.stop == self.c else 0
        walks = [self.walk(rows, cols, code, v) for v in vectors]
        cycles = max(walks) + drain
        for walked in walks:
            self.causes["imbalance"] += mapped * (max(walks) - walked)
            self.causes["fill_drain"] += mapped * drain
            self.causes["unmapped"] += (p.pes - mapped) * cycles
        self.causes["unmapped"] += (p.channels - len(vectors)) * p.pes * cycles
        loads = list(self.loads(rows, cols, code, vectors, resident, kept, sizes))
        self.step(loads, cycles, self.stores(rows, cols, vectors))

    def walk(self, rows: range, cols: range, code: CscCode, vector: int) -> int:
        """Step one vector through a pass and return its cycles."""
        p = self.params
        pes = [_Pe(p, _slices(code, pe, p.row_entries), pe, self.book) for pe in range(len(code.starts) - 1)]
        inputs = {j: int(self.x[vector, c]) for j, c in enumerate(cols) if self.x[vector, c]}
        waiting, total = deque(inputs), len(inputs)
        pushed: list[tuple[int, int]] = []
        blocked: dict[int, set[int]] = {}
        sums: dict[tuple[int, int], int] = {}
        cycle = 0
        while True:
            for pe in pes:
                pe.take(cycle, inputs)
            if not waiting and all(not pe.queue for pe in pes):
                break
            full = {pe.pe for pe in pes if len(pe.queue) >= p.queue_depth}
            for pe in pes:
                working = pe.current is not None
                cause = pe.issue(cycle, sums) if working else pe.idle(cycle, pushed, total, blocked)
                self.causes[cause] += 1
                pe.point(cycle, pushed)
            if waiting and not full:
                column = waiting.popleft()
                pushed.append((cycle, column))
                for pe in pes:
                    pe.queue.append(column)
            elif waiting:
                blocked[cycle] = full
            cycle += 1
        for (place, pe_index), value in sums.items():
            self.out[vector, rows.start + place * len(pes) + pe_index] += value
        self.count(rows, cols, total, pes)
        return cycle

    def count(self, rows: range, cols: range, broadcasts: int, pes: list[_Pe]) -> None:
        """Count what moved on the chip for one vector's walk."""
        p, view, mapped = self.params, self.view, len(pes)
        x_bits, y_bits = view.input.width, view.output.width
        all_counts = sum((pe.counts for pe in pes), Counter())
        self.totals["entries"] += all_counts["entries"]
        self.totals["broadcasts"] += broadcasts
        links = levels = 0
        nodes = p.pes
        while nodes > 1:
            links += nodes
            levels += 1
            nodes = (nodes + 3) // 4
        column_bits = len(bin(p.pes * p.registers - 1)) - 2 if p.pes * p.registers > 1 else 0
        moved: dict[tuple[str, str, Direction], int] = {
            ("glb.activations", "input", "read"): len(cols) * x_bits,
            ("pe", "input", "write"): len(cols) * x_bits,
            ("pe", "input", "read"): broadcasts * x_bits,
            ("glb.pointers", "index", "read"): broadcasts * mapped * 2 * p.pointer_bits,
            ("glb.weights", "weight", "read"): all_counts["memory_rows"] * p.row_entries * p.value_bits,
            ("glb.weights", "index", "read"): all_counts["memory_rows"] * p.row_entries * p.run_bits,
        }
        for tensor, bits in (("input", x_bits), ("index", column_bits)):
            moved["array", tensor, "write"] = broadcasts * levels * bits
            moved["array", tensor, "read"] = broadcasts * links * bits
            moved["pe.queue", tensor, "write"] = moved["pe.queue", tensor, "read"] = broadcasts * mapped * bits
        if cols.stop == self.c:
            moved["pe", "output", "read"] = len(rows) * p.accumulator_bits
            moved["glb.activations", "output", "write"] = len(rows) * y_bits
        for (boundary, tensor, way), bits in moved.items():
            self.add(boundary, tensor, way, bits)

    def loads(
        self, rows: range, cols: range, code: CscCode, vectors: list[int], resident: bool, kept: bool, sizes: list[int]
    ) -> Iterator[Transfer]:
        p, x_bits = self.params, self.view.input.width
        weight, runs = code.values.size * p.value_bits, code.values.size * p.run_bits
        pointers = code.pointers.size * p.pointer_bits
        if not resident:
            copies = len(vectors)
            self.add("glb.weights", "weight", "write", weight * copies)
            self.add("glb.weights", "index", "write", runs * copies)
            self.add("glb.pointers", "index", "write", pointers * copies)
            for transfer in self.move("weight", "read", weight):
                yield transfer._replace(address_bits=sizes[0])
            for transfer in self.move("index", "read", runs + pointers):
                yield transfer._replace(address_bits=sizes[1])
        sizes[0] += weight
        sizes[1] += runs + pointers
        if self.view.input.home == "dram" and (rows.start == 0 or not kept):
            run = len(cols) * x_bits
            address = (vectors[0] * self.c + cols.start) * x_bits
            self.add("glb.activations", "input", "write", run * len(vectors))
            for transfer in self.move("input", "read", run, len(vectors)):
                yield transfer._replace(stride_bits=self.c * x_bits, address_bits=address)

    def stores(self, rows: range, cols: range, vectors: list[int]) -> Iterator[Transfer]:
        bits = self.view.output.width
        if cols.stop == self.c and self.view.output.home == "dram":
            run, address = len(rows) * bits, (vectors[0] * self.k + rows.start) * bits
            self.add("glb.activations", "output", "read", run * len(vectors))
            for transfer in self.move("output", "write", run, len(vectors)):
                yield transfer._replace(stride_bits=self.k * bits, address_bits=address)


def _slices(code: CscCode, pe: int, row_entries: int) -> list[list[_Entry]]:
    """Return the entries of a PE column by column, each with its row of the matrix memory."""
    found = []
    for first, stop in zip(code.pointers[pe, :-1].tolist(), code.pointers[pe, 1:].tolist(), strict=True):
        row, column = -1, []
        for at in range(first, stop):
            row += int(code.runs[code.starts[pe] + at]) + 1
            column.append(_Entry(row, int(code.values[code.starts[pe] + at]), at // row_entries))
        found.append(column)
    return found
