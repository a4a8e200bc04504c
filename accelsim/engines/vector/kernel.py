"""The lanes: every step of a program on every group of lanes, and the passes over rows that are reduced.

The clock skips over the cycles of a step, since nothing arbitrates in between. Counts are in the order of
`accelsim.engines.vector.program.Counts`.
"""

from __future__ import annotations

import math

import numpy as np

from accelsim.jit import kernel

EXACT = ("ADD", "SUB", "MUL", "MAX", "MIN", "NEG", "ABS", "SQUARE", "ADD_SQUARE")
COMPARED = ("EQUAL", "GREATER", "AT_LEAST", "LESS", "AT_MOST", "AND", "OR", "XOR", "KEEP", "PICK", "CHOOSE")
REAL = ("DIV", "UNDER", "EXP", "EXP_NEG", "TANH", "ERF", "POWER", "ROOT", "LOG", "SIN", "COS", "REMAINDER")
CODES = {name: code for code, name in enumerate(EXACT + COMPARED + REAL)}
"""Step -> code. Those of `REAL` are executed on float64 alone; those of `COMPARED` give an operand, or 1 and 0."""

ADD, MUL, COMPARE, SPECIAL = 0, 1, 2, 3
CYCLES, BUSY, PADDING, UNMAPPED, IMBALANCE, OPS = 0, 1, 2, 3, 4, 5


@kernel
def exact(code, a, square, x):  # type: ignore[no-untyped-def]
    """Return the accumulator after a step of `EXACT`, in the type of the accumulator."""
    if code == 0:
        return a + x
    if code == 1:
        return a - x
    if code == 2:
        return a * x
    if code == 3:
        return max(a, x)
    if code == 4:
        return min(a, x)
    if code == 5:
        return -a
    if code == 6:
        return abs(a)
    return a + square


@kernel
def compared(code, a, held, x):  # type: ignore[no-untyped-def]
    """Return the accumulator after a step of `COMPARED`; ``held`` is the condition that PICK found."""
    if code == 9:
        holds = a == x
    elif code == 10:
        holds = a > x
    elif code == 11:
        holds = a >= x
    elif code == 12:
        holds = a < x
    elif code == 13:
        holds = a <= x
    elif code == 14:
        holds = a != 0 and x != 0
    elif code == 15:
        holds = a != 0 or x != 0
    elif code == 16:
        holds = (a != 0) != (x != 0)
    elif code == 17:
        return x if x > 0 else a
    elif code == 18:
        return x if a != 0 else x * 0
    else:
        return a if held != 0 else x
    return x * 0 + 1 if holds else x * 0


@kernel
def real(code, a, x):  # type: ignore[no-untyped-def]
    """Return the accumulator after a step of `REAL`."""
    if code == 20:
        return a / x if x != 0 else a * np.inf
    if code == 21:
        return x / a if a != 0 else x * np.inf
    if code == 22:
        return np.exp(a)
    if code == 23:
        return np.exp(-a)
    if code == 24:
        return np.tanh(a)
    if code == 25:
        return math.erf(a)
    if code == 26:
        return a**x
    if code == 27:
        return np.sqrt(a)
    if code == 28:
        return np.log(a)
    if code == 29:
        return np.sin(a)
    if code == 30:
        return np.cos(a)
    return a - np.floor(a / x) * x if x != 0 else a * np.nan


@kernel
def issue(counts, lanes, special, unit, active, absent, alone):  # type: ignore[no-untyped-def]
    """Account for one step of all lanes: ``absent`` of the ``active`` ones skip it, the others idle.

    ``alone`` says that the idle lanes wait for the active ones to combine a row; otherwise they have no element.
    """
    cycles = special if unit == SPECIAL else 1
    counts[CYCLES] += cycles
    counts[BUSY] += (active - absent) * cycles
    counts[PADDING] += absent * cycles
    counts[IMBALANCE if alone else UNMAPPED] += (lanes - active) * cycles
    counts[OPS + unit] += active - absent


@kernel
def walk_flat(  # type: ignore[no-untyped-def]
    lanes, special, codes, units, sources, consts, elements, start, present, with_values, operands, out
):
    """Walk the independent elements of a tile, ``lanes`` at a time, all steps of a group before the next group.

    Parameters
    ----------
    lanes, special : int
        The unit: lanes, cycles of a special operation.
    codes, units, sources : ndarray of int64, shape (steps,)
    consts : ndarray of the operands' dtype, shape (steps,)
    elements : int
        Output elements of the tile.
    start : ndarray of the operands' dtype, shape (1,) or (0,)
        First value of the accumulators; if empty, they start with operand 0.
    present : ndarray of bool, shape (window, elements)
        Whether a tap lies inside the image.
    with_values : bool
        Whether to compute; otherwise ``operands`` and ``out`` are not used.
    operands : ndarray of int64 or float64, shape (operands, elements)
    out : ndarray of the same dtype, shape (elements,)

    Returns
    -------
    ndarray of int64, shape (9,)
    """
    counts = np.zeros(9, dtype=np.int64)
    window = present.shape[0]
    acc, square = np.zeros(lanes, dtype=out.dtype), np.zeros(lanes, dtype=out.dtype)
    for base in range(0, elements, lanes):
        active = min(lanes, elements - base)
        if with_values:
            for lane in range(active):
                acc[lane] = operands[0, base + lane] if start.shape[0] == 0 else start[0]
        for step in range(codes.shape[0]):
            code, source = codes[step], sources[step]
            tap = 0 <= source < window
            absent = np.int64(0)
            if tap:
                for lane in range(active):
                    absent += not present[source, base + lane]
            issue(counts, lanes, special, units[step], active, absent, False)
            if not with_values:
                continue
            for lane in range(active):
                if tap and not present[source, base + lane]:
                    continue
                x = consts[step] if source < 0 else operands[source, base + lane]
                if code == 7:
                    square[lane] = x * x
                elif code < 9:
                    acc[lane] = exact(code, acc[lane], square[lane], x)
                elif code < 20:
                    held = square[lane]
                    if code == 18:
                        square[lane] = acc[lane]
                    acc[lane] = compared(code, acc[lane], held, x)
                else:
                    acc[lane] = real(code, acc[lane], x)
        if with_values:
            for lane in range(active):
                out[base + lane] = acc[lane]
    return counts


@kernel
def tree(counts, lanes, special, unit, acc, live):  # type: ignore[no-untyped-def]
    """Combine the accumulators of ``live`` lanes pairwise, half of them per cycle; return the result."""
    while live > 1:
        half = (live + 1) // 2
        issue(counts, lanes, special, unit, live - half, 0, True)
        for lane in range(live - half):
            other = acc[lane + half]
            acc[lane] = max(acc[lane], other) if unit == COMPARE else acc[lane] + other
        live = half
    return acc[0]


@kernel
def centre(counts, lanes, special, softmax, length, acc, live):  # type: ignore[no-untyped-def]
    """Add the lanes up to what a row's elements are taken from: its largest, or its mean."""
    found = tree(counts, lanes, special, COMPARE if softmax else ADD, acc, live)
    if softmax:
        return found
    issue(counts, lanes, special, SPECIAL, 1, 0, True)
    return found / length


@kernel
def spread(counts, lanes, special, softmax, epsilon, length, acc, live):  # type: ignore[no-untyped-def]
    """Add the lanes up to the sum by which a softmax divides, or the inverse deviation that a row is multiplied by."""
    found = tree(counts, lanes, special, ADD, acc, live)
    if softmax:
        return found
    # variance, plus epsilon, inverse root
    issue(counts, lanes, special, SPECIAL, 1, 0, True)
    issue(counts, lanes, special, ADD, 1, 0, True)
    issue(counts, lanes, special, SPECIAL, 1, 0, True)
    return 1 / np.sqrt(found / length + epsilon)


@kernel
def walk_rows(lanes, special, softmax, epsilon, gains, shifts, length, x, out):  # type: ignore[no-untyped-def]
    """Walk the rows of a tile: softmax, or layer normalisation.

    Parameters
    ----------
    lanes, special : int
    softmax : bool
    epsilon : float
        Added to the variance.
    gains, shifts : int
        Whether a layer normalisation multiplies and shifts each element (by 1 and 0).
    length : int
        Elements per row.
    x, out : ndarray of float64, shape (rows, length)

    Returns
    -------
    ndarray of int64, shape (9,)
    """
    counts = np.zeros(9, dtype=np.int64)
    live = min(lanes, length)
    for row in range(x.shape[0]):
        unit = COMPARE if softmax else ADD
        acc = np.full(lanes, -np.inf if softmax else 0.0)
        for base in range(0, length, lanes):
            active = min(lanes, length - base)
            issue(counts, lanes, special, unit, active, 0, False)
            for lane in range(active):
                value = x[row, base + lane]
                acc[lane] = max(acc[lane], value) if softmax else acc[lane] + value
        middle = centre(counts, lanes, special, softmax, length, acc, live)
        acc[:] = 0
        for base in range(0, length, lanes):
            active = min(lanes, length - base)
            issue(counts, lanes, special, ADD, active, 0, False)
            issue(counts, lanes, special, SPECIAL if softmax else MUL, active, 0, False)
            issue(counts, lanes, special, ADD, active, 0, False)
            for lane in range(active):
                shifted = x[row, base + lane] - middle
                out[row, base + lane] = np.exp(shifted) if softmax else shifted
                acc[lane] += out[row, base + lane] if softmax else shifted * shifted
        scale = spread(counts, lanes, special, softmax, epsilon, length, acc, live)
        for base in range(0, length, lanes):
            active = min(lanes, length - base)
            issue(counts, lanes, special, SPECIAL if softmax else MUL, active, 0, False)
            for _ in range(gains):
                issue(counts, lanes, special, MUL, active, 0, False)
            for _ in range(shifts):
                issue(counts, lanes, special, ADD, active, 0, False)
            for lane in range(active):
                value = out[row, base + lane]
                out[row, base + lane] = value / scale if softmax else value * scale
    return counts


@kernel
def walk_passes(lanes, special, softmax, epsilon, gains, shifts, piece, x, out):  # type: ignore[no-untyped-def]
    """Walk a row that does not fit, three times in pieces; arguments as of `walk_rows`.

    Parameters
    ----------
    piece : int
        Elements of a piece.
    x, out : ndarray of float64, shape (length,)

    Returns
    -------
    ndarray of int64, shape (3, pieces, 9)
    """
    length = x.shape[0]
    pieces, live = (length + piece - 1) // piece, min(lanes, length)
    counts = np.zeros((3, pieces, 9), dtype=np.int64)
    acc = np.full(lanes, -np.inf if softmax else 0.0)
    unit, middle, scale = COMPARE if softmax else ADD, 0.0, 0.0
    for turn in range(3):
        for at in range(pieces):
            mine, end = counts[turn, at], min(length, (at + 1) * piece)
            for base in range(at * piece, end, lanes):
                active = min(lanes, end - base)
                if turn == 0:
                    issue(mine, lanes, special, unit, active, 0, False)
                    for lane in range(active):
                        value = x[base + lane]
                        acc[lane] = max(acc[lane], value) if softmax else acc[lane] + value
                    continue
                issue(mine, lanes, special, ADD, active, 0, False)
                issue(mine, lanes, special, SPECIAL if softmax else MUL, active, 0, False)
                if turn == 1:
                    issue(mine, lanes, special, ADD, active, 0, False)
                elif softmax:
                    issue(mine, lanes, special, SPECIAL, active, 0, False)
                else:
                    for _ in range(gains):
                        issue(mine, lanes, special, MUL, active, 0, False)
                    for _ in range(shifts):
                        issue(mine, lanes, special, ADD, active, 0, False)
                for lane in range(active):
                    shifted = x[base + lane] - middle
                    value = np.exp(shifted) if softmax else shifted
                    if turn == 1:
                        acc[lane] += value if softmax else shifted * shifted
                    else:
                        out[base + lane] = value / scale if softmax else value * scale
        mine = counts[turn, pieces - 1]
        if turn == 0:
            middle = centre(mine, lanes, special, softmax, length, acc, live)
            acc[:] = 0
        elif turn == 1:
            scale = spread(mine, lanes, special, softmax, epsilon, length, acc, live)
    return counts
