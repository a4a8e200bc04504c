"""The unit, cycle by cycle."""

from accelsim.jit import kernel
from accelsim.whole.take_kernel import take


@kernel
def walk(sizes, lanes, op, with_values, window, groups, x, w, out):  # type: ignore[no-untyped-def]
    """Return (cycles, products) of a layer; with values, add the products to ``out``.

    Parameters
    ----------
    sizes : tuple of int
        n, k, e, f, channels of a group, r, s.
    lanes : int
    op, with_values, window, groups, x, w, out
        As in `take`.
    """
    n, k, e, f, channels, r, s = sizes
    cycles = products = 0
    for row in range(n * e * f):
        for column in range(k):
            pixel = (row // (e * f), column, row // f % e, row % f)
            for first in range(0, channels * r * s, lanes):
                cycles += 1
                for i in range(first, min(first + lanes, channels * r * s)):
                    products += 1
                    take(pixel, (i // (r * s), i // s % r, i % s), op, with_values, window, groups, x, w, out)
    return cycles, products
