"""The critical path of a network: what each computation and each request waited for, from the end back to the start.

Whatever begins does so the moment something ends, or arrives: the chain has no gap, so its parts sum to the cycles of
the network. Events are kept a window at a time and walked through again, window by window, where there are too many.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from accelsim.memory import network_rows_kernel as kernel
from accelsim.memory.network import Buses, Prefetch, Program, go, laid_out, stretches
from accelsim.memory.network_rows import Known, LaidOut, State, begun

WINDOW, JUMPS = 2**17, 2**12
"""Events and jumps that are kept at a time."""
MARGIN = 2**12
"""Room for what begins in one cycle."""


class Segment(NamedTuple):
    """So much of the critical path is a layer's ``what`` on a unit or over the port of a place."""

    layer: str
    resource: str
    what: Literal["compute", "transfer", "latency"]
    cycles: int


class Critical(NamedTuple):
    """The critical path; ``segments`` in network order, their cycles sum to those of the network."""

    segments: tuple[Segment, ...]

    @property
    def cycles(self) -> int:
        """Cycles of the network."""
        return sum(segment.cycles for segment in self.segments)

    def by_resource(self) -> dict[str, int]:
        """Return how much is on which unit, and waits for which place."""
        found: dict[str, int] = {}
        for segment in self.segments:
            found[segment.resource] = found.get(segment.resource, 0) + segment.cycles
        return found


def critical(
    programs: Sequence[Program], buses: Buses, prefetch: Prefetch = "tile", *, overlap: bool = True,
    known: Known | None = None,
) -> Critical:  # fmt: skip
    """Return the critical path of what `network.run` finds.

    Parameters
    ----------
    programs, buses, prefetch, overlap, known : as for `network.run`
    """
    places = [place for place, bus in buses.items() if bus is not None]
    segments: list[Segment] = []
    for start, end in stretches(programs):
        if start < end:
            laid, names = laid_out(programs[start:end], start, buses, prefetch, overlap, known)
            units = len(set(names))
            for (layer, resource, late), cycles in sorted(_Events(laid).back().items()):
                program = programs[start + layer]
                where = program.unit if resource < units else places[resource - units]
                segments.append(
                    Segment(
                        program.layer, where, "compute" if resource < units else "latency" if late else "transfer",
                        cycles,
                    )
                )  # fmt: skip
        if end < len(programs):
            alone = programs[end]
            segments.append(Segment(alone.layer, alone.unit, "compute", alone.alone_cycles))
    return Critical(tuple(segment for segment in segments if segment.cycles))


class _Window(NamedTuple):
    """Some events: how everything stood before them, the number of the first, their jumps, and the events or None."""

    before: State
    first: int
    jumps: list[list[int]]
    jumped: list[int]
    """Their first numbers."""


class _Events:
    """The events of a stretch of programs, by number."""

    def __init__(self, laid: LaidOut) -> None:
        self.size = WINDOW
        self.laid = laid._replace(net=laid.net._replace(full=WINDOW - MARGIN))
        self.windows: list[_Window] = []
        self.state, over = begun(laid), False
        while not over:
            before = _copy(self.state)
            over, self.record, jumps = self._walk(self.state)
            if self.state.clock[kernel.WRITTEN] > self.size:  # tiles that take no time, all in one cycle
                self.size, self.state, over = int(self.state.clock[kernel.WRITTEN]) + MARGIN, before, False
                continue
            self.windows.append(_Window(before, int(before.clock[kernel.EVENTS]), jumps, [jump[0] for jump in jumps]))
        self.firsts = [window.first for window in self.windows]
        self.at = len(self.windows) - 1

    def _walk(self, state: State) -> tuple[bool, list[list[int]], list[list[int]]]:
        """Let time pass until a window is full; return whether all is over, the events and the jumps."""
        state.clock[[kernel.WRITTEN, kernel.JUMPS]] = 0
        whole = np.int64 if self.laid.small else object
        record, jumps = np.zeros((self.size, kernel.EVENT), whole), np.zeros((JUMPS, 4), whole)
        over = go(self.laid, state, record, jumps)
        return over, record[: state.clock[kernel.WRITTEN]].tolist(), jumps[: state.clock[kernel.JUMPS]].tolist()

    def back(self) -> dict[tuple[int, int, bool], int]:
        """Return (program, resource, whether latency) -> cycles of the chain that ends last."""
        ends = np.concatenate([self.state.when[:, :1], self.state.stored_when], axis=1)
        who = np.concatenate([self.state.who[:, :1], self.state.stored_who], axis=1)
        number = int(who.flat[int(ends.argmax())])
        found: dict[tuple[int, int, bool], int] = {}
        seen: dict[int, dict[tuple[int, int], tuple[int, dict[tuple[int, int, bool], int]]]] = {}
        late = 0
        while number >= 0:
            event, levels = self._find(number)
            for depth in range(len(levels) - 1, -1, -1):
                jump, offset, length = levels[depth]
                known, copy = seen.setdefault(jump, {}), offset // length
                before = known.get((offset % length, late))
                if before is not None and copy >= before[0] - copy > 0:
                    # the same chain as from that copy of the period on, as often as there are copies left
                    apart = before[0] - copy
                    times = copy // apart
                    for key, cycles in list(found.items()):
                        found[key] = cycles + times * (cycles - before[1].get(key, 0))
                    number -= times * apart * length
                    for inner, _, _ in levels[depth:]:
                        seen[inner].clear()
                    event, levels = self._find(number)
                    break
                if before is None or before[0] != copy:
                    known[offset % length, late] = copy, dict(found)
            for jump in [jump for jump in seen if all(jump != level[0] for level in levels)]:
                del seen[jump]
            resource, layer, length, cause, after = event
            if late:
                found[layer, resource, True] = found.get((layer, resource, True), 0) + late
            found[layer, resource, False] = found.get((layer, resource, False), 0) + length
            number, late = number - cause if cause >= 0 else -1, after
        return found

    def _find(self, number: int) -> tuple[tuple[int, ...], list[tuple[int, int, int]]]:
        """Return an event, with how many numbers before it its cause is, and the jumps that it was copied by.

        Of each jump: its number, that of the event behind it, and the events of a period.
        """
        levels = []
        while True:
            at = bisect_right(self.firsts, number) - 1
            window = self.windows[at]
            here = bisect_right(window.jumped, number) - 1
            written = number - window.first
            if here >= 0:
                events, before, length, times = window.jumps[here]
                if number < events + times * length:
                    levels.append((here + at * JUMPS, number - events, length))
                    number = events - length + (number - events) % length
                    continue
                written = number - events - times * length + before
            if at != self.at:
                self.at, state = at, _copy(window.before)
                _, self.record, _ = self._walk(state)
            resource, layer, cycles, cause, late = self.record[written]
            return (resource, layer, cycles, number - cause if cause >= 0 else -1, late), levels


def _copy(state: State) -> State:
    """Return a copy; the parts of ``all`` are parts of the copy."""
    everything, at, parts = state.all.copy(), 0, []
    for part in state[1:11]:
        parts.append(everything[at : at + part.size].reshape(part.shape))
        at += part.size
    return State(everything, *parts, *(part.copy() for part in state[11:]))
