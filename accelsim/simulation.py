"""One simulation, readable top to bottom: network and machine in, one result per layer out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from accelsim import posts, rooms
from accelsim.charges import UNDECLARED, areas_of, machine_components, table_of, without_registers
from accelsim.config import arch as spec
from accelsim.config import packaged
from accelsim.config.arch import OTHER_LAYERS, Arch, Unit
from accelsim.energy import prices_in_use
from accelsim.engines import registry
from accelsim.errors import ConfigError, WorkloadError
from accelsim.layer import Options, Task, simulate_layer, with_roundings, with_rows
from accelsim.mapping.choose import Pinned
from accelsim.one_clock import at_home, scheduled
from accelsim.one_clock import one_clock_for as one_clock_for
from accelsim.operands.given import given_operands
from accelsim.overlap import overlapped
from accelsim.passes import batching, dram_layout
from accelsim.passes.fold import Folded
from accelsim.passes.precision import read_precision, resolve, with_precision
from accelsim.passes.profile import Given
from accelsim.posts import FoldInto
from accelsim.results import LayerResult, NetworkResult
from accelsim.results import placed as placed
from accelsim.rooms import Keep
from accelsim.text import nearest
from accelsim.workload.layers import Layer, LayerView, Tensor
from accelsim.workload.load import load_network as load_network
from accelsim.workload.lowering import attentions, lowered
from accelsim.workload.network import Network, is_view
from accelsim.workload.shapes import Unsupported
from accelsim.workload.sizes import Sizes, check_names

if TYPE_CHECKING:
    from accelsim.memory.network import Prefetch

OnProgress = Callable[[str, float, int], None]
"""Called with (layer name, layers done, layers in all); within a layer that takes long, done has a fraction."""

ONE_AFTER_ANOTHER = (
    "Layers run one after another: no overlap between layers, and activations go through DRAM between them."
)
ON_ONE_CLOCK = (
    "Layers on one clock wait for whole layers: no tile of a layer starts before its producers have ended; figures of "
    "single layers are of each alone."
)
ALWAYS_NOT_MODELLED = (
    "Views (reshape, concatenation, dropout) cost nothing: tensors are placed where their reader expects them.",
)
NOT_IN_TABLES = "DRAM background, refresh and activation"
"""What energy tables say that they lack, and a DRAM device has."""
NOT_SELECTED = "not selected"
"""Why a layer outside the pattern of ``layers`` was not simulated."""


def load_arch(name: str | Path | Mapping[str, Any], sets: Sequence[tuple[str, Any]] = ()) -> Arch:
    """Return the machine of a packaged name or path, or of a machine file's content.

    Parameters
    ----------
    name : str, path or mapping
        A mapping holds what a machine file would: ``{"base": "edge_npu", "clocks_mhz": {"core": 800}}``.
    sets : sequence of (key path, value)
        Keys of the resolved configuration to override.
    """
    if isinstance(name, Mapping):
        return spec.of_values(name, registry.find_params, sets)
    return spec.load(str(name), registry.find_params, sets, registry.publishes)


def simulate(
    arch: Arch | str | Path | Mapping[str, Any],
    network: Network | str | Path | Mapping[str, Any],
    *,
    batch: int | None = None,
    dims: Sizes | None = None,
    layers: str = "*",
    seed: int = 0,
    fidelity: Literal["closed", "cycle"] = "closed",
    check: bool = False,
    unsupported: Literal["skip", "error"] = "skip",
    workers: int = 1,
    mapping: Given | None = None,
    operands: str | Path | Mapping[str, np.ndarray] | None = None,
    density: Given | None = None,
    precision: Given | None = None,
    trace: bool = False,
    requests: bool = False,
    schedule: Literal["isolated", "network"] | None = None,
    prefetch: Prefetch | None = None,
    residency: Keep | None = None,
    fold: FoldInto | None = None,
    progress: OnProgress | None = None,
) -> NetworkResult:
    """Simulate a network on a machine.

    Parameters
    ----------
    arch : Arch, or str, path or mapping
        A machine, or what `load_arch` takes.
    network : Network, or str, path or mapping
        A network, or what `load_network` takes.
    batch : int, optional
        Images in all, the network's own number by default; all totals are for the whole batch.
    dims : mapping, optional
        Sizes of dimensions that the network leaves open, by name; of a network given by name.
    layers : str
        Pattern over layer names: the others are not simulated, and the result is partial.
    seed : int
        Of the synthetic operands.
    fidelity : "closed" or "cycle"
        Closed forms where they exist, or always the kernels.
    check : bool
        Also compute every layer's values and compare them with NumPy.
    unsupported : "skip" or "error"
        What to do with layers that no unit of the machine can run, or that do not fit the one that could.
    workers : int
        Processes; the result does not depend on it.
    mapping : path, str or mapping, optional
        Pinned mappings: a file, a packaged one's name, or its content: ``{"conv*": {"tile_m": 16}}``.
    operands : path, mapping or "chain", optional
        Given operands: an archive, or arrays by name (``conv1.weight``, ``conv1.input``); "chain" propagates computed
        values from layer to layer.
    density, precision : path, str or mapping, optional
        Densities and widths per layer: a YAML or CSV file, a packaged one's name, or what stands under its ``layers``:
        ``{"conv*": {"weight": 0.3}}``.
    trace : bool
        Keep each layer's schedule of tiles, for `accelsim.report.trace`.
    requests : bool
        Keep each layer's requests to a DRAM device, as `LayerResult.requests`.
    schedule : "isolated" or "network", optional
        In place of the machine's ``schedule.mode``: layers one after another, or those of a connected network on one
        clock, as the result's ``schedule``; the default for what is connected. With a pattern of ``layers``, always one
        after another.
    prefetch : "none", "tile" or KiB, optional
        In place of the machine's ``schedule.prefetch``: what constants are fetched before their layer's turn.
    residency : "none", "greedy" or "exact", optional
        In place of the machine's ``schedule.residency``: how it is decided what lives in its buffers.
    fold : "none", "weights" or "hardware", optional
        In place of the machine's ``schedule.fold``: which layers join the products ahead of them.
    progress : callable, optional

    Raises
    ------
    UserError
        Whatever is wrong with the input.
    ModelError
        An invariant of ours is broken.
    """
    arch = arch if isinstance(arch, Arch) else load_arch(arch)
    for key, value in (("mode", schedule), ("prefetch", prefetch), ("residency", residency), ("fold", fold)):
        arch = arch if value is None else arch.replace(f"schedule.{key}", value)
    if not isinstance(network, Network):
        network = load_network(network, dims=dims)
    elif dims:
        check_names(dims, (), network.name)
    whole = prepare(arch, network, batch, density, precision)
    one_clock = one_clock_for(arch, whole, layers)
    folded = folded_for(arch, whole, one_clock=one_clock)
    chosen = select(network := folded.network, layers)
    pinned = Pinned(mapping) if mapping is not None else None
    if pinned is not None and (stray := pinned.unused([layer.name for layer in whole.layers])):
        raise ConfigError(f"pinned mapping '{stray[0]}' matches no layer", "correct the name", file=pinned.name)
    given, roundings, said = given_operands(whole, operands, seed, chosen)
    mode = "synthetic" if operands is None else "chain" if isinstance(operands, str) and operands == "chain" else "file"
    options = Options(seed, fidelity, check, mode, trace or one_clock, unsupported, requests)
    table = table_of(arch)
    areas = areas_of(arch, table)

    def run_layers(network: Network) -> tuple[list[Task], list[LayerResult]]:
        tasks = [
            task_for(arch, network, layer, pinned, given, unsupported)
            if fnmatchcase(layer.name, layers)
            else Task(network.view(layer), reason=NOT_SELECTED)
            for layer in network.layers
            if not is_view(layer)
        ]
        return tasks, with_roundings(_run(arch, tasks, options, workers, progress), tasks, roundings)

    def again(changed: list[Task]) -> list[LayerResult]:
        return _run(arch, changed, replace(options, check=False, unsupported="error"), workers, None)

    tasks, ran = run_layers(network)
    clocked = scheduled(arch, network, ran, at_home(tasks, ran, again)) if one_clock else None
    if clocked is None and folded.hosts:  # one after another after all, where nothing folds
        folded = Folded(network := whole, {})
        tasks, ran = run_layers(whole)
    left = [task_for(arch, whole, x, pinned, {}, unsupported) for x in whole.layers if x.name in folded.hosts]
    apart = _run(arch, left, replace(options, check=False), workers, None)
    clocked = clocked and posts.with_folds(clocked, network, folded.hosts, ran, apart)
    joined = rooms.not_at_home(whole) if clocked is None else ()
    if one_clock and not trace:
        ran = [replace(result, tiles=None) for result in ran]
    ran, sooner = overlapped(arch, network, tasks, ran)
    ran = with_parents(ran, network)
    results = with_rows(placed(ran, clocked), folded, whole)
    return NetworkResult(
        arch=arch.config,
        network=network.name,
        source=network.source,
        batch=network.batch,
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
        not_modelled=not_modelled(arch, {result.unit for result in results if result.simulated}, clocked is not None),
        notes=(*network.notes, *joined, *said, *sooner, *_device_notes(arch, results, clocked is not None)),
        area_mm2=areas.mm2,
        area_missing=areas.left_out,
        area_parts_mm2=areas.parts_mm2,
        prices=prices_in_use(machine_components(arch), table),
        joins=posts.joinable(network, results),
        schedule=clocked,
    )


def folded_for(arch: Arch, network: Network, *, one_clock: bool) -> Folded:
    """Return a prepared network with what joins its products: of layers one after another, nothing."""
    into = arch.schedule.fold if one_clock else "none"
    return posts.folded_for(network, into, lambda view: _unit_for(arch, view)[0])


def prepare(arch: Arch, network: Network, batch: int | None, density: Given | None, precision: Given | None) -> Network:
    """Apply the passes: lowering, batch, densities, widths, and the machine's precision where nothing else gives one.

    Layers have the names that results give them from the first pass on: those that a unit runs.
    """
    rooms.check_homes(arch, network)
    network = lowered_for(arch, network)
    if batch is not None:
        network = batching.batched(network, batch)
    if density is not None:
        from accelsim.passes.density import read_density, with_density

        network = with_density(network, read_density(density))
    if precision is not None:
        network = with_precision(network, read_precision(precision))
    return resolve(network, arch.precision)


def taken_whole(arch: Arch, network: Network) -> frozenset[str]:
    """Return the names of the attention layers that a unit of the machine takes as they are."""
    whole = attentions(network) if any(registry.get(unit.engine).attends for unit in arch.units) else ()
    reads = {name for layer in network.layers for name in layer.inputs} if whole else set()

    def wide(tensor: Tensor) -> Tensor:
        given = arch.precision
        default = given.input_bits if tensor.name in reads else given.output_bits
        return replace(tensor, bits=tensor.bits or (given.weight_bits if tensor.weight else default))

    def taken(layer: Layer) -> bool:
        view = network.view(layer)
        groups = (view.inputs, view.weights, view.outputs)
        inputs, weights, outputs = (tuple(map(wide, group)) for group in groups)
        return _unit_for(arch, replace(view, inputs=inputs, weights=weights, outputs=outputs))[0] is not None

    return frozenset(layer.name for layer in whole if taken(layer))


def lowered_for(arch: Arch, network: Network) -> Network:
    """Return the network with every attention that no unit takes as the layers that it stands for."""
    return lowered(network, taken_whole(arch, network))


def with_parents(results: Sequence[LayerResult], network: Network) -> list[LayerResult]:
    """Return the results with the names of the layers or operators of which theirs are parts."""
    parents = {layer.name: layer.parent for layer in network.layers if layer.parent}
    return [replace(r, parent=parents[r.name]) if r.name in parents else r for r in results]


def select(network: Network, pattern: str) -> list[Layer]:
    """Return the layers with work whose name matches; a pattern without any is an error."""
    work = [layer for layer in network.layers if not is_view(layer)]
    chosen = [layer for layer in work if fnmatchcase(layer.name, pattern)]
    if not work:
        raise WorkloadError(
            f"'{network.name}' has no work: its {len(network.layers)} layers are views", "give a network that computes"
        )
    if not chosen:
        names = [layer.name for layer in work]
        remedy = nearest(pattern, names, f"layers are called {', '.join(names[:6])}, ...")
        raise WorkloadError(f"no layer of '{network.name}' matches '{pattern}'", remedy)
    return chosen


def task_for(
    arch: Arch,
    network: Network,
    layer: Layer,
    pinned: Pinned | None,
    given: Mapping[str, np.ndarray],
    unsupported: str,
) -> Task:
    """Return the task of one layer: its unit, or why it has none."""
    view = network.view(layer)
    unit, reason = _unit_for(arch, view)
    if unit is None:
        if unsupported == "error":
            raise WorkloadError(f"layer '{layer.name}' cannot run: {reason}", "drop it with --layers or allow skipping")
        return Task(view, reason=reason)
    fixed = pinned.get(layer.name, registry.get(unit.engine).mapping_schema) if pinned else None
    mine = {name: given[name] for name in (*layer.inputs, *layer.weights) if name in given}
    placed, end = _addresses(arch, network)
    tensors = (*view.inputs, *view.weights, *view.joins, *view.outputs)
    return Task(
        view,
        unit,
        None,
        fixed,
        mine,
        network.values,
        {t.name: placed[t.name] for t in tensors if t.name in placed},
        end,
        posts.views(network, layer),
    )


def _device_notes(arch: Arch, results: Sequence[LayerResult], one_clock: bool) -> tuple[str, ...]:
    if arch.memory.dram.device is None:  # `served` loads machine code
        return ()
    from accelsim import served

    return served.notes(arch.memory.dram, results, one_clock)


def _addresses(arch: Arch, network: Network) -> tuple[Mapping[str, tuple[int, int]], int]:
    """Return where tensors lie on a machine with a DRAM device; ConfigError if they are more than a DRAM holds."""
    dram = arch.memory.dram
    if dram.device is None and dram.capacity_gib is None:
        return {}, 0
    from accelsim import served

    found = dram_layout.layout(network, served.row_bytes(dram))
    served.check_capacity(found.end_byte, dram, network.name)
    return found if dram.device is not None else ({}, 0)


def _unit_for(arch: Arch, view: LayerView) -> tuple[Unit | None, str | None]:
    """Return the first unit that takes and supports a layer, or all reasons why none does."""
    if isinstance(view.shape, Unsupported):
        return None, f"operator '{view.shape.op}': {view.shape.reason}"
    reasons = []
    for unit in arch.units:
        if not unit.takes(view.name, view.kind):
            reasons.append(f"{unit.name}: {OTHER_LAYERS}")
            continue
        reason = registry.get(unit.engine).refuses(view, unit.params)
        if reason is None:
            return unit, None
        reasons.append(reason if len(arch.units) == 1 else f"{unit.name}: {reason}")
    return None, "; ".join(reasons)


def nothing_ran(result: NetworkResult) -> str | None:
    """Return why a result has no simulated layer, by the first that was to run; None if it has one."""
    if result.simulated:
        return None
    first = next(layer for layer in result.layers if layer.reason != NOT_SELECTED)
    return f"no layer of '{result.network}' ran on '{result.arch_name}': layer '{first.name}': {first.reason}"


def advice(arch: Arch, network: Network, result: NetworkResult) -> str:
    """Return what to do about a result without a simulated layer: the packaged machines that have a unit, if any."""
    name = next(layer.name for layer in result.layers if layer.reason != NOT_SELECTED)
    network = lowered_for(arch, network)
    layer = next(layer for layer in network.layers if layer.name == name)

    def takes(arch: Arch) -> bool:
        return _unit_for(arch, resolve(network, arch.precision).view(layer))[0] is not None

    if takes(arch):
        return ""  # it does not fit, and its reason says what to raise
    found = [] if isinstance(layer.shape, Unsupported) else packaged.names("arch_configs")
    able = [other for other in found if takes(load_arch(other))]
    return f"choose another machine, such as {', '.join(able[:4])}" if able else "no packaged machine can"


def _run(
    arch: Arch, tasks: list[Task], options: Options, workers: int, progress: OnProgress | None
) -> list[LayerResult]:
    if workers < 1:
        raise ConfigError(f"{workers} workers", "use at least 1", file="--workers")
    done: list[LayerResult] = []
    results: Iterable[LayerResult]
    if workers == 1 or len(tasks) < 2:
        results = _serial(arch, tasks, options, progress)
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


def _serial(arch: Arch, tasks: list[Task], options: Options, progress: OnProgress | None) -> Iterable[LayerResult]:
    """Run one task after another; layers that differ in nothing but their names are simulated once."""
    known: dict[Any, LayerResult] = {}
    fronts: dict[Any, Any] = {}
    for done, task in enumerate(tasks):
        key = likeness(task) if not options.check else None
        if key is not None and key in known:
            yield replace(known[key], name=task.view.name)
            continue
        report = None if progress is None else _within(progress, task.view.name, done, len(tasks))
        kept = None if key is None or arch.memory.dram.device is None else (fronts, key[:-1])
        result = simulate_layer(arch, task, options, report, kept)
        if key is not None and result.simulated:  # a reason may name tensors
            known[key] = result
        yield result


def _within(progress: OnProgress, name: str, done: int, total: int) -> Callable[[float], None]:
    """Return what hears the share of a layer, and shows it as a fraction of all layers."""
    return lambda share: progress(name, done + share, total)


def likeness(task: Task) -> Any:
    """Return a key that equal tasks share, or None where names matter: synthetic zeros depend on them."""
    tensors = (*task.view.inputs, *task.view.weights, *task.view.outputs)
    if task.given or any(t.density < 1 or t.name in task.stored for t in tensors):
        return None
    unit = task.unit.name if task.unit else task.reason
    plain = tuple(replace(t, name="") for t in (*tensors, *task.view.joins))
    where = (*task.addresses.values(), task.free_byte)
    view, posts = task.view, tuple(post.shape for post in task.posts)
    return (view.shape, plain, unit, task.pinned, view.batch, view.beside_bits, posts, where)


def not_modelled(arch: Arch, units: Collection[str | None], one_clock: bool = False) -> tuple[str, ...]:
    """Return what no figure of these units of a machine contains."""
    items: dict[str, None] = {}
    for unit in arch.units:
        if unit.name in units:
            items |= dict.fromkeys(registry.get(unit.engine).notes.not_modelled)
    if (bare := [name for name in without_registers(arch) if name in units]) and table_of(arch).spec.cells is not None:
        items[f"{UNDECLARED}: clock and pipeline registers of {', '.join(bare)} cost nothing here"] = None
    between = ON_ONE_CLOCK if one_clock else ONE_AFTER_ANOTHER
    notes = table_of(arch).notes
    if arch.memory.dram.device is not None:  # its commands are what the table lacks
        from accelsim.served import commands_of

        if commands_of(arch.memory.dram) is not None:
            notes = tuple(note for note in notes if NOT_IN_TABLES not in note)
    return (*items, between, *ALWAYS_NOT_MODELLED, *notes)
