"""What a nest of loops moves, exactly, at a cost that does not grow with the number of steps.

Rules and names: `nest` and docs/decisions/0073-nest.md. A step brings the words of the new box less those that were
there before. Both are products over ranks (a dimension, or two under a window), and so are their sums over all steps
at which the same loop goes on:

    words = product over ranks of (sum over all steps) - sum over loops of product over ranks of (sum of what stays)
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel
from accelsim.tiled import digits_kernel as d
from accelsim.tiled.window_kernel import under_window

KEEP_HALO, MULTICAST, NEIGHBOURS, REDUCE = 3, 4, 5, 6
"""Columns of a level; the first three say which tensors it keeps."""
W, I, O = range(3)  # noqa: E741
IN, OUT, FIRST = range(3)
"""Of a level and tensor: words that come to all instances from above (of O: that go up), words that all instances
below are given by separate reads (of O: that arrive), and results that are touched for the first time."""


@kernel
def relevant(tensor, dim):  # type: ignore[no-untyped-def]
    """Return whether a tensor has a dimension."""
    if tensor == W:
        return dim not in (d.N, d.P, d.Q)
    return dim != d.M if tensor == I else dim not in (d.C, d.R, d.S)


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
    total = 0
    for dim in range(8):
        d.outside(digits[dim], number[dim], parent, child, table[:, dim])
        table[d.DONE, dim] = table[d.TIMED, dim]
    # first all steps, then those at which each loop goes on
    for i in range(-1, len(loops) if latched else 0):
        going, stay = np.int64(-1), 1
        if i >= 0:
            going = loops[i, d.DIM]
            if loops[i, d.LEVEL] >= child:
                break
            if loops[i, d.SPATIAL] or loops[i, d.TIMES] == 1:
                continue
        for dim in range(8 if i >= 0 else 0):
            # most often a dimension of the tensor goes on, or goes back and all its chunks are whole: nothing stays
            if relevant(tensor, dim) and (tensor != I or dim < d.P):
                inside = table[d.TIMED, dim] > table[d.DONE, dim]
                if dim == going or (inside and table[d.EXACT, dim]):
                    stay = 0
                    break
        for dim in range(8 if stay else 0):
            inside = table[d.TIMED, dim] > table[d.DONE, dim]
            if dim in (d.P, d.Q):
                inside = inside or table[d.TIMED, dim + 2] > table[d.DONE, dim + 2]
            if i < 0 or inside:
                part = still(tensor, dim, going, parent, share, keep_halo, sizes, windows, digits, table, role)
                if i < 0:
                    table[d.ALL, dim] = part
                stay *= part
            else:
                stay *= table[d.ALL, dim]
        if i < 0:
            total = stay
            table[d.DONE] = 0
        else:
            total -= stay
            table[d.DONE, going] += 1
    return total


@kernel
def still(  # type: ignore[no-untyped-def]
    tensor, dim, going, parent, share, keep_halo, sizes, windows, digits, table, role
):
    """Return a dimension's factor of the words that stay: its extents, or how often a step comes by."""
    box = table[d.BOX, dim]
    if tensor == I and dim >= d.P:
        if dim >= d.R:
            return np.int64(1)
        return under_window(digits, table, sizes, dim, dim + 2, windows[dim - d.P], going, parent, share, keep_halo)
    has, alone = relevant(tensor, dim), share == d.ALONE
    if table[d.DONE, dim] == table[d.TIMED, dim]:
        if has:
            return sizes[dim]
        if alone or not table[d.SHARED, dim]:
            return (sizes[dim] + box - 1) // box
    # instances whose tiles differ add up; those with equal ones share
    spread = d.SUM if has or alone else d.FIXED
    steps = np.int64(dim == going)
    return d.still_along(
        digits[dim], table[d.MANY, dim], parent, table[d.DONE, dim], steps, spread, has, sizes[dim], box, role
    )


@kernel
def ever(digits, number, level, size, spatial, role):  # type: ignore[no-untyped-def]
    """Return how many instances outside a level have work of a dimension, or how many steps the first one has."""
    many = 0
    while many < number and digits[many, d.LEVEL] < level:
        role[many] = d.SUM if digits[many, d.SPATIAL] == spatial else d.FIXED
        many += 1
    return d.starts(digits, many, role, np.int64(1), size)[0]


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
    d.lay_out(loops, digits, number)
    table, role = np.empty((7, 8), dtype=np.int64), np.empty(max(1, len(loops)), dtype=np.int64)
    for dim in range(8):
        reached = digits[dim, 0, d.CHUNK] * digits[dim, 0, d.TIMES] if number[dim] else 1
        table[d.EXACT, dim] = np.int64(reached == sizes[dim])
    inner = len(levels)
    cycles = used = 1
    for level in range(inner + 1):
        found[min(level, inner - 1), O, FIRST] = 1 if level < inner else found[inner - 1, O, FIRST]
        for dim in range(8):
            for spatial in range(2):
                if level < inner and not spatial:
                    continue
                many = ever(digits[dim], number[dim], level, sizes[dim], spatial, role) if number[dim] else 1
                if level < inner:
                    found[level, O, FIRST] *= sizes[dim] if relevant(O, dim) else many
                elif spatial:
                    used *= many
                else:
                    cycles *= many
    for tensor in range(3):
        parent = np.int64(0)
        for child in range(1, inner + 1):
            if child < inner and not levels[child, tensor]:
                continue
            latched = np.int64(child < inner)
            share = levels[parent, REDUCE if tensor == O else MULTICAST]
            if tensor != O and levels[parent, NEIGHBOURS]:
                share = np.int64(d.UNION)
            keep = levels[child, KEEP_HALO] if latched else np.int64(0)
            spread = False
            for i in range(len(loops)):
                between = parent <= loops[i, d.LEVEL] and loops[i, d.LEVEL] < child
                spread = spread or (between and loops[i, d.SPATIAL] == 1 and loops[i, d.TIMES] > 1)
            # reads of the level above, then what all instances are given: the same if there is nothing to share
            for alone in range(1 + latched):
                if not alone or (spread and share != d.ALONE):
                    words = moved(tensor, parent, child, np.int64(d.ALONE) if alone else share, keep, latched, sizes,
                                  windows, loops, digits, number, table, role)  # fmt: skip
                found[child if alone else parent, tensor, IN if alone else OUT] = words
            parent = np.int64(child)
    return cycles, used
