"""The best mapping of many layers by the authors' objective, in machine code, without the hopeless of `list_kernel`.

What is chosen is what a walk through the whole list chooses: left out is only what is worse than some mapping for sure.
"""

from __future__ import annotations

import numpy as np

from accelsim.engines.row_stationary import list_kernel as lists
from accelsim.jit import kernel, lean
from accelsim.mapping.nest_kernel import ceil_div

SLACK = 1 - 1e-9
"""Floors are in float64: what rounding may add is taken off."""


@lean
def floor(layer, machine, n, e, r, t, filter_passes, channel_passes, held):  # type: ignore[no-untyped-def]
    """Return what `list_kernel.own` does not undercut with at least so many passes; ``held`` filters of a PE in all."""
    channels, filters = layer[lists.CHANNELS], layer[lists.FILTERS]
    strips, images = ceil_div(layer[lists.E], e), ceil_div(layer[lists.IMAGES], n)
    rounds = layer[lists.GROUPS] * strips * images
    strip = (layer[lists.STRIDE] * (e - 1) + layer[lists.R]) * layer[lists.STRIP_WORDS]
    ifmap = layer[lists.IMAGES] * layer[lists.GROUPS] * channels * strips * strip
    outputs = layer[lists.IMAGES] * layer[lists.GROUPS] * filters * layer[lists.E] * layer[lists.F]
    weights = rounds * filters * channels * layer[lists.R] * layer[lists.S]
    kept = outputs * (channel_passes - 1 + machine[lists.EVERY_PASS])
    words = lists.DRAM_WORD * (weights + ifmap + outputs) + lists.GLB_WORD * (ifmap * filter_passes + 2 * kept)
    windows = float(rounds * n * layer[lists.F])
    steady = max(windows * held * layer[lists.S] * channels / r,
                 float(rounds * n * channels * strip) * filter_passes / machine[lists.IFMAP_RATE])  # fmt: skip
    steady = max(steady, windows * channel_passes * filters * e / machine[lists.PSUM_RATE])
    return float(words) * (steady + weights / machine[lists.FILTER_RATE]) * SLACK


@lean
def least_passes(layer, machine, r, t):  # type: ignore[no-untyped-def]
    """Return the passes over filters and over channels that take the most of both that the spads hold."""
    of_filters, of_channels = ceil_div(layer[lists.FILTERS], t), ceil_div(layer[lists.CHANNELS], r)
    most_p = min(of_filters, machine[lists.PSUM_SPAD])
    most_q = min(of_channels, machine[lists.IFMAP_SPAD] // layer[lists.S])
    return ceil_div(of_filters, most_p), ceil_div(of_channels, most_q)


@lean
def try_all(layer, machine, r, t, e, n, limit, best, scores):  # type: ignore[no-untyped-def]
    """Let each p and q that may come to ``limit`` or less have its `list_kernel.rank`, in the order of the list."""
    filters, bank_words, taps = layer[lists.FILTERS], machine[lists.BANK_WORDS], layer[lists.S]
    of_filters, of_channels = ceil_div(filters, t), ceil_div(layer[lists.CHANNELS], r)
    most_p, fed = min(of_filters, machine[lists.PSUM_SPAD]), min(of_channels, machine[lists.IFMAP_SPAD] // taps)
    held = min(machine[lists.FILTER_SPAD], machine[lists.FILTER_WORDS] // (t * r * layer[lists.R]))
    strip_words = (layer[lists.STRIDE] * (e - 1) + layer[lists.R]) * layer[lists.STRIP_WORDS]
    p = 1
    while p <= most_p:
        passes, most_q = ceil_div(filters, p * t), min(fed, held // (p * taps))
        q = most_q + 1
        if most_q:
            least = floor(layer, machine, n, e, r, t, passes, ceil_div(of_channels, most_q), float(passes * p))
            q = 1 if least <= min(limit, scores[0]) else q
        while q <= most_q:
            banks = ceil_div(n * q * r * strip_words, bank_words)
            room = max(machine[lists.FMAP_BANKS] - banks, 0) * bank_words // (n * e * layer[lists.F])
            m = filters if room >= filters else room // (p * t) * (p * t)
            if m > 0:
                score = lists.own(layer, machine, m, n, e, p, q, r, t)
                lists.rank(score, (m, n, e, p, q, r, t), best, scores)
            q = lists.after(q, of_channels, most_q)
        p = lists.after(p, of_filters, most_p)


@lean
def go_through(layer, machine, rows, limit, best, scores, least):  # type: ignore[no-untyped-def]
    """Go through all r, t, e and n in the order of the list.

    With a ``limit`` below 0 write those whose `floor` is the least into ``least``, else `try_all` of each that may be
    no worse than ``limit``.
    """
    width = machine[lists.COLS]
    lowest = np.inf
    most_r, most_n = rows // layer[lists.R], min(layer[lists.IMAGES], machine[lists.MAX_IMAGES])
    r = 1
    while r <= min(layer[lists.CHANNELS], most_r):
        shelves = rows // (layer[lists.R] * r)
        most_t = min(layer[lists.FILTERS], shelves * width)
        t = 1
        while t <= most_t:
            filter_passes, channel_passes = least_passes(layer, machine, r, t)
            held, most_e = layer[lists.FILTERS] / t, min(layer[lists.E], shelves * width)
            e = 1
            while e <= most_e:
                n = 1 if lists.shelves_needed(e, t, width) <= shelves else most_n + 1
                while n <= most_n:
                    score = floor(layer, machine, n, e, r, t, filter_passes, channel_passes, held)
                    if limit < 0:
                        if score < lowest:
                            lowest = score
                            least[0], least[1], least[2], least[3] = r, t, e, n
                    elif score <= min(limit, scores[0]):
                        try_all(layer, machine, r, t, e, n, limit, best, scores)
                    n = lists.after(n, layer[lists.IMAGES], most_n)
                e = lists.after(e, layer[lists.E], most_e)
            t = lists.after(t, layer[lists.FILTERS], most_t)
        r = lists.after(r, layer[lists.CHANNELS], most_r)


@kernel
def best_of_own(layers, machine, rows, found):  # type: ignore[no-untyped-def]
    """Write the best mapping of each layer: m, n, e, p, q, r, t; zeros where none fits.

    Parameters
    ----------
    layers : array of int64, shape (layers, columns of `list_kernel.LAYER`)
    machine : array of int64, shape (columns of `list_kernel.MACHINE`,)
        The shelves in it mean nothing.
    rows : int
        Of the array.
    found : array of int64, shape (layers, 7), written
    """
    best, scores, least = np.zeros((2, 7), dtype=np.int64), np.empty(2), np.zeros(4, dtype=np.int64)
    for i in range(len(layers)):
        layer = layers[i]
        best[:], scores[:], least[:] = 0, np.inf, 0
        go_through(layer, machine, rows, -1.0, best, scores, least)
        if least[0]:
            try_all(layer, machine, least[0], least[1], least[2], least[3], np.inf, best, scores)
        limit, best[:], scores[:] = scores[0], 0, np.inf
        go_through(layer, machine, rows, limit, best, scores, least)
        found[i] = best[0]
