"""From counts to an activity, and the counts in closed form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step
from accelsim.compressed.columns import told
from accelsim.compressed.sizes import Size, moved, on_chip
from accelsim.engine import Counted
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


def splits(params: Any, maps: Any) -> Any:
    """Whether a pass over ``maps`` output maps takes two pixel rows at once."""
    return params.split_rows & (2 * maps <= params.macs)


def together(params: Any, maps: int) -> int:
    """Return how many pixel rows a pass over ``maps`` output maps takes at once."""
    return 2 if splits(params, maps) else 1


def in_turn(cycles: np.ndarray, rows: int) -> np.ndarray:
    """Return the cycles of rows that are taken ``rows`` at once, the longest of each; the last axis shrinks."""
    short = -cycles.shape[-1] % rows
    padded = np.pad(cycles, [(0, 0)] * (cycles.ndim - 1) + [(0, short)])
    found: np.ndarray = padded.reshape(*cycles.shape[:-1], -1, rows).max(axis=-1)
    return found


def count(conv: Any, mask: np.ndarray) -> np.ndarray:
    """Return the cycles of one pass over each row of a mask (n, c, h, w); int64 (n, groups, h)."""
    rows = touched(conv.h, conv.r, conv.e, conv.stride[0], conv.pad[0], conv.dilation[0])
    cols = touched(conv.w, conv.s, conv.f, conv.stride[1], conv.pad[1], conv.dilation[1])
    groups = mask.reshape(conv.n, conv.groups, -1, conv.h, conv.w)
    found: np.ndarray = groups.sum(axis=2, dtype=np.int64) @ cols * rows
    return found


class Sums(NamedTuple):
    """What a layer's account and traffic follow from; of many layers in columns.

    Passes over an image, cycles of all, multiplier-cycles of the shorter of two rows that wait, non-zero pixels, and
    products.
    """

    passes: int
    cycles: int
    waits: int
    pixels: int
    products: int


def activity(plan: Any, cycles: np.ndarray, values: np.ndarray | None) -> Activity:
    """Repeat the rows for every pass, and add everything up."""
    conv, schedule = plan.conv, _schedule(plan, cycles)
    of_group = cycles.sum(axis=(0, 2))
    total = waits = 0
    for g, k0, k1 in passes(plan):
        rows = together(plan.params, k1 - k0)
        spent = int(in_turn(cycles[:, g], rows).sum())
        total += spent
        waits += (k1 - k0) * (rows * spent - int(of_group[g]))
    products = int(of_group.sum()) * (conv.k // conv.groups)
    sums = Sums(len(passes(plan)), total, waits, int(np.count_nonzero(plan.mask)), products)
    return Activity(
        compute_cycles=sums.cycles,
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
    # whole passes take one row at a time, the last of a group perhaps two
    whole, rest = kg // maps, kg % maps
    rows = np.where(splits(plan.params, rest), 2, 1)
    last = np.where(rows == 2, looked.paired, looked.once)
    waits, some = rest * (rows * last - looked.once), rest > 0
    sums = Sums(conv.groups * (whole + some), whole * looked.once + some * last, waits, looked.pixels, looked.once * kg)
    first = np.concatenate(([0], np.cumsum(conv.n * conv.groups * (whole * conv.h + some * -(-conv.h // rows)))))
    laid = np.zeros((first[-1], COLUMNS), dtype=np.int64)
    bits = (cg * conv.r * conv.s * view.weight.width, cg * conv.w, view.input.width, view.output.width)
    layers = np.stack([conv.n, conv.groups, conv.h, kg, *bits], axis=1)
    split = plan.params.split_rows
    lay_out(layers, looked.cycles, looked.found, looked.made, looked.leaving, maps, split, burst, laid)
    events, traffic = {Event("macs", "mac"): sums.products}, _on_chip(plan, sums)
    return told(view, sums.cycles, sums.products, _account(plan, sums), events, traffic, laid, first)


def _account(plan: Any, sums: Sums) -> dict[str, int]:
    return {
        "busy": plan.effective_macs,
        "zero": sums.products - plan.effective_macs,
        "unmapped": sums.cycles * plan.params.macs - sums.products - sums.waits,
        "imbalance": sums.waits,
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
    """Return a step per image, pass and input rows that are taken at once.

    An output row leaves with the last input row that reaches it.
    """
    conv, view = plan.conv, plan.view
    cg, nonzeros, last = conv.c // conv.groups, per_row(conv, plan.mask), leaves(conv)
    rows = np.bincount(last, minlength=conv.h).tolist()
    steps = []
    for n in range(conv.n):
        for g, k0, k1 in passes(plan):
            leave = np.zeros(conv.h, dtype=np.int64)
            np.add.at(leave, last, plan.made[n, k0:k1].sum(axis=0))
            at_once = together(plan.params, k1 - k0)
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
