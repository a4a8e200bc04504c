"""What lives between layers in the buffers that units share, and what moves then; docs/decisions/0094-rooms.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeAlias

from accelsim import own_rooms, pinned_rooms
from accelsim.activity import Direction, Loop, Step, Transfer, walk
from accelsim.config.arch import Arch
from accelsim.config.yamlfile import KeyPath
from accelsim.errors import ConfigError, ModelError, WorkloadError
from accelsim.memory.dram import DramModel
from accelsim.memory.elsewhere import Elsewhere
from accelsim.memory.timeline import LaidOut
from accelsim.passes.residency import Buffer, Residency, reside, room_edges, used_bits
from accelsim.reach import Reach as Reach
from accelsim.reach import told_homes
from accelsim.reach import views as views
from accelsim.results import LayerResult
from accelsim.schedules import BufferTime, Kept
from accelsim.text import nearest
from accelsim.units import KIB_BITS, exact
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.network import Network
from accelsim.workload.storage import Layout, Storage, layout, live_bits

Keep: TypeAlias = Literal["none", "greedy", "exact"]
KEEP: tuple[Keep, ...] = ("none", "greedy", "exact")
READ, WRITE = ".read", ".write"
"""A buffer's ports: its name and this."""


@dataclass(frozen=True)
class Homes:
    """Where activations live between layers; those that are not named here, in DRAM.

    Attributes
    ----------
    places : mapping
        Tensor -> buffer.
    own : mapping
        Tensor -> a unit's own storage.
    beside_bits : mapping
        Position of a layer -> what other layers' tensors take of its unit's own storage meanwhile.
    after : mapping
        Position of a layer that works -> those that must have computed before it writes.
    buffers : tuple of BufferTime
        Nothing moved yet.
    kept : tuple of Kept
    proof : str
        Of the weakest plan; empty where nothing was planned.
    """

    places: Mapping[str, str]
    after: Mapping[int, tuple[int, ...]]
    buffers: tuple[BufferTime, ...] = ()
    kept: tuple[Kept, ...] = ()
    proof: str = ""
    own: Mapping[str, str] = field(default_factory=dict)
    beside_bits: Mapping[int, int] = field(default_factory=dict)

    def place(self, tensor: Tensor) -> str:
        """Return where an activation is written: a port, DRAM or ``chip``."""
        if tensor.name in self.own:
            return "chip"
        name = self.places.get(tensor.name)
        return tensor.home if name is None else name + WRITE


EVERYTHING_IN_DRAM = Homes({}, {})


class Moved(NamedTuple):
    """What a layer moves in its place: its tiles, bits on the bus of DRAM that it no longer moves, and of buffers.

    Attributes
    ----------
    saved_read_bits, saved_written_bits : int
        Whole bursts.
    read_bits, written_bits : mapping
        Buffer -> useful bits.
    homes : mapping
        Activation -> buffer, of those that live in one.
    """

    schedule: Sequence[Step | Loop] | None
    saved_read_bits: int
    saved_written_bits: int
    read_bits: Mapping[str, int]
    written_bits: Mapping[str, int]
    homes: Mapping[str, str]

    @property
    def saved_bits(self) -> int:
        """Both directions."""
        return self.saved_read_bits + self.saved_written_bits


def ports(arch: Arch) -> dict[str, DramModel | None]:
    """Return the ports of all buffers as buses; None for one that nobody waits for."""
    found: dict[str, DramModel | None] = {}
    for buffer in arch.memory.buffers:
        for port, bits in ((READ, buffer.read_bits_per_cycle), (WRITE, buffer.write_bits_per_cycle)):
            found[buffer.name + port] = None if bits is None else DramModel(exact(bits), 0, 1)
    return found


def plans(arch: Arch, network: Network, layers: Sequence[LayerResult], keep: Keep) -> list[Homes]:
    """Return plans that differ in what they leave to tiles in storage of units' own; one where there is none.

    A tensor that stays takes room from tiles, and smaller tiles may move more than it saves.
    """
    one = homes(arch, network, layers, keep)
    if not one.own or arch.schedule.places is not None:
        return [one]
    ways: tuple[own_rooms.Tiles, ...] = ("alone", "all")
    found = [one, *(homes(arch, network, layers, keep, tiles) for tiles in ways)]
    return [plan for i, plan in enumerate(found) if all(plan.kept != other.kept for other in found[:i])]


def homes(
    arch: Arch, network: Network, layers: Sequence[LayerResult], keep: Keep, tiles: own_rooms.Tiles = "least"
) -> Homes:
    """Return which activations of a connected network live in buffers.

    Parameters
    ----------
    layers : sequence of LayerResult
        One for each layer with work, with ``tiles`` where it was simulated.
    keep : "none", "greedy" or "exact"
    tiles : "least", "alone" or "all"
        What of a unit's own storage is left to tiles at least: the smallest ones; those of the layer alone; everything
        but what the network file puts there.
    """
    stores = _stores(arch)
    own_too = any(store.room is not None for store in stores)
    told = any(
        tensor.buffer or (own_too and tensor.home == "chip" and not tensor.weight)
        for tensor in network.tensors.values()
    )  # fmt: skip
    if arch.schedule.places and not stores:
        problem = f"'{arch.name}' has no buffers between layers"
        raise arch.document.error(("schedule", "places"), problem, "pin it to a machine with memory.buffers")
    if not stores or (keep == "none" and not told):
        return EVERYTHING_IN_DRAM
    found, seen = layout(network), views(network)
    reach = Reach.of(arch, network, layers)
    copied = {copy.tensor for copy in found.copies} | {copy.into for copy in found.copies}
    pinned = told_homes(network, found, reach, copied)
    wanted = {
        storage.name: reach.buffer(storage)
        for storage in found.storages
        if storage.role != "state" and copied.isdisjoint(storage.tensors) and keep != "none"
    } | pinned
    places: dict[str, str] = {}
    own: dict[str, str] = {}
    beside: dict[int, int] = {}
    after: dict[int, tuple[int, ...]] = {}
    buffers, kept, proofs = list[BufferTime](), list[Kept](), list[str]()
    for store in stores:
        size, room = store.buffer, store.room
        mine = None if room is None else own_rooms.Layers.of(arch, room, seen, layers, tiles)
        if mine is not None:
            held = [storage for storage in found.storages if pinned.get(storage.name) == size.name]
            size = replace(size, reserved_bits=mine.reserved_bits(size, held, len(seen)))
            store = store._replace(buffer=size)
        if arch.schedule.places is not None:
            able = (name for name, buffer in wanted.items() if buffer == size.name)
            names = [other.buffer.name for other in stores]
            plan, storages = pinned_rooms.pinned(arch, names, size, found, able)
            if room is not None:
                pinned_rooms.check_all(arch, (name for name, buffer in pinned.items() if buffer == size.name), plan)
        else:
            plan, storages = _planned(
                arch, store, found, pinned if room is not None and tiles == "all" else wanted, pinned,
                "greedy" if keep == "greedy" else "exact",
                overlap=len(arch.units) > 1,
            )  # fmt: skip
        buffers.append(BufferTime(size.name, size.capacity_bits, used_bits(storages, plan, size), 0, 0))
        gave_way = room is not None and tiles != "least" and plan.proof == "optimal"
        proofs.append("bounded" if gave_way else plan.proof)
        held = [storage for storage in storages if storage.name in plan.places]
        for storage in held:
            (places if mine is None else own).update(dict.fromkeys(storage.tensors, size.name))
            address = plan.places[storage.name].address_bits
            kept.append(Kept(storage.name, size.name, address, storage.bits, storage.first, storage.last))
        if mine is not None and held:
            beside |= mine.beside_bits(size, held, seen, network)
        for position, before in room_edges(storages, plan).items():
            after[position] = tuple(sorted({*after.get(position, ()), *before}))
    proof = next((proof for proof in ("pinned", "greedy", "bounded") if proof in proofs), "optimal")
    return Homes(places, after, tuple(buffers), tuple(kept), proof, own, beside)


class _Store(NamedTuple):
    """A buffer, or a unit's own storage as ``room``, and where a machine file has it."""

    buffer: Buffer
    key: KeyPath
    room: own_rooms.OwnRoom | None = None


def _stores(arch: Arch) -> list[_Store]:
    """Return everything where tensors may live between layers."""
    shared = [
        _Store(Buffer(spec.name, spec.kib * KIB_BITS, spec.word_bits), ("memory", "buffers", i, "kib"))
        for i, spec in enumerate(arch.memory.buffers)
    ]
    return shared + [_Store(Buffer(room.name, room.capacity_bits), room.key, room) for room in own_rooms.of(arch)]


def _planned(
    arch: Arch, store: _Store, found: Layout, wanted: Mapping[str, str | None], pinned: Mapping[str, str],
    planner: Literal["greedy", "exact"], *, overlap: bool,
) -> tuple[Residency, list[Storage]]:  # fmt: skip
    """Return the plan of one buffer, and the storages as it sees them: what may not live in it stays in DRAM.

    What a network file gives a home there is worth more than everything else together.
    """
    all_bits, buffer, name = sum(storage.moved_bits for storage in found.storages), store.buffer, store.buffer.name
    mine = [
        replace(s, moved_bits=s.moved_bits + all_bits * (s.name in pinned), role="inner")
        if pinned.get(s.name, wanted.get(s.name)) == name
        else replace(s, role="state") if s.role == "inner"
        else s
        for s in found.storages
    ]  # fmt: skip
    plan = reside(mine, [buffer], planner, len(found.layers), overlap=overlap)
    held = [s for s in mine if pinned.get(s.name) == name]
    if any(s.name not in plan.places for s in held):
        raise _too_much(arch, store, found, held)
    return plan, mine


def _too_much(arch: Arch, store: _Store, found: Layout, held: Sequence[Storage]) -> ConfigError:
    """Return the error of tensors that a network file gives a home and that do not fit together."""
    buffer, positions = store.buffer, len(found.layers)
    room, live = buffer.rooms(positions), live_bits(held, positions)
    at = max(range(positions), key=lambda at: (live[at] - room[at], live[at]))
    names = ", ".join(s.name for s in held if s.first <= at <= s.last)
    need = sum(buffer.size(s) for s in held if s.first <= at <= s.last)
    tiles = buffer.reserved_bits[at] if buffer.reserved_bits else 0
    beside = f" beside tiles of {tiles:,} bits" if tiles else ""
    what = f"layer '{found.layers[at]}' has {names} at home in '{buffer.name}'"
    if store.room is not None:
        problem = f"{what}, {need:,} bits{beside}, and it has {buffer.capacity_bits:,}"
        return arch.document.error(store.key, problem, "raise that memory, or give one of them home: dram")
    size = buffer.capacity_bits // KIB_BITS
    problem = f"{what}, {-(-need // KIB_BITS):,} KiB in all"
    return arch.document.error(store.key, problem, f"raise it from {size:,}, or give one of them home: dram")


def check_homes(arch: Arch, network: Network) -> None:
    """Raise WorkloadError if a network gives tensors a home that no buffer of a machine is.

    ConfigError if a unit is to share storage with its tiles and has none.
    """
    own_rooms.of(arch)
    names = [buffer.name for buffer in arch.memory.buffers]
    for name, tensor in network.tensors.items():
        if tensor.buffer and tensor.buffer not in names:
            has = f"its buffers are {', '.join(names)}" if names else "it has none: write dram or chip"
            problem = f"tensor '{name}': home '{tensor.buffer}' is no buffer of '{arch.name}'"
            raise WorkloadError(problem, nearest(tensor.buffer, names, has))
        if tensor.buffer and tensor.weight:
            raise WorkloadError(f"tensor '{name}': constants have no home in a buffer", "write home: dram")


def not_at_home(network: Network) -> tuple[str, ...]:
    """Return which tensors with a home in a buffer layers one after another find in DRAM, in a sentence."""
    names = [f"{name} ({tensor.buffer})" for name, tensor in network.tensors.items() if tensor.buffer]
    if not names:
        return ()
    return (f"at home in a buffer on one clock only, through DRAM in figures of layers alone: {', '.join(names)}",)


Known: TypeAlias = "dict[tuple[int, _Places], tuple[Any, Moved]]"
"""Number of tiles, and places -> the tiles (which so keep their number), and what moves."""


def moves(
    network: Network,
    layers: Sequence[LayerResult],
    places: Mapping[str, str],
    known: Known | None = None,
    own: Mapping[str, str] | None = None,
) -> list[Moved | None]:
    """Return what each layer that works moves, None where it was not simulated; those alike share their tiles.

    What lives in a unit's ``own`` storage does not move; it is among the homes.
    """
    known = {} if known is None else known
    found: list[Moved | None] = []
    for view, result in zip(views(network), layers, strict=True):
        move = moved(view, result, places, known) if result.simulated else None
        if move is not None and own:
            there = {t.name: own[t.name] for t in (*view.inputs, *view.outputs) if t.name in own}
            move = move._replace(homes={**move.homes, **there})
        found.append(move)
    return found


def moved(view: LayerView, result: LayerResult, places: Mapping[str, str], known: Known | None = None) -> Moved:
    """Return what a layer moves if ``places`` says in which buffers tensors live.

    Parameters
    ----------
    known : dict, optional
        What layers ahead move that are alike; filled.

    Raises
    ------
    ModelError
        A layer that `homes` would not have taken.
    """
    assert result.tiles is not None
    inputs, output = [places.get(tensor.name) for tensor in view.inputs], places.get(view.output.name)
    joined = next((places.get(tensor.name) for tensor in view.joins), None)
    schedule, dram = result.tiles.schedule, result.tiles.dram
    if schedule is None or not (output or joined or any(inputs)):
        return Moved(schedule, 0, 0, {}, {}, {})
    place = _Places(tuple(inputs), output, bool(view.macs and not view.weights), joined)
    known, key = {} if known is None else known, (id(schedule), place)
    if key not in known:
        known[key] = schedule, _rehoused(schedule, place, dram)
    homes = {t.name: places[t.name] for t in (*view.reads, *view.outputs) if t.name in places}
    return known[key][1]._replace(homes=homes)


def _rehoused(schedule: Sequence[Step | Loop], place: _Places, dram: DramModel) -> Moved:
    """Return what tiles move in their places."""
    steps: dict[int, Step] = {}

    def rehoused(items: Iterable[Step | Loop]) -> tuple[Step | Loop, ...]:
        found: list[Step | Loop] = []
        for item in items:
            if isinstance(item, Loop):
                found.append(Loop(item.repeat, rehoused(item.body)))
            else:
                if id(item) not in steps:
                    steps[id(item)] = place.step(item)
                found.append(steps[id(item)])
        return tuple(found)

    if isinstance(schedule, LaidOut) and len(place.inputs) == 1 + place.both and not place.joined:
        return _laid_out(schedule, place, dram, lambda: rehoused(schedule))
    there = rehoused(schedule)
    saved, bits = {"read": 0, "write": 0}, {"read": dict[str, int](), "write": dict[str, int]()}
    for step, times in walk(there, 1):
        for t in (*step.loads, *step.before, *step.after, *step.stores):
            if t.place != "dram":
                name = t.place.removesuffix(READ).removesuffix(WRITE)
                saved[t.direction] += times * dram.bus_bits(t)
                bits[t.direction][name] = bits[t.direction].get(name, 0) + times * t.bits
    return Moved(there, saved["read"], saved["write"], bits["read"], bits["write"], {})


def _laid_out(tiles: LaidOut, place: _Places, dram: DramModel, make: Callable[[], Sequence[Step | Loop]]) -> Moved:
    """Return the same of tiles in rows, without their steps, which ``make`` gives."""
    moved: dict[tuple[str, Direction], str | None] = {
        ("input", "read"): place.inputs[0],
        ("weight", "read"): place.inputs[1] if place.both else None,
        ("output", "write"): place.output,
    }
    saved, bits = {"read": 0, "write": 0}, {"read": dict[str, int](), "write": dict[str, int]()}
    useful = dram._replace(burst_bits=1)
    places = {what: home for what, home in moved.items() if home is not None}
    for (tensor, way), home in places.items():
        if more := tiles.total(dram, (tensor,), way):
            saved[way] += more
            bits[way][home] = bits[way].get(home, 0) + tiles.total(useful, (tensor,), way)
    ports = {what: home + (READ if what[1] == "read" else WRITE) for what, home in places.items()}
    there = Elsewhere(tiles, ports, make)
    return Moved(there, saved["read"], saved["write"], bits["read"], bits["write"], {})


class _Places(NamedTuple):
    """Buffers of a layer's inputs and of its output; None for DRAM."""

    inputs: tuple[str | None, ...]
    output: str | None
    both: bool
    """Whether the second input is moved as ``weight``: a product of two activations."""
    joined: str | None = None
    """Of the activation that is added to the results."""

    def step(self, step: Step) -> Step:
        """Return a tile with the places of what it moves."""
        loads, before, stores, after = map(self._moves, (step.loads, step.before, step.stores, step.after))
        return Step(loads, step.compute_cycles, stores, before, after)

    def _moves(self, transfers: Sequence[Transfer]) -> tuple[Transfer, ...]:
        found, seen = list[Transfer](), 0
        apart = len(self.inputs) > 1 and not self.both
        for t in transfers:
            home: str | None = None
            if (t.tensor, t.direction) == ("input", "read"):
                home = self.inputs[seen if apart else 0]
                seen += 1
            elif (t.tensor, t.direction) == ("weight", "read") and self.both:
                home = self.inputs[1]
            elif t.tensor == "residual":
                home = self.joined
            elif (t.tensor, t.direction) == ("output", "write"):
                home = self.output
            found.append(t if home is None else t._replace(place=home + (READ if t.direction == "read" else WRITE)))
        if apart and any(self.inputs) and seen not in (0, len(self.inputs)):
            raise ModelError(f"{seen} loads of {len(self.inputs)} inputs in a tile")
        return tuple(found)
