"""One clock for a network: layers on units that share buses, tile by tile; `docs/decisions/0090-network-timeline.md`.

A unit computes its layers in network order. What they move is listed in a fixed order, one list per unit and place, and
the head of each list competes for the bus of its place. The rules stand in `network_kernel`; `network_reference` steps
the same rules cycle by cycle and shares no code with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from accelsim.activity import Loop, Step
from accelsim.errors import ModelError, WorkloadError
from accelsim.jit import plain
from accelsim.memory.dram import DramModel
from accelsim.memory.network_rows import Known, LaidOut, State, begun, layout
from accelsim.schedules import BusTime as BusTime

DRAM = "dram"
MADE = frozenset({"input", "index", "psum", "residual", "other"})
"""What a tile loads that waits for the layers that make it, unless somebody knows better; the rest are constants."""

MOST_TILES = 10**8
"""Of several units: nothing promises that periods of all of them at once are found."""
NO_EVENTS, NO_JUMPS = np.empty((0, 5), np.int64), np.empty((0, 4), np.int64)

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
    moves : tuple of dict
        One per program: place -> when it moved something for the layer.
    """

    cycles: int
    layers: tuple[LayerSpan, ...]
    busy_cycles: dict[str, int]
    moves: tuple[dict[str, BusTime], ...]

    @property
    def bound_cycles(self) -> int:
        """The most that one unit or one port has to do: no order of layers takes less."""
        return max(self.busy_cycles.values(), default=0)


def run(
    programs: Sequence[Program], buses: Buses, prefetch: Prefetch = "tile", *, overlap: bool = True,
    known: Known | None = None,
) -> NetworkSpans:  # fmt: skip
    """Return when the layers of a network had their units, and what for.

    Parameters
    ----------
    programs : sequence of Program
        In network order.
    buses : mapping
    prefetch : "none", "tile" or KiB
    overlap : bool
        Whether units compute side by side; if not, all layers run as if on one.
    known : dict, optional
        Keeps what is laid out for another call with the same buses and prefetch.

    Raises
    ------
    WorkloadError
        More tiles than several units are stepped through.
    """
    now, spans, busy = (
        0,
        list[LayerSpan](),
        dict.fromkeys((*units_of(programs), *(p for p in buses if buses[p] is not None)), 0),
    )
    ends: dict[str, int] = {}
    moves = list[dict[str, BusTime]]()
    for start, end in stretches(programs):
        if start < end:
            laid, names = laid_out(programs[start:end], start, buses, prefetch, overlap, known)
            state = begun(laid)
            go(laid, state)
            places = [p for p in buses if buses[p] is not None]
            for place, cycles in zip(places, state.busy.tolist(), strict=True):
                busy[place] += cycles
            moves += _moves(laid, state, places, now)
            last = now
            for program, name, span in zip(programs[start:end], names, _spans(state), strict=True):
                placed = span.later(now)
                if (span.begin_cycle == 0 and name not in ends) or ends[name] < now:
                    waited = now - ends.get(name, 0)
                    placed = placed._replace(begin_cycle=now - waited, producer_cycles=span.producer_cycles + waited)
                ends[name] = placed.end_cycle
                busy[program.unit] += span.work_cycles
                spans.append(placed)
                last = max(last, placed.stored_cycle)
            now = last
        if end < len(programs):
            alone = programs[end]
            name = alone.unit if overlap else ""
            before, begin, now = ends.get(name, 0), now, now + alone.alone_cycles
            spans.append(LayerSpan(before, begin, now, now, alone.alone_cycles, begin - before, 0, 0, 0))
            ends[name] = now
            busy[alone.unit] += alone.alone_cycles
            moves.append({})
    return NetworkSpans(now, tuple(spans), busy, tuple(moves))


def units_of(programs: Sequence[Program]) -> list[str]:
    """Return the units that have work, in the order of their first layers."""
    return list(dict.fromkeys(program.unit for program in programs))


def stretches(programs: Sequence[Program]) -> list[tuple[int, int]]:
    """Return from where to where programs share the machine: between those that run alone."""
    alone = [number for number, program in enumerate(programs) if program.schedule is None]
    return list(zip((0, *(number + 1 for number in alone)), (*alone, len(programs)), strict=True))


def laid_out(
    programs: Sequence[Program], start: int, buses: Buses, prefetch: Prefetch, overlap: bool, known: Known | None
) -> tuple[LaidOut, list[str]]:
    """Return the arrays of a stretch whose first program is number ``start``, and the unit of each program."""
    mine = (
        programs
        if not start
        else [
            replace(
                p,
                producers=tuple(e._replace(producer=e.producer - start) for e in p.producers if e.producer >= start),
                after=tuple(number - start for number in p.after if number >= start),
            )
            for p in programs
        ]
    )
    names = [p.unit if overlap else "" for p in programs]
    laid = layout(mine, names, buses, prefetch, known=known)
    if laid.tiles > MOST_TILES and len(set(names)) > 1:
        raise WorkloadError(
            f"{laid.tiles:,} tiles of {len(set(names))} units that compute side by side",
            f"choose larger tiles, up to {MOST_TILES:,} in all, or schedule.overlap: false",
        )
    return laid, names


def go(laid: LaidOut, state: State, record: np.ndarray = NO_EVENTS, jumps: np.ndarray = NO_JUMPS) -> bool:
    """Let time pass; return whether everything is over, or there is no room for more events.

    Raises
    ------
    ModelError
        Nothing goes on although something is left.
    """
    from accelsim.memory import network_kernel as kernel

    marks = np.full(len(laid.net.first), -1, np.int64)
    if laid.small:
        over = kernel.run(laid.net, state, marks, record, jumps)
    else:
        over = plain(kernel.run, NEVER=1 << 4096)(laid.net, state, marks, record, jumps)
    if over and not (state.flags[:, 0].all() and state.stored.all()):
        raise ModelError(f"the network stands still at cycle {state.clock[0]}")
    return bool(over)


def _moves(laid: LaidOut, state: State, places: Sequence[str], now: int) -> list[dict[str, BusTime]]:
    return [
        {
            place: BusTime(start + now, end + now, cycles)
            for place, (start, end), cycles in zip(places, times, busy, strict=True)
            if start >= 0
        }
        for times, busy in zip(state.carried.tolist(), laid.busy.tolist(), strict=True)
    ]


def _spans(state: State) -> list[LayerSpan]:
    found = []
    for number, (begin, start, stop, *rest) in enumerate(state.found.tolist()):
        stored = max([stop, *state.stored_when[number].tolist()])
        found.append(LayerSpan(begin, start, stop, stored, *rest))
    return found
