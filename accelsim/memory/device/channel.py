"""Channels of a DRAM standard with their controllers: requests in, clocks and counts out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from accelsim.config.dram.mapping import Mapping
from accelsim.config.dram.standard import Standard
from accelsim.errors import ConfigError
from accelsim.memory.device import kernel as k
from accelsim.memory.device.rules import rules
from accelsim.units import ceil_div

MOST_QUEUE = 256
NOTHING = -(1 << 40)
"""A clock that constrains nothing any more."""


class Controller(NamedTuple):
    """What a memory controller does.

    Attributes
    ----------
    page : str
        ``open``: rows stay open. ``closed``: a row is closed after ``cap`` accesses, or once no waiting request needs
        it.
    cap : int
        Accesses of a row under ``closed``.
    queue : int
        Reads, and writes, that wait at most.
    """

    page: Literal["open", "closed"] = "open"
    cap: int = 4
    queue: int = 32


PLAIN = Controller()
"""Open page, queues of 32."""


@dataclass(frozen=True)
class Device:
    """Channels of one standard.

    Attributes
    ----------
    standard : Standard
    channels : int
        A power of two.
    mapping : str
        See `accelsim.config.dram.mapping`.
    controller : Controller

    Raises
    ------
    ConfigError
        See `Mapping`; a cap or queue out of range.
    """

    standard: Standard
    channels: int = 1
    mapping: str = "RoBaRaCoCh"
    controller: Controller = PLAIN

    def __post_init__(self) -> None:
        _ = self.addresses
        if not 1 <= self.controller.cap <= 1 << 20:
            raise ConfigError(f"cap {self.controller.cap} of a closed page is out of range", "give 1 to 1048576")
        if not 1 <= self.controller.queue <= MOST_QUEUE:
            raise ConfigError(f"a queue of {self.controller.queue} is out of range", f"give 1 to {MOST_QUEUE}")

    @cached_property
    def addresses(self) -> Mapping:
        """The mapping of addresses."""
        return Mapping(self.mapping, self.standard.organisation, self.channels)

    @cached_property
    def key(self) -> str:
        """What tells devices apart."""
        return repr(self)

    @cached_property
    def rules(self) -> np.ndarray:
        """What the kernel follows, int64 (kernel.RULES,)."""
        found = rules(self.standard)
        queue = self.controller.queue
        found[[k.CLOSED, k.CAP, k.QUEUE]] = self.controller.page == "closed", self.controller.cap, queue
        found[k.HIGH], found[k.LOW] = 8 * queue // 10, ceil_div(2 * queue, 10)
        return found


class State(NamedTuple):
    """Of one channel, int64 arrays whose rows the kernel names: what it and its controller are in the midst of."""

    channel: np.ndarray
    bank: np.ndarray
    group: np.ndarray
    rank: np.ndarray
    bus: np.ndarray
    queue: np.ndarray


class Requests(NamedTuple):
    """Requests in the order in which they are offered, arrays of one length.

    ``address`` int64 in bytes; ``write`` bool; ``earliest`` int64, the first device clock at which each may be offered
    (one that stands behind another is not offered before it).
    """

    address: np.ndarray
    write: np.ndarray
    earliest: np.ndarray


class _Stream(NamedTuple):
    """The requests of one channel as the kernel takes them."""

    earliest: np.ndarray
    at: np.ndarray
    row: np.ndarray
    place: np.ndarray
    write: np.ndarray


class Command(NamedTuple):
    """A command of the log: ``place`` is the bank, of ALL_PRE and REF the rank; row and request are -1 without one."""

    clock: int
    kind: int
    place: int
    row: int
    request: int


@dataclass(frozen=True)
class Served:
    """What became of a run of requests.

    Attributes
    ----------
    done : ndarray
        int64 (n,): device clock at which the last data of each request has passed; of a merged write, at which it was
        merged.
    found : ndarray
        int64 (n,): kernel.HIT, MISS, CONFLICT or DIRECT (answered from, or merged into, a queued write).
    taken : ndarray
        int64 (channels, kernel.CHANNEL): counts of each channel when its last request was taken.
    channel : ndarray
        The same when the last was served.
    bus : ndarray
        int64 (channels, kernel.BUS_ROWS, data buses): clocks of each data bus, by use.
    open_clocks : ndarray
        int64 (channels, ranks): clocks in which a rank had an open row.
    log : tuple
        Of each channel its commands, int64 (commands, 5) with the columns of `Command`; () unless asked for.
    """

    done: np.ndarray
    found: np.ndarray
    taken: np.ndarray
    channel: np.ndarray
    bus: np.ndarray
    open_clocks: np.ndarray
    log: tuple[np.ndarray, ...] = ()

    @property
    def cycles(self) -> int:
        """Device clocks until the last request was taken: what public simulators report."""
        return int(self.taken[:, k.CLOCK].max())

    @property
    def end(self) -> int:
        """Device clock at which the last data has passed."""
        return int(max(self.channel[:, k.LAST].max(), self.channel[:, k.CLOCK].max()))


def idle(device: Device) -> list[State]:
    """Return every channel of a device at clock 0: rows closed, nothing queued."""
    o = device.standard.organisation
    ranks = o.pseudo_channels * o.ranks * o.stack_ids
    found = []
    for _ in range(device.channels):
        channel = np.zeros(k.CHANNEL, dtype=np.int64)
        channel[k.NEXT_REF] = device.standard.timing.refi
        bank = np.zeros((k.BANK_ROWS, o.banks), dtype=np.int64)
        bank[[k.B_ROW, k.B_OWNER]] = -1
        group = np.zeros((k.GROUP_ROWS, o.bank_groups * ranks), dtype=np.int64)
        rank = np.zeros((k.RANK_ROWS, ranks), dtype=np.int64)
        rank[k.R_RING : k.R_RING + 4] = rank[k.R_DONE] = NOTHING
        bus = np.zeros((k.BUS_ROWS, o.pseudo_channels), dtype=np.int64)
        queue = np.zeros((3, max(device.controller.queue, o.banks)), dtype=np.int64)
        found.append(State(channel, bank, group, rank, bus, queue))
    return found


def serve(device: Device, requests: Requests, states: list[State] | None = None, *, log: bool = False) -> Served:
    """Serve requests to the end.

    Parameters
    ----------
    device : Device
    requests : Requests
    states : list of State, optional
        Where channels stand, as `idle` or an earlier call left them; changed in place. Idle channels by default.
    log : bool
        Whether to keep every command.

    Raises
    ------
    ConfigError
        An address beyond the capacity.
    """
    states = idle(device) if states is None else states
    address = np.ascontiguousarray(requests.address, dtype=np.int64)
    capacity = device.addresses.capacity_bytes
    if address.size and (address.min() < 0 or address.max() >= capacity):
        worst = int(address.max()) if int(address.max()) >= capacity else int(address.min())
        raise ConfigError(
            f"address {worst:#x} lies outside the {capacity:,} bytes of {device.channels} x {device.standard.name}",
            "use more channels, or lower addresses",
        )
    where = device.addresses.decode(address)
    place = address // device.standard.organisation.tx_bytes
    write = np.ascontiguousarray(requests.write, dtype=np.int64)
    earliest = np.array(requests.earliest, dtype=np.int64)  # the kernel writes there
    done, found = np.zeros(address.size, dtype=np.int64), np.zeros(address.size, dtype=np.int64)
    taken, logs = [], []
    for number, state in enumerate(states):
        mine = slice(None) if device.channels == 1 else np.flatnonzero(where.channel == number)
        each = _Stream(earliest[mine], where.bank[mine], where.row[mine], place[mine], write[mine])
        ended, met = done[mine], found[mine]
        at_taken, commands = _through(device.rules, state, each, ended, met, log)
        done[mine], found[mine] = ended, met
        taken.append(at_taken)
        if log:
            commands[:, 4] = np.where(commands[:, 4] >= 0, np.arange(address.size)[mine][commands[:, 4]], -1)
            logs.append(commands)
    channel = np.array([state.channel for state in states])
    opened = np.array([open_clocks(state.rank, int(state.channel[k.CLOCK])) for state in states])
    return Served(done, found, np.array(taken), channel, np.array([s.bus for s in states]), opened, tuple(logs))


def _through(
    rules: np.ndarray, state: State, each: _Stream, done: np.ndarray, found: np.ndarray, log: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Let one channel take its requests, then serve what is queued; return its counts in between, and its commands."""
    room = np.zeros((4 * done.size + 64 if log else 0, k.LOG_COLUMNS), dtype=np.int64)
    while True:
        before = [array.copy() for array in state] if log else []
        state.channel[k.LOGGED] = 0
        mine = each._replace(earliest=each.earliest.copy())
        k.serve(0, done.size, -1, 0, rules, *state, *mine, mine.at, done, found, room)
        taken = state.channel.copy()
        k.serve(done.size, done.size, k.NEVER, 0, rules, *state, *mine, mine.at, done, found, room)
        used = int(state.channel[k.LOGGED])
        if not log or used <= room.shape[0]:
            return taken, room[: used if log else 0]
        for array, old in zip(state, before, strict=True):
            array[...] = old
        room = np.zeros((used, k.LOG_COLUMNS), dtype=np.int64)


def open_clocks(rank: np.ndarray, clock: int) -> np.ndarray:
    """Return the clocks until ``clock`` in which each rank had an open row; ``rank`` is as in `State`."""
    still = np.where(rank[k.R_OPEN] > 0, np.maximum(clock - rank[k.R_SINCE], 0), 0)
    return np.asarray(rank[k.R_OPEN_CLOCKS] + still)
