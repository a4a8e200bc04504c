"""Tiled loop nests of convolutions: tiles, DRAM traffic and schedule, for engines that double-buffer tiles.

Every product layer is a grouped convolution here. It is cut into tiles of ``groups, n, e, f, k, c``; filter rows and
columns are never cut. The loop over group tiles is outermost; inside it the loops ``m`` (images, output rows, output
columns), ``k`` and ``c`` run in the mapping's order, written from the outermost to the innermost (``mkc``).

A tile of a tensor is fetched when its indices differ from those of the tile before. Outputs whose ``c`` loop is not
innermost leave as partial sums at accumulator width and come back for the next ``c`` tile.

Layout in DRAM: input and output (n, h, w, c), channels innermost; weights (k, c, r, s).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Direction, Flow, Loop, Step, Transfer
from accelsim.config.schema import Strict
from accelsim.errors import MappingError
from accelsim.memory.dram import DramModel
from accelsim.memory.timeline import Cut, LaidOut
from accelsim.memory.timeline import dram_traffic as dram_traffic
from accelsim.units import INT64_MAX, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Conv2d

Order = Literal["mkc", "mck", "kmc", "kcm", "cmk", "ckm"]
ORDERS: tuple[Order, ...] = ("mkc", "mck", "kmc", "kcm", "cmk", "ckm")
FIELDS = ("groups", "n", "e", "f", "k", "c")
MOST = 2**59
"""Of a rate's numerator and denominator, of bits and multiplications of a layer: no count may come near 64 bits."""
ROLES = ("input", "weight", "output")
AXES = {"m": ("n", "e", "f"), "k": ("k",), "c": ("c",)}


REPEAT, END, TIMES = range(3)
"""Columns of `LoopNest.table`, rows in the order of the schedule: of a loop, which stands before its body, how often it
repeats and the row behind it; of a tile 0, and how often it occurs in all."""
TILE, WHOLE = slice(3, 9), slice(3, 11)
"""The extents groups, n, e, f, k, c of a tile, and all of `Tile`."""
RUN, NUMBER = slice(11, 16), slice(16, 21)
"""Bits of a run, and runs, of what a tile moves: `MOVES`."""


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


@dataclass(frozen=True)
class LoopNest:
    """A layer cut by a tiling: counts of `nest_kernel` as values."""

    conv: Conv2d
    tiling: Tiling
    widths: Widths
    resident: frozenset[str] = frozenset()
    """Tensors (input, weight, output) whose home is on the chip: they never cross the DRAM boundary."""
    whole: tuple[int, int] = (0, 0)
    """Input positions and output channels of a block of weights, if these come in whole blocks, padding included."""

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Axis -> how many there are in the layer."""
        conv = self.conv
        k, c = conv.k // conv.groups, conv.c // conv.groups
        return {"groups": conv.groups, "n": conv.n, "e": conv.e, "f": conv.f, "k": k, "c": c}

    @cached_property
    def trips(self) -> dict[str, int]:
        """Iterations of the loops ``groups``, ``m``, ``k`` and ``c``."""
        count = {axis: ceil_div(size, getattr(self.tiling, axis)) for axis, size in self.sizes.items()}
        return {
            "groups": count["groups"], "m": count["n"] * count["e"] * count["f"], "k": count["k"], "c": count["c"],
        }  # fmt: skip

    @cached_property
    def table(self) -> np.ndarray:
        """The schedule, shape (loops and steps, 21), int64; columns are `REPEAT` to `NUMBER`."""
        from accelsim.mapping import schedule_kernel as kernel

        tile = [min(getattr(self.tiling, axis), size) for axis, size in self.sizes.items()]
        tiling = np.array([*tile, ORDERS.index(self.tiling.order)], dtype=np.int64)
        row = layer_row(self.conv, self.widths[:3], [role not in self.resident for role in ROLES])
        found: np.ndarray = kernel.table(np.array(row, dtype=np.int64), tiling, self.widths.psum)
        if self.whole[0]:
            moves = found[:, RUN.start + WEIGHTS] > 0
            blocks = self.weight_blocks(
                found[moves, TILE.start], found[moves, TILE.start + 4], found[moves, TILE.start + 5]
            )
            found[moves, RUN.start + WEIGHTS] = self.whole[0] * self.whole[1] * self.widths.weight
            found[moves, NUMBER.start + WEIGHTS] = blocks
        return found

    def weight_blocks(self, groups: Any, k: Any, c: Any) -> Any:
        """Return how many `whole` blocks hold the weights of tiles of so many groups, output and input channels."""
        return groups * -(-k // self.whole[1]) * -(-c * self.conv.r * self.conv.s // self.whole[0])

    @cached_property
    def steps(self) -> np.ndarray:
        """The rows of `table` that are tiles."""
        return self.table[self.table[:, REPEAT] == 0]

    @property
    def times(self) -> np.ndarray:
        """How often each of `steps` occurs."""
        found: np.ndarray = self.steps[:, TIMES]
        return found

    @property
    def tiles(self) -> list[Tile]:
        """The tiles of `steps`."""
        return [Tile(*row) for row in self.steps[:, WHOLE].tolist()]

    def schedule(self, cycles: Callable[[Tile], int] | np.ndarray) -> Tiles:
        """Return the tiles as steps of the memory timeline.

        Parameters
        ----------
        cycles : callable, or ndarray of int64, shape (steps,)
            Compute cycles of a tile, or of each of `steps`.
        """
        each = np.array([cycles(tile) for tile in self.tiles]) if callable(cycles) else cycles
        return Tiles(self.table, each, self)

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

    @cached_property
    def largest_bits(self) -> dict[str, int]:
        """The bits of the largest input, weight and accumulator tile."""
        t, conv, w = Tile(*self.steps[:, WHOLE].max(axis=0).tolist()), self.conv, self.widths
        weights = t.groups * t.k * t.c * conv.r * conv.s
        if self.whole[0] and "weight" not in self.resident:
            weights = self.weight_blocks(t.groups, t.k, t.c) * self.whole[0] * self.whole[1]
        return {
            "input": t.groups * t.n * t.c * t.rows * t.cols * w.input,
            "weight": weights * w.weight,
            "output": t.groups * t.m * t.k * w.psum,
        }


MOVES: tuple[tuple[str, Literal["read", "write"]], ...] = (
    ("input", "read"), ("weight", "read"), ("psum", "read"), ("output", "write"), ("psum", "write")
)  # fmt: skip
"""What a tile moves: the first three are loads."""
WEIGHTS = 1
"""The place of weights in it."""


class Tiles(LaidOut):
    """The schedule of a cut layer: its `LoopNest.table`, and the cycles of each tile in it."""

    def __init__(self, table: np.ndarray, cycles: np.ndarray, nest: LoopNest | None = None) -> None:
        self.table, self.cycles, self.nest = table, cycles, nest
        self._known: dict[int, np.ndarray] = {}

    @cached_property
    def items(self) -> tuple[Step | Loop, ...]:
        """The steps and loops."""
        rows, cycles = self.table.tolist(), iter(self.cycles.tolist())

        def made(start: int, end: int) -> tuple[Step | Loop, ...]:
            found: list[Step | Loop] = []
            while start < end:
                row, start = rows[start], start + 1
                if row[REPEAT]:
                    found.append(Loop(row[REPEAT], made(start, row[END])))
                    start = row[END]
                    continue
                moves = zip(MOVES, row[RUN], row[NUMBER], strict=True)
                transfers = [Transfer(*what, run, number) for what, run, number in moves if run]
                loads, stores = (tuple(t for t in transfers if t.direction == way) for way in ("read", "write"))
                found.append(Step(loads, next(cycles), stores))
            return tuple(found)

        return made(0, len(rows))

    def __len__(self) -> int:
        """Return how many steps and loops there are on the outermost level."""
        return len(self.items)

    def __getitem__(self, at: Any) -> Any:
        """Return a step or a loop."""
        return self.items[at]

    def cut(self, first_bit: Callable[[str, int], int]) -> Cut | None:
        """Return the tiles where they lie, in the order of `cursor_kernel.G_SIZE` to ``G_BASE``."""
        nest = self.nest
        if nest is None:
            return None
        conv, sizes, w = nest.conv, nest.sizes, nest.widths
        elements = (
            conv.n * conv.h * conv.w * conv.c, conv.k * sizes["c"] * conv.r * conv.s, conv.n * conv.e * conv.f * conv.k,
        )  # fmt: skip
        spilled = bool(self.table[:, [RUN.start + 2, RUN.start + 4]].any())
        roles = zip((*ROLES, "psum"), (*elements, elements[2] * spilled), (*w[:3], w.psum), strict=True)
        bases = [0 if role in nest.resident else first_bit(role, size * width) for role, size, width in roles]
        tile = {axis: min(getattr(nest.tiling, axis), size) for axis, size in sizes.items()}
        geometry = np.array(
            [*sizes.values(), *tile.values(), sizes["c"], sizes["k"], conv.h, conv.w, conv.r * conv.s, conv.e, conv.f,
             *conv.stride, *conv.pad[:2], *w, *bases],
            dtype=np.int64,
        )  # fmt: skip
        order = ["groups", *(axis for loop in nest.tiling.order for axis in AXES[loop])]
        axes = np.array([(FIELDS.index(axis), ceil_div(sizes[axis], tile[axis])) for axis in order], dtype=np.int64)
        cycles = np.zeros(len(self.table), dtype=np.int64)
        cycles[self.table[:, REPEAT] == 0] = self.cycles
        return Cut(self.table, cycles, geometry, axes)

    def rows(self, dram: DramModel) -> np.ndarray:
        """Return the table as `timeline.run` takes it."""
        from accelsim.memory import clock_kernel as timing

        bus, rows = self._on_bus(dram), np.zeros((len(self.table), timing.COLUMNS), dtype=np.int64)
        rows[:, [timing.REPEAT, timing.END]] = self.table[:, [REPEAT, END]]
        rows[:, timing.LOAD], rows[:, timing.STORE] = bus[:, :3].sum(axis=1), bus[:, 3:].sum(axis=1)
        rows[self.table[:, REPEAT] == 0, timing.COMPUTED] = self.cycles
        return rows

    def moved(self, dram: DramModel, tensors: Collection[str], direction: Direction) -> np.ndarray:
        """Return what each row moves of some tensors, in bits on the bus."""
        mine = [at for at, (tensor, way) in enumerate(MOVES) if way == direction and tensor in tensors]
        return self._on_bus(dram)[:, mine].sum(axis=1)

    def total(self, dram: DramModel, tensors: Collection[str], direction: Direction) -> int:
        """Return the sum of what `moved` says over all tiles."""
        return self._summed(self.moved(dram, tensors, direction)[:, np.newaxis])[0]

    def traffic(self, dram: DramModel) -> dict[Flow, int]:
        """Return what crosses the boundary of DRAM; what bursts move beyond useful bits is tensor ``other``."""
        totals = [self._summed(bits) for bits in (self.table[:, RUN] * self.table[:, NUMBER], self._on_bus(dram))]
        total: dict[Flow, int] = {}
        for (tensor, way), bits, moved in zip(MOVES, *totals, strict=True):
            for flow, more in ((Flow("dram", tensor, way), bits), (Flow("dram", "other", way), moved - bits)):
                if more:
                    total[flow] = total.get(flow, 0) + more
        return total

    def _summed(self, bits: np.ndarray) -> list[int]:
        """Return the sums over all tiles of what each row has, column by column."""
        times = self.table[:, TIMES]
        large = (times * 1.0) @ bits.max(axis=1) > INT64_MAX / 2
        sums: list[int] = (times.astype(object) @ bits.astype(object) if large else times @ bits).tolist()
        return sums

    def _on_bus(self, dram: DramModel) -> np.ndarray:
        """Return the bits on the bus of each row's moves, shape (rows, 5): whole bursts per run."""
        burst = dram.burst_bits
        if burst not in self._known:
            self._known[burst] = self.table[:, NUMBER] * (-(-self.table[:, RUN] // burst) * burst)
        return self._known[burst]


def layer_row(
    conv: Conv2d, widths: Iterable[int], crosses: Iterable[bool], at_home: Iterable[int] = (0, 0, 0),
    effective_macs: int = 0, accesses: int = 0,
) -> tuple[int, ...]:  # fmt: skip
    """Return a layer in the order of `nest_kernel.LAYER`."""
    return (
        conv.n, conv.c, conv.k, conv.h, conv.w, conv.r, conv.s, conv.groups, *conv.stride, *conv.pad[:2],
        *conv.dilation, conv.e, conv.f, *widths, *map(int, crosses), *at_home, effective_macs,
        conv.k // conv.groups, conv.c // conv.groups, accesses,
    )  # fmt: skip


def check_counts(layer: str, conv: Conv2d) -> None:
    """Raise MappingError if a tensor of a layer, or its multiplications, could bring counts near 64 bits."""
    volumes = (conv.n * conv.c * conv.h * conv.w, conv.k * conv.c * conv.r * conv.s, conv.n * conv.k * conv.e * conv.f)
    if max(64 * max(volumes), conv.macs) > MOST:
        raise MappingError.too_many(layer)


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


def resident(view: LayerView) -> frozenset[str]:
    """Return which of a layer's tensors live on the chip."""
    tensors = {"input": view.input, "weight": view.weight, "output": view.output}
    return frozenset(role for role, tensor in tensors.items() if tensor.home == "chip")


def widths(view: LayerView, psum_bits: int) -> Widths:
    """Return the element widths of a layer's tensors."""
    bits: list[Any] = [view.input.bits, view.weight.bits, view.output.bits]
    return Widths(bits[0], bits[1], bits[2], psum_bits)
