"""From counts to an activity: sizes in CSC or plain, steps, traffic, accounts."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step
from accelsim.compressed.sizes import Held, Size, moved, on_chip, total
from accelsim.engines.eyeriss_v2 import kernel_counts as count
from accelsim.engines.eyeriss_v2.cut import segment_columns
from accelsim.memory.timeline import dram_traffic
from accelsim.units import ceil_div


def inputs_of(plan: Any) -> list[Size]:
    """Return the size of each group's inputs: pairs, and an address for each segment."""
    conv, p, width = plan.conv, plan.params, plan.view.input.width
    places = conv.n * conv.h * conv.w * (conv.c // conv.groups)
    if plan.dense:
        return [Size(places * width)] * conv.groups
    segments = conv.n * conv.h * ceil_div(conv.w, segment_columns(conv, p)) * plan.pairs.shape[2]
    found = plan.found.sum(axis=(1, 2, 3, 4)).tolist()
    return [Size(n * width, (n + segments) * p.count_bits) for n in found]


def weights_of(plan: Any, groups: slice, blocks: slice) -> Size:
    """Return the size of some blocks' weights: whole words of pairs, and the addresses of a PE's columns."""
    conv, p, pairs = plan.conv, plan.params, plan.pairs[groups, blocks]
    words = int(pairs.sum())
    if plan.dense:
        return Size(words * plan.view.weight.width)
    columns = conv.r * (conv.c // conv.groups * conv.s + pairs.shape[2]) * pairs.shape[0] * pairs.shape[1]
    return Size(words * plan.view.weight.width, words * p.count_bits + columns * p.address_bits)


def outputs_of(plan: Any, groups: slice, blocks: slice) -> Size:
    """Return the size of some blocks' outputs: pairs in segments as long as a run, or plain if none is zero."""
    conv, p, width = plan.conv, plan.params, plan.view.output.width
    made = plan.made[groups, blocks.start * plan.cut.m0 : blocks.stop * plan.cut.m0]
    nonzeros, places = int(made.sum()), conv.n * conv.e * conv.f
    if not p.sparse or plan.made.sum() == conv.k * places:
        return Size(made.size * places * width)
    lengths = [min(plan.cut.m0, made.shape[1] - k) for k in range(0, made.shape[1], plan.cut.m0)]
    segments = made.shape[0] * places * sum(ceil_div(length, 1 << p.count_bits) for length in lengths)
    return Size(nonzeros * width, (nonzeros + segments) * p.count_bits)


def activity(plan: Any, counts: np.ndarray, cycles: np.ndarray, values: np.ndarray | None) -> Activity:
    """Add everything up."""
    c, p, cut, conv = [int(n) for n in counts], plan.params, plan.cut, plan.conv
    schedule, fetched, held = _schedule(plan, cycles)
    products = plan.macs if plan.dense else c[count.PRODUCTS]
    gated = c[count.PRODUCTS] - products
    busy, simd = plan.effective_macs, p.simd
    causes = {
        "busy": busy,
        "zero": c[count.PRODUCTS] - busy,
        "padding": c[count.WORK] * simd - c[count.PRODUCTS],
        "starved": (c[count.WAITED] + c[count.STARVED]) * simd,
        "conflict": c[count.CONFLICT] * simd,
        "imbalance": c[count.SLACK] * simd,
        "fill_drain": (c[count.RAN] * p.stages + c[count.LOADING]) * simd,
        "unmapped": c[count.ABSENT] * simd,
    }
    blocks = plan.pairs.shape[1]
    return Activity(
        compute_cycles=int(cycles.sum()),
        accounts={"multipliers": causes},
        traffic={**dram_traffic(schedule, plan.machine.dram), **_on_chip(plan, c, products, fetched)},
        events={Event("macs", "mac"): products, Event("macs", "gated"): gated},
        schedule=schedule,
        buffers={"glb.inputs": held.use},
        details={
            "passes": c[count.PASSES],
            "outputs_per_pe": cut.m0,
            "channels_per_pe": cut.c0,
            "input_sharers": min(cut.km, ceil_div(blocks, plan.over(count.BLOCKS))),
            "weight_sharers": min(cut.kt, conv.n * conv.e * conv.f),
            "input_router_words": c[count.MOST_INPUTS],
            "weight_router_words": c[count.MOST_WEIGHTS],
            "psum_column_words": c[count.MOST_PSUMS],
        },
        performed_macs=products,
        values=values,
    )


def _schedule(plan: Any, cycles: np.ndarray) -> tuple[tuple[Step, ...], Size, Held]:
    """Return a step per step of groups and blocks, the inputs that come, and what the input banks hold of them."""
    conv, p, cut, inputs = plan.conv, plan.params, plan.cut, inputs_of(plan)
    held = Held(p.cluster_rows * p.cluster_cols * p.input_bytes * 8, total(inputs).bits)
    positions, parts = conv.n * conv.e * conv.f, cut.kt * plan.over(count.POSITIONS)
    bands = ceil_div(ceil_div(positions, parts), cut.band)
    g_at, m_at = cut.kg * plan.over(count.GROUPS), cut.km * plan.over(count.BLOCKS)
    steps, came = [], Size(0)
    for i, j in np.ndindex(cycles.shape):
        groups, blocks = slice(i * g_at, (i + 1) * g_at), slice(j * m_at, (j + 1) * m_at)
        arriving = total(inputs[groups]) if j == 0 or not held.fits else Size(0)
        came = total((came, arriving))
        loads = moved("input", "read", *arriving)
        loads += moved("weight", "read", *(bits * bands for bits in weights_of(plan, groups, blocks)))
        stores = moved("output", "write", *outputs_of(plan, groups, blocks))
        steps.append(Step(loads, int(cycles[i, j]), stores))
    return tuple(steps), came, held


def _on_chip(plan: Any, c: list[int], products: int, fetched: Size) -> dict[Flow, int]:
    p, view = plan.params, plan.view
    more = 0 if plan.dense else p.count_bits

    def inputs(words: int) -> Size:
        return Size(words * view.input.width, words * more)

    def weights(words: int) -> Size:
        return Size(words * view.weight.width, words * more)

    sums = p.accumulator_bits
    return on_chip(
        ("glb.inputs", "input", "write", fetched),
        ("glb.inputs", "input", "read", inputs(c[count.BUFFER_READS])),
        ("glb.psums", "psum", "write", c[count.PSUMS_KEPT] * sums),
        ("glb.psums", "psum", "read", c[count.PSUMS_BACK] * sums),
        ("array", "input", "read", inputs(c[count.DELIVERED])),
        ("array", "weight", "read", weights(c[count.WEIGHTS_DELIVERED])),
        ("array", "psum", "write", c[count.PSUM_HOPS] * sums),
        ("pe.inputs", "input", "write", inputs(c[count.PE_INPUTS])),
        ("pe.inputs", "input", "read", inputs(c[count.FETCHED])),
        ("pe.weights", "weight", "write", weights(c[count.PE_WEIGHTS])),
        ("pe.weights", "weight", "read", weights(products if plan.dense else c[count.WORK] * p.simd)),
        ("pe.addresses", "index", "read", 0 if plan.dense else 2 * c[count.FETCHED] * p.address_bits),
        ("pe.psums", "psum", "read", products * sums),
        ("pe.psums", "psum", "write", products * sums),
    )
