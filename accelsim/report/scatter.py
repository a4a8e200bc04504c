"""A scatter plot as numbers: where axes, ticks and points of a drawing of fixed size lie. No matplotlib, no markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from math import ceil, floor, log10
from typing import Any, TypeAlias

import numpy as np

WIDTH, HEIGHT = 680, 430
LEFT, RIGHT, TOP, BOTTOM = 84, 664, 14, 374
Circle: TypeAlias = tuple[float, float, float]
"""Place and radius."""
Named: TypeAlias = tuple[float, float, float, Sequence[str]]
"""Place, radius and names, the shortest last."""
_LETTER, _LINE = 7.4, 15.0
"""Width of a letter and height of a line."""


@dataclass(frozen=True)
class Axis:
    """One axis: its title with the unit, its range, whether it is logarithmic, and where it lies in the drawing."""

    title: str
    low: float
    high: float
    log: bool
    begin: float
    end: float

    def at(self, value: float) -> float:
        """Return the place of a value, to a tenth."""
        if self.log:
            part = log10(value / self.low) / log10(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return round(self.begin + part * (self.end - self.begin), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places and labels of the ticks."""
        values = _decades(self.low, self.high) if self.log else _steps(self.low, self.high)
        return [(self.at(value), f"{value:,.10g}") for value in values]

    def data(self) -> dict[str, Any]:
        """Return what turns a place back into a value."""
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass
class Plot:
    """A whole plot, as the template draws it and the script reads it."""

    title: str
    about: str
    x: Axis
    y: Axis
    places: list[tuple[float, float]] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)
    dots: str = ""
    circles: list[dict[str, Any]] = field(default_factory=list)
    hatched: list[tuple[float, float]] = field(default_factory=list)
    """Places of points that do not rank."""
    lines: list[dict[str, Any]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    legend: list[dict[str, str]] = field(default_factory=list)
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM

    def data(self) -> dict[str, Any]:
        """Return what the script needs: places and names of the points, and the axes."""
        xs, ys = zip(*self.places, strict=True)
        return {"xs": xs, "ys": ys, "ids": self.ids, "x": self.x.data(), "y": self.y.data()}


def axis(title: str, values: Sequence[float], vertical: bool, log: bool | None = None) -> Axis:
    """Return an axis that holds the values with some room; logarithmic where they span more than a decade."""
    low, high = min(values), max(values)
    if log is None:
        log = low > 0 and high / low > 10
    if log:
        low, high = low / 1.3, high * 1.3
    else:
        room = 0.06 * (high - low or abs(low) or 1)
        low, high = low - room, high + room
    begin, end = (BOTTOM, TOP) if vertical else (LEFT, RIGHT)
    return Axis(title, low, high, log, begin, end)


def name_points(plot: Plot, named: Sequence[Named], others: Sequence[Circle]) -> None:
    """Write names beside points, important ones first, where they cover no name and no circle.

    A point's names are tried in turn. One that stands apart gets a line to its point; a point without room gets none:
    hovering tells it.
    """
    taken = np.array(
        [(x - r, y - r, x + r, y + r) for x, y, r in others] + [_written(line) for line in plot.lines if line["label"]]
    )
    for x, y, r, texts in named:
        for text, (dx, dy) in product(texts, _offsets(r)):
            wide = _LETTER * len(text)
            left = x + dx - (wide if dx < 0 else 0)
            area = (left, y + dy - _LINE / 2, left + wide, y + dy + _LINE / 2)
            inside = area[0] > LEFT and area[2] < RIGHT and area[1] > TOP and area[3] < BOTTOM
            if inside and not _covers(area, taken):
                taken = np.vstack([taken, area])
                edge, anchor = (left, "start") if dx >= 0 else (left + wide, "end")
                plot.labels.append({"x": round(edge, 1), "y": round(y + dy + 4, 1), "anchor": anchor, "text": text})
                if abs(dy) > r:
                    line = f"M{x:g} {y:g}L{round(edge, 1):g} {round(y + dy, 1):g}"
                    plot.lines.append({"look": "leader", "d": line, "label": ""})
                break


def _written(line: dict[str, Any]) -> tuple[float, float, float, float]:
    """Return the area of a line's name."""
    wide = _LETTER * len(line["label"])
    left = line["x"] - (wide if line["anchor"] == "end" else 0)
    return left, line["y"] - _LINE, left + wide, line["y"] + 3


def _offsets(r: float) -> list[tuple[float, float]]:
    found = [(r + 4, 0.0), (-r - 4, 0.0)]
    for far in (16.0, 30.0, 46.0, 64.0, 84.0, 106.0):
        found += [(r + 4, far), (-r - 4, far), (r + 4, -far), (-r - 4, -far)]
    return found


def dots(places: Sequence[tuple[float, float]]) -> str:
    """Return points as one path of round dots: ten thousand take little room."""
    return "".join(f"M{x:g} {y:g}h0" for x, y in places)


def steps(places: Sequence[tuple[float, float]]) -> str:
    """Return the lower left edge of a front, from left to right."""
    found = ""
    for x, y in sorted(places):
        found += f"H{x:g}V{y:g}" if found else f"M{x:g} {y:g}"
    return found


def _covers(area: Sequence[float], taken: np.ndarray) -> bool:
    left, top, right, bottom = taken.T
    return bool(((left < area[2]) & (area[0] < right) & (top < area[3]) & (area[1] < bottom)).any())


def _decades(low: float, high: float) -> list[float]:
    """Return decades between two values; 2 and 5 between them where few decades are seen."""
    few = high / low < 3000
    every = max(1, ceil(log10(high / low) / 9))
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    found = [m * 10.0**p for p in powers if p % every == 0 for m in ((1, 2, 5) if few else (1,))]
    return [value for value in found if low <= value <= high]


def _steps(low: float, high: float) -> list[float]:
    """Return about five round values between two."""
    rough = (high - low) / 5
    size = 10.0 ** floor(log10(rough))
    step = next(m * size for m in (1, 2, 5, 10) if m * size >= rough)
    return [round(i * step, 12) for i in range(ceil(low / step), floor(high / step) + 1)]
