"""The PEs stepped plainly: blind to the plan."""

from __future__ import annotations

from itertools import product
from typing import Any

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import SteppedConv
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: object, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    del mapping
    layer = _Pes(view, operands, params, machine.dram, ("busy", "zero", "unmapped"))
    for n, image in enumerate(layer.x):
        loads = layer.fetch("input", int((image != 0).sum()) * layer.bits["input"])
        loads += layer.fetch("index", image.size)
        if n == 0:
            loads += layer.move("weight", "read", layer.w.size * layer.bits["weight"])
            layer.add("pe.weights", "weight", "write", layer.w.size * layer.bits["weight"])
        cycles = sum(layer.window((n, e, f)) for e, f in product(range(layer.conv.e), range(layer.conv.f)))
        layer.step(loads, cycles, layer.move("output", "write", layer.out[n].size * layer.bits["output"]))
    products = layer.causes["busy"] + layer.causes["zero"]
    return layer.activity("pes", {Event("macs", "mac"): products}, performed_macs=products)


class _Pes(SteppedConv):
    def fetch(self, tensor: str, bits: int) -> list[Any]:
        """Bring a part of an image on the chip."""
        self.add("glb.inputs", tensor, "write", bits)
        return list(self.move(tensor, "read", bits))

    def window(self, pixel: tuple[int, int, int]) -> int:
        """Step through a window with all filters; return the cycles."""
        conv, p, cycles = self.conv, self.p, 0
        kg = conv.k // conv.groups
        taps = list(product(range(conv.c // conv.groups), range(conv.r), range(conv.s)))
        for g, first in product(range(conv.groups), range(0, kg, p.pes)):
            filters = [g * kg + k for k in range(first, min(first + p.pes, kg))]
            self.add("glb.inputs", "index", "read", len(taps))
            for tap in taps:
                if not self.pair(pixel, filters[0], tap)[0]:
                    continue  # a zero takes no cycle
                cycles += 1
                self.add("glb.inputs", "input", "read", self.bits["input"])
                self.causes["unmapped"] += p.pes - len(filters)
                for k in filters:
                    self.multiply(pixel, k, tap)
                    self.add("pe.weights", "weight", "read", self.bits["weight"])
        return cycles
