"""The time of many layers in machine code: the schedule of `cost.Cut`, stripe by stripe."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel
from accelsim.mapping import nest_kernel as nest
from accelsim.memory import clock_kernel as timing

LAYER = ("columns", "tiles", "first", "other", "stored", "compute", "drain")
"""Columns of a layer: columns of tiles, tiles of each, bits on the bus that the first and the others of a column load
and that each stores, cycles of a tile, and how much longer the last one takes."""
COLUMNS, TILES, FIRST, OTHER, STORED, COMPUTE, DRAIN = range(7)


@kernel
def evaluate(layers, numerator, denominator, latency, most, cycles):  # type: ignore[no-untyped-def]
    """Write the cycles of each layer, stalls included; 0 where they may come to more than ``most``.

    Parameters
    ----------
    layers : array of int64, shape (layers, columns of `LAYER`)
    numerator, denominator : int
        DRAM's rate in bits per core cycle.
    latency, most : int
    cycles : array of int64, shape (layers,), written
    """
    clock, rows = np.empty(timing.CLOCK, dtype=np.int64), np.zeros((11, timing.COLUMNS), dtype=np.int64)
    loops = np.empty((2, timing.LOOP), dtype=np.int64)
    for i in range(len(layers)):
        row = layers[i]
        slowest = float(row[FIRST] + row[STORED]) * denominator / numerator + 2 + latency + row[COMPUTE]
        cycles[i] = 0
        if slowest * row[COLUMNS] * row[TILES] + row[DRAIN] > most:
            continue
        first = nest.on_bus_cycles(row[FIRST], numerator, denominator)
        other = nest.on_bus_cycles(row[OTHER], numerator, denominator)
        stored = nest.on_bus_cycles(row[STORED], numerator, denominator)
        compute, drain, at = row[COMPUTE], row[DRAIN], 0
        if row[COLUMNS] > 1:  # all but the last
            at = timing.put(
                rows, timing.put(rows, 1, 1, first, compute, stored), row[TILES] - 1, other, compute, stored
            )
            rows[0, timing.REPEAT], rows[0, timing.END] = row[COLUMNS] - 1, at
        if row[TILES] == 1:
            at = timing.put(rows, at, 1, first, compute + drain, stored)
        else:
            at = timing.put(rows, at, 1, first, compute, stored)
            at = timing.put(rows, at, row[TILES] - 2, other, compute, stored)
            at = timing.put(rows, at, 1, other, compute + drain, stored)
        clock[:] = 0
        timing.walk(rows, at, clock, loops, latency)
        cycles[i] = timing.finish(clock)
