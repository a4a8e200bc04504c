"""What ``--network``, ``--isolated`` and ``--prefetch`` say: keys of the machine under ``schedule``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


class PrefetchType(click.ParamType[Any]):
    """``none``, ``tile`` or a number of KiB."""

    name = "prefetch"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the word or the number."""
        if value in ("none", "tile"):
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"'{value}' is neither none, tile nor a whole number of KiB.", param, ctx)


modes = click.option("--network", "mode", flag_value="network",
                     help="Layers of a connected network on one clock; as --set schedule.mode=network.")  # fmt: skip


def options(command: AnyFunction) -> AnyFunction:
    """Add ``--isolated`` and ``--prefetch`` to a command, as ``mode`` and ``prefetch``."""
    alone = click.option("--isolated", "mode", flag_value="isolated",
                         help="Layers one after another, each from an idle machine.")  # fmt: skip
    ahead = click.option("--prefetch", type=PrefetchType(), metavar="none|tile|KIB",
                         help="What constants one clock lets units fetch ahead.")  # fmt: skip
    return alone(ahead(command))


def sets(mode: str | None, prefetch: str | int | None) -> list[tuple[str, Any]]:
    """Return the keys of a machine that the options set."""
    return [(f"schedule.{key}", value) for key, value in (("mode", mode), ("prefetch", prefetch)) if value is not None]
