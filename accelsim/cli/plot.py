"""``accelsim plot``: a picture of a store or of reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from accelsim.basis import Incomplete
from accelsim.cli import comparing, pricing
from accelsim.cli.examples import SWEEP, example
from accelsim.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from accelsim.report.points import Compared

KINDS = ("edp", "pareto", "breakdown", "account", "utilization", "roofline", "timeline", "gantt", "buffers", "heatmap")
OF_ONE_REPORT = ("roofline", "timeline", "gantt", "buffers")
BY_LAYER = ("breakdown", "utilization", *OF_ONE_REPORT)
"""Kinds that show the layers of one report."""
PARTS = {"breakdown": "energy", "account": "cycles", "utilization": "shares"}
"""Kinds that stack the parts of each point -> which parts."""


@click.command(epilog=example(f"accelsim sweep {SWEEP} --store shape.db", "accelsim plot shape.db pareto -o shape.png"))
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="STORE|REPORT.json...")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("-o", "output", type=click.Path(path_type=Path),
              help="PNG file; by default <SOURCE>-<KIND>.png beside the first source.")  # fmt: skip
@click.option("--network", help="Of a store: only this network.")
@click.option("--where", metavar="CONDITION", help="Of a store: only points that meet a condition, as in a sweep file.")
@comparing.incomplete
@comparing.base
@pricing.options
@click.option("--sort", "ordered", is_flag=True, help="Bars: the least first, not in the order of the sweep.")
@click.option("--x", help="Heat map: key of the horizontal axis.")
@click.option("--y", help="Heat map: key of the vertical axis.")
@click.option("--value", default=None, help="Heat map: figure to show, the first objective by default.")
def command(
    sources: tuple[Path, ...], kind: str, output: Path | None, network: str | None, where: str | None,
    incomplete: Incomplete, base: str | None, ordered: bool, energy_table: str | None, node: float | None, **named: Any,
) -> None:  # fmt: skip
    """Draw a picture of a STORE of a sweep, or of one or several report.json files.

    Of a store: edp (bars over the first point), pareto (two objectives, the front named), breakdown (energy by
    component), account (cycles by cause), utilization (shares of the cycles), heatmap (a figure over two axes). Of one
    report: breakdown, utilization, roofline and timeline by layer; of a network on one clock gantt, and buffers (what
    lives there, at which address, from when to when). Of several reports: edp, breakdown, account, utilization, pareto,
    a point per report.

    Points of a network compare over the layers that all of them simulate. With several networks, edp and pareto have
    a panel of geometric means. Where clocks differ, time stands in place of cycles.
    """
    from accelsim.report import plots

    target = output or sources[0].with_name(f"{sources[0].stem}-{kind}.png")
    if target.suffix.lower() != ".png":
        raise click.UsageError(f"pictures are PNG files: end '{target}' in .png.")
    of_reports = all(source.suffix == ".json" for source in sources)
    for value, option in ((network, "--network"), (where, "--where")):
        if value is not None and of_reports:
            raise click.UsageError(f"{option} is for stores: a report.json holds one run.")
    for name, value in named.items():
        if value is not None and kind != "heatmap":
            raise click.UsageError(f"--{name} is for a heatmap, not for {kind}.")
    if base is not None and kind not in ("edp", "pareto"):
        raise click.UsageError(f"--base is for edp and pareto, not for {kind}.")
    if ordered and kind not in ("edp", *PARTS):
        raise click.UsageError(f"--sort is for bars, not for {kind}.")
    pricing.sets(energy_table, node)
    how = How(incomplete, base, ordered)
    if of_reports:
        figure = _of_reports(sources, kind, how, energy_table, node)
    elif energy_table is not None or node is not None:
        problem = "a store holds energies, not what was counted"
        remedy = f"sweep again with {'--energy-table' if energy_table else '--node'} into another store"
        raise ConfigError(problem, remedy, file=str(sources[0]))
    elif len(sources) == 1:
        figure = _of_store(sources[0], kind, network, where, named, how)
    else:
        raise click.UsageError("one store, or several report.json files.")
    plots.save(figure, target)
    click.echo(str(target))


class How(NamedTuple):
    """How points are compared: those that cover less, the design that others are compared with, the least first."""

    incomplete: Incomplete
    base: str | None
    ordered: bool


def _of_reports(sources: tuple[Path, ...], kind: str, how: How, energy_table: str | None, node: float | None) -> Figure:
    from accelsim.report import plots, points
    from accelsim.report.reader import read_report
    from accelsim.repricing import repriced

    results = [repriced(read_report(source), energy_table, node) for source in sources]
    if kind in OF_ONE_REPORT and len(results) > 1:
        raise click.UsageError(f"a {kind} is drawn of one report.")
    if kind in BY_LAYER and len(results) == 1:
        figure: Figure = getattr(plots, f"{kind}_figure")(results[0])
        return figure
    if kind == "heatmap":
        raise click.UsageError("a heat map is drawn of a store.")
    title = f"{len(results)} reports" if len(results) > 1 else f"{results[0].network} on {results[0].arch_name}"
    return _draw(points.of_results(results, how.incomplete), kind, ["time_s", "total_energy_pj"], title, how)


def _of_store(path: Path, kind: str, network: str | None, where: str | None, named: dict[str, Any], how: How) -> Figure:
    from accelsim.explore.sweep import choose
    from accelsim.report import plots

    if kind in OF_ONE_REPORT:
        raise click.UsageError(f"a {kind} is drawn of a report.json: 'accelsim run' writes one.")
    meta, _, keys, compared, _, left = choose.of_store(path, network, where, how.incomplete)
    title = meta["question"] or meta["name"]
    title += f" ({left:,} points are still to run)" if left else ""
    objectives = json.loads(meta["objectives"])
    if kind != "heatmap":
        return _draw(compared, kind, objectives, title, how)
    value = compared.objectives([named["value"] or objectives[0]])[0]
    axes = choose.heat_axes(compared.points, keys, named["x"], named["y"], value)
    return plots.heatmap_figure(compared, axes, value, title)


def _draw(compared: Compared, kind: str, objectives: list[str], title: str, how: How) -> Figure:
    from accelsim.explore.sweep import choose
    from accelsim.report import plots, points

    base = points.named(compared.points, how.base)
    if kind == "edp":
        return plots.edp_figure(compared, title, base, how.ordered)
    if kind in PARTS:
        return plots.parts_figure(compared, title, PARTS[kind], how.ordered)
    objectives = compared.objectives(objectives)
    if len(objectives) < 2:
        raise click.UsageError("a Pareto picture needs two objectives.")
    pair = (objectives[0], objectives[1])
    whole = [*compared.points, *points.with_means(compared.points, pair, base)]
    return plots.pareto_figure(compared._replace(points=whole), choose.on_front(whole, pair), pair, title)
