"""Options of what is simulated and how, the same for ``run`` and ``compare``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from accelsim.cli import completion, sizes

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--batch", type=click.IntRange(1), help="Images in all; totals are for all of them."),
    sizes.option,
    click.option("--layers", default="*", metavar="GLOB", help="Only the layers whose name matches."),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of the synthetic operands."),
    click.option("--unsupported", type=click.Choice(["skip", "error"]), default="skip", show_default=True,
                 help="What to do with layers that no unit can run, or that do not fit it; with error, a machine does "
                 "not take part in a comparison."),
    click.option("--fidelity", type=click.Choice(["closed", "cycle"]), default="closed", show_default=True,
                 help="Closed forms where they exist, or always the kernels."),
    click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes."),
    click.option("--mapping", metavar="FILE", shell_complete=completion.mapping,
                 help="Pinned mappings: a YAML file, or the name of a packaged one."),
    click.option("--matrix-b", metavar="MATRIX",
                 help="Second matrix of products, or vector: NETWORK times itself without it."),
    click.option("--operands", metavar="FILE.npz|chain",
                 help="Given operands, or computed ones from layer to layer."),
    click.option("--density", metavar="FILE", shell_complete=completion.profile,
                 help="Densities per layer: a YAML or CSV file, or the name of a packaged one."),
    click.option("--precision", type=click.Path(path_type=Path), help="YAML or CSV: bit widths per layer."),
)  # fmt: skip


def options(command: AnyFunction) -> AnyFunction:
    """Add them to a command, in their order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
