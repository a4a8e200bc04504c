"""Picture of searches for widths: cost against signal-to-quantisation-noise, a panel per machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from accelsim.report import palette, points

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Curve(NamedTuple):
    """Front as (cost, dB), uniform widths as (cost, dB, name), and the best point within a budget, if there is one."""

    quantity: str
    front: Sequence[tuple[float, float]]
    uniform: Sequence[tuple[float, float, str]]
    best: tuple[float, float] | None


NAMES = {"energy_pj": "total_energy_pj"}
"""Costs that pictures of sweeps call otherwise."""


def draw(fig: Figure, curves: Mapping[str, Curve], title: str) -> None:
    """Draw one panel per machine, side by side, the dB on a common axis."""
    wide = 4.9 * len(curves)
    fig.set_size_inches(wide, 4.2)
    fig.suptitle(title, x=0.01, y=0.985, ha="left", va="top")
    axes = fig.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for ax, (name, curve) in zip(axes, curves.items(), strict=True):
        largest = max(cost for cost, _ in curve.front)
        if curve.quantity == "size_bits":
            factor, label = 1 / 8192 / 1024, "filters (MiB)"
        else:
            factor, label = points.scale(NAMES.get(curve.quantity, curve.quantity), largest)
        ax.step([cost * factor for cost, _ in curve.front], [db for _, db in curve.front], where="post",
                color=palette.BLUE, linewidth=1.2, label="mixed widths: front")  # fmt: skip
        ax.scatter([cost * factor for cost, _, _ in curve.uniform], [db for _, db, _ in curve.uniform], s=26,
                   color=palette.ORANGE, edgecolors="black", linewidths=0.5, zorder=3,
                   label="one width for all")  # fmt: skip
        for cost, db, text in curve.uniform:
            ax.annotate(text, (cost * factor, db), (5, -3), textcoords="offset points", va="top", fontsize=7)
        if curve.best is not None:
            ax.scatter([curve.best[0] * factor], [curve.best[1]], s=90, marker="*", color=palette.VERMILION,
                       edgecolors="black", linewidths=0.5, zorder=4, label="best within the budget")  # fmt: skip
        ax.set_xlim(0, largest * factor * 1.18)
        ax.set_xlabel(label)
        ax.set_title(name)
        ax.grid(color="#E4E4E4", linewidth=0.5)
        ax.set_axisbelow(True)
        ax.legend(loc="lower right", fontsize=7, frameon=True, framealpha=0.9, edgecolor="#DDDDDD")
    axes[0].margins(y=0.08)
    axes[0].set_ylabel("signal over quantisation noise (dB)")
    fig.text(0.01, 0.012, "more dB, left and up, is better; noise is a proxy, no accuracy", fontsize=7, color="#333333")
    fig.subplots_adjust(left=0.62 / wide, right=1 - 0.1 / wide, bottom=0.17, top=0.86, wspace=0.06)
