"""The store of a sweep: one SQLite file with the plan, a totals row per point and, if kept, rows per layer.

One process writes; every chunk of results is one transaction, so that a kill at any instant loses only what is in
flight. Rows are found by the key of `accelsim.explore.identity`, not by their place in a sweep: an edited sweep
reuses what it shares with the earlier one.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from accelsim.errors import ConfigError
from accelsim.explore import identity
from accelsim.explore.layersets import LayerSet
from accelsim.explore.space import Point

FORMAT = "2"
"""Version of the layout of the tables that is written."""
READABLE = ("1", FORMAT)
"""Versions that are read; the first knows nothing of shared layers, clocks and energy tables."""

SUMS = (
    "cycles", "time_s", "macs", "effective_macs", "total_energy_pj", "edp_pj_s", "dram_read_bits", "dram_write_bits",
    "dram_bits", "occupancy", "utilization", "tops", "tops_per_w",
)  # fmt: skip
"""Columns of figures that are taken over layers: of all that a point ran, and of those that all points share."""
TOTALS = (
    *SUMS, "area_mm2", "complete", "coverage_macs", "coverage_layers", "coverage_dram_bits", "layers_simulated",
    "layers_needed", "clock_mhz", "energy_table", "no_area",
)  # fmt: skip
"""Columns of a point, in the order of exports; ``no_area`` names components on the chip without a figure for it."""
PARTS = ("energy_pj", "cycles_by_cause")
"""Columns that hold a JSON mapping."""

_AXES = json.JSONEncoder(ensure_ascii=False)
_HEADER = b"SQLite format 3\0"
_TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE plan (position INTEGER PRIMARY KEY, key TEXT NOT NULL, machine TEXT NOT NULL, network TEXT NOT NULL,
                   axes TEXT NOT NULL, reason TEXT);
CREATE INDEX plan_key ON plan (key);
CREATE TABLE totals (key TEXT PRIMARY KEY, status TEXT NOT NULL, reason TEXT, {", ".join(TOTALS)},
                     {", ".join(PARTS)}, ran TEXT);
CREATE TABLE common (key TEXT NOT NULL, layers TEXT NOT NULL, {", ".join(SUMS)}, {", ".join(PARTS)},
                     PRIMARY KEY (key, layers));
CREATE TABLE networks (network TEXT PRIMARY KEY, needed TEXT NOT NULL, shared TEXT) WITHOUT ROWID;
CREATE TABLE layer_sets (digest TEXT PRIMARY KEY, names TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE layers (key TEXT NOT NULL, number INTEGER NOT NULL, row TEXT NOT NULL,
                     PRIMARY KEY (key, number)) WITHOUT ROWID;
"""


class Common(NamedTuple):
    """What a point gave over the layers that all points of its network share.

    ``figures`` are `SUMS` and `PARTS`; empty where the point did not run all of these layers.
    """

    layers: LayerSet
    figures: Mapping[str, Any]


class Row(NamedTuple):
    """What one point gave.

    Attributes
    ----------
    status : str
        ``ok``; ``illegal``: the input does not allow it; ``failed``: it broke, which is nobody's intention.
    totals : mapping
        `TOTALS` and `PARTS`, empty unless the status is ok.
    layers : tuple of mapping
        One flat row per layer, when layers are kept.
    ran : LayerSet, optional
        The layers that were simulated.
    common : Common, optional
        Only where the point ran other layers than those that all share.
    """

    key: str
    status: str
    reason: str | None
    totals: Mapping[str, Any] = {}
    layers: tuple[Mapping[str, Any], ...] = ()
    ran: LayerSet | None = None
    common: Common | None = None


class Store:
    """An open store; see `create` and `open_store`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: int | None = None) -> None:
        self.path, self._db, self._lock = path, connection, lock

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let other writers in."""
        self._db.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @cached_property
    def _columns(self) -> frozenset[str]:
        return frozenset(row[1] for row in self._db.execute("PRAGMA table_info(totals)"))

    @property
    def _shares(self) -> bool:
        """Whether the store's format knows of shared layers."""
        return "ran" in self._columns

    def meta(self) -> dict[str, str]:
        """Return what the store says of itself: format, model, sweep, objectives, ..."""
        return dict(self._db.execute("SELECT key, value FROM meta"))

    def set_plan(
        self, points: Iterable[Point], about: Mapping[str, str],
        networks: Mapping[str, tuple[LayerSet, LayerSet | None]],
    ) -> None:  # fmt: skip
        """Replace the plan; results stay. ``networks`` gives the needed and the shared layers of each network."""
        with self._db:
            self._db.execute("DELETE FROM plan")
            self._db.execute("DELETE FROM networks")
            rows = [(name, needed.digest, shared and shared.digest) for name, (needed, shared) in networks.items()]
            self._db.executemany("INSERT INTO networks VALUES (?, ?, ?)", rows)
            self._name(one for both in networks.values() for one in both if one is not None)
            digest = hashlib.sha256()

            def planned() -> Iterator[Sequence[Any]]:
                for point in points:
                    digest.update(point.key.encode())
                    yield _planned(point)

            self._db.executemany("INSERT INTO plan VALUES (?, ?, ?, ?, ?, ?)", planned())
            said = {**about, "plan": digest.hexdigest()[:16]}
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", said.items())

    def extend_plan(self, points: Iterable[Point]) -> None:
        """Add points to the plan, at their positions."""
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO plan VALUES (?, ?, ?, ?, ?, ?)", map(_planned, points))

    def add(self, rows: Iterable[Row]) -> None:
        """Write the results of a chunk, all or nothing."""
        found = list(rows)
        marks = ", ".join("?" * (4 + len(TOTALS) + len(PARTS)))
        common = [(row.key, row.common) for row in found if row.common is not None]
        with self._db:
            self._db.executemany(f"INSERT OR REPLACE INTO totals VALUES ({marks})", map(_values, found))
            self._name(row.ran for row in found if row.ran is not None)
            self._name(each.layers for _, each in common)
            marks = ", ".join("?" * (2 + len(SUMS) + len(PARTS)))
            self._db.executemany(
                f"INSERT OR REPLACE INTO common VALUES ({marks})",
                [(key, each.layers.digest, *_figures(each.figures, SUMS)) for key, each in common],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO layers VALUES (?, ?, ?)",
                [(r.key, i, identity.canonical(layer)) for r in found for i, layer in enumerate(r.layers)],
            )

    def _name(self, sets: Iterable[LayerSet]) -> None:
        rows = [(one.digest, json.dumps(one.names)) for one in dict.fromkeys(sets)]
        self._db.executemany("INSERT OR IGNORE INTO layer_sets VALUES (?, ?)", rows)

    def done(self) -> dict[str, str]:
        """Return key -> status of every result, whether the present plan has it or not."""
        return dict(self._db.execute("SELECT key, status FROM totals"))

    def sums_up(self) -> set[tuple[str, str]]:
        """Return (key, digest of layers) of all sets of layers that results have sums over."""
        query = "SELECT key, ran FROM totals WHERE ran IS NOT NULL UNION SELECT key, layers FROM common"
        return set(self._db.execute(query))

    def networks(self) -> dict[str, tuple[LayerSet, LayerSet | None]]:
        """Return network -> the layers that it needs, and those that all points share where points differ."""
        if not self._shares:
            return {}
        named = {digest: LayerSet(digest, names) for digest, names in self._named().items()}
        rows = self._db.execute("SELECT network, needed, shared FROM networks")
        return {network: (named[needed], named.get(shared)) for network, needed, shared in rows}

    def _named(self) -> dict[str, tuple[str, ...]]:
        if not self._shares:
            return {}
        rows = self._db.execute("SELECT digest, names FROM layer_sets")
        return {digest: tuple(json.loads(names)) for digest, names in rows}

    def figures(self, keys: Sequence[str]) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return key -> status, and `TOTALS` and ``ran`` (a digest), of those results among ``keys`` that are there."""
        found = {}
        columns = ("ran", *TOTALS)
        for start in range(0, len(keys), _MANY):
            part = keys[start : start + _MANY]
            query = f"SELECT key, status, {', '.join(columns)} FROM totals WHERE key IN ({', '.join('?' * len(part))})"
            for key, status, *values in self._db.execute(query, part):
                found[key] = (status, dict(zip(columns, values, strict=True)))
        return found

    def results(self) -> int:
        """Return how many results there are, planned or not."""
        (number,) = self._db.execute("SELECT count(*) FROM totals").fetchone()
        return int(number)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one dict per planned point that has a result or a reason, in the order of the plan.

        Besides `TOTALS` and `PARTS`: ``ran``, the names of the layers that were simulated (None where the store does
        not know), ``shared``, those of the layers that all points of the network simulate (None where no two points
        differ), and ``common``, `SUMS` and `PARTS` over these (None where just they ran).
        """
        here = [name for name in TOTALS if name in self._columns]
        own = ", ".join(f"totals.{name}" for name in (*here, *PARTS))
        more, joined = "NULL, NULL, NULL, ", ""
        if self._shares:
            more = f"ran, networks.shared, common.layers, {', '.join(f'common.{name}' for name in (*SUMS, *PARTS))}, "
            joined = "LEFT JOIN networks USING (network) LEFT JOIN common ON common.key = plan.key AND layers = shared "
        query = (
            f"SELECT position, machine, network, axes, plan.reason, totals.status, totals.reason, {more}{own} "
            f"FROM plan LEFT JOIN totals ON totals.key = plan.key {joined}ORDER BY position"
        )
        named = self._named()
        for position, machine, network, axes, planned, status, reason, ran, shared, *values in self._db.execute(query):
            if status is None and planned is None:
                continue
            row = {"point": position, "machine": machine, "network": network, **json.loads(axes)}
            row["status"] = status if planned is None else "excluded" if _by_constraint(planned) else "illegal"
            row["reason"] = planned or reason
            row |= dict.fromkeys(TOTALS)
            row |= _read(values[-len(here) - len(PARTS) :], here)
            row["complete"] = None if row["complete"] is None else bool(row["complete"])
            row["ran"], row["shared"] = named.get(ran), named.get(shared)
            has = shared is not None and values[0] is not None and values[1] is not None
            row["common"] = _read(values[1:], SUMS) if has else None
            yield row

    def layer_rows(self) -> Iterator[dict[str, Any]]:
        """Yield one dict per planned point and layer, in the order of the plan."""
        query = (
            "SELECT position, machine, network, axes, row FROM plan JOIN layers USING (key) "
            "WHERE reason IS NULL ORDER BY position, number"
        )
        for position, machine, network, axes, row in self._db.execute(query):
            yield {"point": position, "machine": machine, "network": network, **json.loads(axes), **json.loads(row)}

    def counts(self) -> tuple[int, int]:
        """Return the points of the plan, and how many of them have neither a result nor a reason."""
        (total,) = self._db.execute("SELECT count(*) FROM plan").fetchone()
        query = "SELECT count(*) FROM plan LEFT JOIN totals USING (key) WHERE status IS NULL AND plan.reason IS NULL"
        (left,) = self._db.execute(query).fetchone()
        return total, left

    def copy_from(self, other: Store) -> None:
        """Take the plan of another store if this one has none, and all its results."""
        planned = self._db.execute("SELECT 1 FROM plan LIMIT 1").fetchone()
        with self._db:
            results = ("totals", "common", "layer_sets", "layers")
            for table in results if planned else ("meta", "plan", "networks", *results):
                self._copy_table(other._db, table)

    def _copy_table(self, source: sqlite3.Connection, table: str) -> None:
        rows = source.execute(f"SELECT * FROM {table}")
        marks = ", ".join("?" * len(rows.description))
        self._db.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)


def open_writer(path: Path, keep_layers: bool = False, model: str | None = None) -> Store:
    """Open a store for writing and lock it; a missing or empty file becomes a new store.

    ``model`` is the version whose results it holds, this build's by default.

    Raises
    ------
    ConfigError
        A file that is no store or is damaged, another model's store, another writer, layers wanted in a store
        without them. The file stays as it is.
    """
    fresh = not path.exists() or path.stat().st_size == 0
    if not fresh:
        _check_header(path)
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        problem = f"cannot be written ({(error.strerror or str(error)).lower()})"
        raise ConfigError(problem, "choose another file with --store", file=str(path)) from None
    try:
        _take(lock, path)
        store = Store(path, _connect(path, "rw"), lock)
        version = model or identity.model_version()
        if not _has_tables(store, path):
            _create(store, keep_layers, version)
        _check(store, keep_layers, version)
    except BaseException:
        os.close(lock)
        raise
    return store


def open_reader(path: str | Path, formats: Sequence[str] = READABLE) -> Store:
    """Open an existing store of one of some formats for reading; its model may be another one.

    Raises
    ------
    ConfigError
        A missing file, or one that is no store or is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError("no such store", "'accelsim sweep SWEEP.yaml --store FILE' makes one", file=str(path))
    _check_header(path)
    store = Store(path, _connect(path, "ro"))
    if not _has_tables(store, path, formats):
        raise _not_a_store(path)
    return store


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=30)


def _create(store: Store, keep_layers: bool, model: str) -> None:
    statements = [text for text in _TABLES.split(";") if text.strip()]
    with store._db:
        store._db.execute("BEGIN")
        for statement in statements:
            store._db.execute(statement)
        meta = {"format": FORMAT, "model": model, "layers": "yes" if keep_layers else "no"}
        store._db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())


def _has_tables(store: Store, path: Path, formats: Sequence[str] = (FORMAT,)) -> bool:
    """Return whether the file has our tables, in one of some formats; False for an empty one."""
    with _damage(path):
        names = {name for (name,) in store._db.execute("SELECT name FROM sqlite_master")}
        if not names:
            return False
        if not {"meta", "plan", "totals", "layers"} <= names:
            raise _not_a_store(path)
        (sound,) = store._db.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise _damaged(path)
        found = store.meta().get("format")
        if found not in formats:
            raise ConfigError(f"the store has format {found}, this accelsim writes {FORMAT}", _AWAY, file=str(path))
    return True


def _check(store: Store, keep_layers: bool, model: str) -> None:
    meta, file = store.meta(), str(store.path)
    if meta["model"] != model:
        raise ConfigError(
            f"the store holds results of accelsim {meta['model']}, this is {model}: their figures must not be mixed",
            "use another file with --store; 'accelsim export' still reads this one",
            file=file,
        )
    if keep_layers and meta["layers"] != "yes":
        raise ConfigError("the store was made without layer rows", "use another file, or drop --keep layers", file=file)


def _check_header(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(_HEADER))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"cannot be read ({reason})", "check the path", file=str(path)) from None
    if start and start != _HEADER:
        raise _not_a_store(path)


_MANY = 500
"""Keys in one query; SQLite takes a limited number of parameters."""
_AWAY = "give one that 'accelsim sweep' wrote, or another file to write to; this one is left as it is"


def _not_a_store(path: Path) -> ConfigError:
    return ConfigError("this is not a store of a sweep", _AWAY, file=str(path))


def _damaged(path: Path) -> ConfigError:
    return ConfigError("the store is damaged", _AWAY, file=str(path))


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise ConfigError("the store is locked", "wait until its sweep has ended", file=str(path)) from None
        raise _damaged(path) from None


def _take(lock: int, path: Path) -> None:
    """Lock the file until this process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system: SQLite's own keep the file whole
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        remedy = "wait until it has ended, or give each shard its own store and use 'accelsim merge'"
        raise ConfigError("another sweep is writing to this store", remedy, file=str(path)) from None


def _planned(point: Point) -> Sequence[Any]:
    axes = _AXES.encode(dict((*point.sets, *point.options)))
    return point.position, point.key, point.machine, point.network, axes, point.reason


def _by_constraint(reason: str) -> bool:
    return reason.startswith("constraint: ")


def _values(row: Row) -> Sequence[Any]:
    ran = None if row.ran is None else row.ran.digest
    return (row.key, row.status, row.reason, *_figures(row.totals, TOTALS), ran)


def _figures(totals: Mapping[str, Any], names: Sequence[str]) -> Sequence[Any]:
    """Return the cells of figures and `PARTS`, as `_read` reads them."""
    parts = (identity.canonical(totals[name]) if name in totals else None for name in PARTS)
    return (*(totals.get(name) for name in names), *parts)


def _read(cells: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    *figures, energy, causes = cells[: len(names) + len(PARTS)]
    parts = {name: json.loads(text) if text else {} for name, text in zip(PARTS, (energy, causes), strict=True)}
    return {**dict(zip(names, figures, strict=True)), **parts}
