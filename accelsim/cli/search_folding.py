"""``accelsim search folding``: a chain of matrix-vector units at work, and its best folding of so many multipliers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from accelsim.cli import completion
from accelsim.cli.examples import example

if TYPE_CHECKING:
    from accelsim.explore.folding import Chain


@click.command(epilog=example("accelsim search folding finn_cnv cnv_w1a1 --multipliers 2272 -o folded.yaml"))
@click.argument("arch", shell_complete=completion.machine)
@click.argument("network", shell_complete=completion.network)
@click.option("--multipliers", type=click.IntRange(1, 2**40), help="Look for the best folding of so many.")
@click.option("--set", "sets", multiple=True, metavar="KEY.PATH=VALUE", help="Override a key of the machine.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="What to print.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE.yaml",
              help="Write the machine that is found.")  # fmt: skip
def command(
    arch: str, network: str, multipliers: int | None, sets: tuple[str, ...], form: str, output: Path | None
) -> None:
    """Say how often images follow each other through NETWORK on ARCH, how long one takes, and what waits between.

    ARCH has a matrix-vector unit for each layer, as finn_cnv; with --multipliers any machine of such units does, and
    the folding with the shortest interval is looked for. NETWORK is a chain of products and pooling. DRAM's time is
    not in it.
    """
    import yaml

    from accelsim import outputs
    from accelsim.config import packaged
    from accelsim.config.arch import parse_set
    from accelsim.errors import ConfigError
    from accelsim.explore import folding
    from accelsim.simulation import load_arch, prepare
    from accelsim.workload.load import load_network

    if output is not None and output.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigError("the file must end in .yaml", "choose another name", file=str(output))
    if output is not None and multipliers is None:
        raise ConfigError("without a search there is no machine to write", "add --multipliers N", file="-o")
    machine = load_arch(arch, [parse_set(text) for text in sets])
    net = prepare(machine, load_network(network), None, None, None)
    if multipliers is None:
        found = folding.chain_of(machine, net)
    else:
        base = str(Path(arch).resolve()) if packaged.is_path(arch) else arch
        document = folding.folded(machine, net, multipliers, base)
        found = folding.chain_of(load_arch(document), net)
        if output is not None:
            outputs.write(output, yaml.safe_dump(document, sort_keys=False, width=120))
    clock_mhz = float(machine.clocks_mhz["core"])
    if form == "json":
        click.echo(json.dumps(_document(found, clock_mhz), indent=1))
    else:
        _table(found, clock_mhz)


def _document(found: Chain, clock_mhz: float) -> dict[str, Any]:
    layers = [
        {
            "layer": s.name,
            "pe": s.pe,
            "simd": s.simd,
            "multipliers": s.multipliers,
            "cycles": s.cycles,
            "buffer_bits": held,
        }
        for s, held in zip(found.stages, found.buffer_bits, strict=True)
    ]
    return {
        "layers": layers, "multipliers": found.multipliers, "interval_cycles": found.interval,
        "images_per_s": clock_mhz * 1e6 / found.interval, "latency_cycles": found.latency,
        "settled_latency_cycles": found.settled, "one_by_one_cycles": found.one_by_one,
        "buffer_bits": sum(found.buffer_bits),
    }  # fmt: skip


def _table(found: Chain, clock_mhz: float) -> None:
    from accelsim.text import visible

    click.echo(f"{'layer':<20}{'PE':>7}{'SIMD':>7}{'multipliers':>13}{'cycles':>13}{'bits before':>14}")
    for s, held in zip(found.stages, found.buffer_bits, strict=True):
        name = visible(s.name)[:20]
        click.echo(f"{name:<20}{s.pe:>7,}{s.simd:>7,}{s.multipliers:>13,}{s.cycles:>13,}{held:>14,}")
    click.echo(f"{'all':<34}{found.multipliers:>13,}{found.interval:>13,}{sum(found.buffer_bits):>14,}")
    later = f", {found.settled:,} once they follow each other" if found.settled != found.latency else ""
    click.echo(f"{clock_mhz * 1e6 / found.interval:,.1f} images/s at {clock_mhz:g} MHz")
    click.echo(f"{found.latency:,} cycles an image{later}; {found.one_by_one:,} if nothing overlaps")
