"""``accelsim search``: optimisation, one file ``search_<name>.py`` per kind."""

from __future__ import annotations

import click

from accelsim.cli import LazyGroup, declared
from accelsim.cli.examples import SWEEP, example


@click.group(
    cls=LazyGroup,
    package="accelsim.cli.search_",
    lazy=declared("search"),
    epilog=example(f"accelsim search design {SWEEP} --store shape.db --budget 200"),
)
def command() -> None:
    """Look for the best designs or settings without trying all of them."""
