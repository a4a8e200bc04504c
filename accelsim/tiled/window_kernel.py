"""What stays of the rows or columns of the input under a window, where outputs and taps are cut.

A box is an interval; instances share what they have in common; positions outside the image do not exist.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel
from accelsim.tiled import digits_kernel as d

STRIDE, DILATION, LOW, HIGH = range(4)
"""Columns of a window: which positions exist, from LOW to below HIGH."""
START, EXTENT, START_BEFORE, EXTENT_BEFORE = range(4)
NEW_LOW, NEW_HIGH, OLD_LOW, OLD_HIGH = range(4)


@kernel
def instances(digits, many, role, low, size, box, found):  # type: ignore[no-untyped-def]
    """Write start and extent, now and before, of the tiles of all instances that share reads; return their number.

    ``found`` has a row per field, START to EXTENT_BEFORE.
    """
    base = count = 0
    for j in range(many):
        base += low[j] * digits[j, d.CHUNK]
    for copy in range(d.copied(digits, many, role)):
        start, rest = base, copy
        for j in range(many):
            if role[j] == d.EACH:
                start += rest % digits[j, d.TIMES] * digits[j, d.CHUNK]
                rest //= digits[j, d.TIMES]
        if start >= size:
            continue
        before = start
        for j in range(many):
            if role[j] == d.STEP:
                before -= digits[j, d.CHUNK]
        for j in range(many):
            if role[j] == d.RESET:
                before += min(digits[j, d.TIMES] - 1, (size - 1 - before) // digits[j, d.CHUNK]) * digits[j, d.CHUNK]
        found[START, count], found[EXTENT, count] = start, min(box, size - start)
        found[START_BEFORE, count], found[EXTENT_BEFORE, count] = before, min(box, size - before)
        count += 1
    return count


@kernel
def beyond(first, step, number, mark):  # type: ignore[no-untyped-def]
    """Return the sum of max(0, x - mark) over the first numbers of a progression, and how many are below the mark."""
    least = 0 if first >= mark else number if step == 0 else min(number, (mark - first + step - 1) // step)
    total = (number - least) * (first - mark) + step * ((number - 1) * number - (least - 1) * least) // 2
    return total, least


@kernel
def above(first, step, values, digits, many, mark):  # type: ignore[no-untyped-def]
    """Return the sum of max(0, x - mark) over x = first + digits times steps; each step is beyond all those inside."""
    rest, reach = 1, 0
    for j in range(many):
        rest *= values[j]
        reach += (values[j] - 1) * digits[j, d.CHUNK] * step
    total = 0
    for j in range(many):
        far = digits[j, d.CHUNK] * step
        rest //= values[j]
        reach -= (values[j] - 1) * far
        part, least = beyond(first, far, values[j], mark)
        # where all are above the mark the inner digits add their mean, half of how far they reach
        total += rest * part + (values[j] - least) * (rest * reach // 2)
        if least == 0:
            return total
        first += (least - 1) * far
    return total + max(0, first - mark)


@kernel
def existing(start, end, window, digits, many, values, count):  # type: ignore[no-untyped-def]
    """Return the positions of an interval that exist, summed over the places to which the output digits carry it."""
    if end <= start:
        return 0
    step, low, high = window[STRIDE], window[LOW], window[HIGH]
    reach = 0
    for j in range(many):
        reach += (values[j] - 1) * digits[j, d.CHUNK] * step
    total = count * (end - start) if start >= low else 0
    for which in range(4):
        cut = start < low if which < 2 else end + reach > high
        if cut:
            mark, at = low if which < 2 else high, start if which in (1, 3) else end
            part = above(at, step, values, digits, many, mark)
            total += part if which in (0, 3) else -part
    return total


@kernel
def swept(window, size, box, taps, tap_box):  # type: ignore[no-untyped-def]
    """Return the positions under all tiles of an output dimension and all tiles of its taps, each by itself."""
    stride, dilation, low, high = window[STRIDE], window[DILATION], window[LOW], window[HIGH]
    total, full, rest, far = 0, size // box, size % box, box * window[STRIDE]
    for kind in range(2 * ((taps + tap_box - 1) // tap_box)):
        first, edge = kind // 2 * tap_box, kind % 2
        number, extent = (int(rest > 0), rest) if edge else (full, box)
        if number == 0:
            continue
        start = first * dilation + (full * far if edge else 0)
        end = start + (extent - 1) * stride + (min(tap_box, taps - first) - 1) * dilation + 1
        total += number * (end - start) if start >= low else 0
        for which in range(4):
            cut = start < low if which < 2 else end + (number - 1) * far > high
            if cut:
                mark, at = low if which < 2 else high, start if which in (1, 3) else end
                part, _ = beyond(at, far, number, mark)
                total += part if which in (0, 3) else -part
    return total


@kernel
def spans(window, keep_halo, outs, taps, many_outs, many_taps, span):  # type: ignore[no-untyped-def]
    """Write the interval under each pair of an output and a tap tile, and what of it was there before."""
    stride, dilation, count = window[STRIDE], window[DILATION], 0
    for a in range(many_outs):
        for b in range(many_taps):
            low = outs[START, a] * stride + taps[START, b] * dilation
            high = low + (outs[EXTENT, a] - 1) * stride + (taps[EXTENT, b] - 1) * dilation + 1
            old = outs[START_BEFORE, a] * stride + taps[START_BEFORE, b] * dilation
            end = old + (outs[EXTENT_BEFORE, a] - 1) * stride + (taps[EXTENT_BEFORE, b] - 1) * dilation + 1
            if not keep_halo and (old != low or end != high):
                old = end = low
            span[NEW_LOW, count], span[NEW_HIGH, count] = low, high
            span[OLD_LOW, count], span[OLD_HIGH, count] = max(low, old), max(max(low, old), min(high, end))
            count += 1
    return count


@kernel
def resting(span, number, share, low, high):  # type: ignore[no-untyped-def]
    """Write the intervals of positions that no instance needs to be brought; return how many there are."""
    count = 0
    if share != d.UNION or number == 1:
        for i in range(number):
            low[count], high[count], known = span[OLD_LOW, i], span[OLD_HIGH, i], False
            for j in range(number if number > 1 else 0):
                if span[NEW_LOW, j] == span[NEW_LOW, i] and span[NEW_HIGH, j] == span[NEW_HIGH, i]:
                    known = known or j < i
                    low[count], high[count] = max(low[count], span[OLD_LOW, j]), min(high[count], span[OLD_HIGH, j])
            count += int(not known)
        return count
    # between two neighbouring ends all positions fare alike
    ends = high
    for i in range(4 * number):
        at, end = i, span[i % 4, i // 4]
        while at > 0 and ends[at - 1] > end:
            ends[at] = ends[at - 1]
            at -= 1
        ends[at] = end
    for at in range(4 * number - 1):
        start, end = ends[at], ends[at + 1]
        wanted = brought = False
        for i in range(number if start < end else 0):
            if span[NEW_LOW, i] <= start and end <= span[NEW_HIGH, i]:
                wanted = True
                if not (span[OLD_LOW, i] <= start and end <= span[OLD_HIGH, i]):
                    brought = True
                    break
        if wanted and not brought:
            low[count], high[count] = start, end
            count += 1
    return count


@kernel
def shifted(digits, many, role, factor):  # type: ignore[no-untyped-def]
    """Return at how many tiles a step comes by, and how far it takes them, where all tiles of a dimension are alike."""
    count, shift = 1, 0
    for j in range(many):
        if role[j] == d.SUM:
            count *= digits[j, d.TIMES]
        elif role[j] == d.STEP:
            count *= digits[j, d.TIMES] - 1
            shift += digits[j, d.CHUNK] * factor
        elif role[j] == d.RESET:
            shift -= (digits[j, d.TIMES] - 1) * digits[j, d.CHUNK] * factor
    return count, shift


@kernel
def under_window(  # type: ignore[no-untyped-def]
    digits, table, sizes, out, tap, window, going, parent, share, keep_halo
):
    """Return the summed positions of a rank of the input that stay, under an output and a tap dimension.

    ``going`` is the dimension of the loop that goes on, -1 if none does.
    """
    zero, many_out, many_tap = np.int64(0), table[d.MANY, out], table[d.MANY, tap]
    alone = share == d.ALONE or not (table[d.SHARED, out] or table[d.SHARED, tap])
    still = table[d.DONE, out] == table[d.TIMED, out] and table[d.DONE, tap] == table[d.TIMED, tap]
    if still and alone:
        return swept(window, sizes[out], table[d.BOX, out], sizes[tap], table[d.BOX, tap])
    role = np.empty((2, max(many_out, many_tap)), dtype=np.int64)
    spread = d.SUM if alone else d.EACH
    d.roles(digits[out], many_out, parent, table[d.DONE, out], np.int64(going == out), spread, role[0])
    d.roles(digits[tap], many_tap, parent, table[d.DONE, tap], np.int64(going == tap), spread, role[1])
    last = (sizes[out] - 1) * window[STRIDE] + (sizes[tap] - 1) * window[DILATION]
    single = np.int64(window[LOW] > 0 or window[HIGH] <= last)
    if alone and table[d.EXACT, out] and table[d.EXACT, tap]:
        count, shift = shifted(digits[out], many_out, role[0], window[STRIDE])
        again, by_taps = shifted(digits[tap], many_tap, role[1], window[DILATION])
        wide = (table[d.BOX, out] - 1) * window[STRIDE] + (table[d.BOX, tap] - 1) * window[DILATION] + 1
        wide -= abs(shift + by_taps)
        if wide <= 0 or not (keep_halo or shift + by_taps == 0):
            return 0
        if not single:
            return count * again * wide
    low, values = np.empty_like(role), np.empty_like(role)
    copies, others = d.copied(digits[out], many_out, role[0]), d.copied(digits[tap], many_tap, role[1])
    outs, taps = np.empty((4, copies), dtype=np.int64), np.empty((4, others), dtype=np.int64)
    span, ends = np.empty((4, copies * others), dtype=np.int64), np.empty((2, 4 * copies * others), dtype=np.int64)
    exact, exact_tap = table[d.EXACT, out], table[d.EXACT, tap]
    # a tap moves the interval by other steps than an output: where some positions do not exist, taps go one by one
    total = 0
    for a in range(d.choices(digits[out], many_out, role[0], exact, zero)):
        count = d.pick(digits[out], many_out, role[0], exact, zero, sizes[out], a, low[0], values[0])
        if not count:
            continue
        number_out = instances(digits[out], many_out, role[0], low[0], sizes[out], table[d.BOX, out], outs)
        for b in range(d.choices(digits[tap], many_tap, role[1], exact_tap, single) if number_out else 0):
            again = d.pick(digits[tap], many_tap, role[1], exact_tap, single, sizes[tap], b, low[1], values[1])
            if not again:
                continue
            number_tap = instances(digits[tap], many_tap, role[1], low[1], sizes[tap], table[d.BOX, tap], taps)
            number = spans(window, keep_halo, outs, taps, number_out, number_tap, span)
            for i in range(resting(span, number, share, ends[0], ends[1]) if number else 0):
                total += again * existing(ends[0, i], ends[1, i], window, digits[out], many_out, values[0], count)
    return total
