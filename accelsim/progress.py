"""The progress bar of anything that takes more than a second."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

PATIENCE_S = 1.0
"""Work that takes less shows no bar."""


class Bar:
    """A progress bar on standard error, on a terminal or in a notebook only and only for work of more than a second.

    ``with Bar() as report:`` gives what `accelsim.simulation.simulate` calls, or None where there is nobody to see it.
    """

    def __enter__(self) -> Any:
        self._bar: Any = None
        if not (sys.stderr.isatty() or in_notebook()):
            return None
        from threading import Timer

        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        from accelsim import terminal
        from accelsim.text import visible

        columns = (
            TextColumn("{task.description:24.24}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=terminal.console(stream=sys.stderr), transient=True)
        self._timer = Timer(PATIENCE_S, self._bar.start)
        self._timer.daemon = True
        self._timer.start()
        task = self._bar.add_task("preparing", total=None)
        return lambda name, done, total: self._bar.update(
            task, description=f"{visible(name)} ({min(int(done) + 1, total)} of {total})", completed=done, total=total
        )

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._timer.cancel()
            self._timer.join()
            if self._bar.live.is_started:
                self._bar.stop()


def each(items: Iterable[Item], what: str = "") -> Iterator[Item]:
    """Yield items one by one under a bar that names them."""
    held = list(items)
    with Bar() as report:
        for place, item in enumerate(held):
            if report is not None:
                report(f"{what} {item}".strip(), place, len(held))
            yield item


def in_notebook() -> bool:
    """Whether this Python is the kernel of a notebook, which shows a bar though its standard error is no terminal."""
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"
