"""What lives between layers in the buffers that units share, and what moves then; docs/decisions/0094-rooms.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

from accelsim import pinned_rooms
from accelsim.activity import Direction, Loop, Step, Transfer, walk
from accelsim.config.arch import Arch
from accelsim.config.schema import BufferSpec
from accelsim.errors import ModelError, WorkloadError
from accelsim.memory.dram import DramModel
from accelsim.memory.elsewhere import Elsewhere
from accelsim.memory.timeline import LaidOut
from accelsim.passes.residency import Buffer, Residency, reside, room_edges, used_bits
from accelsim.results import LayerResult
from accelsim.schedules import BufferTime, Kept
from accelsim.text import nearest
from accelsim.units import KIB_BITS, exact
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.network import Network, is_view
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

    def place(self, tensor: Tensor) -> str:
        """Return where an activation is written: a port, DRAM or ``chip``."""
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


def homes(arch: Arch, network: Network, layers: Sequence[LayerResult], keep: Keep) -> Homes:
    """Return which activations of a connected network live in buffers.

    Parameters
    ----------
    layers : sequence of LayerResult
        One for each layer with work, with ``tiles`` where it was simulated.
    keep : "none", "greedy" or "exact"
    """
    told = any(tensor.buffer for tensor in network.tensors.values())
    if arch.schedule.places and not arch.memory.buffers:
        problem = f"'{arch.name}' has no buffers between layers"
        raise arch.document.error(("schedule", "places"), problem, "pin it to a machine with memory.buffers")
    if not arch.memory.buffers or (keep == "none" and not told):
        return EVERYTHING_IN_DRAM
    found = layout(network)
    reach = Reach.of(arch, network, layers)
    copied = {copy.tensor for copy in found.copies} | {copy.into for copy in found.copies}
    pinned = _pinned(network, found, reach, copied)
    wanted = pinned | {
        storage.name: reach.buffer(storage)
        for storage in found.storages
        if storage.role == "inner" and copied.isdisjoint(storage.tensors) and keep != "none"
    }
    places: dict[str, str] = {}
    after: dict[int, tuple[int, ...]] = {}
    buffers, kept, proofs = list[BufferTime](), list[Kept](), list[str]()
    for spec in arch.memory.buffers:
        size = Buffer(spec.name, spec.kib * KIB_BITS, spec.word_bits)
        if arch.schedule.places is not None:
            able = (name for name, buffer in wanted.items() if buffer == spec.name)
            plan, storages = pinned_rooms.pinned(arch, spec, size, found.storages, able)
        else:
            plan, storages = _planned(
                arch, spec, found, wanted, pinned, "greedy" if keep == "greedy" else "exact",
                overlap=len(arch.units) > 1,
            )  # fmt: skip
        buffers.append(BufferTime(spec.name, size.capacity_bits, used_bits(storages, plan, size), 0, 0))
        proofs.append(plan.proof)
        for storage in storages:
            if storage.name in plan.places:
                places |= dict.fromkeys(storage.tensors, spec.name)
                address = plan.places[storage.name].address_bits
                kept.append(Kept(storage.name, spec.name, address, storage.bits, storage.first, storage.last))
        for position, before in room_edges(storages, plan).items():
            after[position] = tuple(sorted({*after.get(position, ()), *before}))
    proof = next((proof for proof in ("pinned", "greedy", "bounded") if proof in proofs), "optimal")
    return Homes(places, after, tuple(buffers), tuple(kept), proof)


def _planned(
    arch: Arch, spec: BufferSpec, found: Layout, wanted: Mapping[str, str | None], pinned: Mapping[str, str],
    planner: Literal["greedy", "exact"], *, overlap: bool,
) -> tuple[Residency, list[Storage]]:  # fmt: skip
    """Return the plan of one buffer, and the storages as it sees them: what may not live in it stays in DRAM.

    What a network file gives a home there is worth more than everything else together.
    """
    all_bits = sum(storage.moved_bits for storage in found.storages)
    mine = [
        replace(s, moved_bits=s.moved_bits + all_bits, role="inner") if s.name in pinned
        else s if s.role != "inner" or wanted.get(s.name) == spec.name
        else replace(s, role="state")
        for s in found.storages
    ]  # fmt: skip
    mine = [replace(s, role="state") if pinned.get(s.name, spec.name) != spec.name else s for s in mine]
    buffer = Buffer(spec.name, spec.kib * KIB_BITS, spec.word_bits)
    plan = reside(mine, [buffer], planner, len(found.layers), overlap=overlap)
    held = [s for s in mine if pinned.get(s.name) == spec.name]
    if any(s.name not in plan.places for s in held):
        live = live_bits(held, len(found.layers))
        at = live.index(max(live))
        names = ", ".join(s.name for s in held if s.first <= at <= s.last)
        need = sum(buffer.size(s) for s in held if s.first <= at <= s.last)
        i = arch.memory.buffers.index(spec)
        raise arch.document.error(
            ("memory", "buffers", i, "kib"),
            f"layer '{found.layers[at]}' has {names} at home in '{spec.name}', {-(-need // KIB_BITS):,} KiB in all",
            f"raise it from {spec.kib:,}, or give one of them home: dram",
        )
    return plan, mine


def check_homes(arch: Arch, network: Network) -> None:
    """Raise WorkloadError if a network gives tensors a home that no buffer of a machine is."""
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


def _pinned(network: Network, found: Layout, reach: Reach, copied: set[str]) -> dict[str, str]:
    """Return storage -> the buffer that a network file says.

    Raises
    ------
    WorkloadError
        It cannot live there.
    """
    pinned: dict[str, str] = {}
    for storage in found.storages:
        said = {tensor: buffer for tensor in storage.tensors if (buffer := network.tensors[tensor].buffer)}
        if not said:
            continue
        name, buffer = next(iter(said.items()))
        where = f"tensor '{name}' cannot be at home in '{buffer}'"
        if len(set(said.values())) > 1:
            raise WorkloadError(f"{where}: '{storage.name}' lies beside it, in another", "give both one home")
        if storage.role not in ("inner", "state"):
            raise WorkloadError(f"{where}: it is an {storage.role} of the network", "write home: dram")
        if not copied.isdisjoint(storage.tensors):
            raise WorkloadError(f"{where}: a part of it must be copied into a concatenation", "write home: dram")
        for at, places, way in (*((at, reach.writes, "write to") for at in storage.writers),
                                *((at, reach.reads, "read from") for at in storage.readers)):  # fmt: skip
            if places[at] != buffer:
                remedy = "bind the rooms of its unit to it, or write home: dram"
                raise WorkloadError(f"{where}: layer '{found.layers[at]}' cannot {way} it", remedy)
        pinned[storage.name] = buffer
    return pinned


class Reach(NamedTuple):
    """Buffer of each layer that works, by position: into which it can write, and from which it can read."""

    writes: tuple[str | None, ...]
    reads: tuple[str | None, ...]
    chip: frozenset[str]
    """Tensors whose home is an engine's own matter."""

    @classmethod
    def of(cls, arch: Arch, network: Network, layers: Sequence[LayerResult]) -> Reach:
        """Return what the units of layers that ran can reach."""
        rooms = {unit.name: unit.rooms for unit in arch.units}
        writes, reads = list[str | None](), list[str | None]()
        for view, result in zip(views(network), layers, strict=True):
            room, able = rooms.get(result.unit or ""), result.simulated and _plain(result)
            writes.append(room.outputs if room and able and len(view.outputs) == 1 else None)
            reads.append(room.inputs if room and able and _told_apart(view, result) else None)
        chip = frozenset(name for name, tensor in network.tensors.items() if tensor.home == "chip")
        return cls(tuple(writes), tuple(reads), chip)

    def buffer(self, storage: Storage) -> str | None:
        """Return the only buffer in which a storage can live."""
        if not self.chip.isdisjoint(storage.tensors):
            return None
        found = {self.writes[at] for at in storage.writers} | {self.reads[at] for at in storage.readers}
        return found.pop() if len(found) == 1 else None


def views(network: Network) -> list[LayerView]:
    """Return the layers that work."""
    return [network.view(layer) for layer in network.layers if not is_view(layer)]


Known: TypeAlias = "dict[tuple[int, _Places], tuple[Any, Moved]]"
"""Number of tiles, and places -> the tiles (which so keep their number), and what moves."""


def _steps(result: LayerResult) -> Iterator[Step]:
    if result.tiles is not None and result.tiles.schedule is not None:
        yield from (step for step, _ in walk(result.tiles.schedule, 1))


def _plain(result: LayerResult) -> bool:
    """Whether a layer has tiles, and moves its tensors without indices."""
    if result.tiles is None or result.tiles.schedule is None:
        return False
    return not any(row.boundary == "dram" and row.tensor == "index" for row in result.traffic)


def _told_apart(view: LayerView, result: LayerResult) -> bool:
    """Whether it is known which load is of which input."""
    if len(view.inputs) == 1 or (view.macs and not view.weights and len(view.inputs) == 2):
        return True
    number = len(view.inputs)
    return not view.macs and all(
        [t.tensor for t in step.loads].count("input") in (0, number)
        and not any(t.tensor == "input" for t in (*step.before, *step.after))
        for step in _steps(result)
    )


def moves(
    network: Network, layers: Sequence[LayerResult], places: Mapping[str, str], known: Known | None = None
) -> list[Moved | None]:
    """Return what each layer that works moves, None where it was not simulated; those alike share their tiles."""
    known = {} if known is None else known
    return [
        moved(view, result, places, known) if result.simulated else None
        for view, result in zip(views(network), layers, strict=True)
    ]


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
