"""From what the passes took to the layer's account, events, buffers and details."""

from __future__ import annotations

import numpy as np

from accelsim.activity import Activity, Event
from accelsim.engines.row_stationary import schedule
from accelsim.engines.row_stationary.plan import Plan
from accelsim.engines.row_stationary.walk import Walked
from accelsim.memory.timeline import dram_traffic
from accelsim.units import KIB_BITS


def activity(plan: Plan, walked: Walked, values: np.ndarray | None) -> Activity:
    """Return everything that a walk says of the layer."""
    cut, params, macs = plan.cut, plan.cut.params, plan.view.macs
    performed = plan.input_macs if params.zero_gating else macs
    steps = schedule.schedule(cut, walked.cycles, plan.source, plan.sink)
    on_chip = schedule.on_chip(cut, plan.view, performed)
    passes = schedule.passes(cut)
    total, pes = walked.total, params.rows * params.cols
    causes = {
        "busy": plan.effective_macs,
        "zero": macs - plan.effective_macs,
        "padding": passes * cut.slots * cut.used_pes - macs,
        "unmapped": (pes - cut.used_pes) * total.cycles,
        "fill_drain": total.fill_drain,
        "starved": total.starved,
        "conflict": total.conflict,
    }
    return Activity(
        compute_cycles=total.cycles,
        accounts={"pes": causes},
        traffic={**dram_traffic(steps, plan.machine.dram), **on_chip},
        events={
            Event("macs", "mac"): performed,
            Event("macs", "gated"): macs - performed,
            Event("bus", "transfer"): schedule.bus_bits(on_chip),
        },
        schedule=steps,
        buffers=_buffers(plan),
        details={
            "processing_cycles": total.cycles,
            "passes": passes,
            "active_pes": cut.used_pes,
            "glb_array_bits": schedule.glb_array_bits(on_chip),
            "input_coded": int(plan.source.coded_bits is not None),
            "output_coded": int(plan.sink.coded_bits is not None),
        },
        performed_macs=performed,
        values=values,
    )


def _buffers(plan: Plan) -> dict[str, tuple[int, int]]:
    """Return capacity and peak of the buffer's parts, and of one PE's spads."""
    cut, p, mp, conv = plan.cut, plan.cut.params, plan.cut.mapping, plan.cut.conv
    channels, filters, images = min(cut.channels, mp.q * mp.r), min(cut.filters, mp.m), min(conv.n, mp.n)
    held = min(filters, mp.p * mp.t)
    ifmap = images * channels * cut.strip_rows * cut.strip_words
    psum = images * filters * mp.e * conv.f
    bank = p.bank_kib * KIB_BITS
    words = {
        "glb.fmaps": (p.fmap_banks * bank, ifmap + psum),
        "glb.filters": (p.filter_banks * bank, held * channels * conv.r * conv.s),
        "pe.filters": (p.filter_spad_words * p.word_bits, min(mp.p, held) * min(mp.q, channels) * conv.s),
        "pe.inputs": (p.ifmap_spad_words * p.word_bits, min(mp.q, channels) * conv.s),
        "pe.psums": (p.psum_spad_words * p.word_bits, min(mp.p, held)),
    }
    return {name: (capacity, count * p.word_bits) for name, (capacity, count) in words.items()}
