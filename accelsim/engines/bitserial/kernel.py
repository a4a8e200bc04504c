"""The grid, set by set and step by step. Ticks within a step where bits are chased; skips whole cycles elsewhere."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

WIDTH, SHIFT, PAIRS = 1, 2, 3
WINDOWS, STEPS, FILTERS = 0, 1, 2


@kernel
def split(tap, rows, columns):  # type: ignore[no-untyped-def]
    """Return channel, row and column of a tap: two divisions, which take most of a step."""
    channel, row = tap // (rows * columns), tap // columns
    return channel, row - channel * rows, tap - row * columns


@kernel
def shift_cycles(masks, count, reach):  # type: ignore[no-untyped-def]
    """Return the cycles in which two-stage shifters use up the set bits of ``masks[:count]``; clears them.

    In a cycle every lane whose lowest bit lies less than ``reach`` above the lowest of all lanes uses it.
    """
    cycles = 0
    while True:
        lowest = np.int64(0)
        for i in range(count):
            bit = masks[i] & -masks[i]
            if bit and (lowest == 0 or bit < lowest):
                lowest = bit
        if lowest == 0:
            return cycles
        for i in range(count):
            if masks[i] & -masks[i] < lowest << reach:
                masks[i] &= masks[i] - 1
        cycles += 1


@kernel
def popcount(mask):  # type: ignore[no-untyped-def]
    """Return the set bits of a non-negative number."""
    count = 0
    while mask:
        mask &= mask - 1
        count += 1
    return count


@kernel
def product(x_plus, x_minus, w_plus, w_minus, x_whole, w_whole):  # type: ignore[no-untyped-def]
    """Return a product as the lanes form it: the sum over the terms of the operands that pass serially."""
    total = np.int64(0)
    a = x_plus | x_minus
    if x_whole:
        return (x_plus - x_minus) * (w_plus - w_minus)
    while a:
        low = a & -a
        shifted = np.int64(0)
        if w_whole:
            shifted = (w_plus - w_minus) * low
        else:
            b = w_plus | w_minus
            while b:
                bit = b & -b
                shifted += bit * low if w_plus & bit else -(bit * low)
                b &= b - 1
        total += shifted if x_plus & low else -shifted
        a &= a - 1
    return total


@kernel
def walk_tile(grid, span, shape, lanes, data, with_values, whole, x_marks, w_marks, x_terms, w_terms, out):  # type: ignore[no-untyped-def]
    """Walk one tile and return its counts in the order of `Counts`.

    Parameters
    ----------
    grid : Grid
    span : tuple of int
        First index and extent of groups, n, e, f, k, c: what the tile computes, with all input channels.
    shape : tuple of int
        Channels and filters per group, filter rows and columns, stride and dilation in rows and columns.
    lanes : ndarray of int64, shape (steps, lanes)
        Tap of each lane, or -1.
    data : bool
        Whether the operands decide how long a step lasts and what is busy.
    with_values : bool
        Whether to add products to ``out``.
    whole : tuple of bool
        Whether the activation and the weight enter a lane in one piece.
    x_marks : ndarray of int32, shape (n, c, h, w)
        What decides a step: width, mask or count of terms; 0 of zeros alone. Padded input.
    w_marks : ndarray of int32, shape (k, channels per group, r, s)
    x_terms, w_terms : ndarray of int64, shape (2, *marks.shape)
        Masks that add and that subtract, for values.
    out : ndarray of int64, shape (n, k, e, f)
    """
    g0, groups, n0, images, e0, rows, f0, cols, k0, filters, _, _ = span
    m, steps = images * rows * cols, lanes.shape[0]
    totals = np.zeros(9, dtype=np.int64)
    per_set = grid.filters * grid.columns if grid.spread == FILTERS else grid.filters
    side = grid.columns if grid.spread == WINDOWS else 1
    group_step = grid.depthwise if grid.depthwise else 1
    free = np.zeros(grid.columns, dtype=np.int64)
    issued = np.int64(-1)
    turn = 0
    windows = np.zeros((side, 3), dtype=np.int64)
    stats = np.zeros((steps, lanes.shape[1] * group_step, 3), dtype=np.int64)
    masks = np.zeros(lanes.shape[1] * group_step, dtype=np.int64)
    times = np.zeros((steps, side), dtype=np.int64)
    for g in range(g0, g0 + groups, group_step):
        together = min(group_step, g0 + groups - g)
        for k in range(k0, k0 + filters, per_set):
            ks = min(per_set, k0 + filters - k)
            if data:
                weigh(shape, lanes, (g, together, k, ks), w_marks, stats)
            for start in range(0, m, side):
                used = min(side, m - start)
                for j in range(used):
                    at = start + j
                    windows[j, 0] = n0 + at // (rows * cols)
                    windows[j, 1] = e0 + at // cols % rows
                    windows[j, 2] = f0 + at % cols
                for i in range(steps):
                    place = (g, together, k, ks, used)
                    walk_step(grid, shape, lanes[i], data, place, windows, x_marks, stats[i], masks, times[i], totals)
                    if with_values:
                        add_products(shape, lanes[i], whole, place, windows, x_terms, w_terms, out)
                    if grid.spread == STEPS:
                        begin = max(issued + 1, free[turn])
                        issued, free[turn] = begin, begin + times[i, 0]
                        turn = (turn + 1) % grid.columns
                        totals[0] = max(totals[0], begin + times[i, 0])
                    elif grid.spread == FILTERS:
                        totals[0] += times[i, 0]
                if grid.spread == WINDOWS:
                    length = pass_cycles(times, used, grid.registers)
                    totals[0] += length
                    totals[3] += (grid.columns - used) * grid.column_units * length
    units = grid.columns * grid.column_units + grid.spare_units
    if grid.spread == FILTERS:
        totals[0] += grid.columns - 1
        totals[6] = grid.columns * grid.column_units * (grid.columns - 1)
    totals[3] += grid.spare_units * totals[0]
    rest = units * totals[0] - totals[1] - totals[2] - totals[3] - totals[4] - totals[5] - totals[6]
    if grid.spread == STEPS:
        totals[5] += rest
    else:
        totals[4] += rest
    return totals


@kernel
def pass_cycles(times, used, registers):  # type: ignore[no-untyped-def]
    """Return the cycles of one pass: column j takes ``times[i, j]`` for step i.

    The weights of step i come for all columns at once, when every column has finished step i - 1 - registers.
    """
    steps = times.shape[0]
    finished = np.zeros(steps, dtype=np.int64)
    ends = np.zeros(used, dtype=np.int64)
    for i in range(steps):
        fetched = finished[i - 1 - registers] if i - 1 - registers >= 0 else 0
        last = np.int64(0)
        for j in range(used):
            ends[j] = max(ends[j], fetched) + times[i, j]
            last = max(last, ends[j])
        finished[i] = max(last, finished[i - 1]) if i else last
    return finished[steps - 1]


@kernel
def weigh(shape, lanes, place, w_marks, stats):  # type: ignore[no-untyped-def]
    """Gather what steps need of a filter set: per step and lane the non-zero weights, their sum of marks, the
    largest mark. Lanes of groups side by side follow each other.
    """
    g, together, k, ks = place
    _, kg, fr, fs = shape[0], shape[1], shape[2], shape[3]
    stats[:] = 0
    for d in range(together):
        for q in range(ks):
            o = (g + d) * kg + k + q
            for i in range(lanes.shape[0]):
                at = d
                for tap in lanes[i]:
                    if tap < 0:
                        continue
                    c, r, s = split(tap, fr, fs)
                    mark = np.int64(w_marks[o, c, r, s])
                    if mark:
                        stats[i, at, 0] += 1
                        stats[i, at, 1] += mark
                        stats[i, at, 2] = max(stats[i, at, 2], mark)
                    at += together


@kernel
def walk_step(grid, shape, taps, data, place, windows, x_marks, stats, masks, times, totals):  # type: ignore[no-untyped-def]
    """Set each column's time for one step and add the step's unit-cycles and operand reads to ``totals``."""
    g, together, _k, ks, used = place
    cg, _kg, fr, fs, stride_e, stride_f, dilation_r, dilation_s = shape
    mapped = 0
    for tap in taps:
        if tap >= 0:
            mapped += 1
    filters = together if grid.depthwise else ks
    products = mapped * filters * grid.blocks
    totals[7] += mapped * used * together
    totals[8] += mapped * filters
    ta, tw = grid.ta, grid.tw
    pairs = np.int64(0)
    widest_x = widest_w = np.int64(0)
    for j in range(used if data else 0):
        count, most, own = 0, np.int64(0), np.int64(0)
        h0, v0 = windows[j, 1] * stride_e, windows[j, 2] * stride_f
        for tap in taps:
            if tap < 0:
                continue
            c, r, s = split(tap, fr, fs)
            for d in range(together):
                n, i, h, v = windows[j, 0], (g + d) * cg + c, h0 + r * dilation_r, v0 + s * dilation_s
                x = np.int64(x_marks[n, i, h, v])
                live, total, largest = stats[count, 0], stats[count, 1], stats[count, 2]
                if grid.mode == WIDTH:
                    widest_x, widest_w = max(widest_x, x), max(widest_w, largest)
                    if x:
                        pairs += live
                elif grid.mode == SHIFT:
                    terms = popcount(x)
                    own += terms * ks
                    totals[1] += terms * live
                    totals[2] += terms * (ks - live)
                    masks[count] = x
                else:
                    own += x * total
                    totals[1] += x * total
                    most = max(most, x * largest)
                count += 1
        if grid.mode == SHIFT:
            times[j] = max(1, shift_cycles(masks, count, grid.shift))
        else:
            times[j] = max(1, most)
        if grid.mode != WIDTH and grid.spread == STEPS:
            totals[4] += products * times[j] - own
    if grid.mode == WIDTH and data:
        ta = max(1, -(-widest_x // grid.bits_per_cycle))
        tw = max(1, widest_w) if grid.trim_weights else grid.tw
    if grid.mode == WIDTH or not data:
        slot = tw * max(grid.columns, ta) if grid.spread == FILTERS else ta * tw
        live = pairs if data else used * products
        for j in range(used):
            times[j] = slot
        totals[1] += live * ta * tw
        totals[2] += (used * products - live) * ta * tw
        totals[5] += used * products * (slot - ta * tw)
    room = grid.column_units * (grid.columns if grid.spread == FILTERS else 1)
    for j in range(used):
        totals[3] += (room - products) * times[j]


@kernel
def add_products(shape, taps, whole, place, windows, x_terms, w_terms, out):  # type: ignore[no-untyped-def]
    """Add the products of one step to the outputs of its windows and filters."""
    g, together, k, ks, used = place
    cg, kg, fr, fs, stride_e, stride_f, dilation_r, dilation_s = shape
    for j in range(used):
        n, e, f = windows[j]
        for tap in taps:
            if tap < 0:
                continue
            c, r, s = split(tap, fr, fs)
            h, v = e * stride_e + r * dilation_r, f * stride_f + s * dilation_s
            for d in range(together):
                for q in range(ks):
                    o = (g + d) * kg + k + q
                    i = (g + d) * cg + c
                    out[n, o, e, f] += product(
                        x_terms[0, n, i, h, v], x_terms[1, n, i, h, v], w_terms[0, o, c, r, s], w_terms[1, o, c, r, s],
                        whole[0], whole[1],
                    )  # fmt: skip
