"""``accelsim export``: a store as a table."""

from __future__ import annotations

from pathlib import Path

import click

from accelsim.basis import Incomplete
from accelsim.cli import comparing
from accelsim.cli.examples import SWEEP, example


@click.command(epilog=example(f"accelsim sweep {SWEEP} --store shape.db", "accelsim export shape.db -o shape.csv"))
@click.argument("store", type=click.Path(path_type=Path))
@click.option("-o", "output", type=click.Path(path_type=Path), required=True, metavar="FILE.csv|.parquet",
              help="Table to write; Parquet needs the extra 'table'.")  # fmt: skip
@comparing.incomplete
@click.option("--layers", is_flag=True, help="Rows per layer, of a store that keeps them.")
def command(store: Path, output: Path, layers: bool, incomplete: Incomplete) -> None:
    """Write the rows of STORE in the order of its sweep: the same bytes however it was run.

    Figures are of all layers that a point simulated. Where points of a network differ in that, columns common.* are
    over the layers that all of them simulate; 'ranks' says which rows compare.
    """
    from accelsim.explore.sweep import export
    from accelsim.explore.sweep.store import open_reader

    with open_reader(store) as opened:
        rows = export.write(opened, output, layers, incomplete)
        _, left = opened.counts()
    click.echo(f"{rows:,} rows: {output}")
    if left:
        click.echo(f"{left:,} points of the sweep have no result yet", err=True)
