"""Feeds the kernel, pass by pass."""

from __future__ import annotations

import numpy as np

from accelsim.engines.scnn.kernel import Array, Layer, encode_tiles, encode_weights, walk as walk_pass  # isort: skip
from accelsim.engines.scnn.plan import Pass, Plan
from accelsim.engines.scnn.queue_kernel import DEEPEST, WIDEST, walk_queues
from accelsim.engines.scnn.totals import Counts
from accelsim.operands.handle import Operands, from_conv_output


def walk(plan: Plan, operands: Operands | None) -> tuple[Counts, np.ndarray | None]:
    """Return the counts of a layer and, with operands, its output."""
    p, conv = plan.params, plan.conv
    depth = -1 if p.queue_depth == "unlimited" else p.queue_depth
    array = Array(p.f, p.i, p.banks, depth, p.barrier == "channel", p.empty_costs_a_cycle)
    places = operands is not None or depth >= 0
    nothing = np.zeros((1, 1), dtype=np.int64)
    x, w, out = nothing[None], nothing, nothing[None]
    if operands is not None:
        values, weights = operands.conv_arrays()
        x = values.reshape(conv.n, conv.c, -1)
        w = np.ascontiguousarray(weights.transpose(2, 3, 0, 1).reshape(-1, conv.c // conv.groups))
        out = np.zeros((conv.n, conv.k, conv.e * conv.f), dtype=np.int64)
    w_at = _weight_places(plan) if places else np.zeros(0, dtype=np.int64)
    cycles = np.zeros((len(plan.passes), len(plan.groups)), dtype=np.int64)
    sums = np.zeros(4, dtype=np.int64)
    for index, one in enumerate(plan.passes):
        image = one.band.image if operands is not None else 0
        layer = _layer(plan, one, _places(plan, one) if places else w_at, w_at)
        if operands is None and 0 <= depth <= DEEPEST - p.f * p.i and p.i <= WIDEST:
            sums += walk_queues(layer, array, conv.k, cycles[index])
        else:
            sums += walk_pass(layer, array, conv.k, operands is not None, x[image], w, out[image], cycles[index])
    counts = Counts(cycles, *sums.tolist())
    if operands is None:
        return counts, None
    return counts, from_conv_output(operands.view, out.reshape(conv.n, conv.k, conv.e, conv.f))


def _layer(plan: Plan, one: Pass, a_at: np.ndarray, w_at: np.ndarray) -> Layer:
    conv, rows = plan.conv, one.band.rows
    geometry = [conv.w, conv.r, conv.s, *conv.stride, *conv.pad[:2], *conv.dilation]
    geometry += [rows.out_from, rows.out_to, conv.f, plan.phases]
    mapped = one.band.mapped.astype(np.int64)
    return Layer(
        one.a_first, a_at, plan.w_first, w_at, plan.groups, mapped, tuple(np.int64(number) for number in geometry)
    )


def _places(plan: Plan, one: Pass) -> np.ndarray:
    rows, cols = one.band.rows.edges, one.band.cols.edges
    at = np.zeros(int(one.a_first[-1]), dtype=np.int64)
    first = np.zeros_like(one.a_first)
    conv, span = plan.conv, 1 << plan.params.run_bits
    encode_tiles(plan.x_mask[one.band.image], rows, cols, *conv.stride, *conv.pad[:2], span, first, at)
    return at


def _weight_places(plan: Plan) -> np.ndarray:
    at = np.zeros(int(plan.w_first[-1]), dtype=np.int64)
    conv, first = plan.conv, np.zeros_like(plan.w_first)
    encode_weights(plan.w_mask, plan.groups, *conv.stride, *conv.dilation, 1 << plan.params.run_bits, first, at)
    return at
