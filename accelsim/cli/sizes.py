"""The option that gives sizes to dimensions that a network leaves open, the same wherever a network is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from accelsim.workload.sizes import Sizes


def _parsed(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> Any:
    del context, parameter
    if not texts:
        return {}
    from accelsim.workload.sizes import parse_sizes

    return parse_sizes(texts)


def parts(dims: Sizes) -> tuple[str, ...]:
    """Return what given sizes add to the name of a folder."""
    return tuple(f"{name}={size}" for name, size in dims.items())


option = click.option(
    "--dim", "dims", multiple=True, metavar="NAME=N", callback=_parsed,
    help="Size of a dimension that the network leaves open; repeatable.",
)  # fmt: skip
