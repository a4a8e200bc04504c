"""The whole list that `search_kernel` searches, and what bounds and the timeline say of each tiling on it."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel
from accelsim.mapping import nest_kernel as nest
from accelsim.mapping.bound_kernel import (
    BURST,
    DENOMINATOR,
    FOREVER,
    NUMERATOR,
    OUT_BUS,
    bound,
    computed,
    ends,
    last_cycles,
    repeated,
    sweep,
    workspace,
)  # fmt: skip
from accelsim.mapping.cuts_kernel import MOST_CUTS, input_cuts, largest_tile, output_cuts, pieces, pixel_cuts
from accelsim.mapping.timeline_kernel import cut, timed


@kernel
def listed(layer, limits, psum_width, k_units, c_unit, found):  # type: ignore[no-untyped-def]
    """Write all tilings that `search` chooses from to ``found``, as far as it has room; return how many there are."""
    cuts, size = np.empty((MOST_CUTS, 3), dtype=np.int64), np.empty((3, 160), dtype=np.int64)
    sizes = np.empty(160, dtype=np.int64)
    k_count = output_cuts(layer[nest.KG], k_units, size[0])
    c_count = input_cuts(layer[nest.CG], c_unit, size[1])
    g_count = pieces(layer[nest.GROUPS], size[2])
    _, _, tile, whole, trips, _ = workspace(layer)
    count = 0
    for p in range(pixel_cuts(layer, sizes, cuts)):
        for axis in range(1, 4):
            tile[axis] = cuts[p, axis - 1]
        for i in range(k_count):
            tile[4] = size[0, i]
            for q in range(c_count):
                tile[5] = size[1, q]
                fits = largest_tile(layer, cuts[p], limits, tile[4], tile[5], psum_width)
                for j in range(g_count + 1 if tile[4] == whole[4] and tile[5] == whole[5] else 1):
                    tile[0] = size[2, j - 1] if j else 1
                    if tile[0] > fits or (j and tile[0] == 1):
                        continue
                    for axis in range(6):
                        trips[axis] = nest.ceil_div(whole[axis], tile[axis])
                    live = nest.live_loops(trips[1] * trips[2] * trips[3], trips[4], trips[5])
                    for at in range(6):
                        if nest.DISTINCT[live, at] < 0:
                            break
                        if count < len(found):
                            for axis in range(6):
                                found[count, axis] = tile[axis]
                            found[count, 6] = nest.DISTINCT[live, at]
                        count += 1
    return count


COMPUTE, LEAST, READ, WRITE, IN_BITS, WEIGHT_BITS, SPILL_BITS = range(7)
"""What `measure` says of a tiling: cycles of computation and at least in all; bits on the bus; useful bits of inputs,
of weights, and of partial sums one way."""


@kernel
def measure(layer, form, psum_width, bus, tilings, out):  # type: ignore[no-untyped-def]
    """Write the figures (`COMPUTE` and so on) of each tiling, a row of ``out`` in float64: exact below 2^53."""
    rate = bus[NUMERATOR] / bus[DENOMINATOR]
    state = workspace(layer)
    runs, counts, tile, whole, trips, _ = state
    moved, useful = np.empty(8), np.empty(8)
    compute = last_compute = 0.0
    for at in range(len(tilings)):
        same = at > 0
        for axis in range(6):
            same = same and tile[axis] == tilings[at, axis]
        innermost, _ = cut(layer, tilings[at], state)
        if not same:
            compute = computed(form, whole, tile, tile[4], tile[5], False)
            ends(layer, runs, counts, psum_width, bus[BURST], moved)
            sweep(layer, runs, counts, psum_width, bus[BURST], moved)
            sweep(layer, runs, counts, psum_width, 1, useful)
            last_compute = last_cycles(form, runs, counts)
        bits, least = bound(moved, trips, innermost, compute, last_compute, layer, bus, rate)
        out[at, COMPUTE], out[at, LEAST] = compute, least
        out[at, WRITE] = moved[OUT_BUS] + repeated(moved, trips, innermost)[2]
        out[at, READ] = bits - out[at, WRITE]
        out[at, IN_BITS], out[at, WEIGHT_BITS], out[at, SPILL_BITS] = repeated(useful, trips, innermost)


@kernel
def time_many(layer, form, psum_width, bus, tilings, out):  # type: ignore[no-untyped-def]
    """Write the cycles of each tiling, stalls included."""
    state = workspace(layer)
    for at in range(len(tilings)):
        out[at] = timed(layer, form, psum_width, bus, tilings[at], state, np.int64(FOREVER))
