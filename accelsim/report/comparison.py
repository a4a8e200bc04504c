"""A comparison in a terminal, as Markdown, csv and JSON, and what a reader must know of its figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from accelsim import basis
from accelsim.charges import UNDECLARED
from accelsim.comparison import COLUMNS, GAINS, Comparison, ComparisonRow, Flip
from accelsim.report import facts, machines, words
from accelsim.report.columns import Column, column, narrowed
from accelsim.report.document import plain
from accelsim.report.table import HEAD_LINES, hanging, head_line, in_ascii, joined
from accelsim.results import NetworkResult
from accelsim.text import csv_text, json_text, markdown, visible
from accelsim.units import si
from accelsim.version import __version__

_HEADS = (
    ("machine", ("machine",), 0),
    ("layers run", ("layers", "run"), 5),
    ("time", ("time",), 0),
    ("speed-up", ("speed-", "up"), 0),
    ("energy", ("energy",), 1),
    ("energy gain", ("energy", "gain"), 1),
    ("EDP gain", ("EDP", "gain"), 2),
    ("DRAM", ("DRAM",), 3),
    ("occupancy", ("occ.", "%"), 4),
    ("TOPS/W", ("TOPS", "/W"), 6),
    ("area", ("area", "mm2"), 7),
)
"""Columns of the table: name, head, and which goes first where there is no room (the largest number)."""

HEAD_NAMES = tuple(f"{name} {head[-1]}" if head[-1] in ("%", "mm2") else name for name, head, _ in _HEADS)
MEANS = "all networks"
AREAS = "areas leave out"
"""Begins the note on areas."""


def heading(comparison: Comparison, network: str) -> str:
    """Return what stands over the rows of a network: its batch, what the figures are over, whether that is partial."""
    rows = comparison.by_network[network]
    ran = [row.whole for row in rows if row.whole is not None]
    if not ran:
        return f"{network}: nothing was simulated"
    state = facts.table_kind(ran[0])
    partial = [row for row in rows if row.over is not None and row.partial]
    title = f"{network}, batch {ran[0].batch}"
    if partial:
        shared = partial[0].shared
        which = "each over what it ran" if shared is None else f"over the {basis.ran_of(*shared)} that all ran"
        state = ", ".join(word for word in (f"PARTIAL: {which}", state) if word)
    return f"{title} ({state})" if state else title


def machine_lines(comparison: Comparison) -> list[str]:
    """Return each machine that ran with its size, clock, widths and bandwidth."""
    return [f"{arch}: {machines.line(results)}" for arch, results in _results(comparison).items()]


def _results(comparison: Comparison) -> dict[str, list[NetworkResult]]:
    found: dict[str, list[NetworkResult]] = {}
    for row in comparison.rows:
        if row.over is not None:
            found.setdefault(row.arch, []).append(row.over)
    return found


def notes(comparison: Comparison) -> list[str]:
    """Return what must be said beside the figures."""
    rows = [row for row in comparison.rows if row.over is not None]
    said = []
    if any(row.partial for row in rows) and any(not row.ranks for row in rows):
        rest = ", ".join(f"{row.arch} ({_ran(row)} of {row.network})" for row in rows if not row.ranks)
        said.append(f"not ranked, since others ran more: {rest}")
    if comparison.dropped:
        rest = ", ".join(f"{row.arch} ({_ran(row)} of {row.network})" for row in comparison.dropped)
        said.append(f"left out, since others ran more: {rest}")
    said.append(f"gains are {comparison.base}'s figure over the machine's: more is better")
    tables = sorted({str(row.over.options.get("energy_table")) for row in rows if row.over is not None})
    said.append(f"energy priced by {', '.join(tables)}")
    if (differ := basis.prices_differ(tables)) is not None:
        said.append(differ)
    widths = {arch: machines.widths(results) for arch, results in _results(comparison).items()}
    if (other := machines.differ(widths)) is not None:
        said.append(other)
    said += tables_said(comparison)
    missing = {row.arch: row.whole.area_missing for row in rows if row.whole is not None and row.whole.area_missing}
    if missing:
        said.append(
            f"{AREAS} components without figures: "
            + "; ".join(f"{', '.join(names)} of {arch}" for arch, names in missing.items())
        )
    if bare := [arch for arch, names in missing.items() if any(UNDECLARED in name for name in names)]:
        said.append(f"{UNDECLARED}: energy leaves out the clock of {', '.join(bare)}")
    if len(comparison.ranked) > 1 and not comparison.means:
        said.append(f"no mean over networks: {comparison.base} does not rank on all of them")
    return said


def tables_said(comparison: Comparison) -> list[str]:
    """Return what a change of the energy table would turn round, where all tables were asked for."""
    asked = [row.over for row in comparison.rows if row.over is not None and row.over.energy_tables]
    if not asked:
        return []
    left = sorted({f"{p.table} ({p.reason})" for over in asked for p in over.energy_tables if p.reason})
    said = [_flip(flip) for flip in comparison.flips]
    count = len({price.table for over in asked for price in over.energy_tables if not price.reason})
    said = said or [f"no pair of machines changes its order by any of {count} energy tables"]
    return said + ([f"energy tables left out: {'; '.join(left)}"] if left else [])


def _flip(flip: Flip) -> str:
    what = {"total_energy_pj": "energy", "edp_pj_s": "energy-delay product"}[flip.figure]
    return (
        f"{flip.network}, {what}: {flip.first} is better by {', '.join(flip.first_by)}; "
        f"{flip.second} by {', '.join(flip.second_by)}"
    )


def _by_tables(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {"network": row.network, "arch": row.arch, **price._asdict()}
        for row in comparison.rows
        for price in (row.over.energy_tables if row.over is not None else ())
    ]


def failures(comparison: Comparison) -> list[str]:
    """Return the pairs that did not run, and why."""
    return [f"{row.arch} on {row.network}: {row.reason}" for row in comparison.rows if row.over is None]


def to_json(comparison: Comparison) -> str:
    """Return the comparison as JSON text."""
    found = {
        "schema": 1,
        "accelsim": __version__,
        "base": comparison.base,
        "incomplete": comparison.incomplete,
        "machines": machine_lines(comparison),
        "notes": notes(comparison),
        "geometric_means": comparison.means,
        "rows": comparison.to_rows(),
    }
    if by_tables := _by_tables(comparison):
        found |= {"energy_tables": by_tables, "flips": [flip._asdict() for flip in comparison.flips]}
    return json_text(json.dumps(plain(found), indent=1, ensure_ascii=False, allow_nan=False)) + "\n"


def to_csv(comparison: Comparison) -> str:
    """Return the rows as csv text, with a header; behind their keys what the machine is, empty where nothing ran."""
    lines = {arch: machines.line(results) for arch, results in _results(comparison).items()}
    rows = ([*(row[name] for name in COLUMNS), lines.get(row["arch"])] for row in comparison.to_rows())
    return csv_text([(*COLUMNS, "machine"), *rows])


def to_markdown(comparison: Comparison) -> str:
    """Return the tables as Markdown, a heading for each network."""
    lines = []
    for network, rows in comparison.by_network.items():
        lines += [
            f"## {markdown(heading(comparison, network))}",
            "",
            *_grid(HEAD_NAMES, [cells(comparison, r) for r in rows]),
        ]
    if comparison.means:
        gains = ["machine", "speed-up", "energy gain", "EDP gain"]
        lines += [f"## {MEANS} ({mean_words(comparison)})", "", *_grid(gains, mean_cells(comparison))]
    if failed := failures(comparison):
        lines += ["## Did not run", "", *(f"- {markdown(text)}" for text in failed), ""]
    if told := machine_lines(comparison):
        lines += ["## Machines", "", *(f"- {markdown(text)}" for text in told), ""]
    lines += ["## Notes", "", *(f"- {markdown(text)}" for text in notes(comparison)), ""]
    return "\n".join([f"# {markdown(title(comparison))}", "", *lines])


def _grid(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    rows = [[markdown(text) for text in line] for line in cells]
    rule = "| :--- |" + " ---: |" * (len(heads) - 1)
    return ["| " + " | ".join(heads) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows), ""]


def title(comparison: Comparison) -> str:
    """Return what is compared."""
    archs, networks = comparison.archs, list(comparison.by_network)
    shown = f"{networks[0]}" if len(networks) == 1 else f"{len(networks)} networks"
    return f"{', '.join(archs)} on {shown}" if len(archs) <= 4 else f"{len(archs)} machines on {shown}"


def times(gain: float | None) -> str:
    """Return a gain as a factor: ``2.73x``."""
    return "-" if gain is None else f"{gain:.3g}x" if gain < 1000 else f"{gain:,.0f}x"


def _ran(row: ComparisonRow) -> str:
    assert row.whole is not None
    return basis.ran_of(len(row.whole.simulated), len(row.whole.layers))


def cells(comparison: Comparison, row: ComparisonRow) -> list[str]:
    """Return the texts of a row under `HEAD_NAMES`."""
    whole, over = row.whole, row.over
    ran = f"{len(whole.simulated)} of {len(whole.layers)}" if whole is not None else "-"
    if whole is None or over is None:
        return [row.arch, ran, *["-"] * (len(_HEADS) - 2)]
    flat = comparison.flat(row)
    return [
        row.arch,
        ran,
        si(over.time_s, "s"),
        times(flat["speed_up"]),
        si(over.total_energy_pj * 1e-12, "J"),
        times(flat["energy_gain"]),
        times(flat["edp_gain"]),
        si(over.dram_bits / 8, "B"),
        words.percent(over.occupancy, ""),
        words.number(flat["tops_per_w"]),
        words.number(flat["area_mm2"]) if flat["area_mm2"] is not None else "-",
    ]


def mean_words(comparison: Comparison) -> str:
    """Return over how many networks means are."""
    return f"geometric mean over {len(comparison.ranked)} networks"


def mean_cells(comparison: Comparison) -> list[list[str]]:
    """Return the means over networks as texts: a machine and its gains per line."""
    return [[arch, *(times(comparison.means[gain].get(arch)) for gain in GAINS)] for arch in comparison.archs]


class ComparisonView:
    """A rich renderable: a table per network, means over networks, and what a reader must know.

    Names are never cut: where the terminal is narrow, columns go, and are named.
    """

    def __init__(self, comparison: Comparison) -> None:
        rows, dropped = (tuple(map(_visible, found)) for found in (comparison.rows, comparison.dropped))
        self.comparison = replace(comparison, rows=rows, dropped=dropped, base=visible(comparison.base))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines, at most as wide as the console."""
        for line in _lines(self.comparison, max(options.max_width, 40)):
            line.no_wrap, line.overflow = True, "crop"
            yield in_ascii(line) if options.ascii_only else line


def _visible(row: ComparisonRow) -> ComparisonRow:
    reason = row.reason and visible(row.reason)
    return replace(row, network=visible(row.network), arch=visible(row.arch), reason=reason)


def _lines(comparison: Comparison, width: int) -> Iterator[Text]:
    tables = {name: [cells(comparison, row) for row in rows] for name, rows in comparison.by_network.items()}
    shown, left_out = narrowed(_columns([line for lines in tables.values() for line in lines]), width)
    first = 0
    for network, lines in tables.items():
        yield from hanging(
            "", heading(comparison, network), width, "bold yellow" if _partial(comparison, network) else "bold"
        )
        yield from _table(shown, range(first, first + len(lines)))
        first += len(lines)
        yield Text()
    if comparison.means:
        gains = ("machine", "speed-up", "energy gain", "EDP gain")
        heads = {name: head for name, head, _ in _HEADS}
        found = zip(gains, zip(*mean_cells(comparison), strict=True), strict=True)
        columns = [column(name, heads[name], list(texts), left=name == "machine") for name, texts in found]
        columns = [Column(c.name, c.head, c.cells, max(c.width, _width(shown, c.name)), 0, c.left) for c in columns]
        yield from hanging("", f"{MEANS}: {mean_words(comparison)}", width, "bold")
        yield from _table(columns, range(len(comparison.archs)))
        yield Text()
    if left_out:
        yield from hanging("", f"too narrow for: {', '.join(left_out)} (--format csv has all)", width, "dim")
    for text in machine_lines(comparison):
        yield from hanging("", text, width, "dim", 2)
    for text in failures(comparison):
        yield from hanging("did not run: ", text, width, "yellow", 2)
    for text in notes(comparison):
        if not (text.startswith(AREAS) and "area" in left_out):
            yield from hanging("", text, width, "dim", 2)


def _partial(comparison: Comparison, network: str) -> bool:
    return any(row.over is not None and row.partial for row in comparison.by_network[network])


def _columns(cells: Sequence[Sequence[str]]) -> list[Column]:
    texts = list(zip(*cells, strict=True))
    return [
        column(name, head, list(found), dispensable, left=name == "machine")
        for (name, head, dispensable), found in zip(_HEADS, texts, strict=True)
    ]


def _width(shown: Sequence[Column], name: str) -> int:
    return next((found.width for found in shown if found.name == name), 0)


def _table(shown: Sequence[Column], rows: range) -> Iterator[Text]:
    for line in range(HEAD_LINES):
        head = joined([Text(found.padded(head_line(found, line)), "bold") for found in shown])
        if head.plain.strip():
            yield head
    yield joined([Text("─" * found.width, "dim") for found in shown])
    for i in rows:
        yield joined([Text(found.padded(found.cells[i])) for found in shown])
