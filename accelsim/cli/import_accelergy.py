"""``accelsim import accelergy``: Accelergy's reference tables as an energy table."""

from __future__ import annotations

from pathlib import Path

import click
import yaml

from accelsim import outputs
from accelsim.cli.examples import example
from accelsim.errors import ConfigError
from accelsim.text import visible


@click.command(epilog=example("accelsim show eyeriss --accelergy tables",
                              "accelsim import accelergy tables/ERT.yaml tables/ART.yaml -o mine.yaml "
                              "--machine eyeriss --base 65nm"))  # fmt: skip
@click.argument("ert", type=click.Path(path_type=Path))
@click.argument("art", type=click.Path(path_type=Path), required=False)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="TABLE.yaml",
              help="Table to write; it must not exist yet.")  # fmt: skip
@click.option("--machine", metavar="ARCH", help="Machine whose components the names are, and whose widths count.")
@click.option(
    "--map", "maps", multiple=True, metavar="THEIRS=OURS", help="What a component is called here; repeatable."
)
@click.option("--bits", "widths", multiple=True, metavar="OURS=N", help="Bits that an access moves; repeatable.")
@click.option("--base", metavar="TABLE", help="Table that prices what the files do not.")
@click.option("--node", type=click.FloatRange(1, 1000), metavar="NM", help="Feature size, where no base says it.")
@click.option("--force", is_flag=True, help="Replace TABLE.yaml if it exists.")
def command(
    ert: Path, art: Path | None, output: Path, machine: str | None, maps: tuple[str, ...], widths: tuple[str, ...],
    base: str | None, node: float | None, force: bool,
) -> None:  # fmt: skip
    """Convert an energy reference table (ERT), and its area reference table (ART), into an energy table.

    Use the table with --energy-table TABLE.yaml. What has no counterpart here is told on standard error.
    """
    from accelsim.charges import sole_components
    from accelsim.config.yamlfile import read
    from accelsim.energy import load_table
    from accelsim.energy.accelergy import to_table
    from accelsim.energy.constants import nominal_v
    from accelsim.energy.rows import SECTIONS
    from accelsim.simulation import load_arch

    if output.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigError("an energy table ends in .yaml", "choose another name", file=str(output))
    if output.exists() and not force:
        raise ConfigError("the file exists", "choose another name or add --force", file=str(output))
    inherited = None if base is None else load_table(base)
    if inherited is None and node is None:
        raise ConfigError("the files do not say their process", "give --base TABLE or --node NM", file=str(ert))
    if inherited is not None and node not in (None, inherited.node.nm):
        raise ConfigError(f"is not that of '{base}'", f"drop it: it is {inherited.node.nm:g} nm", file="--node")
    process = (inherited.node.nm, inherited.node.vdd_v) if inherited is not None else (node or 0, nominal_v(node or 0))
    own = ("named", "named_area")
    sections = [name for name in SECTIONS if inherited and name not in own and getattr(inherited.spec, name)]
    components = sole_components(load_arch(machine), "--machine") if machine is not None else ()
    found = to_table(
        read(ert), None if art is None else read(art), output.stem, process,
        renamed=dict(_pair(text, "--map") for text in maps),
        bits={ours: _whole(ours, text) for ours, text in (_pair(text, "--bits") for text in widths)},
        machine=components, base=base, sections=sections,
    )  # fmt: skip
    outputs.write(
        output, yaml.safe_dump(found.data, sort_keys=False, allow_unicode=True, width=110), "check the folder"
    )
    click.echo(f"{output}: {len(found.data['named'])} prices, {len(found.data['named_area'])} areas or leakages")
    for note in found.notes:
        click.echo(f"note: {visible(note)}", err=True)


def _pair(text: str, option: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not (name and mark and value):
        raise ConfigError(f"'{text}' is no pair", "write NAME=VALUE", file=option)
    return name, value


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1 << 20):
        raise ConfigError(f"'{text}' bits of '{name}'", "give a whole number from 1 to 1048576", file="--bits")
    return int(text)
