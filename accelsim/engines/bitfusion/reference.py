"""The array stepped unit by unit and cycle by cycle: slow, plain, and blind to any plan."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

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


class _Word(NamedTuple):
    """What enters the array together: a pixel, positions (channel, row, column) and filters."""

    pixel: tuple[int, int, int]
    group: int
    places: tuple[tuple[int, int, int], ...]
    filters: tuple[int, ...]


class _Layer(SteppedConv):
    def __init__(self, view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> None:
        super().__init__(view, operands, params, machine.dram, ("busy", "zero", "unmapped", "fill_drain"))
        self.mapping = mapping
        widths = [1]
        while widths[0] != params.brick_bits:
            widths[0] += 1
        while widths[-1] < params.max_bits:
            widths.append(2 * widths[-1])
        self.a = min(w for w in widths if w >= view.input.width)
        self.b = min(w for w in widths if w >= view.weight.width)
        pieces = lambda w: [(i, min(params.spatial_bits, w)) for i in range(0, w, params.spatial_bits)]  # noqa: E731
        self.pieces = list(product(pieces(self.a), pieces(self.b)))
        (_, a_space), (_, b_space) = self.pieces[0]
        self.bricks = (a_space // params.brick_bits) * (b_space // params.brick_bits)
        self.per_unit = (params.spatial_bits // params.brick_bits) ** 2 // self.bricks
        tiling = Tiling(**mapping.model_dump(exclude={"inner"}))
        self.nest = BruteNest(self.conv, tiling, self.bits | {"psum": params.accumulator_bits}, self)
        self.unit_ops = self.word_cycles = 0
        self.visited: set[tuple[int, ...]] = set()

    def run(self) -> Activity:
        for tile, cycles in self.nest.walk():
            words = list(self._words(tile))
            self._buffers(words)
            cycles.append(self._array(words))
        p, conv = self.p, self.conv
        c = conv.c // conv.groups * (conv.r * conv.s if self._packed() else 1)
        return self.activity(
            "bricks",
            {Event("units", "mac"): self.unit_ops},
            buffers=self.nest.buffers({"input": p.input_kib, "weight": p.weight_kib, "output": p.output_kib}),
            details={
                "tiles": len(self.nest.tiles),
                "word_cycles": self.word_cycles,
                "row_utilization_ppm": _filled(c, p.rows * self.per_unit),
                "column_utilization_ppm": _filled(conv.k // conv.groups, p.cols),
            },
            performed_macs=conv.macs,
        )

    def _packed(self) -> bool:
        return self.conv.c // self.conv.groups <= self.p.im2col_channels

    def _words(self, tile: dict[str, range]) -> Iterator[_Word]:
        """Yield the words of a tile in the order that keeps the mapping's operand."""
        conv, lanes = self.conv, self.p.rows * self.per_unit
        pixels = list(product(tile["n"], tile["e"], tile["f"]))
        filters = [tuple(tile["k"][i : i + self.p.cols]) for i in range(0, len(tile["k"]), self.p.cols)]
        positions = [[(c, r, s) for c in tile["c"]] for r in range(conv.r) for s in range(conv.s)]
        if self._packed():
            positions = [[place for position in positions for place in position]]
        depth = [tuple(part[i : i + lanes]) for part in positions for i in range(0, len(part), lanes)]
        for g in tile["g"]:
            if self.mapping.inner == "is":
                yield from (_Word(p, g, d, f) for p in pixels for d in depth for f in filters)
            elif self.mapping.inner == "os":
                yield from (_Word(p, g, d, f) for f in filters for p in pixels for d in depth)
            else:
                yield from (_Word(p, g, d, f) for f in filters for d in depth for p in pixels)

    def _buffers(self, words: list[_Word]) -> None:
        """Read and write the buffers whenever a word needs another operand than the one before."""
        acc, view = self.p.accumulator_bits, self.view
        before: _Word | None = None
        for word in words:
            fresh = before is None or word.group != before.group
            if fresh or (before and (word.pixel, word.places) != (before.pixel, before.places)):
                self.add("glb.inputs", "input", "read", len(word.places) * view.input.width)
            if fresh or (before and (word.filters, word.places) != (before.filters, before.places)):
                elements = len(word.places) * len(word.filters)
                self.add("glb.weights", "weight", "read", elements * view.weight.width)
            if fresh or (before and (word.filters, word.pixel) != (before.filters, before.pixel)):
                for k in word.filters:
                    key = (word.group, k, *word.pixel)
                    if key in self.visited:
                        self.add("glb.outputs", "psum", "read", acc)
                    self.visited.add(key)
                    self.add("glb.outputs", "psum", "write", acc)
            before = word

    def _array(self, words: list[_Word]) -> int:
        """Step the wavefront: unit (i, j) meets a word i + j cycles after the corner, and a sum takes one to leave."""
        p, passes = self.p, len(self.pieces)
        end = 0
        self.word_cycles += len(words) * passes
        for now in range(len(words) * passes + p.rows + p.cols):
            active = False
            spent = dict.fromkeys(self.causes, 0)
            for i, j in product(range(p.rows), range(p.cols)):
                at, piece = divmod(now - i - j, passes)
                if 0 <= at < len(words):
                    active = True
                    self._unit(words[at], i, j, piece, spent)
                else:
                    spent["fill_drain"] += (p.spatial_bits // p.brick_bits) ** 2
            if not active:
                end = now
                break
            for cause, bricks in spent.items():
                self.causes[cause] += bricks
        self.causes["fill_drain"] += p.rows * p.cols * (p.spatial_bits // p.brick_bits) ** 2
        return end + 1

    def _unit(self, word: _Word, i: int, j: int, piece: int, spent: dict[str, int]) -> None:
        conv, whole = self.conv, (self.p.spatial_bits // self.p.brick_bits) ** 2
        places = word.places[i * self.per_unit : (i + 1) * self.per_unit]
        used = 0
        if j < len(word.filters) and places:
            self.unit_ops += 1
            n, e, f = word.pixel
            k = word.group * (conv.k // conv.groups) + word.filters[j]
            for tap in places:
                a, b = self.pair(word.pixel, k, tap)
                (a_low, a_size), (b_low, b_size) = self.pieces[piece]
                a_part = _piece(a, a_low, a_size, self.view.input.signed and a_low + a_size == self.a)
                b_part = _piece(b, b_low, b_size, self.view.weight.signed and b_low + b_size == self.b)
                self.out[n, k, e, f] += a_part * b_part * 2 ** (a_low + b_low)
                spent["busy" if a and b else "zero"] += self.bricks
                used += self.bricks
        spent["unmapped"] += whole - used


def _piece(value: int, low: int, size: int, signed: bool) -> int:
    """Return ``size`` bits of a number from bit ``low`` on; the top piece of a signed number is signed."""
    part = (value // 2**low) % 2**size
    return part - 2**size if signed and part >= 2 ** (size - 1) else part


def _filled(size: int, room: int) -> int:
    turns = 0
    while turns * room < size:
        turns += 1
    return size * 1_000_000 // (turns * room)
