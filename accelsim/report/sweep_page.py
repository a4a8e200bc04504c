"""The report of a sweep as an HTML page: objectives against each other with their front, and a table of the points."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from accelsim.report import page, points, scatter, words
from accelsim.report.page import Looks
from accelsim.report.palette import Look
from accelsim.report.point_plots import cause_looks, component_looks
from accelsim.report.points import QUANTITIES, Shown

MOST_POINTS = 20_000
"""Points that a page holds; of more, the fronts and an even choice of the others."""
_MOST_PLOTS = 8
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
    points : sequence of Shown
        Those that ran.
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
    points: Sequence[Shown]
    keys: Sequence[str]
    objectives: Sequence[str]
    refused: Mapping[str, int]
    document: Any
    machines: Mapping[str, Any]
    not_modelled: Sequence[str]


def to_html(sweep: Sweep, front: Front) -> str:
    """Return the page as text; the same store gives the same text."""
    objectives = [name for name in sweep.objectives if all(name in p.figures for p in sweep.points)]
    pairs = list(combinations(objectives[:3], 2))
    fronts = {pair: set(front(sweep.points, pair)) for pair in pairs}
    best = sorted(next(iter(fronts.values())) if len(pairs) == 1 else front(sweep.points, objectives))
    kept = _kept(len(sweep.points), {*best, *(i for on in fronts.values() for i in on)})
    shown = [sweep.points[i] for i in kept]
    place = {i: k for k, i in enumerate(kept)}
    plots = []
    for pair, on in fronts.items():
        for network, mine in points.by_network(shown).items():
            numbers = [k for k, point in enumerate(shown) if point.network == network]
            plots.append(_plot(network, mine, numbers, {place[i] for i in on}, pair))
    looks = Looks()
    parts = [
        _part(looks, "energy by component", component_looks(shown), [p.energy_pj for p in shown]),
        _part(looks, "cycles by cause", cause_looks(shown), [p.cycles_by_cause for p in shown]),
    ]
    columns = _columns(shown, sweep.keys, objectives, {place[i] for i in best}, parts)
    plots = plots[:_MOST_PLOTS]
    ranked = [place[i] for i in best]
    left_out = len(sweep.points) - len(shown)
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
        title=sweep.title,
        summary=sweep.summary + thinned,
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


def _plot(
    network: str, mine: Sequence[Shown], numbers: list[int], on: Collection[int], pair: tuple[str, str]
) -> scatter.Plot:
    """Return two objectives of one network against each other."""
    factors, titles = zip(*(points.scale(name, max(p.figures[name] for p in mine)) for name in pair), strict=True)
    xs, ys = ([p.figures[name] * factor for p in mine] for name, factor in zip(pair, factors, strict=True))
    x, y = scatter.axis(titles[0], xs, False), scatter.axis(titles[1], ys, True)
    places = [(x.at(a), y.at(b)) for a, b in zip(xs, ys, strict=True)]
    best = [i for i, number in enumerate(numbers) if number in on]
    ends = f"{_named(mine, best[0], xs)} and {_named(mine, best[-1], xs)}" if best else "none"
    about = f"{len(best)} of {len(mine)} points are on the front, among them {ends}. The table below holds the figures."
    plot = scatter.Plot(
        f"{network}: {len(best)} of {len(mine):,} points are on the front", about, x, y, places, numbers
    )
    plot.dots = scatter.dots([place for i, place in enumerate(places) if numbers[i] not in on])
    plot.lines = [{"look": "steps", "d": scatter.steps([places[i] for i in best]), "label": ""}] if best else []
    plot.circles = [{"x": places[i][0], "y": places[i][1], "r": 5, "fill": ""} for i in best]
    few = sorted(best, key=lambda i: xs[i])
    named = [few[k * (len(few) - 1) // 4] for k in range(5)] if len(few) > 5 else few
    circles = [(*place, 3.0) for place in places]
    scatter.name_points(
        plot, [(*places[i], 5.0, (mine[i].label, f"#{numbers[i] + 1:,}")) for i in dict.fromkeys(named)], circles
    )
    return plot


def _named(mine: Sequence[Shown], i: int, xs: Sequence[float]) -> str:
    return f"{mine[i].label} ({words.number(xs[i])})"


def _columns(
    shown: Sequence[Shown],
    keys: Sequence[str],
    objectives: Sequence[str],
    best: Collection[int],
    parts: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return the columns of the table: number, network, what varies, the objectives, the bars, the other figures."""
    columns = [
        _column("#", range(1, len(shown) + 1)),
        _column("front", ["front" if i in best else "" for i in range(len(shown))]),
    ]
    columns.append(_column("network", [p.network for p in shown]))
    varied = [key for key in ("machine", *keys) if len({repr(p.axes.get(key)) for p in shown}) > 1]
    names = points.short_keys(varied)
    columns += [_column(names[key], [_plain(p.axes.get(key)) for p in shown]) for key in varied]
    figures = [name for name in (*objectives, *QUANTITIES) if any(name in p.figures for p in shown)]
    for name in dict.fromkeys(figures):
        factor, title = points.scale(name, max(p.figures.get(name, 0.0) for p in shown))
        values = [float(f"{p.figures[name] * factor:.{_DIGITS}g}") if name in p.figures else None for p in shown]
        columns.append(_column(title, values))
    place = len(columns) - len(dict.fromkeys(figures)) + len(objectives)
    return [*columns[:place], *parts, *columns[place:]]


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
