"""How the layers of a network share the machine's time: what `accelsim.network_time` finds and reports print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class UnitAccount(NamedTuple):
    """Where the cycles of one kind of unit went: ``causes`` sum to units x cycles."""

    units: int
    causes: Mapping[str, int]


class LayerTime(NamedTuple):
    """A layer on the network's clock.

    Attributes
    ----------
    start_cycle, end_cycle : int
        Begin of its first computation, end of its last.
    cycles : int
        From the end of its unit's computation before to its own end: work and ``waits``.
    isolated_cycles : int
        Of the layer alone, from an idle machine to its last store.
    waits : mapping
        ``producer`` (another layer's result), ``room`` (the last reader of where it writes), ``memory`` (DRAM) or
        ``conflict`` (another port) -> cycles.
    """

    name: str
    unit: str
    start_cycle: int
    end_cycle: int
    cycles: int
    isolated_cycles: int
    waits: Mapping[str, int]


class PathPart(NamedTuple):
    """So many cycles of the critical path are a layer's ``what`` (compute, transfer, latency) on ``resource``."""

    layer: str
    resource: str
    what: str
    cycles: int


@dataclass(frozen=True)
class NetworkSchedule:
    """A network on one clock.

    Attributes
    ----------
    prefetch : str or int
        ``none``, ``tile`` or KiB.
    overlap : bool
        Whether units compute side by side.
    cycles : int
        End of the last computation or store.
    isolated_cycles : int
        Sum of the layers alone.
    lower_bound_cycles : int
        The most that one unit or one port has to do.
    layers : tuple of LayerTime
        Those that were simulated.
    accounts : mapping
        Unit -> kind -> account; each sums to units x ``cycles``.
    critical : tuple of PathPart
        They sum to ``cycles``.
    """

    prefetch: str | int
    overlap: bool
    cycles: int
    isolated_cycles: int
    lower_bound_cycles: int
    layers: tuple[LayerTime, ...]
    accounts: Mapping[str, Mapping[str, UnitAccount]]
    critical: tuple[PathPart, ...]
