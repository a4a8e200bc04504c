"""The network timeline cycle by cycle: written from the rules of decision 0090, and from nothing else.

For small cases. It expands every loop, keeps every time it has seen, and looks at every request in every cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from accelsim.activity import Step, Transfer, flatten
from accelsim.errors import ModelError
from accelsim.memory.network import DRAM, Buses, BusTime, LayerSpan, NetworkSpans, Prefetch, Program


@dataclass
class _Tile:
    layer: int
    step: Step
    first: bool
    last: bool
    start: int = -1
    end: int = -1
    waited: int = 0
    """For how many cycles for its own loads, or the stores of tiles before."""
    missing: list[str] = field(default_factory=list)
    """Places that it waited for in the last of them."""


@dataclass
class _Request:
    what: str
    tile: int
    layer: int
    cycles: int
    bits: int
    waits: bool
    """It carries what other layers make."""
    position: tuple[int, int] = (0, 0)
    end: int = -1


@dataclass
class _Unit:
    tiles: list[_Tile] = field(default_factory=list)
    lists: dict[tuple[str, str], list[_Request]] = field(default_factory=dict)
    done: int = 0
    """Tiles computed."""


def stepped(programs: Sequence[Program], buses: Buses, prefetch: Prefetch = "tile") -> NetworkSpans:
    """Return what `network.run` finds, by stepping."""
    for at, program in enumerate(programs):
        if program.schedule is None:
            return _around(programs, at, buses, prefetch)
    return _Machine(programs, buses, prefetch).run()


def _around(programs: Sequence[Program], at: int, buses: Buses, prefetch: Prefetch) -> NetworkSpans:
    """Step what comes before a program that runs alone, that, and what comes after it."""
    first = stepped(programs[:at], buses, prefetch)
    alone, begin = programs[at].alone_cycles, first.cycles
    now = begin + alone
    rest = stepped(
        [
            Program(
                p.unit, p.layer, p.schedule,
                tuple(e._replace(producer=e.producer - at - 1) for e in p.producers if e.producer > at),
                tuple(a - at - 1 for a in p.after if a > at), p.made, p.alone_cycles,
            )
            for p in programs[at + 1 :]
        ],
        buses, prefetch,
    )  # fmt: skip
    spans = list(first.layers)
    ends: dict[str, int] = {p.unit: s.end_cycle for p, s in zip(programs[:at], spans, strict=True)}
    before = ends.get(programs[at].unit, 0)
    spans.append(LayerSpan(before, begin, now, now, alone, begin - before, 0, 0, 0))
    ends[programs[at].unit] = now
    seen = set()
    for program, span in zip(programs[at + 1 :], rest.layers, strict=True):
        shifted = span.later(now)
        if program.unit not in seen:
            seen.add(program.unit)
            before = ends.get(program.unit, 0)
            shifted = shifted._replace(begin_cycle=before, producer_cycles=span.producer_cycles + now - before)
        spans.append(shifted)
    busy = {name: first.busy_cycles.get(name, 0) + rest.busy_cycles.get(name, 0)
            for name in dict.fromkeys((*first.busy_cycles, *rest.busy_cycles, programs[at].unit))}  # fmt: skip
    busy[programs[at].unit] += alone
    later = [
        {place: BusTime(t.start_cycle + now, t.end_cycle + now, t.busy_cycles) for place, t in each.items()}
        for each in rest.moves
    ]
    return NetworkSpans(now + rest.cycles, tuple(spans), busy, (*first.moves, {}, *later))


class _Machine:
    def __init__(self, programs: Sequence[Program], buses: Buses, prefetch: Prefetch) -> None:
        self.programs, self.prefetch = programs, prefetch
        self.places = [place for place, bus in buses.items() if bus is not None]
        self.buses = {place: bus for place, bus in buses.items() if bus is not None}
        self.units: dict[str, _Unit] = {}
        for number, program in enumerate(programs):
            unit = self.units.setdefault(program.unit, _Unit())
            steps = flatten(program.schedule or ()) or [Step((), 0, ())]
            for i, step in enumerate(steps):
                unit.tiles.append(_Tile(number, step, i == 0, i == len(steps) - 1))
        for unit in self.units.values():
            for place in self.places:
                self._list(unit, place)
        self.serving: dict[str, _Request | None] = dict.fromkeys(self.places)
        self.busy = dict.fromkeys((*self.units, *self.places), 0)
        self.waited = [[0, 0, 0, 0] for _ in programs]

    def _list(self, unit: _Unit, place: str) -> None:
        """Write down what a unit moves over a bus, in order; what constants need is apart where they have a room."""
        apart = not isinstance(self.prefetch, str)
        main: list[_Request] = []
        ahead: list[_Request] = []

        def add(to: list[_Request], what: str, tile: int, moved: Sequence[Transfer], position: tuple[int, int]) -> None:
            owner = unit.tiles[tile]
            made = self.programs[owner.layer].made
            here = [t for t in moved if t.place == place]
            bits = sum(self.buses[place].bus_bits(t) for t in here)
            if bits:
                waits = what in "lxb" and any(t.tensor in made for t in here)
                cycles = self.buses[place].bus_cycles(tuple(here))
                to.append(_Request(what, tile, owner.layer, cycles, bits, waits, position))

        for k, tile in enumerate(unit.tiles):
            program = self.programs[tile.layer]
            w = [t for t in tile.step.loads if t.tensor not in program.made]
            x = [t for t in tile.step.loads if t.tensor in program.made]
            split = tile.first and bool(program.producers)
            if apart:
                add(ahead, "w", k, w, (k, 0))
                if not split:
                    add(main, "x", k, x, (k, 1))
            elif split:
                add(main, "w", k, w, (k, 1))
            else:
                add(main, "l", k, tile.step.loads, (k, 1))
            if k:
                add(main, "s", k - 1, unit.tiles[k - 1].step.stores, (k, 1))
                add(main, "a", k - 1, unit.tiles[k - 1].step.after, (k, 1))
            if split:
                add(main, "x", k, x, (k, 1))
            add(main, "b", k, tile.step.before, (k, 1))
        last = len(unit.tiles) - 1
        add(main, "s", last, unit.tiles[last].step.stores, (last + 1, 1))
        add(main, "a", last, unit.tiles[last].step.after, (last + 1, 1))
        unit.lists[place, "main"], unit.lists[place, "ahead"] = main, ahead

    def run(self) -> NetworkSpans:
        now, still = 0, 0
        while not self._over(now):
            before = self._progress()
            self._compute(now)
            self._serve(now)
            still = 0 if self._progress() != before or self._moving(now) else still + 1
            if still > 1:
                raise ModelError(f"the network stands still at cycle {now}")
            self._wait(now)
            now += 1
        spans = []
        for number, program in enumerate(self.programs):
            unit = self.units[program.unit]
            mine = [t for t in unit.tiles if t.layer == number]
            first = unit.tiles.index(mine[0])
            begin = unit.tiles[first - 1].end if first else 0
            stored = max([mine[-1].end, *(r.end for r in self._stores(number))])
            work = sum(t.step.compute_cycles for t in mine)
            spans.append(LayerSpan(begin, mine[0].start, mine[-1].end, stored, work, *self.waited[number]))
        moves = tuple(self._moves(number) for number in range(len(self.programs)))
        return NetworkSpans(max((s.stored_cycle for s in spans), default=0), tuple(spans), self.busy, moves)

    def _moves(self, number: int) -> dict[str, BusTime]:
        lists, found = self.units[self.programs[number].unit].lists, dict[str, BusTime]()
        for place in self.places:
            mine = [r for (at, _), requests in lists.items() for r in requests if at == place and r.layer == number]
            if mine:
                start, end = min(r.end - r.cycles for r in mine), max(r.end for r in mine)
                found[place] = BusTime(start, end, sum(r.cycles for r in mine))
        return found

    def _stores(self, number: int, place: str | None = None) -> list[_Request]:
        lists = self.units[self.programs[number].unit].lists
        return [r for (at, _), requests in lists.items() for r in requests
                if place in (None, at) and r.layer == number and r.what in "sa"]  # fmt: skip

    def _over(self, now: int) -> bool:
        lists = [requests for unit in self.units.values() for requests in unit.lists.values()]
        done = all(0 <= r.end <= now for requests in lists for r in requests)
        return done and all(0 <= t.end <= now for unit in self.units.values() for t in unit.tiles)

    def _progress(self) -> tuple[int, int]:
        units = self.units.values()
        started = sum(t.start >= 0 for unit in units for t in unit.tiles)
        return started, sum(r.end >= 0 for unit in units for requests in unit.lists.values() for r in requests)

    def _moving(self, now: int) -> bool:
        """Whether something under way has still to end, or to arrive."""
        late = max((bus.latency_cycles for bus in self.buses.values()), default=0)
        units = self.units.values()
        return any(t.end > now for unit in units for t in unit.tiles) or any(
            r.end + late > now for unit in units for requests in unit.lists.values() for r in requests if r.end >= 0
        )

    def _computed(self, number: int, now: int) -> bool:
        mine = [t for t in self.units[self.programs[number].unit].tiles if t.layer == number]
        return all(0 <= t.end <= now for t in mine)

    def _made(self, number: int, now: int) -> bool:
        """Whether everything is where a layer reads it."""
        return all(
            self._computed(edge.producer, now)
            and all(0 <= r.end <= now for r in self._stores(edge.producer, edge.place))
            for edge in self.programs[number].producers
        )

    def _free(self, number: int, now: int) -> bool:
        return all(self._computed(other, now) for other in self.programs[number].after)

    def _there(self, unit: _Unit, place: str, k: int, now: int) -> bool:
        """Whether a place keeps tile k from computing no longer."""
        bus = self.buses[place]
        for which in ("main", "ahead"):
            for r in unit.lists[place, which]:
                if r.what in "lwxb" and r.tile == k and not 0 <= r.end <= now - bus.latency_cycles:
                    return False
                needed = (r.what == "s" and r.tile <= k - 2) or (r.what == "a" and r.tile <= k - 1)
                if needed and not 0 <= r.end <= now:
                    return False
        return True

    def _compute(self, now: int) -> None:
        changed = True
        while changed:
            changed = False
            for name, unit in self.units.items():
                while unit.done < len(unit.tiles) and 0 <= unit.tiles[unit.done].end <= now:
                    unit.done += 1
                    changed = True
                k = unit.done
                if k == len(unit.tiles) or unit.tiles[k].start >= 0:
                    continue
                tile = unit.tiles[k]
                if tile.first and not (self._made(tile.layer, now) and self._free(tile.layer, now)):
                    continue
                if all(self._there(unit, place, k, now) for place in self.places):
                    tile.start, tile.end = now, now + tile.step.compute_cycles
                    self.busy[name] += tile.step.compute_cycles
                    self.waited[tile.layer][2 if DRAM in tile.missing else 3] += tile.waited
                    changed = True

    def _ready(self, unit: _Unit, request: _Request, place: str, now: int) -> bool:
        k, what = request.tile, request.what
        if request.waits and not self._made(request.layer, now):
            return False
        if what in "sa":
            return unit.done > k
        if what == "b":
            return unit.done >= k
        if what == "w" and not isinstance(self.prefetch, str):
            held = sum(r.bits for r in unit.lists[place, "ahead"] if r.end >= 0 and not self._used_up(unit, place, r))
            return held == 0 or held + request.bits <= self.prefetch * 8192
        early = 1 if self.prefetch == "none" and unit.tiles[k].first else 2
        return unit.done > k - early

    def _used_up(self, unit: _Unit, place: str, request: _Request) -> bool:
        """Whether the tiles that compute with some constants are done: up to the next ones, or the layer's last."""
        later = [r.tile for r in unit.lists[place, "ahead"] if r.tile > request.tile]
        last = max(k for k, t in enumerate(unit.tiles) if t.layer == request.layer)
        return unit.done > min(last, min(later, default=last + 1) - 1)

    def _serve(self, now: int) -> None:
        for place in self.places:
            under_way = self.serving[place]
            if under_way is not None and under_way.end > now:
                continue
            heads = []
            for unit in self.units.values():
                for which in ("main", "ahead"):
                    waiting = [r for r in unit.lists[place, which] if r.end < 0]
                    if waiting and self._ready(unit, waiting[0], place, now):
                        heads.append(waiting[0])
            if heads:
                chosen = min(heads, key=lambda r: (r.layer, r.position))
                chosen.end = now + chosen.cycles
                self.serving[place] = chosen
                self.busy[place] += chosen.cycles

    def _wait(self, now: int) -> None:
        """Say why each unit that has a tile left does not compute in this cycle."""
        for unit in self.units.values():
            if unit.done == len(unit.tiles) or unit.tiles[unit.done].start >= 0:
                continue
            tile = unit.tiles[unit.done]
            if tile.first and not self._made(tile.layer, now):
                self.waited[tile.layer][0] += 1
            elif tile.first and not self._free(tile.layer, now):
                self.waited[tile.layer][1] += 1
            else:
                tile.waited += 1
                tile.missing = [place for place in self.places if not self._there(unit, place, unit.done, now)]
