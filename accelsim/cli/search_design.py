"""``accelsim search design``: the best designs of a sweep's space without running all of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from accelsim.cli import executor
from accelsim.cli.examples import SWEEP, example
from accelsim.cli.live import Live, duration

if TYPE_CHECKING:
    from accelsim.explore.search.design import Found, SearchProgress
    from accelsim.explore.search.distance import Distance

SHOWN = 40
"""Rows of the table of the front."""


@click.command(epilog=example(f"accelsim search design {SWEEP} --store shape.db --budget 200"))
@click.argument("file", metavar="SPACE.yaml", type=click.Path(path_type=Path))
@click.option("--store", type=click.Path(path_type=Path, dir_okay=False), required=True,
              help="SQLite file of the results.")  # fmt: skip
@click.option("--method", type=click.Choice(["nsga2", "cma", "random"]), default="nsga2", show_default=True,
              help="NSGA-II, an evolution strategy (CMA-ES), or random draws.")  # fmt: skip
@click.option("--budget", type=click.IntRange(1), default=500, show_default=True,
              help="Designs to try; a space with no more legal ones is run whole.")  # fmt: skip
@click.option("--objective", "objectives", multiple=True, metavar="FIGURE",
              help="What to minimise, in place of the file's objectives; repeatable.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the search.")
@click.option("--against", type=click.Path(path_type=Path, dir_okay=False), metavar="STORE",
              help="Store of a whole sweep of SPACE.yaml: says how far the front is from the exact one.")  # fmt: skip
@executor.options
@click.option("--keep", type=click.Choice(["totals", "layers"]), default="totals", show_default=True,
              help="Rows to store: per point, or per layer too.")  # fmt: skip
@click.option("--format", "style", type=click.Choice(["table", "csv"]), default="table", show_default=True,
              help="How to print the front.")  # fmt: skip
def command(
    file: Path, store: Path, method: str, budget: int, objectives: tuple[str, ...], seed: int, keep: str, style: str,
    against: Path | None, **where: Any,
) -> None:  # fmt: skip
    """Look for the best designs of SPACE.yaml, a sweep file, without running all of them.

    A design is simulated on all networks of the file; its objectives are geometric means over them. The same command
    resumes a search that was stopped, and a larger budget goes on from a smaller one.
    """
    from accelsim.explore.search import design as search

    settings = search.Settings(method, budget, seed, objectives)
    workers, make = executor.chosen(**where)
    line = Live()

    def report(progress: SearchProgress) -> None:
        line.show(_progress(progress))

    try:
        found = search.run(
            file, store, settings, against=against, workers=workers, make_executor=make,
            keep_layers=keep == "layers", report=report,
        )  # fmt: skip
    except search.Interrupted as stopped:
        line.clear()
        click.echo(f"stopped: {stopped.tried:,} designs were tried, their results are in {store}", err=True)
        click.echo("the same command goes on from there", err=True)
        sys.exit(130)
    line.clear()
    if style == "csv":
        from accelsim.explore.sweep.export import to_csv

        click.echo(to_csv(search.rows(found)), nl=False)
    else:
        _print_table(found)
    for text in _said(found, file, store):
        click.echo(text, err=style == "csv")
    if found.failed:
        click.echo(f"{found.failed:,} designs failed: their rows in the store say why", err=True)
        sys.exit(1)


def _progress(progress: SearchProgress) -> str:
    eta = "" if progress.eta_s is None else f", {duration(progress.eta_s)} to go"
    generation = f"  generation {progress.generation}" if progress.generation else ""
    pace = f"{progress.tried:,}/{progress.budget:,} designs  {progress.per_s:.3g}/s{eta}"
    return f"{pace}{generation}  front {progress.front:,}"


def _said(found: Found, file: Path, store: Path) -> list[str]:
    """Return what is to be known about a search besides its front."""
    legal = "legal ones not counted" if found.legal is None else f"{found.legal:,} of them legal"
    lines = [f"{found.tried:,} designs tried of {found.space:,} ({legal}), {found.simulated:,} points simulated; "
             f"{len(found.front):,} on the front; results: {store}"]  # fmt: skip
    if found.why == "exhaustive":
        lines.append("exhaustive: the budget covers all legal designs, so all were run and the front is exact")
    elif found.why == "stale":
        lines.append("ended before the budget was spent: the method proposed nothing new for many generations")
    if found.distance is not None and found.why != "exhaustive":
        lines.append(_far(found.distance))
    elif found.why != "exhaustive":
        how = f"'accelsim sweep {file} --store ALL.db', then --against ALL.db"
        lines.append(f"how far this is from the exact front is not known; {how}, tells it where that can be run")
    for number, what in ((found.unmapped, "could not be mapped"),
                         (found.partial, "leave out layers that others simulate and are not compared")):  # fmt: skip
        lines += [f"{number:,} designs {what}"] if number else []
    lines += [f"area leaves out {', '.join(parts)} of {machine}" for machine, parts in found.no_area.items() if parts]
    return lines


def _far(distance: Distance) -> str:
    hit = distance.exact - distance.missed
    start = f"against the exact front: {hit:,} of its {distance.exact:,} points found"
    if not distance.missed:
        return f"{start}: the front is exact"
    return (
        f"{start}, {100 * distance.hypervolume:.2f} % of its hypervolume; "
        f"what was found comes within {100 * (distance.factor - 1):.2g} % of every point"
    )


def _print_table(found: Found) -> None:
    from rich.table import Table

    from accelsim import terminal
    from accelsim.explore.search import design as search
    from accelsim.report.points import scale

    rows = search.rows(found)
    if not rows:
        click.echo(f"no design has figures for {', '.join(found.objectives)}")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    given = [key for key in rows[0] if key not in found.objectives]
    for key in given:
        table.add_column(key, justify="left" if isinstance(rows[0][key], str) else "right")
    factors = {}
    for name in found.objectives:
        factors[name], title = scale(name, max(row[name] for row in rows))
        table.add_column(title, justify="right")
    for row in rows[:SHOWN]:
        figures = [f"{row[name] * factors[name]:.4g}" for name in found.objectives]
        table.add_row(*(str(row[key]) for key in given), *figures)
    terminal.console(160).print(table)
    if len(rows) > SHOWN:
        click.echo(f"... and {len(rows) - SHOWN:,} more: --format csv prints all")
