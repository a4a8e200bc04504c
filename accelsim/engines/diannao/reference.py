"""The functional unit multiplication by multiplication, in plain Python and blind to any plan."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.mapping.brute import BruteNest
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    return _Layer(view, operands, params, mapping, machine).run()


class _Layer:
    def __init__(self, view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> None:
        self.view, self.p = view, params
        self.conv = view.conv
        self.x, self.w = operands.conv_arrays()
        self.out = np.zeros((self.conv.n, self.conv.k, self.conv.e, self.conv.f), dtype=np.int64)
        bits = {"input": view.input.width, "weight": view.weight.width, "output": view.output.width}
        self.bits = bits
        self.nest = BruteNest(self.conv, mapping, bits | {"psum": params.accumulator_bits}, machine.dram)
        self.causes = dict.fromkeys(("busy", "zero", "unmapped"), 0)
        self.kept: set[tuple[int, ...]] = set()

    def run(self) -> Activity:
        for tile, cycles in self.nest.walk():
            cycles.append(self._tile(tile))
        p, products = self.p, self.causes["busy"] + self.causes["zero"]
        return Activity(
            compute_cycles=sum(step.compute_cycles for step in self.nest.steps),
            accounts={"multipliers": self.causes},
            traffic=self.nest.flows,
            events={Event("macs", "mac"): products},
            schedule=tuple(self.nest.steps),
            buffers=self.nest.buffers({"input": p.input_kib, "weight": p.weight_kib, "output": p.output_kib}),
            details={"tiles": len(self.nest.tiles)},
            performed_macs=products,
            values=from_conv_output(self.view, self.out),
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
        n, e, f = pixel
        h = e * conv.stride[0] + tap[0] * conv.dilation[0] - conv.pad[0]
        v = f * conv.stride[1] + tap[1] * conv.dilation[1] - conv.pad[1]
        inside = 0 <= h < conv.h and 0 <= v < conv.w
        self.nest.add("glb.inputs", "input", "read", len(channels) * self.bits["input"])
        for tree, port in product(range(p.outputs), range(p.inputs)):
            if tree >= len(row) or port >= len(channels):
                self.causes["unmapped"] += 1
                continue
            c, k = channels[port], g * (conv.k // conv.groups) + row[tree]
            a = int(self.x[n, g * (conv.c // conv.groups) + c, h, v]) if inside else 0
            b = int(self.w[k, c, tap[0], tap[1]])
            self.causes["busy" if a and b else "zero"] += 1
            self.nest.add("glb.weights", "weight", "read", self.bits["weight"])
            self.out[n, k, e, f] += a * b

    def _leave(self, key: tuple[int, ...]) -> None:
        """Move a sum from NFU-2 to NBout, added to what an earlier tile left there; finished ones leave the chip."""
        if key in self.kept:
            self.nest.add("glb.outputs", "psum", "read", self.p.accumulator_bits)
        self.kept.add(key)
        self.nest.add("glb.outputs", "psum", "write", self.p.accumulator_bits)
