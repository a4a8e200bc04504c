"""``accelsim import``: a model file as an accelsim network, a SCALE-Sim configuration as an accelsim machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from accelsim import outputs
from accelsim.cli import sizes
from accelsim.errors import ConfigError
from accelsim.text import visible

if TYPE_CHECKING:
    from accelsim.workload.network import Network


class _Formats(click.Command):
    """A command whose first word may name a format that has a command of its own, in ``cli/import_<name>.py``."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Return the context of the format's command, or of this one."""
        if args and args[0] in FORMATS:
            other: click.Command = import_module(f"accelsim.cli.import_{args[0]}").command
            return other.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


FORMATS = ("accelergy", "spatten_trace")


@click.command("import", cls=_Formats, epilog="Example: accelsim import onnx:squeezenet -o squeezenet.yaml")
@click.argument("file")
@click.option("-o", "--output", required=True, metavar="OUT.yaml", help="File to write; it must not exist yet.")
@click.option("--batch", type=click.IntRange(min=1), help="Images in all; the model's own number by default.")
@sizes.option
@click.option("--gemm", is_flag=True, help="A .csv of M, N, K whose header does not say so.")
@click.option("--real", is_flag=True, help="Of a .csv, the layers that the rows look like: padded, depthwise.")
@click.option("--force", is_flag=True, help="Replace OUT.yaml if it exists.")
def command(file: str, output: str, batch: int | None, gemm: bool, real: bool, force: bool,
            dims: dict[str, int]) -> None:  # fmt: skip
    """Convert FILE into YAML.

    A model (.onnx, or onnx:NAME) and a SCALE-Sim topology or GEMM table (.csv) become a network; a SCALE-Sim
    configuration (.cfg) becomes a machine. What the file does not say, or says and accelsim has no place for, is told
    on standard error. 'accelsim import accelergy' makes an energy table of Accelergy's reference tables, 'accelsim
    import spatten_trace' a network and a mapping of a trace of SpAtten's.
    """
    target, suffix = Path(output), Path(file).suffix.lower()
    if target.suffix.lower() not in (".yaml", ".yml"):
        kind = "machine" if suffix == ".cfg" else "network"
        raise ConfigError(f"a {kind} file ends in .yaml", "choose another name", file=output)
    if target.exists() and not force:
        raise ConfigError("the file exists", "choose another name or add --force", file=output)
    for given, option in ((gemm, "--gemm"), (real, "--real")):
        if given and suffix != ".csv":
            raise ConfigError("is for SCALE-Sim's tables", "give a .csv file or drop it", file=option)
    if suffix == ".cfg":
        if batch is not None:
            raise ConfigError("a configuration has no batch", "give it to 'accelsim run'", file="--batch")
        if dims:
            raise ConfigError("a configuration has no sizes to give", "give them to 'accelsim run'", file="--dim")
        _machine(file, target)
    else:
        _network(_load(file, batch, gemm, real, dims), file, target)


def _load(file: str, batch: int | None, gemm: bool, real: bool, dims: dict[str, int]) -> Network:
    from accelsim.workload.load import load_network

    if not (gemm or real):
        return load_network(file, batch, dims=dims)
    from accelsim.workload.scalesim.network import load_table
    from accelsim.workload.sizes import check_names

    check_names(dims, (), file)

    network = load_table(Path(file), gemm=gemm or None, real=real)
    return network if batch is None else network.batched(batch)


def _network(network: Network, file: str, target: Path) -> None:
    from accelsim.report import words
    from accelsim.units import si
    from accelsim.workload.yaml_dump import dump

    outputs.write(target, dump(network), "check the folder")
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(layer.kind for layer in network.layers).items())
    needed = words.needs([layer.macs for layer in network.layers], lambda n: si(n, "MAC"))
    click.echo(f"{target}: {len(network.layers)} layers ({kinds}), {needed}, {si(network.params)} params")
    _tell(network.notes)
    if network.values:
        click.echo(f"note: the values of {len(network.values)} constants stay in {file}", err=True)


def _machine(file: str, target: Path) -> None:
    from accelsim.cli.scalesim_beside import arch_of
    from accelsim.config.scalesim.config import read_config
    from accelsim.config.scalesim.machine import machine

    config = read_config(file, banks=False)
    text, notes = machine(config)
    arch_of(config)  # a size that no accelsim machine has is found before anything is written
    outputs.write(target, text, "check the folder")
    mode = "USER" if config.user_bandwidth else "CALC"
    click.echo(f"{target}: {config.rows} x {config.cols} {config.dataflow}, {mode} mode, after {file}")
    _tell(notes)


def _tell(notes: Iterable[str]) -> None:
    for note in notes:
        click.echo(f"note: {visible(note)}", err=True)
