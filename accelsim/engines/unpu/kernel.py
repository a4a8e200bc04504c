"""The lookup-table units, round by round and plane by plane; sums are looked up, never multiplied."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def walk_tile(units, span, shape, with_values, x, w, out):  # type: ignore[no-untyped-def]
    """Walk one tile and return its counts in the order of `engine.Counts`.

    Parameters
    ----------
    units : Units
    span : tuple of int
        First index and extent of groups, n, e, f, k, c.
    shape : tuple of int
        Channels and filters per group, filter rows and columns, stride and dilation in rows and columns.
    with_values : bool
        Whether to look sums up.
    x : ndarray of int64, shape (n, c, h, w)
        Padded input.
    w : ndarray of int64, shape (2, k, channels per group, r, s)
        Masks of the planes that add and that subtract.
    out : ndarray of int64, shape (n, k, e, f)
    """
    g0, groups, n0, images, e0, rows, f0, cols, k0, filters, c0, channels = span
    fs = shape[3]
    m, terms = images * rows * cols, channels * shape[2] * fs
    tables = -(-terms // units.inputs)
    totals = np.zeros(7, dtype=np.int64)
    for g in range(g0, g0 + groups):
        for k in range(0, filters, units.outputs):
            ks = min(units.outputs, filters - k)
            for pixel in range(0, m, units.pixels):
                side = min(units.pixels, m - pixel)
                for table in range(0, tables, units.across):
                    across = min(units.across, tables - table)
                    covered = min(terms, (table + across) * units.inputs) - table * units.inputs
                    totals[0] += units.planes
                    totals[1] += side * ks * covered * units.planes
                    totals[2] += side * ks * across * units.planes
                    totals[3] += side * across
                    totals[4] += side * covered
                    totals[5] += ks * covered
                    if with_values:
                        for p in range(pixel, pixel + side):
                            at = (g, n0 + p // (rows * cols), e0 + p // cols % rows, f0 + p % cols, k0 + k, ks)
                            for t in range(table, table + across):
                                first = t * units.inputs
                                size = min(units.inputs, terms - first)
                                look_up(at, (c0, channels, first, size), shape, units.planes, x, w, out)
                totals[6] += side * ks
    return totals


@kernel
def look_up(at, part, shape, planes, x, w, out):  # type: ignore[no-untyped-def]
    """Build one table of up to ``size`` inputs and add what each plane of each filter finds in it."""
    g, n, e, f, k, ks = at
    c0, channels, first, size = part
    cg, kg, _, fs, stride_e, stride_f, dilation_r, dilation_s = shape
    table = np.zeros(1 << size, dtype=np.int64)
    place = np.zeros((size, 3), dtype=np.int64)
    for i in range(size):
        term = first + i
        c, r, s = c0 + term % channels, term // channels // fs, term // channels % fs
        place[i, 0], place[i, 1], place[i, 2] = c, r, s
        a = x[n, g * cg + c, e * stride_e + r * dilation_r, f * stride_f + s * dilation_s]
        for entry in range(1 << i):
            table[entry | (1 << i)] = table[entry] + a
    for q in range(ks):
        o = g * kg + k + q
        for plane in range(planes):
            add = subtract = 0
            for i in range(size):
                c, r, s = place[i, 0], place[i, 1], place[i, 2]
                add |= ((w[0, o, c, r, s] >> plane) & 1) << i
                subtract |= ((w[1, o, c, r, s] >> plane) & 1) << i
            out[n, o, e, f] += (table[add] - table[subtract]) << plane
