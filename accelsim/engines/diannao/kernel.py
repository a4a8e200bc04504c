"""The functional unit cycle by cycle: a row of inputs, a row of synapses, as many adder trees as outputs."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def walk_tile(unit, span, shape, with_values, x, w, out):  # type: ignore[no-untyped-def]
    """Walk one tile and return its counts in the order of `engine.Counts`.

    Parameters
    ----------
    unit : Nfu, (outputs, inputs)
    span : tuple of int
        First index and extent of groups, n, e, f, k, c.
    shape : tuple of int
        Channels and filters per group, filter rows and columns, stride and dilation in rows and columns.
    with_values : bool
        Whether to multiply.
    x : ndarray of int64, shape (n, c, h, w)
        Padded input.
    w : ndarray of int64, shape (k, channels per group, r, s)
    out : ndarray of int64, shape (n, k, e, f)
    """
    tn, ti = unit
    g0, groups, n0, images, e0, rows, f0, cols, k0, filters, c0, channels = span
    cg, kg, rs, ss, stride_e, stride_f, dilation_r, dilation_s = shape
    totals = np.zeros(4, dtype=np.int64)
    for g in range(g0, g0 + groups):
        for k in range(k0, k0 + filters, tn):
            ks = min(tn, k0 + filters - k)
            for pixel in range(images * rows * cols):
                n = n0 + pixel // (rows * cols)
                e, f = e0 + pixel // cols % rows, f0 + pixel % cols
                for tap in range(rs * ss):
                    r, s = tap // ss, tap % ss
                    for c in range(c0, c0 + channels, ti):
                        cs = min(ti, c0 + channels - c)
                        totals[0] += 1
                        totals[1] += ks * cs
                        totals[2] += cs
                        if with_values:
                            h, v = e * stride_e + r * dilation_r, f * stride_f + s * dilation_s
                            for o in range(g * kg + k, g * kg + k + ks):
                                for i in range(c, c + cs):
                                    out[n, o, e, f] += x[n, g * cg + i, h, v] * w[o, i, r, s]
                totals[3] += ks
    return totals
