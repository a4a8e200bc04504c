"""From counts to an activity, and the counts in closed form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step, Transfer
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
        buffers={"glb.inputs": (p.input_kib * KIB_BITS, min(p.input_kib * KIB_BITS, _inputs(plan)))},
        details={"output_groups": len(groups), "entries": int(plan.entries.sum())},
        performed_macs=products,
        values=values,
    )


def _inputs(plan: Any) -> int:
    """Return the bits of a convolution group's inputs."""
    return int(plan.view.input.elements // plan.conv.groups * plan.view.input.width)


def _streams(plan: Any) -> int:
    """Return how often the inputs come from DRAM: once per output group unless the buffer holds them."""
    if _inputs(plan) <= plan.params.input_kib * KIB_BITS:
        return 1
    return ceil_div(plan.conv.k // plan.conv.groups, plan.params.pes)


def index_bits(plan: Any, entries: int, outputs: int) -> int:
    """Return the steps of some entries, and the counts of their outputs in every block."""
    p = plan.params
    return entries * p.step_bits + outputs * plan.entries.shape[1] * p.count_bits if p.skip_zeros else 0


def _schedule(plan: Any, cycles: np.ndarray, groups: list[tuple[int, int]]) -> tuple[Step, ...]:
    """Return a step per output group: its synapses and inputs come, its outputs go."""
    view, conv = plan.view, plan.conv
    per_group = ceil_div(conv.k // conv.groups, plan.params.pes)
    once = _streams(plan) == 1
    steps = []
    for i, (k0, k1) in enumerate(groups):
        loads: tuple[Transfer, ...] = ()
        entries = int(plan.entries[k0:k1].sum())
        if not once or i % per_group == 0:
            loads += (Transfer("input", "read", _inputs(plan)),)
        loads += (Transfer("weight", "read", entries * view.weight.width),)
        loads += (Transfer("index", "read", index_bits(plan, entries, k1 - k0)),)
        outputs = conv.n * conv.e * conv.f * (k1 - k0) * view.output.width
        stores = (Transfer("output", "write", outputs),)
        steps.append(Step(tuple(t for t in loads if t.run_bits), int(cycles[i]), stores))
    return tuple(steps)


def _on_chip(plan: Any, groups: list[tuple[int, int]]) -> dict[Flow, int]:
    conv, view, p = plan.conv, plan.view, plan.params
    windows, length = conv.n * conv.e * conv.f, conv.c // conv.groups * conv.r * conv.s
    entries, in_bits, w_bits = int(plan.entries.sum()), view.input.width, view.weight.width
    outputs = windows * conv.k * view.output.width
    step = p.step_bits if p.skip_zeros else 0
    return {
        Flow("glb.inputs", "input", "write"): _inputs(plan) * conv.groups * _streams(plan),
        Flow("glb.inputs", "input", "read"): windows * length * len(groups) * in_bits,
        Flow("pe.synapses", "weight", "write"): entries * w_bits,
        Flow("pe.synapses", "index", "write"): index_bits(plan, entries, conv.k),
        Flow("pe.synapses", "weight", "read"): windows * entries * w_bits,
        Flow("pe.synapses", "index", "read"): windows * entries * step,
        Flow("glb.outputs", "output", "write"): outputs,
        Flow("glb.outputs", "output", "read"): outputs,
    }
