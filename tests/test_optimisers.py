"""Optimisers of designs: on functions whose best designs are known, without a simulation."""

import numpy as np
import pytest

from accelsim.explore.search import optimise
from accelsim.explore.search.distance import distance
from accelsim.explore.search.evolution import Cma, weightings
from accelsim.explore.search.genetic import Nsga2
from accelsim.explore.search.optimiser import Task

SIZES = (1, 30, 30, 30, 3)
GOAL = np.array([0, 21, 4, 13])


def bowl(designs):
    """Return one cost, least at `GOAL` and step 2 of the last column, whose steps have no order."""
    away = ((designs[:, :4] - GOAL) ** 2).sum(axis=1)
    return (1.0 + away + np.array([40, 90, 0])[designs[:, 4]])[:, None]


def trade(designs):
    """Return two costs that pull the second column both ways and agree about all others."""
    away = ((designs[:, 2:4] - GOAL[2:]) ** 2).sum(axis=1) + np.array([40, 90, 0])[designs[:, 4]]
    pull = designs[:, 1]
    return np.stack([1.0 + pull + away, 30.0 - pull + away], axis=1)


EXACT = np.array([[1.0 + pull, 30.0 - pull] for pull in range(30)])
"""The front of `trade`: all other columns at their best."""


def draw(rng, wanted):
    return np.stack([rng.integers(0, n, wanted) for n in SIZES], axis=1)


def search(method, cost, evaluations, seed=0, legal=lambda designs: np.ones(len(designs), dtype=bool)):
    """Return the costs of the first so many designs that a method asks for."""
    task = Task(SIZES, (True, False, False, False, True), cost(draw(np.random.default_rng(0), 1)).shape[1], draw, seed)
    optimiser, seen = optimise.make(method, task), []
    while sum(map(len, seen)) < evaluations:
        designs = optimiser.ask()
        assert ((designs >= 0) & (designs < SIZES)).all()
        values = np.where(legal(designs)[:, None], cost(designs), np.inf)
        optimiser.tell(designs, values)
        seen.append(values)
    return np.concatenate(seen)[:evaluations]


def test_the_evolution_strategy_finds_the_bottom_of_a_bowl():
    for seed in range(3):
        found = search("cma", bowl, 600, seed).min()
        assert found == 1.0
        assert found < search("random", bowl, 600, seed).min()


def test_a_genetic_algorithm_finds_most_of_a_front_that_random_draws_miss():
    for seed in range(2):
        bred, drawn = (distance(search(m, trade, 1200, seed), EXACT) for m in ("nsga2", "random"))
        assert bred.missed < 12
        assert drawn.missed > 27
        assert bred.hypervolume > 0.97 > drawn.hypervolume


def test_the_evolution_strategy_covers_a_front_better_than_random_draws():
    grown, drawn = (distance(search(m, trade, 1200), EXACT) for m in ("cma", "random"))
    assert grown.hypervolume > 0.9 > drawn.hypervolume
    assert grown.factor < drawn.factor


@pytest.mark.parametrize("method", ["nsga2", "cma"])
def test_designs_that_are_not_legal_are_kept_away_from(method):
    def legal(designs):
        return designs[:, 1] <= 10

    found = search(method, bowl, 800, legal=legal)
    assert found.min() <= 1.0 + 11**2 + 40
    assert np.isfinite(found[-200:]).mean() > np.isfinite(found[:40]).mean()


@pytest.mark.parametrize("kind", [Nsga2, Cma])
def test_the_same_answers_make_the_same_designs(kind):
    task = Task(SIZES, (True, False, False, False, True), 2, draw, 7)
    one, two = kind(task), kind(task)
    for _ in range(12):
        a = one.ask()
        one.tell(a, trade(a))
        np.random.random(3)
        b = two.ask()
        two.tell(b, trade(b))
        assert (a == b).all()


def test_one_column_is_enough():
    for method in ("nsga2", "cma", "random"):
        task = Task((1, 50), (True, False), 1, lambda rng, n: np.stack([rng.integers(0, m, n) for m in (1, 50)], 1), 0)
        optimiser, best = optimise.make(method, task), np.inf
        for _ in range(20):
            designs = optimiser.ask()
            values = 1.0 + np.abs(designs[:, 1:] - 37.0)
            optimiser.tell(designs, values)
            best = min(best, values.min())
        assert best == 1.0, method


def test_weightings_are_all_even_divisions():
    assert weightings(1).tolist() == [[1.0]]
    assert weightings(2).tolist() == [[0, 1], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [1, 0]]
    three = {tuple(row) for row in weightings(3).tolist()}
    assert three == {(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)}


def test_a_distance_by_hand():
    exact = np.array([[1.0, 4.0], [2.0, 2.0], [4.0, 1.0], [4.0, 4.0], [np.inf, 1.0]])
    same = distance(exact, exact)
    assert (same.exact, same.missed, same.hypervolume, same.factor) == (3, 0, 1.0, 1.0)
    found = distance(np.array([[2.0, 2.0], [4.0, 4.0], [5.0, 0.5]]), exact)
    # up to (4.4, 4.4): 3.4 x 0.4 + 2.4 x 2 + 0.4 x 1 = 6.56; ours dominates 2.4 x 2.4 of it, and (5, 0.5) lies outside
    assert found.hypervolume == pytest.approx(5.76 / 6.56)
    # to reach (1, 4) our (2, 2) must be halved; (4, 1) takes only (5, 0.5) / 1.25
    assert (found.exact, found.missed, found.factor) == (3, 2, 2.0)
    nothing = distance(np.array([[np.inf, np.inf]]), exact)
    assert (nothing.missed, nothing.hypervolume, nothing.factor) == (3, 0.0, np.inf)
