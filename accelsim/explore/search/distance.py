"""How far a front that was found lies from the exact one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelsim.errors import ConfigError
from accelsim.explore.sweep.pareto import front

MARGIN = 1.1
"""The volume is measured up to the exact front's worst figures times this (a convention of the field)."""


class Distance(NamedTuple):
    """A front against the exact one.

    Attributes
    ----------
    exact : int
        Different points of the exact front.
    missed : int
        How many of them were not found.
    hypervolume : float
        Dominated volume over the exact front's, 1 when nothing is missed.
    factor : float
        The least number by which all figures found must be divided to reach every exact point; 1 when none is missed.
    """

    exact: int
    missed: int
    hypervolume: float
    factor: float


def distance(found: np.ndarray, everything: np.ndarray) -> Distance:
    """Compare designs that were found with all designs.

    Parameters
    ----------
    found, everything : array, shape (designs, objectives), float64
        Positive figures to minimise, infinite where a design is not legal.

    Raises
    ------
    ConfigError
        The package that measures volumes is not installed.
    """
    try:
        from moocore import hypervolume
    except ImportError:
        problem = "the distance of two fronts needs the package 'moocore'"
        raise ConfigError(problem, "pip install 'accelsim[search]'") from None
    exact, ours = best(everything), best(found)
    missed = len({tuple(row) for row in exact.tolist()} - {tuple(row) for row in ours.tolist()})
    if not len(ours):
        return Distance(len(exact), missed, 0.0, float("inf"))
    limit = exact.max(axis=0)
    # figures are measured in those of the worst point of the exact front, so that units do not matter
    whole, part = (hypervolume(points / limit, ref=np.full(len(limit), MARGIN)) for points in (exact, ours))
    ratios = (ours[:, None, :] / exact[None, :, :]).max(axis=2)
    return Distance(len(exact), missed, float(part / whole), float(ratios.min(axis=0).max()))


def best(values: np.ndarray) -> np.ndarray:
    """Return the different points of the front of those rows that are finite."""
    finite = values[np.isfinite(values).all(axis=1)]
    return np.unique(finite[front(finite)], axis=0)
