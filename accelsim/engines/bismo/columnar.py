"""Totals of many layers: the formulas of `cost` over arrays, and the timeline of each in `columnar_kernel`."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.activity import Event
from accelsim.engine import Many
from accelsim.engines.bismo.columnar_kernel import evaluate
from accelsim.engines.bismo.cost import Cut, account, counted, on_chip
from accelsim.memory.dram import DramModel

MOST = 2**59
"""No count may come near 64 bits: what could grow beyond this is left to the plain path."""


def totals(cut: Cut, fits: np.ndarray, macs: Any, effective_macs: Any, dram: DramModel) -> Many | None:
    """Return the totals of layers, whose numbers are arrays; None if the rate of DRAM is too fine.

    Parameters
    ----------
    cut : Cut
    fits : ndarray of bool
        Which layers the memories hold.
    macs, effective_macs : ndarray of int64
    dram : DramModel
    """
    rate, latency, _ = dram
    if max(rate.numerator, rate.denominator) > MOST:
        return None
    stores = dram.bus_bits(cut.result)
    other, both = dram.bus_bits(cut.lhs_stripe), dram.bus_bits(cut.lhs_stripe) + dram.bus_bits(cut.rhs_stripe)
    # as floats, which do not overflow
    tiles = cut.total_tiles * 1.0
    small = tiles * np.maximum(1.0 * cut.tile_cycles * cut.units, both + stores) < MOST
    rows = np.empty((len(macs), 7), dtype=np.int64)
    for place, column in enumerate((cut.columns, cut.tiles[0], both, other, stores, cut.tile_cycles, cut.drain)):
        rows[:, place] = column
    known, cycles = np.flatnonzero(fits & small), np.zeros(len(macs), dtype=np.int64)
    found = np.empty(len(known), dtype=np.int64)
    evaluate(rows[known], rate.numerator, rate.denominator, latency, MOST // cut.units, found)
    cycles[known] = found
    counts = counted(cut, macs)
    causes: dict[str, Any] = account(cut, counts, effective_macs)
    causes["memory"] = (cycles - counts.cycles - cut.drain) * cut.units
    events: dict[Event, Any] = {Event("gates", "add"): counts.work + counts.padding}
    for flow, bits in on_chip(cut, counts).items():
        events[Event(flow.boundary, flow.direction)] = bits
    read, write = (
        sum(times * dram.bus_bits(t) for t, times in cut.transfers() if t.direction == way) for way in ("read", "write")
    )
    columns = (cycles > 0, cycles, read, write, macs, *causes.values(), *events.values())
    table = np.empty((len(macs), len(columns)), dtype=np.int64)
    for place, column in enumerate(columns):
        table[:, place] = column
    return Many(table, tuple(causes), tuple(events))
