"""The fusion array, word by word; products are made brick by brick. Skips the wavefront's cycles between words."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def fused_product(a, w, a_width, w_width, brick, a_signed, w_signed):  # type: ignore[no-untyped-def]
    """Return a product as the sum of the bricks' products of digits, each shifted to its place."""
    total = np.int64(0)
    mask = (np.int64(1) << brick) - 1
    for i in range(a_width // brick):
        x = (a >> (brick * i)) & mask
        if a_signed and i == a_width // brick - 1 and x > mask >> 1:
            x -= mask + 1
        for j in range(w_width // brick):
            y = (w >> (brick * j)) & mask
            if w_signed and j == w_width // brick - 1 and y > mask >> 1:
                y -= mask + 1
            total += (x * y) << (brick * (i + j))
    return total


@kernel
def walk_tile(array, span, shape, with_values, coding, x, w, out):  # type: ignore[no-untyped-def]
    """Walk the words of one tile and return its counts in the order of `Counts`.

    Parameters
    ----------
    array : Fused
    span : tuple of int
        First index and extent of groups, n, e, f, k, c.
    shape : tuple of int
        Channels and filters per group, filter rows and columns, stride and dilation in rows and columns.
    with_values : bool
        Whether to multiply.
    coding : tuple
        Widths of activation, weight and brick; whether activation and weight are signed.
    x, w : ndarray of int64
        Padded input (n, c, h, w) and weights (k, channels per group, r, s).
    out : ndarray of int64, shape (n, k, e, f)
    """
    g0, groups, n0, images, e0, rows, f0, cols, k0, filters, c0, channels = span
    fr, fs = shape[2], shape[3]
    taps, m = fr * fs, images * rows * cols
    blocks = -(-filters // array.cols)
    per_tap = taps * channels if array.packed else channels
    chunks = -(-per_tap // array.lanes)
    depth = chunks if array.packed else chunks * taps
    totals = np.zeros(8, dtype=np.int64)
    units = array.rows * array.cols * array.unit_bricks
    if array.inner == 0:
        outer, middle, last = m, depth, blocks
    elif array.inner == 1:
        outer, middle, last = blocks, m, depth
    else:
        outer, middle, last = blocks, depth, m
    for g in range(g0, g0 + groups):
        seen_input = seen_weight = seen_sum = np.int64(-1)
        for i in range(outer):
            for j in range(middle):
                for at in range(last):
                    if array.inner == 0:
                        pixel, deep, block = i, j, at
                    elif array.inner == 1:
                        block, pixel, deep = i, j, at
                    else:
                        block, deep, pixel = i, j, at
                    first = deep % chunks * array.lanes
                    lanes = min(array.lanes, per_tap - first)
                    ks = min(array.cols, filters - block * array.cols)
                    totals[0] += array.passes
                    totals[1] += lanes * ks * array.bricks * array.passes
                    totals[2] += (units - lanes * ks * array.bricks) * array.passes
                    totals[4] += -(-lanes // array.products) * ks * array.passes
                    if pixel * depth + deep != seen_input:
                        seen_input = pixel * depth + deep
                        totals[5] += lanes
                    if block * depth + deep != seen_weight:
                        seen_weight = block * depth + deep
                        totals[6] += lanes * ks
                    if block * m + pixel != seen_sum:
                        seen_sum = block * m + pixel
                        totals[7] += ks
                    if with_values:
                        tap = 0 if array.packed else deep // chunks
                        place = (
                            g, n0 + pixel // (rows * cols), e0 + pixel // cols % rows, f0 + pixel % cols,
                            k0 + block * array.cols, ks, c0, channels, tap, first, lanes,
                        )  # fmt: skip
                        multiply(array.packed, place, shape, coding, x, w, out)
    ramp = array.rows + array.cols - 1
    totals[0] += ramp
    totals[3] = ramp * units
    return totals


@kernel
def multiply(packed, place, shape, coding, x, w, out):  # type: ignore[no-untyped-def]
    """Add one word's products to the outputs of its pixel."""
    g, n, e, f, k, ks, c0, channels, tap, first, lanes = place
    cg, kg, _, fs, stride_e, stride_f, dilation_r, dilation_s = shape
    a_width, w_width, brick, a_signed, w_signed = coding
    for lane in range(first, first + lanes):
        c = c0 + (lane % channels if packed else lane)
        at = lane // channels if packed else tap
        r, s = at // fs, at % fs
        a = x[n, g * cg + c, e * stride_e + r * dilation_r, f * stride_f + s * dilation_s]
        for q in range(ks):
            o = g * kg + k + q
            out[n, o, e, f] += fused_product(a, w[o, c, r, s], a_width, w_width, brick, a_signed, w_signed)
