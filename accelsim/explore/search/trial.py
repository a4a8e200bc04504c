"""Designs that are tried: their points are run, or found in the store, each of them once."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import Executor

import numpy as np

from accelsim.explore.search.ledger import Design, Ledger, Result
from accelsim.explore.sweep.evaluate import Context, Job, warm
from accelsim.explore.sweep.execute import Pace, Runner
from accelsim.explore.sweep.grid import Grid
from accelsim.explore.sweep.space import Point
from accelsim.explore.sweep.store import Row, Store


class Trial:
    """What has been tried so far.

    Parameters
    ----------
    make_executor, width
        As for `Runner`; no executor is made before a point must be simulated.
    tick : callable
        Called with this trial after every chunk and every generation.
    columnar : bool
        Whether so many points are to come that compiled code is worth loading.
    """

    def __init__(
        self, grid: Grid, store: Store, make_executor: Callable[[], Executor], width: int,
        tick: Callable[[Trial], None], columnar: bool = False,
    ) -> None:  # fmt: skip
        self._grid, self._store, self._tick = grid, store, tick
        space = grid.space
        documents = {name: arch.document for name, arch in space.archs.items()}
        keep_layers = store.meta()["layers"] == "yes"
        context = Context(
            documents, space.networks, space.sweep.folder, keep_layers, columnar and not keep_layers,
            variants=space.variants,
        )  # fmt: skip
        if context.columnar:
            warm(documents)
        self._runner = Runner(pickle.dumps(context), (), make_executor, width, self._write, self._paced)
        self.ledger = Ledger(space.sweep.spec.objectives)
        self.simulated = self._flying = 0
        self._again: set[str] = set()

    @property
    def tried(self) -> float:
        """Designs done, those of the generation that is running included in share."""
        return len(self.ledger) + self._flying / len(self._grid.space.networks)

    def values(self, designs: np.ndarray, budget: int | None = None) -> np.ndarray:
        """Return the objectives of designs, trying those that have not been tried, up to ``budget`` in all.

        Returns
        -------
        array, shape (designs, objectives), float64
            Infinite where a design is not legal, was not mapped, failed, leaves out layers that others simulate, or
            lies beyond the budget.
        """
        rows = [tuple(row) for row in designs.tolist()]
        new = list(dict.fromkeys(row for row in rows if row not in self.ledger))
        legal = self._grid.legal(np.array(new, dtype=np.int64).reshape(len(new), len(self._grid.sizes)))
        chosen = [row for row, holds in zip(new, legal, strict=True) if holds]
        if budget is not None:
            chosen = chosen[: max(0, budget - len(self.ledger))]
        if chosen:
            self._try(chosen)
        return self.ledger.of(rows)

    def close(self) -> None:
        """End the workers."""
        self._runner.close()

    def _try(self, chosen: list[Design]) -> None:
        first = len(self.ledger) * len(self._grid.space.networks)
        points = self._grid.points(np.array(chosen, dtype=np.int64), first)
        listed = [point for mine in points for point in mine]
        self._store.extend_plan(listed)
        results = self._results(listed)
        self.ledger.enter({d: [results[p.key] for p in mine] for d, mine in zip(chosen, points, strict=True)})
        self._tick(self)

    def _results(self, points: list[Point]) -> dict[str, Result]:
        done: dict[str, Result] = dict(self._store.figures([p.key for p in points]))
        todo = {p.key: p for p in points if p.key not in done or self._retry(p.key, done[p.key][0])}
        options = self._grid.space.options_of
        self._flying = 0
        self._runner.extend([Job(p.key, p.machine, p.network, p.sets, options(p)) for p in todo.values()])
        self._runner.drain()
        self._flying = 0
        return done | self._store.figures(list(todo))

    def _retry(self, key: str, status: str) -> bool:
        """Say whether a point failed in an earlier run: it is tried again, once."""
        if status != "failed" or key in self._again:
            return False
        self._again.add(key)
        return True

    def _write(self, rows: list[Row]) -> None:
        self._store.add(rows)
        self.simulated += len(rows)
        self._flying += len(rows)

    def _paced(self, pace: Pace) -> None:
        self._tick(self)
