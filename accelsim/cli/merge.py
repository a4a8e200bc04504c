"""``accelsim merge``: the stores of shards as one."""

from __future__ import annotations

from pathlib import Path

import click

from accelsim.cli.examples import SWEEP, example


@click.command(
    epilog=example(
        f"accelsim sweep {SWEEP} --store 1.db --shard 1/2",
        f"accelsim sweep {SWEEP} --store 2.db --shard 2/2",
        "accelsim merge 1.db 2.db -o both.db",
    )
)
@click.argument("stores", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="STORE...")
@click.option("-o", "output", type=click.Path(path_type=Path), required=True, help="Store to make.")
def command(stores: tuple[Path, ...], output: Path) -> None:
    """Put the results of the shards of one sweep into one store."""
    from accelsim.explore.sweep.merge import merge

    points, left = merge(stores, output)
    missing = f", {left:,} without a result yet" if left else ""
    click.echo(f"{points:,} points{missing}: {output}")
