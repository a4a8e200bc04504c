"""Pareto fronts: the points that no other point beats in every objective."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def front(values: np.ndarray) -> np.ndarray:
    """Return which points lie on the front, all objectives being minimised.

    Equal points are all on it. A point with a figure that is not a number is never on it.

    Parameters
    ----------
    values : array, shape (points, objectives), float64

    Returns
    -------
    array, shape (points,), bool
    """
    on = np.zeros(len(values), dtype=np.bool_)
    known = np.flatnonzero(~np.isnan(values).any(axis=1))
    # in lexicographic order nothing later can dominate anything earlier
    order = known[np.lexsort(values[known].T[::-1])]
    kept: list[int] = []
    for i in order.tolist():
        rivals = values[kept]
        beaten = (rivals <= values[i]).all(axis=1) & (rivals < values[i]).any(axis=1)
        if not beaten.any():
            kept.append(i)
    on[kept] = True
    return on


class Front:
    """A front that grows as points come in; points that are beaten leave."""

    def __init__(self) -> None:
        self._points: np.ndarray | None = None

    def __len__(self) -> int:
        return 0 if self._points is None else len(self._points)

    def add(self, point: Sequence[float | None]) -> None:
        """Add a point unless it is beaten or lacks a figure."""
        self.extend([point])

    def extend(self, points: Sequence[Sequence[float | None]]) -> None:
        """Add points; those that are beaten by what is there already are found all at once."""
        new = np.array([point for point in points if None not in point], dtype=np.float64)
        if self._points is not None and len(new):
            old = self._points[:, None, :]
            beaten = (old <= new).all(axis=2) & (old < new).any(axis=2)
            new = new[~beaten.any(axis=0)]
        for point in new:
            self._add(point[None, :])

    def _add(self, new: np.ndarray) -> None:
        if self._points is None:
            self._points = new
            return
        old = self._points
        no_worse, no_better = (old <= new).all(axis=1), (old >= new).all(axis=1)
        if not (no_worse & ~no_better).any():
            self._points = np.concatenate((old[~no_better | no_worse], new))
