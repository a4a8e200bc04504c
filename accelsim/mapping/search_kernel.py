"""The best tiling of a nest, in machine code: what may be tried, a bound of each try, and its exact time.

A layer is a row in the order of `nest_kernel.LAYER`, a tile ``groups, n, e, f, k, c``, a machine its form
(`tile_kernel`), the bits that tiles may take (``limits``: inputs, weights, outputs), the width of a partial sum and the
DRAM (`BUS`).

The list depends on the layer and on the machine's units, never on bandwidth, latency or the rest of the list: a
larger buffer only adds to it, a smaller batch keeps all tiles that still differ. So the best of the list, by the
timeline itself, cannot become slower with bandwidth or with a larger buffer.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel
from accelsim.mapping import nest_kernel as nest
from accelsim.mapping.cuts_kernel import MOST_CUTS, input_cuts, largest_tile, output_cuts, pieces, pixel_cuts
from accelsim.mapping.tile_kernel import least_cycles, tile_cycles

BUS = ("numerator", "denominator", "latency_cycles", "burst_bits")
"""The DRAM's integers: bits per cycle as a fraction, latency, burst."""
NUMERATOR, DENOMINATOR, LATENCY, BURST = range(4)

CYCLES, DRAM = 0, 1
"""Objectives: the other one breaks ties, then the place in the list does."""

MOST_TRIES = 512
"""Tilings that are kept before all that may still be best are timed."""
FOREVER = 4e18

IN_BUS, WEIGHT_BUS, OUT_BUS, PSUM_BUS, FIRST_LOAD, LAST_STORE, LARGEST_STORE, EMPTY = range(8)
"""What one sweep over all tiles moves, in bits on the bus; the ends of the schedule; whether a tile has no input."""


@kernel
def run_rows(layer):  # type: ignore[no-untyped-def]
    """Return how many runs an axis has at most, however it is cut."""
    most = 4
    for d in range(2):
        lead, tail = nest.alike(layer, d, 1, layer[nest.E + d])
        most = max(most, min(layer[nest.E + d], lead + max(0, layer[nest.E + d] - tail)) + 4)
    return most


@kernel
def sweep(layer, runs, counts, psum_width, burst, moved):  # type: ignore[no-untyped-def]
    """Write what one sweep over all tiles moves (`IN_BUS` and so on), in float64: exact below 2^53."""
    for i in (IN_BUS, WEIGHT_BUS, OUT_BUS, PSUM_BUS, EMPTY):
        moved[i] = 0.0
    for a in range(counts[0]):
        g = runs[0, a, nest.EXTENT]
        for b in range(counts[1]):
            for d in range(counts[2]):
                for j in range(counts[3]):
                    pixels = float(runs[0, a, nest.REPEAT]) * runs[1, b, nest.REPEAT]
                    pixels *= float(runs[2, d, nest.REPEAT]) * runs[3, j, nest.REPEAT]
                    n, e, f = runs[1, b, nest.EXTENT], runs[2, d, nest.EXTENT], runs[3, j, nest.EXTENT]
                    rows, cols = runs[2, d, nest.INPUTS], runs[3, j, nest.INPUTS]
                    if rows * cols == 0:
                        moved[EMPTY] = 1.0
                    elif layer[nest.INPUT_X]:
                        for i in range(counts[5]):
                            run, number = nest.input_block(layer, g, n, rows, cols, runs[5, i, nest.EXTENT])
                            moved[IN_BUS] += pixels * runs[5, i, nest.REPEAT] * nest.on_bus(run, number, burst)
                    for i in range(counts[4]):
                        times, k = pixels * runs[4, i, nest.REPEAT], runs[4, i, nest.EXTENT]
                        if layer[nest.OUTPUT_X]:
                            run, number = nest.output_block(layer, g, n, e, f, k, layer[nest.OUTPUT_W])
                            moved[OUT_BUS] += times * nest.on_bus(run, number, burst)
                        run, number = nest.output_block(layer, g, n, e, f, k, psum_width)
                        moved[PSUM_BUS] += times * nest.on_bus(run, number, burst)
        for i in range(counts[4] * layer[nest.WEIGHT_X]):
            for j in range(counts[5]):
                run, number = nest.weight_block(layer, g, runs[4, i, nest.EXTENT], runs[5, j, nest.EXTENT])
                times = float(runs[0, a, nest.REPEAT]) * runs[4, i, nest.REPEAT] * runs[5, j, nest.REPEAT]
                moved[WEIGHT_BUS] += times * nest.on_bus(run, number, burst)


@kernel
def ends(layer, runs, counts, psum_width, burst, moved):  # type: ignore[no-untyped-def]
    """Write the bits of the first load, of the last store and of the largest store."""
    moved[FIRST_LOAD] = moved[LAST_STORE] = 0.0
    g, n, k, c = (
        runs[0, 0, nest.EXTENT],
        runs[1, 0, nest.EXTENT],
        runs[4, 0, nest.EXTENT],
        runs[5, 0, nest.EXTENT],
    )
    e, f = runs[2, 0, nest.EXTENT], runs[3, 0, nest.EXTENT]
    if layer[nest.INPUT_X]:
        run, number = nest.input_block(layer, g, n, runs[2, 0, nest.INPUTS], runs[3, 0, nest.INPUTS], c)
        moved[FIRST_LOAD] += nest.on_bus(run, number, burst) if run * number else 0
    if layer[nest.WEIGHT_X]:
        run, number = nest.weight_block(layer, g, k, c)
        moved[FIRST_LOAD] += nest.on_bus(run, number, burst)
    width = max(psum_width, layer[nest.OUTPUT_W])
    run, number = nest.output_block(layer, g, n, e, f, k, width)
    moved[LARGEST_STORE] = nest.on_bus(run, number, burst)
    if layer[nest.OUTPUT_X]:
        g, n, e = (
            runs[0, counts[0] - 1, nest.EXTENT],
            runs[1, counts[1] - 1, nest.EXTENT],
            runs[2, counts[2] - 1, nest.EXTENT],
        )
        f, k = runs[3, counts[3] - 1, nest.EXTENT], runs[4, counts[4] - 1, nest.EXTENT]
        run, number = nest.output_block(layer, g, n, e, f, k, layer[nest.OUTPUT_W])
        moved[LAST_STORE] = nest.on_bus(run, number, burst)


@kernel
def computed(form, whole, tile, k, c, least):  # type: ignore[no-untyped-def]
    """Return the cycles that all tiles compute, full ones and those at the edges, with ``k`` and ``c`` in place of the
    tile's own; with ``least``, a bound for all that cut these tiles further."""
    total = 0.0
    for a in range(2):
        g, groups = kind(whole[0], tile[0], a)
        for b in range(2 if groups else 0):
            n, images = kind(whole[1], tile[1], b)
            for d in range(2 if images else 0):
                e, tall = kind(whole[2], tile[2], d)
                for j in range(2 if tall else 0):
                    f, wide = kind(whole[3], tile[3], j)
                    pixels = float(groups * images) * tall * wide
                    for p in range(2 if wide else 0):
                        some_k, outputs = kind(whole[4], k, p)
                        for q in range(2 if outputs else 0):
                            some_c, inputs = kind(whole[5], c, q)
                            if inputs:
                                times = pixels * outputs * inputs
                                if least:
                                    total += times * least_cycles(form, g, n * e * f, some_k, some_c)
                                else:
                                    total += times * tile_cycles(form, g, n * e * f, some_k, some_c)
    return total


@kernel
def kind(size, tile, edge):  # type: ignore[no-untyped-def]
    """Return extent and number of the full pieces of a loop, or of the piece at its edge."""
    full = size // tile
    if edge:
        rest = size - full * tile
        return rest, np.int64(rest > 0)
    return tile, full


@kernel
def bound(moved, trips, innermost, compute, last_compute, layer, bus, rate, out):  # type: ignore[no-untyped-def]
    """Write the bits on the bus and the cycles that no schedule of these tiles beats.

    Every tile computes after its load and the tile before; the first load and the last store overlap nothing. The bus
    carries all bits, and after the last load there are a latency and a computation. A tile's load waits for the
    computation of the tile two before and for its store on the bus: the tiles at even places, and those at odd ones,
    each add up their loads, latencies, computations and stores.
    """
    pixels = float(trips[1]) * trips[2] * trips[3]
    again_in = 1.0 if innermost == 1 else float(trips[4])
    again_weight = 1.0 if innermost == 0 else pixels
    spill = 0.0 if trips[5] == 1 or innermost == 2 else float(trips[5] - 1)
    read = moved[IN_BUS] * again_in + moved[WEIGHT_BUS] * again_weight + moved[PSUM_BUS] * spill
    write = moved[OUT_BUS] + moved[PSUM_BUS] * spill
    tiles = pixels * trips[0] * trips[4] * trips[5]
    loads = 0.0
    if layer[nest.WEIGHT_X]:
        loads = tiles / pixels if innermost == 0 else tiles
    if layer[nest.INPUT_X] and moved[EMPTY] == 0.0:
        loads = max(loads, tiles / trips[4] if innermost == 1 else tiles)
    on_bus = (read + write) / rate
    latency = bus[LATENCY] if loads else 0
    least = compute + np.floor(moved[FIRST_LOAD] / rate) + latency + np.floor(moved[LAST_STORE] / rate)
    least = max(least, on_bus)
    if loads == tiles:
        least = max(least, on_bus - moved[LARGEST_STORE] / rate - 1 + latency + last_compute)
    least = max(least, (compute + on_bus + loads * bus[LATENCY]) / 2)
    out[0], out[1] = read + write, min(np.floor(least), FOREVER)


@kernel
def enter(at, runs, axis, run):  # type: ignore[no-untyped-def]
    """Let a run of an axis be the current one."""
    for i in range(5):
        at[axis, i] = runs[axis, run, i]


@kernel
def timeline(layer, form, psum_width, order, runs, counts, innermost, stays, bus, most, clock):  # type: ignore[no-untyped-def]
    """Let the tiles of a cut layer pass, loop by loop: `timeline.run` on `LoopNest.schedule`.

    Returns False as soon as the computations end after ``most``, or if a count would leave 64 bits.
    """
    axes = nest.AXES[order]
    at = np.zeros((6, 5), dtype=np.int64)
    run, done, since, gap = np.zeros((4, 6), dtype=np.int64)
    states = np.empty((6, 6), dtype=np.int64)
    most = min(most, nest.MOST_BITS // 4)
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
            load, store = nest.step_bits(layer, at, innermost, stays, psum_width, bus[BURST])
            m = at[1, nest.EXTENT] * at[2, nest.EXTENT] * at[3, nest.EXTENT]
            compute = tile_cycles(form, at[0, nest.EXTENT], m, at[4, nest.EXTENT], at[5, nest.EXTENT])
            load = nest.on_bus_cycles(load, bus[NUMERATOR], bus[DENOMINATOR])
            store = nest.on_bus_cycles(store, bus[NUMERATOR], bus[DENOMINATOR])
            if clock[nest.DONE] > most or max(load, store, compute) > nest.MOST_BITS // 16:
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
def order_by(values, count, order):  # type: ignore[no-untyped-def]
    """Write the places of the first ``count`` values, small ones first, equal ones as they stand."""
    for i in range(count):
        at = i
        while at > 0 and values[order[at - 1]] > values[i]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = i


@kernel
def search(layer, form, limits, psum_width, k_units, c_unit, bus, objective, best, figures):  # type: ignore[no-untyped-def]
    """Write the best tiling (groups, n, e, f, k, c, order) to ``best``; return False if none fits.

    Best is the smallest (cycles, bits on the bus, place in the list), of ``DRAM`` (bits, cycles, place). Branches
    whose bound is worse than the best so far are left, the others kept; the most promising of a branch is timed at
    once, and in the end all that may still be best, by their bounds.

    Parameters
    ----------
    k_units : array of int64
        Sizes that an output-channel tile should be a multiple of.
    c_unit : int
        The same of input channels; 0 if they cannot be cut.
    figures : array of float64, shape (4,), written
        Score and the other figure of the best; tilings that were timed, and tiles that were bounded.
    """
    rate = bus[NUMERATOR] / bus[DENOMINATOR]
    cuts, size = np.empty((MOST_CUTS, 3), dtype=np.int64), np.empty((3, 160), dtype=np.int64)
    pixel_count = pixel_cuts(layer, cuts)
    k_count = output_cuts(layer[nest.KG], k_units, size[0])
    c_count = input_cuts(layer[nest.CG], c_unit, size[1])
    g_count = pieces(layer[nest.GROUPS], size[2])
    state, timing = workspace(layer), workspace(layer)
    runs, counts, tile, whole, _ = state
    low, visit, fetched = np.empty(MOST_CUTS), np.empty(MOST_CUTS, dtype=np.int64), np.empty(MOST_CUTS)
    figures[0] = figures[1] = np.inf
    figures[2] = figures[3] = 0.0
    place, tried = np.int64(-1), 0
    weights = float(layer[nest.K]) * layer[nest.CG] * layer[nest.R] * layer[nest.S] * layer[nest.WEIGHT_W]
    weights *= layer[nest.WEIGHT_X]
    outputs = float(layer[nest.N]) * layer[nest.K] * layer[nest.E] * layer[nest.F]
    outputs *= layer[nest.OUTPUT_W] * layer[nest.OUTPUT_X]
    scale = rate if objective == CYCLES else 1.0
    tries, bounds = np.empty((MOST_TRIES, 7), dtype=np.int64), np.empty((MOST_TRIES, 3))
    for p in range(pixel_count):
        sides = float(layer[nest.N] * layer[nest.C] * layer[nest.INPUT_W] * layer[nest.INPUT_X])
        tile[1] = cuts[p, 0]
        for axis in (2, 3):
            tile[axis] = cuts[p, axis - 1]
            counts[axis] = nest.fill_runs(layer, axis, whole[axis], tile[axis], runs[axis])
            total = 0.0
            for i in range(counts[axis]):
                total += float(runs[axis, i, nest.REPEAT]) * runs[axis, i, nest.INPUTS]
            sides *= total
        fetched[p] = sides
        low[p] = np.floor((fetched[p] + weights + outputs) / scale)
        if objective == CYCLES:
            low[p] = max(low[p], computed(form, whole, tile, whole[4], whole[5], True))
    order_by(low, pixel_count, visit)
    for at in range(pixel_count):
        p = visit[at]
        if low[p] > figures[0]:
            break
        pixels = 1
        for axis in range(1, 4):
            tile[axis] = cuts[p, axis - 1]
            counts[axis] = nest.fill_runs(layer, axis, whole[axis], tile[axis], runs[axis])
            pixels *= nest.ceil_div(whole[axis], tile[axis])
        for i in range(k_count):
            tile[4] = k = size[0, i]
            again = float(nest.ceil_div(whole[4], k))
            least = min(fetched[p] + weights * pixels, fetched[p] * again + weights) + outputs
            if np.floor(least / scale) > figures[0]:
                continue
            if largest_tile(layer, cuts[p], limits, k, 1 if c_unit else whole[5], psum_width) < 1:
                continue
            tile[0] = whole[0]
            if objective == CYCLES and computed(form, whole, tile, k, whole[5], True) > figures[0]:
                continue
            counts[4] = nest.fill_runs(layer, 4, whole[4], k, runs[4])
            for q in range(c_count):
                tile[5] = size[1, q]
                fits = largest_tile(layer, cuts[p], limits, k, tile[5], psum_width)
                for j in range(g_count + 1 if k == whole[4] and tile[5] == whole[5] else 1):
                    tile[0] = size[2, j - 1] if j else 1
                    if tile[0] > fits or (j and tile[0] == 1):
                        continue
                    here, since = (((p * 160 + i) * 160 + q) * 32 + j) * 8, tried
                    tried = bound_orders(
                        layer, form, psum_width, bus, rate, objective, state, here, place, figures, tries, bounds, tried
                    )
                    if place < 0 and tried > since:
                        place = time_best(layer, form, psum_width, bus, objective, timing, tries, bounds, tried, place,
                                          best, figures)  # fmt: skip
                    if tried > MOST_TRIES - 8:
                        place = time_all(layer, form, psum_width, bus, objective, timing, tries, bounds, tried, place,
                                         best, figures)  # fmt: skip
                        tried = 0
        place = time_best(layer, form, psum_width, bus, objective, timing, tries, bounds, tried, place, best, figures)
    place = time_all(layer, form, psum_width, bus, objective, timing, tries, bounds, tried, place, best, figures)
    return place >= 0


@kernel
def workspace(layer):  # type: ignore[no-untyped-def]
    """Return runs of the axes, their numbers, a tile, the sizes of the axes groups, n, e, f, k, c, and trips."""
    runs = np.empty((6, run_rows(layer), 5), dtype=np.int64)
    whole = np.array([layer[nest.GROUPS], layer[nest.N], layer[nest.E], layer[nest.F], layer[nest.KG], layer[nest.CG]])
    return runs, np.empty(6, dtype=np.int64), whole.copy(), whole, np.empty(6, dtype=np.int64)


@kernel
def bound_orders(  # type: ignore[no-untyped-def]
    layer, form, psum_width, bus, rate, objective, state, here, place, figures, tries, bounds, tried
):
    """Bound the orders of one tile and keep those that may be best; return how many are kept."""
    runs, counts, tile, whole, trips = state
    compute = computed(form, whole, tile, tile[4], tile[5], False)
    figures[3] += 1
    if objective == CYCLES and compute > figures[0]:
        return tried
    counts[0] = nest.fill_runs(layer, 0, whole[0], tile[0], runs[0])
    counts[5] = nest.fill_runs(layer, 5, whole[5], tile[5], runs[5])
    moved, found = np.empty(8), np.empty(2)
    ends(layer, runs, counts, psum_width, bus[BURST], moved)
    if objective == CYCLES and compute + (moved[FIRST_LOAD] + moved[LAST_STORE]) / rate - 2 > figures[0]:
        return tried
    sweep(layer, runs, counts, psum_width, bus[BURST], moved)
    for axis in range(6):
        trips[axis] = nest.ceil_div(whole[axis], tile[axis])
    last_compute = tile_cycles(
        form, last(runs, counts, 0), last(runs, counts, 1) * last(runs, counts, 2) * last(runs, counts, 3),
        last(runs, counts, 4), last(runs, counts, 5),
    )  # fmt: skip
    live = nest.live_loops(trips[1] * trips[2] * trips[3], trips[4], trips[5])
    for i in range(6):
        order = nest.DISTINCT[live, i]
        if order < 0:
            break
        bound(moved, trips, nest.INNERMOST[live, order], compute, last_compute, layer, bus, rate, found)
        score, other = (found[1], found[0]) if objective == CYCLES else (found[0], found[1])
        if before(score, other, here + i, figures, place):
            for j in range(6):
                tries[tried, j] = tile[j]
            tries[tried, 6] = order
            bounds[tried, 0], bounds[tried, 1], bounds[tried, 2] = score, other, here + i
            tried += 1
    return tried


@kernel
def last(runs, counts, axis):  # type: ignore[no-untyped-def]
    """Return the extent of the last piece of an axis."""
    return runs[axis, counts[axis] - 1, nest.EXTENT]


@kernel
def time_all(layer, form, psum_width, bus, objective, state, tries, bounds, tried, place, best, figures):  # type: ignore[no-untyped-def]
    """Time tries by their bounds until no other may be the best; return the place of the best."""
    more = -1.0
    while more != figures[2]:
        more = figures[2]
        place = time_best(layer, form, psum_width, bus, objective, state, tries, bounds, tried, place, best, figures)
    return place


@kernel
def time_best(layer, form, psum_width, bus, objective, state, tries, bounds, tried, place, best, figures):  # type: ignore[no-untyped-def]
    """Time the try with the best bound, if it may be the best of all; return the place of the best."""
    at = -1
    for i in range(tried):
        if bounds[i, 2] < 0 or bounds[i, 0] > figures[0]:
            continue
        if at < 0 or bounds[i, 0] < bounds[at, 0] or (bounds[i, 0] == bounds[at, 0] and bounds[i, 1] < bounds[at, 1]):
            at = i
    if at < 0 or not before(bounds[at, 0], bounds[at, 1], bounds[at, 2], figures, place):
        return place
    here, dram = np.int64(bounds[at, 2]), bounds[at, 1] if objective == CYCLES else bounds[at, 0]
    bounds[at, 2] = -1
    figures[2] += 1
    most = np.int64(min(figures[0] if objective == CYCLES else np.inf, FOREVER))
    cycles = timed(layer, form, psum_width, bus, tries[at], state, most)
    score, other = (cycles, dram) if objective == CYCLES else (dram, cycles)
    if before(score, other, here, figures, place):
        figures[0], figures[1], place = score, other, here
        for j in range(7):
            best[j] = tries[at, j]
    return place


@kernel
def timed(layer, form, psum_width, bus, tiling, state, most):  # type: ignore[no-untyped-def]
    """Return the cycles of a tiling, stalls included; `FOREVER` if they are more than ``most`` or leave 64 bits."""
    runs, counts, tile, whole, trips = state
    for axis in range(6):
        tile[axis] = tiling[axis]
        counts[axis] = nest.fill_runs(layer, axis, whole[axis], tile[axis], runs[axis])
        trips[axis] = nest.ceil_div(whole[axis], tile[axis])
    live = nest.live_loops(trips[1] * trips[2] * trips[3], trips[4], trips[5])
    innermost, clock = nest.INNERMOST[live, tiling[6]], np.empty(6, dtype=np.int64)
    stays = trips[5] == 1 or innermost == 2
    if not timeline(layer, form, psum_width, tiling[6], runs, counts, innermost, stays, bus, most, clock):
        return FOREVER
    return float(nest.finish(clock))


@kernel
def before(score, other, here, figures, place):  # type: ignore[no-untyped-def]
    """Whether a candidate comes before the best so far."""
    if score != figures[0]:
        return score < figures[0]
    if other != figures[1]:
        return other < figures[1]
    return here < place
