"""Totals of many layers of NVDLA: what each leaves to count, kept as integers, on any configuration."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from accelsim.activity import CAUSES, Activity, Event
from accelsim.components import Component
from accelsim.engine import Many
from accelsim.engines.nvdla.params import POST
from accelsim.engines.nvdla.plan import tall
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Conv2d, Elementwise, Normalization, Pool

MOST_CONSTANTS = 4
"""Of a layer of the post-processing."""
EXACT = 2**53
"""Counts from here on are left to the plain path, whose quotients round as exact ones do."""
CONV, POOL, LRN, PLAIN = range(4)
NUMBERS = 25
"""Of a row: kind, sizes, widths; zeros behind them."""


def encode(view: LayerView, effective_macs: int) -> tuple[int, ...] | None:
    """Return a layer as integers, or None for one of more constants than are encoded."""
    shape, row = view.shape, list[int]()
    if view.macs:
        conv = tall(view)
        sizes = (conv.n, conv.c, conv.k, conv.h, conv.w, conv.r, conv.s, conv.groups)
        widths = (view.input.width, view.weight.width, view.output.width)
        row += (CONV, effective_macs, *widths, *sizes, *conv.stride, *conv.pad, *conv.dilation)
    elif len(view.weights) > MOST_CONSTANTS:
        return None
    else:
        inputs = [t.width for t in view.inputs]
        inputs += [0] * (2 - len(inputs))
        constants = [n for t in view.weights for n in (t.elements, t.width)]
        if isinstance(shape, Pool):
            row += (
                POOL,
                *inputs,
                view.output.width,
                *shape.input_shapes[0],
                shape.r,
                shape.s,
                *shape.stride,
                *shape.pad,
                int(shape.ceil),
            )
        else:
            dims = shape.input_shapes[0]
            if len(dims) != 4:
                dims = (*dims[:2], 1, int(np.prod(dims[2:], dtype=np.int64)))
            size = shape.size if isinstance(shape, Normalization) and shape.op == "lrn" else 0
            row += (LRN if size else PLAIN, *inputs, view.output.width, *dims, size, *constants)
    return (*row, *[0] * (NUMBERS - len(row)))


@lru_cache(maxsize=4096)
def decoded(row: tuple[int, ...]) -> tuple[LayerView, int]:
    """Return a layer that counts as the one that `encode` was given, and its effective multiplications."""
    kind, effective, weights = row[0], 0, tuple[Tensor, ...]()
    shape: Conv2d | Pool | Normalization | Elementwise
    if kind == CONV:
        _, effective, width, wide, out, n, c, k, h, w, r, s, groups, *rest = row
        up, along, top, left, bottom, right, down, across = rest[:8]
        shape = Conv2d(n, c, k, h, w, r, s, groups, (up, along), (top, left, bottom, right), (down, across))
        widths = [width]
        weights = (Tensor("weight", shape.weight_shape, wide, weight=True),)
    else:
        _, first, second, out, n, c, h, w, *rest = row
        widths = [width for width in (first, second) if width]
        if kind == POOL:
            r, s, up, along, top, left, bottom, right, ceil = rest[:9]
            shape = Pool("max", n, c, h, w, r, s, (up, along), (top, left, bottom, right), bool(ceil))
        else:
            size, *constants = rest[: 1 + 2 * MOST_CONSTANTS]
            pairs = zip(constants[::2], constants[1::2], strict=True)
            weights = tuple(Tensor("constant", (count,), wide, weight=True) for count, wide in pairs if count)
            dims = (n, c, h, w)
            shape = Normalization("lrn", dims, size) if kind == LRN else Elementwise("add", dims, (dims,) * len(widths))
    inputs = tuple(Tensor(f"in{i}", shape.input_shapes[0], width) for i, width in enumerate(widths))
    return LayerView("layer", shape, inputs, weights, (Tensor("out", shape.output_shape, out),)), effective


def totals(activities: list[Activity | None], components: tuple[Component, ...], primary: str) -> Many:
    """Return the totals of layers; None stands for one that does not fit, or whose counts are too large."""
    events = tuple(Event(c.name, action) for c in components for action in c.actions if c.kind != "registers")
    others = tuple((pipeline, cause) for pipeline in POST for cause in CAUSES)
    table = np.zeros((len(activities), 5 + len(CAUSES) + len(events) + len(others)), np.int64)
    for line, activity in zip(table, activities, strict=True):
        if activity is not None:
            row = _row(activity, events, others, primary)
            if max(row) < EXACT:
                line[:] = row
    return Many(table, CAUSES, events, others)


def _row(activity: Activity, events: tuple[Event, ...], others: tuple[tuple[str, str], ...], primary: str) -> list[int]:
    counted = dict(activity.events)
    for flow, bits in activity.traffic.items():
        event = Event(flow.boundary, flow.direction)
        counted[event] = counted.get(event, 0) + bits
    causes = activity.accounts[primary]
    return [
        1, activity.compute_cycles, counted.get(Event("dram", "read"), 0), counted.get(Event("dram", "write"), 0),
        activity.performed_macs, *(causes.get(cause, 0) for cause in CAUSES),
        *(counted.get(event, 0) for event in events),
        *(activity.accounts[unit].get(cause, 0) for unit, cause in others),
    ]  # fmt: skip
