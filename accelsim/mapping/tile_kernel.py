"""How long a tile computes, in machine code: the closed forms of all engines that tile a nest, told apart by a row.

A form is a row of integers: the first says which closed form, the others are its constants for a layer (`PRODUCT`,
`STREAM`, `FOLDS`). A tile is ``g`` groups, ``m`` output pixels, ``k`` output and ``c`` input channels.
"""

from __future__ import annotations

from accelsim.jit import lean

PRODUCT, STREAM, FOLDS = 0, 1, 2
COLUMNS = 10
"""Those of `tile_forms`; here too, since the compiled code holds them."""

OS, WS, IS = 0, 1, 2


@lean
def ceil_div(a, b):  # type: ignore[no-untyped-def]
    """Return ``a / b`` rounded up, for ``a >= 0``."""
    return (a + b - 1) // b


GROUPS, PIXELS, OUTPUTS, INPUTS = range(4)
"""Axes of a tile."""


@lean
def share(form, axis, size):  # type: ignore[no-untyped-def]
    """Return into how many parts the units cut an axis of a tile: all that its cycles need of it beside its size."""
    if form[0] == PRODUCT:
        if axis == INPUTS:
            return max(1, ceil_div(ceil_div(size * form[6], form[7]), form[8]))
        return ceil_div(size, form[3 + axis])
    if form[0] != FOLDS:
        return ceil_div(size, form[1]) if axis == OUTPUTS else size
    flow = form[1]
    if axis == OUTPUTS:
        return size if flow == IS else ceil_div(size, form[3])
    if axis == PIXELS:
        return size if flow == WS else ceil_div(size, form[2] if flow == OS else form[3])
    return size if axis == GROUPS or flow == OS else ceil_div(size * form[5], form[2])


@lean
def tile_cycles(form, g, m, k, c):  # type: ignore[no-untyped-def]
    """Return the cycles of a tile.

    PRODUCT: start + scale ceil(g / groups) ceil(m / pixels) ceil(k / outputs) ceil(ceil(c taps / inputs) / shared);
    constants in the order start, scale, groups, pixels, outputs, taps, inputs, shared; with taps 0, channels do not
    matter.

    STREAM: one step after another is issued to ``units`` in turn and lasts ``step`` cycles: constants outputs, steps
    (of an output block), units, step.

    FOLDS: folds of a systolic array: constants flow, rows, cols, overlap, taps, tail, hold.
    """
    shares = (share(form, GROUPS, g), share(form, PIXELS, m), share(form, OUTPUTS, k), share(form, INPUTS, c))
    return shared_cycles(form, g, m, k, c, shares)


@lean
def shared_cycles(form, g, m, k, c, shares):  # type: ignore[no-untyped-def]
    """Return `tile_cycles`, the `share` of each axis being known."""
    if form[0] == PRODUCT:
        return form[1] + form[2] * shares[0] * shares[1] * shares[2] * shares[3]
    if form[0] != FOLDS:
        last = g * shares[2] * m * form[2] - 1
        units, step = form[3], form[4]
        return last + step if step <= units else last // units * step + last % units + step
    sr, sc, t = sides(form[1], m, k, c * form[5])
    row_folds, col_folds, _ = sides(form[1], shares[1], shares[2], shares[3])
    return fold_cycles(form[1], form[2], form[3], form[4], g, sr, sc, t, row_folds, col_folds, form[6], form[7])


@lean
def sides(flow, m, n, k):  # type: ignore[no-untyped-def]
    """Return the operand sizes along rows and columns of a systolic array, and the stream length."""
    if flow == OS:
        return m, n, k
    return (k, n, m) if flow == WS else (k, m, n)


@lean
def fold_cycles(flow, rows, cols, overlap, g, sr, sc, t, row_folds, col_folds, tail, hold):  # type: ignore[no-untyped-def]
    """Return the cycles of ``g`` products on a systolic array, from first word to last result: `sides` and folds.

    ``tail`` cycles follow the last multiplication of a fold, and the next one starts after ``hold`` cycles at least.
    """
    load = 0 if flow == OS else 1
    if not overlap:
        return g * row_folds * col_folds * (t - 2 + tail) + (1 + load) * g * sr * col_folds + g * sc * row_folds
    r_last, c_last = sr - (row_folds - 1) * rows, sc - (col_folds - 1) * cols
    slot_full, slot_last = max(t, rows * load, hold), max(t, r_last * load, hold)
    per_column = (row_folds - 1) * slot_full + slot_last
    last_start = min(sr, rows) * load + g * col_folds * per_column - (slot_full if row_folds > 1 else slot_last)
    # of each size of fold the youngest may drain last
    end = last_start + t + r_last + c_last - 2
    if row_folds > 1:
        end = max(end, last_start - slot_last + t + rows + c_last - 2)
    if col_folds > 1:
        end = max(end, last_start - per_column + t + r_last + cols - 2)
        if row_folds > 1:
            end = max(end, last_start - per_column - slot_last + t + rows + cols - 2)
    return end + tail


@lean
def least_cycles(form, g, m, k, c):  # type: ignore[no-untyped-def]
    """Return cycles that a tile takes at least, and that its parts take at least in sum, however it is cut.

    That is `tile_cycles` itself but for overlapped folds, where short ones may load in the shadow of others: what they
    stream and what they hold are bounds, and of what a tile pays once, what no cut can take away.
    """
    shares = (share(form, GROUPS, g), share(form, PIXELS, m), share(form, OUTPUTS, k), share(form, INPUTS, c))
    return least_shared(form, g, m, k, c, shares)


@lean
def least_shared(form, g, m, k, c, shares):  # type: ignore[no-untyped-def]
    """Return `least_cycles`, the `share` of each axis being known."""
    if form[0] != FOLDS or form[4] == 0:
        return shared_cycles(form, g, m, k, c, shares)
    flow, rows, cols = form[1], form[2], form[3]
    sr, sc, t = sides(flow, m, k, c * form[5])
    row_folds, col_folds, _ = sides(flow, shares[1], shares[2], shares[3])
    once = (sr if sr <= rows else 1) + (sc if sc <= cols else 1) - 2
    streamed = row_folds * t
    if flow == OS:
        return g * col_folds * streamed + once
    return g * col_folds * max(streamed, sr) + once + min(t, min(sr, rows))
