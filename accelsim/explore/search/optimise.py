"""The optimisers by name. Random draws are the baseline."""

from __future__ import annotations

import numpy as np

from accelsim.errors import ConfigError
from accelsim.explore.search.optimiser import BATCH, Optimiser, Task

METHODS = {
    "nsga2": "NSGA-II, a genetic algorithm for several objectives (pymoo)",
    "cma": "CMA-ES, an evolution strategy, once per weighting of the objectives (cma)",
    "random": "legal designs drawn evenly, the baseline",
}
"""Name -> what it is."""


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
            from accelsim.explore.search.genetic import Nsga2

            return Nsga2(task)
        if method == "cma":
            from accelsim.explore.search.evolution import Cma

            return Cma(task)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("pymoo", "cma"):
            raise
        problem = f"'{method}' needs the package '{package}'"
        raise ConfigError(problem, "pip install 'accelsim[search]'", file="--method") from None
    return Random(task)
