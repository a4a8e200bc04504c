"""The overlay stepped cycle by cycle, gate by gate: slow, plain, and blind to any plan."""

from __future__ import annotations

from itertools import product
from typing import Any

from accelsim.activity import Activity, Event, Transfer
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import WAYS, SteppedConv
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    del mapping
    return _Layer(view, operands, params, machine).run()


class _Layer(SteppedConv):
    def __init__(self, view: LayerView, operands: Operands, params: Any, machine: Machine) -> None:
        causes = ("busy", "zero", "padding", "control", "fill_drain")
        super().__init__(view, operands, params, machine.dram, causes)
        self.a_bits, self.b_bits = view.input.width, view.weight.width
        self.gates = params.dm * params.dk * params.dn
        self.adds = 0

    def run(self) -> Activity:
        conv, p = self.conv, self.p
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        pixels = list(product(range(conv.n), range(conv.e), range(conv.f)))
        taps = list(product(range(cg), range(conv.r), range(conv.s)))
        fetched_columns = 0
        for g, k in product(range(conv.groups), range(0, kg, p.dn)):
            for m in range(0, len(pixels), p.dm):
                loads = self._stripe("weight", len(taps), p.dn, self.b_bits) if m == 0 else []
                loads += self._stripe("input", len(taps), p.dm, self.a_bits)
                fetched_columns += m == 0
                filters = [g * kg + i for i in range(k, min(k + p.dn, kg))]
                cycles = self._tile(pixels[m : m + p.dm], filters, taps)
                self.step(loads, cycles, self._result())
        depth = {32: 2, 64: 3, 128: 3, 256: 4, 512: 5}[p.dk]
        last = self.steps.pop()
        drain = 3 + 1 + 3 + depth
        self.causes["fill_drain"] += drain * self.gates
        self.steps.append(last._replace(compute_cycles=last.compute_cycles + drain))
        return self.activity(
            "gates",
            {Event("gates", "add"): self.adds},
            buffers=self._buffers(len(taps), fetched_columns),
            details={"tiles": len(self.steps), "instructions": len(self.steps) * self.a_bits * self.b_bits},
            performed_macs=conv.macs,
        )

    def _words(self, taps: int) -> int:
        return len(range(0, taps, self.p.dk))

    def _stripe(self, tensor: str, taps: int, rows: int, bits: int) -> list[Transfer]:
        """Fetch the planes of a stripe, whole words for all rows of the array."""
        run = sum(self.p.dk for _ in range(rows) for _ in range(self._words(taps)))
        self.add(f"glb.{tensor}s", tensor, "write", run * bits)
        return self.move(tensor, "read", run, bits)

    def _result(self) -> list[Transfer]:
        count = self.p.dm * self.p.dn
        for way in WAYS:
            self.add("glb.outputs", "output", way, 32 * count)
        return self.move("output", "write", 32, count)

    def _tile(self, pixels: list[Any], filters: list[int], taps: list[Any]) -> int:
        """Run every pair of planes over every word of the stripes; return the cycles."""
        p, now = self.p, 0
        for i, j in product(range(self.a_bits), range(self.b_bits)):
            now += p.instruction_cycles
            self.causes["control"] += p.instruction_cycles * self.gates
            for first in range(0, len(taps), p.dk):
                now += 1
                self.adds += self.gates
                self.add("glb.inputs", "input", "read", p.dm * p.dk)
                self.add("glb.weights", "weight", "read", p.dn * p.dk)
                idle = self.gates
                for pixel, k, tap in product(pixels, filters, taps[first : first + p.dk]):
                    idle -= 1
                    self._gate(pixel, k, tap, i, j)
                self.causes["padding"] += idle
        return now

    def _gate(self, pixel: tuple[int, int, int], k: int, tap: tuple[int, int, int], i: int, j: int) -> None:
        n, e, f = pixel
        a, b = self.pair(pixel, k, tap)
        self.causes["busy" if a and b else "zero"] += 1
        bit = (a % 2**self.a_bits) // 2**i % 2 * ((b % 2**self.b_bits) // 2**j % 2)
        minus = (self.view.input.signed and i == self.a_bits - 1) ^ (self.view.weight.signed and j == self.b_bits - 1)
        self.out[n, k, e, f] += (-1 if minus else 1) * bit * 2 ** (i + j)

    def _buffers(self, taps: int, columns: int) -> dict[str, tuple[int, int]]:
        p, words, more = self.p, self._words(taps), len(self.steps) > 1
        return {
            "glb.inputs": (p.dm * p.lhs_entries * p.dk, p.dm * p.dk * words * self.a_bits * (1 + more)),
            "glb.weights": (p.dn * p.rhs_entries * p.dk, p.dn * p.dk * words * self.b_bits * (1 + (columns > 1))),
            "glb.outputs": (64 * p.dm * p.dn, 32 * p.dm * p.dn * (1 + more)),
        }
