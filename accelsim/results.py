"""What a simulation gives: one result per layer, and their totals."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import fsum
from typing import Any, Literal

from accelsim import basis
from accelsim.parts import BufferUse as BufferUse
from accelsim.parts import StoredBits as StoredBits
from accelsim.parts import TablePrice as TablePrice
from accelsim.parts import Tiles as Tiles
from accelsim.parts import TrafficRow as TrafficRow
from accelsim.parts import time_share as time_share
from accelsim.remedy import Advice
from accelsim.schedules import NetworkSchedule
from accelsim.schedules import UnitAccount as UnitAccount

SCHEMA = 1
"""Version of the report format."""
SCHEMA_SCHEDULED = 2
"""With a network's schedule."""


@dataclass(frozen=True, repr=False)
class LayerResult:
    """One layer on one machine, or the reason why it was not simulated. All figures are for the whole batch."""

    name: str
    kind: str
    shape: Mapping[str, Any]
    bits: Mapping[str, int | None]
    macs: int | None
    """Dense multiply-accumulates; None where nobody knows those of an operator that was not simulated."""
    dram_bits_touched: int | None
    """Bits of the layer's tensors that live in DRAM, each counted once: for coverage, simulated or not.

    None behind an operator whose output has no known shape.
    """
    simulated: bool = False
    reason: str | None = None
    """Why it was not simulated, or where its work is done."""
    unit: str | None = None
    nonzero_weight_macs: int = 0
    nonzero_input_macs: int = 0
    effective_macs: int = 0
    performed_macs: int = 0
    start_cycle: int = 0
    cycles: int = 0
    compute_cycles: int = 0
    stall_cycles: int = 0
    dram_cycles: int = 0
    """Cycles that the layer's DRAM traffic takes at full bandwidth: a lower bound of ``cycles``."""
    fidelity: str = "closed"
    mapping: Mapping[str, Any] = field(default_factory=dict)
    mapping_source: Literal["published", "searched", "pinned", "none"] = "none"
    primary: str = ""
    accounts: Mapping[str, UnitAccount] = field(default_factory=dict)
    traffic: tuple[TrafficRow, ...] = ()
    buffers: Mapping[str, BufferUse] = field(default_factory=dict)
    stored: Mapping[str, StoredBits] = field(default_factory=dict)
    """Tensor -> its size in the machine's compressed format; tensors that are not compressed are left out."""
    needed_bits_per_cycle: Mapping[str, float] = field(default_factory=dict)
    events: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Component -> action -> how often: bits of storage, links and DRAM, else operations. Times prices, the energy."""
    energy_pj: Mapping[str, float] = field(default_factory=dict)
    stalled_pj: Mapping[str, float] = field(default_factory=dict)
    """Of ``energy_pj`` what leakage and clocks take in ``stall_cycles``, where they take any."""
    checked: bool | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    parent: str = ""
    """The layer or operator of the network of which this one is a part."""
    folded_into: str = ""
    """The layer that does its work: this one then ran with it, and all that it takes is counted there."""
    dram: Mapping[str, Any] = field(default_factory=dict)
    """What a DRAM device did, `accelsim.served.on_device`; empty on a machine without one."""
    requests: Any = field(default=None, compare=False)
    """What a DRAM device was asked for, where a trace was; not part of a report."""
    tiles: Tiles | None = None
    """Only where a trace was asked for; not part of a report."""

    def __repr__(self) -> str:
        """Return name, kind and outcome in a line; the fields are attributes."""
        if not self.simulated:
            return f"<LayerResult {self.name} ({self.kind}): not simulated: {self.reason}>"
        if self.folded_into:
            return f"<LayerResult {self.name} ({self.kind}): {self.reason}>"
        return (
            f"<LayerResult {self.name} ({self.kind}): {self.cycles:,} cycles on {self.unit}, bound by {self.bound_by}>"
        )

    @property
    def account(self) -> Mapping[str, int]:
        """Unit-cycles by cause of the primary unit kind."""
        return self.accounts[self.primary].causes if self.primary else {}

    @property
    def units(self) -> int:
        """Number of primary units."""
        return self.accounts[self.primary].units if self.primary else 0

    @property
    def occupancy(self) -> float:
        """Share of unit-cycles with work the schedule needs, zero operands included (the field's utilisation)."""
        return self._share("busy", "zero")

    @property
    def utilization(self) -> float:
        """Share of unit-cycles with work on non-zero operands."""
        return self._share("busy")

    @property
    def mapping_efficiency(self) -> float:
        """One minus the share of unit-cycles outside the mapped tile."""
        return 1 - self._share("unmapped") if self.simulated and not self.folded_into else 0.0

    @property
    def counted_macs(self) -> int:
        """What a rate counts: dense MACs, of a sparse product (which nobody would do densely) its multiplications."""
        return self.effective_macs if self.kind == "spgemm" else self.macs or 0

    @cached_property
    def dram_read_bits(self) -> int:
        """Bits read from DRAM."""
        return self.bits_across("dram", "read")

    @cached_property
    def dram_write_bits(self) -> int:
        """Bits written to DRAM."""
        return self.bits_across("dram", "write")

    @property
    def dram_bits(self) -> int:
        """Bits across the DRAM boundary, both directions."""
        return self.dram_read_bits + self.dram_write_bits

    @property
    def total_energy_pj(self) -> float:
        """Energy of all components."""
        return fsum(self.energy_pj.values())

    @property
    def bound_by(self) -> str:
        """What a faster machine would have to improve.

        ``memory`` if DRAM traffic alone takes as long as computing or longer; else the largest cause that is not
        useful work, if larger than it; else ``compute``. Nothing of a layer that takes no time of its own.
        """
        if not self.simulated or self.folded_into:
            return ""
        if self.dram_sets_time:
            return "memory"
        causes = self.account
        useful = causes.get("busy", 0) + causes.get("zero", 0)
        worst = max((c for c in causes if c not in ("busy", "zero")), key=lambda c: causes[c], default="compute")
        return worst if causes.get(worst, 0) > useful else "compute"

    @property
    def dram_sets_time(self) -> bool:
        """Whether DRAM traffic alone takes as long as computing: mending another cause would gain nothing."""
        return self.stall_cycles > 0 and self.dram_cycles >= self.compute_cycles

    def bits_across(self, boundary: str, direction: str | None = None) -> int:
        """Return the bits across a boundary (``glb`` covers ``glb.weights``), one direction or both."""
        return sum(
            row.bits
            for row in self.traffic
            if direction in (None, row.direction)
            and (row.boundary == boundary or row.boundary.partition(".")[0] == boundary)
        )

    def _share(self, *causes: str) -> float:
        total = self.units * self.cycles
        return sum(self.account.get(c, 0) for c in causes) / total if total else 0.0


@dataclass(frozen=True, repr=False)
class NetworkResult:
    """All layers of a network on a machine, run one after another.

    Attributes
    ----------
    arch : mapping
        The resolved configuration.
    network, source, batch : what was run.
    clock_mhz : float
        The core clock that turns cycles into time.
    area_mm2 : mapping or None
        Component -> mm2, where the table has areas.
    area_missing : tuple of str
        Components on the chip for which it has none: the sum leaves them out.
    area_parts_mm2 : mapping
        ``cells`` and ``macros`` before placing, and ``placed``, the sum of ``area_mm2``; empty where unknown.
    prices : mapping
        Which table priced the run, ``node_nm`` and ``vdd_v`` of it, and the prices in use that are ``carried`` from
        another process, ``recalled`` or ``assumed``; empty where an older report does not say.
    energy_tables : tuple of TablePrice
        The run by other tables, where that was asked for.
    joins : mapping
        Layer of work on each element -> the product just before it that it could be part of (`posts.joinable`).
    advice : Advice or None
        What remedies gained, where they were tried.
    schedule : NetworkSchedule or None
        The layers on one clock, where that was asked for. Cycles, time, rates, energy, DRAM traffic and the
        energy-delay product are then of that clock; every figure of a layer is of the layer alone.
    """

    arch: Mapping[str, Any]
    network: str
    source: str
    batch: int
    layers: tuple[LayerResult, ...]
    options: Mapping[str, Any]
    clock_mhz: float
    isolated: bool = False
    not_modelled: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    area_mm2: Mapping[str, float] | None = None
    area_missing: tuple[str, ...] = ()
    area_parts_mm2: Mapping[str, float] = field(default_factory=dict)
    prices: Mapping[str, Any] = field(default_factory=dict)
    energy_tables: tuple[TablePrice, ...] = ()
    joins: Mapping[str, str] = field(default_factory=dict)
    advice: Advice | None = None
    schedule: NetworkSchedule | None = None

    def __repr__(self) -> str:
        """Return machine, network and totals in a line; the fields are attributes."""
        layers = f"{len(self.layers)} layers"
        if self.partial:
            layers = f"{len(self.simulated)} of {layers}"
        return (
            f"<{type(self).__name__} {self.network} on {self.arch_name}: {layers}, {self.cycles:,} cycles, "
            f"{1e3 * self.time_s:.4g} ms, {1e-9 * self.total_energy_pj:.4g} mJ>"
        )

    @property
    def arch_name(self) -> str:
        """Name of the machine."""
        return str(self.arch["name"])

    @cached_property
    def simulated(self) -> tuple[LayerResult, ...]:
        """The layers that ran, those that were folded with the layers that do their work."""
        return tuple(layer for layer in self.layers if layer.simulated)

    @property
    def partial(self) -> bool:
        """Whether layers with work were not simulated, for whatever reason: totals are of the others."""
        return len(self.simulated) < len(self.layers)

    @property
    def complete(self) -> bool:
        """Whether every layer of a connected network was simulated."""
        return not (self.isolated or self.partial)

    @cached_property
    def cycles(self) -> int:
        """Cycles of all simulated layers: on one clock where there is a schedule, else one after another."""
        return self.isolated_cycles if self.schedule is None else self.schedule.cycles

    @cached_property
    def isolated_cycles(self) -> int:
        """Cycles of the simulated layers one after another, each from an idle machine."""
        return sum(layer.cycles for layer in self.simulated)

    @cached_property
    def alone(self) -> NetworkResult:
        """The same layers one after another: what layers' own figures add up to."""
        if self.schedule is None:
            return self
        return replace(self, layers=placed(self.layers), schedule=None)

    @property
    def time_s(self) -> float:
        """Seconds at the core clock."""
        return self.cycles / (self.clock_mhz * 1e6)

    @cached_property
    def macs(self) -> int:
        """Dense multiply-accumulates of the simulated layers."""
        return sum(layer.macs or 0 for layer in self.simulated)

    @cached_property
    def effective_macs(self) -> int:
        """Multiply-accumulates with both operands non-zero."""
        return sum(layer.effective_macs for layer in self.simulated)

    @cached_property
    def counted_macs(self) -> int:
        """What rates in tables and pictures count; see `LayerResult.counted_macs`."""
        return sum(layer.counted_macs for layer in self.simulated)

    @cached_property
    def nonzero_weight_macs(self) -> int:
        """Multiply-accumulates whose weight is not zero."""
        return sum(layer.nonzero_weight_macs for layer in self.simulated)

    @cached_property
    def nonzero_input_macs(self) -> int:
        """Multiply-accumulates whose input is not zero."""
        return sum(layer.nonzero_input_macs for layer in self.simulated)

    @cached_property
    def performed_macs(self) -> int:
        """Multiply-accumulates that the machine executed."""
        return sum(layer.performed_macs for layer in self.simulated)

    @cached_property
    def stored(self) -> dict[str, StoredBits]:
        """Tensor -> size in compressed formats, over the layers that compress it."""
        found: dict[str, StoredBits] = {}
        for layer in self.simulated:
            for tensor, size in layer.stored.items():
                before = found.get(tensor, StoredBits(0, 0, 0))
                found[tensor] = StoredBits(*(a + b for a, b in zip(before, size, strict=True)))
        return found

    @cached_property
    def energy_pj(self) -> dict[str, float]:
        """Energy by component."""
        if self.schedule is not None:
            return dict(self.schedule.energy_pj)
        parts: dict[str, list[float]] = {}
        for layer in self.simulated:
            for name, pj in layer.energy_pj.items():
                parts.setdefault(name, []).append(pj)
        return {name: fsum(values) for name, values in parts.items()}

    @property
    def total_energy_pj(self) -> float:
        """Energy of all components."""
        return fsum(self.energy_pj.values())

    @property
    def edp_pj_s(self) -> float:
        """Energy-delay product."""
        return self.total_energy_pj * self.time_s

    @cached_property
    def dram_read_bits(self) -> int:
        """Bits read from DRAM."""
        if self.schedule is not None:
            return self.schedule.dram_read_bits
        return sum(layer.dram_read_bits for layer in self.simulated)

    @cached_property
    def dram_write_bits(self) -> int:
        """Bits written to DRAM."""
        if self.schedule is not None:
            return self.schedule.dram_write_bits
        return sum(layer.dram_write_bits for layer in self.simulated)

    @property
    def dram_bits(self) -> int:
        """Bits across the DRAM boundary."""
        return self.dram_read_bits + self.dram_write_bits

    @property
    def tops(self) -> float:
        """Tera-operations per second of the simulated layers, two operations per dense MAC."""
        return 2 * self.macs / self.time_s / 1e12 if self.cycles else 0.0

    @property
    def tops_per_w(self) -> float:
        """Operations per energy: 1 TOPS/W is 1 operation per pJ."""
        return 2 * self.macs / self.total_energy_pj if self.total_energy_pj else 0.0

    @property
    def effective_tops(self) -> float:
        """Tera-operations per second that multiply non-zeros: two per effective MAC."""
        return 2 * self.effective_macs / self.time_s / 1e12 if self.cycles else 0.0

    @property
    def effective_tops_per_w(self) -> float:
        """Operations that multiply non-zeros per energy."""
        return 2 * self.effective_macs / self.total_energy_pj if self.total_energy_pj else 0.0

    @cached_property
    def unit_shares(self) -> dict[str, dict[str, float]]:
        """Unit that has layers -> cause -> share of the network's time, of its primary kind; of one clock alone."""
        if self.schedule is None:
            return {}
        primary = {layer.unit: layer.primary for layer in self.simulated if layer.unit and layer.primary}
        accounts = {unit: kinds[primary[unit]] for unit, kinds in self.schedule.accounts.items() if unit in primary}
        return {
            unit: {cause: spent / (account.units * self.cycles or 1) for cause, spent in account.causes.items()}
            for unit, account in accounts.items()
        }

    @property
    def occupancy(self) -> float:
        """Occupancy over all simulated layers, each for as long as it runs: what the time is spent on.

        On one clock the mean over units of theirs, for as long as the network runs.
        """
        return self._share("busy", "zero")

    @property
    def utilization(self) -> float:
        """Utilisation over all simulated layers, each for as long as it runs."""
        return self._share("busy")

    @property
    def coverage(self) -> dict[str, float | None]:
        """Share of the network's MACs, layers and tensor bits in DRAM that was simulated.

        None where the share is unknown: a layer that was not simulated does not say how many it has.
        """
        touched = basis.whole(layer.dram_bits_touched for layer in self.simulated)
        return {
            "macs": basis.covers(self.macs, (layer.macs for layer in self.layers)),
            "layers": _ratio(len(self.simulated), len(self.layers)),
            "dram_bits": basis.covers(touched, (layer.dram_bits_touched for layer in self.layers)),
        }

    def over(self, names: Collection[str]) -> NetworkResult:
        """Return the result of some layers, for comparisons over what several machines simulated.

        Fewer than all have no place on the clock of all: they are one after another.
        """
        if all(layer.name in names for layer in self.layers):
            return self
        return replace(self.alone, layers=tuple(layer for layer in self.alone.layers if layer.name in names))

    def blocks(self, depth: int = 1) -> dict[str, NetworkResult]:
        """Return the layers whose names share their first ``depth`` parts, block by block: ``layer1.0`` at 2."""
        found: dict[str, list[str]] = {}
        for layer in self.layers:
            parts = re.split(r"[./]", layer.name.strip("/"))
            found.setdefault(".".join(parts[:depth]), []).append(layer.name)
        return {name: self.over(names) for name, names in found.items()}

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one flat dict per layer: for csv, pandas or polars."""
        return [layer_row(self, layer) for layer in self.layers]

    def _share(self, *causes: str) -> float:
        if self.schedule is not None:
            spent = [shares.get(cause, 0.0) for shares in self.unit_shares.values() for cause in causes]
            return fsum(spent) / len(self.unit_shares) if spent else 0.0
        worked = [(layer.units, layer.cycles, sum(layer.account.get(c, 0) for c in causes)) for layer in self.simulated]
        return time_share(worked)


def placed(results: Iterable[LayerResult], schedule: NetworkSchedule | None = None) -> tuple[LayerResult, ...]:
    """Return the results with their start cycles: on a network's clock, or one after another."""
    there = {} if schedule is None else {time.name: time.start_cycle for time in schedule.layers}
    done, now = list[LayerResult](), 0
    for result in results:
        done.append(replace(result, start_cycle=there.get(result.name, now)))
        now += result.cycles
    return tuple(done)


def _ratio(part: int, whole: int, empty: float = 1.0) -> float:
    return part / whole if whole else empty


def layer_row(result: NetworkResult, layer: LayerResult) -> dict[str, Any]:
    """Return the flat row of one layer: identity, counts, cycles, ratios, traffic and energy."""
    row: dict[str, Any] = {
        "arch": result.arch_name,
        "network": result.network,
        "batch": result.batch,
        "layer": layer.name,
        "kind": layer.kind,
        "unit": layer.unit,
        "simulated": layer.simulated,
        "reason": layer.reason,
        "macs": layer.macs,
        "nonzero_weight_macs": layer.nonzero_weight_macs,
        "nonzero_input_macs": layer.nonzero_input_macs,
        "effective_macs": layer.effective_macs,
        "performed_macs": layer.performed_macs,
        "start_cycle": layer.start_cycle,
        "cycles": layer.cycles,
        "compute_cycles": layer.compute_cycles,
        "stall_cycles": layer.stall_cycles,
        "bound_by": layer.bound_by,
        "fidelity": layer.fidelity,
        "mapping_source": layer.mapping_source,
        "occupancy": layer.occupancy,
        "utilization": layer.utilization,
        "mapping_efficiency": layer.mapping_efficiency,
        "dram_read_bits": layer.dram_read_bits,
        "dram_write_bits": layer.dram_write_bits,
        "total_energy_pj": layer.total_energy_pj,
        "checked": layer.checked,
    }
    return row
