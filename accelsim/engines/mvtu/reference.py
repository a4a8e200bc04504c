"""The unit stepped place by place: blind to counts and plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import SteppedWhole
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    del mapping
    return _Layer(view, operands, params, machine.dram, ("busy", "zero", "padding")).run()


class _Layer(SteppedWhole):
    def run(self) -> Activity:
        cycles = compared = sums = 0
        p, conv, places = self.p, self.conv, self.p.pe * self.p.simd
        levels = 2 ** self.bits["output"] - 1 if self.bits["output"] <= p.threshold_bits else 0
        for n, e, f in product(range(conv.n), range(conv.e), range(conv.f)):
            for rows in self._rows():
                for columns in self._columns():
                    cycles += 1
                    self.causes["padding"] += places - len(rows) * len(columns)
                    for k, tap in product(rows, columns):
                        self.take((n, e, f), k, tap)
                    if self.pool is None:
                        self.add("glb.weights", "weight", "read", len(rows) * len(columns) * self.bits["weight"])
                    sums += len(rows)
                    heard = len(columns) * (1 if self.pool is None else len(rows))
                    self.add("glb.inputs", "input", "read", heard * self.bits["input"])
                for _ in rows:
                    self.add("glb.outputs", "output", "write", self.bits["output"])
                    if self.pool is None:
                        compared += levels
                        if levels:
                            self.add("glb.thresholds", "other", "read", levels * p.accumulator_bits)
        roles = ("input", "weight", "output")
        stores = {role: (f"glb.{role}s", getattr(p, f"{role}_kib") * 8192) for role in roles}
        done = self.finish("multipliers", cycles, stores)
        if self.pool:
            return done
        behind = {Event("accumulators", "add"): sums, Event("thresholds", "compare"): compared}
        return replace(done, events={**done.events, **{event: times for event, times in behind.items() if times}})

    def _rows(self) -> Iterator[list[int]]:
        """Yield the output channels that are made at once; pooling makes any, products those of a group."""
        conv, p = self.conv, self.p
        at_once = p.pe
        if p.order == "window":
            while at_once < p.pe * p.filters and (at_once // p.pe + 1) * conv.r * conv.s <= p.simd:
                at_once += p.pe
        matrices = 1 if self.pool else conv.groups
        size = conv.k // matrices
        for matrix in range(matrices):
            of_matrix = list(range(matrix * size, (matrix + 1) * size))
            while of_matrix:
                yield of_matrix[:at_once]
                del of_matrix[:at_once]

    def _columns(self) -> Iterator[list[tuple[int, int, int]]]:
        """Yield the places of the filter that are taken at once."""
        conv = self.conv
        spots, channels = list(product(range(conv.r), range(conv.s))), range(conv.c // conv.groups)
        runs = [[(c, r, s) for (r, s), c in product(spots, channels)]]
        if self.p.order == "window":
            runs = [[(c, r, s) for r, s in spots] for c in channels]
        for run in runs:
            while run:
                yield run[: self.p.simd]
                del run[: self.p.simd]
