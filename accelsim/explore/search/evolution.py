"""CMA-ES by cma, one strategy per weighting of the objectives.

Source: Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772; whole numbers as cma handles them. CMA-ES
minimises one figure, so several objectives are put into one: the augmented weighted Chebyshev distance (Steuer and
Choo, Mathematical Programming 1983) of their logarithms from the best seen, in shares of the range seen. Strategies
take turns, one generation each, over evenly spaced weightings, and start anew from a random design when they have
converged. Columns without an order are taken in the order of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import cma
import numpy as np

from accelsim.explore.search.optimiser import Task

STEPS = {1: 1, 2: 4}
"""Objectives -> parts into which a weight is divided; 2 for more objectives."""
AUGMENTED = 0.05
"""Share of the plain sum in the distance (assumed): it settles ties among designs that are equal in the worst."""
WIDTH = 0.3
"""Standard deviation at the start, in shares of an axis (cma's advice: about a third of the range)."""


class Cma:
    """Strategies that take turns."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._free = [i for i, n in enumerate(task.sizes) if n > 1]
        self._weights = weightings(task.objectives)
        self._strategies: list[Any] = [None] * len(self._weights)
        self._turn = 0
        self._rng = np.random.default_rng(task.seed)
        self._random = np.random.RandomState(task.seed).get_state()
        self._low = np.full(task.objectives, np.inf)
        self._high = np.full(task.objectives, -np.inf)

    def ask(self) -> np.ndarray:
        """Return the next generation of the strategy whose turn it is."""
        with self._own_random():
            strategy = self._strategies[self._turn]
            if strategy is None or strategy.stop():
                strategy = self._strategies[self._turn] = self._start()
            self._asked = strategy.ask()
        designs = np.zeros((len(self._asked), len(self._task.sizes)), dtype=np.int64)
        largest = np.array([self._task.sizes[i] - 1 for i in self._free])
        steps = np.array(self._asked)[:, : len(self._free)]
        designs[:, self._free] = np.clip(np.rint(steps), 0, largest).astype(np.int64)
        return designs

    def tell(self, designs: np.ndarray, values: np.ndarray) -> None:
        """Teach the strategy whose turn it was."""
        legal = np.isfinite(values).all(axis=1)
        costs = np.zeros(len(values))
        if legal.any():
            logs = np.log(values[legal])
            self._low = np.minimum(self._low, logs.min(axis=0))
            self._high = np.maximum(self._high, logs.max(axis=0))
            costs[legal] = distance(logs, self._low, self._high, self._weights[self._turn])
        # only the order counts: the illegal ones come last
        costs[~legal] = 1 + costs.max()
        with self._own_random():
            self._strategies[self._turn].tell(self._asked, costs.tolist())
        self._turn = (self._turn + 1) % len(self._weights)

    def _start(self) -> Any:
        sizes = np.array([self._task.sizes[i] for i in self._free], dtype=np.float64)
        start = self._task.draw(self._rng, 1)[0][self._free].astype(np.float64)
        numbers = list(range(len(sizes)))
        if len(sizes) == 1:  # cma wants two dimensions: the second one means nothing
            sizes, start = np.append(sizes, 2.0), np.append(start, 0.0)
        options = {
            "bounds": [[-0.499] * len(sizes), (sizes - 0.501).tolist()], "CMA_stds": WIDTH * sizes,
            "integer_variables": numbers, "seed": np.nan, "verbose": -9, "verb_log": 0, "verb_disp": 0,
        }  # fmt: skip
        return cma.CMAEvolutionStrategy(start, 1.0, options)

    @contextmanager
    def _own_random(self) -> Iterator[None]:
        """Give cma a state of its own: it draws from numpy's global generator."""
        outside = np.random.get_state()
        np.random.set_state(self._random)
        try:
            yield
        finally:
            self._random = np.random.get_state()
            np.random.set_state(outside)


def weightings(objectives: int) -> np.ndarray:
    """Return evenly spaced weights, shape (weightings, objectives), each row summing to 1."""
    parts = STEPS.get(objectives, 2)
    cuts = combinations(range(parts + objectives - 1), objectives - 1)
    rows = [np.diff([-1, *cut, parts + objectives - 1]) - 1 for cut in cuts]
    return np.array(rows, dtype=np.float64) / parts


def distance(logs: np.ndarray, low: np.ndarray, high: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the augmented weighted Chebyshev distance from ``low``.

    Parameters
    ----------
    logs : array, shape (designs, objectives), float64
        Logarithms of the objectives.
    low, high, weights : array, shape (objectives,), float64

    Returns
    -------
    array, shape (designs,), float64
    """
    shares = (logs - low) / np.where(high > low, high - low, 1.0)
    worst: np.ndarray = (weights * shares).max(axis=1)
    return worst + AUGMENTED * shares.sum(axis=1)
