"""Passes one after another; in each the streams of all PEs, and the words that routers carry. Nothing arbitrates.

Decision 0102 gives the recursion of a PE's two stages and its example.
"""

from __future__ import annotations

from accelsim.engines.eyeriss_v2 import kernel_counts as count
from accelsim.jit import kernel


@kernel
def stream(shape, dense, simd, block, pixels, mask, entries, with_values, x, w, out, counts):  # type: ignore[no-untyped-def]
    """Stream positions through one PE; return the cycle in which its weight stage and its fetch are done.

    Parameters
    ----------
    shape : Shape
    dense : bool
        Whether every input is fetched.
    simd : int
        Multipliers.
    block : tuple of int
        Group, filter row, first and last + 1 channel of the group, first and last + 1 output of the group.
    pixels : tuple of int
        First and last + 1 position.
    mask : ndarray of bool, shape (n, h, w, channels)
    entries : ndarray of int64, shape (s, channels of a group)
        Pairs of each column of this block and filter row.
    with_values : bool
    x, w, out : ndarray of int64
        (n, h, w, channels), (k, c, r, s), (n, k, e, f); products are added to ``out``.
    counts : ndarray of int64, shape (COUNTS,)
    """
    g, r, c_from, c_to, k_from, k_to = block
    if dense and not with_values:  # nothing waits behind the first input
        taps = (pixels[1] - pixels[0]) * shape.s * (c_to - c_from)
        cycles = taps * ((k_to - k_from + simd - 1) // simd)
        counts[count.FETCHED] += taps
        counts[count.WAITED] += 1
        counts[count.WORK] += cycles
        counts[count.PRODUCTS] += taps * (k_to - k_from)
        return cycles + 1
    last, fed, end = -1, 0, 0  # fetch of the input before, when it left for the weight stage, when that is free
    for position in range(pixels[0], pixels[1]):
        n, e, f = position // (shape.e * shape.f), position // shape.f % shape.e, position % shape.f
        y = e * shape.sy + r * shape.dy - shape.top
        for s in range(shape.s):
            col = f * shape.sx + s * shape.dx - shape.left
            inside = 0 <= y < shape.h and 0 <= col < shape.w
            if not dense and not inside:
                continue
            for c in range(c_from, c_to):
                channel = g * shape.c + c
                if not dense and not mask[n, y, col, channel]:
                    continue
                counts[count.FETCHED] += 1
                last = max(last + 1, fed)
                pairs = k_to - k_from if dense else entries[s, c]
                if pairs == 0:
                    continue
                fed = max(last + 1, end)
                counts[count.WAITED] += fed - end
                cost = (pairs + simd - 1) // simd
                end = fed + cost
                counts[count.WORK] += cost
                counts[count.PRODUCTS] += pairs
                if with_values and inside:
                    for k in range(g * shape.k + k_from, g * shape.k + k_to):
                        out[n, k, e, f] += x[n, y, col, channel] * w[k, c, r, s]
    counts[count.WAITED] += max(end, last + 1) - end
    return max(end, last + 1)


@kernel
def union(shape, pieces, groups, strips, cut, band, parts, seen, stamp, found):  # type: ignore[no-untyped-def]
    """Return the words that some PEs need together, each once, and the next free stamp.

    Parameters
    ----------
    pieces, groups, strips : tuple of int
        First and last + 1 of each that the PEs have.
    cut : Cut
    band : int
    parts : int
        Runs of positions over the whole array.
    seen : ndarray of int64, shape (n, h, w)
        The stamp with which a pixel was last seen.
    found : ndarray of int64, shape (groups, chunks, n, h, w)
        Words of each pixel.
    """
    words = 0
    total = shape.n * shape.e * shape.f
    for chunk in range(pieces[0] // shape.r, (pieces[1] - 1) // shape.r + 1):
        stamp += 1
        for r in range(max(0, pieces[0] - chunk * shape.r), min(shape.r, pieces[1] - chunk * shape.r)):
            for t in range(strips[0], strips[1]):
                start = total * t // parts + band * cut.band
                for position in range(start, min(start + cut.band, total * (t + 1) // parts)):
                    n, e, f = position // (shape.e * shape.f), position // shape.f % shape.e, position % shape.f
                    y = e * shape.sy + r * shape.dy - shape.top
                    for s in range(shape.s):
                        col = f * shape.sx + s * shape.dx - shape.left
                        if 0 <= y < shape.h and 0 <= col < shape.w and seen[n, y, col] != stamp:
                            seen[n, y, col] = stamp
                            for g in range(groups[0], groups[1]):
                                words += found[g, chunk, n, y, col]
    return words, stamp


@kernel
def walk(shape, cut, array, mask, entries, pairs, found, with_values, x, w, out, seen, counts, cycles):  # type: ignore[no-untyped-def]
    """Walk all passes.

    Parameters
    ----------
    shape, cut, array : Shape, Cut, Array
    mask : ndarray of bool, shape (n, h, w, channels)
    entries : ndarray of int64, shape (groups, blocks, r, s, channels of a group)
        Pairs of each column that are multiplied.
    pairs : ndarray of int64, shape (groups, blocks, chunks, r)
        Words of weights of a PE.
    found, seen, with_values, x, w, out
        As in `stream` and `union`.
    counts : ndarray of int64, shape (COUNTS,)
    cycles : ndarray of int64, shape (group steps, block steps)
    """
    rows, cols = array.rows, array.cols
    over_m = cols if cut.columns == count.BLOCKS else 1
    over_g = cols if cut.columns == count.GROUPS else 1
    over_t = cols if cut.columns == count.POSITIONS else 1
    q_at, m_at, g_at, parts = rows * cut.kq, over_m * cut.km, over_g * cut.kg, over_t * cut.kt
    pieces, blocks, total = pairs.shape[2] * shape.r, entries.shape[1], shape.n * shape.e * shape.f
    bands = ((total + parts - 1) // parts + cut.band - 1) // cut.band
    q_steps = (pieces + q_at - 1) // q_at
    # the PEs that share a router: a cluster, or all; of weights a row of PEs, or all
    q_size, g_size, t_size = (q_at, g_at, parts) if array.flat else (rows, over_g, over_t)
    pes = rows * cols * cut.kq * cut.km * cut.kg * cut.kt
    stamp = 0
    for g0 in range(0, shape.groups, g_at):
        for m0 in range(0, blocks, m_at):
            for band in range(bands):
                for q0 in range(0, q_steps * q_at, q_at):
                    q1, m1, g1 = min(q0 + q_at, pieces), min(m0 + m_at, blocks), min(g0 + g_at, shape.groups)
                    slowest = ran = psums = most_psums = 0
                    before = counts[count.WORK] + counts[count.WAITED]
                    for t in range(parts):
                        start = total * t // parts + band * cut.band
                        stop = min(start + cut.band, total * (t + 1) // parts)
                        if start >= stop:
                            continue
                        for g in range(g0, g1):
                            for m in range(m0, m1):
                                k_from, k_to = m * cut.m0, min((m + 1) * cut.m0, shape.k)
                                moved = (stop - start) * (k_to - k_from)
                                psums += moved
                                most_psums = max(most_psums, moved)
                                for q in range(q0, q1):
                                    chunk, r = q // shape.r, q % shape.r
                                    c_from, c_to = chunk * cut.c0, min((chunk + 1) * cut.c0, shape.c)
                                    ran += 1
                                    counts[count.PE_WEIGHTS] += pairs[g, m, chunk, r]
                                    counts[count.PSUM_HOPS] += moved
                                    words, stamp = union(
                                        shape, (q, q + 1), (g, g + 1), (t, t + 1), cut, band, parts, seen, stamp, found
                                    )
                                    counts[count.PE_INPUTS] += words
                                    slowest = max(slowest, stream(
                                        shape, array.dense, array.simd, (g, r, c_from, c_to, k_from, k_to),
                                        (start, stop), mask, entries[g, m, r], with_values, x, w, out, counts,
                                    ))  # fmt: skip
                    worked = counts[count.WORK] + counts[count.WAITED] - before
                    # inputs: clusters over blocks share theirs
                    most_inputs = 0
                    for q in range(q0, q1, q_size):
                        for g in range(g0, g1, g_size):
                            for t in range(0, parts, t_size):
                                words, stamp = union(
                                    shape, (q, min(q + q_size, q1)), (g, min(g + g_size, g1)), (t, t + t_size), cut,
                                    band, parts, seen, stamp, found,
                                )  # fmt: skip
                                most_inputs = max(most_inputs, words)
                                counts[count.BUFFER_READS] += words
                                sharing = 1 if array.flat else (m1 - m0 + over_m - 1) // over_m
                                counts[count.DELIVERED] += words * sharing
                    # weights: clusters over positions share theirs
                    most_weights = loaded = 0
                    for g in range(g0, g1, over_g):
                        for m in range(m0, m1, over_m):
                            for q in range(q0, q1):
                                words = 0
                                for gi in range(g, min(g + over_g, g1)):
                                    for mi in range(m, min(m + over_m, m1)):
                                        words += pairs[gi, mi, q // shape.r, q % shape.r]
                                most_weights = max(most_weights, words)
                                loaded += words
                    if array.flat:
                        most_weights, most_psums = loaded, psums
                    holding = 0  # routers with positions behind them
                    for first in range(0, parts, t_size):
                        busy = False
                        for t in range(first, first + t_size):
                            busy = busy or total * t // parts + band * cut.band < total * (t + 1) // parts
                        holding += busy
                    counts[count.WEIGHTS_DELIVERED] += loaded * holding
                    share = (most_inputs + array.input_routers - 1) // array.input_routers
                    load = (most_weights + array.port - 1) // array.port
                    inputs = (share + array.port - 1) // array.port
                    moving = (most_psums + array.psums - 1) // array.psums
                    computing = slowest + array.stages
                    taken = max(computing, inputs, moving)
                    cycles[g0 // g_at, m0 // m_at] += load + taken
                    counts[count.RAN] += ran
                    counts[count.LOADING] += ran * load
                    counts[count.SLACK] += ran * slowest - worked
                    counts[count.CONFLICT if moving > inputs else count.STARVED] += ran * (taken - computing)
                    counts[count.ABSENT] += (pes - ran) * (load + taken)
                    counts[count.PSUMS_KEPT] += psums if q0 + q_at < q_steps * q_at else 0
                    counts[count.PSUMS_BACK] += psums if q0 > 0 else 0
                    counts[count.PASSES] += 1
                    counts[count.MOST_INPUTS] = max(counts[count.MOST_INPUTS], share)
                    counts[count.MOST_WEIGHTS] = max(counts[count.MOST_WEIGHTS], most_weights)
                    counts[count.MOST_PSUMS] = max(counts[count.MOST_PSUMS], most_psums)
