"""Places between layers that a schedule pins, in place of a plan: ``schedule.places`` of a machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from accelsim.config.arch import Arch
from accelsim.config.schema import BufferSpec
from accelsim.errors import ConfigError
from accelsim.passes.residency import Buffer, Place, Residency
from accelsim.text import nearest
from accelsim.workload.storage import Storage


def pinned(
    arch: Arch, spec: BufferSpec, buffer: Buffer, storages: Sequence[Storage], able: Iterable[str]
) -> tuple[Residency, list[Storage]]:
    """Return the places in one buffer that a machine's schedule pins, and the storages.

    Parameters
    ----------
    able : iterable of str
        Storages that can live in this buffer.

    Raises
    ------
    ConfigError
        No such storage or buffer, one that cannot live there, an address beyond the buffer, or two that share bits
        while both live.
    """
    by_name, able = {storage.name: storage for storage in storages}, set(able)
    buffers = [other.name for other in arch.memory.buffers]
    found: dict[str, Place] = {}
    for number, told in enumerate(arch.schedule.places or ()):
        if told.buffer not in buffers:
            has = f"this machine has {', '.join(buffers)}"
            raise _error(arch, number, "buffer", f"'{told.buffer}' is no buffer", nearest(told.buffer, buffers, has))
        if told.storage not in by_name:
            remedy = nearest(told.storage, by_name, "pin the schedule of a run of this network")
            raise _error(arch, number, "storage", f"this network has no '{told.storage}'", remedy)
        if told.buffer != spec.name:
            continue
        if told.storage not in able:
            remedy = "leave it out, or bind the rooms of its units"
            raise _error(arch, number, "storage", f"'{told.storage}' cannot live in '{spec.name}'", remedy)
        storage, end = by_name[told.storage], told.address_bits + buffer.size(by_name[told.storage])
        if end > buffer.capacity_bits or told.address_bits % buffer.align_bits:
            problem = f"'{told.storage}' lies from {told.address_bits:,} to {end:,}"
            remedy = f"'{spec.name}' has {buffer.capacity_bits:,} bits, in words of {buffer.align_bits}"
            raise _error(arch, number, "address_bits", problem, remedy)
        for name, place in found.items():
            other = by_name[name]
            apart = end <= place.address_bits or told.address_bits >= place.address_bits + buffer.size(other)
            if not apart and storage.first <= other.last and other.first <= storage.last:
                problem = f"'{told.storage}' shares bits with '{name}', which lives at the same time"
                raise _error(arch, number, "address_bits", problem, "give it another address")
        found[told.storage] = Place(spec.name, told.address_bits)
    moved = sum(storage.moved_bits for storage in storages if storage.name not in found)
    return Residency(found, moved, 0, "pinned", addresses="pinned"), list(storages)


def _error(arch: Arch, number: int, key: str, problem: str, remedy: str) -> ConfigError:
    return arch.document.error(("schedule", "places", number, key), problem, remedy)
