"""``accelsim new``: a machine to start from."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example: accelsim new my_array --like plain")
@click.argument("name")
@click.option(
    "--like", type=click.Choice(["tiled", "skipping", "plain"]), required=True,
    help="tiled: layers are cut into tiles; skipping: time depends on zeros; plain: neither.",
)  # fmt: skip
@click.option(
    "-o", "output", type=click.Path(path_type=Path), metavar="FOLDER",
    help="New folder, NAME by default; accelsim/engines/NAME in a source tree.",
)  # fmt: skip
def command(name: str, like: str, output: Path | None) -> None:
    """Write a small machine that works: engine, kernel, reference, machine file, figures and a test, to be altered.

    The folder is a package that accelsim knows once it is installed. In accelsim/engines/ of a source tree it needs no
    installation, and the machine file and the test go to arch_configs/ and tests/ there.
    """
    from accelsim.starters.write import new

    here = Path.cwd()
    for path in new(name, like, output or Path(name)):
        click.echo(path.relative_to(here) if path.is_relative_to(here) else path)
