"""``accelsim validate``: published figures against this build."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from accelsim import outputs


@click.command(epilog="Example: accelsim validate systolic")
@click.argument("engines", nargs=-1)
@click.option("-o", "output", type=click.Path(path_type=Path), help="Also write the table as markdown.")
def command(engines: tuple[str, ...], output: Path | None) -> None:
    """Compare published figures with this build: value, ours, error, verdict, kind, source.

    Exit status 1 when a figure is outside its band, or a known gap has closed.
    """
    from rich.table import Table

    from accelsim.cli import terminal
    from accelsim.cli.run import progress
    from accelsim.validate import compare, table

    with progress() as report:
        rows = compare.validate(engines, report)
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("engine", "case", "expected", "ours", "error", "verdict", "kind", "source"):
        grid.add_column(name, justify="right" if name in ("expected", "ours", "error") else "left", overflow="fold")
    for row in rows:
        case = row.case
        grid.add_row(row.engine, case.case, f"{table.figure(case.expected)} {case.unit}", table.figure(row.ours),
                     table.error(row), row.verdict or "-", case.kind, f"{case.origin}: {case.source}")  # fmt: skip
    console = terminal.console(160)
    console.print(grid)
    for name in table.unvalidated(rows):
        console.print(f"{name} is unvalidated: all its figures are derived by hand")
    console.print(table.count(rows))
    if output is not None:
        outputs.write(output, table.to_markdown(rows))
    if not all(row.passed for row in rows):
        sys.exit(1)
