"""Finding and loading energy tables; resolving what they inherit."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from accelsim.config.packaged import is_path
from accelsim.config.schema import Flavour
from accelsim.config.yamlfile import Document, KeyPath, read, validate
from accelsim.energy.accelergy import is_ert
from accelsim.energy.price import Table
from accelsim.energy.rows import SECTIONS, Inherit, PriceRow, TableSpec
from accelsim.energy.scaling import SCALED_SECTIONS, scaled, scaling
from accelsim.errors import ConfigError
from accelsim.text import nearest

FOLDER = Path(__file__).parent / "tables"
DEFAULT = "45nm"
TO_IMPORT = "make a table of it with 'accelsim import accelergy ERT.yaml ART.yaml -o TABLE.yaml'"


class Supply(NamedTuple):
    """The node of a machine and its core supply, if the machine says one."""

    nm: float
    volts: float | None


NOMINAL = Supply(0.0, None)

_Loaded: TypeAlias = dict[Path, tuple[TableSpec, Document]]


def table_names() -> list[str]:
    """Return the names of the packaged tables, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_table(name: str = DEFAULT, node_nm: float | None = None) -> Table:
    """Return a packaged table by name, or the one at a path (it has a slash or a suffix).

    With a node, the packaged table of that node (``28nm``), or where there is none this one, carried to it.

    Raises
    ------
    ConfigError
        No such table, or something wrong in it or in a table from which it inherits; with file, line and key. A node
        to which the table cannot be carried.
    """
    if node_nm is not None:
        own = table_of(node_nm)
        return load_table(own) if own else at_node(load_table(name), node_nm)
    path = _find(name, Path())
    files: _Loaded = {}
    spec, _ = _read(path, files)
    sections = {section: _section(path, section, files, ()) for section in SECTIONS}
    update = {**sections, "sources": _sources(files), "inherits": ()}
    return Table(spec.model_copy(update=update))


def kept_table(
    name: str, node_nm: float | None = None, supply: Supply = NOMINAL, flavour: Flavour | None = None
) -> Table:
    """Return what `load_table` returns, read again only where a file of the user's own has changed since.

    Parameters
    ----------
    supply : Supply
        The machine's node and core supply: a table of macros and of this very node is brought to it.
    flavour : Flavour, optional
        Of the machine's process, in place of the table's.
    """
    return _kept(name, node_nm, supply, flavour, digest(name))


@lru_cache(maxsize=64)
def _kept(name: str, node_nm: float | None, supply: Supply, flavour: Flavour | None, content: str) -> Table:
    del content
    table = load_table(name, node_nm)
    if flavour is not None:
        table = Table(table.spec.model_copy(update={"flavour": flavour}))
    own = table.spec.macros is not None and supply.nm == table.node.nm
    return at_supply(table, supply.volts) if own and supply.volts is not None else table


def at_supply(table: Table, volts: float) -> Table:
    """Return a table at another supply: what switches goes as its square, what leaks in proportion; DRAM stays."""
    spec, old = table.spec, table.node.vdd_v
    if volts == old:
        return table
    by = (volts / old) ** 2
    note = f"{old:g} V to {volts:g} V: pj x {by:.4g}"

    def moved(row: PriceRow) -> PriceRow:
        update: dict[str, object] = {"note": f"{row.note}; {note}" if row.note else note}
        for name, factor in (("pj", by), ("leak_mw", volts / old), ("leak_mw_per_bit", volts / old)):
            if getattr(row, name, None) is not None:
                update[name] = getattr(row, name) * factor
        return row.model_copy(update=update)

    sections = ("mac", "multiplier", "adder", "comparator", "register_file", "link")
    update: dict[str, Any] = {name: _each(getattr(spec, name), moved) for name in sections if getattr(spec, name)}
    node = spec.node.model_copy(update={"vdd_v": volts})
    return Table(spec.model_copy(update={**update, "name": f"{spec.name} at {volts:g} V", "node": node}))


def digest(name: str) -> str:
    """Return a digest of the user's own files behind a table; nothing for a packaged one.

    A file that cannot be read counts as empty: loading it says what is wrong.
    """
    if not is_path(name):
        return ""
    found: dict[Path, bytes] = {}
    todo = [Path(name)]
    while todo:
        path = todo.pop().resolve()
        if path in found or path.parent == FOLDER.resolve():
            continue
        try:
            found[path] = path.read_bytes() if path.is_file() else b""
            todo += _bases(path, found[path])
        except (OSError, ConfigError):
            found.setdefault(path, b"")
    return hashlib.sha256(b"".join(hashlib.sha256(body).digest() for body in found.values())).hexdigest()[:16]


@lru_cache(maxsize=64)
def _bases(path: Path, content: bytes) -> tuple[Path, ...]:
    """Return the files of the tables from which one inherits; they are the same as long as its content is."""
    del content
    return tuple(_find(entry.table, path.parent) for entry in _read(path, {})[0].inherits)


def table_of(node_nm: float) -> str | None:
    """Return the name of the packaged table of a node, or None."""
    name = f"{node_nm:g}nm"
    return name if name in table_names() else None


def price_sets(table: str | None, node_nm: float | None) -> list[tuple[str, Any]]:
    """Return the keys that price a machine by a table, at a node, or both: what ``--energy-table`` and ``--node`` set.

    Raises
    ------
    ConfigError
        Both, where the node has a packaged table of its own: it would go before the other.
    """
    own = None if node_nm is None else table_of(node_nm)
    if table is not None and own not in (None, table):
        problem = f"{node_nm:g} nm has an energy table of its own, '{own}', which goes before '{table}'"
        raise ConfigError(problem, "give only one of the two", file="--node")
    sets: list[tuple[str, Any]] = []
    if table is not None:
        sets += [("energy.table", table), ("energy.node", None)]
    return sets if node_nm is None else [*sets, ("energy.node", node_nm)]


def at_node(table: Table, node_nm: float) -> Table:
    """Return a table carried to another node at its own supply, named after both: ``45nm scaled to 22 nm``.

    What does not follow the process stays (DRAM, shares, operations per special function); leakage of rows and the
    power of the whole chip are left out, since nothing says how they scale. Macros and cells are those of the node.

    Raises
    ------
    ConfigError
        A node that cannot be reached, or a table that cannot be carried: of relative costs, or with prices by name.
    """
    spec = table.spec
    if spec.node.nm == node_nm:
        return table
    if spec.unit is not None or spec.named:
        why = f"gives costs relative to a {spec.unit.name}" if spec.unit is not None else "has rows of 'named:'"
        raise ConfigError(
            f"energy table '{spec.name}' {why}, which do not scale with the process",
            "choose a node that has a table of its own, or another energy.table",
            key="energy.node",
        )
    node = spec.node.model_copy(update={"nm": node_nm})
    try:
        by = scaling(spec.node, node)
    except ConfigError as error:
        raise ConfigError(error.problem, error.remedy, key="energy.node") from None
    rows = {section: getattr(spec, section) for section in SCALED_SECTIONS}
    update: dict[str, Any] = {
        section: _each(found, lambda row: scaled(row, by)) for section, found in rows.items() if found
    }
    update |= {
        "name": f"{spec.name} scaled to {node_nm:g} nm",
        "node": node,
        "static": None,
        "sources": dict(sorted({**by.sources, **spec.sources}.items())),
    }
    if spec.macros is None:
        update["not_modelled"] = (*spec.not_modelled, f"leakage, which is not carried over to {node_nm:g} nm")
    return Table(spec.model_copy(update=update))


def _sources(files: _Loaded) -> dict[str, str]:
    """Return the sources of all tables in use and of their scaling, sorted by key."""
    found: dict[str, tuple[str, Document]] = {}
    background: dict[str, str] = {}
    for spec, document in files.values():
        for key, text in spec.sources.items():
            first, place = found.setdefault(key, (text, document))
            if first != text:
                raise place.error(("sources", key), f"table '{spec.name}' has another text for it", "rename it here")
        if any(entry.scaled for entry in spec.inherits):
            background.update(scaling(spec.node, spec.node).sources)
    texts = background | {key: text for key, (text, _) in found.items()}
    return dict(sorted(texts.items()))


def _find(name: str, folder: Path) -> Path:
    path = folder / name if is_path(name) else FOLDER / f"{name}.yaml"
    if path.is_file():
        return path
    if is_path(name):
        raise ConfigError(f"no such energy table file: '{name}'", "check the path")
    hint = nearest(name, table_names(), f"there are {', '.join(table_names())}")
    raise ConfigError(f"no energy table is called '{name}'", hint)


def _read(path: Path, files: _Loaded) -> tuple[TableSpec, Document]:
    key = path.resolve()
    if key not in files:
        document = read(path, f"tables/{path.name}" if path.parent == FOLDER else None)
        if is_ert(document):
            raise ConfigError("this is a reference table of Accelergy", TO_IMPORT, file=document.name)
        spec = validate(TableSpec, document)
        _check(spec, document)
        files[key] = (spec, document)
    return files[key]


def _check(spec: TableSpec, document: Document) -> None:
    """Raise ConfigError unless every row names a known source and every section has one origin."""
    for place, row in _rows(spec):
        if row.source not in spec.sources:
            raise document.error((*place, "source"), f"'{row.source}' is not under 'sources'", "add it there")
    seen = {section for section in SECTIONS if getattr(spec, section)}
    for i, entry in enumerate(spec.inherits):
        for j, section in enumerate(entry.sections):
            at: KeyPath = ("inherits", i, "sections", j)
            if section not in SECTIONS:
                raise document.error(at, f"'{section}' is no section", f"known: {', '.join(SECTIONS)}")
            if section in seen:
                raise document.error(at, f"'{section}' is already given in this table", "keep one of the two")
            if entry.scaled and section not in SCALED_SECTIONS:
                raise document.error(at, f"'{section}' does not scale with the process", "inherit it without 'scaled'")
            seen.add(section)


def _rows(spec: TableSpec) -> list[tuple[KeyPath, PriceRow]]:
    found: list[tuple[KeyPath, PriceRow]] = []
    for name in ("node", "unit", *SECTIONS):
        value = getattr(spec, name)
        if isinstance(value, tuple):
            found.extend(((name, i), row) for i, row in enumerate(value))
        elif value is not None:
            found.append(((name,), value))
    return found


def _section(path: Path, section: str, files: _Loaded, trail: tuple[tuple[Path, str], ...]) -> Any:
    """Return the rows of a section, own or inherited, marked with the table in which they are written."""
    spec, document = _read(path, files)
    here = (path.resolve(), section)
    own = getattr(spec, section)
    if own:
        return _each(own, lambda row: row.model_copy(update={"from_table": spec.name}))
    for i, entry in enumerate(spec.inherits):
        if section not in entry.sections:
            continue
        if here in trail:
            raise document.error(("inherits", i), f"'{section}' inherits from itself", "break the circle")
        return _inherited(path, entry, ("inherits", i), section, files, (*trail, here))
    return own


def _inherited(
    path: Path, entry: Inherit, at: KeyPath, section: str, files: _Loaded, trail: tuple[tuple[Path, str], ...]
) -> Any:
    spec, document = _read(path, files)
    base_path = _find(entry.table, path.parent)
    base, _ = _read(base_path, files)
    rows = _section(base_path, section, files, trail)
    if not rows:
        raise document.error(at, f"table '{base.name}' has no '{section}'", "drop it from the sections")
    if not entry.scaled:
        return rows
    try:
        by = scaling(base.node, spec.node)
    except ConfigError as error:
        raise document.error(at, error.problem, error.remedy) from None
    return _each(rows, lambda row: scaled(row, by))


def _each(value: Any, change: Any) -> Any:
    return tuple(change(row) for row in value) if isinstance(value, tuple) else change(value)
