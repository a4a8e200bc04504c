"""Places between layers that a schedule pins, in place of a plan: ``schedule.places`` of a machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from accelsim.config.arch import Arch
from accelsim.errors import ConfigError
from accelsim.passes.residency import Buffer, Place, Residency
from accelsim.text import nearest
from accelsim.workload.storage import Layout, Storage


def pinned(
    arch: Arch, buffers: Sequence[str], buffer: Buffer, whole: Layout, able: Iterable[str]
) -> tuple[Residency, list[Storage]]:
    """Return the places in one buffer that a machine's schedule pins, and the storages.

    Parameters
    ----------
    buffers : sequence of str
        All of the machine.
    able : iterable of str
        Storages that can live in this buffer.

    Raises
    ------
    ConfigError
        No such storage or buffer, one that cannot live there, an address beyond the buffer, two that share bits while
        both live, or no space for tiles beside them.
    """
    storages = whole.storages
    by_name, able = {storage.name: storage for storage in storages}, set(able)
    found: dict[str, Place] = {}
    for number, told in enumerate(arch.schedule.places or ()):
        if told.buffer not in buffers:
            has = f"this machine has {', '.join(buffers)}"
            raise _error(arch, number, "buffer", f"'{told.buffer}' is no buffer", nearest(told.buffer, buffers, has))
        if told.storage not in by_name:
            remedy = nearest(told.storage, by_name, "pin the schedule of a run of this network")
            raise _error(arch, number, "storage", f"this network has no '{told.storage}'", remedy)
        if told.buffer != buffer.name:
            continue
        if told.storage not in able:
            remedy = "leave it out, or bind the rooms of its units"
            raise _error(arch, number, "storage", f"'{told.storage}' cannot live in '{buffer.name}'", remedy)
        storage, end = by_name[told.storage], told.address_bits + buffer.size(by_name[told.storage])
        if end > buffer.capacity_bits or told.address_bits % buffer.align_bits:
            problem = f"'{told.storage}' lies from {told.address_bits:,} to {end:,}"
            remedy = f"'{buffer.name}' has {buffer.capacity_bits:,} bits, in words of {buffer.align_bits}"
            raise _error(arch, number, "address_bits", problem, remedy)
        for name, place in found.items():
            other = by_name[name]
            apart = end <= place.address_bits or told.address_bits >= place.address_bits + buffer.size(other)
            if not apart and storage.first <= other.last and other.first <= storage.last:
                problem = f"'{told.storage}' shares bits with '{name}', which lives at the same time"
                raise _error(arch, number, "address_bits", problem, "give it another address")
        found[told.storage] = Place(buffer.name, told.address_bits)
    held = [storage for storage in storages if storage.name in found]
    for at, tiles in enumerate(buffer.reserved_bits):
        live = sum(buffer.size(s) for s in held if s.first <= at <= s.last)
        if live + tiles > buffer.capacity_bits:
            names = ", ".join(s.name for s in held if s.first <= at <= s.last)
            problem = f"layer '{whole.layers[at]}': {names} take {live:,} bits of '{buffer.name}', tiles {tiles:,}"
            remedy = f"it has {buffer.capacity_bits:,}: leave one of them out"
            raise arch.document.error(("schedule", "places"), problem, remedy)
    moved = sum(storage.moved_bits for storage in storages if storage.name not in found)
    return Residency(found, moved, 0, "pinned", addresses="pinned"), list(storages)


def check_all(arch: Arch, names: Iterable[str], plan: Residency) -> None:
    """Raise ConfigError if a storage that a network file puts there is left out."""
    if lost := next((name for name in names if name not in plan.places), None):
        problem = f"'{lost}' is at home on the chip, and has no place"
        raise arch.document.error(("schedule", "places"), problem, "add it, or give it home: dram")


def _error(arch: Arch, number: int, key: str, problem: str, remedy: str) -> ConfigError:
    return arch.document.error(("schedule", "places", number, key), problem, remedy)
