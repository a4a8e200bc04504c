"""A DRAM device in a machine file, beside the values of `simple`, the model without one.

With ``device``, what `simple` needs (``standard``, ``gb_per_s``, ``latency_ns``, ``burst_bits``) is the device's own.
Values that stood there before it was set step aside, under ``simple``, and come back with ``device: none``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from accelsim.config import yamlfile
from accelsim.config.dram import mapping, standard
from accelsim.config.dram.standard import Standard
from accelsim.config.yamlfile import Document
from accelsim.errors import ConfigError

SIMPLE = ("standard", "gb_per_s", "latency_ns", "burst_bits", "capacity_gib")
OWN = ("gb_per_s", "latency_ns", "burst_bits")
"""What only the device says."""
OF_DEVICE = ("device", "channels", "mapping", "page", "cap", "queue", "turn_bytes", "simple")
PATH = ("memory", "dram")


def real(name: Any) -> bool:
    """Whether a value of ``device`` names one."""
    return name is not None and not (isinstance(name, str) and name.lower() == "none")


def own(one: Standard, channels: int) -> dict[str, Any]:
    """Return what a device stands for in `simple`: its peak, the latency of a read on a closed row, a transaction."""
    return {
        "standard": one.name.partition("-")[0],
        "gb_per_s": one.peak_gb_per_s * channels,
        "latency_ns": (one.timing.rcd + one.timing.cl) * one.timing.tck_ps / 1000,
        "burst_bits": 8 * one.organisation.tx_bytes,
        "capacity_gib": one.organisation.capacity_bytes * channels / 2**30,
    }


def set_aside(data: dict[str, Any], before: Any, given: Collection[str]) -> dict[str, Any]:
    """Return a machine's data after ``given`` keys of its DRAM were set, with values of `simple` set aside or back.

    Parameters
    ----------
    data : dict
        The machine with these keys set.
    before : mapping
        Its DRAM before that.
    """
    dram = (data.get("memory") or {}).get("dram") if isinstance(data.get("memory"), dict) else None
    if "device" not in given or not isinstance(dram, dict) or not isinstance(before, Mapping):
        return data
    had, has = real(before.get("device")), real(dram.get("device"))
    stale = [key for key in SIMPLE if key in before and key not in given]
    changed = {key: value for key, value in dram.items() if key not in stale or not (had or has)}
    sources = data.get("sources")
    if had:
        if not has and "simple" not in changed and isinstance(before["device"], str):
            count = before.get("channels", 1)
            one = standard.load(before["device"])
            changed["simple"] = {k: v for k, v in own(one, count).items() if k != "capacity_gib"}
        if isinstance(sources, dict):
            sources = {key: text for key, text in sources.items() if key not in _paths(stale)}
    elif has:
        changed["simple"] = {key: before[key] for key in SIMPLE if key in before}
        sources = _moved(sources, (*_paths(stale), "memory.dram"), "memory.dram", "memory.dram.simple")
    found = {**data, "memory": {**data["memory"], "dram": changed}}
    return {**found, "sources": sources} if "sources" in data else found


def resolved(document: Document) -> Document:
    """Return a machine whose DRAM has the values of `simple`: given, set aside, or the device's own.

    Raises
    ------
    ConfigError
        An unknown device, channels or a mapping that it cannot have, values of `simple` or a capacity beside it.
    """
    memory = document.data.get("memory")
    dram = memory.get("dram") if isinstance(memory, dict) else None
    if not isinstance(dram, dict) or not any(key in dram for key in OF_DEVICE):
        return document
    sources = document.data.get("sources")
    if real(dram.get("device")):
        changed = {**dram, **_checked(document, dram)}
    else:
        if "device" not in dram:
            key = next(key for key in OF_DEVICE if key in dram)
            raise document.error(
                PATH, f"'{key}' is a DRAM device's, and there is none", f"add 'device', or drop '{key}'"
            )
        aside = dram["simple"] if isinstance(dram.get("simple"), dict) else {}
        changed = {**aside, **{key: value for key, value in dram.items() if key not in OF_DEVICE}}
        sources = _moved(sources, (), "memory.dram.simple", "memory.dram")
        if isinstance(sources, dict):
            sources = {key: text for key, text in sources.items() if key not in _paths(OF_DEVICE)}
    data = {**document.data, "memory": {**memory, "dram": changed}}  # type: ignore[dict-item]
    if "sources" in document.data:
        data["sources"] = sources
    return Document(data, document.name, document.places)


def _checked(document: Document, dram: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a device stands for, after all checks but those of types."""
    name, channels, text = dram["device"], dram.get("channels", 1), dram.get("mapping", "RoBaRaCoCh")
    if not isinstance(name, str):
        problem = f"{yamlfile.shown(name)} is no name of a DRAM standard"
        raise document.error((*PATH, "device"), problem, "write for example ddr4-2400")
    try:
        one = standard.load(name)
    except ConfigError as error:
        if error.file is not None:
            raise
        raise document.error((*PATH, "device"), error.problem, error.remedy) from None
    plain = isinstance(channels, int) and not isinstance(channels, bool)
    for key, text_, count in (("channels", "RoBaRaCoCh", channels), ("mapping", text, channels)):
        if not plain or not isinstance(text_, str):
            continue
        try:
            mapping.Mapping(text_, one.organisation, count)
        except ConfigError as error:
            raise document.error((*PATH, key), error.problem, error.remedy) from None
    values = own(one, channels if plain else 1)
    for key in OWN:
        if key in dram and dram[key] != values[key]:
            each = ", ".join(f"{key} {values[key]:g}" for key in OWN)
            count = f"{channels} x " if channels != 1 else ""
            raise document.error((*PATH, key), f"is the device's own: {count}{one.name} has {each}", f"drop '{key}'")
    capacity = dram.get("capacity_gib")
    if isinstance(capacity, int | float) and capacity > values["capacity_gib"]:
        problem = f"{capacity:g} GiB are more than the {values['capacity_gib']:g} of {channels} x {one.name}"
        raise document.error((*PATH, "capacity_gib"), problem, "use more channels")
    return {key: dram.get(key, value) for key, value in values.items()} | {
        "device": one.name if name == one.name else name
    }


def _paths(keys: Collection[str]) -> list[str]:
    return [f"memory.dram.{key}" for key in keys]


def _moved(sources: Any, only: Collection[str], old: str, new: str) -> Any:
    """Return the sources with a prefix replaced: of ``only`` these keys, or of all that have it."""
    if not isinstance(sources, dict):
        return sources
    mine = [key for key in sources if key == old or key.startswith(f"{old}.")]
    moves = {key: new + key.removeprefix(old) for key in mine if not only or key in only}
    return {moves.get(key, key): text for key, text in sources.items()}
