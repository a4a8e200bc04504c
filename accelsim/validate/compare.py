"""Runs the cases and judges them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from accelsim import outputs
from accelsim.config import packaged
from accelsim.errors import ConfigError
from accelsim.planning import Plan, plan
from accelsim.report.document import document
from accelsim.results import NetworkResult
from accelsim.simulation import load_arch, load_network, simulate
from accelsim.validate import rtl
from accelsim.validate.cases import (
    CaseSpec,
    Figure,
    PlanCase,
    ReplicaCase,
    StreamCase,
    brought,
    engine_cases,
    plan_cases,
    replica_cases,
    stream_cases,
)
from accelsim.workload import matrix_names, spatten_trace
from accelsim.workload.lifetimes import is_lifetimes
from accelsim.workload.network import Network

DRAM, RESIDENCY, REPLICA = "dram", "residency", "replica"
"""What the cases of DRAM devices, of plans and of replicas stand under, beside those of engines."""


class Verdict(NamedTuple):
    """One row of the validation table.

    Attributes
    ----------
    error : float
        (ours - expected) / expected; the difference where the expected value is 0.
    verdict : str
        ``ok``, ``FAIL``, ``gap`` (known and still there), ``gap shrank`` (restate it), ``GAP GREW``, ``skipped`` (its
        data are not at hand; ours and error are nan), or empty where only reported.
    """

    engine: str
    case: Figure
    ours: float
    error: float
    verdict: str

    @property
    def passed(self) -> bool:
        """Whether the row is as its case says."""
        return self.verdict in ("ok", "gap", "gap shrank", "skipped", "")


def validate(names: Iterable[str] = (), progress: Callable[[str, int, int], None] | None = None) -> list[Verdict]:
    """Return the verdict on every packaged case of the named engines, or of all.

    Raises
    ------
    ConfigError
        An engine (or ``dram``, ``residency``, ``replica``) that does not exist, or a malformed case.
    """
    beside: dict[str, tuple[Figure, ...]] = {DRAM: stream_cases(), RESIDENCY: plan_cases(), REPLICA: replica_cases()}
    table = {**engine_cases(), **beside}
    wanted = list(names) or list(table)
    for name in wanted:
        if name not in table:
            raise ConfigError(f"no engine '{name}' to validate", f"engines: {', '.join(table)}")
    cases = [(name, case) for name in wanted for case in table[name]]
    rows = []
    for done, (name, case) in enumerate(cases, 1):
        rows.append(_skipped(name, case) if _lacks_data(case) else judge(name, case, ours(case)))
        if progress:
            progress(case.case, done, len(cases))
    return rows


def _lacks_data(case: Figure) -> bool:
    if isinstance(case, ReplicaCase):
        return case.data is not None and matrix_names.data_file(case.data) is None
    if not isinstance(case, CaseSpec):
        return False
    if any(matrix_names.data_file(at.partition(":")[0]) is None for at in case.masks.values()):
        return True
    if case.trace is not None:
        return matrix_names.data_file(case.trace) is None
    name = (case.workload or "").removeprefix(matrix_names.PREFIX)
    return case.needs == "data" and matrix_names.find_data(name) is None


def _skipped(engine: str, case: Figure) -> Verdict:
    return Verdict(engine, case, nan, nan, "skipped")


def judge(engine: str, case: Figure, value: float) -> Verdict:
    """Return the verdict on one figure."""
    error = (value - case.expected) / case.expected if case.expected else value
    verdicts = {
        "exact": "ok" if value == case.expected else "FAIL",
        "within": "ok" if abs(error) <= case.tolerance else "FAIL",
        "range": "ok" if case.range is not None and case.range[0] <= value <= case.range[1] else "FAIL",
        "known_gap": _gap(abs(error) - abs(case.gap or 0), case.tolerance),
        "reported": "",
    }
    return Verdict(engine, case, value, error, verdicts[case.kind])


def _gap(growth: float, tolerance: float) -> str:
    """Return the verdict on a known gap whose size has changed by ``growth``: to come nearer is no fault."""
    if growth > tolerance:
        return "GAP GREW"
    return "gap shrank" if growth < -tolerance else "gap"


def ours(case: Figure) -> float:
    """Return this build's figure for a case.

    ``quantity`` is a key of the only layer (``cycles``, ``stall_cycles``, ``dram_read_bits``, ``account.busy``,
    ``traffic.glb.inputs/input/read``, ``details.tiles``), a key of a named layer (``layer.conv1.cycles``), its sum
    over all layers that ran (``layers.cycles``), or a total (``totals.time_s``). In place of a key of a layer or of
    the totals, ``on_chip_mw`` and ``on_chip_pj`` are mean power and energy without DRAM, ``mw.clock+registers`` the
    power of some components, and ``dram_bits`` are those of both directions. Of layers on one clock it is a key of the
    schedule (``schedule.cycles``), its rate ``schedule.tops``, or what its busiest unit or port allows,
    ``schedule.bound_tops``.
    Of a replica it is a key of what its module's ``figures`` returns.
    Of a table of RTL points it is a field of `rtl.Summary`.
    With a ``baseline`` it is the baseline's figure divided by ours: a speed-up for cycles, a gain for energy.
    """
    if isinstance(case, StreamCase):
        return _streamed(case)
    if isinstance(case, ReplicaCase):
        return _replicated(case)
    if isinstance(case, PlanCase):
        return _planned(case)
    assert isinstance(case, CaseSpec)
    if case.rtl is not None:
        return _rtl(case)
    if case.baseline is not None:
        alone = case.model_copy(update={"baseline": None, "baseline_set": {}})
        base = alone.model_copy(update={"arch": case.baseline, "set": case.baseline_set})
        return ours(base) / ours(alone)
    report = document(_result(case.model_dump_json(exclude=_NOT_A_RUN)))
    return _found(report, case) * case.scale


def _streamed(case: StreamCase) -> float:
    from accelsim.config.dram import standard
    from accelsim.memory.device import channel, patterns
    from accelsim.memory.device.summary import summary

    device = channel.Device(standard.load(case.standard))
    requests = patterns.stream(case.pattern, device, case.requests)
    return float(summary(device, requests, channel.serve(device, requests))[case.quantity])


def _replicated(case: ReplicaCase) -> float:
    given = dict(case.given)
    if case.data is not None:
        given["path"] = matrix_names.data_file(case.data)
    found = import_module(f"accelsim.replicas.{case.replica}").figures(**given)
    if case.quantity not in found:
        raise ConfigError(f"case '{case.case}': no figure '{case.quantity}'", f"figures: {', '.join(found)}")
    return float(found[case.quantity])


def _planned(case: PlanCase) -> float:
    from accelsim.report import residency

    found = _plan(case.network, case.capacity_kib, case.fold, case.planner, case.inplace)
    key, _, layer = case.quantity.partition(".")
    live = {name: bits / 8 for name, bits in found.live_bits.items()}
    value = live.get(layer) if key == "live" else residency.document(found).get(key)
    if not isinstance(value, int | float):
        raise ConfigError(f"case '{case.case}': no number called '{case.quantity}'", "see what 'accelsim plan' prints")
    return value * case.scale


@cache
def _plan(network: str, capacity_kib: float, fold: str, planner: str, inplace: str) -> Plan:
    return plan(_whole(network), capacity_kib=capacity_kib, fold=fold, planner=planner, inplace=inplace)


@cache
def _whole(name: str) -> Network | str:
    """Return a network that several cases plan; a table of storages stays a name."""
    return name if is_lifetimes(name) else load_network(name)


def _rtl(case: CaseSpec) -> float:
    """Return a figure over rows of a packaged table."""
    rows = rtl.chosen(rtl.packaged(str(case.rtl)), case.where, case.unless)
    found = rtl.Summary.of(rows)._asdict().get(case.quantity)
    if found is None or not rows:
        raise ConfigError(
            f"case '{case.case}': no figure '{case.quantity}' over {len(rows)} rows",
            f"figures: {', '.join(rtl.Summary._fields)}",
        )
    return float(found)


def _found(report: dict[str, Any], case: CaseSpec) -> float:
    path = case.quantity.split(".")
    for part in (report["totals"], *report["layers"]):
        part["on_chip_pj"] = part["total_energy_pj"] - part["energy_pj"].get("dram", 0.0)
        part["on_chip_mw"] = _on_chip_mw(part, report["totals"]["clock_mhz"])
        part["mw"] = _mw(part, report["totals"]["clock_mhz"])
        part["dram_bits"] = part["dram_read_bits"] + part["dram_write_bits"]
    if path[0] == "totals":
        return _number(report["totals"], path[1:], case)
    if path[0] == "schedule":
        return _number(_on_one_clock(report), path[1:], case)
    layers = {layer["name"]: layer for layer in report["layers"] if layer["simulated"]}
    if path[0] == "layers":
        return sum(_number(layer, path[1:], case) for layer in layers.values())
    if path[0] == "layer":
        name = next((n for n in layers if case.quantity.startswith(f"layer.{n}.")), None)
        if name is None:
            raise ConfigError(f"case '{case.case}': no such layer in '{case.quantity}'", "name a layer that runs")
        return _number(layers[name], case.quantity.removeprefix(f"layer.{name}.").split("."), case)
    if len(layers) != 1:
        raise ConfigError(
            f"case '{case.case}' runs {len(layers)} layers", "write layer.<name>.<key>, layers.<key> or totals.<key>"
        )
    return _number(next(iter(layers.values())), path, case)


_NOT_A_RUN = {
    "case", "needs", "rtl", "where", "unless", "quantity", "expected", "unit", "scale", "kind", "tolerance", "gap",
    "range", "origin", "class_", "source", "why",
}  # fmt: skip


def _on_one_clock(report: dict[str, Any]) -> dict[str, Any]:
    """Return the schedule with its rate, and what rate the busiest unit or port allows."""
    found, operations = report["schedule"], 2 * sum(layer["macs"] for layer in report["layers"] if layer["simulated"])
    per_us = operations * report["totals"]["clock_mhz"]
    rates = {"tops": found["cycles"], "bound_tops": found["lower_bound_cycles"]}
    return found | {key: per_us / cycles / 1e6 for key, cycles in rates.items()}


def _on_chip_mw(part: dict[str, Any], clock_mhz: float) -> float:
    """Return the mean power of a layer or of all; 1 pJ per ns is 1 mW."""
    time_ns = part["cycles"] * 1000 / clock_mhz
    return float(part["on_chip_pj"]) / time_ns if time_ns else 0.0


def _mw(part: dict[str, Any], clock_mhz: float) -> dict[str, float]:
    """Return the mean power by component."""
    time_ns = part["cycles"] * 1000 / clock_mhz
    return {name: pj / time_ns for name, pj in part["energy_pj"].items()} if time_ns else {}


def _number(table: dict[str, Any], path: list[str], case: CaseSpec) -> float:
    if path[0] == "traffic":
        boundary, tensor, direction = ".".join(path[1:]).split("/")
        wanted = {"boundary": boundary, "tensor": tensor, "direction": direction}
        return float(sum(row["bits"] for row in table["traffic"] if wanted.items() <= row.items()))
    if path[0] == "mw":
        return sum(table["mw"].get(name, 0.0) for name in ".".join(path[1:]).split("+"))
    if path[0] == "account":
        return float(table["accounts"][table["primary"]]["causes"].get(path[1], 0))
    found: Any = table
    try:
        for part in path:
            found = found[part]
        return float(found)
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"case '{case.case}': no number called '{case.quantity}'", "see the report's keys") from None


@cache
def _result(run: str) -> NetworkResult:
    """Simulate what several cases may look at; ``run`` is the case without its figure, as JSON."""
    case: dict[str, Any] = yaml.safe_load(run)
    arch = load_arch(case["arch"], list(case["set"].items()))
    options = {"layers": case["layers"], "batch": case["batch"], "seed": case["seed"]}
    if case["trace"] is not None:
        traced = spatten_trace.load(matrix_names.data_file(case["trace"]) or Path(case["trace"]))
        return simulate(arch, traced.network, mapping=traced.mapping, **options)
    network = _network(case)
    if case["masks"]:
        options["operands"] = _masks(case["masks"], network)
    with tempfile.TemporaryDirectory() as folder:
        if case["mapping"] is not None:
            options["mapping"] = _file(Path(folder) / "mapping.yaml", case["mapping"], "arch_configs", "*")
        if case["density"] is not None:
            options["density"] = _file(Path(folder) / "density.yaml", case["density"], "workloads", "layers")
        # published figures are of layers; a case of a whole network sets schedule.mode
        mode = arch.schedule.mode or "isolated"
        return simulate(arch, network, schedule=mode, **options)


def _file(path: Path, content: dict[str, Any] | str, kind: packaged.Folder, key: str) -> Path:
    """Return a packaged file by its relative name, or ``path`` with the content written to it under ``key``."""
    if isinstance(content, str):
        return packaged.find(kind, content, beside=packaged.folder(kind))[0]
    outputs.write(path, yaml.safe_dump({key: content}))
    return path


def _masks(masks: dict[str, str], network: Network) -> dict[str, np.ndarray]:
    """Return the arrays of a case as operands of its only layer; ConfigError for one that is not there or too large."""
    view, found = network.view(network.layers[0]), {}
    for role, at in masks.items():
        name, _, key = at.partition(":")
        tensor = view.input if role == "input" else view.weight
        with np.load(matrix_names.data_file(name) or name, allow_pickle=False) as arrays:
            array = arrays[key] if key in arrays.files else np.zeros(0, dtype=np.bool_)
        if array.size != tensor.elements:
            problem = f"'{key}' has {array.size:,} elements, the {role} of the layer {tensor.elements:,}"
            raise ConfigError(problem, "name an array of the layer's size", file=name)
        found[f"layer.{role}"] = (array.T if role == "input" else array).reshape(tensor.shape)
    return found


def _network(case: dict[str, Any]) -> Network:
    given: str | dict[str, Any] = case["workload"] or brought(case["network"], case["layer"]) or {}
    return load_network(given)
