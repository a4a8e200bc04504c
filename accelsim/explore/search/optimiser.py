"""What an optimiser is: ask for designs, be told what they cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

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
