"""A comparison as an HTML page: machines side by side, in total and layer by layer, with causes and energy by class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from accelsim.comparison import Comparison, ComparisonRow
from accelsim.report import classes, facts, page, palette, words
from accelsim.report import comparison as texts
from accelsim.report.page import Looks
from accelsim.report.palette import Look
from accelsim.results import LayerResult, NetworkResult
from accelsim.units import si

_CAUSES = {words.of_cause(cause): look for cause, look in palette.CAUSES.items()}


class Cell(NamedTuple):
    """A cell of a table: text, or a bar whose length is ``part`` percent of the largest."""

    text: str = ""
    bar: str = ""
    part: float = 0.0
    pieces: Sequence[page.Piece] = ()


def to_html(comparison: Comparison, options: Mapping[str, Any]) -> str:
    """Return the page as text; the same comparison gives the same text. ``options`` are what was asked for."""
    machines = {row.arch: row.whole for row in reversed(comparison.rows) if row.whole is not None}
    how = _How(Looks(), {name: classes.of_result(whole) for name, whole in machines.items()})
    networks = [_network(how, comparison, name, i) for i, name in enumerate(comparison.by_network)]
    return page.render(
        "compare.html",
        how.looks,
        {"kind": "compare"},
        title=texts.title(comparison),
        notes=[*texts.machine_lines(comparison), *texts.notes(comparison)],
        networks=networks,
        means=texts.mean_cells(comparison) if comparison.means else [],
        mean_title=f"{texts.MEANS}: {texts.mean_words(comparison)}" if comparison.means else "",
        mean_heads=("machine", "speed-up", "energy gain", "EDP gain"),
        failures=texts.failures(comparison),
        not_modelled=[(name, machines[name].not_modelled) for name in comparison.archs if name in machines],
        configs=[(name, page.to_yaml(machines[name].arch)) for name in comparison.archs if name in machines],
        options=page.to_yaml(dict(options)),
    )


class _How(NamedTuple):
    """Looks so far, and machine -> component -> class."""

    looks: Looks
    machines: Mapping[str, Mapping[str, str]]

    def energy(self, row: ComparisonRow, of: NetworkResult | LayerResult | None) -> dict[str, float]:
        """Return the energy of a row's network or layer by class, in pJ."""
        return {} if of is None else classes.by_class(of.energy_pj, self.machines[row.arch])


def _network(how: _How, comparison: Comparison, name: str, number: int) -> dict[str, Any]:
    rows = [row for row in comparison.by_network[name] if row.over is not None]
    slowest = max((row.over.time_s for row in rows if row.over is not None), default=0.0)
    dearest = max((row.over.total_energy_pj for row in rows if row.over is not None), default=0.0)
    totals = []
    for row in comparison.by_network[name]:
        cells = [Cell(text) for text in texts.cells(comparison, row)]
        if row.over is not None:
            cells += _bars(how, row, row.over, slowest, dearest)
        totals.append(cells)
    return {
        "id": f"network{number}",
        "heading": texts.heading(comparison, name),
        "heads": [*texts.HEAD_NAMES, "time by cause", "energy by class"],
        "totals": totals,
        "causes": _legend(how.looks, _CAUSES, {words.of_cause(c) for row in rows for c in _causes(row.over)}),
        "classes": _legend(how.looks, classes.LOOKS, {c for row in rows for c in how.energy(row, row.over)}),
        "layer_heads": ["layer", "kind", "MACs", *(text for row in rows for text in _layer_heads(row))],
        "layers": _layers(how, rows),
    }


def _causes(result: NetworkResult | None) -> list[str]:
    return facts.all_causes(result) if result is not None else []


def _legend(looks: Looks, known: Mapping[str, Look], used: Iterable[str]) -> list[tuple[str, str]]:
    wanted = set(used)
    return [(looks.name(look), name) for name, look in known.items() if name in wanted]


def _layer_heads(row: ComparisonRow) -> list[str]:
    return [f"{row.arch}: {what}" for what in ("time", "by cause", "energy", "by class", "bound by")]


def _layers(how: _How, rows: Sequence[ComparisonRow]) -> list[list[Cell]]:
    """Return a line per layer that any row is over, in the order of the network, with the same cells per machine."""
    if not rows:
        return []
    by_row = [{layer.name: layer for layer in row.over.layers} if row.over else {} for row in rows]
    shown = {layer.name: layer for mine in by_row for layer in mine.values()}
    place: dict[str, int] = {}
    for row in rows:
        for i, layer in enumerate(row.whole.layers if row.whole is not None else ()):
            place.setdefault(layer.name, i)
            place.setdefault(layer.parent or layer.name, i)

    def at(layer: LayerResult) -> tuple[int, bool]:
        """Return where a layer stands: parts behind what another machine has as their whole."""
        own = layer.parent if layer.parent in shown else layer.name
        return place[own], own != layer.name

    order = sorted(shown.values(), key=at)
    found = [(row, layer) for row, mine in zip(rows, by_row, strict=True) for layer in mine.values()]
    slowest = max((_time_s(row, layer) for row, layer in found), default=0.0)
    dearest = max((layer.total_energy_pj for _, layer in found), default=0.0)
    lines = []
    for layer in order:
        cells = [Cell(layer.name), Cell(layer.kind), Cell(f"{layer.macs:,}" if layer.macs else "")]
        for row, mine in zip(rows, by_row, strict=True):
            cells += _layer_cells(how, row, mine.get(layer.name), slowest, dearest)
        lines.append(cells)
    return lines


def _layer_cells(
    how: _How, row: ComparisonRow, layer: LayerResult | None, slowest: float, dearest: float
) -> list[Cell]:
    if layer is None or row.over is None:
        return [Cell("not run"), *[Cell()] * 4]
    time, energy = _bars(how, row, layer, slowest, dearest)
    seconds, joules = si(_time_s(row, layer), "s"), si(layer.total_energy_pj * 1e-12, "J")
    return [Cell(seconds), time, Cell(joules), energy, Cell(words.bound_of(layer))]


def _time_s(row: ComparisonRow, layer: LayerResult) -> float:
    return layer.cycles / (row.over.clock_mhz * 1e6) if row.over is not None else 0.0


def _bars(how: _How, row: ComparisonRow, of: NetworkResult | LayerResult, slowest: float, dearest: float) -> list[Cell]:
    """Return the bar of time by cause and that of energy by class, of a network or of a layer."""
    if isinstance(of, NetworkResult):
        shares, what, time_s = facts.time_shares(of), row.arch, of.time_s
    else:
        shares = {cause: facts.share(of, cause) for cause in facts.causes(of)}
        what, time_s = f"{row.arch}, {of.name}", _time_s(row, of)
    causes = {words.of_cause(cause): share for cause, share in shares.items()}
    return [
        Cell("", f"time of {what}", _percent(time_s, slowest), page.pieces(how.looks, causes, _CAUSES)),
        Cell(
            "", f"energy of {what}", _percent(of.total_energy_pj, dearest),
            page.pieces(how.looks, how.energy(row, of), classes.LOOKS),
        ),
    ]  # fmt: skip


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 2) if whole else 0.0
