"""How a layer is cut into tiles: what fits, what each tile moves, and the schedule.

The work is ``images`` of ``rows`` of ``channels`` of ``width`` output elements; a tile holds some rows and some
channels of one image. Only pooling has several images or channels here, and input rows under the output rows:

============================ ================== ======== ================= ==========
layer                        images             channels rows              width
============================ ================== ======== ================= ==========
pool                         n                  c        e                 f
lrn                          1                  1        pixels (n h w)    c
softmax, layer normalisation 1                  1        rows              row length
everything else              1                  1        elements          1
============================ ================== ======== ================= ==========
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate, groupby
from math import gcd
from typing import NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Flow, Loop, Transfer
from accelsim.activity import Step as TileStep
from accelsim.config.schema import Strict
from accelsim.engines.vector.program import Program, Tree, program
from accelsim.errors import MappingError
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Elementwise, Normalization, Pool, Shape, elements

MOST_PARTS = 16
"""Even pieces of the rows that are tried."""


class Cut(Strict):
    """How a layer is cut."""

    rows: int = Field(ge=1, description="rows per tile: output rows of pooling, whole reduced rows, else elements")
    channels: int = Field(1, ge=1, description="channels per tile; only pooling has more than one")


class Tile(NamedTuple):
    """A tile's first row, and its extents; ``taps`` inside the image are counted per channel."""

    start: int
    rows: int
    channels: int
    in_rows: int
    taps: int


class Stream(NamedTuple):
    """An operand: ``tensor`` of the traffic, width; one that is broadcast stays in the scratchpad for the layer."""

    tensor: str
    bits: int
    elements: int
    stays: bool


class Facts(NamedTuple):
    """What a layer moves on the chip however it is cut: numbers of one layer, or arrays over many.

    Attributes
    ----------
    elements, taps, rows : int
        Output elements, taps inside the image, reduced rows.
    reads : int
        Elements read of each input.
    input_bits, weight_bits, scratch_bits, output_bits : int
        Bits of all inputs, of all constants, of an intermediate result and of the output, per element.
    """

    elements: int
    taps: int
    rows: int
    reads: int
    input_bits: int
    weight_bits: int
    scratch_bits: int
    output_bits: int

    def traffic(self, tree: Tree, lane_bits: int, ops: int, came: tuple[int, int]) -> dict[Flow, int]:
        """Return the bits that pass scratchpad, accumulators and links; ``came`` are those of inputs and constants."""
        partials, scratch = self.rows * 2 * lane_bits, self.elements * self.scratch_bits
        return {
            Flow("glb", "input", "write"): came[0],
            Flow("glb", "weight", "write"): came[1],
            Flow("glb", "input", "read"): self.reads * self.input_bits,
            Flow("glb", "weight", "read"): self.elements * self.weight_bits,
            Flow("glb", "psum", "write"): scratch,
            Flow("glb", "psum", "read"): scratch,
            Flow("glb", "output", "write"): self.elements * self.output_bits,
            Flow("glb", "output", "read"): self.elements * self.output_bits,
            Flow("pe", "psum", "read"): ops * lane_bits,
            Flow("pe", "psum", "write"): ops * lane_bits,
            Flow("array", "psum", "write"): partials * tree.others,
            Flow("array", "psum", "read"): partials * tree.partials,
        }


class Work(NamedTuple):
    """A layer as rows to be cut."""

    name: str
    program: Program
    images: int
    rows: int
    channels: int
    width: int
    in_width: int
    pool: Pool | None
    streams: tuple[Stream, ...]
    output_bits: int
    scratch_bits: int
    """Width of an intermediate result kept per element, 0 without one."""
    taps_above: tuple[int, ...] = ()
    """Of pooling: taps per channel inside the image of all output rows above a row."""

    @property
    def elements(self) -> int:
        """Output elements of the layer."""
        return self.images * self.rows * self.channels * self.width

    @property
    def taps(self) -> int:
        """Window taps inside the image, of all elements together."""
        if self.pool is not None:
            return self.images * self.channels * self.taps_above[-1]
        return self.rows * lrn_taps(self.width, self.program.window)

    def facts(self, shape: Shape) -> Facts:
        """Return what the layer of this shape moves on the chip."""
        p, total = self.program, self.elements
        # a window reads its taps, and once more what it divides (lrn); a reduced row is read for two passes
        reads = self.taps + total * (p.start is not None and not self.pool) if p.window else total
        if p.length:
            reads = 2 * total
        inputs, weights = ([s.bits for s in self.streams if s.tensor == kind] for kind in ("input", "weight"))
        if not isinstance(shape, Elementwise):
            weights = weights[:2]
        rows = total // p.length if p.length else 0
        return Facts(total, self.taps, rows, reads, sum(inputs), sum(weights), self.scratch_bits, self.output_bits)

    @property
    def resident_bits(self) -> int:
        """Operands that stay in the scratchpad."""
        return sum(s.bits * s.elements for s in self.streams if s.stays)

    def tile(self, start: int, rows: int, channels: int) -> Tile:
        """Return the tile of some rows."""
        rows = min(rows, self.rows - start)
        if self.pool is None:
            return Tile(start, rows, channels, rows, rows * lrn_taps(self.width, self.program.window))
        first = start * self.pool.stride[0] - self.pool.pad[0]
        last = first + (rows - 1) * self.pool.stride[0] + self.pool.r
        in_rows = max(0, min(self.pool.h, last) - max(0, first))
        return Tile(start, rows, channels, in_rows, self.taps_above[start + rows] - self.taps_above[start])

    def size(self, tile: Tile) -> int:
        """Output elements of a tile."""
        return tile.rows * tile.channels * self.width

    def tile_bits(self, tile: Tile) -> int:
        """Bits that a tile takes in its half of the scratchpad."""
        streamed = sum(s.bits for s in self.streams if not s.stays)
        inputs = tile.in_rows * tile.channels * self.in_width * streamed
        return inputs + self.size(tile) * (self.output_bits + self.scratch_bits)


def lrn_taps(channels: int, size: int) -> int:
    """Return the taps inside the tensor of windows of ``size`` around each of the channels; 0 without a window."""
    outside = 0
    for reach in ((size - 1) // 2, size // 2):
        cut_off = min(reach, channels)
        outside += cut_off * reach - cut_off * (cut_off - 1) // 2
    return channels * size - outside if size else 0


def _taps_above(pool: Pool) -> tuple[int, ...]:
    """Return for each output row, and for the end, the taps per channel inside the image of all rows above it."""
    wide = sum(_inside(f * pool.stride[1] - pool.pad[1], pool.s, pool.w) for f in range(pool.f))
    tall = (_inside(e * pool.stride[0] - pool.pad[0], pool.r, pool.h) * wide for e in range(pool.e))
    return tuple(accumulate(tall, initial=0))


def _inside(first: int, window: int, size: int) -> int:
    return max(0, min(first + window, size) - max(first, 0))


def work(view: LayerView, lane_bits: int) -> Work:
    """Return a layer as rows to be cut."""
    shape, p = view.shape, program(view)
    total = elements(shape.output_shape)
    tensors = [("input", t) for t in view.inputs] + [("weight", t) for t in view.weights]
    streams = tuple(Stream(kind, t.bits or 0, t.elements, t.elements != total) for kind, t in tensors)
    output = view.output.bits or 0
    if isinstance(shape, Pool):
        source = (streams[0]._replace(stays=False),)
        above = _taps_above(shape)
        return Work(view.name, p, shape.n, shape.e, shape.c, shape.f, shape.w, shape, source, output, 0, above)
    width = p.length or 1
    if isinstance(shape, Normalization) and shape.op == "lrn":
        width = shape.shape[1]
    scratch = lane_bits if p.length else 0
    return Work(view.name, p, 1, total // width, 1, width, width, None, streams, output, scratch)


def settled(w: Work, buffer_bits: int) -> Work:
    """Return the layer with what is broadcast streamed, element by element, where it cannot stay beside two tiles."""
    if w.width > 1 or w.pool or w.resident_bits + 2 * w.tile_bits(w.tile(0, 1, 1)) <= buffer_bits:
        return w
    return w._replace(streams=tuple(s._replace(stays=False) for s in w.streams))


def cuts(w: Work, buffer_bits: int, lanes: int) -> list[Cut]:
    """Return the cuts worth trying: those of `listed` that fit half of the scratchpad.

    Raises
    ------
    MappingError
        One row does not fit.
    """
    half = (buffer_bits - w.resident_bits) // 2
    every = listed(w.rows, w.channels, w.width, w.program.length, lanes).tolist()
    found = [Cut(rows=rows, channels=some) for rows, some in every if _most_bits(w, rows, some) <= half]
    if not found:
        raise too_large(w, w.tile(0, 1, 1), buffer_bits)
    return found


@lru_cache(maxsize=4096)
def listed(rows: int, channels: int, width: int, length: int, lanes: int) -> np.ndarray:
    """Return rows and channels of tiles, a row each, large ones first: channels are halved, rows as in `_sizes`.

    ``length`` is that of a reduced row, 0 where elements are independent.
    """
    found: list[tuple[int, int]] = []
    while True:
        grain = 1 if length else lanes // gcd(lanes, width * channels)
        found += [(size, channels) for size in _sizes(rows, grain)]
        if channels <= 1:
            return np.array(found, dtype=np.int64)
        channels = ceil_div(channels, 2)


def too_large(w: Work, tile: Tile, buffer_bits: int) -> MappingError:
    """Return the error that says what does not fit."""
    needed = w.resident_bits + 2 * w.tile_bits(tile)
    return MappingError(
        f"layer '{w.name}': two tiles of {tile.rows} rows and what stays take {needed:,} bits, the scratchpad holds "
        f"{buffer_bits:,}",
        f"cut it smaller or raise params.buffer_kib to {ceil_div(needed, KIB_BITS)}",
    )


def _most_bits(w: Work, rows: int, channels: int) -> int:
    """Return what a tile takes at most, wherever in the image it lies."""
    in_rows = rows if w.pool is None else min(w.pool.h, (rows - 1) * w.pool.stride[0] + w.pool.r)
    return w.tile_bits(Tile(0, rows, channels, in_rows, 0))


def _sizes(rows: int, grain: int) -> list[int]:
    """Return rows per tile, large ones first; a whole group of lanes takes ``grain`` of them.

    They are even pieces, as they are and in whole groups of lanes; 1, 2, 3, 4, 6, 8, ... groups; halvings of a group.
    A larger scratchpad only adds to what fits, and of half the rows there is a size for each, of as many tiles at most
    that are no larger.
    """
    even = {ceil_div(rows, parts) for parts in range(1, MOST_PARTS + 1)}
    sizes, step = even | {ceil_div(size, grain) * grain for size in even}, grain
    while step < rows:
        sizes |= {step, 3 * step}
        step *= 2
    while grain > 1:
        grain = ceil_div(grain, 2)
        sizes.add(grain)
    return sorted((size for size in sizes if size <= rows), reverse=True)


class Pieces(NamedTuple):
    """The tiles along the rows of an image, equal neighbours counted together, ``repeat`` times in a row."""

    repeat: int
    along: tuple[tuple[int, Tile], ...]


def pieces(w: Work, cut: Cut) -> tuple[Pieces, ...]:
    """Return all tiles in order: channels, images and rows from the outermost loop."""
    return tuple(
        Pieces(times * w.images, _along(w, min(cut.rows, w.rows), channels))
        for times, channels in channel_pieces(w, cut)
    )


def _along(w: Work, rows: int, channels: int) -> tuple[tuple[int, Tile], ...]:
    if w.pool is None:
        whole, rest = divmod(w.rows, rows)
        parts = ((whole, w.tile(0, rows, channels)),)
        return (*parts, (1, w.tile(whole * rows, rest, channels))) if rest else parts
    tiles = [w.tile(start, rows, channels) for start in range(0, w.rows, rows)]
    runs = [list(same) for _, same in groupby(tiles, key=lambda tile: tile[1:])]
    return tuple((len(run), run[0]) for run in runs)


def channel_pieces(w: Work, cut: Cut) -> list[tuple[int, int]]:
    """Return (times, channels) of the cuts across channels."""
    channels = min(cut.channels, w.channels)
    whole, rest = divmod(w.channels, channels)
    return [(whole, channels), (1, rest)] if rest else [(whole, channels)]


def tiles(cut: tuple[Pieces, ...]) -> list[tuple[int, Tile]]:
    """Return how often each tile occurs."""
    return [(piece.repeat * count, tile) for piece in cut for count, tile in piece.along]


def schedule(w: Work, cut: tuple[Pieces, ...], cycles: dict[Tile, int]) -> tuple[TileStep | Loop, ...]:
    """Return the tiles as steps of the memory timeline; the first one brings what stays."""
    items: list[TileStep | Loop] = []
    for piece in cut:
        body: list[TileStep | Loop] = []
        for count, tile in piece.along:
            step = TileStep(loads(w, tile, False), cycles[tile], transfers(w, tile, "output", w.output_bits))
            others = count
            if w.resident_bits and not body:
                body.append(step._replace(loads=loads(w, tile, True)))
                others -= 1
            if others:
                body.append(step if others == 1 else Loop(others, (step,)))
        items += body if piece.repeat == 1 else [Loop(piece.repeat, tuple(body))]
    return tuple(items)


def loads(w: Work, tile: Tile, first: bool) -> tuple[Transfer, ...]:
    """Return what a tile fetches; the first one fetches what stays too."""
    found: list[Transfer] = []
    for s in w.streams:
        if not s.stays:
            found += transfers(w, tile, s.tensor, s.bits)
        elif first:
            found.append(Transfer(s.tensor, "read", s.bits * s.elements))
    return tuple(found)


def transfers(w: Work, tile: Tile, tensor: str, bits: int) -> tuple[Transfer, ...]:
    """Return one operand or the output of a tile in DRAM, channels innermost."""
    stored = tensor == "output"
    pixels = (tile.rows * w.width) if stored else tile.in_rows * w.in_width
    whole = tile.channels == w.channels
    run, runs = (pixels * tile.channels, 1) if whole else (tile.channels, pixels)
    return (Transfer(tensor, "write" if stored else "read", run * bits, runs),) if pixels else ()
