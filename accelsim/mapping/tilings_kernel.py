"""Which tilings are worth trying, in machine code: the lists and factors of `accelsim.mapping.tilings`.

Layers are rows of integers in the order of `nest_kernel.LAYER`.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel
from accelsim.mapping import nest_kernel as nest

SPLITS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 4096], dtype=np.int64)
"""Those of `tilings`; here too, since the compiled code holds them."""


@kernel
def pieces(size, found):  # type: ignore[no-untyped-def]
    """List the piece sizes of `tilings._pieces`, large ones first, and return how many there are."""
    count, last = 0, 0
    for i in range(len(SPLITS) + 1):
        piece = nest.ceil_div(size, SPLITS[i]) if i < len(SPLITS) else 1
        if piece != last:
            found[count], last = piece, piece
            count += 1
    return count


@kernel
def channel_cuts(kg, rows, cols, found):  # type: ignore[no-untyped-def]
    """List the output-channel tiles of `tilings._channel_cuts`, large ones first."""
    found[0], count = kg, 1
    for unit in (rows, cols):
        size = unit
        while size < kg:
            found[count] = size
            count += 1
            size *= 2
    size = min(rows, cols, kg)
    while size > 1:
        size = nest.ceil_div(size, 2)
        found[count] = size
        count += 1
    kept = 0
    for i in range(count):  # insertion from the left; equal sizes once
        size, at = found[i], kept
        while at > 0 and found[at - 1] < size:
            at -= 1
        if at > 0 and found[at - 1] == size:
            continue
        for j in range(kept, at, -1):
            found[j] = found[j - 1]
        found[at] = size
        kept += 1
    return kept


@kernel
def kind(size, tile, edge):  # type: ignore[no-untyped-def]
    """Return extent and number of the full pieces of a loop, or of the piece at its edge."""
    full = size // tile
    if edge:
        rest = size - full * tile
        return rest, np.int64(rest > 0)
    return tile, full


@kernel
def burst_factor(run_bits, burst_bits):  # type: ignore[no-untyped-def]
    """Return bits on the bus per useful bit of runs: `tilings._burst_factor`."""
    run = max(run_bits, 1)
    return nest.ceil_div(run, burst_bits) * burst_bits / run


@kernel
def tile_trips(layer, tile):  # type: ignore[no-untyped-def]
    """Return how often the loops over groups, pixels, output and input channels iterate."""
    pixels = (
        nest.ceil_div(layer[nest.N], tile[1])
        * nest.ceil_div(layer[nest.E], tile[2])
        * nest.ceil_div(layer[nest.F], tile[3])
    )
    return (
        nest.ceil_div(layer[nest.GROUPS], tile[0]),
        pixels,
        nest.ceil_div(layer[nest.KG], tile[4]),
        nest.ceil_div(layer[nest.CG], tile[5]),
    )


@kernel
def burst_factors(layer, tile, psum_width, burst):  # type: ignore[no-untyped-def]
    """Return bits on the bus per useful bit of inputs, weights, outputs and partial sums."""
    g, n, e, f, k, c = tile[0], tile[1], tile[2], tile[3], tile[4], tile[5]
    inputs, _ = nest.input_block(layer, g, n, nest.reach(layer, 0, e), nest.reach(layer, 1, f), c)
    weights, _ = nest.weight_block(layer, g, k, c)
    outputs, _ = nest.output_block(layer, g, n, e, f, k, 1)
    return (
        burst_factor(inputs, burst),
        burst_factor(weights, burst),
        burst_factor(outputs * layer[nest.OUTPUT_W], burst),
        burst_factor(outputs * psum_width, burst),
    )
