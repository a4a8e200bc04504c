"""The DRAM device that the layers of a network share; the rules are those of decision 0110.

`network.run` takes one in place of DRAM's bandwidth and latency: its requests are then served at their addresses.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from accelsim.activity import Loop, Step, walk
from accelsim.errors import ConfigError, ModelError, WorkloadError
from accelsim.memory import network_device_kernel as shared
from accelsim.memory import network_rows_kernel as rows_kernel
from accelsim.memory.device import kernel as k
from accelsim.memory.device import machine
from accelsim.memory.device import machine_kernel as mk
from accelsim.memory.device.channel import Served
from accelsim.memory.device.cursor_kernel import CURSOR, GEOMETRY, RUN
from accelsim.memory.device.machine import Coupling, Places
from accelsim.memory.network_rows import LaidOut, State, times_of
from accelsim.schedules import BusTime
from accelsim.units import ceil_div

DRAM = "dram"
MOVES = (("input", "read"), ("weight", "read"), ("psum", "read"), ("output", "write"), ("psum", "write"))
"""What the tiles of a cut layer move, in the order of their columns."""


class Lies(NamedTuple):
    """Where what a program moves to and from DRAM lies.

    Attributes
    ----------
    schedule : sequence of Step and Loop
        The program's tiles; of a cut layer those with its geometry, whatever of them lives in a buffer.
    tensors : mapping
        As of `Places`.
    away : set of (tensor, direction)
        Of a cut layer, what moves elsewhere.
    """

    schedule: Sequence[Step | Loop]
    tensors: dict[str, tuple[tuple[int, int], ...]]
    away: Collection[tuple[str, str]] = ()


class Did(NamedTuple):
    """What a device did for the layers between two that ran alone, until ``cycles``; transactions that were offered."""

    cycles: int
    reads: int
    writes: int
    served: Served


@dataclass
class SharedDevice:
    """A device, idle at first, and what all programs of a network move there.

    Attributes
    ----------
    coupling : Coupling
    lies : sequence of Lies or None
        One per program; None of one that runs alone.
    free_byte : int
        Behind all tensors: each program's partial sums and what has no tensor take room there, one behind the other.
    did : list of Did
        Filled by every stretch of programs.
    transactions : list of int
        What each program asked for; filled likewise, 0 of those that run alone.
    """

    coupling: Coupling
    lies: Sequence[Lies | None]
    free_byte: int
    did: list[Did] = field(default_factory=list)
    transactions: list[int] = field(default_factory=list)

    def again(self, lies: Sequence[Lies | None]) -> SharedDevice:
        """Return the same device, idle again, for other tiles."""
        return replace(self, lies=lies, did=[], transactions=[])

    def go(self, laid: LaidOut, state: State, made: Sequence[frozenset[str]], start: int) -> list[dict[str, BusTime]]:
        """Let time pass for programs from number ``start`` on; return when DRAM moved something for each.

        The last of it is over at ``did[-1].cycles``.

        Raises
        ------
        ConfigError
            They take more room than there is, or clocks beyond 64 bits.
        WorkloadError
            Cycles beyond 64 bits.
        """
        if not laid.small:
            raise WorkloadError("cycles of the network leave 64 bits", "give fewer layers, or schedule.mode: isolated")
        m, d = machine.registers(self.coupling), machine.channels_of(self.coupling.device)
        s = self._laid_out(laid, made, start)
        m[mk.M_TAG] = -1
        record = np.empty((0, rows_kernel.EVENT), np.int64)
        while (why := shared.run(laid.net, state, record, m, s, d)) == shared.MORE_ROOM:
            d = d._replace(requests=np.concatenate([d.requests, np.zeros_like(d.requests)], axis=2))
        if why == shared.TOO_FAR:
            raise machine.too_far()
        if not (state.flags[:, 0].all() and state.stored.all()):
            raise ModelError(f"the network stands still at cycle {state.clock[rows_kernel.NOW]}")
        last = max(int(state.when[:, 0].max()), int(state.stored_when.max(initial=0)))
        end = int(shared.finish(last, m, d))
        self.did.append(Did(end, int(m[mk.M_READS]), int(m[mk.M_WRITES]), machine.so_far(d)))
        return [self._moves(*each) for each in s.moved.tolist()]

    def _moves(self, transactions: int, begin: int, end: int) -> dict[str, BusTime]:
        """Return when DRAM moved transactions, as long as that takes at peak."""
        self.transactions.append(transactions)
        one, ratio = self.coupling.device, self.coupling.clocks_per_cycle
        clocks = transactions * one.standard.timing.bl
        busy = ceil_div(clocks * ratio.denominator, one.channels * one.standard.organisation.pseudo_channels
                        * ratio.numerator)  # fmt: skip
        return {DRAM: BusTime(begin, end, min(busy, end - begin))} if transactions else {}

    @property
    def busy_cycles(self) -> int:
        """Core cycles for which the busiest data bus had data, in all stretches."""
        ratio = self.coupling.clocks_per_cycle
        clocks = (int(did.served.bus[:, k.D_BUSY].max()) for did in self.did)
        return sum(each * ratio.denominator // ratio.numerator for each in clocks)

    def _laid_out(self, laid: LaidOut, made: Sequence[frozenset[str]], start: int) -> shared.Shared:
        """Return the tiles of programs as requests are made of them, in the rows of ``laid``."""
        net, device = laid.net, self.coupling.device
        programs, places = len(net.programs) - 1, Places(free_byte=self.free_byte)
        tables, moves, regions = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
        geometry, axes = np.zeros((programs, GEOMETRY), np.int64), np.zeros((programs, 6, 2), np.int64)
        cut, waits = np.zeros(programs, np.int64), np.zeros((programs, 3), np.int64)
        most, behind, pieces = 3, 0, 0
        for number in range(programs):
            lies, first = self.lies[start + number], net.programs[number, rows_kernel.FIRST]
            assert lies is not None
            places.tensors = lies.tensors
            tiles, flows = machine.tiles_of(lies.schedule, device, places)
            table, count = tiles.rows.copy(), net.programs[number, rows_kernel.BEHIND] - first
            if not len(table):
                table = np.zeros((1, RUN), np.int64)
            if len(table) != count:
                raise ModelError(f"{count} rows of tiles, and {len(table)} of what they move")
            if len(tiles.geometry):
                cut[number], geometry[number], axes[number] = 1, tiles.geometry, tiles.axes
                waits[number] = [tensor in made[number] for tensor, _ in MOVES[:3]]
                for at, flow in enumerate(MOVES):
                    if flow in lies.away:
                        table[:, RUN + at] = 0
            else:
                tile = table[:, mk.REPEAT] == 0
                for part in range(4):
                    table[tile, mk.FIRST + 2 * part] += behind
                mine, where = np.zeros((len(tiles.moves), 5), np.int64), tiles.regions.copy()
                mine[:, :4] = tiles.moves
                mine[:, 4] = [flows[at].tensor in made[number] for at in mine[:, 0]]
                mine[:, 0] += pieces
                where[:, [3, 4]] += pieces
                moves.append(mine)
                regions.append(where)
                most, behind, pieces = max(most, len(tiles.cursors)), behind + len(mine), pieces + len(where)
            tables.append(table)
        if places.free_byte > (holds := device.addresses.capacity_bytes):
            problem = f"tensors and partial sums of all layers take {places.free_byte:,} bytes, {device.channels} x "
            raise ConfigError(
                f"{problem}{device.standard.name} hold {holds:,}",
                "use more channels, a smaller batch or schedule.mode: isolated",
            )  # fmt: skip
        wide = max(table.shape[1] for table in tables)
        rows = np.zeros((sum(map(len, tables)), wide), np.int64)
        at = 0
        for table in tables:
            rows[at : at + len(table), : table.shape[1]] = table
            at += len(table)
        lists = len(net.first) * len(net.latency) * net.kinds
        now = np.zeros(shared.SHARED, np.int64)
        timing = device.standard.timing
        now[shared.LOOK] = timing.cl + timing.bl
        moved = np.zeros((programs, 3), np.int64)
        moved[:, 1] = -1
        return shared.Shared(
            rows, np.concatenate([np.zeros((0, 5), np.int64), *moves]), geometry, axes, cut, waits, _bases(laid),
            np.concatenate([np.zeros((0, 5), np.int64), *regions]), np.zeros((most, CURSOR), np.int64),
            np.zeros(wide, np.int64), np.zeros(6, np.int64), np.zeros(len(net.first), np.int64),
            net.stores[:, net.dram].copy(), np.zeros((lists, 4), np.int64), np.zeros(device.channels, np.int64),
            np.zeros((mk.GROUPS, shared.GROUP), np.int64), moved, now,
        )  # fmt: skip


def _bases(laid: LaidOut) -> np.ndarray:
    """Return the number of each program's first tile among those of its unit."""
    net = laid.net
    tiles = np.where(net.rows[:, rows_kernel.REPEAT] == 0, times_of(net.rows), 0)
    counts = np.add.reduceat(tiles, net.programs[:-1, rows_kernel.FIRST])
    found, before = np.zeros(len(counts), np.int64), np.zeros(len(net.first), np.int64)
    for number, unit in enumerate(net.programs[:-1, rows_kernel.UNIT]):
        found[number] = before[unit]
        before[unit] += counts[number]
    return found


def outside(schedule: Sequence[Step | Loop]) -> frozenset[tuple[str, str]]:
    """Return what tiles move to and from elsewhere than DRAM."""
    return frozenset(
        (t.tensor, t.direction)
        for step, _ in walk(schedule, 1)
        for t in (*step.loads, *step.before, *step.stores, *step.after)
        if t.place != DRAM
    )
