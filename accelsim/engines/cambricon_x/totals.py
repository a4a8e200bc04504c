"""From counts to an activity, and the counts in closed form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step
from accelsim.compressed.sizes import Held, Size, moved, on_chip
from accelsim.memory.timeline import dram_traffic
from accelsim.units import KIB_BITS, ceil_div


class Counts(NamedTuple):
    """Of one window: cycles of each output group, int64 (groups,), and slots worked in and waited in by PEs."""

    cycles: np.ndarray
    worked: int
    waited: int


def output_groups(plan: Any) -> list[tuple[int, int]]:
    """Return the first and last + 1 output channel of every group; none spans two convolution groups."""
    conv, pes = plan.conv, plan.params.pes
    kg = conv.k // conv.groups
    return [(g * kg + k, g * kg + min(k + pes, kg)) for g in range(conv.groups) for k in range(0, kg, pes)]


def count(plan: Any) -> Counts:
    """Return the counts without walking."""
    p = plan.params
    cost = np.maximum(1, -(-plan.entries // p.multipliers))
    groups = output_groups(plan)
    if p.barrier == "group":
        cycles = np.array([cost[k0:k1].sum(axis=1).max() for k0, k1 in groups], dtype=np.int64)
    else:
        cycles = np.array([cost[k0:k1].max(axis=0).sum() for k0, k1 in groups], dtype=np.int64)
    held = sum(int(cycles[i]) * (k1 - k0) for i, (k0, k1) in enumerate(groups))
    worked = int(cost.sum())
    return Counts(cycles, worked, held - worked)


def activity(plan: Any, counts: Counts, values: np.ndarray | None) -> Activity:
    """Multiply by the windows, and add everything up."""
    p, conv = plan.params, plan.conv
    windows = conv.n * conv.e * conv.f
    groups = output_groups(plan)
    idle = sum(int(counts.cycles[i]) * (p.pes - k1 + k0) for i, (k0, k1) in enumerate(groups))
    products = int(plan.entries.sum()) * windows
    schedule = _schedule(plan, counts.cycles * windows, groups)
    causes = {
        "busy": plan.effective_macs,
        "zero": products - plan.effective_macs,
        "padding": counts.worked * p.multipliers * windows - products,
        "imbalance": counts.waited * p.multipliers * windows,
        "unmapped": idle * p.multipliers * windows,
    }
    return Activity(
        compute_cycles=int(counts.cycles.sum()) * windows,
        accounts={"multipliers": causes},
        traffic={**dram_traffic(schedule, plan.machine.dram), **_on_chip(plan, groups)},
        events={Event("macs", "mac"): products},
        schedule=schedule,
        buffers={"glb.inputs": _inputs(plan).use},
        details={"output_groups": len(groups), "entries": int(plan.entries.sum())},
        performed_macs=products,
        values=values,
    )


def synapses(plan: Any, first: int = 0, last: int | None = None) -> Size:
    """Return the size of some outputs' entries with steps, and with counts of every block; plain without skipping."""
    p, entries = plan.params, plan.entries[first:last]
    found, counts = int(entries.sum()), int(entries.size)
    index = found * p.step_bits + counts * p.count_bits if p.skip_zeros else 0
    return Size(found * plan.view.weight.width, index)


def _inputs(plan: Any) -> Held:
    """Return the inputs of a convolution group, which the buffer holds or streams."""
    bits = plan.view.input.elements // plan.conv.groups * plan.view.input.width
    return Held(plan.params.input_kib * KIB_BITS, bits)


def _passes(plan: Any) -> int:
    """Return the output groups of a convolution group."""
    return ceil_div(plan.conv.k // plan.conv.groups, plan.params.pes)


def _schedule(plan: Any, cycles: np.ndarray, groups: list[tuple[int, int]]) -> tuple[Step, ...]:
    """Return a step per output group: its synapses and inputs come, its outputs go."""
    view, conv, inputs = plan.view, plan.conv, _inputs(plan)
    steps = []
    for i, (k0, k1) in enumerate(groups):
        streamed = not inputs.fits or i % _passes(plan) == 0
        loads = moved("input", "read", inputs.bits) if streamed else ()
        loads += moved("weight", "read", *synapses(plan, k0, k1))
        stores = moved("output", "write", conv.n * conv.e * conv.f * (k1 - k0) * view.output.width)
        steps.append(Step(loads, int(cycles[i]), stores))
    return tuple(steps)


def _on_chip(plan: Any, groups: list[tuple[int, int]]) -> dict[Flow, int]:
    conv, view, p, inputs = plan.conv, plan.view, plan.params, _inputs(plan)
    windows, length = conv.n * conv.e * conv.f, conv.c // conv.groups * conv.r * conv.s
    used = windows * int(plan.entries.sum())
    step_bits = p.step_bits if p.skip_zeros else 0
    outputs = windows * conv.k * view.output.width
    return on_chip(
        ("glb.inputs", "input", "write", inputs.bits * conv.groups * (1 if inputs.fits else _passes(plan))),
        ("glb.inputs", "input", "read", windows * length * len(groups) * view.input.width),
        ("pe.synapses", "weight", "write", synapses(plan)),
        ("pe.synapses", "weight", "read", Size(used * view.weight.width, used * step_bits)),
        ("glb.outputs", "output", "write", outputs),
        ("glb.outputs", "output", "read", outputs),
    )
