"""The double-buffered timeline: what DRAM adds to a schedule of tiles.

Loads and stores share the bus in the order load 0, load 1, store 0, load 2, store 1, ... Load i waits for compute
i-2 (its buffer half), compute i for load i, compute i-1 and store i-2, store i for compute i. A tile without a load
or store takes no part in these waits.

What a tile moves ``before`` and ``after`` computing overlaps no computation: before i waits for everything of tile i-1
and compute i for it; after i waits for compute i, and compute i+1 for it. On the bus they stand between load i+1 and
compute i+1: ... load i+1, store i, after i, before i+1, load i+2, ...

The rules stand in `clock_kernel`. They only add and take maxima, so within a repeated block a schedule soon repeats
itself, shifted in time. `run` looks for that and then jumps: time does not grow with the number of tiles. Nothing is
approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from fractions import Fraction
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np

from accelsim.activity import Direction, Flow, Loop, Step, Transfer, count, walk
from accelsim.memory.dram import DramModel
from accelsim.units import INT64_MAX

SHORT = 2**40
"""Cycles of a tile and of its transfers that no walk of a schedule adds up to 64 bits."""


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


class Cut(NamedTuple):
    """A cut layer whose tiles lie at known addresses, as `device.machine_kernel.Tiles` has it."""

    rows: np.ndarray
    cycles: np.ndarray
    geometry: np.ndarray
    axes: np.ndarray


class LaidOut(Sequence[Step | Loop]):
    """A schedule that comes in rows; its steps are made when somebody asks for them."""

    def cut(self, first_bit: Callable[[str, int], int]) -> Cut | None:
        """Return the tiles at their addresses, None where a schedule does not know them.

        ``first_bit`` says where a tensor (``input``, ``weight``, ``output``, ``psum``) of so many bits begins.
        """
        del first_bit
        return None

    def rows(self, dram: DramModel) -> np.ndarray:
        """Return a row per loop and tile in the order of `clock_kernel.REPEAT`, transfers in bits on the bus.

        Returns
        -------
        ndarray of int64, shape (rows, `clock_kernel.COLUMNS`)
        """
        raise NotImplementedError

    def moved(self, dram: DramModel, tensors: Collection[str], direction: Direction) -> np.ndarray:
        """Return what each row moves of some tensors, in bits on the bus, shape (rows,)."""
        raise NotImplementedError

    def total(self, dram: DramModel, tensors: Collection[str], direction: Direction) -> int:
        """Return the sum of what `moved` says over all tiles."""
        raise NotImplementedError

    def traffic(self, dram: DramModel) -> dict[Flow, int]:
        """Return what `dram_traffic` says of it."""
        raise NotImplementedError


def rows_of(schedule: Sequence[Step | Loop] | np.ndarray, dram: DramModel) -> np.ndarray:
    """Return a schedule as `LaidOut.rows` does, of dtype object where 64 bits do not hold it; rows as they are."""
    from accelsim.memory.clock_kernel import COLUMNS

    if isinstance(schedule, np.ndarray):
        return schedule
    if isinstance(schedule, LaidOut):
        return schedule.rows(dram)
    rows: list[tuple[int, ...]] = []
    known: dict[int, tuple[int, ...]] = {}

    def lay_out(items: Sequence[Step | Loop]) -> None:
        for item in items:
            if isinstance(item, Loop):
                if not item.repeat:
                    continue
                at = len(rows)
                rows.append(())
                lay_out(item.body)
                rows[at] = (item.repeat, len(rows), 0, 0, 0, 0, 0)
                continue
            if id(item) not in known:
                parts = (item.loads, item.before, item.stores, item.after)
                loads, before, stores, after = (sum(map(dram.bus_bits, part)) for part in parts)
                known[id(item)] = (0, 0, loads, before, item.compute_cycles, stores, after)
            rows.append(known[id(item)])

    lay_out(schedule)
    large = max(map(max, rows), default=0) > INT64_MAX
    return np.array(rows, dtype=object if large else np.int64).reshape(-1, COLUMNS)


def in_cycles(rows: np.ndarray, dram: DramModel) -> np.ndarray:
    """Return rows with the cycles of transfers in place of their bits, of dtype object where they are not `SHORT`."""
    from accelsim.memory.clock_kernel import AFTER, COMPUTED, LOAD

    rate, columns = dram.bits_per_cycle, slice(LOAD, AFTER + 1)
    compute, moved = rows[:, COMPUTED], rows[:, columns]
    most, longest = int(moved.max(initial=0)), int(compute.max(initial=0))
    if most > INT64_MAX // (2 * rate.denominator) or rate.numerator > INT64_MAX:
        moved = moved.astype(object)
    longest = max(longest, most * rate.denominator // rate.numerator)
    priced = rows.astype(object if longest > SHORT else np.int64)
    priced[:, columns] = -(-moved * rate.denominator // rate.numerator)
    priced[:, COMPUTED] = compute
    return priced


def run(schedule: Sequence[Step | Loop] | np.ndarray, dram: DramModel) -> Stalls:
    """Return cycles and stalls of a schedule of tiles, or of its `rows_of`."""
    from accelsim.jit import plain
    from accelsim.memory import clock_kernel as kernel

    rows = in_cycles(rows_of(schedule, dram), dram)
    if rows.dtype != object and dram.latency_cycles <= SHORT:
        clock = np.zeros(kernel.CLOCK, np.int64)
        end = kernel.passed(rows, clock, _loops(rows), dram.latency_cycles)
        if end < kernel.MOST:
            return Stalls(int(end), int(end - clock[kernel.COMPUTE]))
    rows, clock = rows.astype(object), np.zeros(kernel.CLOCK, object)
    end = plain(kernel.passed, MOST=1 << 4096)(rows, clock, _loops(rows), dram.latency_cycles)
    return Stalls(end, end - clock[kernel.COMPUTE])


def run_each(rows: np.ndarray, first: np.ndarray, dram: DramModel) -> list[int]:
    """Return the cycles of several schedules, as `run` has them.

    Parameters
    ----------
    rows : ndarray, shape (rows, `clock_kernel.COLUMNS`)
        The `rows_of` each, one behind the other.
    first : ndarray of int64, shape (schedules + 1,)
        Where each begins, and where the last one ends.
    """
    from accelsim.memory import clock_kernel as kernel

    priced = in_cycles(rows, dram)
    if priced.dtype != object and dram.latency_cycles <= SHORT:
        ends = np.empty(len(first) - 1, np.int64)
        kernel.passed_each(
            priced, first, np.zeros(kernel.CLOCK, np.int64), _loops(priced), dram.latency_cycles, ends
        )  # fmt: skip
        if (ends < kernel.MOST).all():
            found: list[int] = ends.tolist()
            return found
    return [run(rows[begin:end], dram).cycles for begin, end in pairwise(first)]


def _loops(rows: np.ndarray) -> np.ndarray:
    """Return room for the loops that a walk is in."""
    from accelsim.memory.clock_kernel import LOOP, REPEAT

    return np.zeros((np.count_nonzero(rows[:, REPEAT]) + 1, LOOP), rows.dtype)


def trace(schedule: Sequence[Step | Loop], dram: DramModel, most: int) -> Traced:
    """Return what happens when, from the beginning of a schedule, until there are ``most`` spans."""
    from accelsim.jit import plain
    from accelsim.memory import clock_kernel as kernel

    spans: list[Span] = []
    drawn, tiles, tick, clock = 0, count(schedule), plain(kernel.tick), [0] * kernel.CLOCK
    for item in chain((step for step, _ in walk(schedule)), (None,)):
        if item is not None and len(spans) >= most:
            break
        step = item or Step((), 0, ())  # behind the last tile, what that has left
        load, before, store, after = map(dram.bus_cycles, (step.loads, step.before, step.stores, step.after))
        stored, moved_after = clock[kernel.PENDING], clock[kernel.PENDING_AFTER]
        begins = tick(clock, load, before, step.compute_cycles, store, after, dram.latency_cycles)
        for what, tile, begin, cycles in zip(
            ("loads", "stores", "after", "before", "compute"), (drawn, drawn - 1, drawn - 1, drawn, drawn), begins,
            (load, stored, moved_after, before, step.compute_cycles), strict=True,
        ):  # fmt: skip
            if cycles:
                spans.append(Span(what, tile, begin, cycles))
        drawn += item is not None
    return Traced(spans, tiles, drawn)


def needed_bits_per_cycle(schedule: Sequence[Step | Loop] | np.ndarray, dram: DramModel) -> Fraction:
    """Return the DRAM bandwidth at which no tile waits for its load once the first tile is there.

    While tile i computes, the load of tile i+1 and the store of tile i-1 must pass: the largest such ratio of bits
    to compute cycles. The first load, the last store and what moves before and after computing can never be hidden.
    """
    from accelsim.memory import clock_kernel as kernel

    rows = rows_of(schedule, dram)
    places = order(rows, 3)  # which keeps every triple of neighbours
    tiles = rows[places]
    if len(tiles) < 2:
        return Fraction(0)
    bits = tiles[1:, kernel.LOAD].copy()
    bits[1:] += tiles[:-2, kernel.STORE]
    cycles = np.maximum(tiles[:-1, kernel.COMPUTED], 1)
    worst = np.argmax(bits / cycles)
    return Fraction(int(bits[worst]), int(cycles[worst]))


def order(rows: np.ndarray, rounds: int) -> np.ndarray:
    """Return the places of the tiles in `LaidOut.rows` as they pass, loops at most ``rounds`` times."""
    from accelsim.jit import plain
    from accelsim.memory import clock_kernel as kernel

    ordered = plain(kernel.order) if rows.dtype == object else kernel.order
    found = np.empty(0, np.int64)
    for _ in range(2):
        number = ordered(rows, rounds, _loops(rows), found)
        found = found if len(found) == number else np.empty(number, np.int64)
    return found


def dram_traffic(schedule: Sequence[Step | Loop], dram: DramModel) -> dict[Flow, int]:
    """Return the DRAM traffic of a schedule: what `moved` says of its transfers."""
    if isinstance(schedule, LaidOut):
        return schedule.traffic(dram)
    return moved(
        (
            (transfer, times)
            for step, times in walk(schedule, 1)
            for part in (step.loads, step.before, step.after, step.stores)
            for transfer in part
        ),
        dram,
    )


def moved(transfers: Iterable[tuple[Transfer, int]], dram: DramModel) -> dict[Flow, int]:
    """Return the DRAM traffic of transfers, each as often as its number says.

    What whole bursts move beyond the useful bits is tensor ``other``.
    """
    total: dict[Flow, int] = {}
    for t, times in transfers:
        flow = Flow("dram", t.tensor, t.direction)
        total[flow] = total.get(flow, 0) + times * t.bits
        if over := dram.bus_bits(t) - t.bits:
            extra = Flow("dram", "other", t.direction)
            total[extra] = total.get(extra, 0) + times * over
    return total
