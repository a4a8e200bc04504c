"""The dense machine cycle by cycle, in plain Python and blind to any plan."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from accelsim.activity import Activity, Direction, Event, Transfer
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import WAYS, SteppedConv
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    del mapping
    return _Layer(view, operands, params, machine).run()


class _Layer(SteppedConv):
    def __init__(self, view: LayerView, operands: Operands, params: Any, machine: Machine) -> None:
        causes = ("busy", "zero", "padding", "imbalance", "unmapped")
        super().__init__(view, operands, params, machine.dram, causes)
        conv = self.conv
        self.nonzero = self.described(operands)
        self.tile = (-(-conv.e // params.pe_rows), -(-conv.f // params.pe_cols))

    def run(self) -> Activity:
        p, conv, view = self.p, self.conv, self.view
        pixels, outputs = self.x[0].size * view.input.width, self.out[0].size * view.output.width
        room = p.activation_kib * 8192 * p.pe_rows * p.pe_cols
        resident = p.activations_stay and conv.n * (pixels + outputs) <= room
        wanted = min(self.tile[0], -(-(pixels + outputs) // room))
        kc = min(conv.k // conv.groups, p.accumulator_entries // (self.tile[0] * self.tile[1]))
        for image in range(conv.n):
            bands = 1 if resident else wanted
            borders = [self.tile[0] * band // bands for band in range(bands + 1)]
            for band in range(bands):
                loads = [] if resident else self._moved("input", "read", self.x[image] != 0, band, bands)
                loads += self.move("weight", "read", self.w.size * view.weight.width)
                self.add("pe.weights", "weight", "write", self.w.size * view.weight.width * p.pe_rows * p.pe_cols)
                cycles = self._band(image, range(borders[band], borders[band + 1]), kc)
                stores = [] if resident else self._moved("output", "write", self.nonzero[image], band, bands)
                self.step(loads, cycles, stores)
        if not resident:
            self.add("pe.activations", "input", "write", self.x.size * view.input.width)
            self.add("pe.activations", "output", "read", self.out.size * view.output.width)
        self.add("pe.activations", "output", "write", self.out.size * view.output.width)
        self.add("pe.accumulators", "psum", "read", self.out.size * p.accumulator_bits)
        busy, zero = self.causes["busy"], self.causes["zero"]
        done = {"mac": busy, "gated": zero} if p.gating else {"mac": busy + zero}
        used = kc * self.tile[0] * self.tile[1]
        return self.activity(
            "multipliers",
            {Event("macs", action): times for action, times in done.items()},
            buffers={
                "pe.accumulators": (p.accumulator_entries * p.accumulator_bits, used * p.accumulator_bits),
            },
            details={"kc": kc, "bands": wanted, "resident": int(resident)},
            performed_macs=done["mac"],
        )

    def _band(self, image: int, rows: range, kc: int) -> int:
        """Step through some rows of every PE's tile; return the cycles."""
        conv, p = self.conv, self.p
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        cycles = 0
        for g in range(conv.groups):
            taps = list(product(range(cg), range(conv.r), range(conv.s)))
            for k0 in range(0, kg, kc):
                for t0 in range(0, len(taps), p.lanes):
                    vector = taps[t0 : t0 + p.lanes]
                    for i, j in product(rows, range(self.tile[1])):
                        self._fetch(i, j, len(vector))
                        for k in range(k0, min(k0 + kc, kg)):
                            cycles += 1
                            self._cycle(image, i, j, g * kg + k, vector)
        return cycles

    def _pixel(self, a: int, b: int, i: int, j: int) -> tuple[int, int] | None:
        """Return the output that PE (a, b) makes at place (i, j) of its tile, if there is one."""
        e, f = a * self.tile[0] + i, b * self.tile[1] + j
        return (e, f) if e < self.conv.e and f < self.conv.f else None

    def _fetch(self, i: int, j: int, words: int) -> None:
        bits = self.view.input.width
        for a, b in product(range(self.p.pe_rows), range(self.p.pe_cols)):
            if self._pixel(a, b, i, j) is not None:
                self.add("pe.activations", "input", "read", words * bits)
                self.add("pe.vector", "input", "write", words * bits)

    def _cycle(self, image: int, i: int, j: int, k: int, vector: list[tuple[int, int, int]]) -> None:
        p, conv, view = self.p, self.conv, self.view
        for a, b in product(range(p.pe_rows), range(p.pe_cols)):
            place = self._pixel(a, b, i, j)
            if place is None:
                outside = a * self.tile[0] >= conv.e or b * self.tile[1] >= conv.f
                self.causes["unmapped" if outside else "imbalance"] += p.lanes
                continue
            self.causes["padding"] += p.lanes - len(vector)
            for tap in vector:
                self.multiply((image, *place), k, tap)
                self.add("pe.vector", "input", "read", view.input.width)
                self.add("pe.weights", "weight", "read", view.weight.width)
            for way in WAYS:
                self.add("pe.accumulators", "psum", way, p.accumulator_bits)

    def _moved(self, tensor: str, direction: Direction, mask: np.ndarray, band: int, bands: int) -> list[Transfer]:
        """Move a band's share of an image."""
        bits = (self.view.input.bits if tensor == "input" else self.view.output.bits) or 0
        values, index = mask.size * bits, 0
        if self.p.compressed_dram:
            entries = 0
            for plane in mask:
                zeros = 0
                for flag in plane.ravel():
                    zeros = 0 if flag else zeros + 1
                    entries += 1 if flag else 0
                    if not flag and zeros % 2**self.p.run_bits == 0:
                        entries += 1
                entries -= zeros // 2**self.p.run_bits
            runs = entries * self.p.run_bits + len(mask) * 16
            if entries * bits + runs < values:
                values, index = entries * bits, runs
        moved = []
        for name, size in ((tensor, values), ("index", index)):
            moved += self.move(name, direction, size * (band + 1) // bands - size * band // bands)
        return moved
