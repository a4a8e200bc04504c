"""From counts to an activity, and the dense counts in closed form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step
from accelsim.compressed.sizes import Held, Size, moved, on_chip
from accelsim.memory.timeline import dram_traffic
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
        buffers={"glb.neurons": _neuron_memory(plan).use, "glb.synapses": _synapse_memory(plan).use},
        details={"skips": int(plan.skips), "bricks": counts.bricks, "empty_bricks": counts.empty},
        performed_macs=products,
        values=values,
    )


def _slots(plan: Any, slots: int, width: int) -> Size:
    """Return the size of slots: a neuron, and its offset in the brick if zeros are skipped."""
    offset = int(plan.params.brick - 1).bit_length() if plan.params.skip_zeros else 0
    return Size(slots * width, slots * offset)


def neurons(plan: Any) -> dict[str, Size]:
    """Return the sizes of inputs and outputs in bricks; of plain neurons without skipping."""
    conv, view, p = plan.conv, plan.view, plan.params
    inputs, outputs = view.input.elements, view.output.elements
    if p.skip_zeros:
        inputs = conv.n * conv.h * conv.w * conv.groups * ceil_div(conv.c // conv.groups, p.brick) * p.brick
        outputs = conv.n * conv.e * conv.f * ceil_div(conv.k, p.brick) * p.brick
    return {"input": _slots(plan, inputs, view.input.width), "output": _slots(plan, outputs, view.output.width)}


def _neuron_memory(plan: Any) -> Held:
    return Held(plan.params.neuron_kib * KIB_BITS, sum(size.bits for size in neurons(plan).values()))


def _synapse_memory(plan: Any) -> Held:
    return Held(plan.params.synapse_kib * KIB_BITS, plan.view.weight.elements * plan.view.weight.width)


def stay(plan: Any) -> tuple[bool, bool]:
    """Whether neurons, and whether synapses stay in the eDRAM."""
    return plan.params.stay and _neuron_memory(plan).fits, plan.params.stay and _synapse_memory(plan).fits


def _schedule(plan: Any, cycles: int) -> tuple[Step, ...]:
    """Return a step per image; the first one fetches the weights."""
    n, sizes, (neurons_stay, synapses_stay) = plan.conv.n, neurons(plan), stay(plan)
    steps = []
    for image in range(n):
        loads = () if neurons_stay else moved("input", "read", *sizes["input"].piece(image, n))
        if image == 0 and not synapses_stay:
            loads += moved("weight", "read", _synapse_memory(plan).bits)
        stores = () if neurons_stay else moved("output", "write", *sizes["output"].piece(image, n))
        steps.append(Step(loads, cycles * (image + 1) // n - cycles * image // n, stores))
    return tuple(steps)


def _on_chip(plan: Any, counts: Counts, passes: int) -> dict[Flow, int]:
    p, view, kg = plan.params, plan.view, plan.conv.k // plan.conv.groups
    sizes, (neurons_stay, synapses_stay) = neurons(plan), stay(plan)
    sums = counts.cycles * kg * p.accumulator_bits
    return on_chip(
        ("glb.neurons", "input", "read", _slots(plan, counts.bricks * p.brick * passes, view.input.width)),
        ("glb.neurons", "output", "write", sizes["output"]),
        ("glb.synapses", "weight", "read", counts.work * kg * view.weight.width),
        ("pe.partial", "psum", "read", sums),
        ("pe.partial", "psum", "write", sums),
        ("glb.synapses", "weight", "write", 0 if synapses_stay else _synapse_memory(plan).bits),
        ("glb.neurons", "input", "write", 0 if neurons_stay else sizes["input"]),
        ("glb.neurons", "output", "read", 0 if neurons_stay else sizes["output"]),
    )
