"""The report of a sweep as an HTML page: objectives against each other with their front, and a table of the points."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from accelsim.report import page, points, scatter, words
from accelsim.report.page import Looks
from accelsim.report.palette import Look
from accelsim.report.point_plots import cause_looks, energy_parts
from accelsim.report.points import ALL, QUANTITIES, Compared, Shown

MOST_POINTS = 20_000
"""Points that a page holds; of more, the fronts and an even choice of the others."""
_MOST_PLOTS = 8
_MOST_HATCHED = 500
_STATIC_ROWS = 200
"""Rows that stand in the page itself, for readers without scripts."""
_DIGITS = 5

Front = Callable[[Sequence[Shown], Sequence[str]], Collection[int]]
"""Gives the indices of the points on their network's front."""


@dataclass(frozen=True)
class Sweep:
    """What a page says of a sweep.

    Attributes
    ----------
    title, summary, provenance : str
    compared : Compared
        The points that ran.
    base : str, optional
        Label of the design that means over networks are relative to.
    keys : sequence of str
        Keys of the axes.
    objectives : sequence of str
    refused : mapping
        Why points have no figures -> how many.
    document : Any
        The sweep file.
    machines : mapping
        Machine -> resolved configuration, where it is known.
    not_modelled : sequence of str
    """

    title: str
    summary: str
    provenance: str
    compared: Compared
    base: str | None
    keys: Sequence[str]
    objectives: Sequence[str]
    refused: Mapping[str, int]
    document: Any
    machines: Mapping[str, Any]
    not_modelled: Sequence[str]


def to_html(sweep: Sweep, front: Front) -> str:
    """Return the page as text; the same store gives the same text."""
    every = sweep.compared.points
    objectives = [name for name in sweep.objectives if all(name in p.figures for p in every)]
    pairs = list(combinations(objectives[:3], 2))
    fronts = {pair: set(front(every, pair)) for pair in pairs}
    best = sorted(next(iter(fronts.values())) if len(pairs) == 1 else front(every, objectives))
    kept = _kept(len(every), {*best, *(i for on in fronts.values() for i in on)})
    shown = [every[i] for i in kept]
    place = {i: k for k, i in enumerate(kept)}
    plots = []
    for pair, on in fronts.items():
        if means := _means(every, shown, pair, front, sweep.base):
            plots.append(means)
        for network in points.by_network(shown):
            numbers = [k for k, p in enumerate(shown) if p.network == network and p.figures.get("cycles", 1.0) > 0]
            if numbers:
                mine = [shown[k] for k in numbers]
                plots.append(_plot(network, mine, numbers, {place[i] for i in on}, pair))
    looks = Looks()
    spent = energy_parts(shown)
    parts = [
        _part(looks, f"energy by {spent.by}", spent.looks, spent.parts),
        _part(looks, "cycles by cause", cause_looks(shown), [p.cycles_by_cause for p in shown]),
    ]
    over = {name: points.over_networks(every, name, sweep.base) for name in objectives} if _several(every) else {}
    columns = _columns(shown, sweep.keys, objectives, {place[i] for i in best}, parts, over)
    plots = plots[:_MOST_PLOTS]
    ranked = [place[i] for i in best]
    left_out = len(every) - len(shown)
    thinned = (
        f" This page holds {len(shown):,} of them: the fronts, and an even choice of the others." if left_out else ""
    )
    data = {
        "kind": "sweep",
        "front": ranked,
        "columns": columns,
        "plots": [plot.data() for plot in plots],
    }
    return page.render(
        "sweep.html",
        looks,
        data,
        title=sweep.compared.titled(sweep.title),
        summary=sweep.summary + thinned,
        notes=[f"{note[:1].upper()}{note[1:]}." for note in sweep.compared.said([*QUANTITIES])],
        hatched=any(plot.hatched for plot in plots),
        plots_title=" and ".join(QUANTITIES[name].words for name in objectives) or "Objectives",
        plots=plots,
        front=ranked,
        number=len(shown),
        heads=[{"name": c["name"], "kind": c["kind"]} for c in columns],
        front_rows=[_static(columns, k) for k in ranked[:_STATIC_ROWS]],
        legends=[
            {
                "title": p["name"],
                "pieces": [{"look": c, "text": n} for c, n in zip(p["looks"], p["names"], strict=True)],
            }
            for p in parts
        ],
        refused=sorted(((n, why) for why, n in sweep.refused.items()), key=lambda item: (-item[0], item[1])),
        provenance=sweep.provenance,
        sweep=page.to_yaml(sweep.document),
        machines=[(name, page.to_yaml(config)) for name, config in sweep.machines.items()],
        not_modelled=sweep.not_modelled,
    )


def _kept(number: int, needed: set[int]) -> list[int]:
    """Return which of so many points the page holds."""
    if number <= MOST_POINTS:
        return list(range(number))
    others = [i for i in range(number) if i not in needed]
    room = max(0, MOST_POINTS - len(needed))
    even = {others[k * len(others) // room] for k in range(room)}
    return sorted(needed | even)


def _several(every: Sequence[Shown]) -> bool:
    return len({point.network for point in every}) > 1


def _means(
    every: Sequence[Shown], shown: Sequence[Shown], pair: tuple[str, str], front: Front, base: str | None
) -> scatter.Plot | None:
    """Return the means over networks of two objectives; choosing a design chooses its points of all networks."""
    means = points.with_means(every, pair, base)
    if not means:
        return None
    on = {means[i].label for i in front(means, pair)}
    rows: dict[str, list[int]] = {}
    for k, point in enumerate(shown):
        rows.setdefault(point.label, []).append(k)
    listed = [(mean, k) for mean in means for k in rows.get(mean.label, [])]
    best = {k for mean, k in listed if mean.label in on}
    return _plot(ALL, [mean for mean, _ in listed], [k for _, k in listed], best, pair, each=len(means))


def _plot(
    network: str, mine: Sequence[Shown], numbers: list[int], on: Collection[int], pair: tuple[str, str],
    each: int | None = None,
) -> scatter.Plot:  # fmt: skip
    """Return two objectives of one network against each other; ``each`` designs where they stand there repeatedly."""
    ratio = network == ALL
    factors, titles = zip(
        *(points.scale(name, max(p.figures[name] for p in mine), ratio) for name in pair), strict=True
    )
    xs, ys = ([p.figures[name] * factor for p in mine] for name, factor in zip(pair, factors, strict=True))
    x, y = scatter.axis(titles[0], xs, False), scatter.axis(titles[1], ys, True)
    places = [(x.at(a), y.at(b)) for a, b in zip(xs, ys, strict=True)]
    seen: dict[str, int] = {}
    for i, number in enumerate(numbers):
        if number in on:
            seen.setdefault(mine[i].label, i)
    best = list(seen.values())
    ranked = each or sum(point.ranks for point in mine)
    ends = f"{_named(mine, best[0], xs)} and {_named(mine, best[-1], xs)}" if best else "none"
    about = f"{len(best)} of {ranked} points are on the front, among them {ends}. The table below holds the figures."
    title = f"{network}: {len(best)} of {ranked:,} {'designs' if each else 'points'} are on the front"
    plot = scatter.Plot(title, about, x, y, places, numbers)
    apart = [i for i, point in enumerate(mine) if not point.ranks]
    plot.hatched = [places[i] for i in apart[:_MOST_HATCHED]]
    plain = set(apart[:_MOST_HATCHED]) | {i for i, number in enumerate(numbers) if number in on}
    plot.dots = scatter.dots([place for i, place in enumerate(places) if i not in plain])
    plot.lines = [{"look": "steps", "d": scatter.steps([places[i] for i in best]), "label": ""}] if best else []
    plot.circles = [{"x": places[i][0], "y": places[i][1], "r": 5, "fill": ""} for i in best]
    few = sorted(best, key=lambda i: xs[i])
    named = [few[k * (len(few) - 1) // 4] for k in range(5)] if len(few) > 5 else few
    circles = [(*place, 3.0) for place in places]
    names = [(*places[i], 5.0, (mine[i].label, f"#{numbers[i] + 1:,}")) for i in dict.fromkeys(named)]
    names += [(*places[i], 5.0, (f"{mine[i].label} ({mine[i].part})", mine[i].part)) for i in apart[:5]]
    scatter.name_points(plot, names, circles)
    return plot


def _named(mine: Sequence[Shown], i: int, xs: Sequence[float]) -> str:
    return f"{mine[i].label} ({words.number(xs[i])})"


def _columns(
    shown: Sequence[Shown],
    keys: Sequence[str],
    objectives: Sequence[str],
    best: Collection[int],
    parts: Sequence[dict[str, Any]],
    over: Mapping[str, Mapping[str, float]],
) -> list[dict[str, Any]]:
    """Return the columns of the table: number, network, what varies, the objectives, the bars, the other figures.

    ``over`` gives the means over networks of some objectives by label: they stand behind the objectives.
    """
    columns = [
        _column("#", range(1, len(shown) + 1)),
        _column("front", ["front" if i in best else "" for i in range(len(shown))]),
    ]
    columns.append(_column("network", [p.network for p in shown]))
    varied = [key for key in ("machine", *keys) if len({repr(p.axes.get(key)) for p in shown}) > 1]
    names = points.short_keys(varied)
    columns += [_column(names[key], [_plain(p.axes.get(key)) for p in shown]) for key in varied]
    if any(p.part for p in shown):
        columns.append(_column("simulated", [p.part or "all layers" for p in shown]))
    if len({p.energy_table for p in shown}) > 1:
        columns.append(_column("energy table", [p.energy_table for p in shown]))
    figures = [name for name in (*objectives, *QUANTITIES) if any(name in p.figures for p in shown)]
    for name in dict.fromkeys(figures):
        factor, title = points.scale(name, max(p.figures.get(name, 0.0) for p in shown))
        values = [float(f"{p.figures[name] * factor:.{_DIGITS}g}") if name in p.figures else None for p in shown]
        columns.append(_column(title, values))
    place = len(columns) - len(dict.fromkeys(figures)) + len(objectives)
    means = [
        _column(f"{QUANTITIES[name].words}, all networks (ratio)", [_digits(found.get(p.label)) for p in shown])
        for name, found in over.items()
    ]
    return [*columns[:place], *means, *parts, *columns[place:]]


def _digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def _column(name: str, values: Sequence[Any]) -> dict[str, Any]:
    found = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
    numbers = all(isinstance(v, int | float | None) and not isinstance(v, bool) for v in found)
    return {"name": name, "kind": "number" if numbers else "text", "values": found}


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else str(value)


def _part(
    looks: Looks, title: str, known: Mapping[str, tuple[str, Look]], rows: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    """Return a stacked bar per point: shares in tenths of a percent."""
    return {
        "name": title,
        "kind": "bar",
        "names": [name for name, _ in known.values()],
        "looks": [looks.name(look) for _, look in known.values()],
        "values": [[round(1000 * row.get(key, 0.0) / (sum(row.values()) or 1)) for key in known] for row in rows],
    }


def _static(columns: Sequence[Mapping[str, Any]], k: int) -> list[dict[str, Any]]:
    """Return the cells of a row as text; bars become words."""
    return [{"text": _told(column, k), "number": column["kind"] == "number"} for column in columns]


def _told(column: Mapping[str, Any], k: int) -> str:
    value = column["values"][k]
    if column["kind"] != "bar":
        return _cell(value)
    shares = zip(column["names"], value, strict=True)
    return ", ".join(f"{name} {share / 10:g} %" for name, share in shares if share)


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else words.number(value)
