"""Mappings of an array whose weights come from DRAM in whole blocks: each candidate is evaluated by itself.

The kernels that search all tilings at once know weights as large as their tile; so the list is theirs, and what is
measured of it is not.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from accelsim.engine import Machine
from accelsim.engines.systolic.params import Params
from accelsim.errors import MappingError
from accelsim.mapping import loopnest
from accelsim.mapping.choose import Bounds, Candidates
from accelsim.mapping.loopnest import FIELDS, TILE, LoopNest, Tiling
from accelsim.memory import timeline
from accelsim.tiled import totals
from accelsim.tiled.engine import TiledEngine
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView


def fitting(engine: TiledEngine[Any, Any], view: LayerView, params: Params, found: Candidates) -> Candidates:
    """Return the candidates whose blocks of weights fit half of the scratchpad; MappingError if none does."""
    if "weight" in loopnest.resident(view):
        return found
    conv, widths = view.conv, engine.widths(view, params)
    block = params.rows * params.cols * widths.weight
    taps = found["c"] * conv.r * conv.s
    blocks = found["groups"] * -(-found["k"] // params.cols) * -(-taps // params.rows)
    keep = blocks * block <= engine.limits(view, params)["weight"]
    if not keep.any():
        raise MappingError(
            f"half of the weight scratchpad does not hold a block of {params.rows} x {params.cols} weights",
            f"raise params.weight_kib to {ceil_div(2 * block, KIB_BITS)}",
        )
    return {name: column[keep] for name, column in found.items()}


def bounds(
    engine: TiledEngine[Any, Any], view: LayerView, params: Params, machine: Machine, found: Candidates
) -> Bounds:
    """Return exact cycles, traffic and operations of each candidate."""
    number = len(found["k"])
    cycles, moved = np.zeros(number, dtype=np.int64), np.zeros(number, dtype=np.int64)
    traffic: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(number, dtype=np.int64))
    events: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(number, dtype=np.int64))
    unit, widths, home = engine.unit(view, params, {}), engine.widths(view, params), loopnest.resident(view)
    for i in range(number):
        tiling = Tiling(**{name: int(found[name][i]) for name in FIELDS}, order=str(found["order"][i]))  # type: ignore[arg-type]
        nest = LoopNest(view.conv, tiling, widths, home, engine.whole(params))
        counts = engine.cost(unit, view.conv.r * view.conv.s, *totals.tile_sizes(*nest.steps[:, TILE].T))
        each = np.stack(np.broadcast_arrays(*counts), axis=1)
        schedule = nest.schedule(each[:, 0])
        total = engine.counts(*(nest.times @ each).tolist())
        cycles[i] = timeline.run(schedule, machine.dram).cycles
        dram = timeline.dram_traffic(schedule, machine.dram)
        moved[i] = sum(dram.values())
        for flow, bits in {**dram, **engine.on_chip(unit, total, nest, dram)}.items():
            traffic[flow.boundary, flow.direction][i] += bits
        for event, times in engine.events(unit, total, params, view.conv.macs).items():
            events[event.component, event.action][i] += times
    return Bounds(cycles, moved, dict(traffic), events=dict(events))
