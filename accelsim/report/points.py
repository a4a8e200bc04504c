"""Points of a sweep, or several results, as pictures show them: short names, figures with units, a choice of few."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from accelsim import basis
from accelsim.basis import Incomplete, Ranking
from accelsim.charges import UNDECLARED
from accelsim.comparison import works_of
from accelsim.errors import ConfigError
from accelsim.report import classes, facts, words
from accelsim.results import NetworkResult


class Quantity(NamedTuple):
    """How a figure is named: words, unit, factor from the stored unit to it, whether prefixes are used."""

    words: str
    unit: str
    factor: float


QUANTITIES = {
    "cycles": Quantity("cycles", "", 1.0),
    "time_s": Quantity("time", "s", 1.0),
    "total_energy_pj": Quantity("energy", "J", 1e-12),
    "edp_pj_s": Quantity("energy-delay product", "J s", 1e-12),
    "dram_bits": Quantity("DRAM traffic", "B", 0.125),
    "dram_read_bits": Quantity("DRAM reads", "B", 0.125),
    "dram_write_bits": Quantity("DRAM writes", "B", 0.125),
    "dram_energy_pj": Quantity("DRAM energy", "J", 1e-12),
    "area_mm2": Quantity("area", "mm2", 1.0),
    "occupancy": Quantity("occupancy", "%", 100.0),
    "utilization": Quantity("utilisation", "%", 100.0),
    "tops": Quantity("rate", "TOPS", 1.0),
    "tops_per_w": Quantity("efficiency", "TOPS/W", 1.0),
}
"""Figure -> how a picture names it."""

_PREFIXES = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0), ("m", 1e-3), ("u", 1e-6), ("n", 1e-9))
_PLAIN = ("mm2", "%", "TOPS", "TOPS/W")
_MOST_KEYS = 4
"""Names that a sentence lists."""
ALL = "all networks (geometric mean)"
"""The network, as it were, of means over networks."""


@dataclass(frozen=True)
class Shown:
    """One point: where it comes from, and its figures.

    Attributes
    ----------
    clock_mhz : float, optional
    energy_table : str
        Empty where it is not known.
    no_area : str
        Components on the chip that its area leaves out.
    part : str
        What of its network was simulated, ``7 of 22 layers``; empty for all of it.
    ranks : bool
        Whether it may be best or on a front. The others are hatched and say their ``part``.
    classes : mapping
        Component -> its class (`accelsim.report.classes`); empty where nobody knows.
    """

    label: str
    network: str
    axes: Mapping[str, Any]
    figures: Mapping[str, float]
    energy_pj: Mapping[str, float] = field(default_factory=dict)
    cycles_by_cause: Mapping[str, float] = field(default_factory=dict)
    clock_mhz: float | None = None
    energy_table: str = ""
    no_area: str = ""
    part: str = ""
    ranks: bool = True
    classes: Mapping[str, str] = field(default_factory=dict)


class Compared(NamedTuple):
    """Points side by side, and what must be said of them.

    Attributes
    ----------
    points : list of Shown
    notes : tuple of str
        Over which layers the figures are taken, who takes no part.
    partial : bool
        Whether figures that rank leave out layers of a network.
    """

    points: list[Shown]
    notes: tuple[str, ...] = ()
    partial: bool = False

    def titled(self, title: str) -> str:
        """Return a title that says so where totals are partial."""
        return f"PARTIAL: {title}" if self.partial else title

    def said(self, figures: Iterable[str]) -> list[str]:
        """Return what must stand beside some figures of these points."""
        found, wanted = list(self.notes), set(figures)
        energies = {"total_energy_pj", "edp_pj_s", "dram_energy_pj", "tops_per_w"}
        if wanted & energies and (differ := basis.prices_differ({p.energy_table for p in self.points} - {""})):
            found.append(differ)
        lacks = {f"{p.axes.get('machine', p.label)}": p.no_area for p in self.points if p.no_area}
        bare = [machine for machine, parts in lacks.items() if UNDECLARED in parts]
        if wanted & energies and bare:
            found.append(f"{UNDECLARED}: energy leaves out the clock of {', '.join(bare[:_MOST_KEYS])}")
        if "area_mm2" in wanted and lacks:
            said = "; ".join(f"{parts} of {machine}" for machine, parts in list(lacks.items())[:_MOST_KEYS])
            found.append(f"area leaves out {said}{'; ...' if len(lacks) > _MOST_KEYS else ''}")
        return found

    def objectives(self, names: Sequence[str]) -> list[str]:
        """Return objectives with time in place of cycles where clocks differ."""
        return basis.timed(names, self.clocks)

    @property
    def clocks(self) -> set[float]:
        """The different clocks, in MHz."""
        return {point.clock_mhz for point in self.points if point.clock_mhz}


def scale(name: str, largest: float, ratio: bool = False) -> tuple[float, str]:
    """Return the factor from stored figures to those shown, and the axis title: ``energy (mJ)``.

    With ``ratio`` figures are means over networks, relative to the best or to a base.
    """
    quantity = QUANTITIES[name]
    if ratio:
        return 1.0, f"{quantity.words} (ratio)"
    value = abs(largest * quantity.factor)
    if quantity.unit in _PLAIN:
        return quantity.factor, f"{quantity.words} ({quantity.unit})"
    prefix, size = next((p for p in _PREFIXES if value >= p[1]), _PREFIXES[-1] if value else ("", 1.0))
    unit = f"{prefix}{quantity.unit}"
    return quantity.factor / size, f"{quantity.words} ({unit})" if unit else quantity.words


def of_rows(
    rows: Iterable[Mapping[str, Any]], keys: Sequence[str], machines: Mapping[str, Mapping[str, str]] | None = None
) -> list[Shown]:
    """Return the points of a store that ran; ``keys`` are the axes. What never varies is left out of the names.

    ``machines``: machine -> component -> class.
    """
    ran = [row for row in rows if row["status"] == "ok"]
    varied = [key for key in ("machine", *keys) if len({repr(row.get(key)) for row in ran}) > 1]
    names, networks = short_keys(varied), plain_names(row["network"] for row in ran)
    found = []
    for row in ran:
        figures = {name: float(row[name]) for name in QUANTITIES if row.get(name) is not None}
        if "dram" in row["energy_pj"]:
            figures["dram_energy_pj"] = row["energy_pj"]["dram"]
        label = ", ".join(str(row[k]) if k == "machine" else f"{names[k]} {row[k]}" for k in varied)
        axes = {key: row.get(key) for key in ("machine", *keys)}
        found.append(
            Shown(
                label or row["machine"], networks[row["network"]], axes, figures, row["energy_pj"],
                row["cycles_by_cause"], _clock(row), row["energy_table"] or "", row["no_area"] or "", _part(row),
                row.get("ranks", True), (machines or {}).get(row["machine"], {}),
            )
        )  # fmt: skip
    return found


def _clock(row: Mapping[str, Any]) -> float | None:
    """Return the clock; stores of the first format have only the quotient."""
    if row["clock_mhz"] is not None or not row["time_s"]:
        return None if row["clock_mhz"] is None else float(row["clock_mhz"])
    return float(f"{row['cycles'] / row['time_s'] / 1e6:.9g}")


def _part(row: Mapping[str, Any]) -> str:
    if row["layers_needed"] is not None:
        ran, needed = row["layers_simulated"], row["layers_needed"]
        return "" if ran == needed else basis.ran_of(ran, needed)
    share = row["coverage_layers"]
    return "" if share is None or share == 1 else f"{100 * share:.2g} % of layers"


def of_results(results: Iterable[NetworkResult], incomplete: Incomplete = "common") -> Compared:
    """Return one point per result, named after its machine and what else tells it from others of its network."""
    found: dict[int, Shown] = {}
    rankings: dict[str, Ranking] = {}
    needed: dict[str, int | None] = {}
    given = list(results)
    labels = _labels(given)
    for network in dict.fromkeys(result.network for result in given):
        mine = [i for i, result in enumerate(given) if result.network == network]
        needed[network], works = works_of([given[i] for i in mine])
        ranking = rankings[network] = basis.rank(works, incomplete)
        for i, work, ranks, shown in zip(mine, works, ranking.ranks, ranking.shown, strict=True):
            layers = (
                None if ranking.layers is None else {part for name in ranking.layers for part in work.get(name, ())}
            )
            if shown:
                found[i] = _of_result(given[i], labels[i], layers if ranks else None, ranks)
    return compared([found[i] for i in sorted(found)], rankings, needed, incomplete)


def _of_result(whole: NetworkResult, label: str, layers: set[str] | None, ranks: bool) -> Shown:
    result = whole if layers is None else whole.over(layers)
    figures = {
        name: float(getattr(result, name)) for name in QUANTITIES if hasattr(result, name) and name != "area_mm2"
    }
    if result.area_mm2:
        figures["area_mm2"] = sum(result.area_mm2.values())
    if "dram" in result.energy_pj:
        figures["dram_energy_pj"] = result.energy_pj["dram"]
    causes = {cause: part * result.cycles for cause, part in facts.time_shares(result).items()}
    ran, needed = len(whole.simulated), len(whole.layers)
    return Shown(
        label, whole.network, {"machine": whole.arch_name}, figures, result.energy_pj, causes, whole.clock_mhz,
        str(whole.options.get("energy_table", "")), ", ".join(whole.area_missing),
        "" if ran == needed else basis.ran_of(ran, needed), ranks, classes.of_result(whole),
    )  # fmt: skip


def _labels(results: Sequence[NetworkResult]) -> list[str]:
    """Return the machine of each result; of results of one machine and network also what differs, else a number."""
    groups: dict[tuple[str, str], list[int]] = {}
    for i, result in enumerate(results):
        groups.setdefault((result.network, result.arch_name), []).append(i)
    labels = [result.arch_name for result in results]
    for mine in groups.values():
        if len(mine) == 1:
            continue
        said = [dict(_leaves({**results[i].arch, "batch": results[i].batch}, "")) for i in mine]
        varied = [key for key in said[0] if len({one.get(key) for one in said}) > 1][:_MOST_KEYS]
        names = short_keys(varied)
        told = [", ".join([results[mine[0]].arch_name, *(f"{names[k]} {one.get(k)}" for k in varied)]) for one in said]
        for number, (i, label) in enumerate(zip(mine, told, strict=True), start=1):
            labels[i] = label if told.count(label) == 1 else f"{label} #{number}"
    return labels


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield key path and text of every value of a configuration, prose apart."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if path or key not in ("name", "description", "source", "sources"):
                yield from _leaves(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{i}")
    else:
        yield path, str(value)


def compared(
    shown: list[Shown], rankings: Mapping[str, Ranking], needed: Mapping[str, int | None], incomplete: Incomplete
) -> Compared:
    """Return points with what must be said of their layers.

    Parameters
    ----------
    shown : list of Shown
    rankings : mapping
        Network -> how all its points rank, those that are not shown included.
    needed : mapping
        Network -> how many layers it has, None where that is not known.
    incomplete : str
        What was asked for.
    """
    over: dict[str, str] = {}
    hatched = [point for point in shown if not point.ranks]
    for network, ranking in rankings.items():
        parts = {point.part for point in shown if point.network == network and point.ranks}
        whole = needed[network]
        if ranking.layers is not None and whole is not None and len(ranking.layers) < whole:
            over[network] = basis.ran_of(len(ranking.layers), whole)
        elif parts - {""}:
            over[network] = sorted(parts - {""})[0]
    notes = []
    if over:
        who = "all machines simulate" if incomplete == "common" else "those that rank simulate"
        told = "; ".join(f"{network}, {part}" for network, part in over.items())
        one = f"over the {next(iter(over.values()))} that {who}"
        notes.append(one if len(rankings) == 1 else f"over the layers that {who}: {told}")
    nothing = list(dict.fromkeys(point.label for point in hatched if not point.figures.get("cycles", 1.0)))
    if len(hatched) > len([point for point in hatched if point.label in nothing]):
        notes.append("hatched: points that simulate other layers than those that rank")
    if nothing:
        more = f" and {len(nothing) - _MOST_KEYS:,} more" if len(nothing) > _MOST_KEYS else ""
        notes.append(f"without any layer: {', '.join(nothing[:_MOST_KEYS])}{more}")
    dropped = sum(ranking.shown.count(False) for ranking in rankings.values())
    if dropped:
        notes.append(f"left out: {dropped:,} that simulate other layers than those that rank")
    return Compared(shown, tuple(notes), bool(over) or len(hatched) > len([p for p in hatched if p.label in nothing]))


def by_network(points: Iterable[Shown]) -> dict[str, list[Shown]]:
    """Return network -> its points, in order."""
    groups: dict[str, list[Shown]] = {}
    for point in points:
        groups.setdefault(point.network, []).append(point)
    return groups


def best(points: Sequence[Shown], most: int, figure: str = "edp_pj_s", base: str | None = None) -> list[Shown]:
    """Return the baseline (or first point) and those of smallest figure, ``most`` in all, in their order."""
    if len(points) <= most:
        return list(points)
    first = points.index(baseline(points, base) or points[0])
    others = [i for i in range(len(points)) if i != first]
    ranked = sorted(others, key=lambda i: (not points[i].ranks, points[i].figures[figure]))[: most - 1]
    return [points[i] for i in sorted((first, *ranked))]


def baseline(points: Iterable[Shown], base: str | None = None) -> Shown | None:
    """Return the point that others are compared with: the one called ``base`` if it ranks, else the first that does."""
    ranked = [point for point in points if point.ranks]
    return next((point for point in ranked if point.label == base), ranked[0] if ranked else None)


def named(points: Sequence[Shown], base: str | None) -> str | None:
    """Return the label of the design that a user calls ``base``: a label, or a machine that stands for one design.

    Raises
    ------
    ConfigError
        No such design, or several.
    """
    labels = list(dict.fromkeys(point.label for point in points))
    if base is None or base in labels:
        return base
    mine = list(dict.fromkeys(point.label for point in points if point.axes.get("machine") == base))
    if len(mine) == 1:
        return mine[0]
    some = (mine or labels)[:_MOST_KEYS]
    known = "; ".join(some) + ("; ..." if len(mine or labels) > len(some) else "")
    problem = f"'{base}' stands for {len(mine):,} designs" if mine else f"no design '{base}'"
    raise ConfigError(problem, f"name one of them: {known}", file="--base")


def over_networks(points: Sequence[Shown], figure: str, base: str | None = None) -> dict[str, float]:
    """Return label -> geometric mean over the networks of a figure's ratio to the best, or to ``base``."""
    figures: dict[str, dict[str, float | None]] = {}
    for point in points:
        if point.ranks:
            figures.setdefault(point.label, {})[point.network] = point.figures.get(figure)
    return basis.over_networks(figures, {point.network for point in points}, base)


def with_means(points: Sequence[Shown], figures: Sequence[str], base: str | None = None) -> list[Shown]:
    """Return a point of `ALL` per design that ranks on every network, for some figures; nothing for one network."""
    if len({point.network for point in points}) < 2:
        return []
    means = {name: over_networks(points, name, base) for name in figures}
    labels = [label for label in means[figures[0]] if all(label in mean for mean in means.values())]
    axes = {point.label: point.axes for point in points}
    order = dict.fromkeys(point.label for point in points)
    return [
        Shown(label, ALL, axes[label], {name: mean[label] for name, mean in means.items()})
        for label in order if label in labels
    ]  # fmt: skip


def number(value: float) -> str:
    """Return a figure as a cell shows it."""
    return words.number(value)


def short_key(key: str) -> str:
    """Return how an axis of a picture names a key: ``params.rows`` is ``rows``."""
    return short_keys([key])[key]


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each key, or the whole key where two would look the same."""
    last = {key: key.rsplit(".", 1)[-1] for key in keys}
    return {key: key if list(last.values()).count(name) > 1 else name for key, name in last.items()}


def plain_names(networks: Iterable[str]) -> dict[str, str]:
    """Return network -> its name without folder and type, or all of it where two would look the same."""
    names = {n: n.rsplit("/", 1)[-1].removesuffix(".yaml").removesuffix(".onnx") for n in networks}
    return {n: n if list(names.values()).count(name) > 1 else name for n, name in names.items()}
