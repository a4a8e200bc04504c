"""Pictures of many points: EDP against a baseline, two objectives with their front, stacked parts, heat maps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from accelsim.report import facts, palette, places, points, words
from accelsim.report.columns import shorten
from accelsim.report.palette import Look
from accelsim.report.points import Shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 24
"""Bars per network: more are not readable."""
MOST_NAMES = 5
"""A longer front is numbered."""
_ROW, _FOOT, _HEAD = 0.2, 0.45, 0.3
_LONGEST = 44
_GREY = "#9A9A9A"


def edp(fig: Figure, given: Sequence[Shown], title: str) -> None:
    """Draw bars of the energy-delay product over that of each network's first point."""
    groups = {name: points.best(mine, MOST_BARS) for name, mine in points.by_network(given).items()}
    for ax, (network, mine) in zip(_stack(fig, groups, title), groups.items(), strict=True):
        base = mine[0].figures["edp_pj_s"]
        ratios = [point.figures["edp_pj_s"] / base for point in mine]
        low = min(ratios)
        colours = [palette.DARK_GREY, *(palette.GREEN if r == low else palette.BLUE for r in ratios[1:])]
        ax.barh(range(len(mine)), ratios, 0.75, color=colours)
        ax.axvline(1, color="black", linewidth=0.8)
        for y, ratio in enumerate(ratios):
            ax.annotate(
                f"{ratio:.3g}", (ratio, y), (3, 0), textcoords="offset points", va="center_baseline", fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )  # fmt: skip
        ax.set_xlim(0, max(ratios) * 1.1)
        ax.set_title(f"{network}: the baseline (grey) has {_with_unit('edp_pj_s', base)}")
        ax.set_xlabel("energy-delay product over the baseline's (ratio, less is better)")
    _caption(fig, given, groups, "green: the least")


def parts(fig: Figure, given: Sequence[Shown], title: str, kind: str) -> None:
    """Draw stacked bars per point: ``energy`` by component, ``cycles`` by cause, or ``shares`` of the cycles."""
    energy = kind == "energy"
    groups = {name: points.best(mine, MOST_BARS) for name, mine in points.by_network(given).items()}
    shown = [point for mine in groups.values() for point in mine]
    looks = component_looks(shown) if energy else cause_looks(shown)
    columns = 4
    lines = -(-len(looks) // columns)
    for number, (ax, (network, mine)) in enumerate(
        zip(_stack(fig, groups, title, legend=lines), groups.items(), strict=True)
    ):
        factors, axis, ends = _measure(mine, kind)
        starts = [0.0] * len(mine)
        for key, (name, look) in looks.items():
            widths = [
                (p.energy_pj if energy else p.cycles_by_cause).get(key, 0.0) * factor
                for p, factor in zip(mine, factors, strict=True)
            ]
            ax.barh(
                range(len(mine)), widths, 0.8, starts, color=look.colour, hatch=look.hatch or None,
                edgecolor="white", linewidth=0, label=name,
            )  # fmt: skip
            starts = [a + b for a, b in zip(starts, widths, strict=True)]
        for y, (end, told) in enumerate(zip(starts, ends, strict=True)):
            ax.text(end, y, f" {told}", va="center_baseline", fontsize=7)
        ax.set_xlim(0, max(starts) * 1.1)
        ax.set_xlabel(axis)
        ax.set_title(network, pad=6 + (12 * lines + 4) * (number == 0))
        if number == 0:
            ax.legend(
                loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, frameon=False, fontsize=7, handlelength=1.2,
                labelspacing=0.25, borderaxespad=0.2,
            )  # fmt: skip
    _caption(fig, given, groups, f"at a bar's end: its {'occupancy' if kind == 'shares' else 'sum'}")


def _measure(mine: Sequence[Shown], kind: str) -> tuple[list[float], str, list[str]]:
    """Return the factor of each point's parts, the name of their axis, and what stands at the bars' ends."""
    if kind == "shares":
        sums = [sum(p.cycles_by_cause.values()) or 1.0 for p in mine]
        ends = [
            words.percent(sum(p.cycles_by_cause.get(c, 0.0) for c in facts.USEFUL) / s)
            for p, s in zip(mine, sums, strict=True)
        ]
        return [100 / s for s in sums], "share of unit-cycles (%), by what the units do", ends
    total = "total_energy_pj" if kind == "energy" else "cycles"
    factor, axis = points.scale(total, max(p.figures[total] for p in mine))
    ends = [words.number(p.figures[total] * factor) for p in mine]
    return [factor] * len(mine), axis + (", by component" if kind == "energy" else ", by what the units do"), ends


def pareto(
    fig: Figure, given: Sequence[Shown], on_front: Collection[int], objectives: tuple[str, str], title: str
) -> None:
    """Draw two objectives against each other; points whose index is in ``on_front`` are marked and named.

    A long front is numbered from left to right and its names stand below the picture.
    """
    groups = points.by_network(given)
    index = {id(point): i for i, point in enumerate(given)}
    sizes = [sum(index[id(p)] in on_front for p in mine) for mine in groups.values()]
    listed = max(sizes) if max(sizes) > MOST_NAMES else 0
    unnamed = 0
    panels = _side(fig, len(groups), title, 4.0, 0.15 * listed + 0.1 * bool(listed))
    for ax, (network, mine) in zip(panels, groups.items(), strict=True):
        scaled = [points.scale(o, max(p.figures[o] for p in mine)) for o in objectives]
        place = [(p.figures[objectives[0]] * scaled[0][0], p.figures[objectives[1]] * scaled[1][0]) for p in mine]
        front = sorted((place[i], p.label) for i, p in enumerate(mine) if index[id(p)] in on_front)
        rest = [place[i] for i, p in enumerate(mine) if index[id(p)] not in on_front]
        _front(ax, [xy for xy, _ in front], rest, 70 if listed else 34)
        _decide_scale(ax, place)
        ax.set_xlabel(scaled[0][1])
        ax.set_ylabel(scaled[1][1])
        ax.set_title(f"{network}: {len(front)} of {len(mine)} points {'is' if len(front) == 1 else 'are'} on the front")
        names = [name for _, name in front]
        if listed:
            _list_names(ax, [xy for xy, _ in front], names)
        else:
            unnamed += len(front) - places.name_points(ax, [xy for xy, _ in front], names, rest)
    note = f"; names without room: {unnamed}" if unnamed else ""
    fig.text(0.01, 0.06 / fig.get_size_inches()[1], f"less is better on both axes{note}", fontsize=7, color="#333333")


def _front(ax: Axes, front: Sequence[places.Place], rest: Sequence[places.Place], size: float) -> None:
    """Draw the points that are beaten, and the front with its steps."""
    ax.scatter(*_columns(rest), s=14, color=_GREY, linewidths=0, label="beaten by another point", zorder=2)
    ax.step(*_columns(front), where="post", color=palette.BLUE, linewidth=0.9, zorder=3)
    ax.scatter(
        *_columns(front), s=size, color=palette.BLUE, edgecolors="black", linewidths=0.5, label="on the front", zorder=4
    )
    ax.grid(color="#E4E4E4", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.legend(loc="upper right", fontsize=7, frameon=True, framealpha=0.9, edgecolor="#DDDDDD")


def _list_names(ax: Axes, front: Sequence[places.Place], names: Sequence[str]) -> None:
    """Number the points of a front and write their names below the panel."""
    for number, (xy, name) in enumerate(zip(front, names, strict=True), start=1):
        ax.annotate(str(number), xy, color="white", fontsize=6, ha="center", va="center", zorder=5)
        below = -34 - 10.8 * number
        ax.annotate(
            f"{number}  {name}", (0, 0), (0, below), xycoords="axes fraction", textcoords="offset points", fontsize=7
        )


def heatmap(fig: Figure, given: Sequence[Shown], axes: tuple[str, str], figure: str, title: str) -> None:
    """Draw a figure over two axes: a cell shows the best (smallest, or largest of ratios) over all other axes."""
    groups = points.by_network(given)
    xs, ys = (_values(given, key) for key in axes)
    best = max if figure in ("occupancy", "utilization", "tops", "tops_per_w") else min
    largest = max(p.figures[figure] for p in given)
    factor, name = points.scale(figure, largest)
    several = False
    for ax, (network, mine) in zip(_side(fig, len(groups), title, 0.85 + 0.42 * len(ys)), groups.items(), strict=True):
        cells: dict[tuple[int, int], list[float]] = {}
        for p in mine:
            where = (ys.index(p.axes[axes[1]]), xs.index(p.axes[axes[0]]))
            cells.setdefault(where, []).append(p.figures[figure] * factor)
        several = several or any(len(found) > 1 for found in cells.values())
        _cells(ax, {where: best(found) for where, found in cells.items()}, (len(ys), len(xs)), best is min)
        ax.set_xticks(range(len(xs)), [str(x) for x in xs])
        ax.set_yticks(range(len(ys)), [str(y) for y in ys])
        ax.set_xlabel(points.short_key(axes[0]))
        ax.set_ylabel(points.short_key(axes[1]))
        ax.set_title(f"{network}: {name}")
    over = f"each cell: the {'least' if best is min else 'most'} over the other axes; " if several else ""
    fig.text(0.01, 0.01, f"{over}framed: the best; hatched: no such point ran", fontsize=7, color="#333333")


def _cells(ax: Axes, cells: Mapping[tuple[int, int], float], shape: tuple[int, int], least: bool) -> None:
    """Draw a table of numbers on colours; the palette runs from dark to light blue and survives print."""
    import numpy as np

    table = np.full(shape, np.nan)
    for where, value in cells.items():
        table[where] = value
    ax.set_facecolor("white")
    ax.patch.set_hatch("////")
    ax.patch.set_edgecolor("#CCCCCC")
    image = ax.imshow(table, cmap="cividis", aspect="auto", origin="lower")
    goal = (min if least else max)(cells.values())
    for (y, x), value in cells.items():
        red, green, blue, _ = image.to_rgba(np.array([value]))[0]
        dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        weight = "bold" if value == goal else "normal"
        colour = "white" if dark else "black"
        ax.text(x, y, words.number(value), ha="center", va="center", color=colour, fontsize=7.5, fontweight=weight)
        if value == goal:
            ax.plot(*_square(x, y), color=palette.VERMILION, linewidth=1.6)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.tick_params(length=0)


def _square(x: float, y: float) -> tuple[list[float], list[float]]:
    h = 0.46
    return [x - h, x + h, x + h, x - h, x - h], [y - h, y - h, y + h, y + h, y - h]


def _stack(fig: Figure, groups: Mapping[str, Sequence[Shown]], title: str, legend: int = 0) -> list[Axes]:
    """Return one panel per network, one below the other, with a row per point and its name.

    Above the first there is room for so many lines of a legend.
    """
    labels = {network: [shorten(p.label, _LONGEST) for p in mine] for network, mine in groups.items()}
    left = 0.2 + 0.062 * max(len(label) for names in labels.values() for label in names)
    heights = [_HEAD + _FOOT + _ROW * max(3, len(mine)) for mine in groups.values()]
    room = 0.17 * legend + 0.06 * bool(legend)
    whole = 0.25 + room + sum(heights) + 0.25
    fig.set_size_inches(8.4, whole)
    fig.suptitle(title, x=0.01, y=1 - 0.08 / whole, ha="left", va="top")
    found = []
    top = whole - 0.25 - room
    for names, height in zip(labels.values(), heights, strict=True):
        ax = fig.add_axes(
            (left / 8.4, (top - height + _FOOT) / whole, 1 - (left + 0.15) / 8.4, (height - _HEAD - _FOOT) / whole)
        )
        ax.set_ylim(len(names) - 0.4, -0.6)
        ax.set_yticks(range(len(names)), names)
        ax.tick_params(axis="y", length=0, labelsize=7)
        ax.grid(axis="x", color="#DDDDDD", linewidth=0.5)
        ax.set_axisbelow(True)
        found.append(ax)
        top -= height
    return found


def _side(fig: Figure, number: int, title: str, height: float, below: float = 0.0) -> list[Axes]:
    """Return one panel per network, two to a line, with ``below`` inches for text under each."""
    columns = min(2, number)
    lines = -(-number // columns)
    each = height + 0.8 + below
    wide, high = (6.4 if columns == 1 else 10.4), 0.3 + lines * each + 0.15
    fig.set_size_inches(wide, high)
    fig.suptitle(title, x=0.01, y=1 - 0.08 / high, ha="left", va="top")
    width = wide / columns
    corners = [(i % columns * width + 0.7, high - 0.3 - (i // columns) * each - 0.3 - height) for i in range(number)]
    return [fig.add_axes((x / wide, y / high, (width - 0.85) / wide, height / high)) for x, y in corners]


def component_looks(shown: Sequence[Shown]) -> dict[str, tuple[str, Look]]:
    """Return component -> name and look, in the machine's order; what never spends anything is left out."""
    totals: dict[str, float] = {}
    for point in shown:
        for name, pj in point.energy_pj.items():
            totals[name] = totals.get(name, 0.0) + pj
    spent = [name for name, pj in totals.items() if pj]
    colours = list(palette.COMPONENTS)
    looks = {}
    for i, name in enumerate(n for n in spent if n != "dram"):
        looks[name] = (name, colours[min(i, len(colours) - 1)])
    return looks | ({"dram": ("dram", palette.DRAM)} if "dram" in spent else {})


def cause_looks(shown: Sequence[Shown]) -> dict[str, tuple[str, Look]]:
    """Return cause -> words and look, in the order of reports; what never occurs is left out."""
    found = facts.in_order({cause: True for point in shown for cause, n in point.cycles_by_cause.items() if n})
    return {c: (words.CAUSE_WORDS.get(c, c), palette.CAUSES.get(c, palette.UNKNOWN)) for c in found}


def _values(given: Sequence[Shown], key: str) -> list[Any]:
    found = {repr(p.axes[key]): p.axes[key] for p in given}
    numbers = all(isinstance(v, int | float) for v in found.values())
    return sorted(found.values()) if numbers else list(found.values())


def _columns(place: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    return [xy[0] for xy in place], [xy[1] for xy in place]


def _decide_scale(ax: Axes, place: Sequence[Sequence[float]]) -> None:
    """Use logarithms where figures span more than a decade."""
    from matplotlib.ticker import LogLocator, NullLocator

    for axis, values in zip("xy", _columns(place), strict=True):
        low, high = min(values), max(values)
        set_lim = getattr(ax, f"set_{axis}lim")
        if low > 0 and high / low > 10:
            getattr(ax, f"set_{axis}scale")("log")
            line = getattr(ax, f"{axis}axis")
            line.set_major_locator(LogLocator(subs=(1, 2, 5)))
            line.set_minor_locator(NullLocator())
            line.set_major_formatter(lambda value, _: f"{value:,.10g}")
            set_lim(low / 1.25, high * 1.6)
        else:
            set_lim(low - 0.08 * (high - low or low), high + 0.15 * (high - low or low))


def _with_unit(name: str, value: float) -> str:
    factor, axis = points.scale(name, value)
    return f"{words.number(value * factor)} {axis[axis.rfind('(') + 1 : -1]}"


def _caption(fig: Figure, given: Sequence[Shown], groups: Mapping[str, Sequence[Shown]], text: str) -> None:
    shown = sum(map(len, groups.values()))
    if shown < len(given):
        text += f"; {shown} of {len(given)} points are shown: each network's first and those of least EDP"
    fig.text(0.01, 0.06 / fig.get_size_inches()[1], text, fontsize=7, color="#333333")
