"""The dense walk: all PEs in step, a dot product per PE and cycle. Nothing arbitrates: without values, tiles count."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def walk_tile(rows, cols, kernels, kc, taps, lanes, with_values, columns, w, out):  # type: ignore[no-untyped-def]
    """Walk a PE's tile of one image and convolution group; return (dot products, products).

    Parameters
    ----------
    rows, cols : int
        Outputs of the tile.
    kernels, kc : int
        Output channels, and how many share an input vector.
    taps : int
        Length of the reduction, (channel, tap) flattened.
    lanes : int
    with_values : bool
    columns, w, out : ndarray of int64
        (rows * cols, taps), (kernels, taps), (kernels, rows * cols); dot products are added to ``out``.
    """
    dots = products = np.int64(0)
    for k0 in range(0, kernels, kc):
        k1 = min(k0 + kc, kernels)
        for t0 in range(0, taps, lanes):
            t1 = min(t0 + lanes, taps)
            dots += rows * cols * (k1 - k0)
            products += rows * cols * (k1 - k0) * (t1 - t0)
            if not with_values:
                continue
            for pixel in range(rows * cols):
                for k in range(k0, k1):
                    total = np.int64(0)
                    for t in range(t0, t1):
                        total += columns[pixel, t] * w[k, t]
                    out[k, pixel] += total
    return dots, products
