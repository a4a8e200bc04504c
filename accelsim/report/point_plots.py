"""Pictures of many points as bars: EDP against a baseline, and stacked parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from accelsim.report import classes, facts, palette, panels, points, words
from accelsim.report.palette import Look
from accelsim.report.points import Compared, Shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 24
"""Bars per network: more are not readable."""
EDP = "edp_pj_s"
DECADE = 10
"""Ratios that span more than this have a logarithmic axis."""


def edp(fig: Figure, given: Compared, title: str, base: str | None = None, ordered: bool = False) -> None:
    """Draw bars of the energy-delay product over that of ``base``, by default each network's first point that ranks.

    With several networks the last panel has their geometric means. ``ordered``: the least first.
    """
    means = points.with_means(given.points, (EDP,), base or _label(points.baseline(given.points)))
    over = "the baseline's" if means else "the best of each"
    means = means or points.with_means(given.points, (EDP,))
    every = points.by_network([*given.points, *means])
    groups = {name: _chosen(mine, EDP, ordered, base) for name, mine in every.items()}
    caption = _caption(given, groups, "green: the least")
    axes = panels.stack(fig, groups, given.titled(title), [caption, *given.said([EDP])])
    firsts = {network: points.baseline(mine, base) for network, mine in every.items()}
    units = {
        network: first.figures[EDP] if first and network != points.ALL else 1.0 for network, first in firsts.items()
    }
    found = {network: [point.figures[EDP] / units[network] for point in mine] for network, mine in groups.items()}
    spread = any(_spread(ratios) > DECADE for ratios in found.values())
    for ax, (network, mine) in zip(axes, groups.items(), strict=True):
        first, unit, ratios = firsts[network], units[network], found[network]
        low = min((r for r, point in zip(ratios, mine, strict=True) if point.ranks), default=None)
        ax.barh(
            range(len(mine)), ratios, 0.75,
            color=[_colour(point, ratio, point is first, low) for point, ratio in zip(mine, ratios, strict=True)],
        )  # fmt: skip
        panels.hatch_rest(ax, mine, ratios)
        ax.axvline(1, color="black", linewidth=0.8)
        _ratio_axis(ax, ratios, spread, all(point.ranks for point in mine))
        for y, (ratio, point) in enumerate(zip(ratios, mine, strict=True)):
            ax.annotate(
                panels.told(point, f"{ratio:.3g}"), (max(ratio, ax.get_xlim()[0]), y), (3, 0),
                textcoords="offset points", va="center_baseline", fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )  # fmt: skip
        if network == points.ALL:
            ax.set_title(f"{network}, over {over}")
        elif first is not None:
            ax.set_title(f"{network}: the baseline (grey) has {_with_unit(EDP, unit)}")
        ax.set_xlabel("energy-delay product over the baseline's (ratio, less is better)")


def _label(point: Shown | None) -> str | None:
    return None if point is None else point.label


def _chosen(mine: Sequence[Shown], figure: str, ordered: bool, base: str | None = None) -> list[Shown]:
    few = points.best(mine, MOST_BARS, figure, base)
    return sorted(few, key=lambda point: (not point.ranks, point.figures[figure])) if ordered else few


def _colour(point: Shown, ratio: float, is_base: bool, low: float | None) -> str:
    if not point.ranks:
        return palette.LIGHT_GREY
    return palette.DARK_GREY if is_base else palette.GREEN if ratio == low else palette.BLUE


def _spread(ratios: Sequence[float]) -> float:
    """Return the quotient of the largest and the smallest ratio, those of nothing apart."""
    some = [ratio for ratio in ratios if ratio > 0]
    return max(some) / min(some) if some else 1.0


def _ratio_axis(ax: Axes, ratios: Sequence[float], spread: bool, short: bool) -> None:
    """Start at zero, or use logarithms where one ratio would hide the others; ``short`` labels need less room."""
    if spread:
        panels.make_log(ax, "x")
        low = min(ratio for ratio in [*ratios, 1.0] if ratio > 0)
        high = max([*ratios, 1.0])
        ax.set_xlim(low / 1.5, high * max(1.15, (high / low) ** (0.1 if short else 0.35)))
    else:
        ax.set_xlim(0, max(ratios, default=1.0) * (1.12 if short else 1.4))


def parts(fig: Figure, given: Compared, title: str, kind: str, ordered: bool = False) -> None:
    """Draw stacked bars per point: ``energy`` by component, ``cycles`` by cause, or ``shares`` of the cycles.

    Where clocks differ, time stands in place of cycles. ``ordered``: the shortest first.
    """
    energy, timed = kind == "energy", len(given.clocks) > 1
    total = "total_energy_pj" if energy else "time_s" if timed else "cycles"
    groups = {name: _chosen(points.best(mine, MOST_BARS), total, ordered)
              for name, mine in points.by_network(given.points).items()}  # fmt: skip
    shown = [point for mine in groups.values() for point in mine]
    by, looks, parts = (
        energy_parts(shown) if energy else ("what the units do", cause_looks(shown), [p.cycles_by_cause for p in shown])
    )
    parts_of = {id(point): part for point, part in zip(shown, parts, strict=True)}
    columns = 4
    lines = -(-len(looks) // columns)
    caption = [_caption(given, groups, f"at a bar's end: its {'occupancy' if kind == 'shares' else 'sum'}")]
    caption += given.said([total] if kind != "shares" else [])
    axes = panels.stack(fig, groups, given.titled(title), caption, legend=lines)
    for number, (ax, (network, mine)) in enumerate(zip(axes, groups.items(), strict=True)):
        factors, axis, ends = _measure(mine, kind, total, by)
        starts = [0.0] * len(mine)
        for key, (name, look) in looks.items():
            widths = [parts_of[id(point)].get(key, 0.0) * factor for point, factor in zip(mine, factors, strict=True)]
            ax.barh(
                range(len(mine)), widths, 0.8, starts, color=look.colour, hatch=look.hatch or None,
                edgecolor="white", linewidth=0, label=name,
            )  # fmt: skip
            starts = [a + b for a, b in zip(starts, widths, strict=True)]
        panels.hatch_rest(ax, mine, starts)
        for y, (end, told, point) in enumerate(zip(starts, ends, mine, strict=True)):
            ax.text(end, y, f" {panels.told(point, told)}", va="center_baseline", fontsize=7)
        ax.set_xlim(0, max(starts) * (1.1 if all(point.ranks for point in mine) else 1.4) or 1.0)
        ax.set_xlabel(axis)
        ax.set_title(network, pad=6 + (12 * lines + 4) * (number == 0))
        if number == 0:
            ax.legend(
                loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, frameon=False, fontsize=7, handlelength=1.2,
                labelspacing=0.25, borderaxespad=0.2,
            )  # fmt: skip


def _measure(mine: Sequence[Shown], kind: str, total: str, by: str) -> tuple[list[float], str, list[str]]:
    """Return the factor of each point's parts, the name of their axis, and what stands at the bars' ends."""
    if kind == "shares":
        sums = [sum(p.cycles_by_cause.values()) or 1.0 for p in mine]
        ends = [
            words.percent(sum(p.cycles_by_cause.get(c, 0.0) for c in facts.USEFUL) / s)
            for p, s in zip(mine, sums, strict=True)
        ]
        return [100 / s for s in sums], "share of unit-cycles (%), by what the units do", ends
    factor, axis = points.scale(total, max(p.figures[total] for p in mine))
    ends = [words.number(p.figures[total] * factor) for p in mine]
    factors = [factor] * len(mine)
    if total == "time_s":
        factors = [factor * p.figures["time_s"] / (p.figures["cycles"] or 1.0) for p in mine]
    return factors, f"{axis}, by {by}", ends


class Energies(NamedTuple):
    """What parts of the energy of points are (``by``), part -> name and look, and the parts of each point, in pJ."""

    by: str
    looks: dict[str, tuple[str, Look]]
    parts: list[Mapping[str, float]]


def energy_parts(shown: Sequence[Shown]) -> Energies:
    """Return the parts of each point's energy; what never spends anything is left out.

    Parts are components where all points have the same few, else their classes.
    """
    spent: list[Mapping[str, float]] = [{name: pj for name, pj in p.energy_pj.items() if pj} for p in shown]
    names = dict.fromkeys(name for each in spent for name in each)
    alike = len({frozenset(each) for each in spent}) < 2
    by = "component"
    if not (alike and len(names) <= classes.MOST_COMPONENTS) and all(point.classes for point in shown):
        by = "class"
        spent = [classes.by_class(each, point.classes) for each, point in zip(spent, shown, strict=True)]
        looks = {group: look for group, look in classes.LOOKS.items() if any(group in each for each in spent)}
    else:
        looks = classes.looks(names, shown[0].classes if shown else {})
    return Energies(by, {name: (name, look) for name, look in looks.items()}, spent)


def cause_looks(shown: Sequence[Shown]) -> dict[str, tuple[str, Look]]:
    """Return cause -> words and look, in the order of reports; what never occurs is left out."""
    found = facts.in_order({cause: True for point in shown for cause, n in point.cycles_by_cause.items() if n})
    return {c: (words.of_cause(c), palette.CAUSES.get(c, palette.UNKNOWN)) for c in found}


def _with_unit(name: str, value: float) -> str:
    factor, axis = points.scale(name, value)
    return f"{words.number(value * factor)} {axis[axis.rfind('(') + 1 : -1]}"


def _caption(given: Compared, groups: Mapping[str, Sequence[Shown]], text: str) -> str:
    shown = sum(len(mine) for network, mine in groups.items() if network != points.ALL)
    if shown == len(given.points):
        return text
    return f"{text}; {shown} of {len(given.points)} points are shown: each network's first and those of least EDP"
