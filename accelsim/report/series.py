"""What the pictures show: layers as rows of a breakdown and as points under a roofline. No drawing here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accelsim.report import facts, words
from accelsim.results import LayerResult, NetworkResult

MAX_ROWS = 120
"""Layers drawn one by one; beyond that the small ones of a kind share rows."""
LONG_NAME = 18
"""When names are longer, what all of them begin with is left out."""


@dataclass(frozen=True)
class SeriesRow:
    """A layer, or several small ones together.

    Attributes
    ----------
    label : str
    cycles : dict of str to float
        Cause -> cycles: its share of the unit-cycles of the primary units, times the layer's cycles.
    energy_pj : dict of str to float
        Component -> pJ.
    layers : int
        How many layers it stands for.
    """

    label: str
    cycles: dict[str, float]
    energy_pj: dict[str, float]
    layers: int = 1

    @property
    def total_cycles(self) -> float:
        """Cycles of the row."""
        return sum(self.cycles.values())

    @property
    def total_pj(self) -> float:
        """Energy of the row."""
        return sum(self.energy_pj.values())


def rows(result: NetworkResult, most: int = MAX_ROWS) -> list[SeriesRow]:
    """Return the simulated layers in the order of the network, one by one if there are at most ``most``.

    Layers without work are left out. Of a long network the layers with the largest shares of cycles or energy keep
    rows of their own. The small ones share rows by kind, none of them longer than the largest layer.
    """
    layers = [layer for layer in result.simulated if layer.cycles or layer.total_energy_pj]
    cut = len(words.prefix([layer.name for layer in layers], LONG_NAME))
    if len(layers) <= most:
        return [_row(layer.name[cut:], [layer]) for layer in layers]
    cycles, energy = result.isolated_cycles or 1, result.total_energy_pj or 1.0

    def weight(i: int) -> float:
        return max(layers[i].cycles / cycles, layers[i].total_energy_pj / energy)

    large = set(sorted(range(len(layers)), key=weight, reverse=True)[: most - 1])
    own = [_row(layer.name[cut:], [layer]) for i, layer in enumerate(layers) if i in large]
    shared = _shared(
        [layer for i, layer in enumerate(layers) if i not in large],
        max(layer.cycles for layer in layers),
        max(layer.total_energy_pj for layer in layers),
    )
    return [*own, *(_row(f"{len(few)} small {few[0].kind}", few) for few in shared)]


def _shared(layers: Sequence[LayerResult], cycles: int, energy_pj: float) -> list[list[LayerResult]]:
    """Return layers of one kind together, as many as stay within so many cycles and so much energy."""
    groups: list[list[LayerResult]] = []
    for kind in dict.fromkeys(layer.kind for layer in layers):
        spent, spent_pj = cycles, energy_pj
        for layer in (layer for layer in layers if layer.kind == kind):
            spent, spent_pj = spent + layer.cycles, spent_pj + layer.total_energy_pj
            if spent > cycles or spent_pj > energy_pj:
                groups.append([])
                spent, spent_pj = layer.cycles, layer.total_energy_pj
            groups[-1].append(layer)
    return groups


def _row(label: str, layers: Sequence[LayerResult]) -> SeriesRow:
    cycles: dict[str, float] = {}
    energy: dict[str, float] = {}
    for layer in layers:
        for cause in facts.causes(layer):
            cycles[cause] = cycles.get(cause, 0.0) + facts.share(layer, cause) * layer.cycles
        for name, pj in layer.energy_pj.items():
            energy[name] = energy.get(name, 0.0) + pj
    return SeriesRow(label, cycles, energy, len(layers))


@dataclass(frozen=True)
class Point:
    """Layers with the same place under the roofline.

    Attributes
    ----------
    label : str
    intensity : float
        MACs per byte across the DRAM boundary.
    rate : float
        Dense MACs per cycle.
    cycles : int
    lost_cycles : float
    bound_by : str
    layers : int
        How many layers it stands for.
    """

    label: str
    intensity: float
    rate: float
    cycles: int
    lost_cycles: float
    bound_by: str
    layers: int = 1


def points(result: NetworkResult) -> list[Point]:
    """Return the layers with MACs, cycles and DRAM traffic; those that coincide (to three digits) are one point."""
    groups: dict[tuple[float, float, str], list[LayerResult]] = {}
    for layer in result.simulated:
        if layer.counted_macs and layer.cycles and layer.dram_bits:
            place = (_rounded(facts.intensity(layer)), _rounded(layer.counted_macs / layer.cycles), layer.bound_by)
            groups.setdefault(place, []).append(layer)
    cut = len(words.prefix([layer.name for layers in groups.values() for layer in layers], LONG_NAME))
    return [_point(layers, cut) for layers in groups.values()]


def missing_points(result: NetworkResult) -> list[str]:
    """Return why simulated layers have no point, as text with their number."""
    without_macs = sum(not layer.counted_macs for layer in result.simulated)
    without_dram = sum(bool(layer.counted_macs) and not layer.dram_bits for layer in result.simulated)
    found = [(without_macs, "without MACs"), (without_dram, "without DRAM traffic")]
    return [f"{n} {'layer' if n == 1 else 'layers'} {what}" for n, what in found if n]


def compute_roofs(result: NetworkResult) -> list[float]:
    """Return the distinct compute roofs of the layers in MACs per cycle, ascending (to three digits)."""
    found = [roof for layer in result.simulated if (roof := facts.compute_roof(layer)) is not None]
    return sorted({_rounded(roof): roof for roof in found}.values())


def _point(layers: list[LayerResult], cut: int) -> Point:
    first = layers[0]
    label = first.name[cut:] + (f" +{len(layers) - 1}" if len(layers) > 1 else "")
    cycles = sum(layer.cycles for layer in layers)
    lost = sum(facts.lost_cycles(layer) for layer in layers)
    return Point(
        label, facts.intensity(first), first.counted_macs / first.cycles, cycles, lost, first.bound_by, len(layers)
    )


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
