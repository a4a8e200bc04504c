"""``accelsim search design``: the best designs of a sweep's space without running all of it."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """Look for the best designs of SPACE.yaml without running all of them."""
