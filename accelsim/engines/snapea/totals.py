"""From counts to an activity."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step, Transfer
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
    index = index_bits(plan)
    causes = {
        "busy": counts.busy,
        "zero": counts.zero,
        "imbalance": counts.waiting + (total * p.pes - counts.group_cycles) * p.lanes,
        "unmapped": counts.missing,
    }
    outputs = conv.n * conv.k * conv.e * conv.f
    traffic = {
        Flow("pe.data", "input", "read"): done * view.input.width,
        Flow("pe.data", "output", "write"): outputs * view.output.width,
        Flow("pe.weights", "weight", "read"): counts.group_cycles * view.weight.width,
        Flow("pe.weights", "index", "read"): counts.group_cycles * index,
    }
    return Activity(
        compute_cycles=total,
        accounts={"lanes": causes},
        traffic={**dram_traffic(schedule, plan.machine.dram), **traffic},
        events={Event("macs", "mac"): done},
        schedule=schedule,
        details={"stops": int(plan.stops), "saved_macs": conv.macs - done},
        performed_macs=done,
        values=values,
    )


def index_bits(plan: Any) -> int:
    """Return the width of an index: a place in a kernel."""
    conv = plan.conv
    return int(conv.c // conv.groups * conv.r * conv.s - 1).bit_length()


def _schedule(plan: Any, counts: Counts) -> tuple[Step, ...]:
    """Return a step per image; the first one fetches the weights and their order."""
    conv, view = plan.conv, plan.view
    image = view.input.elements // conv.n * view.input.width
    outputs = conv.k * conv.e * conv.f * view.output.width
    weights = view.weight.elements
    steps = []
    for n, length in enumerate(counts.cycles):
        loads = [Transfer("input", "read", image)]
        if n == 0:
            loads += [Transfer("weight", "read", weights * view.weight.width)]
            loads += [Transfer("index", "read", weights * index_bits(plan))]
        stores = (Transfer("output", "write", outputs),)
        steps.append(Step(tuple(t for t in loads if t.run_bits), length, stores))
    return tuple(steps)
