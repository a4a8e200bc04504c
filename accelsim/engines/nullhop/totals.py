"""From counts to an activity, and the counts in closed form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step
from accelsim.compressed.columns import told
from accelsim.compressed.sizes import Size, moved, on_chip
from accelsim.engine import Counted
from accelsim.memory.timeline import dram_traffic
from accelsim.units import ceil_div


def passes(plan: Any) -> list[tuple[int, int, int]]:
    """Return (group, first, last + 1 output channel) of every pass over an image."""
    conv, maps = plan.conv, plan.params.macs
    kg = conv.k // conv.groups
    return [(g, g * kg + k, g * kg + min(k + maps, kg)) for g in range(conv.groups) for k in range(0, kg, maps)]


def touched(size: int, taps: int, outputs: int, stride: int, pad: int, dilation: int) -> np.ndarray:
    """Return how many taps take each position of an axis to an output; int64 (size,)."""
    at = np.arange(size)[:, None] + pad - np.arange(taps) * dilation
    lands = (at % stride == 0) & (at >= 0) & (at // stride < outputs)
    return lands.sum(axis=1, dtype=np.int64)


def count(conv: Any, mask: np.ndarray) -> np.ndarray:
    """Return the cycles of one pass over each row of a mask (n, c, h, w); int64 (n, groups, h)."""
    rows = touched(conv.h, conv.r, conv.e, conv.stride[0], conv.pad[0], conv.dilation[0])
    cols = touched(conv.w, conv.s, conv.f, conv.stride[1], conv.pad[1], conv.dilation[1])
    groups = mask.reshape(conv.n, conv.groups, -1, conv.h, conv.w)
    found: np.ndarray = groups.sum(axis=2, dtype=np.int64) @ cols * rows
    return found


class Sums(NamedTuple):
    """What a layer's account and traffic follow from; of many layers in columns.

    Passes over an image, cycles of one pass over everything, non-zero pixels, and products.
    """

    passes: int
    cycles: int
    pixels: int
    products: int


def activity(plan: Any, cycles: np.ndarray, values: np.ndarray | None) -> Activity:
    """Repeat the rows for every pass, and add everything up."""
    schedule, once = _schedule(plan, cycles), int(cycles.sum())
    conv = plan.conv
    sums = Sums(len(passes(plan)), once, int(np.count_nonzero(plan.mask)), once * (conv.k // conv.groups))
    return Activity(
        compute_cycles=_cycles(plan, sums),
        accounts={"multipliers": _account(plan, sums)},
        traffic={**dram_traffic(schedule, plan.machine.dram), **_on_chip(plan, sums)},
        events={Event("macs", "mac"): sums.products},
        schedule=schedule,
        details={"passes": sums.passes, "nonzero_pixels": sums.pixels},
        performed_macs=sums.products,
        values=values,
    )


def columns(plan: Any, looked: Any) -> Counted:
    """Return the counts of layers: the conv and the tensors of ``plan`` are columns."""
    from accelsim.engines.nullhop.columns_kernel import lay_out
    from accelsim.memory.clock_kernel import COLUMNS

    conv, view, maps, burst = plan.conv, plan.view, plan.params.macs, plan.machine.dram.burst_bits
    kg, cg = conv.k // conv.groups, conv.c // conv.groups
    sums = Sums(ceil_div(kg, maps) * conv.groups, looked.once, looked.pixels, looked.once * kg)
    first = np.concatenate(([0], np.cumsum(conv.n * sums.passes * conv.h)))
    rows = np.zeros((first[-1], COLUMNS), dtype=np.int64)
    bits = (cg * conv.r * conv.s * view.weight.width, cg * conv.w, view.input.width, view.output.width)
    layers = np.stack([conv.n, conv.groups, conv.h, kg, *bits], axis=1)
    lay_out(layers, looked.cycles, looked.found, looked.made, looked.leaving, maps, burst, rows)
    events = {Event("macs", "mac"): sums.products}
    traffic = _on_chip(plan, sums)
    return told(view, _cycles(plan, sums), sums.products, _account(plan, sums), events, traffic, rows, first)


def _cycles(plan: Any, sums: Sums) -> int:
    """Return the cycles of all passes; every group takes as many."""
    return sums.cycles * (sums.passes // plan.conv.groups)


def _account(plan: Any, sums: Sums) -> dict[str, int]:
    return {
        "busy": plan.effective_macs,
        "zero": sums.products - plan.effective_macs,
        "unmapped": _cycles(plan, sums) * plan.params.macs - sums.products,
    }


def per_row(conv: Any, mask: np.ndarray) -> np.ndarray:
    """Return the non-zeros of every input row of a group; int64 (n, groups, h)."""
    found: np.ndarray = mask.reshape(conv.n, conv.groups, -1, conv.h, conv.w).sum(axis=(2, 4), dtype=np.int64)
    return found


def leaves(conv: Any) -> np.ndarray:
    """Return the last input row that reaches each output row, with which it leaves; int64 (e,)."""
    bottom = np.arange(conv.e) * conv.stride[0] - conv.pad[0] + (conv.r - 1) * conv.dilation[0]
    found: np.ndarray = np.clip(bottom, 0, conv.h - 1)
    return found


def _schedule(plan: Any, cycles: np.ndarray) -> tuple[Step, ...]:
    """Return a step per image, pass and input row; an output row leaves with the last input row that reaches it."""
    conv, view = plan.conv, plan.view
    cg, nonzeros, last = conv.c // conv.groups, per_row(conv, plan.mask), leaves(conv)
    rows = np.bincount(last, minlength=conv.h).tolist()
    steps = []
    for n in range(conv.n):
        for g, k0, k1 in passes(plan):
            leave = np.zeros(conv.h, dtype=np.int64)
            np.add.at(leave, last, plan.made[n, k0:k1].sum(axis=0))
            for y, values in enumerate(leave.tolist()):
                loads = moved("weight", "read", (k1 - k0) * cg * conv.r * conv.s * view.weight.width) if y == 0 else ()
                loads += moved("input", "read", int(nonzeros[n, g, y]) * view.input.width, cg * conv.w)
                stores = moved("output", "write", values * view.output.width, rows[y] * (k1 - k0) * conv.f)
                steps.append(Step(loads, int(cycles[n, g, y]), stores))
    return tuple(steps)


def _on_chip(plan: Any, sums: Sums) -> dict[Flow, int]:
    conv, view, p = plan.conv, plan.view, plan.params
    nonzeros = sums.passes // conv.groups * sums.pixels
    pixels = sums.passes * conv.n * (conv.c // conv.groups) * conv.h * conv.w
    map_and_list = Size(nonzeros * view.input.width, pixels)
    return on_chip(
        ("glb.pixels", "input", "write", map_and_list),
        ("glb.pixels", "input", "read", map_and_list),
        ("glb.kernels", "weight", "write", view.weight.elements * view.weight.width * conv.n),
        ("glb.kernels", "weight", "read", sums.products * view.weight.width),
        ("pe", "psum", "read", sums.products * p.accumulator_bits),
        ("pe", "psum", "write", sums.products * p.accumulator_bits),
    )
