"""The array stepped register by register, and every tile by brute force: slow, plain, and blind to any plan.

Words move one link per cycle through explicit registers; DRAM traffic is counted from sets of addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step, Transfer
from accelsim.engine import Machine
from accelsim.mapping.loopnest import Tiling
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: Tiling, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    return _Layer(view, operands, params, mapping, machine).run()


class _Layer:
    def __init__(self, view: LayerView, operands: Operands, params: Any, mapping: Tiling, machine: Machine) -> None:
        self.view, self.params, self.mapping, self.machine = view, params, mapping, machine
        self.conv = view.conv
        self.x, self.w = operands.conv_arrays()
        self.out = np.zeros((self.conv.n, self.conv.k, self.conv.e, self.conv.f), dtype=np.int64)
        self.flows: dict[Flow, int] = {}
        self.causes = dict.fromkeys(("busy", "zero", "unmapped", "fill_drain", "starved"), 0)
        self.steps: list[Step] = []
        self.held_words = self.results = 0
        self.leaving = {"none": 0, "rows": params.rows, "cols": params.cols}[params.drain]
        self.touched: set[tuple[int, ...]] = set()
        self.peak: dict[str, list[int]] = {"input": [], "weight": [], "output": []}

    def run(self) -> Activity:
        before: dict[str, Any] = {}
        tiles = list(self._tiles())
        for i, tile in enumerate(tiles):
            following = tiles[i + 1] if i + 1 < len(tiles) else None
            loads, stores = self._dram(tile, before, following)
            cycles = self._compute(tile)
            self.steps.append(Step(loads, cycles, stores))
        total = sum(step.compute_cycles for step in self.steps)
        macs = self.causes["busy"] + self.causes["zero"]
        inside = self.params.dataflow == "os" and self.params.drain == "none"
        stays = {"results_not_drained": self.results} if inside else {}
        return Activity(
            compute_cycles=total,
            accounts={"pes": self.causes},
            traffic=self.flows,
            events={Event("macs", "mac"): macs},
            schedule=tuple(self.steps),
            buffers=self._buffers(),
            details={"tiles": len(tiles), "held_words": self.held_words} | stays,
            performed_macs=macs,
            values=from_conv_output(self.view, self.out),
        )

    def _tiles(self) -> Iterator[dict[str, range]]:
        """Yield the tiles as index ranges, loops nested as the mapping says."""
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

    def _dram(
        self, tile: dict[str, range], before: dict[str, Any], following: dict[str, range] | None
    ) -> tuple[tuple[Transfer, ...], tuple[Transfer, ...]]:
        """Fetch what differs from the tile before, write outputs that the next tile does not continue."""
        loads, stores = [], []
        keys = {"input": "gnefc", "weight": "gkc", "output": "gnefk"}
        for tensor in ("input", "weight"):
            key = tuple(tile[a] for a in keys[tensor])
            if before.get(tensor) != key:
                before[tensor] = key
                loads += self._move(tensor, "read", self._addresses(tensor, tile))
        key = tuple(tile[a] for a in keys["output"])
        cg = self.conv.c // self.conv.groups
        if before.get("output") != key:
            before["output"] = key
            if tile["c"].start > 0:
                loads += self._move("psum", "read", self._addresses("output", tile))
        if following is None or tuple(following[a] for a in keys["output"]) != key:
            tensor = "output" if tile["c"].stop == cg else "psum"
            stores += self._move(tensor, "write", self._addresses("output", tile))
        return tuple(loads), tuple(stores)

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
        widths = {"input": self.view.input.bits, "weight": self.view.weight.bits}
        width = widths.get(tensor, self.params.accumulator_bits) or 0
        self.peak[tensor].append(len(found) * width)
        return sorted(found)

    def _reached(self, outputs: range, d: int) -> range:
        """Return the in-image positions from the first to the last tap of some outputs."""
        conv = self.conv
        size, window = ((conv.h, conv.r), (conv.w, conv.s))[d]
        taps = [o * conv.stride[d] + i * conv.dilation[d] - conv.pad[d] for o in outputs for i in range(window)]
        return range(max(0, min(taps)), min(size - 1, max(taps)) + 1)

    def _move(self, tensor: str, direction: Any, addresses: list[int]) -> list[Transfer]:
        bits = {"input": self.view.input.bits, "weight": self.view.weight.bits, "output": self.view.output.bits}
        width = bits.get(tensor, self.params.accumulator_bits) or 0
        if not addresses:
            return []
        if self._at_home(tensor):
            if tensor == "output":
                self._add("glb.outputs", "output", "read", len(addresses) * self.params.accumulator_bits)
                self._add("glb.inputs", "output", "write", len(addresses) * width)
            return []
        runs = 1 + sum(b != a + 1 for a, b in pairwise(addresses))
        burst = self.machine.dram.burst_bits
        length = len(addresses) // runs * width
        self._add("dram", tensor, direction, len(addresses) * width)
        self._add("dram", "other", direction, runs * (-(-length // burst) * burst - length))
        if direction == "read":
            glb = {"input": "glb.inputs", "weight": "glb.weights", "psum": "glb.outputs"}[tensor]
            self._add(glb, tensor, "write", len(addresses) * width)
        else:
            self._add("glb.outputs", tensor, "read", len(addresses) * self.params.accumulator_bits)
        return [Transfer(tensor, direction, length, runs)]

    def _at_home(self, tensor: str) -> bool:
        view = self.view
        tensors = {"input": view.input, "weight": view.weight, "output": view.output}
        return tensor in tensors and tensors[tensor].home == "chip"

    def _add(self, boundary: str, tensor: str, direction: Any, bits: int) -> None:
        flow = Flow(boundary, tensor, direction)
        self.flows[flow] = self.flows.get(flow, 0) + bits

    def _buffers(self) -> dict[str, tuple[int, int]]:
        p = self.params
        kib = {"input": p.input_kib, "weight": p.weight_kib, "output": p.output_kib}
        ranges = {"input": "gnefc", "weight": "gkc", "output": "gnefk"}
        tiles = list(self._tiles())
        result = {}
        for tensor, size in kib.items():
            different = {tuple(tile[a] for a in ranges[tensor]) for tile in tiles}
            peak = max(self.peak[tensor]) * (2 if len(different) > 1 else 1)
            if tensor != "output" and self._at_home(tensor):
                peak = {"input": self.x, "weight": self.w}[tensor].size * self._bits(tensor)
            if tensor == "input" and self._at_home("output"):
                peak += self.out.size * self._bits("output")
            result[f"glb.{tensor}s"] = (size * 8192, peak)
        return result

    def _bits(self, tensor: str) -> int:
        view = self.view
        bits = {"input": view.input.bits, "weight": view.weight.bits, "output": view.output.bits}
        return bits[tensor] or 0

    def _compute(self, tile: dict[str, range]) -> int:
        """Step all folds of a tile; return its cycles."""
        conv, p = self.conv, self.params
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        folds = []
        for g in tile["g"]:
            pixels = list(product(tile["n"], tile["e"], tile["f"]))
            filters = [g * kg + k for k in tile["k"]]
            taps = list(product((g * cg + c for c in tile["c"]), range(conv.r), range(conv.s)))
            sides: dict[str, tuple[Any, Any, Any]] = {
                "ws": (taps, filters, pixels),
                "is": (taps, pixels, filters),
                "os": (pixels, filters, taps),
            }
            side_r, side_c, stream = sides[p.dataflow]
            for c0 in range(0, len(side_c), p.cols):
                for r0 in range(0, len(side_r), p.rows):
                    folds.append((side_r[r0 : r0 + p.rows], side_c[c0 : c0 + p.cols], stream))
        if p.overlap_folds:
            return self._stream(folds)
        return sum(self._stream([fold]) for fold in folds)

    def _stream(self, folds: list[Any]) -> int:
        """Step folds that follow each other without a pause; return the cycle after the last result.

        A feeder at the corner of the array emits one token per cycle: a word index of the current fold, or the
        reason why there is none. The token moves one PE right and one down per cycle.
        """
        p = self.params
        tokens: list[tuple[int, int | str]] = []
        current, loaded_at, index = -1, len(folds[0][0]) if p.dataflow != "os" else 0, 0
        while current < len(folds):
            now = len(tokens)
            streaming = 0 <= current < len(folds) and index < len(folds[current][2])
            if not streaming:
                if now >= loaded_at and current + 1 < len(folds):
                    current, index, streaming = current + 1, 0, True
                    following = len(folds[current + 1][0]) if current + 1 < len(folds) else 0
                    loaded_at = now + (following if p.dataflow != "os" else self.leaving)
                elif current + 1 >= len(folds):
                    break
            if streaming:
                tokens.append((current, index))
                index += 1
            else:
                tokens.append((current + 1, "fill_drain" if current < 0 else "starved"))
        return self._array(folds, tokens)

    def _array(self, folds: list[Any], tokens: list[tuple[int, int | str]]) -> int:
        p = self.params
        last = 0
        for position, (current, index) in enumerate(tokens):
            if not isinstance(index, str):
                last = max(last, position + len(folds[current][0]) + len(folds[current][1]) - 1)
        if p.dataflow == "os":
            last += p.output_registers + self.leaving
        if p.dataflow != "os":
            for side_r, side_c, _ in folds:
                self._load(len(side_r), len(side_c))
        for now in range(last):
            for i, j in product(range(p.rows), range(p.cols)):
                fold, what = self._token(tokens, now - i - j, len(folds))
                side_r, side_c, stream = folds[fold]
                if i >= len(side_r) or j >= len(side_c):
                    self.causes["unmapped"] += 1
                elif isinstance(what, str):
                    self.causes[what] += 1
                else:
                    self._multiply(side_r, side_c, stream, i, j, what)
        return last

    @staticmethod
    def _token(tokens: list[tuple[int, int | str]], at: int, folds: int) -> tuple[int, int | str]:
        """Return the token that left the feeder at cycle ``at``: outside of all tokens the array fills or drains."""
        if at < 0:
            return 0, "fill_drain"
        return tokens[at] if at < len(tokens) else (folds - 1, "fill_drain")

    def _load(self, r: int, c: int) -> None:
        """Shift the held operand in from the top: row i passes i + 1 links."""
        tensor, width = self._held()
        self.held_words += r * c
        self._add(f"glb.{tensor}s", tensor, "read", r * c * width)
        for i in range(r):
            for boundary, direction in (("array", "read"), ("pe", "write")):
                self._add(boundary, tensor, direction, (i + 1) * c * width)

    def _held(self) -> tuple[str, int]:
        view = self.view
        return ("weight", view.weight.width) if self.params.dataflow == "ws" else ("input", view.input.width)

    def _multiply(self, side_r: Any, side_c: Any, stream: Any, i: int, j: int, x: int) -> None:
        conv, p, view = self.conv, self.params, self.view
        flow, acc = p.dataflow, p.accumulator_bits
        if flow == "ws":
            tap, k, pixel = side_r[i], side_c[j], stream[x]
        elif flow == "is":
            tap, pixel, k = side_r[i], side_c[j], stream[x]
        else:
            pixel, k, tap = side_r[i], side_c[j], stream[x]
        (n, e, f), (c, r, s) = pixel, tap
        h = e * conv.stride[0] + r * conv.dilation[0] - conv.pad[0]
        v = f * conv.stride[1] + s * conv.dilation[1] - conv.pad[1]
        inside = 0 <= h < conv.h and 0 <= v < conv.w
        a = int(self.x[n, c, h, v]) if inside else 0
        b = int(self.w[k, c % (conv.c // conv.groups), r, s])
        self.causes["busy" if a and b else "zero"] += 1
        self.out[n, k, e, f] += a * b
        bits = {"input": view.input.width, "weight": view.weight.width}
        held = self._held()[0] if flow != "os" else None
        for tensor, width in bits.items():
            self._add("pe", tensor, "read", width)
            if tensor != held:
                self._add("array", tensor, "read", width)
                self._add("pe", tensor, "write", width)
        self._add("pe", "psum", "read", acc)
        self._add("pe", "psum", "write", acc)
        if j == 0:
            moving = "weight" if flow == "is" else "input"
            self._add(f"glb.{moving}s", moving, "read", bits[moving])
        if flow == "os" and i == 0:
            self._add("glb.weights", "weight", "read", bits["weight"])
        leaves = x == len(stream) - 1 if flow == "os" else i == len(side_r) - 1
        if flow != "os" or leaves:
            self._add("array", "psum", "write", acc)
        if leaves:
            self.results += 1
            self._add("glb.outputs", "psum", "write", acc)
            if (n, k, e, f) in self.touched:
                self._add("glb.outputs", "psum", "read", acc)
            self.touched.add((n, k, e, f))
