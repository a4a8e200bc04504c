"""Points of a sweep, or several results, as pictures show them: short names, figures with units, a choice of few."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from accelsim.report import facts, words
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


@dataclass(frozen=True)
class Shown:
    """One point: where it comes from, and its figures."""

    label: str
    network: str
    axes: Mapping[str, Any]
    figures: Mapping[str, float]
    energy_pj: Mapping[str, float] = field(default_factory=dict)
    cycles_by_cause: Mapping[str, float] = field(default_factory=dict)


def scale(name: str, largest: float) -> tuple[float, str]:
    """Return the factor from stored figures to those shown, and the axis title: ``energy (mJ)``."""
    quantity = QUANTITIES[name]
    value = abs(largest * quantity.factor)
    if quantity.unit in _PLAIN:
        return quantity.factor, f"{quantity.words} ({quantity.unit})"
    prefix, size = next((p for p in _PREFIXES if value >= p[1]), _PREFIXES[-1] if value else ("", 1.0))
    unit = f"{prefix}{quantity.unit}"
    return quantity.factor / size, f"{quantity.words} ({unit})" if unit else quantity.words


def of_rows(rows: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> list[Shown]:
    """Return the points of a store that ran; ``keys`` are the axes. What never varies is left out of the names."""
    ran = [row for row in rows if row["status"] == "ok"]
    varied = [key for key in ("machine", *keys) if len({repr(row.get(key)) for row in ran}) > 1]
    names = short_keys(varied)
    found = []
    for row in ran:
        figures = {name: float(row[name]) for name in QUANTITIES if row.get(name) is not None}
        if "dram" in row["energy_pj"]:
            figures["dram_energy_pj"] = row["energy_pj"]["dram"]
        label = ", ".join(str(row[k]) if k == "machine" else f"{names[k]} {row[k]}" for k in varied)
        axes = {key: row.get(key) for key in ("machine", *keys)}
        network = _plain_name(row["network"])
        found.append(Shown(label or row["machine"], network, axes, figures, row["energy_pj"], row["cycles_by_cause"]))
    return found


def of_results(results: Iterable[NetworkResult]) -> list[Shown]:
    """Return one point per result, named after its machine."""
    found = []
    for result in results:
        figures = {
            name: float(getattr(result, name)) for name in QUANTITIES if hasattr(result, name) and name != "area_mm2"
        }
        if result.area_mm2:
            figures["area_mm2"] = sum(result.area_mm2.values())
        causes = {cause: part * result.cycles for cause, part in facts.time_shares(result).items()}
        axes = {"machine": result.arch_name}
        found.append(Shown(result.arch_name, result.network, axes, figures, result.energy_pj, causes))
    return found


def by_network(points: Iterable[Shown]) -> dict[str, list[Shown]]:
    """Return network -> its points, in order."""
    groups: dict[str, list[Shown]] = {}
    for point in points:
        groups.setdefault(point.network, []).append(point)
    return groups


def best(points: Sequence[Shown], most: int, figure: str = "edp_pj_s") -> list[Shown]:
    """Return the first point (the baseline) and those with the smallest figure, ``most`` in all, in their order."""
    if len(points) <= most:
        return list(points)
    ranked = sorted(range(1, len(points)), key=lambda i: points[i].figures[figure])[: most - 1]
    return [points[i] for i in (0, *sorted(ranked))]


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


def _plain_name(network: str) -> str:
    return network.rsplit("/", 1)[-1].removesuffix(".yaml").removesuffix(".onnx")
