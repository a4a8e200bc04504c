"""The door to a DRAM device of a unit that asks for memory inside its walk: runs and when they may begin in, ends out.

The rules are those of docs/decisions/0096-coupled-engines-ask-the-device.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from accelsim.errors import ConfigError
from accelsim.memory.device import kernel as k
from accelsim.memory.device.channel import Served, State, idle, open_clocks
from accelsim.memory.device.machine import Coupling, Layer, Places
from accelsim.memory.runs import Runs
from accelsim.units import ceil_div

CHUNK = 1 << 19
"""Transactions that are laid out at a time."""
LAST_CLOCK = 1 << 60


class Ends(NamedTuple):
    """Core cycles of each run, int64: when the last of it had been taken, and when it is over.

    A read is over when its data has passed; writes are posted, and over when taken.
    """

    taken: np.ndarray
    over: np.ndarray


class _Asked(NamedTuple):
    """Requests of one channel that lie before the kernel."""

    earliest: np.ndarray
    at: np.ndarray
    row: np.ndarray
    place: np.ndarray
    write: np.ndarray
    tag: np.ndarray
    done: np.ndarray
    found: np.ndarray
    run: np.ndarray
    """Of the call; -1 of an earlier one."""


@dataclass
class Door:
    """A device, idle at first, before one layer.

    Attributes
    ----------
    coupling : Coupling
    places : Places
        Where the layer's tensors lie; what has none takes room behind all.
    keep : bool
        Whether to keep the requests.
    """

    coupling: Coupling
    places: Places
    keep: bool = False
    states: list[State] = field(init=False)
    asked: list[_Asked] = field(init=False)
    offered: list[int] = field(init=False)
    """Clock at which each channel took its last request."""
    calls: int = 0
    reads: int = 0
    writes: int = 0
    trace: list[np.ndarray] = field(default_factory=list)
    rooms: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.states = idle(self.coupling.device)
        nothing = _Asked(*(np.zeros(0, np.int64) for _ in _Asked._fields))
        self.asked = [nothing for _ in self.states]
        self.offered = [-1 for _ in self.states]

    @property
    def tx_bits(self) -> int:
        """Bits of a transaction."""
        return 8 * self.coupling.device.standard.organisation.tx_bytes

    @property
    def turn_bits(self) -> int:
        """What a stream moves before it is another's turn: assumed one page of 4,096 bytes, unless the machine says."""
        return 8 * (self.coupling.turn_bytes or 4096)

    def room(self, name: str, bits: int, role: str | None = None) -> int:
        """Return the first bit of what a unit keeps in DRAM: a tensor's own place if it is one and holds it, else new.

        A name keeps its room.
        """
        if name not in self.rooms:
            own = self.places.tensors.get(role or name, ())
            size = ceil_div(bits, 8)
            if len(own) == 1 and own[0][1] >= size:
                self.rooms[name] = 8 * own[0][0]
            else:
                row_bytes = self.coupling.device.standard.organisation.row_bytes
                self.rooms[name] = 8 * self.places.room(size, row_bytes)[0]
            capacity = self.coupling.device.addresses.capacity_bytes
            if self.places.free_byte > capacity:
                device = self.coupling.device
                raise ConfigError(
                    f"tensors and partial sums take {self.places.free_byte:,} bytes, {device.channels} x "
                    f"{device.standard.name} hold {capacity:,}", "use more channels or a smaller batch",
                )  # fmt: skip
        return self.rooms[name]

    def stream(self, first_bit: int, ends_bits: np.ndarray, write: int) -> Runs:
        """Return a stream that is moved up to ``ends_bits``, ascending, piece by piece: no transaction is moved twice.

        A piece has the transactions that are touched and have not been before.
        """
        tx = self.tx_bits
        last = -(-(first_bit + ends_bits) // tx)
        begun = np.concatenate([[first_bit // tx], last[:-1]])
        return Runs(begun * tx, (last - begun) * tx, np.full(last.size, write, np.int64))

    def mark(self) -> Door:
        """Return a copy to go on from."""
        twin = Door(self.coupling, self.places, self.keep)
        twin.states = [State(*(array.copy() for array in state)) for state in self.states]
        twin.asked, twin.offered = [_Asked(*(array.copy() for array in each)) for each in self.asked], [*self.offered]
        twin.calls, twin.reads, twin.writes = self.calls, self.reads, self.writes
        twin.trace, twin.rooms = [*self.trace], self.rooms
        return twin

    def serve(self, runs: Runs, earliest: np.ndarray | int, parts: int = 1) -> Ends:
        """Serve runs, none before its earliest time, nor before those ahead of it; return when each was over.

        Times are in so many parts of a core cycle. Returns when the reads are issued: what a unit asks for next must
        not begin before the last of these ends.
        """
        ratio, tx = self.coupling.clocks_per_cycle / parts, self.tx_bits
        cycle = np.broadcast_to(np.asarray(earliest, dtype=np.int64), runs.bits.shape)
        clock = -(-cycle * ratio.numerator // ratio.denominator)
        if clock.size and int(clock.max()) > LAST_CLOCK // max(ratio.numerator, ratio.denominator):
            raise ConfigError("clocks of the DRAM device leave 64 bits", "split the layer, or round clocks_mhz.core")
        first = runs.first_bit // tx
        count = np.where(runs.bits > 0, (runs.first_bit + runs.bits - 1) // tx - first + 1, 0)
        taken, over = clock.copy(), clock.copy()
        self.calls += 1
        ends = np.cumsum(count)
        begin = 0
        while begin < count.size:
            before = int(ends[begin - 1]) if begin else 0
            stop = max(begin + 1, int(np.searchsorted(ends, before + CHUNK, side="right")))
            part = slice(begin, stop)
            self._offer(begin, first[part], count[part], clock[part], runs.write[part], taken, over)
            begin = stop
        for c, state in enumerate(self.states):
            self._go(c, self.asked[c], state, self.asked[c].at.size, self.calls)
            self._note(c, taken, over)
        wrote = runs.write > 0
        self.reads += int(count[~wrote].sum())
        self.writes += int(count[wrote].sum())

        def cycles(clocks: np.ndarray) -> np.ndarray:
            return np.asarray(-(-clocks * ratio.denominator // ratio.numerator))

        # a run that asks for nothing ends where it may begin
        return Ends(cycles(np.where(count > 0, taken + 1, clock)), cycles(np.where(count > 0, over, clock)))

    def _offer(
        self, begin: int, first: np.ndarray, count: np.ndarray, clock: np.ndarray, write: np.ndarray,
        taken: np.ndarray, over: np.ndarray,
    ) -> None:  # fmt: skip
        """Lay runs out as requests behind those that wait, and let the channels take them."""
        device = self.coupling.device
        run = np.repeat(np.arange(begin, begin + count.size), count)
        within = np.arange(run.size) - np.repeat(np.cumsum(count) - count, count)
        place = first[run - begin] + within
        where = device.addresses.decode(place * device.standard.organisation.tx_bytes)
        if self.keep:
            self.trace.append(np.stack([clock[run - begin], place, write[run - begin]], axis=1))
        for c, state in enumerate(self.states):
            mine = slice(None) if device.channels == 1 else np.flatnonzero(where.channel == c)
            waiting = self._waiting(c)
            fresh = run[mine].size
            new = _Asked(
                clock[run[mine] - begin], where.bank[mine], where.row[mine], place[mine], write[run[mine] - begin],
                np.full(fresh, self.calls), np.zeros(fresh, np.int64), np.zeros(fresh, np.int64), run[mine],
            )  # fmt: skip
            if fresh:
                new.earliest[0] = max(int(new.earliest[0]), self.offered[c] + 1)
            old = waiting.at.size
            both = _Asked(*(np.ascontiguousarray(np.concatenate(pair)) for pair in zip(waiting, new, strict=True)))
            self.asked[c] = both
            if fresh:
                self._go(c, both, state, old, -1)
                self.offered[c] = int(state.channel[k.CLOCK])
            self._note(c, taken, over)

    def _go(self, c: int, each: _Asked, state: State, first: int, need: int, until: int = 0) -> None:
        del c
        log = np.zeros((0, k.LOG_COLUMNS), np.int64)
        k.serve(
            first, each.at.size, need, until, self.coupling.device.rules, *state, each.earliest, each.at, each.row,
            each.place, each.write, each.tag, each.done, each.found, log,
        )  # fmt: skip

    def _waiting(self, c: int) -> _Asked:
        """Return the requests of a channel that still wait, numbered anew from 0."""
        state, each = self.states[c], self.asked[c]
        lists = [state.queue[which, : state.channel[k.READS + which]] for which in range(3)]
        held = np.unique(np.concatenate(lists))
        for found in lists:
            found[:] = np.searchsorted(held, found)
        owned = state.bank[k.B_OWNER] >= 0
        state.bank[k.B_OWNER, owned] = np.searchsorted(held, state.bank[k.B_OWNER, owned])
        return _Asked(*(array[held] for array in each))

    def _note(self, c: int, taken: np.ndarray, over: np.ndarray) -> None:
        """Note when the runs of this call were taken, and when their reads are over as far as that is known."""
        each = self.asked[c]
        now = (each.run >= 0) & (each.tag == self.calls)
        run, read = each.run[now], each.write[now] == 0
        np.maximum.at(taken, run, each.earliest[now])
        np.maximum.at(over, run, np.where(read, each.done[now], each.earliest[now] + 1))

    def end(self, cycles: int, compute_cycles: int) -> Layer:
        """Serve what waits; return the layer: its end is not before ``cycles``."""
        ratio = self.coupling.clocks_per_cycle
        last = 0
        for c, state in enumerate(self.states):
            self._go(c, self.asked[c], state, self.asked[c].at.size, k.NEVER)
            last = max(last, int(state.channel[k.LAST]), self.offered[c] + 1)
        cycles = max(cycles, ceil_div(last * ratio.denominator, ratio.numerator))
        until = ceil_div(cycles * ratio.numerator, ratio.denominator)
        for c, state in enumerate(self.states):
            self._go(c, self.asked[c], state, self.asked[c].at.size, -1, until)
        channel = np.array([state.channel for state in self.states])
        opened = np.array([open_clocks(s.rank, int(s.channel[k.CLOCK])) for s in self.states])
        nothing = np.zeros(0, np.int64)
        served = Served(nothing, nothing, channel, channel, np.array([s.bus for s in self.states]), opened)
        trace = np.concatenate([np.zeros((0, 3), np.int64), *self.trace])
        return Layer(cycles, compute_cycles, self.reads, self.writes, max(self.offered), served, trace)
