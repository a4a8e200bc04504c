"""From counts to an activity, and the dense counts in closed form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step
from accelsim.compressed.columns import Column, Steps, in_rows, on_bus, pieces_on_bus, told
from accelsim.compressed.sizes import Held, Size, moved, on_chip
from accelsim.engine import Counted
from accelsim.memory.timeline import dram_traffic
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.shapes import Conv2d


class Counts(NamedTuple):
    """Sums over all windows, each counted once however many filters it meets; slots are lane-cycles.

    ``cycles`` of the slowest lane, slots with a neuron (``work``), of empty bricks, of waiting, and bricks read.
    """

    cycles: int
    work: int
    empty: int
    waiting: int
    bricks: int


def dense(conv: Conv2d, params: Any) -> Counts:
    """Return the counts of the base machine: every position, channels padded to the lanes."""
    cg, windows = conv.c // conv.groups, conv.n * conv.groups * conv.e * conv.f
    cycles = windows * conv.r * conv.s * ceil_div(cg, params.lanes)
    work = windows * conv.r * conv.s * cg
    return Counts(cycles, work, 0, 0, inside(conv) * ceil_div(cg, params.brick))


def inside(conv: Conv2d) -> int:
    """Return the window positions inside the image, over all images, groups and windows."""
    axes = ((conv.e, conv.r, conv.h), (conv.f, conv.s, conv.w))
    met = []
    for d, (outputs, taps, size) in enumerate(axes):
        places = np.arange(outputs)[:, None] * conv.stride[d] + np.arange(taps) * conv.dilation[d] - conv.pad[d]
        met.append(int(((places >= 0) & (places < size)).sum()))
    return conv.n * conv.groups * met[0] * met[1]


def activity(plan: Any, counts: Counts, values: np.ndarray | None) -> Activity:
    """Multiply the windows by the filters that they meet, and add everything up."""
    cycles, products = counts.cycles * _passes(plan), counts.work * (plan.conv.k // plan.conv.groups)
    schedule = _schedule(plan, cycles)
    return Activity(
        compute_cycles=cycles,
        accounts={"multipliers": _account(plan, counts)},
        traffic={**dram_traffic(schedule, plan.machine.dram), **_on_chip(plan, counts)},
        events={Event("macs", "mac"): products},
        schedule=schedule,
        buffers={"glb.neurons": _neuron_memory(plan).use, "glb.synapses": _synapse_memory(plan).use},
        details={"skips": int(plan.skips), "bricks": counts.bricks, "empty_bricks": counts.empty},
        performed_macs=products,
        values=values,
    )


def columns(plan: Any, counts: Counts) -> Counted:
    """Return the counts of layers: the conv and the tensors of ``plan`` are columns, as ``counts`` are."""
    conv, dram, sizes, (neurons_stay, synapses_stay) = plan.conv, plan.machine.dram, neurons(plan), stay(plan)
    cycles: Column = counts.cycles * _passes(plan)
    products = counts.work * (conv.k // conv.groups)
    steps = Steps.of(conv.n)
    image, images = steps.place, conv.n[steps.owner]

    def moved(size: Any) -> Column:
        whole = Size(*((bits * (1 - neurons_stay))[steps.owner] for bits in size))
        return pieces_on_bus(whole, image, images, dram)

    weights = on_bus(_synapse_memory(plan).bits * (1 - synapses_stay), dram)[steps.owner] * (image == 0)
    own = cycles[steps.owner]
    computed = own * (image + 1) // images - own * image // images
    rows = in_rows(moved(sizes["input"]) + weights, computed, moved(sizes["output"]))
    events = {Event("macs", "mac"): products}
    return told(
        plan.view, cycles, products, _account(plan, counts), events, _on_chip(plan, counts), rows, steps.first
    )  # fmt: skip


def _passes(plan: Any) -> int:
    """Return how often every window is passed, for as many filters as all units hold."""
    return ceil_div(plan.conv.k // plan.conv.groups, plan.params.units * plan.params.filters)


def _account(plan: Any, counts: Counts) -> dict[str, int]:
    p, kg = plan.params, plan.conv.k // plan.conv.groups
    return {
        "busy": plan.effective_macs,
        "zero": counts.work * kg - plan.effective_macs,
        "starved": counts.empty * kg,
        "imbalance": counts.waiting * kg,
        "padding": (counts.cycles * p.lanes - counts.work - counts.empty - counts.waiting) * kg,
        "unmapped": counts.cycles * p.lanes * (_passes(plan) * p.units * p.filters - kg),
    }


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
    return plan.params.stay & _neuron_memory(plan).fits, plan.params.stay & _synapse_memory(plan).fits


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


def _on_chip(plan: Any, counts: Counts) -> dict[Flow, int]:
    p, view, kg = plan.params, plan.view, plan.conv.k // plan.conv.groups
    sizes, (neurons_stay, synapses_stay) = neurons(plan), stay(plan)
    sums = counts.cycles * kg * p.accumulator_bits
    bricks = counts.bricks * p.brick * _passes(plan)
    moved = {name: Size(*(bits * (1 - neurons_stay) for bits in size)) for name, size in sizes.items()}
    return on_chip(
        ("glb.neurons", "input", "read", _slots(plan, bricks, view.input.width)),
        ("glb.neurons", "output", "write", sizes["output"]),
        ("glb.synapses", "weight", "read", counts.work * kg * view.weight.width),
        ("pe.partial", "psum", "read", sums),
        ("pe.partial", "psum", "write", sums),
        ("glb.synapses", "weight", "write", _synapse_memory(plan).bits * (1 - synapses_stay)),
        ("glb.neurons", "input", "write", moved["input"]),
        ("glb.neurons", "output", "read", moved["output"]),
    )
