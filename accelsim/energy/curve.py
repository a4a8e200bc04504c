"""Reading a figure between and beyond the rows of a table, and saying how it was read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from accelsim.energy.rows import Status, weakest
from accelsim.errors import AccelsimError

REACH = 64
"""A figure is read at most this many times beyond the outermost row; further out is an error."""


class NoFigureError(AccelsimError):
    """Nothing in the table gives this figure. The caller says for which component."""


class Point(NamedTuple):
    """A figure ``y`` at ``x``, and the row it stands in."""

    x: float
    y: float
    row: str
    status: Status


class Reading(NamedTuple):
    """A figure with the steps that led to it, and the status of the weakest of them."""

    value: float
    steps: tuple[str, ...]
    status: Status

    def times(self, factor: float, why: str = "") -> Reading:
        """Return the figure multiplied, with the reason as a further step unless it is empty."""
        return Reading(self.value * factor, (*self.steps, why) if why else self.steps, self.status)

    def after(self, row: str) -> Reading:
        """Return the figure with the row from which it comes as its first step."""
        return self._replace(steps=(row, *self.steps))


def plus(*readings: Reading) -> Reading:
    """Return the sum of figures, in the order given."""
    steps = tuple(step for reading in readings for step in reading.steps)
    return Reading(sum(r.value for r in readings), steps, weakest(r.status for r in readings))


def log_log(points: Sequence[Point], x: float, what: str) -> Reading:
    """Return the figure at ``x`` on straight lines between the points in logarithmic coordinates.

    A row's own ``x`` gives its figure exactly. Beyond the outermost row the last line goes on, up to `REACH` times;
    a single row is taken as proportional to ``x``. Both are `assumed`.

    Parameters
    ----------
    points : sequence of Point
        With ``x`` and ``y`` positive, in any order.
    what : str
        How ``x`` is called: ``13 KiB``.

    Raises
    ------
    NoFigureError
        No points, or ``x`` too far from them.
    """
    return _read(points, x, what, logarithmic=True)


def linear(points: Sequence[Point], x: float, what: str) -> Reading:
    """Return the figure at ``x`` on straight lines; for figures that may be zero. Otherwise as `log_log`."""
    return _read(points, x, what, logarithmic=False)


def _read(points: Sequence[Point], x: float, what: str, logarithmic: bool) -> Reading:
    if not points:
        raise NoFigureError("no row gives it")
    ordered = sorted(points)
    for point in ordered:
        if point.x == x:
            return Reading(point.y, (point.row,), point.status)
    first, last = ordered[0], ordered[-1]
    if x > last.x * REACH or x < first.x / REACH:
        raise NoFigureError(f"{what} is more than {REACH} times beyond its rows")
    if len(ordered) == 1:
        step = f"{what}: proportional to that row, assumed"
        return Reading(first.y * x / first.x, (first.row, step), "assumed")
    above = next((i for i, point in enumerate(ordered) if point.x > x), len(ordered) - 1)
    a, b = ordered[max(above, 1) - 1], ordered[max(above, 1)]
    scale = "log-log" if logarithmic else "linear"
    if a.x < x < b.x:
        return Reading(_line(a, b, x, logarithmic), (a.row, b.row, f"{what}: {scale} between these rows"),
                       weakest((a.status, b.status, "computed")))  # fmt: skip
    steps = (a.row, b.row, f"{what}: {scale} beyond these rows, assumed")
    return Reading(max(_line(a, b, x, logarithmic), 0.0), steps, "assumed")


def _line(a: Point, b: Point, x: float, logarithmic: bool) -> float:
    if not logarithmic:
        return a.y + (b.y - a.y) * (x - a.x) / (b.x - a.x)
    slope = math.log(b.y / a.y) / math.log(b.x / a.x)
    return a.y * math.pow(x / a.x, slope)
