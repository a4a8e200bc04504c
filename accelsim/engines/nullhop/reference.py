"""NullHop pixel by pixel, in plain Python and blind to any plan."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step, Transfer
from accelsim.engine import Machine
from accelsim.operands.handle import Operand, Operands, from_conv_output
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    del mapping
    return _Layer(view, operands, params, machine).run()


class _Layer:
    def __init__(self, view: LayerView, operands: Operands, params: Any, machine: Machine) -> None:
        self.view, self.p, self.machine = view, params, machine
        self.conv = conv = view.conv
        self.x, self.w = operands.conv_arrays()
        described = Operand(view.output, operands.input.seed, operands.input.batch).mask
        self.described = described.reshape(conv.n, conv.k, conv.e, conv.f)
        self.out = np.zeros(self.described.shape, dtype=np.int64)
        self.flows: dict[Flow, int] = {}
        self.causes = dict.fromkeys(("busy", "zero", "unmapped"), 0)

    def run(self) -> Activity:
        conv, p = self.conv, self.p
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        steps, passes = [], 0
        for n in range(conv.n):
            for g in range(conv.groups):
                for first in range(0, kg, p.macs):
                    passes += n == 0
                    maps = [g * kg + k for k in range(first, min(first + p.macs, kg))]
                    channels = range(g * cg, (g + 1) * cg)
                    self._add("glb.kernels", "weight", "write", self._kernels(maps))
                    left = list(range(conv.e))
                    for y in range(conv.h):
                        steps.append(self._row(n, y, channels, maps, left))
        products = self.causes["busy"] + self.causes["zero"]
        return Activity(
            compute_cycles=sum(step.compute_cycles for step in steps),
            accounts={"multipliers": self.causes},
            traffic=self.flows,
            events={Event("macs", "mac"): products},
            schedule=tuple(steps),
            details={"passes": passes, "nonzero_pixels": int((self.x != 0).sum())},
            performed_macs=products,
            values=from_conv_output(self.view, self.out),
        )

    def _kernels(self, maps: list[int]) -> int:
        return sum(self.w[k].size for k in maps) * self.view.weight.width

    def _row(self, n: int, y: int, channels: range, maps: list[int], left: list[int]) -> Step:
        """Stream one row of pixels in, compute, and send the output rows that nothing reaches any more."""
        conv, view = self.conv, self.view
        loads: list[Transfer] = []
        stores: list[Transfer] = []
        if y == 0:
            self._dram(loads, "weight", "read", self._kernels(maps))
        row = [(c, x) for x in range(conv.w) for c in channels]
        found = [(c, x) for c, x in row if self.x[n, c, y, x]]
        for tensor, bits in (("input", len(found) * view.input.width), ("index", len(row))):
            self._dram(loads, tensor, "read", bits)
            self._add("glb.pixels", tensor, "write", bits)
            self._add("glb.pixels", tensor, "read", bits)
        cycles = sum(self._pixel(n, c, y, x, maps) for c, x in found)
        finished = [e for e in left if y == conv.h - 1 or self._last(e) <= y]
        for e in finished:
            left.remove(e)
        pixels = [self.described[n, k, e, f] for e in finished for k in maps for f in range(conv.f)]
        self._dram(stores, "output", "write", int(sum(pixels)) * view.output.width)
        self._dram(stores, "index", "write", len(pixels))
        return Step(tuple(loads), cycles, tuple(stores))

    def _last(self, e: int) -> int:
        """Return the lowest row that an output row reads."""
        return e * self.conv.stride[0] - self.conv.pad[0] + (self.conv.r - 1) * self.conv.dilation[0]

    def _pixel(self, n: int, c: int, y: int, x: int, maps: list[int]) -> int:
        """Multiply a pixel with all kernel positions; return the cycles."""
        conv, p = self.conv, self.p
        cycles = 0
        for r, s in product(range(conv.r), range(conv.s)):
            up, left = y + conv.pad[0] - r * conv.dilation[0], x + conv.pad[1] - s * conv.dilation[1]
            (e, rest_e), (f, rest_f) = divmod(up, conv.stride[0]), divmod(left, conv.stride[1])
            if rest_e or rest_f or e not in range(conv.e) or f not in range(conv.f):
                continue
            cycles += 1
            self.causes["unmapped"] += p.macs - len(maps)
            for k in maps:
                weight = int(self.w[k, c % (conv.c // conv.groups), r, s])
                self.causes["busy" if weight else "zero"] += 1
                self.out[n, k, e, f] += int(self.x[n, c, y, x]) * weight
                self._add("glb.kernels", "weight", "read", self.view.weight.width)
                self._add("pe", "psum", "read", p.accumulator_bits)
                self._add("pe", "psum", "write", p.accumulator_bits)
        return cycles

    def _dram(self, moved: list[Transfer], tensor: str, direction: Any, bits: int) -> None:
        if bits:
            self._add("dram", tensor, direction, bits)
            self._add("dram", "other", direction, -bits % self.machine.dram.burst_bits)
            moved.append(Transfer(tensor, direction, bits))

    def _add(self, boundary: str, tensor: str, direction: Any, bits: int) -> None:
        flow = Flow(boundary, tensor, direction)
        self.flows[flow] = self.flows.get(flow, 0) + bits
