"""The PEs, block by block and cycle by cycle."""

import numpy as np

from accelsim.jit import kernel
from accelsim.whole.take_kernel import PRODUCT, take


@kernel
def walk(sizes, array, near, op, with_values, window, groups, x, w, out):  # type: ignore[no-untyped-def]
    """Return (cycles, words of NBin, words of SB) of a layer; with values, compute it into ``out``.

    Parameters
    ----------
    sizes : tuple of int
        n, k, e, f, channels of a group, r, s.
    array : tuple of int
        Rows and columns of PEs.
    near : tuple of int
        First rows and columns of a kernel whose inputs all PEs take from NBin; later ones come from neighbours.
    op, with_values, window, groups, x, w, out
        As in `take`.
    """
    n, k, e_size, f_size, channels, r_size, s_size = sizes
    maps = k // groups
    at_once = min(maps, array[0] * array[1]) if e_size * f_size == 1 else 1
    cycles = inputs = weights = 0
    for image, group in np.ndindex(n, groups):
        for first in range(group * maps, (group + 1) * maps, at_once):
            filters = min(at_once, (group + 1) * maps - first)
            for top in range(0, e_size, array[0]):
                for left in range(0, f_size, array[1]):
                    rows, cols = min(array[0], e_size - top), min(array[1], f_size - left)
                    for i in range(channels * r_size * s_size):
                        tap = (i // (r_size * s_size), i // s_size % r_size, i % s_size)
                        cycles += 1
                        inputs += (rows if tap[1] < near[0] else 1) * (cols if tap[2] < near[1] else 1)
                        weights += filters if op == PRODUCT else 0
                        for pe in range(filters * rows * cols if with_values else 0):
                            at = (image, first + pe // (rows * cols), top + pe // cols % rows, left + pe % cols)
                            take(at, tap, op, with_values, window, groups, x, w, out)
    return cycles, inputs, weights
