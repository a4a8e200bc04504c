"""``accelsim replica spatten_topk``: expected cycles of the quick-select of SpAtten's top-k engine."""

from __future__ import annotations

import json

import click


@click.command(epilog="Example: accelsim replica spatten_topk --n 1024 --rank 128 --parallel 16")
@click.option("--n", type=click.IntRange(1, 10**7), required=True, help="Values to select from, all distinct.")
@click.option("--rank", type=click.IntRange(0), required=True, help="Rank that is sought, from 0.")
@click.option("--parallel", type=click.IntRange(1, 10**7), default=16, show_default=True, help="Comparators.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
)
def command(n: int, rank: int, parallel: int, form: str) -> None:
    """Expect the cycles of the engine's rounds: pivots are drawn from what is left, three cycles go beside comparing.

    Without the cycles that fill the engine.
    """
    from accelsim.replicas.spatten.topk import expected_cycles

    cycles = expected_cycles(n, rank, parallel)
    if form == "json":
        click.echo(json.dumps({"expected_cycles": cycles}))
        return
    click.echo(f"{cycles:,.4f} cycles expected: rank {rank:,} of {n:,} values, {parallel:,} at a time")
