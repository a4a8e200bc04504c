"""A tiled layer by brute force: every tile in turn, every address of every transfer. For the engines' plain twins.

Shares nothing with `LoopNest`: tiles are nested loops over index ranges, and a transfer is a set of addresses, cut
into runs of neighbours. A tile of a tensor is fetched when it differs from that of the tile before; outputs that the
next tile does not continue leave, as partial sums if input channels are missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import product
from typing import Any

from accelsim.activity import Direction, Transfer
from accelsim.mapping.loopnest import Tiling
from accelsim.stepped import Ledger
from accelsim.workload.shapes import Conv2d

KEYS = {"input": "gnefc", "weight": "gkc", "output": "gnefk"}


class BruteNest:
    """Enters DRAM traffic and buffer fills in a ledger, tile by tile, and keeps the peaks.

    Parameters
    ----------
    bits : dict
        Width of ``input``, ``weight``, ``output`` and ``psum`` elements.
    homes : collection of str
        Tensors at home on the chip: inputs and weights lie there whole, outputs leave for the inputs' buffer.
    block : tuple of int, optional
        Input positions and output channels of a block of weights, if these come in whole blocks.
    """

    def __init__(
        self, conv: Conv2d, mapping: Tiling, bits: dict[str, int], ledger: Ledger, homes: Collection[str] = (),
        block: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        self.block = block
        self.conv, self.mapping, self.bits, self.ledger, self.homes = conv, mapping, bits, ledger, homes
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
            self.ledger.step(loads, sum(cycles), stores)

    def buffers(self, kib: dict[str, int]) -> dict[str, tuple[int, int]]:
        """Return capacity and peak of each buffer: two tiles if there are several different ones."""
        conv, result = self.conv, {}
        whole = {
            "input": conv.n * conv.c * conv.h * conv.w * self.bits["input"],
            "weight": conv.k * conv.c // conv.groups * conv.r * conv.s * self.bits["weight"],
        }
        for tensor, size in kib.items():
            different = {tuple(tile[a] for a in KEYS[tensor]) for tile in self.tiles}
            peak = max(self._peak[tensor]) * (2 if len(different) > 1 else 1)
            if tensor in self.homes and tensor in whole:
                peak = whole[tensor]
            if tensor == "input" and "output" in self.homes:
                peak += conv.n * conv.k * conv.e * conv.f * self.bits["output"]
            result[f"glb.{tensor}s"] = (size * 8192, peak)
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

    def _move(self, layout: str, tensor: str, direction: Direction, tile: dict[str, range]) -> list[Transfer]:
        places = self._addresses(layout, tile)
        bits = len(places) * self.bits[tensor]
        blocks = 0
        if layout == "weight" and self.block is not None and tensor not in self.homes:
            deep, wide = self.block
            taps = len(tile["c"]) * self.conv.r * self.conv.s
            blocks = sum(1 for _ in tile["g"] for _ in range(0, len(tile["k"]), wide) for _ in range(0, taps, deep))
            bits = blocks * deep * wide * self.bits[tensor]
        if layout != "output":
            self._peak[layout].append(bits)
        if direction == "write":
            self.ledger.add("glb.outputs", tensor, "read", len(places) * self.bits["psum"])
        if tensor in self.homes:
            if tensor == "output":
                self.ledger.add("glb.inputs", tensor, "write", bits)
            return []
        if direction == "read":
            self.ledger.add(f"glb.{layout}s", tensor, "write", bits)
        if blocks:
            return self.ledger.move(tensor, direction, bits // blocks, blocks)
        return self.ledger.move_elements(tensor, direction, places, self.bits[tensor])

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
