"""SnaPEA multiplication by multiplication, in plain Python and blind to any plan."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step, Transfer
from accelsim.engine import Machine
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return the activity of a layer, values after the ReLU included."""
    del mapping
    return _Layer(view, operands, params, machine).run()


class _Layer:
    def __init__(self, view: LayerView, operands: Operands, params: Any, machine: Machine) -> None:
        self.view, self.p, self.machine = view, params, machine
        self.conv = conv = view.conv
        self.x, self.w = operands.conv_arrays()
        self.out = np.zeros((conv.n, conv.k, conv.e, conv.f), dtype=np.int64)
        self.flows: dict[Flow, int] = {}
        self.causes = dict.fromkeys(("busy", "zero", "imbalance", "unmapped"), 0)
        self.stops = not view.input.signed

    def run(self) -> Activity:
        conv, view = self.conv, self.view
        places = self.w[0].size
        index = len(f"{places - 1:b}") if places > 1 else 0
        steps = []
        for n in range(conv.n):
            loads: list[Transfer] = []
            stores: list[Transfer] = []
            self._dram(loads, "input", "read", self.x[n].size * view.input.width)
            if n == 0:
                self._dram(loads, "weight", "read", self.w.size * view.weight.width)
                self._dram(loads, "index", "read", self.w.size * index)
            self._dram(stores, "output", "write", self.out[n].size * view.output.width)
            self._add("pe.data", "output", "write", self.out[n].size * view.output.width)
            steps.append(Step(tuple(loads), self._image(n, index), tuple(stores)))
        done = self.causes["busy"] + self.causes["zero"]
        return Activity(
            compute_cycles=sum(step.compute_cycles for step in steps),
            accounts={"lanes": self.causes},
            traffic=self.flows,
            events={Event("macs", "mac"): done},
            schedule=tuple(steps),
            details={"stops": int(self.stops), "saved_macs": conv.macs - done},
            performed_macs=done,
            values=from_conv_output(view, self.out),
        )

    def _image(self, n: int, index: int) -> int:
        """Deal the groups of windows to the PEs, step all lanes, and return when the last PE is done."""
        conv, p = self.conv, self.p
        queues: list[list[list[list[str]]]] = [[] for _ in range(p.pes)]
        windows = list(product(range(conv.e), range(conv.f)))
        number = 0
        for k in range(conv.k):
            for start in range(0, len(windows), p.lanes):
                group = [self._window(n, k, e, f) for e, f in windows[start : start + p.lanes]]
                queues[number % p.pes].append(group)
                number += 1
        times = []
        for queue in queues:
            time = 0
            for group in queue:
                longest = max(map(len, group))
                time += longest
                self._add("pe.weights", "weight", "read", longest * self.view.weight.width)
                self._add("pe.weights", "index", "read", longest * index)
                for now in range(longest):
                    for work in group:
                        self.causes[work[now] if now < len(work) else "imbalance"] += 1
                    self.causes["unmapped"] += p.lanes - len(group)
            times.append(time)
        for time in times:
            self.causes["imbalance"] += (max(times) - time) * p.lanes
        return max(times)

    def _window(self, n: int, k: int, e: int, f: int) -> list[str]:
        """Compute one output; return what its lane does cycle by cycle."""
        conv = self.conv
        cg = conv.c // conv.groups
        taps = list(product(range(cg), range(conv.r), range(conv.s)))
        reordered = [t for t in taps if self.w[(k, *t)] >= 0] + [t for t in taps if self.w[(k, *t)] < 0]
        total, work = 0, []
        for c, r, s in reordered:
            y = e * conv.stride[0] + r * conv.dilation[0] - conv.pad[0]
            x = f * conv.stride[1] + s * conv.dilation[1] - conv.pad[1]
            channel = k // (conv.k // conv.groups) * cg + c
            value = int(self.x[n, channel, y, x]) if 0 <= y < conv.h and 0 <= x < conv.w else 0
            weight = int(self.w[k, c, r, s])
            total += value * weight
            work.append("busy" if value and weight else "zero")
            self._add("pe.data", "input", "read", self.view.input.width)
            if total < 0 and self.stops:
                break
        self.out[n, k, e, f] = max(total, 0)
        return work

    def _dram(self, moved: list[Transfer], tensor: str, direction: Any, bits: int) -> None:
        if bits:
            self._add("dram", tensor, direction, bits)
            self._add("dram", "other", direction, -bits % self.machine.dram.burst_bits)
            moved.append(Transfer(tensor, direction, bits))

    def _add(self, boundary: str, tensor: str, direction: Any, bits: int) -> None:
        flow = Flow(boundary, tensor, direction)
        self.flows[flow] = self.flows.get(flow, 0) + bits
