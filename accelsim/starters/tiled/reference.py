"""The row stepped plainly, its tiles by brute force: blind to the plan."""

from __future__ import annotations

from itertools import product
from typing import Any

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.mapping.brute import BruteNest
from accelsim.operands.handle import Operands
from accelsim.stepped import SteppedConv
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    layer = _Row(view, operands, params, machine)
    nest = BruteNest(layer.conv, mapping, layer.bits | {"psum": params.accumulator_bits}, layer)
    for tile, cycles in nest.walk():
        cycles.append(layer.tile(tile))
    products = layer.causes["busy"] + layer.causes["zero"]
    return layer.activity(
        "multipliers",
        {Event("macs", "mac"): products},
        buffers=nest.buffers({"input": params.input_kib, "weight": params.weight_kib, "output": params.output_kib}),
        details={"tiles": len(nest.tiles)},
        performed_macs=products,
    )


class _Row(SteppedConv):
    def __init__(self, view: LayerView, operands: Operands, params: Any, machine: Machine) -> None:
        super().__init__(view, operands, params, machine.dram, ("busy", "zero", "unmapped"))
        self.left: set[tuple[int, ...]] = set()
        """Outputs of which an earlier tile has left a sum."""

    def tile(self, tile: dict[str, range]) -> int:
        """Step through a tile; return its cycles."""
        conv, p, cycles = self.conv, self.p, 0
        taps = list(product(tile["c"], range(conv.r), range(conv.s)))
        rows = [tile["k"][i : i + p.outputs] for i in range(0, len(tile["k"]), p.outputs)]
        for g, row, pixel in product(tile["g"], rows, product(tile["n"], tile["e"], tile["f"])):
            filters = [g * (conv.k // conv.groups) + k for k in row]
            for tap in taps:
                cycles += 1
                self.causes["unmapped"] += p.outputs - len(filters)
                self.add("glb.inputs", "input", "read", self.bits["input"])
                for k in filters:
                    self.multiply(pixel, k, tap)
                    self.add("glb.weights", "weight", "read", self.bits["weight"])
            for k in filters:
                if (k, *pixel) in self.left:
                    self.add("glb.outputs", "psum", "read", p.accumulator_bits)
                self.left.add((k, *pixel))
                self.add("glb.outputs", "psum", "write", p.accumulator_bits)
        return cycles
