"""Many layers at once for sweeps: closed forms of one after another, and one walk of all their schedules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from accelsim.activity import CAUSES, Activity, Event
from accelsim.components import Component
from accelsim.engine import Machine, Many
from accelsim.memory import timeline
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Attention, Causal

CAUSAL: tuple[Causal, ...] = ("none", "skip", "full")
EXACT = 1 << 53
"""Counts that floats hold; larger ones are left to the plain path."""


def encode(view: LayerView) -> tuple[int, ...] | None:
    """Return sizes, causality and widths, or None where a width is unknown."""
    a, tensors = view.shape, (*view.inputs[:3], view.output)
    if not isinstance(a, Attention) or any(tensor.bits is None for tensor in tensors):
        return None
    sizes = (a.batch, a.heads, a.kv_heads, a.q, a.kv, a.head_dim, CAUSAL.index(a.causal))
    return (*sizes, *(tensor.width for tensor in tensors))


def decoded(row: Sequence[int]) -> LayerView:
    """Return a layer that counts as the one that `encode` was given."""
    batch, heads, kept, queries, keys, e, causal, q, k, v, o = (int(number) for number in row)
    shape = Attention(batch, heads, kept, queries, keys, e, CAUSAL[causal])
    inputs = (Tensor(name, dims, w) for name, dims, w in zip("qkv", shape.input_shapes, (q, k, v), strict=True))
    return LayerView("layer", shape, tuple(inputs), (), (Tensor("o", shape.output_shape, o),))


def totals(
    activities: Sequence[Activity | None], components: Sequence[Component], units: dict[str, int], machine: Machine
) -> Many:
    """Return the totals of layers with the stalls of their DRAM; None stands for one that does not fit."""
    actions = {c.name: c.actions for c in components}
    events = tuple(Event(c.name, action) for c in components for action in c.actions if c.kind != "registers")
    table = np.zeros((len(activities), 5 + 2 * len(CAUSES) + len(events)), np.int64)
    known = [(line, found) for line, found in zip(table, activities, strict=True) if found is not None]
    rows = [timeline.rows_of(found.schedule or (), machine.dram) for _, found in known]
    if not rows or any(row.dtype == object for row in rows):
        return Many(table, CAUSES, events, tuple(("lanes", cause) for cause in CAUSES))
    ends = timeline.run_each(np.concatenate(rows), np.cumsum([0, *map(len, rows)]), machine.dram)
    for (line, found), cycles in zip(known, ends, strict=True):
        counted = dict(found.events)
        for flow, bits in found.traffic.items():
            way = flow.direction if flow.direction in actions.get(flow.boundary, ("read", "write")) else "transfer"
            event = Event(flow.boundary, way)
            counted[event] = counted.get(event, 0) + bits
        stall = cycles - found.compute_cycles
        causes = [
            found.accounts[kind].get(cause, 0) + stall * units[kind] * (cause == "memory")
            for kind in ("pes", "lanes")
            for cause in CAUSES
        ]
        dram = (counted.get(Event("dram", way), 0) for way in ("read", "write"))
        primary, others = causes[: len(CAUSES)], causes[len(CAUSES) :]
        row = [1, cycles, *dram, found.performed_macs, *primary, *(counted.get(event, 0) for event in events), *others]
        if max(row) < EXACT:
            line[:] = row
    return Many(table, CAUSES, events, tuple(("lanes", cause) for cause in CAUSES))
