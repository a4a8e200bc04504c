"""What a unit does with an input."""

from __future__ import annotations

from accelsim.jit import lean

PRODUCT, MAX, MIN = range(3)
"""The first of `engine.OPS`; the others add."""


@lean
def take(pixel, tap, op, with_values, window, groups, x, w, out):  # type: ignore[no-untyped-def]
    """Multiply an input with its weight and add the product to an output, or pool it; nothing happens in the padding.

    Parameters
    ----------
    pixel : tuple of int
        Image, channel, row and column of the output.
    tap : tuple of int
        Channel of the group, row and column of the filter.
    op : int
        Place in `engine.OPS`.
    with_values : bool
        Whether to do anything.
    window : tuple of int
        Stride, dilation and leading padding, each in rows and in columns.
    groups : int
    x : ndarray of int64, shape (n, c, h, w)
    w : ndarray of int64, shape (k, c / groups, r, s)
        Empty where nothing is multiplied.
    out : ndarray of int64, shape (n, k, e, f)
        Maxima and minima begin with what it holds.
    """
    if not with_values:
        return
    (n, k, e, f), (c, r, s) = pixel, tap
    row = e * window[0] + r * window[2] - window[4]
    col = f * window[1] + s * window[3] - window[5]
    if 0 <= row < x.shape[2] and 0 <= col < x.shape[3]:
        value = x[n, k // (out.shape[1] // groups) * (x.shape[1] // groups) + c, row, col]
        if op == PRODUCT:
            out[n, k, e, f] += value * w[k, c, r, s]
        elif op == MAX:
            out[n, k, e, f] = max(out[n, k, e, f], value)
        elif op == MIN:
            out[n, k, e, f] = min(out[n, k, e, f], value)
        else:
            out[n, k, e, f] += value
