"""One layer on one unit: operands, mapping, plan, walk, timeline, energy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from accelsim import basis
from accelsim.activity import CAUSES, Activity, Event
from accelsim.components import Component, Dram, Sram
from accelsim.config.arch import Arch, Unit
from accelsim.config.schema import EnergySpec, MappingSpec, TechnologySpec
from accelsim.energy import (
    LEAKAGE,
    Supply,
    Table,
    clocked,
    complete,
    energy_pj,
    kept_table,
    leakage_mw,
    waiting_pj_per_cycle,
)
from accelsim.engine import Engine, Machine, finished
from accelsim.engines import registry
from accelsim.errors import ConfigError, FitError, MappingError, ModelError, WorkloadError
from accelsim.mapping.choose import Bounds, Choice, PriceOf, build, choose
from accelsim.memory import timeline
from accelsim.memory.dram import dram_model
from accelsim.operands import handle
from accelsim.operands.files import to_integers
from accelsim.operands.golden import agree
from accelsim.results import BufferUse, LayerResult, Tiles, TrafficRow, UnitAccount
from accelsim.units import ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import PRODUCTS, UNKNOWN, dims, macs

PRICED = ("energy", "edp")
"""Objectives of the mapper that look at prices."""


@dataclass(frozen=True)
class Options:
    """How to simulate; see `simulate`."""

    seed: int = 0
    fidelity: Literal["closed", "cycle"] = "closed"
    check: bool = False
    operands: str = "synthetic"
    trace: bool = False
    unsupported: Literal["skip", "error"] = "skip"


@dataclass(frozen=True)
class Task:
    """One layer, ready to run: on ``unit``, or not at all for ``reason``.

    ``given`` are integers for some of its tensors, ``stored`` the arrays that came with the network, read when needed.
    """

    view: LayerView
    unit: Unit | None = None
    reason: str | None = None
    pinned: Any = None
    given: Mapping[str, np.ndarray] = field(default_factory=dict)
    stored: Mapping[str, np.ndarray] = field(default_factory=dict)

    def values(self) -> dict[str, np.ndarray]:
        """Return tensor name -> integers for all operands that are not synthetic."""
        found = dict(self.given)
        for tensor in (*self.view.inputs, *self.view.weights):
            if tensor.name in self.stored and tensor.name not in found:
                try:
                    found[tensor.name] = to_integers(self.stored[tensor.name], tensor)
                except WorkloadError as error:
                    raise WorkloadError(f"layer '{self.view.name}': {error.problem}", error.remedy) from None
        return found


def simulate_layer(
    arch: Arch, task: Task, options: Options, report: Callable[[float], None] | None = None
) -> LayerResult:
    """Run one layer: operands, mapping, plan, walk, timeline, energy; ``report`` hears the share of it that is done.

    A layer that does not fit its unit is not simulated, for that reason, unless ``options.unsupported`` is ``error``.

    Raises
    ------
    FitError
        It does not fit, and may not be skipped.
    MappingError
        A pinned mapping that does not fit.
    """
    view, unit = task.view, task.unit
    blank = _blank(view)
    if unit is None:
        return replace(blank, reason=task.reason)
    engine, params, machine = registry.get(unit.engine), unit.params, machine_view(arch)
    table = table_of(arch)
    components = unit_components(arch, unit)
    operands = handle.of(view, options.seed, task.values())
    try:
        mapping, origin, choice = mapping_of(arch, unit, view, task.pinned, table)
        plan = _plan(engine, view, operands, params, mapping, machine, pinned=task.pinned is not None)
    except FitError as error:
        if options.unsupported == "error":
            raise
        return replace(blank, reason=error.reason(view.name))
    activity, fidelity = _walk(engine, plan, options.fidelity, report)
    units = engine.units(params)
    activity.check(units)
    checked = _check(engine, plan, operands, activity) if options.check else None
    cycles, stall, needed = _with_memory(activity, machine)
    added = cycles - activity.compute_cycles  # a coupled engine's account has its stalls already
    accounts = {kind: _account(activity.accounts[kind], count, added, cycles) for kind, count in units.items()}
    counted = events(components, activity)
    counted |= clocked(components, {kind: own.causes for kind, own in accounts.items()}, arch.clock_gating)
    details: dict[str, Any] = dict(activity.details)
    if choice is not None:
        details |= {"mapping_candidates": choice.candidates, "mapping_why": choice.why}
    effective_macs = operands.effective_macs if view.macs else 0
    if view.kind == "spgemm" and cycles:
        details["gflop_per_s"] = float(2 * effective_macs * arch.clocks_mhz["core"] / (1000 * cycles))
    return replace(
        blank,
        simulated=True,
        unit=unit.name,
        nonzero_weight_macs=operands.nonzero_weight_macs if view.macs else 0,
        nonzero_input_macs=operands.nonzero_input_macs if view.macs else 0,
        effective_macs=effective_macs,
        performed_macs=activity.performed_macs,
        cycles=cycles,
        compute_cycles=cycles - stall,
        stall_cycles=stall,
        dram_cycles=_dram_cycles(activity, machine),
        fidelity=fidelity,
        mapping=mapping.model_dump(mode="json"),
        mapping_source=origin,
        primary=engine.primary,
        accounts=accounts,
        traffic=tuple(TrafficRow(*flow, bits) for flow, bits in sorted(activity.traffic.items()) if bits),
        buffers={name: BufferUse(*use) for name, use in activity.buffers.items()},
        stored=engine.stored(plan),
        needed_bits_per_cycle=needed,
        events=_by_component(arch, unit, components, counted),
        energy_pj=(energy := energy_of(arch, unit, counted, cycles, table)),
        stalled_pj=stalled_of(arch, energy, cycles, stall, table),
        checked=checked,
        details=details,
        tiles=Tiles(activity.schedule, machine.dram) if options.trace else None,
    )


def energy_table(energy: EnergySpec, technology: TechnologySpec | None = None) -> Table:
    """Return a table, read once per process and again when it has been edited, at the supply of a machine if given."""
    if technology is None:
        return kept_table(energy.table, energy.node)
    supply = Supply(technology.node_nm, technology.voltage_v)
    return kept_table(energy.table, energy.node, supply, technology.flavour)


def table_of(arch: Arch) -> Table:
    """Return what prices a machine."""
    return energy_table(arch.energy, arch.technology)


def machine_view(arch: Arch) -> Machine:
    """Return what engines may know of the machine."""
    return Machine(arch.clocks_mhz, dram_model(arch.memory.dram, arch.clocks_mhz["core"]))


def _blank(view: LayerView) -> LayerResult:
    tensors = (*view.inputs, *view.weights, *view.outputs)
    return LayerResult(
        name=view.name,
        kind=view.kind,
        shape=dims(view.shape),
        bits=_bits(view),
        macs=macs(view.shape),
        dram_bits_touched=basis.whole(
            None if t.shape == UNKNOWN else t.elements * t.width for t in tensors if t.home == "dram"
        ),
    )


def _bits(view: LayerView) -> dict[str, int | None]:
    bits = {"input": view.input.bits if view.inputs else None, "output": view.output.bits if view.outputs else None}
    return bits | ({"weight": view.weight.bits} if view.kind in (*PRODUCTS, "spgemm") else {})


def walked(arch: Arch, unit: Unit, task: Task, mapping: Any, seed: int) -> Activity:
    """Return what a unit does of a layer under a mapping, before the timeline: in closed form if there is one.

    Where the activity has a schedule, nothing in it depends on the bandwidth or the latency of DRAM.

    Raises
    ------
    FitError
        The layer does not fit.
    """
    engine = registry.get(unit.engine)
    operands = handle.of(task.view, seed, task.values())
    plan = _plan(engine, task.view, operands, unit.params, mapping, machine_view(arch), pinned=False)
    activity, _ = _walk(engine, plan, "closed", None)
    activity.check(engine.units(unit.params))
    return activity


def mapping_of(
    arch: Arch, unit: Unit, view: LayerView, pinned: Any, table: Table
) -> tuple[Any, Literal["searched", "pinned", "none"], Choice | None]:
    """Return the mapping, where it comes from, and what the mapper saw; FitError if none fits."""
    if pinned is not None:
        return pinned, "pinned", None
    engine, params, machine = registry.get(unit.engine), unit.params, machine_view(arch)
    table = chooses_by(arch) or table
    price = price_of(unit_components(arch, unit), table)
    leak = leak_pj_per_cycle(arch, lambda: leakage_mw(machine_components(arch), table), table)
    try:
        choice = None
        if not arch.mapping.fixed:
            choice = engine.search(view, params, machine, arch.mapping.objective, price, leak)
        columns = {} if choice is not None else engine.candidates(view, params, machine)
    except MappingError as error:
        raise FitError.of(view.name, error) from None
    if choice is None and not columns:
        return _listless(engine, view, arch.mapping.fixed), "none", None
    try:
        if choice is None:
            bounds = engine.bounds(view, params, machine, columns)
            choice = choose(columns, bounds, _objective(arch, bounds), price, leak)
    except MappingError as error:
        raise MappingError(f"layer '{view.name}': {error.problem}", error.remedy) from None
    return build(engine.mapping_schema, choice.row), "searched", choice


def _listless(engine: Engine[Any, Any], view: LayerView, fixed: Mapping[str, Any]) -> Any:
    """Return the mapping of an engine that lists none: what is fixed of it; nothing of one without mappings."""
    known = engine.mapping_schema.model_fields
    if not known:
        return engine.mapping_schema()
    if stray := [key for key in fixed if key not in known]:
        raise MappingError(f"layer '{view.name}': mapping.fixed names '{stray[0]}'", f"known keys: {', '.join(known)}")
    return build(engine.mapping_schema, fixed)


def _objective(arch: Arch, bounds: Bounds) -> MappingSpec:
    """Return how a mapping is chosen: beside a unit with an objective of its own, one without takes cycles."""
    if arch.mapping.objective == "engine" and bounds.own is None and len(arch.units) > 1:
        return arch.mapping.model_copy(update={"objective": "cycles"})
    return arch.mapping


def _plan(
    engine: Engine[Any, Any], view: LayerView, operands: handle.Operands, params: Any, mapping: Any, machine: Machine,
    *, pinned: bool,
) -> Any:  # fmt: skip
    """Return the plan; MappingError under a mapping that somebody pinned, FitError if nobody did."""
    try:
        return engine.plan(view, operands, params, mapping, machine)
    except MappingError as error:
        if pinned:
            raise
        raise FitError.of(view.name, error) from None


def chooses_by(arch: Arch) -> Table | None:
    """Return the table by which mappings are chosen where a machine names one beside that which prices it.

    Raises
    ------
    ConfigError
        No such table.
    """
    name = arch.mapping.prices
    if name is None or arch.mapping.objective not in PRICED:
        return None
    try:
        return kept_table(name)
    except ConfigError as error:
        raise arch.document.error(("mapping", "prices"), error.problem, error.remedy) from None


def leak_pj_per_cycle(arch: Arch, leakage: Callable[[], float], table: Table | None = None) -> float:
    """Return what a machine spends in a cycle whatever runs, for energy objectives: leakage, and clocks never gated.

    ``leakage`` says how many mW all units leak, ``table`` what clocks cost; the one that prices by default.
    """
    if arch.mapping.objective not in PRICED:
        return 0.0
    waits = 0.0 if arch.clock_gating != "none" else sum(_waiting(arch, arch.units, table or table_of(arch)).values())
    return leakage() * float(1000 / arch.clocks_mhz["core"]) + waits


def price_of(components: tuple[Component, ...], table: Table) -> PriceOf:
    """Return what a bit across a boundary costs, for objectives."""
    by_name = {component.name: component for component in components}

    def price(boundary: str, direction: str) -> float:
        action = direction if direction in by_name[boundary].actions else "transfer"
        return table.price(by_name[boundary], action).pj

    return price


def _walk(
    engine: Engine[Any, Any], plan: Any, fidelity: str, report: Callable[[float], None] | None
) -> tuple[Activity, str]:
    if fidelity == "closed" and (activity := engine.closed_form(plan)) is not None:
        return activity, "closed"
    return finished(engine.walk(plan), report), "cycle"


def _check(engine: Engine[Any, Any], plan: Any, operands: handle.Operands, activity: Activity) -> bool:
    """Compute the layer's values on the engine; return whether they equal NumPy's."""
    walked = engine.run(plan, operands)
    if differences := activity.same_integers(walked):
        raise ModelError(f"layer '{operands.view.name}': with values, {differences[0]}")
    truth = engine.truth(operands)
    if walked.values is None or walked.values.shape != truth.shape:
        raise ModelError(f"layer '{operands.view.name}': engine '{engine.name}' gave no values of shape {truth.shape}")
    return agree(walked.values, truth, operands)


def _with_memory(activity: Activity, machine: Machine) -> tuple[int, int, dict[str, float]]:
    """Return cycles, stalls and the bandwidths that each boundary needs, in bits per cycle."""
    needed: dict[str, float] = {}
    for flow, bits in activity.traffic.items():
        if flow.boundary != "dram" and activity.compute_cycles:
            needed[flow.boundary] = needed.get(flow.boundary, 0.0) + bits / activity.compute_cycles
    if activity.schedule is None:
        return activity.compute_cycles, activity.stall_cycles, dict(sorted(needed.items()))
    rows = timeline.rows_of(activity.schedule, machine.dram)
    ran = timeline.run(rows, machine.dram)
    if ran.cycles - ran.stall_cycles != activity.compute_cycles:
        raise ModelError(f"tiles compute {ran.cycles - ran.stall_cycles} cycles, not {activity.compute_cycles}")
    needed["dram"] = float(timeline.needed_bits_per_cycle(rows, machine.dram))
    return ran.cycles, ran.stall_cycles, dict(sorted(needed.items()))


def _dram_cycles(activity: Activity, machine: Machine) -> int:
    bits = sum(bits for flow, bits in activity.traffic.items() if flow.boundary == "dram")
    rate = machine.dram.bits_per_cycle
    return ceil_div(bits * rate.denominator, rate.numerator)


def _account(causes: Mapping[str, int], units: int, stall: int, cycles: int) -> UnitAccount:
    whole = {**causes, "memory": causes.get("memory", 0) + units * stall}
    if sum(whole.values()) != units * cycles:
        raise ModelError(f"with DRAM stalls, causes sum to {sum(whole.values())}, not to {units} x {cycles}")
    return UnitAccount(units, {cause: whole[cause] for cause in CAUSES if whole.get(cause)})


def unit_components(arch: Arch, unit: Unit) -> tuple[Component, ...]:
    """Return the components of a unit under their own names, clocks among them, and the DRAM."""
    engine = registry.get(unit.engine)
    own = engine.components(unit.params)
    banks = {}
    if arch.storage:
        full = {full_name(arch, unit, component.name): component.name for component in own}
        banks = {full[memory.name]: memory.banks for memory in arch.storage if memory.name in full}
    made = complete(own, table_of(arch), engine.units(unit.params), engine.primary, banks)
    return (*made, Dram("dram", standard=arch.memory.dram.standard))


def machine_components(arch: Arch) -> tuple[Component, ...]:
    """Return the components of all units and the DRAM; names carry the unit's where there are several.

    Raises
    ------
    ConfigError
        The machine says how a memory is built that it does not have.
    """
    found: list[Component] = []
    for unit in arch.units:
        *own, dram = unit_components(arch, unit)
        found += own if len(arch.units) == 1 else [replace(c, name=full_name(arch, unit, c.name)) for c in own]
    memories = [component.name for component in found if isinstance(component, Sram)]
    for i, memory in enumerate(arch.storage):
        if memory.name not in memories:
            close = f"its memories are {', '.join(memories)}" if memories else "it has none"
            problem = f"'{memory.name}' is no SRAM of this machine"
            raise arch.document.error(("storage", i, "name"), problem, close)
    return (*found, dram)


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
    """Return the name under which a unit's component stands in a report."""
    shared = len(arch.units) == 1 or component in ("dram", LEAKAGE)
    return component if shared else f"{unit.name}.{component}"


def energy_of(arch: Arch, unit: Unit, counted: Mapping[Event, int], cycles: int, table: Table) -> dict[str, float]:
    """Return the energy of a layer by component; all units leak for as long as it runs."""
    dynamic = energy_pj(unit_components(arch, unit), counted, table)
    time_ns = cycles * 1000 / arch.clocks_mhz["core"]
    dynamic[LEAKAGE] = leakage_mw(machine_components(arch), table) * float(time_ns)
    energy = {full_name(arch, unit, name): pj for name, pj in dynamic.items()}
    return energy | {name: pj * cycles for name, pj in waiting_of_others(arch, unit, table).items()}


def stalled_of(
    arch: Arch, energy: Mapping[str, float], cycles: int, stall_cycles: int, table: Table
) -> dict[str, float]:
    """Return what leakage and the clocks of all units take of a layer's energy while it stalls, by component."""
    if not stall_cycles:
        return {}
    waits = _waiting(arch, arch.units, table).items()
    clocks = {name: min(pj * stall_cycles, energy[name]) for name, pj in waits if name in energy}
    return clocks | {LEAKAGE: energy[LEAKAGE] * stall_cycles / cycles}


def waiting_of_others(arch: Arch, unit: Unit, table: Table) -> dict[str, float]:
    """Return what the clocks of all other units cost in a cycle in which this one runs a layer, by component."""
    return {} if len(arch.units) == 1 else _waiting(arch, [other for other in arch.units if other != unit], table)


def _waiting(arch: Arch, units: Sequence[Unit], table: Table) -> dict[str, float]:
    found: dict[str, float] = {}
    for unit in units:
        waits = waiting_pj_per_cycle(unit_components(arch, unit), table, arch.clock_gating)
        found |= {full_name(arch, unit, name): pj for name, pj in waits.items()}
    return found


def without_registers(arch: Arch) -> list[str]:
    """Return the units whose engine declares no registers, so that their clock is in no figure."""
    declared = {unit.name for unit in arch.units for c in unit_components(arch, unit) if c.kind == "registers"}
    return [unit.name for unit in arch.units if unit.name not in declared]


def _by_component(
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
    """Return event -> count: the engine's operations, and the traffic of each storage and link."""
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
    return dict(sorted(table.items()))
