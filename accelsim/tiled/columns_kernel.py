"""Many layers of a tiled machine in machine code: the best tiling of each, its traffic and time, its kinds of tile."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel, lean
from accelsim.mapping import bound_kernel, search_kernel, tile_kernel, timeline_kernel
from accelsim.mapping import nest_kernel as nest

FACTS = ("known", "cycles", "compute", "read", "write", "input", "weight", "spilled", "returned", "variant", "kinds")
"""What `evaluate` says of a layer: 1, or 0 if it is declined; cycles, and those of computation; bits on the bus; useful
bits of inputs and weights that come, of partial sums that leave and come back; the variant; the kinds of tile."""
KNOWN, CYCLES, COMPUTE, READ, WRITE, INPUT, WEIGHT, SPILLED, RETURNED, VARIANT, KINDS = range(11)
CROSSING = (INPUT, WEIGHT, SPILLED, RETURNED)

TILE = ("times", "groups", "pixels", "outputs", "inputs")
"""Columns of a kind of tile: how often it occurs, and its sizes."""
MOST_KINDS = 64
"""Of a layer: full or at an edge, along six axes."""


@kernel
def evaluate(layers, forms, first, limits, psums, k_units, c_units, bus, objective, tilings, facts, kinds):  # type: ignore[no-untyped-def]
    """Choose a tiling for each layer and measure it.

    Parameters
    ----------
    layers : array of int64, shape (layers, columns of `nest_kernel.LAYER`)
    forms : array of int64, shape (variants of all layers, columns of `tile_forms`)
    first : array of int64, shape (layers + 1,)
        Where the variants of each layer begin; ``first[i] == first[i + 1]`` declines a layer.
    limits : array of int64, shape (layers, 3)
        Bits that a tile of inputs, weights, outputs may take.
    psums, c_units : arrays of int64, shape (layers,)
        Width of a partial sum; the size of which tiles of input channels should be a multiple.
    k_units : array of int64, shape (layers, units)
        The same of output channels.
    bus : array of int64, in the order of `bound_kernel.BUS`
    tilings : array of int64, shape (layers, 7), written
        Groups, n, e, f, k, c and order of the best tiling.
    facts : array of int64, shape (layers, `FACTS`), written
    kinds : array of int64, shape (layers * `MOST_KINDS`, `TILE`), written
        Kinds of tile, those of a layer behind those of the one before.
    """
    rows = 4
    for i in range(len(layers)):
        rows = max(rows, bound_kernel.run_rows(layers[i]))
    work, state = search_kernel.scratch(rows), bound_kernel.room_for(rows)
    figures, moved, at, most = np.empty(5), np.empty(6, dtype=np.int64), 0, 1
    for i in range(len(layers)):
        most = max(most, first[i + 1] - first[i])
    low, order = np.empty(most), np.empty(most, dtype=np.int64)
    for i in range(len(layers)):
        layer, psum, best, variant = layers[i], psums[i], tilings[i], -1
        number = first[i + 1] - first[i]
        for v in range(number):
            form = forms[first[i] + v]
            pixels = layer[nest.N] * layer[nest.E] * layer[nest.F]
            low[v] = tile_kernel.least_cycles(form, layer[nest.GROUPS], pixels, layer[nest.KG], layer[nest.CG])
        search_kernel.order_by(low, number, order)
        for at_order in range(number):  # the most promising first, so that it rules others out
            v = order[at_order]
            if variant >= 0 and objective == search_kernel.CYCLES and low[v] > figures[0]:
                break  # however it is cut, it computes for longer
            known = search_kernel.NOTHING_YET
            if variant >= 0:
                known = search_kernel.BEFORE_ALL if variant < v else search_kernel.AFTER_ALL
            if search_kernel.search_with(
                work, layer, forms[first[i] + v], limits[i], psum, k_units[i], c_units[i], bus, objective, best,
                figures, known,
            ):  # fmt: skip
                variant = v
        for column in range(len(FACTS)):
            facts[i, column] = 0
        if variant >= 0 and measure(layer, forms[first[i] + variant], psum, bus, best, state, moved, facts[i]):
            facts[i, KNOWN], facts[i, VARIANT] = 1, variant
            facts[i, KINDS] = tile_kinds(layer, best, kinds, at)
            at += facts[i, KINDS]
    return at


@lean
def measure(layer, form, psum, bus, tiling, state, moved, facts):  # type: ignore[no-untyped-def]
    """Write time and traffic of a tiling to ``facts``; False if counts would leave 64 bits."""
    bound_kernel.fill_sizes(layer, state[3])
    runs, counts, tile, whole, trips, hands = state
    for axis in range(6):
        tile[axis] = tiling[axis]
        counts[axis] = nest.fill_runs(layer, axis, whole[axis], tile[axis], runs[axis])
        trips[axis] = nest.ceil_div(whole[axis], tile[axis])
    live = nest.live_loops(trips[1] * trips[2] * trips[3], trips[4], trips[5])
    innermost = nest.INNERMOST[live, tiling[6]]
    stays = trips[5] == 1 or innermost == 2
    most = np.int64(bound_kernel.FOREVER)
    if not timeline_kernel.timeline(layer, form, psum, tiling[6], runs, counts, innermost, stays, bus, most, hands):
        return False
    nest.dram_traffic(layer, runs, counts, trips, innermost, stays, psum, bus[bound_kernel.BURST], moved)
    clock = hands[timeline_kernel.CLOCK]
    facts[CYCLES], facts[COMPUTE] = nest.finish(clock), clock[nest.COMPUTE]
    for column in range(6):
        facts[READ + column] = moved[column]
    return True


@lean
def tile_kinds(layer, tiling, kinds, at):  # type: ignore[no-untyped-def]
    """Write the kinds of tile of a cut layer behind ``at`` others; return how many there are."""
    start = at
    for a in range(2):
        g, groups = bound_kernel.kind(layer[nest.GROUPS], tiling[0], a)
        for b in range(2 if groups else 0):
            n, images = bound_kernel.kind(layer[nest.N], tiling[1], b)
            for d in range(2 if images else 0):
                e, tall = bound_kernel.kind(layer[nest.E], tiling[2], d)
                for j in range(2 if tall else 0):
                    f, wide = bound_kernel.kind(layer[nest.F], tiling[3], j)
                    for p in range(2 if wide else 0):
                        k, outputs = bound_kernel.kind(layer[nest.KG], tiling[4], p)
                        for q in range(2 if outputs else 0):
                            c, inputs = bound_kernel.kind(layer[nest.CG], tiling[5], q)
                            if inputs:
                                kinds[at, 0] = groups * images * tall * wide * outputs * inputs
                                kinds[at, 1], kinds[at, 2], kinds[at, 3], kinds[at, 4] = g, n * e * f, k, c
                                at += 1
    return at - start
