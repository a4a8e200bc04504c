"""Sweeps: layer evaluations per second, overhead per point, 100,000 points on two cores, ratios against ZigZag."""

from __future__ import annotations

import json
import pickle
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import accelsim
from accelsim.comparison import compare
from accelsim.config import packaged
from accelsim.engines import registry
from accelsim.explore.sweep import choose, evaluate, execute
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep.run import SweepProgress
from accelsim.explore.sweep.schema import read_sweep
from accelsim.explore.sweep.space import expand, resolve
from accelsim.explore.sweep.store import open_reader
from accelsim.explore.sweep.tables import SUMS
from accelsim.report.points import Shown

from ..peers.zigzag import __main__ as zigzag
from .check import ROOT, Check

FILE = ROOT / "benchmarks" / "sweeps" / "resnet50_100k.yaml"
POINTS = 4000
"""Points of the sweep, drawn at random, that the figures per second are taken over: 100 chunks of neighbours."""
EVALUATIONS_BAR = 10_000
OVERHEAD_BAR_US = 100
WALL_BAR_S = 1800
"""What 'in minutes' means here, on a machine that others use too: half an hour."""


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    space = expand(read_sweep(FILE))
    network = next(iter(space.networks.values()))
    distinct = len({layer.shape for layer in network.layers})
    yield _identical(space)
    yield _one_basis()
    yield from _rates(distinct, len(network.layers))
    yield _whole()
    yield from _peers()


def _identical(space: Any, number: int = 40) -> Check:
    """Rows of random points against `accelsim.simulate`, every figure."""
    points = random.Random(0).sample(list(space.points()), number)
    machines = {name: arch.document for name, arch in space.archs.items()}
    context = evaluate.Context(machines, space.networks, space.sweep.folder, columnar=True)
    equal = 0
    for p in points:
        row = evaluate.run_point(context, evaluate.Job(p.key, p.machine, p.network, p.sets, space.options_of(p)))
        arch = resolve(space.archs[p.machine], p.sets)
        equal += row.totals == evaluate._totals(arch, accelsim.simulate(arch, space.networks[p.network]))
    return Check("random points equal `simulate` to the last digit", f"{equal} of {number}", equal == number)


NETWORKS = ("onnx:squeezenet", "mobilenet_v1_050_128", "ese_lstm")
"""A connected graph, depthwise layers, and products alone."""


def _one_basis(networks: tuple[str, ...] = NETWORKS) -> Check:
    """Every packaged machine on three networks: sweep row, `simulate`, `compare` and the data of pictures."""
    machines = packaged.names("arch_configs")
    differ, equal = [], 0
    with tempfile.TemporaryDirectory() as folder:
        file, path = Path(folder) / "sweep.yaml", Path(folder) / "s.db"
        file.write_text(f"name: all\nmachines: {json.dumps(machines)}\nnetworks: {json.dumps(networks)}\n")
        sweep.run(file, path, workers=2)
        with open_reader(path) as opened:
            rows = {(row["machine"], row["network"]): row for row in opened.rows()}
            unfit = {network: _unfit(rows, network) for network in networks}
        drawn = {(p.axes["machine"], p.network): p for p in choose.of_store(path, None, None).compared.points}
    for network in networks:
        # one that has no room for a layer takes no part in a sweep; `compare` would leave the layer out for everybody
        able = [name for name in machines if name not in unfit[network]]
        beside = {row["arch"]: row for row in compare(able, [network]).to_rows()}
        for machine in able:
            row, other = rows[machine, network], beside[machine]
            alike = row["status"] == "ok" and _alike(row, other, drawn.get((machine, network)))
            if alike or (row["status"] != "ok" and other["reason"]):
                equal += 1
            else:
                differ.append(f"{machine} on {network}")
    apart = sum(map(len, unfit.values()))
    figure = f"{equal} of {equal + len(differ)} pairs; {apart} have no room for a layer" + "".join(
        f"; {d}" for d in differ
    )
    return Check("sweep row = run = compare = picture, coverage included, to the last digit", figure, not differ)


def _unfit(rows: dict[tuple[str, str], Any], network: str) -> list[str]:
    mine = {machine: row for (machine, name), row in rows.items() if name == network and row["status"] == "ok"}
    return [machine for machine, row in mine.items() if not set(row["shared"] or row["ran"]) <= set(row["ran"])]


def _alike(row: dict[str, Any], other: dict[str, Any], point: Shown | None) -> bool:
    result = accelsim.simulate(row["machine"], row["network"])
    over = row["common"] or row
    same = [row[name] == getattr(result, name) for name in SUMS]
    same += [row[f"coverage_{name}"] == share for name, share in result.coverage.items()]
    same += [over[name] == other[name] for name in BESIDE]
    same += [row["layers_simulated"] == other["layers_run"], row["layers_needed"] == other["layers_in_all"]]
    if point is not None:
        same += [point.figures[name] == float(other[name]) for name in BESIDE if name in point.figures]
    return all(same)


BESIDE = ("macs", "cycles", "time_s", "total_energy_pj", "edp_pj_s", "dram_bits", "occupancy")


class _Clock:
    """CPU seconds spent in some functions while they are watched."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextmanager
    def watch(self, where: Any, name: str) -> Iterator[None]:
        plain: Callable[..., Any] = getattr(where, name)

        def timed(*args: Any, **more: Any) -> Any:
            began = time.process_time()
            try:
                return plain(*args, **more)
            finally:
                self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - began

        with mock.patch.object(where, name, timed):
            yield


def _rates(distinct: int, layers: int) -> Iterator[Check]:
    """One process, warm: points in, rows in the store. The best of three runs."""
    evaluate.warm({"m": accelsim.load_arch("systolic_ws").document})
    runs = [_run() for _ in range(3)]
    total, spent = min(runs, key=lambda run: run[0])
    per_s = POINTS * distinct / total
    figure = (
        f"{per_s:,.0f} (bar {EVALUATIONS_BAR:,}): {POINTS:,} points x {distinct} distinct layers of {layers} in "
        f"{total:.2f} s of CPU; layers that are alike counted too, {POINTS * layers / total:,.0f}"
    )
    yield Check("layer evaluations per second and core, sweep file to store", figure, per_s >= EVALUATIONS_BAR)
    each = {name: seconds / POINTS * 1e6 for name, seconds in spent.items()}
    outside = total / POINTS * 1e6 - each["run_chunk"] + each["transport"]
    schema = each["build"] + each["override"]
    figure = (
        f"{outside:.0f} us (bar {OVERHEAD_BAR_US}): keys, plan, transport to workers, store, front; and inside the "
        f"evaluation: kernel {each['closed_form_many']:.0f} us, schema {schema:.0f} us, prices, areas and sums "
        f"{each['run_chunk'] - each['closed_form_many'] - schema:.0f} us"
    )
    yield Check("sweep overhead per point, CPU", figure, outside < OVERHEAD_BAR_US)


def _run() -> tuple[float, dict[str, float]]:
    clock = _Clock()
    engine = registry.get("systolic")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        file = Path(folder) / "sweep.yaml"
        file.write_text(f"{FILE.read_text()}sampling: {{method: random, points: {POINTS}, seed: 0}}\n")
        for where, name in ((engine, "closed_form_many"), (evaluate, "build"), (evaluate, "override"),
                            (execute, "run_chunk")):  # fmt: skip
            stack.enter_context(clock.watch(where, name))
        began = time.process_time()
        done = sweep.run(file, Path(folder) / "s.db", workers=0)
        total = time.process_time() - began
        assert (done.pace.done, done.failed) == (POINTS, 0)
        clock.spent["transport"] = _transport(file)
    return total, clock.spent


def _transport(file: Path) -> float:
    """Return the CPU seconds to pack and unpack all points and their rows, as for a pool of processes."""
    space = expand(read_sweep(file))
    machines = {name: arch.document for name, arch in space.archs.items()}
    context = evaluate.Context(machines, space.networks, space.sweep.folder, columnar=True)
    jobs = [evaluate.Job(p.key, p.machine, p.network, p.sets, space.options_of(p)) for p in space.points()]
    some = tuple(jobs[: execute.MAX_CHUNK])
    rows = [evaluate.run_point(context, job) for job in some]
    began = time.process_time()
    for sent in (some, rows):
        pickle.loads(pickle.dumps(sent))
    return (time.process_time() - began) * len(jobs) / len(some)


def _whole() -> Check:
    """The sweep of 100,000 points on two workers, from file to store."""
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.monotonic(), time.process_time()
        done: SweepProgress = sweep.run(FILE, Path(folder) / "s.db", workers=2)
        wall = time.monotonic() - began
        mine = time.process_time() - cpu
        size = (Path(folder) / "s.db").stat().st_size / 1e6
    figure = (
        f"{wall / 60:.1f} minutes; {done.pace.per_s:,.0f} points per second; {done.illegal} illegal, "
        f"{done.failed} failed; the writer took {mine:.0f} s of CPU; store {size:.0f} MB; front {done.front}"
    )
    held = wall < WALL_BAR_S and done.pace.done == done.counts.points and not done.failed
    return Check(f"{done.counts.points:,} points on 2 workers", figure, held)


def _peers() -> Iterator[Check]:
    promise = "layers per second and core against ZigZag, same layers, comparable machine"
    if not (zigzag.ENVIRONMENT / ".ready").exists():
        yield Check(promise, "not measured: 'python -m benchmarks.peers.zigzag' installs it and compares")
        return
    rows, mine_s = zigzag.compare()
    theirs = len(rows) / sum(row.peer_s for row in rows)
    yield Check(promise, f"{1 / mine_s:,.0f} to {theirs:.2f}: x {1 / mine_s / theirs:,.0f}")
