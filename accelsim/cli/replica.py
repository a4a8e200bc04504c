"""``accelsim replica``: other simulators' arithmetic, one file ``replica_<name>.py`` each."""

from __future__ import annotations

import click

from accelsim.cli import LazyGroup, declared


@click.group(
    cls=LazyGroup,
    package="accelsim.cli.replica_",
    lazy=declared("replica"),
    epilog="Example: accelsim replica bitfusion2018 alexnet",
)
def command() -> None:
    """Another simulator's own arithmetic, bugs included, in its own format.

    Agreement with a replica says nothing about our engines.
    """
