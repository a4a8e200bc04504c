"""The designs of a sweep file as rows of whole numbers, without a list of all of them.

A design is a machine and a step of every axis; it is simulated on all networks. Column 0 numbers the machine, the
others the step of each axis of `Grid.space`.
"""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from accelsim.errors import ConfigError
from accelsim.explore.sweep.schema import Sweep
from accelsim.explore.sweep.space import Point, Space, expand

LISTED = 200_000
"""A space of at most this many designs is listed; of a larger one it is not known how many are legal."""
DRAWS = 2_000
"""Designs drawn for each legal one that is wanted, before it is said that there are none."""


class Grid:
    """All designs of a sweep file; its ``sampling`` is left aside."""

    def __init__(self, sweep: Sweep) -> None:
        self.space: Space = expand(sweep, np.zeros((1, len(sweep.axes)), dtype=np.int64))
        self.sizes = (len(self.space.archs), *(len(axis.steps) for axis in self.space.axes))
        self._machines, self._networks = list(self.space.archs), list(self.space.networks)

    def __len__(self) -> int:
        return prod(self.sizes)

    @cached_property
    def words(self) -> tuple[bool, ...]:
        """Say of each column whether its values have no order: machines, words, switches, zipped groups of them."""
        return (True, *(not all(_is_number(v) for step in axis.steps for v in step) for axis in self.space.axes))

    def legal(self, designs: np.ndarray) -> np.ndarray:
        """Return which designs break no constraint and have only allowed values, before anything is simulated.

        Parameters
        ----------
        designs : array, shape (designs, 1 + axes), int64

        Returns
        -------
        array, shape (designs,), bool
        """
        if not len(designs):
            return np.zeros(0, dtype=np.bool_)
        reasons = self.space.at(designs[:, 1:]).reasons
        mine = reasons[designs[:, 0], np.arange(len(designs))]
        return np.array([all(reason is None for reason in row) for row in mine.tolist()], dtype=np.bool_)

    def points(self, designs: np.ndarray, first: int = 0) -> list[list[Point]]:
        """Return the points of each design, one per network; positions count up from ``first``."""
        listed = list(self.space.at(designs[:, 1:]).points())
        networks, rows = len(self._networks), len(designs)
        found = []
        for d, machine in enumerate(designs[:, 0].tolist()):
            begin = (machine * rows + d) * networks
            mine = listed[begin : begin + networks]
            found.append([p._replace(position=first + d * networks + n) for n, p in enumerate(mine)])
        return found

    @cached_property
    def all_legal(self) -> np.ndarray | None:
        """All legal designs, shape (designs, 1 + axes); None where the space is too large to be listed."""
        if len(self) > LISTED:
            return None
        designs = np.indices(self.sizes, dtype=np.int64).reshape(len(self.sizes), -1).T
        return designs[self.legal(designs)]

    def draw(self, rng: np.random.Generator, wanted: int) -> np.ndarray:
        """Draw legal designs evenly: different ones where the space is listed, else repeats are possible but rare.

        Raises
        ------
        ConfigError
            No legal design is found.
        """
        known = self.all_legal
        if known is None:
            return self._try(rng, wanted)
        if not len(known):
            raise self._none("all are ruled out")
        return known[rng.permutation(len(known))[:wanted]]

    def _try(self, rng: np.random.Generator, wanted: int) -> np.ndarray:
        found: list[np.ndarray] = []
        for _ in range(DRAWS):
            drawn = np.stack([rng.integers(0, n, wanted) for n in self.sizes], axis=1)
            found.append(drawn[self.legal(drawn)])
            if sum(map(len, found)) >= wanted:
                break
        legal = np.concatenate(found)
        if not len(legal):
            raise self._none(f"{DRAWS * wanted:,} random ones are all ruled out")
        return legal[:wanted]

    def _none(self, why: str) -> ConfigError:
        problem = f"no design of the space is legal ({why})"
        return self.space.sweep.document.error(("constraints",), problem, "loosen the constraints or widen the axes")

    def axes_of(self, point: Point) -> dict[str, Any]:
        """Return key -> value of a point, in the order of the sweep file."""
        given = {**dict(point.sets), **dict(point.options)}
        return {key: given[key] for key in self.space.keys}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
