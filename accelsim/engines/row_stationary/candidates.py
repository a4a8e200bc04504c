"""Which mappings are worth trying, and what the mapper's objective needs of each, as columns.

Between two break-points of a loop count a smaller factor makes the same passes with less to move, so only the
smallest factor of each count is kept. The estimates see no contention between the networks and no ramps beyond the
filter load and the first window.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from accelsim.engines.row_stationary.cut import Cut, shelves_needed
from accelsim.engines.row_stationary.params import Mapping, Params
from accelsim.errors import MappingError
from accelsim.mapping.choose import Bounds
from accelsim.memory.dram import DramModel
from accelsim.seam import Columns
from accelsim.units import ceil_div
from accelsim.workload.shapes import Conv2d

DRAM_WORD, GLB_WORD = 200, 6
"""Energy of an access relative to a multiplication: ISCA 2016, table IV. Of the engine's own objective only."""

FIELDS = ("m", "n", "e", "p", "q", "r", "t")


@cache
def breakpoints(size: int) -> tuple[int, ...]:
    """Return the smallest factor for each value of ``ceil(size / factor)``, in ascending order."""
    return tuple(sorted({ceil_div(size, pieces) for pieces in range(1, size + 1)}))


def mappings(conv: Conv2d, params: Params) -> Columns:
    """Return the mappings that fit, those with more PEs in use first.

    Raises
    ------
    MappingError
        Nothing fits: says what the smallest mapping lacks.
    """
    channels, filters = conv.c // conv.groups, conv.k // conv.groups
    found: list[np.ndarray] = []
    for r in breakpoints(channels):
        shelves = params.rows // (conv.r * r)
        if not shelves:
            break
        for t in breakpoints(filters):
            widths = [e for e in breakpoints(conv.e) if shelves_needed(e, t, params.cols) <= shelves]
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
    of_q = [q for q in breakpoints(ceil_div(channels, r)) if q * conv.s <= params.ifmap_spad_words]
    of_p = [p for p in breakpoints(ceil_div(filters, t)) if p <= params.psum_spad_words]
    of_n = [n for n in breakpoints(conv.n) if n <= params.max_images]
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
    """Return estimates for each candidate: cycles with DRAM, DRAM bits, traffic, and the engine's own objective."""
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
    moved = outputs * (channel_passes if params.psum_counting == "every_pass" else channel_passes - 1)
    load = p * t * q * r * taps / params.filter_words_per_cycle
    steady = np.maximum(
        p * q * conv.s * conv.f * n, n * q * r * strip_rows * strip_words / params.ifmap_words_per_cycle
    )
    steady = np.maximum(steady, p * t * e * conv.f * n / params.psum_words_per_cycle)
    window = q * r * strip_rows * conv.s / params.ifmap_words_per_cycle
    dram_words = weights + ifmap * blocks + outputs
    glb_words = ifmap * filter_passes + 2 * moved
    own = (DRAM_WORD * dram_words + GLB_WORD * glb_words) * (passes * (steady + load))
    rate = float(dram.bits_per_cycle) / width
    alone = (dram_words - weights) / rate
    cycles = np.maximum(passes * (load + window + steady), weights / rate) + alone
    delivered = conv.n * conv.c * strips * filter_passes * strip_words * conv.r * e * t
    on_links = weights * e + delivered + outputs * channel_passes * r * conv.r + moved
    traffic = {
        ("dram", "read"): weights + ifmap * blocks,
        ("dram", "write"): np.full_like(m, outputs),
        ("glb.fmaps", "read"): ifmap * filter_passes + moved + outputs,
        ("glb.fmaps", "write"): ifmap * blocks + moved,
        ("glb.filters", "read"): weights,
        ("glb.filters", "write"): weights,
        ("array", "read"): on_links,
        ("pe.filters", "write"): weights * e,
        ("pe.inputs", "write"): delivered,
    }
    bits = {key: words * width for key, words in traffic.items()}
    name = f"({DRAM_WORD} DRAM words + {GLB_WORD} buffer words) x cycles"
    return Bounds(cycles.astype(np.int64), dram_words * width, bits, (name, own.astype(np.float64)))
