"""What mappings move, as columns: bits over every boundary, and whole bursts between chip and DRAM."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from accelsim.engines.row_stationary import least
from accelsim.engines.row_stationary.params import Params
from accelsim.mapping.choose import Bounds, Candidates
from accelsim.memory.dram import DramModel
from accelsim.workload.shapes import Conv2d


class Moved(NamedTuple):
    """Bits between chip and DRAM of weights, inputs and outputs, and what of it overlaps no pass."""

    weights: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray
    alone: least.Alone


def charged(conv: Conv2d, params: Params, columns: Candidates, read: np.ndarray, write: np.ndarray) -> Bounds:
    """Return what an energy is made of, given the bits ``read`` from DRAM and written there; cycles are zeros."""
    m, n, e, p, q, r, t = (columns[name] for name in ("m", "n", "e", "p", "q", "r", "t"))
    width, groups, taps = params.word_bits, conv.groups, conv.r * conv.s
    channels, filters = conv.c // groups, conv.k // groups
    strip_rows = conv.stride[0] * (e - 1) + conv.r
    strip_words = conv.stride[1] * (conv.f - 1) + conv.s
    strips, images, blocks = -(-conv.e // e), -(-conv.n // n), -(-filters // m)
    channel_passes, filter_passes = -(-channels // (q * r)), -(-filters // (p * t))
    weights = groups * filters * channels * taps * images * strips
    ifmap = conv.n * conv.c * strips * strip_rows * strip_words
    outputs = conv.n * conv.k * conv.e * conv.f
    kept = outputs * (channel_passes if params.psum_counting == "every_pass" else channel_passes - 1)
    used_columns = conv.s + min(conv.s, conv.stride[1]) * (conv.f - 1)
    delivered = conv.n * conv.c * strips * filter_passes * used_columns * conv.r * e * t
    bus = 2 * (weights + 2 * kept) + ifmap * filter_passes + delivered
    words = {
        ("glb.fmaps", "read"): ifmap * filter_passes + kept + outputs * (params.psum_counting == "every_pass"),
        ("glb.fmaps", "write"): ifmap * blocks + kept,
        ("glb.filters", "read"): weights,
        ("glb.filters", "write"): weights,
        ("array", "read"): weights * e + delivered + kept,
        ("array", "write"): outputs * channel_passes * r * conv.r,
        ("pe.filters", "write"): weights * e,
        ("pe.filters", "read"): conv.macs,
        ("pe.inputs", "write"): delivered,
        ("pe.inputs", "read"): conv.macs,
        ("pe.psums", "write"): conv.macs,
        ("pe.psums", "read"): conv.macs,
    }
    bits = {key: count * width for key, count in words.items()}
    bits |= {("dram", "read"): read, ("dram", "write"): write}
    events = {("macs", "mac"): conv.macs, ("bus", "transfer"): bus * width}
    return Bounds(np.zeros_like(m), read + write, bits, events=events)


def moved(conv: Conv2d, params: Params, dram: DramModel, columns: Candidates) -> Moved:
    """Return what crosses the bus, whole bursts for every run of every transfer."""
    m, n, e, p, q, r, t = (columns[name] for name in ("m", "n", "e", "p", "q", "r", "t"))
    channels, filters = conv.c // conv.groups, conv.k // conv.groups
    images, blocks = -(-conv.n // n), -(-filters // m)

    def on_bus(runs: np.ndarray, words: np.ndarray) -> np.ndarray:
        bits: np.ndarray = runs * (-(-(words * params.word_bits) // dram.burst_bits) * dram.burst_bits)
        return bits

    weights = inputs = outputs = loads = np.zeros(len(m), dtype=np.int64)
    cycles, always = np.zeros(len(m)), True
    for of_channels, some in _parts(channels, q * r):
        for of_filters, held in _parts(filters, p * t):
            times = conv.groups * images * -(-conv.e // e) * of_channels * of_filters
            weights = weights + times * on_bus(np.ones_like(m), held * some * conv.r * conv.s)
    for of_rows, in_rows, out_rows in _strips(conv, e):
        always &= bool(((in_rows > 0) | (of_rows == 0)).all())
        for of_images, some_images in _parts(conv.n, n):
            for of_channels, some in _parts(channels, q * r):
                sides = ((in_rows, conv.h), (some, conv.c), (some_images, conv.n))
                bits = np.where(in_rows > 0, on_bus(*_runs(conv.w, sides)), 0)
                times = (in_rows > 0) * of_rows * of_images * of_channels * conv.groups * blocks
                inputs, loads = inputs + times * bits, loads + times
                cycles += times * least.bus_cycles(bits, dram)
            for of_filters, some in _parts(filters, m):
                bits = on_bus(*_runs(conv.f, ((out_rows, conv.e), (some, conv.k), (some_images, conv.n))))
                times = of_rows * of_images * of_filters * conv.groups
                outputs = outputs + times * bits
                cycles += times * least.bus_cycles(bits, dram)
    return Moved(weights, inputs, outputs, least.Alone(cycles, loads, always))


def least_moved(conv: Conv2d, params: Params, columns: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Return the bits read from DRAM and written there if no burst was larger than what it is for."""
    n, e, m = columns["n"], columns["e"], columns["m"]
    strips, blocks = -(-conv.e // e), -(-conv.k // conv.groups // m)
    weights = conv.k * (conv.c // conv.groups) * conv.r * conv.s * -(-conv.n // n) * strips
    rows = sum(of_rows * in_rows for of_rows, in_rows, _ in _strips(conv, e))
    inputs = conv.n * conv.c * conv.w * rows * blocks
    outputs = np.full_like(weights, conv.n * conv.k * conv.e * conv.f)
    return (weights + inputs) * params.word_bits, outputs * params.word_bits


def _parts(size: int, step: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (how many, size) of the full pieces of a dimension, and of the piece that is left over."""
    rest = size % step
    return [(size // step, np.minimum(step, size)), ((rest > 0).astype(np.int64), np.maximum(rest, 1))]


def _runs(row: int, sides: tuple[tuple[np.ndarray, int], ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return runs and words per run of a block whose rows are whole: `loopnest.contiguous`."""
    run, count = np.full_like(sides[0][0], row), np.ones_like(sides[0][0])
    whole = np.ones(len(run), dtype=np.bool_)
    for extent, full in sides:
        run, count = np.where(whole, run * extent, run), np.where(whole, count, count * extent)
        whole = whole & (extent == full)
    return count, run


def _strips(conv: Conv2d, e: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return (how many, rows of the image, output rows) of each kind of strip, as columns."""
    sizes = np.flatnonzero(np.bincount(e))
    kinds = [_strips_of(conv.e, conv.h, conv.r, conv.stride[0], conv.pad[0], size) for size in sizes.tolist()]
    table = np.zeros((max(map(len, kinds)), 3, sizes[-1] + 1), dtype=np.int64)
    for size, each in zip(sizes, kinds, strict=True):
        table[: len(each), :, size] = each
    return [(times[e], rows[e], outputs[e]) for times, rows, outputs in table]


@lru_cache(maxsize=65536)
def _strips_of(height: int, h: int, r: int, stride: int, pad: int, size: int) -> tuple[tuple[int, int, int], ...]:
    """Return (how many, rows of the image, output rows) of each kind of strip of ``size`` output rows."""
    found: dict[tuple[int, int], int] = {}
    for start in range(0, height, size):
        first = start * stride - pad
        rows = max(0, min(first + stride * (size - 1) + r, h) - max(first, 0))
        key = (rows, min(size, height - start))
        found[key] = found.get(key, 0) + 1
    return tuple((times, *key) for key, times in found.items())
