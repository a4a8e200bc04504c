"""The lanes stepped one cycle at a time, in plain Python and blind to any plan."""

from __future__ import annotations

from itertools import product
from typing import Any

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
        causes = ("busy", "zero", "starved", "imbalance", "padding", "unmapped")
        super().__init__(view, operands, params, machine.dram, causes)
        conv = self.conv
        self.skips = params.skip_zeros and conv.c // conv.groups >= params.brick
        self.offset = len(f"{params.brick - 1:b}") if params.skip_zeros and params.brick > 1 else 0
        self.bricks = self.empty = 0

    def run(self) -> Activity:
        conv, p, view = self.conv, self.p, self.view
        cycles = sum(self._window(*at) for at in product(*map(range, (conv.n, conv.groups, conv.e, conv.f))))
        slots_in = conv.n * conv.h * conv.w * conv.groups * self._whole(conv.c // conv.groups)
        slots_out = conv.n * conv.e * conv.f * self._whole(conv.k)
        in_bits, out_bits = view.input.width, view.output.width
        room, weights = p.neuron_kib * 8192, self.w.size * view.weight.width
        neurons = slots_in * (in_bits + self.offset) + slots_out * (out_bits + self.offset)
        neurons_move = not p.stay or neurons > room
        weights_move = not p.stay or weights > p.synapse_kib * 8192
        self._both("glb.neurons", "output", "write", slots_out, out_bits)
        if neurons_move:
            self._both("glb.neurons", "input", "write", slots_in, in_bits)
            self._both("glb.neurons", "output", "read", slots_out, out_bits)
        if weights_move:
            self.add("glb.synapses", "weight", "write", weights)
        for image in range(conv.n):
            loads: list[Transfer] = []
            stores: list[Transfer] = []
            if neurons_move:
                loads += self._dram("input", "read", slots_in // conv.n, in_bits)
                stores += self._dram("output", "write", slots_out // conv.n, out_bits)
            if weights_move and image == 0:
                loads += self.move("weight", "read", weights)
            length = cycles * (image + 1) // conv.n - cycles * image // conv.n
            self.step(loads, length, stores)
        products = self.causes["busy"] + self.causes["zero"]
        return self.activity(
            "multipliers",
            {Event("macs", "mac"): products},
            buffers={
                "glb.neurons": (room, min(room, neurons)),
                "glb.synapses": (p.synapse_kib * 8192, min(p.synapse_kib * 8192, weights)),
            },
            details={"skips": int(self.skips), "bricks": self.bricks, "empty_bricks": self.empty},
            performed_macs=products,
        )

    def _whole(self, channels: int) -> int:
        """Return the slots that some channels take."""
        return -(-channels // self.p.brick) * self.p.brick if self.p.skip_zeros else channels

    def _window(self, n: int, g: int, e: int, f: int) -> int:
        """Run one window past all filter groups; return the cycles."""
        conv, p = self.conv, self.p
        kg = conv.k // conv.groups
        together = p.units * p.filters
        passes = [range(k, min(k + together, kg)) for k in range(0, kg, together)]
        queues = self._queues(n, g, e, f, len(passes))
        cycles = 0
        for filters in passes:
            waiting = [list(queue) for queue in queues]
            while any(waiting):
                cycles += 1
                self.causes["unmapped"] += (together - len(filters)) * p.lanes
                for way in WAYS:
                    self.add("pe.partial", "psum", way, len(filters) * p.accumulator_bits)
                for queue in waiting:
                    self._slot(queue.pop(0) if queue else "imbalance", [g * kg + k for k in filters], (n, e, f))
        return cycles

    def _queues(self, n: int, g: int, e: int, f: int, passes: int) -> list[list[Any]]:
        """Deal the neurons of a window to the lanes: a neuron, or the cause of an idle slot, per cycle."""
        conv, p = self.conv, self.p
        cg = conv.c // conv.groups
        queues: list[list[Any]] = [[] for _ in range(p.lanes)]
        index = 0
        for r, s in product(range(conv.r), range(conv.s)):
            y = e * conv.stride[0] + r * conv.dilation[0] - conv.pad[0]
            x = f * conv.stride[1] + s * conv.dilation[1] - conv.pad[1]
            inside = 0 <= y < conv.h and 0 <= x < conv.w
            taps = [(c, r, s) for c in range(cg)]
            holds = [self.value(n, g * cg + c, e, f, r, s) != 0 for c in range(cg)]
            for start in range(0, cg, p.brick):
                if inside:
                    self.bricks += 1
                    self._both("glb.neurons", "input", "read", p.brick * passes, self.view.input.width)
                found = [taps[c] for c in range(start, min(start + p.brick, cg)) if holds[c]]
                if self.skips:
                    self.empty += not found
                    queues[index % p.lanes] += found or ["starved"]
                index += 1
            if not self.skips:
                for start in range(0, cg, p.lanes):
                    for lane in range(p.lanes):
                        c = start + lane
                        queues[lane].append(taps[c] if c < cg else "padding")
        return queues

    def _slot(self, what: Any, filters: list[int], at: tuple[int, int, int]) -> None:
        """Spend one lane-cycle of all filters."""
        if isinstance(what, str):
            self.causes[what] += len(filters)
            return
        for k in filters:
            self.multiply(at, k, what)
            self.add("glb.synapses", "weight", "read", self.view.weight.width)

    def _dram(self, tensor: str, direction: Direction, slots: int, bits: int) -> list[Transfer]:
        return self.move(tensor, direction, slots * bits) + self.move("index", direction, slots * self.offset)

    def _both(self, boundary: str, tensor: str, direction: Direction, slots: int, bits: int) -> None:
        self.add(boundary, tensor, direction, slots * bits)
        self.add(boundary, "index", direction, slots * self.offset)
