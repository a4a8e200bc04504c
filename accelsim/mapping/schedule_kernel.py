"""The schedule of a cut layer as a table, in machine code: what each tile is and moves, loops where tiles are alike.

Rows of integers as in `nest_kernel`; a table is laid out as `clock_kernel` walks schedules.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel, lean
from accelsim.mapping import nest_kernel as nest
from accelsim.mapping.bound_kernel import workspace
from accelsim.mapping.timeline_kernel import cut

REPEAT, END, TIMES, TILE, RUN, NUMBER, COLUMNS = 0, 1, 2, 3, 11, 16, 21
"""Columns of a table, those of `loopnest`: where a tile's extents, its runs and their numbers begin."""
IN, WEIGHT, PSUM, OUT, SPILL = range(5)


@kernel
def table(layer, tiling, psum_width):  # type: ignore[no-untyped-def]
    """Return the table of a layer cut by a tiling: groups, n, e, f, k, c, order."""
    state = workspace(layer)
    innermost, stays = cut(layer, tiling, state)
    runs, counts = state[0], state[1]
    axes = nest.AXES[tiling[6]]
    size = steps = 1
    for depth in range(6):
        steps *= counts[axes[depth]]
        size += steps
    rows = np.zeros((size + steps, COLUMNS), dtype=np.int64)
    return rows[: fill(layer, axes, runs, counts, innermost, stays, psum_width, state[5], rows)]


@lean
def fill(layer, axes, runs, counts, innermost, stays, psum_width, hands, rows):  # type: ignore[no-untyped-def]
    """Write the rows, loop by loop from the outermost; return how many there are."""
    at, run, opened, times, depth, row = hands[:6], hands[6], hands[7], hands[8], 0, 0
    run[0], times[0] = 0, 1
    while True:
        for i in range(5):
            at[axes[depth], i] = runs[axes[depth], run[depth], i]
        repeat = at[axes[depth], nest.REPEAT]
        times[depth + 1] = times[depth] * repeat
        opened[depth] = -1
        if repeat > 1:
            opened[depth], rows[row, REPEAT] = row, repeat
            row += 1
        if depth < 5:
            depth += 1
            run[depth] = 0
            continue
        rows[row, TIMES] = times[6]
        write(layer, at, innermost, stays, psum_width, rows[row])
        row += 1
        while True:
            if opened[depth] >= 0:
                rows[opened[depth], END] = row
            run[depth] += 1
            if run[depth] < counts[axes[depth]]:
                break
            depth -= 1
            if depth < 0:
                return row


@lean
def write(layer, at, innermost, stays, psum_width, row):  # type: ignore[no-untyped-def]
    """Write what a tile is and moves; ``at`` has a run of each axis as a row."""
    for axis in range(6):
        row[TILE + axis] = at[axis, nest.EXTENT]
    g, n, e, f, k, c = row[TILE], row[TILE + 1], row[TILE + 2], row[TILE + 3], row[TILE + 4], row[TILE + 5]
    tall, wide = at[2, nest.INPUTS], at[3, nest.INPUTS]
    row[TILE + 6], row[TILE + 7] = tall, wide
    inputs, weights, back, done, spilled = nest.moving(layer, at, innermost, stays)
    if inputs and tall * wide:
        row[RUN + IN], row[NUMBER + IN] = nest.input_block(layer, g, n, tall, wide, c)
    if weights:
        row[RUN + WEIGHT], row[NUMBER + WEIGHT] = nest.weight_block(layer, g, k, c)
    if done:
        row[RUN + OUT], row[NUMBER + OUT] = nest.output_block(layer, g, n, e, f, k, layer[nest.OUTPUT_W])
    run, number = nest.output_block(layer, g, n, e, f, k, psum_width)
    if back:
        row[RUN + PSUM], row[NUMBER + PSUM] = run, number
    if spilled:
        row[RUN + SPILL], row[NUMBER + SPILL] = run, number
