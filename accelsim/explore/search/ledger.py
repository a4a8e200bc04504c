"""What designs cost: the figures of their points put together into objectives that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, TypeAlias

import numpy as np

from accelsim.basis import mean
from accelsim.explore.search.distance import best
from accelsim.explore.sweep.grid import Grid
from accelsim.explore.sweep.store import Store

Design: TypeAlias = tuple[int, ...]
Result: TypeAlias = tuple[str, Mapping[str, Any]]
"""Status and figures of a point, as `Store.figures` gives them."""


class Ledger:
    """Designs and their objectives, infinite where they cannot be compared.

    An objective of a design is the geometric mean of its figures over the networks: ratios of designs count, whatever
    the size of a network.
    """

    def __init__(self, objectives: Sequence[str]) -> None:
        self.objectives = tuple(objectives)
        self.on_front = 0
        self._values: dict[Design, tuple[float, ...]] = {}
        self._status: dict[Design, str] = {}
        self._covered: dict[Design, tuple[tuple[str, ...], ...]] = {}
        """Layers simulated of each network."""

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, design: Design) -> bool:
        return design in self._values

    def enter(self, results: Mapping[Design, Sequence[Result]]) -> None:
        """Enter designs with the results of their points, one per network."""
        for design, mine in results.items():
            self._judge(design, mine)
        # who comes first of those that simulate most decides, whatever the workers: designs are entered in order
        widest = max(self._covered.values(), key=lambda covered: [*map(len, covered)], default=())
        for design in [d for d, covered in self._covered.items() if covered != widest]:
            self._rule_out(design, "partial")
        self.on_front = len(best(self.all()[1]))

    def of(self, designs: Sequence[Design]) -> np.ndarray:
        """Return the objectives of designs, shape (designs, objectives); infinite for those not entered."""
        nothing = (np.inf,) * len(self.objectives)
        found = [self._values.get(design, nothing) for design in designs]
        return np.array(found, dtype=np.float64).reshape(len(designs), len(self.objectives))

    def all(self) -> tuple[list[Design], np.ndarray]:
        """Return all designs in the order in which they were entered, and their objectives."""
        designs = list(self._values)
        return designs, self.of(designs)

    def left_out(self) -> tuple[int, int, int]:
        """Return how many designs could not be mapped, failed, or leave out layers that others simulate."""
        found = list(self._status.values())
        return found.count("illegal"), found.count("failed"), found.count("partial")

    def _judge(self, design: Design, results: Sequence[Result]) -> None:
        bad = [status for status, _ in results if status != "ok"]
        if bad:
            self._rule_out(design, bad[0])
            return
        self._covered[design] = tuple(figures["ran"] for _, figures in results)
        columns = [[figures[name] for _, figures in results] for name in self.objectives]
        self._values[design] = tuple(inf if (one := mean(column)) is None else one for column in columns)

    def _rule_out(self, design: Design, status: str) -> None:
        self._values[design] = (np.inf,) * len(self.objectives)
        self._status[design] = status
        self._covered.pop(design, None)


def known(grid: Grid, store: Store, designs: np.ndarray) -> Ledger | int:
    """Return a ledger of designs that a store knows, or how many of them it does not; nothing is run or written."""
    points = grid.points(designs)
    done = store.figures([p.key for mine in points for p in mine])
    missing = sum(any(p.key not in done for p in mine) for mine in points)
    if missing:
        return missing
    ledger = Ledger(grid.space.sweep.spec.objectives)
    rows = [tuple(row) for row in designs.tolist()]
    ledger.enter({row: [done[p.key] for p in mine] for row, mine in zip(rows, points, strict=True)})
    return ledger
