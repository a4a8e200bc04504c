"""``accelsim replica``: other simulators' arithmetic, one file ``replica_<name>.py`` each."""

from __future__ import annotations

import ast
from pathlib import Path

import click

from accelsim.cli import LazyGroup


def declared() -> dict[str, str]:
    """Return replica name -> the first line of its file's docstring, importing none of them."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("replica_*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        first = text.splitlines()[0] if text else ""
        words = first.partition(": ")[2] if first.startswith("``") else first
        found[path.stem.removeprefix("replica_")] = words[:1].upper() + words[1:]
    return found


@click.group(
    cls=LazyGroup,
    package="accelsim.cli.replica_",
    lazy=declared(),
    epilog="Example: accelsim replica bitfusion2018 alexnet",
)
def command() -> None:
    """Another simulator's own arithmetic, bugs included, in its own format.

    Agreement with a replica says nothing about our engines.
    """
