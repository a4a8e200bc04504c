"""Which tensors can live in which buffer between layers, by who writes and who reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from accelsim import own_rooms
from accelsim.activity import Step, walk
from accelsim.config.arch import Arch
from accelsim.config.schema import OWN
from accelsim.errors import WorkloadError
from accelsim.results import LayerResult
from accelsim.workload.layers import LayerView
from accelsim.workload.network import Network, is_view
from accelsim.workload.storage import Layout, Storage


def told_homes(network: Network, found: Layout, reach: Reach, copied: set[str]) -> dict[str, str]:
    """Return storage -> the buffer that a network file says.

    Raises
    ------
    WorkloadError
        It cannot live there.
    """
    told: dict[str, str] = {}
    for storage in found.storages:
        if (own := reach.chip(storage)) is not None and copied.isdisjoint(storage.tensors):
            told[storage.name] = own
            continue
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
        told[storage.name] = buffer
    return told


class Reach(NamedTuple):
    """Buffer of each layer that works, by position: into which it can write, and from which it can read.

    Attributes
    ----------
    on_chip : frozenset of str
        Tensors to which a network file gives the chip as home.
    second : frozenset of str
        Tensors that layers read beside their first input.
    ran : frozenset of int
        Positions of layers that were simulated.
    own, outside : frozenset of str, str or None
        Storages of units of their own; that where tensors from outside live.
    """

    writes: tuple[str | None, ...]
    reads: tuple[str | None, ...]
    on_chip: frozenset[str]
    second: frozenset[str]
    ran: frozenset[int]
    own: frozenset[str]
    outside: str | None

    @classmethod
    def of(cls, arch: Arch, network: Network, layers: Sequence[LayerResult]) -> Reach:
        """Return what layers that ran, or did not, can reach."""
        rooms, own = {unit.name: unit.rooms for unit in arch.units}, {room.unit: room for room in own_rooms.of(arch)}
        outside = next((room.name for room in own.values() if room.outside), None)
        writes, reads, ran, seen = list[str | None](), list[str | None](), set[int](), views(network)
        laned = {layer.name for layer in network.layers if any(post.into == "lanes" for post in layer.post)}
        for at, (view, result) in enumerate(zip(seen, layers, strict=True)):
            room, able = rooms.get(result.unit or ""), result.simulated and _plain(result)
            into, out_of = (room.outputs, room.inputs) if room and able else (None, None)
            if into == OWN:
                into = out_of = own[result.unit or ""].name
                into = None if view.name in laned else into  # lanes count what tiles store
            elif not _told_apart(view, result):
                out_of = None
            if not result.simulated:
                into = out_of = outside
            else:
                ran.add(at)
            writes.append(into if len(view.outputs) == 1 or not result.simulated else None)
            reads.append(out_of)
        chip = frozenset(name for name, tensor in network.tensors.items() if tensor.home == "chip")
        second = frozenset(t.name for at in ran for t in (*seen[at].inputs[1:], *seen[at].joins))
        names = frozenset(room.name for room in own.values())
        return cls(tuple(writes), tuple(reads), chip, second, frozenset(ran), names, outside)

    def buffer(self, storage: Storage) -> str | None:
        """Return the only buffer in which a storage can live."""
        if not self.on_chip.isdisjoint(storage.tensors):
            return None
        found = self._only(storage)
        return found if storage.role == "inner" or found == self.outside else None

    def chip(self, storage: Storage) -> str | None:
        """Return the storage of a unit's own in which one is at home on the chip, as far as the unit shares it."""
        found = None if self.on_chip.isdisjoint(storage.tensors) else self._only(storage)
        return found if found in self.own else None

    def _only(self, storage: Storage) -> str | None:
        """Return where all its writers can write and all its readers read."""
        found = {self.writes[at] for at in storage.writers} | {self.reads[at] for at in storage.readers}
        name = found.pop() if len(found) == 1 else None
        if name not in self.own:
            return name
        ran = not self.ran.isdisjoint((*storage.writers, *storage.readers))
        return name if ran and self.second.isdisjoint(storage.tensors) else None


def views(network: Network) -> list[LayerView]:
    """Return the layers that work."""
    return [network.view(layer) for layer in network.layers if not is_view(layer)]


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
