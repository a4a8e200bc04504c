"""``accelsim replica fusemax``: the released model of FuseMax beside FLAT and unfused attention."""

from __future__ import annotations

import json

import click


@click.command(epilog="Example: accelsim replica fusemax --format json")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
)
def command(form: str) -> None:
    """Print the 120 rows of FuseMax's artifact: five designs, four models, lengths from 1K to 1M.

    256 x 256 PEs and 256 lanes at 940 MHz, DRAM of 400 GiB/s, batch 64. Energies of the artifact come from another
    tool, and are not reproduced.
    """
    from accelsim.replicas import fusemax

    rows, means = fusemax.rows(), fusemax.speedups()
    if form == "json":
        click.echo(json.dumps({"rows": [row.to_dict() for row in rows]}, indent=1))
        return
    names = {value: name for name, value in fusemax.LENGTHS.items()}
    click.echo(
        f"{'design':<9}{'model':<6}{'length':>6}{'seconds':>14}{'DRAM bytes':>16}{'2-D busy':>10}{'1-D busy':>10}"
    )
    for row in rows:
        click.echo(
            f"{row.design:<9}{row.model:<6}{names[row.M]:>6}{row.latency_s:>14.6g}{row.traffic_bytes:>16.6g}"
            f"{row.utilization_2d:>10.4f}{row.utilization_1d:>10.4f}"
        )
    click.echo(
        f"\nFuseMax (binding) over FLAT, mean of 24: attention {means.attention:.2f}x, "
        f"end to end {means.end_to_end:.2f}x"
    )
