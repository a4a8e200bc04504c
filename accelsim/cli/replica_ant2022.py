"""``accelsim replica ant2022``: the released model of ANT and the designs it compares."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from accelsim.cli import completion


@click.command(
    epilog="Example: accelsim replica ant2022 vgg16 --design ant_os --format json",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("network", shell_complete=completion.network)
@click.option("--design", "design_name", help="One of the compared designs; without it, all of them in one table.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set a key of the design; repeatable.")
@click.option("--batch", type=click.IntRange(1, 2**31), help="Images per batch; that of the network by default.")
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(network: str, design_name: str | None, settings: Sequence[str], batch: int | None, style: str) -> None:
    """Run the authors' released ANT model (MICRO 2022) on NETWORK, digit for digit.

    NETWORK is vgg16, resnet18 or bert_mnli, or the path of a YAML file like theirs. Designs: ant_os, ant_ws,
    bitfusion, olaccel, adafloat, biscaled.
    """
    from accelsim.config.arch import parse_set
    from accelsim.replicas.bitfusion2018 import ant
    from accelsim.replicas.bitfusion2018.document import document, table

    sets = [parse_set(text) for text in settings]
    runs = [ant.run(network, name, sets, batch) for name in ([design_name] if design_name else ant.names())]
    if style == "json":
        documents = [document("ant2022", run.network, run.name, run.design, run.result) for run in runs]
        click.echo(json.dumps(documents[0] if design_name else {"designs": documents}, indent=2))
        return
    if design_name:
        for line in table(runs[0].result):
            click.echo(line)
        return
    times = ant.relative_times(runs)
    click.echo(f"{'design':12}{'cycles':>16}{'time':>8}{'energy nJ':>18}    (time relative to {ant.BASELINE})")
    for run in runs:
        result = run.result
        click.echo(f"{run.name:12}{result.cycles:16,}{times[run.name]:8.3f}{result.energy_nj:18,.0f}")
