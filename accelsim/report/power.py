"""Power over time: what each component draws when, the mean, and the peak over a window.

Without tiles (a report.json has none) a layer draws its mean power. With them its dynamic energy lies where its units
compute, that of DRAM where the bus moves, what clocks take while the units stall where they stall, and leakage
everywhere; each evenly per cycle. So the energy under the curve is the energy of the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from accelsim.memory.timeline import Traced
from accelsim.results import LayerResult, NetworkResult
from accelsim.schedules import NetworkSchedule

WINDOW_US = 1.0
"""Over which peaks are taken unless somebody says otherwise."""
LEAKAGE, DRAM, CLOCK = "leakage", "dram", "clock"
COMPUTE, BUS, STALL, ALWAYS = range(4)
"""When energy is spent: while units compute, while the bus moves, while units do not compute, all the time."""


class Power(NamedTuple):
    """A curve of constant pieces.

    Attributes
    ----------
    edges : ndarray of int64, shape (pieces + 1,)
        Cycles at which pieces begin, and the end.
    pj : mapping
        Component -> ndarray of float64, shape (pieces,): its energy in each piece.
    clock_mhz : float
    """

    edges: np.ndarray
    pj: Mapping[str, np.ndarray]
    clock_mhz: float

    @property
    def total_pj(self) -> np.ndarray:
        """Energy of each piece."""
        found: np.ndarray = np.sum(list(self.pj.values()), axis=0) if self.pj else np.zeros(len(self.edges) - 1)
        return found

    def mw(self, pj: np.ndarray) -> np.ndarray:
        """Return energies of the pieces as mean powers; 1 pJ per ns is 1 mW."""
        found: np.ndarray = pj * self.clock_mhz / 1000 / np.diff(self.edges)
        return found

    @property
    def average_mw(self) -> float:
        """Mean over the whole run; 0 of a run without time."""
        cycles = int(self.edges[-1] - self.edges[0])
        return float(self.total_pj.sum()) * self.clock_mhz / 1000 / cycles if cycles else 0.0

    def coarser(self, most: int) -> Power:
        """Return the curve with no more than ``most`` pieces: where there are more, means over equal times."""
        if len(self.edges) - 1 <= most:
            return self
        edges = np.unique(np.linspace(self.edges[0], self.edges[-1], most + 1).astype(np.int64))
        spent = {name: np.concatenate([[0.0], np.cumsum(pj)]) for name, pj in self.pj.items()}
        pj = {name: np.diff(np.interp(edges, self.edges, so_far)) for name, so_far in spent.items()}
        return Power(edges, pj, self.clock_mhz)

    def peak_mw(self, window_us: float = WINDOW_US) -> float:
        """Return the largest mean power over a window, or over a run that is shorter.

        Where the run is no multiple of the window, its ends lie in fewer windows than its middle: the mean of the run
        counts as a window too, so that no peak is below it.
        """
        window = window_us * self.clock_mhz
        first, last = float(self.edges[0]), float(self.edges[-1])
        if last - first <= window:
            return self.average_mw
        spent = np.concatenate([[0.0], np.cumsum(self.total_pj)])
        begins = np.clip(np.concatenate([self.edges, self.edges - window]), first, last - window)
        inside = np.interp(begins + window, self.edges, spent) - np.interp(begins, self.edges, spent)
        return max(float(inside.max()) * self.clock_mhz / 1000 / window, self.average_mw)


def of_layers(result: NetworkResult) -> Power:
    """Return the curve of a result, a piece per layer; on one clock from its start to its end there."""
    return of_tiles(result, {}) if result.schedule is None else _on_clock(result, result.schedule)


def _on_clock(result: NetworkResult, schedule: NetworkSchedule) -> Power:
    """Return the curve of a network on one clock.

    What a layer spends is spread over its time there, that of DRAM and of buffers between layers in proportion to what
    it moves; clocks of units and leakage take what they take all the time.
    """
    times = [time for time in schedule.layers if time.end_cycle > time.start_cycle]
    ends = [cycle for time in times for cycle in (time.start_cycle, time.end_cycle)]
    edges = np.unique(np.array([0, *ends, schedule.cycles], dtype=np.int64))
    cycles = np.diff(edges).astype(np.float64)
    layers = {layer.name: layer for layer in result.simulated}
    kept = {f"glb.{buffer.name}" for buffer in schedule.buffers}
    always = {name for name in schedule.energy_pj if name == LEAKAGE or name.split(".")[-1] == CLOCK}
    curve = {}
    for name, pj in schedule.energy_pj.items():
        weights = np.zeros(len(cycles))
        for time in times if name not in always else ():
            if name == DRAM:
                share = float(time.dram_bits)
            elif name in kept:
                share = float(
                    sum(bus.busy_cycles for place, bus in time.moves.items() if f"glb.{place}".startswith(name))
                )
            else:
                share = layers[time.name].energy_pj.get(name, 0.0)
            first, last = np.searchsorted(edges, [time.start_cycle, time.end_cycle])
            weights[first:last] += share * cycles[first:last] / (time.end_cycle - time.start_cycle)
        whole = weights.sum()
        curve[name] = pj * (weights / whole if whole else cycles / (cycles.sum() or 1.0))
    return Power(edges, curve, result.clock_mhz)


def of_tiles(result: NetworkResult, traced: Mapping[str, Traced]) -> Power:
    """Return the curve of a result with what is known of its layers' tiles; a layer without them is one piece."""
    layers = [layer for layer in result.simulated if layer.cycles]
    names = list(dict.fromkeys(name for layer in layers for name in layer.energy_pj))
    edges, parts = [np.zeros(1, dtype=np.int64)], {name: [np.zeros(0)] for name in names}
    for layer in layers:
        inner, shares = _shape(layer, traced.get(layer.name))
        edges.append(layer.start_cycle + inner[1:])
        for name in names:
            parts[name].append(_spent(layer, name, shares))
    return Power(
        np.concatenate(edges), {name: np.concatenate(found) for name, found in parts.items()}, result.clock_mhz
    )


def to_document(result: NetworkResult) -> dict[str, Any]:
    """Return mean and peak power by layers, the window of the peak, and what stalls draw, for report.json."""
    curve, window = of_layers(result), window_us(result)
    return {
        "average_mw": curve.average_mw, "peak_mw": curve.peak_mw(window), "window_us": window, "resolved": "layers",
        "stalled_mw": stalled_mw(result.alone),
    }  # fmt: skip


def window_us(result: NetworkResult) -> float:
    """Return the window over which a result's peaks are taken."""
    return float(result.options.get("power_window_us", WINDOW_US))


def stalled_mw(result: NetworkResult) -> float:
    """Return what leakage and clocks draw while the units of layers alone stall, as a mean over the run."""
    pj = sum(sum(layer.stalled_pj.values()) for layer in result.simulated)
    return pj * result.clock_mhz / 1000 / result.cycles if result.cycles else 0.0


def _spent(layer: LayerResult, name: str, shares: np.ndarray) -> np.ndarray:
    """Return the energy of a component in each piece of its layer."""
    pj = layer.energy_pj.get(name, 0.0)
    if name == LEAKAGE:
        return pj * shares[:, ALWAYS]
    if name == DRAM:
        return pj * shares[:, BUS]
    stalled = layer.stalled_pj.get(name, 0.0)
    found: np.ndarray = (pj - stalled) * shares[:, COMPUTE] + stalled * shares[:, STALL]
    return found


def _shape(layer: LayerResult, traced: Traced | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of a layer's pieces, from its start, and the shares of `COMPUTE` and so on in each.

    Tiles that are not drawn share what is left of the layer's time evenly.
    """
    whole = np.array([0, layer.cycles], dtype=np.int64)
    if traced is None or not traced.spans:
        return whole, np.ones((1, 4))
    spans = np.array([(s.what == "compute", s.start_cycle, s.start_cycle + s.cycles) for s in traced.spans], np.int64)
    cut = layer.cycles
    if traced.drawn < traced.tiles:
        cut = min(cut, int(spans[spans[:, 0] == 1, 2].max(initial=0)))
    spans[:, 1:] = np.minimum(spans[:, 1:], cut)
    edges = np.unique(np.concatenate([whole, [cut], spans[:, 1], spans[:, 2]]))
    cycles = np.diff(edges).astype(np.float64)
    active = np.zeros((len(cycles), 2))
    for kind, column in ((1, COMPUTE), (0, BUS)):
        mine = spans[(spans[:, 0] == kind) & (spans[:, 2] > spans[:, 1])]
        steps = np.zeros(len(edges))
        np.add.at(steps, np.searchsorted(edges, mine[:, 1]), 1.0)
        np.add.at(steps, np.searchsorted(edges, mine[:, 2]), -1.0)
        active[:, column] = np.cumsum(steps)[:-1] * cycles
    if cut < layer.cycles:
        rest = edges[:-1] >= cut
        for column, all_cycles in ((COMPUTE, layer.compute_cycles), (BUS, layer.dram_cycles)):
            active[rest, column] = max(all_cycles - active[:, column].sum(), 0.0)
    idle = np.maximum(cycles - active[:, COMPUTE], 0.0)
    weights = np.column_stack([active, idle, cycles])
    sums = weights.sum(axis=0)
    shares = np.where(sums > 0, weights / np.where(sums > 0, sums, 1.0), (cycles / cycles.sum())[:, np.newaxis])
    return edges, shares
