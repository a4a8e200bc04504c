"""The array, fold by fold and cycle by cycle. Ticks within a fold; skips whole cycles between folds."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

OS, WS, IS = 0, 1, 2


@kernel
def walk_tile(flow, rows, cols, overlap, m, n, k, with_values, a, b, out, tail=0, hold=0):  # type: ignore[no-untyped-def]
    """Walk one tile of ``g`` products and return its counts in the order of `tilecost.Counts`.

    Parameters
    ----------
    flow : int
        OS, WS or IS.
    rows, cols : int
        The array.
    overlap : bool
        Whether the next fold follows right behind.
    m, n, k : int
        Dimensions of each product.
    with_values : bool
        Whether to multiply; otherwise only the first dimension of ``a`` (the groups) is used.
    a, b, out : ndarray of int64
        (g, m, k), (g, k, n), (g, m, n); products are added to ``out`` in the order of the array.

    tail, hold : int
        Cycles from a fold's last multiplication to its last result, and from one fold to the next at least.

    Returns
    -------
    ndarray of int64, shape (10,)
    """
    groups = a.shape[0]
    if flow == OS:
        side_r, side_c, stream = m, n, k
    elif flow == WS:
        side_r, side_c, stream = k, n, m
    else:
        side_r, side_c, stream = k, m, n
    work = fill = starved = left = top = held = hops = results = np.int64(0)
    start = end = np.int64(0)
    first = True
    r_last = c_last = np.int64(0)
    for g in range(groups):
        for col0 in range(0, side_c, cols):
            for row0 in range(0, side_r, rows):
                r, c = min(rows, side_r - row0), min(cols, side_c - col0)
                load = np.int64(0)
                if flow != OS:
                    load = np.int64(r)
                    held += r * c
                    for i in range(r):
                        hops += (i + 1) * c
                if not overlap:
                    start = end + load
                    fill += r * c * (load + r + c - 2 + tail)
                elif first:
                    start = load
                    for i in range(r):
                        for j in range(c):
                            fill += load + i + j
                else:
                    slot = max(stream, load, hold)
                    starved += r * c * (slot - stream)
                    start += slot
                first = False
                r_last, c_last = np.int64(r), np.int64(c)
                for tick in range(stream + r + c - 2):
                    for i in range(r):
                        j_low, j_high = max(0, tick - i - stream + 1), min(c - 1, tick - i)
                        if j_high < j_low:
                            continue
                        active = j_high - j_low + 1
                        work += active
                        if j_low == 0 and tick - i < stream:
                            left += 1
                        if flow == OS:
                            if i == 0:
                                top += active
                            if 0 <= tick - i - stream + 1 < c:
                                results += 1
                        elif i == r - 1:
                            results += active
                        if with_values:
                            for j in range(j_low, j_high + 1):
                                x = tick - i - j
                                if flow == OS:
                                    out[g, row0 + i, col0 + j] += a[g, row0 + i, x] * b[g, x, col0 + j]
                                elif flow == WS:
                                    out[g, x, col0 + j] += a[g, x, row0 + i] * b[g, row0 + i, col0 + j]
                                else:
                                    out[g, col0 + j, x] += a[g, col0 + j, row0 + i] * b[g, row0 + i, x]
                end = max(end, start + stream + r + c - 2 + tail)
    if overlap:
        left_over = end - start - stream
        for i in range(r_last):
            for j in range(c_last):
                fill += left_over - i - j
    counts = np.zeros(10, dtype=np.int64)
    counts[0], counts[1], counts[2], counts[3] = end, work, fill, starved
    counts[4] = rows * cols * end - work - fill - starved
    counts[5], counts[6], counts[7], counts[8], counts[9] = left, top, held, hops, results
    return counts
