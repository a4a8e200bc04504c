"""A comparison as bars: time, energy and energy-delay product of each machine, a row of panels per network."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from accelsim import basis
from accelsim.comparison import GAINS, Comparison, ComparisonRow
from accelsim.report import comparison as texts
from accelsim.report import palette
from accelsim.report.breakdown_plot import LETTER
from accelsim.report.columns import shorten
from accelsim.units import si

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _ROW, _HEAD, _FOOT = 10.5, 0.24, 0.62, 0.42
"""Inches: the figure, a bar, above the bars of a network, below them."""
_TOP, _LINE = 0.4, 0.15
_LONGEST = 40
_TICKS = 4
LOG_FROM = 30
"""From this ratio of the largest to the least on, bars are on a log scale: on a linear one the small would vanish."""
PANELS = (
    ("time_s", "time", "s", 1.0),
    ("total_energy_pj", "energy", "J", 1e-12),
    ("edp_pj_s", "energy-delay product", "J s", 1e-12),
)
"""Figure, what it is, its unit, and the factor to it."""


def draw(fig: Figure, comparison: Comparison) -> None:
    """Draw a comparison into a figure, whose height follows from the number of machines and networks."""
    groups = comparison.by_network
    labels = [shorten(row.arch, _LONGEST) for row in comparison.rows]
    left = 0.2 + LETTER * max(map(len, labels))
    said = wrap(_caption(comparison), 190, break_on_hyphens=False)
    heights = [_HEAD + _ROW * len(rows) + _FOOT for rows in groups.values()]
    height = _TOP + sum(heights) + _LINE * len(said) + 0.15
    fig.set_size_inches(_WIDTH, height)
    fig.suptitle(texts.title(comparison), x=0.01, y=1 - 0.08 / height, ha="left", va="top")
    gap = 0.55
    width = (_WIDTH - left - 2 * gap - 0.5) / 3
    top = height - _TOP
    for (network, rows), high in zip(groups.items(), heights, strict=True):
        fig.text(0.01, (top - 0.12) / height, texts.heading(comparison, network), fontsize=9, va="top")
        for i, panel in enumerate(PANELS):
            place = ((left + i * (width + gap)) / _WIDTH, (top - high + _FOOT) / height)
            ax = fig.add_axes((*place, width / _WIDTH, _ROW * len(rows) / height))
            _panel(ax, comparison, rows, panel, width)
            ax.set_yticks(range(len(rows)), [shorten(row.arch, _LONGEST) for row in rows] if i == 0 else [])
            ax.tick_params(axis="y", length=0)
        top -= high
    for i, line in enumerate(said):
        fig.text(0.01, (0.08 + _LINE * (len(said) - 1 - i)) / height, line, fontsize=7, color="#333333")


def _panel(
    ax: Axes, comparison: Comparison, rows: Sequence[ComparisonRow], panel: tuple[str, str, str, float], inches: float
) -> None:
    figure, what, unit, factor = panel
    values = [float(getattr(row.over, figure)) * factor if row.over is not None else 0.0 for row in rows]
    positive = [value for value in values if value > 0]
    best = min((value for row, value in zip(rows, values, strict=True) if row.ranks and value > 0), default=0.0)
    log = bool(positive) and max(positive) > LOG_FROM * min(positive)
    start = min(positive) / 3 if log else 0.0
    end = start
    for y, (row, value) in enumerate(zip(rows, values, strict=True)):
        label = _label(comparison, row, figure, si(value, unit)) if value > 0 else _missing(row)
        ax.annotate(
            label, (max(value, start), y), (3, 0), textcoords="offset points", va="center_baseline", fontsize=7,
            color="#111111" if value > 0 else "#666666",
        )  # fmt: skip
        if value <= 0:
            continue
        colour = palette.DARK_GREY if row.arch == comparison.base and len(rows) > 1 else palette.BLUE
        face = palette.GREEN if value == best else colour
        face, edge, hatch = (face, face, None) if row.ranks else ("white", "#777777", "////")
        ax.barh(y, value - start, 0.72, left=start, facecolor=face, edgecolor=edge, hatch=hatch)
        room = 1 - min(0.6, (0.1 + LETTER * len(label)) / inches)  # what a bar may take beside its label
        end = max(end, start * (value / start) ** (1 / room) if log else value / room)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    if log:
        ax.set_xscale("log")
    if positive:
        ax.set_xlim(start, end)
    ax.xaxis.set_major_formatter(lambda value, _: si(value, unit))
    ax.tick_params(axis="x", labelsize=6.5)
    if log:
        ax.locator_params(axis="x", numticks=_TICKS)
    else:
        ax.locator_params(axis="x", nbins=_TICKS - (unit == "J s"))  # whose labels are the longest
    ax.minorticks_off()
    ax.set_title(f"{what}{' (log scale)' if log else ''}", fontsize=8, pad=3)


def _missing(row: ComparisonRow) -> str:
    return "did not run" if row.over is None else "none"


def _label(comparison: Comparison, row: ComparisonRow, figure: str, value: str) -> str:
    if not row.ranks and row.whole is not None:
        return f"{value}, {basis.ran_of(len(row.whole.simulated), len(row.whole.layers))}"
    gain = comparison.gain(row, next(name for name, of in GAINS.items() if of == figure))
    return value if gain is None or row.arch == comparison.base else f"{value} ({texts.times(gain)})"


def _caption(comparison: Comparison) -> str:
    first = f"green: the least; grey: {comparison.base}, whose figure over a machine's stands in brackets"
    hatched = "; hatched: not ranked" if any(row.over is not None and not row.ranks for row in comparison.rows) else ""
    rest = [text for text in texts.notes(comparison) if not text.startswith(("gains are", texts.AREAS))]
    return "; ".join([first + hatched, *rest])
