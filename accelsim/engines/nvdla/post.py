"""Layers that the post-processing runs from memory to memory: element-wise, pooling, normalisation across channels.

One hardware layer per image, whose atoms pass one after another, `post_elements` elements per cycle.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow
from accelsim.engines.nvdla.asked import Image, late_of
from accelsim.engines.nvdla.params import Mapping, Params
from accelsim.engines.nvdla.totals import fetched, post_accounts
from accelsim.memory.dram import DramModel
from accelsim.operands.golden import LRN_ALPHA, LRN_BETA, LRN_BIAS
from accelsim.operands.handle import Operands
from accelsim.units import ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Elementwise, Normalization, Pool

if TYPE_CHECKING:
    from accelsim.memory.device.door import Door

OPERATIONS = ("add", "sum", "mul", "max", "min", "relu", "clip", "clip6", "copy")
"""That the element-wise stages do without a table: an adder or comparator, a multiplier, ReLU with a limit."""
LARGEST_WINDOW = 8
LRN_SIZES = (3, 5, 7, 9)
LINE_PIXELS = 8


class Post(NamedTuple):
    """A layer of the post-processing: images, atoms that one reads first, and what is read beside, in elements."""

    images: int
    height: int
    width: int
    surfaces: int
    operands: int
    per_channel: int
    flush: int
    wait: int
    flying: bool


def unsupported(view: LayerView) -> str | None:
    """Return why a layer that multiplies nothing cannot run, or None."""
    shape = view.shape
    if isinstance(shape, Pool):
        if shape.op == "sum" or max(shape.r, shape.s) > LARGEST_WINDOW:
            return f"the pooling unit takes max, min or average of up to {LARGEST_WINDOW} x {LARGEST_WINDOW}"
        return None
    if isinstance(shape, Elementwise):
        if shape.op not in OPERATIONS or len(shape.shape) < 2:
            return f"the element-wise unit has no '{shape.op}' of {len(shape.shape)} dimensions"
        if len(view.inputs) > 2 or any(t.elements != view.output.elements for t in view.inputs):
            return "the element-wise unit takes two tensors of one shape"
        return None
    if isinstance(shape, Normalization) and shape.op != "layer":
        if len(shape.shape) < 2:
            return f"'{shape.op}' of {len(shape.shape)} dimensions has no channels"
        if shape.op == "lrn" and shape.size not in LRN_SIZES:
            return f"the normalisation unit takes windows of 3, 5, 7 or 9 channels, not {shape.size}"
        return None
    return f"NVDLA has no {view.kind} unit"


def post_of(view: LayerView, params: Params, mapping: Mapping) -> Post:
    """Return the layer in atoms; of a shape, the first dimension are images and the second one channels."""
    shape = view.shape
    dims = shape.input_shapes[0]
    images, channels = dims[0], dims[1]
    height, width = (dims[2], dims[3]) if len(dims) == 4 else (1, int(np.prod(dims[2:], dtype=np.int64)))
    bytes_of = max(1, ceil_div(view.input.width, 8))
    surfaces = ceil_div(channels * bytes_of, params.atom_bytes)
    flush = wait = 0
    if isinstance(shape, Pool):
        flush, wait = pool_tail(shape, params)
        width = dims[3] if mapping.strips is None else columns_of(shape, mapping.strips)
    constants = sum(t.elements == channels for t in view.weights)
    wide = sum(t.elements not in (1, channels) for t in view.weights)
    return Post(images, height, width, surfaces, len(view.inputs) + wide, constants, flush, wait, mapping.flying)


def columns_of(shape: Pool, strips: int) -> int:
    """Return the columns that strips of output columns read together: what two share is read twice."""
    each, total = ceil_div(shape.f, min(strips, shape.f)), 0
    for first in range(0, shape.f, each):
        last = min(first + each, shape.f) - 1
        low = min(shape.w - 1, max(0, first * shape.stride[1] - shape.pad[1]))
        total += max(1, min(shape.w - 1, last * shape.stride[1] - shape.pad[1] + shape.s - 1) - low + 1)
    return total


def pool_tail(shape: Pool, params: Params) -> tuple[int, int]:
    """Return the cycles after the last input of an image, and those between two lines.

    Where windows overlap, outputs whose window ends below the image leave after it, with the gap of an output, and
    those whose window ends right of a line leave before the first one of the next line is complete, or that waits.
    """
    atom = ceil_div(params.atom_bytes, params.post_elements)
    below = right = 0
    if shape.r > shape.stride[0]:
        below = sum(y * shape.stride[0] - shape.pad[0] + shape.r > shape.h for y in range(shape.e))
    if shape.s > shape.stride[1]:
        right = sum(x * shape.stride[1] - shape.pad[1] + shape.s > shape.w for x in range(shape.f))
    first = shape.s - 1 - shape.pad[1]
    late = max(0, right - max(0, first)) if right < shape.f else 0
    return below * shape.f * (atom + 1), late * atom


def cycles_of(view: LayerView, work: Post, params: Params, dram: DramModel) -> tuple[int, int, int]:
    """Return the cycles of an image, those in which elements pass, and those that its reads take longer."""
    atoms = work.height * work.width * work.surfaces
    atom = ceil_div(params.atom_bytes, params.post_elements)
    beats = ceil_div((atoms * work.operands + work.per_channel * work.surfaces) * params.atom_bytes, params.port_bytes)
    rate = min(dram.bits_per_cycle, Fraction(8 * params.port_bytes))
    read = ceil_div(beats * 8 * params.port_bytes * rate.denominator, rate.numerator)
    passing = atom * atoms
    rest = dram.latency_cycles + work.flush + work.wait * work.height * work.surfaces
    if isinstance(view.shape, Pool):
        rest += params.fly_cycles if work.flying else params.pdp_cycles
    elif isinstance(view.shape, Normalization) and view.shape.op == "lrn":
        lines = work.height * ceil_div(work.width, LINE_PIXELS)
        rest += params.cdp_cycles + (lines - 1) * params.cdp_line_cycles
    else:
        rest += params.sdp_cycles
    late = max(0, read - passing)
    return passing + late + rest, passing, late


def _working(view: LayerView, work: Post) -> tuple[str, ...]:
    """Return the pipelines that a layer passes."""
    if isinstance(view.shape, Pool):
        return ("sdp", "pdp") if work.flying else ("pdp",)
    return ("cdp",) if isinstance(view.shape, Normalization) and view.shape.op == "lrn" else ("sdp",)


def activity(
    view: LayerView, work: Post, params: Params, dram: DramModel, values: Any, door: Door | None = None
) -> Activity:
    """Return the report of a layer; a device behind the door says how long its reads take."""
    p = params
    one, passing, late = cycles_of(view, work, p, dram)
    waited = late * work.images
    # columns that strips share count twice
    elements = work.images * view.shape.input_shapes[0][1] * work.height * work.width
    outputs = view.output.elements
    traffic: dict[Flow, int] = {}
    reads = list[tuple[str, int, bool]]()
    atoms = work.height * work.width * work.surfaces
    bits = 8 * p.atom_bytes
    for i, tensor in enumerate(view.inputs):
        used = elements * tensor.width
        moved = max(used, work.images * atoms * bits)
        fetched(traffic, "input", "read", used, moved, dram)
        reads.append((f"input {i}" if i else "input", ceil_div(moved, work.images), False))
    for i, tensor in enumerate(view.weights):
        atoms_of = atoms if tensor.elements == view.input.elements else ceil_div(tensor.elements, p.atom_bytes)
        used = tensor.elements * tensor.width
        moved = max(used, atoms_of * bits)
        fetched(traffic, "weight", "read", work.images * used, work.images * moved, dram)
        reads.append((f"weight {i}" if i else "weight", moved, True))
    width = max(8, ceil_div(view.output.width, 8) * 8)
    fetched(traffic, "output", "write", outputs * view.output.width, outputs * width, dram)
    if door is not None:
        rate = min(dram.bits_per_cycle, Fraction(8 * p.port_bytes))
        image = Image(tuple(reads), ceil_div(outputs * width, work.images), rate, passing, one - passing - late)
        waited = late_of(image, work.images, dram.latency_cycles, door)
    cycles = (one - late) * work.images + waited
    memory = waited + dram.latency_cycles * work.images
    lanes = p.post_elements * cycles
    return Activity(
        compute_cycles=cycles,
        accounts={
            "macs": {"unmapped": cycles * p.multipliers},
            **post_accounts(_working(view, work), {
                "busy": elements, "memory": memory * p.post_elements,
                "fill_drain": lanes - elements - memory * p.post_elements,
            }, lanes),
        },
        traffic=traffic,
        events={Event("post", "add"): elements},
        schedule=None,
        stall_cycles=memory,
        details={"hardware_layers": work.images, "atoms": atoms * work.images},
        values=values,
    )  # fmt: skip


def values_of(operands: Operands) -> np.ndarray:
    """Return what the units compute: pooling line by line and then down, sums of squares across channels."""
    shape = operands.view.shape
    inputs = [o.values.reshape(d) for o, d in zip(operands.inputs, shape.input_shapes, strict=True)]
    if isinstance(shape, Pool):
        return _pooled(shape, inputs[0])
    if isinstance(shape, Normalization):
        x = inputs[0].astype(np.float64)
        return _across(x, shape.size) if shape.op == "lrn" else x
    assert isinstance(shape, Elementwise)
    x = inputs[0]
    others = inputs[1:] + [o.values for o in operands.weights]
    for other in others:
        x = {"add": np.add, "sum": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[shape.op](x, other)
    if shape.op in ("relu", "clip", "clip6"):
        x = np.maximum(x, 0)
    if shape.op in ("clip", "clip6"):
        x = np.minimum(x, 6)
    return np.asarray(x).reshape(shape.shape)


def _pooled(pool: Pool, x: np.ndarray) -> np.ndarray:
    """Return a pooling: windows of a line first, those results over lines then."""
    ufunc: Any = {"max": np.maximum, "min": np.minimum, "average": np.add}[pool.op]
    start = {"max": np.iinfo(np.int64).min, "min": np.iinfo(np.int64).max, "average": 0}[pool.op]
    line = np.full((pool.n, pool.c, pool.h, pool.f), start, np.int64)
    across, down = np.zeros(pool.f, np.int64), np.zeros(pool.e, np.int64)
    for f in range(pool.f):
        for s in range(pool.s):
            at = f * pool.stride[1] - pool.pad[1] + s
            across[f] += at < pool.w + pool.pad[3] if pool.count_pad else 0 <= at < pool.w
            if 0 <= at < pool.w:
                line[..., f] = ufunc(line[..., f], x[..., at])
    out = np.full(pool.output_shape, start, np.int64)
    for e in range(pool.e):
        for r in range(pool.r):
            at = e * pool.stride[0] - pool.pad[0] + r
            down[e] += at < pool.h + pool.pad[2] if pool.count_pad else 0 <= at < pool.h
            if 0 <= at < pool.h:
                out[:, :, e] = ufunc(out[:, :, e], line[:, :, at])
    return out / np.maximum(down[:, None] * across, 1) if pool.op == "average" else out


def _across(x: np.ndarray, size: int) -> np.ndarray:
    """Return local response normalisation, channel by channel."""
    squares, out = x * x, np.empty_like(x)
    for c in range(x.shape[1]):
        low, high = max(0, c - (size - 1) // 2), min(x.shape[1], c + size // 2 + 1)
        out[:, c] = x[:, c] / (LRN_BIAS + LRN_ALPHA / size * squares[:, low:high].sum(axis=1)) ** LRN_BETA
    return out
