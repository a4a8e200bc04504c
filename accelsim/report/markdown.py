"""The result as report.md: what a person keeps, pastes into an issue or commits."""

from __future__ import annotations

import re

import yaml

from accelsim.config.arch import unsourced
from accelsim.report import clocked, dram, facts, letters, nests, words
from accelsim.report.document import plain
from accelsim.results import LayerResult, NetworkResult
from accelsim.schedules import NetworkSchedule
from accelsim.text import markdown, visible_all
from accelsim.version import __version__

_COLUMNS = (
    "layer",
    "kind",
    "unit",
    "MACs",
    "cycles",
    "occupancy",
    "stalls",
    "DRAM read MB",
    "DRAM write MB",
    "energy uJ",
    "bound by",
    "mapping",
)
_TOTALS = ("total", "value")
_TEXT_COLUMNS = ("layer", "kind", "unit", "bound by", "mapping")


def to_markdown(result: NetworkResult) -> str:
    """Return report.md as text, ending in a newline."""
    missing, result = unsourced(result.arch), visible_all(result)
    parts = [
        f"# {markdown(words.title(result))}",
        *([f"{clocked.headline(result.schedule)}."] if result.schedule else []),
        f"accelsim {__version__}; {markdown(_provenance(result))}.",
        f"## Totals{_tag(result)}",
        _table(
            _TOTALS,
            [[label, markdown(text)] for label, text in [*dram.totals(result), *clocked.totals(result)]],
            _TOTALS,
        ),
        "## Worst layers",
        _bullets([words.why(result, layers) for layers in facts.worst_layers(result)], words.nothing_lost()),
        *_remedies(result),
        f"## Layers{_tag(result)}",
        _table(_COLUMNS, [_row(layer) for layer in result.simulated], _TEXT_COLUMNS),
        *_one_clock(result.schedule),
        *_dram(result),
        *(f"Mapping on {markdown(unit)}: {markdown(letters.said(of))}." for unit, of in letters.of_run(result).items()),
        *(["## Energy tables", _bullets(words.by_tables(result), "")] if result.energy_tables else []),
        *_nests(result),
        *_skipped(result),
        "## Not modelled",
        _bullets(list(result.not_modelled), "Nothing was listed by the engines that ran."),
        *(["## Notes", _bullets(list(result.notes), "")] if result.notes else []),
        "## Resolved configuration",
        *([f"Numbers without a source (unsourced): {markdown(', '.join(missing))}."] if missing else []),
        _fenced(yaml.safe_dump(plain(result.arch, "arch"), sort_keys=False, allow_unicode=True)),
    ]
    return "\n\n".join(parts) + "\n"


def _one_clock(schedule: NetworkSchedule | None) -> list[str]:
    """Return a row per layer of a network on one clock."""
    if schedule is None:
        return []
    rows = [[markdown(cell) for cell in row] for row in clocked.rows(schedule)]
    found = ["## One clock", _table(clocked.COLUMNS, rows, clocked.TEXT_COLUMNS)]
    return (
        [*found, "## Folded", _bullets(list(map(markdown, clocked.folds(schedule))), "")] if schedule.folded else found
    )


def _remedies(result: NetworkResult) -> list[str]:
    lines = words.advice(result)
    return ["## Remedies", f"{words.ADVICE}:", _bullets(lines, "")] if lines else []


def _fenced(text: str) -> str:
    """Return text in a fence that nothing in it closes."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"{fence}yaml\n{text}{fence}"


def _provenance(result: NetworkResult) -> str:
    options = ", ".join(f"{key} {plain(value, 'options')}" for key, value in result.options.items())
    priced = f"; {words.prices(result)}" if result.prices else ""
    return f"network from {result.source or 'memory'}; {options}{priced}"


def _tag(result: NetworkResult) -> str:
    state = facts.status(result)
    return f" ({state})" if state else ""


def _row(layer: LayerResult) -> list[str]:
    return [
        markdown(layer.name),
        layer.kind,
        markdown(layer.unit or ""),
        words.macs(layer.macs),
        f"{layer.cycles:,}",
        words.percent(layer.occupancy),
        words.percent(layer.stall_cycles / layer.cycles if layer.cycles else 0.0),
        words.megabytes(layer.dram_read_bits),
        words.megabytes(layer.dram_write_bits),
        words.number(layer.total_energy_pj / 1e6),
        markdown(words.bound_of(layer)),
        markdown(", ".join(f"{key}={_brief(value)}" for key, value in layer.mapping.items())),
    ]


def _brief(value: object) -> str:
    found = plain(value, "mapping")
    return "x".join(map(str, found)) if isinstance(found, list) else str(found)


def _dram(result: NetworkResult) -> list[str]:
    """Return what the DRAM device did, layer by layer; nothing without one."""
    rows = [[markdown(cell) for cell in dram.row(layer)] for layer in dram.layers(result)]
    return [f"## DRAM{_tag(result)}", _table(dram.HEADS, rows, ("layer",))] if rows else []


def _nests(result: NetworkResult) -> list[str]:
    """Return the loops of the worst layers that are tiled."""
    found = [(alike[0].name, nests.drawn(alike[0])) for alike in facts.worst_layers(result)]
    parts = [f"`{name}`:\n\n```text\n{nest}```" for name, nest in found if nest]
    return ["## Loops of the worst layers", *parts] if parts else []


def _skipped(result: NetworkResult) -> list[str]:
    groups = facts.skipped_by_reason(result)
    if not groups:
        return []
    rows = [[markdown(reason), str(len(layers)), markdown(_names(layers))] for reason, layers in groups.items()]
    return ["## Not simulated", _table(("reason", "layers", "names"), rows, ("reason", "names"))]


def _names(layers: list[LayerResult]) -> str:
    return ", ".join(layer.name for layer in layers)


def _table(head: tuple[str, ...], rows: list[list[str]], left: tuple[str, ...]) -> str:
    rule = [":---" if name in left else "---:" for name in head]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [list(head), rule, *rows])


def _bullets(items: list[str], empty: str) -> str:
    return "\n".join(f"- {markdown(item)}" for item in items) if items else empty
