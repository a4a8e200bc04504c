"""Feeds the kernels: the operands of each tile in the order of the lanes (channels innermost), results put back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from accelsim.engines.vector.kernel import ADD, CODES, COMPARE, MUL, SPECIAL, walk_flat, walk_passes, walk_rows
from accelsim.engines.vector.passes import Piece, row
from accelsim.engines.vector.tiles import Cut, Tile, Work, channel_pieces
from accelsim.errors import ModelError
from accelsim.operands.golden import LAYER_EPSILON, arrays
from accelsim.operands.handle import Operands
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Elementwise, Normalization, Pool, Softmax

UNITS = {"add": ADD, "mul": MUL, "compare": COMPARE, "special": SPECIAL}

Lanes = tuple[int, int]
"""Lanes, and cycles of a special operation."""
Cost = tuple[int, ...]


def counts(view: LayerView, work: Work, tiles: list[tuple[int, Tile]], lanes: Lanes) -> dict[Tile, Cost]:
    """Return the counts of each distinct tile, walked without values."""
    return {tile: _walk(view, work, tile, lanes, None)[0] for _, tile in tiles}


def values(
    view: LayerView, work: Work, cut: Cut, lanes: Lanes, operands: Operands, known: dict[Tile, Cost]
) -> np.ndarray:
    """Return the layer's output from a walk of every tile.

    Raises
    ------
    ModelError
        A tile costs something else with values than ``known`` without.
    """
    costs = {tile[1:]: cost for tile, cost in known.items()}
    source = _source(view, work, arrays(operands))
    out = np.zeros((work.images, work.rows, work.width, work.channels), dtype=_dtype(work))
    for image, at, tile in _all_tiles(work, cut):
        cost, result = _walk(view, work, tile, lanes, _taken(view, work, source, image, at, tile))
        if cost != costs[tile[1:]]:
            raise ModelError(f"tile {tile} costs {cost} with values, {costs[tile[1:]]} without")
        out[image, tile.start : tile.start + tile.rows, :, at] = result.reshape(tile.rows, work.width, tile.channels)
    shape = view.shape.output_shape
    if isinstance(view.shape, Pool):
        return out.transpose(0, 3, 1, 2)
    if work.program.window:
        return np.moveaxis(out.reshape(shape[0], *shape[2:], shape[1]), -1, 1)
    return out.reshape(shape)


def _dtype(work: Work) -> Any:
    return np.float64 if work.program.real else np.int64


def _all_tiles(work: Work, cut: Cut) -> Iterator[tuple[int, slice, Tile]]:
    """Yield the image, the channels and the tile of every step of the schedule."""
    begin = 0
    for times, channels in channel_pieces(work, cut):
        for _ in range(times):
            for image in range(work.images):
                for start in range(0, work.rows, cut.rows):
                    yield image, slice(begin, begin + channels), work.tile(start, cut.rows, channels)
            begin += channels


def _source(view: LayerView, work: Work, given: list[np.ndarray]) -> np.ndarray:
    """Return what tiles take their operands from: pixels of pooling and lrn, rows of the operands else."""
    shape = view.shape
    if isinstance(shape, Pool):
        return given[0].transpose(0, 2, 3, 1)
    if size := work.program.window:
        pixels = np.moveaxis(given[0], 1, -1).reshape(work.rows, work.width)
        return np.pad(pixels, ((0, 0), ((size - 1) // 2, size // 2)))
    used = given if isinstance(shape, Elementwise) else given[:1]
    whole = shape.output_shape
    same = [a.reshape(whole) if a.size == work.elements else np.broadcast_to(a, whole) for a in used]
    return np.stack([a.reshape(work.rows, work.width) for a in same])


def _taken(view: LayerView, work: Work, source: np.ndarray, image: int, at: slice, tile: Tile) -> np.ndarray:
    """Return the operands of a tile, shape (operands, elements); the pooled taps are followed by their number."""
    shape, size = view.shape, work.program.window
    rows = slice(tile.start, tile.start + tile.rows)
    if isinstance(shape, Pool):
        h, w = _taps(shape, tile)
        taps = source[image][h.clip(0, shape.h - 1)[:, None, :, None], w.clip(0, shape.w - 1)[None, :, None, :], at]
        tall, wide = _inside(h, shape.h), _inside(w, shape.w)
        if shape.count_pad:
            top, left, bottom, right = shape.pad
            tall, wide = _inside(h + top, shape.h + top + bottom), _inside(w + left, shape.w + left + right)
        number = np.maximum(tall.sum(axis=0)[:, None] * wide.sum(axis=0), 1)
        divisor = np.broadcast_to(number[:, :, None], (*number.shape, tile.channels))
        return np.concatenate([taps.reshape(size, -1), divisor.reshape(1, -1)])
    if size:
        return np.stack([source[rows, tap : tap + work.width].reshape(-1) for tap in range(size)])
    return source[:, rows].reshape(len(source), -1)


def _taps(pool: Pool, tile: Tile) -> tuple[np.ndarray, np.ndarray]:
    """Return input rows (r, output rows) and columns (s, f) of the taps of a tile, those outside the image too."""
    e, f = np.arange(tile.start, tile.start + tile.rows), np.arange(pool.f)
    h = e * pool.stride[0] - pool.pad[0] + np.arange(pool.r)[:, None]
    return h, f * pool.stride[1] - pool.pad[1] + np.arange(pool.s)[:, None]


def _inside(position: np.ndarray, size: int) -> np.ndarray:
    return (position >= 0) & (position < size)


def _present(view: LayerView, work: Work, tile: Tile) -> np.ndarray:
    """Return which taps lie inside the image, shape (window, elements)."""
    size = work.program.window
    if isinstance(view.shape, Pool):
        h, w = _taps(view.shape, tile)
        inside = _inside(h, view.shape.h)[:, None, :, None] & _inside(w, view.shape.w)[None, :, None, :]
        return np.repeat(inside.reshape(size, -1), tile.channels, axis=1)
    if size:
        channel = np.arange(work.width) - (size - 1) // 2 + np.arange(size)[:, None]
        return np.tile(_inside(channel, work.width), (1, tile.rows))
    return np.zeros((0, 0), dtype=np.bool_)


def _walk(view: LayerView, work: Work, tile: Tile, lanes: Lanes, taken: np.ndarray | None) -> tuple[Cost, np.ndarray]:
    """Walk one tile; return its counts and, with operands, its elements."""
    p, dtype = work.program, _dtype(work)
    if p.length:
        x = np.zeros((tile.rows, p.length)) if taken is None else taken.reshape(tile.rows, p.length).astype(dtype)
        rows = np.zeros_like(x)
        found = walk_rows(*lanes, *_reduction(view), p.length, x, rows)
        return tuple(found.tolist()), rows
    codes, units, sources = (
        np.array([key(step) for step in p.steps], dtype=np.int64)
        for key in (lambda s: CODES[s.name], lambda s: UNITS[s.unit], lambda s: s.source)
    )
    consts = np.array([step.const for step in p.steps], dtype=dtype)
    start = np.array([] if p.start is None else [p.start], dtype=dtype)
    operands = np.zeros((1, 1), dtype=dtype) if taken is None else np.ascontiguousarray(taken, dtype=dtype)
    size = work.size(tile)
    result = np.zeros(size if taken is not None else 1, dtype=dtype)
    found = walk_flat(
        *lanes, codes, units, sources, consts, size, start, _present(view, work, tile), taken is not None,
        operands, result,
    )  # fmt: skip
    return tuple(found.tolist()), result


def _reduction(view: LayerView) -> tuple[bool, float, int, int]:
    """Return whether rows are softmaxed, what is added to a variance, and whether there are gains and shifts."""
    gain = len(view.weights) if isinstance(view.shape, Normalization) else 0
    return isinstance(view.shape, Softmax), LAYER_EPSILON, int(gain > 0), int(gain > 1)


def pass_counts(view: LayerView, work: Work, piece: int, lanes: Lanes) -> dict[Piece, Cost]:
    """Return the counts of each distinct piece of a row that does not fit, walked without values."""
    x = np.zeros(work.program.length)
    return _of_pieces(work, piece, walk_passes(*lanes, *_reduction(view), piece, x, np.zeros_like(x)))


def pass_values(
    view: LayerView, work: Work, piece: int, lanes: Lanes, operands: Operands, known: dict[Piece, Cost]
) -> np.ndarray:
    """Return the layer's output from a walk of every row in pieces; ModelError as `values`."""
    x = arrays(operands)[0].reshape(-1, work.program.length).astype(np.float64)
    out = np.zeros_like(x)
    for given, made in zip(x, out, strict=True):
        costs = _of_pieces(work, piece, walk_passes(*lanes, *_reduction(view), piece, given, made))
        if costs != known:
            raise ModelError(f"a row costs {costs} with values, {known} without")
    return out.reshape(view.shape.output_shape)


def _of_pieces(work: Work, piece: int, found: np.ndarray) -> dict[Piece, Cost]:
    """Return the counts of each distinct piece; ModelError if two that are alike differ."""
    costs: dict[Piece, Cost] = {}
    order = [part for times, part in row(work, piece) for _ in range(times)]
    for part, cost in zip(order, found.reshape(len(order), -1).tolist(), strict=True):
        if costs.setdefault(part, tuple(cost)) != tuple(cost):
            raise ModelError(f"piece {part} costs {cost} and {costs[part]}")
    return costs
