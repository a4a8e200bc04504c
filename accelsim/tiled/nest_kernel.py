"""What a nest of loops moves, exactly, at a cost that does not grow with the number of steps.

Rules and names: `nest` and docs/decisions/0073-nest.md. The loops of a dimension outside a tile are the *digits* of
the tile's first index, most significant first: index = sum of digit * chunk, a chunk being the product of all factors
inside. A tile is there while its first index is below the size of the dimension, so the digits that are there come
before those of the last tile, in the order of reading. That is why a dimension has so few kinds of tile: each digit is
below, at, or above that of the last tile.

Words that a step brings = words of the new box less those that were there before. Both are products over ranks (a
dimension, or the two under a window), and so are their sums over all steps at which the same loop goes on:

    words = product over ranks of (sum over all steps) - sum over loops of product over ranks of (sum of what stays)
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

G, N, M, C, P, Q, R, S = range(8)
DIM, TIMES, LEVEL, SPATIAL = range(4)
"""Columns of a loop. A digit has its chunk in place of the dimension."""
CHUNK = DIM
STRIDE, DILATION, LOW, HIGH = range(4)
"""Columns of a window: which positions exist, from LOW to below HIGH."""
KEEP_HALO, MULTICAST, NEIGHBOURS, REDUCE = 3, 4, 5, 6
"""Columns of a level; the first three say which tensors it keeps."""
W, I, O = range(3)  # noqa: E741
IN, OUT, FIRST = range(3)
"""Of a level and tensor: words that come to all instances from above (of O: that go up), words that all instances
below are given by separate reads (of O: that arrive), and results that are touched for the first time."""

FIXED, SUM, EACH, STEP, RESET = range(5)
"""What becomes of a digit: it is 0; its values are added up; instances with different values share reads; it goes on
by one; it goes back to 0."""
ALONE, ALIKE, UNION = range(3)
"""How instances share reads: not at all, equal boxes, words."""
START, EXTENT, START_BEFORE, EXTENT_BEFORE = range(4)
NEW_LOW, NEW_HIGH, OLD_LOW, OLD_HIGH = range(4)
MANY, TIMED, SHARED, BOX, EXACT, DONE, ALL = range(7)
"""Of a dimension outside a tile: digits, those in time, whether some share a parent, extent of a full tile, whether
the factors reach just the size, digits outside the loop that goes on, and the sum over all steps."""


@kernel
def relevant(tensor, dim):  # type: ignore[no-untyped-def]
    """Return whether a tensor has a dimension."""
    if tensor == W:
        return dim not in (N, P, Q)
    return dim != M if tensor == I else dim not in (C, R, S)


@kernel
def lay_out(loops, digits, number):  # type: ignore[no-untyped-def]
    """Sort the loops that iterate by dimension, and give each its chunk."""
    for i in range(len(loops)):
        if loops[i, TIMES] > 1:
            dim = loops[i, DIM]
            for field in range(1, 4):
                digits[dim, number[dim], field] = loops[i, field]
            number[dim] += 1
    for dim in range(8):
        chunk = np.int64(1)
        for j in range(number[dim]):
            at = number[dim] - 1 - j
            digits[dim, at, CHUNK] = chunk
            chunk *= digits[dim, at, TIMES]


@kernel
def outside(digits, number, parent, child, column):  # type: ignore[no-untyped-def]
    """Write how many digits stand outside a tile, how many in time, whether some share a parent, and its extent."""
    many = timed = shared = 0
    for j in range(number):
        if digits[j, LEVEL] >= child:
            break
        many += 1
        timed += 1 - digits[j, SPATIAL]
        if digits[j, SPATIAL] and digits[j, LEVEL] >= parent:
            shared = 1
    column[MANY], column[TIMED], column[SHARED] = many, timed, shared
    if many:
        column[BOX] = digits[many - 1, CHUNK]
    else:
        column[BOX] = digits[0, CHUNK] * digits[0, TIMES] if number else np.int64(1)


@kernel
def roles(digits, many, parent, done, steps, spread, role):  # type: ignore[no-untyped-def]
    """Say what becomes of each digit.

    Parameters
    ----------
    parent : int
        Level whose instances add up; those between it and the tile are treated as ``spread`` says.
    done, steps : int, bool
        Loops in time that stay as they are, and whether the next one goes on; the others go back to 0.
    """
    timed = 0
    for j in range(many):
        if digits[j, SPATIAL]:
            role[j] = SUM if digits[j, LEVEL] < parent else spread
            continue
        role[j] = SUM if timed < done else STEP if steps and timed == done else RESET
        timed += 1


@kernel
def starts(digits, many, role, box, limit):  # type: ignore[no-untyped-def]
    """Return how many tiles, their digits added up or 0, begin below a limit, and how far the last may extend."""
    if limit <= 0:
        return 0, box
    free, count, left = 1, 0, limit
    for j in range(many):
        if role[j] == SUM:
            free *= digits[j, TIMES]
    for j in range(many):
        chunk = digits[j, CHUNK]
        if role[j] == SUM:
            free //= digits[j, TIMES]
            before = (left - 1) // chunk
            count += before * free
            left -= before * chunk
        elif left > chunk:
            return count + free, box
    return count + 1, min(box, left)


@kernel
def times(digits, many, parent, done, steps, spread, size, box, role):  # type: ignore[no-untyped-def]
    """Return at how many tiles of a dimension that a tensor has not, a step comes by."""
    roles(digits, many, parent, done + int(steps), False, spread, role)
    count, _ = starts(digits, many, role, box, size)
    if steps:
        roles(digits, many, parent, done, False, spread, role)
        count -= starts(digits, many, role, box, size)[0]
    return count


@kernel
def stays(digits, many, parent, done, size, box, role):  # type: ignore[no-untyped-def]
    """Return the summed extents of the tiles of a dimension that a reset of its inner loops leaves where they are.

    They are those whose inner loops have no second chunk. Different instances have different chunks: all add up.
    """
    roles(digits, many, parent, done, False, SUM, role)
    count, last = starts(digits, many, role, box, size)
    words = (count - 1) * box + last
    for j in range(many):
        if role[many - 1 - j] == RESET:
            return words - box * starts(digits, many, role, box, size - digits[many - 1 - j, CHUNK])[0]
    return words


@kernel
def choices(digits, many, role, exact, single):  # type: ignore[no-untyped-def]
    """Return how many kinds of tile `pick` knows of a dimension.

    ``exact``: the factors reach just the size, all tiles are alike. ``single``: every value of a digit by itself.
    """
    count = 1
    for j in range(many):
        if role[j] in (SUM, STEP):
            count *= digits[j, TIMES] if single else 1 if exact else 3
    return count


@kernel
def pick(digits, many, role, exact, single, size, kind, low, values):  # type: ignore[no-untyped-def]
    """Write the first value of each digit of a kind of tile, and how many values it takes; return their product."""
    count = 1
    for j in range(many):
        low[j], values[j] = 0, 1
        if role[j] not in (SUM, STEP):
            continue
        factor, least = digits[j, TIMES], np.int64(role[j] == STEP)
        if single:
            first, end = kind % factor, kind % factor + 1
            kind //= factor
        elif exact:
            first, end = np.int64(0), factor
        else:
            last = (size - 1) // digits[j, CHUNK] % factor
            which = kind % 3
            kind //= 3
            first = np.int64(0) if which == 0 else last if which == 1 else last + 1
            end = last if which == 0 else last + 1 if which == 1 else factor
        low[j] = max(first, least)
        values[j] = max(0, end - low[j])
        count *= values[j]
    return count


@kernel
def copied(digits, many, role):  # type: ignore[no-untyped-def]
    """Return how many instances share reads."""
    copies = 1
    for j in range(many):
        if role[j] == EACH:
            copies *= digits[j, TIMES]
    return copies


@kernel
def instances(digits, many, role, low, size, box, found):  # type: ignore[no-untyped-def]
    """Write start and extent, now and before, of the tiles of all instances that share reads; return their number.

    ``found`` has a row per field, START to EXTENT_BEFORE.
    """
    base = count = 0
    for j in range(many):
        base += low[j] * digits[j, CHUNK]
    for copy in range(copied(digits, many, role)):
        start, rest = base, copy
        for j in range(many):
            if role[j] == EACH:
                start += rest % digits[j, TIMES] * digits[j, CHUNK]
                rest //= digits[j, TIMES]
        if start >= size:
            continue
        before = start
        for j in range(many):
            if role[j] == STEP:
                before -= digits[j, CHUNK]
        for j in range(many):
            if role[j] == RESET:
                before += min(digits[j, TIMES] - 1, (size - 1 - before) // digits[j, CHUNK]) * digits[j, CHUNK]
        found[START, count], found[EXTENT, count] = start, min(box, size - start)
        found[START_BEFORE, count], found[EXTENT_BEFORE, count] = before, min(box, size - before)
        count += 1
    return count


@kernel
def above(first, step, values, digits, many, mark):  # type: ignore[no-untyped-def]
    """Return the sum of max(0, x - mark) over x = first + digits times steps; each step is beyond all those inside."""
    rest, reach = 1, 0
    for j in range(many):
        rest *= values[j]
        reach += (values[j] - 1) * digits[j, CHUNK] * step
    total = 0
    for j in range(many):
        far, count = digits[j, CHUNK] * step, values[j]
        rest //= count
        reach -= (count - 1) * far
        least = 0 if first >= mark else min(count, (mark - first + far - 1) // far)
        linear = count - least
        # of these all are above the mark; the inner digits add their mean, half of how far they reach
        total += rest * (linear * (first - mark) + far * ((count - 1) * count - (least - 1) * least) // 2)
        total += linear * (rest * reach // 2)
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
        reach += (values[j] - 1) * digits[j, CHUNK] * step
    if start >= low and end + reach <= high:
        return count * (end - start)
    total = 0
    if start >= low:
        total += count * (end - start)
    else:
        total += above(end, step, values, digits, many, low) - above(start, step, values, digits, many, low)
    if end + reach > high:
        total -= above(end, step, values, digits, many, high) - above(start, step, values, digits, many, high)
    return total


@kernel
def beyond(first, step, number, mark):  # type: ignore[no-untyped-def]
    """Return the sum of max(0, x - mark) over the first numbers of a progression."""
    least = 0 if first >= mark else number if step == 0 else min(number, (mark - first + step - 1) // step)
    return (number - least) * (first - mark) + step * ((number - 1) * number - (least - 1) * least) // 2


@kernel
def swept(window, size, box, taps, tap_box):  # type: ignore[no-untyped-def]
    """Return the positions under all tiles of an output dimension and all tiles of its taps, each by itself."""
    stride, dilation, low, high = window[STRIDE], window[DILATION], window[LOW], window[HIGH]
    total, full, rest = 0, size // box, size % box
    for first in range(0, taps, tap_box):
        reach = (min(tap_box, taps - first) - 1) * dilation + 1
        for edge in range(2):
            number, extent = (1, rest) if edge else (full, box)
            start = first * dilation + (full * box * stride if edge else 0)
            end = start + (extent - 1) * stride + reach
            if extent == 0 or number == 0:
                continue
            far = box * stride
            total += number * (end - start)
            if start < low:
                total -= (number * (end - start)) - beyond(end, far, number, low) + beyond(start, far, number, low)
            if end + (number - 1) * far > high:
                total -= beyond(end, far, number, high) - beyond(start, far, number, high)
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
def staying(span, number, share, window, digits, many, values, count, marks):  # type: ignore[no-untyped-def]
    """Return the positions that no instance needs to be brought, summed over the places of the output digits."""
    if number == 1:
        return existing(span[OLD_LOW, 0], span[OLD_HIGH, 0], window, digits, many, values, count)
    total = 0
    if share == ALIKE:
        for i in range(number):
            low, high, known = span[OLD_LOW, i], span[OLD_HIGH, i], False
            for j in range(number):
                if span[NEW_LOW, j] == span[NEW_LOW, i] and span[NEW_HIGH, j] == span[NEW_HIGH, i]:
                    known = known or j < i
                    low, high = max(low, span[OLD_LOW, j]), min(high, span[OLD_HIGH, j])
            if not known:
                total += existing(low, high, window, digits, many, values, count)
        return total
    for i in range(number):
        for field in range(4):
            marks[4 * i + field] = span[field, i]
    ends = np.sort(marks[: 4 * number])
    for at in range(4 * number - 1):
        low, high = ends[at], ends[at + 1]
        wanted = brought = False
        for i in range(number if low < high else 0):
            if span[NEW_LOW, i] <= low and high <= span[NEW_HIGH, i]:
                wanted = True
                if not (span[OLD_LOW, i] <= low and high <= span[OLD_HIGH, i]):
                    brought = True
                    break
        if wanted and not brought:
            total += existing(low, high, window, digits, many, values, count)
    return total


@kernel
def shifted(digits, many, role, factor):  # type: ignore[no-untyped-def]
    """Return at how many tiles a step comes by, and how far it takes them, where all tiles of a dimension are alike."""
    count, shift = 1, 0
    for j in range(many):
        if role[j] == SUM:
            count *= digits[j, TIMES]
        elif role[j] == STEP:
            count *= digits[j, TIMES] - 1
            shift += digits[j, CHUNK] * factor
        elif role[j] == RESET:
            shift -= (digits[j, TIMES] - 1) * digits[j, CHUNK] * factor
    return count, shift


@kernel
def under_window(  # type: ignore[no-untyped-def]
    digits, table, sizes, out, tap, window, going, parent, share, keep_halo
):
    """Return the summed positions of a rank of the input that stay, under an output and a tap dimension.

    ``going`` is the dimension of the loop that goes on, -1 if none does.
    """
    many_out, many_tap = table[MANY, out], table[MANY, tap]
    alone = share == ALONE or not (table[SHARED, out] or table[SHARED, tap])
    still = table[DONE, out] == table[TIMED, out] and table[DONE, tap] == table[TIMED, tap]
    if still and alone:
        return swept(window, sizes[out], table[BOX, out], sizes[tap], table[BOX, tap])
    role = np.empty((2, max(many_out, many_tap)), dtype=np.int64)
    spread = SUM if alone else EACH
    roles(digits[out], many_out, parent, table[DONE, out], going == out, spread, role[0])
    roles(digits[tap], many_tap, parent, table[DONE, tap], going == tap, spread, role[1])
    last = (sizes[out] - 1) * window[STRIDE] + (sizes[tap] - 1) * window[DILATION]
    single = window[LOW] > 0 or window[HIGH] <= last
    if alone and table[EXACT, out] and table[EXACT, tap]:
        count, shift = shifted(digits[out], many_out, role[0], window[STRIDE])
        again, by_taps = shifted(digits[tap], many_tap, role[1], window[DILATION])
        wide = (table[BOX, out] - 1) * window[STRIDE] + (table[BOX, tap] - 1) * window[DILATION] + 1
        wide -= abs(shift + by_taps)
        if wide <= 0 or not (keep_halo or shift + by_taps == 0):
            return 0
        if not single:
            return count * again * wide
    low, values = np.empty_like(role), np.empty_like(role)
    copies, others = copied(digits[out], many_out, role[0]), copied(digits[tap], many_tap, role[1])
    outs, taps = np.empty((4, copies), dtype=np.int64), np.empty((4, others), dtype=np.int64)
    span, marks = np.empty((4, copies * others), dtype=np.int64), np.empty(4 * copies * others, dtype=np.int64)
    exact, exact_tap = table[EXACT, out], table[EXACT, tap]
    # a tap moves the interval by other steps than an output: where some positions do not exist, taps go one by one
    total = 0
    for a in range(choices(digits[out], many_out, role[0], exact, False)):
        count = pick(digits[out], many_out, role[0], exact, False, sizes[out], a, low[0], values[0])
        if not count:
            continue
        number_out = instances(digits[out], many_out, role[0], low[0], sizes[out], table[BOX, out], outs)
        for b in range(choices(digits[tap], many_tap, role[1], exact_tap, single) if number_out else 0):
            again = pick(digits[tap], many_tap, role[1], exact_tap, single, sizes[tap], b, low[1], values[1])
            if not again:
                continue
            number_tap = instances(digits[tap], many_tap, role[1], low[1], sizes[tap], table[BOX, tap], taps)
            number = spans(window, keep_halo, outs, taps, number_out, number_tap, span)
            if number:
                stay = staying(span, number, share, window, digits[out], many_out, values[0], count, marks)
                total += again * stay
    return total


@kernel
def moved(  # type: ignore[no-untyped-def]
    tensor, parent, child, share, keep_halo, latched, sizes, windows, loops, digits, number, table, role
):
    """Return the words of a tensor that go from a level to the next one that keeps it.

    Parameters
    ----------
    child : int
        That level; the number of levels for the multipliers, whose box is one word.
    latched : bool
        Whether what is there stays there; multipliers ask anew in every cycle.
    table : int64 array (7, 8), role : int64 array
        Where to work: a row per name, MANY to ALL, a column per dimension; a role per loop.
    """
    total = 1
    for dim in range(8):
        outside(digits[dim], number[dim], parent, child, table[:, dim])
        table[DONE, dim] = table[TIMED, dim]
    for dim in range(8):
        table[ALL, dim] = still(tensor, dim, -1, parent, share, keep_halo, sizes, windows, digits, table, role)
        total *= table[ALL, dim]
    if not latched:
        return total
    table[DONE] = 0
    for i in range(len(loops)):
        going = loops[i, DIM]
        if loops[i, LEVEL] >= child:
            break
        if loops[i, SPATIAL] or loops[i, TIMES] == 1:
            continue
        stay = 1
        for dim in range(8):
            # most often a dimension of the tensor goes on, or goes back and all its chunks are whole: nothing stays
            if relevant(tensor, dim) and (tensor != I or dim < P):
                inside = table[TIMED, dim] > table[DONE, dim]
                if dim == going or (inside and table[EXACT, dim]):
                    stay = 0
                    break
        for dim in range(8):
            if stay:
                if table[TIMED, dim] > table[DONE, dim] or (
                    dim in (P, Q) and table[TIMED, dim + 2] > table[DONE, dim + 2]
                ):
                    stay *= still(tensor, dim, going, parent, share, keep_halo, sizes, windows, digits, table, role)
                else:
                    stay *= table[ALL, dim]
        total -= stay
        table[DONE, going] += 1
    return total


@kernel
def still(  # type: ignore[no-untyped-def]
    tensor, dim, going, parent, share, keep_halo, sizes, windows, digits, table, role
):
    """Return a dimension's factor of the words that stay: its extents, or how often a step comes by."""
    many, done, box = table[MANY, dim], table[DONE, dim], table[BOX, dim]
    resting = done == table[TIMED, dim]
    if tensor == I and dim >= P:
        if dim >= R:
            return 1
        return under_window(digits, table, sizes, dim, dim + 2, windows[dim - P], going, parent, share, keep_halo)
    if relevant(tensor, dim):
        return sizes[dim] if resting else stays(digits[dim], many, parent, done, sizes[dim], box, role)
    if resting and (share == ALONE or not table[SHARED, dim]):
        return (sizes[dim] + box - 1) // box
    spread = SUM if share == ALONE else FIXED
    return times(digits[dim], many, parent, done, dim == going, spread, sizes[dim], box, role)


@kernel
def ever(digits, number, level, size, spatial, role):  # type: ignore[no-untyped-def]
    """Return how many instances outside a level have work of a dimension, or how many steps the first one has."""
    many = 0
    while many < number and digits[many, LEVEL] < level:
        role[many] = SUM if digits[many, SPATIAL] == int(spatial) else FIXED
        many += 1
    return starts(digits, many, role, 1, size)[0]


@kernel
def count(sizes, windows, loops, levels, found):  # type: ignore[no-untyped-def]
    """Count what a nest takes; return cycles, and instances that ever have work.

    Parameters
    ----------
    sizes : int64 array (8,)
        G N M C P Q R S.
    windows : int64 array (2, 4)
        STRIDE, DILATION, LOW, HIGH of rows and columns.
    loops : int64 array (number, 4)
        DIM, TIMES, LEVEL, SPATIAL of each loop, outermost first; a level's loops in space behind those in time.
    levels : int64 array (levels, 7)
        1 or 0: whether W, I and O are kept, KEEP_HALO, MULTICAST, NEIGHBOURS, REDUCE.
    found : int64 array (levels, 3, 3), written
        IN, OUT and FIRST of each level and tensor.
    """
    digits, number = np.empty((8, max(1, len(loops)), 4), dtype=np.int64), np.zeros(8, dtype=np.int64)
    lay_out(loops, digits, number)
    table, role = np.empty((7, 8), dtype=np.int64), np.empty(max(1, len(loops)), dtype=np.int64)
    for dim in range(8):
        reached = digits[dim, 0, CHUNK] * digits[dim, 0, TIMES] if number[dim] else np.int64(1)
        table[EXACT, dim] = np.int64(reached == sizes[dim])
    inner = len(levels)
    cycles = used = 1
    for dim in range(8):
        cycles *= ever(digits[dim], number[dim], inner, sizes[dim], False, role)
        used *= ever(digits[dim], number[dim], inner, sizes[dim], True, role)
    for tensor in range(3):
        parent = 0
        for child in range(1, inner + 1):
            if child < inner and not levels[child, tensor]:
                continue
            latched = child < inner
            share = int(levels[parent, MULTICAST])
            if tensor == O:
                share = int(levels[parent, REDUCE])
            elif levels[parent, NEIGHBOURS]:
                share = UNION
            keep = latched and levels[child, KEEP_HALO] == 1
            spread = False
            for i in range(len(loops)):
                between = parent <= loops[i, LEVEL] and loops[i, LEVEL] < child
                spread = spread or (between and loops[i, SPATIAL] == 1 and loops[i, TIMES] > 1)
            words = moved(
                tensor, parent, child, share, keep, latched, sizes, windows, loops, digits, number, table, role
            )
            found[parent, tensor, OUT] = words
            if latched:
                if spread and share != ALONE:
                    words = moved(tensor, parent, child, ALONE, keep, latched, sizes, windows, loops, digits, number,
                                  table, role)  # fmt: skip
                found[child, tensor, IN] = words
            parent = child
        if tensor == O:
            for level in range(inner):
                first = 1
                for dim in range(8):
                    if relevant(O, dim):
                        first *= sizes[dim]
                    else:
                        first *= ever(digits[dim], number[dim], level, sizes[dim], True, role)
                found[level, O, FIRST] = first
    return cycles, used
