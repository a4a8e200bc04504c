"""The best tiling of a nest, in machine code: what may be tried, a bound of each try, and its exact time.

A layer is a row in the order of `nest_kernel.LAYER`, a tile ``groups, n, e, f, k, c``, a machine its form
(`tile_kernel`), the bits that tiles may take (``limits``: inputs, weights, outputs), the width of a partial sum and the
DRAM (`BUS`).

The list depends on the layer and on the machine's units, never on bandwidth, latency or the rest of the list: a
larger buffer only adds to it, a smaller batch keeps all tiles that still differ. So the best of the list, by the
timeline itself, cannot become slower with bandwidth or with a larger buffer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.jit import kernel, lean
from accelsim.mapping import nest_kernel as nest
from accelsim.mapping import table_kernel as table
from accelsim.mapping.bound_kernel import (
    BURST,
    DENOMINATOR,
    EMPTY,
    FIRST_LOAD,
    FOREVER,
    IN_BUS,
    LAST_STORE,
    NUMERATOR,
    OUT_BUS,
    WEIGHT_BUS,
    all_inputs,
    bound,
    computed,
    empty,
    ends,
    fill_sizes,
    last,
    last_cycles,
    room_for,
    run_rows,
    sweep,
)  # fmt: skip
from accelsim.mapping.cuts_kernel import MOST_CUTS, input_cuts, largest_tile, output_cuts, pieces, pixel_cuts
from accelsim.mapping.tile_kernel import INPUTS, OUTPUTS, tile_cycles
from accelsim.mapping.timeline_kernel import timed

CYCLES, DRAM = 0, 1
"""Objectives: the other one breaks ties, then the place in the list does."""

MOST_SIZES = 160
"""Sizes of channel tiles, at most."""
NOTHING_YET = -1
"""A place that is none in the list: no tiling has been timed yet."""
LIST = 2**33
"""Places of a variant's list: those of a variant come behind those of the one before."""
MOST_TRIES = 512
"""Tilings that are kept before all that may still be best are timed; those of a few more tiles have room."""


@lean
def order_by(values, count, order):  # type: ignore[no-untyped-def]
    """Write the places of the first ``count`` values, small ones first, equal ones as they stand."""
    for i in range(count):
        at = i
        while at > 0 and values[order[at - 1]] > values[i]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = i


class Scratch(NamedTuple):
    """Arrays that a search works in."""

    state: Any
    timing: Any
    cuts: Any
    size: Any
    outs: Any
    ins: Any
    visit: Any
    tries: Any
    kinds: Any
    low: Any
    swept: Any
    bounds: Any
    moved: Any
    moves: Any
    terms: Any
    sums: Any
    least: Any
    exact: Any


@kernel
def scratch(rows, variants):  # type: ignore[no-untyped-def]
    """Return what a search works in, of layers of no more than ``rows`` runs per axis (`bound_kernel.run_rows`)."""
    tables = np.empty((2, variants, MOST_SIZES, table.TABLE), dtype=np.int64)
    return Scratch(
        room_for(rows), room_for(rows), np.empty((MOST_CUTS, 3), dtype=np.int64),
        np.empty((4, MOST_SIZES), dtype=np.int64), tables[0], tables[1], np.empty(MOST_CUTS, dtype=np.int64),
        np.empty((MOST_TRIES + 8 * variants, 8), dtype=np.int64), np.empty((variants, 8, 3), dtype=np.int64),
        np.empty(MOST_CUTS), np.empty(MOST_CUTS), np.empty((MOST_TRIES + 8 * variants, 5)), np.empty((4, 8)),
        np.empty(8, dtype=np.int64), np.empty(12), np.empty((3, MOST_SIZES)), np.empty(variants), np.empty(variants),
    )  # fmt: skip


@kernel
def search(layer, form, limits, psum_width, k_units, c_unit, bus, objective, best, figures):  # type: ignore[no-untyped-def]
    """Find the best tiling of a single layer: `search_with` arrays of its own; return False if none fits."""
    room = scratch(run_rows(layer), 1)
    forms = form.reshape((1, len(form)))
    return search_with(room, layer, forms, limits, psum_width, k_units, c_unit, bus, objective, best, figures) == 0


@lean
def search_with(  # type: ignore[no-untyped-def]
    room, layer, forms, limits, psum_width, k_units, c_unit, bus, objective, best, figures
):
    """Write the best tiling (groups, n, e, f, k, c, order) to ``best``; return its variant, -1 if none fits.

    Best is the smallest (cycles, bits on the bus, variant, place in the list), of ``DRAM`` (bits, cycles, ...). What
    tiles move is the same for all variants and bounded once. Branches whose bound is worse than the best so far are
    left, the others kept; the most promising of a branch is timed at once, and in the end all that may still be best,
    by their bounds.

    Parameters
    ----------
    forms : array of int64, shape (variants, columns of `tile_forms`)
    k_units : array of int64
        Sizes that an output-channel tile should be a multiple of.
    c_unit : int
        The same of input channels; 0 if they cannot be cut.
    figures : array of float64, shape (4,), written
        Score and the other figure of the best; tilings that were timed, and tiles that were bounded.
    """
    rate, burst, groups = bus[NUMERATOR] / bus[DENOMINATOR], bus[BURST], layer[nest.GROUPS]
    cuts, size, state, timing = room.cuts, room.size, room.state, room.timing
    pixel_count = pixel_cuts(layer, size[3], cuts)
    k_count = output_cuts(layer[nest.KG], k_units, size[0])
    c_count = input_cuts(layer[nest.CG], c_unit, size[1])
    g_count = pieces(layer[nest.GROUPS], size[2])
    outs, ins, kinds, least, exact = room.outs, room.ins, room.kinds, room.least, room.exact
    for v in range(len(forms)):
        table.fill_channels(forms[v], OUTPUTS, layer[nest.KG], size[0], k_count, outs[v])
        table.fill_channels(forms[v], INPUTS, layer[nest.CG], size[1], c_count, ins[v])
    some_outs, some_ins = outs[0], ins[0]  # of which what moves does not depend on a variant
    table.fill_outputs(layer, psum_width, burst, k_count, some_outs)
    table.fill_inputs(layer, burst, c_count, some_ins)
    first = size[3]
    first_inputs(layer, size, k_count, c_count, limits[1], first)
    runs, counts, tile, whole, trips, _ = state
    fill_sizes(layer, whole)
    fill_sizes(layer, timing[3])
    for axis in range(6):
        tile[axis] = whole[axis]
        counts[axis] = nest.fill_runs(layer, axis, whole[axis], whole[axis], runs[axis])
    low, visit, swept, tries, bounds = room.low, room.visit, room.swept, room.tries, room.bounds
    moved, group_moved, whole_moved, inputs = room.moved[0], room.moved[1], room.moved[2], room.moved[3]
    figures[0] = figures[1] = np.inf
    figures[2] = figures[3] = 0.0
    place, tried, compute = np.int64(NOTHING_YET), 0, 0.0
    weights = float(layer[nest.K]) * layer[nest.CG] * layer[nest.R] * layer[nest.S] * layer[nest.WEIGHT_W]
    weights *= layer[nest.WEIGHT_X]
    outputs = float(layer[nest.N]) * layer[nest.K] * layer[nest.E] * layer[nest.F]
    outputs *= layer[nest.OUTPUT_W] * layer[nest.OUTPUT_X]
    input_bits = float(layer[nest.CG] * layer[nest.INPUT_W] * layer[nest.INPUT_X])
    scale = rate if objective == CYCLES else 1.0
    for axis in (2, 3):
        inputs[axis] = all_inputs(runs[axis], counts[axis])
    for p in range(pixel_count):
        tile[1] = cuts[p, 0]
        for axis in (2, 3):
            if tile[axis] != cuts[p, axis - 1]:
                tile[axis] = cuts[p, axis - 1]
                counts[axis] = nest.fill_runs(layer, axis, whole[axis], tile[axis], runs[axis])
                inputs[axis] = all_inputs(runs[axis], counts[axis])
        swept[p] = inputs[2] * inputs[3] * float(layer[nest.N] * groups)
        low[p] = np.floor((swept[p] * input_bits + weights + outputs) / scale)
        if objective == CYCLES:
            kind_count = table.fill_variants(forms, tile, whole, kinds)
            low[p] = max(low[p], table.least_of_all(forms, groups, kinds, kind_count, outs, 0, ins, least))
    order_by(low, pixel_count, visit)
    for at in range(pixel_count):
        p = visit[at]
        if low[p] > figures[0]:
            break
        pixels = cut_pixels(layer, cuts[p], at == 0, state)
        kind_count = table.fill_variants(forms, tile, whole, kinds)
        last_m = last(runs, counts, 1) * last(runs, counts, 2) * last(runs, counts, 3)
        first_pixels = float(tile[1] * runs[2, 0, nest.INPUTS] * runs[3, 0, nest.INPUTS])
        moved[EMPTY] = empty(runs, counts)
        q_first = first_region(layer, tile, size[1], c_count, limits[0])
        pixel_bits = tile[1] * tile[2] * tile[3] * psum_width
        if groups == 1 and q_first == 0:
            table.whole_inputs(layer, runs, counts, burst, whole_moved)
        if groups == 1 and pixel_bits * whole[4] <= limits[2]:
            table.whole_outputs(layer, runs, counts, psum_width, burst, moved, whole_moved)
        for i in range(k_count if q_first < c_count else 0):
            tile[4] = k = size[0, i]
            if pixel_bits * k > limits[2] or first[i] == c_count:
                continue
            again = float(some_outs[i, table.FULL] + (some_outs[i, table.REST] > 0))
            bits = swept[p] * input_bits
            bits = min(bits + weights * pixels, bits * again + weights) + outputs
            if np.floor(bits / scale) > figures[0]:
                continue
            compute = 0.0
            if objective == CYCLES:
                compute = table.least_of_all(forms, groups, kinds, kind_count, outs, i, ins, least)
                if compute > figures[0]:
                    continue
            trips[4] = np.int64(again)
            table.stored_of(layer, runs, counts, whole_moved, some_outs, i, moved)
            for q in range(max(first[i], q_first), c_count):
                tile[5] = c = size[1, q]
                here, since = ((p * 160 + i) * 160 + q) * 256, tried
                trips[0], trips[5] = groups, some_ins[q, table.FULL] + (some_ins[q, table.REST] > 0)
                figures[3] += 1
                if q == 0:
                    moved[WEIGHT_BUS] = float(groups) * some_outs[i, table.FILTERS_ALL]
                    moved[FIRST_LOAD] = some_outs[i, table.FILTERS_TILE]
                else:
                    moved[WEIGHT_BUS] = float(groups) * whole[4] * some_ins[q, table.WEIGHT_ALL]
                    moved[FIRST_LOAD] = float(k) * some_ins[q, table.WEIGHT_TILE]
                if q == 0 and groups == 1:
                    moved[IN_BUS] = whole_moved[table.P_IN]
                    moved[FIRST_LOAD] += whole_moved[table.P_FIRST]
                else:
                    moved[IN_BUS] = swept[p] * some_ins[q, table.IN_ALL]
                    moved[FIRST_LOAD] += first_pixels * some_ins[q, table.IN_TILE]
                if worth(moved, trips, compute, rate, objective, figures) and some_order(
                    moved, trips, compute, layer, bus, rate, objective, figures
                ):
                    tile[0] = 1
                    fastest = compute_all(
                        forms, objective, groups, kinds, kind_count, outs, i, ins, q, least, figures, exact
                    )
                    last_k = some_outs[i, table.REST] if some_outs[i, table.REST] else k
                    last_c = some_ins[q, table.REST] if some_ins[q, table.REST] else c
                    for v in range(len(forms)):
                        if exact[v] == np.inf or (
                            objective == CYCLES and not worth(moved, trips, exact[v], rate, objective, figures)
                        ):
                            continue
                        if v == fastest or not table.no_longer(forms, fastest, v, kinds, kind_count, outs, i, ins, q):
                            last_compute = tile_cycles(forms[v], 1, last_m, last_k, last_c)
                            tried = keep(
                                layer, bus, rate, objective, tile, v, trips, moved, exact[v], last_compute, here, place,
                                figures, tries, bounds, tried,
                            )  # fmt: skip
                if groups > 1 and k == whole[4] and c == whole[5]:
                    fits = largest_tile(layer, cuts[p], limits, k, c, psum_width)
                    for j in range(g_count):
                        tile[0] = size[2, j]
                        if tile[0] < 2 or tile[0] > fits or not bound_groups(
                            layer, psum_width, burst, rate, objective, state, group_moved, compute, figures
                        ):  # fmt: skip
                            continue
                        for v in range(len(forms)):
                            tried = keep_groups(
                                layer, forms, v, bus, rate, objective, state, group_moved, kinds[v], kind_count,
                                here + 8 * (j + 1), place, figures, tries, bounds, tried,
                            )  # fmt: skip
                        if tried > MOST_TRIES - 8:
                            place = time_all(layer, forms, psum_width, bus, objective, timing, tries, bounds, tried,
                                             place, best, figures)  # fmt: skip
                            tried = 0
                if place == NOTHING_YET and tried > since:
                    place = time_best(layer, forms, psum_width, bus, objective, timing, tries, bounds, tried, place,
                                      best, figures)  # fmt: skip
                if tried > MOST_TRIES - 8:
                    place = time_all(layer, forms, psum_width, bus, objective, timing, tries, bounds, tried, place,
                                     best, figures)  # fmt: skip
                    tried = 0
        if at & (at + 1) == 0 or len(forms) > 1:
            place = time_best(
                layer, forms, psum_width, bus, objective, timing, tries, bounds, tried, place, best, figures
            )
    place = time_all(layer, forms, psum_width, bus, objective, timing, tries, bounds, tried, place, best, figures)
    return np.int64(-1) if place == NOTHING_YET else place // LIST


@lean
def first_inputs(layer, size, k_count, c_count, limit, first):  # type: ignore[no-untyped-def]
    """Write the place of the largest tile of input channels whose weights fit, for each tile of output channels."""
    taps_bits, q = layer[nest.R] * layer[nest.S] * layer[nest.WEIGHT_W], c_count
    for i in range(k_count):
        # fewer outputs leave room for no fewer inputs
        while q > 0 and taps_bits * size[0, i] * size[1, q - 1] <= limit:
            q -= 1
        first[i] = q


@lean
def first_region(layer, tile, sizes, c_count, limit):  # type: ignore[no-untyped-def]
    """Return the place of the largest tile of input channels that fits under a tile of pixels."""
    region = tile[1] * nest.reach(layer, 0, tile[2]) * nest.reach(layer, 1, tile[3])
    bits, q = region * layer[nest.INPUT_W], c_count
    while q > 0 and max(1, bits * sizes[q - 1]) <= limit:
        q -= 1
    return q


@lean
def cut_pixels(layer, cut, fresh, state):  # type: ignore[no-untyped-def]
    """Cut the pixels into tiles of (n, e, f); return how many. Runs that stay are kept unless all is ``fresh``."""
    runs, counts, tile, whole, trips, _ = state
    pixels = 1
    for axis in range(1, 4):
        if fresh or tile[axis] != cut[axis - 1]:
            tile[axis] = cut[axis - 1]
            counts[axis] = nest.fill_runs(layer, axis, whole[axis], tile[axis], runs[axis])
        trips[axis] = nest.ceil_div(whole[axis], tile[axis])
        pixels *= trips[axis]
    return pixels


@lean
def worth(moved, trips, compute, rate, objective, figures):  # type: ignore[no-untyped-def]
    """Whether a tile may be the best in some order, as far as its bits and a bound of its computation say."""
    pixels = float(trips[1]) * trips[2] * trips[3]
    bits = moved[IN_BUS] + moved[WEIGHT_BUS] * pixels
    bits = min(bits, moved[IN_BUS] * trips[4] + moved[WEIGHT_BUS]) + moved[OUT_BUS]
    if objective != CYCLES:
        return bits <= figures[0]
    # with two cycles to spare, so that no rounding matters
    left = (figures[0] + 2 - compute) * rate
    return bits <= (figures[0] + 2) * rate and moved[FIRST_LOAD] + moved[LAST_STORE] <= left


@lean
def some_order(moved, trips, compute, layer, bus, rate, objective, figures):  # type: ignore[no-untyped-def]
    """Whether a tile may be the best in some order, by the bounds of all of them; ``compute`` is one of computation."""
    live = nest.live_loops(trips[1] * trips[2] * trips[3], trips[4], trips[5])
    for innermost in range(3 if live else 0):
        if live >> innermost & 1:
            bits, cycles = bound(moved, trips, innermost, compute, 0.0, layer, bus, rate)
            if (cycles if objective == CYCLES else bits) <= figures[0]:
                return True
    return live == 0


@lean
def bound_groups(layer, psum_width, burst, rate, objective, state, moved, compute, figures):  # type: ignore[no-untyped-def]
    """Write what a tile of several groups moves; whether it may be the best, ``compute`` being a bound.

    ``state`` has the pieces of the pixels and of all channels.
    """
    runs, counts, tile, whole, trips, _ = state
    figures[3] += 1
    counts[0] = nest.fill_runs(layer, 0, whole[0], tile[0], runs[0])
    trips[0] = nest.ceil_div(whole[0], tile[0])
    ends(layer, runs, counts, psum_width, burst, moved)
    sweep(layer, runs, counts, psum_width, burst, moved)
    return worth(moved, trips, compute, rate, objective, figures)


@lean
def compute_all(forms, objective, groups, kinds, count, outs, o, ins, i, least, figures, exact):  # type: ignore[no-untyped-def]
    """Write the cycles that all tiles of a single group compute, by variant; infinite where ``least`` is too much.

    Returns the first variant with the fewest.
    """
    fastest = 0
    for v in range(len(forms)):
        exact[v] = np.inf
        if objective != CYCLES or least[v] <= figures[0]:
            exact[v] = table.computed_of(forms[v], groups, kinds[v], count, outs[v], o, ins[v], i)
        if exact[v] < exact[fastest]:
            fastest = v
    return fastest


@lean
def keep_groups(  # type: ignore[no-untyped-def]
    layer, forms, v, bus, rate, objective, state, moved, kinds, kind_count, here, place, figures, tries, bounds, tried
):
    """Bound the orders of a tile of several groups and keep those that may be best; return how many are kept."""
    runs, counts, tile, whole, trips, _ = state
    compute = table.computed_groups(forms[v], whole, tile, kinds, kind_count)
    if objective == CYCLES and not worth(moved, trips, compute, rate, objective, figures):
        return tried
    last_compute = last_cycles(forms[v], runs, counts)
    return keep(
        layer, bus, rate, objective, tile, v, trips, moved, compute, last_compute, here, place, figures, tries, bounds,
        tried,
    )  # fmt: skip


@lean
def keep(  # type: ignore[no-untyped-def]
    layer, bus, rate, objective, tile, v, trips, moved, compute, last_compute, here, place, figures, tries, bounds,
    tried
):  # fmt: skip
    """Keep those orders of a tile that may be best, by their bounds; return how many are kept.

    They stand for variants before ``v`` too: places are those of the first one.
    """
    live = nest.live_loops(trips[1] * trips[2] * trips[3], trips[4], trips[5])
    known = -2
    bits = cycles = 0.0
    for i in range(6):
        order = nest.DISTINCT[live, i]
        if order < 0:
            break
        innermost = nest.INNERMOST[live, order]
        if innermost != known:
            known = innermost
            bits, cycles = bound(moved, trips, innermost, compute, last_compute, layer, bus, rate)
        score, other = (cycles, bits) if objective == CYCLES else (bits, cycles)
        if before(score, other, here + i, figures, place):
            for j in range(6):
                tries[tried, j] = tile[j]
            tries[tried, 6], tries[tried, 7] = order, v
            bounds[tried, 0], bounds[tried, 1], bounds[tried, 2] = score, other, here + i
            bounds[tried, 3] = compute
            tried += 1
    return tried


@lean
def time_all(layer, forms, psum_width, bus, objective, state, tries, bounds, tried, place, best, figures):  # type: ignore[no-untyped-def]
    """Time tries by their bounds until no other may be the best; return the place of the best."""
    more = -1.0
    while more != figures[2]:
        more = figures[2]
        place = time_best(layer, forms, psum_width, bus, objective, state, tries, bounds, tried, place, best, figures)
    return place


@lean
def time_best(layer, forms, psum_width, bus, objective, state, tries, bounds, tried, place, best, figures):  # type: ignore[no-untyped-def]
    """Time the try with the best bound, if it may be the best of all; return the place of the best.

    If it is, variants before its own that compute for longer may take as long all the same, and then come first.
    """
    at = -1
    for i in range(tried):
        if bounds[i, 2] < 0 or bounds[i, 0] > figures[0]:
            continue
        if at < 0 or before(bounds[i, 0], bounds[i, 1], bounds[i, 2], bounds[at], bounds[at, 2]):
            at = i
    if at < 0 or not before(bounds[at, 0], bounds[at, 1], bounds[at, 2], figures, place):
        return place
    here, dram = np.int64(bounds[at, 2]), bounds[at, 1] if objective == CYCLES else bounds[at, 0]
    bounds[at, 2] = -1
    v, compute, earlier = tries[at, 7], bounds[at, 3], 0
    while True:
        figures[2] += 1
        most = min(figures[0] if objective == CYCLES else np.inf, FOREVER)
        cycles = timed(layer, forms[v], psum_width, bus, tries[at], state, np.int64(most - compute))
        score, other = (cycles, dram) if objective == CYCLES else (dram, cycles)
        if before(score, other, v * LIST + here, figures, place):
            figures[0], figures[1], place = score, other, v * LIST + here
            for j in range(7):
                best[j] = tries[at, j]
        if earlier == tries[at, 7] or (v == tries[at, 7] and (figures[0] < score or figures[1] < other)):
            return place
        v, tile = earlier, tries[at]
        compute = computed(forms[v], state[3], tile, tile[4], tile[5], False)
        earlier += 1


@lean
def before(score, other, here, figures, place):  # type: ignore[no-untyped-def]
    """Whether a candidate comes before another one: its two figures, and its place in the list."""
    if score != figures[0]:
        return score < figures[0]
    if other != figures[1]:
        return other < figures[1]
    return here < place
