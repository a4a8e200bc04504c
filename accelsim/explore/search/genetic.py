"""NSGA-II by pymoo.

Source: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE TEC 2002. Columns with an
order are whole numbers under simulated binary crossover and polynomial mutation, columns without one are choices. The
distribution indices of 3 are those that pymoo's documentation uses for whole numbers: with 20, its default for real
ones, an axis of three values would hardly ever mutate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.core.evaluator import Evaluator
from pymoo.core.mixed import MixedVariableDuplicateElimination, MixedVariableMating
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.core.variable import Choice, Integer
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.mutation.rm import ChoiceRandomMutation
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.selection.tournament import TournamentSelection
from pymoo.problems.static import StaticProblem

from accelsim.explore.search.optimiser import BATCH, Task

ETA = 3.0
MATINGS = 20
"""Attempts to breed designs that are not in the population; in a small space there may be none left."""


class Nsga2:
    """A population of `BATCH` designs, first drawn evenly, then bred."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._free = [i for i, n in enumerate(task.sizes) if n > 1]
        variables: dict[str, Any] = {}
        for i in self._free:
            last = task.sizes[i] - 1
            variables[str(i)] = Choice(options=range(last + 1)) if task.words[i] else Integer(bounds=(0, last))
        self._problem = Problem(vars=variables, n_obj=task.objectives, n_ieq_constr=1)
        first = task.draw(np.random.default_rng(task.seed), BATCH)
        alike = MixedVariableDuplicateElimination()
        repair = RoundingRepair()
        mating = MixedVariableMating(
            selection=TournamentSelection(func_comp=binary_tournament),
            crossover={Integer: SBX(eta=ETA, vtype=float, repair=repair), Choice: UX()},
            mutation={Integer: PM(eta=ETA, vtype=float, repair=repair), Choice: ChoiceRandomMutation()},
            eliminate_duplicates=alike, n_max_iterations=MATINGS,
        )  # fmt: skip
        self._algorithm = NSGA2(
            pop_size=BATCH, sampling=Population.new(X=[self._named(d) for d in first]), mating=mating,
            eliminate_duplicates=alike,
        )  # fmt: skip
        self._algorithm.setup(self._problem, termination=NoTermination(), seed=task.seed)
        self._asked: Any = None

    def ask(self) -> np.ndarray:
        """Return the next generation."""
        self._asked = self._algorithm.ask()
        designs = np.zeros((len(self._asked), len(self._task.sizes)), dtype=np.int64)
        for row, individual in zip(designs, self._asked, strict=True):
            for i in self._free:
                row[i] = int(individual.X[str(i)])
        return designs

    def tell(self, designs: np.ndarray, values: np.ndarray) -> None:
        """Breed from these; whatever is infinite breaks the one constraint that pymoo is told of."""
        legal = np.isfinite(values).all(axis=1)
        figures = np.where(legal[:, None], values, 0.0)
        static = StaticProblem(self._problem, F=figures, G=np.where(legal, -1.0, 1.0)[:, None])
        Evaluator().eval(static, self._asked)
        self._algorithm.tell(infills=self._asked)

    def _named(self, design: np.ndarray) -> dict[str, int]:
        return {str(i): int(design[i]) for i in self._free}
