"""What a machine is made of, and what its parts cost: components by name, counts of events, energy, areas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from accelsim import posts
from accelsim.activity import Activity, Event
from accelsim.components import Component, Dram, Link, Sram
from accelsim.config.arch import Arch, Unit
from accelsim.config.schema import EnergySpec, TechnologySpec
from accelsim.energy import (
    LEAKAGE,
    Areas,
    Supply,
    Table,
    area_mm2,
    complete,
    energy_pj,
    kept_table,
    leakage_mw,
    waiting_pj_per_cycle,
)
from accelsim.engines import registry
from accelsim.errors import ConfigError, ModelError
from accelsim.units import KIB_BITS

UNDECLARED = "registers not declared"
"""Stands beside areas and energies of a machine that lack its pipeline registers and their clock."""
MOST_MACHINES = 4096
"""Units whose components are kept; with more, all are forgotten."""


def energy_table(energy: EnergySpec, technology: TechnologySpec | None = None) -> Table:
    """Return a table, read once per process and again when it has been edited, at the supply of a machine if given."""
    if technology is None:
        return kept_table(energy.table, energy.node)
    supply = Supply(technology.node_nm, technology.voltage_v)
    return kept_table(energy.table, energy.node, supply, technology.flavour)


def table_of(arch: Arch) -> Table:
    """Return what prices a machine."""
    return energy_table(arch.energy, arch.technology)


def unit_components(arch: Arch, unit: Unit) -> tuple[Component, ...]:
    """Return the components of a unit under their own names, clocks among them, and the DRAM."""
    found: tuple[Component, ...] = _of_unit(arch, unit, "components", lambda: _unit_components(arch, unit))
    return found


def _of_unit(arch: Arch, unit: Unit, what: Any, find: Callable[[], Any]) -> Any:
    """Return what there is to find of a unit, found once if it is one of the machine's own."""
    at = next((at for at, own in enumerate(arch.units) if own is unit), None)
    return find() if at is None else _once(arch, (what, at), find)


def _unit_components(arch: Arch, unit: Unit) -> tuple[Component, ...]:
    engine, table = registry.get(unit.engine), table_of(arch)
    key = (type(engine).components, unit, arch.storage, len(arch.units), arch.memory.dram.standard)
    found: tuple[Component, ...] | None = table.machines.get(key)
    if found is None:
        if len(table.machines) >= MOST_MACHINES:
            table.machines.clear()
        own = (*engine.components(unit.params), *posts.component(unit))
        full = {full_name(arch, unit, component.name): component.name for component in own}
        banks = {full[memory.name]: memory.banks for memory in arch.storage if memory.name in full}
        made = complete(own, table, engine.units(unit.params), engine.primary, banks)
        found = table.machines[key] = (*made, Dram("dram", standard=arch.memory.dram.standard))
    return found


def machine_components(arch: Arch) -> tuple[Component, ...]:
    """Return the components of all units and the DRAM; names carry the unit's where there are several.

    Raises
    ------
    ConfigError
        The machine says how a memory is built that it does not have.
    """
    found: tuple[Component, ...] = _once(arch, "components", lambda: _machine_components(arch))
    return found


def _once(arch: Arch, what: Any, find: Callable[[], Any]) -> Any:
    """Return what there is to find of a machine and its table, found when first asked for."""
    key = (what, table_of(arch))
    if key not in arch.found:
        arch.found[key] = find()
    return arch.found[key]


def _machine_components(arch: Arch) -> tuple[Component, ...]:
    found: list[Component] = []
    for unit in arch.units:
        *own, dram = unit_components(arch, unit)
        found += own if len(arch.units) == 1 else [replace(c, name=full_name(arch, unit, c.name)) for c in own]
    shared = buffer_components(arch)
    for i, buffer in enumerate(shared):
        if any(component.name == buffer.name for component in found):
            problem = f"the machine has another '{buffer.name}'"
            raise arch.document.error(("memory", "buffers", i, "name"), problem, "rename the buffer")
    memories = [component.name for component in (*found, *shared) if isinstance(component, Sram)]
    for i, memory in enumerate(arch.storage):
        if memory.name not in memories:
            close = f"its memories are {', '.join(memories)}" if memories else "it has none"
            problem = f"'{memory.name}' is no SRAM of this machine"
            raise arch.document.error(("storage", i, "name"), problem, close)
    return (*found, *shared, dram)


def buffer_components(arch: Arch) -> tuple[Component, ...]:
    """Return the memories that units share, as ``glb.<buffer>``."""
    if not arch.memory.buffers:
        return ()
    banks = {memory.name: memory.banks for memory in arch.storage}
    made = [Sram(f"glb.{b.name}", 1, b.kib * KIB_BITS, b.word_bits) for b in arch.memory.buffers]
    return complete(made, table_of(arch), {}, "", {b.name: banks[b.name] for b in made if b.name in banks})


def sole_components(arch: Arch, option: str) -> tuple[Component, ...]:
    """Return the components of a machine of one unit, whose names alone say what a row of prices is of.

    Raises
    ------
    ConfigError
        A machine of several units, for ``option``.
    """
    if len(arch.units) > 1:
        units = ", ".join(unit.name for unit in arch.units)
        problem = f"'{arch.name}' has several units ({units}), whose components share names"
        raise ConfigError(problem, "take a machine of one unit", file=option)
    return machine_components(arch)


def full_name(arch: Arch, unit: Unit, component: str) -> str:
    """Return the name under which a unit's component stands in a report.

    Beside a unit's name the links of its array are ``links``: units are called ``array`` as well.
    """
    shared = len(arch.units) == 1 or component in ("dram", LEAKAGE)
    return component if shared else f"{unit.name}.{'links' if component == 'array' else component}"


def energy_of(
    arch: Arch, unit: Unit, counted: Mapping[Event, int], cycles: int, table: Table, dram_pj: float | None = None
) -> dict[str, float]:
    """Return the energy of a layer by component; all units leak for as long as it runs.

    ``dram_pj`` is that of a DRAM device by its commands, in place of a price per bit.
    """
    components, prices = unit_components(arch, unit), _of_unit(arch, unit, ("prices", table), dict)
    if dram_pj is not None:
        components = tuple(component for component in components if component.name != "dram")
        counted = {event: count for event, count in counted.items() if event.component != "dram"}
    dynamic = energy_pj(components, counted, table, known=prices) | ({} if dram_pj is None else {"dram": dram_pj})
    time_ns = cycles * 1000 / arch.clocks_mhz["core"]
    dynamic[LEAKAGE] = machine_leakage_mw(arch, table) * float(time_ns)
    energy = {full_name(arch, unit, name): pj for name, pj in dynamic.items()}
    return energy | {name: pj * cycles for name, pj in waiting_of_others(arch, unit, table).items()}


def machine_leakage_mw(arch: Arch, table: Table) -> float:
    """Return the static power of a machine."""
    return float(_once(arch, ("leakage", table), lambda: leakage_mw(machine_components(arch), table)))


def stalled_of(
    arch: Arch, energy: Mapping[str, float], cycles: int, stall_cycles: int, table: Table
) -> dict[str, float]:
    """Return what leakage and the clocks of all units take of a layer's energy while it stalls, by component."""
    if not stall_cycles:
        return {}
    waits = waiting_of(arch, arch.units, table).items()
    clocks = {name: min(pj * stall_cycles, energy[name]) for name, pj in waits if name in energy}
    return clocks | {LEAKAGE: energy[LEAKAGE] * stall_cycles / cycles}


def waiting_of_others(arch: Arch, unit: Unit, table: Table) -> dict[str, float]:
    """Return what the clocks of all other units cost in a cycle in which this one runs a layer, by component."""
    return {} if len(arch.units) == 1 else waiting_of(arch, [other for other in arch.units if other != unit], table)


def waiting_of(arch: Arch, units: Sequence[Unit], table: Table) -> dict[str, float]:
    """Return what the clocks of some units cost in a cycle in which they wait, by component."""

    def find() -> dict[str, float]:
        found: dict[str, float] = {}
        for unit in units:
            waits = waiting_pj_per_cycle(unit_components(arch, unit), table, arch.clock_gating)
            found |= {full_name(arch, unit, name): pj for name, pj in waits.items()}
        return found

    waits: dict[str, float] = _once(arch, ("waits", table, tuple(unit.name for unit in units)), find)
    return waits


def without_registers(arch: Arch) -> list[str]:
    """Return the units whose engine declares no registers, so that their clock is in no figure."""
    declared = {unit.name for unit in arch.units for c in unit_components(arch, unit) if c.kind == "registers"}
    return [unit.name for unit in arch.units if unit.name not in declared]


def areas_of(arch: Arch, table: Table) -> Areas:
    """Return the areas of a machine; units whose registers nobody declared are among what is missing."""
    areas = area_mm2(machine_components(arch), table)
    for unit in without_registers(arch) if table.spec.cells is not None else ():
        name = UNDECLARED if len(arch.units) == 1 else f"{unit}.{UNDECLARED}"
        areas.missing[name] = "its engine has no `Registers`"
    return areas


def by_component(
    arch: Arch, unit: Unit, components: tuple[Component, ...], counted: Mapping[Event, int]
) -> dict[str, dict[str, int]]:
    """Return component, as reports name it -> action -> count."""
    table: dict[str, dict[str, int]] = {}
    for component in components:
        for action in component.actions:
            if count := counted.get(Event(component.name, action)):
                table.setdefault(full_name(arch, unit, component.name), {})[action] = count
    return table


def events(components: tuple[Component, ...], activity: Activity) -> dict[Event, int]:
    """Return event -> count: the engine's operations, and the traffic of each storage and link, trunks included."""
    by_name = {component.name: component for component in components}
    table: dict[Event, int] = {}
    for flow, bits in activity.traffic.items():
        if not bits:
            continue
        component = by_name.get(flow.boundary)
        if component is None or not component.counts_bits:
            raise ModelError(f"no storage or link bears the name of boundary '{flow.boundary}'")
        action = flow.direction if flow.direction in component.actions else "transfer"
        moved = Event(component.name, action)
        table[moved] = table.get(moved, 0) + bits
    for event, count in activity.events.items():
        table[event] = table.get(event, 0) + count
    for trunk in components:
        if isinstance(trunk, Link) and trunk.carries:
            flows = activity.traffic.items()
            if bits := sum(b for flow, b in flows if f"{flow.boundary}/{flow.direction}" in trunk.carries):
                table[Event(trunk.name, "transfer")] = bits
    return dict(sorted(table.items()))
