"""The options that say where chunks of points run, the same for sweeps and searches."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])


def options(function: _F) -> _F:
    """Add ``--workers``, ``--executor`` and ``--scheduler``."""
    for option in (
        click.option("--scheduler", metavar="ADDRESS", help="Of a Dask scheduler, such as tcp://head:8786; without "
                     "it, --executor dask starts a cluster on this machine."),
        click.option("--executor", type=click.Choice(["pool", "dask"]), default="pool", show_default=True,
                     help="What runs the points: processes of this machine, or Dask (extra 'dask')."),
        click.option("--workers", type=click.IntRange(0), help="Processes, by default one per processor (with "
                     "--scheduler: what its workers can run at once); 0: none but this."),
    ):  # fmt: skip
        function = option(function)
    return function


def chosen(
    workers: int | None, executor: str, scheduler: str | None
) -> tuple[int | None, Callable[[], Executor] | None]:
    """Return how many chunks run at the same time (None: as many as processors), and what makes the executor.

    Raises
    ------
    click.UsageError
        Options that do not go together.
    """
    if executor == "pool":
        if scheduler is not None:
            raise click.UsageError("--scheduler goes with --executor dask.")
        return workers, None
    if workers == 0:
        raise click.UsageError("--workers 0 runs in this process; leave --executor dask out.")
    import os

    from accelsim.explore.sweep import dask

    width = workers or (dask.width(scheduler) if scheduler else os.cpu_count() or 1)
    return width, partial(dask.OnDask, scheduler, width)
