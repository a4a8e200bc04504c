"""The study itself: the cheapest legal mapping of every flow on every layer, and what it costs.

No cycle model: the result is energy per multiplication, split by level, with the DRAM accesses. The paper's
points come from a genetic algorithm; here every mapping is examined, so energies can only be equal or lower.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import nan
from types import MappingProxyType
from typing import Any

from accelsim.errors import ConfigError
from accelsim.replicas.isca16.flows import ENERGY, FLOWS, Flow
from accelsim.replicas.isca16.formulas import Traffic
from accelsim.replicas.isca16.layers import Layer, layer_set
from accelsim.units import INT64_MAX

LEVELS = ("alu", "dram", "buffer", "array", "rf")


@dataclass(frozen=True)
class StudyRow:
    """One flow on one layer, or on a set of layers.

    ``energy`` is the total per level, relative to one multiplication (ALU included); ``dram_reads`` and
    ``dram_writes`` are 16-bit words. ``mapping`` is None for a sum of layers, and for a layer that the flow
    cannot run: then ``legal`` is False and every figure nan.
    """

    flow: str
    pes: int
    batch: int
    layer: str
    legal: bool
    macs: int
    energy: MappingProxyType[str, float]
    dram_reads: float
    dram_writes: float
    active_pes: float
    mapping: MappingProxyType[str, int] | None = None
    candidates: int = 0

    @property
    def energy_per_op(self) -> float:
        """Energy per multiplication, relative to one multiplication."""
        return sum(self.energy.values()) / self.macs

    @property
    def dram_per_op(self) -> float:
        """DRAM accesses per multiplication, in 16-bit words."""
        return (self.dram_reads + self.dram_writes) / self.macs

    def to_dict(self) -> dict[str, Any]:
        """Return the row flat, for csv and json; figures of an illegal row are None."""
        figures: dict[str, Any] = {"energy_per_op": self.energy_per_op if self.legal else None}
        for level in LEVELS:
            figures[f"{level}_energy_per_op"] = self.energy[level] / self.macs if self.legal else None
        figures["dram_reads_per_op"] = self.dram_reads / self.macs if self.legal else None
        figures["dram_writes_per_op"] = self.dram_writes / self.macs if self.legal else None
        figures["active_pes"] = self.active_pes if self.legal else None
        head = {"flow": self.flow, "pes": self.pes, "batch": self.batch, "layer": self.layer}
        mapping = dict(self.mapping) if self.mapping is not None else None
        return {**head, "macs": self.macs, **figures, "mapping": mapping, "candidates": self.candidates}


def study(
    pes: int,
    batch: int,
    layers: str | Iterable[Layer] = "conv",
    flows: Sequence[str] = tuple(FLOWS),
) -> tuple[StudyRow, ...]:
    """Return the cheapest mapping of each flow on each layer, layers first, flows in the paper's order.

    Parameters
    ----------
    pes, batch : int
        Number of PEs and images, at least 1.
    layers : str or layers
        ``conv``, ``fc`` or ``all`` (AlexNet), or layers of one's own.
    flows : names
        Some of RS, WS, OSA, OSB, OSC, NLR.

    Raises
    ------
    ConfigError
        For numbers below 1, unknown names, and layers so large that the search would leave 64 bits.
    """
    for name, value in (("pes", pes), ("batch", batch)):
        if value < 1:
            raise ConfigError(f"{value} is not a count", "give at least 1", key=name)
    unknown = [name for name in flows if name not in FLOWS]
    if unknown:
        raise ConfigError(f"no flow {unknown[0]!r}", f"choose among {', '.join(FLOWS)}", key="flows")
    chosen = layer_set(layers) if isinstance(layers, str) else tuple(layers)
    return tuple(best(FLOWS[name], layer, pes, batch) for layer in chosen for name in flows)


def best(flow: Flow, layer: Layer, pes: int, batch: int) -> StudyRow:
    """Return the mapping of least energy, of those the one with most active PEs."""
    from accelsim.replicas.isca16 import kernel

    _check_size(layer, batch)
    hardware = flow.hardware(pes)
    search = getattr(kernel, f"search_{flow.name.lower()}")
    shape = (layer.H, layer.R, layer.U, layer.C, layer.M, layer.G)
    cost = tuple(ENERGY[level] for level in ("dram", "buffer", "array", "rf"))
    state, found = search(shape, batch, hardware.pes, hardware.buffer_words, hardware.rf_words, cost)
    active, seen = int(state[3]), int(state[4])
    macs = layer.macs(batch)
    if active == 0:
        nothing = MappingProxyType(dict.fromkeys(LEVELS, nan))
        return StudyRow(flow.name, pes, batch, layer.name, False, macs, nothing, nan, nan, nan, None, seen)
    mapping = {symbol: int(value) for symbol, value in zip(flow.symbols, found, strict=False)}
    traffic = flow.traffic(layer, batch, mapping)
    return StudyRow(
        flow.name,
        pes,
        batch,
        layer.name,
        True,
        macs,
        MappingProxyType(energy(traffic, macs)),
        float(traffic.dram_read),
        float(traffic.dram_write),
        active,
        MappingProxyType(mapping),
        seen,
    )


def energy(traffic: Traffic, macs: int) -> dict[str, float]:
    """Return the energy per level of ``traffic`` and ``macs`` multiplications, relative to one of them."""
    words = {
        "alu": Fraction(macs),
        "dram": traffic.dram,
        "buffer": traffic.buffer,
        "array": traffic.array,
        "rf": traffic.rf,
    }
    return {level: float(ENERGY[level] * words[level]) for level in LEVELS}


def totals(rows: Iterable[StudyRow], name: str) -> tuple[StudyRow, ...]:
    """Sum rows over their layers, one row per (flow, pes, batch), called ``name``.

    A flow that cannot run one of the layers has no total: its row is not legal. Active PEs are the mean
    weighted by multiplications.
    """
    groups: dict[tuple[str, int, int], list[StudyRow]] = {}
    for row in rows:
        groups.setdefault((row.flow, row.pes, row.batch), []).append(row)
    return tuple(_total(group, name) for group in groups.values())


def _total(rows: list[StudyRow], name: str) -> StudyRow:
    macs = sum(row.macs for row in rows)
    return StudyRow(
        rows[0].flow,
        rows[0].pes,
        rows[0].batch,
        name,
        all(row.legal for row in rows),
        macs,
        MappingProxyType({level: sum(row.energy[level] for row in rows) for level in LEVELS}),
        sum(row.dram_reads for row in rows),
        sum(row.dram_writes for row in rows),
        sum(row.active_pes * row.macs for row in rows) / macs,
        None,
        sum(row.candidates for row in rows),
    )


def _check_size(layer: Layer, batch: int) -> None:
    """Refuse what could overflow the search, which scales energies by the ofmap piece, at most E x E.

    Each of a MAC's operands moves at most once per level; the halo of a piece is at most the whole ifmap.
    """
    moved = 4 * layer.macs(batch) + layer.ifmap_words(batch) * layer.M
    if sum(ENERGY.values()) * moved * layer.E**2 > INT64_MAX:
        raise ConfigError(f"layer {layer.name} at batch {batch} is too large to search", "use a smaller batch")
