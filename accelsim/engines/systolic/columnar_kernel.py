"""Whole layers in closed form, in machine code: mapping, tiles, traffic and timeline of many layers at a time.

Gives the integers of `tilings`, `candidates`, `tilecost` and `engine` digit for digit, and the same floating-point
operations in the same order where a mapping is chosen. What a layer's counts do not let it do exactly, it declines.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel
from accelsim.mapping import nest_kernel as nest
from accelsim.mapping import tilings_kernel as cut

OS, WS, IS = 0, 1, 2
CYCLES, DRAM, ENERGY, EDP = 0, 1, 2, 3

ARRAY = ("flow", "rows", "cols", "overlap", "psum_width", "input_bits", "weight_bits", "output_bits")
"""The array's integers: the last three are the capacities of the scratchpads."""
FLOW, ROWS, COLS, OVERLAP, PSUM_W, INPUT_BITS, WEIGHT_BITS, OUTPUT_BITS = range(8)
BUS = ("numerator", "denominator", "latency_cycles", "burst_bits", "most")
"""The DRAM's integers: bits per cycle as a fraction, latency, burst, and the most that a layer may move."""
NUMERATOR, DENOMINATOR, LATENCY, BURST, MOST = range(5)

COUNTS = (
    "known", "cycles", "dram_read", "dram_write", "performed_macs", "busy", "zero", "unmapped", "fill_drain", "starved",
    "memory", "mac", "pe_read", "pe_write", "array_transfer", "inputs_read", "inputs_write", "weights_read",
    "weights_write", "outputs_read", "outputs_write",
)  # fmt: skip
"""Columns of what comes out; ``known`` is 0 for a layer that is declined."""


@kernel
def sides(flow, m, n, k):  # type: ignore[no-untyped-def]
    """Return the operand sizes along rows and columns, and the stream length: `tilecost.sides`."""
    if flow == OS:
        return m, n, k
    return (k, n, m) if flow == WS else (k, m, n)


@kernel
def tile_cycles(flow, rows, cols, overlap, g, m, n, k):  # type: ignore[no-untyped-def]
    """Return the cycles of one tile: `tilecost.tile_cost`."""
    sr, sc, t = sides(flow, m, n, k)
    row_folds, col_folds = nest.ceil_div(sr, rows), nest.ceil_div(sc, cols)
    load = 0 if flow == OS else 1
    if not overlap:
        return g * row_folds * col_folds * (t - 2) + (1 + load) * g * sr * col_folds + g * sc * row_folds
    r_last, c_last = sr - (row_folds - 1) * rows, sc - (col_folds - 1) * cols
    slot_full, slot_last = max(t, rows * load), max(t, r_last * load)
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
    return end


@kernel
def tile_cost(flow, rows, cols, overlap, g, m, n, k):  # type: ignore[no-untyped-def]
    """Return what `tilecost.tile_cost` says of one tile: all but ``unmapped``, which closes the account."""
    sr, sc, t = sides(flow, m, n, k)
    row_folds, col_folds = nest.ceil_div(sr, rows), nest.ceil_div(sc, cols)
    r_last, c_last = sr - (row_folds - 1) * rows, sc - (col_folds - 1) * cols
    cycles, work = tile_cycles(flow, rows, cols, overlap, g, m, n, k), g * m * n * k
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


@kernel
def skew(r, c):  # type: ignore[no-untyped-def]
    """Return the sum of ``i + j`` over an r x c block."""
    return c * (r * (r - 1) // 2) + r * (c * (c - 1) // 2)


@kernel
def layer_cost(layer, array, tile, cycles_only, total):  # type: ignore[no-untyped-def]
    """Add up the tiles of a layer, full ones and those at the edges; ``total`` is in the order of `tile_cost`."""
    taps = layer[nest.R] * layer[nest.S]
    flow, rows, cols, overlap = array[FLOW], array[ROWS], array[COLS], array[OVERLAP]
    for i in range(9):
        total[i] = 0
    for a in range(2):
        g, groups = cut.kind(layer[nest.GROUPS], tile[0], a)
        for b in range(2 if groups else 0):
            n, images = cut.kind(layer[nest.N], tile[1], b)
            for d in range(2 if images else 0):
                e, tall = cut.kind(layer[nest.E], tile[2], d)
                for j in range(2 if tall else 0):
                    f, wide = cut.kind(layer[nest.F], tile[3], j)
                    pixels = groups * images * tall * wide
                    for p in range(2 if wide else 0):
                        k, outputs = cut.kind(layer[nest.KG], tile[4], p)
                        for q in range(2 if outputs else 0):
                            c, inputs = cut.kind(layer[nest.CG], tile[5], q)
                            times = pixels * outputs * inputs
                            if times and cycles_only:
                                total[0] += times * tile_cycles(flow, rows, cols, overlap, g, n * e * f, k, c * taps)
                            elif times:
                                cost = tile_cost(flow, rows, cols, overlap, g, n * e * f, k, c * taps)
                                for i in range(9):
                                    total[i] += times * cost[i]


@kernel
def choose(layer, array, limits, bus, rate, objective, prices, best):  # type: ignore[no-untyped-def]
    """Write the best tiling (groups, n, e, f, k, c, order) to ``best``; return False if none fits.

    Candidates in the order of `tilings.tilings`, bounds as in `candidates.bounds`, ties as in `mapping.choose`.
    ``limits`` are the bits that a tile of inputs, weights, outputs may take; ``prices`` are those of `PRICED`.
    """
    groups, taps = layer[nest.GROUPS], layer[nest.R] * layer[nest.S]
    kg, cg = layer[nest.KG], layer[nest.CG]
    cuts, splits = np.empty((3, 20), dtype=np.int64), np.empty(3, dtype=np.int64)
    for axis in range(3):
        splits[axis] = cut.pieces(layer[nest.N] if axis == 0 else layer[nest.E + axis - 1], cuts[axis])
    channels, group_cuts = np.empty(96, dtype=np.int64), np.empty(20, dtype=np.int64)
    channel_count = cut.channel_cuts(kg, array[ROWS], array[COLS], channels)
    group_count = cut.pieces(groups, group_cuts)
    tile, total = np.empty(6, dtype=np.int64), np.empty(9, dtype=np.int64)
    score, cycles, dram = np.inf, 0, 0
    for axis in range(3):
        for at in range(0 if axis == 0 else 1, splits[axis]):
            tile[1] = cuts[0, at] if axis == 0 else 1
            tile[2] = layer[nest.E] if axis == 0 else cuts[1, at] if axis == 1 else 1
            tile[3] = layer[nest.F] if axis < 2 else cuts[2, at]
            region = tile[1] * nest.reach(layer, 0, tile[2]) * nest.reach(layer, 1, tile[3])
            pixels = tile[1] * tile[2] * tile[3]
            fetched = layer[nest.N] * nest.swept(layer, 0, tile[2]) * nest.swept(layer, 1, tile[3])
            for channel in range(channel_count):
                tile[4] = k = channels[channel]
                c = min(
                    cg,
                    limits[0] // max(1, region * layer[nest.INPUT_W]),
                    limits[1] // (k * taps * layer[nest.WEIGHT_W]),
                )
                if c < 1 or pixels * k * array[PSUM_W] > limits[2]:
                    continue
                tile[5] = c = nest.ceil_div(cg, nest.ceil_div(cg, c))
                whole = k == kg and c == cg
                most = 1
                if groups > 1 and whole:
                    most = min(
                        limits[0] // max(1, region * c * layer[nest.INPUT_W]),
                        limits[1] // (k * c * taps * layer[nest.WEIGHT_W]),
                        limits[2] // (pixels * k * array[PSUM_W]),
                    )
                for shared in range(group_count + 1):
                    # first a group at a time, then the tiles of several groups, large ones first
                    tile[0] = 1 if shared == 0 else group_cuts[shared - 1]
                    if shared and not (whole and 1 < tile[0] <= most):
                        continue
                    layer_cost(layer, array, tile, objective < ENERGY, total)
                    factors = cut.burst_factors(layer, tile, array[PSUM_W], bus[BURST])
                    trips = cut.tile_trips(layer, tile)
                    live = nest.live_loops(trips[1], trips[2], trips[3])
                    for i in range(6 if shared == 0 else 1):
                        order = nest.DISTINCT[live, i]
                        if order < 0:
                            break
                        found = bound(
                            layer,
                            array,
                            trips,
                            factors,
                            live,
                            order,
                            total,
                            fetched,
                            bus[LATENCY],
                            rate,
                            objective,
                            prices,
                        )
                        if found[0] < score or (
                            found[0] == score and (found[1] < cycles or (found[1] == cycles and found[2] < dram))
                        ):
                            score, cycles, dram = found
                            for j in range(6):
                                best[j] = tile[j]
                            best[6] = order
    return score < np.inf


@kernel
def bound(  # type: ignore[no-untyped-def]
    layer, array, trips, factors, live, order, cost, fetched, latency, rate, objective, prices
):
    """Return a candidate's objective, cycles and DRAM bits: `candidates.bounds`.

    ``trips`` and ``factors`` are those of `tile_trips` and `burst_factors`, ``live`` says which loops iterate.
    """
    trips_g, trips_m, trips_k, trips_c = trips
    input_factor, weight_factor, output_factor, psum_factor = factors
    innermost = nest.INNERMOST[live, order]
    again_input = 1 if innermost == 1 else trips_k
    again_weight = 1 if innermost == 0 else trips_m
    stays = trips_c == 1 or innermost == 2
    input_bits = fetched * layer[nest.C] * layer[nest.INPUT_W] * again_input * layer[nest.INPUT_X]
    weight_bits = layer[nest.K] * layer[nest.CG] * layer[nest.R] * layer[nest.S] * layer[nest.WEIGHT_X]
    weight_bits *= layer[nest.WEIGHT_W] * again_weight
    outputs = layer[nest.N] * layer[nest.K] * layer[nest.E] * layer[nest.F]
    spill_bits = 0 if stays else outputs * (trips_c - 1) * array[PSUM_W]
    output_bits = outputs * layer[nest.OUTPUT_W] * layer[nest.OUTPUT_X]
    spill_bus = spill_bits * psum_factor
    read = input_bits * input_factor + weight_bits * weight_factor + spill_bus
    write = output_bits * output_factor + spill_bus
    moved = read + write
    output_tiles = trips_g * trips_m * trips_k
    first = (input_bits / again_input + weight_bits / again_weight) / (output_tiles * trips_c)
    ends = (first + output_bits / output_tiles) / rate + latency
    cycles = np.int64(max(cost[0] + ends, moved / rate))
    dram_bits = np.int64(moved)
    if objective == CYCLES:
        return np.float64(cycles), cycles, dram_bits
    if objective == DRAM:
        return np.float64(dram_bits), cycles, dram_bits
    inputs, weights = entering(array[FLOW], cost)
    spilling = cost[8] * array[PSUM_W] + spill_bits
    # the order of the sum is that of the bounds' traffic
    energy = 0.0
    energy += inputs * layer[nest.INPUT_W] * prices[0]
    energy += input_bits * prices[1]
    energy += weights * layer[nest.WEIGHT_W] * prices[2]
    energy += weight_bits * prices[3]
    energy += spilling * prices[4]
    energy += spilling * prices[5]
    energy += read * prices[6]
    energy += write * prices[7]
    return (energy * cycles if objective == EDP else energy), cycles, dram_bits


@kernel
def entering(flow, cost):  # type: ignore[no-untyped-def]
    """Return the words of inputs and of weights that enter the array."""
    left, top, held = cost[4], cost[5], cost[6]
    if flow == OS:
        return left, top
    return (left, held) if flow == WS else (held, left)


@kernel
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
def enter(at, runs, axis, run):  # type: ignore[no-untyped-def]
    """Let a run of an axis be the current one."""
    for i in range(5):
        at[axis, i] = runs[axis, run, i]


@kernel
def timeline(layer, array, order, runs, counts, innermost, stays, bus, clock):  # type: ignore[no-untyped-def]
    """Let the tiles of a cut layer pass, loop by loop: `timeline.run` on `LoopNest.schedule`.

    Returns False if a count would leave 64 bits.
    """
    taps, axes = layer[nest.R] * layer[nest.S], nest.AXES[order]
    at = np.zeros((6, 5), dtype=np.int64)
    run, done, since, gap = np.zeros((4, 6), dtype=np.int64)
    states = np.empty((6, 6), dtype=np.int64)
    for i in range(6):
        clock[i] = 0
    depth = 0
    enter(at, runs, axes[0], 0)
    nest.relative(clock, states[0])
    gap[0] = 1
    while depth >= 0:
        axis = axes[depth]
        if done[depth] == runs[axis, run[depth], nest.REPEAT]:
            run[depth] += 1
            if run[depth] == counts[axis]:
                depth -= 1
                if depth < 0:
                    break
                finished = True
            else:
                enter(at, runs, axis, run[depth])
                done[depth], since[depth], gap[depth] = 0, 0, 1
                nest.relative(clock, states[depth])
                finished = False
        elif depth < 5:
            depth += 1
            axis = axes[depth]
            run[depth], done[depth], since[depth], gap[depth] = 0, 0, 0, 1
            enter(at, runs, axis, 0)
            nest.relative(clock, states[depth])
            finished = False
        else:
            load, store = nest.step_bits(layer, at, innermost, stays, array[PSUM_W], bus[BURST])
            m = at[1, nest.EXTENT] * at[2, nest.EXTENT] * at[3, nest.EXTENT]
            g, k, c = at[0, nest.EXTENT], at[4, nest.EXTENT], at[5, nest.EXTENT]
            compute = tile_cycles(array[FLOW], array[ROWS], array[COLS], array[OVERLAP], g, m, k, c * taps)
            load = nest.on_bus_cycles(load, bus[NUMERATOR], bus[DENOMINATOR])
            store = nest.on_bus_cycles(store, bus[NUMERATOR], bus[DENOMINATOR])
            if clock[1] > nest.MOST_BITS // 4 or max(load, store, compute) > nest.MOST_BITS // 16:
                return False
            nest.tick(clock, load, compute, store, bus[LATENCY])
            finished = True
        if finished:
            done[depth] += 1
            left = runs[axes[depth], run[depth], nest.REPEAT] - done[depth]
            if left > 0 and gap[depth] > 0:
                rounds = done[depth] - since[depth]
                skipped = nest.jump(clock, states[depth], rounds, left)
                if skipped:
                    done[depth] += skipped
                    gap[depth] = 0  # fewer rounds than a period are left: no more looking
                elif rounds == gap[depth]:
                    # compare with an ever later round, so that any period is found
                    since[depth], gap[depth] = done[depth], 2 * gap[depth]
                    nest.relative(clock, states[depth])
    return True


@kernel
def evaluate(layers, array, bus, rate, objective, prices, out):  # type: ignore[no-untyped-def]
    """Evaluate layers on an array.

    Parameters
    ----------
    layers : array of int64, shape (layers, columns of `nest_kernel.LAYER`)
    array, bus : arrays of int64, in the order of `ARRAY` and `BUS`
    rate : float
        DRAM bits per cycle.
    objective : int
        CYCLES, DRAM, ENERGY or EDP.
    prices : array of float64, shape (8,)
        pJ per bit read and written of the input, weight and output scratchpads and of DRAM.
    out : array of int64, shape (layers, columns of `COUNTS`), written
    """
    limits, best = np.empty(3, dtype=np.int64), np.empty(7, dtype=np.int64)
    for i in range(len(layers)):
        layer = layers[i]
        out[i, 0] = 0
        fits = layer[nest.ACCESSES] <= bus[MOST] and room(layer, array, limits)
        if fits and choose(layer, array, limits, bus, rate, objective, prices, best):
            count_layer(layer, array, bus, best, out[i])


@kernel
def count_layer(layer, array, bus, tile, out):  # type: ignore[no-untyped-def]
    """Count everything of a layer cut by ``tile``: `engine._activity`, and the timeline."""
    groups = layer[nest.GROUPS]
    sizes = (groups, layer[nest.N], layer[nest.E], layer[nest.F], layer[nest.KG], layer[nest.CG])
    most = max(3, nest.ceil_div(layer[nest.E], tile[2]), nest.ceil_div(layer[nest.F], tile[3]))
    runs, counts = np.empty((6, most, 5), dtype=np.int64), np.empty(6, dtype=np.int64)
    trips = np.empty(6, dtype=np.int64)
    for axis in range(6):
        counts[axis] = nest.fill_runs(layer, axis, sizes[axis], tile[axis], runs[axis])
        trips[axis] = nest.ceil_div(sizes[axis], tile[axis])
    innermost = nest.INNERMOST[nest.live_loops(trips[1] * trips[2] * trips[3], trips[4], trips[5]), tile[6]]
    stays = trips[5] == 1 or innermost == 2
    moved, total, clock = np.empty(6, dtype=np.int64), np.empty(9, dtype=np.int64), np.empty(6, dtype=np.int64)
    nest.dram_traffic(layer, runs, counts, innermost, stays, array[PSUM_W], bus[BURST], moved)
    layer_cost(layer, array, tile, False, total)
    if not timeline(layer, array, tile[6], runs, counts, innermost, stays, bus, clock):
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
