"""``accelsim show``: a machine, network or engine, resolved and with its sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from accelsim.cli import completion, sizes


@click.command(epilog="Example: accelsim show systolic_ws --set params.rows=16")
@click.argument("name", shell_complete=completion.shown)
@click.option("--set", "sets", multiple=True, metavar="KEY.PATH=VALUE", help="Override a key of a machine.")
@sizes.option
@click.option("--arch", shell_complete=completion.machine, help="With NAME 'energy': machine whose prices to trace.")
@click.option("--energy", is_flag=True, help="Of a machine: every component with its price, and its share of a layer.")
@click.option("--accelergy", type=click.Path(path_type=Path), metavar="DIR",
              help="Of a machine: write what it pays as Accelergy's ERT.yaml and ART.yaml there.")  # fmt: skip
@click.option("--bibtex", is_flag=True, help="Of a machine or an engine: the papers behind it, as BibTeX.")
def command(name: str, sets: tuple[str, ...], arch: str | None, energy: bool, dims: dict[str, int],
            accelergy: Path | None, bibtex: bool) -> None:  # fmt: skip
    """Show a machine, a network or an engine; 'accelsim show energy --arch NAME' traces every price to its row."""
    from accelsim.config import packaged
    from accelsim.engines import registry
    from accelsim.errors import ConfigError

    if bibtex:
        _papers(name, sets)
    elif accelergy is not None:
        _reference_tables(name, sets, accelergy)
    elif energy:
        _components(name, sets)
    elif name == "energy":
        _energy(arch, sets)
    elif name in registry.modules():
        _engine(name)
    elif name.startswith(("net:", "onnx:")) or name in packaged.names("workloads") or _is_network_file(name):
        _network(name, dims)
    elif dims:
        raise ConfigError(f"'{name}' is no network", "give it to a network", file="--dim")
    else:
        _machine(name, sets)


def _papers(name: str, sets: tuple[str, ...]) -> None:
    """Print the papers that a machine's file names, else those of its engines; of an engine its own."""
    from accelsim import citation
    from accelsim.config import packaged
    from accelsim.config.arch import parse_set
    from accelsim.engines import registry
    from accelsim.simulation import load_arch

    if name in registry.modules() and name not in packaged.names("arch_configs"):
        texts = [registry.get(name).notes.source]
    else:
        machine = load_arch(name, [parse_set(text) for text in sets])
        texts = [str(machine.config.get("source", ""))]
    found = [paper for text in texts for paper in citation.papers(text)]
    if not found:
        click.echo(f"% {name}: its source names no paper: {'; '.join(texts) or 'none given'}")
    for paper in found:
        click.echo(paper.bibtex())


def _is_network_file(name: str) -> bool:
    """Whether a path leads to a network: ONNX, or YAML with layers or a problem."""
    from pathlib import Path

    from accelsim.config.yamlfile import read

    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return not {"layers", "problem"}.isdisjoint(read(path, listed="layers").data)
    return path.suffix == ".onnx"


def _machine(name: str, sets: tuple[str, ...]) -> None:
    from accelsim.config.arch import parse_set, unsourced
    from accelsim.simulation import load_arch

    machine = load_arch(name, [parse_set(text) for text in sets])
    config = dict(machine.config)
    sources = config.pop("sources", {})
    click.echo(yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=110), nl=False)
    if sources:
        click.echo("\n# where the values come from")
        for key, text in sources.items():
            click.echo(f"# {key}: {text}")
    if missing := unsourced(machine.config):
        click.echo(f"\n# unsourced: {', '.join(missing)}")


def _engine(name: str) -> None:
    from accelsim.engines import registry

    engine = registry.get(name)
    notes = engine.notes
    click.echo(f"{name}: {notes.summary}\nSource: {notes.source}")
    for title, items in (
        ("Modelled", notes.modelled),
        ("Not modelled", notes.not_modelled),
        ("Assumed", notes.assumed),
    ):
        if items:
            click.echo(f"\n{title}:")
            for item in items:
                click.echo(f"- {item}")
    click.echo("\nParameters:")
    for key, field in engine.params_schema.model_fields.items():
        default = "required" if field.is_required() else f"default {field.default}"
        click.echo(f"  {key:20} {field.description or ''} ({default})")
    if letters := engine.mapping_schema.model_fields:
        click.echo("\nMapping, as reports show it and files pin it:")
        for key, field in letters.items():
            click.echo(f"  {key:20} {field.description or ''}")


def _network(name: str, dims: dict[str, int]) -> None:
    from accelsim.report import words
    from accelsim.text import visible
    from accelsim.workload.load import load_network

    net = load_network(name, dims=dims)
    needed = words.needs([layer.macs for layer in net.layers], lambda n: f"{n:,} MACs")
    click.echo(f"{visible(net.name)}: {len(net.layers)} layers, {needed}, {net.params:,} parameters")
    if net.description:
        click.echo(visible(net.description))
    click.echo(f"source: {visible(net.source)}")
    for note in net.notes:
        click.echo(f"note: {visible(note)}")
    for layer in net.layers:
        shape: Any = layer.shape
        click.echo(f"  {visible(layer.name):32} {layer.kind:14} {words.macs(layer.macs):>16}  {_sizes(shape)}")


def _sizes(shape: Any) -> str:
    from accelsim.workload.shapes import dims

    return " ".join(f"{key}={value}" for key, value in dims(shape).items() if value not in (1, [1, 1], [0, 0, 0, 0]))


def _components(name: str, sets: tuple[str, ...]) -> None:
    from accelsim.config.arch import parse_set
    from accelsim.report import prices
    from accelsim.simulation import load_arch

    for line in prices.text(load_arch(name, [parse_set(text) for text in sets])):
        click.echo(line)


def _reference_tables(name: str, sets: tuple[str, ...], folder: Path) -> None:
    from accelsim import outputs
    from accelsim.charges import sole_components, table_of
    from accelsim.config.arch import parse_set
    from accelsim.energy.accelergy import reference_tables
    from accelsim.errors import ConfigError
    from accelsim.simulation import load_arch

    machine = load_arch(name, [parse_set(text) for text in sets])
    components, table = sole_components(machine, "--accelergy"), table_of(machine)
    if table.spec.unit is not None:
        problem = f"energy table '{table.name}' gives costs relative to a {table.unit}, no pJ"
        raise ConfigError(problem, "choose another with --set energy.table=NAME", file="--accelergy")
    clock = float(machine.clocks_mhz["core"])
    tables = reference_tables(machine.name, components, table, clock)
    files = {
        f"{kind}.yaml": f"# {machine.name} by energy table {table.name}\n{yaml.safe_dump(found, sort_keys=False)}"
        for kind, found in zip(("ERT", "ART"), tables, strict=True)
    }
    try:
        outputs.write_set(folder, files)
    except OSError as error:
        problem = f"cannot be written ({(error.strerror or str(error)).lower()})"
        raise ConfigError(problem, "choose another folder", file=str(folder)) from None
    click.echo(f"{folder}: {' '.join(files)}")


def _energy(arch: str | None, sets: tuple[str, ...]) -> None:
    from accelsim.charges import machine_components, table_of
    from accelsim.config.arch import parse_set
    from accelsim.energy import provenance
    from accelsim.errors import ConfigError
    from accelsim.simulation import load_arch

    if arch is None:
        raise ConfigError("whose energy?", "write 'accelsim show energy --arch NAME'")
    machine = load_arch(arch, [parse_set(text) for text in sets])
    table = table_of(machine)
    click.echo(f"{machine.name}, energy table {table.name}")
    for row in provenance(machine_components(machine), table):
        value = "-" if row.value is None else f"{row.value:.6g}"
        head = f"{row.component} ({row.kind} x {row.instances})"
        click.echo(f"{head:34} {row.what:9} {value:>12} {row.unit:16} {row.status or ''}")
        for step in row.steps:
            click.echo(f"    {step}")
