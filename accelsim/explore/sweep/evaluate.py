"""What a worker does: simulate the points of a chunk, each layer of each machine once."""

from __future__ import annotations

import gc
import pickle
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from accelsim import own_rooms, simulation
from accelsim.charges import table_of
from accelsim.config.arch import Arch, build, override
from accelsim.config.yamlfile import Document
from accelsim.engines import registry
from accelsim.errors import UserError
from accelsim.explore.sweep import clocked, columnar, retimed
from accelsim.explore.sweep.layersets import LayerSet, layer_set
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.explore.sweep.store import Common, Row
from accelsim.explore.sweep.tables import PARTS, SUMS
from accelsim.layer import Options, Task, simulate_layer, with_rows
from accelsim.one_clock import at_home, scheduled
from accelsim.passes.fold import Folded
from accelsim.report import facts
from accelsim.results import LayerResult, NetworkResult, layer_row
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.lowering import stands_for
from accelsim.workload.network import Network, is_view, make_layer
from accelsim.workload.shapes import PRODUCTS, Linear

if TYPE_CHECKING:
    from accelsim.network_time import Memo


class Job(NamedTuple):
    """One point as a worker gets it."""

    key: str
    machine: str
    network: str
    sets: tuple[tuple[str, Any], ...]
    options: OptionsSpec


@dataclass(frozen=True)
class Context:
    """What all points share.

    Attributes
    ----------
    machines : mapping
        Name -> resolved document of the base machine.
    networks : mapping
        Name -> network.
    folder : Path
        Where paths in the options start.
    keep_layers : bool
        Whether rows carry one row per layer.
    variants : mapping
        Name and sizes of open dimensions -> network, for points that have such sizes.
    shared : mapping
        Network -> the layers that every machine simulates, where machines differ: points add these up too.
    columnar : bool
        Whether closed forms are evaluated for many layers at once. The rows are the same; it pays from some hundred
        points on, since it loads compiled code.
    """

    machines: Mapping[str, Document]
    networks: Mapping[str, Network]
    folder: Path
    keep_layers: bool = False
    columnar: bool = False
    shared: Mapping[str, LayerSet] = field(default_factory=dict)
    variants: Mapping[tuple[str, tuple[tuple[str, int], ...]], Network] = field(default_factory=dict)


def run_chunk(packed: bytes, jobs: tuple[Job, ...]) -> tuple[list[Row], float, Counter[str]]:
    """Simulate the points of a chunk; say how many seconds it took, and by engine how many of them it walked.

    ``packed`` is the pickled `Context`, unpacked once per process.
    """
    context = _context(packed)
    start = perf_counter()
    rows: list[Row] = []
    walked: Counter[str] = Counter()
    retimed.take_walks()
    for job in jobs:
        rows.append(run_point(context, job))
        walked.update(retimed.take_walks())
    return rows, perf_counter() - start, walked


@lru_cache(maxsize=2)
def _context(packed: bytes) -> Context:
    found: Context = pickle.loads(packed)
    return found


def warm(machines: Mapping[str, Document]) -> None:
    """Load compiled code, or compile it, before workers start: they would all do it at the same time."""
    layer, tensors = make_layer("warm", Linear(n=1, c=1, k=1))
    context = Context(machines, {"warm": Network("warm", (layer,), tensors, isolated=True)}, Path(), columnar=True)
    for name in machines:
        run_point(context, Job("", name, "warm", (), OptionsSpec()))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Collect no garbage meanwhile: going through all networks and what is known of them may take as long as a point,
    and is due every few points, which make hardly any."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@_uncollected()
def run_point(context: Context, job: Job) -> Row:
    """Simulate one point. Whatever it raises becomes the reason of its row."""
    try:
        machine = _machine(context, job)
        ready = _ready(context, job, machine.arch)
        shared = context.shared.get(job.network)
        on_clock = _on_clock(machine.arch, ready, job.options)
        if machine.arch.memory.dram.device is not None:
            retimed.note_walk(retimed.DEVICE)
        # columns know layers alone
        elif context.columnar and not context.keep_layers and not on_clock:
            row = _columnar(machine, ready, job, shared)
            if row is not None:
                return row
        result = _simulate(machine.arch, ready, job.options, machine.layers, context.keep_layers)
        if (problem := simulation.nothing_ran(result)) is not None:
            return Row(job.key, "illegal", problem)
    except UserError as error:
        return Row(job.key, "illegal", str(error))
    except Exception as error:  # a sweep does not die at point 7,000
        return Row(job.key, "failed", f"{type(error).__name__}: {' '.join(str(error).split())}")
    layers = tuple(_layer(result, layer) for layer in result.layers) if context.keep_layers else ()
    by_name = dict(zip((layer.name for layer in ready.layers), result.layers, strict=True))
    ran = ready.named(name for name, layer in by_name.items() if layer.simulated)

    def over(names: LayerSet) -> dict[str, Any]:
        """Return the sums of some layers, one after another: they have no place on the clock of all."""
        return _totals(machine.arch, replace(result.alone, layers=tuple(by_name[n] for n in ready.within(names))))

    common = _common(ran, shared, over)
    if common is None and result.schedule is not None and result.partial:
        common = _sums(ran, over)
    return Row(job.key, "ok", None, _totals(machine.arch, result), layers, ran, common)


def ran(context: Context, job: Job) -> tuple[LayerSet, tuple[tuple[str, ...], ...]]:
    """Return the layers that a point simulates, by what the units of its machine support, and groups that are one.

    Raises
    ------
    UserError
        A machine or options that cannot be used.
    """
    arch = _machine(context, job).arch
    ready = _ready(context, job, arch)
    key = columnar.deal_key(arch)
    if key not in ready.covers:
        tasks = (
            simulation.task_for(arch, ready.network, layer, None, {}, "skip")
            for layer in ready.layers if layer.name in ready.chosen
        )  # fmt: skip
        ready.covers[key] = ready.named(task.view.name for task in tasks if task.unit is not None)
    return ready.covers[key], tuple(parts for name, parts in ready.parts.items() if parts != (name,))


def _common(ran: LayerSet, shared: LayerSet | None, over: Callable[[LayerSet], Mapping[str, Any]]) -> Common | None:
    """Return the sums over the shared layers: None where just these ran, without figures where some are missing."""
    if shared is None or ran == shared:
        return None
    if not ran.holds(shared):
        return Common(shared, {})
    return _sums(shared, over)


def _sums(layers: LayerSet, over: Callable[[LayerSet], Mapping[str, Any]]) -> Common:
    totals = over(layers)
    return Common(layers, {name: totals[name] for name in (*SUMS, *PARTS)})


class _Machine(NamedTuple):
    """A machine, and what has been found of it."""

    key: tuple[int, str, str]
    context: Context
    arch: Arch
    layers: dict[Any, LayerResult]
    memory: columnar.Memo


_LAST = threading.local()
"""The machine of the last point of this thread: neighbours in a sweep share their machine."""
_READY: dict[Any, _Ready] = {}
"""Networks with all passes applied, by what decides about them."""
MOST_READY = 64
"""Networks kept ready; beyond it the one used longest ago is forgotten."""


@dataclass(frozen=True)
class _Ready:
    """A network ready to run, and per (layer, unit) what tells it from other layers.

    ``parts`` is its `stands_for`: sets of layers name the parts of an attention, whoever takes it whole.
    """

    context: Context
    network: Network
    layers: tuple[Layer, ...]
    chosen: frozenset[str]
    parts: Mapping[str, tuple[str, ...]]
    likeness: dict[Any, Any]
    deals: dict[Any, columnar.Deal | None]
    alike: dict[Any, columnar.Deal | None]
    covers: dict[Any, LayerSet]
    folds: dict[Any, _Fold]

    def named(self, layers: Iterable[str]) -> LayerSet:
        """Return the set of layers."""
        some = frozenset(layers)
        return layer_set(part for name, parts in self.parts.items() if name in some for part in parts)

    def within(self, names: LayerSet) -> list[str]:
        """Return the layers that a set has all parts of."""
        some = frozenset(names.names)
        return [name for name, parts in self.parts.items() if some.issuperset(parts)]


@dataclass
class _Fold:
    """A folded network; who runs what of it on one clock, what was walked, and what that clock has found."""

    folded: Folded
    kept: clocked.Kept = field(default_factory=clocked.Kept)
    deal: clocked.Deal | None = None
    memo: Memo | None = None

    def dealt(self, arch: Arch, chosen: Collection[str], seed: int) -> clocked.Deal:
        """Return who runs what, the same for all machines for which it is folded so."""
        if self.deal is None:
            self.deal = clocked.deal(arch, self.folded.network, chosen, seed)
        return self.deal


def _machine(context: Context, job: Job) -> _Machine:
    key = (id(context), job.machine, repr(job.sets))  # as text: 1, 1.0 and true are equal, but not the same
    last: _Machine | None = getattr(_LAST, "machine", None)
    if last is None or last.key != key:
        arch = build(override(context.machines[job.machine], job.sets, "sweep"), registry.find_params)
        last = _LAST.machine = _Machine(key, context, arch, {}, columnar.memory_of(arch))
    return last


def _columnar(machine: _Machine, ready: _Ready, job: Job, shared: LayerSet | None) -> Row | None:
    """Return the row by way of closed forms for many layers at once, or None where that does not work."""
    if job.options.fidelity != "closed":
        return None
    key = columnar.deal_key(machine.arch)

    def totals(names: LayerSet | None) -> tuple[columnar.Deal, dict[str, Any]] | None:
        at = (key, names)
        if at not in ready.deals:
            if len(ready.deals) >= MOST_READY:
                ready.deals.clear()
                ready.alike.clear()
            chosen = ready.chosen if names is None else ready.within(names)
            seed, known = job.options.seed, ready.alike
            ready.deals[at] = columnar.deal(machine.arch, ready.network, ready.layers, chosen, seed, known)
        dealt = ready.deals[at]
        found = None if dealt is None else columnar.totals(machine.arch, dealt, machine.memory)
        return None if dealt is None or found is None else (dealt, found)

    whole = totals(None)
    if whole is None:
        return None
    ran = ready.named(whole[0].ran)
    part = totals(shared) if shared is not None and ran != shared and ran.holds(shared) else whole
    if part is None:
        return None
    sums = part[1]
    return Row(job.key, "ok", None, whole[1], (), ran, _common(ran, shared, lambda names: sums))


def _ready(context: Context, job: Job, arch: Arch) -> _Ready:
    options = job.options
    given = context.variants[job.network, options.dim] if options.dim else context.networks[job.network]
    key = (id(context), job.network, options, arch.precision, simulation.taken_whole(arch, given))
    found = _READY.get(key)
    if found is None:
        if len(_READY) >= MOST_READY:
            _READY.pop(next(iter(_READY)), None)
        paths = [context.folder / name if name else None for name in (options.density, options.precision)]
        network = simulation.prepare(arch, given, options.batch, *paths)
        network = with_densities(network, options.weight_density, options.input_density, options.weight_pattern)
        chosen = frozenset(layer.name for layer in simulation.select(network, options.layers))
        layers = tuple(layer for layer in network.layers if not is_view(layer))
        found = _Ready(context, network, layers, chosen, stands_for(network), {}, {}, {}, {}, {})
    _READY[key] = _READY.pop(key, found)  # behind those used longer ago
    return found


def with_densities(network: Network, weight: float | None, inputs: float | None, pattern: str | None = None) -> Network:
    """Return the network with one density or pattern for all filters, one density for first inputs, of products."""
    changed: dict[str, Tensor] = {}
    for layer in network.layers:
        if layer.kind in PRODUCTS:
            if layer.weights:
                old = network.tensors[layer.weights[0]]
                new = replace(old, density=old.density if weight is None else weight, pattern=pattern or old.pattern)
                changed |= {} if new == old else {old.name: new}
            if inputs is not None:
                changed[layer.inputs[0]] = replace(network.tensors[layer.inputs[0]], density=inputs)
    return network.with_tensors(changed) if changed else network


def _on_clock(arch: Arch, ready: _Ready, said: OptionsSpec) -> bool:
    """Return whether layers may go on one clock: not where a unit is missing, unless the machine insists."""
    one_clock = simulation.one_clock_for(arch, ready.network, said.layers)
    if not one_clock or arch.schedule.mode is not None or not ready.context.columnar:
        return one_clock
    return _fold(arch, ready, one_clock).dealt(arch, ready.chosen, said.seed).whole


def _fold(arch: Arch, ready: _Ready, one_clock: bool) -> _Fold:
    """Return the network as it is folded for a machine."""
    key = columnar.deal_key(arch), one_clock, arch.schedule.fold, tuple(unit.post_ops for unit in arch.units)
    if key not in ready.folds:
        ready.folds[key] = _Fold(simulation.folded_for(arch, ready.network, one_clock=one_clock))
    return ready.folds[key]


def _simulate(
    arch: Arch, ready: _Ready, said: OptionsSpec, known: dict[Any, LayerResult], named: bool
) -> NetworkResult:
    """Return what `accelsim.simulate` returns, with the layers that this machine has already done taken over.

    Unless they are to be ``named``, layers that are alike share one result.
    """
    result, folded = _once(arch, ready, said, known, named, simulation.one_clock_for(arch, ready.network, said.layers))
    if result.schedule is None and folded.hosts:  # one after another after all, where nothing folds
        return _once(arch, ready, said, known, named, False)[0]
    return result


def _once(
    arch: Arch, ready: _Ready, said: OptionsSpec, known: dict[Any, LayerResult], named: bool, one_clock: bool
) -> tuple[NetworkResult, Folded]:
    fold = _fold(arch, ready, one_clock)
    network, results, schedule = fold.folded.network, None, None
    tasks: list[Task] = []
    options = Options(said.seed, said.fidelity, trace=one_clock)
    if one_clock and ready.context.columnar and not named and said.fidelity == "closed" and not own_rooms.of(arch):
        results = clocked.results(arch, fold.dealt(arch, ready.chosen, said.seed), said.seed, fold.kept)
    if results is None:
        tasks, results = _one_by_one(arch, ready, network, options, known, named)

    def again(changed: list[Task]) -> list[LayerResult]:
        strict = replace(options, unsupported="error")
        return [_layer_once(arch, ready, task, strict, known) for task in changed]

    if one_clock:
        from accelsim.network_time import Memo  # loads compiled code

        fold.memo = fold.memo or Memo()
        home = at_home(tasks, results, again)
        schedule = scheduled(arch, network, results, home, explained=False, memo=fold.memo)
    found = simulation.placed(results, schedule) if named else tuple(results)
    found = with_rows(found, fold.folded, ready.network)
    return NetworkResult(
        arch.config, network.name, network.source, network.batch, found, {}, float(arch.clocks_mhz["core"]),
        network.isolated, schedule=schedule,
    ), fold.folded  # fmt: skip


def _one_by_one(
    arch: Arch, ready: _Ready, network: Network, options: Options, known: dict[Any, LayerResult], named: bool
) -> tuple[list[Task], list[LayerResult]]:
    results: list[LayerResult] = []
    tasks: list[Task] = []
    for layer in network.layers:
        if is_view(layer):
            continue
        if layer.name in ready.chosen:
            task = simulation.task_for(arch, network, layer, None, {}, "skip")
        else:
            task = Task(network.view(layer), reason=simulation.NOT_SELECTED)
        tasks.append(task)
        result = _layer_once(arch, ready, task, options, known)
        results.append(replace(result, name=layer.name) if named and result.name != layer.name else result)
    return tasks, results


def _layer_once(arch: Arch, ready: _Ready, task: Task, options: Options, known: dict[Any, LayerResult]) -> LayerResult:
    where = (*task.addresses.values(), task.free_byte)
    view = task.view
    homes = tuple(tensor.home for tensor in (*view.inputs, *view.outputs)), view.beside_bits
    unit = task.unit.name if task.unit else task.reason
    mine = (view.name, unit, where, tuple(post.name for post in task.posts), homes)
    if mine not in ready.likeness:
        ready.likeness[mine] = simulation.likeness(task)
    likeness = ready.likeness[mine]
    if likeness is None:
        return simulate_layer(arch, task, options)
    if (likeness, options) in known:
        return known[likeness, options]
    result = simulate_layer(arch, task, options)
    if result.simulated:  # a reason may name tensors
        known[likeness, options] = result
    return result


def _totals(arch: Arch, result: NetworkResult) -> dict[str, Any]:
    table = table_of(arch)
    static = columnar.static(arch, table)
    return {
        "cycles": result.cycles,
        "time_s": result.time_s,
        "macs": result.macs,
        "nonzero_weight_macs": result.nonzero_weight_macs,
        "nonzero_input_macs": result.nonzero_input_macs,
        "effective_macs": result.effective_macs,
        "performed_macs": result.performed_macs,
        "total_energy_pj": float(result.total_energy_pj),
        "edp_pj_s": float(result.edp_pj_s),
        "dram_read_bits": result.dram_read_bits,
        "dram_write_bits": result.dram_write_bits,
        "dram_bits": result.dram_bits,
        "occupancy": result.occupancy,
        "utilization": result.utilization,
        "tops": result.tops,
        "tops_per_w": result.tops_per_w,
        "area_mm2": static.area_mm2,
        "no_area": ", ".join(static.no_area) or None,
        "clock_mhz": float(arch.clocks_mhz["core"]),
        "energy_table": table.name,
        **columnar.coverage(result),
        "energy_pj": {name: float(pj) for name, pj in result.energy_pj.items()},
        "cycles_by_cause": {cause: part * result.cycles for cause, part in facts.time_shares(result).items()},
    }


def _layer(result: NetworkResult, layer: LayerResult) -> dict[str, Any]:
    row = layer_row(result, layer)
    return {key: value for key, value in row.items() if key not in ("arch", "network")}
