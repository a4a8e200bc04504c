"""Encoding in the machine's order, and the walk: one step of F x I products at a time.

Bank conflicts arbitrate, so with bounded queues every step is walked, product by product; waiting is kept as the time
at which each bank will be free, so that idle banks cost nothing. `accelsim.engines.scnn.queue_kernel` does the same for
all banks at once where no values are asked for. With unlimited queues and no values nothing arbitrates, and a whole
(channel, PE) is skipped exactly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.jit import kernel


class Layer(NamedTuple):
    """The numbers of a pass that the walk needs; all int64 arrays or ints.

    ``a_*`` and ``w_*``: first entry of each block (blocks + 1,), and the place of each entry in its tensor, -1 for a
    placeholder. Activation blocks are (channel, PE, phase), weight blocks (group, channel in group, phase).
    """

    a_first: Any
    a_at: Any
    w_first: Any
    w_at: Any
    groups: Any
    """(groups, 4): first and last + 1 output channel, first and last + 1 input channel."""
    mapped: Any
    """(PEs,): 1 for a PE with pixels."""
    geometry: Any
    """(14,): w, r, s, then stride, pad and dilation of rows and columns, output rows from, to, and f, then phases."""


class Array(NamedTuple):
    """The machine."""

    f: int
    i: int
    banks: int
    queue_depth: int
    """-1: unlimited."""
    channel_barrier: bool
    empty_costs: bool


@kernel
def encode_tiles(mask, rows, cols, sy, sx, py, px, span, first, at):  # type: ignore[no-untyped-def]
    """Run-length encode the tiles of each channel; return the number of entries.

    Parameters
    ----------
    mask : ndarray of bool, shape (c, h, w)
    rows, cols : ndarray of int64, shape (parts + 1,)
        Where the tiles begin and end.
    sy, sx, py, px : int
        Stride and padding: phases of a tile are blocks of their own.
    span : int
        Zeros that a placeholder stands for.
    first : ndarray of int64, shape (c * tiles * phases + 1,)
        Written: first entry of each block.
    at : ndarray of int64, shape (entries,) or (0,)
        Written unless empty: place of each entry in its channel's plane, -1 for a placeholder.
    """
    fill = at.shape[0] > 0
    width = mask.shape[2]
    n = block = np.int64(0)
    for c in range(mask.shape[0]):
        for i in range(rows.shape[0] - 1):
            for j in range(cols.shape[0] - 1):
                for phase in range(sy * sx):
                    first[block] = n
                    block += 1
                    zeros = np.int64(0)
                    y0 = rows[i] + (phase // sx - rows[i] - py) % sy
                    x0 = cols[j] + (phase % sx - cols[j] - px) % sx
                    for y in range(y0, rows[i + 1], sy):
                        for x in range(x0, cols[j + 1], sx):
                            if not mask[c, y, x]:
                                zeros += 1
                                continue
                            while zeros >= span:
                                if fill:
                                    at[n] = -1
                                n += 1
                                zeros -= span
                            if fill:
                                at[n] = y * width + x
                            n += 1
                            zeros = np.int64(0)
    first[block] = n
    return n


@kernel
def encode_weights(mask, groups, sy, sx, dy, dx, span, first, at):  # type: ignore[no-untyped-def]
    """Run-length encode the (group, channel, phase) blocks of weights (k, c, r, s); return the number of entries.

    ``at`` counts k fastest: (r * S + s) * K + k. See `encode_tiles` for the rest.
    """
    fill = at.shape[0] > 0
    n = block = np.int64(0)
    for g in range(groups.shape[0]):
        for c in range(mask.shape[1]):
            for phase in range(sy * sx):
                first[block] = n
                block += 1
                zeros = np.int64(0)
                for r in range(mask.shape[2]):
                    for s in range(mask.shape[3]):
                        if (r * dy) % sy != phase // sx or (s * dx) % sx != phase % sx:
                            continue
                        for k in range(groups[g, 0], groups[g, 1]):
                            if not mask[k, c, r, s]:
                                zeros += 1
                                continue
                            while zeros >= span:
                                if fill:
                                    at[n] = -1
                                n += 1
                                zeros -= span
                            if fill:
                                at[n] = (r * mask.shape[3] + s) * mask.shape[0] + k
                            n += 1
                            zeros = np.int64(0)
    first[block] = n
    return n


@kernel
def walk(layer, array, kernels, with_values, x, w, out, cycles):  # type: ignore[no-untyped-def]
    """Walk one pass; write the compute cycles of each group and return the totals.

    Parameters
    ----------
    layer : Layer
    array : Array
    kernels : int
        Output channels of the layer.
    with_values : bool
    x, w, out : ndarray of int64
        (c, h * w), (r * s * k, c of a group), (k, e * f); products are added to ``out`` as they leave the crossbar.
    cycles : ndarray of int64, shape (groups,)

    Returns
    -------
    ndarray of int64, shape (4,)
        Steps, conflict, imbalance and empty-pair cycles of all mapped PEs.
    """
    wide, taps_r, taps_s = layer.geometry[0], layer.geometry[1], layer.geometry[2]
    sy, sx, py, px, dy, dx = layer.geometry[3:9]
    e0, e1, width, phases = layer.geometry[9:13]
    pes = layer.mapped.shape[0]
    taps = taps_r * taps_s
    skip = array.queue_depth < 0 and not with_values
    bounded = array.queue_depth >= 0
    hash_k = np.empty(kernels, np.int64)
    for k in range(kernels):
        hash_k[k] = (k & 3) | ((k & 4) << 2)
    bank_of = np.arange(32) % array.banks
    w_tap, w_k = layer.w_at // kernels, layer.w_at % kernels
    # of the current vector of activations: output place and bank bits per (tap, activation), -1 where it misses
    place = np.empty((taps, array.i), np.int64)
    bits = np.empty((taps, array.i), np.int64)
    frees = np.zeros((pes, array.banks), np.int64)
    now = np.zeros(pes, np.int64)
    steps = conflict = imbalance = empties = np.int64(0)
    for g in range(layer.groups.shape[0]):
        now[:] = 0
        frees[:] = 0
        c0, c1 = layer.groups[g, 2], layer.groups[g, 3]
        level = np.int64(0)
        for c in range(c0, c1):
            for pe in range(pes):
                if not layer.mapped[pe]:
                    continue
                t, free = now[pe], frees[pe]
                worked = False
                for phase in range(phases):
                    block = (c * pes + pe) * phases + phase
                    a_from, a_to = layer.a_first[block], layer.a_first[block + 1]
                    block = (g * (c1 - c0) + c - c0) * phases + phase
                    w_from, w_to = layer.w_first[block], layer.w_first[block + 1]
                    if a_from == a_to or w_from == w_to:
                        continue
                    worked = True
                    if skip:
                        n = ((a_to - a_from + array.i - 1) // array.i) * ((w_to - w_from + array.f - 1) // array.f)
                        steps += n
                        t += n
                        continue
                    for a in range(a_from, a_to, array.i):
                        lanes = min(array.i, a_to - a)
                        for lane in range(lanes):
                            at = layer.a_at[a + lane]
                            y, col = at // wide + py, at % wide + px
                            for r in range(taps_r):
                                for s in range(taps_s):
                                    up, left = y - r * dy, col - s * dx
                                    oy, ox = up // sy, left // sx
                                    hit = at >= 0 and up % sy == 0 and left % sx == 0
                                    if hit and oy >= e0 and oy < e1 and ox >= 0 and ox < width:
                                        place[r * taps_s + s, lane] = oy * width + ox
                                        high = ((oy ^ ox) & 2) << 3
                                        bits[r * taps_s + s, lane] = high | ((ox & 1) << 3) | ((oy & 1) << 2)
                                    else:
                                        place[r * taps_s + s, lane] = -1
                        for b in range(w_from, w_to, array.f):
                            full = t + 1
                            for entry in range(b, min(b + array.f, w_to)):
                                at = layer.w_at[entry]
                                if at < 0:
                                    continue
                                tap, k = w_tap[entry], w_k[entry]
                                for lane in range(lanes):
                                    if place[tap, lane] < 0:
                                        continue
                                    if bounded:
                                        bank = bank_of[hash_k[k] ^ bits[tap, lane]]
                                        ready = max(free[bank], t) + 1
                                        free[bank] = ready
                                        full = max(full, ready - array.queue_depth)
                                    if with_values:
                                        out[k, place[tap, lane]] += x[c, layer.a_at[a + lane]] * w[at, c - c0]
                            steps += 1
                            conflict += full - t - 1
                            t = full
                if not worked and array.empty_costs:
                    t += 1
                    empties += 1
                now[pe] = t
            if array.channel_barrier:
                level = now.max()
                for pe in range(pes):
                    if layer.mapped[pe]:
                        imbalance += level - now[pe]
                        now[pe] = level
        for pe in range(pes):
            if layer.mapped[pe]:
                emptied = max(now[pe], frees[pe].max())
                conflict += emptied - now[pe]
                now[pe] = emptied
        level = now.max()
        for pe in range(pes):
            if layer.mapped[pe]:
                imbalance += level - now[pe]
        cycles[g] = level
    return np.array([steps, conflict, imbalance, empties])
