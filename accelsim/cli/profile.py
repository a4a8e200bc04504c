"""``accelsim profile``: a model's real activations as operands, and their densities."""

from __future__ import annotations

from pathlib import Path

import click

from accelsim import outputs
from accelsim.cli import sizes
from accelsim.cli.examples import example


@click.command(
    epilog=example(
        "python -c \"from numpy import *; save('x', ones((1, 3, 224, 224), 'f'))\"",
        "accelsim profile onnx:squeezenet --input x.npy -o profile.npz --density densities.yaml",
    )
)
@click.argument("model", metavar="MODEL.onnx")
@click.option("--input", "inputs", multiple=True, required=True, metavar="[NAME=]FILE.npy",
              help="Input of the model, any number of images; by name where there are several.")  # fmt: skip
@sizes.option
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE.npz",
              help="Write each layer's real inputs, for 'run --operands'.")  # fmt: skip
@click.option("--density", type=click.Path(path_type=Path), metavar="OUT.yaml",
              help="Write the densities that were seen, for 'run --density'.")  # fmt: skip
def command(
    model: str, inputs: tuple[str, ...], output: Path | None, density: Path | None, dims: dict[str, int]
) -> None:
    """Run MODEL.onnx, or onnx:NAME, with onnxruntime (extra 'profile') and keep what each layer reads.

    Real values are quantised to the width of their tensor when 'run' reads them; small ones may become zero there.
    The density profile counts exact zeros of the real values.
    """
    from accelsim.errors import ConfigError
    from accelsim.operands.capture import capture
    from accelsim.operands.files import save_npz
    from accelsim.passes.density import dump_density
    from accelsim.workload.load import load_network
    from accelsim.workload.onnx.file import PREFIX, light_path

    if output is None and density is None:
        raise ConfigError("nothing to write", "add -o FILE.npz or --density OUT.yaml")
    path = light_path(model) if model.startswith(PREFIX) else Path(model)
    if path.suffix.lower() != ".onnx":
        raise ConfigError("only ONNX models can be profiled", "give a .onnx file or onnx:NAME", file=model)
    if density is not None and density.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigError("a density profile ends in .yaml", "choose another name", file=str(density))
    seen = capture(path, load_network(model, dims=dims), _named(inputs))
    arrays = seen.arrays()
    if output is not None:
        save_npz(output, arrays)
        click.echo(f"{output}: {len(arrays)} inputs of {seen.network.name}, batch {seen.network.batch}")
    if density is not None:
        measured = seen.densities()
        text = dump_density(measured, f"measured on {path.name}, batch {seen.network.batch}")
        outputs.write(density, text, "check the folder")
        click.echo(f"{density}: densities of {len(measured)} layers")
    for layer, reason in seen.missing.items():
        click.echo(f"note: layer '{layer}': {reason}; its input stays synthetic", err=True)


def _named(inputs: tuple[str, ...]) -> dict[str, Path]:
    """Return input name -> file; a file without a name has the empty one."""
    from accelsim.errors import ConfigError

    found: dict[str, Path] = {}
    for text in inputs:
        name, _, file = text.rpartition("=")
        if name in found:
            raise ConfigError(f"input '{name or file}' is given twice", "give each once", file="--input")
        found[name] = Path(file)
    return found
