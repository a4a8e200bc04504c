"""Layers of NVDLA's post-processing, atom by atom, in plain Python and blind to any plan."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import ceil, prod
from typing import Any

from accelsim.activity import Activity, Event, Flow
from accelsim.engine import Machine
from accelsim.operands.golden import golden
from accelsim.operands.handle import Operands
from accelsim.workload.layers import LayerView


def up(number: int, unit: int) -> int:
    """Return a number as the next multiple of a unit."""
    return -(-number // unit) * unit


def behind(view: LayerView, operands: Operands, p: Any, mapping: Any, machine: Machine) -> Activity:
    """Pass the atoms of a layer of the post-processing one by one."""
    shape: Any = view.shape
    dims, dram = shape.input_shapes[0], machine.dram
    lines = range(dims[2] if len(dims) == 4 else 1)
    pixels: Any = range(prod(dims[2:]) // len(lines))
    if view.kind == "pool" and mapping.strips is not None:
        pixels = _columns(shape, mapping.strips)
    surfaces = range(-(-dims[1] // p.atom_bytes))
    atom = -(-p.atom_bytes // p.post_elements)
    latency = dram.latency_cycles
    cycles = memory = 0
    for _ in range(dims[0]):
        passing = reads = waits = 0
        for _, _ in product(surfaces, lines):
            for _ in pixels:
                passing += atom
                reads += len(view.inputs) * p.atom_bytes
            if view.kind == "pool":
                waits += atom * _late(shape)
        beats = -(-reads // p.port_bytes)
        read = ceil(max(Fraction(8 * p.port_bytes) / dram.bits_per_cycle, Fraction(1)) * beats)
        late = max(0, read - passing)
        own = p.sdp_cycles
        if view.kind == "pool":
            overlap = shape.r > shape.stride[0]
            below = [y for y in range(shape.e) if overlap and y * shape.stride[0] - shape.pad[0] + shape.r > shape.h]
            own = (p.fly_cycles if mapping.flying else p.pdp_cycles) + len(below) * shape.f * (atom + 1)
        elif view.kind == "normalization":
            own = p.cdp_cycles + (len(lines) * -(-len(pixels) // 8) - 1) * p.cdp_line_cycles
        cycles += passing + late + waits + own + latency
        memory += late + latency
    atoms = dims[0] * len(lines) * len(pixels) * len(surfaces)
    elements = dims[0] * dims[1] * len(lines) * len(pixels)
    flows: dict[Flow, int] = {}

    def stream(tensor: str, way: Any, useful: int, moved: int) -> None:
        for name, bits in ((tensor, useful), ("other", up(moved, dram.burst_bits) - useful)):
            flows[Flow("dram", name, way)] = flows.get(Flow("dram", name, way), 0) + bits

    for tensor in view.inputs:
        used = elements * tensor.width
        stream("input", "read", used, max(used, atoms * p.atom_bytes * 8))
    outputs = view.output.elements
    stream("output", "write", outputs * view.output.width, outputs * up(view.output.width, 8))
    lanes = cycles * p.post_elements
    passed = {"pool": ["pdp", "sdp"][: 1 + mapping.flying]}.get(view.kind, ["sdp"])
    if view.kind == "normalization" and shape.op == "lrn":
        passed = ["cdp"]
    return Activity(
        compute_cycles=cycles,
        accounts={
            "macs": {"unmapped": cycles * p.channels * p.kernels},
            **{
                pipeline: {"busy": elements, "memory": memory * p.post_elements,
                           "fill_drain": lanes - elements - memory * p.post_elements}
                if pipeline in passed else {"unmapped": lanes}
                for pipeline in ("sdp", "pdp", "cdp")
            },
        },
        traffic=flows,
        events={Event("post", "add"): elements},
        schedule=None,
        stall_cycles=memory,
        details={"hardware_layers": dims[0], "atoms": atoms},
        values=golden(operands),
    )  # fmt: skip


def _late(shape: Any) -> int:
    """Return the outputs of a line that are not out when the next line's first one is complete."""
    ends = [f * shape.stride[1] - shape.pad[1] + shape.s - 1 for f in range(shape.f)]
    behind = [end for end in ends if end >= shape.w]
    if len(behind) == shape.f or shape.s <= shape.stride[1]:
        return 0
    return max(0, len(behind) - max(0, ends[0]))


def _columns(shape: Any, strips: int) -> list[int]:
    """Return the columns of a line as strips of outputs read them, those that two share twice."""
    each, found = -(-shape.f // min(strips, shape.f)), []
    for first in range(0, shape.f, each):
        inside = [
            x
            for f in range(first, min(first + each, shape.f))
            for s in range(shape.s)
            if 0 <= (x := f * shape.stride[1] - shape.pad[1] + s) < shape.w
        ]
        found += list(range(min(inside), max(inside) + 1)) if inside else [0]
    return found
