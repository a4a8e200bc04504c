"""From counts to an activity, and the counts in closed form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step
from accelsim.compressed.columns import Column, Steps, in_rows, on_bus, pieces_on_bus, smaller, told
from accelsim.compressed.sizes import Held, Size, moved, on_chip
from accelsim.engine import Counted
from accelsim.memory.timeline import dram_traffic
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.shapes import Conv2d


class Counts(NamedTuple):
    """Cycles, and slots of multipliers by what they do."""

    cycles: int
    products: int
    padding: int
    imbalance: int
    unmapped: int


class Fit(NamedTuple):
    """Output channels that share an input vector, whether activations stay, and the bands of an image if not."""

    kc: int
    resident: bool
    bands: int


def fit(view: Any, conv: Any, params: Any) -> Fit:
    """Return how a layer fits the accumulators and the activation RAMs."""
    te, tf = ceil_div(conv.e, params.pe_rows), ceil_div(conv.f, params.pe_cols)
    kc = smaller(conv.k // conv.groups, params.accumulator_entries // (te * tf))
    pixels = view.input.elements // conv.n * view.input.width
    outputs = view.output.elements // conv.n * view.output.width
    held = Held(params.activation_kib * KIB_BITS * params.pe_rows * params.pe_cols, conv.n * (pixels + outputs))
    bands = smaller(te, ceil_div(pixels + outputs, held.room_bits))
    return Fit(kc, held.fits & params.activations_stay, bands)


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
    return Activity(
        compute_cycles=counts.cycles,
        accounts={"multipliers": _account(plan, counts)},
        traffic={**dram_traffic(schedule, plan.machine.dram), **_on_chip(plan)},
        events=_events(plan),
        schedule=schedule,
        buffers={"pe.accumulators": (p.accumulator_entries * p.accumulator_bits, _accumulators(plan))},
        details={"kc": plan.kc, "bands": plan.bands, "resident": int(plan.resident)},
        performed_macs=plan.effective_macs if p.gating else conv.macs,
        values=values,
    )


def columns(plan: Any) -> Counted:
    """Return the counts of layers: the conv, the tensors and all numbers of ``plan`` are columns."""
    conv: Any = plan.conv
    dram, counts = plan.machine.dram, count(conv, plan.params)
    te: Column = ceil_div(conv.e, plan.params.pe_rows)
    cut = plan.bands * ~plan.resident + plan.resident
    steps = Steps.of(conv.n * cut)
    owner, moves, pieces = steps.owner, ~plan.resident[steps.owner], cut[steps.owner]
    image, band = np.divmod(steps.place, pieces)
    before = np.cumsum(conv.n) - conv.n  # images of the layers before

    def moved(sizes: Size) -> Column:
        parts: tuple[Column, ...] = sizes
        whole = Size(*(part[before[owner] + image] for part in parts))
        return pieces_on_bus(whole, band, pieces, dram) * moves

    height = te[owner]
    rows = height * (band + 1) // pieces - height * band // pieces
    weights = on_bus(plan.view.weight.elements * plan.view.weight.width, dram)[owner]
    row: Column = counts.cycles // conv.n // te
    laid = in_rows(moved(plan.input_bits) + weights, rows * row[owner], moved(plan.output_bits))
    performed = plan.effective_macs if plan.params.gating else conv.macs
    return told(plan.view, counts.cycles, performed, _account(plan, counts), _events(plan), _on_chip(plan),
                laid, steps.first)  # fmt: skip


def _account(plan: Any, counts: Counts) -> dict[str, int]:
    return {
        "busy": plan.effective_macs,
        "zero": counts.products - plan.effective_macs,
        "padding": counts.padding,
        "imbalance": counts.imbalance,
        "unmapped": counts.unmapped,
    }


def _events(plan: Any) -> dict[Event, int]:
    macs, effective = plan.conv.macs, plan.effective_macs
    if not plan.params.gating:
        return {Event("macs", "mac"): macs}
    return {Event("macs", "mac"): effective, Event("macs", "gated"): macs - effective}


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
    moves = 1 - plan.resident
    bands, pes = plan.bands * moves + plan.resident, p.pe_rows * p.pe_cols
    dots = outputs * pieces(conv, p.lanes)
    inputs = view.input.elements * in_bits
    return on_chip(
        ("pe.activations", "input", "read", vectors * in_bits),
        ("pe.vector", "input", "write", vectors * in_bits),
        ("pe.vector", "input", "read", conv.macs * in_bits),
        ("pe.weights", "weight", "write", view.weight.elements * w_bits * conv.n * bands * pes),
        ("pe.weights", "weight", "read", conv.macs * w_bits),
        ("pe.accumulators", "psum", "read", (dots + outputs) * acc),
        ("pe.accumulators", "psum", "write", dots * acc),
        ("pe.activations", "output", "write", outputs * view.output.width),
        ("pe.activations", "input", "write", inputs * moves),
        ("pe.activations", "output", "read", outputs * view.output.width * moves),
    )
