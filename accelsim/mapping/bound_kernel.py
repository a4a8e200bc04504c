"""What a tiling moves and computes, and what its schedule takes at least, in machine code.

Rows of integers as in `search_kernel`; ``runs`` and ``counts`` are the pieces of each axis (`nest_kernel.fill_runs`).
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel, lean
from accelsim.mapping import nest_kernel as nest
from accelsim.mapping.tile_kernel import least_cycles, tile_cycles
from accelsim.memory.clock_kernel import LOOP

BUS = ("numerator", "denominator", "latency_cycles", "burst_bits")
"""The DRAM's integers: bits per cycle as a fraction, latency, burst."""
NUMERATOR, DENOMINATOR, LATENCY, BURST = range(4)
FOREVER = 4e18
EXACT = 2**53
"""Below this, float64 holds every integer."""
HANDS = 15
"""Rows of integers that a timeline works in (`timeline_kernel`)."""

IN_BUS, WEIGHT_BUS, OUT_BUS, PSUM_BUS, FIRST_LOAD, LAST_STORE, LARGEST_STORE, EMPTY = range(8)
"""What one sweep over all tiles moves, in bits on the bus; the ends of the schedule; whether a tile has no input."""


@lean
def run_rows(layer):  # type: ignore[no-untyped-def]
    """Return how many runs an axis has at most, however it is cut."""
    most = 4
    for d in range(2):
        lead, tail = nest.alike(layer, d, 1, layer[nest.E + d])
        most = max(most, min(layer[nest.E + d], lead + max(0, layer[nest.E + d] - tail)) + 4)
    return most


@kernel
def workspace(layer):  # type: ignore[no-untyped-def]
    """Return runs of the axes, their numbers, a tile, the sizes of the axes groups, n, e, f, k, c, trips, and `HANDS`
    rows for a timeline."""
    state = room_for(run_rows(layer))
    fill_sizes(layer, state[3])
    return state


@kernel
def room_for(rows):  # type: ignore[no-untyped-def]
    """Return a `workspace` for any layer of no more than ``rows`` runs per axis (`run_rows`), without its sizes."""
    small = np.zeros((4 + HANDS, LOOP), dtype=np.int64)
    return np.empty((6, rows, 5), dtype=np.int64), small[0], small[1], small[2], small[3], small[4:]


@lean
def fill_sizes(layer, whole):  # type: ignore[no-untyped-def]
    """Write the sizes of the axes groups, n, e, f, k, c."""
    whole[0], whole[1], whole[2], whole[3] = layer[nest.GROUPS], layer[nest.N], layer[nest.E], layer[nest.F]
    whole[4], whole[5] = layer[nest.KG], layer[nest.CG]


@lean
def sweep(layer, runs, counts, psum_width, burst, moved):  # type: ignore[no-untyped-def]
    """Write what one sweep over all tiles moves (`IN_BUS` and so on), in float64: exact below 2^53."""
    moved[IN_BUS], moved[EMPTY] = sweep_inputs(layer, runs, counts, burst), empty(runs, counts)
    moved[OUT_BUS] = sweep_outputs(layer, runs, counts, layer[nest.OUTPUT_W], burst) if layer[nest.OUTPUT_X] else 0.0
    moved[PSUM_BUS] = sweep_outputs(layer, runs, counts, psum_width, burst)
    moved[WEIGHT_BUS] = 0.0
    for a in range(counts[0]):
        for i in range(counts[4] * layer[nest.WEIGHT_X]):
            for j in range(counts[5]):
                k, c = runs[4, i, nest.EXTENT], runs[5, j, nest.EXTENT]
                run, number = nest.weight_block(layer, runs[0, a, nest.EXTENT], k, c)
                times = float(runs[0, a, nest.REPEAT]) * runs[4, i, nest.REPEAT] * runs[5, j, nest.REPEAT]
                moved[WEIGHT_BUS] += times * nest.on_bus(run, number, burst)


@lean
def empty(runs, counts):  # type: ignore[no-untyped-def]
    """Return 1.0 if a tile lies under padding alone, else 0.0."""
    for axis in (2, 3):
        for i in range(counts[axis]):
            if runs[axis, i, nest.INPUTS] == 0:
                return 1.0
    return 0.0


@lean
def all_inputs(runs, count):  # type: ignore[no-untyped-def]
    """Return the input rows or columns of all pieces, halos again per piece."""
    total = 0.0
    for i in range(count):
        total += float(runs[i, nest.REPEAT]) * runs[i, nest.INPUTS]
    return total


@lean
def sweep_inputs(layer, runs, counts, burst):  # type: ignore[no-untyped-def]
    """Return the bits on the bus of all input tiles, each once."""
    if layer[nest.INPUT_X] == 0:
        return 0.0
    width, images = layer[nest.INPUT_W], float(layer[nest.N])
    rows = all_inputs(runs[2], counts[2])
    pixels, moved = images * rows * all_inputs(runs[3], counts[3]), 0.0
    for a in range(counts[0]):
        for i in range(counts[5]):
            g, c = runs[0, a, nest.EXTENT], runs[5, i, nest.EXTENT]
            times = float(runs[0, a, nest.REPEAT]) * runs[5, i, nest.REPEAT]
            if c < layer[nest.CG]:
                moved += times * pixels * nest.on_bus(c * width, g, burst)
            elif g < layer[nest.GROUPS]:
                moved += times * pixels * nest.on_bus(g * c * width, 1, burst)
            else:
                moved += times * sweep_whole_pixels(layer, runs, counts, g * c * width, burst, images, rows)
    return moved


@lean
def sweep_whole_pixels(layer, runs, counts, width, burst, images, rows):  # type: ignore[no-untyped-def]
    """Return `sweep_inputs` of tiles with all channels, ``width`` bits: a run goes on over columns, rows, images."""
    moved = 0.0
    for j in range(counts[3]):
        cols, wide = runs[3, j, nest.INPUTS], float(runs[3, j, nest.REPEAT])
        if cols < layer[nest.W]:
            moved += wide * images * rows * nest.on_bus(cols * width, 1, burst)
            continue
        for d in range(counts[2]):
            tall, tile_rows = float(runs[2, d, nest.REPEAT]), runs[2, d, nest.INPUTS]
            if tile_rows < layer[nest.H]:
                moved += wide * tall * images * nest.on_bus(tile_rows * cols * width, 1, burst)
                continue
            for b in range(counts[1]):
                run = runs[1, b, nest.EXTENT] * tile_rows * cols * width
                moved += wide * tall * runs[1, b, nest.REPEAT] * nest.on_bus(run, 1, burst)
    return moved


@lean
def sweep_outputs(layer, runs, counts, width, burst):  # type: ignore[no-untyped-def]
    """Return the bits on the bus of all output tiles, each once, at a width of their elements."""
    pixels, moved = float(layer[nest.N]) * layer[nest.E] * layer[nest.F], 0.0
    for a in range(counts[0]):
        for i in range(counts[4]):
            g, k = runs[0, a, nest.EXTENT], runs[4, i, nest.EXTENT]
            times = float(runs[0, a, nest.REPEAT]) * runs[4, i, nest.REPEAT]
            if k < layer[nest.KG]:
                moved += times * pixels * nest.on_bus(k * width, g, burst)
            elif g < layer[nest.GROUPS]:
                moved += times * pixels * nest.on_bus(g * k * width, 1, burst)
            else:
                # a run goes on over columns, rows, images as far as they are not cut
                run, axis, others = g * k * width, 3, float(layer[nest.N]) * layer[nest.E]
                if runs[3, 0, nest.EXTENT] == layer[nest.F]:
                    run, axis, others = run * layer[nest.F], 2, float(layer[nest.N])
                    if runs[2, 0, nest.EXTENT] == layer[nest.E]:
                        run, axis, others = run * layer[nest.E], 1, 1.0
                for j in range(counts[axis]):
                    bits = nest.on_bus(run * runs[axis, j, nest.EXTENT], 1, burst)
                    moved += times * others * runs[axis, j, nest.REPEAT] * bits
    return moved


@lean
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


@lean
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


@lean
def kind(size, tile, edge):  # type: ignore[no-untyped-def]
    """Return extent and number of the full pieces of a loop, or of the piece at its edge."""
    full = size // tile
    if edge:
        rest = size - full * tile
        return rest, np.int64(rest > 0)
    return tile, full


TILE = ("times", "groups", "pixels", "outputs", "inputs")
"""Columns of a kind of tile: how often it occurs, and its sizes."""
KIND_TIMES, KIND_GROUPS, KIND_PIXELS, KIND_OUTPUTS, KIND_INPUTS = range(5)
MOST_KINDS = 64
"""Of a layer: full or at an edge, along six axes."""


@lean
def tile_kinds(layer, tiling, kinds, at):  # type: ignore[no-untyped-def]
    """Write the kinds of tile of a cut layer behind ``at`` others; return how many there are."""
    start = at
    for a in range(2):
        g, groups = kind(layer[nest.GROUPS], tiling[0], a)
        for b in range(2 if groups else 0):
            n, images = kind(layer[nest.N], tiling[1], b)
            for d in range(2 if images else 0):
                e, tall = kind(layer[nest.E], tiling[2], d)
                for j in range(2 if tall else 0):
                    f, wide = kind(layer[nest.F], tiling[3], j)
                    for p in range(2 if wide else 0):
                        k, outputs = kind(layer[nest.KG], tiling[4], p)
                        for q in range(2 if outputs else 0):
                            c, inputs = kind(layer[nest.CG], tiling[5], q)
                            if inputs:
                                kinds[at, KIND_TIMES] = groups * images * tall * wide * outputs * inputs
                                kinds[at, KIND_GROUPS], kinds[at, KIND_PIXELS] = g, n * e * f
                                kinds[at, KIND_OUTPUTS], kinds[at, KIND_INPUTS] = k, c
                                at += 1
    return at - start


@lean
def last(runs, counts, axis):  # type: ignore[no-untyped-def]
    """Return the extent of the last piece of an axis."""
    return runs[axis, counts[axis] - 1, nest.EXTENT]


@lean
def last_cycles(form, runs, counts):  # type: ignore[no-untyped-def]
    """Return the cycles of the last tile."""
    pixels = last(runs, counts, 1) * last(runs, counts, 2) * last(runs, counts, 3)
    return tile_cycles(form, last(runs, counts, 0), pixels, last(runs, counts, 4), last(runs, counts, 5))


@lean
def repeated(moved, trips, innermost):  # type: ignore[no-untyped-def]
    """Return what inputs, weights and partial sums, these one way, move in all; ``moved`` is one `sweep`."""
    inputs = moved[IN_BUS] * (1.0 if innermost == 1 else float(trips[4]))
    weights = moved[WEIGHT_BUS] * (1.0 if innermost == 0 else float(trips[1]) * trips[2] * trips[3])
    return inputs, weights, moved[PSUM_BUS] * (0.0 if trips[5] == 1 or innermost == 2 else float(trips[5] - 1))


READ, WRITE, INPUT, WEIGHT, SPILLED = range(5)
"""What `traffic` says: bits on the bus; useful bits of inputs and weights that come, of partial sums one way."""


@lean
def traffic(layer, state, innermost, psum_width, burst, swept, found):  # type: ignore[no-untyped-def]
    """Write the DRAM traffic of a cut layer (`READ` and so on); return False if float64 does not hold it exactly.

    ``state`` is what `timeline_kernel.cut` has written, ``swept``, shape (8,), room to work in.
    """
    runs, counts, _, _, trips, _ = state
    sweep(layer, runs, counts, psum_width, burst, swept)
    inputs, weights, spilled = repeated(swept, trips, innermost)
    read, write = inputs + weights + spilled, swept[OUT_BUS] + spilled
    sweep(layer, runs, counts, psum_width, 1, swept)
    inputs, weights, spilled = repeated(swept, trips, innermost)
    if max(read, write) >= EXACT:
        return False
    found[READ], found[WRITE] = np.int64(read), np.int64(write)
    found[INPUT], found[WEIGHT], found[SPILLED] = np.int64(inputs), np.int64(weights), np.int64(spilled)
    return True


@lean
def bound(moved, trips, innermost, compute, last_compute, layer, bus, rate):  # type: ignore[no-untyped-def]
    """Return the bits on the bus and the cycles that no schedule of these tiles beats.

    Every tile computes after its load and the tile before; the first load and the last store overlap nothing. The bus
    carries all bits, and after the last load there are a latency and a computation. A tile's load waits for the
    computation of the tile two before and for its store on the bus: the tiles at even places, and those at odd ones,
    each add up their loads, latencies, computations and stores.
    """
    pixels = float(trips[1]) * trips[2] * trips[3]
    inputs, weights, spilled = repeated(moved, trips, innermost)
    read, write = inputs + weights + spilled, moved[OUT_BUS] + spilled
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
    return read + write, min(np.floor(least), FOREVER)
