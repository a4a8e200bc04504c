"""A sweep from file to store: plan, run what is missing, count."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from accelsim.basis import timed
from accelsim.config.arch import Arch
from accelsim.engines import registry
from accelsim.errors import ConfigError
from accelsim.explore.sweep import pool
from accelsim.explore.sweep.evaluate import Context, Job, warm
from accelsim.explore.sweep.execute import Pace, Runner
from accelsim.explore.sweep.identity import canonical
from accelsim.explore.sweep.pareto import Front
from accelsim.explore.sweep.schema import Sweep, read_sweep
from accelsim.explore.sweep.shares import Share, of_plan, shared
from accelsim.explore.sweep.space import Point, Space, expand
from accelsim.explore.sweep.store import Row, Store, open_writer
from accelsim.report import classes

COLUMNAR_FROM = 256
"""From so many points on, compiled code is worth loading; the rows do not depend on it."""

FRONT_CHUNK = 256
"""Points that are compared with the front at a time: memory grows with this times the front."""


class Counts(NamedTuple):
    """What a sweep consists of before it runs: ``points`` in all, of which ``excluded`` are ruled out beforehand.

    ``reused`` have their results already, ``elsewhere`` belong to other shards, ``to_run`` are left.
    """

    points: int
    excluded: int
    reused: int
    elsewhere: int
    to_run: int


class SweepProgress(NamedTuple):
    """How a running sweep stands."""

    counts: Counts
    pace: Pace
    illegal: int
    failed: int
    front: int


Report: TypeAlias = Callable[[SweepProgress], None]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a sweep: what was finished is in the store."""

    def __init__(self, done: int, to_run: int) -> None:
        super().__init__(f"{done:,} of {to_run:,} points done")
        self.done, self.to_run = done, to_run


def run(
    file: str | Path,
    store: str | Path,
    *,
    workers: int | None = None,
    keep_layers: bool = False,
    shard: tuple[int, int] = (1, 1),
    make_executor: Callable[[], Executor] | None = None,
    report: Report | None = None,
    sets: Mapping[str, Any] | None = None,
) -> SweepProgress:
    """Run a sweep into a store; what the store has already is not run again.

    Parameters
    ----------
    file : path
        The sweep file.
    store : path
        SQLite file, made if it is missing.
    workers : int, optional
        Processes, as many as processors by default; 0 runs in this process.
    keep_layers : bool
        Store a row per layer too.
    shard : (i, n)
        Run the i-th of n parts only; `accelsim.explore.sweep.merge` puts their stores together.
    make_executor : callable, optional
        Returns the executor to use in place of a pool of processes; ``workers`` says how wide it is.
    report : callable, optional
        Called with a `SweepProgress` before the first point, after every chunk and at least twice a second.
    sets : mapping, optional
        Key path -> value for all machines, in place of what the file sets.

    Raises
    ------
    UserError
        Whatever is wrong with the file, the store or the options.
    Interrupted
        Ctrl-C.
    """
    if shard[1] < 1 or not 1 <= shard[0] <= shard[1]:
        raise ConfigError(f"there is no shard {shard[0]}/{shard[1]}", "count from 1/n to n/n", file="--shard")
    width = os.cpu_count() or 1 if workers is None else workers
    if width < 0:
        raise ConfigError(f"{width} workers", "use 0 (this process) or more", file="--workers")
    space = expand(read_sweep(file, sets))
    make = make_executor or (partial(pool.processes, width) if width else pool.Here)
    with open_writer(Path(store), keep_layers) as opened:
        return _run(space, opened, shard, make, width, report or (lambda progress: None))


def count(file: str | Path, sets: Mapping[str, Any] | None = None) -> Counts:
    """Return what a sweep would run on an empty store; nothing is simulated or written."""
    space = expand(read_sweep(file, sets))
    return _split(list(space.points()), set(), (1, 1))[1]


def _run(
    space: Space, store: Store, shard: tuple[int, int], make: Callable[[], Executor], width: int, report: Report
) -> SweepProgress:
    points = list(space.points())
    keep_layers = store.meta()["layers"] == "yes"
    documents = {name: arch.document for name, arch in space.archs.items()}
    context = Context(documents, space.networks, space.sweep.folder, keep_layers, variants=space.variants)
    shares = of_plan(space, points, context)
    whole = {name: share.whole for name, share in shares.items() if share.whole}
    said = {**about(space.sweep, space.archs), "whole": canonical(whole)}
    store.set_plan(points, said, {name: share[:2] for name, share in shares.items()})
    todo, counts = _split(points, _done(store, points, shares), shard)
    jobs = [Job(p.key, p.machine, p.network, p.sets, space.options_of(p)) for p in todo]
    columnar = not keep_layers and (len(jobs) >= COLUMNAR_FROM or any(map(_walks, space.archs.values())))
    context = replace(context, columnar=columnar, shared=shared(shares))
    if columnar:
        warm(documents)
    watch = _Watch(space, points, counts, report, shares)
    watch.include(store)
    runner = Runner(pickle.dumps(context), jobs, make, max(1, width), lambda rows: watch.write(store, rows), watch.tick)
    watch.tick(runner.pace())
    try:
        runner.run()
    except KeyboardInterrupt:
        raise Interrupted(runner.pace().done, counts.to_run) from None
    return watch.progress(runner.pace())


def _walks(arch: Arch) -> bool:
    """Whether a machine has a unit whose layers are walked: once for all points, in columns."""
    return any(registry.get(unit.engine).walks(unit.params) for unit in arch.units)


def _done(store: Store, points: list[Point], shares: Mapping[str, Share]) -> set[str]:
    """Return the keys of points whose results are whole: with sums over what the points of this plan share."""
    status = store.done()
    done = {key for key, word in status.items() if word != "failed"}
    wanted = {name: layers.digest for name, layers in shared(shares).items()}
    if not wanted:
        return done
    summed = store.sums_up()
    lacks = {p.key for p in points if p.network in wanted and (p.key, wanted[p.network]) not in summed}
    return done - {key for key in lacks if status.get(key) == "ok"}


def about(sweep: Sweep, archs: Mapping[str, Arch]) -> dict[str, str]:
    """Return what a store says of its sweep; of the machines, what class each component is of."""
    spec = sweep.spec
    return {
        "name": spec.name,
        "question": spec.question,
        "objectives": canonical(spec.objectives),
        "classes": canonical({name: classes.of_machine(arch) for name, arch in archs.items()}),
        "axes": canonical([{"name": axis.name, "keys": axis.keys, "steps": len(axis.steps)} for axis in sweep.axes]),
        "sweep": canonical({**sweep.document.data, "set": spec.set} if spec.set else sweep.document.data),
    }


def _split(points: list[Point], done: set[str], shard: tuple[int, int]) -> tuple[list[Point], Counts]:
    """Return the points to run, each key once, and the counts."""
    todo: dict[str, Point] = {}
    excluded = reused = elsewhere = 0
    for point in points:
        if point.reason is not None:
            excluded += 1
        elif point.key in done or point.key in todo:
            reused += 1
        elif point.group % shard[1] != shard[0] - 1:
            elsewhere += 1
        else:
            todo[point.key] = point
    return list(todo.values()), Counts(len(points), excluded, reused, elsewhere, len(todo))


class _Watch:
    """Writes rows and keeps the figures that a person wants to see meanwhile."""

    def __init__(
        self, space: Space, points: list[Point], counts: Counts, report: Report, shares: Mapping[str, Share]
    ) -> None:
        self._counts, self._report, self._shares = counts, report, shares
        # with one clock the front over time is the one over cycles
        self._objectives = timed(space.sweep.spec.objectives, (1, 2))
        self._network = {p.key: p.network for p in points}
        self._fronts = {name: Front() for name in space.networks}
        self._illegal = self._failed = 0

    def include(self, store: Store) -> None:
        """Take in the results that the store has already."""
        found: dict[str, list[list[float | None]]] = {}
        for row in store.rows():  # all of them, so that an unsound cell is found before anything runs
            if row["status"] == "ok":
                self._take(found, row["network"], row["ran"], row, row["common"])
            self._illegal += row["status"] == "illegal" and row["reason"] is not None
        self._grow(found)

    def write(self, store: Store, rows: list[Row]) -> None:
        store.add(rows)
        found: dict[str, list[list[float | None]]] = {}
        for row in rows:
            self._illegal += row.status == "illegal"
            self._failed += row.status == "failed"
            if row.status == "ok" and row.ran is not None:
                common = row.common.figures if row.common is not None else None
                self._take(found, self._network[row.key], row.ran.names, row.totals, common)
        self._grow(found)

    def _take(
        self, found: dict[str, list[list[float | None]]], network: str, ran: tuple[str, ...], own: Mapping[str, Any],
        common: Mapping[str, Any] | None,
    ) -> None:  # fmt: skip
        """Enter the objectives of a point that ranks: over the shared layers, or as one of those that run most."""
        share = self._shares[network]
        if share.shared is not None and ran != share.shared.names:
            figures = {**own, **common} if common else None
        else:
            figures = dict(own) if share.shared is not None or ran == share.widest.names else None
        if figures is not None and ran:
            found.setdefault(network, []).append([figures[name] for name in self._objectives])

    def _grow(self, found: dict[str, list[list[float | None]]]) -> None:
        for network, points in found.items():
            for start in range(0, len(points), FRONT_CHUNK):
                self._fronts[network].extend(points[start : start + FRONT_CHUNK])

    def tick(self, pace: Pace) -> None:
        self._report(self.progress(pace))

    def progress(self, pace: Pace) -> SweepProgress:
        return SweepProgress(self._counts, pace, self._illegal, self._failed, sum(map(len, self._fronts.values())))
