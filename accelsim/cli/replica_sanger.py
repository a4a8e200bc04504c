"""``accelsim replica sanger``: the two latency scripts of Sanger's repository."""

from __future__ import annotations

import json

import click


@click.command(epilog="Example: accelsim replica sanger --density 0.15 --balance 0.9 --length 512")
@click.option("--density", type=float, required=True, help="Share of the scores that the mask keeps.")
@click.option("--balance", type=float, required=True, help="Share of the PEs in use, after rows are split and packed.")
@click.option("--length", type=click.IntRange(1, 10**8), required=True, help="Tokens.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
)
def command(density: float, balance: float, length: int, form: str) -> None:
    """Time one attention layer, 768 wide, on 64 x 16 PEs at 1 GHz, as two scripts of the repository do.

    The first divides all but the projections by density over balance; the second counts tiles of rows after splitting.
    """
    from accelsim.replicas import sanger

    times = sanger.figures(density, balance, length)
    if form == "json":
        click.echo(json.dumps(times))
        return
    click.echo(f"projections of Q, K and V  {sanger.projection_ms(length):>14,.7f} ms, in both")
    click.echo(f"first script, all          {times['v1_ms']:>14,.7f} ms")
    click.echo(f"second script, all         {times['v2_ms']:>14,.7f} ms")
