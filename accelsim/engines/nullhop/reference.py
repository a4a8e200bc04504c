"""NullHop pixel by pixel, in plain Python and blind to any plan."""

from __future__ import annotations

from itertools import product
from typing import Any

from accelsim.activity import Activity, Event
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
        super().__init__(view, operands, params, machine.dram, ("busy", "zero", "unmapped", "imbalance"))
        self.nonzero = self.described(operands)

    def run(self) -> Activity:
        conv, p = self.conv, self.p
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        passes = 0
        for n in range(conv.n):
            for g in range(conv.groups):
                for first in range(0, kg, p.macs):
                    passes += n == 0
                    maps = [g * kg + k for k in range(first, min(first + p.macs, kg))]
                    channels = range(g * cg, (g + 1) * cg)
                    self.add("glb.kernels", "weight", "write", self._kernels(maps))
                    left = list(range(conv.e))
                    halves = 2 if p.split_rows and len(maps) <= p.macs // 2 else 1
                    for y in range(0, conv.h, halves):
                        self._rows(n, range(y, min(y + halves, conv.h)), halves, channels, maps, left)
        products = self.causes["busy"] + self.causes["zero"]
        return self.activity(
            "multipliers",
            {Event("macs", "mac"): products},
            details={"passes": passes, "nonzero_pixels": int((self.x != 0).sum())},
            performed_macs=products,
        )

    def _kernels(self, maps: list[int]) -> int:
        return sum(self.w[k].size for k in maps) * self.view.weight.width

    def _rows(self, n: int, ys: range, halves: int, channels: range, maps: list[int], left: list[int]) -> None:
        """Stream rows of pixels in, one for each part of the multipliers, and compute.

        Then send the output rows that nothing reaches any more.
        """
        conv, view = self.conv, self.view
        loads = self.move("weight", "read", self._kernels(maps)) if ys.start == 0 else []
        spent = [0] * halves
        for part, y in enumerate(ys):
            row = [(c, x) for x in range(conv.w) for c in channels]
            found = [(c, x) for c, x in row if self.x[n, c, y, x]]
            for tensor, bits in (("input", len(found) * view.input.width), ("index", len(row))):
                loads += self.move(tensor, "read", bits)
                self.add("glb.pixels", tensor, "write", bits)
                self.add("glb.pixels", tensor, "read", bits)
            spent[part] = sum(self._pixel(n, c, y, x, maps) for c, x in found)
        cycles = max(spent)
        for part in spent:
            self.causes["imbalance"] += (cycles - part) * len(maps)
        self.causes["unmapped"] += cycles * (self.p.macs - halves * len(maps))
        y = ys[-1]
        finished = [e for e in left if y == conv.h - 1 or self._last(e) <= y]
        for e in finished:
            left.remove(e)
        pixels = [self.nonzero[n, k, e, f] for e in finished for k in maps for f in range(conv.f)]
        stores = self.move("output", "write", int(sum(pixels)) * view.output.width)
        self.step(loads, cycles, stores + self.move("index", "write", len(pixels)))

    def _last(self, e: int) -> int:
        """Return the lowest row that an output row reads."""
        return e * self.conv.stride[0] - self.conv.pad[0] + (self.conv.r - 1) * self.conv.dilation[0]

    def _pixel(self, n: int, c: int, y: int, x: int, maps: list[int]) -> int:
        """Multiply a pixel with all kernel positions; return the cycles."""
        conv, p = self.conv, self.p
        cycles = 0
        for r, s in product(range(conv.r), range(conv.s)):
            up, left = y + conv.pad[0] - r * conv.dilation[0], x + conv.pad[1] - s * conv.dilation[1]
            (e, rest_e), (f, rest_f) = divmod(up, conv.stride[0]), divmod(left, conv.stride[1])
            if rest_e or rest_f or e not in range(conv.e) or f not in range(conv.f):
                continue
            cycles += 1
            for k in maps:
                weight = int(self.w[k, c % (conv.c // conv.groups), r, s])
                self.causes["busy" if weight else "zero"] += 1
                self.out[n, k, e, f] += int(self.x[n, c, y, x]) * weight
                self.add("glb.kernels", "weight", "read", self.view.weight.width)
                for way in WAYS:
                    self.add("pe", "psum", way, p.accumulator_bits)
        return cycles
