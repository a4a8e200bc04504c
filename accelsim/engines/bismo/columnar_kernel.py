"""The time of many layers in machine code: the schedule of `cost.Cut`, stripe by stripe."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel
from accelsim.mapping import nest_kernel as nest
from accelsim.mapping.repeat_kernel import pass_rounds

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
    clock, runs = np.empty(6, dtype=np.int64), np.ones((3, 4), dtype=np.int64)
    states = np.empty((2, 6), dtype=np.int64)
    for i in range(len(layers)):
        row = layers[i]
        slowest = float(row[FIRST] + row[STORED]) * denominator / numerator + 2 + latency + row[COMPUTE]
        cycles[i] = 0
        if slowest * row[COLUMNS] * row[TILES] + row[DRAIN] > most:
            continue
        first, other, stored = row[FIRST], row[OTHER], row[STORED]
        runs[:, 1] = nest.on_bus_cycles(other, numerator, denominator)
        runs[:, 2] = row[COMPUTE]
        runs[:, 3] = nest.on_bus_cycles(stored, numerator, denominator)
        runs[0, 1] = nest.on_bus_cycles(first, numerator, denominator)
        runs[1, 0] = row[TILES] - 1
        clock[:] = 0
        pass_rounds(clock, runs, 2, row[COLUMNS] - 1, latency, states)
        last = 0 if row[TILES] == 1 else 2  # of the last column
        runs[1, 0] = row[TILES] - 2
        runs[last, 2] += row[DRAIN]
        pass_rounds(clock, runs, last + 1, 1, latency, states)
        cycles[i] = nest.finish(clock)
