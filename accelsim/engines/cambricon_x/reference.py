"""Cambricon-X cycle by cycle, in plain Python and blind to any plan."""

from __future__ import annotations

from itertools import product
from typing import Any

from accelsim.activity import Activity, Event, Transfer
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import SteppedConv
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    del mapping
    return _Layer(view, operands, params, machine).run()


class _Layer(SteppedConv):
    def __init__(self, view: LayerView, operands: Operands, params: Any, machine: Machine) -> None:
        causes = ("busy", "zero", "padding", "imbalance", "unmapped")
        super().__init__(view, operands, params, machine.dram, causes)

    def run(self) -> Activity:
        conv, p, view = self.conv, self.p, self.view
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        taps = [(c, r, s) for r, s, c in product(range(conv.r), range(conv.s), range(cg))]
        blocks = [taps[i : i + p.block] for i in range(0, len(taps), p.block)]
        inputs = conv.n * cg * conv.h * conv.w * view.input.width
        stored = 0
        for g in range(conv.groups):
            for first in range(0, kg, p.pes):
                outputs = [g * kg + k for k in range(first, min(first + p.pes, kg))]
                synapses = [[self._synapses(k, block) for block in blocks] for k in outputs]
                loads: list[Transfer] = []
                if first == 0 or inputs > p.input_kib * 8192:
                    loads += self.move("input", "read", inputs)
                    self.add("glb.inputs", "input", "write", inputs)
                entries = sum(len(found) for of_output in synapses for found in of_output)
                stored += entries
                index = entries * p.step_bits + len(outputs) * len(blocks) * p.count_bits if p.skip_zeros else 0
                loads += self.move("weight", "read", entries * view.weight.width)
                loads += self.move("index", "read", index)
                self.add("pe.synapses", "weight", "write", entries * view.weight.width)
                self.add("pe.synapses", "index", "write", index)
                windows = product(range(conv.n), range(conv.e), range(conv.f))
                cycles = sum(self._window(at, outputs, synapses, blocks) for at in windows)
                made = conv.n * conv.e * conv.f * len(outputs) * view.output.width
                self.add("glb.outputs", "output", "write", made)
                self.add("glb.outputs", "output", "read", made)
                self.step(loads, cycles, self.move("output", "write", made))
        products, room = self.causes["busy"] + self.causes["zero"], p.input_kib * 8192
        return self.activity(
            "multipliers",
            {Event("macs", "mac"): products},
            buffers={"glb.inputs": (room, min(room, inputs))},
            details={"output_groups": len(self.steps), "entries": stored},
            performed_macs=products,
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
            if self.w[(k, *tap)]:
                entries += [None] * waiting + [tap]
                step = waiting = 0
            elif step == 2**self.p.step_bits - 1:
                waiting, step = waiting + 1, 0
        return entries

    def _window(self, at: tuple[int, int, int], outputs: list[int], synapses: Any, blocks: list[Any]) -> int:
        """Step the PEs through a window; return the cycles."""
        p = self.p
        for block in blocks:
            self.add("glb.inputs", "input", "read", len(block) * self.view.input.width)
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
                    self._cycle(at, k, slots)
        return cycles

    def _cycles(self, of_output: list[list[Any]], segment: list[int]) -> list[list[Any]]:
        """Return what a PE multiplies in each cycle of some blocks."""
        m = self.p.multipliers
        found: list[list[Any]] = []
        for b in segment:
            entries = of_output[b]
            found += [entries[i : i + m] for i in range(0, len(entries), m)] or [[]]
        return found

    def _cycle(self, at: tuple[int, int, int], k: int, slots: list[Any]) -> None:
        self.causes["padding"] += self.p.multipliers - len(slots)
        for tap in slots:
            self.add("pe.synapses", "weight", "read", self.view.weight.width)
            self.add("pe.synapses", "index", "read", self.p.step_bits if self.p.skip_zeros else 0)
            if tap is None:
                self.causes["zero"] += 1
            else:
                self.multiply(at, k, tap)
