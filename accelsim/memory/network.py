"""One clock for a network: layers on units that share buses, tile by tile; `docs/decisions/0090-network-timeline.md`.

A unit computes its layers in network order. What they move is listed in a fixed order, one list per unit and place, and
the head of each list competes for the bus of its place. The rules stand in `network_kernel`; `network_reference` steps
the same rules cycle by cycle and shares no code with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple, TypeAlias

from accelsim.activity import Loop, Step
from accelsim.memory.dram import DramModel

DRAM = "dram"
MADE = frozenset({"input", "index", "psum", "other"})
"""What a tile loads that waits for the layers that make it, unless somebody knows better; the rest are constants."""

Buses: TypeAlias = Mapping[str, DramModel | None]
"""Place -> its port in core cycles; None: as wide as anybody needs, and nothing waits for it."""
Prefetch: TypeAlias = Literal["none", "tile"] | int | Fraction
"""What constants are fetched ahead: not before the layer before has computed; into the other half of the buffer, as
within a layer; into so many KiB of room."""


class Edge(NamedTuple):
    """A layer reads what program number ``producer`` makes, from where it lives: there it must have been written."""

    producer: int
    place: str = DRAM


@dataclass(frozen=True)
class Program:
    """A layer as the timeline sees it; its number is its position in the network's order.

    Attributes
    ----------
    unit, layer : str
        Names.
    schedule : sequence of Step and Loop, or None
        Its tiles; None of a coupled engine, which has machine and buses for itself for ``alone_cycles``.
    producers : tuple of Edge
        Whose results it reads: earlier programs.
    after : tuple of int
        Room edges: earlier programs that must have computed before this one's first tile may write where they read.
    made : set of str
        Which of the tensors it loads are made by ``producers``; the others are constants, and wait for nobody.
    alone_cycles : int
    """

    unit: str
    layer: str
    schedule: Sequence[Step | Loop] | None
    producers: tuple[Edge, ...] = ()
    after: tuple[int, ...] = ()
    made: frozenset[str] = MADE
    alone_cycles: int = 0


class LayerSpan(NamedTuple):
    """When a layer had its unit, and for what.

    Attributes
    ----------
    begin_cycle : int
        The end of the unit's computation before; 0 for its first layer.
    start_cycle, end_cycle : int
        Begin of the layer's first computation, end of its last.
    stored_cycle : int
        When everything is written, too.
    work_cycles : int
        Computation.
    producer_cycles, room_cycles : int
        The unit waited for another layer's result, or for the last reader of where it writes.
    memory_cycles, conflict_cycles : int
        It waited for DRAM, or for the port of another place.
    """

    begin_cycle: int
    start_cycle: int
    end_cycle: int
    stored_cycle: int
    work_cycles: int
    producer_cycles: int
    room_cycles: int
    memory_cycles: int
    conflict_cycles: int

    @property
    def cycles(self) -> int:
        """The layer's share of its unit's time: work and waits."""
        return self.end_cycle - self.begin_cycle

    def later(self, cycles: int) -> LayerSpan:
        """Return the layer so many cycles later."""
        return LayerSpan(*(time + cycles for time in self[:4]), *self[4:])  # type: ignore[call-arg]

    @property
    def idle_cycles(self) -> int:
        """Cycles in which the unit waited for other layers."""
        return self.producer_cycles + self.room_cycles


class NetworkSpans(NamedTuple):
    """What the timeline found.

    Attributes
    ----------
    cycles : int
        End of the last computation or store.
    layers : tuple of LayerSpan
        One per program.
    busy_cycles : dict
        Unit or place -> cycles in which it computed or moved something.
    """

    cycles: int
    layers: tuple[LayerSpan, ...]
    busy_cycles: dict[str, int]
