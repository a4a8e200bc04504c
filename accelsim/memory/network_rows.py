"""A network's programs as the arrays of `network_rows_kernel`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from accelsim.activity import Direction, Loop, Step
from accelsim.jit import plain
from accelsim.memory import network_rows_kernel as kernel
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel
from accelsim.memory.elsewhere import Elsewhere
from accelsim.units import INT64_MAX

MOST = 2**60
"""Sums of cycles beyond which integers of any size take over."""


class Net(NamedTuple):
    """What does not change: programs in rows, and where the parts of `State.all` begin."""

    rows: np.ndarray
    moves: np.ndarray
    programs: np.ndarray
    first: np.ndarray
    """A unit's first program."""
    edges: np.ndarray
    rooms: np.ndarray
    """Pairs of a program and a place; -1 where nothing waits for a port."""
    stores: np.ndarray
    """How many requests that write a program has at a place."""
    latency: np.ndarray
    kinds: int
    """Lists per unit and place: 2 where constants have a list of their own."""
    room: int
    """Bits for constants."""
    early: int
    """How far ahead of the next tile to be computed a layer's first loads may not be."""
    dram: int
    window: int
    """How many loads of constants may be coming."""
    coming: int
    """Where they stand among the times."""
    full: int
    """Events after which there may be no room for those of another cycle."""
    units_at: int
    lists_at: int
    counters_at: int
    times_at: int
    refs_at: int
    sums_at: int


class State(NamedTuple):
    """What changes; the arrays up to ``busy`` are parts of ``all``."""

    all: np.ndarray
    clock: np.ndarray
    units: np.ndarray
    serving: np.ndarray
    lists: np.ndarray
    counters: np.ndarray
    """Rounds of the loops that each unit, then each list, is in."""
    times: np.ndarray
    """Ends of computations, those under way too, and of the last that are over; of a list: when the loads of the next
    tile and of the one after are there, when it last stored what the next tile waits for; of constants: when loads
    arrive; ends of requests on buses."""
    refs: np.ndarray
    """The events that those times are of."""
    spent: np.ndarray
    """Of a unit in its layer: computation, and waits for DRAM and for other ports."""
    left: np.ndarray
    """Requests that the program being stored by a list has still to write."""
    busy: np.ndarray
    flags: np.ndarray
    when: np.ndarray
    who: np.ndarray
    """What is known of programs, since when, and by which event."""
    stored: np.ndarray
    stored_when: np.ndarray
    stored_who: np.ndarray
    found: np.ndarray
    carried: np.ndarray
    """When a place began to move something for a program, and when it last ended; -1 if never."""
    kept: np.ndarray
    past: np.ndarray
    """Loops that are watched for periods, and how everything stood then."""


Known: TypeAlias = "dict[tuple[int, frozenset[str]], tuple[Any, np.ndarray, np.ndarray]]"
"""Number of a schedule, and what waits for other layers -> the schedule (which so keeps its number), rows and moves;
of the same buses and way to prefetch."""


class LaidOut(NamedTuple):
    """Programs as arrays: ``tiles`` in all, whether 64 bits hold every sum, and how long each is on each bus."""

    net: Net
    tiles: int
    small: bool
    busy: np.ndarray


def layout(
    programs: Sequence[Any], units: Sequence[str], buses: Mapping[str, DramModel | None],
    prefetch: Any, full: int = 0, known: Known | None = None,
) -> LaidOut:  # fmt: skip
    """Return the arrays of programs that share the machine; ``units`` has the name of each one's.

    What is ``known`` of schedules is not laid out again, and what is not is added to it.
    """
    ports = {place: bus for place, bus in buses.items() if bus is not None}
    apart = not isinstance(prefetch, str)
    known = {} if known is None else known
    keys = [(id(program.schedule), program.made) for program in programs]
    for key, program in zip(keys, programs, strict=True):
        if key not in known:
            known[key] = (program.schedule, *_rows(program, ports))
    parts = [known[key][1:] for key in keys]
    first = np.cumsum([0, *(len(rows) for rows, _ in parts)])
    rows, moves = (np.concatenate(some) for some in zip(*parts, strict=True))
    moves = _in_cycles(moves, ports, apart)
    for start, end in pairwise(first):
        part = rows[start:end]
        part[part[:, kernel.REPEAT] > 0, kernel.END] += start
    times = _times(rows)
    table, order = np.full((len(programs) + 1, kernel.PROGRAM), -1, np.int64), list(dict.fromkeys(units))
    table[:, kernel.FIRST], table[:-1, kernel.BEHIND] = first, first[1:]
    starts, latest = np.zeros(len(order), np.int64), dict[str, int]()
    for number, unit in enumerate(units):
        table[number, kernel.UNIT] = order.index(unit)
        if unit in latest:
            table[latest[unit], kernel.NEXT] = number
        else:
            starts[order.index(unit)] = number
        latest[unit] = number
    places = list(ports)
    edges = [[(e.producer, places.index(e.place) if e.place in ports else -1) for e in p.producers] for p in programs]
    rooms = [[(number, -1) for number in p.after] for p in programs]
    table[:, kernel.EDGE] = np.cumsum([0, *map(len, edges)])
    table[:, kernel.ROOM] = np.cumsum([0, *map(len, rooms)])
    latency = [bus.latency_cycles for bus in ports.values()]
    tiled = rows[:, kernel.REPEAT] == 0
    # sums are rough here, with room to spare: they tell whether 64 bits hold the exact ones
    often = np.where(tiled, times, 0).astype(float)
    longest = often @ rows[:, kernel.COMPUTED].astype(float)
    longest += (often @ moves[:, :, : kernel.BITS].sum(axis=2).astype(float)).sum() + 4 * often.sum() * (
        sum(latency) + 1
    )
    small = longest < MOST and float(moves.max(initial=0)) < MOST and bool(sum(latency) < MOST)
    whole = np.int64 if small else object
    tiles = sum(times[tiled].tolist())
    writes = ((moves[:, :, kernel.STORE] > 0).astype(whole) + (moves[:, :, kernel.AFTER] > 0)) * times[:, None]
    stores = np.add.reduceat(writes, first[:-1], axis=0)
    lists, window = len(order) * len(places) * (1 + apart), min(max(latency, default=0), tiles) + 2 if apart else 0
    deep = int(rows[:, kernel.DEPTH].max(initial=0)) + 1
    sizes = (kernel.CLOCK, len(order) * kernel.OF_UNIT + len(places), lists * kernel.OF_LIST,
             (len(order) + lists) * deep, *[2 * len(order) + (3 + window) * lists + len(places)] * 2)  # fmt: skip
    at = np.cumsum(sizes).tolist()
    net = Net(
        rows.astype(whole), moves.astype(whole), table, starts, _pairs(edges), _pairs(rooms),
        stores.reshape(len(programs), len(places)).astype(whole), np.array(latency, whole), 1 + apart,
        int(Fraction(prefetch) * 8192) if apart else 0, 1 if prefetch == "none" else 2,
        places.index("dram") if "dram" in places else -1, window, 2 * len(order) + 3 * lists, full, *at,
    )  # fmt: skip
    return LaidOut(net, tiles, small, _busy(programs, rows, moves.astype(whole), times, first, apart))


def _busy(
    programs: Sequence[Any], rows: np.ndarray, moves: np.ndarray, times: np.ndarray, first: np.ndarray, apart: bool
) -> np.ndarray:
    """Return for how many cycles each program has each bus."""
    kinds = [kernel.LOAD, kernel.BEFORE, kernel.STORE, kernel.AFTER, *([kernel.CONSTANT] if apart else [])]
    busy = np.add.reduceat(moves[:, :, kinds].sum(axis=2) * times[:, None], first[:-1], axis=0)
    if not apart:  # the first tile's load is two requests, each rounded up
        waits = np.array([bool(program.producers) for program in programs])
        tiles = np.flatnonzero(rows[:, kernel.REPEAT] == 0)
        opening = moves[tiles[np.searchsorted(tiles, first[:-1][waits])]]
        busy[waits] += opening[:, :, kernel.MADE] + opening[:, :, kernel.CONSTANT] - opening[:, :, kernel.LOAD]
    return busy


def begun(laid: LaidOut) -> State:
    """Return how everything stands before it begins."""
    net, whole = laid.net, np.int64 if laid.small else object
    units, places, programs = len(net.first), len(net.latency), len(net.programs) - 1
    lists, deep = units * places * net.kinds, int(net.rows[:, kernel.DEPTH].max(initial=0)) + 1
    everything = np.zeros(net.sums_at + 3 * units + lists + places, whole)
    at = 0

    def part(*shape: int) -> np.ndarray:
        nonlocal at
        size = int(np.prod(shape))
        at += size
        return everything[at - size : at].reshape(shape)

    times = net.refs_at - net.times_at
    state = State(  # type: ignore[call-arg]
        everything, part(kernel.CLOCK), part(units, kernel.OF_UNIT), part(places), part(lists, kernel.OF_LIST),
        part(units + lists, deep), part(times), part(times), part(units, 3), part(lists), part(places),
        *(np.zeros((programs, 3), whole) for _ in range(3)), *(np.zeros((programs, places), whole) for _ in range(3)),
        np.zeros((programs, kernel.FOUND), whole), np.full((programs, places, 2), -1, whole),
        np.full((units * deep, 3), -1, whole),
        np.zeros((units * deep, len(everything)), whole),
    )  # fmt: skip
    state.clock[kernel.NOW] = -1
    for array in (state.refs, state.who, state.stored_who):
        array[...] = -1
    state.stored[...] = net.stores == 0
    return state


def _pairs(each: Sequence[Sequence[tuple[int, int]]]) -> np.ndarray:
    return np.array([pair for some in each for pair in some], np.int64).reshape(-1, 2)


def _times(rows: np.ndarray) -> np.ndarray:
    """Fill in how rows lie in loops, and return how often each passes."""
    times = np.empty(len(rows), object if rows.dtype == object else float)
    (plain(kernel.nest) if rows.dtype == object else kernel.nest)(rows, times)
    if times.dtype == object:
        return times
    if times.max() < 2**53:
        return times.astype(np.int64)
    exact = np.empty(len(rows), object)
    plain(kernel.nest)(rows.astype(object), exact)
    return exact


def _rows(program: Any, ports: Mapping[str, DramModel]) -> tuple[np.ndarray, np.ndarray]:
    """Return a program's rows, ends counted from its first, and in place of the cycles of moves their bits.

    Of dtype object where 64 bits are too few.
    """
    schedule = program.schedule
    if isinstance(schedule, Elsewhere):
        return _columns(schedule.tiles, ports, program.made, schedule.places)
    if isinstance(schedule, timeline.LaidOut):
        return _columns(schedule, ports, program.made, {})
    return _walked(schedule, ports, program.made)


def _in_cycles(moves: np.ndarray, ports: Mapping[str, DramModel], apart: bool) -> np.ndarray:
    """Return moves (rows, ports, `kernel.MOVES`) in cycles of their ports, from bits."""
    columns = [kernel.LOAD, kernel.MADE, kernel.CONSTANT, kernel.BEFORE, kernel.STORE, kernel.AFTER]
    moves[:, :, kernel.BITS] = moves[:, :, kernel.CONSTANT]
    for place, bus in enumerate(ports.values()):
        rate = bus.bits_per_cycle
        if moves.max(initial=0) > INT64_MAX // (2 * rate.denominator) or rate.numerator > INT64_MAX:
            moves = moves.astype(object)
        moves[:, place, columns] = -(-moves[:, place, columns] * rate.denominator // rate.numerator)
    if apart:
        moves[:, :, kernel.LOAD] = moves[:, :, kernel.MADE]
    return moves


def _columns(
    schedule: timeline.LaidOut, ports: Mapping[str, DramModel], made: frozenset[str],
    places: Mapping[tuple[str, Direction], str],
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return the rows and bits of tiles laid out already; what ``places`` does not name goes to DRAM."""
    from accelsim.memory import clock_kernel as clock

    dram, order = ports["dram"], list(ports)
    rows = schedule.rows(dram)
    cells = np.zeros((len(rows), kernel.CELLS), rows.dtype)
    moves = np.zeros((len(rows), len(ports), kernel.MOVES), rows.dtype)
    cells[:, [kernel.REPEAT, kernel.END, kernel.COMPUTED]] = rows[:, [clock.REPEAT, clock.END, clock.COMPUTED]]
    here = moves[:, order.index("dram")]
    here[:, kernel.LOAD], here[:, kernel.STORE] = rows[:, clock.LOAD], rows[:, clock.STORE]
    here[:, kernel.MADE] = schedule.moved(dram, made, "read")
    for (tensor, way), place in places.items():
        columns = [kernel.STORE] if way == "write" else [kernel.LOAD, *([kernel.MADE] if tensor in made else [])]
        here[:, columns] -= schedule.moved(dram, (tensor,), way)[:, np.newaxis]
        if place in ports:  # nobody waits for one without a width
            there = moves[:, order.index(place)]
            there[:, columns] += schedule.moved(ports[place], (tensor,), way)[:, np.newaxis]
    moves[:, :, kernel.CONSTANT] = moves[:, :, kernel.LOAD] - moves[:, :, kernel.MADE]
    return cells, moves


def _walked(
    schedule: Sequence[Step | Loop], ports: Mapping[str, DramModel], made: frozenset[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the same of steps and loops; a program without tiles has one that does nothing."""
    rows: list[tuple[int, ...]] = []
    moved: list[list[list[int]]] = []
    known: dict[int, list[list[int]]] = {}
    nothing = [[0] * kernel.MOVES for _ in ports]
    buses = {place: (at, bus) for at, (place, bus) in enumerate(ports.items())}

    def tile(step: Step) -> list[list[int]]:
        found = [[0] * kernel.MOVES for _ in ports]
        for column, transfers in (
            (kernel.LOAD, step.loads), (kernel.BEFORE, step.before), (kernel.STORE, step.stores),
            (kernel.AFTER, step.after),
        ):  # fmt: skip
            for t in transfers:
                if t.place not in buses:
                    continue
                at, bus = buses[t.place]
                bits, here = bus.bus_bits(t), found[at]
                here[column] += bits
                if column == kernel.LOAD:
                    here[kernel.MADE if t.tensor in made else kernel.CONSTANT] += bits
                elif column == kernel.BEFORE and bits and t.tensor in made:
                    here[kernel.WAITS] = 1
        return found

    def lay_out(items: Sequence[Step | Loop]) -> None:
        for item in items:
            if isinstance(item, Loop):
                at = len(rows)
                rows.append(())
                moved.append(nothing)
                if item.repeat:
                    lay_out(item.body)
                if len(rows) == at + 1:
                    del rows[at], moved[at]
                else:
                    rows[at] = (item.repeat, len(rows), -1, 0, 0)
                continue
            if id(item) not in known:
                known[id(item)] = tile(item)
            rows.append((0, 0, -1, 0, item.compute_cycles))
            moved.append(known[id(item)])

    lay_out(schedule)
    if not rows:
        rows, moved = [(0, 0, -1, 0, 0)], [nothing]
    return _whole(rows).reshape(-1, kernel.CELLS), _whole(moved).reshape(len(rows), len(ports), kernel.MOVES)


def _whole(numbers: Any) -> np.ndarray:
    try:
        return np.array(numbers, np.int64)
    except OverflowError:
        return np.array(numbers, object)
