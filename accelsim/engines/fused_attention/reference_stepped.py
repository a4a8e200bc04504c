"""The array and its lanes while a layer is stepped: who scores what, what a phase costs, and the values so far."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Event
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import Ledger
from accelsim.units import ceil_div
from accelsim.workload.layers import LayerView


class Tile(NamedTuple):
    """Queries of one head beside keys: who they are, which pairs count, and whether the query block ends here."""

    n: int
    kept: int
    head: int
    block: int
    queries: range
    keys: range
    pairs: tuple[tuple[int, int], ...]
    ends: bool


class Stepped(Ledger):
    """One layer while it is stepped."""

    def __init__(self, view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> None:
        super().__init__(machine.dram)
        shape: Any = view.shape
        self.a = shape
        self.p, self.e = params, self.a.head_dim
        self.q, self.k, self.v = (
            each.values.reshape(self.a.batch, -1, heads, self.e)
            for each, heads in zip(operands.inputs[:3], (self.a.heads, self.a.kv_heads, self.a.kv_heads), strict=True)
        )
        self.bits = {name: view.inputs[i].width for i, name in enumerate("qkv")} | {
            "o": view.output.width, "s": params.operand_bits,
        }  # fmt: skip
        self.cause = {kind: dict.fromkeys(("busy", "padding", "starved", "fill_drain", "imbalance"), 0)
                      for kind in ("pes", "lanes")}  # fmt: skip
        self.ops: dict[Event, int] = {}
        self.cycles = self.array_cycles = self.lane_cycles = 0
        self.scores: dict[tuple[int, int, int], dict[int, float]] = {}
        self.out = np.zeros(self.q.shape)
        shared, along = self.a.heads // self.a.kv_heads, ceil_div(self.a.q, self.p.cols)
        self.blocks = list(range(shared * along))
        self.together = mapping.query_blocks or self.most_together()
        self.together = min(self.together, len(self.blocks))

    # what there is

    def seen(self, query: int) -> int:
        """Return how many keys a query may see."""
        return self.a.kv if self.a.causal == "none" else self.a.kv - self.a.q + query + 1

    def queries(self, block: int) -> range:
        """Return the queries of a block."""
        first = block % ceil_div(self.a.q, self.p.cols) * self.p.cols
        return range(first, min(first + self.p.cols, self.a.q))

    def tiles(self, n: int, kept: int, block: int) -> list[Tile]:
        """Return the tiles of a query block in the order of their keys."""
        queries = self.queries(block)
        head = kept * (self.a.heads // self.a.kv_heads) + block // ceil_div(self.a.q, self.p.cols)
        found = []
        for first in range(0, self.a.kv, self.p.rows):
            keys = range(first, min(first + self.p.rows, self.a.kv))
            skips = self.a.causal == "skip"
            if skips and first >= self.seen(queries[-1]):
                break
            pairs = tuple((i, j) for i in queries for j in keys if not skips or j < self.seen(i))
            found.append(Tile(n, kept, head, block, queries, keys, pairs, False))
        found[-1] = found[-1]._replace(ends=True)
        return found

    def needed(self, together: int) -> int:
        """Return bits of the buffer for some query blocks, scores that FLAT keeps apart."""
        b, p, e = self.bits, self.p, self.e
        if p.softmax == "one_pass":
            each = p.cols * e * b["q"] + p.cols * (e + 2) * b["s"]
            each += 2 * p.rows * p.cols * b["s"] if p.pe == "mac" else 0
            return p.rows * e * (b["k"] + b["v"]) + together * each
        if not p.fused:
            return p.rows * e * max(b["k"], b["v"]) + together * (p.cols * e * b["q"] + p.rows * p.cols * b["s"])
        whole = sum(self.a.kv * e * b[name] for name in "kv" if name in p.keep)
        return p.rows * e * (b["k"] + b["v"]) + whole + together * p.cols * e * (b["q"] + b["o"])

    def most_together(self) -> int:
        """Return how many query blocks share a load if nobody says."""
        if "scores" in self.p.keep:
            return 1
        return max(
            n for n in self.blocks_counts() if self.needed(n) <= self.p.buffer_kib * 8192 or n == 1
        )  # fmt: skip

    def blocks_counts(self) -> list[int]:
        """Return how many may: so many that no group is smaller."""
        return [n for n in range(1, len(self.blocks) + 1) if len(self.blocks) % n == 0]

    # what units do

    def phase(self, array: list[int], lanes: list[int], idle: str = "imbalance", lasting: int = 0) -> int:
        """Let both work, or one: how many places count, cycle by cycle. Return the cycles that it took.

        Who is done waits for the other; ``idle`` says what that is.
        """
        cycles = max(len(array), len(lanes), lasting)
        for kind, work, units in (
            ("pes", array, self.p.rows * self.p.cols), ("lanes", lanes, self.p.cols),
        ):  # fmt: skip
            for cycle in range(cycles):
                if cycle < len(work):
                    self.cause[kind]["busy"] += work[cycle]
                    self.cause[kind]["padding"] += units - work[cycle]
                else:
                    self.cause[kind][idle] += units
        self.cycles += cycles
        self.array_cycles += len(array)
        self.lane_cycles += len(lanes)
        return cycles

    def op(self, component: str, action: str, count: int) -> None:
        """Count operations."""
        event = Event(component, action)
        self.ops[event] = self.ops.get(event, 0) + count

    def multiply(self, tile: Tile, cycles: int) -> list[int]:
        """Return what PEs do of a tile for some cycles: those with a pair work."""
        return [len(tile.pairs)] * cycles

    def by_row(self, tile: Tile, passes: int) -> list[int]:
        """Return passes of the lanes over the rows of a tile, a row in a cycle, rows beyond the keys among them."""
        rows = [sum(j == key for _, j in tile.pairs) for key in tile.keys]
        return (rows + [0] * (self.p.rows - len(rows))) * passes

    def per_query(self, tile: Tile, cycles: int) -> list[int]:
        """Return what lanes do for some cycles: those with a query work."""
        return [len(tile.queries)] * cycles

    # values

    def score(self, tile: Tile, i: int, j: int) -> float:
        """Return a score."""
        product = sum(
            int(x) * int(y) for x, y in zip(self.q[tile.n, i, tile.head], self.k[tile.n, j, tile.kept], strict=True)
        )
        return product / math.sqrt(self.e)

    def keep_scores(self, tile: Tile) -> None:
        """Hold scores until softmax; those behind the diagonal are masked."""
        for i, j in tile.pairs:
            if j < self.seen(i):
                self.scores.setdefault((tile.n, tile.head, i), {})[j] = self.score(tile, i, j)

    def finish(self, n: int, kept: int, head: int) -> None:
        """Take softmax of all held rows of a head, and the context."""
        for i in range(self.a.q):
            row = self.scores.pop((n, head, i), None)
            if row is None:
                continue
            most = max(row.values())
            shares = {j: math.exp(x - most) for j, x in row.items()}
            total = sum(shares.values())
            for j, share in shares.items():
                self.out[n, i, head] += share / total * self.v[n, j, kept]

    def run_on(self, tile: Tile, running: dict[tuple[int, int], list[Any]]) -> None:
        """Add a tile to the running maximum, sum and numerator of its queries."""
        for i in tile.queries:
            scores = {j: self.score(tile, i, j) for x, j in tile.pairs if x == i and j < self.seen(i)}
            most, total, numerator = running.get((tile.head, i), [-math.inf, 0.0, np.zeros(self.e)])
            if scores:
                new = max(most, *scores.values())
                correction = math.exp(most - new)
                shares = {j: math.exp(x - new) for j, x in scores.items()}
                total = total * correction + sum(shares.values())
                numerator = numerator * correction
                for j, share in shares.items():
                    numerator = numerator + share * self.v[tile.n, j, tile.kept]
                running[tile.head, i] = [new, total, numerator]
            if tile.ends:
                _, total, numerator = running[tile.head, i]
                self.out[tile.n, i, tile.head] = numerator / total

    # what moves

    def near(self, tile: Tile) -> None:
        """Count what a tile reads and writes on the chip, and its products."""
        e, b, pairs = self.e, self.bits, len(tile.pairs)
        for tensor, rows, width in (("input", tile.queries, b["q"]), ("weight", tile.keys, b["k"]),
                                    ("weight", tile.keys, b["v"])):  # fmt: skip
            self.add("glb", tensor, "read", len(rows) * e * width)
            self.add("array", tensor, "read", pairs * e * width)
        self.add("array", "psum", "write", pairs * e * self.p.accumulator_bits)
        self.op("macs", "mac", 2 * e * pairs)
        queries, three = len(tile.queries), self.p.softmax == "three_pass"
        if three or self.p.pe == "mac":  # scores leave the array
            self.add("glb", "psum", "write", (3 if three else 2) * pairs * b["s"])
            self.add("glb", "psum", "read", 4 * pairs * b["s"])
            self.op("lanes", "compare", pairs)
            self.op("lanes", "add", 2 * pairs)
            self.op("lanes", "special", pairs * (2 if three else 1))
        else:
            self.op("macs", "mac", 6 * pairs)
            self.op("pe_alus", "compare", pairs)
            self.op("pe_alus", "add", 2 * pairs)
            self.op("lanes", "mul", 6 * queries)
        if three:
            return
        for way in ("read", "write"):
            self.add("glb", "psum", way, queries * (e + 2) * b["s"])
        self.op("lanes", "compare", queries)
        self.op("lanes", "add", queries * (2 + e))
        self.op("lanes", "mul", queries * (1 + e))
        self.op("lanes", "special", queries * (e * tile.ends + (self.p.pe == "mac")))

    def fetch(self, tensor: str, way: Any, run_bits: int, runs: int = 1) -> list[Any]:
        """Move bits between DRAM and the buffer."""
        moved = self.move(tensor, way, run_bits, runs)
        if tensor != "output":
            self.add("glb", tensor, "write" if way == "read" else "read", run_bits * runs)
        return moved

    def groups(self) -> list[list[int]]:
        """Return the query blocks of each group."""
        return [self.blocks[i : i + self.together] for i in range(0, len(self.blocks), self.together)]

    def heads(self) -> list[tuple[int, int]]:
        """Return sequences and heads of keys."""
        return [(n, kept) for n in range(self.a.batch) for kept in range(self.a.kv_heads)]

    def outputs(self, blocks: list[int]) -> list[Any]:
        """Store the outputs of query blocks."""
        queries = sum(len(self.queries(block)) for block in blocks)
        self.add("glb", "output", "write", queries * self.e * self.bits["o"])
        self.add("glb", "output", "read", queries * self.e * self.bits["o"])
        return self.fetch("output", "write", self.e * self.bits["o"], queries)
