"""Widths of least noise under a budget: a greedy descent, differential evolution from there, integer programming.

All see what choices cost through `accelsim.explore.precision.space.Space`, which simulates on demand. The setting is
that of HAQ (K. Wang et al., CVPR 2019), bits per layer under a budget of the machine's own cost, without training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import ConfigError
from accelsim.explore.precision import exact as precision_exact
from accelsim.explore.precision.space import QUANTITIES, Budgets, Choices, Costs, PrecisionSpace
from accelsim.explore.sweep.pareto import front

Method: TypeAlias = Literal["greedy", "evolution", "exact"]
GENERATIONS, PER_KNOB = 150, 4
"""Of the evolution: generations, and individuals per knob."""

STRAY = 0.2
"""Share of the knobs that the first individuals have one width wider or narrower than the greedy descent."""

_BARRED = 1e6
"""Objective of a choice that cannot run; real ones are decades of noise."""


@dataclass(frozen=True)
class Point:
    """One assignment of widths: its choice per knob, what it costs, and who found it."""

    choice: tuple[int, ...]
    cycles: float
    energy_pj: float
    size_bits: float
    noise: float
    origin: str


@dataclass(frozen=True)
class Found:
    """Result of a search: the point within the budgets, all front points, and every uniform width.

    ``quantity`` is the cost that the front sets against noise.
    """

    quantity: str
    budgets: Budgets
    best: Point | None
    front: tuple[Point, ...]
    uniform: tuple[Point, ...]


def search(
    space: PrecisionSpace, budgets: Budgets, method: Method = "evolution", quantity: str = "cycles", points: int = 12,
    seed: int = 0,
) -> Found:  # fmt: skip
    """Look for the least noise within budgets, and for the front of one cost against noise.

    Parameters
    ----------
    space : PrecisionSpace
    budgets : mapping
        Quantity of `QUANTITIES` -> most; may be empty, then there is no ``best``.
    method : "greedy", "evolution" or "exact"
        The evolution starts from what the greedy descent found, so that it is never worse. The exact method gives the
        least noise that there is within the budgets; the rest of the front is then the greedy descent's.
    quantity : str
        Cost of the front.
    points : int
        Limits of that cost at which the evolution looks for a point of the front, evenly spaced in their logarithm.
    seed : int

    Raises
    ------
    ConfigError
        A budget that even the narrowest widths exceed: says by how much.
    """
    uniform = _uniform(space)
    start = space.start()
    runnable = [point for point in uniform if np.isfinite(point.cycles)]
    for name, most in budgets.items():
        least = min(getattr(point, name) for point in runnable)
        if least > most:
            raise ConfigError(
                f"{name} of {most:,.4g} cannot be met", f"the narrowest widths need {least:,.4g}", file="--budget"
            )
    path = _descend(space, {quantity: 1.0}, start)
    known = [*uniform, *_points(space, path, "greedy")]
    if method == "evolution":
        costs = [getattr(point, quantity) for point in (*runnable, *known) if np.isfinite(point.cycles)]
        for limit in np.geomspace(min(costs), max(costs), points)[1:-1]:
            known.append(_solve(space, {quantity: float(limit)}, method, seed, path))
    best = None
    if budgets:
        same = set(budgets) == {quantity}
        if method == "exact":
            best = _points(space, precision_exact.solve(space, budgets), "exact")[0]
        else:
            best = _solve(space, budgets, method, seed, path if same else _descend(space, budgets, start))
        known.append(best)
    known = [point for point in known if np.isfinite(point.cycles)]
    values = np.array([(getattr(point, quantity), point.noise) for point in known])
    on = front(values)
    distinct = {(v[0], v[1]): point for v, point, kept in zip(values.tolist(), known, on, strict=True) if kept}
    ordered = [distinct[key] for key in sorted(distinct)]
    return Found(quantity, dict(budgets), best, tuple(ordered), tuple(uniform))


def _uniform(space: PrecisionSpace) -> list[Point]:
    same = np.repeat(np.arange(len(space.widths))[:, None], len(space.knobs), axis=1)
    points = _points(space, same, "uniform")
    return [
        Point(p.choice, p.cycles, p.energy_pj, p.size_bits, p.noise, f"all {bits} bits")
        for p, bits in zip(points, space.widths, strict=True)
    ]


def _points(space: PrecisionSpace, choices: Choices, origin: str) -> list[Point]:
    costs = space.costs(choices)
    rows = zip(np.atleast_2d(choices).tolist(), *(column.tolist() for column in costs), strict=True)
    return [Point(tuple(choice), cycles, pj, bits, noise, origin) for choice, cycles, pj, bits, noise in rows]


def _measure(costs: Costs, budgets: Budgets) -> NDArray[np.float64]:
    """Return the largest cost in shares of its budget: at most 1 within all of them."""
    return np.max([getattr(costs, name) / most for name, most in budgets.items()], axis=0)


def _descend(space: PrecisionSpace, budgets: Budgets, now: Choices) -> Choices:
    """Return the choices on the way from ``now`` to the narrowest, each narrowing one knob.

    Of all narrowings the one that saves most for the noise that it adds; cost is the sum in shares of the budgets.
    """

    def cost(choices: Choices) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        found = space.costs(choices)
        return np.sum([getattr(found, name) / most for name, most in budgets.items()], axis=0), found.noise

    path = [now]
    while True:
        tries = _moves(now, range)
        if not len(tries):
            break
        costs, noise = cost(np.vstack([now, *tries]))
        saved, added = costs[0] - costs[1:], np.maximum(noise[1:] - noise[0], 1e-300)
        if not (saved > 0).any():
            break
        now = tries[int(np.argmax(np.where(saved > 0, saved / added, -np.inf)))]
        path.append(now)
    return np.vstack(path)


def _moves(now: Choices, to: Callable[[int], range]) -> Choices:
    """Return all choices that differ from ``now`` in one knob, whose new index ``to`` lists."""
    found = []
    for knob, index in enumerate(now.tolist()):
        for other in to(index):
            changed = now.copy()
            changed[knob] = other
            found.append(changed)
    return np.array(found, dtype=np.int64).reshape(-1, now.size)


def _solve(space: PrecisionSpace, budgets: Budgets, method: Method, seed: int, path: Choices) -> Point:
    """Return the point of least noise within budgets that a method finds."""
    measures = _measure(space.costs(path), budgets)
    within = np.flatnonzero(measures <= 1)
    start = path[within[0]] if within.size else path[int(np.argmin(measures))]
    start, origin = _raised(space, start, budgets), "greedy"
    if method == "evolution":
        evolved = _raised(space, _evolve(space, budgets, seed, start), budgets)
        both = space.costs(np.vstack([start, evolved]))
        inside = _measure(both, budgets) <= 1
        if inside[1] and (both.noise[1] < both.noise[0] or not inside[0]):
            start, origin = evolved, "evolution"
    return _points(space, start, origin)[0]


def _raised(space: PrecisionSpace, now: Choices, budgets: Budgets) -> Choices:
    """Return a choice with knobs widened, the least noisy first, while the budgets hold."""
    while True:
        tries = _moves(now, lambda index: range(index + 1, len(space.widths)))
        if not len(tries):
            return now
        costs = space.costs(np.vstack([now, tries]))
        allowed = (_measure(costs, budgets)[1:] <= 1) & (costs.noise[1:] < costs.noise[0])
        if not allowed.any():
            return now
        now = tries[int(np.argmin(np.where(allowed, costs.noise[1:], np.inf)))]


def _evolve(space: PrecisionSpace, budgets: Budgets, seed: int, start: Choices) -> Choices:
    """Return the fittest choice of a differential evolution; a choice beyond a budget is worse than any within."""
    from scipy.optimize import differential_evolution

    top = len(space.widths) - 1
    if top == 0:
        return start

    def objective(columns: NDArray[np.float64]) -> NDArray[np.float64]:
        choices = np.rint(columns).astype(np.int64).T.reshape(-1, len(space.knobs))
        costs = space.costs(choices)
        beyond = _measure(costs, budgets)
        decades = np.log10(np.maximum(costs.noise, 1e-300))
        worth = np.where(beyond <= 1, decades, 100 + beyond)
        return np.where(np.isfinite(beyond), worth, _BARRED)

    rng = np.random.Generator(np.random.Philox(seed))
    size = (max(8, PER_KNOB * len(space.knobs)), len(space.knobs))
    strays = rng.integers(-1, 2, size) * (rng.random(size) < STRAY)
    first = np.clip(start + strays, 0, top).astype(np.float64)
    first[0] = start
    found = differential_evolution(
        objective, [(0, top)] * len(space.knobs), integrality=True, vectorized=True, updating="deferred", polish=False,
        maxiter=GENERATIONS, seed=seed, init=first, tol=0,
    )  # fmt: skip
    return np.rint(found.x).astype(np.int64)


__all__ = ["QUANTITIES", "Found", "Method", "Point", "search"]
