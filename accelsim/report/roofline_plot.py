"""The roofline: achieved rate against operational intensity, under what units and DRAM allow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import atan2, degrees, hypot, pi
from operator import mul
from typing import TYPE_CHECKING, TypeAlias

from accelsim.report import facts, palette, words
from accelsim.report.series import Point, compute_roofs, missing_points, points
from accelsim.results import NetworkResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

LABELS = 8
"""Points that are named: those that lose most cycles."""

_LETTER = 4.6
"""Points of a letter of a roof's name."""

Area: TypeAlias = tuple[float, float, float, float]
"""Left, bottom, right, top in pixels."""


def draw(fig: Figure, result: NetworkResult) -> None:
    """Draw the roofline of a result into a figure."""
    fig.set_size_inches(8.4, 5.4)
    fig.suptitle(f"{words.title(result)}: roofline", x=0.01, y=0.985, ha="left", va="top")
    ax = fig.add_axes((0.085, 0.135, 0.825, 0.795))
    found = points(result)
    ax.set_xlabel("operational intensity (MAC per byte of DRAM traffic)")
    ax.set_ylabel("achieved rate (MAC/cycle)")
    if not found:
        ax.text(0.5, 0.5, "no layer with MACs and DRAM traffic", transform=ax.transAxes, ha="center")
        return
    roofs, bits = compute_roofs(result), facts.dram_bits_per_cycle(result)
    _frame(ax, found, roofs, bits)
    _scatter(ax, result, found)
    _rate_axis(ax, result)
    _make_room(fig, ax)
    legend = _legend(ax)
    _labels(fig, ax, result, found, [legend, *_compute_roofs(ax, roofs, bits), *_dram_roof(ax, roofs, bits)])
    _caption(fig, result, found)


def _frame(ax: Axes, found: Sequence[Point], roofs: Sequence[float], bits: float | None) -> None:
    """Set logarithmic limits that hold the points and the ridge."""
    ridge = [roofs[-1] / (bits / 8)] if bits and roofs else []
    xs = [p.intensity for p in found] + ridge
    ys = [p.rate for p in found] + list(roofs)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(min(xs) / 2.5, max(xs) * 4)
    ax.set_ylim(min(ys) / 2.5, max(ys) * 2.5)
    _decades(ax.xaxis, ax.get_xlim())
    _decades(ax.yaxis, ax.get_ylim())
    ax.grid(color="#E4E4E4", linewidth=0.5)
    ax.set_axisbelow(True)


def _decades(axis: Axis, limits: tuple[float, float]) -> None:
    """Name the decades of a logarithmic axis, and 2 and 5 between them where few decades are seen."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if limits[1] / limits[0] < 3000 else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def _compute_roofs(ax: Axes, roofs: Sequence[float], bits: float | None) -> list[Area]:
    """Draw the highest roof of the units, and dotted the lowest, and return the areas that they take."""
    if not roofs:
        return []
    left, right = ax.get_xlim()
    starts = [max(left, roof / (bits / 8)) if bits else left for roof in (roofs[0], roofs[-1])]
    what = f"compute: {words.number(roofs[-1])} MAC/cycle"
    if len(roofs) > 1:
        ax.plot([starts[0], right], [roofs[0]] * 2, "k:", linewidth=0.9)
        what += f" (lowest, dotted: {words.number(roofs[0])})"
    ax.plot([starts[1], right], [roofs[-1]] * 2, "k-", linewidth=1.3)
    name = ax.annotate(
        what, (right, roofs[-1]), (-3, 3), textcoords="offset points", ha="right", va="bottom", fontsize=7.5
    )
    return [_grown(_pixels(name.get_window_extent()), 2), *_line(ax, (starts[1], roofs[-1]), (right, roofs[-1]))]


def _dram_roof(ax: Axes, roofs: Sequence[float], bits: float | None) -> list[Area]:
    """Draw the roof of the DRAM up to the ridge and return the areas that it takes."""
    if not bits:
        return []
    left, right = ax.get_xlim()
    end = min(right, roofs[-1] / (bits / 8)) if roofs else right
    if end <= left:
        return []
    ends = (left, left * bits / 8), (end, end * bits / 8)
    ax.plot([left, end], [ends[0][1], ends[1][1]], "k-", linewidth=1.3)
    (x0, y0), (x1, y1) = ax.transData.transform(ends)
    name = f"DRAM: {words.number(bits)} bits/cycle"
    figure = ax.get_figure()
    if figure is not None and hypot(x1 - x0, y1 - y0) < (_LETTER * len(name) + 12) * figure.dpi / 72:
        ax.annotate(name, ends[0], (4, -6), textcoords="offset points", va="top", fontsize=7.5)
        return _line(ax, *ends)
    x, y = ax.transData.inverted().transform(((x0 + x1) / 2, (y0 + y1) / 2))
    ax.annotate(
        name, (float(x), float(y)), (-3, 4), textcoords="offset points", rotation=degrees(atan2(y1 - y0, x1 - x0)),
        rotation_mode="anchor", ha="center", va="bottom", fontsize=7.5,
    )  # fmt: skip
    return _line(ax, *ends)


def _line(ax: Axes, begin: tuple[float, float], end: tuple[float, float]) -> list[Area]:
    """Return a chain of small areas along a straight line."""
    (x0, y0), (x1, y1) = ax.transData.transform([begin, end])
    steps = [i / 150 for i in range(151)]
    return [_grown((x, y, x, y), 1.5) for t in steps for x, y in [(x0 + t * (x1 - x0), y0 + t * (y1 - y0))]]


def _pixels(box: Bbox) -> Area:
    return float(box.x0), float(box.y0), float(box.x1), float(box.y1)


def _grown(area: Area, by: float) -> Area:
    return area[0] - by, area[1] - by, area[2] + by, area[3] + by


def _rate_axis(ax: Axes, result: NetworkResult) -> None:
    """Show the rate in operations per second on the right."""
    factor = 2 * result.clock_mhz * 1e6 / 1e12
    right = ax.secondary_yaxis("right", functions=(partial(mul, factor), partial(mul, 1 / factor)))
    right.set_ylabel("achieved rate (TOPS, two operations per MAC)")
    low, high = ax.get_ylim()
    _decades(right.yaxis, (low * factor, high * factor))


def _make_room(fig: Figure, ax: Axes) -> None:
    """Narrow the axes until the labels of wide ticks are inside the figure on both sides."""
    outer, inner = ax.get_tightbbox(), ax.get_window_extent()
    if outer is None:
        return
    left = max(inner.x0, inner.x0 + 4 - outer.x0)
    right = min(inner.x1, inner.x1 - 4 - outer.x1 + fig.bbox.x1)
    ax.set_position(
        (left / fig.bbox.x1, inner.y0 / fig.bbox.y1, (right - left) / fig.bbox.x1, inner.height / fig.bbox.y1)
    )


def _size(result: NetworkResult, point: Point) -> float:
    """Return the area of a point's marker in square points."""
    return 16 + 320 * point.cycles / result.isolated_cycles


def _scatter(ax: Axes, result: NetworkResult, found: Sequence[Point]) -> None:
    for bound in sorted({p.bound_by for p in found}, key=lambda b: (b != "compute", b)):
        mine = sorted((p for p in found if p.bound_by == bound), key=lambda p: -p.cycles)
        ax.scatter(
            [p.intensity for p in mine],
            [p.rate for p in mine],
            s=[_size(result, p) for p in mine],
            color=palette.BOUNDS.get(bound, palette.DARK_GREY),
            marker=palette.MARKERS.get(bound, "X"),
            alpha=0.75,
            edgecolors="black",
            linewidths=0.5,
            label=words.of_cause(bound),
            zorder=3,
        )


def _legend(ax: Axes) -> Area:
    legend = ax.legend(
        title="bound by", loc="lower right", frameon=True, framealpha=0.9, edgecolor="#DDDDDD", fontsize=7.5
    )
    for handle in legend.legend_handles:
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set_sizes([30])
    return _pixels(legend.get_window_extent())


def _labels(fig: Figure, ax: Axes, result: NetworkResult, found: Sequence[Point], taken: Sequence[Area]) -> None:
    """Name the points that lose most cycles, each where its name covers no line, name or point."""
    scale = fig.dpi / 72
    pixels = ax.transData.transform([(p.intensity, p.rate) for p in found])
    place = {id(p): (float(x), float(y)) for p, (x, y) in zip(found, pixels, strict=True)}
    half = {id(p): (_size(result, p) / pi) ** 0.5 * scale for p in found}
    areas = [*taken, *(_grown((*place[id(p)], *place[id(p)]), half[id(p)]) for p in found)]
    box = _pixels(ax.get_window_extent())
    for point in sorted(found, key=lambda p: p.lost_cycles, reverse=True)[:LABELS]:
        width, height = 4.4 * len(point.label) * scale, 9 * scale
        for dx, dy in _offsets(half[id(point)], scale):
            x, y = place[id(point)][0] + dx, place[id(point)][1] + dy
            area = (x, y, x + width, y + height) if dx >= 0 else (x - width, y, x, y + height)
            if _within(area, box) and not any(_overlap(area, other) for other in areas):
                areas.append(area)
                _name(ax, point, (dx / scale, dy / scale))
                break


def _name(ax: Axes, point: Point, offset: tuple[float, float]) -> None:
    ax.annotate(
        point.label,
        (point.intensity, point.rate),
        xytext=offset,
        textcoords="offset points",
        ha="left" if offset[0] >= 0 else "right",
        va="bottom",
        fontsize=7,
        arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "#666666", "shrinkA": 0, "shrinkB": 0},
        zorder=4,
    )


def _offsets(half: float, scale: float) -> list[tuple[float, float]]:
    """Return places for a name around its point, near ones first, in pixels."""
    offsets = []
    for distance in (4, 10, 18, 28, 40, 56, 74):
        r = half + distance * scale
        low = -4 * scale
        offsets += [(r, low), (-r, low), (r, -r), (-r, r), (r, r - 8 * scale), (-r, -r)]
    return offsets


def _within(area: Area, box: Area) -> bool:
    return box[0] < area[0] and area[2] < box[2] and box[1] < area[1] and area[3] < box[3]


def _overlap(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _caption(fig: Figure, result: NetworkResult, found: Sequence[Point]) -> None:
    parts = ["area of a point: its share of the cycles; named are those that lose most cycles"]
    if any(p.layers > 1 for p in found):
        parts.append("'+n': n more layers at the same place")
    if missing := missing_points(result):
        parts.append(f"not shown: {', '.join(missing)}")
    fig.text(0.01, 0.012, "; ".join(parts), fontsize=7, color="#333333")
