"""``accelsim sweep``: many points from a sweep file into a store."""

from __future__ import annotations

import sys
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from accelsim.basis import Incomplete
from accelsim.cli import comparing, executor, pricing
from accelsim.cli.examples import SWEEP, example
from accelsim.cli.live import Live, duration

if TYPE_CHECKING:
    from accelsim.explore.sweep.run import Counts, SweepProgress


class _Shard(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """``i/n``."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return (i, n)."""
        if isinstance(value, tuple):
            return value
        part, slash, whole = str(value).partition("/")
        if not (slash and part.isdigit() and whole.isdigit() and 1 <= int(part) <= int(whole)):
            self.fail(f"'{value}' is no shard; write for example 1/4", param, ctx)
        return int(part), int(whole)


@click.command(epilog=example(f"accelsim sweep {SWEEP} --store shape.db --workers 2"))
@click.argument("file", metavar="SWEEP.yaml", type=click.Path(path_type=Path))
@click.option("--store", type=click.Path(path_type=Path, dir_okay=False), help="SQLite file of the results.")
@executor.options
@click.option("--shard", type=_Shard(), default=(1, 1), metavar="i/n", help="Only the i-th of n parts.")
@click.option("--keep", type=click.Choice(["totals", "layers"]), default="totals", show_default=True,
              help="Rows to store: per point, or per layer too.")  # fmt: skip
@comparing.incomplete
@comparing.base
@pricing.options
@click.option("--dry-run", is_flag=True, help="Only check the file and count its points.")
def command(
    file: Path, store: Path | None, shard: tuple[int, int], keep: str, dry_run: bool, incomplete: Incomplete,
    base: str | None, energy_table: str | None, node: float | None, **where: Any,
) -> None:  # fmt: skip
    """Simulate every point of SWEEP.yaml into a store. The same command resumes a sweep that was stopped.

    The last lines name the best designs of each network and over all of them: --incomplete and --base are for these.
    """
    from accelsim.explore.sweep import run as sweep

    sets = dict(pricing.sets(energy_table, node))
    if dry_run:
        click.echo(_planned(sweep.count(file, sets)))
        return
    if store is None:
        raise click.UsageError("--store FILE is missing: where the results go.")
    show = _Show()
    workers, make = executor.chosen(**where)
    try:
        end = sweep.run(
            file, store, workers=workers, make_executor=make, keep_layers=keep == "layers", shard=shard, report=show,
            sets=sets,
        )  # fmt: skip
    except sweep.Interrupted as stopped:
        show.clear()
        click.echo(f"stopped: {stopped.done:,} of {stopped.to_run:,} points were run and stored in {store}", err=True)
        click.echo("the same command goes on from there", err=True)
        sys.exit(130)
    show.clear()
    for line in _leaders(store, incomplete, base):
        click.echo(line)
    click.echo(_summary(end, store))
    if end.failed:
        click.echo(f"{end.failed:,} points failed: their rows say why; the same command tries them again", err=True)
        sys.exit(1)


def _leaders(store: Path, incomplete: Incomplete, base: str | None) -> list[str]:
    from accelsim.explore.sweep import choose
    from accelsim.report import leaders, points

    compared, objectives = choose.leading(store, incomplete)
    return leaders.lines(compared, objectives, points.named(compared.points, base), get_terminal_size().columns)


def _planned(counts: Counts) -> str:
    parts = [f"{counts.points:,} points", f"{counts.to_run:,} to run"]
    parts += [f"{counts.reused:,} done already"] if counts.reused else []
    parts += [f"{counts.excluded:,} ruled out beforehand"] if counts.excluded else []
    parts += [f"{counts.elsewhere:,} in other shards"] if counts.elsewhere else []
    return ", ".join(parts)


def _summary(end: SweepProgress, store: Path) -> str:
    ran = f"{end.pace.done:,} points run at {end.pace.per_s:.3g}/s" if end.pace.done else "nothing left to run"
    front = f"{end.front:,} on the front"
    bad = [f"{end.illegal:,} illegal"] if end.illegal else []
    walks = [
        f"{count:,} of {end.pace.done:,} points walk: {'' if name.startswith('a ') else 'engine '}{name}"
        for name, count in end.pace.walked.items()
    ]
    return "\n".join([f"{ran}; {', '.join([front, *bad])}; results: {store}", *walks])


class _Show:
    """Counts and an estimate before the run, then one line that is rewritten on a terminal."""

    def __init__(self) -> None:
        self._started = self._estimated = False
        self._line = Live()

    def __call__(self, progress: SweepProgress) -> None:
        if not self._started:
            self._started = True
            click.echo(_planned(progress.counts), err=True)
        if progress.pace.eta_s is not None and not self._estimated:
            self._estimated = True
            self.clear()
            click.echo(f"about {duration(progress.pace.eta_s)} to go at this pace", err=True)
        self._line.show(_line(progress))

    def clear(self) -> None:
        self._line.clear()


def _line(progress: SweepProgress) -> str:
    pace = progress.pace
    left = "" if pace.eta_s is None else f", {duration(pace.eta_s)} to go"
    parts = [f"{pace.done:,}/{pace.done + pace.left:,}", f"{pace.per_s:.3g}/s{left}", f"front {progress.front:,}"]
    parts += [f"{progress.illegal:,} illegal"] if progress.illegal else []
    parts += [f"{progress.failed:,} FAILED"] if progress.failed else []
    return "  ".join(parts)
