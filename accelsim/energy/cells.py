"""Prices of flip-flops, clocks and gates, from `accelsim.energy.constants`, and the area and leakage of cells.

See ``docs/decisions/0086-prices-with-physics.md`` for the model.
"""

from __future__ import annotations

import math

from accelsim.components import Clock, RegisterFile, Registers
from accelsim.config.schema import Flavour
from accelsim.energy.constants import UM2_PER_MM2, Cells, cells, constants, gate_leak
from accelsim.energy.curve import NoFigureError, Reading
from accelsim.energy.rows import NodeRow, label, weakest
from accelsim.units import ceil_div

_PJ = 1e-3
"""pJ per fJ."""


def register_file(node: NodeRow, unit: RegisterFile, action: str) -> Reading:
    """Return the energy per bit of reading or writing flip-flop storage."""
    if unit.size_bits <= 0:
        raise NoFigureError("its size_bits is not given")
    if unit.clocked:
        return Reading(0.0, ("0: its bits move in every cycle, and the unit's registers and clock pay",), "computed")
    at, share = cells(node.nm), constants().toggled_share.value
    if action == "write":
        femto = at.clock + share * at.toggle
        step = f"a clock {at.clock:.4g} fJ and {share:g} of a toggle {at.toggle:.4g} fJ per bit at 1 V"
    else:
        levels = mux_levels(unit)
        femto = levels * share * at.mux
        step = f"{levels} mux levels x {share:g} x {at.mux:.4g} fJ per bit at 1 V"
    return _at_supply(femto, node, at, step)


def mux_levels(unit: RegisterFile) -> int:
    """Return the levels of 2:1 multiplexers between the words of flip-flop storage and its port."""
    return (ceil_div(unit.size_bits, unit.width_bits) - 1).bit_length()


def data(node: NodeRow, registers: Registers) -> Reading:
    """Return the energy of changing data in a busy cycle of a unit."""
    at, share = cells(node.nm), constants().toggled_share.value
    bits = registers.clocked_bits * registers.count / registers.per_units
    return _at_supply(bits * share * at.toggle, node, at, f"{bits:g} bit x {share:g} x {at.toggle:.4g} fJ at 1 V")


def clock(node: NodeRow, tree: Clock, action: str) -> Reading:
    """Return the energy of the clock in a cycle of a unit: of all that it clocks, or of gates that stop its words."""
    at, all_, registers = cells(node.nm), constants(), tree.registers
    per_unit = registers.count / registers.per_units
    gates = registers.gated_words * per_unit
    if action == "gates":
        per_gate = all_.bits_per_clock_gate
        gates += math.ceil(registers.clocked_bits / per_gate.value) * per_unit
        femto = gates * (at.gate_internal + at.gate_pin)
        step = (
            f"{gates:g} disabled clock gates x {at.gate_internal + at.gate_pin:.4g} fJ; {label('constants', per_gate)}"
        )
        return _at_supply(femto, node, at, step)._replace(status="assumed")
    bits = registers.clocked_bits * per_unit
    internal = bits * at.internal + gates * at.gate_internal
    pins = bits * at.pin + gates * at.gate_pin
    wire = wire_ff(tree) * (bits + gates) / tree.sinks if tree.sinks else 0.0
    femto = internal + all_.clock_buffers.value * (pins + wire)
    step = (
        f"{bits:g} clocked bit, {gates:g} disabled gates: inside {internal:.4g} + {all_.clock_buffers.value:g} x "
        f"(pins {pins:.4g} + wire {wire:.4g}) fJ at 1 V; {tree.sinks:,} sinks in {tree.area_mm2:.4g} mm2"
    )
    return _at_supply(femto, node, at, step)


def wire_ff(tree: Clock) -> float:
    """Return the capacitance of the wire of a clock tree."""
    all_ = constants()
    length_mm = all_.clock_tree_length.value * math.sqrt(tree.sinks * tree.area_mm2)
    return 1e3 * all_.clock_wire_pf_per_mm.value * length_mm


def _at_supply(femto: float, node: NodeRow, at: Cells, step: str) -> Reading:
    volts = node.vdd_v
    return Reading(femto * volts**2 * _PJ, (at.text, step, f"x {volts:g}^2 V^2"), weakest((at.status, "computed")))


def flip_flops_um2(node: NodeRow, bits: float) -> Reading:
    """Return the area of flip-flops."""
    at = cells(node.nm)
    step = f"{bits:g} flip-flops x {at.flip_flop_um2:.4g} um2 (constants:flip_flop_area)"
    return Reading(bits * at.flip_flop_um2, (step,), weakest(("computed", at.status)))


def leak_of_cells(node: NodeRow, flavour: Flavour, um2: Reading) -> Reading:
    """Return the leakage in mW of cells of some area."""
    at, row = cells(node.nm), gate_leak(flavour)
    gates = um2.value / at.nand2_um2
    step = f"{gates:.4g} NAND2 of {at.nand2_um2:.4g} um2 x {label('constants:leak_nw_per_gate', row)} {row.nw:g} nW"
    value = gates * row.nw * 1e-6 * node.vdd_v / row.vdd_v
    return Reading(value, (*um2.steps, step, f"x {node.vdd_v:g} / {row.vdd_v:g} V"), weakest((um2.status, row.status)))


def placed_mm2(um2: float) -> float:
    """Return the placed area of cells."""
    return um2 / constants().utilisation.value / UM2_PER_MM2
