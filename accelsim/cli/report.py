"""``accelsim report``: a run or a sweep as one HTML file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from accelsim import outputs
from accelsim.basis import Incomplete
from accelsim.cli import comparing, pricing
from accelsim.cli.examples import example
from accelsim.errors import ConfigError

if TYPE_CHECKING:
    from accelsim.report.sweep_page import Sweep


@click.command(epilog=example("accelsim report reports/alexnet-edge_npu/report.json -o alexnet.html"))
@click.argument("source", type=click.Path(path_type=Path), metavar="STORE|REPORT.json")
@click.option("-o", "output", type=click.Path(path_type=Path), help="HTML file; <SOURCE>.html by default.")
@click.option("--network", help="Of a store: only this network.")
@click.option("--where", metavar="CONDITION", help="Of a store: only points that meet a condition, as in a sweep file.")
@comparing.incomplete
@comparing.base
@pricing.options
def command(
    source: Path, output: Path | None, network: str | None, where: str | None, incomplete: Incomplete,
    base: str | None, energy_table: str | None, node: float | None,
) -> None:  # fmt: skip
    """Write a report.json of a run, or the STORE of a sweep, as one HTML file.

    The file is complete and opens offline, in any browser. Of a run: totals, a table of layers to sort and filter, the
    roofline, the resolved configuration. Of a sweep: the objectives against each other, where dragging over points
    shows their configurations.
    """
    target = output or source.with_suffix(".html")
    if source.suffix == ".json":
        if network or where or base or incomplete != "common":
            raise click.UsageError("--network, --where, --incomplete and --base are for points of a store.")
        from accelsim.report import run_page
        from accelsim.report.reader import read_report
        from accelsim.repricing import repriced

        text = run_page.to_html(repriced(read_report(source), energy_table, node))
    elif energy_table is not None or node is not None:
        remedy = f"sweep again with {'--energy-table' if energy_table else '--node'} into another store"
        raise ConfigError("a store holds energies, not what was counted", remedy, file=str(source))
    else:
        from accelsim.explore.sweep.choose import on_front
        from accelsim.report import sweep_page

        text = sweep_page.to_html(sweep_of(source, network, where, incomplete, base), on_front)
    outputs.write(target, text)
    click.echo(str(target))


def sweep_of(
    path: Path, network: str | None = None, where: str | None = None, incomplete: Incomplete = "common",
    base: str | None = None,
) -> Sweep:  # fmt: skip
    """Return what a page says of a store.

    Raises
    ------
    ConfigError
        No store, or no point to show.
    """
    from accelsim.explore.sweep import choose
    from accelsim.report import points
    from accelsim.report.sweep_page import Sweep

    meta, rows, keys, compared, total, left = choose.of_store(path, network, where, incomplete)
    shown = compared.points
    refused = Counter(f"{row['status']}: {row['reason']}" for row in rows if row["status"] != "ok")
    chosen = f", {len(shown):,} of them shown" if network or where else f", {len(shown):,} have figures"
    still = f", {left:,} still to run" if left else ""
    machines, known, not_modelled = _machines(meta, {str(row["machine"]) for row in rows})
    return Sweep(
        title=meta["question"] or meta["name"],
        summary=f"Sweep {meta['name']}: {total:,} points{chosen}{still}.",
        provenance=f"Figures of accelsim {meta['model']}. {known}",
        compared=compared,
        base=points.named(shown, base),
        keys=keys,
        objectives=compared.objectives(json.loads(meta["objectives"])),
        refused=refused,
        document=json.loads(meta["sweep"]),
        machines=machines,
        not_modelled=not_modelled,
    )


def _machines(meta: dict[str, str], names: set[str]) -> tuple[dict[str, Any], str, list[str]]:
    """Return the machines that this build can still resolve, a sentence on the others, and what is not modelled."""
    from accelsim.config import packaged
    from accelsim.explore.sweep.identity import model_version
    from accelsim.simulation import load_arch, not_modelled

    if meta["model"] != model_version():
        return {}, "This build is another one, so it does not say how the machines were resolved.", []
    found: dict[str, Any] = {}
    items: dict[str, None] = {}
    for name in sorted(names & set(packaged.names("arch_configs"))):
        arch = load_arch(name)
        found[name] = arch.config
        items |= dict.fromkeys(not_modelled(arch, [unit.name for unit in arch.units]))
    others = sorted(names - set(found))
    return found, f"Not packaged, and therefore not shown here: {', '.join(others)}." if others else "", list(items)
