"""Tiles in rows of which some tensors move at other places than DRAM: no step is made of them unless somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from accelsim.activity import Direction, Loop, Step
from accelsim.memory.timeline import LaidOut


class Elsewhere(Sequence[Step | Loop]):
    """A schedule.

    Attributes
    ----------
    tiles : LaidOut
        With all of it at DRAM.
    places : mapping
        (tensor, direction) -> where that moves instead.
    """

    def __init__(
        self, tiles: LaidOut, places: Mapping[tuple[str, Direction], str], make: Callable[[], Sequence[Step | Loop]]
    ) -> None:
        """Keep them; ``make`` gives the steps."""
        self.tiles, self.places, self._make = tiles, places, make

    @cached_property
    def items(self) -> Sequence[Step | Loop]:
        """The steps and loops."""
        return self._make()

    def __eq__(self, other: object) -> bool:
        """Whether another one has the same steps."""
        return isinstance(other, Elsewhere) and tuple(self.items) == tuple(other.items)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        """Return how many steps and loops there are on the outermost level."""
        return len(self.tiles)

    def __getitem__(self, at: Any) -> Any:
        """Return a step or a loop."""
        return self.items[at]
