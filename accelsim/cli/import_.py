"""``accelsim import``: a model file as an accelsim network."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from accelsim.errors import ConfigError


@click.command("import", epilog="Example: accelsim import model.onnx -o model.yaml")
@click.argument("file")
@click.option("-o", "--output", required=True, metavar="OUT.yaml", help="File to write; it must not exist yet.")
@click.option("--batch", type=click.IntRange(min=1), help="Images in all; the model's own number by default.")
@click.option("--force", is_flag=True, help="Replace OUT.yaml if it exists.")
def command(file: str, output: str, batch: int | None, force: bool) -> None:
    """Convert the model FILE (.onnx, or onnx:NAME) into an accelsim network in YAML."""
    from accelsim.units import si
    from accelsim.workload.load import load_network
    from accelsim.workload.yaml_dump import dump

    target = Path(output)
    if target.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigError("a network file ends in .yaml", "choose another name", file=output)
    if target.exists() and not force:
        raise ConfigError("the file exists", "choose another name or add --force", file=output)
    network = load_network(file, batch)
    _write(target, dump(network))
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(layer.kind for layer in network.layers).items())
    click.echo(
        f"{output}: {len(network.layers)} layers ({kinds}), {si(network.macs, 'MAC')}, {si(network.params)} params"
    )
    for note in network.notes:
        click.echo(f"note: {note}", err=True)
    if network.values:
        click.echo(f"note: the values of {len(network.values)} constants stay in {file}", err=True)


def _write(path: Path, text: str) -> None:
    """Write a file in one step: whoever looks sees all of it or nothing."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"cannot be written ({error.strerror})", "check the folder", file=str(path)) from None
