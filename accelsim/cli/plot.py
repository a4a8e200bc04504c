"""``accelsim plot``: a picture of a store or of reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from accelsim.report.points import Shown

KINDS = ("edp", "pareto", "breakdown", "account", "utilization", "roofline", "timeline", "heatmap")
OF_ONE_REPORT = ("roofline", "timeline")
BY_LAYER = ("breakdown", "utilization", *OF_ONE_REPORT)
"""Kinds that show the layers of one report."""
PARTS = {"breakdown": "energy", "account": "cycles", "utilization": "shares"}
"""Kinds that stack the parts of each point -> which parts."""


@click.command(epilog="Example: accelsim plot shape.db pareto -o shape.png")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="STORE|REPORT.json...")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("-o", "output", type=click.Path(path_type=Path), help="PNG file; <SOURCE>-<KIND>.png by default.")
@click.option("--network", help="Of a store: only this network.")
@click.option("--where", metavar="CONDITION", help="Of a store: only points that meet a condition, as in a sweep file.")
@click.option("--x", help="Heat map: key of the horizontal axis.")
@click.option("--y", help="Heat map: key of the vertical axis.")
@click.option("--value", default=None, help="Heat map: figure to show, the first objective by default.")
def command(
    sources: tuple[Path, ...], kind: str, output: Path | None, network: str | None, where: str | None, **named: Any
) -> None:
    """Draw a picture of a STORE of a sweep, or of one or several report.json files.

    Of a store: edp (bars over the first point), pareto (two objectives, the front named), breakdown (energy by
    component), account (cycles by cause), utilization (shares of the cycles), heatmap (a figure over two axes). Of one
    report: breakdown, utilization, roofline and timeline by layer. Of several reports: edp, breakdown, account,
    utilization, pareto, a point per report.
    """
    from accelsim.report import plots

    target = output or Path(f"{sources[0].stem}-{kind}.png")
    if target.suffix.lower() != ".png":
        raise click.UsageError(f"pictures are PNG files: end '{target}' in .png.")
    of_reports = all(source.suffix == ".json" for source in sources)
    for value, option in ((network, "--network"), (where, "--where")):
        if value is not None and of_reports:
            raise click.UsageError(f"{option} is for stores: a report.json holds one run.")
    for name, value in named.items():
        if value is not None and kind != "heatmap":
            raise click.UsageError(f"--{name} is for a heatmap, not for {kind}.")
    if of_reports:
        figure = _of_reports(sources, kind)
    elif len(sources) == 1:
        figure = _of_store(sources[0], kind, network, where, named)
    else:
        raise click.UsageError("one store, or several report.json files.")
    plots.save(figure, target)
    click.echo(str(target))


def _of_reports(sources: tuple[Path, ...], kind: str) -> Figure:
    from accelsim.report import plots, points
    from accelsim.report.reader import read_report

    results = [read_report(source) for source in sources]
    if kind in OF_ONE_REPORT and len(results) > 1:
        raise click.UsageError(f"a {kind} is drawn of one report.")
    if kind in BY_LAYER and len(results) == 1:
        figure: Figure = getattr(plots, f"{kind}_figure")(results[0])
        return figure
    if kind == "heatmap":
        raise click.UsageError("a heat map is drawn of a store.")
    title = f"{len(results)} reports" if len(results) > 1 else f"{results[0].network} on {results[0].arch_name}"
    return _draw(points.of_results(results), kind, ["cycles", "total_energy_pj"], title)


def _of_store(path: Path, kind: str, network: str | None, where: str | None, named: dict[str, Any]) -> Figure:
    from accelsim.explore import choose
    from accelsim.report import plots

    if kind in OF_ONE_REPORT:
        raise click.UsageError(f"a {kind} is drawn of a report.json: 'accelsim run' writes one.")
    meta, _, keys, shown, _, left = choose.of_store(path, network, where)
    title = meta["question"] or meta["name"]
    title += f" ({left:,} points are still to run)" if left else ""
    objectives = json.loads(meta["objectives"])
    if kind != "heatmap":
        return _draw(shown, kind, objectives, title)
    value = named["value"] or objectives[0]
    axes = choose.heat_axes(shown, keys, named["x"], named["y"], value)
    return plots.heatmap_figure(shown, axes, value, title)


def _draw(shown: list[Shown], kind: str, objectives: list[str], title: str) -> Figure:
    from accelsim.explore import choose
    from accelsim.report import plots

    if kind == "edp":
        return plots.edp_figure(shown, title)
    if kind in PARTS:
        return plots.parts_figure(shown, title, PARTS[kind])
    if len(objectives) < 2:
        raise click.UsageError("a Pareto picture needs two objectives.")
    pair = (objectives[0], objectives[1])
    return plots.pareto_figure(shown, choose.on_front(shown, pair), pair, title)
