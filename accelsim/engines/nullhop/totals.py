"""From counts to an activity, and the counts in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step, Transfer
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
    total = sum(int(of_group[g]) for g, _, _ in passes(plan))
    products = int(of_group.sum()) * (conv.k // conv.groups)
    causes = {
        "busy": plan.effective_macs,
        "zero": products - plan.effective_macs,
        "unmapped": total * p.macs - products,
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
    """Return a step per image, pass and input row."""
    conv, view = plan.conv, plan.view
    cg = conv.c // conv.groups
    nonzeros = _per_row(plan)
    last = [min(max(e * conv.stride[0] - conv.pad[0] + (conv.r - 1) * conv.dilation[0], 0), conv.h - 1)
            for e in range(conv.e)]  # fmt: skip
    steps = []
    for n in range(conv.n):
        for g, k0, k1 in passes(plan):
            kernels = (k1 - k0) * cg * conv.r * conv.s * view.weight.width
            done: dict[int, tuple[int, int]] = {}
            for e, y in enumerate(last):
                values, rows = done.get(y, (0, 0))
                done[y] = (values + int(plan.made[n, k0:k1, e].sum()), rows + 1)
            for y in range(conv.h):
                loads: tuple[Transfer, ...] = (Transfer("weight", "read", kernels),) if y == 0 else ()
                stores: tuple[Transfer, ...] = ()
                loads += (Transfer("input", "read", int(nonzeros[n, g, y]) * view.input.width),)
                loads += (Transfer("index", "read", cg * conv.w),)
                if y in done:
                    values, rows = done[y]
                    stores += (Transfer("output", "write", values * view.output.width),)
                    stores += (Transfer("index", "write", rows * (k1 - k0) * conv.f),)
                steps.append(
                    Step(tuple(t for t in loads if t.bits), int(cycles[n, g, y]), tuple(t for t in stores if t.bits))
                )
    return tuple(steps)


def _on_chip(plan: Any, products: int) -> dict[Flow, int]:
    conv, view, p = plan.conv, plan.view, plan.params
    of_group = _per_row(plan).sum(axis=(0, 2))
    repeats = [g for g, _, _ in passes(plan)]
    pixels = sum(int(of_group[g]) for g in repeats) * view.input.width
    index = len(repeats) * conv.n * (conv.c // conv.groups) * conv.h * conv.w
    weights = view.weight.elements * view.weight.width * conv.n
    return {
        Flow("glb.pixels", "input", "write"): pixels,
        Flow("glb.pixels", "index", "write"): index,
        Flow("glb.pixels", "input", "read"): pixels,
        Flow("glb.pixels", "index", "read"): index,
        Flow("glb.kernels", "weight", "write"): weights,
        Flow("glb.kernels", "weight", "read"): products * view.weight.width,
        Flow("pe", "psum", "read"): products * p.accumulator_bits,
        Flow("pe", "psum", "write"): products * p.accumulator_bits,
    }
