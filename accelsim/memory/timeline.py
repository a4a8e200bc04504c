"""The double-buffered timeline: what DRAM adds to a schedule of tiles.

Loads and stores share the bus in the order load 0, load 1, store 0, load 2, store 1, ... Load i waits for compute
i-2 (its buffer half), compute i for load i, compute i-1 and store i-2, store i for compute i. A tile without a load
or store takes no part in these waits.

What a tile moves ``before`` and ``after`` computing overlaps no computation: before i waits for everything of tile i-1
and compute i for it; after i waits for compute i, and compute i+1 for it. On the bus they stand between load i+1 and
compute i+1: ... load i+1, store i, after i, before i+1, load i+2, ...

The recurrence only adds and takes maxima, so within a repeated block it soon repeats itself, shifted in time. `run`
looks for that and then jumps: time and memory do not grow with the number of tiles. Nothing is approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from accelsim.activity import Loop, Step
from accelsim.memory.dram import DramModel

Relative: TypeAlias = tuple[int, int, int, int, int]


class Stalls(NamedTuple):
    """What the timeline found.

    Attributes
    ----------
    cycles : int
        End of the last compute or store.
    stall_cycles : int
        ``cycles`` minus the compute cycles; the first load and the last store are part of it.
    """

    cycles: int
    stall_cycles: int


class Span(NamedTuple):
    """What the bus or the units did for one tile: ``what`` is a field of `Step` (``loads``, ..., ``compute``)."""

    what: str
    tile: int
    start_cycle: int
    cycles: int


class Traced(NamedTuple):
    """The beginning of a schedule, span by span.

    Attributes
    ----------
    spans : list of Span
        In the order in which they were decided; on the bus and on the units each begins when the one before has ended.
    tiles : int
        Tiles of the whole schedule.
    drawn : int
        Tiles whose loads and computation are among the spans.
    """

    spans: list[Span]
    tiles: int
    drawn: int


class _Cost(NamedTuple):
    """Cycles of a tile: of its transfers on the bus, and of its computation."""

    load: int
    before: int
    compute: int
    store: int
    after: int


@dataclass
class _Clock:
    """The state between two tiles, in absolute core cycles."""

    bus_free: int = 0
    computed: int = 0
    computed_before: int = 0
    stored: int = 0
    pending_store: int = 0
    """Bus cycles of the youngest tile's store, which goes after the next tile's load."""
    pending_after: int = 0
    """Bus cycles of what the youngest tile moves after computing, which goes after the next tile's load too."""
    compute_cycles: int = 0
    watch: Callable[[str, int, int], None] | None = None
    """Called with what, when and how long, for every use of the bus and of the units."""

    def step(self, cost: _Cost, latency: int) -> None:
        load, before, compute, store, after = cost
        arrived = 0
        if load:
            arrived = self._move("loads", self.computed_before, load) + latency
        computed, stored_before = self.computed, self.stored
        if self.pending_store:
            self.stored = self._move("stores", computed, self.pending_store)
        if self.pending_after:
            computed = self._move("after", computed, self.pending_after)
        if before:
            arrived = max(arrived, self._move("before", computed, before) + latency)
        begin = max(arrived, computed, stored_before)
        if self.watch is not None:
            self.watch("compute", begin, compute)
        self.computed_before = computed
        self.computed = begin + compute
        self.pending_store = store
        self.pending_after = after
        self.compute_cycles += compute

    def finish(self) -> Stalls:
        end = self.computed
        for what, pending in (("stores", self.pending_store), ("after", self.pending_after)):
            if pending:
                end = self._move(what, end, pending)
        end = max(end, self.stored)
        return Stalls(end, end - self.compute_cycles)

    def _move(self, what: str, earliest: int, cycles: int) -> int:
        """Use the bus as soon as it is free, and return when it is free again."""
        start = max(self.bus_free, earliest)
        self.bus_free = start + cycles
        if self.watch is not None:
            self.watch(what, start, cycles)
        return self.bus_free

    def relative(self) -> Relative:
        """Return the state seen from ``computed``, with all that can no longer matter folded together."""
        return (
            max(self.bus_free, self.computed_before) - self.computed,
            self.computed_before - self.computed,
            max(self.stored, self.computed) - self.computed,
            self.pending_store,
            self.pending_after,
        )

    def shift(self, cycles: int, compute: int) -> None:
        self.bus_free += cycles
        self.computed += cycles
        self.computed_before += cycles
        self.stored += cycles
        self.compute_cycles += compute


def run(schedule: tuple[Step | Loop, ...], dram: DramModel) -> Stalls:
    """Return cycles and stalls of a schedule of tiles."""
    clock = _Clock()
    _walk(schedule, clock, _stepper(clock, dram))
    return clock.finish()


def trace(schedule: tuple[Step | Loop, ...], dram: DramModel, most: int) -> Traced:
    """Return what happens when, from the beginning of a schedule, until there are ``most`` spans."""
    spans: list[Span] = []
    drawn = 0

    def watch(what: str, start: int, cycles: int) -> None:
        if cycles:
            spans.append(Span(what, drawn - (what in ("stores", "after")), start, cycles))

    clock = _Clock(watch=watch)
    step = _stepper(clock, dram)
    tiles = count(schedule)
    for item in flat(schedule):
        if len(spans) >= most:
            return Traced(spans, tiles, drawn)
        step(item)
        drawn += 1
    clock.finish()
    return Traced(spans, tiles, drawn)


def _stepper(clock: _Clock, dram: DramModel) -> Callable[[Step], None]:
    """Return what lets a clock take a step; equal steps are priced once."""
    costs: dict[int, _Cost] = {}

    def step(item: Step) -> None:
        cost = costs.get(id(item))
        if cost is None:
            load, before, store, after = map(dram.bus_cycles, (item.loads, item.before, item.stores, item.after))
            cost = costs[id(item)] = _Cost(load, before, item.compute_cycles, store, after)
        clock.step(cost, dram.latency_cycles)

    return step


def count(schedule: tuple[Step | Loop, ...], weight: Callable[[Step], int] = lambda step: 1) -> int:
    """Return the number of steps, or the sum of their weights, without walking through the repetitions."""
    return sum(item.repeat * count(item.body, weight) if isinstance(item, Loop) else weight(item) for item in schedule)


def flat(schedule: tuple[Step | Loop, ...]) -> Iterator[Step]:
    """Yield the steps one by one, as often as they are repeated."""
    for item in schedule:
        if isinstance(item, Loop):
            for _ in range(item.repeat):
                yield from flat(item.body)
        else:
            yield item


def _walk(items: tuple[Step | Loop, ...], clock: _Clock, step: Callable[[Step], None]) -> None:
    for item in items:
        if isinstance(item, Loop):
            _repeat(item, clock, step)
        else:
            step(item)


def _repeat(loop: Loop, clock: _Clock, step: Callable[[Step], None]) -> None:
    """Run a loop's body until its relative state comes back, then jump over the whole periods that remain."""
    seen: dict[Relative, tuple[int, int, int]] = {}
    done = 0
    while done < loop.repeat:
        state = clock.relative()
        if state in seen:
            before, computed, compute = seen[state]
            period = done - before
            jumps = (loop.repeat - done) // period
            clock.shift(jumps * (clock.computed - computed), jumps * (clock.compute_cycles - compute))
            done += jumps * period
            seen = {}
            if done == loop.repeat:
                return
        else:
            seen[state] = (done, clock.computed, clock.compute_cycles)
        _walk(loop.body, clock, step)
        done += 1


def needed_bits_per_cycle(schedule: tuple[Step | Loop, ...], dram: DramModel) -> Fraction:
    """Return the DRAM bandwidth at which no tile waits for its load once the first tile is there.

    While tile i computes, the load of tile i+1 and the store of tile i-1 must pass: the largest such ratio of bits
    to compute cycles. The first load, the last store and what moves before and after computing can never be hidden.
    """
    worst = Fraction(0)
    previous: Step | None = None
    before: Step | None = None
    for step in _neighbours(schedule):
        if previous is not None:
            bits = sum(dram.bus_bits(t) for t in step.loads)
            bits += sum(dram.bus_bits(t) for t in before.stores) if before else 0
            if bits:
                worst = max(worst, Fraction(bits, max(1, previous.compute_cycles)))
        before, previous = previous, step
    return worst


def _neighbours(schedule: tuple[Step | Loop, ...]) -> list[Step]:
    """Return the steps with long repetitions cut to three rounds, which keeps every triple of neighbours."""
    steps: list[Step] = []
    for item in schedule:
        if isinstance(item, Loop):
            steps.extend(_neighbours(item.body) * min(item.repeat, 3))
        else:
            steps.append(item)
    return steps
