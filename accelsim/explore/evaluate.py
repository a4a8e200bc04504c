"""What a worker does: simulate the points of a chunk, each layer of each machine once."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from accelsim import simulation
from accelsim.energy import area_mm2
from accelsim.engines import registry
from accelsim.errors import UserError
from accelsim.explore.schema import OptionsSpec
from accelsim.explore.store import Row
from accelsim.layer import Options, Task, energy_table, machine_components, simulate_layer
from accelsim.report import facts
from accelsim.results import LayerResult, NetworkResult, layer_row
from accelsim.spec.arch import Arch, build, override
from accelsim.spec.yamlfile import Document
from accelsim.workload.network import Network, is_view
from accelsim.workload.shapes import PRODUCTS


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
    """

    machines: Mapping[str, Document]
    networks: Mapping[str, Network]
    folder: Path
    keep_layers: bool = False


def run_chunk(packed: bytes, jobs: tuple[Job, ...]) -> tuple[list[Row], float]:
    """Simulate the points of a chunk and say how many seconds it took.

    ``packed`` is the pickled `Context`, unpacked once per process.
    """
    context = _context(packed)
    start = perf_counter()
    rows = [run_point(context, job) for job in jobs]
    return rows, perf_counter() - start


@lru_cache(maxsize=2)
def _context(packed: bytes) -> Context:
    found: Context = pickle.loads(packed)
    return found


def run_point(context: Context, job: Job) -> Row:
    """Simulate one point. Whatever it raises becomes the reason of its row."""
    try:
        arch, known = _machine(context, job)
        result = _simulate(arch, _network(context, job, arch), job.options, known)
    except UserError as error:
        return Row(job.key, "illegal", str(error))
    except Exception as error:  # a sweep does not die at point 7,000
        return Row(job.key, "failed", f"{type(error).__name__}: {' '.join(str(error).split())}")
    layers = tuple(_layer(result, layer) for layer in result.layers) if context.keep_layers else ()
    return Row(job.key, "ok", None, _totals(result), layers)


_LAST: dict[str, Any] = {}
"""The machine of the last point and the layers it has simulated: neighbours in a sweep share their machine."""


def _machine(context: Context, job: Job) -> tuple[Arch, dict[Any, LayerResult]]:
    mine = (id(context), job.machine, job.sets)
    if _LAST.get("machine") != mine:
        document = override(context.machines[job.machine], job.sets, "sweep")
        _LAST.clear()
        _LAST.update(machine=mine, context=context, arch=build(document, registry.find_params), layers={})
    return _LAST["arch"], _LAST["layers"]


def _network(context: Context, job: Job, arch: Arch) -> Network:
    options = job.options
    network = context.networks[job.network]
    paths = [context.folder / name if name else None for name in (options.density, options.precision)]
    network = simulation.prepare(arch, network, options.batch, *paths)
    return with_densities(network, options.weight_density, options.input_density)


def with_densities(network: Network, weight: float | None, inputs: float | None) -> Network:
    """Return the network with one density for all filters, and one for the first inputs, of layers with MACs."""
    changed = {}
    for layer in network.layers:
        if layer.kind in PRODUCTS:
            if weight is not None and layer.weights:
                changed[layer.weights[0]] = replace(network.tensors[layer.weights[0]], density=weight)
            if inputs is not None:
                changed[layer.inputs[0]] = replace(network.tensors[layer.inputs[0]], density=inputs)
    return network.with_tensors(changed) if changed else network


def _simulate(arch: Arch, network: Network, said: OptionsSpec, known: dict[Any, LayerResult]) -> NetworkResult:
    """Return what `accelsim.simulate` returns, with the layers that this machine has already done taken over."""
    options = Options(said.seed, said.fidelity)
    chosen = {layer.name for layer in simulation._select(network, said.layers)}
    results: list[LayerResult] = []
    for layer in network.layers:
        if is_view(layer):
            continue
        if layer.name in chosen:
            task = simulation._task(arch, network, layer, None, {}, "skip")
        else:
            task = Task(network.view(layer), reason=simulation.NOT_SELECTED)
        results.append(_layer_once(arch, task, options, known))
    table = energy_table(arch.energy.table)
    return NetworkResult(
        arch.config, network.name, network.source, network.batch, simulation._placed(results), {},
        float(arch.clocks_mhz["core"]), network.isolated, area_mm2=area_mm2(machine_components(arch), table).mm2,
    )  # fmt: skip


def _layer_once(arch: Arch, task: Task, options: Options, known: dict[Any, LayerResult]) -> LayerResult:
    likeness = simulation._likeness(task)
    key = (likeness, options) if likeness is not None else None
    if key is not None and key in known:
        return replace(known[key], name=task.view.name)
    result = simulate_layer(arch, task, options)
    if key is not None:
        known[key] = result
    return result


def _totals(result: NetworkResult) -> dict[str, Any]:
    coverage, area = result.coverage, result.area_mm2
    return {
        "cycles": result.cycles,
        "time_s": result.time_s,
        "macs": result.macs,
        "effective_macs": result.effective_macs,
        "total_energy_pj": float(result.total_energy_pj),
        "edp_pj_s": float(result.edp_pj_s),
        "dram_read_bits": result.dram_read_bits,
        "dram_write_bits": result.dram_write_bits,
        "dram_bits": result.dram_bits,
        "occupancy": result.occupancy,
        "utilization": result.utilization,
        "tops": result.tops,
        "tops_per_w": result.tops_per_w,
        "area_mm2": sum(area.values()) if area else None,
        "complete": result.complete,
        "coverage_macs": coverage["macs"],
        "coverage_layers": coverage["layers"],
        "energy_pj": {name: float(pj) for name, pj in result.energy_pj.items()},
        "cycles_by_cause": {cause: part * result.cycles for cause, part in facts.time_shares(result).items()},
    }


def _layer(result: NetworkResult, layer: LayerResult) -> dict[str, Any]:
    row = layer_row(result, layer)
    return {key: value for key, value in row.items() if key not in ("arch", "network")}
