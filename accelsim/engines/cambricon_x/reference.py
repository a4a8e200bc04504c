"""Cambricon-X cycle by cycle, in plain Python and blind to any plan."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step, Transfer
from accelsim.engine import Machine
from accelsim.operands.handle import Operands, from_conv_output
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
        self.out = np.zeros((conv.n, conv.k, conv.e, conv.f), dtype=np.int64)
        self.flows: dict[Flow, int] = {}
        self.causes = dict.fromkeys(("busy", "zero", "padding", "imbalance", "unmapped"), 0)

    def run(self) -> Activity:
        conv, p, view = self.conv, self.p, self.view
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        taps = list(product(range(conv.r), range(conv.s), range(cg)))
        blocks = [taps[i : i + p.block] for i in range(0, len(taps), p.block)]
        inputs = conv.n * cg * conv.h * conv.w * view.input.width
        steps, stored = [], 0
        for g in range(conv.groups):
            for first in range(0, kg, p.pes):
                outputs = [g * kg + k for k in range(first, min(first + p.pes, kg))]
                synapses = [[self._synapses(k, block) for block in blocks] for k in outputs]
                loads: list[Transfer] = []
                if first == 0 or inputs > p.input_kib * 8192:
                    self._dram(loads, "input", "read", inputs)
                    self._add("glb.inputs", "input", "write", inputs)
                entries = sum(len(found) for of_output in synapses for found in of_output)
                stored += entries
                index = entries * p.step_bits + len(outputs) * len(blocks) * p.count_bits if p.skip_zeros else 0
                self._dram(loads, "weight", "read", entries * view.weight.width)
                self._dram(loads, "index", "read", index)
                self._add("pe.synapses", "weight", "write", entries * view.weight.width)
                self._add("pe.synapses", "index", "write", index)
                windows = product(range(conv.n), range(conv.e), range(conv.f))
                cycles = sum(self._window(at, outputs, synapses, blocks, g * cg) for at in windows)
                stores: list[Transfer] = []
                made = conv.n * conv.e * conv.f * len(outputs) * view.output.width
                self._dram(stores, "output", "write", made)
                self._add("glb.outputs", "output", "write", made)
                self._add("glb.outputs", "output", "read", made)
                steps.append(Step(tuple(loads), cycles, tuple(stores)))
        products, room = self.causes["busy"] + self.causes["zero"], p.input_kib * 8192
        return Activity(
            compute_cycles=sum(step.compute_cycles for step in steps),
            accounts={"multipliers": self.causes},
            traffic=self.flows,
            events={Event("macs", "mac"): products},
            schedule=tuple(steps),
            buffers={"glb.inputs": (room, min(room, inputs))},
            details={"output_groups": len(steps), "entries": stored},
            performed_macs=products,
            values=from_conv_output(view, self.out),
        )

    def _synapses(self, k: int, block: list[tuple[int, int, int]]) -> list[Any]:
        """Return the stored synapses of an output in a block: taps, or None for a padding entry."""
        if not self.p.skip_zeros:
            return list(block)
        entries: list[Any] = []
        step = 0
        waiting = 0
        for tap in block:
            step += 1
            if self.w[k, tap[2], tap[0], tap[1]]:
                entries += [None] * waiting + [tap]
                step = waiting = 0
            elif step == 2**self.p.step_bits - 1:
                waiting, step = waiting + 1, 0
        return entries

    def _window(self, at: tuple[int, int, int], outputs: list[int], synapses: Any, blocks: list[Any], c0: int) -> int:
        """Step the PEs through a window; return the cycles."""
        p = self.p
        for block in blocks:
            self._add("glb.inputs", "input", "read", len(block) * self.view.input.width)
        segments = [[b] for b in range(len(blocks))] if p.barrier == "block" else [list(range(len(blocks)))]
        cycles = 0
        for segment in segments:
            queues = [self._cycles(of_output, segment) for of_output in synapses]
            length = max(len(queue) for queue in queues)
            cycles += length
            self.causes["unmapped"] += (p.pes - len(outputs)) * length * p.multipliers
            for k, queue in zip(outputs, queues, strict=True):
                self.causes["imbalance"] += (length - len(queue)) * p.multipliers
                for slots in queue:
                    self._cycle(at, k, slots, c0)
        return cycles

    def _cycles(self, of_output: list[list[Any]], segment: list[int]) -> list[list[Any]]:
        """Return what a PE multiplies in each cycle of some blocks."""
        m = self.p.multipliers
        found: list[list[Any]] = []
        for b in segment:
            entries = of_output[b]
            found += [entries[i : i + m] for i in range(0, len(entries), m)] or [[]]
        return found

    def _cycle(self, at: tuple[int, int, int], k: int, slots: list[Any], c0: int) -> None:
        conv, p = self.conv, self.p
        n, e, f = at
        self.causes["padding"] += p.multipliers - len(slots)
        for tap in slots:
            self._add("pe.synapses", "weight", "read", self.view.weight.width)
            self._add("pe.synapses", "index", "read", p.step_bits if p.skip_zeros else 0)
            if tap is None:
                self.causes["zero"] += 1
                continue
            r, s, c = tap
            y = e * conv.stride[0] + r * conv.dilation[0] - conv.pad[0]
            x = f * conv.stride[1] + s * conv.dilation[1] - conv.pad[1]
            value = int(self.x[n, c0 + c, y, x]) if 0 <= y < conv.h and 0 <= x < conv.w else 0
            weight = int(self.w[k, c, r, s])
            self.causes["busy" if value and weight else "zero"] += 1
            self.out[n, k, e, f] += value * weight

    def _dram(self, moved: list[Transfer], tensor: str, direction: Any, bits: int) -> None:
        if bits:
            self._add("dram", tensor, direction, bits)
            self._add("dram", "other", direction, -bits % self.machine.dram.burst_bits)
            moved.append(Transfer(tensor, direction, bits))

    def _add(self, boundary: str, tensor: str, direction: Any, bits: int) -> None:
        flow = Flow(boundary, tensor, direction)
        self.flows[flow] = self.flows.get(flow, 0) + bits
