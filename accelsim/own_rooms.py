"""Storage of a unit that its tiles share with what lives between layers; docs/decisions/0109-unified-rooms.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, TypeAlias

from accelsim.charges import full_name
from accelsim.config.arch import Arch, Unit, rooms_key
from accelsim.config.schema import OWN
from accelsim.config.yamlfile import KeyPath
from accelsim.engines import registry
from accelsim.passes.residency import Buffer
from accelsim.results import LayerResult
from accelsim.workload.layers import LayerView
from accelsim.workload.network import Network
from accelsim.workload.storage import Storage

Tiles: TypeAlias = Literal["least", "alone", "all"]
"""What of a unit's own storage is left to tiles: at least the smallest, those of the layer alone, everything."""


class OwnRoom(NamedTuple):
    """The storage of a unit where tensors live between its layers, beside its tiles.

    Attributes
    ----------
    name : str
        Of the memory, as reports have it.
    boundary : str
        Its name in the traffic of layers.
    outside : bool
        Whether what is outside the units lives there too.
    key : tuple
        Where the machine file says so.
    """

    name: str
    unit: str
    boundary: str
    capacity_bits: int
    outside: bool
    key: KeyPath


def of(arch: Arch) -> tuple[OwnRoom, ...]:
    """Return the rooms of a machine's own storage.

    Raises
    ------
    ConfigError
        A unit whose engine has none.
    """
    return tuple(_of_unit(arch, i, unit) for i, unit in enumerate(arch.units) if unit.rooms.inputs == OWN)


def _of_unit(arch: Arch, number: int, unit: Unit) -> OwnRoom:
    key = rooms_key(arch.document, number)
    engine = registry.get(unit.engine)
    for room in engine.rooms(unit.params):
        if room.shared and {"input", "output"} <= set(room.roles):
            name = full_name(arch, unit, room.boundary)
            capacity_bits = room.capacity_bits(engine.components(unit.params))
            return OwnRoom(name, unit.name, room.boundary, capacity_bits, unit.rooms.outside == OWN, key)
    problem = f"engine '{unit.engine}' has no storage that its tiles share with inputs and outputs of layers"
    raise arch.document.error((*key, "inputs"), problem, "bind a buffer of memory.buffers, or leave rooms out")


def at_home(network: Network, tensors: Iterable[str]) -> Network:
    """Return a network in which some tensors are at home on the chip."""
    return network.with_tensors({name: replace(network.tensors[name], home="chip") for name in tensors})


def used(
    arch: Arch, views: Sequence[LayerView], layers: Sequence[LayerResult], own: Mapping[str, str]
) -> Counter[tuple[str, str]]:
    """Return (room, direction) -> useful bits of tensors at home that layers read there and write there."""
    found: Counter[tuple[str, str]] = Counter()
    for room in of(arch):
        for view, layer in zip(views, layers, strict=True):
            if layer.simulated and layer.unit == room.unit:
                home = {("input", "read"): view.inputs[0].name in own, ("output", "write"): view.output.name in own}
                for row in layer.traffic:
                    if row.boundary == room.boundary and home.get((row.tensor, row.direction)):
                        found[room.name, row.direction] += row.bits
    return found


class Layers(NamedTuple):
    """The layers of a room's unit, by position.

    Attributes
    ----------
    since : mapping
        First position from which a layer needs its room.
    least_bits, wanted_bits : mapping
        What its tiles must have, and what is to be left to them if tensors that nobody pins give way.
    """

    since: Mapping[int, int]
    least_bits: Mapping[int, int]
    wanted_bits: Mapping[int, int]

    @classmethod
    def of(
        cls, arch: Arch, room: OwnRoom, views: Sequence[LayerView], layers: Sequence[LayerResult], tiles: Tiles
    ) -> Layers:  # fmt: skip
        """Return those that run there: the first tile of one may arrive while the one before it still computes."""
        unit = next(unit for unit in arch.units if unit.name == room.unit)
        engine = registry.get(unit.engine)
        since, least, wanted, last = dict[int, int](), dict[int, int](), dict[int, int](), None
        for at, (view, result) in enumerate(zip(views, layers, strict=True)):
            if not result.simulated or result.unit != room.unit:
                continue
            mapping = engine.mapping_schema.model_validate(result.mapping)
            given = bool(arch.mapping.fixed) or result.mapping_source == "pinned"  # no other tiles may be chosen
            least[at] = engine.least_bits(view, unit.params, mapping if given else None)
            wanted[at] = engine.least_bits(view, unit.params, mapping) if tiles == "alone" else 0
            since[at], last = at if last is None else last, at
        return cls(since, least, wanted)

    def spans(self) -> Iterator[tuple[int, range]]:
        """Yield each layer's position, and those at which it needs room."""
        for at, first in self.since.items():
            yield at, range(first, at + 1)

    def reserved_bits(self, buffer: Buffer, told: Sequence[Storage], positions: int) -> tuple[int, ...]:
        """Return what is kept free for tiles at each position; of more than the least, what ``told`` ones leave."""
        found, left = [0] * positions, [buffer.capacity_bits] * positions
        for storage in told:
            for position in range(storage.first, storage.last + 1):
                left[position] -= buffer.size(storage)
        for at, span in self.spans():
            for position in span:
                wanted = max(self.least_bits[at], min(self.wanted_bits[at], left[position]))
                found[position] = max(found[position], wanted)
        return tuple(found)

    def beside_bits(
        self, buffer: Buffer, kept: Sequence[Storage], views: Sequence[LayerView], network: Network
    ) -> dict[int, int]:
        """Return what each layer leaves to the tensors of others: what lives in the room, but for its own."""
        live = [0] * len(views)
        for storage in kept:
            for position in range(storage.first, storage.last + 1):
                live[position] += buffer.size(storage)
        home = {name for storage in kept for name in storage.tensors}
        found: dict[int, int] = {}
        for at, span in self.spans():
            mine = {t.name: t for t in (*views[at].inputs[:1], *views[at].outputs) if t.name in home}
            own = sum(network.tensors[name].elements * network.tensors[name].width for name in mine)
            found[at] = max(live[position] for position in span) - own
        return found
