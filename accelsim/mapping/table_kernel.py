"""Tables of a search, in machine code: what is known of an output-channel tile, of an input-channel tile and of a cut
of the pixels alone, so that a tile of a single group is bounded by a few products.

Blocks that stop short of all channels of a pixel are runs of these channels, as many as pixels: their bits on the bus
are a product of both. Where one run goes on into the next pixel, the pieces are swept (`bound_kernel`).
"""

from __future__ import annotations

from accelsim.jit import kernel
from accelsim.mapping import bound_kernel as bound
from accelsim.mapping import nest_kernel as nest
from accelsim.mapping.tile_kernel import GROUPS, INPUTS, OUTPUTS, PIXELS, least_shared, share, shared_cycles

SIZE, FULL, REST, SHARE, REST_SHARE = range(5)
"""Columns of both tables: extent of a tile, how many are full, extent of the last one if it is not, shares of both."""
OUT_TILE, OUT_LAST, OUT_ALL, PSUM_TILE, PSUM_ALL, FILTERS_TILE, FILTERS_ALL = range(5, 12)
"""Of output channels: bits on the bus of an output pixel (of a full tile, the last one, all), of its partial sums, and
of weights with all input channels."""
IN_TILE, IN_ALL, WEIGHT_TILE, WEIGHT_ALL = range(5, 9)
"""Of input channels: bits on the bus of an input pixel (of a full tile, all), and of the weights of an output."""
TABLE = 12
"""Columns of a table."""

P_IN, P_FIRST, P_OUT, P_LAST, P_PSUM, P_LARGEST = range(6)
"""Of a cut of pixels, all channels in a tile: bits on the bus of inputs, of the first load's, of outputs, of the last
store, of partial sums, of the largest store."""
M_SIZE, M_TIMES, M_SHARE = range(3)
"""Of tiles with the same number of pixels: this number, how many there are (of a group), its share."""


@kernel
def fill_channels(form, axis, whole, sizes, count, table):  # type: ignore[no-untyped-def]
    """Write the columns that both tables have."""
    for i in range(count):
        size = sizes[i]
        table[i, SIZE], table[i, FULL], table[i, REST] = size, whole // size, whole % size
        table[i, SHARE] = share(form, axis, size)
        table[i, REST_SHARE] = share(form, axis, table[i, REST]) if table[i, REST] else 0


@kernel
def fill_outputs(layer, form, psum_width, burst, sizes, count, table):  # type: ignore[no-untyped-def]
    """Write the table of output-channel tiles."""
    fill_channels(form, OUTPUTS, layer[nest.KG], sizes, count, table)
    filter_bits = layer[nest.CG] * layer[nest.R] * layer[nest.S] * layer[nest.WEIGHT_W]
    for i in range(count):
        full, rest = table[i, FULL], table[i, REST]
        for tile, total, width in (
            (OUT_TILE, OUT_ALL, layer[nest.OUTPUT_W]), (PSUM_TILE, PSUM_ALL, psum_width),
            (FILTERS_TILE, FILTERS_ALL, filter_bits),
        ):  # fmt: skip
            table[i, tile] = nest.on_bus(table[i, SIZE] * width, 1, burst)
            last = nest.on_bus(rest * width, 1, burst)
            table[i, total] = full * table[i, tile] + last
            if tile == OUT_TILE:
                table[i, OUT_LAST] = last if rest else table[i, tile]


@kernel
def fill_inputs(layer, form, burst, sizes, count, table):  # type: ignore[no-untyped-def]
    """Write the table of input-channel tiles."""
    fill_channels(form, INPUTS, layer[nest.CG], sizes, count, table)
    weight_bits = layer[nest.R] * layer[nest.S] * layer[nest.WEIGHT_W]
    for i in range(count):
        full, rest = table[i, FULL], table[i, REST]
        for tile, total, width in ((IN_TILE, IN_ALL, layer[nest.INPUT_W]), (WEIGHT_TILE, WEIGHT_ALL, weight_bits)):
            table[i, tile] = nest.on_bus(table[i, SIZE] * width, 1, burst)
            table[i, total] = full * table[i, tile] + nest.on_bus(rest * width, 1, burst)


@kernel
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


@kernel
def least_of(form, g, g_share, pixels, count, outs, ins):  # type: ignore[no-untyped-def]
    """Return `bound_kernel.computed`, the bound, of ``g`` groups at a time and all input channels, of rows of tables."""
    total = 0.0
    for i in range(count):
        m, m_share, times = pixels[i, M_SIZE], pixels[i, M_SHARE], float(pixels[i, M_TIMES])
        k, c = outs[SIZE], ins[SIZE]
        shares = (g_share, m_share, outs[SHARE], ins[SHARE])
        total += times * outs[FULL] * least_shared(form, g, m, k, c, shares)
        if outs[REST]:
            shares = (g_share, m_share, outs[REST_SHARE], ins[SHARE])
            total += times * least_shared(form, g, m, outs[REST], c, shares)
    return total


@kernel
def computed_of(form, groups, g_share, pixels, count, outs, ins):  # type: ignore[no-untyped-def]
    """Return the cycles that all tiles of a single group compute: `bound_kernel.computed` of rows of the tables."""
    total = 0.0
    for i in range(count):
        m, m_share, times = pixels[i, M_SIZE], pixels[i, M_SHARE], float(pixels[i, M_TIMES])
        for p in range(2):
            k, outputs = (outs[REST], 1) if p else (outs[SIZE], outs[FULL])
            for q in range(2 if k else 0):
                c, inputs = (ins[REST], 1) if q else (ins[SIZE], ins[FULL])
                if c:
                    shares = (g_share, m_share, outs[SHARE + p], ins[SHARE + q])
                    total += times * outputs * inputs * shared_cycles(form, 1, m, k, c, shares)
    return total * groups


@kernel
def whole_pixels(layer, runs, counts, psum_width, burst, moved, found):  # type: ignore[no-untyped-def]
    """Write what tiles with all channels of a single group move (`P_IN` and so on); needs runs of all axes."""
    found[P_IN] = bound.sweep_inputs(layer, runs, counts, burst)
    found[P_OUT] = bound.sweep_outputs(layer, runs, counts, layer[nest.OUTPUT_W], burst) * layer[nest.OUTPUT_X]
    found[P_PSUM] = bound.sweep_outputs(layer, runs, counts, psum_width, burst)
    bound.ends(layer, runs, counts, psum_width, burst, moved)
    found[P_LAST], found[P_LARGEST] = moved[bound.LAST_STORE], moved[bound.LARGEST_STORE]
    found[P_FIRST] = 0.0
    if layer[nest.INPUT_X] and runs[2, 0, nest.INPUTS] * runs[3, 0, nest.INPUTS]:
        rows, cols = runs[2, 0, nest.INPUTS], runs[3, 0, nest.INPUTS]
        run, number = nest.input_block(
            layer, runs[0, 0, nest.EXTENT], runs[1, 0, nest.EXTENT], rows, cols, runs[5, 0, nest.EXTENT]
        )
        found[P_FIRST] = nest.on_bus(run, number, burst)


@kernel
def moved_of(layer, runs, counts, swept, pixels, outs, ins, moved):  # type: ignore[no-untyped-def]
    """Write what tiles of a single group move: `bound_kernel.sweep` and `ends` of rows of the tables.

    ``swept`` are the input pixels of a sweep, all images and groups; ``pixels`` is what `whole_pixels` says.
    """
    groups = layer[nest.GROUPS]
    n, e, f = runs[1, 0, nest.EXTENT], runs[2, 0, nest.EXTENT], runs[3, 0, nest.EXTENT]
    if ins[SIZE] == layer[nest.CG] and groups == 1:
        moved[bound.IN_BUS], moved[bound.FIRST_LOAD] = pixels[P_IN], pixels[P_FIRST]
    elif layer[nest.INPUT_X]:
        moved[bound.IN_BUS] = swept * ins[IN_ALL]
        moved[bound.FIRST_LOAD] = float(n * runs[2, 0, nest.INPUTS] * runs[3, 0, nest.INPUTS]) * ins[IN_TILE]
    else:
        moved[bound.IN_BUS] = moved[bound.FIRST_LOAD] = 0.0
    moved[bound.WEIGHT_BUS] = 0.0
    if layer[nest.WEIGHT_X]:
        if ins[SIZE] == layer[nest.CG]:
            moved[bound.WEIGHT_BUS] = float(groups) * outs[FILTERS_ALL]
            moved[bound.FIRST_LOAD] += outs[FILTERS_TILE]
        else:
            moved[bound.WEIGHT_BUS] = float(groups) * layer[nest.KG] * ins[WEIGHT_ALL]
            moved[bound.FIRST_LOAD] += float(outs[SIZE]) * ins[WEIGHT_TILE]
    if outs[SIZE] == layer[nest.KG] and groups == 1:
        moved[bound.OUT_BUS], moved[bound.LAST_STORE] = pixels[P_OUT], pixels[P_LAST]
        moved[bound.PSUM_BUS], moved[bound.LARGEST_STORE] = pixels[P_PSUM], pixels[P_LARGEST]
        return
    every = float(groups * layer[nest.N]) * (layer[nest.E] * layer[nest.F])
    moved[bound.PSUM_BUS] = every * outs[PSUM_ALL]
    moved[bound.LARGEST_STORE] = float(n * e * f) * max(outs[PSUM_TILE], outs[OUT_TILE])
    moved[bound.OUT_BUS] = moved[bound.LAST_STORE] = 0.0
    if layer[nest.OUTPUT_X]:
        moved[bound.OUT_BUS] = every * outs[OUT_ALL]
        last = bound.last(runs, counts, 1) * bound.last(runs, counts, 2) * bound.last(runs, counts, 3)
        moved[bound.LAST_STORE] = float(last) * outs[OUT_LAST]
