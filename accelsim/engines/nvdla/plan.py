"""From a layer to the hardware layers that run it: bands of rows, bundles of groups, a split of the banks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from accelsim.engines.nvdla.params import Mapping, Params
from accelsim.errors import MappingError
from accelsim.memory.dram import DramModel
from accelsim.units import INT64_MAX, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Conv2d

WEIGHT_UNIT_BYTES = 128
"""To a multiple of which the weights of a hardware layer are filled up."""
PIXEL_CHANNELS = 4
"""Of a pixel in image mode."""
SURFACES = 4
"""That the line buffer takes at a time."""


MOST = 2**60
"""Of cycles, and of the parts of one in which beats come."""


class Rates(NamedTuple):
    """What the kernel must know of machine and split; a beat every ``beat_cycles`` + ``beat_ticks`` / ``ticks`` cycles.

    ``limited`` says that beats at full rate may have to wait for those on their way (rule 3).
    """

    beat_cycles: int
    beat_ticks: int
    ticks: int
    limited: int
    latency: int
    port_bytes: int
    outstanding: int
    outstanding_cycles: int
    weights_first: int
    request: int
    line_buffer: int
    data_write: int
    wide_line: int
    data_ready: int
    weight_ready: int
    package: int
    result: int
    position: int
    element: int
    credits: int
    credit: int
    end: int
    turn: int
    data_bytes: int


class Sizes(NamedTuple):
    """What the products must know of the convolution."""

    groups: int
    stride_y: int
    stride_x: int
    dilation_y: int
    dilation_x: int
    pad_top: int
    pad_left: int
    pixel_channels: int
    at_a_time: int


class Split(NamedTuple):
    """Banks for data and for weights."""

    data: int
    weights: int


class Part(NamedTuple):
    """A hardware layer: an image, groups of the convolution, output rows."""

    image: int
    first_group: int
    groups: int
    top: int
    bottom: int


class Work(NamedTuple):
    """A convolution in hardware layers."""

    conv: Conv2d
    parts: tuple[Part, ...]
    layers: np.ndarray
    rates: Rates
    sizes: Sizes
    split: Split
    image: bool
    operand_bytes: int
    kernels: int


def rates_of(params: Params, dram: DramModel, kernels: int, data_banks: int) -> Rates:
    """Return the machine's numbers; a beat takes a cycle at least."""
    p = params
    beat = max(Fraction(1), 8 * p.port_bytes / dram.bits_per_cycle)
    late = dram.latency_cycles + p.outstanding_cycles
    element = ceil_div(kernels, p.post_elements)
    return Rates(
        int(beat), beat.numerator % beat.denominator, beat.denominator,
        int(p.outstanding_beats * beat < late + 1),  # a beat comes less than a cycle after its place in the row
        dram.latency_cycles, p.port_bytes,
        p.outstanding_beats, p.outstanding_cycles, p.weight_beats_first, p.request_cycles, int(p.line_buffer),
        p.data_write_cycles, p.wide_line_cycles, p.data_ready_cycles, p.weight_ready_cycles, p.package_cycles,
        p.result_cycles, element + p.gap_cycles, element, p.credits, p.credit_cycles, p.end_cycles, p.turn_cycles,
        data_banks * p.bank_bytes,
    )  # fmt: skip


def tall(view: LayerView) -> Conv2d:
    """Return a product as a convolution; rows of a matrix are pixels, one below the other."""
    conv: Conv2d = view.conv
    if isinstance(view.shape, Conv2d):
        return conv
    return Conv2d(n=1, c=conv.c, k=conv.k, h=conv.n, w=1, r=1, s=1, groups=conv.groups)


def slice_bytes(width: int, channels: int, operand_bytes: int, params: Params) -> int:
    """Return what a line takes in the buffer, whose entries hold ``channels`` of a pixel.

    A last block of one, two or four memory atoms takes that part of an entry per pixel, one of three as much as four.
    """
    entry = params.channels * operand_bytes
    whole, rest = divmod(channels * operand_bytes, entry)
    atoms = ceil_div(rest, params.atom_bytes)
    part = min(entry, params.atom_bytes << (atoms - 1).bit_length()) if atoms else 0
    return (whole * width + ceil_div(width * part, entry)) * entry


def work_of(view: LayerView, params: Params, mapping: Mapping, dram: DramModel) -> Work:
    """Cut a layer into hardware layers; MappingError where it does not fit, or a split does not."""
    p, conv, name = params, tall(view), view.name
    operand_bytes = 2 if max(view.input.width, view.weight.width) > 8 else 1
    kernels = p.wide_kernels if operand_bytes == 2 and p.wide_kernels else p.kernels
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    bundle = max(1, min(p.channels // cg, kernels // kg, conv.groups))
    if mapping.image:
        _check_image(conv, name)
    depth, pixels = bundle * cg, conv.w
    kernel_bytes = depth * conv.r * conv.s * operand_bytes
    if mapping.image:
        kernel_bytes = PIXEL_CHANNELS * conv.r * conv.s * operand_bytes
        entry = p.channels * operand_bytes
        line_bytes = ceil_div(pixels * PIXEL_CHANNELS * operand_bytes, entry) * entry
    else:
        line_bytes = slice_bytes(pixels, depth, operand_bytes, p)
    group_bytes = min(kernels, bundle * kg) * kernel_bytes
    all_bytes = ceil_div(bundle * kg * kernel_bytes, WEIGHT_UNIT_BYTES) * WEIGHT_UNIT_BYTES
    split, rows, whole = _split(conv, params, mapping, line_bytes, group_bytes, all_bytes, name)
    parts = tuple(
        Part(n, g, min(bundle, conv.groups - g), top, min(top + rows, conv.e))
        for n in range(conv.n) for g in range(0, conv.groups, bundle) for top in range(0, conv.e, rows)
    )  # fmt: skip
    if 64 * conv.macs * p.multipliers > INT64_MAX // 1024:
        raise MappingError.too_many(name)
    rows_of = [_row(conv, part, p, kernels, operand_bytes, line_bytes, split, mapping.image, whole) for part in parts]
    sizes = Sizes(conv.groups, *conv.stride, *conv.dilation, *conv.pad[:2], PIXEL_CHANNELS, p.channels)
    rates = rates_of(p, dram, kernels, split.data)
    if rates.ticks > MOST:
        raise MappingError(
            f"layer '{name}': beats of {p.port_bytes} bytes come in steps of 1/{rates.ticks:,} cycle, more than are "
            "counted",
            "round memory.dram.gb_per_s",
        )
    beats = sum(lines * surfaces * wide + weights for lines, surfaces, wide, *_, weights in (r[:7] for r in rows_of))
    if beats * (rates.beat_cycles + 1) > MOST:
        raise MappingError.too_many(name)
    layers = np.array(rows_of, dtype=np.int64)
    return Work(conv, parts, layers, rates, sizes, split, mapping.image, operand_bytes, kernels)


def _check_image(conv: Conv2d, name: str) -> None:
    if conv.groups > 1 or conv.c > PIXEL_CHANNELS or max(conv.dilation) > 1:
        raise MappingError(
            f"layer '{name}': image mode takes up to {PIXEL_CHANNELS} channels, without groups or dilation",
            "run it without 'image: true'",
        )


def _split(
    conv: Conv2d, params: Params, mapping: Mapping, line_bytes: int, group_bytes: int, all_bytes: int, name: str
) -> tuple[Split, int, bool]:
    """Return the split of the banks, the output rows of a band, and whether all lines are fetched at once.

    Weights get room for two groups of kernels, or one where a band would not fit; data as few bands as fit the rest.
    What data do not need then goes to the weights.
    """
    bank, banks = params.bank_bytes, params.banks
    if (mapping.data_banks or 0) + (mapping.weight_banks or 0) > banks:
        raise MappingError(
            f"layer '{name}': {mapping.data_banks or 0} banks for data and {mapping.weight_banks or 0} for weights, "
            f"the convolution buffer has {banks}",
            "let them sum to at most that",
        )
    span = (conv.r - 1) * conv.dilation[0] + 1
    for held in (2, 1):
        needed = min(all_bytes, held * group_bytes + WEIGHT_UNIT_BYTES)
        weights = mapping.weight_banks or ceil_div(needed, bank)
        room = (mapping.data_banks or banks - weights) * bank
        lines = room // line_bytes if weights * bank >= min(all_bytes, group_bytes + WEIGHT_UNIT_BYTES) else 0
        rows = conv.e if lines >= conv.h else min(conv.e, (lines - span) // conv.stride[0] + 1 if lines >= span else 0)
        if mapping.bands is not None and rows > 0:
            rows = min(rows, ceil_div(conv.e, mapping.bands))
            rows = rows if ceil_div(conv.e, rows) == min(conv.e, mapping.bands) else 0
        elif rows > 0:
            rows = ceil_div(conv.e, ceil_div(conv.e, rows))
        if rows > 0:
            break
    else:
        raise MappingError(
            f"layer '{name}': {span} lines of {line_bytes:,} bytes and {min(all_bytes, group_bytes):,} bytes of "
            f"weights do not fit {banks} banks of {bank:,} bytes"
            + ("" if mapping == Mapping(image=mapping.image) else " under this mapping"),
            "raise params.banks or params.bank_kib, or cut the layer",
        )
    whole = lines >= conv.h and rows == conv.e
    most = max(_lines(conv, top, min(top + rows, conv.e), whole) for top in range(0, conv.e, rows))
    data = mapping.data_banks or ceil_div(most * line_bytes, bank)
    return Split(data, mapping.weight_banks or banks - data), rows, whole


def _lines(conv: Conv2d, top: int, bottom: int, whole: bool) -> int:
    """Return the input lines that output rows need, all that a whole layer has, at least one."""
    if whole:
        return conv.h
    first = min(conv.h - 1, max(0, top * conv.stride[0] - conv.pad[0]))
    last = (bottom - 1) * conv.stride[0] - conv.pad[0] + (conv.r - 1) * conv.dilation[0]
    return max(1, min(conv.h - 1, last) - first + 1)


def _row(
    conv: Conv2d,
    part: Part,
    p: Params,
    kernels: int,
    operand_bytes: int,
    line_bytes: int,
    split: Split,
    image: bool,
    whole: bool,
) -> list[int]:
    """Return a hardware layer as the kernel reads it."""
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    depth, lines = part.groups * cg, _lines(conv, part.top, part.bottom, whole)
    if image:
        beats, surfaces = ceil_div(conv.w * PIXEL_CHANNELS * operand_bytes, p.port_bytes), 1
        deep, packages = PIXEL_CHANNELS * conv.s, ceil_div(PIXEL_CHANNELS * conv.s, p.channels) * conv.r
    else:
        beats = ceil_div(conv.w * p.atom_bytes, p.port_bytes)
        surfaces = ceil_div(depth * operand_bytes, p.atom_bytes)
        if conv.h == conv.w == 1 and not p.line_buffer:  # one pixel is one run (nv_full, 1 x 1 x 512 int16)
            beats, surfaces = ceil_div(surfaces * p.atom_bytes, p.port_bytes), 1
        deep, packages = depth * conv.s, ceil_div(depth, p.channels) * conv.r * conv.s
        line_bytes = slice_bytes(conv.w, depth, operand_bytes, p)
    kernel_bytes = deep * conv.r * operand_bytes
    weight_bytes = ceil_div(part.groups * kg * kernel_bytes, WEIGHT_UNIT_BYTES) * WEIGHT_UNIT_BYTES
    return [
        lines, surfaces, beats, lines * line_bytes, part.groups * kg, kernel_bytes,
        ceil_div(weight_bytes, p.port_bytes), packages, (part.bottom - part.top) * conv.f, conv.f if image else 0,
        p.image_stripe if image else p.stripe, kernels, split.weights * p.bank_bytes // p.port_bytes, 1,
    ]  # fmt: skip


def in_turn(works: Sequence[Work]) -> list[int]:
    """Return at which cycle each convolution ends of some that are enabled while the one before it runs (rule 14)."""
    from accelsim.engines.nvdla import kernel

    ends, done, first = [], 0, 0
    for i in range(len(works)):
        if i + 1 < len(works) and works[i + 1].rates == works[i].rates and works[i + 1].split == works[i].split:
            continue  # one walk for all whose banks are split alike
        layers = np.concatenate([work.layers for work in works[first : i + 1]])
        found = kernel.walk(layers, works[i].rates, np.zeros(kernel.COUNTS, np.int64), kernel.NOBODY)
        last = np.cumsum([len(work.layers) for work in works[first : i + 1]]) - 1
        ends += [done + int(end) for end in found[last, 2]]
        done, first = ends[-1], i + 1
    return ends


def walked(work: Work) -> tuple[Any, np.ndarray]:
    """Return the counts of a walk and where each hardware layer ends."""
    from accelsim.engines.nvdla import kernel

    counts = np.zeros(kernel.COUNTS, np.int64)
    return counts, kernel.walk(work.layers, work.rates, counts, kernel.NOBODY)
