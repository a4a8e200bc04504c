"""A search from file to store: ask an optimiser, simulate what is new, tell it, until the budget is spent.

A search is the same whatever the workers, because a generation is told as a whole and in its order. It resumes by
being repeated: designs that the store knows are not simulated again, so the optimiser sees the same figures and asks
for the same designs until it comes to new ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, TypeAlias, cast, get_args

import numpy as np

from accelsim.basis import timed
from accelsim.charges import areas_of, table_of
from accelsim.errors import ConfigError
from accelsim.explore.search import optimise
from accelsim.explore.search.distance import Distance, distance
from accelsim.explore.search.ledger import known
from accelsim.explore.search.optimiser import Task
from accelsim.explore.search.trial import Trial
from accelsim.explore.sweep import pool, shares
from accelsim.explore.sweep.grid import Grid
from accelsim.explore.sweep.identity import canonical, model_version
from accelsim.explore.sweep.pareto import front
from accelsim.explore.sweep.run import COLUMNAR_FROM, about
from accelsim.explore.sweep.schema import Objective, Sweep, read_sweep
from accelsim.explore.sweep.space import Point
from accelsim.explore.sweep.store import Store, open_reader, open_writer

BUDGET = 500
"""Designs that a search simulates by default."""
STALE = 50
"""Generations in a row without a new legal design after which a search ends."""


class Design(NamedTuple):
    """A design on the front: its point on every network, its axes, and its objectives."""

    points: tuple[Point, ...]
    axes: tuple[tuple[str, Any], ...]
    values: tuple[float, ...]


class Found(NamedTuple):
    """What a search ended with.

    Attributes
    ----------
    objectives : tuple of str
    front : tuple of Design
        Nothing that was tried beats these; in ascending order of the objectives.
    tried, simulated : int
        Designs, and how many points of them were not in the store before.
    space : int
        Designs of the file, legal or not.
    legal : int, optional
        Legal ones among them; None where there are too many to count.
    why : str
        Why it ended: ``exhaustive`` (all legal designs were tried), ``budget`` or ``stale``.
    distance : Distance, optional
        From the exact front, where that is known.
    unmapped, failed, partial : int
        Designs tried that could not be mapped, that broke, or that leave out layers that others simulate: none of
        them is compared.
    no_area : dict
        Where area is an objective, machine -> components on the chip without a figure for it.
    """

    objectives: tuple[str, ...]
    front: tuple[Design, ...]
    tried: int
    simulated: int
    space: int
    legal: int | None
    why: str
    distance: Distance | None
    unmapped: int
    failed: int
    partial: int
    no_area: dict[str, tuple[str, ...]]


class SearchProgress(NamedTuple):
    """How a running search stands."""

    tried: int
    budget: int
    generation: int
    front: int
    per_s: float
    eta_s: float | None


Report: TypeAlias = Callable[[SearchProgress], None]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a search: what was finished is in the store."""

    def __init__(self, tried: int) -> None:
        super().__init__(f"{tried:,} designs tried")
        self.tried = tried


class Settings(NamedTuple):
    """What decides which designs a search tries."""

    method: str = "nsga2"
    budget: int = BUDGET
    seed: int = 0
    objectives: tuple[str, ...] = ()


DEFAULT = Settings()


def run(
    file: str | Path,
    store: str | Path,
    settings: Settings = DEFAULT,
    *,
    against: str | Path | None = None,
    workers: int | None = None,
    keep_layers: bool = False,
    make_executor: Callable[[], Executor] | None = None,
    report: Report | None = None,
) -> Found:
    """Search the space of a sweep file into a store; what the store has already is not simulated again.

    Parameters
    ----------
    file : path
        The sweep file; its ``sampling`` is left aside.
    store : path
        SQLite file, made if it is missing. Its plan becomes the designs tried, in their order.
    settings : Settings
        Method, budget in designs, seed, and the objectives if not those of the file.
    against : path, optional
        Store of a whole sweep of the same file, to say how far the front is from the exact one.
    workers, keep_layers, make_executor
        As for `accelsim.explore.sweep.run.run`.
    report : callable, optional
        Called with a `SearchProgress` at every generation and at least twice a second.

    Raises
    ------
    UserError
        Whatever is wrong with the file, the store or the settings.
    Interrupted
        Ctrl-C.
    """
    sweep = _with_objectives(read_sweep(file), settings.objectives)
    width = os.cpu_count() or 1 if workers is None else workers
    if width < 0:
        raise ConfigError(f"{width} workers", "use 0 (this process) or more", file="--workers")
    if settings.method not in optimise.METHODS:
        known_ones = ", ".join(optimise.METHODS)
        raise ConfigError(f"no method '{settings.method}'", f"known: {known_ones}", file="--method")
    if settings.budget < 1:
        raise ConfigError(f"a budget of {settings.budget}", "give at least 1 design", file="--budget")
    make = make_executor or (partial(pool.processes, width) if width else pool.Here)
    grid = Grid(sweep)
    if (objectives := timed(sweep.spec.objectives, grid.space.clocks)) != sweep.spec.objectives:
        sweep = _with_objectives(sweep, objectives)
        grid = Grid(sweep)
    searched = _Search(grid, settings, report or (lambda progress: None))
    exact = _exact(grid, Path(against)) if against is not None else None
    with open_writer(Path(store), keep_layers) as opened:
        said = {"method": settings.method, "budget": settings.budget, "seed": settings.seed}
        needed = {name: (layers, None) for name, layers in shares.needed(grid.space).items()}
        opened.set_plan((), {**about(sweep, grid.space.archs), "search": canonical(said)}, needed)
        many = min(settings.budget, len(grid)) * len(grid.space.networks) >= COLUMNAR_FROM
        trial = Trial(grid, opened, make, max(1, width), searched.tick, many)
        try:
            why = searched.go(trial)
        except KeyboardInterrupt:
            raise Interrupted(int(trial.tried)) from None
        finally:
            trial.close()
        if exact is None and why != "exhaustive":
            exact = _known(grid, opened)
        return searched.found(trial, why, exact)


class _Search:
    """The loop around an optimiser."""

    def __init__(self, grid: Grid, settings: Settings, report: Report) -> None:
        self._grid, self._settings, self._report = grid, settings, report
        self._began = monotonic()
        self._generation = 0
        objectives = len(grid.space.sweep.spec.objectives)
        task = Task(grid.sizes, grid.words, objectives, grid.draw, settings.seed)
        legal = grid.all_legal
        if legal is not None and not len(legal):
            grid.draw(np.random.default_rng(0), 1)  # says why there are none
        self.small = legal is not None and len(legal) <= settings.budget
        self._optimiser = None if self.small else optimise.make(settings.method, task)

    def go(self, trial: Trial) -> str:
        """Try designs until there is a reason to end, and return it."""
        if self._optimiser is None:
            assert self._grid.all_legal is not None
            trial.values(self._grid.all_legal)
            return "exhaustive"
        stale = 0
        ledger, budget = trial.ledger, self._settings.budget
        while len(ledger) < budget and stale < STALE:
            self._generation += 1
            designs = self._optimiser.ask()
            before = len(ledger)
            self._optimiser.tell(designs, trial.values(designs, budget))
            stale = 0 if len(ledger) > before else stale + 1
        return "budget" if len(ledger) >= budget else "stale"

    def tick(self, trial: Trial) -> None:
        done, elapsed = int(trial.tried), monotonic() - self._began
        legal = self._grid.all_legal
        budget = len(legal) if self.small and legal is not None else self._settings.budget
        rate = done / elapsed if elapsed else 0.0
        eta = (budget - done) / rate if rate else None
        self._report(SearchProgress(done, budget, self._generation, trial.ledger.on_front, rate, eta))

    def found(self, trial: Trial, why: str, exact: np.ndarray | None) -> Found:
        designs, values = trial.ledger.all()
        on = np.flatnonzero(front(np.where(np.isfinite(values), values, np.nan)))
        order = on[np.lexsort(values[on].T[::-1])] if len(on) else on
        points = self._grid.points(np.array([designs[i] for i in order])) if len(order) else []
        best = tuple(
            Design(tuple(mine), tuple(self._grid.axes_of(mine[0]).items()), tuple(values[i].tolist()))
            for mine, i in zip(points, order.tolist(), strict=True)
        )
        legal, spec = self._grid.all_legal, self._grid.space.sweep.spec
        return Found(
            tuple(spec.objectives), best, len(designs), trial.simulated, len(self._grid),
            None if legal is None else len(legal), why, None if exact is None else distance(values, exact),
            *trial.ledger.left_out(), self._no_area() if "area_mm2" in spec.objectives else {},
        )  # fmt: skip

    def _no_area(self) -> dict[str, tuple[str, ...]]:
        return {name: areas_of(arch, table_of(arch)).left_out for name, arch in self._grid.space.archs.items()}


def rows(found: Found) -> list[dict[str, Any]]:
    """Return the front as flat rows: machine, axes, objectives."""
    return [{"machine": d.points[0].machine, **dict(d.axes), **dict(zip(found.objectives, d.values, strict=True))}
            for d in found.front]  # fmt: skip


def _with_objectives(sweep: Sweep, objectives: Sequence[str]) -> Sweep:
    if not objectives:
        return sweep
    known = get_args(Objective)
    for name in objectives:
        if name not in known:
            raise ConfigError(f"no objective '{name}'", f"known: {', '.join(known)}", file="--objective")
    chosen = cast(list[Objective], list(dict.fromkeys(objectives)))
    return sweep._replace(spec=sweep.spec.model_copy(update={"objectives": chosen}))


def _exact(grid: Grid, path: Path) -> np.ndarray:
    """Return the objectives of all legal designs from another store."""
    legal = grid.all_legal
    if legal is None:
        raise ConfigError(f"the space has {len(grid):,} designs, too many to know all", "drop it", file="--against")
    with open_reader(path) as store:
        model = store.meta()["model"]
        if model != model_version():
            problem = f"holds results of accelsim {model}, this is {model_version()}: they do not compare"
            raise ConfigError(problem, "sweep anew into another store", file=str(path))
        found = known(grid, store, legal)
        if isinstance(found, int):
            problem = f"lacks {found:,} of the {len(legal):,} legal designs"
            remedy = f"run 'accelsim sweep' on the same file, all combinations, with --store {path}"
            raise ConfigError(problem, remedy, file=str(path))
        return found.all()[1]


def _known(grid: Grid, store: Store) -> np.ndarray | None:
    """Return the objectives of all legal designs if this store happens to know them, for example of a sweep."""
    legal = grid.all_legal
    if legal is None or store.results() < len(legal) * len(grid.space.networks):
        return None
    found = known(grid, store, legal)
    return None if isinstance(found, int) else found.all()[1]
