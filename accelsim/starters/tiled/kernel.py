"""The row of multipliers, cycle by cycle."""

import numpy as np

from accelsim.jit import kernel


@kernel
def walk_tile(outputs, span, shape, with_values, x, w, out):  # type: ignore[no-untyped-def]
    """Walk one tile and return its counts in the order of `engine.Counts`; with values, add the products to ``out``.

    Parameters
    ----------
    outputs : int
        Multipliers.
    span : tuple of int
        First index and extent of groups, n, e, f, k, c.
    shape : tuple of int
        Channels and filters per group, filter rows and columns, stride and dilation in rows and columns.
    x : ndarray of int64, shape (n, c, h, w)
        Padded input.
    w : ndarray of int64, shape (k, channels per group, r, s)
    out : ndarray of int64, shape (n, k, e, f)
    """
    g0, groups, n0, images, e0, rows, f0, cols, k0, filters, c0, channels = span
    cg, kg, taps_r, taps_s, stride_e, stride_f, dilation_r, dilation_s = shape
    counts = np.zeros(4, dtype=np.int64)
    for g in range(g0, g0 + groups):
        for first in range(k0, k0 + filters, outputs):
            last = min(first + outputs, k0 + filters)
            for pixel in range(images * rows * cols):
                n, e, f = n0 + pixel // (rows * cols), e0 + pixel // cols % rows, f0 + pixel % cols
                for tap in range(taps_r * taps_s):
                    r, s = tap // taps_s, tap % taps_s
                    for c in range(c0, c0 + channels):
                        counts[0] += 1
                        counts[1] += last - first
                        counts[2] += 1
                        if with_values:
                            a = x[n, g * cg + c, e * stride_e + r * dilation_r, f * stride_f + s * dilation_s]
                            for k in range(g * kg + first, g * kg + last):
                                out[n, k, e, f] += a * w[k, c, r, s]
                counts[3] += last - first
    return counts
