"""From counts to an activity: account, traffic, schedule, buffers. And the counts in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step, Transfer
from accelsim.engines.scnn.plan import Pass, Plan, Size, accumulators
from accelsim.memory.timeline import dram_traffic
from accelsim.results import StoredBits
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
        sizes, mapped = entries(plan, one), one.band.mapped
        vectors_a, vectors_w = -(-sizes.a // p.i), -(-sizes.w // p.f)
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
            "input_bits": _inputs(plan).bits,
            "weight_bits": _weights(plan).bits,
            "output_bits": _outputs(plan).bits,
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
    conv, sizes = plan.conv, entries(plan, one)
    per_channel = sizes.w.reshape(conv.groups, -1, *sizes.w.shape[1:]).sum(axis=1).reshape(conv.c, -1)
    return int((sizes.a.sum(axis=1) * per_channel).sum())


def _inputs(plan: Plan) -> Size:
    return Size(sum(one.inputs.values for one in plan.passes), sum(one.inputs.run_and_count for one in plan.passes))


def _weights(plan: Plan) -> Size:
    return Size(sum(size.values for size in plan.weights), sum(size.run_and_count for size in plan.weights))


def _outputs(plan: Plan) -> Size:
    sizes = [size for one in plan.passes for size in one.outputs]
    return Size(sum(size.values for size in sizes), sum(size.run_and_count for size in sizes))


def stored(plan: Plan) -> dict[str, StoredBits]:
    """Return what the three tensors take in blocks."""
    view = plan.view
    sizes = {"input": _inputs(plan), "weight": _weights(plan), "output": _outputs(plan)}
    tensors = {"input": view.input, "weight": view.weight, "output": view.output}
    return {
        name: StoredBits(tensors[name].elements * tensors[name].width, size.values, size.run_and_count)
        for name, size in sizes.items()
    }


def _through_dram(plan: Plan) -> tuple[bool, bool]:
    """Whether inputs and outputs go through DRAM; a tensor at home on the chip is resident, or the plan refused it."""
    return not plan.resident[0], not plan.resident[1]


def _schedule(plan: Plan, compute: np.ndarray) -> tuple[Step, ...]:
    """Return a step per pass and group: inputs come before a pass, weights and outputs of a group around it."""
    reads, writes = _through_dram(plan)
    steps = []
    for one, lengths in zip(plan.passes, compute.tolist(), strict=True):
        for g, (length, weights) in enumerate(zip(lengths, plan.weights, strict=True)):
            loads = _moved("input", one.inputs, "read") if reads and g == 0 else ()
            loads += _moved("weight", weights, "read")
            steps.append(Step(loads, length, _moved("output", one.outputs[g], "write") if writes else ()))
    return tuple(steps)


def _moved(tensor: str, size: Size, direction: Literal["read", "write"]) -> tuple[Transfer, ...]:
    parts = (Transfer(tensor, direction, size.values), Transfer("index", direction, size.run_and_count))
    return tuple(part for part in parts if part.run_bits)


def _on_chip(plan: Plan) -> dict[Flow, int]:
    """Return the traffic of RAMs, FIFOs, crossbar and accumulators, in bits."""
    p, conv, acc = plan.params, plan.conv, plan.params.accumulator_bits
    pes, run = p.pe_rows * p.pe_cols, p.run_bits
    in_bits, w_bits = plan.view.input.width, plan.view.weight.width
    read = fifo = kept = foreign = 0
    for one in plan.passes:
        sizes = entries(plan, one)
        used = (sizes.w > 0).astype(np.int64)
        per_group = (conv.groups, -1, conv.c // conv.groups, plan.phases)
        uses = used.reshape(per_group).sum(axis=1).reshape(conv.c, -1)
        weights = sizes.w.reshape(per_group).sum(axis=1).reshape(conv.c, -1)
        read += int((sizes.a.sum(axis=1) * uses).sum())
        fifo += int((-(-sizes.a // p.i)).sum(axis=1).ravel() @ weights.ravel())
        kept += one.band.all_reached * conv.k
        foreign += int(one.band.foreign.sum()) * conv.k
    broadcast = int(plan.w_first[-1]) * pes * len(plan.passes)
    landed, inputs, outputs = plan.effective_macs, _inputs(plan), _outputs(plan)
    reads, writes = _through_dram(plan)
    flows = {
        Flow("pe.iaram", "input", "read"): read * in_bits,
        Flow("pe.iaram", "index", "read"): read * run,
        Flow("pe.weights", "weight", "write"): broadcast * w_bits,
        Flow("pe.weights", "index", "write"): broadcast * run,
        Flow("pe.weights", "weight", "read"): fifo * w_bits,
        Flow("pe.weights", "index", "read"): fifo * run,
        Flow("array", "psum", "read"): landed * acc,
        Flow("array", "psum", "write"): foreign * acc,
        Flow("pe.accumulators", "psum", "read"): (landed + kept + foreign) * acc,
        Flow("pe.accumulators", "psum", "write"): (landed + foreign) * acc,
        Flow("pe.oaram", "output", "write"): outputs.values,
        Flow("pe.oaram", "index", "write"): outputs.run_and_count,
    }
    if reads:
        flows[Flow("pe.iaram", "input", "write")] = inputs.values
        flows[Flow("pe.iaram", "index", "write")] = inputs.run_and_count
    if writes:
        flows[Flow("pe.oaram", "output", "read")] = outputs.values
        flows[Flow("pe.oaram", "index", "read")] = outputs.run_and_count
    return flows


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
