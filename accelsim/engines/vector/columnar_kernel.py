"""The best cut of many layers in machine code: what `tiles` and `program` say of a tile, and each cut's timeline."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel, lean
from accelsim.mapping import bound_kernel
from accelsim.mapping import nest_kernel as nest
from accelsim.memory import clock_kernel as timing

WIDTHS = 4
"""Distinct widths of operands at most."""
LAYER = (
    *nest.LAYER, "width", "length", "row_groups", "group_cycles", "row_cycles", "streamed_bits", "kept_bits",
    "output_bits", "stay_bits", "half_bits", *("bits", "operands") * WIDTHS,
)  # fmt: skip
"""Columns of a layer. The nest's are those of its windows' rows; others stay as they are. Elements across a row; those
of a reduced row or 0, its groups of lanes; cycles of a group and of a row; bits of an element of all streamed
operands, of output and intermediate result, and of the output; bits on the bus of what stays; half of the scratchpad
without it; for each width of streamed operands, how many there are."""
WIDTH, LENGTH, ROW_GROUPS, GROUP_CYCLES, ROW_CYCLES, STREAMED, KEPT, OUTPUT, STAY, HALF, OPERANDS = (
    len(nest.LAYER) + i for i in range(11)
)

FACTS = ("known", "cycles", "read", "write", "fetched", "groups", "tiles", "compute", "cut")
"""What `evaluate` says of a layer: 1, or 0 if no cut fits; cycles; bits on the bus read and written; input rows times
channels that are fetched; groups of lanes; tiles; cycles of computation; its place among the cuts of all layers."""
KNOWN, CYCLES, READ, WRITE, FETCHED, GROUPS, TILES, COMPUTED, CUT = range(9)

OBJECTIVES = ("cycles", "dram", "energy", "edp")
BY_CYCLES, BY_DRAM, BY_ENERGY, BY_EDP = range(4)


@kernel
def evaluate(layers, cuts, first, lanes, latency, bus, objective, moves, rates, facts):  # type: ignore[no-untyped-def]
    """Choose the best cut of each layer.

    Parameters
    ----------
    layers : array of int64, shape (layers, columns of `LAYER`)
    cuts : array of int64, shape (cuts of all layers, 2)
        Rows and channels of a tile.
    first : array of int64, shape (layers + 1,)
        Where the cuts of each layer begin; ``first[i] == first[i + 1]`` declines a layer.
    lanes, latency : int
    bus : array of int64, in the order of `bound_kernel.BUS`
    objective : int
        Place in `OBJECTIVES`.
    moves : array of int64, shape (layers, priced)
        What is priced beside DRAM; to the first, the bits that tiles fetch are added.
    rates : array of float64, shape (2 + priced + 1,)
        pJ of a bit that DRAM reads and writes and of each of ``moves``; pJ per cycle.
    facts : array of int64, shape (layers, `FACTS`), written
    """
    most = 4
    for i in range(len(layers)):
        most = max(most, bound_kernel.run_rows(layers[i]))
    runs = np.empty((most, 5), dtype=np.int64)
    tiles = np.zeros((2, 1 + 2 * most, timing.COLUMNS), dtype=np.int64)
    clock, loops = np.empty(timing.CLOCK, dtype=np.int64), np.empty((2, timing.LOOP), dtype=np.int64)
    found = np.empty(len(FACTS), dtype=np.int64)
    for i in range(len(layers)):
        layer, best = layers[i], facts[i]
        best[:] = 0
        dynamic = least_dynamic = 0.0
        for at in range(first[i], first[i + 1]):
            rows, channels = cuts[at, 0], cuts[at, 1]
            if tile_bits(layer, rows, channels) > layer[HALF]:
                continue
            count = nest.fill_runs(layer, 2, layer[nest.E], rows, runs)
            found[CYCLES] = measure(layer, channels, lanes, latency, bus, runs, count, tiles, found)
            if objective in (BY_ENERGY, BY_EDP):
                dynamic = dynamic_pj(layer, found, moves[i], rates)
            leak = rates[len(rates) - 1]
            if best[KNOWN] and not better(found, dynamic, best, least_dynamic, leak, objective):
                continue  # not even without waiting
            clock[:] = 0
            for part in range(2):
                if parts(layer, channels, part)[0]:
                    timing.walk(tiles[part], tiles[part, 0, timing.END], clock, loops, bus[bound_kernel.LATENCY])
            found[CYCLES] = timing.finish(clock)
            if not best[KNOWN] or better(found, dynamic, best, least_dynamic, leak, objective):
                best[:] = found
                best[CUT] = at
                least_dynamic = dynamic


@lean
def dynamic_pj(layer, found, moves, rates):  # type: ignore[no-untyped-def]
    """Return the energy of a cut, leakage apart: `choose.dynamic_pj`, term by term."""
    energy = float(found[READ]) * rates[0] + float(found[WRITE]) * rates[1]
    for k in range(len(moves)):
        bits = moves[k] + (found[FETCHED] * layer[nest.W] * layer[STREAMED] if k == 0 else 0)
        energy += float(bits) * rates[2 + k]
    return energy


@lean
def better(found, dynamic, best, least_dynamic, leak, objective):  # type: ignore[no-untyped-def]
    """Whether a cut comes before the best one, in the order of `choose`; of two that are alike the first one counts."""
    bits, least_bits = float(found[READ] + found[WRITE]), float(best[READ] + best[WRITE])
    cycles, least = float(found[CYCLES]), float(best[CYCLES])
    score, least_score = cycles, least
    if objective == BY_DRAM:
        score, least_score = bits, least_bits
    elif objective != BY_CYCLES:
        score, least_score = dynamic + leak * cycles, least_dynamic + leak * least
        if objective == BY_EDP:
            score, least_score = score * cycles, least_score * least
    if score != least_score:
        return score < least_score
    return cycles < least or (cycles == least and bits < least_bits)


@lean
def parts(layer, channels, part):  # type: ignore[no-untyped-def]
    """Return how many blocks of ``channels`` there are (``part`` 0) or of what is left (1), and their channels."""
    if part == 0:
        return layer[nest.C] // channels, channels
    rest = layer[nest.C] % channels
    return min(1, rest), rest


@lean
def tile_bits(layer, rows, channels):  # type: ignore[no-untyped-def]
    """Return what a tile takes at most in its half of the scratchpad: `tiles._most_bits`."""
    read = min(layer[nest.H], (rows - 1) * layer[nest.STRIDE_H] + layer[nest.R])
    return channels * (read * layer[nest.W] * layer[STREAMED] + rows * layer[WIDTH] * layer[KEPT])


@lean
def on_bus(layer, pixels, channels, bits, burst):  # type: ignore[no-untyped-def]
    """Return the bits on the bus of one operand or the output of a tile: `tiles.transfers`."""
    if channels == layer[nest.C]:
        return nest.on_bus(pixels * channels * bits, 1, burst)
    return nest.on_bus(channels * bits, pixels, burst)


@lean
def measure(layer, channels, lanes, latency, bus, runs, count, tiles, found):  # type: ignore[no-untyped-def]
    """List the tiles of a cut, as a schedule of each part of the channels, and add them up; return the least cycles.

    ``tiles`` has two arrays of rows as `clock_kernel` takes them; ``found`` is written but for its cycles.
    """
    burst, numerator, denominator = bus[bound_kernel.BURST], bus[bound_kernel.NUMERATOR], bus[bound_kernel.DENOMINATOR]
    for column in range(len(FACTS)):
        found[column] = 0
    found[KNOWN] = 1
    busy = longest_store = load = compute = store = 0
    for part in range(2):
        blocks, some = parts(layer, channels, part)
        tiles[part, 0, timing.REPEAT], tiles[part, 0, timing.END], at = blocks * layer[nest.N], 1 + 2 * count, 1
        for i in range(count if blocks else 0):
            out = runs[i, nest.EXTENT] * layer[WIDTH]
            size, lines, groups = out * some, 0, 0
            if layer[LENGTH]:
                lines = size // layer[LENGTH]
                groups = lines * layer[ROW_GROUPS]
            else:
                groups = nest.ceil_div(size, lanes)
            compute = groups * layer[GROUP_CYCLES] + lines * layer[ROW_CYCLES] + latency
            read = layer[STAY] if runs[i, nest.FIRST] else 0
            for k in range(OPERANDS, OPERANDS + 2 * WIDTHS, 2):
                if layer[k + 1]:
                    read += layer[k + 1] * on_bus(layer, runs[i, nest.INPUTS] * layer[nest.W], some, layer[k], burst)
            written = on_bus(layer, out, some, layer[OUTPUT], burst)
            load = nest.on_bus_cycles(read, numerator, denominator)
            store = nest.on_bus_cycles(written, numerator, denominator)
            times = runs[i, nest.REPEAT] * blocks * layer[nest.N]
            at = timing.put(tiles[part], at, runs[i, nest.REPEAT], load, compute, store)
            found[READ] += times * read
            found[WRITE] += times * written
            found[FETCHED] += times * runs[i, nest.INPUTS] * some
            found[GROUPS] += times * groups
            found[TILES] += times
            found[COMPUTED] += times * compute
            busy += times * (load + store)
            longest_store = max(longest_store, store)
    # all tiles one after the other behind the first load; the bus; all loads, and most stores, before the last tile
    first, wait = tiles[0, 2, timing.LOAD], bus[bound_kernel.LATENCY]
    least = max(first + (wait if first else 0) + found[COMPUTED] + store, busy)
    return max(least, busy - longest_store + wait + compute) if load else least
