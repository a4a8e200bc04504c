"""``accelsim replica bitfusion2018``: the released model of BitFusion."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from accelsim.cli import completion
from accelsim.cli.examples import example

DEFAULT_MACHINE = "eyeriss_matched"


@click.command(
    epilog=example("accelsim replica bitfusion2018 alexnet --set dram_bits_per_cycle=192 --format json"),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("network", shell_complete=completion.network)
@click.option("--machine", "machine_name", default=DEFAULT_MACHINE, show_default=True, help="Released configuration.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set a key of the machine; repeatable.")
@click.option("--batch", type=click.IntRange(1, 2**31), help="Images per batch; that of the network by default.")
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(network: str, machine_name: str, settings: Sequence[str], batch: int | None, style: str) -> None:
    """Run the authors' released BitFusion model (ISCA 2018) on NETWORK, digit for digit.

    NETWORK is alexnet, svhn, cifar10, lenet5, vgg7, resnet18, rnn or lstm, or the path of a YAML file like theirs.
    """
    from accelsim.config.arch import parse_set
    from accelsim.config.packaged import is_path
    from accelsim.replicas.bitfusion2018 import baseline, machine, networks
    from accelsim.replicas.bitfusion2018.document import document, table
    from accelsim.replicas.bitfusion2018.model import simulate

    array = machine.load(machine_name, [parse_set(text) for text in settings])
    net = networks.load(network)
    net = net.with_batch(batch or net.batch)
    result = simulate(net, array)
    ratio = None if is_path(network) else baseline.against_eyeriss(result)
    if style == "json":
        whole = document("bitfusion2018", net, machine_name, array, result)
        whole["eyeriss_baseline"] = None if ratio is None else ratio.as_document()
        click.echo(json.dumps(whole, indent=2))
        return
    for line in table(result):
        click.echo(line)
    parts = ", ".join(f"{name} {nj / result.energy_nj:.1%}" for name, nj in result.energy_parts_nj.items())
    click.echo(f"{result.ms_per_image:.4f} ms per image at {array.clock_mhz} MHz, batch {net.batch}; energy: {parts}")
    if ratio is not None:
        click.echo(
            f"against the Eyeriss totals shipped with the release: {ratio.speed_up:.3f}x faster, "
            f"{ratio.energy_reduction:.3f}x less energy"
        )
