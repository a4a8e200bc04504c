"""A layer's schedule on a DRAM device: what the rows, regions and clocks are that `machine_kernel` walks.

The rules are those of docs/decisions/0088-dram-behind-machines.md.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from accelsim.activity import Flow, Loop, Step, Transfer
from accelsim.config.dram.mapping import Mapping as Addresses
from accelsim.config.dram.standard import bits
from accelsim.errors import ConfigError, ModelError
from accelsim.memory.device import machine_kernel as kernel
from accelsim.memory.device.channel import Device, Served, idle, open_clocks
from accelsim.memory.device.cursor_kernel import CURSOR
from accelsim.memory.device.kernel import CLOCK, OFFERED
from accelsim.memory.timeline import LaidOut
from accelsim.units import ceil_div

MOST_RATIO = 1 << 31
"""Of numerator and denominator of device clocks per core cycle."""
MOST_MOVED = 1 << 40
"""Transactions of a transfer."""
SLICE = 1 << 14
"""Tiles between two words to whoever listens."""


_SERVED: OrderedDict[bytes, Layer] = OrderedDict()
"""Layers that were served, the least recently used first."""
MOST_SERVED = 4096


class Coupling(NamedTuple):
    """A device and its clock beside the machine's.

    Attributes
    ----------
    device : Device
    clocks_per_cycle : Fraction
        Device clocks in a core cycle.
    turn_bytes : int
        What a tensor of a group moves before it is another's turn; 0: a run.
    """

    device: Device
    clocks_per_cycle: Fraction
    turn_bytes: int = 0


@dataclass
class Places:
    """Where the tensors of a layer lie.

    Attributes
    ----------
    tensors : mapping
        Role (``input``, ``weight``, ``output``) -> first byte and bytes of each tensor.
    free_byte : int
        Behind all tensors of the network: partial sums and what has no tensor take room there, role by role.
    """

    tensors: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    free_byte: int = 0

    def key(self) -> tuple[object, ...]:
        """Return what tells places apart."""
        return (tuple(sorted(self.tensors.items())), self.free_byte)

    def room(self, size_bytes: int, row_bytes: int) -> tuple[int, int]:
        """Take room behind all else, on a row boundary; return first byte and bytes."""
        first = ceil_div(self.free_byte, row_bytes) * row_bytes
        self.free_byte = first + size_bytes
        return first, size_bytes


class Layer(NamedTuple):
    """A layer on a device.

    Attributes
    ----------
    cycles, compute_cycles : int
        Core cycles until all is over, and of computing.
    reads, writes : int
        Transactions that were offered.
    taken_clock : int
        Device clock at which the last one was taken.
    served : Served
        Counts and clocks of the device until the layer's end.
    trace : ndarray, int64 (requests, 3)
        Earliest device clock, transaction, whether written; empty unless asked for.
    """

    cycles: int
    compute_cycles: int
    reads: int
    writes: int
    taken_clock: int
    served: Served
    trace: np.ndarray


def serve(schedule: Sequence[Step | Loop], coupling: Coupling, places: Places, *, trace: bool = False) -> Layer:
    """Return a schedule of tiles on a device that is idle at first.

    Raises
    ------
    ConfigError
        What the layer moves does not fit the device, clocks whose quotient has too many digits.
    """
    device = coupling.device
    tiles, _ = tiles_of(schedule, device, places)
    capacity = device.addresses.capacity_bytes
    if places.free_byte > capacity:
        problem = f"tensors and partial sums take {places.free_byte:,} bytes, {device.channels} x "
        raise ConfigError(f"{problem}{device.standard.name} hold {capacity:,}", "use more channels or a smaller batch")
    key = _key(tiles, coupling)
    if key in _SERVED and not trace:
        _SERVED.move_to_end(key)
        return _SERVED[key]
    rows = 0
    while True:
        state = channels_of(device, rows)
        m = registers(coupling)
        m[[kernel.M_LOAD, kernel.M_BEFORE, kernel.M_AFTER, kernel.M_PENDING, kernel.M_DEPTH]] = -1
        for array in (tiles.tile, tiles.regions[:, 2:3]):
            array[...] = 0
        tiles.regions[:, 4] = np.arange(len(tiles.regions))
        while kernel.advance(SLICE, m, tiles, state):
            pass
        end = int(kernel.finish(m, tiles, state))
        if m[kernel.M_FAR]:
            raise too_far()
        if not trace or m[kernel.M_TRACED] == rows:
            break
        rows = int(m[kernel.M_TRACED])
    served = so_far(state)
    reads, writes, taken = (int(m[at]) for at in (kernel.M_READS, kernel.M_WRITES, kernel.M_TAKEN))
    found = Layer(end, int(m[kernel.M_COMPUTE]), reads, writes, taken, served, state.trace)
    if not trace:
        _SERVED[key] = found
        while len(_SERVED) > MOST_SERVED:
            _SERVED.popitem(last=False)
    return found


def registers(coupling: Coupling) -> np.ndarray:
    """Return the machine before it begins, int64 (kernel.MACHINE,).

    Raises
    ------
    ConfigError
        Clocks whose quotient has too many digits.
    """
    ratio, tx = coupling.clocks_per_cycle, coupling.device.standard.organisation.tx_bytes
    if max(ratio.numerator, ratio.denominator) > MOST_RATIO:
        raise ConfigError(f"{ratio} device clocks in a core cycle have too many digits", "round clocks_mhz.core")
    m = np.zeros(kernel.MACHINE, dtype=np.int64)
    m[kernel.M_UP], m[kernel.M_DOWN] = ratio.numerator, ratio.denominator
    m[kernel.M_SHIFT] = bits(8 * tx)
    m[kernel.M_TURN] = ceil_div(coupling.turn_bytes, tx)
    return m


def too_far() -> ConfigError:
    """Return what to say of clocks that are too many."""
    return ConfigError("clocks of the DRAM device leave 64 bits", "split the layer, or round clocks_mhz.core")


def so_far(state: kernel.Channels) -> Served:
    """Return what channels have done."""
    opened = np.array([open_clocks(r, c[CLOCK]) for r, c in zip(state.rank, state.channel, strict=True)])
    nothing = np.zeros(0, dtype=np.int64)
    return Served(nothing, nothing, state.channel, state.channel, state.bus, opened)


def _key(tiles: kernel.Tiles, coupling: Coupling) -> bytes:
    """Return a digest of all that decides a layer's time and counts.

    Rows are only compared with each other. So where the row is all of the address's high end, addresses that differ by
    whole rows of every bank are alike.
    """
    device, o = coupling.device, coupling.device.standard.organisation
    digest = hashlib.sha256(repr((device.key, coupling.clocks_per_cycle, coupling.turn_bytes)).encode())
    regions, geometry = tiles.regions.copy(), tiles.geometry.copy()
    regions[:, [2, 4]] = 0
    part, low, _ = device.addresses.pieces[-1]
    if part == "Ro" and low == 0 and not device.mapping.endswith("-xor"):
        span = device.addresses.capacity_bytes // o.rows
        moving = regions[:, 0] * o.tx_bytes if len(regions) else geometry[-4:] // 8
        shift = int(moving.min(initial=0 if not len(moving) else moving[0])) // span * span
        regions[:, 0] -= shift // o.tx_bytes
        geometry[-4:] -= 8 * shift
    for array in (tiles.rows, tiles.cycles, tiles.moves, geometry, tiles.axes, regions):
        digest.update(repr(array.shape).encode() + array.tobytes())
    return digest.digest()


def channels_of(device: Device, traced: int = 0) -> kernel.Channels:
    """Return idle channels, one row of each array a channel."""
    states = idle(device)
    stacked = [np.stack(parts) for parts in zip(*states, strict=True)]
    stacked[0][:, OFFERED] = -1
    waiting = 2 * device.controller.queue + device.standard.organisation.banks
    requests = np.zeros((device.channels, kernel.REQUEST, 2 * kernel.CHUNK + waiting), dtype=np.int64)
    fill, ends = np.zeros(device.channels, np.int64), np.zeros(kernel.GROUPS + device.channels, np.int64)
    none = np.zeros((0, 5), dtype=np.int64)
    channel, bank, group, rank, bus, queue = stacked
    return kernel.Channels(
        device.rules, channel, bank, group, rank, bus, queue, requests, fill, ends, pieces(device.addresses),
        np.zeros((traced, 3), np.int64), none,
    )  # fmt: skip


@lru_cache(maxsize=64)
def pieces(addresses: Addresses) -> np.ndarray:
    """Return how channel, bank and row follow from a transaction's number, found by decoding single bits.

    Rows of (shift, mask, 0 channel | 1 bank | 2 row, shift back), whose values are joined by exclusive or.
    """
    o = addresses.organisation
    wide = bits(addresses.capacity_bytes // o.tx_bytes)
    place = addresses.decode(np.int64(o.tx_bytes) << np.arange(wide, dtype=np.int64))
    found: list[list[int]] = []
    for target, values in enumerate((place.channel, place.bank, place.row)):
        last = (-2, -2)
        for at, value in enumerate(values.tolist()):
            for to in (bit for bit in range(value.bit_length()) if value >> bit & 1):
                if (at - 1, to - 1) == last and found[-1][2] == target:
                    found[-1][1] = 2 * found[-1][1] + 1
                else:
                    found.append([at, 1, target, to])
                last = (at, to)
    return np.array(found, dtype=np.int64).reshape(-1, 4)


def tiles_of(
    schedule: Sequence[Step | Loop], device: Device, places: Places
) -> tuple[kernel.Tiles, tuple[Flow, ...]]:  # fmt: skip
    """Return what a schedule moves to and from DRAM as the kernel walks it, and the flows of its streams.

    Room behind the tensors is taken. Rows are in the order of `timeline.rows_of`, without loops that hold nothing.
    """
    row_bytes, tx = device.standard.organisation.row_bytes, device.standard.organisation.tx_bytes
    if isinstance(schedule, LaidOut):

        def first_bit(role: str, size_bits: int) -> int:
            own = places.tensors.get(role, ())
            size = ceil_div(size_bits, 8)
            fits = len(own) == 1 and own[0][1] >= size
            return 8 * (own[0] if fits else places.room(size, row_bytes))[0]

        cut = schedule.cut(first_bit)
        if cut is not None:
            return _made(cut.rows, cut.cycles, np.zeros((0, 4), np.int64), cut.geometry, cut.axes, 3, []), ()
    lines: list[tuple[int, ...]] = []
    cycles: list[int] = []
    moves: list[tuple[int, int, int, int]] = []
    known: dict[int, tuple[int, ...]] = {}
    heads: dict[Flow, int] = {}

    def moved(transfer: Transfer) -> tuple[int, int, int, int]:
        flow = Flow("dram", transfer.tensor, transfer.direction)
        run = ceil_div(transfer.run_bits, 8 * tx)
        if run * transfer.runs > MOST_MOVED:
            raise ConfigError(f"a transfer of {transfer.bits:,} bits is too much for a DRAM device", "split the layer")
        head = heads.setdefault(flow, len(heads))
        return head, int(transfer.direction == "write"), run, transfer.runs

    def lay_out(items: Sequence[Step | Loop]) -> None:
        for item in items:
            if isinstance(item, Loop):
                at = len(lines)
                lines.append(())
                cycles.append(0)
                if item.repeat:
                    lay_out(item.body)
                if len(lines) == at + 1:
                    del lines[at], cycles[at]
                else:
                    lines[at] = (item.repeat, len(lines), *[0] * 8)
                continue
            if id(item) not in known:
                parts = []
                for part in (item.loads, item.before, item.stores, item.after):
                    mine = [moved(t) for t in part if t.bits and t.place == "dram"]
                    parts += [len(moves), len(mine)]
                    moves.extend(mine)
                known[id(item)] = (0, 0, *parts)
            lines.append(known[id(item)])
            cycles.append(item.compute_cycles)

    lay_out(schedule)
    table = np.array(lines, dtype=np.int64).reshape(-1, 10)
    regions = _regions(heads, schedule, places, tx, row_bytes)
    most = max((n for line in lines if line[0] == 0 for n in line[3::2]), default=0)
    none = np.zeros(0, dtype=np.int64)
    laid = np.array(moves, dtype=np.int64).reshape(-1, 4)
    made = _made(table, np.array(cycles, np.int64), laid, none, np.zeros((0, 2), np.int64), most, regions)
    return made, tuple(heads)


def _regions(
    heads: Mapping[Flow, int], schedule: Sequence[Step | Loop], places: Places, tx: int, row_bytes: int
) -> list[list[int]]:
    """Return first transaction, transactions, where the next one goes, next piece and current piece of each stream."""
    found = [[0, 1, 0, i, i] for i in range(len(heads))]
    moved: dict[str, int] = {}
    if any(flow.tensor not in places.tensors for flow in heads):
        for flow, count in _whole(schedule, tx).items():
            moved[flow.tensor] = max(moved.get(flow.tensor, 0), count)
    rooms: dict[str, tuple[int, int]] = {}
    for flow, head in heads.items():
        own = tuple(piece for piece in places.tensors.get(flow.tensor, ()) if piece[1])
        if not own:
            if flow.tensor not in rooms:
                rooms[flow.tensor] = places.room(moved.get(flow.tensor, 1) * tx, row_bytes)
            own = (rooms[flow.tensor],)
        ids = [head, *range(len(found), len(found) + len(own) - 1)]
        found += [[0, 1, 0, 0, 0] for _ in own[1:]]
        for i, (at, (first, size)) in enumerate(zip(ids, own, strict=True)):
            found[at] = [first // tx, ceil_div(size, tx), 0, ids[(i + 1) % len(ids)], at]
    return found


def _whole(schedule: Sequence[Step | Loop], tx: int, times: int = 1) -> dict[Flow, int]:
    """Return the transactions of each flow."""
    total: dict[Flow, int] = {}
    for item in schedule:
        if isinstance(item, Loop):
            for flow, count in _whole(item.body, tx, times * item.repeat).items():
                total[flow] = total.get(flow, 0) + count
            continue
        for part in (item.loads, item.before, item.stores, item.after):
            for t in part:
                if t.place == "dram":
                    flow = Flow("dram", t.tensor, t.direction)
                    total[flow] = total.get(flow, 0) + times * t.runs * ceil_div(t.run_bits, 8 * tx)
    return total


def _made(
    rows: np.ndarray, cycles: np.ndarray, moves: np.ndarray, geometry: np.ndarray, axes: np.ndarray, most: int,
    regions: list[list[int]],
) -> kernel.Tiles:  # fmt: skip
    if len(cycles) != len(rows):
        raise ModelError(f"{len(cycles)} cycles for {len(rows)} rows of a schedule")
    loops = np.zeros((np.count_nonzero(rows[:, 0]) + 1, 2), dtype=np.int64)
    return kernel.Tiles(
        np.ascontiguousarray(rows), cycles, moves, geometry, axes, np.zeros(13, np.int64), loops,
        np.zeros((max(most, 1), CURSOR), np.int64), np.array(regions, np.int64).reshape(-1, 5),
    )  # fmt: skip
