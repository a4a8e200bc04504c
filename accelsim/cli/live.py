"""One line on a terminal that is rewritten while something runs; nothing where standard error is a file."""

from __future__ import annotations

import sys
from time import monotonic

import click

from accelsim.terminal import raw
from accelsim.text import visible

EVERY_S = 0.2


class Live:
    """The line."""

    def __init__(self) -> None:
        self._live, self._last = sys.stderr.isatty(), 0.0

    def show(self, text: str) -> None:
        """Rewrite the line, a few times a second at most."""
        if self._live and monotonic() - self._last > EVERY_S:
            self._last = monotonic()
            click.echo(f"\r\x1b[K{visible(text)}", nl=False, file=raw(sys.stderr))

    def clear(self) -> None:
        """Leave an empty line for what follows."""
        if self._live:
            click.echo("\r\x1b[K", nl=False, file=raw(sys.stderr))


def duration(seconds: float) -> str:
    """Return seconds as a person would say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
