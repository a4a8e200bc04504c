"""The constants behind physical prices: cells, clock, wires, leakage, placed area. All stand in ``constants.yaml``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from accelsim.config.schema import Flavour, Positive, Strict
from accelsim.config.yamlfile import read, validate
from accelsim.energy.rows import PriceRow, Status

UM2_PER_MM2 = 1e6


class FlipFlopRow(PriceRow):
    """A flip-flop of a library: fJ per clock cycle with D = Q, of it at the clock pin, and per change of its data."""

    nm: Positive
    vdd_v: Positive
    clock_fj: Positive
    pin_fj: Positive
    toggle_fj: Positive


class CellRow(PriceRow):
    """Another cell of a library: fJ per cycle or change, of it at the clock pin."""

    nm: Positive
    vdd_v: Positive
    fj: Positive
    pin_fj: Positive | None = None


class ValueRow(PriceRow):
    """A plain number."""

    value: Positive


class CellAreaRow(PriceRow):
    """Area of a cell at a node."""

    nm: Positive
    um2: Positive


class OverheadRow(PriceRow):
    """Placed area of a macro of one size over that of its bit cells."""

    kib: Positive
    factor: Positive


class GateLeakRow(PriceRow):
    """Leakage of a NAND2 of a process flavour."""

    flavour: Flavour
    nw: Positive
    vdd_v: Positive


class SupplyRow(PriceRow):
    """Nominal supply of a node."""

    nm: Positive
    vdd_v: Positive


class Constants(Strict):
    """The file."""

    sources: dict[str, str]
    flip_flop: tuple[FlipFlopRow, ...] = Field(strict=False, min_length=2)
    clock_gate: CellRow
    mux: CellRow
    clock_wire_pf_per_mm: ValueRow
    clock_tree_length: ValueRow
    clock_buffers: ValueRow
    toggled_share: ValueRow
    bits_per_clock_gate: ValueRow
    flip_flop_area: tuple[CellAreaRow, ...] = Field(strict=False, min_length=2)
    nand2_area: tuple[CellAreaRow, ...] = Field(strict=False, min_length=2)
    bit_cell_area: tuple[CellAreaRow, ...] = Field(strict=False, min_length=2)
    utilisation: ValueRow
    macro_overhead: tuple[OverheadRow, ...] = Field(strict=False, min_length=2)
    leak_nw_per_gate: tuple[GateLeakRow, ...] = Field(strict=False, min_length=1)
    nominal_v: tuple[SupplyRow, ...] = Field(strict=False, min_length=2)


@cache
def constants() -> Constants:
    """Return the file's constants."""
    path = Path(__file__).parent / "constants.yaml"
    return validate(Constants, read(path, path.name))


class Cells(NamedTuple):
    """Capacitances at a node in fF (fJ at 1 V), areas in um2, and how far they can be trusted.

    Attributes
    ----------
    internal, pin, toggle : float
        Of a flip-flop: within it per clock cycle, at its clock pin, per change of its data.
    gate_internal, gate_pin : float
        Of a disabled clock gate per cycle.
    mux : float
        Of a 2:1 multiplexer, per change of its output.
    """

    internal: float
    pin: float
    toggle: float
    gate_internal: float
    gate_pin: float
    mux: float
    flip_flop_um2: float
    nand2_um2: float
    bit_um2: float
    text: str
    status: Status

    @property
    def clock(self) -> float:
        """What a flip-flop costs per clock cycle."""
        return self.internal + self.pin


@lru_cache(maxsize=64)
def cells(node_nm: float) -> Cells:
    """Return the cells at a node: those of the libraries at their own, log-log in the node elsewhere."""
    all_ = constants()
    clock = _flip_flop(node_nm, lambda row: row.clock_fj)
    pin = _flip_flop(node_nm, lambda row: row.pin_fj)
    gate, mux = all_.clock_gate, all_.mux
    of_gate = clock / _flip_flop(gate.nm, lambda row: row.clock_fj) / gate.vdd_v**2
    of_mux = clock / _flip_flop(mux.nm, lambda row: row.clock_fj) / mux.vdd_v**2
    gate_pin = gate.pin_fj or 0.0
    known = next((row for row in all_.flip_flop if row.nm == node_nm), None)
    if known is not None:
        text = f"constants:flip_flop[{known.nm:g} nm] ({known.status}, {known.source})"
    else:
        text = f"constants:flip_flop, log-log in the node at {node_nm:g} nm"
    beyond = not all_.flip_flop[0].nm <= node_nm <= all_.flip_flop[-1].nm
    status: Status = known.status if known is not None else "assumed" if beyond else "computed"
    return Cells(
        clock - pin, pin, _flip_flop(node_nm, lambda row: row.toggle_fj), (gate.fj - gate_pin) * of_gate,
        gate_pin * of_gate, mux.fj * of_mux, _area(all_.flip_flop_area, node_nm), _area(all_.nand2_area, node_nm),
        _area(all_.bit_cell_area, node_nm), text, status,
    )  # fmt: skip


def _flip_flop(node_nm: float, fj: Callable[[FlipFlopRow], float]) -> float:
    return _log_log([(row.nm, fj(row) / row.vdd_v**2) for row in constants().flip_flop], node_nm)


def _area(rows: Sequence[CellAreaRow], node_nm: float) -> float:
    return _log_log([(row.nm, row.um2) for row in rows], node_nm)


def _log_log(points: Sequence[tuple[float, float]], x: float) -> float:
    for at, y in points:
        if at == x:
            return y
    (x0, y0), (x1, y1) = next((pair for pair in pairwise(points) if x < pair[1][0]), (points[-2], points[-1]))
    return y0 * math.pow(x / x0, math.log(y1 / y0) / math.log(x1 / x0))


def overhead(size_bits: float) -> float:
    """Return the placed area of an SRAM macro over that of its bit cells."""
    rows, kib = constants().macro_overhead, size_bits / 8192
    if kib <= rows[0].kib:
        return rows[0].factor
    for low, high in pairwise(rows):
        if kib <= high.kib:
            return low.factor + (high.factor - low.factor) * math.log(kib / low.kib) / math.log(high.kib / low.kib)
    return rows[-1].factor


def gate_leak(flavour: Flavour) -> GateLeakRow:
    """Return the leakage of a NAND2 of a process flavour."""
    return next(row for row in constants().leak_nw_per_gate if row.flavour == flavour)


def nominal_v(node_nm: float) -> float:
    """Return the nominal supply of a node, linear between the rows and constant beyond them."""
    rows = sorted(constants().nominal_v, key=lambda row: row.nm)
    if node_nm <= rows[0].nm:
        return rows[0].vdd_v
    for low, high in pairwise(rows):
        if node_nm <= high.nm:
            share = (node_nm - low.nm) / (high.nm - low.nm)
            return low.vdd_v + (high.vdd_v - low.vdd_v) * share
    return rows[-1].vdd_v
