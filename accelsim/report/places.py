"""Where the names of points go in a picture: beside their points, over nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Place: TypeAlias = tuple[float, float]

_CHARACTER, _LINE = 4.0, 9.0
"""Points: width of a letter and height of a line of names of 7 points."""


def name_points(
    ax: Axes, places: Sequence[tuple[float, float]], labels: Sequence[str], others: Sequence[tuple[float, float]]
) -> int:
    """Write a name beside each place where there is room, and return how many were written.

    ``others`` are points that no name may cover.
    """
    figure = ax.get_figure()
    if figure is None or not places:
        return 0
    px = figure.dpi / 72
    spots = [tuple(map(float, p)) for p in ax.transData.transform([*places, *others])]
    taken = [(x - 3 * px, y - 3 * px, x + 3 * px, y + 3 * px) for x, y in spots]
    box = ax.get_window_extent()
    written = 0
    for (x, y), (dx, dy), label in zip(spots, places, labels, strict=False):
        wide, high = _CHARACTER * len(label) * px, _LINE * px
        for ox, oy in _offsets():
            left = x + ox * px - (wide if ox < 0 else 0)
            area = (left, y + oy * px, left + wide, y + oy * px + high)
            inside = box.x0 < area[0] and area[2] < box.x1 + 60 * px and box.y0 < area[1] and area[3] < box.y1
            if inside and not any(_meet(area, other) for other in taken):
                taken.append(area)
                written += 1
                ax.annotate(
                    label, (dx, dy), (ox, oy), textcoords="offset points", fontsize=7, va="bottom",
                    ha="left" if ox >= 0 else "right", annotation_clip=False,
                    arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "#777777", "shrinkA": 0, "shrinkB": 2},
                )  # fmt: skip
                break
    return written


def _offsets() -> list[tuple[float, float]]:
    found = []
    for far in (5.0, 10.0, 16.0, 24.0, 34.0, 46.0, 60.0):
        found += [(far, -4.0), (far, far - 5), (far, -far - 4), (-far, -far - 4), (-far, far - 5)]
    return found


def _meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
