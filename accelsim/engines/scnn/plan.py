"""The plan of a layer: what every block holds, how many bands it takes, where activations live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from accelsim.engines.scnn import cut
from accelsim.engines.scnn.cut import Band
from accelsim.errors import MappingError
from accelsim.operands.handle import Operand, Operands, to_conv_input, to_conv_weight
from accelsim.seam import Machine
from accelsim.units import INT64_MAX, KIB_BITS, ceil_div
from accelsim.workload.network import LayerView
from accelsim.workload.shapes import Conv2d


class Size(NamedTuple):
    """Bits of a compressed tensor: its values, and its runs and counts."""

    values: int
    run_and_count: int

    @property
    def bits(self) -> int:
        """All of them."""
        return self.values + self.run_and_count


@dataclass(frozen=True, eq=False)
class Pass:
    """One band: entries of its activation blocks, and what its inputs and outputs take.

    Attributes
    ----------
    a_first : ndarray of int64, shape (c * PEs * phases + 1,)
        First entry of each block.
    fullest : tuple of int
        Input and output bits in the fullest PE.
    """

    band: Band
    a_first: np.ndarray
    inputs: Size
    outputs: Size
    fullest: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Plan:
    """What a walk needs; masks are bool, (n, c, h, w) and (k, c / groups, r, s)."""

    view: LayerView
    conv: Conv2d
    params: Any
    machine: Machine
    kc: int
    groups: np.ndarray
    passes: tuple[Pass, ...]
    w_first: np.ndarray
    weights: tuple[Size, ...]
    """Of each group."""
    resident: bool
    """Whether inputs and outputs stay on the chip."""
    x_mask: np.ndarray
    w_mask: np.ndarray
    effective_macs: int
    nonzero_products: int

    @property
    def phases(self) -> int:
        """Blocks that strides make of one."""
        return self.conv.stride[0] * self.conv.stride[1]


def make(view: LayerView, operands: Operands, params: Any, machine: Machine) -> Plan:
    """Return the plan of a layer, or raise MappingError for one that no cut makes fit."""
    conv: Conv2d = view.shape.as_conv()  # type: ignore[union-attr]
    if conv.macs * 64 * max(params.accumulator_bits, params.f * params.i) > INT64_MAX:
        raise MappingError(f"layer '{view.name}': its counts exceed 64-bit integers", "split the layer")
    x_mask = to_conv_input(view, operands.input.mask)
    w_mask = to_conv_weight(view, operands.weight.mask)
    output = Operand(view.output, operands.input.seed, operands.input.batch)
    out_mask = None if output.dense else output.mask.reshape(conv.n, conv.k, conv.e, conv.f)
    kc, passes, resident = _fit(view, conv, params, x_mask, out_mask)
    groups = np.array(cut.channel_groups(conv, kc), dtype=np.int64)
    w_first = _weight_blocks(conv, params, groups, w_mask)
    return Plan(
        view, conv, params, machine, kc, groups, passes, w_first,
        _weight_sizes(view, conv, params, groups, w_first, kc), resident, x_mask, w_mask, operands.effective_macs,
        _nonzero_products(conv, passes, x_mask, w_mask),
    )  # fmt: skip


def _fit(
    view: LayerView, conv: Conv2d, params: Any, x_mask: np.ndarray, out_mask: np.ndarray | None
) -> tuple[int, tuple[Pass, ...], bool]:
    """Return Kc, the fewest passes that fit, and whether activations stay on the chip."""
    room = (params.iaram_kib * KIB_BITS, params.oaram_kib * KIB_BITS)
    kc, worst = 0, (0, 0)
    for height in dict.fromkeys(ceil_div(conv.e, pieces) for pieces in range(1, conv.e + 1)):
        kc = _kc(conv, params, cut.bands(conv, 0, height, params.pe_rows, params.pe_cols))
        if not kc:
            continue
        passes = tuple(
            _pass(view, conv, params, band, x_mask, out_mask)
            for image in range(conv.n)
            for band in cut.bands(conv, image, height, params.pe_rows, params.pe_cols)
        )
        together = [sum(p.fullest[side] for p in passes) for side in (0, 1)]
        if height == conv.e and params.activations_stay and together[0] <= room[0] and together[1] <= room[1]:
            return kc, passes, True
        worst = (max(p.fullest[0] for p in passes), max(p.fullest[1] for p in passes))
        if worst[0] <= room[0] and worst[1] <= room[1]:
            _check_home(view)
            return kc, passes, False
    raise MappingError(*_misfit(view, kc, worst, room))


def _misfit(view: LayerView, kc: int, worst: tuple[int, int], room: tuple[int, int]) -> tuple[str, str]:
    name = f"layer '{view.name}': one output row at a time"
    if not kc:
        return f"{name} reaches more outputs per PE than the accumulators hold", "raise params.accumulator_entries"
    if worst[0] > room[0]:
        return f"{name} takes {worst[0]:,} bits of input in a PE, its RAM holds {room[0]:,}", "raise params.iaram_kib"
    return f"{name} makes {worst[1]:,} bits of output in a PE, its RAM holds {room[1]:,}", "raise params.oaram_kib"


def _check_home(view: LayerView) -> None:
    for tensor in (view.input, view.output):
        if tensor.home == "chip":
            raise MappingError(
                f"layer '{view.name}': '{tensor.name}' is at home on the chip but does not fit the activation RAMs",
                "raise params.iaram_kib and params.oaram_kib or give it home: dram",
            )


def _kc(conv: Conv2d, params: Any, bands: list[Band]) -> int:
    """Return the output channels of a group: what half the accumulators hold."""
    area = max(max(band.reached) for band in bands)
    wanted = conv.k // conv.groups if params.kc == "capacity" else min(params.kc, conv.k // conv.groups)
    return int(min(wanted, params.accumulator_entries // max(1, area)))


def _pass(
    view: LayerView, conv: Conv2d, params: Any, band: Band, x_mask: np.ndarray, out_mask: np.ndarray | None
) -> Pass:
    from accelsim.engines.scnn.kernel import encode_tiles

    pes, phases = params.pe_rows * params.pe_cols, conv.stride[0] * conv.stride[1]
    first = np.zeros(conv.c * pes * phases + 1, dtype=np.int64)
    rows, cols = (np.array(axis.edges, dtype=np.int64) for axis in (band.rows, band.cols))
    nothing = np.zeros(0, dtype=np.int64)
    span = 1 << params.run_bits
    encode_tiles(x_mask[band.image], rows, cols, *conv.stride, *conv.pad[:2], span, first, nothing)
    per_pe = np.diff(first).reshape(conv.c, pes, phases).sum(axis=(0, 2))
    inputs, in_fullest = _sizes(per_pe, conv.c * phases, _largest(rows, cols), params.run_bits, view.input.bits or 0)

    rows, cols = (np.array(axis.owned_edges, dtype=np.int64) for axis in (band.rows, band.cols))
    if out_mask is None:
        per_pe = conv.k * (np.diff(rows)[:, None] * np.diff(cols)).ravel()
    else:
        out_first = np.zeros(conv.k * pes + 1, dtype=np.int64)
        encode_tiles(out_mask[band.image], rows, cols, 1, 1, 0, 0, span, out_first, nothing)
        per_pe = np.diff(out_first).reshape(conv.k, pes).sum(axis=0)
    outputs, out_fullest = _sizes(per_pe, conv.k, _largest(rows, cols), params.run_bits, view.output.bits or 0)
    return Pass(band, first, inputs, outputs, (in_fullest, out_fullest))


def _largest(rows: np.ndarray, cols: np.ndarray) -> int:
    return int(np.diff(rows).max() * np.diff(cols).max())


def _sizes(per_pe: np.ndarray, blocks: int, block: int, run_bits: int, bits: int) -> tuple[Size, int]:
    """Return the size of all PEs' entries and the bits in the fullest PE, given blocks per PE and their largest."""
    entries, counts = int(per_pe.sum()), blocks * block.bit_length()
    size = Size(entries * bits, entries * run_bits + len(per_pe) * counts)
    return size, int(per_pe.max()) * (bits + run_bits) + counts


def _weight_blocks(conv: Conv2d, params: Any, groups: np.ndarray, w_mask: np.ndarray) -> np.ndarray:
    from accelsim.engines.scnn.kernel import encode_weights

    blocks = len(groups) * (conv.c // conv.groups) * conv.stride[0] * conv.stride[1]
    first = np.zeros(blocks + 1, dtype=np.int64)
    nothing = np.zeros(0, dtype=np.int64)
    encode_weights(w_mask, groups, *conv.stride, *conv.dilation, 1 << params.run_bits, first, nothing)
    return first


def _weight_sizes(
    view: LayerView, conv: Conv2d, params: Any, groups: np.ndarray, first: np.ndarray, kc: int
) -> tuple[Size, ...]:
    blocks = (conv.c // conv.groups) * conv.stride[0] * conv.stride[1]
    counts = blocks * (kc * conv.r * conv.s).bit_length()
    per_group = np.diff(first).reshape(len(groups), blocks).sum(axis=1).tolist()
    return tuple(Size(n * (view.weight.bits or 0), n * params.run_bits + counts) for n in per_group)


def _nonzero_products(conv: Conv2d, passes: tuple[Pass, ...], x_mask: np.ndarray, w_mask: np.ndarray) -> int:
    """Return the products of two non-zeros that the array forms: all pairs of equal channel and phase."""
    (sy, sx), (py, px), (dy, dx) = conv.stride, conv.pad[:2], conv.dilation
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    taps = w_mask.reshape(conv.groups, kg, cg, conv.r, conv.s).sum(axis=1, dtype=np.int64).reshape(conv.c, conv.r, -1)
    total = 0
    for one in passes:
        (y0, y1), (x0, x1) = one.band.rows.inputs, one.band.cols.inputs
        plane = x_mask[one.band.image, :, y0:y1, x0:x1]
        for phase_y in range(sy):
            for phase_x in range(sx):
                met = taps[:, [r for r in range(conv.r) if r * dy % sy == phase_y]]
                met = met[:, :, [s for s in range(conv.s) if s * dx % sx == phase_x]]
                sampled = plane[:, (phase_y - y0 - py) % sy :: sy, (phase_x - x0 - px) % sx :: sx]
                total += int((np.count_nonzero(sampled, axis=(1, 2)) * met.sum(axis=(1, 2))).sum())
    return total
