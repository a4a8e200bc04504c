"""The array stepped register by register, one link per cycle: slow, plain, and blind to any plan."""

from __future__ import annotations

from itertools import product
from typing import Any

from accelsim.activity import Activity, Event
from accelsim.engine import Machine
from accelsim.mapping.brute import BruteNest
from accelsim.mapping.loopnest import Tiling
from accelsim.operands.handle import Operands
from accelsim.stepped import WAYS, SteppedConv
from accelsim.workload.layers import LayerView


def reference(view: LayerView, operands: Operands, params: Any, mapping: Tiling, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    return _Layer(view, operands, params, mapping, machine).run()


class _Layer(SteppedConv):
    def __init__(self, view: LayerView, operands: Operands, params: Any, mapping: Tiling, machine: Machine) -> None:
        super().__init__(view, operands, params, machine.dram, ("busy", "zero", "unmapped", "fill_drain", "starved"))
        tensors = {"input": view.input, "weight": view.weight, "output": view.output}
        homes = {name for name, tensor in tensors.items() if tensor.home == "chip"}
        self.nest = BruteNest(self.conv, mapping, self.bits | {"psum": params.accumulator_bits}, self, homes,
                              (params.rows, params.cols) if params.whole_weight_tiles else None)  # fmt: skip
        self.held_words = self.results = 0
        self.leaving = {"none": 0, "rows": params.rows, "cols": params.cols}[params.drain]
        self.touched: set[tuple[int, tuple[int, int, int]]] = set()

    def run(self) -> Activity:
        for tile, cycles in self.nest.walk():
            cycles.append(self._compute(tile))
        p = self.p
        macs = self.causes["busy"] + self.causes["zero"]
        inside = p.dataflow == "os" and p.drain == "none"
        stays = {"results_not_drained": self.results} if inside else {}
        return self.activity(
            "pes",
            {Event("macs", "mac"): macs},
            buffers=self.nest.buffers({"input": p.input_kib, "weight": p.weight_kib, "output": p.output_kib}),
            details={"tiles": len(self.nest.tiles), "held_words": self.held_words} | stays,
            performed_macs=macs,
        )

    def _compute(self, tile: dict[str, range]) -> int:
        """Step all folds of a tile; return its cycles."""
        conv, p = self.conv, self.p
        kg, folds = conv.k // conv.groups, []
        for g in tile["g"]:
            pixels = list(product(tile["n"], tile["e"], tile["f"]))
            filters = [g * kg + k for k in tile["k"]]
            taps = list(product(tile["c"], range(conv.r), range(conv.s)))
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
        p = self.p
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
        p = self.p
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
        self.add(f"glb.{tensor}s", tensor, "read", r * c * width)
        for i in range(r):
            self.add("array", tensor, "read", (i + 1) * c * width)
            self.add("pe", tensor, "write", (i + 1) * c * width)

    def _held(self) -> tuple[str, int]:
        tensor = "weight" if self.p.dataflow == "ws" else "input"
        return tensor, self.bits[tensor]

    def _multiply(self, side_r: Any, side_c: Any, stream: Any, i: int, j: int, x: int) -> None:
        flow, acc = self.p.dataflow, self.p.accumulator_bits
        if flow == "ws":
            tap, k, pixel = side_r[i], side_c[j], stream[x]
        elif flow == "is":
            tap, pixel, k = side_r[i], side_c[j], stream[x]
        else:
            pixel, k, tap = side_r[i], side_c[j], stream[x]
        self.multiply(pixel, k, tap)
        bits = {"input": self.bits["input"], "weight": self.bits["weight"]}
        held = self._held()[0] if flow != "os" else None
        for tensor, width in bits.items():
            self.add("pe", tensor, "read", width)
            if tensor != held:
                self.add("array", tensor, "read", width)
                self.add("pe", tensor, "write", width)
        for way in WAYS:
            self.add("pe", "psum", way, acc)
        if j == 0:
            moving = "weight" if flow == "is" else "input"
            self.add(f"glb.{moving}s", moving, "read", bits[moving])
        if flow == "os" and i == 0:
            self.add("glb.weights", "weight", "read", bits["weight"])
        leaves = x == len(stream) - 1 if flow == "os" else i == len(side_r) - 1
        if flow != "os" or leaves:
            self.add("array", "psum", "write", acc)
        if leaves:
            self.results += 1
            self.add("glb.outputs", "psum", "write", acc)
            if (k, pixel) in self.touched:
                self.add("glb.outputs", "psum", "read", acc)
            self.touched.add((k, pixel))
