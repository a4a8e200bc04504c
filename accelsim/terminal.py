"""Standard output and error: names of a user's files are shown there and obeyed by no terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from accelsim.text import folded, visible_lines

if TYPE_CHECKING:
    from rich.console import Console


class _Shown:
    """A text stream on which control characters are spelt out; it has no ``buffer`` that would let bytes past."""

    def __init__(self, stream: TextIO) -> None:
        self.inner = stream

    def write(self, text: str) -> int:
        """Write text whose only control characters are ends of lines."""
        return self.inner.write(visible_lines(text))

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self.inner, name)


@contextmanager
def shown() -> Iterator[None]:
    """Put both streams behind the guard until the block ends."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast("TextIO", _Shown(out)), cast("TextIO", _Shown(err))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def raw(stream: TextIO) -> TextIO:
    """Return what stands behind the guard: for accelsim's own colours and lines that are rewritten."""
    return stream.inner if isinstance(stream, _Shown) else stream


def columns() -> int | None:
    """Return how wide the terminal on standard output is; None where it is none: there lines stay whole."""
    return shutil.get_terminal_size().columns if raw(sys.stdout).isatty() else None


def echo(line: str, indent: int | str = 4) -> None:
    """Print a line, on a terminal as several that fit, later ones behind ``indent`` blanks or texts."""
    wide = columns()
    click.echo(line if wide is None else "\n".join(folded(line, wide, indent)))


def console(piped: int = 120, stream: TextIO | None = None) -> Console:
    """Return a rich console on a stream, standard output by default, ``piped`` columns wide where it is no terminal.

    Texts are data: no markup or emoji in them is obeyed, and control characters are spelt out.
    """
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    from accelsim.text import visible

    class Plain(Console):
        def render_str(self, text: str, **style: Any) -> Text:
            return super().render_str(visible(text), **style)

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(visible_lines(segment.text), segment.style)

    file = raw(stream or sys.stdout)
    return Plain(file=file, width=None if file.isatty() else piped, highlight=False, markup=False, emoji=False)
