"""The tiling of least energy, or least energy times cycles, of a layer on an array, in machine code.

`mapping.choose` over the engine's candidates, their `bounds` and the prices of all boundaries and operations: the same
list, and the same floating-point operations in the same order. What on the chip moves is a product of sums along each
axis of the tiles, so that most tilings are left by a bound of a few products.
"""

from __future__ import annotations

import numpy as np

from accelsim.engines.systolic.counts_kernel import column_hops, edges, words
from accelsim.jit import lean
from accelsim.mapping import bound_kernel, cuts_kernel, search_kernel, table_kernel
from accelsim.mapping import nest_kernel as nest
from accelsim.mapping.bound_kernel import BURST, DENOMINATOR, EXACT, FOREVER, NUMERATOR, OUT_BUS, PSUM_BUS, last_cycles
from accelsim.mapping.search_kernel import MOST_TRIES, order_by
from accelsim.mapping.table_kernel import FULL, M_SHARE, M_TIMES, REST, SHARES, SIZE, TRIPS
from accelsim.mapping.tile_kernel import INPUTS, IS, OS, OUTPUTS, WS, sides
from accelsim.mapping.timeline_kernel import timed

ENERGY, EDP = 2, 3
"""Objectives, beside those of `search_kernel`."""
PRICED = (
    ("dram", "read"), ("dram", "write"), ("glb.inputs", "write"), ("glb.inputs", "read"), ("glb.weights", "write"),
    ("glb.weights", "read"), ("glb.outputs", "write"), ("glb.outputs", "read"), ("pe", "read"), ("pe", "write"),
    ("array", "write"), ("array", "read"), ("macs", "mac"),
)  # fmt: skip
"""What is priced, in the order in which `choose` adds it up; behind the prices stands what leaks in a cycle."""
LEAK = 13
MOST_TIMED = 255
"""With no more than this, `choose` times all that may be best: its own limit is one more."""
SLACK = 1 - 1e-9
"""So much less than a bound no rounding leads."""

HOPS = 7
"""Behind the columns that both tables of `table_kernel` have: hops of a column. Shares are folds here."""
SCORE, CYCLES, BITS, PLACE, DYNAMIC = range(5)
"""Of a candidate: what `choose` compares, and its energy without leakage."""
INPUT_WORDS, WEIGHT_WORDS, RESULTS, PE_READ, PE_WRITE, ARRAY_WRITE, ARRAY_READ, MACS = range(8)
"""Words that leave the scratchpads of inputs and weights; bits elsewhere, all on the chip."""


@lean
def fill_axis(form, axis, whole, sizes, count, table):  # type: ignore[no-untyped-def]
    """Write the table of the tiles of output or input channels; a last row has the least of each sum."""
    table_kernel.fill_channels(form, axis, whole, sizes, count, table)
    rows, taps = form[2], form[5]
    for i in range(count):
        full, rest = table[i, FULL], table[i, REST]
        table[i, HOPS] = full * column_hops(table[i, SIZE] * taps, rows) + column_hops(rest * taps, rows)
        for column in range(TRIPS, HOPS + 1):
            if i == 0 or table[i, column] < table[count, column]:
                table[count, column] = table[i, column]


@lean
def move(layer, flow, psum_width, m_trips, m_folds, k_row, c_row, moves):  # type: ignore[no-untyped-def]
    """Write what moves on the chip (`INPUT_WORDS` and so on), all tiles together."""
    groups, m, k = layer[nest.GROUPS], layer[nest.N] * layer[nest.E] * layer[nest.F], layer[nest.KG]
    c = layer[nest.CG] * layer[nest.R] * layer[nest.S]
    sr, sc, t = sides(flow, m, k, c)
    row_folds, col_folds, _ = sides(flow, m_folds, k_row[SHARES], c_row[SHARES])
    _, _, streams = sides(flow, m_trips, k_row[TRIPS], c_row[TRIPS])
    left, top, held, held_hops, results = words(flow, groups, sr, sc, t, row_folds, col_folds, streams, c_row[HOPS])
    macs = groups * m * k * c
    inputs, weights, input_hops, weight_hops, psum_hops = edges(flow, macs, left, top, held, held_hops, results)
    hops = input_hops * layer[nest.INPUT_W] + weight_hops * layer[nest.WEIGHT_W]
    moves[INPUT_WORDS], moves[WEIGHT_WORDS] = inputs * layer[nest.INPUT_W], weights * layer[nest.WEIGHT_W]
    moves[RESULTS], moves[MACS] = results * psum_width, macs
    moves[PE_READ] = macs * (layer[nest.INPUT_W] + layer[nest.WEIGHT_W] + psum_width)
    moves[PE_WRITE], moves[ARRAY_WRITE], moves[ARRAY_READ] = macs * psum_width + hops, psum_hops * psum_width, hops


@lean
def dynamic_pj(rates, read, write, inputs, weights, spilled, moves):  # type: ignore[no-untyped-def]
    """Return the energy of a candidate without leakage: `choose.dynamic_pj`.

    ``read`` and ``write`` are bits on the bus; the others useful ones: what comes into the scratchpads of inputs and
    weights, partial sums one way.
    """
    energy = 0.0
    energy += np.float64(read) * rates[0]
    energy += np.float64(write) * rates[1]
    energy += np.float64(inputs) * rates[2]
    energy += np.float64(moves[INPUT_WORDS]) * rates[3]
    energy += np.float64(weights) * rates[4]
    energy += np.float64(moves[WEIGHT_WORDS]) * rates[5]
    energy += np.float64(moves[RESULTS] + spilled) * rates[6]
    energy += np.float64(moves[RESULTS] + spilled) * rates[7]
    energy += np.float64(moves[PE_READ]) * rates[8]
    energy += np.float64(moves[PE_WRITE]) * rates[9]
    energy += np.float64(moves[ARRAY_WRITE]) * rates[10]
    energy += np.float64(moves[ARRAY_READ]) * rates[11]
    energy += np.float64(moves[MACS]) * rates[12]
    return energy


@lean
def scored(dynamic, cycles, objective, rates):  # type: ignore[no-untyped-def]
    """Return what is compared first."""
    score = dynamic + rates[LEAK] * cycles
    return score * cycles if objective == EDP else score


@lean
def before(one, other):  # type: ignore[no-untyped-def]
    """Whether a candidate comes before another one."""
    for i in range(4):
        if one[i] != other[i]:
            return one[i] < other[i]
    return False


@lean
def useful_bits(layer, psum_width, swept, innermost, m_trips, k_trips, c_trips):  # type: ignore[no-untyped-def]
    """Return the bits of inputs and weights that are fetched, and of partial sums one way, without bursts.

    ``swept`` are the elements of one sweep over the inputs.
    """
    inputs = swept * layer[nest.INPUT_W] * layer[nest.INPUT_X] * (1 if innermost == 1 else k_trips)
    weights = layer[nest.K] * layer[nest.CG] * layer[nest.R] * layer[nest.S] * layer[nest.WEIGHT_W]
    weights *= layer[nest.WEIGHT_X] * (1 if innermost == 0 else m_trips)
    outputs = layer[nest.N] * layer[nest.K] * layer[nest.E] * layer[nest.F]
    spilled = 0 if c_trips == 1 or innermost == 2 else outputs * psum_width * (c_trips - 1)
    return inputs, weights, spilled


FIXED, OF_FOLDS, OF_TRIPS, OF_INPUT, OF_WEIGHT, OF_SPILL, INPUT, WEIGHT, OUTPUT, SPILL, K_HOPS, M_HOPS = range(12)
"""Terms of a bound: pJ whatever the tiling, per fold and per tile of the pixels, per bit of inputs, weights and partial
sums; bits once of each; whether hops come again with tiles of outputs, of pixels."""
BY_K, BY_C, HOP_PJ = range(3)
"""Rows of pJ: of each tile of output channels, of input channels, and of the latter's hops."""


@lean
def fill_terms(layer, flow, psum_width, rates, outs, k_count, ins, c_count, terms, sums):  # type: ignore[no-untyped-def]
    """Write the terms of the energy on the chip and of useful bits: those of `move` and `dynamic_pj`, term by term."""
    groups, m, k = float(layer[nest.GROUPS]), float(layer[nest.N] * layer[nest.E] * layer[nest.F]), layer[nest.KG]
    c = layer[nest.CG] * layer[nest.R] * layer[nest.S]
    macs, outputs = groups * m * k * c, m * layer[nest.K]
    input_width, weight_width = layer[nest.INPUT_W], layer[nest.WEIGHT_W]
    hop, result = rates[9] + rates[11], psum_width * (rates[6] + rates[7])
    terms[OUTPUT] = outputs * layer[nest.OUTPUT_W] * layer[nest.OUTPUT_X]
    fixed = macs * ((input_width + weight_width + psum_width) * rates[8] + psum_width * rates[9] + rates[12])
    fixed += terms[OUTPUT] * rates[1] + outputs * layer[nest.OUTPUT_W] * (1 - layer[nest.OUTPUT_X]) * rates[2]
    fixed += macs * hop * ((0 if flow == IS else input_width) + (0 if flow == WS else weight_width))
    if flow == OS:
        result += psum_width * rates[10]
    else:
        fixed += macs * psum_width * rates[10]
    weights = groups * k * c * weight_width
    terms[FIXED], terms[K_HOPS], terms[M_HOPS] = fixed, 1.0 if flow == IS else 0.0, 1.0 if flow == WS else 0.0
    terms[OF_FOLDS] = 0.0 if flow == WS else weights * rates[5]
    terms[OF_TRIPS] = weights * rates[5] if flow == WS else 0.0
    terms[OF_INPUT], terms[OF_WEIGHT] = rates[0] + rates[2], rates[0] + rates[4]
    terms[OF_SPILL] = rates[0] + rates[1] + rates[6] + rates[7]
    terms[WEIGHT], terms[SPILL] = weights * layer[nest.WEIGHT_X], outputs * psum_width
    hop *= groups * (m * input_width if flow == IS else float(k * weight_width) if flow == WS else 0.0)
    for i in range(k_count + 1):
        again = outs[i, TRIPS] if flow == IS else outs[i, SHARES]
        sums[BY_K, i] = groups * c * m * input_width * rates[3] * again
    for i in range(c_count + 1):
        again = ins[i, TRIPS] if flow == OS else ins[i, SHARES]
        sums[BY_C, i] = groups * m * k * result * again
        sums[HOP_PJ, i] = hop * ins[i, HOPS]


@lean
def least_score(terms, chip, innermost, m_trips, k_trips, c_trips, compute, rate, objective, rates):  # type: ignore[no-untyped-def]
    """Return a bound of the score of tilings with so many tiles, ``chip`` pJ on the chip and a bound of computation."""
    inputs = terms[INPUT] * (1 if innermost == 1 else k_trips)
    weights = terms[WEIGHT] * (1 if innermost == 0 else m_trips)
    spilled = 0.0 if innermost == 2 else terms[SPILL] * (c_trips - 1)
    cycles = max(compute, (inputs + weights + terms[OUTPUT] + 2 * spilled) / rate - 1)
    dynamic = chip + inputs * terms[OF_INPUT] + weights * terms[OF_WEIGHT] + spilled * terms[OF_SPILL]
    return scored(dynamic, cycles, objective, rates) * SLACK


@lean
def search(  # type: ignore[no-untyped-def]
    work, layer, form, limits, psum_width, k_units, bus, objective, rates, best, figures
):
    """Write the best tiling to ``best``; return False if none fits, or if `choose` might not come to an end.

    Parameters
    ----------
    work : `search_kernel.Scratch`
    rates : array of float64, shape (14,)
        Prices of `PRICED` in pJ per bit and operation; leakage in pJ per cycle.
    figures : array of float64, shape (5,), written
        `SCORE` and so on of the best.
    """
    rate, flow, cuts, size, kinds = bus[NUMERATOR] / bus[DENOMINATOR], form[1], work.cuts, work.size, work.kinds[0]
    runs, counts, tile, whole, _, _ = work.state
    low, visit, outs, ins, terms, sums = work.low, work.visit, work.outs[0], work.ins[0], work.terms, work.sums
    bound_kernel.fill_sizes(layer, whole)
    bound_kernel.fill_sizes(layer, work.timing[3])
    pixel_count = cuts_kernel.pixel_cuts(layer, size[3], cuts)
    k_count = cuts_kernel.output_cuts(layer[nest.KG], k_units, size[0])
    c_count = cuts_kernel.input_cuts(layer[nest.CG], 1, size[1])
    g_count = cuts_kernel.pieces(layer[nest.GROUPS], size[2])
    fill_axis(form, OUTPUTS, layer[nest.KG], size[0], k_count, outs)
    fill_axis(form, INPUTS, layer[nest.CG], size[1], c_count, ins)
    fill_terms(layer, flow, psum_width, rates, outs, k_count, ins, c_count, terms, sums)
    first = size[3]
    search_kernel.first_inputs(layer, size, k_count, c_count, limits[1], first)
    for i in range(4):
        figures[i] = np.inf
    tried = timings = 0
    for visited in range(2 * pixel_count):
        # first a bound of each cut of the pixels, then the cuts in the order of these
        if visited == pixel_count:
            order_by(low, pixel_count, visit)
        p = visited if visited < pixel_count else visit[visited - pixel_count]
        if visited >= pixel_count and low[p] > figures[SCORE]:
            break
        m_trips = search_kernel.cut_pixels(layer, cuts[p], visited == 0, work.state)
        swept = layer[nest.N] * layer[nest.C] * np.int64(bound_kernel.all_inputs(runs[2], counts[2]))
        swept *= np.int64(bound_kernel.all_inputs(runs[3], counts[3]))
        terms[INPUT] = float(swept) * layer[nest.INPUT_W] * layer[nest.INPUT_X]
        kind_count, m_folds = table_kernel.fill_pixels(form, tile, whole, kinds), 0
        for a in range(kind_count):
            m_folds += kinds[a, M_TIMES] * kinds[a, M_SHARE]
        chip = terms[FIXED] + terms[OF_FOLDS] * m_folds + terms[OF_TRIPS] * m_trips
        m_hops = terms[M_HOPS] * m_trips
        if visited < pixel_count:
            least = table_kernel.least_of(form, layer[nest.GROUPS], kinds, kind_count, outs, 0, ins, 0)
            chip += sums[BY_K, k_count] + sums[BY_C, c_count] + sums[HOP_PJ, c_count] * (terms[K_HOPS] + m_hops)
            low[p] = least_score(terms, chip, -1, 1, 1, 1, least, rate, objective, rates)
            continue
        q_first = search_kernel.first_region(layer, tile, size[1], c_count, limits[0])
        for i in range(k_count if q_first < c_count else 0):
            tile[4] = k = size[0, i]
            if tile[1] * tile[2] * tile[3] * psum_width * k > limits[2] or first[i] == c_count:
                continue
            hops, k_trips = terms[K_HOPS] * outs[i, TRIPS] + m_hops, outs[i, TRIPS]
            with_k = chip + sums[BY_K, i]
            some = with_k + sums[BY_C, c_count] + sums[HOP_PJ, c_count] * hops
            if (
                min(
                    least_score(terms, some, 0, m_trips, k_trips, 1, 0.0, rate, objective, rates),
                    least_score(terms, some, 1, m_trips, k_trips, 1, 0.0, rate, objective, rates),
                )
                > figures[SCORE]
            ):
                continue
            least = table_kernel.least_of(form, layer[nest.GROUPS], kinds, kind_count, outs, i, ins, 0)
            for q in range(max(first[i], q_first), c_count):
                tile[5] = c = size[1, q]
                all_of_it = with_k + sums[BY_C, q] + sums[HOP_PJ, q] * hops
                fits = 1
                if k == whole[4] and c == whole[5] and whole[0] > 1:
                    fits = cuts_kernel.largest_tile(layer, cuts[p], limits, k, c, psum_width)
                for j in range(g_count + 1 if fits > 1 else 1):
                    tile[0] = size[2, j - 1] if j else 1
                    if tile[0] > fits or (j and tile[0] == 1):
                        continue
                    place = ((p * 160 + i) * 160 + q) * 256 + 8 * j
                    tried = keep(
                        layer, form, psum_width, bus, objective, rates, work, swept, m_folds, all_of_it, least, i, q,
                        place, figures, tried,
                    )  # fmt: skip
                    if tried < 0:
                        return False
                    if tried > MOST_TRIES - 8:
                        timings += time_some(
                            layer, form, psum_width, bus, objective, rates, work, tried, best, figures, MOST_TIMED
                        )
                        tried = 0
                    elif tried and figures[SCORE] == np.inf:
                        timings += time_some(
                            layer, form, psum_width, bus, objective, rates, work, tried, best, figures, 1
                        )
        timings += time_some(layer, form, psum_width, bus, objective, rates, work, tried, best, figures, 1)
    timings += time_some(layer, form, psum_width, bus, objective, rates, work, tried, best, figures, MOST_TIMED)
    return timings <= MOST_TIMED and figures[SCORE] < np.inf


@lean
def keep(  # type: ignore[no-untyped-def]
    layer, form, psum_width, bus, objective, rates, work, swept, m_folds, chip, least, i_k, i_c, place, figures, tried
):
    """Keep those orders of a tile that may be best; return how many are kept, -1 if floats do not hold their bits."""
    runs, counts, tile, whole, trips, _ = work.state
    moved, moves, tries, found, terms = work.moved[0], work.moves, work.tries, work.bounds, work.terms
    rate, m_trips = bus[NUMERATOR] / bus[DENOMINATOR], trips[1] * trips[2] * trips[3]
    k_trips, c_trips = work.outs[0, i_k, TRIPS], work.ins[0, i_c, TRIPS]
    live, known, promising, counted = nest.live_loops(m_trips, k_trips, c_trips), -2, False, False
    bits = cycles = dynamic = compute = last_compute = 0.0
    for i in range(6):
        order = nest.DISTINCT[live, i]
        if order < 0:
            break
        innermost = nest.INNERMOST[live, order]
        if innermost != known:
            known = innermost
            score = least_score(terms, chip, innermost, m_trips, k_trips, c_trips, least, rate, objective, rates)
            promising = score <= figures[SCORE]
            if promising and not counted:
                counted = True
                move(layer, form[1], psum_width, m_trips, m_folds, work.outs[0, i_k], work.ins[0, i_c], moves)
                for axis in (0, 4, 5):
                    counts[axis] = nest.fill_runs(layer, axis, whole[axis], tile[axis], runs[axis])
                    trips[axis] = nest.ceil_div(whole[axis], tile[axis])
                compute = bound_kernel.computed(form, whole, tile, tile[4], tile[5], False)
                bound_kernel.ends(layer, runs, counts, psum_width, bus[BURST], moved)
                bound_kernel.sweep(layer, runs, counts, psum_width, bus[BURST], moved)
                last_compute = last_cycles(form, runs, counts)
            if promising:
                bits, cycles = bound_kernel.bound(moved, trips, innermost, compute, last_compute, layer, bus, rate)
                if bits >= EXACT:
                    return -1
                inputs, weights, spilled = useful_bits(layer, psum_width, swept, innermost, m_trips, k_trips, c_trips)
                kept = layer[nest.N] * layer[nest.K] * layer[nest.E] * layer[nest.F] * layer[nest.OUTPUT_W]
                kept *= 1 - layer[nest.OUTPUT_X]
                spill = 0.0 if c_trips == 1 or innermost == 2 else float(c_trips - 1)
                write = moved[OUT_BUS] + moved[PSUM_BUS] * spill
                dynamic = dynamic_pj(rates, bits - write, write, inputs + kept, weights, spilled, moves)
        if promising:
            found[tried, SCORE] = scored(dynamic, cycles, objective, rates)
            found[tried, CYCLES], found[tried, BITS], found[tried, PLACE] = cycles, bits, place + i
            found[tried, DYNAMIC] = dynamic
            if before(found[tried], figures):
                for axis in range(6):
                    tries[tried, axis] = tile[axis]
                tries[tried, 6] = order
                tried += 1
    return tried


@lean
def time_some(  # type: ignore[no-untyped-def]
    layer, form, psum_width, bus, objective, rates, work, tried, best, figures, most
):
    """Time what is kept in the order of its bounds, until nothing may be better or ``most`` are timed.

    Returns how many were timed.
    """
    found, number = work.bounds, 0
    while number < most:
        at = -1
        for i in range(tried):
            if found[i, PLACE] >= 0 and before(found[i], figures) and (at < 0 or before(found[i], found[at])):
                at = i
        if at < 0:
            break
        number += 1
        cycles = timed(layer, form, psum_width, bus, work.tries[at], work.timing, np.int64(FOREVER))
        found[at, SCORE] = scored(found[at, DYNAMIC], cycles, objective, rates)
        found[at, CYCLES] = cycles
        if before(found[at], figures):
            for i in range(5):
                figures[i] = found[at, i]
            for axis in range(7):
                best[axis] = work.tries[at, axis]
        found[at, PLACE] = -1
    return number
