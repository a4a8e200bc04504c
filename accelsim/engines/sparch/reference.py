"""The plain twin: matrices as dictionaries, times as fractions, every search from scratch. Blind to any plan."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import WAYS, Ledger
from accelsim.workload.csr_matrix import CsrMatrix, from_entries
from accelsim.workload.layers import LayerView

SparseRow = dict[int, Any]
"""Column -> value."""
BOUNDS = ("multipliers", "mergers", "fetchers", "channels")
"""What can bound a round."""
COLUMNS = (
    "cycles", "bound_cycles", "bound_by", "new_leaves", "partials", "a_read", "b_read", "partial_read", "written",
    "pointers",
)  # fmt: skip
"""What the log says of each round."""


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return what the engine must give; knows the operands and parameters, not the plan."""
    del mapping
    a, b = _rows(operands.input.sparse), _rows(operands.weight.sparse)
    twin = _Twin(a, b, params, machine)
    product = twin.run()
    rows = [r for r, row in product.items() for _ in row]
    columns = [c for row in product.values() for c in row]
    values = np.array([v for row in product.values() for v in row.values()])
    dtype = (operands.input.sparse.values[:0] * operands.weight.sparse.values[:0]).dtype
    shape: tuple[int, int] = view.shape.output_shape  # type: ignore[assignment]
    made = from_entries(shape, np.array(rows), np.array(columns), values.astype(dtype))
    return twin.report(made)


def _rows(matrix: CsrMatrix) -> dict[int, SparseRow]:
    rows: dict[int, SparseRow] = {r: {} for r in range(matrix.shape[0])}
    for r, c, v in zip(matrix.rows.tolist(), matrix.columns.tolist(), matrix.values.tolist(), strict=True):
        rows[r][c] = v
    return rows


class _Twin(Ledger):
    def __init__(self, a: dict[int, SparseRow], b: dict[int, SparseRow], p: Any, machine: Machine) -> None:
        super().__init__(machine.dram)
        self.a, self.b, self.p = a, b, p
        self.n: Counter[str] = Counter()
        self.waits = dict.fromkeys(("memory", "conflict", "control"), Fraction(0))
        """Cycles in which all multipliers wait."""
        self.bus_cycles = Fraction(0)
        self.peak_lines = 0
        self.rounds: list[dict[str, Any]] = []

    def run(self) -> dict[int, SparseRow]:
        p, leaves = self.p, self.leaves()
        partial: dict[int, dict[int, SparseRow]] = {}
        weight = {i: sum(len(self.b[c]) for r, c in leaf) for i, leaf in enumerate(leaves)}
        self.n["leaves"] = len(leaves)
        if not leaves:
            self.look_at_nothing()
        elif not p.pipeline_merge:
            self.multiply(leaves, partial)
        waiting, ways, number = list(weight), 2**p.layers, len(leaves)
        first, result = True, {}
        while waiting:
            take = ways
            if p.huffman:
                waiting.sort(key=lambda node: (weight[node], node))
                if first and len(waiting) > 1:
                    # as few as make the rest come out in full rounds
                    take = next(t for t in range(2, ways + 1) if (len(waiting) - t) % (ways - 1) == 0)
            first = False
            nodes, waiting = waiting[:take], waiting[take:]
            result = self.round(nodes, leaves, partial, not waiting)
            if not waiting:
                break
            size = sum(len(row) for row in result.values())
            weight[number] = size if p.weights == "exact" else sum(weight[node] for node in nodes)
            partial[number] = result
            to_front = not p.huffman and p.plain_schedule == "running"
            waiting = [number, *waiting] if to_front else [*waiting, number]
            number += 1
        return result

    def leaves(self) -> list[list[tuple[int, int]]]:
        """Return for each leaf its (row, column) of A, from the top."""
        if self.p.condense:
            longest = max((len(row) for row in self.a.values()), default=0)
            return [[(r, list(row)[i]) for r, row in self.a.items() if i < len(row)] for i in range(longest)]
        used = sorted({c for row in self.a.values() for c in row})
        return [[(r, c) for r, row in self.a.items() if c in row] for c in used]

    def look_at_nothing(self) -> None:
        """Add the time of an A without entries: its pointers come, and say so."""
        pointers = 1 + (len(self.a) if self.p.condense else len(self.b))
        bus = Fraction(pointers * self.p.pointer_bits) / self.dram.bits_per_cycle
        took = bus + self.dram.latency_cycles
        self.waits["memory"] += took
        self.bus_cycles += bus
        self.rounds.append(dict.fromkeys(COLUMNS, 0) | {
            "cycles": ceil(took), "bound_cycles": ceil(bus), "bound_by": "channels", "pointers": pointers,
        })  # fmt: skip
        self.add("dram", "index", "read", pointers * self.p.pointer_bits)

    def multiply(self, leaves: list[list[tuple[int, int]]], partial: dict[int, dict[int, SparseRow]]) -> None:
        entries = [entry for leaf in leaves for entry in leaf]
        read = self.fetch([c for _, c in entries])
        rows: list[dict[str, Any]] = []
        for (_, c), misses in zip(entries, read, strict=True):
            length = len(self.b[c])
            rows.append({"a": [length], "read": misses, "partial": 0, "stages": [length], "scan": 0, "pointers": 2})
        rows[0]["pointers"] += 1 + (len(self.a) if self.p.condense else len(self.b))
        for i, leaf in enumerate(leaves):
            partial[i] = {}
            for r, c in leaf:
                partial[i].setdefault(r, {}).update({j: self.a[r][c] * v for j, v in self.b[c].items()})
        self.time(rows, 0, False, (len(leaves), 0))

    def round(
        self,
        nodes: list[int],
        leaves: list[list[tuple[int, int]]],
        partial: dict[int, dict[int, SparseRow]],
        final: bool,
    ) -> dict[int, SparseRow]:
        p = self.p
        fresh = [node for node in nodes if node not in partial]
        order = []  # entries of A row by row, as they stand in the row
        for r, row in self.a.items():
            order += [(r, c) for c in row if any((r, c) in leaves[node] for node in fresh)]
        read = dict(zip(order, self.fetch([c for _, c in order]), strict=True))
        result: dict[int, SparseRow] = {}
        rows: list[dict[str, Any]] = []
        for r in self.a:
            streams: list[SparseRow] = []
            mine = [entry for entry in order if entry[0] == r]
            from_dram = 0
            for node in nodes:
                if node in partial:
                    streams.append(partial[node].get(r, {}))
                    from_dram += len(streams[-1])
                else:
                    found = [entry for entry in mine if entry in leaves[node]]
                    streams.append({j: self.a[r][c] * v for _, c in found for j, v in self.b[c].items()})
            if not mine and not from_dram:
                continue
            streams += [{}] * (2**p.layers - len(streams))
            into = []
            while len(streams) > 1:
                into.append(sum(map(len, streams)))
                streams = [self.node(streams[i], streams[i + 1]) for i in range(0, len(streams), 2)]
            result[r] = streams[0]
            rows.append({
                "a": [len(self.b[c]) for _, c in mine], "read": sum(read[entry] for entry in mine),
                "partial": from_dram, "stages": [*into, len(streams[0])],
                "scan": r + 1 if p.condense and fresh else 0, "pointers": 2 * len(mine),
            })  # fmt: skip
        if p.pipeline_merge and p.condense and fresh:
            ends = [0, *(row["scan"] for row in rows[:-1]), len(self.a)]
            for i, made in enumerate(rows):  # those behind the last entry come with it
                made["pointers"] += ends[i + 1] - ends[i]
            rows[0]["pointers"] += 1
        elif p.pipeline_merge and not self.rounds:
            rows[0]["pointers"] += len(self.b) + 1
        for node in nodes:
            partial.pop(node, None)
        old = len(nodes) - len(fresh)
        self.time(rows, p.layers, final, (len(fresh), old))
        return result

    def fetch(self, uses: list[int]) -> list[int]:
        """Return the elements of B that each use reads, with the buffer as a plain dictionary of lines."""
        p, read = self.p, []
        held: dict[int, int] = {}
        latest: dict[int, int] = {}
        for t, row in enumerate(uses):
            length = len(self.b[row])
            if not p.prefetch:
                read.append(length)
                continue
            window = uses[t + 1 : t + p.lookahead]
            had = held.get(row, 0)
            read.append(max(0, length - had * p.line_elements))
            need = min(ceil(length / p.line_elements), p.prefetch_lines)
            held[row] = max(need, had)
            latest[row] = t
            while sum(held.values()) > p.prefetch_lines:
                others = [r for r in held if r != row and held[r]]
                unknown = [r for r in others if r not in window]
                victim = min(unknown, key=lambda r: latest[r]) if unknown else max(others, key=window.index)
                held[victim] -= 1
            self.peak_lines = max(self.peak_lines, sum(held.values()))
        return read

    def time(self, rows: list[dict[str, Any]], layers: int, final: bool, nodes: tuple[int, int]) -> None:
        """Add the time of a round: a pipeline of multipliers, layers and writer behind a shared DRAM."""
        p, n = self.p, self.n
        out_bits = p.output_bits if final else p.partial_bits
        stages, rate = layers + 1, self.dram.bits_per_cycle
        begin: list[list[Fraction]] = [[] for _ in range(stages + 1)]  # the last one is the writer
        end: list[list[Fraction]] = [[] for _ in range(stages)]
        bus = Fraction(0)
        waits = self.waits
        bus_busy = Fraction(0)

        def room(sizes: list[int], capacity: int) -> int:
            """Return the youngest row that must have left for what came after it to fit, or -1."""
            first = len(sizes)
            while first > 0 and sum(sizes[first - 1 :]) <= capacity:
                first -= 1
            return first - 1

        asked: list[tuple[Fraction, Fraction, bool]] = []  # per read: first element, last one, held up by the scan
        while len(begin[stages]) < len(rows):
            # rows go through the stages in order, as far as the writes so far make room for what they put out
            while len(end[0]) < len(asked):
                g = len(end[0])
                row = rows[g]
                q = room([r["stages"][layers] for r in rows[:g]], p.writer_fifo)
                if q >= len(begin[stages]):
                    break
                first, last, scan_bound = asked[g]
                for s in range(stages):
                    if s < stages - 1:
                        q = room([r["stages"][s] for r in rows[:g]], p.tree_fifo)
                    else:
                        q = room([r["stages"][layers] for r in rows[:g]], p.writer_fifo)
                    block = begin[s + 1][q] if q >= 0 else Fraction(0)
                    free = end[s][-1] if end[s] else Fraction(0)
                    begun = max(free, first, block)
                    if s == 0:
                        slots = sum(ceil(length / p.multiplier_lanes) for length in row["a"])
                        work = Fraction(slots, p.multiplier_groups)
                    else:
                        work = Fraction(row["stages"][s - 1], p.merger_width)
                    finished = max(begun + work, last)
                    if s == 0:
                        arrived = min(begun, max(free, first))
                        waits["control" if scan_bound else "memory"] += arrived - free
                        waits["conflict"] += begun - arrived
                        waits["memory"] += finished - begun - work
                        n["slots"] += slots
                    begin[s].append(begun)
                    end[s].append(finished)
                    first, last = begun + p.layer_latency_cycles, finished + p.layer_latency_cycles
            # the bus takes what can begin first: the oldest row that is not written, or the next row that is not read
            write_at = read_at = None
            w, g = len(begin[stages]), len(asked)
            if w < len(end[0]):
                write_at = max(bus, end[stages - 1][w])
            if g < len(rows):
                leaves_first = min(room([len(r["a"]) for r in rows[: g + 1]], p.lookahead), g - 1)
                if leaves_first < len(end[0]):
                    space = end[0][leaves_first] if leaves_first >= 0 else Fraction(0)
                    read_at = max(bus, space, Fraction(rows[g]["scan"]))
            if write_at is not None and (read_at is None or write_at <= read_at):
                begin[stages].append(write_at)
                bits = rows[w]["stages"][layers] * out_bits
                bus = write_at + Fraction(bits) / rate
            else:
                assert read_at is not None
                row = rows[g]
                bits = (len(row["a"]) + row["read"]) * p.element_bits + row["partial"] * p.partial_bits
                bits += row["pointers"] * p.pointer_bits
                scan_bound = row["scan"] > max(bus, space)
                bus = read_at + Fraction(bits) / rate
                trips = 2 if sum(row["a"]) else 1
                delay = trips * self.dram.latency_cycles
                asked.append((read_at + delay, bus + delay, scan_bound))
            bus_busy += Fraction(bits) / rate
        ends = [stage[-1] for stage in end if stage]
        merged = [sum(row["stages"][layer] for row in rows) for layer in range(layers)]
        lanes = sum(ceil(length / p.multiplier_lanes) for row in rows for length in row["a"])
        scanned = rows[-1]["scan"] if rows else 0
        parts = [Fraction(lanes, p.multiplier_groups), Fraction(max(merged, default=0), p.merger_width),
                 Fraction(scanned), bus_busy]  # fmt: skip
        a_read, b_read = sum(len(row["a"]) for row in rows), sum(row["read"] for row in rows)
        partial_read, written = sum(row["partial"] for row in rows), sum(row["stages"][layers] for row in rows)
        took, bound = ceil(max([bus, *ends])), parts.index(max(parts))
        self.rounds.append({
            "cycles": took, "bound_cycles": ceil(max(parts)), "bound_by": BOUNDS[bound],
            "new_leaves": nodes[0], "partials": nodes[1],
            "a_read": a_read, "b_read": b_read, "partial_read": partial_read, "written": written,
            "pointers": sum(row["pointers"] for row in rows),
        })  # fmt: skip
        n.update({"products": sum(sum(row["a"]) for row in rows), "merged": sum(merged), "scans": scanned})
        if final:
            n["outputs"] += written
        self.bus_cycles += bus_busy
        self.add("dram", "index", "read", self.rounds[-1]["pointers"] * p.pointer_bits)
        self.move_all(a_read, b_read, partial_read, written, final)

    def move_all(self, entries: int, fetched: int, back: int, written: int, final: bool) -> None:
        """Count a round's elements at the DRAM and at the buffers that they pass."""
        p = self.p
        self.add("dram", "input", "read", entries * p.element_bits)
        for way in WAYS:
            self.add("glb.lookahead", "input", way, entries * p.element_bits)
        self.add("dram", "weight", "read", fetched * p.element_bits)
        self.add("glb.rows", "weight", "write", fetched * p.element_bits)
        self.add("dram", "psum", "read", back * p.partial_bits)
        kind, width = ("output", p.output_bits) if final else ("psum", p.partial_bits)
        self.add("dram", kind, "write", written * width)

    def node(self, left: SparseRow, right: SparseRow) -> SparseRow:
        """Return what a node of the tree puts out."""
        total = dict(left)
        for column, value in right.items():
            self.n["additions"] += column in total
            total[column] = total[column] + value if column in total else value
        return dict(sorted(total.items()))

    def report(self, product: CsrMatrix) -> Activity:
        """Return the report of all rounds."""
        p, n, rounds = self.p, self.n, self.rounds
        cycles, multipliers = sum(r["cycles"] for r in rounds), p.multiplier_groups * p.multiplier_lanes
        # a row of B is read for the multipliers, and every element that enters a layer is compared there
        self.add("glb.rows", "weight", "read", n["products"] * p.element_bits)
        for way in WAYS:
            self.add("glb.tree", "psum", way, n["merged"] * p.partial_bits)
        causes = {"busy": n["products"], "padding": n["slots"] * p.multiplier_lanes - n["products"]}
        causes |= {cause: floor(time * multipliers) for cause, time in self.waits.items()}
        causes["fill_drain"] = cycles * multipliers - sum(causes.values())
        bus, line = floor(self.bus_cycles * p.channels), p.line_elements * p.element_bits
        log = {name: [r[name] for r in rounds] for name in COLUMNS}
        return Activity(
            compute_cycles=cycles,
            accounts={
                "multipliers": causes,
                "merger_lanes": _rest(n["merged"], p.layers * p.merger_width * cycles),
                "fetchers": _rest(n["scans"], cycles),
                "channels": _rest(bus, p.channels * cycles),
            },
            traffic=self.flows,
            events={
                Event("multipliers", "mul"): n["products"],
                Event("adders", "add"): n["additions"],
                Event("comparators", "compare"): n["merged"],
            },
            schedule=None,
            stall_cycles=floor(self.waits["memory"]),
            buffers={"glb.rows": (p.prefetch_lines * line, self.peak_lines * line)},
            details={
                "products": n["products"],
                "additions": n["additions"],
                "outputs": n["outputs"],
                "leaves": n["leaves"],
                "rounds": len(rounds),
                "b_elements_used": n["products"],
                "b_elements_read": sum(log["b_read"]),
                "bound_cycles": sum(log["bound_cycles"]),
                "dram_bytes": self.dram_bits() // 8,
                **{f"rounds_bound_by_{name}": log["bound_by"].count(name) for name in BOUNDS},
                "round_log": log,
            },
            performed_macs=n["products"],
            values=product,
        )


def _rest(busy: int, whole: int) -> dict[str, int]:
    """Return the account of units that starve when they do not work."""
    return {"busy": busy, "starved": whole - busy}
