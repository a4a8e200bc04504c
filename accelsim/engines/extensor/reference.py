"""The plain twin: matrices as dictionaries, every tile cut out of them, PEs as ends. Blind to any plan."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import product
from math import ceil
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Phase
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import Ledger
from accelsim.workload.csr_matrix import CsrMatrix, from_entries
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return what the engine must give; knows the operands and parameters, not the plan."""
    del mapping
    return _Twin(operands.input.sparse, operands.weight.sparse, params, machine).run(view)


def skip_ahead(left: list[int], right: list[int]) -> tuple[int, list[int], int]:
    """Return cycles, matches and how many of ``left`` are looked at: heads meet until one list has none."""
    looked, cycles, matches, skipping = 0, 0, [], ""
    right = list(right)
    while looked < len(left) and right:
        head, other = left[looked], right[0]
        side = "none" if head == other else "left" if head < other else "right"
        if side == "none" or side != skipping:
            cycles += 1
        skipping = "" if side == "none" else side
        if side == "none":
            matches.append(head)
        if side != "right":
            looked += 1
        if side != "left":
            right.pop(0)
    return cycles, matches, looked


class _Twin(Ledger):
    def __init__(self, a: CsrMatrix, b: CsrMatrix, p: Any, machine: Machine) -> None:
        super().__init__(machine.dram)
        self.p, self.t = p, p.tile_elements
        self.kind = (a.values[:0] * b.values[:0]).dtype
        self.a = dict(zip(zip(a.rows.tolist(), a.columns.tolist(), strict=True), a.values.tolist(), strict=True))
        self.b = dict(zip(zip(b.columns.tolist(), b.rows.tolist(), strict=True), b.values.tolist(), strict=True))
        self.sizes = a.shape[0], a.shape[1], b.shape[1]
        self.a_tiles, self.b_tiles = self._tiles(self.a), self._tiles(self.b)
        self.touching: dict[tuple[int, int], list[int]] = defaultdict(list)
        for (m, k), (n, other) in product(self.a, self.b):
            if k == other:
                self.touching[m, n].append(k)
        self.n: Counter[str] = Counter()
        self.peak = 0

    def _tiles(self, matrix: dict[tuple[int, int], Any]) -> dict[tuple[int, int], dict[int, list[int]]]:
        """Return (row of tiles, place along k) -> row -> its k there, ascending."""
        found: dict[tuple[int, int], dict[int, list[int]]] = defaultdict(dict)
        for row, k in sorted(matrix):
            found[row // self.t, k // self.t].setdefault(row, []).append(k)
        return found

    def _lines(self, *arrays: int) -> int:
        """Return the bits of arrays of so many bits each, in whole lines."""
        return sum(ceil(bits / self.p.line_bits) * self.p.line_bits for bits in arrays)

    def _pairs(self, entries: int) -> int:
        return self._lines(entries * self.p.coordinate_bits, entries * self.p.pointer_bits)

    def _stored(self, tile: dict[int, list[int]]) -> int:
        element = self.p.coordinate_bits + self.p.value_bits
        return self._pairs(len(tile)) + self._lines(*(len(fibre) * element for fibre in tile.values()))

    def _bits_of_b(self, n2: int, k2: int, k1: int, n1: int) -> int:
        """Return what B takes of one (n2, k2)."""
        lists: dict[int, int] = defaultdict(int)
        bits = 0
        for (row, k), tile in self.b_tiles.items():
            if row // n1 == n2 and k // k1 == k2:
                lists[row] += 1
                bits += self._stored(tile)
        return bits + self._pairs(len(lists)) + sum(self._pairs(length) for length in lists.values())

    def _bits_of_a(self, m2: int, k2: int, m1: int, k1: int) -> int:
        """Return what A takes of one (m2, k2), tuples of two coordinates included."""
        taken = [tile for (row, k), tile in self.a_tiles.items() if row // m1 == m2 and k // k1 == k2]
        return sum(self._stored(tile) + 2 * self.p.coordinate_bits for tile in taken)

    def _touched(self, n2: int, k2: int, m2: int, cut: tuple[int, int, int]) -> tuple[int, int]:
        """Return outputs that a step touches, and those of them that an earlier k2 has touched."""
        m1, k1, n1 = (tiles * self.t for tiles in cut)
        made = again = 0
        for (m, n), ks in self.touching.items():
            if m // m1 == m2 and n // n1 == n2 and any(k // k1 == k2 for k in ks):
                made += 1
                again += any(k // k1 < k2 for k in ks)
        return made, again

    def _counts(self, cut: tuple[int, int, int]) -> tuple[int, int, int]:
        return tuple(ceil(ceil(size / self.t) / tiles) for size, tiles in zip(self.sizes, cut, strict=True))

    def _cut(self) -> tuple[int, int, int]:
        """Return tiles along m, k and n: as given, else of what fits what moves least, larger k, n, m first."""
        p = self.p
        ways = []
        for given, size in zip((p.m1_tiles, p.k1_tiles, p.n1_tiles), self.sizes, strict=True):
            all_tiles, powers = ceil(size / self.t), [1]
            while powers[-1] < all_tiles:
                powers.append(2 * powers[-1])
            ways.append([given] if given else powers)
        fitting = []
        for m1, k1, n1 in product(*ways):
            m2s, k2s, n2s = self._counts((m1, k1, n1))
            peak = moved = 0
            for n2, k2 in product(range(n2s), range(k2s)):
                b = self._bits_of_b(n2, k2, k1, n1)
                moved += b
                for m2 in range(m2s):
                    made, again = self._touched(n2, k2, m2, (m1, k1, n1))
                    a = self._bits_of_a(m2, k2, m1, k1)
                    moved += a + (2 * again * self._output if p.partial_bytes < 0 else 0)
                    if a and b:
                        peak = max(peak, a + b + made * self._output)
            if peak <= p.llb_kib * 8192:
                fitting.append((moved, -k1, -n1, -m1, peak))
        _, k1, n1, m1, self.peak = min(fitting)
        return -m1, -k1, -n1

    @property
    def _output(self) -> int:
        return int(2 * self.p.coordinate_bits + self.p.value_bits)

    def run(self, view: LayerView) -> Activity:
        p, cut = self.p, self._cut()
        m2s, _, n2s = self._counts(cut)
        phases: list[Phase] = []
        moved_by_products: list[int] = []
        sums: dict[tuple[int, int], dict[int, Any]] = defaultdict(dict)
        for n2 in range(n2s):
            in_a = sorted({k // cut[1] for _, k in self.a_tiles})
            in_b = sorted({k // cut[1] for row, k in self.b_tiles if row // cut[2] == n2})
            cycles, matching, _ = skip_ahead(in_a, in_b)
            self.n["k2"] += cycles
            phases.append(Phase(max(1, cycles), 0, {"memory": p.pes}))
            moved_by_products.append(self.n["products"])
            for k2 in matching:
                bits = self._bits_of_b(n2, k2, cut[1], cut[2])
                self.add("dram", "weight", "read", bits)
                self.add("glb.llb", "weight", "write", bits)
                for m2 in range(m2s):
                    lists: dict[int, list[int]] = defaultdict(list)
                    for row, k in sorted(self.a_tiles):
                        if row // cut[0] == m2 and k // cut[1] == k2:
                            lists[row].append(k)
                    if lists:
                        compute, more = self._step(n2, k2, m2, lists, cut, sums)
                        phases.append(Phase(compute, bits + more, {"memory": p.pes}))
                        moved_by_products.append(self.n["products"])
                        bits = 0
        if p.partial_bytes >= 0 and self.n["products"]:
            given = 8 * p.partial_bytes
            self.add("dram", "psum", "read", given // 2)
            self.add("dram", "psum", "write", given - given // 2)
            shares = [given * done // self.n["products"] for done in moved_by_products]
            phases = [
                phase._replace(bus_bits=phase.bus_bits + share - before)
                for phase, share, before in zip(phases, shares, [0, *shares], strict=False)
            ]
        entries = []
        for (m, n), parts in sums.items():
            ordered = [parts[k1] for k1 in sorted(parts)]
            entries.append((m, n, sum(ordered[1:], ordered[0])))
        rows, columns, values = (list(part) for part in zip(*entries, strict=True)) if entries else ([], [], [])
        shape: tuple[int, int] = view.shape.output_shape  # type: ignore[assignment]
        result = from_entries(shape, np.array(rows), np.array(columns), np.array(values, self.kind))
        return self._activity(phases, cut, len(entries), result)

    def _step(
        self, n2: int, k2: int, m2: int, lists: dict[int, list[int]], cut: tuple[int, int, int],
        sums: dict[tuple[int, int], dict[int, Any]],
    ) -> tuple[int, int]:  # fmt: skip
        """Return cycles and bits of a step, the bits of B apart."""
        p, bits = self.p, 0
        others: dict[int, list[int]] = defaultdict(list)
        for row, k in sorted(self.b_tiles):
            if row // cut[2] == n2 and k // cut[1] == k2:
                others[row].append(k)
        present = {k for ks in others.values() for k in ks}
        ends, turn, side = [0] * p.pes, 0, 0
        for row, ks in lists.items():
            bits += sum(self._stored(self.a_tiles[row, k]) for k in ks if k in present)
            looked = 0
            for other, its in others.items():
                cycles, matches, seen = skip_ahead(ks, its)
                side, looked = side + cycles, max(looked, seen)
                for k in matches:
                    pe = turn % p.pes if p.deal == "turn" else ends.index(min(ends))
                    ends[pe] += self._pair(self.a_tiles[row, k], self.b_tiles[other, k], k, sums)
                    turn += 1
            bits += looked * 2 * p.coordinate_bits
        self.add("dram", "input", "read", bits)
        self.add("glb.llb", "input", "write", bits)
        made, again = self._touched(n2, k2, m2, cut)
        self.n["again"] += again
        self.add("dram", "output", "write", (made - again) * self._output)
        moved = made - again
        if p.partial_bytes < 0:
            self.add("dram", "psum", "write", again * self._output)
            self.add("dram", "psum", "read", again * self._output)
            moved = made + again
        self.n["k1"] += side
        self.n["slowest"] += max(ends)
        return max(*ends, ceil(side / p.sequencers)), bits + moved * self._output

    def _pair(self, left: Any, right: Any, k1: int, sums: dict[tuple[int, int], dict[int, Any]]) -> int:
        """Return the cycles of a PE on two tiles."""
        spent = 0
        for tensor, tile in (("input", left), ("weight", right)):
            self.add("glb.llb", tensor, "read", self._stored(tile))
            self.add("pe", tensor, "write", self._stored(tile))
        for (m, ks), (n, its) in product(left.items(), right.items()):
            cycles, matches, _ = skip_ahead(ks, its)
            spent += cycles
            self.add("pe", "index", "read", 2 * cycles * self.p.coordinate_bits)
            for k in matches:
                for tensor in ("input", "weight"):
                    self.add("pe", tensor, "read", self.p.value_bits)
                made = self.a[m, k] * self.b[n, k]
                parts = sums[m, n]
                parts[k1] = parts[k1] + made if k1 in parts else made
            self.n["products"] += len(matches)
            for way in ("write", "read"):
                self.add("glb.llb", "psum", way, self._output * bool(matches))
        self.n["pairs"] += 1
        self.n["k0"] += spent
        return spent

    def _activity(self, phases: list[Phase], cut: tuple[int, int, int], outputs: int, result: CsrMatrix) -> Activity:
        p, n, bits = self.p, self.n, self.dram_bits()
        own = sum(phase.compute_cycles for phase in phases)
        cycles = sum(max(f.compute_cycles, ceil(f.bus_bits / self.dram.bits_per_cycle)) for f in phases)
        causes = {
            "busy": n["products"], "control": n["k0"] - n["products"], "imbalance": p.pes * n["slowest"] - n["k0"],
            "starved": p.pes * (own - n["slowest"]), "memory": p.pes * (cycles - own),
        }  # fmt: skip
        shares = ceil(n["k0"] / p.pes), ceil(n["k1"] / p.sequencers), n["k2"], ceil(bits / self.dram.bits_per_cycle)
        return Activity(
            compute_cycles=cycles,
            accounts={"pes": causes},
            traffic=self.flows,
            events={
                Event("multipliers", "mul"): n["products"],
                Event("adders", "add"): n["products"] - outputs,
                Event("intersectors", "compare"): n["k0"] + n["k1"] + n["k2"],
            },
            schedule=None,
            stall_cycles=cycles - own,
            buffers={"glb.llb": (p.llb_kib * 8192, self.peak)},
            details={
                "products": n["products"], "additions": n["products"] - outputs, "outputs": outputs,
                "k2_intersections": n["k2"], "k1_intersections": n["k1"], "k0_intersections": n["k0"],
                "tile_pairs": n["pairs"], "m1_tiles": cut[0], "k1_tiles": cut[1], "n1_tiles": cut[2],
                "partial_outputs": n["again"], "bound_cycles": max(shares), "dram_bytes": bits // 8,
            },
            performed_macs=n["products"],
            values=result,
        )  # fmt: skip
