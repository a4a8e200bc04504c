"""From counts to an activity, and the dense counts in closed form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Direction, Event, Flow, Step, Transfer
from accelsim.memory.timeline import dram_traffic
from accelsim.results import StoredBits
from accelsim.units import KIB_BITS, ceil_div


class Counts(NamedTuple):
    """Sums over all windows, each counted once however many filters it meets; slots are lane-cycles.

    ``cycles`` of the slowest lane, slots with a neuron (``work``), of empty bricks, of waiting, and bricks read.
    """

    cycles: int
    work: int
    empty: int
    waiting: int
    bricks: int


def dense(plan: Any) -> Counts:
    """Return the counts of the base machine: every position, channels padded to the lanes."""
    conv, p = plan.conv, plan.params
    cg, windows = conv.c // conv.groups, conv.n * conv.groups * conv.e * conv.f
    cycles = windows * conv.r * conv.s * ceil_div(cg, p.lanes)
    work = windows * conv.r * conv.s * cg
    return Counts(cycles, work, 0, 0, inside(plan) * ceil_div(cg, p.brick))


def inside(plan: Any) -> int:
    """Return the window positions inside the image, over all images, groups and windows."""
    conv = plan.conv
    axes = ((conv.e, conv.r, conv.h), (conv.f, conv.s, conv.w))
    met = []
    for d, (outputs, taps, size) in enumerate(axes):
        places = np.arange(outputs)[:, None] * conv.stride[d] + np.arange(taps) * conv.dilation[d] - conv.pad[d]
        met.append(int(((places >= 0) & (places < size)).sum()))
    return conv.n * conv.groups * met[0] * met[1]


def activity(plan: Any, counts: Counts, values: np.ndarray | None) -> Activity:
    """Multiply the windows by the filters that they meet, and add everything up."""
    p, conv = plan.params, plan.conv
    kg = conv.k // conv.groups
    together = p.units * p.filters
    passes = ceil_div(kg, together)
    cycles = counts.cycles * passes
    products = counts.work * kg
    schedule = _schedule(plan, cycles)
    causes = {
        "busy": plan.effective_macs,
        "zero": products - plan.effective_macs,
        "starved": counts.empty * kg,
        "imbalance": counts.waiting * kg,
        "padding": (counts.cycles * p.lanes - counts.work - counts.empty - counts.waiting) * kg,
        "unmapped": counts.cycles * p.lanes * (passes * together - kg),
    }
    return Activity(
        compute_cycles=cycles,
        accounts={"multipliers": causes},
        traffic={**dram_traffic(schedule, plan.machine.dram), **_on_chip(plan, counts, passes)},
        events={Event("macs", "mac"): products},
        schedule=schedule,
        buffers={
            "glb.neurons": (p.neuron_kib * KIB_BITS, min(p.neuron_kib * KIB_BITS, sum(_neurons(plan)))),
            "glb.synapses": (p.synapse_kib * KIB_BITS, min(p.synapse_kib * KIB_BITS, _synapses(plan))),
        },
        details={"skips": int(plan.skips), "bricks": counts.bricks, "empty_bricks": counts.empty},
        performed_macs=products,
        values=values,
    )


def _offset_bits(plan: Any) -> int:
    return int(plan.params.brick - 1).bit_length() if plan.params.skip_zeros else 0


def _slots(plan: Any) -> tuple[int, int]:
    """Return the slots of the bricks that inputs and outputs take; plain neurons without skipping."""
    conv, p = plan.conv, plan.params
    cg = conv.c // conv.groups
    if not p.skip_zeros:
        return plan.view.input.elements, plan.view.output.elements
    bricks = conv.groups * ceil_div(cg, p.brick), ceil_div(conv.k, p.brick)
    return conv.n * conv.h * conv.w * bricks[0] * p.brick, conv.n * conv.e * conv.f * bricks[1] * p.brick


def _neurons(plan: Any) -> tuple[int, int]:
    """Return the bits of inputs and outputs in the neuron memory."""
    slots, offset = _slots(plan), _offset_bits(plan)
    return slots[0] * (plan.view.input.width + offset), slots[1] * (plan.view.output.width + offset)


def stored(plan: Any) -> dict[str, StoredBits]:
    """Return what inputs and outputs take in bricks."""
    offset, tensors = _offset_bits(plan), (("input", plan.view.input), ("output", plan.view.output))
    return {
        name: StoredBits(tensor.elements * tensor.width, slots * tensor.width, slots * offset)
        for (name, tensor), slots in zip(tensors, _slots(plan), strict=True)
    }


def _synapses(plan: Any) -> int:
    return int(plan.view.weight.elements * plan.view.weight.width)


def moves(plan: Any) -> tuple[bool, bool]:
    """Whether neurons, and whether weights go through DRAM."""
    p = plan.params
    neurons = not (p.stay and sum(_neurons(plan)) <= p.neuron_kib * KIB_BITS)
    weights = not (p.stay and _synapses(plan) <= p.synapse_kib * KIB_BITS)
    return neurons, weights


def _schedule(plan: Any, cycles: int) -> tuple[Step, ...]:
    """Return a step per image; the first one fetches the weights."""
    conv, view, offset = plan.conv, plan.view, _offset_bits(plan)
    (neurons, weights), slots, n = moves(plan), _slots(plan), plan.conv.n
    steps = []
    for image in range(n):
        loads: tuple[Transfer, ...] = ()
        if neurons:
            loads += _transfers("input", "read", slots[0] // n, view.input.width, offset)
        if weights and image == 0:
            loads += (Transfer("weight", "read", _synapses(plan)),)
        stores = _transfers("output", "write", slots[1] // n, view.output.width, offset) if neurons else ()
        length = cycles * (image + 1) // conv.n - cycles * image // conv.n
        steps.append(Step(loads, length, stores))
    return tuple(steps)


def _transfers(tensor: str, direction: Direction, slots: int, bits: int, offset: int) -> tuple[Transfer, ...]:
    moved = (Transfer(tensor, direction, slots * bits), Transfer("index", direction, slots * offset))
    return tuple(transfer for transfer in moved if transfer.run_bits)


def _on_chip(plan: Any, counts: Counts, passes: int) -> dict[Flow, int]:
    p, conv, view = plan.params, plan.conv, plan.view
    kg, acc, offset = conv.k // conv.groups, p.accumulator_bits, _offset_bits(plan)
    read, slots, (neurons, weights) = counts.bricks * p.brick * passes, _slots(plan), moves(plan)
    flows = {
        Flow("glb.neurons", "input", "read"): read * view.input.width,
        Flow("glb.neurons", "index", "read"): read * offset,
        Flow("glb.neurons", "output", "write"): slots[1] * view.output.width,
        Flow("glb.neurons", "index", "write"): slots[1] * offset,
        Flow("glb.synapses", "weight", "read"): counts.work * kg * view.weight.width,
        Flow("pe.partial", "psum", "read"): counts.cycles * kg * acc,
        Flow("pe.partial", "psum", "write"): counts.cycles * kg * acc,
    }
    if weights:
        flows[Flow("glb.synapses", "weight", "write")] = _synapses(plan)
    if neurons:
        flows[Flow("glb.neurons", "input", "write")] = slots[0] * view.input.width
        flows[Flow("glb.neurons", "index", "write")] += slots[0] * offset
        flows[Flow("glb.neurons", "output", "read")] = slots[1] * view.output.width
        flows[Flow("glb.neurons", "index", "read")] += slots[1] * offset
    return flows
