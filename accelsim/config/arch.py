"""The machine: a file and its bases, resolved, validated and frozen."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel

from accelsim.config import packaged
from accelsim.config.dram import beside
from accelsim.config.schema import (
    OWN,
    ArchSpec,
    EnergySpec,
    Gating,
    MappingSpec,
    MemorySpec,
    PostSpec,
    PrecisionSpec,
    RoomsSpec,
    ScheduleSpec,
    StorageSpec,
    TechnologySpec,
)
from accelsim.config.yamlfile import Document, KeyPath, dotted, parse, read, validate
from accelsim.config.yamlfile import of_values as read_values
from accelsim.errors import ConfigError
from accelsim.text import nearest
from accelsim.units import exact

FindParams: TypeAlias = Callable[[str], type[BaseModel]]
"""Engine name -> schema of its parameters; raises ConfigError for an unknown engine."""

UNSOURCED = "unsourced"
"""Stands under ``sources`` for a number of a published machine that does not say where it comes from."""


@dataclass(frozen=True)
class Unit:
    """A compute unit with validated parameters."""

    name: str
    engine: str
    params: BaseModel
    layers: tuple[str, ...]
    rooms: RoomsSpec = field(default_factory=RoomsSpec)
    post_ops: PostSpec | None = None

    def takes(self, name: str, kind: str) -> bool:
        """Whether a layer of this name and kind is for this unit, as far as the machine file says."""
        return any(fnmatchcase(name, p) or fnmatchcase(kind, p) for p in self.layers)


OTHER_LAYERS = "the machine file gives it other layers"
"""Why a unit does not take a layer that is not for it."""


@dataclass(frozen=True, repr=False)
class Arch:
    """A resolved machine.

    Attributes
    ----------
    config : dict
        The resolved configuration: what `accelsim show` prints and every report carries.
    """

    name: str
    clocks_mhz: Mapping[str, Fraction]
    units: tuple[Unit, ...]
    memory: MemorySpec
    technology: TechnologySpec
    energy: EnergySpec
    clock_gating: Gating
    storage: tuple[StorageSpec, ...]
    precision: PrecisionSpec
    mapping: MappingSpec
    schedule: ScheduleSpec
    config: Mapping[str, Any]
    document: Document = field(compare=False)
    find_params: FindParams = field(compare=False)

    def __repr__(self) -> str:
        """Return name, units and clock in a line; ``config`` is everything."""
        units = ", ".join(
            unit.name if unit.name == unit.engine else f"{unit.name} ({unit.engine})" for unit in self.units
        )
        return f"<Arch {self.name}: {units} at {float(self.clocks_mhz['core']):g} MHz>"

    @cached_property
    def found(self) -> dict[Any, Any]:
        """What others have found of this machine, each under a key of its own."""
        return {}

    def replace(self, key: str, value: Any) -> Arch:
        """Return a variant with ``key`` (a dotted path of the resolved configuration) set to ``value``."""
        return self.replaced([(key, value)])

    def replaced(self, sets: Sequence[tuple[str, Any]]) -> Arch:
        """Return a variant with several keys set at once, as `replace` sets one."""
        return build(_overridden(self.document, sets, "replace"), self.find_params)


def unsourced(config: Mapping[str, Any]) -> list[str]:
    """Return the key paths of a resolved configuration whose numbers have no source."""
    return [key for key, text in (config.get("sources") or {}).items() if text == UNSOURCED]


def load(
    name: str,
    find_params: FindParams,
    sets: Sequence[tuple[str, Any]] = (),
    published: Callable[[Path], bool] = packaged.holds,
) -> Arch:
    """Return the machine of a packaged name or path, with some keys set.

    Parameters
    ----------
    name : str
        Packaged name or path.
    find_params : callable
        Engine name -> parameter schema.
    sets : sequence of (key path, value)
        Overrides, applied after bases.
    published : callable
        Whether a file's author owes a source for each number: one without is `UNSOURCED`. In anybody's own file its
        source is file and line.

    Raises
    ------
    ConfigError
        Whatever is wrong with the file, with file, line and key.
    """
    path, shown = packaged.find("arch_configs", name)
    if path.suffix.lower() == ".cfg":
        raise ConfigError("no machine file", f"'accelsim import {name} -o machine.yaml' makes one", file=shown)
    document = _with_bases(read(path, shown), path, (path.resolve(),), published)
    return build(_overridden(document, sets, "--set"), find_params)


def of_text(text: str, name: str, find_params: FindParams) -> Arch:
    """Return the machine of a file's text, which messages call ``name``; its base is a packaged machine."""
    return build(_with_bases(parse(text, name), Path(name), (), packaged.holds), find_params)


def of_values(values: Mapping[str, Any], find_params: FindParams, sets: Sequence[tuple[str, Any]] = ()) -> Arch:
    """Return the machine of a file's content, its base a packaged machine or a path from here; see `load`."""
    document = _with_bases(read_values(values, "<machine>"), Path("machine"), (), packaged.holds)
    return build(_overridden(document, sets, "--set"), find_params)


def build(document: Document, find_params: FindParams) -> Arch:
    """Return the machine that a resolved document describes."""
    document = beside.resolved(given := document)
    spec = validate(ArchSpec, document)
    if spec.engine is not None:
        params = _params(document, spec.engine, ("engine",), ("params",), find_params)
        units: tuple[Unit, ...] = (Unit(spec.engine, spec.engine, params, ("*",), spec.rooms),)
    else:
        units = tuple(
            Unit(
                unit.name,
                unit.engine,
                _params(document, unit.engine, ("units", i, "engine"), ("units", i, "params"), find_params),
                unit.layers,
                unit.rooms,
                unit.post_ops,
            )
            for i, unit in enumerate(spec.units)
        )
    _check_rooms(document, spec)
    config = _resolved(spec, units)
    _check_sources(document, config, spec.sources)
    clocks = {domain: exact(mhz) for domain, mhz in spec.clocks_mhz.items()}
    return Arch(
        spec.name, clocks, units, spec.memory, spec.technology, spec.energy, spec.clock_gating, spec.storage,
        spec.precision, spec.mapping, spec.schedule, config, given, find_params,
    )  # fmt: skip


def _params(
    document: Document, engine: str, engine_path: KeyPath, params_path: KeyPath, find_params: FindParams
) -> BaseModel:
    try:
        schema = find_params(engine)
    except ConfigError as error:
        raise document.error(engine_path, error.problem, error.remedy) from None
    data: Any = document.data
    for part in params_path:
        data = data.get(part, {}) if isinstance(data, dict) else data[part]
    whole = Document(_nested(params_path, data), document.name, document.places)
    return validate(schema, whole, params_path)


def _nested(path: KeyPath, leaf: Any) -> Any:
    for part in reversed(path):
        leaf = {part: leaf}
    return leaf


def _resolved(spec: ArchSpec, units: tuple[Unit, ...]) -> dict[str, Any]:
    config = spec.model_dump(mode="json", exclude={"base"})
    dram = config["memory"]["dram"]
    unsaid = [
        key for key in (*beside.OF_DEVICE, "capacity_gib") if dram[key] is None or spec.memory.dram.device is None
    ]
    for key in unsaid:
        if key != "capacity_gib" or dram[key] is None:
            del dram[key]
    if spec.unvalidated is None:
        config.pop("unvalidated")
    if not spec.memory.buffers:
        config["memory"].pop("buffers")
    if "schedule" not in spec.model_fields_set:
        config.pop("schedule")
    elif spec.schedule.places is None:
        config["schedule"].pop("places")
    if spec.engine is not None:
        config.pop("units")
        config["params"] = units[0].params.model_dump(mode="json")
        _told_rooms(config, units[0].rooms, "rooms", spec.sources)
    else:
        config.pop("engine")
        config.pop("params")
        config.pop("rooms")
        for i, (entry, unit) in enumerate(zip(config["units"], units, strict=True)):
            entry["params"] = unit.params.model_dump(mode="json")
            _told_rooms(entry, unit.rooms, f"units.{i}.rooms", spec.sources)
            if unit.post_ops is None:
                entry.pop("post_ops")
    return config


def _told_rooms(entry: dict[str, Any], rooms: RoomsSpec, key: str, sources: Mapping[str, str]) -> None:
    """Leave out of a unit's resolved configuration what neither its file nor an override says of its rooms."""
    said = {name for name in sources if name == key or name.startswith(f"{key}.")}
    if rooms == RoomsSpec() and not said:
        entry.pop("rooms")
    elif rooms.outside is None and not said & {key, f"{key}.outside"}:
        entry["rooms"].pop("outside")


def rooms_key(document: Document, unit: int) -> KeyPath:
    """Return where a machine file has the rooms of a unit, given by number."""
    return ("units", unit, "rooms") if "units" in document.data else ("rooms",)


def _check_rooms(document: Document, spec: ArchSpec) -> None:
    """Raise ConfigError unless rooms and buffers of a machine belong to each other."""
    names, bound, outside = [buffer.name for buffer in spec.memory.buffers], set[str](), 0
    for i, rooms in enumerate([unit.rooms for unit in spec.units] or [spec.rooms]):
        where = rooms_key(document, i)
        if (rooms.inputs == OWN) != (rooms.outputs == OWN):
            lacks = "outputs" if rooms.inputs == OWN else "inputs"
            problem = "a unit's own storage is for its inputs and its outputs"
            raise document.error(where, problem, f"write {lacks}: {OWN} too, or the name of a buffer in both")
        outside += rooms.outside == OWN
        if rooms.outside == OWN and (rooms.inputs != OWN or outside > 1):
            problem = "one unit with own inputs and outputs can have what lives outside"
            raise document.error((*where, "outside"), problem, "leave it out")
        for role in ("inputs", "outputs"):
            if (name := getattr(rooms, role)) in (None, OWN):
                continue
            if name not in names:
                has = (
                    f"its buffers are {', '.join(names)}" if names else "declare it under memory.buffers, or write own"
                )
                raise document.error(
                    (*where, role), f"'{name}' is no buffer of this machine", nearest(name, names, has)
                )
            bound.add(name)
    for i, name in enumerate(names):
        if name in ("dram", "chip", OWN):
            raise document.error(("memory", "buffers", i, "name"), f"'{name}' means something else", "rename it")
        if name not in bound:
            remedy = f"write units: [{{name: ..., engine: ..., rooms: {{inputs: {name}, outputs: {name}}}}}]"
            raise document.error(("memory", "buffers", i), f"no unit binds buffer '{name}'", remedy)


def _check_sources(document: Document, config: dict[str, Any], sources: Mapping[str, str]) -> None:
    for key in sources:
        data: Any = config
        for part in key.split("."):
            index: str | int = int(part) if part.isdigit() and isinstance(data, list) else part
            try:
                data = data[index]
            except (KeyError, IndexError, TypeError):
                raise document.error(("sources", key), "no such key in the machine", "name a key path") from None


def _with_bases(document: Document, path: Path, seen: tuple[Path, ...], published: Callable[[Path], bool]) -> Document:
    """Return ``document`` laid over its base, and that over its own, with a source for every number."""
    name = document.data.get("base")
    owed = bool(seen) and published(path)
    if name is None:
        return Document(_with_sources(document, document.data, owed, False), document.name, document.places)
    if not isinstance(name, str):
        raise document.error(("base",), "a base is the name or path of a machine", "write 'base: other.yaml'")
    try:
        base_path, shown = packaged.find("arch_configs", name, beside=path.parent)
    except ConfigError as error:
        raise document.error(("base",), f"base is missing: {error.problem}", error.remedy) from None
    if base_path.resolve() in seen:
        chain = " -> ".join(p.stem for p in (*seen, base_path.resolve()))
        raise document.error(("base",), f"a base refers to itself: {chain}", "break the circle")
    base = _with_bases(read(base_path, shown), base_path, (*seen, base_path.resolve()), published)
    places = {**base.places, **{k: v for k, v in document.places.items() if k}}
    merged = _merge(base.data, document.data)
    if "name" not in document.data:
        merged["name"] = path.stem
    if "description" not in document.data:
        merged["description"] = f"variant of {base.data.get('name', base_path.stem)}"
    given = _value(document.data, beside.PATH)
    merged = beside.set_aside(merged, _value(base.data, beside.PATH), given if isinstance(given, Mapping) else ())
    return Document(_with_sources(document, merged, owed, True), document.name, places)


def _with_sources(document: Document, data: dict[str, Any], owed: bool, variant: bool) -> dict[str, Any]:
    """Return ``data`` with an entry under sources for what ``document`` gives and does not say the source of.

    That is each number, and of a variant each value, of which the base's sources say nothing.
    """
    data, own = dict(data), document.data.get("sources")
    stated = tuple(own) if isinstance(own, dict) else ()
    if data.get("sources") is None:
        data["sources"] = {}
    for key, value in _leaves(document.data, ()):
        number = _is_number(value)
        if (variant or number) and not any(dotted(key) == s or dotted(key).startswith(f"{s}.") for s in stated):
            file, line = document.place(key)
            _note_source(data, key, UNSOURCED if owed and number else f"{file}:{line}")
    return data


def _leaves(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Yield key paths and values of a file, its own description apart; lists but that of units count as one value."""
    if isinstance(data, dict):
        for key, value in data.items():
            if path or key not in (
                "name",
                "base",
                "description",
                "source",
                "unvalidated",
                "sources",
                "engine",
                "units",
            ):
                yield from _leaves(value, (*path, key))
        units = data.get("units") if not path else None
        for i, unit in enumerate(units if isinstance(units, list) else ()):
            if isinstance(unit, dict):
                yield from _leaves(unit.get("params"), ("units", i, "params"))
    elif path and data is not None:
        yield path, data


def _is_number(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_is_number, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay ``over`` on ``base``: mappings merge, everything else is replaced; a new 'units' drops 'engine'."""
    merged = dict(base)
    gone = {"engine", "params", "rooms", "units"} if "units" in over else set()
    if "engine" in over:
        gone |= {"units"} | ({"params", "rooms"} if over["engine"] != base.get("engine") else set())
    for key in gone:
        merged.pop(key, None)
    if gone and isinstance(base.get("sources"), dict):
        merged["sources"] = {key: text for key, text in base["sources"].items() if key.split(".")[0] not in gone}
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def override(document: Document, sets: Sequence[tuple[str, Any]], origin: str) -> Document:
    """Return ``document`` with key paths set; messages name ``origin`` as the place of these keys."""
    if not sets:
        return document
    data = dict(document.data)
    places = dict(document.places)
    changed: list[KeyPath] = []
    for key, value in sets:
        path = key_path(data, key)
        target: Any = data
        for i, part in enumerate(path[:-1]):
            if isinstance(target, dict) and part not in target:
                target[part] = {}
            try:
                # what lies on the path is copied, the rest is shared
                if isinstance(target[part], dict | list):
                    target[part] = copy.copy(target[part])
                target = target[part]
            except (IndexError, TypeError):
                raise ConfigError("no such entry", "check the index", file=origin, key=dotted(path[: i + 1])) from None
        if not isinstance(target, dict | list):
            raise ConfigError(
                f"'{dotted(path[:-1])}' is a value, not a mapping", "set the value itself", file=origin, key=key
            )
        container: Any = target
        last: Any = path[-1]
        try:
            old = container.get(last) if isinstance(container, dict) else container[last]
            container[last] = value
        except (IndexError, TypeError):
            raise ConfigError("no such entry", "check the index", file=origin, key=key) from None
        if isinstance(old, dict | list):
            places = {p: v for p, v in places.items() if p[: len(path)] != path}
        places[path] = (origin, None)
        changed.append(path)
    given = {str(path[2]) for path in changed if len(path) == 3 and path[:2] == beside.PATH}
    return Document(beside.set_aside(data, _value(document.data, beside.PATH), given), document.name, places)


def _overridden(document: Document, sets: Sequence[tuple[str, Any]], origin: str) -> Document:
    """Return a machine with key paths set, which says so: in its description, and in place of their sources."""
    changed = override(document, sets, origin)
    for key, value in sets:
        path = key_path(changed.data, key)
        unset = value is None and _value(document.data, path) is None
        if path[0] not in ("name", "description", "source", "sources") and not unset:
            _note_source(changed.data, path, origin)
            changed.data["description"] = f"{changed.data.get('description', '')}; {dotted(path)} = {value}".lstrip(
                "; "
            )
    return changed


def _value(data: Any, path: KeyPath) -> Any:
    """Return what stands at a key path, None where nothing does."""
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _note_source(data: dict[str, Any], path: KeyPath, origin: str) -> None:
    """Say that the value at ``path`` comes from ``origin``: what was said of it or of its parts is no longer true."""
    sources = data.get("sources", {})
    if not isinstance(sources, dict) or path[0] in ("name", "description", "source", "sources"):
        return
    data["sources"] = sources = dict(sources)
    key = dotted(path)
    for old in [k for k in sources if k == key or k.startswith(f"{key}.")]:
        del sources[old]
    sources[key] = origin


def key_path(data: Any, key: str) -> KeyPath:
    """Split a dotted path; parts that index a list, by number or by an entry's name, become integers."""
    parts = key.split(".")
    if not all(parts):
        raise ConfigError(f"'{key}' is not a key path", "write for example params.rows", file="--set")
    path: list[str | int] = []
    for part in parts:
        step: str | int = _index(data, part) if isinstance(data, list) else part
        path.append(step)
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            data = None
    return tuple(path)


def _index(items: list[Any], part: str) -> str | int:
    """Return the place of a list's entry given by number or by its name."""
    names = [item.get("name") for item in items if isinstance(item, dict)]
    return int(part) if part.isdigit() else names.index(part) if part in names else part


def parse_set(text: str) -> tuple[str, Any]:
    """Split ``key.path=value`` of ``--set``; the value is read as YAML.

    Raises
    ------
    ConfigError
        No equals sign, or a value that is not YAML.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"'{text}' has no '='", "write key.path=value", file="--set")
    try:
        return key.strip(), parse(f"value: {value}", "--set").data["value"]
    except ConfigError as error:
        raise ConfigError(error.problem, error.remedy, file="--set", key=key) from None
