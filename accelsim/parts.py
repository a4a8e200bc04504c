"""What the result of a layer or a network holds beside figures: traffic, buffers, stored tensors, tiles, prices."""

from __future__ import annotations

from collections.abc import Iterable
from math import lcm
from typing import Any, NamedTuple


class TrafficRow(NamedTuple):
    """Bits of a tensor across a boundary in one direction."""

    boundary: str
    tensor: str
    direction: str
    bits: int


class BufferUse(NamedTuple):
    """Capacity and peak occupancy of a buffer."""

    capacity_bits: int
    peak_bits: int


class StoredBits(NamedTuple):
    """A tensor in a machine's compressed format: what it would take plain, its values, and what says where they are.

    Entries without a value of their own (padding) count like values; pointers, counts, maps and runs are index.
    """

    dense_bits: int
    value_bits: int
    index_bits: int

    @property
    def bits(self) -> int:
        """Values and index."""
        return self.value_bits + self.index_bits


class TablePrice(NamedTuple):
    """A run by one energy table; without figures where ``reason`` says why it does not price the run."""

    table: str
    node_nm: float
    vdd_v: float
    total_energy_pj: float | None = None
    on_chip_pj: float | None = None
    edp_pj_s: float | None = None
    largest: str = ""
    """The component that takes most."""
    reason: str = ""


class Tiles(NamedTuple):
    """What a trace is drawn from: the schedule of steps and loops (None: the engine models memory itself), the DRAM."""

    schedule: Any
    dram: Any


def time_share(spent: Iterable[tuple[int, int, int]]) -> float:
    """Return the share of time that goes to some causes, rounded once.

    ``spent`` has units, cycles and the unit-cycles of these causes. Each counts for as long as it lasts: a vector unit
    of 16 lanes and an array of 1,024 PEs that run one after another do not weigh by their numbers.
    """
    by_units: dict[int, int] = {}
    whole = 0
    for units, cycles, part in spent:
        if units:
            by_units[units] = by_units.get(units, 0) + part
            whole += cycles
    common = lcm(*by_units)
    parts = sum(part * (common // units) for units, part in by_units.items())
    return parts / (common * whole) if whole else 0.0  # a quotient of integers is rounded once
