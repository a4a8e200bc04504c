"""``accelsim replica NAME``: another simulator's own reports, digit for digit.

One file ``replica_<name>.py`` per simulator, found by listing the folder and imported only when used.
"""

from __future__ import annotations

import ast
from pathlib import Path

import click

from accelsim.cli import LazyGroup


def _replicas() -> dict[str, str]:
    """Return the replicas and their one-line helps: the first line of each file's docstring."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("replica_*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[path.stem.removeprefix("replica_")] = text.split("\n", 1)[0]
    return found


@click.group(
    cls=LazyGroup,
    package="accelsim.cli.replica_",
    lazy=_replicas(),
    name="replica",
    epilog="Example: accelsim replica scalesim scale.cfg alexnet.csv -o reports",
)
def command() -> None:
    """Reproduce another simulator's reports, its bugs included, so that results can be compared.

    Agreement with a replica says nothing about accelsim's own machines.
    """
