"""``accelsim validate``: published figures against this build."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accelsim import outputs
from accelsim.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from accelsim.validate.compare import Verdict
    from accelsim.validate.rtl import Point


@click.command(epilog="Example: accelsim validate systolic")
@click.argument("engines", nargs=-1)
@click.option("-o", "output", type=click.Path(path_type=Path), help="Also write the table as markdown.")
@click.option("--rtl", "table", type=click.Path(path_type=Path), help="Compare a table of RTL cycles, row by row.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Of --rtl: draw its first convolutions (PNG).")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How to print.")
def command(engines: tuple[str, ...], output: Path | None, table: Path | None, picture: Path | None, form: str) -> None:
    """Compare published figures with this build: value, ours, error, verdict, what an agreement proves, source.

    Figures of the same work on the published machine are scored by kind (cycles, traffic, power, area, energy ratio);
    identities, formulas of others, fitted figures and means over other networks are counted beside. Exit status 1 when
    a figure is outside its band, or a known gap has grown. With --rtl, compare the rows of a table
    of cycles that RTL took; its columns say what kind it is, and the packaged tables how they are called.
    """
    if table is not None:
        _rtl(table, form, picture)
        return
    _published(engines, output, form)


def _rtl(path: Path, form: str, picture: Path | None) -> None:
    """Print every row of a table beside ours, then errors by design and memory, then over all."""
    from accelsim.validate import rtl

    points = rtl.measured(path)
    total = rtl.Summary.of(points)
    if picture is not None:
        _draw(picture, points)
    if form == "json":
        rows = [{**point.row, "cycles": point.cycles, "ours": point.ours} for point in points]
        figures = {"points": total.points, "mean_abs_error": total.mean_abs_error,
                   "median_abs_error": total.median_abs_error, "worst_abs_error": total.worst_abs_error}  # fmt: skip
        click.echo(json.dumps({**figures, "rows": rows}, indent=1))
        return
    width = max((len(point.name) for point in points), default=0)
    for point in points:
        shown = f"{point.ours:>12,}  {100 * point.error:+8.3f} %" if point.ours is not None else f"  {point.reason}"
        click.echo(f"{point.name:<{width}}  {point.group:<32}  {point.cycles:>12,}  {shown}")
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(point.group, []).append(point)
    click.echo()
    for name, found in (*groups.items(), ("all", points)):
        summary = rtl.Summary.of(found)
        click.echo(
            f"{name:<44} {summary.points:>5} points  mean {100 * summary.mean_abs_error:.3f} %  "
            f"median {100 * summary.median_abs_error:.3f} %  worst {100 * summary.worst_abs_error:.3f} %"
        )
    if left := len(points) - total.points:
        click.echo(f"{left} rows are out of what is modelled")


def _draw(path: Path, points: list[Point]) -> None:
    """Draw the convolutions of a table's first design and memory."""
    from accelsim.report import plots, rtl_plot

    drawn = [point for point in points if point.causes and point.group == points[0].group]
    if not drawn:
        raise ConfigError("the table has no convolutions to draw", "leave --plot out", key="--plot")
    rows = [rtl_plot.Bar(point.name, point.cycles, point.causes, point.workbook) for point in drawn]
    plots.save(plots.rtl_figure(drawn[0].group, rows), path)


def _published(engines: tuple[str, ...], output: Path | None, form: str) -> None:
    from accelsim.progress import Bar
    from accelsim.validate import compare, spread, table

    with Bar() as report:
        rows = compare.validate(engines, report)
    if form == "json":
        click.echo(json.dumps(spread.to_document(rows), indent=1))
    else:
        _print(rows)
    if output is not None:
        outputs.write(output, table.to_markdown(rows))
    if not all(row.passed for row in rows):
        sys.exit(1)


def _print(rows: list[Verdict]) -> None:
    """Print a row of figures for each case, and under it what an agreement proves, how it is judged, and the source."""
    from accelsim import terminal
    from accelsim.validate import spread, table

    console = terminal.console()
    heads = ("expected", "ours", "error", "verdict", "case (unit)")
    cells = [
        (table.figure(row.case.expected), table.figure(row.ours), table.error(row), row.verdict or "-",
         f"{row.case.case} ({row.case.unit})" if row.case.unit else row.case.case)
        for row in rows
    ]  # fmt: skip
    wide = [max(map(len, column)) for column in zip(heads, *cells, strict=True)][:4]

    def line(texts: Sequence[str]) -> None:
        expected, ours, error, verdict = (
            f"{text:{way}{width}}" for text, way, width in zip(texts, ">>><", wide, strict=False)
        )
        _folded(console, f"{expected}  {ours}  {error}  {verdict}  ", texts[4])

    line(heads)
    engine = ""
    for row, texts in zip(rows, cells, strict=True):
        if row.engine != engine:
            engine = row.engine
            console.print(f"[{engine}]", markup=False)
        line(texts)
        _folded(console, "    ", f"{row.case.proves}; {table.judged(row.case)}: {row.case.source}", "dim")
    for name in table.unvalidated(rows):
        console.print(f"{name} is unvalidated: all its figures are derived by hand")
    for told in (*spread.sentences(rows), table.count(rows)):
        console.print(told)


def _folded(console: Console, head: str, text: str, style: str = "") -> None:
    """Print a text behind a head, folded below itself."""
    from accelsim.report.table import hanging

    for found in hanging(head, text, console.width, style):
        console.print(found)
