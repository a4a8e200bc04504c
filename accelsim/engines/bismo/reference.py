"""The overlay stepped cycle by cycle, gate by gate: slow, plain, and blind to any plan."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step, Transfer
from accelsim.engine import Machine
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    del mapping
    return _Layer(view, operands, params, machine).run()


class _Layer:
    def __init__(self, view: LayerView, operands: Operands, params: Any, machine: Machine) -> None:
        self.view, self.params, self.machine = view, params, machine
        self.conv = view.conv
        self.x, self.w = operands.conv_arrays()
        self.out = np.zeros((self.conv.n, self.conv.k, self.conv.e, self.conv.f), dtype=np.int64)
        self.a_bits, self.b_bits = view.input.width, view.weight.width
        self.flows: dict[Flow, int] = {}
        self.causes = dict.fromkeys(("busy", "zero", "padding", "control", "fill_drain"), 0)
        self.steps: list[Step] = []
        self.gates = params.dm * params.dk * params.dn
        self.adds = 0

    def run(self) -> Activity:
        conv, p = self.conv, self.params
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        pixels = list(product(range(conv.n), range(conv.e), range(conv.f)))
        taps = list(product(range(cg), range(conv.r), range(conv.s)))
        fetched_columns = 0
        for g, k in product(range(conv.groups), range(0, kg, p.dn)):
            for m in range(0, len(pixels), p.dm):
                loads = [self._stripe("weight", len(taps), p.dn, self.b_bits)] if m == 0 else []
                loads.append(self._stripe("input", len(taps), p.dm, self.a_bits))
                fetched_columns += m == 0
                filters = [g * kg + i for i in range(k, min(k + p.dn, kg))]
                cycles = self._tile(g * cg, pixels[m : m + p.dm], filters, taps)
                self.steps.append(Step(tuple(loads), cycles, (self._result(),)))
        depth = {32: 2, 64: 3, 128: 3, 256: 4, 512: 5}[p.dk]
        last = self.steps.pop()
        drain = 3 + 1 + 3 + depth
        self.causes["fill_drain"] += drain * self.gates
        self.steps.append(last._replace(compute_cycles=last.compute_cycles + drain))
        return Activity(
            compute_cycles=sum(step.compute_cycles for step in self.steps),
            accounts={"gates": self.causes},
            traffic=self.flows,
            events={Event("gates", "add"): self.adds},
            schedule=tuple(self.steps),
            buffers=self._buffers(len(taps), fetched_columns),
            details={"tiles": len(self.steps), "instructions": len(self.steps) * self.a_bits * self.b_bits},
            performed_macs=conv.macs,
            values=from_conv_output(self.view, self.out),
        )

    def _words(self, taps: int) -> int:
        return len(range(0, taps, self.params.dk))

    def _stripe(self, tensor: str, taps: int, rows: int, bits: int) -> Transfer:
        """Fetch the planes of a stripe, whole words for all rows of the array."""
        run = sum(self.params.dk for _ in range(rows) for _ in range(self._words(taps)))
        self._move("dram", tensor, "read", run, bits)
        self._add(f"glb.{tensor}s", tensor, "write", run * bits)
        return Transfer(tensor, "read", run, bits)

    def _result(self) -> Transfer:
        count = self.params.dm * self.params.dn
        self._move("dram", "output", "write", 32, count)
        for direction in ("write", "read"):
            self._add("glb.outputs", "output", direction, 32 * count)
        return Transfer("output", "write", 32, count)

    def _move(self, boundary: str, tensor: str, direction: Any, run: int, runs: int) -> None:
        self._add(boundary, tensor, direction, run * runs)
        burst = self.machine.dram.burst_bits
        if over := -run % burst:
            self._add(boundary, "other", direction, over * runs)

    def _add(self, boundary: str, tensor: str, direction: Any, bits: int) -> None:
        flow = Flow(boundary, tensor, direction)
        self.flows[flow] = self.flows.get(flow, 0) + bits

    def _tile(self, channel: int, pixels: list[Any], filters: list[int], taps: list[Any]) -> int:
        """Run every pair of planes over every word of the stripes; return the cycles."""
        p, now = self.params, 0
        for i, j in product(range(self.a_bits), range(self.b_bits)):
            now += p.instruction_cycles
            self.causes["control"] += p.instruction_cycles * self.gates
            for first in range(0, len(taps), p.dk):
                now += 1
                self.adds += self.gates
                self._add("glb.inputs", "input", "read", p.dm * p.dk)
                self._add("glb.weights", "weight", "read", p.dn * p.dk)
                idle = self.gates
                for (n, e, f), k, (c, r, s) in product(pixels, filters, taps[first : first + p.dk]):
                    idle -= 1
                    self._gate((n, channel + c, e, f), (k, c, r, s), i, j)
                self.causes["padding"] += idle
        return now

    def _gate(self, pixel: tuple[int, int, int, int], weight: tuple[int, int, int, int], i: int, j: int) -> None:
        conv = self.conv
        (n, c, e, f), (k, _, r, s) = pixel, weight
        h = e * conv.stride[0] + r * conv.dilation[0] - conv.pad[0]
        v = f * conv.stride[1] + s * conv.dilation[1] - conv.pad[1]
        a = int(self.x[n, c, h, v]) if 0 <= h < conv.h and 0 <= v < conv.w else 0
        b = int(self.w[weight])
        self.causes["busy" if a and b else "zero"] += 1
        bit = (a % 2**self.a_bits) // 2**i % 2 * ((b % 2**self.b_bits) // 2**j % 2)
        minus = (self.view.input.signed and i == self.a_bits - 1) ^ (self.view.weight.signed and j == self.b_bits - 1)
        self.out[n, k, e, f] += (-1 if minus else 1) * bit * 2 ** (i + j)

    def _buffers(self, taps: int, columns: int) -> dict[str, tuple[int, int]]:
        p, words, more = self.params, self._words(taps), len(self.steps) > 1
        return {
            "glb.inputs": (p.dm * p.lhs_entries * p.dk, p.dm * p.dk * words * self.a_bits * (1 + more)),
            "glb.weights": (p.dn * p.rhs_entries * p.dk, p.dn * p.dk * words * self.b_bits * (1 + (columns > 1))),
            "glb.outputs": (64 * p.dm * p.dn, 32 * p.dm * p.dn * (1 + more)),
        }
