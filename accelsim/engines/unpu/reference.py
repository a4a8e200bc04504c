"""The units stepped cycle by cycle, one plane of one table each: slow, plain, and blind to any plan."""

from __future__ import annotations

from itertools import product
from typing import Any

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.mapping.brute import BruteNest
from accelsim.mapping.loopnest import Tiling
from accelsim.operands.handle import Operands
from accelsim.stepped import SteppedConv
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    return _Layer(view, operands, params, mapping, machine).run()


class _Layer(SteppedConv):
    def __init__(self, view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> None:
        super().__init__(view, operands, params, machine.dram, ("busy", "zero", "unmapped"))
        self.across, self.planes = mapping.across, view.weight.width
        self.inputs = params.binary_inputs if self.planes == 1 else params.table_inputs
        tiling = Tiling(**mapping.model_dump(exclude={"across"}))
        self.nest = BruteNest(self.conv, tiling, self.bits | {"psum": params.accumulator_bits}, self)
        self.lookups = self.tables = 0
        self.visited: set[tuple[int, ...]] = set()

    def run(self) -> Activity:
        for tile, cycles in self.nest.walk():
            cycles += [self._round(*work) for work in self._rounds(tile)]
        p, conv = self.p, self.conv
        adds = sum(1 for size in product((0, 1), repeat=self.inputs) if sum(size) > 1)
        return self.activity(
            "ports",
            {Event("lookups", "add"): self.lookups, Event("builders", "add"): self.tables * adds},
            buffers=self.nest.buffers({"input": p.input_kib, "weight": p.weight_kib, "output": p.output_kib}),
            details={"tiles": len(self.nest.tiles), "tables": self.tables},
            performed_macs=conv.macs,
        )

    def _rounds(self, tile: dict[str, range]) -> list[Any]:
        """Return (group, filters, pixels, tables of each pixel) of each round of a tile; notes finished sums."""
        conv, p = self.conv, self.p
        side = p.units // self.across
        terms = [(c, r, s) for r, s, c in product(range(conv.r), range(conv.s), tile["c"])]
        tables = [terms[i : i + self.inputs] for i in range(0, len(terms), self.inputs)]
        pixels = list(product(tile["n"], tile["e"], tile["f"]))
        rounds = []
        for g in tile["g"]:
            for k in range(0, len(tile["k"]), p.outputs):
                filters = tile["k"][k : k + p.outputs]
                for m in range(0, len(pixels), side):
                    for t in range(0, len(tables), self.across):
                        rounds.append((g, filters, pixels[m : m + side], tables[t : t + self.across]))
                    for k_index, pixel in product(filters, pixels[m : m + side]):
                        self._leave((g, k_index, *pixel))
        return rounds

    def _leave(self, key: tuple[int, ...]) -> None:
        """Add a sum to what the memory holds of its output; the first one finds nothing there."""
        if key in self.visited:
            self.add("glb.outputs", "psum", "read", self.p.accumulator_bits)
        self.visited.add(key)
        self.add("glb.outputs", "psum", "write", self.p.accumulator_bits)

    def _round(self, g: int, filters: range, pixels: list[Any], tables: list[Any]) -> int:
        """Build a table in each unit, then pass one plane per cycle; return the cycles."""
        covered = sum(map(len, tables))
        self.tables += len(pixels) * len(tables)
        self.add("glb.inputs", "input", "read", len(pixels) * covered * self.view.input.width)
        for plane in range(self.planes):
            self.add("glb.weights", "weight", "read", len(filters) * covered)
            for unit, output in product(range(self.p.units), range(self.p.outputs)):
                pixel, part = divmod(unit, self.across)
                used = 0
                if pixel < len(pixels) and part < len(tables) and output < len(filters):
                    used = len(tables[part])
                    self._lookup(g, filters[output], pixels[pixel], tables[part], plane)
                self.causes["unmapped"] += max(self.p.table_inputs, self.p.binary_inputs) - used
        return self.planes

    def _lookup(self, g: int, k: int, pixel: tuple[int, int, int], table: list[Any], plane: int) -> None:
        conv = self.conv
        k += g * (conv.k // conv.groups)
        n, e, f = pixel
        self.lookups += 1
        for tap in table:
            a, b = self.pair(pixel, k, tap)
            self.causes["busy" if a and b else "zero"] += 1
            bit = (b % 2**self.planes) // 2**plane % 2
            worth = -(2**plane) if self.view.weight.signed and plane == self.planes - 1 else 2**plane
            self.out[n, k, e, f] += a * bit * worth
