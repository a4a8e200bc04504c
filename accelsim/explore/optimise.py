"""What an optimiser is: ask for designs, be told what they cost. Random draws are the baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from accelsim.errors import ConfigError

METHODS = {
    "nsga2": "NSGA-II, a genetic algorithm for several objectives (pymoo)",
    "cma": "CMA-ES, an evolution strategy, once per weighting of the objectives (cma)",
    "random": "legal designs drawn evenly, the baseline",
}
"""Name -> what it is."""
BATCH = 40
"""Designs of a random batch, and of a generation of NSGA-II."""

Draw: TypeAlias = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class Task:
    """What an optimiser is to minimise over.

    Attributes
    ----------
    sizes : tuple of int
        Steps of each column of a design.
    words : tuple of bool
        Columns whose steps have no order.
    objectives : int
    draw : callable
        (generator, n) -> up to n legal designs.
    seed : int
    """

    sizes: tuple[int, ...]
    words: tuple[bool, ...]
    objectives: int
    draw: Draw
    seed: int


class Optimiser(Protocol):
    """Proposes designs and learns from their costs; the same answers make it propose the same designs again."""

    def ask(self) -> np.ndarray:
        """Return the designs to try next, shape (designs, columns), int64; some may have been tried before."""

    def tell(self, designs: np.ndarray, values: np.ndarray) -> None:
        """Take the costs of the designs that were asked for.

        Parameters
        ----------
        designs : array, shape (designs, columns), int64
        values : array, shape (designs, objectives), float64
            Positive; infinite where a design is not legal or has no figure.
        """


class Random:
    """Draws legal designs evenly and learns nothing."""

    def __init__(self, task: Task) -> None:
        self._draw, self._rng = task.draw, np.random.default_rng(task.seed)

    def ask(self) -> np.ndarray:
        """Draw a batch."""
        return self._draw(self._rng, BATCH)

    def tell(self, designs: np.ndarray, values: np.ndarray) -> None:
        """Forget them."""


def make(method: str, task: Task) -> Optimiser:
    """Return an optimiser of `METHODS`.

    Raises
    ------
    ConfigError
        One whose package is not installed.
    """
    try:
        if method == "nsga2":
            from accelsim.explore.genetic import Nsga2

            return Nsga2(task)
        if method == "cma":
            from accelsim.explore.evolution import Cma

            return Cma(task)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("pymoo", "cma"):
            raise
        problem = f"'{method}' needs the package '{package}'"
        raise ConfigError(problem, "pip install 'accelsim[search]'", file="--method") from None
    return Random(task)
