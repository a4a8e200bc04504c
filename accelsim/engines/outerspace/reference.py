"""The plain twin: real lists of chunks, filled column by column and merged row by row. Blind to any plan."""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import Any

import numpy as np

from accelsim.activity import Activity, Direction, Event
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import Ledger
from accelsim.workload.csr_matrix import CsrMatrix, from_entries
from accelsim.workload.layers import LayerView

Chunk = list[tuple[int, Any]]
"""(column, product) of one entry of A."""


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return what the engine must give; knows the operands and parameters, not the plan."""
    del mapping
    return _Twin(operands.input.sparse, operands.weight.sparse, params, machine).run(view)


class _Twin(Ledger):
    def __init__(self, a: CsrMatrix, b: CsrMatrix, p: Any, machine: Machine) -> None:
        super().__init__(machine.dram)
        self.a, self.b, self.p = a, b, p
        self.bus = {"multiply": 0, "merge": 0}
        """Bits on the bus in each phase, whole bursts."""
        self.sums: Counter[str] = Counter()

    def run(self, view: LayerView) -> Activity:
        a, b, p = self.a, self.b, self.p
        kind = (a.values[:0] * b.values[:0]).dtype
        lists: list[list[Chunk]] = [[] for _ in range(a.shape[0])]
        multiplied = self._multiply(lists)
        made, merged = self._merge(lists)
        # pointers: where the columns of A and the rows of B begin; then, with the merge phase, the head of every list,
        # written and read, and where the rows of C begin
        inner, rows = a.shape[1], a.shape[0]
        self._pointers("multiply", inner + 1 + inner + 1, 0)
        self._pointers("merge", rows, rows + rows + 1)
        places = [(i, j) for i, row in made.items() for j in row]
        values = np.array([made[i][j] for i, j in places], kind)
        shape: tuple[int, int] = view.shape.output_shape  # type: ignore[assignment]
        product = from_entries(shape, np.array([i for i, _ in places]), np.array([j for _, j in places]), values)
        return self._activity(multiplied, merged, p, len(places), product)

    def _multiply(self, lists: list[list[Chunk]]) -> list[int]:
        """Deal the columns to the tiles, whose elements multiply entries with rows; return the tiles' ends."""
        p, inner = self.p, self.a.shape[1]
        of_a, of_b = _by(self.a, 1, inner), _by(self.b, 0, inner)
        tiles = [0] * p.tiles
        for column, row in zip(of_a, of_b, strict=True):
            tile = tiles.index(min(tiles))
            self._transfer("multiply", "input", "read", len(column))
            for start in range(0, len(column), p.tile_pes):
                together = column[start : start + p.tile_pes]
                kept = start > 0 and len(row) * p.element_bits <= p.cache_kib * 8192
                requests = 1 if kept or not row else 2
                if requests == 2:
                    self._transfer("multiply", "weight", "read", len(row))
                    self.add("glb.rows", "weight", "write", len(row) * p.element_bits)
                tiles[tile] += requests * self.dram.latency_cycles + len(row)
                self.sums["waits"] += len(together) * requests * self.dram.latency_cycles
                for i, value in together:
                    chunk = [(j, value * w) for j, w in row]
                    self.add("glb.rows", "weight", "read", len(chunk) * p.element_bits)
                    self._transfer("multiply", "psum", "write", len(chunk))
                    self.sums["products"] += len(chunk)
                    if chunk:
                        lists[i].append(chunk)
        return tiles

    def _merge(self, lists: list[list[Chunk]]) -> tuple[dict[int, dict[int, Any]], list[int]]:
        """Deal the lists to the merging elements; return the rows of C and the elements' ends."""
        p, ends = self.p, [0] * self.p.merge_pes
        made: dict[int, dict[int, Any]] = {}
        for i, chunks in enumerate(lists):
            if not chunks:
                continue
            total: dict[int, Any] = {}
            for j, value in (entry for chunk in chunks for entry in chunk):
                self.sums["additions"] += j in total
                total[j] = total[j] + value if j in total else value
            made[i] = dict(sorted(total.items()))
            for chunk in chunks:
                self._transfer("merge", "psum", "read", len(chunk))
            size, lengths, passes = sum(map(len, chunks)), len(chunks), 1
            while lengths > p.scratchpad_elements:
                # more chunks than heads: what a pass merges goes out and comes back
                self._transfer("merge", "psum", "write", size)
                self._transfer("merge", "psum", "read", size)
                lengths, passes = ceil(lengths / p.scratchpad_elements), passes + 1
            self.add("pe", "psum", "write", passes * size * p.element_bits)
            self.add("pe", "psum", "read", passes * size * p.element_bits)
            self._transfer("merge", "output", "write", len(total))
            # the head of the list, the first head of each chunk, and one for every element taken
            wait = (1 + len(chunks) + passes * size) * self.dram.latency_cycles
            ends[ends.index(min(ends))] += wait + passes * size
            self.sums["waits"] += wait
            self.sums["taken"] += passes * size
        return made, ends

    def _activity(self, tiles: list[int], ends: list[int], p: Any, outputs: int, product: CsrMatrix) -> Activity:
        n, pes = self.sums, p.tiles * p.tile_pes
        dram = [ceil(bits / self.dram.bits_per_cycle) for bits in self.bus.values()]
        walked = [max(tiles), max(ends)]
        times = [max(pair) for pair in zip(walked, dram, strict=True)]
        stalls = [time - own for time, own in zip(times, walked, strict=True)]
        useful = self.dram_bits()
        self.add("dram", "other", "read", sum(self.bus.values()) - useful)
        causes = {
            "busy": n["products"] + n["taken"],
            "unmapped": (pes - p.merge_pes) * times[1],
            "memory": n["waits"] + stalls[0] * pes + stalls[1] * p.merge_pes,
        }
        causes["imbalance"] = pes * sum(times) - sum(causes.values())
        bound = max(ceil(n["products"] / pes), dram[0]) + max(ceil(n["taken"] / p.merge_pes), dram[1])
        return Activity(
            compute_cycles=sum(times),
            accounts={"pes": causes},
            traffic=self.flows,
            events={
                Event("alus", "mul"): n["products"],
                Event("alus", "add"): n["additions"],
                Event("alus", "compare"): n["taken"],
            },
            schedule=None,
            stall_cycles=sum(stalls),
            details={
                "products": n["products"],
                "additions": n["additions"],
                "outputs": outputs,
                "multiply_cycles": times[0],
                "merge_cycles": times[1],
                "bound_cycles": bound,
                "dram_bytes": useful // 8,
            },
            performed_macs=n["products"],
            values=product,
        )

    def _transfer(self, phase: str, tensor: str, direction: Direction, elements: int) -> None:
        """Move elements that lie side by side over the bus, in whole bursts."""
        bits = elements * self.p.element_bits
        self.add("dram", tensor, direction, bits)
        self.bus[phase] += ceil(bits / self.dram.burst_bits) * self.dram.burst_bits

    def _pointers(self, phase: str, read: int, written: int) -> None:
        """Move all pointers of a phase, one after another."""
        width, burst = self.p.pointer_bits, self.dram.burst_bits
        self.add("dram", "index", "read", read * width)
        self.add("dram", "index", "write", written * width)
        self.bus[phase] += ceil((read + written) * width / burst) * burst


def _by(matrix: CsrMatrix, axis: int, size: int) -> list[list[tuple[int, Any]]]:
    """Return the entries of each row (axis 0) or column (axis 1)."""
    found: list[list[tuple[int, Any]]] = [[] for _ in range(size)]
    for place in zip(matrix.rows.tolist(), matrix.columns.tolist(), matrix.values.tolist(), strict=True):
        found[place[axis]].append((place[1 - axis], place[2]))
    return found
