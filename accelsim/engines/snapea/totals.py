"""From counts to an activity."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Step
from accelsim.compressed.sizes import Size, moved, on_chip
from accelsim.memory.timeline import dram_traffic


class Counts(NamedTuple):
    """``cycles`` of each image; sums over all images, in lane-cycles except ``group_cycles``.

    ``busy`` multiplications of two non-zeros, ``zero`` others, ``waiting`` lanes with a window that is over,
    ``missing`` lanes without one in a group, ``group_cycles`` PE-cycles with a group.
    """

    cycles: tuple[int, ...]
    busy: int
    zero: int
    waiting: int
    missing: int
    group_cycles: int


def activity(plan: Any, counts: Counts, values: np.ndarray | None) -> Activity:
    """Add everything up."""
    p, conv, view = plan.params, plan.conv, plan.view
    done = counts.busy + counts.zero
    total = sum(counts.cycles)
    schedule = _schedule(plan, counts)
    causes = {
        "busy": counts.busy,
        "zero": counts.zero,
        "imbalance": counts.waiting + (total * p.pes - counts.group_cycles) * p.lanes,
        "unmapped": counts.missing,
    }
    outputs = conv.n * conv.k * conv.e * conv.f
    weight_and_place = Size(counts.group_cycles * view.weight.width, counts.group_cycles * _index_bits(plan))
    inside = on_chip(
        ("pe.data", "input", "read", done * view.input.width),
        ("pe.data", "output", "write", outputs * view.output.width),
        ("pe.weights", "weight", "read", weight_and_place),
    )
    return Activity(
        compute_cycles=total,
        accounts={"lanes": causes},
        traffic={**dram_traffic(schedule, plan.machine.dram), **inside},
        events={Event("macs", "mac"): done},
        schedule=schedule,
        details={"stops": int(plan.stops), "saved_macs": conv.macs - done},
        performed_macs=done,
        values=values,
    )


def _index_bits(plan: Any) -> int:
    """Return the width of an index: a place in a kernel."""
    conv = plan.conv
    return int(conv.c // conv.groups * conv.r * conv.s - 1).bit_length()


def weights(plan: Any) -> Size:
    """Return the size of the weights in the order of their signs, each with its place."""
    weight = plan.view.weight
    return Size(weight.elements * weight.width, weight.elements * _index_bits(plan))


def _schedule(plan: Any, counts: Counts) -> tuple[Step, ...]:
    """Return a step per image; the first one fetches the weights and their order."""
    conv, view = plan.conv, plan.view
    steps = []
    for n, length in enumerate(counts.cycles):
        loads = moved("input", "read", view.input.elements // conv.n * view.input.width)
        if n == 0:
            loads += moved("weight", "read", *weights(plan))
        steps.append(Step(loads, length, moved("output", "write", conv.k * conv.e * conv.f * view.output.width)))
    return tuple(steps)
