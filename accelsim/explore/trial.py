"""Designs that are tried: their points run, their figures put together into objectives, each of them once."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import Executor
from statistics import geometric_mean
from typing import Any, TypeAlias

import numpy as np

from accelsim.explore import pool
from accelsim.explore.distance import best
from accelsim.explore.evaluate import Context, Job
from accelsim.explore.execute import Pace, Runner
from accelsim.explore.grid import Grid
from accelsim.explore.space import Point
from accelsim.explore.store import Row, Store

Design: TypeAlias = tuple[int, ...]
Result: TypeAlias = tuple[str, dict[str, Any]]


class Trial:
    """What has been tried so far.

    Parameters
    ----------
    make_executor, width
        As for `Runner`; no executor is made before a point must be simulated.
    tick : callable
        Called with this trial after every chunk and every generation.
    """

    def __init__(
        self, grid: Grid, store: Store, make_executor: Callable[[], Executor], width: int,
        tick: Callable[[Trial], None],
    ) -> None:  # fmt: skip
        self._grid, self._store, self._tick = grid, store, tick
        space = grid.space
        documents = {name: arch.document for name, arch in space.archs.items()}
        keep_layers = store.meta()["layers"] == "yes"
        context = Context(documents, space.networks, space.sweep.folder, keep_layers)
        self._objectives: list[str] = list(space.sweep.spec.objectives)
        self._runner = Runner(pickle.dumps(context), (), make_executor, width, self._write, self._paced)
        self._values: dict[Design, tuple[float, ...]] = {}
        self._status: dict[Design, str] = {}
        self._covered: dict[Design, tuple[float, ...]] = {}
        self._again: set[str] = set()
        self.simulated = self.on_front = self._before = self._waiting = 0

    @classmethod
    def known(cls, grid: Grid, store: Store) -> Trial:
        """Return a trial that is only to look at what a store has."""
        return cls(grid, store, pool.Here, 1, lambda trial: None)

    @property
    def tried(self) -> int:
        """Designs whose points have been run or found."""
        return len(self._values)

    @property
    def finished(self) -> int:
        """Designs done, those of the generation that is running included in share."""
        ran = self.simulated - self._before
        return self.tried + (ran // len(self._grid.space.networks) if self._waiting else 0)

    def missing(self, designs: np.ndarray) -> int:
        """Return for how many designs the store lacks a result."""
        points = self._grid.points(designs)
        done = self._store.figures([p.key for mine in points for p in mine])
        return sum(any(p.key not in done for p in mine) for mine in points)

    def values(self, designs: np.ndarray, budget: int | None = None) -> np.ndarray:
        """Return the objectives of designs, running those that have not been tried, up to ``budget`` in all.

        Returns
        -------
        array, shape (designs, objectives), float64
            Infinite where a design is not legal, was not mapped, failed, leaves out layers that others simulate, or
            lies beyond the budget.
        """
        rows = [tuple(row) for row in designs.tolist()]
        new = list(dict.fromkeys(row for row in rows if row not in self._values))
        legal = self._grid.legal(np.array(new, dtype=np.int64).reshape(len(new), len(self._grid.sizes)))
        chosen = [row for row, holds in zip(new, legal, strict=True) if holds]
        if budget is not None:
            chosen = chosen[: max(0, budget - self.tried)]
        if chosen:
            self._try(chosen)
        nothing = (np.inf,) * len(self._objectives)
        return np.array([self._values.get(row, nothing) for row in rows], dtype=np.float64)

    def all(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all designs tried and their objectives."""
        columns, objectives = len(self._grid.sizes), len(self._objectives)
        designs = np.array(list(self._values), dtype=np.int64).reshape(self.tried, columns)
        return designs, np.array(list(self._values.values()), dtype=np.float64).reshape(self.tried, objectives)

    def left_out(self) -> tuple[int, int, int]:
        """Return how many designs could not be mapped, failed, or leave out layers that others simulate."""
        found = list(self._status.values())
        return found.count("illegal"), found.count("failed"), found.count("partial")

    def close(self) -> None:
        """End the workers."""
        self._runner.close()

    def _try(self, chosen: list[Design]) -> None:
        networks = len(self._grid.space.networks)
        points = self._grid.points(np.array(chosen, dtype=np.int64), self.tried * networks)
        listed = [point for mine in points for point in mine]
        results = self._results(listed)
        for design, mine in zip(chosen, points, strict=True):
            self._judge(design, [results[p.key] for p in mine])
        self._compare()
        self._tick(self)

    def _results(self, points: list[Point]) -> dict[str, Result]:
        keys = list(dict.fromkeys(p.key for p in points))
        done = self._store.figures(keys)
        todo = {p.key: p for p in points if p.key not in done or self._retry(p.key, done[p.key][0])}
        self._store.extend_plan(points)
        options = self._grid.space.options_of
        self._before, self._waiting = self.simulated, len(todo)
        self._runner.extend([Job(p.key, p.machine, p.network, p.sets, options(p)) for p in todo.values()])
        self._runner.drain()
        self._waiting = 0
        return done | self._store.figures(list(todo))

    def _retry(self, key: str, status: str) -> bool:
        """Say whether a point of an earlier run failed: it is tried again once."""
        if status != "failed" or key in self._again:
            return False
        self._again.add(key)
        return True

    def _judge(self, design: Design, results: list[Result]) -> None:
        """Note what a design costs: the geometric mean of each objective over the networks."""
        bad = [status for status, _ in results if status != "ok"]
        if bad:
            self._rule_out(design, bad[0])
            return
        self._covered[design] = tuple(figures[f"coverage_{of}"] for of in ("macs", "layers") for _, figures in results)
        columns = [[figures[name] for _, figures in results] for name in self._objectives]
        self._values[design] = tuple(_mean(column) for column in columns)

    def _compare(self) -> None:
        """Rule out what leaves out layers that another design simulates, and renew the front."""
        most = max(self._covered.values(), default=())
        for design in [d for d, covered in self._covered.items() if covered < most]:
            self._rule_out(design, "partial")
        values = self.all()[1]
        self.on_front = len(best(values))

    def _rule_out(self, design: Design, status: str) -> None:
        self._values[design] = (np.inf,) * len(self._objectives)
        self._status[design] = status
        self._covered.pop(design, None)

    def _write(self, rows: list[Row]) -> None:
        self._store.add(rows)
        self.simulated += len(rows)

    def _paced(self, pace: Pace) -> None:
        self._tick(self)


def _mean(figures: list[float | None]) -> float:
    known = [float(f) for f in figures if f is not None]
    if len(known) < len(figures) or min(known) <= 0:
        return np.inf
    return known[0] if len(known) == 1 else geometric_mean(known)
