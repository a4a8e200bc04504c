"""What an engine reports of a layer: unit-cycles by cause, traffic, events, and tiles for the memory timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, NamedTuple, TypeAlias

from accelsim.errors import ModelError
from accelsim.units import ceil_div

CAUSES = (
    "busy",
    "zero",
    "padding",
    "refetch",
    "unmapped",
    "fill_drain",
    "imbalance",
    "conflict",
    "starved",
    "control",
    "memory",
)
"""Causes of a unit-cycle, in the order in which reports print them."""

TENSORS = ("input", "weight", "output", "psum", "index", "residual", "other")
BOUNDARIES = ("dram", "glb", "array", "pe")

Direction: TypeAlias = Literal["read", "write"]


class Flow(NamedTuple):
    """What crossed a boundary: ``glb.weights``, ``weight``, ``read`` (from the storage at the boundary, or over the
    links towards the units; ``write`` is the other way).
    """

    boundary: str
    tensor: str
    direction: Direction


class Event(NamedTuple):
    """An action of a component that computes, counted in operations.

    Storage and links have no events of their own: a component that bears a boundary's name is charged for the bits
    of that boundary's traffic.
    """

    component: str
    action: str


class Transfer(NamedTuple):
    """A described transfer: ``runs`` runs of ``run_bits`` contiguous bits, ``stride_bits`` apart.

    Addresses are never listed, so a tile of any size costs one descriptor. ``address_bits`` is the first bit. The
    other end is ``place``: DRAM, or a buffer that the machine names.
    """

    tensor: str
    direction: Direction
    run_bits: int
    runs: int = 1
    stride_bits: int = 0
    address_bits: int = 0
    place: str = "dram"

    @property
    def bits(self) -> int:
        """Useful bits moved."""
        return self.run_bits * self.runs


class Step(NamedTuple):
    """One tile of a double-buffered schedule: fetch ``loads``, compute, write ``stores``.

    Loads and stores overlap the computation of neighbouring tiles. What moves ``before`` and ``after`` does not: the
    machine computes nothing meanwhile.
    """

    loads: tuple[Transfer, ...]
    compute_cycles: int
    stores: tuple[Transfer, ...]
    before: tuple[Transfer, ...] = ()
    after: tuple[Transfer, ...] = ()


class Loop(NamedTuple):
    """``body`` repeated ``repeat`` times: a schedule's memory does not grow with its length."""

    repeat: int
    body: tuple[Step | Loop, ...]


class Phase(NamedTuple):
    """Work of a coupled engine beside which DRAM moves bits: it takes the longer of the two.

    Attributes
    ----------
    compute_cycles : int
        At any bandwidth.
    bus_bits : int
    waits : dict
        Cause -> unit-cycles of the primary units in every cycle that DRAM takes longer; all units together.
    """

    compute_cycles: int
    bus_bits: int
    waits: dict[str, int]

    def stall_cycles(self, bits_per_cycle: Fraction) -> int:
        """Return for how many cycles DRAM takes longer."""
        on_bus = ceil_div(self.bus_bits * bits_per_cycle.denominator, bits_per_cycle.numerator)
        return max(0, on_bus - self.compute_cycles)


@dataclass(frozen=True)
class Activity:
    """Everything a walk (kernel, closed form or reference) says of one layer. Integers, except ``values``.

    Attributes
    ----------
    compute_cycles : int
        Core cycles without DRAM stalls (with them where ``schedule`` is None: a coupled engine).
    accounts : dict
        Unit kind -> cause -> unit-cycles; each sums to units x compute_cycles.
    traffic : dict
        Flow -> bits.
    events : dict
        Event -> count.
    schedule : tuple of Step or Loop, or None
        Tiles for the memory timeline; None when the engine models memory itself.
    stall_cycles : int
        Of a coupled engine only; else 0 and the timeline decides.
    phases : tuple of Phase
        Of a coupled engine whose time follows from them: at another bandwidth nothing but their stalls is another.
    buffers : dict
        Buffer -> (capacity_bits, peak_bits).
    details : dict
        Engine-specific counters.
    values : ndarray, CsrMatrix or None
        The layer's output when operands carried values: an int64 array, or a sparse matrix of a sparse product.
    """

    compute_cycles: int
    accounts: dict[str, dict[str, int]]
    traffic: dict[Flow, int]
    events: dict[Event, int]
    schedule: Sequence[Step | Loop] | None = ()
    stall_cycles: int = 0
    phases: tuple[Phase, ...] = ()
    buffers: dict[str, tuple[int, int]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    performed_macs: int = 0
    values: Any = None

    def same_integers(self, other: Activity) -> list[str]:
        """Return what differs between two walks of one layer, empty when nothing does."""
        left, right = _plain(self), _plain(other)
        return [f"{name}: {left[name]} != {right[name]}" for name in left if left[name] != right[name]]

    def check(self, units: dict[str, int]) -> None:
        """Raise ModelError unless every account closes and nothing is negative.

        Parameters
        ----------
        units : dict
            Unit kind -> number of units.
        """
        if set(self.accounts) != set(units):
            raise ModelError(f"accounts of {sorted(self.accounts)} but units of {sorted(units)}")
        for kind, causes in self.accounts.items():
            total = units[kind] * self.compute_cycles
            if unknown := set(causes) - set(CAUSES):
                raise ModelError(f"{kind}: no such cause: {sorted(unknown)}")
            if any(v < 0 for v in causes.values()):
                raise ModelError(f"{kind}: negative unit-cycles in {causes}")
            if sum(causes.values()) != total:
                raise ModelError(f"{kind}: causes sum to {sum(causes.values())}, not to {total}: {causes}")
        for flow, bits in self.traffic.items():
            if bits < 0 or flow.tensor not in TENSORS or flow.boundary.split(".")[0] not in BOUNDARIES:
                raise ModelError(f"impossible traffic {flow}: {bits} bits")
        if bad := {e: n for e, n in self.events.items() if n < 0}:
            raise ModelError(f"negative events: {bad}")


def _plain(activity: Activity) -> dict[str, object]:
    """Return the integers in a form whose equality does not depend on absent zeros or grouping."""
    return {
        "compute_cycles": activity.compute_cycles,
        "stall_cycles": activity.stall_cycles,
        "accounts": {k: _nonzero(v) for k, v in activity.accounts.items()},
        "traffic": _nonzero(activity.traffic),
        "events": _nonzero(activity.events),
        "schedule": None if activity.schedule is None else flatten(activity.schedule),
        "buffers": activity.buffers,
        "details": activity.details,
        "performed_macs": activity.performed_macs,
    }


def _nonzero(
    table: dict[object, int] | dict[str, int] | dict[Flow, int] | dict[Event, int],
) -> dict[object, int]:
    return {k: v for k, v in table.items() if v}


def walk(schedule: Sequence[Step | Loop], rounds: int | None = None, times: int = 1) -> Iterator[tuple[Step, int]]:
    """Yield the steps one by one and for how many each stands, loops all the time or only ``rounds`` times."""
    for item in schedule:
        if isinstance(item, Loop):
            passes = item.repeat if rounds is None else min(rounds, item.repeat)
            for _ in range(passes):
                yield from walk(item.body, rounds, times * item.repeat // passes)
        else:
            yield item, times


def flatten(schedule: Sequence[Step | Loop]) -> list[Step]:
    """Return the steps one by one (for tests and small cases: length grows with the schedule)."""
    return [step for step, _ in walk(schedule)]


def count(schedule: Sequence[Step | Loop], weight: Callable[[Step], int] = lambda step: 1) -> int:
    """Return the number of steps, or the sum of their weights, without walking through the repetitions."""
    return sum(times * weight(step) for step, times in walk(schedule, 1))
