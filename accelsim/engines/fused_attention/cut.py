"""How a layer is cut: query blocks, tiles, what a group of blocks needs of the buffer, and the counts that follow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelsim.engines.fused_attention.params import Params
from accelsim.errors import MappingError
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Attention


class Counts(NamedTuple):
    """What `kernel.walk` counts, in its order."""

    cycles: int
    array: int
    wait: int
    array_edge: int
    lanes: int
    lanes_edge: int
    lane_work: int
    tiles: int
    tile_queries: int
    tile_keys: int
    scores: int


class Cut(NamedTuple):
    """A layer cut for an array. Of one head of keys and all heads of queries that share it:

    Attributes
    ----------
    widths, tiles, keys : ndarray of int64, shape (blocks,)
        Of each query block its queries, tiles, and keys in them.
    together : int
        Blocks of a group.
    bits : tuple of int
        Widths of Q, K, V, output and scores.
    """

    shape: Attention
    params: Params
    widths: np.ndarray
    tiles: np.ndarray
    keys: np.ndarray
    bits: tuple[int, int, int, int, int]
    together: int = 1

    @property
    def units(self) -> int:
        """Heads of keys in the whole batch."""
        return self.shape.batch * self.shape.kv_heads

    def group(self, number: int) -> slice:
        """Return the blocks of a group."""
        return slice(number * self.together, (number + 1) * self.together)

    @property
    def groups(self) -> list[slice]:
        """The blocks of each group."""
        return [self.group(i) for i in range(ceil_div(len(self.tiles), self.together))]

    def needed_bits(self, together: int, scores: bool = True) -> int:
        """Return what a group needs of the buffer; without ``scores``, apart from those that FLAT keeps."""
        a, p, (q, k, v, o, s) = self.shape, self.params, self.bits
        block, key_block = p.cols * a.head_dim, p.rows * a.head_dim
        if p.softmax == "one_pass":
            tile = 2 * p.rows * p.cols * s if p.pe == "mac" else 0
            return key_block * (k + v) + together * (block * q + p.cols * (a.head_dim + 2) * s + tile)
        if not p.fused:
            return key_block * max(k, v) + together * (block * q + p.rows * p.cols * s)
        heads = a.kv * a.head_dim * (k * ("k" in p.keep) + v * ("v" in p.keep))
        kept = int(self.tiles.max()) * p.rows * p.cols * s if scores and "scores" in p.keep else 0
        return key_block * (k + v) + heads + together * (block * (q + o) + kept)

    def spilled_bits(self, group: slice) -> int:
        """Return how much of the scores of a group of FLAT the buffer does not hold."""
        p = self.params
        scores = int(self.tiles[group].sum()) * p.rows * p.cols * self.bits[4]
        over = self.needed_bits(len(self.tiles[group]), scores=False) + scores - p.buffer_bits
        return min(max(over, 0), scores) if "scores" in p.keep else 0

    def tile_cycles(self, ends: bool) -> int:
        """Return how long a tile of a one-pass design takes; behind one that ``ends`` its query block is a division."""
        e, p = self.shape.head_dim, self.params
        division = e * ends
        if p.pe == "mac":
            return max(4 * p.rows + 5, e) + 2 * e + division
        if p.interleave:
            return 1 + 8 + e + max(e + 1, 1 + e + division)
        return p.rows + 1 + 8 + 2 * e + max(e + 1, 1 + division)

    def ends(self) -> tuple[int, int]:
        """Return the cycles ahead of the first tile of a one-pass design, and behind the last one."""
        e, p = self.shape.head_dim, self.params
        return (e, e) if p.pe == "mac" else (e + 1 + p.rows * p.interleave, 0)

    def counts(self) -> Counts:
        """Return in closed form what the kernel counts."""
        a, p, e, units = self.shape, self.params, self.shape.head_dim, self.units
        tiles, blocks = units * int(self.tiles.sum()), units * len(self.tiles)
        queries, all_queries = units * int(self.tiles @ self.widths), units * int(self.widths.sum())
        scores = (a.macs - a.skipped_macs) // (2 * e)
        lanes, work, wait, array_edge = 4 * p.rows * tiles, 4 * scores, 0, 0
        if p.softmax == "three_pass":
            cycles, edge = self._groups() if p.fused else (lanes + 2 * e * tiles, 0)
        else:
            edge = sum(self.ends())
            cycles = edge + (tiles - blocks) * self.tile_cycles(False) + blocks * self.tile_cycles(True)
            if p.pe == "mac":
                array_edge, once = 3 * e, 5 + 2 * e
            else:
                lanes, work, once = 0, 0, 10 + 2 * e
                wait = 0 if p.interleave else p.rows * tiles
                array_edge = 1 + e + (p.rows + e) * p.interleave
            lanes += tiles * once + blocks * e
            work += queries * once + all_queries * e
        array = tiles * (2 * e + 9 * (p.pe != "mac"))
        keys = units * int(self.keys.sum())
        return Counts(cycles, array, wait, array_edge, lanes, edge, work, tiles, queries, keys, scores)

    def slots(self) -> np.ndarray:
        """Return the tiles of the groups of a head of keys."""
        return np.add.reduceat(self.tiles, range(0, len(self.tiles), self.together))

    def slot_cycles(self, now: int, before: int, ahead: int) -> int:
        """Return how long a group of FLAT takes: softmax beside the context before it and the scores behind it."""
        return max(4 * self.params.rows * now, self.shape.head_dim * (before + ahead))

    def _groups(self) -> tuple[int, int]:
        """Return the cycles of FLAT, and those of both ends."""
        n, e = self.slots(), self.shape.head_dim
        soft, beside = 4 * self.params.rows * n, e * (np.roll(n, 1) + np.roll(n, -1))
        every = self.units * int(np.maximum(soft, beside).sum())
        first, last = (0, len(n) - 1)
        if self.units * len(n) == 1:
            every = int(soft[0])
        elif len(n) == 1:
            every = (self.units - 2) * self.slot_cycles(n[0], n[0], n[0]) + 2 * self.slot_cycles(n[0], 0, n[0])
        else:
            every += self.slot_cycles(n[first], 0, n[1]) - int(max(soft[first], beside[first]))
            every += self.slot_cycles(n[last], n[-2], 0) - int(max(soft[last], beside[last]))
        edge = e * int(n[first] + n[last])
        return int(every) + edge, edge


def blocks_of(a: Attention, params: Params, bits: tuple[int, int, int, int, int]) -> Cut:
    """Return the cut of a layer with a query block in each group; ``bits`` as in `Cut`."""
    along = ceil_div(a.q, params.cols)
    lowest = np.arange(along, dtype=np.int64) * params.cols
    widths = np.minimum(params.cols, a.q - lowest)
    seen = lowest + widths + (a.kv - a.q) if a.causal == "skip" else np.full(along, a.kv)
    tiles = -(-seen // params.rows)
    keys = np.minimum(tiles * params.rows, a.kv)
    widths, tiles, keys = (np.tile(each, a.heads // a.kv_heads) for each in (widths, tiles, keys))
    return Cut(a, params, widths, tiles, keys, bits)


def cut(view: LayerView, params: Params, together: int | None) -> Cut:
    """Return the cut of a layer with ``together`` query blocks in a group, or with as many as fit."""
    assert isinstance(view.shape, Attention)
    q, k, v = (tensor.width for tensor in view.inputs[:3])
    made = blocks_of(view.shape, params, (q, k, v, view.output.width, params.operand_bits))
    blocks, least = len(made.tiles), made.needed_bits(1, scores=False)
    if least > params.buffer_bits:
        problem = f"layer '{view.name}': a query block and a key block do not fit the buffer of {params.buffer_kib} KiB"
        raise MappingError(problem, f"raise params.buffer_kib to {ceil_div(least, KIB_BITS)}")
    if together is None:
        each = made.needed_bits(2, scores=False) - least
        room = 1 if "scores" in params.keep else 1 + (params.buffer_bits - least) // each
        together = max(n for n in range(1, min(room, blocks) + 1) if blocks % n == 0)
    together = min(together, blocks)
    if (over := made.needed_bits(together, scores=False) - params.buffer_bits) > 0:
        problem = f"layer '{view.name}': {together} query blocks together lack {over:,} bits of buffer"
        raise MappingError(problem, "lower mapping.query_blocks or raise params.buffer_kib")
    return made._replace(together=together)
