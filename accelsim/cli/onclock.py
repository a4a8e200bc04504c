"""What ``--network``, ``--isolated`` and ``--prefetch`` say: keys of the machine under ``schedule``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
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
    """Add the options of a clock but ``--network`` to a command."""
    alone = click.option("--isolated", "mode", flag_value="isolated",
                         help="Layers one after another, each from an idle machine.")  # fmt: skip
    ahead = click.option("--prefetch", type=PrefetchType(), metavar="none|tile|KIB",
                         help="What constants one clock lets units fetch ahead.")  # fmt: skip
    kept = click.option("--residency", type=click.Choice(["none", "greedy", "exact"]),
                        help="How one clock chooses what lives in the machine's buffers.")  # fmt: skip
    joins = click.option("--fold", type=click.Choice(["none", "weights", "hardware"]),
                         help="What joins products on one clock: nothing, scaling, post_ops too.")  # fmt: skip
    pinned = click.option("--schedule", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
                          help="Clock of a report.json: what lived where, prefetch and the rest; or YAML.")  # fmt: skip
    return alone(ahead(kept(joins(pinned(command)))))


def sets(options: dict[str, Any]) -> list[tuple[str, Any]]:
    """Take the options of a clock from ``options``, and return the keys of a machine that they set.

    What one clock does asks for one; it is of whole networks.
    """
    file = options.pop("schedule")
    found = {key: options.pop(key) for key in ("mode", "prefetch", "residency", "fold")}
    named = [f"--{key}" for key in ("prefetch", "residency", "fold") if found[key] is not None]
    if file is not None:
        from accelsim.config.schedule_file import keys

        if found["mode"] is not None or named or options["layers"] != "*":
            raise click.UsageError("--schedule says all of a clock: drop the other options of it, and --layers.")
        return keys(file)
    if found["mode"] == "isolated" and named:
        raise click.UsageError(f"{named[0]} is of one clock: drop --isolated.")
    if named:
        found["mode"] = "network"
    if found["mode"] == "network" and options["layers"] != "*":
        raise click.UsageError(f"{named[0] if named else '--network'} is of whole networks: drop --layers.")
    return [(f"schedule.{key}", value) for key, value in found.items() if value is not None]
