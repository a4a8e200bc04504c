"""The controller and one channel in plain Python, stepping every clock.

The rules are those of docs/decisions/0084-dram-device.md. It shares the standards' data and the decoding of
addresses with the kernel and nothing else: no rules in advance, but the clock of every earlier command, asked anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from accelsim.config.dram.standard import Standard
from accelsim.memory.device.channel import Command, Device, Requests

LONG_AGO = -(10**9)
ACT, PRE, ALL_PRE, RD, WR, REF = range(6)
HIT, MISS, CONFLICT, DIRECT = range(1, 5)


@dataclass
class Request:
    """One request on its way."""

    number: int
    bank: int
    row: int
    place: int
    write: bool
    offered: int = 0
    found: int = 0
    done: int = -1


@dataclass
class Bank:
    """Clocks of a bank's last commands, and its row."""

    row: int | None = None
    owner: Request | None = None
    used: int = 0
    act: int = LONG_AGO
    pre: int = LONG_AGO
    all_pre: int = LONG_AGO
    rd: int = LONG_AGO
    wr: int = LONG_AGO


@dataclass
class Outcome:
    """What `run` returns; ``hits``, ``misses``, ``conflicts`` and ``cycles`` until the last request was taken."""

    cycles: int = 0
    hits: int = 0
    misses: int = 0
    conflicts: int = 0
    requests: list[Request] = field(default_factory=list)
    log: list[Command] = field(default_factory=list)


class Channel:
    """A channel that is asked, clock by clock, whether a command is legal."""

    def __init__(self, standard: Standard) -> None:
        o = standard.organisation
        self.t = standard.timing
        self.stacked = o.stack_ids > 1
        self.late = standard.commands.activate_clocks - 1
        self.per_group, self.per_rank = o.banks_per_group, o.banks_per_group * o.bank_groups
        self.ranks_per_bus = o.ranks * o.stack_ids
        self.banks = [Bank() for _ in range(o.banks)]
        self.ranks = o.banks // self.per_rank
        self.refreshed = [LONG_AGO] * self.ranks
        self.activates: list[list[int]] = [[] for _ in range(self.ranks)]
        self.row_bus_free = 0

    def of_rank(self, rank: int) -> list[Bank]:
        """Return the banks of a rank."""
        return self.banks[rank * self.per_rank : (rank + 1) * self.per_rank]

    def of_group(self, b: int) -> list[Bank]:
        """Return the banks of a bank's group."""
        first = b // self.per_group * self.per_group
        return self.banks[first : first + self.per_group]

    def other_ranks(self, rank: int) -> list[Bank]:
        """Return the banks on the same data bus in other ranks."""
        first = rank // self.ranks_per_bus * self.ranks_per_bus
        return [x for r in range(first, first + self.ranks_per_bus) if r != rank for x in self.of_rank(r)]

    def may_activate(self, b: int, clock: int) -> bool:
        """Whether an activate that begins at ``clock`` is legal."""
        t, bank, rank = self.t, self.banks[b], b // self.per_rank
        at = clock + self.late
        return (
            clock >= self.row_bus_free
            and at - bank.act >= t.rc
            and at - bank.pre >= t.rp
            and at - bank.all_pre >= (t.rp_all or t.rp)
            and all(at - x.act >= (t.rrd_same or t.rrd) for x in self.of_group(b))
            and all(at - x.act >= t.rrd for x in self.of_rank(rank))
            and (len(self.activates[rank]) < 4 or at - self.activates[rank][-4] >= t.faw)
            and at - self.refreshed[rank] >= t.rfc
        )

    def may_precharge(self, b: int, clock: int) -> bool:
        """Whether closing one row is legal."""
        t, bank = self.t, self.banks[b]
        return (
            clock >= self.row_bus_free
            and clock - bank.act >= t.ras
            and clock - bank.rd >= t.rtp
            and clock - bank.wr >= t.cwl + t.bl + t.wr
            and all(clock - max(x.pre, x.all_pre) >= t.ppd for x in self.of_rank(b // self.per_rank))
        )

    def may_precharge_all(self, rank: int, clock: int) -> bool:
        """Whether closing all rows of a rank is legal."""
        return all(self.may_precharge(rank * self.per_rank + i, clock) for i in range(self.per_rank))

    def may_refresh(self, rank: int, clock: int) -> bool:
        """Whether a refresh is legal; rows are closed."""
        t = self.t
        return (
            clock >= self.row_bus_free
            and clock - self.refreshed[rank] >= t.rfc
            and all(
                clock - x.act >= t.rc and clock - x.pre >= t.rp and clock - x.all_pre >= (t.rp_all or t.rp)
                for x in self.of_rank(rank)
            )
        )

    def may_read(self, b: int, clock: int) -> bool:
        """Whether a read is legal; the row is open."""
        t, rank = self.t, b // self.per_rank
        same = t.wtr if t.wtr_same is None else t.wtr_same
        gap = max(t.ccd_stack or t.ccd, t.bl) if self.stacked else t.bl + t.cs
        after_write = t.cwl + t.bl + t.wtr if self.stacked else t.cwl + t.bl + t.cs - t.cl
        return (
            clock - self.banks[b].act >= t.rcd
            and all(
                clock - x.rd >= (t.ccd_same or t.ccd) and clock - x.wr >= t.cwl + (t.bl_max or t.bl) + same
                for x in self.of_group(b)
            )
            and all(
                clock - x.rd >= max(t.ccd, t.bl) and clock - x.wr >= t.cwl + t.bl + t.wtr for x in self.of_rank(rank)
            )
            and all(clock - x.rd >= gap and clock - x.wr >= after_write for x in self.other_ranks(rank))
        )

    def may_write(self, b: int, clock: int) -> bool:
        """Whether a write is legal; the row is open."""
        t, rank = self.t, b // self.per_rank
        turn = t.rtw or t.cl + t.bl + 2 - t.cwl
        gap = max(t.ccd_stack or t.ccd, t.bl) if self.stacked else t.bl
        after_read = turn if self.stacked else max(t.bl + t.cs, t.cl + t.bl + t.cs - t.cwl)
        return (
            clock - self.banks[b].act >= (t.rcd if t.rcd_write is None else t.rcd_write)
            and all(clock - x.wr >= (t.ccd_write_same or t.ccd_same or t.ccd) for x in self.of_group(b))
            and all(
                clock - x.wr >= max(t.ccd_write or t.ccd, t.bl) and clock - x.rd >= turn for x in self.of_rank(rank)
            )
            and all(clock - x.wr >= gap and clock - x.rd >= after_read for x in self.other_ranks(rank))
        )


class Stepper:
    """The controller of one channel."""

    def __init__(self, device: Device, requests: list[Request], earliest: list[int]) -> None:
        self.device, self.coming, self.earliest = device, requests, earliest
        self.channel = Channel(device.standard)
        self.two = device.standard.commands.buses == 2
        self.limit = device.controller.queue
        self.closed, self.cap = device.controller.page == "closed", device.controller.cap
        self.reads: list[Request] = []
        self.writes: list[Request] = []
        self.active: list[Request] = []
        self.refreshes: list[int] = []
        self.writing = False
        self.out = Outcome(requests=requests)
        self.next_coming = 0

    def run(self) -> Outcome:
        """Step until the last request has been served."""
        clock = 0
        while self.busy:
            self.tick(clock)
            clock += 1
        return self.out

    @property
    def busy(self) -> bool:
        """Whether a request has not been served."""
        return bool(self.next_coming < len(self.coming) or self.reads or self.writes or self.active)

    def tick(self, clock: int) -> None:
        """Offer a request in ``clock``, then do all that the next clock does."""
        if self.next_coming < len(self.coming):
            self.offer(clock)
            if self.next_coming == len(self.coming):
                self.out.cycles = clock
        clock += 1
        if clock % self.device.standard.timing.refi == 0:
            self.refreshes += range(self.channel.ranks)
        if self.two:
            self.step(clock, columns=True, rows=False)
            self.step(clock, columns=False, rows=True)
        else:
            self.step(clock, columns=True, rows=True)

    def offer(self, clock: int) -> None:
        """Offer the next request."""
        request = self.coming[self.next_coming]
        if self.earliest[self.next_coming] > clock:
            return
        request.offered = clock
        queue = self.writes if request.write else self.reads
        if any(other.place == request.place for other in self.writes):
            request.found, request.done = DIRECT, clock + 1
        elif len(queue) < self.limit:
            queue.append(request)
        else:
            return
        self.next_coming += 1

    def candidates(self) -> Iterator[tuple[Request, list[Request]]]:
        """Yield the queued requests of the direction of the moment."""
        if not self.writing and (10 * len(self.writes) > 8 * self.limit or not self.reads):
            self.writing = True
        elif self.writing and 10 * len(self.writes) < 2 * self.limit and self.reads:
            self.writing = False
        queue = self.writes if self.writing else self.reads
        for request in list(queue):
            yield request, queue

    def step(self, clock: int, *, columns: bool, rows: bool) -> None:
        """Issue at most one command."""
        if columns:
            for request in self.active:
                if self.may_access(request, clock):
                    self.access(request, clock, self.active)
                    return
        if self.refreshes:
            if rows:
                self.refresh(clock)
            return
        for request, queue in self.candidates():
            bank = self.channel.banks[request.bank]
            if bank.row == request.row and not (self.closed and bank.used >= self.cap):
                if columns and self.may_access(request, clock):
                    self.access(request, clock, queue)
                    return
            elif not rows:
                continue
            elif bank.row is None:
                if self.channel.may_activate(request.bank, clock):
                    self.activate(request, clock, queue)
                    return
            elif bank.owner is None and self.channel.may_precharge(request.bank, clock):
                request.found = request.found or CONFLICT
                self.precharge(request.bank, clock, request.number)
                return
        if rows and self.closed:
            self.close_one(clock)

    def close_one(self, clock: int) -> None:
        """Close the first row that is used up or that nothing waits for."""
        for b, bank in enumerate(self.channel.banks):
            if bank.row is None or bank.owner is not None:
                continue
            waited_for = any(x.bank == b and x.row == bank.row for x in self.reads + self.writes)
            if (bank.used >= self.cap or not waited_for) and self.channel.may_precharge(b, clock):
                self.precharge(b, clock, -1)
                return

    def may_access(self, request: Request, clock: int) -> bool:
        """Whether a request's read or write is legal."""
        may: Callable[[int, int], bool] = self.channel.may_write if request.write else self.channel.may_read
        return may(request.bank, clock)

    def activate(self, request: Request, clock: int, queue: list[Request]) -> None:
        """Open a request's row."""
        request.found = request.found or MISS
        bank, rank = self.channel.banks[request.bank], request.bank // self.channel.per_rank
        bank.row, bank.owner, bank.used, bank.act = request.row, request, 0, clock + self.channel.late
        self.channel.activates[rank].append(bank.act)
        self.channel.row_bus_free = bank.act + 1
        queue.remove(request)
        self.active.append(request)
        self.log(clock, ACT, request.bank, request.row, request.number)

    def precharge(self, b: int, clock: int, number: int) -> None:
        """Close a row."""
        self.channel.banks[b].row, self.channel.banks[b].pre = None, clock
        self.log(clock, PRE, b, -1, number)

    def access(self, request: Request, clock: int, queue: list[Request]) -> None:
        """Read or write."""
        request.found = request.found or HIT
        bank, t = self.channel.banks[request.bank], self.channel.t
        if request.write:
            bank.wr, request.done = clock, clock + t.cwl + t.bl
        else:
            bank.rd, request.done = clock, clock + t.cl + t.bl
        bank.used += 1
        if bank.owner is request:
            bank.owner = None
        queue.remove(request)
        self.log(clock, WR if request.write else RD, request.bank, request.row, request.number)

    def refresh(self, clock: int) -> None:
        """Close the rows of the first rank that waits for its refresh, or refresh it."""
        rank = self.refreshes[0]
        banks = self.channel.of_rank(rank)
        if any(bank.row is not None for bank in banks):
            if all(bank.owner is None for bank in banks) and self.channel.may_precharge_all(rank, clock):
                for bank in banks:
                    bank.row, bank.all_pre = None, clock
                self.log(clock, ALL_PRE, rank, -1, -1)
        elif self.channel.may_refresh(rank, clock):
            self.channel.refreshed[rank] = clock
            del self.refreshes[0]
            self.log(clock, REF, rank, -1, -1)

    def log(self, clock: int, kind: int, place: int, row: int, number: int) -> None:
        """Note a command."""
        self.out.log.append(Command(clock, kind, place, row, number))


def run(device: Device, requests: Requests) -> Outcome:
    """Serve requests on a device of one channel to the end."""
    where = device.addresses.decode(requests.address)
    tx = device.standard.organisation.tx_bytes
    made = [
        Request(i, int(where.bank[i]), int(where.row[i]), int(address) // tx, bool(requests.write[i]))
        for i, address in enumerate(requests.address)
    ]
    out = Stepper(device, made, [int(clock) for clock in requests.earliest]).run()
    until = [c for c in out.log if c.clock <= out.cycles and c.request >= 0]
    begun = {c.request for c in until}
    for request in made:
        if request.number in begun:
            out.hits += request.found == HIT
            out.misses += request.found == MISS
            out.conflicts += request.found == CONFLICT
    return out
