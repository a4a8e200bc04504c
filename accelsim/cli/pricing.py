"""What ``--energy-table`` and ``--node`` say: one table or one node to price all machines alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def options(command: AnyFunction) -> AnyFunction:
    """Add ``--energy-table`` and ``--node`` to a command, as ``energy_table`` and ``node``."""
    words = "Price at this feature size: by its packaged table, or each machine's own, scaled."
    node = click.option("--node", type=click.FloatRange(min=0, min_open=True), metavar="NM", help=words)
    table = click.option("--energy-table", metavar="NAME", help="Price by this table: a packaged name or a path.")
    return table(node(command))


tables = click.option(
    "--energy-tables", "tables", metavar="all|NAME,...",
    help="Price by every packaged table too, or by these: how far apart they are, and what they turn round.",
)  # fmt: skip


def named(text: str | None) -> tuple[str, ...]:
    """Return the tables that ``--energy-tables`` asks for; raise ConfigError for one that does not exist."""
    if text is None:
        return ()
    from accelsim.breadth import tables_named

    return tables_named(text)


def sets(energy_table: str | None, node: float | None) -> list[tuple[str, Any]]:
    """Return the keys of a machine that the two options set; see `accelsim.energy.price_sets`.

    Raises
    ------
    ConfigError
        No such table, a node that it cannot be carried to, or both options where the node has a table of its own.
    """
    if energy_table is None and node is None:
        return []
    from accelsim.energy import load_table, price_sets

    found = price_sets(energy_table, node)
    if energy_table is not None:
        load_table(energy_table, node)
    return found
