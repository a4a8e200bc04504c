"""From the counts of a walk to the activity of a convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Flow
from accelsim.engines.nvdla.params import ACCUMULATOR_BITS, POST, Params
from accelsim.engines.nvdla.plan import Part, Work
from accelsim.memory.dram import DramModel
from accelsim.units import ceil_div
from accelsim.workload.layers import LayerView


def fetched(traffic: dict[Flow, int], tensor: Any, way: Any, useful: int, moved: int, dram: DramModel) -> None:
    """Add a stream to the DRAM's traffic: bits of use, and what fills up whole beats and bursts."""
    moved = ceil_div(moved, dram.burst_bits) * dram.burst_bits
    for name, bits in ((tensor, useful), ("other", moved - useful)):
        flow = Flow("dram", name, way)
        traffic[flow] = traffic.get(flow, 0) + bits


def post_accounts(working: tuple[str, ...], causes: dict[str, int], lanes: int) -> dict[str, dict[str, int]]:
    """Return the accounts of the pipelines behind the array, of ``lanes`` lane-cycles each: those not working wait."""
    return {name: causes if name in working else {"unmapped": lanes} for name in POST}


def activity(
    view: LayerView, work: Work, params: Params, dram: DramModel, effective_macs: int, walked: Any, values: Any
) -> Activity:
    """Return the report of a walk."""
    from accelsim.engines.nvdla import kernel as k

    conv, layers, p = work.conv, work.layers, params
    counts, ends = ([int(n) for n in walked[0]], walked[1])
    cycles, multipliers, wide = counts[k.CYCLES], p.multipliers, work.operand_bytes
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    packages = layers[:, k.PACKAGES]
    slots = missing = 0  # of 8-bit multipliers; those without a kernel
    for row in layers.tolist():
        groups = ceil_div(row[k.KERNELS], row[k.GROUP])
        length = row[k.PACKAGES] * row[k.POSITIONS]
        slots += groups * length
        missing += (groups * row[k.GROUP] - row[k.KERNELS]) * length
    lanes = p.channels * wide  # 8-bit multipliers of a kernel
    idle = multipliers - lanes * work.kernels  # of a machine whose wide operands leave some over
    macs = {
        "busy": effective_macs * wide,
        "zero": (conv.macs - effective_macs) * wide,
        "padding": slots * lanes * work.kernels - missing * lanes - conv.macs * wide,
        "unmapped": missing * lanes + slots * idle,
        "memory": (counts[k.LOAD] + counts[k.WEIGHT]) * multipliers,
        "starved": counts[k.FLOOR] * multipliers,
        "conflict": counts[k.CREDIT] * multipliers,
        "fill_drain": (counts[k.FILL] + counts[k.END]) * multipliers,
    }
    outputs = conv.n * conv.k * conv.e * conv.f
    traffic: dict[Flow, int] = {}
    data = weights = 0
    for part, row in zip(work.parts, layers.tolist(), strict=True):
        beats = row[k.LINES] * row[k.SURFACES] * row[k.LINE_BEATS]
        used = part.groups * cg * row[k.LINES] * conv.w * view.input.width
        fetched(traffic, "input", "read", used, 8 * p.port_bytes * beats, dram)
        used = part.groups * kg * cg * conv.r * conv.s * view.weight.width
        fetched(traffic, "weight", "read", used, 8 * p.port_bytes * row[k.WEIGHT_BEATS], dram)
        used = part.groups * kg * row[k.POSITIONS] * view.output.width
        fetched(traffic, "output", "write", used, written_bits(view, work, part, row[k.POSITIONS], p), dram)
        data, weights = data + beats, weights + row[k.WEIGHT_BEATS]
    loads = int(sum(
        int(row[k.PACKAGES]) * stripes(row) * int(row[k.KERNELS]) for row in layers
    )) * p.channels * wide * 8  # fmt: skip
    sums = slots * work.kernels * ACCUMULATOR_BITS
    traffic |= {
        Flow("glb.cbuf", "input", "write"): 8 * p.port_bytes * data,
        Flow("glb.cbuf", "weight", "write"): 8 * p.port_bytes * weights,
        Flow("glb.cbuf", "input", "read"): slots * lanes * 8,
        Flow("glb.cbuf", "weight", "read"): loads,
        Flow("pe.weights", "weight", "write"): loads,
        Flow("pe.weights", "weight", "read"): (slots * work.kernels - missing) * lanes * 8,
        Flow("pe.sums", "psum", "write"): sums,
        Flow("pe.sums", "psum", "read"): sums,
    }
    held = int(layers[:, k.DATA_BYTES].max())
    ring = int(np.minimum(layers[:, k.RING_BEATS], layers[:, k.WEIGHT_BEATS]).max()) * p.port_bytes
    return Activity(
        compute_cycles=cycles,
        accounts={
            "macs": macs,
            **post_accounts(("sdp",), {"busy": outputs, "starved": cycles * p.post_elements - outputs},
                            cycles * p.post_elements),
        },
        traffic=traffic,
        events={Event("macs", "mac"): conv.macs * wide, Event("post", "add"): outputs},
        schedule=None,
        stall_cycles=counts[k.LOAD] + counts[k.WEIGHT],
        buffers={"glb.cbuf": (8 * p.banks * p.bank_bytes, 8 * (held + ring))},
        details={
            "hardware_layers": len(work.parts),
            "data_banks": work.split.data,
            "weight_banks": work.split.weights,
            "image_mode": int(work.image),
            "packages": int(sum(int(n) * stripes(row) * ceil_div(int(row[k.KERNELS]), int(row[k.GROUP]))
                                for n, row in zip(packages, layers, strict=True))),
            "first_mac": int(ends[0, 0]),
            "last_mac": int(ends[-1, 1]),
            "last_data_write": int(ends[-1, 3]),
            "mac_cycles": counts[k.ACTIVE],
            "load_wait_cycles": counts[k.LOAD],
            "weight_wait_cycles": counts[k.WEIGHT],
            "stripe_floor_cycles": counts[k.FLOOR],
            "drain_credit_cycles": counts[k.CREDIT],
            "fill_cycles": counts[k.FILL],
            "end_cycles": counts[k.END],
        },
        performed_macs=conv.macs,
        values=values,
    )  # fmt: skip


def written_bits(view: LayerView, work: Work, part: Part, positions: int, params: Params) -> int:
    """Return what a hardware layer writes of its results: whole atoms, whole bytes."""
    kernels = part.groups * (work.conv.k // work.conv.groups)
    atoms = ceil_div(kernels * work.operand_bytes, params.atom_bytes) * positions
    return max(atoms * params.atom_bytes * 8, kernels * positions * max(8, ceil_div(view.output.width, 8) * 8))


def stripes(row: np.ndarray) -> int:
    """Return the stripes of a hardware layer's output for one group of kernels."""
    from accelsim.engines.nvdla import kernel as k

    positions, width, stripe = int(row[k.POSITIONS]), int(row[k.ROW]), int(row[k.STRIPE])
    if width:
        return positions // width * ceil_div(width, stripe)
    full = max(0, positions // stripe - 1)  # whole ones, while two more would fit
    left, count = positions - full * stripe, full
    while left > stripe:
        left, count = left - stripe // 2, count + 1
    return count + 1
