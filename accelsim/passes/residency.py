"""Residency: which storages stay in the machine's buffers, and where; docs/decisions/0089-residency.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, NamedTuple, TypeAlias, get_args

from accelsim.passes import addresses
from accelsim.passes.addresses import Block
from accelsim.passes.choice import Item, choose
from accelsim.units import ceil_div
from accelsim.workload.storage import Storage

Planner: TypeAlias = Literal["exact", "greedy", "tflm"]
PLANNERS: tuple[Planner, ...] = get_args(Planner)
Proof: TypeAlias = Literal["optimal", "bounded", "greedy", "tflm", "pinned"]

TFLM_ALIGN_BITS = 128
"""TensorFlow Lite Micro's kBufferAlignment of 16 bytes."""
MOST_SLACK = 8
"""Positions by which lives are stretched at most: units that overlap are seldom further apart."""
EXACT = "exact"
"""How addresses came about where first fit found none."""


@dataclass(frozen=True)
class Buffer:
    """Room between layers.

    Attributes
    ----------
    name : str
    capacity_bits : int
    align_bits : int
        Sizes are rounded up to a multiple; so are addresses.
    reserved_bits : tuple of int
        What is not to be had at each position, at the upper end: tiles of the layer. Empty for nothing.
    """

    name: str
    capacity_bits: int
    align_bits: int = 8
    reserved_bits: tuple[int, ...] = ()

    def size(self, storage: Storage) -> int:
        """Return the bits that a storage takes."""
        return ceil_div(storage.bits, self.align_bits) * self.align_bits

    def rooms(self, positions: int) -> list[int]:
        """Return the bits that are to be had at each position."""
        whole = self.capacity_bits // self.align_bits * self.align_bits
        taken = self.reserved_bits or (0,) * positions
        return [min(whole, self.capacity_bits - bits) for bits in taken]

    def block(self, storage: Storage, rooms: Sequence[int]) -> Block:
        """Return what is to be placed for a storage."""
        limit = min(rooms[storage.first : storage.last + 1])
        return Block(self.size(storage), storage.first, storage.last, limit)


class Place(NamedTuple):
    """Where a storage lives."""

    buffer: str
    address_bits: int


@dataclass(frozen=True)
class Residency:
    """What stays where.

    Attributes
    ----------
    places : mapping
        Storage that stays -> its place.
    moved_bits : int
        What the others move through DRAM.
    bound_bits : int
        What every plan moves at least, as far as the planner knows; of a greedy one what inputs and outputs move.
    proof : str
        ``optimal``; ``bounded`` where addresses were not found or the search ended early; else the planner.
    dropped : tuple of str
        Storages that the exact choice would keep and that found no address.
    addresses : str
        How addresses came about.
    slack : int
        Positions after its last reader for which every storage keeps its address to itself, so that units overlap.
    """

    places: Mapping[str, Place]
    moved_bits: int
    bound_bits: int
    proof: Proof
    dropped: tuple[str, ...] = ()
    addresses: str = ""
    slack: int = 0


def reside(
    storages: Sequence[Storage], buffers: Sequence[Buffer], planner: Planner, positions: int, *, overlap: bool = False
) -> Residency:
    """Return which of the ``inner`` storages stay in the buffers, and at which addresses.

    Parameters
    ----------
    storages : sequence of Storage
    buffers : sequence of Buffer
        Earlier ones are filled first where a planner has no other reason.
    planner : str
        ``exact``, ``greedy`` or ``tflm``.
    positions : int
        Layers that work.
    overlap : bool
        Of ``exact``: give addresses up as late as the room for what stays allows, see `Residency.slack`.
    """
    wanted = [storage for storage in storages if storage.role == "inner" and storage.bits]
    total = sum(storage.moved_bits for storage in storages)
    if planner == "exact":
        found = _exact(wanted, buffers, positions, total)
        return _slackened(wanted, buffers, positions, found) if overlap else found
    places = _fitted(wanted, [_aligned(buffer, planner) for buffer in buffers], _ORDERS[planner](wanted), positions)
    kept = sum(storage.moved_bits for storage in wanted if storage.name in places)
    least = total - sum(storage.moved_bits for storage in wanted)
    return Residency(places, total - kept, least, planner, addresses="first fit")


def room_edges(storages: Sequence[Storage], residency: Residency) -> dict[int, tuple[int, ...]]:
    """Return position -> those whose layers must have computed before its layer writes: write after read.

    With layers in order one at a time nothing follows from it. Where two units overlap, a layer that writes into a
    storage waits for all that touch the earlier occupants of its addresses; for occupants that later ones cover, those
    have waited already. Copies into concatenations belong to the layers at their positions.
    """
    placed = sorted(
        (storage for storage in storages if storage.name in residency.places), key=lambda storage: storage.first
    )
    where = [(residency.places[storage.name].buffer, _span(storage, residency)) for storage in placed]
    after: dict[int, set[int]] = {}
    latest = sorted(range(len(placed)), key=lambda i: -placed[i].last)
    for storage, (buffer, whole) in zip(placed, where, strict=True):
        open_ = [whole]
        for i in latest:
            other, (its, taken) = placed[i], where[i]
            if other.last >= storage.first or its != buffer:  # alive beside it, or later
                continue
            if not open_:
                break
            left = [part for span in open_ for part in _without(span, taken)]
            if left != open_:
                for position in storage.writers:
                    after.setdefault(position, set()).update(other.writers, other.readers)
            open_ = left
    return {position: tuple(sorted(found)) for position, found in sorted(after.items())}


def _span(storage: Storage, residency: Residency) -> tuple[int, int]:
    at = residency.places[storage.name].address_bits
    return at, at + storage.bits


def _without(span: tuple[int, int], taken: tuple[int, int]) -> list[tuple[int, int]]:
    """Return what is left of a span without another."""
    parts = (span[0], min(span[1], taken[0])), (max(span[0], taken[1]), span[1])
    return [part for part in parts if part[0] < part[1]] if taken[0] < span[1] and span[0] < taken[1] else [span]


def arena_bits(storages: Sequence[Storage], planner: Planner, positions: int) -> int:
    """Return the least capacity at which the planner holds every storage at once, inputs and outputs too.

    Of ``exact`` it is the largest sum alive at a position where addresses show that this is enough.
    """
    held = [storage for storage in storages if storage.bits]
    buffer = _aligned(Buffer("", 0), planner)
    if planner != "exact":
        order, endless = _ORDERS[planner](held), sum(map(buffer.size, held))
        blocks = [Block(buffer.size(storage), storage.first, storage.last, endless) for storage in held]
        return _top(blocks, addresses.first_fit(blocks, order))
    peak = max(_live(held, buffer, positions), default=0)
    blocks = [Block(buffer.size(storage), storage.first, storage.last, peak) for storage in held]
    if any(addresses.whole(found) for _, found in addresses.attempts(blocks)) or addresses.exact(blocks):
        return peak
    endless = sum(block.size for block in blocks)
    blocks = [block._replace(limit=endless) for block in blocks]
    return min(_top(blocks, found) for _, found in addresses.attempts(blocks))


def used_bits(storages: Iterable[Storage], residency: Residency, buffer: Buffer) -> int:
    """Return how high what stays in a buffer reaches."""
    by_name = {storage.name: storage for storage in storages}
    ends = (
        place.address_bits + buffer.size(by_name[name])
        for name, place in residency.places.items()
        if place.buffer == buffer.name
    )
    return max(ends, default=0)


def _live(storages: Sequence[Storage], buffer: Buffer, positions: int) -> list[int]:
    live = [0] * positions
    for storage in storages:
        for position in range(storage.first, storage.last + 1):
            live[position] += buffer.size(storage)
    return live


def _top(blocks: Sequence[Block], found: Sequence[int | None]) -> int:
    return max((at + b.size for at, b in zip(found, blocks, strict=True) if at is not None), default=0)


def _aligned(buffer: Buffer, planner: Planner) -> Buffer:
    if planner != "tflm" or buffer.align_bits % TFLM_ALIGN_BITS == 0:
        return buffer
    return Buffer(buffer.name, buffer.capacity_bits, TFLM_ALIGN_BITS, buffer.reserved_bits)


def _by_density(storages: Sequence[Storage]) -> list[int]:
    """Return the order of value per bit and position, the best first."""

    def worth(i: int) -> tuple[Fraction, int, int]:
        storage = storages[i]
        share = Fraction(storage.moved_bits, storage.bits * (storage.last - storage.first + 1))
        return -share, -storage.moved_bits, i

    return sorted(range(len(storages)), key=worth)


def _as_tflm(storages: Sequence[Storage]) -> list[int]:
    """Return the order of `GreedyMemoryPlanner`: the largest first, of equals the one that comes later."""
    sizes = [ceil_div(storage.bits, TFLM_ALIGN_BITS) for storage in storages]
    return sorted(range(len(storages)), key=lambda i: (-sizes[i], -i))


_ORDERS: dict[Planner, Callable[[Sequence[Storage]], list[int]]] = {"greedy": _by_density, "tflm": _as_tflm}


def _fitted(
    storages: Sequence[Storage], buffers: Sequence[Buffer], order: Sequence[int], positions: int
) -> dict[str, Place]:
    """Return places by first fit, in the first buffer that has room."""
    places: dict[str, Place] = {}
    for buffer in buffers:
        rooms = buffer.rooms(positions)
        left = [i for i in order if storages[i].name not in places]
        blocks = [buffer.block(storages[i], rooms) for i in left]
        for i, at in zip(left, addresses.first_fit(blocks, range(len(left))), strict=True):
            if at is not None:
                places[storages[i].name] = Place(buffer.name, at)
    return places


def _exact(wanted: Sequence[Storage], buffers: Sequence[Buffer], positions: int, total: int) -> Residency:
    rooms = [buffer.rooms(positions) for buffer in buffers]
    items = [Item(s.moved_bits, s.first, s.last, tuple(buffer.size(s) for buffer in buffers)) for s in wanted]
    choice = choose(items, rooms)
    places: dict[str, Place] = {}
    ways: list[str] = []
    for b, buffer in enumerate(buffers):
        chosen = [storage for storage, room in zip(wanted, choice.rooms, strict=True) if room == b]
        found, way = _addresses(chosen, [buffer.block(storage, rooms[b]) for storage in chosen])
        ways.append(way)
        places |= {s.name: Place(buffer.name, at) for s, at in zip(chosen, found, strict=True) if at is not None}
    dropped = tuple(
        storage.name for storage, room in zip(wanted, choice.rooms, strict=True)
        if room is not None and storage.name not in places
    )  # fmt: skip
    proof: Proof = "bounded" if dropped or choice.value(items) < choice.bound else "optimal"
    kept = sum(storage.moved_bits for storage in wanted if storage.name in places)
    way = ", ".join(dict.fromkeys(ways))
    return Residency(places, total - kept, total - choice.bound, proof, dropped, way)


def _slackened(
    wanted: Sequence[Storage], buffers: Sequence[Buffer], positions: int, found: Residency
) -> Residency:  # fmt: skip
    """Return the plan with addresses that first fit finds for longer lives, the longest of up to `MOST_SLACK` more."""
    homes: list[tuple[Buffer, list[Storage], list[Block]]] = []
    for buffer in buffers:
        held = [s for s in wanted if s.name in found.places and found.places[s.name].buffer == buffer.name]
        rooms = buffer.rooms(positions)
        homes.append((buffer, held, [buffer.block(s, rooms) for s in held]))
    for slack in range(MOST_SLACK, 0, -1):
        places: dict[str, Place] = {}
        ways: list[str] = []
        for buffer, held, alone in homes:
            blocks = [block._replace(last=min(block.last + slack, positions - 1)) for block in alone]
            if not addresses.may_fit(blocks, positions):
                break
            fits = ((way, at) for way, some in addresses.attempts(blocks) if (at := addresses.whole(some)) is not None)
            way, fitted = next(fits, ("", []))
            ways += [f"first fit, {way}"] if held else []
            places |= {s.name: Place(buffer.name, at) for s, at in zip(held, fitted, strict=False)}
        if len(places) == len(found.places):
            return replace(found, places=places, addresses=", ".join(dict.fromkeys(ways)), slack=slack)
    return found


def _addresses(chosen: Sequence[Storage], blocks: Sequence[Block]) -> tuple[Sequence[int | None], str]:
    """Return addresses and how they came about; None for what the best first fit cannot place."""
    best: tuple[int, str, list[int | None]] | None = None
    for name, found in addresses.attempts(blocks):
        lost = sum(s.moved_bits for s, at in zip(chosen, found, strict=True) if at is None)
        if best is None or lost < best[0]:
            best = lost, f"first fit, {name}", found
        if not lost:
            return found, f"first fit, {name}"
    solved = addresses.exact(blocks)
    if solved is not None:
        return solved, EXACT
    assert best is not None
    return best[2], best[1]
