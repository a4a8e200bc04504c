"""The breakdown: cycles by cause and energy by component, one stacked bar per layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from accelsim.report import classes, facts, palette, words
from accelsim.report.columns import shorten
from accelsim.report.palette import Look
from accelsim.report.series import LONG_NAME, SeriesRow, rows
from accelsim.results import NetworkResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _FOOT, _GAP = 10.5, 0.62, 0.25
"""Inches: the figure's width, the space below the bars, the space between the panels."""
LETTER = 0.062
"""Inches of a letter of a layer's name."""
_LEGEND = 0.14
"""Inches of a line of a legend."""
_LONGEST_LABEL = 36
_SCALES = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0), ("m", 1e-3), ("u", 1e-6), ("n", 1e-9))
OTHERS = "other components"


def draw(fig: Figure, result: NetworkResult) -> None:
    """Draw the breakdown of a result into a figure, whose height follows from the number of bars."""
    drawn = rows(result)
    labels = [shorten(r.label, _LONGEST_LABEL) for r in drawn]
    row, font = (0.19, 7.0) if len(drawn) <= 60 else (0.125, 5.5)
    left = 0.15 + LETTER * font / 7 * max(map(len, labels), default=0)
    width = (_WIDTH - left - _GAP - 0.25) / 2
    parts = [cycles_bars(result, drawn), energy_bars(result, drawn)]
    lines = max(_legend_lines(list(looks), width) for _, looks in parts)
    head = 0.62 + _LEGEND * lines
    height = head + _FOOT + row * max(len(drawn), 6)
    fig.set_size_inches(_WIDTH, height)
    fig.suptitle(f"{words.title(result)}: cycles and energy by layer", x=0.01, y=1 - 0.08 / height, ha="left", va="top")
    for i, (bars, looks) in enumerate(parts):
        x = (left + i * (width + _GAP)) / _WIDTH
        ax = fig.add_axes((x, _FOOT / height, width / _WIDTH, 1 - (head + _FOOT) / height))
        _panel(ax, bars, looks, font)
        name_longest(ax, bars, looks, font, width)
        write_legend(ax, list(looks), width)
        ax.set_title(("cycles, by what the units do", "energy, by component")[i], pad=8 + 72 * _LEGEND * lines)
        ax.set_xlabel(_name_axis(ax, *(("cycles", ""), ("energy", "J"))[i]))
    write_labels(fig.axes[0], labels, font)
    fig.text(0.01, 0.06 / height, _caption(result, drawn), fontsize=7, color="#333333")


def write_labels(ax: Axes, labels: list[str], font: float) -> None:
    """Write the names of the bars. Plain texts: hundreds of ticks would be slow."""
    where = ax.get_yaxis_transform()
    for y, label in enumerate(labels):
        ax.text(-0.008, y, label, transform=where, ha="right", va="center_baseline", fontsize=font)
    if not labels:
        ax.text(0.5, 0.5, "no layer was simulated", transform=ax.transAxes, ha="center")


def cycles_bars(result: NetworkResult, drawn: list[SeriesRow]) -> tuple[list[dict[str, float]], dict[str, Look]]:
    """Return the bars of cycles and how their keys look."""
    found = facts.all_causes(result)
    looks = {words.of_cause(cause): palette.CAUSES.get(cause, palette.UNKNOWN) for cause in found}
    return [{words.of_cause(cause): n for cause, n in row.cycles.items()} for row in drawn], looks


def energy_bars(result: NetworkResult, drawn: list[SeriesRow]) -> tuple[list[dict[str, float]], dict[str, Look]]:
    """Return the bars of energy in joules and how their keys look."""
    looks = classes.looks(merged(result), classes.of_result(result))
    kept = list(looks)
    bars = []
    for row in drawn:
        bar = dict.fromkeys(kept, 0.0)
        for name, pj in row.energy_pj.items():
            if pj:
                bar[name if name in bar else OTHERS] += pj * 1e-12
        bars.append(bar)
    return bars, looks


def merged(result: NetworkResult) -> list[str]:
    """Return the components to draw, in the machine's order; where there are too many the smallest are merged."""
    found = {name: pj for name, pj in result.energy_pj.items() if pj}
    most = classes.MOST_COMPONENTS
    if len(found) <= most:
        return list(found)
    large = sorted(found, key=lambda name: found[name], reverse=True)[: most - 1]
    return [*(name for name in found if name in large), OTHERS]


def _legend_columns(names: list[str], width: float) -> int:
    entry = 0.27 + 0.86 * LETTER * max(map(len, names), default=1)
    return max(1, int(width / entry))


def _legend_lines(names: list[str], width: float) -> int:
    return -(-len(names) // _legend_columns(names, width))


def write_legend(ax: Axes, names: list[str], width: float) -> None:
    """Write a legend of so many inches above the bars."""
    if names:
        ax.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=_legend_columns(names, width), frameon=False,
            borderpad=0.2, borderaxespad=0.2, labelspacing=0.25, fontsize=7, handlelength=1.2, columnspacing=1.0,
            handletextpad=0.4,
        )  # fmt: skip


def _panel(ax: Axes, bars: list[dict[str, float]], looks: Mapping[str, Look], font: float) -> None:
    """Draw stacked bars from top to bottom; each total's share stands at its bar's end."""
    totals = [sum(bar.values()) for bar in bars]
    end = max(totals, default=0.0) * 1.14 or 1.0
    ax.set_xlim(0, end)
    ax.set_ylim(max(len(bars), 6) - 0.4, -0.6)
    ax.set_yticks([])
    ax.grid(axis="x", color="#DDDDDD", linewidth=0.5)
    ax.set_axisbelow(True)
    draw_segments(ax, bars, looks)
    _shares(ax, totals, end, font)


def draw_segments(ax: Axes, bars: list[dict[str, float]], looks: Mapping[str, Look]) -> None:
    """Draw stacked bars, the first at the top."""
    for name, look in looks.items():
        _segments(ax, name, look, segments(bars, list(looks), name))


def segments(bars: list[dict[str, float]], keys: Sequence[str], key: str) -> list[tuple[float, float]]:
    """Return start and length of one key in every bar, the keys being stacked in their order."""
    before = keys[: list(keys).index(key)]
    return [(sum(bar.get(name, 0.0) for name in before), bar.get(key, 0.0)) for bar in bars]


def _segments(ax: Axes, name: str, look: Look, places: Sequence[tuple[float, float]]) -> None:
    """Draw one key of all bars as one collection: hundreds of layers stay quick to draw."""
    from matplotlib.collections import PolyCollection

    corners = [
        [(x, y - 0.4), (x + w, y - 0.4), (x + w, y + 0.4), (x, y + 0.4)] for y, (x, w) in enumerate(places) if w > 0
    ]
    ax.add_collection(
        PolyCollection(
            corners, facecolors=look.colour, hatch=look.hatch or None, edgecolors="white", linewidths=0, label=name
        ),
        autolim=False,
    )


def name_longest(ax: Axes, bars: list[dict[str, float]], looks: Mapping[str, Look], font: float, inches: float) -> None:
    """Write every key's name into its longest segment, where it fits."""
    end = ax.get_xlim()[1]
    for name, look in looks.items():
        seen = [(w, x, y) for y, (x, w) in enumerate(segments(bars, list(looks), name))]
        width, start, row = max(seen, key=lambda place: place[0], default=(0.0, 0.0, 0))
        if width * inches / end < 0.1 + LETTER * len(name):
            continue
        ax.text(
            start + width / 2, row, name, ha="center", va="center_baseline", color=look.letters,
            fontsize=font * 0.93, bbox={"facecolor": look.colour, "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip


def _shares(ax: Axes, totals: list[float], end: float, font: float) -> None:
    together = sum(totals)
    for row, total in enumerate(totals):
        if not total:
            continue
        part = words.percent(total / together)
        ax.text(total + end * 0.006, row, part, va="center_baseline", fontsize=font, color="#333333")


def _name_axis(ax: Axes, what: str, unit: str) -> str:
    """Scale the axis and return its name with the unit: ``energy (mJ)``."""
    largest = ax.get_xlim()[1] / 1.14
    prefix, factor = next((scale for scale in _SCALES if largest >= scale[1]), _SCALES[-1])
    ax.xaxis.set_major_formatter(lambda value, _: f"{value / factor:g}")
    return f"{what} ({prefix}{unit})" if prefix or unit else what


def _caption(result: NetworkResult, drawn: list[SeriesRow]) -> str:
    parts = ["at a bar's end: its share of the total"]
    if table := result.options.get("energy_table"):
        parts.append(f"energy priced by table {table}")
    if shared := [row.layers for row in drawn if row.layers > 1]:
        parts.append(f"the {sum(shared)} smallest layers share bars by kind")
    if cut := words.prefix([layer.name for layer in result.simulated if layer.cycles], LONG_NAME):
        parts.append(f"names are without '{cut}'")
    if skipped := len(result.layers) - len(result.simulated):
        parts.append(f"{skipped} layers were not simulated")
    return "; ".join(parts)
