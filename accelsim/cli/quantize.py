"""``accelsim quantize``: integer operands and a precision profile for ``run``, and the noise they cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from accelsim.cli import completion, sizes
from accelsim.cli.examples import example

if TYPE_CHECKING:
    from accelsim.passes.quantize import Quantization
    from accelsim.workload.network import Network

SCHEMES = click.Choice(["symmetric", "asymmetric", "ternary", "binary"])


@click.command(epilog=example("accelsim quantize onnx:squeezenet --weight-bits 4 -o codes.npz --profile int4.yaml"))
@click.argument("network", shell_complete=completion.network)
@click.option("--weight-bits", type=click.IntRange(1, 16), help="Width of all filters; the network's by default, or 8.")
@click.option("--input-bits", type=click.IntRange(1, 16), help="Width of all inputs; the network's by default, or 8.")
@click.option("--precision", type=click.Path(path_type=Path), help="YAML or CSV: widths per layer or pattern.")
@click.option("--weights", type=SCHEMES, default="symmetric", show_default=True, help="Scheme of the filters.")
@click.option("--inputs", type=SCHEMES, default="symmetric", show_default=True, help="Scheme of the inputs.")
@click.option("--per-channel", "channels", is_flag=True, help="A scale for each output channel of the filters.")
@click.option("--range", "limits", type=click.Choice(["max", "mse"]), default="max", show_default=True,
              help="Cover all numbers, or what leaves the least squared error.")  # fmt: skip
@click.option("--operands", type=click.Path(path_type=Path), metavar="FILE.npz",
              help="Archive of <layer>.weight and <layer>.input: real numbers or integers.")  # fmt: skip
@click.option("--batch", type=int, help="Images; the network's own number by default.")
@sizes.option
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of numbers that nothing gives.")
@click.option("--measure", is_flag=True, help="Compute every layer's output with and without quantisation.")
@click.option("--format", "style", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True,
              help="What to print.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE.npz",
              help="Write the integers, for 'run --operands'.")  # fmt: skip
@click.option("--profile", type=click.Path(path_type=Path), metavar="FILE.yaml",
              help="Write their widths and signs, for 'run --precision'.")  # fmt: skip
def command(network: str, precision: Path | None, operands: Path | None, batch: int | None, style: str,
            output: Path | None, profile: Path | None, dims: dict[str, int], **chosen: Any) -> None:  # fmt: skip
    """Quantise the inputs and filters of NETWORK to integers and report the noise in dB.

    Numbers are those of --operands, of the network (ONNX initialisers), or seeded. Nothing is trained.
    """
    from accelsim.errors import ConfigError
    from accelsim.operands.files import read_npz, save_npz
    from accelsim.passes.batching import batched
    from accelsim.passes.precision import read_precision, with_precision
    from accelsim.passes.quantize import Settings, quantize_network
    from accelsim.workload.load import load_network
    from accelsim.workload.lowering import lowered

    if profile is not None and profile.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigError("a precision profile ends in .yaml", "choose another name", file=str(profile))
    if output is not None and output.suffix != ".npz":
        raise ConfigError("an archive of operands ends in .npz", "choose another name", file=str(output))
    net = lowered(load_network(network, dims=dims))
    net = batched(net, batch) if batch is not None else net
    net = with_precision(net, read_precision(precision)) if precision is not None else net
    given = read_npz(operands, net) if operands is not None else {}
    done = quantize_network(net, Settings(**chosen), given)
    if output is not None:
        save_npz(output, done.arrays())
    if profile is not None:
        _write(profile, net, done)
    _print(done, style, chosen | {"batch": net.batch})
    if output is not None and profile is None:
        click.echo(f"{output}: 'run' needs their widths and signs too: write them with --profile FILE.yaml", err=True)


def _write(path: Path, network: Network, done: Quantization) -> None:
    from accelsim import outputs
    from accelsim.passes.precision import dump_precision

    outputs.write(path, dump_precision(network, done.types, "accelsim quantize"), "check the folder")


def _print(done: Quantization, style: str, options: dict[str, Any]) -> None:
    from accelsim.report import quantization as report

    if style == "table":
        from accelsim import terminal

        terminal.console().print(report.QuantizationView(done))
        return
    click.echo(report.to_json(done, options) if style == "json" else report.to_csv(done), nl=False)
