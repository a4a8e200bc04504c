"""Which mappings are worth trying, and what the mapper's objective needs of each, as columns.

Between two break-points of a loop count a smaller factor makes the same passes with less to move, so only the
smallest factor of each count is kept. The estimates see no contention between the networks and no ramps beyond the
filter load and the first window: they rank, and `MOST_TIMED` candidates are walked.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from accelsim.engines.row_stationary.cut import MOST_PASSES, Cut, shelves_needed
from accelsim.engines.row_stationary.fmaps import Fmap
from accelsim.engines.row_stationary.params import Mapping, Params
from accelsim.errors import MappingError
from accelsim.mapping.choose import Bounds
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel
from accelsim.seam import Columns
from accelsim.units import ceil_div
from accelsim.workload.shapes import Conv2d

DRAM_WORD, GLB_WORD = 200, 6
"""Energy of an access relative to a multiplication: ISCA 2016, table IV. Of the engine's own objective only."""

FIELDS = ("m", "n", "e", "p", "q", "r", "t")
MOST_TIMED = 16
"""Candidates that are walked: the estimates rank well, and a walk takes milliseconds."""


@cache
def breakpoints(size: int, most: int) -> tuple[int, ...]:
    """Return the smallest factor for each value of ``ceil(size / factor)``, in ascending order, up to ``most``."""
    return tuple(f for f in range(1, min(size, most) + 1) if ceil_div(size, ceil_div(size, f)) == f)


def mappings(conv: Conv2d, params: Params) -> Columns:
    """Return the mappings that fit, those with more PEs in use first.

    Raises
    ------
    MappingError
        Nothing fits: says what the smallest mapping lacks.
    """
    channels, filters = conv.c // conv.groups, conv.k // conv.groups
    found: list[np.ndarray] = []
    for r in breakpoints(channels, params.rows // conv.r):
        shelves = params.rows // (conv.r * r)
        for t in breakpoints(filters, shelves * params.cols):
            widths = [
                e for e in breakpoints(conv.e, shelves * params.cols) if shelves_needed(e, t, params.cols) <= shelves
            ]
            if not widths:
                break
            found.append(_filled(conv, params, r, t, widths))
    columns = np.concatenate(found) if found else np.zeros((0, len(FIELDS)), dtype=np.int64)
    if not len(columns):
        smallest = Mapping(m=1, n=1, e=1, p=1, q=1, r=1, t=1)
        lack = Cut(conv, params, smallest).misfits()
        raise MappingError("no mapping fits" + (f": even the smallest needs {lack[0]}" if lack else ""), "")
    used = columns[:, 2] * columns[:, 5] * columns[:, 6]
    columns = columns[np.argsort(-used, kind="stable")]
    return dict(zip(FIELDS, columns.T.copy(), strict=True))


def _filled(conv: Conv2d, params: Params, r: int, t: int, widths: list[int]) -> np.ndarray:
    """Return the mappings with these r and t, each with the largest m that fits, as rows."""
    channels, filters = conv.c // conv.groups, conv.k // conv.groups
    of_q = breakpoints(ceil_div(channels, r), params.ifmap_spad_words // conv.s)
    of_p = breakpoints(ceil_div(filters, t), params.psum_spad_words)
    of_n = breakpoints(conv.n, params.max_images)
    axes = np.meshgrid(*(np.array(axis, dtype=np.int64) for axis in (widths, of_n, of_p, of_q)), indexing="ij")
    e, n, p, q = (axis.ravel() for axis in axes)
    cut = Cut(conv, params, Mapping(m=1, n=1, e=1, p=1, q=1, r=r, t=t))
    strip_rows = conv.stride[0] * (e - 1) + conv.r
    ifmap_banks = -(-n * q * r * strip_rows * cut.strip_words // cut.bank_words)
    psum_words = np.maximum(params.fmap_banks - ifmap_banks, 0) * cut.bank_words
    room = psum_words // (n * e * conv.f)
    m = np.where(room >= filters, filters, room // (p * t) * (p * t))
    fits = (m > 0) & (p * q * conv.s <= params.filter_spad_words)
    fits &= p * t * q * r * conv.r * conv.s <= params.filter_banks * cut.bank_words
    rows = np.stack([m, n, e, p, q, np.full_like(n, r), np.full_like(n, t)], axis=1)
    return np.asarray(rows[fits])


def bounds(conv: Conv2d, params: Params, dram: DramModel, columns: Columns) -> Bounds:
    """Return exact traffic of uncoded maps, estimated cycles, and the engine's own objective for each candidate."""
    m, n, e, p, q, r, t = (columns[name] for name in FIELDS)
    width, groups, taps = params.word_bits, conv.groups, conv.r * conv.s
    channels, filters = conv.c // groups, conv.k // groups
    strip_rows = conv.stride[0] * (e - 1) + conv.r
    strip_words = conv.stride[1] * (conv.f - 1) + conv.s
    strips, images, blocks = -(-conv.e // e), -(-conv.n // n), -(-filters // m)
    channel_passes, filter_passes = -(-channels // (q * r)), -(-filters // (p * t))
    passes = groups * channel_passes * filter_passes * strips * images
    weights = groups * filters * channels * taps * images * strips
    ifmap = conv.n * conv.c * strips * strip_rows * strip_words
    outputs = conv.n * conv.k * conv.e * conv.f
    kept = outputs * (channel_passes if params.psum_counting == "every_pass" else channel_passes - 1)
    load = p * t * q * r * taps / params.filter_words_per_cycle
    steady = np.maximum(
        p * q * conv.s * conv.f * n, n * q * r * strip_rows * strip_words / params.ifmap_words_per_cycle
    )
    steady = np.maximum(steady, p * t * e * conv.f * n / params.psum_words_per_cycle)
    window = q * r * strip_rows * conv.s / params.ifmap_words_per_cycle
    dram_words = weights + ifmap * blocks + outputs
    own = (DRAM_WORD * dram_words + GLB_WORD * (ifmap * filter_passes + 2 * kept)) * (passes * (steady + load))
    read_weights, read_inputs, write = _dram_bits(conv, params, dram.burst_bits, columns)
    rate = float(dram.bits_per_cycle)
    cycles = np.maximum(passes * (load + window + steady), read_weights / rate) + (read_inputs + write) / rate
    used_columns = conv.s + min(conv.s, conv.stride[1]) * (conv.f - 1)
    delivered = conv.n * conv.c * strips * filter_passes * used_columns * conv.r * e * t
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
    bits |= {("dram", "read"): read_weights + read_inputs, ("dram", "write"): write}
    name = f"({DRAM_WORD} DRAM words + {GLB_WORD} buffer words) x cycles"
    return Bounds(
        cycles.astype(np.int64),
        read_weights + read_inputs + write,
        bits,
        (name, own.astype(np.float64)),
        {("macs", "mac"): conv.macs},
        lambda places: _timed(conv, params, dram, columns, places),
        MOST_TIMED,
    )


def _timed(conv: Conv2d, params: Params, dram: DramModel, columns: Columns, places: np.ndarray) -> np.ndarray:
    """Return the cycles of some candidates, with feature maps as they are without a code."""
    from accelsim.engines.row_stationary import schedule, walk

    found = []
    source = Fmap("input", (conv.n, conv.c, conv.h, conv.w), params.word_bits, None)
    sink = Fmap("output", (conv.n, conv.k, conv.e, conv.f), params.word_bits, None)
    for place in places.tolist():
        cut = Cut(conv, params, Mapping(**{name: int(columns[name][place]) for name in FIELDS}))
        if cut.passes > MOST_PASSES:
            found.append(np.iinfo(np.int64).max)
            continue
        steps = schedule.schedule(cut, walk.walk(cut).cycles, source, sink)
        found.append(timeline.run(steps, dram).cycles)
    return np.array(found, dtype=np.int64)


def _dram_bits(
    conv: Conv2d, params: Params, burst_bits: int, columns: Columns
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the bits on the bus of weights, inputs and outputs: whole bursts for every run of every transfer."""
    m, n, e, p, q, r, t = (columns[name] for name in FIELDS)
    channels, filters = conv.c // conv.groups, conv.k // conv.groups
    strips, images, blocks = -(-conv.e // e), -(-conv.n // n), -(-filters // m)

    def on_bus(times: np.ndarray, words: np.ndarray) -> np.ndarray:
        bits: np.ndarray = times * (-(-(words * params.word_bits) // burst_bits) * burst_bits)
        return bits

    weights = inputs = outputs = np.zeros(len(m), dtype=np.int64)
    for of_channels, some in _parts(channels, q * r):
        for of_filters, held in _parts(filters, p * t):
            times = conv.groups * images * strips * of_channels * of_filters
            weights = weights + on_bus(times, held * some * conv.r * conv.s)
    for of_rows, in_rows, out_rows in _strips(conv, e):
        for of_images, some_images in _parts(conv.n, n):
            for of_channels, some in _parts(channels, q * r):
                sides = ((in_rows, conv.h), (some, conv.c), (some_images, conv.n))
                times, run = _runs(conv.w, sides)
                times = np.where(in_rows > 0, times, 0) * (of_rows * of_images * of_channels * conv.groups * blocks)
                inputs = inputs + on_bus(times, run)
            for of_filters, some in _parts(filters, m):
                times, run = _runs(conv.f, ((out_rows, conv.e), (some, conv.k), (some_images, conv.n)))
                outputs = outputs + on_bus(times * (of_rows * of_images * of_filters * conv.groups), run)
    return weights, inputs, outputs


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
    kinds: dict[int, list[tuple[tuple[int, int], int]]] = {}
    for size in np.unique(e).tolist():
        found: dict[tuple[int, int], int] = {}
        for start in range(0, conv.e, size):
            first = start * conv.stride[0] - conv.pad[0]
            rows = max(0, min(first + conv.stride[0] * (size - 1) + conv.r, conv.h) - max(first, 0))
            key = (rows, min(size, conv.e - start))
            found[key] = found.get(key, 0) + 1
        kinds[size] = list(found.items())
    table = np.zeros((max(map(len, kinds.values())), 3, len(e)), dtype=np.int64)
    for size, each in kinds.items():
        for i, ((rows, outputs), times) in enumerate(each):
            table[i][:, e == size] = np.array([[times], [rows], [outputs]])
    return [(times, rows, outputs) for times, rows, outputs in table]
