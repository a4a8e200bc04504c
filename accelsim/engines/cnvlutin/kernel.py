"""The lanes, window by window and brick by brick. Nothing arbitrates: a lane's time is the sum over its bricks."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def walk_windows(nonzeros, numbers, skips, with_values, x, w, out):  # type: ignore[no-untyped-def]
    """Walk the windows of one image and group.

    Parameters
    ----------
    nonzeros : ndarray of int64, shape (bricks, h, w)
    numbers : ndarray of int64, shape (13,)
        channels, r, s, e, f, strides, pads, dilations, lanes, filters.
    skips, with_values : bool
    x, w, out : ndarray of int64
        (c, h, w), (k, c, r, s), (k, e, f) of this image and group; products are added to ``out`` lane by lane.

    Returns
    -------
    ndarray of int64, shape (5,)
        In the order of `Counts`.
    """
    channels, r_size, s_size, e_size, f_size, sy, sx, py, px, dy, dx, lanes, kernels = numbers
    bricks, height, width = nonzeros.shape
    share = (channels + lanes - 1) // lanes
    cycles = busy = empty = waiting = reads = np.int64(0)
    lane = np.zeros(lanes, np.int64)
    for e in range(e_size):
        for f in range(f_size):
            lane[:] = 0
            index = np.int64(0)
            for r in range(r_size):
                for s in range(s_size):
                    y, col = e * sy + r * dy - py, f * sx + s * dx - px
                    inside = y >= 0 and y < height and col >= 0 and col < width
                    if inside:
                        reads += bricks
                    if skips:
                        for b in range(bricks):
                            found = nonzeros[b, y, col] if inside else np.int64(0)
                            lane[index] += max(found, 1)
                            busy += found
                            empty += found == 0
                            index += 1
                            if index == lanes:
                                index = np.int64(0)
                    else:
                        for i in range(lanes):
                            lane[i] += share
                        busy += channels
                    if with_values and inside:
                        for c in range(channels):
                            if skips and x[c, y, col] == 0:
                                continue
                            for k in range(kernels):
                                out[k, e, f] += x[c, y, col] * w[k, c, r, s]
            slowest = spent = np.int64(0)
            for i in range(lanes):
                slowest = max(slowest, lane[i])
                spent += lane[i]
            cycles += slowest
            waiting += slowest * lanes - spent
    return np.array([cycles, busy, empty, waiting, reads])
