"""Tiled loop nests of convolutions: tiles, DRAM traffic and schedule, for engines that double-buffer tiles.

Every product layer is a grouped convolution here. It is cut into tiles of ``groups, n, e, f, k, c``; filter rows and
columns are never cut. The loop over group tiles is outermost; inside it the loops ``m`` (images, output rows, output
columns), ``k`` and ``c`` run in the mapping's order, written from the outermost to the innermost (``mkc``).

A tile of a tensor is fetched when its indices differ from those of the tile before. Outputs whose ``c`` loop is not
innermost leave as partial sums at accumulator width and come back for the next ``c`` tile.

Layout in DRAM: input and output (n, h, w, c), channels innermost; weights (k, c, r, s).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, product
from typing import Any, Literal, NamedTuple

from pydantic import Field

from accelsim.activity import Flow, Loop, Step, Transfer
from accelsim.config.schema import Strict
from accelsim.memory.dram import DramModel
from accelsim.units import ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Conv2d

Order = Literal["mkc", "mck", "kmc", "kcm", "cmk", "ckm"]
ORDERS: tuple[Order, ...] = ("mkc", "mck", "kmc", "kcm", "cmk", "ckm")
FIELDS = ("groups", "n", "e", "f", "k", "c")
AXES = {"m": ("n", "e", "f"), "k": ("k",), "c": ("c",)}


class Tiling(Strict):
    """How a layer is cut: tile sizes, and the order of the loops over tiles."""

    groups: int = Field(ge=1, description="groups per tile; more than one only with all their channels")
    n: int = Field(ge=1, description="images or rows per tile")
    e: int = Field(ge=1, description="output rows per tile")
    f: int = Field(ge=1, description="output columns per tile")
    k: int = Field(ge=1, description="output channels of a group per tile")
    c: int = Field(ge=1, description="input channels of a group per tile")
    order: Order = Field(description="tile loops from outermost to innermost; m is n, e, f")


class Widths(NamedTuple):
    """Element widths in bits."""

    input: int
    weight: int
    output: int
    psum: int


class Tile(NamedTuple):
    """Extents of one tile: what is computed, and the in-image input region under it."""

    groups: int
    n: int
    e: int
    f: int
    k: int
    c: int
    rows: int
    cols: int

    @property
    def m(self) -> int:
        """Output pixels of a channel."""
        return self.n * self.e * self.f


class Piece(NamedTuple):
    """One index of a tile loop: its extent, the in-image input positions under it, and whether it is an end."""

    extent: int
    inputs: int
    first: bool
    last: bool


@dataclass(frozen=True)
class LoopNest:
    """A layer cut by a tiling."""

    conv: Conv2d
    tiling: Tiling
    widths: Widths
    resident: frozenset[str] = frozenset()
    """Tensors (input, weight, output) whose home is on the chip: they never cross the DRAM boundary."""

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Axis -> how many there are in the layer."""
        conv = self.conv
        k, c = conv.k // conv.groups, conv.c // conv.groups
        return {"groups": conv.groups, "n": conv.n, "e": conv.e, "f": conv.f, "k": k, "c": c}

    @cached_property
    def runs(self) -> dict[str, list[tuple[int, Piece]]]:
        """Axis -> the pieces along its loop over tiles, equal neighbours counted together."""
        return {axis: self._runs(axis) for axis in FIELDS}

    def _runs(self, axis: str) -> list[tuple[int, Piece]]:
        size, tile = self.sizes[axis], min(getattr(self.tiling, axis), self.sizes[axis])
        trips = ceil_div(size, tile)

        def piece(i: int) -> Piece:
            extent = min(tile, size - i * tile)
            return Piece(extent, self._inputs_under(axis, i * tile, extent), i == 0, i == trips - 1)

        lead, tail = self._alike(axis, tile, trips)
        if lead >= tail:
            found = [(1, piece(i)) for i in range(trips)]
        else:
            ends = [(1, piece(i)) for i in (*range(lead), *range(tail, trips))]
            found = [*ends[:lead], (tail - lead, piece(lead)), *ends[lead:]]
        return [(sum(times for times, _ in same), part) for part, same in groupby(found, key=lambda run: run[1])]

    def _alike(self, axis: str, tile: int, trips: int) -> tuple[int, int]:
        """Return a range of pieces that are whole, no ends and, along an image, under no padding: all alike."""
        if axis not in ("e", "f"):
            return 1, trips - 1
        conv, d = self.conv, "ef".index(axis)
        size, window = ((conv.h, conv.r), (conv.w, conv.s))[d]
        step = tile * conv.stride[d]
        room = size - 1 + conv.pad[d] - (window - 1) * conv.dilation[d] - (tile - 1) * conv.stride[d]
        return max(1, ceil_div(conv.pad[d], step)), min(trips - 1, room // step + 1)

    def _inputs_under(self, axis: str, start: int, extent: int) -> int:
        """Return the in-image rows (axis e) or columns (axis f) from the first to the last tap of a piece."""
        conv = self.conv
        if axis not in ("e", "f"):
            return 0
        d = 0 if axis == "e" else 1
        size, window = ((conv.h, conv.r), (conv.w, conv.s))[d]
        first = start * conv.stride[d] - conv.pad[d]
        last = (start + extent - 1) * conv.stride[d] - conv.pad[d] + (window - 1) * conv.dilation[d]
        return max(0, min(last, size - 1) - max(first, 0) + 1)

    @cached_property
    def trips(self) -> dict[str, int]:
        """Iterations of the loops ``groups``, ``m``, ``k`` and ``c``."""
        count = {axis: ceil_div(size, min(getattr(self.tiling, axis), size)) for axis, size in self.sizes.items()}
        return {
            "groups": count["groups"], "m": count["n"] * count["e"] * count["f"], "k": count["k"], "c": count["c"],
        }  # fmt: skip

    @property
    def innermost(self) -> str:
        """The innermost tile loop that iterates at all, or an empty string if there is a single tile."""
        live = [loop for loop in self.tiling.order if self.trips[loop] > 1]
        return live[-1] if live else ""

    @property
    def psums_stay(self) -> bool:
        """Whether an output tile is finished before the next one starts, so that no partial sum leaves."""
        return self.trips["c"] == 1 or self.innermost == "c"

    def schedule(self, cycles: Callable[[Tile], int]) -> tuple[Step | Loop, ...]:
        """Return the tiles as steps of the memory timeline.

        Parameters
        ----------
        cycles : callable
            Compute cycles of a tile.
        """
        axes = ["groups", *(axis for loop in self.tiling.order for axis in AXES[loop])]
        innermost, stay = self.innermost, self.psums_stay

        def nest(depth: int, at: dict[str, Piece]) -> tuple[Step | Loop, ...]:
            if depth == len(axes):
                return (self._step(at, innermost, stay, cycles),)
            items: list[Step | Loop] = []
            for repeat, piece in self.runs[axes[depth]]:
                body = nest(depth + 1, {**at, axes[depth]: piece})
                items.extend(body if repeat == 1 else (Loop(repeat, body),))
            return tuple(items)

        return nest(0, {})

    def _step(self, at: dict[str, Piece], innermost: str, stay: bool, cycles: Callable[[Tile], int]) -> Step:
        tile = _tile(tuple(at[axis] for axis in FIELDS))
        loads: list[Transfer] = []
        first_m = at["n"].first and at["e"].first and at["f"].first
        if innermost != "k" or at["k"].first:
            loads += self._transfer("input", "read", tile)
        if innermost != "m" or first_m:
            loads += self._transfer("weight", "read", tile)
        stores: list[Transfer] = []
        if stay:
            if at["c"].last:
                stores += self._transfer("output", "write", tile)
        else:
            if not at["c"].first:
                loads += self._transfer("psum", "read", tile)
            stores += self._transfer("output" if at["c"].last else "psum", "write", tile)
        return Step(tuple(loads), cycles(tile), tuple(stores))

    def _transfer(self, tensor: str, direction: Literal["read", "write"], tile: Tile) -> list[Transfer]:
        if tensor in self.resident:
            return []
        conv = self.conv
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        extents = {
            "input": ((tile.c, cg), (tile.groups, conv.groups), (tile.cols, conv.w), (tile.rows, conv.h),
                      (tile.n, conv.n)),
            "weight": ((conv.r * conv.s, conv.r * conv.s), (tile.c, cg), (tile.k, kg), (tile.groups, conv.groups)),
            "output": ((tile.k, kg), (tile.groups, conv.groups), (tile.f, conv.f), (tile.e, conv.e),
                       (tile.n, conv.n)),
        }  # fmt: skip
        width = getattr(self.widths, tensor)
        run, count = contiguous(extents["output" if tensor == "psum" else tensor])
        return [Transfer(tensor, direction, run * width, count)] if run * count else []

    @cached_property
    def tiles(self) -> dict[Tile, int]:
        """Distinct tile -> how often it occurs."""
        counts: dict[Tile, int] = {}
        runs = [self.runs[axis] for axis in FIELDS]

        def walk(depth: int, times: int, at: tuple[Piece, ...]) -> None:
            if depth == len(runs):
                tile = _tile(at)
                counts[tile] = counts.get(tile, 0) + times
                return
            for repeat, piece in runs[depth]:
                walk(depth + 1, times * repeat, (*at, piece))

        walk(0, 1, ())
        return counts

    def spans(self) -> Iterator[tuple[int, ...]]:
        """Yield first index and extent of groups, n, e, f, k and c of every tile, in the order of the schedule."""
        axes = ["groups", *(axis for loop in self.tiling.order for axis in AXES[loop])]
        cuts = []
        for axis in axes:
            size, tile = self.sizes[axis], getattr(self.tiling, axis)
            cuts.append([(start, min(tile, size - start)) for start in range(0, size, tile)])
        for combination in product(*cuts):
            at = dict(zip(axes, combination, strict=True))
            yield tuple(number for axis in FIELDS for number in at[axis])

    def follows(self) -> dict[str, bool]:
        """Return of which tensors there is more than one tile."""
        trips = self.trips
        return {
            "input": trips["groups"] * trips["m"] * trips["c"] > 1,
            "weight": trips["groups"] * trips["k"] * trips["c"] > 1,
            "output": trips["groups"] * trips["m"] * trips["k"] > 1,
        }

    def largest_bits(self) -> dict[str, int]:
        """Return the bits of the largest input, weight and accumulator tile."""
        tiles, conv, w = self.tiles, self.conv, self.widths
        return {
            "input": max(t.groups * t.n * t.c * t.rows * t.cols for t in tiles) * w.input,
            "weight": max(t.groups * t.k * t.c for t in tiles) * conv.r * conv.s * w.weight,
            "output": max(t.groups * t.m * t.k for t in tiles) * w.psum,
        }


def _tile(pieces: tuple[Piece, ...]) -> Tile:
    groups, n, e, f, k, c = (piece.extent for piece in pieces)
    return Tile(groups, n, e, f, k, c, pieces[2].inputs, pieces[3].inputs)


def contiguous(extents: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """Return (elements per contiguous run, number of runs) of a block.

    Parameters
    ----------
    extents : tuple of (extent, full size)
        From the innermost dimension to the outermost.
    """
    run, count, whole = 1, 1, True
    for extent, full in extents:
        if whole:
            run *= extent
        else:
            count *= extent
        whole = whole and extent == full
    return run, count


def dram_traffic(schedule: tuple[Step | Loop, ...], dram: DramModel) -> dict[Flow, int]:
    """Return the DRAM traffic of a schedule: what `moved` says of its transfers."""

    def transfers(items: tuple[Step | Loop, ...], times: int) -> Iterator[tuple[Transfer, int]]:
        for item in items:
            if isinstance(item, Loop):
                yield from transfers(item.body, times * item.repeat)
            else:
                for part in (item.loads, item.before, item.after, item.stores):
                    yield from ((t, times) for t in part)

    return moved(transfers(schedule, 1), dram)


def moved(transfers: Iterable[tuple[Transfer, int]], dram: DramModel) -> dict[Flow, int]:
    """Return the DRAM traffic of transfers, each as often as its number says.

    What whole bursts move beyond the useful bits is tensor ``other``.
    """
    total: dict[Flow, int] = {}
    for t, times in transfers:
        flow = Flow("dram", t.tensor, t.direction)
        total[flow] = total.get(flow, 0) + times * t.bits
        if over := dram.bus_bits(t) - t.bits:
            extra = Flow("dram", "other", t.direction)
            total[extra] = total.get(extra, 0) + times * over
    return total


def resident(view: LayerView) -> frozenset[str]:
    """Return which of a layer's tensors live on the chip."""
    tensors = {"input": view.input, "weight": view.weight, "output": view.output}
    return frozenset(role for role, tensor in tensors.items() if tensor.home == "chip")


def widths(view: LayerView, psum_bits: int) -> Widths:
    """Return the element widths of a layer's tensors."""
    bits: list[Any] = [view.input.bits, view.weight.bits, view.output.bits]
    return Widths(bits[0], bits[1], bits[2], psum_bits)
