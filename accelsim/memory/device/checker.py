"""Replays a log of commands against the table of constraints: what it says is legal, whoever wrote the log.

A third statement of the rules, beside kernel and reference: pairs of commands, the scope in which they count, the least
clocks from the earlier to the later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from accelsim.config.dram.standard import Standard
from accelsim.memory.device.channel import Command

ACT, PRE, ALL_PRE, RD, WR, REF = range(6)
NAMES = ("ACT", "PRE", "ALL_PRE", "RD", "WR", "REF")


class Constraint(NamedTuple):
    """``later`` is legal ``clocks`` after ``earlier`` in the same ``scope``, and not before.

    ``other_rank``: in another rank on the same data bus. The name is that of the standards.
    """

    name: str
    earlier: int
    later: int
    scope: str
    clocks: int


def constraints(standard: Standard) -> tuple[Constraint, ...]:
    """Return the table for a standard."""
    t, stacked = standard.timing, standard.organisation.stack_ids > 1
    same_wtr = t.wtr_same if t.wtr_same is not None else t.wtr
    rcd_write = t.rcd_write if t.rcd_write is not None else t.rcd
    rp_all = t.rp_all if t.rp_all is not None else t.rp
    turn = t.rtw if t.rtw is not None else t.cl + t.bl + 2 - t.cwl
    found = [
        Constraint("nRCD", ACT, RD, "bank", t.rcd),
        Constraint("nRCDWR", ACT, WR, "bank", rcd_write),
        Constraint("nRAS", ACT, PRE, "bank", t.ras),
        Constraint("nRAS", ACT, ALL_PRE, "bank", t.ras),
        Constraint("nRC", ACT, ACT, "bank", t.rc),
        Constraint("nRP", PRE, ACT, "bank", t.rp),
        Constraint("nRPab", ALL_PRE, ACT, "bank", rp_all),
        Constraint("nRTP", RD, PRE, "bank", t.rtp),
        Constraint("nRTP", RD, ALL_PRE, "bank", t.rtp),
        Constraint("nWR", WR, PRE, "bank", t.cwl + t.bl + t.wr),
        Constraint("nWR", WR, ALL_PRE, "bank", t.cwl + t.bl + t.wr),
        Constraint("nCCDS", RD, RD, "rank", max(t.ccd, t.bl)),
        Constraint("nCCDL", RD, RD, "group", t.ccd_same or t.ccd),
        Constraint("nCCDS_WR", WR, WR, "rank", max(t.ccd_write or t.ccd, t.bl)),
        Constraint("nCCDL_WR", WR, WR, "group", t.ccd_write_same or t.ccd_same or t.ccd),
        Constraint("nWTRS", WR, RD, "rank", t.cwl + t.bl + t.wtr),
        Constraint("nWTRL", WR, RD, "group", t.cwl + (t.bl_max or t.bl) + same_wtr),
        Constraint("nRTW", RD, WR, "rank", turn),
        Constraint("nRRDS", ACT, ACT, "rank", t.rrd),
        Constraint("nRRDL", ACT, ACT, "group", t.rrd_same or t.rrd),
        Constraint("nRFC", REF, ACT, "rank", t.rfc),
        Constraint("nRFC", REF, REF, "rank", t.rfc),
        Constraint("nRP", PRE, REF, "rank", t.rp),
        Constraint("nRPab", ALL_PRE, REF, "rank", rp_all),
        Constraint("nRC", ACT, REF, "rank", t.rc),
        Constraint("nPPD", PRE, PRE, "rank", t.ppd),
        Constraint("nPPD", PRE, ALL_PRE, "rank", t.ppd),
        Constraint("nPPD", ALL_PRE, PRE, "rank", t.ppd),
    ]
    if stacked:
        found += [Constraint("nCCDR", kind, kind, "other_rank", max(t.ccd_stack or t.ccd, t.bl)) for kind in (RD, WR)]
        found += [
            Constraint("nRTW", RD, WR, "other_rank", turn),
            Constraint("nWTRS", WR, RD, "other_rank", t.cwl + t.bl + t.wtr),
        ]
    else:
        found += [
            Constraint("nCS", RD, RD, "other_rank", t.bl + t.cs),
            Constraint("nCS", RD, WR, "other_rank", t.bl + t.cs + max(0, t.cl - t.cwl)),
            Constraint("nCS", WR, RD, "other_rank", t.cwl + t.bl + t.cs - t.cl),
            Constraint("nBL", WR, WR, "other_rank", t.bl),
        ]
    return tuple(found)


class Checker:
    """Takes commands in order and says what is wrong with each."""

    def __init__(self, standard: Standard) -> None:
        o = standard.organisation
        self.standard, self.table = standard, constraints(standard)
        self.group, self.rank = o.banks_per_group, o.banks_per_group * o.bank_groups
        self.per_bus = o.ranks * o.stack_ids
        self.last: dict[tuple[int, str, int], int] = {}
        self.by_later = {kind: [c for c in self.table if c.later == kind] for kind in range(6)}
        self.open: dict[int, int] = {}
        self.activates: dict[int, list[int]] = {}
        self.bus_end: dict[int, int] = {}
        self.command_bus = [-1, -1]
        self.served: set[int] = set()

    def check(self, command: Command) -> Iterator[str]:
        """Yield what is wrong with the next command."""
        kind, clock = command.kind, command.clock
        yield from self._bus_for_commands(command)
        at = clock + (self.standard.commands.activate_clocks - 1 if kind == ACT else 0)
        whole = kind in (ALL_PRE, REF)
        rank = command.place if whole else command.place // self.rank
        banks = range(rank * self.rank, (rank + 1) * self.rank) if whole else range(command.place, command.place + 1)
        for c in self.by_later[kind]:
            for before in self._earlier(c, banks, rank):
                if at < before + c.clocks:
                    yield f"{NAMES[kind]} at {clock}: {c.name} asks for {c.clocks} after {NAMES[c.earlier]} at {before}"
        yield from self._rows(command, at, rank, banks)
        for bank in banks:
            self.last[kind, "bank", bank] = at
            self.last[kind, "group", bank // self.group] = at
        self.last[kind, "rank", rank] = at

    def _earlier(self, c: Constraint, banks: range, rank: int) -> Iterator[int]:
        if c.scope == "other_rank":
            first = rank // self.per_bus * self.per_bus
            keys = [(c.earlier, "rank", r) for r in range(first, first + self.per_bus) if r != rank]
        elif c.scope == "rank":
            keys = [(c.earlier, "rank", rank)]
        elif c.scope == "group":
            keys = [(c.earlier, "group", banks[0] // self.group)]
        else:
            keys = [(c.earlier, "bank", bank) for bank in banks]
        for key in keys:
            if key in self.last:
                yield self.last[key]

    def _bus_for_commands(self, command: Command) -> Iterator[str]:
        """One command a clock on each bus; an activate takes its clocks."""
        bus = 1 if self.standard.commands.buses == 2 and command.kind not in (RD, WR) else 0
        if command.clock <= self.command_bus[bus]:
            yield f"{NAMES[command.kind]} at {command.clock}: its command bus is in use"
        wide = self.standard.commands.activate_clocks if command.kind == ACT else 1
        self.command_bus[bus] = command.clock + wide - 1

    def _rows(self, command: Command, at: int, rank: int, banks: range) -> Iterator[str]:
        """Rows open and closed as commands need them, windows of four activates, the data bus, requests once."""
        t, kind, where = self.standard.timing, command.kind, f"{NAMES[command.kind]} at {command.clock}"
        if kind == ACT:
            if command.place in self.open:
                yield f"{where}: the bank has an open row"
            self.open[command.place] = command.row
            four = self.activates.setdefault(rank, [])
            if len(four) == 4 and at < four[0] + t.faw:
                yield f"{where}: nFAW asks for {t.faw} after the fourth last at {four[0]}"
            self.activates[rank] = [*four, at][-4:]
        elif kind in (PRE, ALL_PRE):
            if kind == PRE and command.place not in self.open:
                yield f"{where}: the bank has no open row"
            for bank in banks:
                self.open.pop(bank, None)
        elif kind == REF:
            if any(bank in self.open for bank in banks):
                yield f"{where}: a row is open"
        else:
            if self.open.get(command.place) != command.row:
                yield f"{where}: row {command.row} is not open"
            begin = command.clock + (t.cwl if kind == WR else t.cl)
            if begin < self.bus_end.get(rank // self.per_bus, 0):
                yield f"{where}: the data bus is in use"
            self.bus_end[rank // self.per_bus] = begin + t.bl
            if command.request in self.served:
                yield f"{where}: request {command.request} is served again"
            self.served.add(command.request)


def violations(standard: Standard, log: list[Command]) -> list[str]:
    """Return all that is wrong with a log."""
    checker = Checker(standard)
    return [problem for command in log for problem in checker.check(command)]
