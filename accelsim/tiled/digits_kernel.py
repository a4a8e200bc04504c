"""Tiles along one dimension: the loops outside a tile as the digits of its first index.

Most significant first: index = sum of digit * chunk, a chunk being the product of all factors inside. A tile is there
while its first index is below the size of the dimension, so the digits that are there come before those of the last
tile, in the order of reading. That is why there are so few kinds of tile: each digit is below, at, or above that of the
last one.

All integers are int64, constants too where they are arguments: each other type would be compiled anew.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

G, N, M, C, P, Q, R, S = range(8)
DIM, TIMES, LEVEL, SPATIAL = range(4)
"""Columns of a loop. A digit has its chunk in place of the dimension."""
CHUNK = DIM
FIXED, SUM, EACH, STEP, RESET = range(5)
"""What becomes of a digit: it is 0; its values are added up; instances with different values share reads; it goes on
by one; it goes back to 0."""
ALONE, ALIKE, UNION = range(3)
"""How instances share reads: not at all, equal boxes, words."""
MANY, TIMED, SHARED, BOX, EXACT, DONE, ALL = range(7)
"""Of a dimension outside a tile: digits, those in time, whether some share a parent, extent of a full tile, whether
the factors reach just the size, digits outside the loop that goes on, and the sum over all steps."""


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
    done, steps : int
        Loops in time that stay as they are, and 1 if the next one goes on; the others go back to 0.
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
def still_along(digits, many, parent, done, steps, spread, has, size, box, role):  # type: ignore[no-untyped-def]
    """Return what stays of a dimension: summed extents if the tensor has it, else at how many tiles a step comes by.

    The step lets the loop in time behind ``done`` others go on (``steps`` 1), or lets them all go back to 0. A tile
    stays where that leaves it the only chunk.
    """
    total, limit = 0, size
    for again in range(2):
        roles(digits, many, parent, done + steps * (1 - again), np.int64(0), spread, role)
        count, last = starts(digits, many, role, box, limit)
        if again:
            return total - (box * count if has else count)
        total = (count - 1) * box + last if has else count
        if not has:
            if not steps:
                return total
            continue
        inner = many - 1
        while inner >= 0 and role[inner] != RESET:
            inner -= 1
        if inner < 0:
            return total
        limit = size - digits[inner, CHUNK]
    return total


@kernel
def choices(digits, many, role, exact, single):  # type: ignore[no-untyped-def]
    """Return how many kinds of tile `pick` knows of a dimension.

    ``exact``: 1 if the factors reach just the size, so that all tiles are alike. ``single``: 1 if each value of a digit
    is a kind by itself.
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
