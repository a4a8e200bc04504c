"""The result in a terminal: what a person reads first.

It adapts to the width of the console and to its encoding, and says everything without colour.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from accelsim.config.arch import unsourced
from accelsim.report import bar, clocked, dram, facts, words
from accelsim.report.columns import GAP, GOOD_NAME, Column, block_columns, columns, fit, narrowed, worked
from accelsim.results import LayerResult, NetworkResult
from accelsim.text import visible_all

MAX_REASONS = 8
"""Reasons for not simulating that the terminal lists; the files list all."""

HEAD_LINES = 3
_TIE = "\N{NO-BREAK SPACE}"
_LOOSE = re.compile(r" (?=%|<?[\d.]+ %)")
"""Where a line must not break: before a percentage and its sign."""
_FALLBACKS = str.maketrans({"…": "~", "─": "-", "█": "#", "▒": "="})


class ResultView:
    """A rich renderable: ``Console().print(ResultView(result))``.

    Title, one row per layer with its account as a bar, legend, what was not simulated and why, totals, the layers
    that lose most cycles and why, and what is not modelled. With a ``depth``, one row per block in place of one per
    layer (`NetworkResult.blocks`).
    """

    def __init__(self, result: NetworkResult, depth: int = 0) -> None:
        self.result, self.depth = visible_all(result), depth

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines, at most as wide as the console."""
        for line in _lines(self.result, self.depth, max(options.max_width, 40)):
            line.no_wrap, line.overflow = True, "crop"
            yield in_ascii(line) if options.ascii_only else line


def _lines(result: NetworkResult, depth: int, width: int) -> Iterator[Text]:
    yield from _title(result, width)
    yield Text()
    if result.schedule is not None:
        yield Text("each layer alone", "bold")
    layers = worked(result)
    if layers and depth:
        yield from _blocks(result, depth, width)
        yield Text()
    elif layers:
        shown, left_out = fit(columns(result, layers, _total_label(result)), width)
        yield from _table(layers, shown)
        yield from _legend(result, left_out, width)
        if cut := words.prefix([layer.name for layer in layers], GOOD_NAME):
            yield from hanging("", f"layer names are without '{cut}'", width, "dim")
        yield Text()
    if absent := list(_absent(result, len(layers), width)):
        yield from absent
        yield Text()
    yield from _totals(result, width)
    yield Text()
    if result.energy_tables:
        yield Text("by energy table", "bold")
        for line in words.by_tables(result):
            yield from hanging("  ", line, width, "", 4)
        yield Text()
    yield from _worst(result, width)
    yield from _dram(result)
    yield from _remarks(result, width)


def _title(result: NetworkResult, width: int) -> Iterator[Text]:
    text = Text(f"{result.network} on {result.arch_name}, batch {result.batch}", "bold")
    if state := facts.status(result):
        text.append(f"  {state}", "bold yellow")
    yield text
    if result.schedule is not None:
        yield from hanging("", clocked.headline(result.schedule), width)
    yield from hanging("", f"{words.machine(result)}; {words.provenance(result)}", width, "dim")


def _total_label(result: NetworkResult) -> str:
    return "PARTIAL total" if result.partial else "sum, alone" if result.schedule else "total"


def _table(layers: Sequence[LayerResult], shown: list[Column]) -> Iterator[Text]:
    for line in range(HEAD_LINES):
        yield joined([Text(column.padded(head_line(column, line)), "bold") for column in shown])
    rule = joined([Text("─" * column.width, "dim") for column in shown])
    yield rule
    for i, layer in enumerate(layers):
        yield joined([_bar(layer, c) if c.name == "account" else Text(c.padded(c.cells[i])) for c in shown])
    yield rule.copy()
    yield joined([Text(column.padded(column.cells[-1]), "bold") for column in shown])


def _blocks(result: NetworkResult, depth: int, width: int) -> Iterator[Text]:
    """Yield a row per block."""
    shown, left_out = narrowed(block_columns(result, depth, _total_label(result)), width)
    for line in range(HEAD_LINES):
        yield joined([Text(column.padded(head_line(column, line)), "bold") for column in shown])
    rule = joined([Text("─" * column.width, "dim") for column in shown])
    *rows, total = zip(*([column.padded(cell) for cell in column.cells] for column in shown), strict=True)
    yield rule
    yield from (joined([Text(cell) for cell in row]) for row in rows)
    yield rule.copy()
    yield joined([Text(cell, "bold") for cell in total])
    if left_out:
        yield from hanging("", f"too narrow for: {', '.join(left_out)}", width, "dim")


def head_line(column: Column, line: int) -> str:
    """Return one line of a column's head, which stands on the rule below it."""
    missing = HEAD_LINES - len(column.head)
    return column.head[line - missing] if line >= missing else ""


def joined(cells: list[Text]) -> Text:
    """Return the cells of a row side by side."""
    row = Text(" " * GAP).join(cells)
    row.rstrip()
    return row


def _bar(layer: LayerResult, column: Column) -> Text:
    if layer.folded_into:
        return Text(column.padded(layer.reason or ""), "dim")
    text = Text()
    for cause, n in bar.cells(layer, column.width):
        text.append(bar.char(cause) * n, bar.STYLES.get(cause, ""))
    text.pad_right(column.width - len(text))
    return text


def _legend(result: NetworkResult, left_out: list[str], width: int) -> Iterator[Text]:
    entries = []
    for cause in facts.all_causes(result):
        mark, meaning = bar.legend(cause)
        entries.append(Text.assemble((mark, bar.STYLES.get(cause, "")), (f" {meaning}", "dim")))
    line = Text("bar: ", "dim")
    for i, entry in enumerate(entries):
        if i and line.cell_len + entry.cell_len + 3 > width:
            yield line
            line = Text("     ")
        elif i:
            line.append("   ")
        line.append_text(entry)
    yield line
    if left_out:
        yield from hanging("", f"too narrow for: {', '.join(left_out)} (layers.csv has all)", width, "dim")


def _absent(result: NetworkResult, shown: int, width: int) -> Iterator[Text]:
    """Yield what has no row: renamings without work, and dim, by reason, the layers that were not simulated."""
    if without := len(result.simulated) - shown:
        yield Text(f"without work: {without} layers (renamings)", "dim")
    groups = dict[str, list[LayerResult]]()
    for reason, layers in facts.skipped_by_reason(result).items():
        groups.setdefault(facts.nearest_refusal(reason, facts.unit_names(result)), []).extend(layers)
    if not groups:
        return
    number = sum(map(len, groups.values()))
    yield Text(f"not simulated: {number} of {len(result.layers)} layers", "yellow")
    ranked = sorted(groups.items(), key=lambda item: -len(item[1]))
    for reason, layers in ranked[:MAX_REASONS]:
        yield from hanging("  ", f"{_names(layers)}: {reason}", width, "dim")
    if rest := sum(len(layers) for _, layers in ranked[MAX_REASONS:]):
        yield Text(f"  {rest} more layers for {len(ranked) - MAX_REASONS} other reasons", "dim")


def _names(layers: list[LayerResult], most: int = 3) -> str:
    names = ", ".join(layer.name for layer in layers[:most])
    return f"{names} and {len(layers) - most} more" if len(layers) > most else names


def _totals(result: NetworkResult, width: int) -> Iterator[Text]:
    state = facts.status(result)
    yield Text(f"totals ({state})" if state else "totals", "bold")
    for label, value in [*dram.totals(result), *clocked.totals(result)]:
        yield from hanging(f"  {label:9} ", value, width, "bold red" if value.startswith("WRONG") else "")


def _worst(result: NetworkResult, width: int) -> Iterator[Text]:
    worst = facts.worst_layers(result)
    if worst:
        yield Text("most cycles are lost in", "bold")
        for rank, layers in enumerate(worst, 1):
            yield from hanging(f"  {rank}. ", words.why(result, layers), width)
    elif result.simulated:
        yield Text(words.nothing_lost())
    if lines := words.advice(result):
        yield from hanging("", words.ADVICE, width, "bold")
        for line in lines:
            yield from hanging("  ", line, width, "", 4)


def _dram(result: NetworkResult) -> Iterator[Text]:
    """Yield the layers to which a DRAM device adds most cycles."""
    if worst := dram.worst(result):
        rest = len(dram.layers(result)) - len(worst)
        yield Text()
        more = f" ({rest} more in report.md)" if rest else ""
        yield Text(f"most cycles are added by the DRAM device in{more}", "bold")
        yield from (
            Text(f"  {line}")
            for line in dram.aligned([dram.short(dram.HEADS), *(dram.short(dram.row(layer)) for layer in worst)])
        )


def _remarks(result: NetworkResult, width: int) -> Iterator[Text]:
    if result.not_modelled:
        yield Text()
        yield from hanging("not modelled: ", words.not_modelled(result), width, "dim", 2)
    if missing := unsourced(result.arch):
        yield from hanging("unsourced: ", f"{', '.join(missing)} (no source in the machine file)", width, "dim", 2)
    for note in result.notes:
        yield from hanging("note: ", note, width, "dim", 2)


def hanging(head: str, text: str, width: int, style: str = "", indent: int | None = None) -> Iterator[Text]:
    """Yield ``head`` and ``text`` in lines of at most ``width`` cells, later ones indented as far as ``head``."""
    margin = " " * (len(head) if indent is None else indent)
    line = head
    fresh = True
    for word in _LOOSE.sub(_TIE, text).split(" "):
        if not fresh and Text(line).cell_len + 1 + Text(word).cell_len > width:
            yield Text(line.replace(_TIE, " "), style)
            line, fresh = margin, True
        line += word if fresh else f" {word}"
        fresh = False
    yield Text(line.replace(_TIE, " "), style)


def in_ascii(line: Text) -> Text:
    """Return the line in characters that any console can show."""
    found = line.copy()
    found.plain = line.plain.translate(_FALLBACKS).encode("ascii", "replace").decode()
    return found
