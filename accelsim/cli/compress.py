"""``accelsim compress``: prune, share weights, Huffman-code; operands for ``run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from accelsim.cli import completion, sizes
from accelsim.cli.examples import example

if TYPE_CHECKING:
    from accelsim.passes.compress import Compression
    from accelsim.workload.pattern import Pattern


@click.command(epilog=example("accelsim compress alexnet --bits 4 --density alexnet_han2015 -o weights.npz"))
@click.argument("network", shell_complete=completion.network)
@click.option("--density", metavar="FILE", shell_complete=completion.profile,
              help="Densities to prune the weights to: a YAML or CSV file, or the name of a packaged one.")  # fmt: skip
@click.option("--prune", "structure", default="bernoulli", show_default=True, metavar="bernoulli|nm:M|balanced:PES",
              help="Where the profile does not say: prune anywhere, N of every M, the same in each PE.")  # fmt: skip
@click.option("--bits", type=click.IntRange(1, 16), help="Width of a code; 8 for convolutions and 5 for linear layers.")
@click.option("--index-bits", type=click.IntRange(1, 16), help="Width of a relative index; the same by default.")
@click.option("--weights", type=click.Path(path_type=Path), help="Archive of <layer>.weight: real or integer.")
@click.option("--weight-bits", type=click.IntRange(2, 32), default=8, show_default=True,
              help="Width of a shared weight where the network does not say.")  # fmt: skip
@click.option("--dense-bits", type=click.IntRange(1, 64), default=32, show_default=True,
              help="Width of an uncompressed weight, for the ratios.")  # fmt: skip
@sizes.option
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of synthetic weights and of samples.")
@click.option("--format", "style", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True,
              help="What to print.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE.npz",
              help="Write the shared weights, for 'run --operands'.")  # fmt: skip
def command(network: str, density: str | None, structure: str, bits: int | None, index_bits: int | None,
            weights: Path | None, weight_bits: int, dense_bits: int, seed: int, style: str,
            output: Path | None, dims: dict[str, int]) -> None:  # fmt: skip
    """Compress the weights of NETWORK: magnitude pruning, k-means weight sharing, Huffman coding.

    Weights are those of --weights, of the network (ONNX initialisers), or seeded. Nothing is trained again.
    """
    from accelsim.operands.files import read_npz, save_npz
    from accelsim.passes.compress import Settings, compress
    from accelsim.passes.density import read_density
    from accelsim.workload.load import load_network
    from accelsim.workload.lowering import lowered

    net = lowered(load_network(network, dims=dims))
    settings = Settings(bits, index_bits, weight_bits, dense_bits, _structure(structure), seed)
    profile = read_density(density) if density else ()
    done = compress(net, profile, settings, read_npz(weights, net) if weights else None)
    if output is not None:
        save_npz(output, done.arrays())
    widths = {"bits": bits, "index_bits": index_bits, "weight_bits": weight_bits, "dense_bits": dense_bits}
    _print(done, style, {**widths, "prune": structure, "seed": seed})
    if output is not None:
        widest = max(done.weight_bits.values())
        click.echo(f"{output}: weights of up to {widest} bits; a machine or --precision must give as much", err=True)


def _structure(text: str) -> Pattern:
    from accelsim.errors import ConfigError
    from accelsim.workload.pattern import parse

    try:
        return parse(text)
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        raise ConfigError(problem, remedy, file="--prune") from None


def _print(done: Compression, style: str, options: dict[str, object]) -> None:
    from accelsim.report import compression as report

    if style == "table":
        from accelsim import terminal

        terminal.console().print(report.CompressionView(done))
        return
    click.echo(report.to_json(done, options) if style == "json" else report.to_csv(done), nl=False)
