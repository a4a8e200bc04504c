"""The timeline: which layer runs when on which unit, and the units' work, DRAM traffic and power meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from accelsim.report import classes, facts, palette, power, words
from accelsim.report.breakdown_plot import OTHERS, merged
from accelsim.report.columns import shorten
from accelsim.report.series import LONG_NAME
from accelsim.results import LayerResult, NetworkResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _LEFT, _RIGHT = 10.5, 1.05, 1.5
"""Inches: the figure's width, and the margins of its panels."""
_LANE, _PANEL, _GAP, _HEAD, _FOOT = 0.34, 1.15, 0.14, 0.62, 0.72
"""Inches: a unit's lane, a panel, the space between panels, above and below them."""
_LETTER = 0.058
STALLED_LOOK = palette.Look("#F4C7A5", "xxx", "black")
_SCALES = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))


def draw(fig: Figure, result: NetworkResult) -> None:
    """Draw the layers of a result along time, one after another."""
    result = result.alone
    layers = [layer for layer in result.simulated if layer.cycles]
    units = list(dict.fromkeys(layer.unit or "" for layer in layers)) or [""]
    heights = [_LANE * len(units) + 0.1, _PANEL, _PANEL, 1.6 * _PANEL]
    height = _HEAD + sum(heights) + _GAP * 3 + _FOOT
    fig.set_size_inches(_WIDTH, height)
    fig.suptitle(f"{words.title(result)}: timeline", x=0.01, y=1 - 0.08 / height, ha="left", va="top")
    axes, top = [], height - _HEAD
    for high in heights:
        box = (_LEFT / _WIDTH, (top - high) / height, 1 - (_LEFT + _RIGHT) / _WIDTH, high / height)
        axes.append(fig.add_axes(box))
        top -= high + _GAP
    unit, size = next((scale for scale in _SCALES if result.time_s >= scale[1]), _SCALES[-1])
    per_cycle = 1 / (result.clock_mhz * 1e6 * size)
    for ax in axes:
        ax.set_xlim(0, max(result.cycles, 1) * per_cycle)
        if ax is not axes[-1]:
            ax.tick_params(axis="x", labelbottom=False)
    axes[-1].set_xlabel(f"time ({unit})")
    if not layers:
        axes[1].text(0.5, 0.5, "no layer was simulated", transform=axes[1].transAxes, ha="center")
    edges = [layer.start_cycle * per_cycle for layer in layers] + [result.cycles * per_cycle]
    _lanes(axes[0], layers, edges, units)
    _causes(axes[1], result, layers, edges)
    rates = [layer.dram_bits / 8e9 / _seconds(result, layer) for layer in layers]
    _steps(
        axes[2],
        edges,
        rates,
        palette.DRAM.colour,
        "DRAM (GB/s)",
        _mean(result, sum(x.dram_bits for x in layers) / 8e9, "GB/s"),
    )
    _bandwidth(axes[2], result, max(rates, default=0.0))
    _power(axes[3], result, layers, edges)
    caption = (
        "each layer's mean is drawn over its time: nothing is resolved within a layer ('accelsim run --trace' does)"
    )
    fig.text(0.01, 0.06 / height, caption, fontsize=7, color="#333333")


def _seconds(result: NetworkResult, layer: LayerResult) -> float:
    return layer.cycles / (result.clock_mhz * 1e6)


def _mean(result: NetworkResult, amount: float, unit: str) -> str:
    return f"mean {words.number(amount / result.time_s)} {unit}" if result.cycles else ""


def _lanes(ax: Axes, layers: Sequence[LayerResult], edges: Sequence[float], units: Sequence[str]) -> None:
    """Draw a lane per unit, a layer's colour being what bounds it, and its name where there is room."""
    for bound in sorted({layer.bound_by for layer in layers}, key=lambda b: (b != "compute", b)):
        colour = palette.BOUNDS.get(bound, palette.DARK_GREY)
        for lane, unit in enumerate(units):
            mine = [i for i, layer in enumerate(layers) if layer.bound_by == bound and (layer.unit or "") == unit]
            spans = [(edges[i], edges[i + 1] - edges[i]) for i in mine]
            first = unit == next(x.unit or "" for x in layers if x.bound_by == bound)
            label = f"bound by {words.of_cause(bound)}" if first else None
            ax.broken_barh(spans, (lane - 0.4, 0.8), facecolors=colour, edgecolors="white", linewidth=0.3, label=label)
    cut = len(words.prefix([layer.name for layer in layers], LONG_NAME))
    inches = (_WIDTH - _LEFT - _RIGHT) / (edges[-1] or 1)
    for i, layer in enumerate(layers):
        room = int((edges[i + 1] - edges[i]) * inches / _LETTER)
        name = layer.name[cut:]
        if room < min(len(name), 5):
            continue
        look = palette.CAUSES.get(layer.bound_by, palette.CAUSES["busy"])
        middle = (edges[i] + edges[i + 1]) / 2
        ax.text(
            middle, units.index(layer.unit or ""), shorten(name, room), ha="center", va="center_baseline", fontsize=6.5,
            color=look.letters,
        )  # fmt: skip
    ax.set_ylim(len(units) - 0.5, -0.5)
    ax.set_yticks(range(len(units)), units)
    ax.tick_params(axis="y", length=0)
    if layers:
        ax.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=6, frameon=False, fontsize=7, handlelength=1.2,
            columnspacing=1.2, borderaxespad=0.2,
        )  # fmt: skip


def _causes(ax: Axes, result: NetworkResult, layers: Sequence[LayerResult], edges: Sequence[float]) -> None:
    """Draw the shares of unit-cycles by cause, stacked, and name each beside the panel."""
    floor = [0.0] * len(layers)
    spent = facts.time_shares(result)
    for cause in facts.all_causes(result):
        look = palette.CAUSES.get(cause, palette.UNKNOWN)
        roof = [low + 100 * facts.share(layer, cause) for low, layer in zip(floor, layers, strict=True)]
        told = f"{words.of_cause(cause)} {words.percent(spent[cause])}"
        ax.fill_between(
            _twice(edges), _flat(floor), _flat(roof), facecolor=look.colour, hatch=look.hatch or None,
            edgecolor="white", linewidth=0, label=told,
        )  # fmt: skip
        floor = roof
    ax.set_ylim(0, 100)
    ax.set_ylabel("unit-cycles (%)")
    if layers:
        handles, names = ax.get_legend_handles_labels()
        ax.legend(
            handles[::-1], names[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=6.5,
            handlelength=1.1, labelspacing=0.2, borderaxespad=0.3,
        )  # fmt: skip


def _steps(ax: Axes, edges: Sequence[float], values: Sequence[float], colour: str, name: str, mean: str) -> None:
    """Draw one value per layer as an area, and its mean beside the panel."""
    ax.fill_between(_twice(edges), 0, _flat(values), facecolor=colour, linewidth=0)
    ax.set_ylim(0, (max(values, default=0.0) or 1.0) * 1.15)
    ax.set_ylabel(name)
    ax.grid(axis="y", color="#DDDDDD", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.annotate(mean, (1, 0), (4, 2), xycoords="axes fraction", textcoords="offset points", fontsize=7, va="bottom")


STALLED = "leaked, clocked in stalls"


def _power(ax: Axes, result: NetworkResult, layers: Sequence[LayerResult], edges: Sequence[float]) -> None:
    """Draw each component's mean power per layer, stacked; on top, hatched, what leaks and is clocked in stalls."""
    looks = classes.looks(merged(result), classes.of_result(result)) | {STALLED: STALLED_LOOK}
    parts: list[dict[str, float]] = []
    for layer in layers:
        part = dict.fromkeys(looks, 0.0)
        for name, pj in layer.energy_pj.items():
            if not pj:
                continue
            stalled = layer.stalled_pj.get(name, 0.0)
            part[name if name in part else OTHERS] += pj - stalled
            part[STALLED] += stalled
        parts.append({name: pj * 1e-12 / _seconds(result, layer) for name, pj in part.items()})
    highest = max((sum(part.values()) for part in parts), default=0.0)
    scale, watt = (1e3, "mW") if 0 < highest < 1 else (1.0, "W")
    floor = [0.0] * len(layers)
    for name, look in looks.items():
        roof = [low + part[name] * scale for low, part in zip(floor, parts, strict=True)]
        if any(part[name] for part in parts):
            ax.fill_between(
                _twice(edges), _flat(floor), _flat(roof), facecolor=look.colour, hatch=look.hatch or None,
                edgecolor="white", linewidth=0, label=name,
            )  # fmt: skip
        floor = roof
    ax.set_ylim(0, (highest * scale or 1.0) * 1.2)
    ax.set_ylabel(f"power ({watt})")
    ax.grid(axis="y", color="#DDDDDD", linewidth=0.5)
    ax.set_axisbelow(True)
    if layers:
        curve, window = power.of_layers(result), power.window_us(result)
        mean, peak = (value * 1e-3 * scale for value in (curve.average_mw, curve.peak_mw(window)))
        ax.text(
            0.995, 0.97, f"mean {words.number(mean)} {watt}, peak over {words.number(window)} us {words.number(peak)} "
            f"{watt}", transform=ax.transAxes, fontsize=7, ha="right", va="top",
        )  # fmt: skip
        handles, names = ax.get_legend_handles_labels()
        ax.legend(
            handles[::-1], names[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=6.5,
            handlelength=1.1, labelspacing=0.2, borderaxespad=0.3,
        )  # fmt: skip


def _bandwidth(ax: Axes, result: NetworkResult, highest: float) -> None:
    """Draw what the DRAM allows, where the machine says so."""
    bits = facts.dram_bits_per_cycle(result)
    if bits is None:
        return
    has = bits / 8 * result.clock_mhz * 1e6 / 1e9
    if has > 20 * highest:
        return  # far above everything that is drawn
    ax.set_ylim(0, has * 1.15)
    ax.axhline(has, color="black", linewidth=0.9, linestyle=(0, (4, 2)))
    ax.annotate(
        f"machine:\n{words.number(has)} GB/s", (1, has), (4, 0), xycoords=("axes fraction", "data"),
        textcoords="offset points", fontsize=7, va="center",
    )  # fmt: skip


def _twice(edges: Sequence[float]) -> list[float]:
    """Return both ends of every layer."""
    return [edge for pair in pairwise(edges) for edge in pair]


def _flat(values: Sequence[float]) -> list[float]:
    return [value for value in values for _ in range(2)]
