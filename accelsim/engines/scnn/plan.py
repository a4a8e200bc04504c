"""The plan of a layer: what every block holds, how many bands it takes, where activations live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from accelsim.compressed.engine import LayerPlan
from accelsim.compressed.sizes import Size, check_homes
from accelsim.engine import Machine, check_counts
from accelsim.engines.scnn import cut
from accelsim.engines.scnn.cut import Band
from accelsim.errors import MappingError
from accelsim.operands.handle import Operand, Operands, to_conv_input, to_conv_weight
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Conv2d


@dataclass(frozen=True, eq=False)
class Pass:
    """One band: entries of its activation blocks, and what its inputs and outputs take.

    Attributes
    ----------
    a_first : ndarray of int64, shape (c * PEs * phases + 1,)
        First entry of each block.
    outputs : tuple of Size
        Of each channel group.
    fullest : tuple of int
        Bits in the fullest PE: of inputs, of outputs, and of the outputs of one group.
    """

    band: Band
    a_first: np.ndarray
    inputs: Size
    outputs: tuple[Size, ...]
    fullest: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Plan(LayerPlan):
    """How the layer is cut, and its blocks; masks are bool, (n, c, h, w) and (k, c / groups, r, s)."""

    kc: int
    groups: np.ndarray
    passes: tuple[Pass, ...]
    w_first: np.ndarray
    weights: tuple[Size, ...]
    """Of each group."""
    resident: tuple[bool, bool]
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
    conv = view.conv
    check_counts(view, 64 * max(params.accumulator_bits, params.f * params.i))
    x_mask = to_conv_input(view, operands.input.mask)
    w_mask = to_conv_weight(view, operands.weight.mask)
    output = Operand(view.output, operands.input.seed, operands.input.batch)
    out_mask = None if output.dense else output.mask.reshape(conv.n, conv.k, conv.e, conv.f)
    bands, inputs, stay = _fit(view, conv, params, x_mask)
    kc = _kc(conv, params, bands)
    groups = np.array(cut.channel_groups(conv, kc), dtype=np.int64)
    passes = tuple(
        _pass(view, conv, params, band, first, groups, out_mask) for band, first in zip(bands, inputs, strict=True)
    )
    resident = (stay, params.activations_stay and sum(p.fullest[1] for p in passes) <= params.oaram_kib * KIB_BITS)
    _check_outputs(view, conv, params, kc, bands, resident)
    w_first = _weight_blocks(conv, params, groups, w_mask)
    return Plan(
        view, conv, params, machine, kc, groups, passes, w_first,
        _weight_sizes(view, conv, params, groups, w_first, kc), resident, x_mask, w_mask, operands.effective_macs,
        _nonzero_products(conv, passes, x_mask, w_mask),
    )  # fmt: skip


def _fit(view: LayerView, conv: Conv2d, params: Any, x_mask: np.ndarray) -> tuple[list[Band], list[np.ndarray], bool]:
    """Return the bands that fit, the first entry of their blocks, and whether inputs stay on the chip.

    Of all heights the one with the fewest tile rows in sum over the bands is taken, then the one with fewest bands.
    """
    room = params.iaram_kib * KIB_BITS
    entry_bits, pes = view.input.width + params.run_bits, params.pe_rows * params.pe_cols
    row_bits = np.count_nonzero(x_mask, axis=(1, 3)) * entry_bits
    heights: list[tuple[int, int, int]] = []
    for height in range(1, conv.e + 1):
        bands = cut.bands(conv, 0, height, params.pe_rows, params.pe_cols)
        if _kc(conv, params, bands):
            heights.append((sum(int(band.rows.edges[1] - band.rows.edges[0]) for band in bands), len(bands), height))
    if not heights:
        raise MappingError(
            f"layer '{view.name}': one output row at a time reaches more outputs per PE than the accumulators hold",
            "raise params.accumulator_entries",
        )
    fullest = 0
    for _, _, height in sorted(heights):
        bands = [b for n in range(conv.n) for b in cut.bands(conv, n, height, params.pe_rows, params.pe_cols)]
        # what all PEs hold together is a lower bound that needs no encoding
        least = max(int(row_bits[b.image, slice(*b.rows.inputs)].sum()) for b in bands)
        if least > room * pes:
            fullest = max(fullest, least // pes)
            continue
        firsts = [_activation_blocks(conv, params, band, x_mask) for band in bands]
        held = [int(_per_pe(conv, params, first).max()) * entry_bits for first in firsts]
        if max(held) <= room:
            stay = params.activations_stay and len(bands) == conv.n and sum(held) <= room
            check_homes(view, (view.input,), stay, "the activation RAMs", "params.iaram_kib")
            return bands, firsts, stay
        fullest = max(held)
    raise MappingError(
        f"layer '{view.name}': one output row takes {fullest:,} bits of input in a PE, its RAM holds {room:,}",
        "raise params.iaram_kib",
    )


def _check_outputs(
    view: LayerView, conv: Conv2d, params: Any, kc: int, bands: list[Band], resident: tuple[bool, bool]
) -> None:
    """Outputs that do not stay leave group by group: the RAM must hold those of one."""
    check_homes(view, (view.output,), resident[1], "the activation RAMs", "params.oaram_kib")
    owned = max(_largest(band.rows.owned_edges, band.cols.owned_edges) for band in bands)
    needed = owned * min(kc, conv.k) * (view.output.width + params.run_bits)
    if needed > params.oaram_kib * KIB_BITS:
        raise MappingError(
            f"layer '{view.name}': a group's outputs take {needed:,} bits in a PE, its RAM holds "
            f"{params.oaram_kib * KIB_BITS:,}",
            f"raise params.oaram_kib to {ceil_div(needed, KIB_BITS)} or lower params.kc",
        )


def _activation_blocks(conv: Conv2d, params: Any, band: Band, x_mask: np.ndarray) -> np.ndarray:
    """Return the first entry of each (channel, PE, phase) block."""
    from accelsim.engines.scnn.kernel import encode_tiles

    blocks = conv.c * params.pe_rows * params.pe_cols * conv.stride[0] * conv.stride[1]
    first = np.zeros(blocks + 1, dtype=np.int64)
    rows, cols = band.rows.edges, band.cols.edges
    nothing, span = np.zeros(0, dtype=np.int64), 1 << params.run_bits
    encode_tiles(x_mask[band.image], rows, cols, *conv.stride, *conv.pad[:2], span, first, nothing)
    return first


def _per_pe(conv: Conv2d, params: Any, first: np.ndarray) -> np.ndarray:
    """Return the entries that each PE holds."""
    held: np.ndarray = np.diff(first).reshape(conv.c, params.pe_rows * params.pe_cols, -1).sum(axis=(0, 2))
    return held


def accumulators(params: Any, bands: list[Band]) -> int:
    """Return the accumulators that an output channel takes: all that a PE reaches, or only those it owns."""
    if params.kc == "own_tile":
        return max(_largest(band.rows.owned_edges, band.cols.owned_edges) for band in bands)
    return max(band.most_reached for band in bands)


def _kc(conv: Conv2d, params: Any, bands: list[Band]) -> int:
    """Return the output channels of a group: what half the accumulators hold."""
    wanted = params.kc if isinstance(params.kc, int) else conv.k
    return int(min(wanted, conv.k // conv.groups, params.accumulator_entries // max(1, accumulators(params, bands))))


def _pass(
    view: LayerView, conv: Conv2d, params: Any, band: Band, first: np.ndarray, groups: np.ndarray,
    out_mask: np.ndarray | None,
) -> Pass:  # fmt: skip
    from accelsim.engines.scnn.kernel import encode_tiles

    pes, phases = params.pe_rows * params.pe_cols, conv.stride[0] * conv.stride[1]
    in_bits, out_bits = view.input.width, view.output.width
    held = _per_pe(conv, params, first)
    count_bits = _largest(band.rows.edges, band.cols.edges).bit_length()
    inputs = _size(int(held.sum()), conv.c * phases * pes * count_bits, in_bits, params.run_bits)

    rows, cols = band.rows.owned_edges, band.cols.owned_edges
    if out_mask is None:
        made = np.broadcast_to((np.diff(rows)[:, None] * np.diff(cols)).ravel(), (conv.k, pes))
    else:
        out_first = np.zeros(conv.k * pes + 1, dtype=np.int64)
        span, nothing = 1 << params.run_bits, np.zeros(0, dtype=np.int64)
        encode_tiles(out_mask[band.image], rows, cols, 1, 1, 0, 0, span, out_first, nothing)
        made = np.diff(out_first).reshape(conv.k, pes)
    count_bits = _largest(rows, cols).bit_length()
    outputs = tuple(
        _size(int(made[k0:k1].sum()), (k1 - k0) * pes * count_bits, out_bits, params.run_bits)
        for k0, k1, _, _ in groups.tolist()
    )
    by_group = max(int(made[k0:k1].sum(axis=0).max()) for k0, k1, _, _ in groups.tolist())
    in_word, out_word = in_bits + params.run_bits, out_bits + params.run_bits
    fullest = (int(held.max()) * in_word, int(made.sum(axis=0).max()) * out_word, by_group * out_word)
    return Pass(band, first, inputs, outputs, fullest)


def _largest(rows: np.ndarray, cols: np.ndarray) -> int:
    return int(np.diff(rows).max() * np.diff(cols).max())


def _size(entries: int, count_bits: int, bits: int, run_bits: int) -> Size:
    return Size(entries * bits, entries * run_bits + count_bits)


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
    return tuple(_size(n, counts, view.weight.width, params.run_bits) for n in per_group)


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
