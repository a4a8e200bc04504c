"""Pictures of many points in a plane: two objectives with their front, and heat maps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from accelsim.report import palette, panels, places, points, words
from accelsim.report.points import Compared, Shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMES = 5
"""A longer front is numbered."""
DECADE = 10
"""Figures that span more than this are coloured by their logarithm."""
MORE_IS_BETTER = ("occupancy", "utilization", "tops", "tops_per_w")
MOST_TRIED = 500
"""With more points, no place is looked for where the legend covers none."""
_GREY = "#9A9A9A"


def pareto(fig: Figure, given: Compared, on_front: Collection[int], objectives: tuple[str, str], title: str) -> None:
    """Draw two objectives against each other; points whose index is in ``on_front`` are marked and named.

    A long front is numbered from left to right and its names stand below the picture. Points that do not rank are open
    and say what part of the network they simulate; those without any layer have no place.
    """
    index = {id(point): i for i, point in enumerate(given.points)}
    placed = [point for point in given.points if point.figures.get("cycles", 1.0) > 0]
    groups = points.by_network(placed)
    sizes = [sum(index[id(p)] in on_front for p in mine) for mine in groups.values()]
    listed = max(sizes) if max(sizes) > MOST_NAMES else 0
    unnamed = 0
    caption = ["less is better on both axes", *given.said(objectives)]
    axes = panels.side(fig, len(groups), given.titled(title), 4.0, caption, 0.15 * listed + 0.1 * bool(listed))
    for ax, (network, mine) in zip(axes, groups.items(), strict=True):
        ratio = network == points.ALL
        scaled = [points.scale(o, max(p.figures[o] for p in mine), ratio) for o in objectives]
        place = [(p.figures[objectives[0]] * scaled[0][0], p.figures[objectives[1]] * scaled[1][0]) for p in mine]
        front = sorted((place[i], p.label) for i, p in enumerate(mine) if index[id(p)] in on_front)
        rest = [place[i] for i, p in enumerate(mine) if index[id(p)] not in on_front and p.ranks]
        apart = [(place[i], f"{p.label} ({p.part})") for i, p in enumerate(mine) if not p.ranks]
        _front(ax, [xy for xy, _ in front], rest, [xy for xy, _ in apart], 70 if listed else 34)
        _decide_scale(ax, place)
        ax.set_xlabel(scaled[0][1])
        ax.set_ylabel(scaled[1][1])
        number = len(front) + len(rest)
        ax.set_title(f"{network}: {len(front)} of {number} points {'is' if len(front) == 1 else 'are'} on the front")
        named = apart[:MOST_NAMES]
        if listed:
            _list_names(ax, [xy for xy, _ in front], [name for _, name in front])
        else:
            named = [*front, *named]
        others = [xy for xy in place if xy not in [at for at, _ in named]]
        unnamed += len(named) - places.name_points(ax, [xy for xy, _ in named], [name for _, name in named], others)
    if unnamed:
        fig.text(0.99, 0.06 / fig.get_size_inches()[1], f"names without room: {unnamed}", fontsize=7, ha="right")


def _front(
    ax: Axes, front: Sequence[places.Place], rest: Sequence[places.Place], apart: Sequence[places.Place], size: float
) -> None:
    """Draw the points that are beaten, the front with its steps, and the points that do not rank."""
    ax.scatter(*_columns(rest), s=14, color=_GREY, linewidths=0, label="beaten by another point", zorder=2)
    ax.step(*_columns(front), where="post", color=palette.BLUE, linewidth=0.9, zorder=3)
    ax.scatter(
        *_columns(front), s=size, color=palette.BLUE, edgecolors="black", linewidths=0.5, label="on the front", zorder=4
    )
    if apart:
        ax.scatter(
            *_columns(apart), s=34, facecolor="white", edgecolors=panels.HATCHED, hatch=panels.HATCH * 2,
            linewidths=0.8, label="other layers: does not rank", zorder=2,
        )  # fmt: skip
    ax.grid(color="#E4E4E4", linewidth=0.5)
    ax.set_axisbelow(True)
    few = len(rest) + len(front) < MOST_TRIED
    ax.legend(loc="best" if few else "upper right", fontsize=7, frameon=True, framealpha=0.9, edgecolor="#DDDDDD")


def _list_names(ax: Axes, front: Sequence[places.Place], names: Sequence[str]) -> None:
    """Number the points of a front and write their names below the panel."""
    for number, (xy, name) in enumerate(zip(front, names, strict=True), start=1):
        ax.annotate(str(number), xy, color="white", fontsize=6, ha="center", va="center", zorder=5)
        below = -34 - 10.8 * number
        ax.annotate(
            f"{number}  {name}", (0, 0), (0, below), xycoords="axes fraction", textcoords="offset points", fontsize=7
        )


def heatmap(fig: Figure, given: Compared, axes: tuple[str, str], figure: str, title: str) -> None:
    """Draw a figure over two axes: a cell shows the best (smallest, or largest of ratios) over all other axes.

    A cell with points that rank shows the best of these; one without is hatched and says its part of the network.
    """
    groups = points.by_network(given.points)
    xs, ys = (_values(given.points, key) for key in axes)
    least = figure not in MORE_IS_BETTER
    best = min if least else max
    cells = {network: _by_cell(mine, xs, ys, axes) for network, mine in groups.items()}
    several = any(len(there) > 1 for found in cells.values() for there in found.values())
    over = f"each cell: the {'least' if least else 'most'} over the other axes" if several else ""
    empty = any(len(found) < len(xs) * len(ys) for found in cells.values())
    caption = [over, "framed: the best", "hatched without a figure: no such point ran" if empty else ""]
    caption += given.said([figure])
    panel = panels.side(fig, len(groups), given.titled(title), 0.85 + 0.42 * len(ys), caption, bar=0.75)
    for ax, network in zip(panel, groups, strict=True):
        found = {where: [p for p in there if p.ranks] or there for where, there in cells[network].items()}
        values = {where: best(p.figures[figure] for p in there) for where, there in found.items()}
        factor, name = points.scale(figure, max(values.values()))
        parts = {where: there[0].part for where, there in found.items() if not there[0].ranks}
        _cells(ax, {where: v * factor for where, v in values.items()}, (len(ys), len(xs)), least, parts)
        ax.set_xticks(range(len(xs)), [str(x) for x in xs])
        ax.set_yticks(range(len(ys)), [str(y) for y in ys])
        ax.set_xlabel(points.short_key(axes[0]))
        ax.set_ylabel(points.short_key(axes[1]))
        ax.set_title(f"{network}: {name}")


def _by_cell(
    mine: Sequence[Shown], xs: Sequence[Any], ys: Sequence[Any], axes: tuple[str, str]
) -> dict[tuple[int, int], list[Shown]]:
    cells: dict[tuple[int, int], list[Shown]] = {}
    for point in mine:
        cells.setdefault((ys.index(point.axes[axes[1]]), xs.index(point.axes[axes[0]])), []).append(point)
    return cells


def _cells(
    ax: Axes, cells: Mapping[tuple[int, int], float], shape: tuple[int, int], least: bool,
    parts: Mapping[tuple[int, int], str],
) -> None:  # fmt: skip
    """Draw a table of numbers on colours; the palette runs from dark to light blue and survives print."""
    import numpy as np

    table = np.full(shape, np.nan)
    ranked = {where: value for where, value in cells.items() if where not in parts}
    for where, value in ranked.items():
        table[where] = value
    ax.set_facecolor("white")
    ax.patch.set_hatch(panels.HATCH)
    ax.patch.set_edgecolor("#CCCCCC")
    spread = min(ranked.values(), default=0.0) > 0 and max(ranked.values()) / min(ranked.values()) > DECADE
    image = ax.imshow(table, cmap="cividis", aspect="auto", origin="lower", norm="log" if spread else None)
    if ax.figure is not None and len(set(ranked.values())) > 1:
        bar = ax.figure.colorbar(image, ax=ax, cax=ax.inset_axes((1.02, 0, 0.03, 1)))
        bar.ax.tick_params(which="both", labelsize=7, length=2)
        if spread:
            panels.make_log(bar.ax, "y")
        bar.outline.set_visible(False)
    goal = (min if least else max)(ranked.values(), default=None)
    for (y, x), value in cells.items():
        if (y, x) in parts:
            text, colour, weight = f"{words.number(value)}\n{parts[y, x]}", "black", "normal"
        else:
            red, green, blue, _ = image.to_rgba(np.array([value]))[0]
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
            text, colour = words.number(value), "white" if dark else "black"
            weight = "bold" if value == goal else "normal"
        ax.text(x, y, text, ha="center", va="center", color=colour, fontsize=7.5, fontweight=weight)
        if value == goal and (y, x) not in parts:
            ax.plot(*_square(x, y), color=palette.VERMILION, linewidth=1.6)
    for edge in ("left", "bottom"):
        ax.spines[edge].set_visible(False)
    ax.tick_params(length=0)


def _square(x: float, y: float) -> tuple[list[float], list[float]]:
    h = 0.46
    return [x - h, x + h, x + h, x - h, x - h], [y - h, y - h, y + h, y + h, y - h]


def _values(given: Sequence[Shown], key: str) -> list[Any]:
    found = {repr(p.axes[key]): p.axes[key] for p in given}
    numbers = all(isinstance(v, int | float) for v in found.values())
    return sorted(found.values()) if numbers else list(found.values())


def _columns(place: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    return [xy[0] for xy in place], [xy[1] for xy in place]


def _decide_scale(ax: Axes, place: Sequence[Sequence[float]]) -> None:
    """Use logarithms where figures span more than a decade."""
    for axis, values in zip("xy", _columns(place), strict=True):
        low, high = min(values), max(values)
        set_lim = getattr(ax, f"set_{axis}lim")
        if low > 0 and high / low > 10:
            panels.make_log(ax, axis)
            set_lim(low / 1.25, high * 1.6)
        else:
            set_lim(low - 0.08 * (high - low or low), high + 0.15 * (high - low or low))
