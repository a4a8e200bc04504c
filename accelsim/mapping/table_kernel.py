"""Tables of a search, in machine code: what is known of an output-channel tile, of an input-channel tile and of a cut
of the pixels alone, so that a tile of a single group is bounded by a few products.

Blocks that stop short of all channels of a pixel are runs of these channels, as many as pixels: their bits on the bus
are a product of both. Where one run goes on into the next pixel, the pieces are swept (`bound_kernel`).
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import lean
from accelsim.mapping import bound_kernel as bound
from accelsim.mapping import nest_kernel as nest
from accelsim.mapping.tile_kernel import (
    GROUPS,
    INPUTS,
    OUTPUTS,
    PIXELS,
    PRODUCT,
    least_shared,
    share,
    shared_cycles,
)

SIZE, FULL, REST, SHARE, REST_SHARE, TRIPS, SHARES = range(7)
"""Columns of both tables: extent of a tile, how many are full, extent of the last one if it is not, shares of both, how
many tiles there are and their shares in sum. Those of the shares depend on the form, no other does."""
OUT_TILE, OUT_LAST, OUT_ALL, PSUM_TILE, PSUM_ALL, FILTERS_TILE, FILTERS_ALL = range(7, 14)
"""Of output channels: bits on the bus of an output pixel (of a full tile, the last one, all), of its partial sums, and
of weights with all input channels."""
IN_TILE, IN_ALL, WEIGHT_TILE, WEIGHT_ALL = range(7, 11)
"""Of input channels: bits on the bus of an input pixel (of a full tile, all), and of the weights of an output."""
TABLE = 14
"""Columns of a table."""

P_IN, P_FIRST, P_OUT, P_LAST, P_PSUM, P_LARGEST = range(6)
"""Of a cut of pixels, all channels in a tile: bits on the bus of inputs, of the first load's, of outputs, of the last
store, of partial sums, of the largest store."""
M_SIZE, M_TIMES, M_SHARE = range(3)
"""Of tiles with the same number of pixels: this number, how many there are (of a group), its share."""


@lean
def fill_channels(form, axis, whole, sizes, count, table):  # type: ignore[no-untyped-def]
    """Write the columns that both tables have."""
    for i in range(count):
        size = sizes[i]
        table[i, SIZE], table[i, FULL], table[i, REST] = size, whole // size, whole % size
        table[i, SHARE] = share(form, axis, size)
        table[i, REST_SHARE] = share(form, axis, table[i, REST]) if table[i, REST] else 0
        table[i, TRIPS] = table[i, FULL] + (1 if table[i, REST] else 0)
        table[i, SHARES] = table[i, FULL] * table[i, SHARE] + table[i, REST_SHARE]


@lean
def fill_outputs(layer, psum_width, burst, count, table):  # type: ignore[no-untyped-def]
    """Write the bits of output-channel tiles behind `fill_channels`; what does not cross the DRAM boundary has none."""
    filter_bits = layer[nest.CG] * layer[nest.R] * layer[nest.S] * layer[nest.WEIGHT_W] * layer[nest.WEIGHT_X]
    for i in range(count):
        full, rest = table[i, FULL], table[i, REST]
        for tile, total, width in (
            (OUT_TILE, OUT_ALL, layer[nest.OUTPUT_W] * layer[nest.OUTPUT_X]), (PSUM_TILE, PSUM_ALL, psum_width),
            (FILTERS_TILE, FILTERS_ALL, filter_bits),
        ):  # fmt: skip
            table[i, tile] = nest.on_bus(table[i, SIZE] * width, 1, burst)
            last = nest.on_bus(rest * width, 1, burst)
            table[i, total] = full * table[i, tile] + last
            if tile == OUT_TILE:
                table[i, OUT_LAST] = last if rest else table[i, tile]


@lean
def fill_inputs(layer, burst, count, table):  # type: ignore[no-untyped-def]
    """Write the bits of input-channel tiles behind `fill_channels`; what does not cross the DRAM boundary has none."""
    weight_bits = layer[nest.R] * layer[nest.S] * layer[nest.WEIGHT_W] * layer[nest.WEIGHT_X]
    input_bits = layer[nest.INPUT_W] * layer[nest.INPUT_X]
    for i in range(count):
        full, rest = table[i, FULL], table[i, REST]
        for tile, total, width in ((IN_TILE, IN_ALL, input_bits), (WEIGHT_TILE, WEIGHT_ALL, weight_bits)):
            table[i, tile] = nest.on_bus(table[i, SIZE] * width, 1, burst)
            table[i, total] = full * table[i, tile] + nest.on_bus(rest * width, 1, burst)


@lean
def fill_pixels(form, tile, whole, pixels):  # type: ignore[no-untyped-def]
    """List the tiles of a cut of pixels by their number of pixels; return how many kinds there are."""
    count = 0
    for b in range(2):
        n, images = bound.kind(whole[1], tile[1], b)
        for d in range(2 if images else 0):
            e, tall = bound.kind(whole[2], tile[2], d)
            for j in range(2 if tall else 0):
                f, wide = bound.kind(whole[3], tile[3], j)
                if wide:
                    pixels[count, M_SIZE], pixels[count, M_TIMES] = n * e * f, images * tall * wide
                    pixels[count, M_SHARE] = share(form, PIXELS, n * e * f)
                    count += 1
    return count


@lean
def fill_variants(forms, tile, whole, pixels):  # type: ignore[no-untyped-def]
    """Let each row of ``pixels`` list the tiles of a cut of pixels for a form: `fill_pixels`; return how many."""
    count = fill_pixels(forms[0], tile, whole, pixels[0])
    for v in range(1, len(forms)):
        for a in range(count):
            pixels[v, a, M_SIZE], pixels[v, a, M_TIMES] = pixels[0, a, M_SIZE], pixels[0, a, M_TIMES]
            pixels[v, a, M_SHARE] = share(forms[v], PIXELS, pixels[0, a, M_SIZE])
    return count


@lean
def least_of_all(forms, g, pixels, count, outs, o, ins, least):  # type: ignore[no-untyped-def]
    """Write `least_of` each form, all input channels in a tile; return the least."""
    lowest = np.inf
    for v in range(len(forms)):
        least[v] = least_of(forms[v], g, pixels[v], count, outs[v], o, ins[v], 0)
        lowest = min(lowest, least[v])
    return lowest


@lean
def least_of(form, g, pixels, count, outs, o, ins, i):  # type: ignore[no-untyped-def]
    """Return `bound_kernel.computed`, the bound, of ``g`` groups at a time and all input channels: rows of tables."""
    g_share, total = share(form, GROUPS, g), 0.0
    if form[0] == PRODUCT:
        return product(form, pixels, count, outs[o, TRIPS], g_share * outs[o, SHARES] * ins[i, SHARE])
    for a in range(count):
        m, m_share, times = pixels[a, M_SIZE], pixels[a, M_SHARE], float(pixels[a, M_TIMES])
        k, c = outs[o, SIZE], ins[i, SIZE]
        shares = (g_share, m_share, outs[o, SHARE], ins[i, SHARE])
        total += times * outs[o, FULL] * least_shared(form, g, m, k, c, shares)
        if outs[o, REST]:
            shares = (g_share, m_share, outs[o, REST_SHARE], ins[i, SHARE])
            total += times * least_shared(form, g, m, outs[o, REST], c, shares)
    return total


@lean
def computed_of(form, groups, pixels, count, outs, o, ins, i):  # type: ignore[no-untyped-def]
    """Return the cycles that all tiles of a single group compute: `bound_kernel.computed` of rows of the tables."""
    g_share, total = share(form, GROUPS, 1), 0.0
    if form[0] == PRODUCT:
        tiles, shares = outs[o, TRIPS] * ins[i, TRIPS], g_share * outs[o, SHARES] * ins[i, SHARES]
        return product(form, pixels, count, tiles, shares) * groups
    for a in range(count):
        m, m_share, times = pixels[a, M_SIZE], pixels[a, M_SHARE], float(pixels[a, M_TIMES])
        for p in range(2):
            k, outputs = (outs[o, REST], 1) if p else (outs[o, SIZE], outs[o, FULL])
            for q in range(2 if k else 0):
                c, inputs = (ins[i, REST], 1) if q else (ins[i, SIZE], ins[i, FULL])
                if c:
                    shares = (g_share, m_share, outs[o, SHARE + p], ins[i, SHARE + q])
                    total += times * outputs * inputs * shared_cycles(form, 1, m, k, c, shares)
    return total * groups


@lean
def no_longer(forms, one, other, pixels, count, outs, o, ins, i):  # type: ignore[no-untyped-def]
    """Whether no tile of a single group takes the variant ``one`` longer than ``other``."""
    g_one, g_other = share(forms[one], GROUPS, 1), share(forms[other], GROUPS, 1)
    for a in range(count):
        for p in range(2):
            k = outs[one, o, REST] if p else outs[one, o, SIZE]
            for q in range(2 if k else 0):
                m, c = pixels[one, a, M_SIZE], ins[one, i, REST] if q else ins[one, i, SIZE]
                mine = (g_one, pixels[one, a, M_SHARE], outs[one, o, SHARE + p], ins[one, i, SHARE + q])
                others = (g_other, pixels[other, a, M_SHARE], outs[other, o, SHARE + p], ins[other, i, SHARE + q])
                if c and shared_cycles(forms[one], 1, m, k, c, mine) > shared_cycles(forms[other], 1, m, k, c, others):
                    return False
    return True


@lean
def product(form, pixels, count, tiles, shares):  # type: ignore[no-untyped-def]
    """Return the cycles of tiles whose form is a product, so that its sum over tiles is one of sums over axes.

    ``tiles`` and ``shares`` are how many there are of each kind of pixels, and their shares of the other axes.
    """
    rounds = steps = 0
    for a in range(count):
        rounds += pixels[a, M_TIMES]
        steps += pixels[a, M_TIMES] * pixels[a, M_SHARE]
    return float(form[1] * tiles) * rounds + float(form[2]) * shares * steps


@lean
def computed_groups(form, whole, tile, pixels, count):  # type: ignore[no-untyped-def]
    """Return the cycles that all tiles of several groups with all their channels compute: `bound_kernel.computed`."""
    k, c, total = whole[4], whole[5], 0.0
    k_share, c_share = share(form, OUTPUTS, k), share(form, INPUTS, c)
    for b in range(2):
        g, groups = bound.kind(whole[0], tile[0], b)
        for a in range(count if groups else 0):
            shares = (share(form, GROUPS, g), pixels[a, M_SHARE], k_share, c_share)
            times = float(groups * pixels[a, M_TIMES])
            total += times * shared_cycles(form, g, pixels[a, M_SIZE], k, c, shares)
    return total


@lean
def whole_inputs(layer, runs, counts, burst, found):  # type: ignore[no-untyped-def]
    """Write what tiles with all input channels of a single group load; needs runs of all axes."""
    found[P_IN], found[P_FIRST] = bound.sweep_inputs(layer, runs, counts, burst), 0.0
    rows, cols = runs[2, 0, nest.INPUTS], runs[3, 0, nest.INPUTS]
    if layer[nest.INPUT_X] and rows * cols:
        run, number = nest.input_block(layer, 1, runs[1, 0, nest.EXTENT], rows, cols, runs[5, 0, nest.EXTENT])
        found[P_FIRST] = nest.on_bus(run, number, burst)


@lean
def whole_outputs(layer, runs, counts, psum_width, burst, moved, found):  # type: ignore[no-untyped-def]
    """Write what tiles with all output channels of a single group store; needs runs of all axes."""
    found[P_OUT] = bound.sweep_outputs(layer, runs, counts, layer[nest.OUTPUT_W], burst) * layer[nest.OUTPUT_X]
    found[P_PSUM] = bound.sweep_outputs(layer, runs, counts, psum_width, burst)
    bound.ends(layer, runs, counts, psum_width, burst, moved)
    found[P_LAST], found[P_LARGEST] = moved[bound.LAST_STORE], moved[bound.LARGEST_STORE]


@lean
def stored_of(layer, runs, counts, pixels, outs, o, moved):  # type: ignore[no-untyped-def]
    """Write what tiles of a single group store: `bound_kernel.sweep` and `ends` of a row of the table.

    ``pixels`` is what `whole_outputs` says.
    """
    groups = layer[nest.GROUPS]
    if o == 0 and groups == 1:
        moved[bound.OUT_BUS], moved[bound.LAST_STORE] = pixels[P_OUT], pixels[P_LAST]
        moved[bound.PSUM_BUS], moved[bound.LARGEST_STORE] = pixels[P_PSUM], pixels[P_LARGEST]
        return
    every = float(groups * layer[nest.N]) * (layer[nest.E] * layer[nest.F])
    moved[bound.OUT_BUS], moved[bound.PSUM_BUS] = every * outs[o, OUT_ALL], every * outs[o, PSUM_ALL]
    tile = runs[1, 0, nest.EXTENT] * runs[2, 0, nest.EXTENT] * runs[3, 0, nest.EXTENT]
    moved[bound.LARGEST_STORE] = float(tile) * max(outs[o, PSUM_TILE], outs[o, OUT_TILE])
    last = bound.last(runs, counts, 1) * bound.last(runs, counts, 2) * bound.last(runs, counts, 3)
    moved[bound.LAST_STORE] = float(last) * outs[o, OUT_LAST]
