"""SnaPEA multiplication by multiplication, in plain Python and blind to any plan."""

from __future__ import annotations

from itertools import product
from typing import Any

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import SteppedConv
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return the activity of a layer, values after the ReLU included."""
    del mapping
    return _Layer(view, operands, params, machine).run()


class _Layer(SteppedConv):
    def __init__(self, view: LayerView, operands: Operands, params: Any, machine: Machine) -> None:
        super().__init__(view, operands, params, machine.dram, ("busy", "zero", "imbalance", "unmapped"))
        self.stops = not view.input.signed

    def run(self) -> Activity:
        conv, view = self.conv, self.view
        places = self.w[0].size
        index = len(f"{places - 1:b}") if places > 1 else 0
        for n in range(conv.n):
            loads = self.move("input", "read", self.x[n].size * view.input.width)
            if n == 0:
                loads += self.move("weight", "read", self.w.size * view.weight.width)
                loads += self.move("index", "read", self.w.size * index)
            made = self.out[n].size * view.output.width
            self.add("pe.data", "output", "write", made)
            self.step(loads, self._image(n, index), self.move("output", "write", made))
        done = self.causes["busy"] + self.causes["zero"]
        return self.activity(
            "lanes",
            {Event("macs", "mac"): done},
            details={"stops": int(self.stops), "saved_macs": conv.macs - done},
            performed_macs=done,
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
                self.add("pe.weights", "weight", "read", longest * self.view.weight.width)
                self.add("pe.weights", "index", "read", longest * index)
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
        for tap in reordered:
            value, weight = self.pair((n, e, f), k, tap)
            total += value * weight
            work.append("busy" if value and weight else "zero")
            self.add("pe.data", "input", "read", self.view.input.width)
            if total < 0 and self.stops:
                break
        self.out[n, k, e, f] = max(total, 0)
        return work
