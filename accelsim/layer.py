"""One layer on one unit: operands, mapping, plan, walk, timeline, energy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from accelsim import basis
from accelsim.activity import CAUSES, Activity
from accelsim.charges import (
    by_component,
    energy_of,
    events,
    machine_components,
    stalled_of,
    table_of,
    unit_components,
    waiting_of,
)
from accelsim.components import Component, Link
from accelsim.config.arch import Arch, Unit
from accelsim.config.schema import DramSpec, MappingSpec
from accelsim.energy import (
    Table,
    clocked,
    kept_table,
    leakage_mw,
)
from accelsim.engine import Engine, Machine, finished
from accelsim.engines import registry
from accelsim.errors import ConfigError, FitError, MappingError, ModelError, WorkloadError
from accelsim.mapping.choose import Bounds, Choice, PriceOf, build, choose
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel, dram_model
from accelsim.operands import handle
from accelsim.operands.files import to_integers
from accelsim.operands.golden import agree
from accelsim.operands.rounding import Rounding
from accelsim.passes.fold import Folded
from accelsim.posts import ALONE, with_posts
from accelsim.results import BufferUse, LayerResult, Tiles, TrafficRow, UnitAccount
from accelsim.units import ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.network import Network, is_view
from accelsim.workload.shapes import PRODUCTS, UNKNOWN, dims, macs

if TYPE_CHECKING:
    from accelsim.memory.device.door import Door

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
    requests: bool = False
    """Whether to keep the requests to a DRAM device."""
    brief: bool = False
    """Whether to leave out what no sum over layers needs."""


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
    addresses: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Of its tensors in DRAM, on a machine with a device: first byte and bytes."""
    free_byte: int = 0
    """Behind all tensors of the network."""
    posts: tuple[LayerView, ...] = ()
    """Folded layers that hardware of the unit does to its results."""

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


class Front(NamedTuple):
    """What is found of a layer ahead of the timeline.

    Attributes
    ----------
    told : LayerResult
        All that depends on neither memory nor prices.
    mapping : BaseModel
    choice : Choice or None
        What the mapper saw.
    operands, plan : Any
        None in a sweep, which keeps no operands.
    bare, activity : Activity
        Without what joins the layer, and with it.
    rows : ndarray or None
        The tiles, as `timeline.rows_of` gives them; of an engine that models memory itself, None.
    """

    told: LayerResult
    mapping: Any
    choice: Choice | None
    operands: Any
    plan: Any
    bare: Activity
    activity: Activity
    rows: np.ndarray | None


def simulate_layer(
    arch: Arch, task: Task, options: Options, report: Callable[[float], None] | None = None,
    fronts: tuple[dict[Any, Front], Any] | None = None,
) -> LayerResult:  # fmt: skip
    """Run one layer: operands, mapping, plan, walk, timeline, energy; ``report`` hears the share of it that is done.

    ``fronts`` keeps mapping, plan and walk under a key, for layers that differ in nothing but names and addresses.

    A layer that does not fit its unit is not simulated, for that reason, unless ``options.unsupported`` is ``error``.

    Raises
    ------
    FitError
        It does not fit, and may not be skipped.
    MappingError
        A pinned mapping that does not fit.
    """
    view, unit = task.view, task.unit
    if unit is None:
        return replace(_blank(view), reason=task.reason)
    kept, like = fronts or ({}, None)
    if like not in kept:
        try:
            found = mapping_of(arch, unit, view, task.pinned, table_of(arch))
            kept[like] = front_of(arch, unit, task, options, *found, report)
        except FitError as error:
            if options.unsupported == "error":
                raise
            return replace(_blank(view), reason=error.reason(view.name))
    return result_of(arch, unit, task, options, kept[like])


def result_of(arch: Arch, unit: Unit, task: Task, options: Options, front: Front) -> LayerResult:
    """Return what a layer takes with its memory and costs, of which a front is known."""
    view, engine, params, machine = task.view, registry.get(unit.engine), unit.params, machine_view(arch)
    table = table_of(arch)
    components = unit_components(arch, unit)
    activity, units = front.activity, engine.units(params)
    checked = _check(engine, front.plan, front.operands, front.bare) if options.check else None
    cycles, stall = _with_memory(activity, front.rows, machine)
    used = None
    if arch.memory.dram.device is not None:
        from accelsim import served
        from accelsim.memory.device.machine import Places

        def again(dram: DramModel, door: Door | None = None) -> Activity:
            slower = machine._replace(dram=dram, door=door)
            return _walk(
                engine,
                _plan(engine, view, front.operands, params, front.mapping, slower, pinned=task.pinned is not None),
                options.fidelity, None,
            )[0]  # fmt: skip

        used = served.on_device(
            activity, arch.memory.dram, arch.clocks_mhz["core"], machine.dram,
            lambda: Places(served.roles(view, task.addresses), task.free_byte), again, asks=engine.asks_device,
            requests=options.requests,
        )  # fmt: skip
        activity, cycles, stall = used.activity, used.cycles, used.stall_cycles
    added = cycles - activity.compute_cycles  # a coupled engine's account has its stalls already
    accounts = {kind: _account(activity.accounts[kind], count, added, cycles) for kind, count in units.items()}
    counted = events(components, activity)
    counted |= clocked(components, {kind: own.causes for kind, own in accounts.items()}, arch.clock_gating)
    energy = energy_of(arch, unit, counted, cycles, table, None if used is None else used.energy_pj)
    result = replace(
        front.told,
        name=view.name,
        **({} if used is None else _told(activity)),
        cycles=cycles,
        compute_cycles=cycles - stall,
        stall_cycles=stall,
        accounts=accounts,
        events=by_component(arch, unit, components[-1:] if options.brief else components, counted),
        energy_pj=energy,
        tiles=Tiles(activity.schedule, machine.dram) if options.trace else None,
    )
    if options.brief:
        return result
    details: dict[str, Any] = dict(activity.details)
    if activity.schedule is not front.bare.schedule:
        details[ALONE] = _with_memory(front.bare, _rows(front.bare, machine), machine)[0]
    if front.choice is not None:
        details |= {"mapping_candidates": front.choice.candidates, "mapping_why": front.choice.why}
    if view.kind == "spgemm" and cycles:
        details["gflop_per_s"] = float(2 * result.effective_macs * arch.clocks_mhz["core"] / (1000 * cycles))
    return replace(
        result,
        dram_cycles=_dram_cycles(activity, machine),
        mapping=front.mapping.model_dump(mode="json"),
        needed_bits_per_cycle=_needed(front, machine),
        stalled_pj=stalled_of(arch, energy, cycles, stall, table),
        dram={} if used is None else used.facts | {"addresses": {name: at for name, (at, _) in task.addresses.items()}},
        requests=None if used is None else used.requests,
        checked=checked,
        details=details,
    )


def _told(activity: Activity) -> dict[str, Any]:
    """Return the fields of a result that only say what was walked."""
    return {
        "performed_macs": activity.performed_macs,
        "traffic": tuple(TrafficRow(*flow, bits) for flow, bits in sorted(activity.traffic.items()) if bits),
        "buffers": {name: BufferUse(*use) for name, use in activity.buffers.items()},
    }


def front_of(
    arch: Arch, unit: Unit, task: Task, options: Options, mapping: Any,
    origin: Literal["searched", "pinned", "none"] = "searched", choice: Choice | None = None,
    report: Callable[[float], None] | None = None, counts: handle.MacCounts | None = None,
) -> Front:  # fmt: skip
    """Return what a unit does of a layer under a mapping, and of what joins it, before the timeline.

    Where the activity has a schedule, nothing in it depends on the bandwidth or the latency of DRAM. ``counts`` are of
    its operands, where they are known.

    Raises
    ------
    FitError
        The layer does not fit; MappingError under a mapping that somebody pinned.
    """
    engine, view = registry.get(unit.engine), task.view
    operands = handle.of(view, options.seed, task.values(), counts)
    plan = _plan(engine, view, operands, unit.params, mapping, machine_view(arch), pinned=task.pinned is not None)
    bare, fidelity = _walk(engine, plan, options.fidelity, report)
    activity = with_posts(bare, view, task.posts, unit, engine.units(unit.params), machine_view(arch).dram)
    activity.check(engine.units(unit.params))
    told = replace(
        _blank(view),
        simulated=True,
        unit=unit.name,
        **operands.counts._asdict(),
        fidelity=fidelity,
        mapping_source=origin,
        primary=engine.primary,
        stored=engine.stored(plan),
        **_told(activity),
    )
    return Front(told, mapping, choice, operands, plan, bare, activity, _rows(activity, machine_view(arch)))


def machine_view(arch: Arch) -> Machine:
    """Return what engines may know of the machine."""
    if machine_view not in arch.found:
        arch.found[machine_view] = Machine(arch.clocks_mhz, dram_model(arch.memory.dram, arch.clocks_mhz["core"]))
    view: Machine = arch.found[machine_view]
    return view


def _blank(view: LayerView) -> LayerResult:
    tensors = (*view.reads, *view.weights, *view.outputs)
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


def with_rows(results: Sequence[LayerResult], folded: Folded, whole: Network) -> tuple[LayerResult, ...]:
    """Return a result for each layer of the ``whole`` network: those that left take nothing where their hosts are.

    ``results`` are of the folded network's layers, in their order.
    """
    if not folded.hosts:
        return tuple(results)
    work = (layer.name for layer in folded.network.layers if not is_view(layer))
    rows = dict(zip(work, results, strict=True))
    for layer in whole.layers:
        if layer.name in folded.hosts:
            name, view = folded.hosts[layer.name], whole.view(layer)
            host = rows[name]
            rows[layer.name] = LayerResult(
                layer.name, view.kind, dims(view.shape), _bits(view), 0, 0, host.simulated, f"folded into {name}",
                host.unit, start_cycle=host.start_cycle, parent=layer.parent, folded_into=name,
            )  # fmt: skip
    return tuple(rows[layer.name] for layer in whole.layers if layer.name in rows)


def _bits(view: LayerView) -> dict[str, int | None]:
    bits = {"input": view.input.bits if view.inputs else None, "output": view.output.bits if view.outputs else None}
    return bits | ({"weight": view.weight.bits} if view.kind in (*PRODUCTS, "spgemm") else {})


def mapping_of(
    arch: Arch, unit: Unit, view: LayerView, pinned: Any, table: Table
) -> tuple[Any, Literal["searched", "pinned", "none"], Choice | None]:
    """Return the mapping, where it comes from, and what the mapper saw; FitError if none fits."""
    if pinned is not None:
        return pinned, "pinned", None
    engine, params, machine = registry.get(unit.engine), unit.params, machine_view(arch)
    table = chooses_by(arch) or table
    price = price_of(unit_components(arch, unit), table, arch.memory.dram)
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
    waits = 0.0 if arch.clock_gating != "none" else sum(waiting_of(arch, arch.units, table or table_of(arch)).values())
    return leakage() * float(1000 / arch.clocks_mhz["core"]) + waits


def price_of(components: tuple[Component, ...], table: Table, dram: DramSpec) -> PriceOf:
    """Return what a bit across a boundary costs, for objectives: there, and on the links that carry it on."""
    by_name = {component.name: component for component in components}
    trunks = [component for component in components if isinstance(component, Link) and component.carries]

    def price(boundary: str, direction: str) -> float:
        if boundary == "dram" and dram.device is not None:
            from accelsim import served

            if (pj := served.pj_per_bit(dram, direction)) is not None:
                return pj
        action = direction if direction in by_name[boundary].actions else "transfer"
        further = (table.price(trunk, "transfer").pj for trunk in trunks if f"{boundary}/{direction}" in trunk.carries)
        return table.price(by_name[boundary], action).pj + sum(further)

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
    truth = engine.truth_of(plan, operands)
    if walked.values is None or walked.values.shape != truth.shape:
        raise ModelError(f"layer '{operands.view.name}': engine '{engine.name}' gave no values of shape {truth.shape}")
    return agree(walked.values, truth, operands)


def _rows(activity: Activity, machine: Machine) -> np.ndarray | None:
    return None if activity.schedule is None else timeline.rows_of(activity.schedule, machine.dram)


def _with_memory(activity: Activity, rows: np.ndarray | None, machine: Machine) -> tuple[int, int]:
    """Return cycles and stalls."""
    if rows is None:
        return activity.compute_cycles, activity.stall_cycles
    ran = timeline.run(rows, machine.dram)
    if ran.cycles - ran.stall_cycles != activity.compute_cycles:
        raise ModelError(f"tiles compute {ran.cycles - ran.stall_cycles} cycles, not {activity.compute_cycles}")
    return ran.cycles, ran.stall_cycles


def _needed(front: Front, machine: Machine) -> dict[str, float]:
    """Return the bandwidths that each boundary needs, in bits per cycle."""
    needed: dict[str, float] = {}
    cycles = front.activity.compute_cycles
    for flow, bits in front.activity.traffic.items():
        if flow.boundary != "dram" and cycles:
            needed[flow.boundary] = needed.get(flow.boundary, 0.0) + bits / cycles
    if front.rows is not None:
        needed["dram"] = float(timeline.needed_bits_per_cycle(front.rows, machine.dram))
    return dict(sorted(needed.items()))


def _dram_cycles(activity: Activity, machine: Machine) -> int:
    bits = sum(bits for flow, bits in activity.traffic.items() if flow.boundary == "dram")
    rate = machine.dram.bits_per_cycle
    return ceil_div(bits * rate.denominator, rate.numerator)


def _account(causes: Mapping[str, int], units: int, stall: int, cycles: int) -> UnitAccount:
    whole = {**causes, "memory": causes.get("memory", 0) + units * stall}
    if sum(whole.values()) != units * cycles:
        raise ModelError(f"with DRAM stalls, causes sum to {sum(whole.values())}, not to {units} x {cycles}")
    return UnitAccount(units, {cause: whole[cause] for cause in CAUSES if whole.get(cause)})


def with_roundings(
    results: Sequence[LayerResult], tasks: Sequence[Task], roundings: Mapping[str, Rounding]
) -> list[LayerResult]:
    """Return the results with the step and the zero point of each chained operand among their details."""
    if not roundings:
        return list(results)
    named = []
    for result, task in zip(results, tasks, strict=True):
        for number, tensor in enumerate(task.view.inputs, start=1):
            if result.simulated and tensor.name in roundings:
                step, zero = roundings[tensor.name]
                role = f"input{number if number > 1 else ''}"
                result = replace(result, details={**result.details, f"{role}_step": step, f"{role}_zero": zero})
        named.append(result)
    return named
