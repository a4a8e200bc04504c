"""What pictures of many points share: panels, names of rows, captions, and the look of points that do not rank."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from accelsim.report import points
from accelsim.report.points import Shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HATCH, HATCHED = "////", "#8A8A8A"
"""Hatch of points that do not rank, and its colour."""
LONGEST = 44
"""Letters of a row's name; longer ones become columns."""
_ROW, _FOOT, _HEAD, _LINE = 0.2, 0.45, 0.3, 0.135
"""Inches: of a row, below and above the rows of a panel, of a line of the caption."""
_WIDE = 8.4
_LETTERS_PER_INCH = 19


def stack(
    fig: Figure, groups: Mapping[str, Sequence[Shown]], title: str, caption: Sequence[str], legend: int = 0
) -> list[Axes]:
    """Return one panel per network, one below the other, with a row per point and its name.

    Above the first there is room for so many lines of a ``legend``; below the last stands the caption.
    """
    heads, names = _names(groups)
    letter = 0.062
    left = 0.2 + letter * max(len(label) for mine in names for label in [*mine, heads])
    head = _HEAD + 0.14 * bool(heads)
    heights = [head + _FOOT + _ROW * max(3, len(mine)) for mine in groups.values()]
    room, lines = 0.17 * legend + 0.06 * bool(legend), wrapped(caption, _WIDE)
    whole = 0.25 + room + sum(heights) + 0.12 + _LINE * len(lines)
    fig.set_size_inches(_WIDE, whole)
    fig.suptitle(title, x=0.01, y=1 - 0.08 / whole, ha="left", va="top")
    write_caption(fig, lines)
    found = []
    top = whole - 0.25 - room
    for labels, height in zip(names, heights, strict=True):
        bottom, high = top - height + _FOOT, height - head - _FOOT
        ax = fig.add_axes((left / _WIDE, bottom / whole, 1 - (left + 0.15) / _WIDE, high / whole))
        ax.set_ylim(len(labels) - 0.4, -0.6)
        ax.set_yticks(range(len(labels)), labels)
        ax.tick_params(axis="y", length=0, labelsize=7, labelfontfamily="monospace" if heads else "sans-serif")
        if heads:
            ax.annotate(
                heads, (0, 1), (-4, 3), xycoords="axes fraction", textcoords="offset points", ha="right", fontsize=7,
                family="monospace", color="#333333",
            )  # fmt: skip
        ax.grid(axis="x", color="#DDDDDD", linewidth=0.5)
        ax.set_axisbelow(True)
        found.append(ax)
        top -= height
    return found


def _names(groups: Mapping[str, Sequence[Shown]]) -> tuple[str, list[list[str]]]:
    """Return the heads of columns, empty where names stand as they are, and the names of each panel's rows.

    All names of a picture have one form: long ones are values in columns, whose heads name the keys once.
    """
    every = [point for mine in groups.values() for point in mine]
    plain = [[point.label for point in mine] for mine in groups.values()]
    varied = [key for key in every[0].axes if len({repr(p.axes.get(key)) for p in every}) > 1]
    if max(len(point.label) for point in every) <= LONGEST or not varied:
        return "", plain
    short = points.short_keys(varied)
    cells = {key: [str(point.axes.get(key)) for point in every] for key in varied}
    widths = {key: max(map(len, [short[key], *column])) for key, column in cells.items()}

    def row(texts: Mapping[str, str]) -> str:
        return "  ".join(texts[key].ljust(widths[key]) if key == "machine" else texts[key].rjust(widths[key])
                         for key in varied)  # fmt: skip

    def told(point: Shown) -> str:
        return row({key: str(point.axes.get(key)) for key in varied})

    return row(short), [list(map(told, mine)) for mine in groups.values()]


def side(
    fig: Figure, number: int, title: str, height: float, caption: Sequence[str], below: float = 0.0, bar: float = 0.0
) -> list[Axes]:
    """Return one panel per network, two to a line.

    ``below`` inches are for text under each, ``bar`` for a colour bar beside it.
    """
    columns = min(2, number)
    rows = -(-number // columns)
    each = height + 0.8 + below
    wide = (6.4 if columns == 1 else 10.4) + bar * columns
    lines = wrapped(caption, wide)
    foot = 0.08 + _LINE * len(lines)
    high = 0.3 + rows * each + foot
    fig.set_size_inches(wide, high)
    fig.suptitle(title, x=0.01, y=1 - 0.08 / high, ha="left", va="top")
    write_caption(fig, lines)
    width = wide / columns
    corners = [(i % columns * width + 0.7, high - 0.3 - (i // columns) * each - 0.3 - height) for i in range(number)]
    return [fig.add_axes((x / wide, y / high, (width - 0.85 - bar) / wide, height / high)) for x, y in corners]


def make_log(ax: Axes, axis: str) -> None:
    """Make an axis, ``x`` or ``y``, logarithmic, with plain numbers at 1, 2 and 5 of every decade."""
    from matplotlib.ticker import LogLocator, NullLocator

    getattr(ax, f"set_{axis}scale")("log")
    line = getattr(ax, f"{axis}axis")
    line.set_major_locator(LogLocator(subs=(1, 2, 5)))
    line.set_minor_locator(NullLocator())
    line.set_major_formatter(lambda value, _: f"{value:,.10g}")


def wrapped(caption: Sequence[str], wide: float) -> list[str]:
    """Return the sentences of a caption in lines that fit a picture of so many inches."""
    text = "; ".join(part for part in caption if part)
    return textwrap.wrap(text, int((wide - 0.2) * _LETTERS_PER_INCH)) or [""]


def write_caption(fig: Figure, lines: Sequence[str]) -> None:
    """Write lines at the foot of a picture."""
    fig.text(
        0.01, 0.06 / fig.get_size_inches()[1], "\n".join(lines), fontsize=7, color="#333333", va="bottom",
        linespacing=1.3,
    )  # fmt: skip


def hatch_rest(ax: Axes, mine: Sequence[Shown], lengths: Sequence[float]) -> None:
    """Hatch the bars of points that do not rank."""
    rest = [y for y, point in enumerate(mine) if not point.ranks]
    if rest:
        ax.barh(
            rest, [lengths[y] for y in rest], 0.8, facecolor="#FFFFFF66", hatch=HATCH, edgecolor=HATCHED, linewidth=0.6,
            label="_does not rank",
        )  # fmt: skip


def told(point: Shown, figure: str) -> str:
    """Return what stands at the end of a bar: its figure, and the part of the network where it does not rank."""
    return figure if point.ranks else f"{figure}   {point.part}"
