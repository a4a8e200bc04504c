"""The unit, block of the matrix by block."""

import numpy as np

from accelsim.jit import kernel, lean
from accelsim.whole.take_kernel import PRODUCT, take


@kernel
def walk(sizes, block, binary, op, with_values, window, groups, x, w, out):  # type: ignore[no-untyped-def]
    """Return (cycles, inputs read, sums added up) of a layer; with values, compute it into ``out``.

    Parameters
    ----------
    sizes : tuple of int
        n, k, e, f, channels of a group, r, s.
    block : tuple
        Rows and columns at once, and whether columns go by windows of one channel.
    binary : bool
        Whether all operands are -1 or 1, so that equal bits are counted.
    op, with_values, window, groups, x, w, out
        As in `take`.
    """
    n, k, e_size, f_size, channels, r_size, s_size = sizes
    at_once, simd, by_window = block
    matrices, taps = groups if op == PRODUCT else 1, r_size * s_size
    rows, span = k // matrices, taps if by_window else channels * taps
    cycles = inputs = sums = 0
    for image, matrix, e, f in np.ndindex(n, matrices, e_size, f_size):
        for first in range(matrix * rows, (matrix + 1) * rows, at_once):
            filters = min(at_once, (matrix + 1) * rows - first)
            for begin in range(0, channels * taps, span):
                for column in range(begin, begin + span, simd):
                    places = min(simd, begin + span - column)
                    cycles += 1
                    inputs += places if op == PRODUCT else places * filters
                    sums += filters if op == PRODUCT else 0
                    for row in range(first, first + filters if with_values else first):
                        pixel, met, equal = (image, row, e, f), 0, 0
                        for i in range(column, column + places):
                            channel, at = (i // taps, i % taps) if by_window else (i % channels, i // channels)
                            tap = (channel, at // s_size, at % s_size)
                            if binary:
                                inside, same = xnor(pixel, tap, window, groups, x, w, out.shape[1])
                                met, equal = met + inside, equal + same
                            else:
                                take(pixel, tap, op, with_values, window, groups, x, w, out)
                        out[image, row, e, f] += 2 * equal - met
    return cycles, inputs, sums


@lean
def xnor(pixel, tap, window, groups, x, w, k_size):  # type: ignore[no-untyped-def]
    """Return 1 of a place inside the image, else 0, and whether input and weight there have the same bit."""
    (n, k, e, f), (c, r, s) = pixel, tap
    row = e * window[0] + r * window[2] - window[4]
    col = f * window[1] + s * window[3] - window[5]
    if not (0 <= row < x.shape[2] and 0 <= col < x.shape[3]):
        return 0, 0
    bit = x[n, k // (k_size // groups) * (x.shape[1] // groups) + c, row, col] > 0
    return 1, int(bit == (w[k, c, r, s] > 0))
