"""The walk with bounded queues and no values, all banks of a PE at once.

What waits before a bank is a byte, eight banks to a word: products are added and retired for all banks in a few
operations. A step ticks, and ticks on while a queue holds more than its depth; nothing else arbitrates. The counts
are those of `accelsim.engines.scnn.kernel.walk`, which goes product by product.

Two memories make it quick; neither changes what is found. The banks that a vector of activations meets at a tap are a
pattern of few bits: of the latest `PATTERNS` it is kept how many products go to each bank, for each of the eight ways
in which a weight's channel permutes the banks. And vectors of equal patterns that meet the same weights with equal
queues fare alike: of the latest `FATES` it is kept how, so that a dense plane is walked once for its many places alike.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

DEEPEST = 127
"""Products that a queue may hold, those of a step included."""
WIDEST = 9
"""Activations of a vector: their banks are seven bits each of a word."""
PATTERNS, FATES = 256, 64
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
def gather(a_row, a_col, first, lanes, rows, cols, parts):  # type: ignore[no-untyped-def]
    """Write the row and column parts of the patterns of ``lanes`` activations."""
    taps_r = rows.shape[1]
    absent = np.int64(0)
    for lane in range(lanes, WIDEST):
        absent |= 32 << (7 * lane)
    for r in range(taps_r):
        part = absent
        for lane in range(lanes):
            part |= rows[a_row[first + lane], r] << (7 * lane)
        parts[r] = part
    for s in range(cols.shape[1]):
        part = np.int64(0)
        for lane in range(lanes):
            part |= cols[a_col[first + lane], s] << (7 * lane)
        parts[taps_r + s] = part


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
def find_patterns(parts, taps_r, banks, known, last_use, vector, met, at_tap):  # type: ignore[no-untyped-def]
    """Write where ``met`` has the pattern of each tap: in its slot, or apart if this vector needs that for another."""
    taps_s = parts.size - taps_r
    for r in range(taps_r):
        for s in range(taps_s):
            tap, pattern = r * taps_s + s, parts[r] ^ parts[taps_r + s]
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
    stalls = np.int64(0)
    for b in range(w_from, w_to, f):
        for entry in range(b, min(b + f, w_to)):
            at = at_tap[w_tap[entry]] + w_way[entry]
            q0, q1, q2, q3 = q0 + met[at], q1 + met[at + 1], q2 + met[at + 2], q3 + met[at + 3]
        q0, q1, q2, q3 = retire(q0), retire(q1), retire(q2), retire(q3)
        while ((q0 + room) | (q1 + room) | (q2 + room) | (q3 + room)) & GUARDS:
            q0, q1, q2, q3 = retire(q0), retire(q1), retire(q2), retire(q3)
            stalls += 1
    queues[pe, 0], queues[pe, 1], queues[pe, 2], queues[pe, 3] = q0, q1, q2, q3
    return stalls


@kernel
def recall(fates, block, parts, queues, pe):  # type: ignore[no-untyped-def]
    """Return the place of a vector's fate (block, queues, queues afterwards, stalls, parts), negative if unknown."""
    key = np.int64(0)
    for i in range(parts.size):
        key = (key ^ parts[i]) * SCATTER
    at = (key >> 40) & (FATES - 1)
    known = fates[at, 0] == block
    for word in range(4):
        known &= fates[at, 1 + word] == queues[pe, word]
    for i in range(parts.size):
        known &= fates[at, 10 + i] == parts[i]
    if known:
        return at
    fates[at, 0] = block
    for word in range(4):
        fates[at, 1 + word] = queues[pe, word]
    for i in range(parts.size):
        fates[at, 10 + i] = parts[i]
    return at - FATES


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
    wide, taps_r, taps_s = layer.geometry[0], layer.geometry[1], layer.geometry[2]
    phases, pes, taps = layer.geometry[12], layer.mapped.shape[0], taps_r * taps_s
    # a placeholder among the weights has a tap of its own, which meets nothing
    w_tap = np.where(layer.w_at < 0, taps, layer.w_at // kernels)
    w_way = 4 * (layer.w_at % kernels & 7)
    tall = layer.a_at.max() // wide + 1 if layer.a_at.size else 0
    a_row, a_col = np.where(layer.a_at < 0, tall, layer.a_at // wide), layer.a_at % wide
    rows, cols = tap_banks(tall, layer)
    parts, fates = np.zeros(taps_r + taps_s, np.int64), np.full((FATES, 10 + taps_r + taps_s), -1)
    known, last_use = np.full(PATTERNS, -1), np.full(PATTERNS, -1)
    met = np.zeros(32 * (PATTERNS + 1 + taps), np.int64)
    at_tap = np.full(taps + 1, 32 * PATTERNS)
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
                    a_from, a_to = layer.a_first[a_block], layer.a_first[a_block + 1]
                    if not layer.mapped[pe] or a_from == a_to or w_from == w_to:
                        continue
                    worked[pe] = True
                    for a in range(a_from, a_to, array.i):
                        gather(a_row, a_col, a, min(array.i, a_to - a), rows, cols, parts)
                        at = recall(fates, block, parts, queues, pe)
                        if at < 0:
                            at += FATES
                            walked += 1
                            find_patterns(parts, taps_r, array.banks, known, last_use, walked, met, at_tap)
                            stalls = walk_weights(w_tap, w_way, w_from, w_to, array.f, room, at_tap, met, queues, pe)
                            for word in range(4):
                                fates[at, 5 + word] = queues[pe, word]
                            fates[at, 9] = stalls
                        for word in range(4):
                            queues[pe, word] = fates[at, 5 + word]
                        conflict += fates[at, 9]
                        now[pe] += fates[at, 9]
                    n = ((a_to - a_from + array.i - 1) // array.i) * ((w_to - w_from + array.f - 1) // array.f)
                    steps += n
                    now[pe] += n
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
