"""What the result of a layer or a network holds beside figures: traffic, buffers, stored tensors, tiles, prices."""

from __future__ import annotations

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
