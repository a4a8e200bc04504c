"""Options that say how results are compared, the same wherever several stand side by side."""

from __future__ import annotations

from typing import Any

import click

from accelsim.basis import INCOMPLETE
from accelsim.errors import ConfigError

incomplete = click.option(
    "--incomplete", type=click.Choice(INCOMPLETE), default="common", show_default=True,
    help="Points that simulate fewer layers of a network than others: compare all over the layers that they have in "
    "common, show them hatched, or drop them.",
)  # fmt: skip
base = click.option(
    "--base", metavar="DESIGN", help="Design that others are compared with: a machine, or its name in the picture."
)
energy_table = click.option(
    "--energy-table", metavar="NAME", help="Price every machine by this table: a packaged one, or a path."
)
node = click.option(
    "--node", type=click.FloatRange(min=0, min_open=True), metavar="NM",
    help="Price every machine at this node: by its table where one exists, else by the machine's own, scaled.",
)  # fmt: skip


def prices(table: str | None, node_nm: float | None) -> dict[str, Any]:
    """Return the keys that price all machines alike.

    Raises
    ------
    ConfigError
        No such table.
    """
    from accelsim.energy import load_table

    if table is not None:
        try:
            load_table(table)
        except ConfigError as error:
            raise ConfigError(error.problem, error.remedy, file=error.file or "--energy-table") from None
    named = {"energy.table": table, "energy.node": node_nm}
    return {key: value for key, value in named.items() if value is not None}
