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
        self._points: list[tuple[float, ...]] = []

    def __len__(self) -> int:
        return len(self._points)

    def add(self, point: Sequence[float | None]) -> None:
        """Add a point unless it is beaten or lacks a figure."""
        new = tuple(float(v) for v in point if v is not None)
        if len(new) < len(point) or any(_beats(old, new) for old in self._points):
            return
        self._points = [old for old in self._points if not _beats(new, old)]
        self._points.append(new)


def _beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))
