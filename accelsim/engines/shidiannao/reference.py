"""The PEs stepped one by one, each with what it has received: blind to counts and plan."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, TypeAlias

from accelsim.activity import Activity
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import WAYS, SteppedWhole
from accelsim.workload.layers import LayerView

Place: TypeAlias = tuple[int, int]


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    del mapping
    return _Layer(view, operands, params, machine.dram, ("busy", "zero", "unmapped")).run()


class _Layer(SteppedWhole):
    def run(self) -> Activity:
        conv, cycles = self.conv, 0
        for n, group in product(range(conv.n), range(conv.groups)):
            for pes in self._blocks(group):
                for channel in range(conv.c // conv.groups):
                    cycles += self._map(n, channel, pes)
        self.add("glb.outputs", "output", "write", conv.n * conv.k * conv.e * conv.f * self.bits["output"])
        roles = ("input", "weight", "output")
        stores = {role: (f"glb.{role}s", getattr(self.p, f"{role}_kib") * 8192) for role in roles}
        return self.finish("pes", cycles, stores)

    def _blocks(self, group: int) -> Iterator[dict[Place, tuple[int, int, int]]]:
        """Yield, block by block, place of a PE -> map, row and column of its output."""
        conv, rows, cols = self.conv, self.p.pe_rows, self.p.pe_cols
        maps = range(group * conv.k // conv.groups, (group + 1) * conv.k // conv.groups)
        if conv.e * conv.f == 1:
            for first in range(0, len(maps), rows * cols):
                yield {divmod(i, cols): (k, 0, 0) for i, k in enumerate(maps[first : first + rows * cols])}
            return
        for k, top, left in product(maps, range(0, conv.e, rows), range(0, conv.f, cols)):
            outputs = product(range(top, min(top + rows, conv.e)), range(left, min(left + cols, conv.f)))
            yield {(e - top, f - left): (k, e, f) for e, f in outputs}

    def _map(self, n: int, channel: int, pes: dict[Place, tuple[int, int, int]]) -> int:
        """Step a block through an input map: PEs take inputs from neighbours that had them, or from NBin."""
        alone, cycles = self.conv.e * self.conv.f == 1, 0
        had: dict[Place, dict[Place, Place]] = {pe: {} for pe in pes}
        for r, s in product(range(self.conv.r), range(self.conv.s)):
            cycles += 1
            self.causes["unmapped"] += self.p.pe_rows * self.p.pe_cols - len(pes)
            for pe, (k, e, f) in pes.items():
                self.take((n, e, f), k, (channel, r, s))
                had[pe][r, s] = self.place(e, f, r, s)
            passed = 0 if alone else sum(self._near(had, pe, (r, s)) for pe in pes)
            for way in WAYS:
                self.add("pe.fifos", "input", way, passed * self.bits["input"])
            self.add("glb.inputs", "input", "read", (1 if alone else len(pes) - passed) * self.bits["input"])
            if self.pool is None:
                self.add("glb.weights", "weight", "read", (len(pes) if alone else 1) * self.bits["weight"])
        return cycles

    def _near(self, had: dict[Place, dict[Place, Place]], pe: Place, tap: Place) -> bool:
        """Whether the PE to the right had this input some positions ago, or the PE below some rows ago."""
        (row, col), (r, s) = pe, tap
        right, below = had.get((row, col + 1), {}), had.get((row + 1, col), {})
        ago = range(1, self.p.fifo_words + 1)
        return had[pe][tap] in [right.get((r, s - i)) for i in ago] + [below.get((r - i, s)) for i in ago]
