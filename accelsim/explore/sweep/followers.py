"""Counts that follow from others: what trunks carry, and the unit-cycles of registers and clocks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from accelsim.activity import Event
from accelsim.components import Clock, Component, Link
from accelsim.config.schema import Gating
from accelsim.energy import states

Trunks: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
"""Of each trunk its name and the flows that it carries."""
Clocks: TypeAlias = tuple[tuple[str, str, str], ...]
"""Names of registers and of their clock, and their kind of units."""


def told(components: Iterable[Component]) -> tuple[Trunks, Clocks]:
    """Return the trunks and the clocks of a unit."""
    found = list(components)
    return (
        tuple((c.name, c.carries) for c in found if isinstance(c, Link) and c.carries),
        tuple((c.registers.name, c.name, c.registers.unit) for c in found if isinstance(c, Clock)),
    )


@lru_cache(maxsize=256)
def followers(
    trunks: Trunks, clocks: Clocks, gating: Gating,
    primary: int, counted: tuple[tuple[str, str], ...], events: tuple[Event, ...],
) -> tuple[tuple[Event, ...], np.ndarray]:  # fmt: skip
    """Return the events that follow from others, and which columns of `Many.table`, from the causes on, each adds up.

    Parameters
    ----------
    clocks : tuple
        Names of registers and of their clock, and their kind of units.
    primary : int
        How many of the causes in ``counted`` are of the primary units, and stand before the events.
    """
    crossing = [f"{event.component}/{event.action}" for event in events]
    found: dict[Event, list[bool]] = {}
    for name, carries in trunks:
        if (moved := Event(name, "transfer")) not in events:
            carried = [each in carries for each in crossing]
            found[moved] = [*[False] * primary, *carried, *[False] * (len(counted) - primary)]
    for registers, clock, unit in clocks:
        for event, among in states(registers, clock, gating):
            own = [kind == unit and among(cause) for kind, cause in counted]
            found[event] = [*own[:primary], *[False] * len(events), *own[primary:]]
    wide = len(counted) + len(events)
    return tuple(found), np.array(list(found.values()), dtype=np.int64).reshape(len(found), wide).T
