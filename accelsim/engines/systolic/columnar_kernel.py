"""Whole layers in closed form, in machine code: mapping, tiles, traffic and timeline of many layers at a time.

Gives the integers of `tilecost` and `engine` digit for digit, and the same floating-point operations in the same order
where a mapping is chosen. What a layer's counts do not let it do exactly, it declines.
"""

from __future__ import annotations

import numpy as np

from accelsim.engines.systolic import priced_kernel
from accelsim.jit import kernel, lean
from accelsim.mapping import bound_kernel, search_kernel, timeline_kernel
from accelsim.mapping import nest_kernel as nest
from accelsim.mapping.tile_kernel import COLUMNS, FOLDS, IS, OS, WS, fold_cycles, sides

ARRAY = ("flow", "rows", "cols", "overlap", "psum_width", "input_bits", "weight_bits", "output_bits")
"""The array's integers: the last three are the capacities of the scratchpads."""
FLOW, ROWS, COLS, OVERLAP, PSUM_W, INPUT_BITS, WEIGHT_BITS, OUTPUT_BITS = range(8)
MOST = 4
"""Behind the DRAM's integers (`bound_kernel.BUS`): the most that a layer may move."""

COUNTS = (
    "known", "cycles", "dram_read", "dram_write", "performed_macs", "busy", "zero", "unmapped", "fill_drain", "starved",
    "memory", "mac", "pe_read", "pe_write", "array_transfer", "inputs_read", "inputs_write", "weights_read",
    "weights_write", "outputs_read", "outputs_write",
)  # fmt: skip
"""Columns of what comes out; ``known`` is 0 for a layer that is declined."""


@lean
def tile_cost(flow, rows, cols, overlap, g, m, n, k):  # type: ignore[no-untyped-def]
    """Return what `tilecost.tile_cost` says of one tile: all but ``unmapped``, which closes the account."""
    sr, sc, t = sides(flow, m, n, k)
    row_folds, col_folds = nest.ceil_div(sr, rows), nest.ceil_div(sc, cols)
    r_last, c_last = sr - (row_folds - 1) * rows, sc - (col_folds - 1) * cols
    cycles = fold_cycles(flow, rows, cols, overlap, g, sr, sc, t, row_folds, col_folds)
    work = g * m * n * k
    held = hops = top = 0
    left, results = g * sr * t * col_folds, g * sc * t * row_folds
    if flow == OS:
        top, results = results, g * sr * sc
    else:
        held = g * sr * sc
        hops = g * sc * ((row_folds - 1) * (rows * (rows + 1) // 2) + r_last * (r_last + 1) // 2)
    load = 0 if flow == OS else 1
    if not overlap:
        square_r = (row_folds - 1) * rows * rows + r_last * r_last
        square_c = (col_folds - 1) * cols * cols + c_last * c_last
        fill = g * ((1 + load) * square_r * sc + sr * square_c - 2 * sr * sc)
        return cycles, work, fill, 0, left, top, held, hops, results
    r_first, c_first = min(sr, rows), min(sc, cols)
    head = r_first * load
    slot_full, slot_last = max(t, rows * load), max(t, r_last * load)
    slot_first = slot_full if row_folds > 1 else slot_last
    last_start = head + g * col_folds * ((row_folds - 1) * slot_full + slot_last) - slot_first
    waiting = (row_folds - 1) * rows * (slot_full - t) + r_last * (slot_last - t)
    starved = g * sc * waiting - r_first * c_first * (slot_first - t)
    tail = cycles - (last_start + t)
    fill = r_first * c_first * head + skew(r_first, c_first) + r_last * c_last * tail - skew(r_last, c_last)
    return cycles, work, fill, starved, left, top, held, hops, results


@lean
def skew(r, c):  # type: ignore[no-untyped-def]
    """Return the sum of ``i + j`` over an r x c block."""
    return c * (r * (r - 1) // 2) + r * (c * (c - 1) // 2)


@lean
def layer_cost(layer, array, tile, kinds, total):  # type: ignore[no-untyped-def]
    """Add up the tiles of a layer, full ones and those at the edges; ``total`` is in the order of `tile_cost`."""
    taps = layer[nest.R] * layer[nest.S]
    flow, rows, cols, overlap = array[FLOW], array[ROWS], array[COLS], array[OVERLAP]
    for i in range(9):
        total[i] = 0
    for at in range(bound_kernel.tile_kinds(layer, tile, kinds, 0)):
        cost = tile_cost(flow, rows, cols, overlap, kinds[at, 1], kinds[at, 2], kinds[at, 3], kinds[at, 4] * taps)
        for i in range(9):
            total[i] += kinds[at, 0] * cost[i]


@lean
def entering(flow, cost):  # type: ignore[no-untyped-def]
    """Return the words of inputs and of weights that enter the array."""
    left, top, held = cost[4], cost[5], cost[6]
    if flow == OS:
        return left, top
    return (left, held) if flow == WS else (held, left)


@lean
def room(layer, array, limits):  # type: ignore[no-untyped-def]
    """Write the bits that a tile of inputs, weights, outputs may take; False if tensors at home leave none."""
    taken_input = layer[nest.INPUT_HOME] + layer[nest.OUTPUT_HOME]
    if taken_input > array[INPUT_BITS] or layer[nest.WEIGHT_HOME] > array[WEIGHT_BITS]:
        return False
    most = np.int64(2**63 - 1)
    limits[0] = most if layer[nest.INPUT_X] == 0 else (array[INPUT_BITS] - taken_input) // 2
    limits[1] = most if layer[nest.WEIGHT_X] == 0 else (array[WEIGHT_BITS] - layer[nest.WEIGHT_HOME]) // 2
    limits[2] = array[OUTPUT_BITS] // 2
    return True


@kernel
def evaluate(layers, array, bus, objective, rates, out):  # type: ignore[no-untyped-def]
    """Evaluate layers on an array.

    Parameters
    ----------
    layers : array of int64, shape (layers, columns of `nest_kernel.LAYER`)
    array, bus : arrays of int64, in the order of `ARRAY`, and of `bound_kernel.BUS` and `MOST`
    objective : int
        CYCLES or DRAM of `search_kernel`; with rates, ENERGY or EDP of `priced_kernel`.
    rates : array of float64, shape (14,), or None
        Prices and leakage in the order of `priced_kernel.PRICED`.
    out : array of int64, shape (layers, columns of `COUNTS`), written
    """
    limits, best, figures = np.empty(3, dtype=np.int64), np.empty(7, dtype=np.int64), np.empty(5)
    rows = 4
    for i in range(len(layers)):
        rows = max(rows, bound_kernel.run_rows(layers[i]))
    work = search_kernel.scratch(rows, 1)
    sums = np.empty((2, 9), dtype=np.int64)
    kinds = np.empty((bound_kernel.MOST_KINDS, len(bound_kernel.TILE)), dtype=np.int64)
    forms, units = np.zeros((1, COLUMNS), dtype=np.int64), np.empty(2, dtype=np.int64)
    form = forms[0]
    form[0], form[1], form[2], form[3], form[4] = FOLDS, array[FLOW], array[ROWS], array[COLS], array[OVERLAP]
    units[0], units[1] = array[ROWS], array[COLS]
    for i in range(len(layers)):
        layer = layers[i]
        out[i, 0] = 0
        if layer[nest.ACCESSES] > bus[MOST] or not room(layer, array, limits):
            continue
        form[5] = layer[nest.R] * layer[nest.S]
        if rates is None:  # known when this compiles: only one of both searches does
            found = search_kernel.search_with(
                work, layer, forms, limits, array[PSUM_W], units, 1, bus, objective, best, figures
            ) == 0  # fmt: skip
        else:
            found = priced_kernel.search(
                work, layer, form, limits, array[PSUM_W], units, bus, objective, rates, best, figures
            )
        if found:
            count_layer(layer, array, form, bus, best, work.timing, sums, kinds, out[i])


@lean
def count_layer(layer, array, form, bus, tiling, state, sums, kinds, out):  # type: ignore[no-untyped-def]
    """Count everything of a layer cut by ``tiling``: what `TiledEngine.activity` says, and the timeline.

    ``state`` is a `bound_kernel.workspace` of the layer, ``sums`` room for two rows of nine integers, ``kinds``
    for its kinds of tile.
    """
    innermost, stays = timeline_kernel.cut(layer, tiling, state)
    runs, counts, tile, _, trips, hands = state
    moved, total, clock = sums[0], sums[1], hands[timeline_kernel.CLOCK]
    burst = bus[bound_kernel.BURST]
    nest.dram_traffic(layer, runs, counts, trips, innermost, stays, array[PSUM_W], burst, moved)
    layer_cost(layer, array, tile, kinds, total)
    most = np.int64(bound_kernel.FOREVER)
    if not timeline_kernel.timeline(
        layer, form, array[PSUM_W], tiling[6], runs, counts, innermost, stays, bus, most, hands
    ):
        return
    pes, macs, psum_width = array[ROWS] * array[COLS], total[1], array[PSUM_W]
    unmapped = pes * total[0] - macs - total[2] - total[3]
    if clock[5] != total[0] or min(unmapped, total[2], total[3]) < 0 or layer[nest.EFFECTIVE] > macs:
        return  # the account does not close: the plain path says so
    cycles = nest.finish(clock)
    inputs, weights = entering(array[FLOW], total)
    outputs = layer[nest.N] * layer[nest.K] * layer[nest.E] * layer[nest.F]
    moves_input, moves_weight, moves_psum = macs * layer[nest.INPUT_W], macs * layer[nest.WEIGHT_W], macs * psum_width
    if array[FLOW] == WS:
        moves_weight = total[7] * layer[nest.WEIGHT_W]
    elif array[FLOW] == IS:
        moves_input = total[7] * layer[nest.INPUT_W]
    else:
        moves_psum = total[8] * psum_width
    out[1], out[2], out[3], out[4] = cycles, moved[0], moved[1], macs
    out[5], out[6] = layer[nest.EFFECTIVE], macs - layer[nest.EFFECTIVE]
    out[7], out[8], out[9], out[10] = unmapped, total[2], total[3], pes * (cycles - clock[5])
    out[11], out[12] = macs, macs * (layer[nest.INPUT_W] + layer[nest.WEIGHT_W] + psum_width)
    out[13], out[14] = macs * psum_width + moves_input + moves_weight, moves_psum + moves_input + moves_weight
    # scratchpads: words that enter the array, and what DRAM brings or an output at home leaves
    out[15] = inputs * layer[nest.INPUT_W]
    out[16] = moved[2] + (outputs * layer[nest.OUTPUT_W] if layer[nest.OUTPUT_X] == 0 else 0)
    out[17], out[18] = weights * layer[nest.WEIGHT_W], moved[3]
    out[19], out[20] = total[8] * psum_width + moved[4], total[8] * psum_width + moved[5]
    out[0] = 1
