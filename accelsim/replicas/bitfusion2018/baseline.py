"""The published comparison: BitFusion against the Eyeriss totals shipped with its release.

The abstract's 3.9x speed-up and 5.1x energy reduction are geometric means over eight networks at batch 16, on the
machine ``eyeriss_matched``, against these totals and no other model of Eyeriss.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from accelsim.config.yamlfile import read
from accelsim.replicas.bitfusion2018 import networks
from accelsim.replicas.bitfusion2018.machine import ReleaseMachine, load
from accelsim.replicas.bitfusion2018.model import simulate
from accelsim.replicas.bitfusion2018.values import NetworkResult

FILE = Path(__file__).with_name("baseline.yaml")


@dataclass(frozen=True)
class Ratio:
    """One network against the shipped Eyeriss totals."""

    network: str
    baseline_cycles: int
    baseline_energy_nj: float
    speed_up: float
    energy_reduction: float

    def as_document(self) -> dict[str, float]:
        """Return the ratio as part of a JSON document."""
        return {
            "cycles": self.baseline_cycles,
            "energy_nj": self.baseline_energy_nj,
            "speed_up": self.speed_up,
            "energy_reduction": self.energy_reduction,
        }


@dataclass(frozen=True)
class Headline:
    """The eight networks against Eyeriss, and their geometric means."""

    ratios: tuple[Ratio, ...]

    @property
    def speed_up(self) -> float:
        """Geometric mean of the speed-ups."""
        return _geomean(ratio.speed_up for ratio in self.ratios)

    @property
    def energy_reduction(self) -> float:
        """Geometric mean of the energy reductions."""
        return _geomean(ratio.energy_reduction for ratio in self.ratios)


def against_eyeriss(result: NetworkResult) -> Ratio | None:
    """Return the ratios of a result, or None where the release ships no total for its network and batch."""
    shipped: dict[str, Any] = read(FILE).data
    total = shipped["networks"].get(result.network)
    if total is None or result.batch != shipped["batch"]:
        return None
    return Ratio(
        result.network,
        total["cycles"],
        total["energy_nj"],
        total["cycles"] / result.cycles,
        total["energy_nj"] / result.energy_nj,
    )


def headline(machine: ReleaseMachine | None = None) -> Headline:
    """Return the eight networks against Eyeriss, on ``eyeriss_matched`` unless another machine is given."""
    machine = machine or load("eyeriss_matched")
    shipped = read(FILE).data
    results = (simulate(networks.load(name).with_batch(shipped["batch"]), machine) for name in shipped["networks"])
    return Headline(tuple(ratio for result in results if (ratio := against_eyeriss(result)) is not None))


def _geomean(values: Iterable[float]) -> float:
    factors = list(values)
    return float(prod(factors) ** (1 / len(factors)))
