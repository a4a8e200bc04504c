"""``accelsim replica dnnsim_scnn``: SCNN as the public simulator DNNsim counts it."""

from __future__ import annotations

import json
from typing import Any

import click

from accelsim.cli import completion
from accelsim.cli.examples import example
from accelsim.text import csv_text

SHOWN = ("cycles", "dense_cycles", "mults", "idle_bricks", "idle_conflicts", "idle_pe", "idle_halo")
"""Columns of the table; csv and json have all of them."""


@click.command(epilog=example("accelsim replica dnnsim_scnn alexnet --layers conv3 --density alexnet_han2015"))
@click.argument("network", shell_complete=completion.network)
@click.option("--layers", default="*", show_default=True, help="Pattern over layer names.")
@click.option("--density", metavar="FILE", shell_complete=completion.profile,
              help="Densities per layer: a YAML or CSV file, or the name of a packaged one.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the synthetic operands.")
@click.option(
    "--accumulators", type=click.IntRange(min=1), default=1024, show_default=True, help="Its out_acc_size, per PE."
)
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True, help="How."
)
def command(network: str, layers: str, density: str | None, seed: int, accumulators: int, form: str) -> None:
    """Count a network's convolutions as DNNsim does for SCNN, in its own columns, on synthetic operands.

    One image; layers that are not convolutions are left out.
    """
    rows = _rows(network, layers, density, seed, accumulators)
    if form == "json":
        click.echo(json.dumps({"replica": "dnnsim_scnn", "layers": rows}, indent=2))
        return
    if form == "csv":
        click.echo(csv_text([rows[0], *(row.values() for row in rows)]), nl=False)
        return
    width = max(len(str(row["layer"])) for row in rows)
    click.echo("  ".join(["layer".ljust(width), *(name.rjust(14) for name in SHOWN)]))
    for row in rows:
        click.echo("  ".join([str(row["layer"]).ljust(width), *(f"{row[name]:>14,}" for name in SHOWN)]))


def _rows(network: str, layers: str, density: str | None, seed: int, accumulators: int) -> list[dict[str, Any]]:
    from fnmatch import fnmatchcase

    from accelsim.errors import WorkloadError
    from accelsim.operands import handle
    from accelsim.passes.density import read_density, with_density
    from accelsim.replicas.dnnsim_scnn import ScnnMachine, count
    from accelsim.simulation import load_network
    from accelsim.workload.shapes import Conv2d

    net = load_network(network)
    if density is not None:
        net = with_density(net, read_density(density))
    rows = []
    for layer in net.layers:
        shape = layer.shape
        if not isinstance(shape, Conv2d) or not fnmatchcase(layer.name, layers):
            continue
        if len({*shape.stride}) > 1 or len({*shape.pad}) > 1 or shape.dilation != (1, 1):
            raise WorkloadError(
                f"layer '{layer.name}': DNNsim has one stride and one padding and no dilation", "leave it out"
            )
        operands = handle.of(net.view(layer), seed)
        found = count(
            operands.input.mask[0], operands.weight.mask, shape.stride[0], shape.pad[0],
            ScnnMachine(out_acc_size=accumulators),
        )  # fmt: skip
        rows.append({"layer": layer.name, **found})
    if not rows:
        raise WorkloadError(f"'{network}' has no convolution that matches '{layers}'", "correct the pattern")
    return rows
