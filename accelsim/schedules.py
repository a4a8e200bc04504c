"""How the layers of a network share the machine's time: what `accelsim.network_time` finds and reports print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class UnitAccount(NamedTuple):
    """Where the cycles of one kind of unit went: ``causes`` sum to units x cycles."""

    units: int
    causes: Mapping[str, int]


class BusTime(NamedTuple):
    """When a bus moved something for a layer: from its first request to the end of its last, and how long in all."""

    start_cycle: int
    end_cycle: int
    busy_cycles: int


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
    dram_bits : int
        What it moves to and from DRAM, whole bursts.
    homes : mapping
        Activation that it reads or writes -> the buffer where it lives; none of those in DRAM.
    moves : mapping
        ``dram`` or the port of a buffer -> when it moved something for the layer.
    """

    name: str
    unit: str
    start_cycle: int
    end_cycle: int
    cycles: int
    isolated_cycles: int
    waits: Mapping[str, int]
    dram_bits: int = 0
    homes: Mapping[str, str] = {}
    moves: Mapping[str, BusTime] = {}


class BufferTime(NamedTuple):
    """A buffer between layers.

    Attributes
    ----------
    peak_bits : int
        How high what lives there reaches.
    read_bits, written_bits : int
        What moved, useful bits.
    """

    name: str
    capacity_bits: int
    peak_bits: int
    read_bits: int
    written_bits: int


class Kept(NamedTuple):
    """Activations that share a place in a buffer, named by one of them, and the positions between which they live."""

    storage: str
    buffer: str
    address_bits: int
    bits: int
    first: int
    last: int


class Factor(NamedTuple):
    """Cycles of the network with ``what`` and all before it; the first is layer by layer, the last as it is."""

    what: str
    cycles: int


class Fold(NamedTuple):
    """A layer that is part of the product ahead of it: ``into`` weights, or done by lanes."""

    layer: str
    host: str
    into: str


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
        Sum of the layers alone, those that are folded too.
    lower_bound_cycles : int
        The most that one unit or one port has to do.
    factors : tuple of Factor
        What brings the cycles from the layers alone to these.
    residency, proof : str
        ``none``, ``greedy`` or ``exact``; what is proved of it, empty of ``none``.
    dram_read_bits, dram_write_bits, isolated_dram_bits : int
        What moves from and to DRAM, whole bursts, and what the layers alone move.
    energy_pj : mapping
        Component -> energy of the network on this clock.
    buffers : tuple of BufferTime
    kept : tuple of Kept
        What lives in them.
    folded : tuple of Fold
        Layers that are parts of others.
    layers : tuple of LayerTime
        Those that were simulated.
    accounts : mapping
        Unit -> kind -> account; each sums to units x ``cycles``.
    critical : tuple of PathPart
        They sum to ``cycles``; empty with a DRAM device.
    dram : mapping
        What a DRAM device did for all layers, as `LayerResult.dram` says it of one; empty without one.
    """

    prefetch: str | int
    overlap: bool
    cycles: int
    isolated_cycles: int
    lower_bound_cycles: int
    layers: tuple[LayerTime, ...]
    accounts: Mapping[str, Mapping[str, UnitAccount]]
    critical: tuple[PathPart, ...]
    factors: tuple[Factor, ...] = ()
    residency: str = "none"
    proof: str = ""
    dram_read_bits: int = 0
    dram_write_bits: int = 0
    isolated_dram_bits: int = 0
    energy_pj: Mapping[str, float] = field(default_factory=dict)
    buffers: tuple[BufferTime, ...] = ()
    kept: tuple[Kept, ...] = ()
    unwritten: tuple[str, ...] = ()
    folded: tuple[Fold, ...] = ()
    dram: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dram_bits(self) -> int:
        """Bits across the DRAM boundary, both directions."""
        return self.dram_read_bits + self.dram_write_bits

    @property
    def total_energy_pj(self) -> float:
        """Energy of the network."""
        return sum(self.energy_pj.values())
