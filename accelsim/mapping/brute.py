"""A tiled layer by brute force: every tile in turn, every address of every transfer. For the engines' plain twins.

Shares nothing with `LoopNest`: tiles are nested loops over index ranges, and a transfer is a set of addresses, cut
into runs of neighbours. A tile of a tensor is fetched when it differs from that of the tile before; outputs that the
next tile does not continue leave, as partial sums if input channels are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from typing import Any, Literal

from accelsim.activity import Flow, Step, Transfer
from accelsim.mapping.loopnest import Tiling
from accelsim.memory.dram import DramModel
from accelsim.workload.shapes import Conv2d

KEYS = {"input": "gnefc", "weight": "gkc", "output": "gnefk"}


class BruteNest:
    """Counts DRAM traffic, buffer fills and peaks tile by tile.

    Parameters
    ----------
    bits : dict
        Width of ``input``, ``weight``, ``output`` and ``psum`` elements.
    """

    def __init__(self, conv: Conv2d, mapping: Tiling, bits: dict[str, int], dram: DramModel) -> None:
        self.conv, self.mapping, self.bits, self.dram = conv, mapping, bits, dram
        self.flows: dict[Flow, int] = {}
        self.steps: list[Step] = []
        self.tiles = list(self._tiles())
        self._peak: dict[str, list[int]] = {"input": [], "weight": [], "output": []}

    def walk(self) -> Iterator[tuple[dict[str, range], list[int]]]:
        """Yield each tile with a list, to which the caller appends the tile's compute cycles."""
        before: dict[str, Any] = {}
        for i, tile in enumerate(self.tiles):
            following = self.tiles[i + 1] if i + 1 < len(self.tiles) else None
            loads, stores = self._transfers(tile, before, following)
            cycles: list[int] = []
            yield tile, cycles
            self.steps.append(Step(tuple(loads), sum(cycles), tuple(stores)))

    def add(self, boundary: str, tensor: str, direction: Literal["read", "write"], bits: int) -> None:
        """Count traffic."""
        flow = Flow(boundary, tensor, direction)
        self.flows[flow] = self.flows.get(flow, 0) + bits

    def buffers(self, kib: dict[str, int]) -> dict[str, tuple[int, int]]:
        """Return capacity and peak of each buffer: two tiles if there are several different ones."""
        result = {}
        for tensor, size in kib.items():
            different = {tuple(tile[a] for a in KEYS[tensor]) for tile in self.tiles}
            result[f"glb.{tensor}s"] = (size * 8192, max(self._peak[tensor]) * (2 if len(different) > 1 else 1))
        return result

    def _tiles(self) -> Iterator[dict[str, range]]:
        conv, mapping = self.conv, self.mapping

        def cut(size: int, tile: int) -> list[range]:
            return [range(s, min(s + tile, size)) for s in range(0, size, tile)]

        loops: dict[str, list[Any]] = {
            "m": list(product(cut(conv.n, mapping.n), cut(conv.e, mapping.e), cut(conv.f, mapping.f))),
            "k": cut(conv.k // conv.groups, mapping.k),
            "c": cut(conv.c // conv.groups, mapping.c),
        }
        for groups in cut(conv.groups, mapping.groups):
            for combination in product(*(loops[name] for name in mapping.order)):
                at: dict[str, Any] = dict(zip(mapping.order, combination, strict=True))
                n, e, f = at["m"]
                yield {"g": groups, "n": n, "e": e, "f": f, "k": at["k"], "c": at["c"]}

    def _transfers(
        self, tile: dict[str, range], before: dict[str, Any], following: dict[str, range] | None
    ) -> tuple[list[Transfer], list[Transfer]]:
        loads, stores = [], []
        for tensor in ("input", "weight"):
            key = tuple(tile[a] for a in KEYS[tensor])
            if before.get(tensor) != key:
                before[tensor] = key
                loads += self._move(tensor, tensor, "read", tile)
        key = tuple(tile[a] for a in KEYS["output"])
        if before.get("output") != key:
            before["output"] = key
            self._peak["output"].append(len(self._addresses("output", tile)) * self.bits["psum"])
            if tile["c"].start > 0:
                loads += self._move("output", "psum", "read", tile)
        if following is None or tuple(following[a] for a in KEYS["output"]) != key:
            done = tile["c"].stop == self.conv.c // self.conv.groups
            stores += self._move("output", "output" if done else "psum", "write", tile)
        return loads, stores

    def _move(
        self, layout: str, tensor: str, direction: Literal["read", "write"], tile: dict[str, range]
    ) -> list[Transfer]:
        addresses = self._addresses(layout, tile)
        if layout != "output":
            self._peak[layout].append(len(addresses) * self.bits[layout])
        if not addresses:
            return []
        runs = 1 + sum(b != a + 1 for a, b in pairwise(addresses))
        length, burst = len(addresses) // runs * self.bits[tensor], self.dram.burst_bits
        self.add("dram", tensor, direction, len(addresses) * self.bits[tensor])
        if over := runs * (-(-length // burst) * burst - length):
            self.add("dram", "other", direction, over)
        if direction == "read":
            self.add(f"glb.{layout}s", tensor, "write", len(addresses) * self.bits[tensor])
        else:
            self.add("glb.outputs", tensor, "read", len(addresses) * self.bits["psum"])
        return [Transfer(tensor, direction, length, runs)]

    def _addresses(self, tensor: str, tile: dict[str, range]) -> list[int]:
        """Return the sorted element addresses of a tile in DRAM."""
        conv = self.conv
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        found: set[int] = set()
        if tensor == "weight":
            for g, k, c, t in product(tile["g"], tile["k"], tile["c"], range(conv.r * conv.s)):
                found.add(((g * kg + k) * cg + c) * conv.r * conv.s + t)
        elif tensor == "output":
            for n, e, f, g, k in product(*(tile[a] for a in "nefgk")):
                found.add(((n * conv.e + e) * conv.f + f) * conv.k + g * kg + k)
        else:
            rows, cols = self._reached(tile["e"], 0), self._reached(tile["f"], 1)
            for n, h, w, g, c in product(tile["n"], rows, cols, tile["g"], tile["c"]):
                found.add(((n * conv.h + h) * conv.w + w) * conv.c + g * cg + c)
        return sorted(found)

    def _reached(self, outputs: range, d: int) -> range:
        """Return the in-image positions from the first to the last tap of some outputs."""
        conv = self.conv
        size, window = ((conv.h, conv.r), (conv.w, conv.s))[d]
        taps = [o * conv.stride[d] + i * conv.dilation[d] - conv.pad[d] for o in outputs for i in range(window)]
        return range(max(0, min(taps)), min(size - 1, max(taps)) + 1)
