"""Many layers of a tiled machine in machine code: the best tiling of each, its traffic and time, its kinds of tile."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel, lean
from accelsim.mapping import bound_kernel, search_kernel, timeline_kernel
from accelsim.memory import clock_kernel as timing

FACTS = ("known", "cycles", "compute", "read", "write", "input", "weight", "spilled", "variant", "kinds")
"""What `evaluate` says of a layer: 1, or 0 if it is declined; cycles, and those of computation; bits on the bus; useful
bits of inputs and weights that come, of partial sums one way; the variant; the kinds of tile."""
KNOWN, CYCLES, COMPUTE, READ, WRITE, INPUT, WEIGHT, SPILLED, VARIANT, KINDS = range(10)
CROSSING = (INPUT, WEIGHT, SPILLED, SPILLED)


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
    kinds : array of int64, shape (layers * `bound_kernel.MOST_KINDS`, `bound_kernel.TILE`), written
        Kinds of tile, those of a layer behind those of the one before.
    """
    rows = 4
    for i in range(len(layers)):
        rows = max(rows, bound_kernel.run_rows(layers[i]))
    figures, swept, at, most = np.empty(5), np.empty(8), 0, 1
    for i in range(len(layers)):
        most = max(most, first[i + 1] - first[i])
    work, state = search_kernel.scratch(rows, most), bound_kernel.room_for(rows)
    for i in range(len(layers)):
        layer, psum, best, variant = layers[i], psums[i], tilings[i], -1
        if first[i] < first[i + 1]:
            variant = search_kernel.search_with(
                work, layer, forms[first[i] : first[i + 1]], limits[i], psum, k_units[i], c_units[i], bus, objective,
                best, figures,
            )  # fmt: skip
        for column in range(len(FACTS)):
            facts[i, column] = 0
        if variant >= 0 and measure(layer, forms[first[i] + variant], psum, bus, best, state, swept, facts[i]):
            facts[i, KNOWN], facts[i, VARIANT] = 1, variant
            facts[i, KINDS] = bound_kernel.tile_kinds(layer, best, kinds, at)
            at += facts[i, KINDS]
    return at


@lean
def measure(layer, form, psum, bus, tiling, state, swept, facts):  # type: ignore[no-untyped-def]
    """Write time and traffic of a tiling to ``facts``; False if counts would leave 64 bits."""
    bound_kernel.fill_sizes(layer, state[3])
    innermost, stays = timeline_kernel.cut(layer, tiling, state)
    runs, counts, _, _, _, hands = state
    most = np.int64(bound_kernel.FOREVER)
    if not timeline_kernel.timeline(layer, form, psum, tiling[6], runs, counts, innermost, stays, bus, most, hands):
        return False
    clock = hands[timeline_kernel.CLOCK]
    facts[CYCLES], facts[COMPUTE] = timing.finish(clock), clock[timing.COMPUTE]
    return bound_kernel.traffic(layer, state, innermost, psum, bus[bound_kernel.BURST], swept, facts[READ:])
