"""A network on one clock as events of a trace: a track per unit, and counters of buses and buffers.

The slices of a unit fill its time: what it waits for before a layer, the layer, and what is left at the end. A layer's
``args`` hold how long its tiles wait, so that by cause all of them sum to the unit's account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from accelsim.report import words
from accelsim.results import NetworkResult
from accelsim.schedules import Kept, LayerTime, NetworkSchedule

GAPS = {"producer": "idle", "room": "idle", "memory": "memory", "conflict": "conflict"}
"""What a unit waits for before a layer -> cause."""
PID = 2
Microseconds = Callable[[int], float]
Slice = tuple[int, int, str]
"""First cycle, cycles, cause."""


def gaps(time: LayerTime) -> tuple[list[Slice], dict[str, int]]:
    """Return what a unit waits for before a layer, one wait after another, and by cause what is left for its tiles."""
    at = time.end_cycle - time.cycles
    left, found, inside = time.start_cycle - at, list[Slice](), dict[str, int]()
    for wait, cause in GAPS.items():
        cycles = time.waits.get(wait, 0)
        before = min(cycles, left)
        if before:
            found.append((at, before, cause))
        at, left = at + before, left - before
        if cycles > before:
            inside[cause] = inside.get(cause, 0) + cycles - before
    return found, inside


def tail(schedule: NetworkSchedule, unit: str) -> Slice:
    """Return the time in which a unit has no layer left."""
    last = max((time.end_cycle for time in schedule.layers if time.unit == unit), default=0)
    return last, schedule.cycles - last, "idle"


def use(schedule: NetworkSchedule) -> dict[str, list[tuple[int, float]]]:
    """Return bus -> (cycle, share in use from then on): a layer's requests spread evenly from first to last."""
    changes: dict[str, dict[int, float]] = {}
    for time in schedule.layers:
        for place, bus in time.moves.items():
            if bus.end_cycle > bus.start_cycle:
                share = bus.busy_cycles / (bus.end_cycle - bus.start_cycle)
                mine = changes.setdefault(place, {0: 0.0})
                mine[bus.start_cycle] = mine.get(bus.start_cycle, 0.0) + share
                mine[bus.end_cycle] = mine.get(bus.end_cycle, 0.0) - share
    return {place: list(_summed(each)) for place, each in changes.items()}


def lives(result: NetworkResult, schedule: NetworkSchedule) -> list[tuple[Kept, int, int]]:
    """Return what lives in buffers, and from when to when: from a first writer's start to a last reader's end."""
    times = {time.name: time for time in schedule.layers}
    order = [times.get(layer.name) for layer in result.layers if not layer.folded_into]
    found: list[tuple[Kept, int, int]] = []
    for kept in schedule.kept:
        mine = [time for time in order[kept.first : kept.last + 1] if time is not None]
        if mine:
            found.append((kept, min(time.start_cycle for time in mine), max(time.end_cycle for time in mine)))
    return found


def live(result: NetworkResult, schedule: NetworkSchedule) -> dict[str, list[tuple[int, int]]]:
    """Return buffer -> (cycle, bits alive from then on)."""
    changes: dict[str, dict[int, int]] = {buffer.name: {0: 0} for buffer in schedule.buffers}
    for kept, start, end in lives(result, schedule):
        mine = changes[kept.buffer]
        mine[start] = mine.get(start, 0) + kept.bits
        mine[end] = mine.get(end, 0) - kept.bits
    return {name: list(_summed(each)) for name, each in changes.items()}


def events(result: NetworkResult, schedule: NetworkSchedule, us: Microseconds) -> list[dict[str, Any]]:
    """Return the events of the clock; ``us`` turns cycles into microseconds."""
    found = [_name("process_name", f"{words.title(result)}: the network on one clock")]
    for track, unit in enumerate(schedule.accounts, start=1):
        found.append(_name("thread_name", f"unit {unit}", track))
        slices: list[tuple[int, int, str, dict[str, Any]]] = []
        for time in (time for time in schedule.layers if time.unit == unit):
            before, inside = gaps(time)
            slices += [(*gap, {}) for gap in before]
            args = {f"{cause}_cycles": cycles for cause, cycles in inside.items()} | {"homes": dict(time.homes)}
            slices.append((time.start_cycle, time.end_cycle - time.start_cycle, time.name, args))
        slices.append((*tail(schedule, unit), {}))
        found += [_slice(*each, track, us) for each in slices if each[1]]
    for place, steps in use(schedule).items():
        found += [
            _counter(f"{bus_name(place)} in use (%)", us(cycle), round(100 * min(s, 1.0), 3)) for cycle, s in steps
        ]
    for buffer, levels in live(result, schedule).items():
        found += [_counter(f"{buffer} alive (KiB)", us(cycle), bits / 8192) for cycle, bits in levels]
    return found


def bus_name(place: str) -> str:
    """Return what people call a bus: DRAM, or a buffer and its port."""
    return "DRAM" if place == "dram" else place.replace(".", " ")


def _summed(changes: Mapping[int, Any]) -> Iterator[tuple[int, Any]]:
    level: Any = 0
    for cycle in sorted(changes):
        level += changes[cycle]
        yield cycle, level


def _slice(start: int, cycles: int, name: str, args: dict[str, Any], track: int, us: Microseconds) -> dict[str, Any]:
    begin, end = us(start), us(start + cycles)
    return {
        "name": name, "cat": "network", "ph": "X", "ts": begin, "dur": end - begin, "pid": PID, "tid": track,
        "args": {"cycle": start, "cycles": cycles, **args},
    }  # fmt: skip


def _counter(name: str, ts: float, value: float) -> dict[str, Any]:
    return {"name": name, "ph": "C", "ts": ts, "pid": PID, "args": {name.split(" (")[0]: value}}


def _name(what: str, name: str, track: int = 0) -> dict[str, Any]:
    return {"name": what, "ph": "M", "ts": 0, "pid": PID, "tid": track, "args": {"name": name}}
