"""Convolutions of a table of RTL cycles: ours by cause, the RTL, and an analytic workbook, one bar per layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from accelsim.report import palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS = {
    "mac": ("products", palette.CAUSES["busy"]),
    "stripe_floor": ("stripe floor: the next weights come in", palette.CAUSES["starved"]),
    "drain_credit": ("drain: credits of the accumulator", palette.CAUSES["conflict"]),
    "weight_wait": ("later weights", palette.CAUSES["control"]),
    "load_wait": ("first load", palette.CAUSES["memory"]),
    "fill": ("fill", palette.CAUSES["fill_drain"]),
    "end": ("end", palette.CAUSES["imbalance"]),
}
"""Cause -> how the legend calls it, and its look."""
WIDEST = 1.6
"""Of the axis: a workbook that says more is written there."""
MOST = 48
"""Bars of a picture."""


class Bar(NamedTuple):
    """A layer: cycles of the RTL, ours by cause, and those of the workbook's rules."""

    name: str
    cycles: int
    causes: Mapping[str, int]
    workbook: float


def draw(fig: Figure, title: str, bars: Sequence[Bar]) -> None:
    """Draw the layers into a figure; cycles of each are relative to the RTL's."""
    shown = bars[:MOST]
    height = 1.75 + 0.2 * len(shown)
    fig.set_size_inches(8.4, height)
    ax = fig.add_axes((0.36, 1.15 / height, 0.61, 1 - 1.5 / height))
    places = list(reversed(range(len(shown))))
    left = [0.0] * len(shown)
    for cause, (label, look) in LOOKS.items():
        widths = [bar.causes[cause] / bar.cycles for bar in shown]
        style: dict[str, Any] = {"color": look.colour, "hatch": look.hatch, "edgecolor": "white", "linewidth": 0.3}
        ax.barh(places, widths, left=left, height=0.72, label=label, **style)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    ax.axvline(1, color="black", linewidth=1, label="RTL")
    at = [bar.workbook / bar.cycles for bar in shown]
    ax.plot(at, places, "D", color="black", markersize=4, markerfacecolor="white", label="workbook's rules")
    ax.set_yticks(places, [bar.name for bar in shown], fontsize=7)
    ax.set_ylim(-0.6, len(shown) - 0.4)
    ax.set_xlim(0, WIDEST)
    for bar, place in zip(shown, places, strict=True):
        if bar.workbook > WIDEST * bar.cycles:
            label = f"workbook {bar.workbook / bar.cycles:.1f} >"
            ax.text(WIDEST, place, label, ha="right", va="center", fontsize=7)
    ax.set_xlabel("cycles, relative to the RTL")
    fig.suptitle(f"{title}: cycles of a layer by cause, beside its RTL", x=0.01, y=0.995, ha="left", va="top")
    fig.legend(*ax.get_legend_handles_labels(), loc="lower left", ncols=3, fontsize=7, frameon=False)
