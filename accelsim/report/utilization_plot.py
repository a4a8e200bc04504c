"""Utilisation: what share of their time the units of each layer work, and where the rest goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.report import facts, words
from accelsim.report.breakdown_plot import LETTER, cycles_bars, draw_segments, name_longest, write_labels, write_legend
from accelsim.report.columns import shorten
from accelsim.report.series import rows
from accelsim.results import NetworkResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH, _HEAD, _FOOT, _RIGHT = 8.4, 0.9, 0.62, 1.5
"""Inches: the figure's width, the space above and below the bars and to the right of them."""
_LONGEST_LABEL = 36


def draw(fig: Figure, result: NetworkResult) -> None:
    """Draw one bar of 100 % per layer; beside it stand its occupancy and its share of the time."""
    drawn = rows(result)
    labels = [shorten(r.label, _LONGEST_LABEL) for r in drawn]
    row, font = (0.19, 7.0) if len(drawn) <= 60 else (0.125, 5.5)
    left = 0.15 + LETTER * font / 7 * max(map(len, labels), default=0)
    width, height = _WIDTH - left - _RIGHT, _HEAD + _FOOT + row * max(len(drawn), 6)
    fig.set_size_inches(_WIDTH, height)
    fig.suptitle(f"{words.title(result)}: utilisation by layer", x=0.01, y=1 - 0.08 / height, ha="left", va="top")
    ax = fig.add_axes((left / _WIDTH, _FOOT / height, width / _WIDTH, 1 - (_HEAD + _FOOT) / height))
    bars, looks = cycles_bars(result, drawn)
    totals = [sum(bar.values()) for bar in bars]
    shares = [
        {name: 100 * n / (total or 1) for name, n in bar.items()} for bar, total in zip(bars, totals, strict=True)
    ]
    ax.set_xlim(0, 100)
    ax.set_ylim(max(len(bars), 6) - 0.4, -0.6)
    ax.set_yticks([])
    ax.set_xlabel("share of unit-cycles (%)")
    draw_segments(ax, shares, looks)
    name_longest(ax, shares, looks, font, width)
    write_legend(ax, list(looks), width)
    write_labels(ax, labels, font)
    useful = [words.of_cause(cause) for cause in facts.USEFUL]
    for y, (share, total) in enumerate(zip(shares, totals, strict=True)):
        occupancy, time = sum(share.get(name, 0.0) for name in useful) / 100, total / (result.isolated_cycles or 1)
        told = f"{words.percent(occupancy)} in {words.percent(time)}"
        ax.text(101, y, told, va="center_baseline", fontsize=font, color="#333333")
    if drawn:
        ax.axvline(100 * result.alone.occupancy, color="black", linewidth=1.0, linestyle=(0, (4, 2)))
        ax.annotate(
            "occupancy in\nshare of time", (1, 1), (4, 3), xycoords="axes fraction", textcoords="offset points",
            va="bottom", fontsize=7,
        )  # fmt: skip
        both = words.percent(result.alone.occupancy), words.percent(result.alone.utilization)
        told = "all layers, dashed: occupancy {}, utilisation {}".format(*both)
        fig.text(0.01, 1 - 0.32 / height, told, va="top")
    caption = (
        "at the right: occupancy (busy, on zeros too) in the layer's share of the time; dashed: occupancy of all layers"
    )
    fig.text(0.01, 0.06 / height, caption, fontsize=7, color="#333333")
