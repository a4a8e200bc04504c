"""From counts to an activity: account, traffic, schedule, buffers. And the counts in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step
from accelsim.compressed.sizes import Size, moved, on_chip, total
from accelsim.engines.scnn.plan import Pass, Plan, accumulators
from accelsim.memory.timeline import dram_traffic
from accelsim.units import KIB_BITS


class Counts(NamedTuple):
    """What a walk counts: ``cycles`` int64 (passes, groups); the rest sums over mapped PEs, in PE-cycles."""

    cycles: np.ndarray
    steps: int
    conflict: int
    imbalance: int
    empties: int


@dataclass(frozen=True)
class Entries:
    """Entries of one pass: activations (c, PEs, phases), and of all groups' weights (groups, c of a group, phases)."""

    a: np.ndarray
    w: np.ndarray


def entries(plan: Plan, one: Pass) -> Entries:
    """Return the block sizes of a pass."""
    conv, pes = plan.conv, plan.params.pe_rows * plan.params.pe_cols
    a = np.diff(one.a_first).reshape(conv.c, pes, plan.phases)
    return Entries(a, np.diff(plan.w_first).reshape(len(plan.groups), conv.c // conv.groups, plan.phases))


def count(plan: Plan) -> Counts:
    """Return the counts without walking, for unlimited queues."""
    p = plan.params
    cycles = np.zeros((len(plan.passes), len(plan.groups)), dtype=np.int64)
    steps = imbalance = empties = 0
    for index, one in enumerate(plan.passes):
        found, mapped = entries(plan, one), one.band.mapped
        vectors_a, vectors_w = -(-found.a // p.i), -(-found.w // p.f)
        for g, (_, _, c0, c1) in enumerate(plan.groups.tolist()):
            cost = np.einsum("cph,ch->cp", vectors_a[c0:c1], vectors_w[g])[:, mapped]
            steps += int(cost.sum())
            if p.empty_costs_a_cycle:
                empties += int((cost == 0).sum())
                cost = np.maximum(cost, 1)
            if not cost.size:
                continue
            at_barrier = cost if p.barrier == "channel" else cost.sum(axis=0, keepdims=True)
            cycles[index, g] = at_barrier.max(axis=1).sum()
            imbalance += int(cycles[index, g]) * cost.shape[1] - int(cost.sum())
    return Counts(cycles, steps, 0, imbalance, empties)


def activity(plan: Plan, counts: Counts, values: np.ndarray | None) -> Activity:
    """Add everything up."""
    p = plan.params
    slots = p.f * p.i
    pes = p.pe_rows * p.pe_cols
    compute, waits = _with_drains(plan, counts.cycles)
    idle = mapped_waits = products = 0
    for index, one in enumerate(plan.passes):
        mapped = int(np.count_nonzero(one.band.mapped))
        idle += (pes - mapped) * int(compute[index].sum())
        mapped_waits += mapped * int(waits[index].sum())
        products += _products(plan, one)
    schedule = _schedule(plan, compute)
    dropped = plan.nonzero_products - plan.effective_macs
    dram = dram_traffic(schedule, plan.machine.dram)
    causes = {
        "busy": plan.effective_macs,
        "zero": products - plan.nonzero_products,
        "padding": counts.steps * slots - products + dropped,
        "conflict": counts.conflict * slots,
        "imbalance": counts.imbalance * slots,
        "control": counts.empties * slots,
        "fill_drain": mapped_waits * slots,
        "unmapped": idle * slots,
    }
    return Activity(
        compute_cycles=int(compute.sum()),
        accounts={"multipliers": causes},
        traffic={**dram, **_on_chip(plan)},
        events={Event("macs", "mac"): products},
        schedule=schedule,
        buffers=_buffers(plan),
        details={
            "kc": plan.kc,
            "passes": len(plan.passes),
            "inputs_stay": int(plan.resident[0]),
            "outputs_stay": int(plan.resident[1]),
            "steps": counts.steps,
            "dropped_products": dropped,
            "placeholder_products": products - plan.nonzero_products,
            "empty_slots": counts.steps * slots - products,
            **{f"{name}_bits": size.bits for name, size in sizes(plan).items()},
        },
        performed_macs=products,
        values=values,
    )


def _with_drains(plan: Plan, cycles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the length of every group, at least that of the drain before it, and how much of it was waiting."""
    p, passes = plan.params, plan.passes
    channels = plan.groups[:, 1] - plan.groups[:, 0]
    drains = np.stack(
        [
            -(-channels * int(one.band.foreign.max()) // p.halo_entries_per_cycle)
            + -(-channels * one.band.most_reached // p.drain_entries_per_cycle)
            for one in passes
        ]
    ).ravel()
    flat = cycles.ravel()
    length = np.maximum(flat, np.concatenate(([0], drains[:-1])))
    length[-1] += drains[-1]
    return length.reshape(cycles.shape), (length - flat).reshape(cycles.shape)


def _products(plan: Plan, one: Pass) -> int:
    """Return the slots that hold two entries."""
    conv, found = plan.conv, entries(plan, one)
    per_channel = found.w.reshape(conv.groups, -1, *found.w.shape[1:]).sum(axis=1).reshape(conv.c, -1)
    return int((found.a.sum(axis=1) * per_channel).sum())


def sizes(plan: Plan) -> dict[str, Size]:
    """Return what the three tensors take in blocks, each band's and group's own."""
    return {
        "input": total(one.inputs for one in plan.passes),
        "weight": total(plan.weights),
        "output": total(size for one in plan.passes for size in one.outputs),
    }


def _schedule(plan: Plan, compute: np.ndarray) -> tuple[Step, ...]:
    """Return a step per pass and group: inputs come before a pass, weights and outputs of a group around it."""
    inputs_stay, outputs_stay = plan.resident
    steps = []
    for one, lengths in zip(plan.passes, compute.tolist(), strict=True):
        for g, (length, weights) in enumerate(zip(lengths, plan.weights, strict=True)):
            loads = () if inputs_stay or g else moved("input", "read", *one.inputs)
            loads += moved("weight", "read", *weights)
            steps.append(Step(loads, length, () if outputs_stay else moved("output", "write", *one.outputs[g])))
    return tuple(steps)


def _on_chip(plan: Plan) -> dict[Flow, int]:
    """Return the traffic of RAMs, FIFOs, crossbar and accumulators, in bits."""
    p, conv, acc = plan.params, plan.conv, plan.params.accumulator_bits
    pes, run = p.pe_rows * p.pe_cols, p.run_bits
    in_bits, w_bits = plan.view.input.width, plan.view.weight.width
    read = fifo = kept = foreign = 0
    for one in plan.passes:
        found = entries(plan, one)
        used = (found.w > 0).astype(np.int64)
        per_group = (conv.groups, -1, conv.c // conv.groups, plan.phases)
        uses = used.reshape(per_group).sum(axis=1).reshape(conv.c, -1)
        weights = found.w.reshape(per_group).sum(axis=1).reshape(conv.c, -1)
        read += int((found.a.sum(axis=1) * uses).sum())
        fifo += int((-(-found.a // p.i)).sum(axis=1).ravel() @ weights.ravel())
        kept += one.band.all_reached * conv.k
        foreign += int(one.band.foreign.sum()) * conv.k
    broadcast = int(plan.w_first[-1]) * pes * len(plan.passes)
    landed, whole, (inputs_stay, outputs_stay) = plan.effective_macs, sizes(plan), plan.resident
    return on_chip(
        ("pe.iaram", "input", "read", Size(read * in_bits, read * run)),
        ("pe.weights", "weight", "write", Size(broadcast * w_bits, broadcast * run)),
        ("pe.weights", "weight", "read", Size(fifo * w_bits, fifo * run)),
        ("array", "psum", "read", landed * acc),
        ("array", "psum", "write", foreign * acc),
        ("pe.accumulators", "psum", "read", (landed + kept + foreign) * acc),
        ("pe.accumulators", "psum", "write", (landed + foreign) * acc),
        ("pe.oaram", "output", "write", whole["output"]),
        ("pe.iaram", "input", "write", 0 if inputs_stay else whole["input"]),
        ("pe.oaram", "output", "read", 0 if outputs_stay else whole["output"]),
    )


def _buffers(plan: Plan) -> dict[str, tuple[int, int]]:
    """Return capacity and peak of a PE's storage; of residents, all images together."""
    p, many = plan.params, len(plan.passes) * len(plan.groups) > 1
    inputs, outputs, by_group = zip(*(one.fullest for one in plan.passes), strict=True)
    area = accumulators(p, [one.band for one in plan.passes])
    return {
        "pe.iaram": (p.iaram_kib * KIB_BITS, sum(inputs) if plan.resident[0] else max(inputs)),
        "pe.oaram": (p.oaram_kib * KIB_BITS, sum(outputs) if plan.resident[1] else max(by_group)),
        "pe.accumulators": (
            2 * p.accumulator_entries * p.accumulator_bits,
            plan.kc * area * p.accumulator_bits * (2 if many else 1),
        ),
    }
