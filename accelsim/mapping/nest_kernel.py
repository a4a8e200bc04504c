"""A tiled layer in machine code: the pieces of its loops, its DRAM traffic and its timeline, to the same integers as
`accelsim.mapping.loopnest` and `accelsim.memory.timeline`, which say what they mean.

A layer is a row of integers, in the order of `LAYER`; axes are numbered as in `loopnest`: groups, n, e, f, k, c.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import lean

LAYER = (
    "n", "c", "k", "h", "w", "r", "s", "groups", "stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w",
    "e", "f", "input_width", "weight_width", "output_width", "input_crosses", "weight_crosses", "output_crosses",
    "input_home", "weight_home", "output_home", "effective_macs", "k_per_group", "c_per_group",
    "accesses",
)  # fmt: skip
"""Columns of a layer: its convolution, element widths in bits, whether a tensor crosses the DRAM boundary (1 or 0),
the bits that it takes at home on the chip (0 if it is not there), its multiply-accumulates without zeros, channels of
a group, and at most how many elements the smallest tiles would move."""

N, C, K, H, W, R, S, GROUPS, STRIDE_H, STRIDE_W, PAD_H, PAD_W, DILATION_H, DILATION_W = range(14)
E, F, INPUT_W, WEIGHT_W, OUTPUT_W, INPUT_X, WEIGHT_X, OUTPUT_X, INPUT_HOME, WEIGHT_HOME, OUTPUT_HOME = range(14, 25)
EFFECTIVE, KG, CG, ACCESSES = 25, 26, 27, 28

ORDERS = ("mkc", "mck", "kmc", "kcm", "cmk", "ckm")
"""Those of `loopnest`; here too, since the compiled code holds what follows from them."""
_INNER = {"m": [1, 2, 3], "k": [4], "c": [5]}
AXES = np.array([[0, *(axis for loop in order for axis in _INNER[loop])] for order in ORDERS], dtype=np.int64)
"""Axes from the outermost loop to the innermost, for each of `loopnest.ORDERS`."""


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Return `INNERMOST` and `DISTINCT`."""
    innermost, distinct = np.full((8, 6), -1, dtype=np.int64), np.full((8, 7), -1, dtype=np.int64)
    for code in range(8):
        seen: dict[str, int] = {}
        for i, order in enumerate(ORDERS):
            live = "".join(loop for loop in order if code >> "mkc".index(loop) & 1)
            seen.setdefault(live, i)
            innermost[code, i] = "mkc".index(live[-1]) if live else -1
        distinct[code, : len(seen)] = list(seen.values())
    return innermost, distinct


INNERMOST, DISTINCT = _tables()
"""By which of the loops m (1), k (2) and c (4) iterate: the innermost that does (0 m, 1 k, 2 c, -1 none) for each
order; and one order of each kind that differs, ended by -1 (`_tables`)."""

REPEAT, EXTENT, INPUTS, FIRST, LAST = 0, 1, 2, 3, 4
MOST_BITS = 2**62
HALF_WORD = 2**30


@lean
def ceil_div(a, b):  # type: ignore[no-untyped-def]
    """Return ``a / b`` rounded up, for ``a >= 0``."""
    return (a + b - 1) // b


@lean
def on_bus_cycles(bits, numerator, denominator):  # type: ignore[no-untyped-def]
    """Return ``bits * denominator / numerator`` rounded up: cycles at a rate of numerator / denominator.

    Where the product would leave 64 bits, the quotient is built bit by bit; the rate's parts stay below 2^60.
    """
    if bits <= HALF_WORD and denominator <= HALF_WORD:  # the usual case, without a division to see it
        return ceil_div(bits * denominator, numerator)
    if bits <= MOST_BITS // denominator:
        return ceil_div(bits * denominator, numerator)
    whole, rest = denominator // numerator, denominator % numerator
    quotient = remainder = 0
    for place in range(62, -1, -1):
        bit = (bits >> place) & 1
        quotient, remainder = 2 * quotient + bit * whole, 2 * remainder + bit * rest
        while remainder >= numerator:
            remainder -= numerator
            quotient += 1
    return quotient + (1 if remainder > 0 else 0)


@lean
def reach(layer, d, outputs):  # type: ignore[no-untyped-def]
    """Return the in-image input rows (d 0) or columns (1) under neighbouring outputs, at most."""
    span = (outputs - 1) * layer[STRIDE_H + d] + (layer[R + d] - 1) * layer[DILATION_H + d] + 1
    return min(layer[H + d], span)


@lean
def inputs_under(layer, d, start, extent):  # type: ignore[no-untyped-def]
    """Return the in-image input rows or columns from the first to the last tap of a piece of outputs."""
    first = start * layer[STRIDE_H + d] - layer[PAD_H + d]
    last = (start + extent - 1) * layer[STRIDE_H + d] - layer[PAD_H + d]
    last += (layer[R + d] - 1) * layer[DILATION_H + d]
    return max(0, min(last, layer[H + d] - 1) - max(first, 0) + 1)


@lean
def swept(layer, d, tile):  # type: ignore[no-untyped-def]
    """Return the input rows or columns fetched in one sweep over all outputs of a dimension, halos again per tile."""
    size, total = layer[E + d], 0
    for start in range(0, size, tile):
        total += inputs_under(layer, d, start, min(tile, size - start))
    return total


@lean
def live_loops(m, k, c):  # type: ignore[no-untyped-def]
    """Return the row of `INNERMOST` and `DISTINCT` of loops with so many iterations."""
    return int(m > 1) + 2 * int(k > 1) + 4 * int(c > 1)


@lean
def alike(layer, d, tile, trips):  # type: ignore[no-untyped-def]
    """Return a range of pieces of output rows (d 0) or columns (1) that are all alike: `LoopNest._alike`."""
    step = tile * layer[STRIDE_H + d]
    room = layer[H + d] - 1 + layer[PAD_H + d] - (layer[R + d] - 1) * layer[DILATION_H + d]
    room -= (tile - 1) * layer[STRIDE_H + d]
    return max(1, ceil_div(layer[PAD_H + d], step)), min(trips - 1, room // step + 1)


@lean
def fill_runs(layer, axis, size, tile, runs):  # type: ignore[no-untyped-def]
    """List the pieces along an axis, equal neighbours once with their number, and return how many runs there are.

    ``runs`` has a row of REPEAT, EXTENT, INPUTS, FIRST, LAST per run.
    """
    trips = ceil_div(size, tile)
    lead, tail = alike(layer, axis - 2, tile, trips) if axis in (2, 3) else (1, trips - 1)
    count = i = 0
    while i < trips:
        times = tail - lead if i == lead and lead < tail else 1
        extent = min(tile, size - i * tile)
        inputs = inputs_under(layer, axis - 2, i * tile, extent) if axis in (2, 3) else 0
        first, last = int(i == 0), int(i == trips - 1)
        i += times
        if count:
            before = runs[count - 1]
            if before[EXTENT] == extent and before[INPUTS] == inputs and before[FIRST] == first and not last:
                before[REPEAT] += times
                continue
        runs[count, REPEAT], runs[count, EXTENT], runs[count, INPUTS] = times, extent, inputs
        runs[count, FIRST], runs[count, LAST] = first, last
        count += 1
    return count


@lean
def block(extents, width):  # type: ignore[no-untyped-def]
    """Return (bits per contiguous run, number of runs) of a block of (extent, full size), innermost first."""
    run, count, whole = width, 1, True
    for extent, full in extents:
        if whole:
            run *= extent
        else:
            count *= extent
        whole = whole and extent == full
    return run, count


@lean
def input_block(layer, g, n, rows, cols, c):  # type: ignore[no-untyped-def]
    """Return run and number of runs of an input tile."""
    extents = ((c, layer[CG]), (g, layer[GROUPS]), (cols, layer[W]), (rows, layer[H]), (n, layer[N]))
    return block(extents, layer[INPUT_W])


@lean
def weight_block(layer, g, k, c):  # type: ignore[no-untyped-def]
    """Return run and number of runs of a weight tile."""
    extents = ((c, layer[CG]), (k, layer[KG]), (g, layer[GROUPS]))
    return block(extents, layer[R] * layer[S] * layer[WEIGHT_W])


@lean
def output_block(layer, g, n, e, f, k, width):  # type: ignore[no-untyped-def]
    """Return run and number of runs of a tile of outputs or partial sums."""
    extents = ((k, layer[KG]), (g, layer[GROUPS]), (f, layer[F]), (e, layer[E]), (n, layer[N]))
    return block(extents, width)


@lean
def on_bus(run_bits, runs, burst_bits):  # type: ignore[no-untyped-def]
    """Return the bits that a transfer takes on the bus: whole bursts per run."""
    return runs * ceil_div(run_bits, burst_bits) * burst_bits


IN_BITS, WEIGHT_BITS, OUT_BITS, PSUM_BITS = range(4)
"""Bits on the bus of a tile's tensors; 0 of those that do not cross."""
INPUT_AXES, WEIGHT_AXES, OUTPUT_AXES = 0b101111, 0b110001, 0b011111
"""On which axes (bits, groups first) the tiles of a tensor depend."""


@lean
def price_tile(layer, at, stale, psum_width, burst_bits, bits):  # type: ignore[no-untyped-def]
    """Write the bits on the bus (`IN_BITS` and so on) of a tile, if its tensor depends on an axis of ``stale``.

    ``at`` has a run of each axis as a row.
    """
    g, n, e, f, k, c = at[0, EXTENT], at[1, EXTENT], at[2, EXTENT], at[3, EXTENT], at[4, EXTENT], at[5, EXTENT]
    if stale & INPUT_AXES:
        bits[IN_BITS] = 0
        if layer[INPUT_X] and at[2, INPUTS] * at[3, INPUTS]:
            run, number = input_block(layer, g, n, at[2, INPUTS], at[3, INPUTS], c)
            bits[IN_BITS] = on_bus(run, number, burst_bits)
    if stale & WEIGHT_AXES:
        bits[WEIGHT_BITS] = 0
        if layer[WEIGHT_X]:
            run, number = weight_block(layer, g, k, c)
            bits[WEIGHT_BITS] = on_bus(run, number, burst_bits)
    if stale & OUTPUT_AXES:
        bits[OUT_BITS] = 0
        if layer[OUTPUT_X]:
            run, number = output_block(layer, g, n, e, f, k, layer[OUTPUT_W])
            bits[OUT_BITS] = on_bus(run, number, burst_bits)
        run, number = output_block(layer, g, n, e, f, k, psum_width)
        bits[PSUM_BITS] = on_bus(run, number, burst_bits)


@lean
def moving(layer, at, innermost, stays):  # type: ignore[no-untyped-def]
    """Return what a tile moves, 1 or 0: inputs, weights and partial sums that come, outputs and sums that leave.

    A tensor comes when its tile is another one than before.
    """
    inputs = layer[INPUT_X] * int(innermost != 1 or at[4, FIRST] != 0)
    weights = layer[WEIGHT_X] * int(innermost != 0 or (at[1, FIRST] != 0 and at[2, FIRST] != 0 and at[3, FIRST] != 0))
    away = int(not stays)
    return inputs, weights, away * (1 - at[5, FIRST]), layer[OUTPUT_X] * at[5, LAST], away * (1 - at[5, LAST])


@lean
def step_bits(layer, at, bits, innermost, stays):  # type: ignore[no-untyped-def]
    """Return the bits on the bus of a tile's loads and of its stores; ``bits`` are those of `price_tile`."""
    inputs, weights, back, done, spilled = moving(layer, at, innermost, stays)
    load = inputs * bits[IN_BITS] + weights * bits[WEIGHT_BITS] + back * bits[PSUM_BITS]
    return load, done * bits[OUT_BITS] + spilled * bits[PSUM_BITS]
