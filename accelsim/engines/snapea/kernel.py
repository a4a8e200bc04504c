"""Windows walked weight by weight to where they stop. Nothing arbitrates: a PE adds the times of its groups."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def walk_kernels(columns, order, w, stops, lanes, first, now, out):  # type: ignore[no-untyped-def]
    """Walk the windows of one image and convolution group.

    Parameters
    ----------
    columns : ndarray of int64, shape (windows, length)
    order : ndarray of int64, shape (k, length)
        Places of each kernel's weights, negative ones last.
    w : ndarray of int64, shape (k, length)
    stops : bool
    lanes : int
    first : int
        Number of the first group of windows.
    now : ndarray of int64, shape (PEs,)
        Time of each PE, advanced.
    out : ndarray of int64, shape (k, windows)
        Written: what is left after the ReLU.

    Returns
    -------
    ndarray of int64, shape (5,)
        busy, zero, waiting, missing, group cycles: see `Counts`.
    """
    sums = np.zeros(5, np.int64)
    group = np.int64(first)
    windows, length = columns.shape
    for k in range(w.shape[0]):
        for start in range(0, windows, lanes):
            end = min(start + lanes, windows)
            longest = total = np.int64(0)
            for window in range(start, end):
                value = done = np.int64(0)
                for i in range(length):
                    place = order[k, i]
                    a, b = columns[window, place], w[k, place]
                    value += a * b
                    done += 1
                    sums[0 if a != 0 and b != 0 else 1] += 1
                    if stops and value < 0:
                        break
                out[k, window] = max(value, 0)
                longest = max(longest, done)
                total += done
            now[group % now.shape[0]] += longest
            sums[2] += longest * (end - start) - total
            sums[3] += longest * (lanes - end + start)
            sums[4] += longest
            group += 1
    return sums
