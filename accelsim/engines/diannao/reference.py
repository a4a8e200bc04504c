"""The functional unit multiplication by multiplication, in plain Python and blind to any plan."""

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
    return _Layer(view, operands, params, mapping, machine).run()


class _Layer(SteppedConv):
    def __init__(self, view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> None:
        super().__init__(view, operands, params, machine.dram, ("busy", "zero", "unmapped"))
        self.nest = BruteNest(self.conv, mapping, self.bits | {"psum": params.accumulator_bits}, self)
        self.kept: set[tuple[int, ...]] = set()

    def run(self) -> Activity:
        for tile, cycles in self.nest.walk():
            cycles.append(self._tile(tile))
        p, products = self.p, self.causes["busy"] + self.causes["zero"]
        return self.activity(
            "multipliers",
            {Event("macs", "mac"): products},
            buffers=self.nest.buffers({"input": p.input_kib, "weight": p.weight_kib, "output": p.output_kib}),
            details={"tiles": len(self.nest.tiles)},
            performed_macs=products,
        )

    def _tile(self, tile: dict[str, range]) -> int:
        """Step through a tile: outputs in rows of Tn, pixel by pixel; return the cycles."""
        p, conv, cycles = self.p, self.conv, 0
        kg = conv.k // conv.groups
        rows = [tile["k"][i : i + p.outputs] for i in range(0, len(tile["k"]), p.outputs)]
        for g, row, pixel in product(tile["g"], rows, product(tile["n"], tile["e"], tile["f"])):
            for r, s in product(range(conv.r), range(conv.s)):
                for i in range(0, len(tile["c"]), p.inputs):
                    cycles += 1
                    self._cycle(g, row, pixel, (r, s), tile["c"][i : i + p.inputs])
            for k in row:
                self._leave((g * kg + k, *pixel))
        return cycles

    def _cycle(self, g: int, row: range, pixel: tuple[int, int, int], tap: tuple[int, int], channels: range) -> None:
        conv, p = self.conv, self.p
        self.add("glb.inputs", "input", "read", len(channels) * self.bits["input"])
        for tree, port in product(range(p.outputs), range(p.inputs)):
            if tree >= len(row) or port >= len(channels):
                self.causes["unmapped"] += 1
                continue
            self.multiply(pixel, g * (conv.k // conv.groups) + row[tree], (channels[port], *tap))
            self.add("glb.weights", "weight", "read", self.bits["weight"])

    def _leave(self, key: tuple[int, ...]) -> None:
        """Move a sum from NFU-2 to NBout, added to what an earlier tile left there; finished ones leave the chip."""
        if key in self.kept:
            self.add("glb.outputs", "psum", "read", self.p.accumulator_bits)
        self.kept.add(key)
        self.add("glb.outputs", "psum", "write", self.p.accumulator_bits)
