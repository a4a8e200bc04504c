"""From counts to an activity, and the counts in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step
from accelsim.compressed.sizes import Size, moved, on_chip
from accelsim.memory.timeline import dram_traffic


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


def together(plan: Any, maps: int) -> int:
    """Return how many pixel rows a pass over ``maps`` output maps takes at once."""
    return 2 if plan.params.split_rows and 2 * maps <= plan.params.macs else 1


def in_turn(cycles: np.ndarray, rows: int) -> np.ndarray:
    """Return the cycles of rows that are taken ``rows`` at once, the longest of each; the last axis shrinks."""
    short = -cycles.shape[-1] % rows
    padded = np.pad(cycles, [(0, 0)] * (cycles.ndim - 1) + [(0, short)])
    found: np.ndarray = padded.reshape(*cycles.shape[:-1], -1, rows).max(axis=-1)
    return found


def count(plan: Any) -> np.ndarray:
    """Return the cycles of one pass over each row; int64 (n, groups, h)."""
    conv = plan.conv
    rows = touched(conv.h, conv.r, conv.e, conv.stride[0], conv.pad[0], conv.dilation[0])
    cols = touched(conv.w, conv.s, conv.f, conv.stride[1], conv.pad[1], conv.dilation[1])
    mask = plan.mask.reshape(conv.n, conv.groups, -1, conv.h, conv.w)
    found: np.ndarray = mask.sum(axis=2, dtype=np.int64) @ cols * rows
    return found


def activity(plan: Any, cycles: np.ndarray, values: np.ndarray | None) -> Activity:
    """Repeat the rows for every pass, and add everything up."""
    conv, p = plan.conv, plan.params
    schedule = _schedule(plan, cycles)
    of_group = cycles.sum(axis=(0, 2))
    total = waits = 0
    for g, k0, k1 in passes(plan):
        rows = together(plan, k1 - k0)
        spent = int(in_turn(cycles[:, g], rows).sum())
        total += spent
        waits += (k1 - k0) * (rows * spent - int(of_group[g]))
    products = int(of_group.sum()) * (conv.k // conv.groups)
    causes = {
        "busy": plan.effective_macs,
        "zero": products - plan.effective_macs,
        "unmapped": total * p.macs - products - waits,
        "imbalance": waits,
    }
    pixels = int(np.count_nonzero(plan.mask))
    return Activity(
        compute_cycles=total,
        accounts={"multipliers": causes},
        traffic={**dram_traffic(schedule, plan.machine.dram), **_on_chip(plan, products)},
        events={Event("macs", "mac"): products},
        schedule=schedule,
        details={"passes": len(passes(plan)), "nonzero_pixels": pixels},
        performed_macs=products,
        values=values,
    )


def _per_row(plan: Any) -> np.ndarray:
    """Return the non-zeros of every input row of a group; int64 (n, groups, h)."""
    conv = plan.conv
    found: np.ndarray = plan.mask.reshape(conv.n, conv.groups, -1, conv.h, conv.w).sum(axis=(2, 4), dtype=np.int64)
    return found


def _schedule(plan: Any, cycles: np.ndarray) -> tuple[Step, ...]:
    """Return a step per image, pass and input rows that are taken at once.

    An output row leaves with the last input row that reaches it.
    """
    conv, view = plan.conv, plan.view
    cg, nonzeros = conv.c // conv.groups, _per_row(plan)
    bottom = np.arange(conv.e) * conv.stride[0] - conv.pad[0] + (conv.r - 1) * conv.dilation[0]
    last = np.clip(bottom, 0, conv.h - 1)
    rows = np.bincount(last, minlength=conv.h).tolist()
    steps = []
    for n in range(conv.n):
        for g, k0, k1 in passes(plan):
            leave = np.zeros(conv.h, dtype=np.int64)
            np.add.at(leave, last, plan.made[n, k0:k1].sum(axis=0))
            at_once = together(plan, k1 - k0)
            spent = in_turn(cycles[n, g], at_once)
            for i, y in enumerate(range(0, conv.h, at_once)):
                taken = slice(y, y + at_once)
                loads = moved("weight", "read", (k1 - k0) * cg * conv.r * conv.s * view.weight.width) if y == 0 else ()
                for pixels in nonzeros[n, g, taken].tolist():
                    loads += moved("input", "read", pixels * view.input.width, cg * conv.w)
                values = int(leave[taken].sum()) * view.output.width
                stores = moved("output", "write", values, sum(rows[taken]) * (k1 - k0) * conv.f)
                steps.append(Step(loads, int(spent[i]), stores))
    return tuple(steps)


def _on_chip(plan: Any, products: int) -> dict[Flow, int]:
    conv, view, p = plan.conv, plan.view, plan.params
    of_group = _per_row(plan).sum(axis=(0, 2))
    repeats = [g for g, _, _ in passes(plan)]
    nonzeros = sum(int(of_group[g]) for g in repeats)
    pixels = len(repeats) * conv.n * (conv.c // conv.groups) * conv.h * conv.w
    map_and_list = Size(nonzeros * view.input.width, pixels)
    return on_chip(
        ("glb.pixels", "input", "write", map_and_list),
        ("glb.pixels", "input", "read", map_and_list),
        ("glb.kernels", "weight", "write", view.weight.elements * view.weight.width * conv.n),
        ("glb.kernels", "weight", "read", products * view.weight.width),
        ("pe", "psum", "read", products * p.accumulator_bits),
        ("pe", "psum", "write", products * p.accumulator_bits),
    )
