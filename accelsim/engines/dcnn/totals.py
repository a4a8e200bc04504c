"""From counts to an activity, and the counts in closed form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step
from accelsim.compressed.sizes import moved, on_chip
from accelsim.memory.timeline import dram_traffic
from accelsim.units import ceil_div
from accelsim.workload.shapes import Conv2d


class Counts(NamedTuple):
    """Cycles, and slots of multipliers by what they do."""

    cycles: int
    products: int
    padding: int
    imbalance: int
    unmapped: int


def pieces(conv: Conv2d, lanes: int) -> int:
    """Return the dot products that an output takes."""
    return ceil_div(conv.c // conv.groups * conv.r * conv.s, lanes)


def count(conv: Conv2d, params: Any) -> Counts:
    """Return the counts without walking."""
    te, tf = ceil_div(conv.e, params.pe_rows), ceil_div(conv.f, params.pe_cols)
    per_output = conv.n * conv.k * pieces(conv, params.lanes)
    cycles, outputs = te * tf * per_output, conv.e * conv.f * per_output
    pes, mapped = params.pe_rows * params.pe_cols, ceil_div(conv.e, te) * ceil_div(conv.f, tf)
    return Counts(
        cycles,
        conv.macs,
        outputs * params.lanes - conv.macs,
        (mapped * cycles - outputs) * params.lanes,
        (pes - mapped) * cycles * params.lanes,
    )


def activity(plan: Any, counts: Counts, values: np.ndarray | None) -> Activity:
    """Add everything up."""
    p, conv = plan.params, plan.conv
    schedule = _schedule(plan, counts)
    events = {Event("macs", "mac"): conv.macs}
    if p.gating:
        events = {Event("macs", "mac"): plan.effective_macs, Event("macs", "gated"): conv.macs - plan.effective_macs}
    return Activity(
        compute_cycles=counts.cycles,
        accounts={
            "multipliers": {
                "busy": plan.effective_macs,
                "zero": counts.products - plan.effective_macs,
                "padding": counts.padding,
                "imbalance": counts.imbalance,
                "unmapped": counts.unmapped,
            }
        },
        traffic={**dram_traffic(schedule, plan.machine.dram), **_on_chip(plan)},
        events=events,
        schedule=schedule,
        buffers={"pe.accumulators": (p.accumulator_entries * p.accumulator_bits, _accumulators(plan))},
        details={"kc": plan.kc, "bands": plan.bands, "resident": int(plan.resident)},
        performed_macs=plan.effective_macs if p.gating else conv.macs,
        values=values,
    )


def _accumulators(plan: Any) -> int:
    p, conv = plan.params, plan.conv
    return plan.kc * ceil_div(conv.e, p.pe_rows) * ceil_div(conv.f, p.pe_cols) * p.accumulator_bits


def _schedule(plan: Any, counts: Counts) -> tuple[Step, ...]:
    """Return a step per image and band: its share of the activations, and all weights."""
    conv, view = plan.conv, plan.view
    te, bands = ceil_div(conv.e, plan.params.pe_rows), 1 if plan.resident else plan.bands
    row = counts.cycles // conv.n // te
    weights = view.weight.elements * view.weight.width
    steps = []
    for image in range(conv.n):
        for band in range(bands):
            rows = te * (band + 1) // bands - te * band // bands
            loads = () if plan.resident else moved("input", "read", *plan.input_bits[image].piece(band, bands))
            loads += moved("weight", "read", weights)
            stores = () if plan.resident else moved("output", "write", *plan.output_bits[image].piece(band, bands))
            steps.append(Step(loads, rows * row, stores))
    return tuple(steps)


def _on_chip(plan: Any) -> dict[Flow, int]:
    p, conv, view = plan.params, plan.conv, plan.view
    acc, in_bits, w_bits = p.accumulator_bits, view.input.width, view.weight.width
    outputs = conv.n * conv.k * conv.e * conv.f
    kg = conv.k // conv.groups
    vectors = conv.macs // kg * ceil_div(kg, plan.kc)
    bands, pes = 1 if plan.resident else plan.bands, p.pe_rows * p.pe_cols
    dots = outputs * pieces(conv, p.lanes)
    inputs, moves = view.input.elements * in_bits, not plan.resident
    return on_chip(
        ("pe.activations", "input", "read", vectors * in_bits),
        ("pe.vector", "input", "write", vectors * in_bits),
        ("pe.vector", "input", "read", conv.macs * in_bits),
        ("pe.weights", "weight", "write", view.weight.elements * w_bits * conv.n * bands * pes),
        ("pe.weights", "weight", "read", conv.macs * w_bits),
        ("pe.accumulators", "psum", "read", (dots + outputs) * acc),
        ("pe.accumulators", "psum", "write", dots * acc),
        ("pe.activations", "output", "write", outputs * view.output.width),
        ("pe.activations", "input", "write", inputs if moves else 0),
        ("pe.activations", "output", "read", outputs * view.output.width if moves else 0),
    )
