"""A network on one clock with a DRAM device, device clock by device clock: the rules of decision 0110 in plain Python.

It looks at every request and every channel in every clock, and asks `memory.device.reference` for what a channel does.
It shares with the event loop what a program is, the standards' data and the decoding of addresses.
"""

from dataclasses import dataclass, field
from math import ceil
from random import Random

import numpy as np
from network_cases import random_network

from accelsim.activity import Loop, Step, flatten
from accelsim.memory.device.machine_reference import turns
from accelsim.memory.device.reference import Request, Stepper
from accelsim.memory.network import DRAM, Edge, Program
from accelsim.schedules import BusTime

WINDOW = 64


@dataclass
class Asked:
    what: str
    tile: int
    layer: int
    place: str
    moved: tuple
    waits: bool
    position: tuple
    granted: int = -1
    over: int = -1
    """Core cycle; -1: not known."""
    sent: list = field(default_factory=list)


@dataclass
class Tile:
    layer: int
    step: Step
    first: bool
    start: int = -1
    end: int = -1


class Machine:
    def __init__(self, programs, buses, prefetch, coupling, tensors, free_byte):
        self.programs, self.prefetch, self.coupling = programs, prefetch, coupling
        self.buses = {place: bus for place, bus in buses.items() if bus is not None}
        self.ratio, self.device = coupling.clocks_per_cycle, coupling.device
        self.tx = self.device.standard.organisation.tx_bytes
        self.channels = [Stepper(self.device, [], []) for _ in range(self.device.channels)]
        self.pieces, self.gone = self._lie(tensors, free_byte), {}
        self.tiles, self.lists = {}, {}
        for number, program in enumerate(programs):
            mine = self.tiles.setdefault(program.unit, [])
            for i, step in enumerate(flatten(program.schedule) or [Step((), 0, ())]):
                mine.append(Tile(number, step, i == 0))
        for unit in self.tiles:
            for place in self.buses:
                self._list(unit, place)
        self.free_at = dict.fromkeys(self.buses, 0)
        self.waited = [[0, 0, 0, 0] for _ in programs]
        self.held = {}
        self.granted = []

    def _lie(self, tensors, free):
        """Return (program, tensor) -> its transactions; what has no place gets one behind all, in order of use."""
        row = self.device.standard.organisation.row_bytes
        found = {}
        for number, program in enumerate(self.programs):
            need, order = {}, []
            for step in once(program.schedule):
                for t in (*step.loads, *step.before, *step.stores, *step.after):
                    if t.place == DRAM and t.tensor not in order:
                        order.append(t.tensor)
            for step in flatten(program.schedule):
                for t in (*step.loads, *step.before, *step.stores, *step.after):
                    if t.place == DRAM:
                        key = t.tensor, t.direction
                        need[key] = need.get(key, 0) + t.runs * self._size(t)
            for tensor in order:
                own = [(at, size) for at, size in tensors[number].get(tensor, ()) if size]
                if not own:
                    size = self.tx * max(need.get((tensor, way), 0) for way in ("read", "write"))
                    free = ceil(free / row) * row
                    own, free = [(free, size)], free + size
                found[number, tensor] = [
                    at // self.tx + i for at, size in own for i in range(ceil(size / self.tx))
                ]  # fmt: skip
        return found

    def _size(self, transfer):
        return ceil(transfer.run_bits / (8 * self.tx))

    def _list(self, unit, place):
        tiles, apart = self.tiles[unit], not isinstance(self.prefetch, str)
        main, ahead = [], []

        def add(to, what, k, moved, position):
            here = tuple(t for t in moved if t.place == place and t.bits)
            if here:
                made = self.programs[tiles[k].layer].made
                waits = what in "lxb" and any(t.tensor in made for t in here)
                to.append(Asked(what, k, tiles[k].layer, place, here, waits, position))

        for k, tile in enumerate(tiles):
            made = self.programs[tile.layer].made
            w = [t for t in tile.step.loads if t.tensor not in made]
            x = [t for t in tile.step.loads if t.tensor in made]
            split = tile.first and self.programs[tile.layer].producers
            if apart:
                add(ahead, "w", k, w, (k, 0))
            elif split:
                add(main, "w", k, w, (k, 1))
            if not split:
                add(main, "l", k, x if apart else tile.step.loads, (k, 1))
            if k:
                add(main, "s", k - 1, tiles[k - 1].step.stores, (k, 1))
                add(main, "a", k - 1, tiles[k - 1].step.after, (k, 1))
            if split:
                add(main, "x", k, x, (k, 1))
            add(main, "b", k, tile.step.before, (k, 1))
        add(main, "s", len(tiles) - 1, tiles[-1].step.stores, (len(tiles), 1))
        add(main, "a", len(tiles) - 1, tiles[-1].step.after, (len(tiles), 1))
        self.lists[unit, place] = [main, ahead]

    def run(self):
        clock, cycle = 0, -1
        while True:
            while ceil((cycle + 1) * self.ratio) <= clock:
                cycle += 1
                self._cycle(cycle)
            while any(s.next_coming == len(s.coming) for s in self.channels) and self._grant(cycle, clock):
                pass
            if self._done(cycle) and not any(s.busy for s in self.channels):
                break
            for stepper in self.channels:
                stepper.tick(clock)
            clock += 1
            self._look()
            assert clock < 10**6
        last = max(t.end for tiles in self.tiles.values() for t in tiles)
        every = [r for each in self.lists.values() for requests in each for r in requests]
        self.end = max([last, *(r.over for r in every)])
        for stepper in self.channels:
            self.end = max([self.end, *(ceil(r.done / self.ratio) for r in stepper.coming)])
        for now in range(clock, ceil(self.end * self.ratio)):
            for stepper in self.channels:
                stepper.tick(now)
        return self

    def _done(self, cycle):
        return all(0 <= t.end <= cycle for tiles in self.tiles.values() for t in tiles) and all(
            r.over >= 0 for each in self.lists.values() for requests in each for r in requests
        )

    def _look(self):
        """Say when requests are over of which everything is known."""
        for request in self.granted:
            if request.over < 0 and all(
                r.number < self.channels[c].next_coming and (r.write or r.done >= 0) for c, r in request.sent
            ):
                ends = [max(r.offered + 1, 0 if r.write else r.done) for _, r in request.sent]
                request.over = ceil(max(ends) / self.ratio)

    def _computed(self, unit, cycle):
        return sum(0 <= t.end <= cycle for t in self.tiles[unit])

    def _over(self, number, cycle):
        return all(0 <= t.end <= cycle for t in self.tiles[self.programs[number].unit] if t.layer == number)

    def _made(self, number, cycle):
        for producer, place in self.programs[number].producers:
            if not self._over(producer, cycle):
                return False
            for request in self._of(self.programs[producer].unit, place):
                if request.layer == producer and request.what in "sa" and not 0 <= request.over <= cycle:
                    return False
        return True

    def _of(self, unit, place):
        return [r for requests in self.lists.get((unit, place), ()) for r in requests]

    def _missing(self, unit, k, cycle):
        """Return the places that keep tile k from computing."""
        found = set()
        for place in self.buses:
            for r in self._of(unit, place):
                own = r.what in "lwxb" and r.tile == k
                if own or (r.what == "s" and r.tile <= k - 2) or (r.what == "a" and r.tile <= k - 1):
                    late = 0 if place == DRAM or not own else self.buses[place].latency_cycles
                    if not 0 <= r.over <= cycle - late:
                        found.add(place)
        return found

    def _cycle(self, cycle):
        changed = True
        while changed:
            changed = False
            for unit, tiles in self.tiles.items():
                k = self._computed(unit, cycle)
                if k == len(tiles) or tiles[k].start >= 0:
                    continue
                tile = tiles[k]
                if tile.first and not self._made(tile.layer, cycle):
                    continue
                if tile.first and not all(self._over(other, cycle) for other in self.programs[tile.layer].after):
                    continue
                if self._missing(unit, k, cycle):
                    continue
                tile.start, tile.end, changed = cycle, cycle + tile.step.compute_cycles, True
                spent, places = self.held.pop(unit, (0, set()))
                self.waited[tile.layer][2 if DRAM in places else 3] += spent
        for place, bus in self.buses.items():
            if place == DRAM or self.free_at[place] > cycle:
                continue
            request = self._first(place, cycle)
            if request is not None:
                request.granted = cycle
                request.over = self.free_at[place] = cycle + bus.bus_cycles(request.moved)
        for unit, tiles in self.tiles.items():
            k = self._computed(unit, cycle)
            if k < len(tiles) and tiles[k].start < 0:
                tile = tiles[k]
                if tile.first and not self._made(tile.layer, cycle):
                    self.waited[tile.layer][0] += 1
                elif tile.first and not all(self._over(other, cycle) for other in self.programs[tile.layer].after):
                    self.waited[tile.layer][1] += 1
                else:
                    self.held[unit] = self.held.get(unit, (0, None))[0] + 1, self._missing(unit, k, cycle)

    def _first(self, place, cycle):
        heads = []
        for (unit, at), lists in self.lists.items():
            for requests in lists if at == place else ():
                waiting = [r for r in requests if r.granted < 0]
                if waiting and self._ready(unit, waiting[0], cycle):
                    heads.append(waiting[0])
        return min(heads, key=lambda r: (r.layer, r.position), default=None)

    def _ready(self, unit, r, cycle):
        done, tile = self._computed(unit, cycle), self.tiles[unit][r.tile]
        if r.waits and not self._made(r.layer, cycle):
            return False
        if r.what in "sa":
            return done > r.tile
        if r.what == "b":
            return done >= r.tile and all(
                0 <= a.over <= cycle for a in self._of(unit, r.place) if a.what == "a" and a.tile < r.tile
            )
        if r.what == "w" and not isinstance(self.prefetch, str):
            ahead = self.lists[unit, r.place][1]
            held = sum(self._bits(w) for w in ahead if w.granted >= 0 and done <= self._last_use(unit, ahead, w))
            return held == 0 or held + self._bits(r) <= self.prefetch * 8192
        return done > r.tile - (1 if self.prefetch == "none" and tile.first else 2)

    def _last_use(self, unit, ahead, w):
        own = [k for k, t in enumerate(self.tiles[unit]) if t.layer == w.layer]
        return min([own[-1], *(r.tile - 1 for r in ahead if r.tile > w.tile)])

    def _bits(self, request):
        return sum(self.buses[request.place].bus_bits(t) for t in request.moved)

    def _grant(self, cycle, clock):
        """Send the request that comes next to the channels; say whether there is one."""
        if len(self.granted) >= WINDOW and not 0 <= self.granted[-WINDOW].over <= cycle:
            return False
        request = self._first(DRAM, cycle)
        if request is None:
            return False
        request.granted = clock
        self.granted.append(request)
        ways, listed = {}, []
        for t in request.moved:
            mine, key = self.pieces[request.layer, t.tensor], (request.layer, t.tensor, t.direction)
            runs = []
            for _ in range(t.runs):
                at, size = self.gone.get(key, 0), self._size(t)
                self.gone[key] = at + size
                runs.append([mine[(at + i) % len(mine)] for i in range(size)])
            ways |= dict.fromkeys((i for run in runs for i in run), t.direction == "write")
            listed.append(runs)
        for number in turns(listed, ceil(self.coupling.turn_bytes / self.tx)):
            where = self.device.addresses.decode(np.array([number * self.tx], dtype=np.int64))
            c = int(where.channel[0])
            channel = self.channels[c]
            asked = Request(len(channel.coming), int(where.bank[0]), int(where.row[0]), number, ways[number])
            channel.coming.append(asked)
            channel.earliest.append(clock)
            request.sent.append((c, asked))
        return True

    def moves(self, number):
        found = {}
        for place in self.buses:
            mine = [r for r in self._of(self.programs[number].unit, place) if r.layer == number]
            if mine and place == DRAM:
                start, end = min(ceil(r.granted / self.ratio) for r in mine), max(r.over for r in mine)
                timing, o = self.device.standard.timing, self.device.standard.organisation
                clocks = timing.bl * sum(len(r.sent) for r in mine)
                busy = ceil(clocks / (self.device.channels * o.pseudo_channels) / self.ratio)
                found[place] = BusTime(start, end, min(busy, end - start))
            elif mine:
                found[place] = BusTime(
                    min(r.granted for r in mine), max(r.over for r in mine),
                    sum(self.buses[place].bus_cycles(r.moved) for r in mine),
                )  # fmt: skip
        return found


def once(items):
    for item in items:
        if isinstance(item, Loop):
            if item.repeat:
                yield from once(item.body)
        else:
            yield item


def random_case(seed, setting):
    """Return (programs, buses, prefetch, coupling, tensors, free byte): one to three units on any device."""
    rng = Random(seed)
    programs, ports, prefetch = random_network(seed, rounds=3)
    coupling = setting(seed)
    tx, row = coupling.device.standard.organisation.tx_bytes, coupling.device.standard.organisation.row_bytes
    ports[DRAM] = ports[DRAM]._replace(burst_bits=8 * tx)
    size, long = rng.choice((1, 60, 60, 400)), rng.choice((1, 4, 20))
    if not isinstance(prefetch, str):
        prefetch = prefetch * rng.choice((8 * tx, 24 * tx))

    def sized(t):
        return t if t.place != DRAM else t._replace(run_bits=t.run_bits * size, runs=rng.choice((1, 1, 3)))

    def other(items):
        found = []
        for item in items:
            if isinstance(item, Loop):
                found.append(Loop(item.repeat, other(item.body)))
            else:
                parts = (tuple(map(sized, getattr(item, n))) for n in ("loads", "stores", "before", "after"))
                loads, stores, before, after = parts
                found.append(Step(loads, item.compute_cycles * long, stores, before, after))
        return tuple(found)

    made = [
        Program(p.unit, p.layer, other(p.schedule or ()), tuple(Edge(*e) for e in p.producers), p.after)
        for p in programs
    ]
    tensors = []
    for number in range(len(made)):
        places = {name: ((row * (1 + 7 * number + i), rng.choice((40, 700, 9000))),)
                  for i, name in enumerate(("input", "weight", "output")) if rng.random() < 0.8}  # fmt: skip
        if "input" in places and rng.random() < 0.3:
            places["input"] += ((row * (200 + number), 500),)
        tensors.append(places)
    return made, ports, prefetch, coupling, tensors, 300 * row
