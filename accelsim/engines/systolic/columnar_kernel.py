"""Whole layers in closed form, in machine code: mapping, tiles, traffic and timeline of many layers at a time.

Gives the integers of `engine` digit for digit, and the same floating-point operations in the same order
where a mapping is chosen. What a layer's counts do not let it do exactly, it declines.
"""

from __future__ import annotations

import numpy as np

from accelsim.engines.systolic import counts_kernel as cost_of
from accelsim.engines.systolic import priced_kernel
from accelsim.jit import kernel, lean
from accelsim.mapping import bound_kernel, search_kernel
from accelsim.mapping import nest_kernel as nest
from accelsim.mapping.bound_kernel import KIND_GROUPS, KIND_INPUTS, KIND_OUTPUTS, KIND_PIXELS, KIND_TIMES
from accelsim.mapping.tile_kernel import COLUMNS, FOLDS
from accelsim.tiled import columns_kernel as wing

ARRAY = ("flow", "rows", "cols", "overlap", "psum_width", "input_bits", "weight_bits", "output_bits", "tail", "hold")
"""The array's integers; ``tail`` and ``hold`` as `tile_kernel.fold_cycles` takes them."""
FLOW, ROWS, COLS, OVERLAP, PSUM_W, INPUT_BITS, WEIGHT_BITS, OUTPUT_BITS, TAIL, HOLD = range(10)
MOST = 4
"""Behind the DRAM's integers (`bound_kernel.BUS`): the most that a layer may move."""

COUNTS = (
    "known", "cycles", "dram_read", "dram_write", "performed_macs", "busy", "zero", "unmapped", "fill_drain", "starved",
    "memory", "mac", "pe_read", "pe_write", "array_transfer", "inputs_read", "inputs_write", "weights_read",
    "weights_write", "outputs_read", "outputs_write",
)  # fmt: skip
"""Columns of what comes out; ``known`` is 0 for a layer that is declined."""
(
    KNOWN, CYCLES, DRAM_READ, DRAM_WRITE, PERFORMED, BUSY, ZERO, UNMAPPED, FILL_DRAIN, STARVED, MEMORY, MAC, PE_READ,
    PE_WRITE, TRANSFER, INPUTS_READ, INPUTS_WRITE, WEIGHTS_READ, WEIGHTS_WRITE, OUTPUTS_READ, OUTPUTS_WRITE,
) = range(len(COUNTS))  # fmt: skip


@lean
def layer_cost(layer, array, tile, kinds, total):  # type: ignore[no-untyped-def]
    """Add up the tiles of a layer, full ones and those at the edges; ``total`` is in the order of `tile_cost`."""
    taps = layer[nest.R] * layer[nest.S]
    flow, rows, cols, overlap = array[FLOW], array[ROWS], array[COLS], array[OVERLAP]
    for i in range(10):
        total[i] = 0
    for at in range(bound_kernel.tile_kinds(layer, tile, kinds, 0)):
        cost = cost_of.tile_cost(
            flow, rows, cols, overlap, kinds[at, KIND_GROUPS], kinds[at, KIND_PIXELS], kinds[at, KIND_OUTPUTS],
            kinds[at, KIND_INPUTS] * taps, array[TAIL], array[HOLD],
        )  # fmt: skip
        for i in range(10):
            total[i] += kinds[at, KIND_TIMES] * cost[i]


@lean
def room(layer, array, limits):  # type: ignore[no-untyped-def]
    """Write the bits that a tile of inputs, weights, outputs may take; False if tensors at home leave none."""
    taken_input = layer[nest.INPUT_HOME] + layer[nest.OUTPUT_HOME]
    if taken_input > array[INPUT_BITS] or layer[nest.WEIGHT_HOME] > array[WEIGHT_BITS]:
        return False
    most = np.int64(2**63 - 1)
    limits[0] = most if layer[nest.INPUT_X] == 0 else (array[INPUT_BITS] - taken_input) // 2
    limits[1] = most if layer[nest.WEIGHT_X] == 0 else (array[WEIGHT_BITS] - layer[nest.WEIGHT_HOME]) // 2
    limits[2] = array[OUTPUT_BITS] // 2
    return True


@kernel
def evaluate(layers, array, bus, objective, rates, out):  # type: ignore[no-untyped-def]
    """Evaluate layers on an array.

    Parameters
    ----------
    layers : array of int64, shape (layers, columns of `nest_kernel.LAYER`)
    array, bus : arrays of int64, in the order of `ARRAY`, and of `bound_kernel.BUS` and `MOST`
    objective : int
        CYCLES or DRAM of `search_kernel`; with rates, ENERGY or EDP of `priced_kernel`.
    rates : array of float64, shape (14,), or None
        Prices and leakage in the order of `priced_kernel.PRICED`.
    out : array of int64, shape (layers, columns of `COUNTS`), written
    """
    limits, best, figures = np.empty(3, dtype=np.int64), np.empty(7, dtype=np.int64), np.empty(5)
    rows = 4
    for i in range(len(layers)):
        rows = max(rows, bound_kernel.run_rows(layers[i]))
    work = search_kernel.scratch(rows, 1)
    sums = np.empty((2, 10), dtype=np.int64)
    kinds = np.empty((bound_kernel.MOST_KINDS, len(bound_kernel.TILE)), dtype=np.int64)
    forms, units = np.zeros((1, COLUMNS), dtype=np.int64), np.empty(2, dtype=np.int64)
    form = forms[0]
    form[0], form[1], form[2], form[3], form[4] = FOLDS, array[FLOW], array[ROWS], array[COLS], array[OVERLAP]
    form[6], form[7] = array[TAIL], array[HOLD]
    units[0], units[1] = array[ROWS], array[COLS]
    for i in range(len(layers)):
        layer = layers[i]
        out[i, KNOWN] = 0
        if layer[nest.ACCESSES] > bus[MOST] or not room(layer, array, limits):
            continue
        form[5] = layer[nest.R] * layer[nest.S]
        if rates is None:  # known when this compiles: only one of both searches does
            found = search_kernel.search_with(
                work, layer, forms, limits, array[PSUM_W], units, 1, bus, objective, best, figures
            ) == 0  # fmt: skip
        else:
            found = priced_kernel.search(
                work, layer, form, limits, array[PSUM_W], units, bus, objective, rates, best, figures
            )
        if found:
            count_layer(layer, array, form, bus, best, work.timing, work.moved[0], sums, kinds, out[i])


@lean
def count_layer(layer, array, form, bus, tiling, state, swept, sums, kinds, out):  # type: ignore[no-untyped-def]
    """Count everything of a layer cut by ``tiling``: what `TiledEngine.activity` says, and the timeline.

    ``state`` is a `bound_kernel.workspace` of the layer, ``swept`` of shape (8,), ``sums`` room for two rows of ten
    integers, ``kinds`` for its kinds of tile.
    """
    psum_width, (facts, total) = array[PSUM_W], (sums[0], sums[1])
    if not wing.measure(layer, form, psum_width, bus, tiling, state, swept, facts):
        return
    layer_cost(layer, array, tiling, kinds, total)
    pes, macs, effective = array[ROWS] * array[COLS], total[cost_of.WORK], layer[nest.EFFECTIVE]
    unmapped, fill_drain, starved = total[cost_of.UNMAPPED], total[cost_of.FILL_DRAIN], total[cost_of.STARVED]
    cycles, computed, results = facts[wing.CYCLES], facts[wing.COMPUTE], total[cost_of.RESULTS]
    if computed != total[cost_of.CYCLES] or min(unmapped, fill_drain, starved) < 0 or effective > macs:
        return  # the account does not close: the plain path says so
    inputs, weights, input_hops, weight_hops, psum_hops = cost_of.edges(
        array[FLOW], macs, total[cost_of.LEFT], total[cost_of.TOP], total[cost_of.HELD], total[cost_of.HELD_HOPS],
        results,
    )  # fmt: skip
    hops = input_hops * layer[nest.INPUT_W] + weight_hops * layer[nest.WEIGHT_W]
    out[CYCLES], out[DRAM_READ], out[DRAM_WRITE] = cycles, facts[wing.READ], facts[wing.WRITE]
    out[PERFORMED], out[BUSY], out[ZERO], out[UNMAPPED] = macs, effective, macs - effective, unmapped
    out[FILL_DRAIN], out[STARVED], out[MEMORY] = fill_drain, starved, pes * (cycles - computed)
    out[MAC], out[PE_READ] = macs, macs * (layer[nest.INPUT_W] + layer[nest.WEIGHT_W] + psum_width)
    out[PE_WRITE], out[TRANSFER] = macs * psum_width + hops, psum_hops * psum_width + hops
    # scratchpads: words that enter the array, and what DRAM brings or an output at home leaves
    out[INPUTS_READ], out[INPUTS_WRITE] = inputs * layer[nest.INPUT_W], facts[wing.INPUT]
    if layer[nest.OUTPUT_X] == 0:
        out[INPUTS_WRITE] += layer[nest.N] * layer[nest.K] * layer[nest.E] * layer[nest.F] * layer[nest.OUTPUT_W]
    out[WEIGHTS_READ], out[WEIGHTS_WRITE] = weights * layer[nest.WEIGHT_W], facts[wing.WEIGHT]
    out[OUTPUTS_READ] = out[OUTPUTS_WRITE] = results * psum_width + facts[wing.SPILLED]
    out[KNOWN] = 1
