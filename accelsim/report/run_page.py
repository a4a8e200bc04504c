"""The report of one run as an HTML page: totals, layers, roofline, configuration, sources, what is not modelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelsim.config.arch import unsourced
from accelsim.report import clocked, dram, facts, letters, nests, page, words
from accelsim.report.breakdown_plot import OTHERS, cycles_bars, energy_bars
from accelsim.report.page import Looks, Piece
from accelsim.report.roofline_page import NOTE, roofline
from accelsim.report.series import rows
from accelsim.results import LayerResult, NetworkResult
from accelsim.schedules import LayerTime

_HEADS = (
    ("#", "number"), ("layer", "text"), ("cycles", "number"), ("time %", "number"), ("cycles by cause", "bar"),
    ("occupancy %", "number"), ("stall %", "number"), ("DRAM read MB", "number"), ("DRAM write MB", "number"),
    ("energy uJ", "number"), ("energy by component", "bar"), ("MACs", "number"), ("bound by", "text"),
    ("kind", "text"), ("unit", "text"),
)  # fmt: skip


def to_html(result: NetworkResult) -> str:
    """Return the page as text; the same result gives the same text."""
    looks = Looks()
    drawn = rows(result, most=len(result.layers) + 1)
    layers = [layer for layer in result.simulated if layer.cycles or layer.total_energy_pj or layer.folded_into]
    cycles, cause_looks = cycles_bars(result, drawn)
    energy, component_looks = energy_bars(result, drawn)
    most, most_pj = (
        max((row.total_cycles for row in drawn), default=0),
        max((row.total_pj for row in drawn), default=0),
    )
    table, times, bars_of = [], clocked.by_layer(result), zip(drawn, cycles, energy, strict=True)
    for i, layer in enumerate(layers):
        bars = _bar("cycles", 0, []), _bar("energy", 0, [])
        if not layer.folded_into:
            row, spent, joules = next(bars_of)
            bars = (
                _bar("cycles", row.total_cycles / (most or 1), page.pieces(looks, spent, cause_looks)),
                _bar("energy", row.total_pj / (most_pj or 1), page.pieces(looks, joules, component_looks)),
            )
        table.append(_row(result, layer, f"layer{i}", bars, times.get(layer.name)))
    plot = roofline(result, {layer.name: f"layer{i}" for i, layer in enumerate(layers)})
    return page.render(
        "run.html",
        looks,
        {"kind": "run", "plots": [plot.data()] if plot else []},
        title=words.title(result),
        machine=words.machine(result),
        clocked=clocked.headline(result.schedule) if result.schedule else "",
        provenance=words.provenance(result),
        description=result.arch.get("description") or "",
        state=facts.status(result),
        totals=[
            (label, text.replace(" %", "\N{NO-BREAK SPACE}%"))
            for label, text in [*dram.totals(result), *clocked.totals(result)]
        ],
        cycles=page.pieces(looks, _time(result), cause_looks),
        energy=page.pieces(looks, _energy(result, component_looks), component_looks),
        worst=[words.why(result, alike) for alike in facts.worst_layers(result)],
        nothing_lost=words.nothing_lost(),
        advice=words.advice(result),
        advice_head=words.ADVICE,
        heads=[{"name": name, "kind": kind} for name, kind in _HEADS],
        rows=table,
        without=len(result.simulated) - len(layers),
        plots=[plot] if plot else [],
        roofline_note=NOTE,
        skipped=[
            (why, ", ".join(layer.name for layer in found)) for why, found in facts.skipped_by_reason(result).items()
        ],
        not_modelled=result.not_modelled,
        notes=result.notes,
        sources=_sources(result),
        unsourced=unsourced(result.arch),
        config=page.to_yaml(result.arch),
        options=page.to_yaml(
            {"network": result.network, "from": result.source, "batch": result.batch, **result.options}
        ),
    )


def _time(result: NetworkResult) -> dict[str, float]:
    return {words.of_cause(cause): share for cause, share in facts.time_shares(result).items()}


def _energy(result: NetworkResult, looks: Mapping[str, Any]) -> dict[str, float]:
    """Return the energy of the network by component, in joules."""
    found: dict[str, float] = {}
    for name, pj in result.energy_pj.items():
        key = name if name in looks else OTHERS
        found[key] = found.get(key, 0.0) + pj * 1e-12
    return found


def _sources(result: NetworkResult) -> list[tuple[str, str]]:
    whole = [("machine", str(result.arch["source"]))] if result.arch.get("source") else []
    network = [("network", result.source)] if result.source else []
    return whole + network + [(key, str(text)) for key, text in (result.arch.get("sources") or {}).items()]


def _bar(what: str, part: float, pieces: list[Piece]) -> dict[str, Any]:
    """Return a cell with a bar, whose length is the share of the largest layer."""
    return {"bar": what, "part": round(100 * part, 2), "pieces": pieces}


def _number(value: float, text: str) -> dict[str, Any]:
    return {"bar": "", "value": f"{value:.9g}", "text": text}


def _ratio(part: float, whole: float) -> dict[str, Any]:
    share = part / whole if whole else 0.0
    return _number(share, words.percent(share, ""))


def _small(value: float) -> dict[str, Any]:
    return _number(value, words.small(value))


def _text(text: str) -> dict[str, Any]:
    return {"bar": "", "value": "", "text": text}


def _row(
    result: NetworkResult, layer: LayerResult, name: str, bars: tuple[dict[str, Any], dict[str, Any]],
    time: LayerTime | None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "id": name,
        "name": layer.name,
        "words": _told(result, layer),
        "cells": [
            _number(layer.cycles, f"{layer.cycles:,}"),
            _ratio(layer.cycles, result.isolated_cycles),
            bars[0],
            _ratio(layer.occupancy, 1),
            _ratio(layer.stall_cycles, layer.cycles),
            _small(layer.dram_read_bits / 8e6),
            _small(layer.dram_write_bits / 8e6),
            _small(layer.total_energy_pj / 1e6),
            bars[1],
            _number(layer.macs or 0, f"{layer.macs:,}" if layer.macs else ""),
            _text(words.bound_of(layer)),
            _text(layer.kind),
            _text(layer.unit or ""),
        ],
        "why": words.why(result, [layer]) if facts.lost_cycles(layer) else "",
        "facts": _facts(result, layer) + ([("one clock", _place(time))] if time else []),
        "nest": nests.drawn(layer),
        "tables": _tables(layer),
    }


def _place(time: LayerTime) -> str:
    waits = f"; waited for {clocked.waited(time)}" if time.waits else ""
    return (
        f"{time.start_cycle:,} to {time.end_cycle:,}, {time.cycles:,} with waits, {time.isolated_cycles:,} alone{waits}"
    )


def _told(result: NetworkResult, layer: LayerResult) -> str:
    """Return what hovering says of a layer, and what the filter looks through."""
    if layer.folded_into:
        return f"{layer.name}\n{layer.kind}, {layer.reason}"
    share = layer.cycles / result.isolated_cycles if result.isolated_cycles else 0.0
    return (
        f"{layer.name}\n{layer.kind} on {layer.unit}, bound by {words.of_cause(layer.bound_by)}\n"
        f"{layer.cycles:,} cycles ({words.percent(share)} of all), occupancy {words.percent(layer.occupancy)}"
    )


def _facts(result: NetworkResult, layer: LayerResult) -> list[tuple[str, str]]:
    if layer.folded_into:
        done = f"{layer.folded_into}, where what it takes is counted"
        return [("shape", _pairs(layer.shape)), ("widths", _widths(layer)), ("folded into", done)]
    checked = {True: "equal to NumPy", False: "WRONG: not equal to NumPy", None: ""}[layer.checked]
    needed = {f"{name} bits/cycle": words.number(x) for name, x in layer.needed_bits_per_cycle.items()}
    found = [
        ("shape", _pairs(layer.shape)),
        ("widths", _widths(layer)),
        (f"mapping ({layer.mapping_source})", _pairs(layer.mapping)),
        ("where", letters.said(letters.of_layer(result, layer))),
        ("MACs", f"{layer.macs:,} dense, {layer.effective_macs:,} effective, {layer.performed_macs:,} performed"),
        ("cycles", f"from {layer.start_cycle:,}: {layer.compute_cycles:,} + {layer.stall_cycles:,} of DRAM stalls"),
        ("needs", _pairs(needed)),
        ("walked", layer.fidelity),
        (
            "DRAM",
            ", ".join(f"{head} {cell}" for head, cell in zip(dram.HEADS[1:], dram.row(layer)[1:], strict=True))
            if layer.dram
            else "",
        ),
        ("values", checked),
        ("counters", _pairs(layer.details)),
    ]
    return [(label, text) for label, text in found if text]


def _widths(layer: LayerResult) -> str:
    return _pairs({f"{name} bits": bits for name, bits in layer.bits.items() if bits})


def _pairs(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_brief(value)}" for key, value in found.items())


def _brief(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "x".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _tables(layer: LayerResult) -> list[dict[str, Any]]:
    found = []
    for kind, account in layer.accounts.items():
        total = sum(account.causes.values()) or 1
        lines = [
            (
                words.of_cause(cause),
                f"{account.causes[cause]:,}",
                words.percent(account.causes[cause] / total),
            )
            for cause in facts.in_order(account.causes)
            if account.causes[cause]
        ]
        found.append(
            page.table(f"{account.units:,} {kind}: unit-cycles by cause", ("cause", "unit-cycles", "share"), lines)
        )
    pj = layer.total_energy_pj or 1.0
    energy = [(name, words.number(e / 1e6), words.percent(e / pj)) for name, e in layer.energy_pj.items() if e]
    found.append(page.table("energy by component", ("component", "uJ", "share"), energy))
    flows = [(f"{row.boundary} {row.tensor} {row.direction}", f"{row.bits:,}") for row in layer.traffic]
    found.append(page.table("traffic", ("boundary, tensor, direction", "bits"), flows))
    buffers = [
        (name, f"{use.capacity_bits:,}", f"{use.peak_bits:,}", words.percent(use.peak_bits / (use.capacity_bits or 1)))
        for name, use in layer.buffers.items()
    ]
    found.append(page.table("buffers", ("buffer", "capacity, bits", "peak, bits", "share"), buffers))
    return [table for table in found if table["lines"]]
