"""Options that say how results are compared, the same wherever several stand side by side."""

from __future__ import annotations

import click

from accelsim.basis import INCOMPLETE

incomplete = click.option(
    "--incomplete", type=click.Choice(INCOMPLETE), default="common", show_default=True,
    help="Points that simulate fewer layers of a network than others: compare all over the layers that they have in "
    "common, show them hatched, or drop them.",
)  # fmt: skip
base = click.option(
    "--base", metavar="DESIGN", help="Design that others are compared with: a machine, or its name in the picture."
)
