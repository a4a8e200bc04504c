"""One simulation, readable top to bottom: network and machine in, one result per layer out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from accelsim.activity import CAUSES, Activity, Event
from accelsim.components import Component, Dram
from accelsim.energy import LEAKAGE, Table, area_mm2, energy_pj, leakage_mw, load_table
from accelsim.engines import registry
from accelsim.errors import ConfigError, MappingError, ModelError, WorkloadError
from accelsim.mapping.choose import Choice, Pinned, build, choose
from accelsim.memory import timeline
from accelsim.memory.dram import dram_model
from accelsim.operands import chain, files, handle
from accelsim.operands.golden import golden
from accelsim.passes import batching, density, precision
from accelsim.results import BufferUse, LayerResult, NetworkResult, TrafficRow, UnitAccount
from accelsim.seam import Engine, Machine
from accelsim.spec import arch as spec
from accelsim.spec.arch import Arch, Unit
from accelsim.workload.load import load_network as load_network
from accelsim.workload.network import Layer, LayerView, Network, is_view
from accelsim.workload.shapes import Unsupported, dims

Progress = Callable[[str, int, int], None]
"""Called with (layer name, layers done, layers in all)."""

ALWAYS_NOT_MODELLED = (
    "Layers run one after another: no overlap between layers, and activations go through DRAM between them.",
    "Views (reshape, concatenation, dropout) cost nothing: tensors are placed where their reader expects them.",
)


@dataclass(frozen=True)
class Options:
    """How to simulate; see `simulate`."""

    seed: int = 0
    fidelity: Literal["closed", "cycle"] = "closed"
    check: bool = False
    operands: str = "synthetic"


def load_arch(name: str, sets: Sequence[tuple[str, Any]] = ()) -> Arch:
    """Return the machine of a packaged name or path.

    Parameters
    ----------
    name : str
    sets : sequence of (key path, value)
        Keys of the resolved configuration to override.
    """
    return spec.load(name, registry.find_params, sets)


def simulate(
    arch: Arch,
    network: Network,
    *,
    batch: int = 1,
    layers: str = "*",
    seed: int = 0,
    fidelity: Literal["closed", "cycle"] = "closed",
    check: bool = False,
    unsupported: Literal["skip", "error"] = "skip",
    workers: int = 1,
    mapping: str | Path | None = None,
    operands: str | Path | None = None,
    density_profile: str | Path | None = None,
    progress: Progress | None = None,
) -> NetworkResult:
    """Simulate a network on a machine.

    Parameters
    ----------
    arch : Arch
    network : Network
    batch : int
        Images; all totals are for the whole batch.
    layers : str
        Pattern over layer names: the others are left out.
    seed : int
        Of the synthetic operands.
    fidelity : "closed" or "cycle"
        Closed forms where they exist, or always the kernels.
    check : bool
        Also compute every layer's values and compare them with NumPy.
    unsupported : "skip" or "error"
        What to do with layers that no unit of the machine can run.
    workers : int
        Processes; the result does not depend on it.
    mapping : path, optional
        File of pinned mappings.
    operands : path or "chain", optional
        Archive of given operands, or propagate computed values from layer to layer.
    density_profile : path, optional
        Densities per layer.
    progress : callable, optional

    Raises
    ------
    UserError
        Whatever is wrong with the input.
    ModelError
        An invariant of ours is broken.
    """
    network = prepare(arch, network, batch, density_profile)
    network, chosen = _select(network, layers)
    pinned = Pinned(Path(mapping)) if mapping is not None else None
    if pinned is not None and (stray := pinned.unused([layer.name for layer in chosen])):
        raise ConfigError(f"pinned mapping '{stray[0]}' matches no layer", "correct the name", file=str(mapping))
    given = _given(network, operands, seed)
    mode = "synthetic" if operands is None else "chain" if str(operands) == "chain" else "file"
    options = Options(seed, fidelity, check, mode)
    tasks = [_task(arch, network, layer, pinned, given, unsupported) for layer in chosen]
    results = _placed(_run(arch, tasks, options, workers, progress))
    table = energy_table(arch.energy.table)
    return NetworkResult(
        arch=arch.config,
        network=network.name,
        source=network.source,
        batch=batch,
        layers=results,
        options={
            "seed": seed,
            "fidelity": fidelity,
            "operands": mode,
            "energy_table": table.name,
            "check": check,
        },
        clock_mhz=float(arch.clocks_mhz["core"]),
        isolated=network.isolated,
        not_modelled=_not_modelled(arch, results),
        notes=network.notes,
        area_mm2=area_mm2(machine_components(arch), table).mm2,
    )


def prepare(arch: Arch, network: Network, batch: int, density_profile: str | Path | None) -> Network:
    """Apply the passes: batch, densities, and the machine's precision where the network has none."""
    network = batching.batched(network, batch)
    if density_profile is not None:
        network = density.apply(network, density.load(Path(density_profile)))
    return precision.resolve(network, arch.precision)


def _select(network: Network, pattern: str) -> tuple[Network, list[Layer]]:
    work = [layer for layer in network.layers if not is_view(layer)]
    chosen = [layer for layer in work if fnmatchcase(layer.name, pattern)]
    if not chosen:
        names = ", ".join(layer.name for layer in work[:6])
        raise WorkloadError(f"no layer of '{network.name}' matches '{pattern}'", f"layers are called {names}, ...")
    return network, chosen


def _given(network: Network, operands: str | Path | None, seed: int) -> Mapping[str, np.ndarray]:
    """Return tensor name -> integers for all tensors that are not synthetic."""
    given = {
        name: files.to_integers(array, network.tensors[name])
        for name, array in network.values.items()
        if name in network.tensors
    }
    if operands is None:
        return given
    if str(operands) == "chain":
        return chain.propagate(network, seed, given)
    return given | files.load_npz(Path(operands), network)


@dataclass(frozen=True)
class Task:
    """One layer, ready to run: on ``unit``, or not at all for ``reason``."""

    view: LayerView
    unit: Unit | None = None
    reason: str | None = None
    pinned: Any = None
    given: Mapping[str, np.ndarray] | None = None


def _task(
    arch: Arch,
    network: Network,
    layer: Layer,
    pinned: Pinned | None,
    given: Mapping[str, np.ndarray],
    unsupported: str,
) -> Task:
    view = network.view(layer)
    unit, reason = _unit_for(arch, view)
    if unit is None:
        if unsupported == "error":
            raise WorkloadError(f"layer '{layer.name}' cannot run: {reason}", "drop it with --layers or allow skipping")
        return Task(view, reason=reason)
    fixed = pinned.get(layer.name, registry.get(unit.engine).mapping_schema) if pinned else None
    mine = {name: given[name] for name in (*layer.inputs, *layer.weights) if name in given}
    return Task(view, unit, None, fixed, mine)


def _unit_for(arch: Arch, view: LayerView) -> tuple[Unit | None, str | None]:
    """Return the first unit that takes and supports a layer, or all reasons why none does."""
    if isinstance(view.shape, Unsupported):
        return None, f"operator '{view.shape.op}': {view.shape.reason}"
    reasons = []
    for unit in arch.units:
        if not unit.takes(view.name, view.kind):
            reasons.append(f"{unit.name}: the machine file gives it other layers")
            continue
        reason = registry.get(unit.engine).supports(view, unit.params)
        if reason is None:
            return unit, None
        reasons.append(reason if len(arch.units) == 1 else f"{unit.name}: {reason}")
    return None, "; ".join(reasons)


def _run(arch: Arch, tasks: list[Task], options: Options, workers: int, progress: Progress | None) -> list[LayerResult]:
    if workers < 1:
        raise ConfigError(f"{workers} workers", "use at least 1", file="--workers")
    done: list[LayerResult] = []
    results: Iterable[LayerResult]
    if workers == 1 or len(tasks) < 2:
        results = _serial(arch, tasks, options)
        for result in results:
            done.append(result)
            if progress:
                progress(result.name, len(done), len(tasks))
        return done
    with ProcessPoolExecutor(min(workers, len(tasks))) as pool:
        for result in pool.map(_run_one, [(arch.document, task, options) for task in tasks]):
            done.append(result)
            if progress:
                progress(result.name, len(done), len(tasks))
    return done


def _run_one(job: tuple[Any, Task, Options]) -> LayerResult:
    document, task, options = job
    return simulate_layer(spec.build(document, registry.find_params), task, options)


def _serial(arch: Arch, tasks: list[Task], options: Options) -> Iterable[LayerResult]:
    """Run one task after another; layers that differ in nothing but their names are simulated once."""
    known: dict[Any, LayerResult] = {}
    for task in tasks:
        key = _likeness(task) if not options.check else None
        if key is not None and key in known:
            yield replace(known[key], name=task.view.name)
            continue
        result = simulate_layer(arch, task, options)
        if key is not None:
            known[key] = result
        yield result


def _likeness(task: Task) -> Any:
    """Return a key that equal tasks share, or None where names matter: synthetic zeros depend on them."""
    tensors = (*task.view.inputs, *task.view.weights, *task.view.outputs)
    if task.given or any(t.density < 1 for t in tensors):
        return None
    unit = task.unit.name if task.unit else task.reason
    plain = tuple(replace(t, name="") for t in tensors)
    return (task.view.shape, plain, unit, task.pinned, task.view.batch)


def simulate_layer(arch: Arch, task: Task, options: Options) -> LayerResult:
    """Run one layer: operands, mapping, plan, walk, timeline, energy."""
    view, unit = task.view, task.unit
    blank = _blank(view)
    if unit is None:
        return replace(blank, reason=task.reason)
    engine, params, machine = registry.get(unit.engine), unit.params, machine_view(arch)
    table = energy_table(arch.energy.table)
    components = _components(arch, unit)
    operands = handle.of(view, options.seed, task.given)
    mapping, origin, choice = _mapping(arch, engine, params, view, machine, task.pinned, table, components)
    plan = engine.plan(view, operands, params, mapping, machine)
    activity, fidelity = _walk(engine, plan, options.fidelity)
    units = engine.units(params)
    activity.check(units)
    checked = _check(engine, plan, operands, activity) if options.check else None
    cycles, stall, needed = _with_memory(activity, machine)
    details: dict[str, Any] = dict(activity.details)
    if choice is not None:
        details |= {"mapping_candidates": choice.candidates, "mapping_why": choice.why}
    return replace(
        blank,
        simulated=True,
        unit=unit.name,
        effective_macs=operands.effective_macs if view.macs else 0,
        performed_macs=activity.performed_macs,
        cycles=cycles,
        compute_cycles=cycles - stall,
        stall_cycles=stall,
        fidelity=fidelity,
        mapping=mapping.model_dump(mode="json"),
        mapping_source=origin,
        primary=engine.primary,
        accounts={kind: _account(activity.accounts[kind], count, stall) for kind, count in units.items()},
        traffic=tuple(TrafficRow(*flow, bits) for flow, bits in sorted(activity.traffic.items()) if bits),
        buffers={name: BufferUse(*use) for name, use in activity.buffers.items()},
        needed_bits_per_cycle=needed,
        energy_pj=_energy(arch, unit, activity, cycles),
        checked=checked,
        details=details,
    )


@cache
def energy_table(name: str) -> Table:
    """Return an energy table, read once per process."""
    return load_table(name)


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
        macs=view.macs,
        dram_bits_touched=sum(t.elements * (t.bits or 0) for t in tensors if t.home == "dram"),
    )


def _bits(view: LayerView) -> dict[str, int | None]:
    bits = {"input": view.input.bits if view.inputs else None, "output": view.output.bits if view.outputs else None}
    return bits | ({"weight": view.weight.bits} if view.macs else {})


def _mapping(
    arch: Arch, engine: Engine[Any, Any], params: Any, view: LayerView, machine: Machine, pinned: Any, table: Table,
    components: tuple[Component, ...],
) -> tuple[Any, Literal["searched", "pinned", "none"], Choice | None]:  # fmt: skip
    """Return the mapping, where it comes from, and what the mapper saw."""
    if pinned is not None:
        return pinned, "pinned", None
    try:
        columns = engine.candidates(view, params, machine)
        if not columns:
            return engine.mapping_schema(), "none", None
        by_name = {component.name: component for component in components}

        def price(boundary: str, direction: str) -> float:
            action = direction if direction in by_name[boundary].actions else "transfer"
            return table.price(by_name[boundary], action).pj

        choice = choose(columns, engine.bounds(view, params, machine, columns), arch.mapping, price)
    except MappingError as error:
        raise MappingError(f"layer '{view.name}': {error.problem}", error.remedy) from None
    return build(engine.mapping_schema, choice.row), "searched", choice


def _walk(engine: Engine[Any, Any], plan: Any, fidelity: str) -> tuple[Activity, str]:
    if fidelity == "closed" and (activity := engine.closed_form(plan)) is not None:
        return activity, "closed"
    return engine.run(plan), "cycle"


def _check(engine: Engine[Any, Any], plan: Any, operands: handle.Operands, activity: Activity) -> bool:
    """Compute the layer's values on the engine; return whether they equal NumPy's."""
    walked = engine.run(plan, operands)
    if differences := activity.same_integers(walked):
        raise ModelError(f"layer '{operands.view.name}': with values, {differences[0]}")
    truth = golden(operands)
    if walked.values is None or walked.values.shape != truth.shape:
        raise ModelError(f"layer '{operands.view.name}': engine '{engine.name}' gave no values of shape {truth.shape}")
    return bool(np.allclose(walked.values, truth, rtol=1e-12, atol=0))


def _with_memory(activity: Activity, machine: Machine) -> tuple[int, int, dict[str, float]]:
    """Return cycles, stalls and the bandwidths that each boundary needs, in bits per cycle."""
    needed: dict[str, float] = {}
    for flow, bits in activity.traffic.items():
        if flow.boundary != "dram" and activity.compute_cycles:
            needed[flow.boundary] = needed.get(flow.boundary, 0.0) + bits / activity.compute_cycles
    if activity.schedule is None:
        return activity.compute_cycles, activity.stall_cycles, dict(sorted(needed.items()))
    ran = timeline.run(activity.schedule, machine.dram)
    if ran.cycles - ran.stall_cycles != activity.compute_cycles:
        raise ModelError(f"tiles compute {ran.cycles - ran.stall_cycles} cycles, not {activity.compute_cycles}")
    needed["dram"] = float(timeline.needed_bits_per_cycle(activity.schedule, machine.dram))
    return ran.cycles, ran.stall_cycles, dict(sorted(needed.items()))


def _account(causes: Mapping[str, int], units: int, stall: int) -> UnitAccount:
    whole = {**causes, "memory": causes.get("memory", 0) + units * stall}
    return UnitAccount(units, {cause: whole[cause] for cause in CAUSES if whole.get(cause)})


def _components(arch: Arch, unit: Unit) -> tuple[Component, ...]:
    engine = registry.get(unit.engine)
    return (*engine.components(unit.params), Dram("dram", standard=arch.memory.dram.standard))


def machine_components(arch: Arch) -> tuple[Component, ...]:
    """Return the components of all units and the DRAM; names carry the unit's where there are several."""
    found: list[Component] = []
    for unit in arch.units:
        found += [replace(c, name=_full_name(arch, unit, c.name)) for c in _components(arch, unit)[:-1]]
    return (*found, _components(arch, arch.units[0])[-1])


def _full_name(arch: Arch, unit: Unit, component: str) -> str:
    shared = len(arch.units) == 1 or component in ("dram", LEAKAGE)
    return component if shared else f"{unit.name}.{component}"


def _energy(arch: Arch, unit: Unit, activity: Activity, cycles: int) -> dict[str, float]:
    """Return the energy of a layer by component; all units leak for as long as it runs."""
    table, components = energy_table(arch.energy.table), _components(arch, unit)
    dynamic = energy_pj(components, events(components, activity), table)
    time_ns = cycles * 1000 / arch.clocks_mhz["core"]
    dynamic[LEAKAGE] = leakage_mw(machine_components(arch), table) * float(time_ns)
    return {_full_name(arch, unit, name): pj for name, pj in dynamic.items()}


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


def _placed(results: list[LayerResult]) -> tuple[LayerResult, ...]:
    """Return the results with their start cycles: layers run one after another."""
    placed, now = [], 0
    for result in results:
        placed.append(replace(result, start_cycle=now))
        now += result.cycles
    return tuple(placed)


def _not_modelled(arch: Arch, results: Iterable[LayerResult]) -> tuple[str, ...]:
    used = {result.unit for result in results if result.simulated}
    items: dict[str, None] = {}
    for unit in arch.units:
        if unit.name in used:
            items |= dict.fromkeys(registry.get(unit.engine).notes.not_modelled)
    return (*items, *ALWAYS_NOT_MODELLED, *energy_table(arch.energy.table).notes)
