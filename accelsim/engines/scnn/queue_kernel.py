"""The walk with bounded queues and no values, all banks of a PE at once.

What waits before a bank is a byte, eight banks to a word: products are added and retired for all banks in a few
operations. A step ticks, and ticks on while a queue holds more than its depth; nothing else arbitrates. The counts
are those of `accelsim.engines.scnn.kernel.walk`, which goes product by product.

Two memories make it quick; neither changes what is found. The banks that a vector of activations meets at a tap are a
pattern of few bits: of the latest `PATTERNS` it is kept how many products go to each bank, for each of the eight ways
in which a weight's channel permutes the banks. And vectors of one kind, with equal patterns at all taps, that meet the
same weights with equal queues fare alike: of the latest `FATES` it is kept how, so that a dense plane is walked once
for its many places alike.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

DEEPEST = 127
"""Products that a queue may hold, those of a step included."""
WIDEST = 9
"""Activations of a vector: their banks are seven bits each of a word."""
PATTERNS, FATES = 256, 256
BYTES, GUARDS, ONES = 0x7F7F7F7F7F7F7F7F, -0x7F7F7F7F7F7F7F80, 0x0101010101010101
SCATTER = 0x9E3779B97F4A7C1


@kernel
def retire(queues):  # type: ignore[no-untyped-def]
    """Return eight queues after a cycle, in which each passes on one product."""
    return queues - (((queues + BYTES) >> 7) & ONES)


@kernel
def wait(queues, cycles):  # type: ignore[no-untyped-def]
    """Let ``cycles`` go by for the queues of a PE, or as many as empty them if that is -1; return how many."""
    spent = np.int64(0)
    while spent != cycles and (queues[0] | queues[1] | queues[2] | queues[3]) != 0:
        for word in range(4):
            queues[word] = retire(queues[word])
        spent += 1
    return spent


@kernel
def meet(mapped, now, queues):  # type: ignore[no-untyped-def]
    """Let all mapped PEs wait for the last one; return the cycles that they wait."""
    level, waited = now.max(), np.int64(0)
    for pe in range(now.shape[0]):
        if mapped[pe]:
            wait(queues[pe], level - now[pe])
            waited += level - now[pe]
            now[pe] = level
    return waited


@kernel
def tap_banks(tall, layer):  # type: ignore[no-untyped-def]
    """Return what input rows (tall + 1, r) and columns (w, s) put into the number of a bank at each tap.

    Both go together by ``^``. A tap that misses makes it 32 or more, as does the last row, a placeholder's.
    """
    wide, taps_r, taps_s = layer.geometry[0], layer.geometry[1], layer.geometry[2]
    sy, sx, py, px, dy, dx = layer.geometry[3:9]
    e0, e1, width = layer.geometry[9:12]
    rows, cols = np.full((tall + 1, taps_r), 32), np.full((wide, taps_s), 64)
    for y in range(tall):
        for r in range(taps_r):
            up = y + py - r * dy
            if up % sy == 0 and up // sy >= e0 and up // sy < e1:
                rows[y, r] = ((up // sy & 2) << 3) | ((up // sy & 1) << 2)
    for x in range(wide):
        for s in range(taps_s):
            left = x + px - s * dx
            if left % sx == 0 and left >= 0 and left // sx < width:
                cols[x, s] = ((left // sx & 2) << 3) | ((left // sx & 1) << 3)
    return rows, cols


@kernel
def gather(layer, rows, cols, first, last, parts):  # type: ignore[no-untyped-def]
    """Write the parts that rows and columns have in the patterns of activations ``first`` to ``last``."""
    wide, taps_r, taps_s = layer.geometry[0], rows.shape[1], cols.shape[1]
    parts[:] = 0
    for r in range(taps_r):
        for lane in range(last - first, WIDEST):
            parts[r] |= 32 << (7 * lane)
    for lane in range(last - first):
        at = layer.a_at[first + lane]
        y, x = (at // wide, at % wide) if at >= 0 else (rows.shape[0] - 1, 0)
        for r in range(taps_r):
            parts[r] |= rows[y, r] << (7 * lane)
        for s in range(taps_s):
            parts[taps_r + s] |= cols[x, s] << (7 * lane)


@kernel
def sort_vectors(layer, lanes, rows, cols):  # type: ignore[no-untyped-def]
    """Return the first vector of each block, the kind of each vector, and the parts of each kind."""
    blocks = layer.a_first.size - 1
    first = np.zeros(blocks + 1, np.int64)
    for block in range(blocks):
        first[block + 1] = first[block] + (layer.a_first[block + 1] - layer.a_first[block] + lanes - 1) // lanes
    size, n_parts, kinds = first[blocks], rows.shape[1] + cols.shape[1], 0
    kind, parts = np.zeros(size, np.int64), np.zeros((size + 1, n_parts), np.int64)
    bits = 1
    while 1 << bits < 2 * size:
        bits += 1
    table = np.full(1 << bits, -1)
    for block in range(blocks):
        for vector in range(first[block], first[block + 1]):
            a = layer.a_first[block] + (vector - first[block]) * lanes
            gather(layer, rows, cols, a, min(a + lanes, layer.a_first[block + 1]), parts[kinds])
            key = np.int64(0)
            for i in range(n_parts):
                key = (key ^ parts[kinds, i]) * SCATTER
            slot = (key >> (63 - bits)) & ((1 << bits) - 1)
            while table[slot] >= 0 and not np.array_equal(parts[table[slot]], parts[kinds]):
                slot = (slot + 1) & ((1 << bits) - 1)
            if table[slot] < 0:
                table[slot] = kinds
                kinds += 1
            kind[vector] = table[slot]
    return first, kind, parts[:kinds]


@kernel
def spread(pattern, banks, met, to):  # type: ignore[no-untyped-def]
    """Write the products per bank of a pattern, eight banks to a word, for the eight ways of a weight's channel."""
    for way in range(8):
        for word in range(4):
            met[to + 4 * way + word] = 0
        hashed = (way & 3) | ((way & 4) << 2)
        for lane in range(WIDEST):
            place = (pattern >> (7 * lane)) & 127
            if place < 32:
                bank = (place ^ hashed) % banks
                met[to + 4 * way + bank // 8] += 1 << (bank % 8 * 8)


@kernel
def find_patterns(parts, kind, taps_r, banks, known, last_use, vector, met, at_tap):  # type: ignore[no-untyped-def]
    """Write where ``met`` has the pattern of each tap: in its slot, or apart if this vector needs that for another."""
    taps_s = parts.shape[1] - taps_r
    for r in range(taps_r):
        for s in range(taps_s):
            tap, pattern = r * taps_s + s, parts[kind, r] ^ parts[kind, taps_r + s]
            slot = ((pattern * SCATTER) >> 40) & (PATTERNS - 1)
            at_tap[tap] = 32 * slot
            if known[slot] != pattern:
                if last_use[slot] == vector:
                    at_tap[tap] = 32 * (PATTERNS + 1 + tap)
                else:
                    known[slot] = pattern
                spread(pattern, banks, met, at_tap[tap])
            last_use[slot] = vector


@kernel
def walk_weights(w_tap, w_way, w_from, w_to, f, room, at_tap, met, queues, pe):  # type: ignore[no-untyped-def]
    """Take one vector of activations past all weights of a block, ``f`` at a time; return the cycles of stalls."""
    q0, q1, q2, q3 = queues[pe, 0], queues[pe, 1], queues[pe, 2], queues[pe, 3]
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)  # unsigned places are not checked for a sign
    stalls = np.int64(0)
    for b in range(w_from, w_to, f):
        for entry in range(b, min(b + f, w_to)):
            at = np.uint64(at_tap[w_tap[entry]] + w_way[entry])
            q0, q1, q2, q3 = q0 + met[at], q1 + met[at + one], q2 + met[at + two], q3 + met[at + three]
        q0, q1, q2, q3 = retire(q0), retire(q1), retire(q2), retire(q3)
        while ((q0 + room) | (q1 + room) | (q2 + room) | (q3 + room)) & GUARDS:
            q0, q1, q2, q3 = retire(q0), retire(q1), retire(q2), retire(q3)
            stalls += 1
    queues[pe, 0], queues[pe, 1], queues[pe, 2], queues[pe, 3] = q0, q1, q2, q3
    return stalls


@kernel
def recall(fates, block, kind, queues, pe):  # type: ignore[no-untyped-def]
    """Return whether the fate of a vector is known; if not, put its question (block, kind, queues) in its place."""
    at = kind & (FATES - 1)
    known = fates[at, 0] == block and fates[at, 1] == kind
    for word in range(4):
        known &= fates[at, 2 + word] == queues[pe, word]
    if not known:
        fates[at, 0], fates[at, 1] = block, kind
        for word in range(4):
            fates[at, 2 + word] = queues[pe, word]
    return known


@kernel
def walk_queues(layer, array, kernels, cycles):  # type: ignore[no-untyped-def]
    """Walk one pass; write the compute cycles of each group and return steps, conflict, imbalance and empty pairs.

    Parameters
    ----------
    layer : Layer
    array : Array
        With ``queue_depth + f * i`` at most `DEEPEST` and ``i`` at most `WIDEST`.
    kernels : int
        Output channels of the layer.
    cycles : ndarray of int64, shape (groups,)

    Returns
    -------
    ndarray of int64, shape (4,)
    """
    taps_r, taps = layer.geometry[1], layer.geometry[1] * layer.geometry[2]
    phases, pes = layer.geometry[12], layer.mapped.shape[0]
    # a placeholder among the weights has a tap of its own, which meets nothing
    w_tap = np.where(layer.w_at < 0, taps, layer.w_at // kernels).astype(np.uint64)
    w_way = 4 * (layer.w_at % kernels & 7)
    tall = layer.a_at.max() // layer.geometry[0] + 1 if layer.a_at.size else 0
    rows, cols = tap_banks(tall, layer)
    v_first, v_kind, parts = sort_vectors(layer, array.i, rows, cols)
    fates = np.full((FATES, 11), -1)  # block, kind and queues of a vector, queues after it, stalls
    known, last_use = np.full(PATTERNS, -1), np.full(PATTERNS, -1)
    met, at_tap = np.zeros(32 * (PATTERNS + 1 + taps), np.int64), np.full(taps + 1, 32 * PATTERNS)
    now, queues, worked = np.zeros(pes, np.int64), np.zeros((pes, 4), np.int64), np.zeros(pes, np.bool_)
    room = (DEEPEST - array.queue_depth) * ONES
    steps = conflict = imbalance = empties = walked = np.int64(0)
    for g in range(layer.groups.shape[0]):
        now[:], queues[:] = 0, 0
        c0, c1 = layer.groups[g, 2], layer.groups[g, 3]
        for c in range(c0, c1):
            worked[:] = False
            for phase in range(phases):
                block = (g * (c1 - c0) + c - c0) * phases + phase
                w_from, w_to = layer.w_first[block], layer.w_first[block + 1]
                for pe in range(pes):
                    a_block = (c * pes + pe) * phases + phase
                    first, last = v_first[a_block], v_first[a_block + 1]
                    if not layer.mapped[pe] or first == last or w_from == w_to:
                        continue
                    worked[pe] = True
                    n = (last - first) * ((w_to - w_from + array.f - 1) // array.f)
                    steps += n
                    now[pe] += n
                    for vector in range(first, last):
                        at = v_kind[vector] & (FATES - 1)
                        if not recall(fates, block, v_kind[vector], queues, pe):
                            walked += 1
                            find_patterns(
                                parts, v_kind[vector], taps_r, array.banks, known, last_use, walked, met, at_tap
                            )
                            fates[at, 10] = walk_weights(
                                w_tap, w_way, w_from, w_to, array.f, room, at_tap, met, queues, pe
                            )
                            for word in range(4):
                                fates[at, 6 + word] = queues[pe, word]
                        for word in range(4):
                            queues[pe, word] = fates[at, 6 + word]
                        conflict += fates[at, 10]
                        now[pe] += fates[at, 10]
            for pe in range(pes):
                if layer.mapped[pe] and not worked[pe] and array.empty_costs:
                    wait(queues[pe], 1)
                    now[pe] += 1
                    empties += 1
            if array.channel_barrier:
                imbalance += meet(layer.mapped, now, queues)
        for pe in range(pes):
            if layer.mapped[pe]:
                left = wait(queues[pe], -1)
                conflict += left
                now[pe] += left
        cycles[g] = now.max()
        imbalance += meet(layer.mapped, now, queues)
    return np.array([steps, conflict, imbalance, empties])
