"""A machine's components with what follows from the others: clocks, lengths of wires, banks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from accelsim.activity import Event
from accelsim.components import Alu, Clock, Component, Link, Mac, RegisterFile, Registers, Sram
from accelsim.config.schema import Gating
from accelsim.energy.price import Table
from accelsim.errors import ModelError, PriceError

CauseTest: TypeAlias = Callable[[str], bool]

RUNNING = ("busy", "zero", "padding", "refetch", "fill_drain")
"""Causes of unit-cycles in which a unit's registers are clocked whatever the gating; in the others it waits."""


def complete(
    components: Sequence[Component], table: Table, units: Mapping[str, int], primary: str, banks: Mapping[str, int]
) -> tuple[Component, ...]:
    """Return the components of a unit with a `Clock` after each `Registers`, and links and memories made definite.

    Parameters
    ----------
    units : mapping
        Kind of unit -> how many there are.
    primary : str
        The kind of registers and links that do not say theirs.
    banks : mapping
        Memory -> macros side by side.

    Raises
    ------
    ModelError
        Registers of a kind of unit that is not there.
    """
    known = [_definite(component, units, primary, banks) for component in components]
    registers = [component for component in known if isinstance(component, Registers)]
    gates = sum(r.count * (r.clocked_bits + r.gated_words) for r in registers)
    inside = [component for component in known if _lies_in_logic(component)]
    logic = math.fsum(_placed_mm2(component, table) for component in inside)
    found: list[Component] = []
    for component in known:
        if isinstance(component, Link) and component.length_mm == 0 and table.spec.macros is not None and logic:
            trunk = component.reach == "trunk"
            whole = math.fsum(_placed_mm2(each, table) for each in known) if trunk else logic / units[primary]
            component = replace(component, length_mm=math.sqrt(whole), placed=True)
        found.append(component)
        if isinstance(component, Registers):
            name = "clock" if len(registers) == 1 else f"clock.{component.name.removeprefix('registers.')}"
            found.append(Clock(name, component.count, component, gates, logic))
    return tuple(found)


def _definite(component: Component, units: Mapping[str, int], primary: str, banks: Mapping[str, int]) -> Component:
    if isinstance(component, Sram) and component.name in banks:
        return replace(component, banks=banks[component.name])
    if isinstance(component, Registers):
        unit = component.unit or primary
        if unit not in units:
            raise ModelError(f"registers '{component.name}' of units '{unit}', but there are {', '.join(units)}")
        return replace(component, unit=unit, per_units=units[unit])
    return component


def _lies_in_logic(component: Component) -> bool:
    """Whether a component lies where flip-flops do: arithmetic, registers, and memories within the units."""
    own = isinstance(component, Sram) and component.name.split(".")[0] == "pe"
    return own or isinstance(component, Mac | Alu | RegisterFile | Registers)


def _placed_mm2(component: Component, table: Table) -> float:
    try:
        return table.area_mm2(component).value * component.count
    except PriceError:
        return 0.0


def clocked(
    components: Sequence[Component], accounts: Mapping[str, Mapping[str, int]], gating: Gating
) -> dict[Event, int]:
    """Return the events of registers and clocks, in unit-cycles of an account, the stalls in it included.

    Parameters
    ----------
    accounts : mapping
        Kind of unit -> cause -> unit-cycles.
    """
    found: dict[Event, int] = {}
    for component in components:
        if isinstance(component, Clock):
            causes = accounts[component.registers.unit]
            for event, among in states(component.registers.name, component.name, gating):
                found[event] = sum(count for cause, count in causes.items() if among(cause))
    return found


def states(registers: str, clock: str, gating: Gating) -> list[tuple[Event, CauseTest]]:
    """Return the events of registers and their clock, by name, and of which causes each counts the unit-cycles."""
    cycle, gates = Event(clock, "cycle"), Event(clock, "gates")
    found: list[tuple[Event, CauseTest]] = [(Event(registers, "data"), lambda cause: cause == "busy")]
    if gating == "none":
        return [*found, (cycle, lambda cause: True)]
    found.append((cycle, lambda cause: cause in RUNNING))
    return found if gating == "unit" else [*found, (gates, lambda cause: cause not in RUNNING)]


def waiting_pj_per_cycle(components: Sequence[Component], table: Table, gating: Gating) -> dict[str, float]:
    """Return what the clocks of units cost in a cycle of the machine in which none of them runs, by component."""
    if gating == "unit":
        return {}
    action = "cycle" if gating == "none" else "gates"
    return {
        clock.name: clock.registers.per_units * table.price(clock, action).pj
        for clock in components
        if isinstance(clock, Clock)
    }
