"""Tiles on DRAM channels in plain Python: every device clock, each channel by the reference that steps.

The rules are those of docs/decisions/0088-dram-behind-machines.md. Time only moves on: no group is looked at before its
earliest clock is known, nothing is advanced to find out. It takes requests, not transfers, and shares with the kernel
the standards' data and the decoding of addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import NamedTuple, TypeAlias

import numpy as np

from accelsim.memory.device.channel import Device
from accelsim.memory.device.reference import Request, Stepper

Requests: TypeAlias = Sequence[tuple[int, bool]]
"""Address in bytes, whether written."""


class Tile(NamedTuple):
    """What a tile moves, request by request, and the core cycles that it computes."""

    loads: Requests = ()
    compute_cycles: int = 0
    stores: Requests = ()
    before: Requests = ()
    after: Requests = ()


class Found(NamedTuple):
    """Core cycles until all is over; of each channel the requests as they were served, and its commands."""

    cycles: int
    channels: list[Stepper]


@dataclass
class _Group:
    tile: int
    part: str
    requests: list[tuple[int, Request]]
    offered: bool = False


class _Machine:
    def __init__(self, device: Device, ratio: Fraction, tiles: Sequence[Tile]) -> None:
        self.device, self.ratio, self.tiles = device, ratio, tiles
        self.steppers = [Stepper(device, [], []) for _ in range(device.channels)]
        self.order: list[_Group] = []
        self.of: dict[tuple[str, int], _Group] = {}
        self.done: dict[int, int] = {-1: 0, -2: 0}
        count = len(tiles)
        for i in range(count + 1):
            for part, tile in (("loads", i), ("stores", i - 1), ("after", i - 1), ("before", i)):
                if 0 <= tile < count and getattr(tiles[tile], part):
                    self._add(part, tile)

    def _add(self, part: str, tile: int) -> None:
        wanted = getattr(self.tiles[tile], part)
        where = self.device.addresses.decode(np.array([address for address, _ in wanted], dtype=np.int64))
        tx = self.device.standard.organisation.tx_bytes
        made = [
            (int(where.channel[i]), Request(-1, int(where.bank[i]), int(where.row[i]), address // tx, write))
            for i, (address, write) in enumerate(wanted)
        ]
        group = _Group(tile, part, made)
        self.order.append(group)
        self.of[part, tile] = group

    def over(self, part: str, tile: int) -> int | None:
        """Return the core cycle at which a group is over, None as long as it is not known."""
        group = self.of.get((part, tile))
        if group is None:
            return 0
        last = 0
        for c, request in group.requests:
            stepper = self.steppers[c]
            taken = request.number >= 0 and request.number < stepper.next_coming
            if not taken or (not request.write and request.done < 0):
                return None
            last = max(last, request.offered + 1, 0 if request.write else request.done)
        return ceil(last / self.ratio)

    def computed(self, tile: int) -> int | None:
        """Return when a tile is computed, None as long as that is not known."""
        if tile not in self.done and self.computed(tile - 1) is not None:
            waits = [
                self.over("loads", tile), self.over("before", tile), self.over("after", tile - 1), self.done[tile - 1],
                self.over("stores", tile - 2),
            ]  # fmt: skip
            if all(each is not None for each in waits):
                stored = [self.over("stores", earlier) or 0 for earlier in range(tile - 2)]
                self.done[tile] = max(*(each or 0 for each in waits), *stored, 0) + self.tiles[tile].compute_cycles
        return self.done.get(tile)

    def earliest(self, group: _Group) -> int | None:
        """Return the core cycle before which a group is not offered, None as long as it is not known."""
        i = group.tile
        if group.part == "loads":
            return self.computed(i - 2)
        if group.part in ("stores", "after"):
            return self.computed(i)
        waits = (self.computed(i - 1), self.over("after", i - 1))
        return None if None in waits else max(each or 0 for each in waits)

    def run(self) -> Found:
        clock = latest = 0
        while True:
            for group in self.order:
                if group.offered:
                    continue
                at = self.earliest(group)
                if at is None:
                    break
                group.offered, latest = True, max(latest, at)
                for c, request in group.requests:
                    stepper = self.steppers[c]
                    request.number = len(stepper.coming)
                    stepper.coming.append(request)
                    stepper.earliest.append(ceil(latest * self.ratio))
            if all(group.offered for group in self.order) and not any(s.busy for s in self.steppers):
                break
            for stepper in self.steppers:
                stepper.tick(clock)
            clock += 1
        last = self.computed(len(self.tiles) - 1)
        ends = [last or 0, *(self.over("after", i) or 0 for i in range(len(self.tiles)))]
        ends += [ceil(r.done / self.ratio) for s in self.steppers for r in s.coming]
        for now in range(clock, ceil(max(ends) * self.ratio)):  # rows close and refreshes go on until then
            for stepper in self.steppers:
                stepper.tick(now)
        return Found(max(ends), self.steppers)


def run(device: Device, clocks_per_cycle: Fraction, tiles: Sequence[Tile]) -> Found:
    """Step through tiles on an idle device, rules as in the decision.

    Parameters
    ----------
    device : Device
    clocks_per_cycle : Fraction
        Device clocks in a core cycle.
    """
    return _Machine(device, clocks_per_cycle, tiles).run()


def turns(transfers: Sequence[Sequence[Sequence[int]]], turn: int = 0) -> list[int]:
    """Return the transactions of several transfers, each a list of runs, as they take turns.

    Parameters
    ----------
    turn : int
        Transactions of a turn; 0: a run.
    """
    lists = [list(map(list, runs)) for runs in transfers]
    if turn:
        lists = [_cut([t for run in runs for t in run], turn) for runs in lists]
    found: list[int] = []
    for i in range(max(map(len, lists), default=0)):
        for each in lists:
            found += each[i] if i < len(each) else []
    return found


def _cut(flat: list[int], turn: int) -> list[list[int]]:
    return [flat[i : i + turn] for i in range(0, len(flat), turn)]
