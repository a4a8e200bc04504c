"""What a mapping takes at least, as columns: passes without contention, loads and dumps that overlap nothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelsim.engines.row_stationary.params import Params
from accelsim.mapping.choose import Candidates
from accelsim.memory.dram import DramModel
from accelsim.workload.shapes import Conv2d

SLACK = 1 - 1e-9
"""Bounds are sums in float64: what rounding may add is taken off."""


class Alone(NamedTuple):
    """What overlaps no pass: loads of inputs, each of which pays the latency, and dumps of outputs.

    Attributes
    ----------
    cycles : ndarray of float64
        Of all of them on the bus.
    loads : ndarray of int64
        How many loads.
    always : bool
        Whether no block is without a load (its rows may be padding alone).
    """

    cycles: np.ndarray
    loads: np.ndarray
    always: bool


def pass_cycles(
    conv: Conv2d, params: Params, columns: Candidates, held: np.ndarray, some: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what passes of ``held`` filters and ``some`` channels take at least: any one, one of all images and rows.

    A PE starts after the filter load and its first window, or not before the last window's words are there, or once the
    psums of the last window but two have left; from then on windows follow each other.
    """
    n, e = columns["n"], columns["e"]
    slot, windows = columns["p"] * columns["q"] * conv.s, n * conv.f
    strip_rows = conv.stride[0] * (e - 1) + conv.r
    strip_words = conv.stride[1] * (conv.f - 1) + conv.s
    begin = -(-held * some * conv.r * conv.s // params.filter_words_per_cycle)
    rows = some * strip_rows
    least = begin - (-rows * conv.s // params.ifmap_words_per_cycle) + windows * slot
    fed = begin - (-n * rows * strip_words // params.ifmap_words_per_cycle) + slot
    emptied = begin - (-np.maximum(windows - 2, 0) * held * e // params.psum_words_per_cycle) + slot
    fed = np.maximum(least, fed)
    return np.where(conv.n % n == 0, fed, least), np.maximum(fed, emptied + slot * (windows > 1))


def layer_cycles(conv: Conv2d, params: Params, dram: DramModel, columns: Candidates, alone: Alone) -> np.ndarray:
    """Return the cycles that no mapping undercuts, as int64.

    The passes of a block of filters and channels follow the load of its inputs. They take their own time; or that of
    the filter loads but the first, and then the last pass or the first load of the next block; or half of all filter
    loads, latencies and passes, because a load waits for the pass two before.
    """
    m, n, e = columns["m"], columns["n"], columns["e"]
    pt, qr = columns["p"] * columns["t"], columns["q"] * columns["r"]
    channels, filters = conv.c // conv.groups, conv.k // conv.groups
    latency, residencies = dram.latency_cycles, -(-conv.n // n) * -(-conv.e // e)
    whole = conv.n // n * (conv.e // e)

    def bus(held: np.ndarray, some: np.ndarray) -> np.ndarray:
        bits = -(-held * some * conv.r * conv.s * params.word_bits // dram.burst_bits) * dram.burst_bits
        return bus_cycles(bits, dram)

    most, rest = np.minimum(m, filters), filters % np.minimum(m, filters)
    blocks = [(most, filters // most), (rest, (rest > 0).astype(np.int64))]
    runs = [(np.minimum(qr, channels), channels // qr), (channels % qr, (channels % qr > 0).astype(np.int64))]
    never = np.full(len(m), np.inf)
    following = never  # the least that a block loads first
    for some, of in runs:
        for block, times in blocks:
            first = np.where(times * of > 0, bus(np.minimum(pt, block), some), never)
            following = np.minimum(following, first)
    loaded, passes, last = np.zeros(len(m)), np.zeros(len(m)), never
    for some, of in runs:
        full, full_load = pass_cycles(conv, params, columns, pt, some), bus(pt, some)
        part, part_load = pass_cycles(conv, params, columns, filters % pt, some), bus(filters % pt, some)
        for block, times in blocks:
            fulls, parts = block // pt, (block % pt > 0).astype(np.int64)
            loads = fulls * full_load + parts * part_load
            later = loads - np.where(fulls > 0, full_load, part_load)
            loaded += times * of * residencies * loads
            for kind, count in ((1, whole), (0, residencies - whole)):
                end = np.where(parts > 0, part[kind], full[kind])
                last = np.where(times * of * count > 0, np.minimum(last, end), last)
                pairs = np.maximum(fulls - 1, 0) // 2 * (full_load + latency + full[kind]) + full[kind]
                span = np.maximum(fulls * full[kind] + parts * part[kind], np.where(fulls > 0, pairs, 0))
                span = np.maximum(span, later + np.maximum(end, following - latency * alone.always))
                passes += times * of * count * span
    first = bus(np.minimum(pt, filters), np.minimum(qr, channels))
    total = alone.cycles + latency * alone.loads + conv.groups * passes + first * (following <= latency + last)
    on_bus = alone.cycles + conv.groups * loaded + latency + last
    return np.asarray(np.floor(np.maximum(total, on_bus) * SLACK)).astype(np.int64)


def floor_cycles(
    conv: Conv2d, params: Params, dram: DramModel, columns: Candidates, loads: np.ndarray, alone_bits: np.ndarray,
    bits: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Return what no mapping undercuts however its filters are cut into blocks: all passes, and what overlaps none.

    Parameters
    ----------
    loads : ndarray
        Ifmap loads of one block of filters.
    alone_bits, bits : ndarray
        Of inputs loaded once and of outputs; of those and weights.
    """
    n, e = columns["n"], columns["e"]
    pt, qr = columns["p"] * columns["t"], columns["q"] * columns["r"]
    channels, filters = conv.c // conv.groups, conv.k // conv.groups
    whole, residencies = conv.n // n * (conv.e // e), -(-conv.n // n) * -(-conv.e // e)
    total = alone_bits / float(dram.bits_per_cycle) + dram.latency_cycles * loads
    for some, of_channels in ((qr, channels // qr), (channels % qr, (channels % qr > 0).astype(np.int64))):
        for held, of_filters in ((pt, filters // pt), (filters % pt, (filters % pt > 0).astype(np.int64))):
            part, full = pass_cycles(conv, params, columns, held, some)
            total += conv.groups * of_channels * of_filters * (whole * full + (residencies - whole) * part)
    return np.asarray(np.floor(np.maximum(total, bits / float(dram.bits_per_cycle)) * SLACK)).astype(np.int64)


def bus_cycles(bits: np.ndarray, dram: DramModel) -> np.ndarray:
    """Return for how long transfers take the bus, as whole numbers in float64."""
    return np.ceil(bits / float(dram.bits_per_cycle) * SLACK)
