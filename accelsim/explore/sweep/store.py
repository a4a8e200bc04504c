"""The store of a sweep: one SQLite file with the plan, a totals row per point and, if kept, rows per layer.

One process writes; every chunk of results is one transaction, so that a kill at any instant loses only what is in
flight. Rows are found by the key of `accelsim.explore.sweep.identity`, not by their place in a sweep: an edited sweep
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
from accelsim.explore.sweep import identity
from accelsim.explore.sweep.cells import Cells
from accelsim.explore.sweep.layersets import LayerSet
from accelsim.explore.sweep.space import Point
from accelsim.explore.sweep.tables import COLUMNS, FIRST, FORMAT, PARTS, READABLE, SUMS, TABLES, TOTALS

_AXES = json.JSONEncoder(ensure_ascii=False)
_HEADER = b"SQLite format 3\0"


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
        self.cells = Cells(str(path))

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
        return self.cells.meta(list(self._read("SELECT key, value FROM meta")))

    def set_plan(
        self, points: Iterable[Point], about: Mapping[str, str],
        networks: Mapping[str, tuple[LayerSet, LayerSet | None]] | None = None,
    ) -> None:  # fmt: skip
        """Replace the plan; results stay. ``networks`` gives the needed and the shared layers of each network."""
        with self._write():
            self._db.execute("DELETE FROM plan")
            self._db.execute("DELETE FROM networks")
            named = networks or {}
            rows = [(name, needed.digest, shared and shared.digest) for name, (needed, shared) in named.items()]
            self._db.executemany("INSERT INTO networks VALUES (?, ?, ?)", rows)
            self._name(one for both in named.values() for one in both if one is not None)
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
        with self._write():
            self._db.executemany("INSERT OR REPLACE INTO plan VALUES (?, ?, ?, ?, ?, ?)", map(_planned, points))

    def add(self, rows: Iterable[Row]) -> None:
        """Write the results of a chunk, all or nothing."""
        found = list(rows)
        marks = ", ".join("?" * (4 + len(TOTALS) + len(PARTS)))
        common = [(row.key, row.common) for row in found if row.common is not None]
        with self._write():
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
        found = {}
        for key, status in self._read("SELECT key, status FROM totals"):
            place = f"result {self.cells.text(key, 'table totals', 'key')[:12]}"
            found[key] = self.cells.status(status, place)
        return found

    def sums_up(self) -> set[tuple[str, str]]:
        """Return (key, digest of layers) of all sets of layers that results have sums over."""
        query = "SELECT key, ran FROM totals WHERE ran IS NOT NULL UNION SELECT key, layers FROM common"
        return set(self._read(query))

    def networks(self) -> dict[str, tuple[LayerSet, LayerSet | None]]:
        """Return network -> the layers that it needs, and those that all points share where points differ."""
        if not self._shares:
            return {}
        named, found = self._named(), {}
        for network, *digests in self._read("SELECT network, needed, shared FROM networks"):
            place = f"network {self.cells.text(network, 'table networks', 'network')}"
            needed, shared = digests[0], digests[1]
            layers = LayerSet(needed, self._names_of(named, needed, place, "needed") or ())
            common = self._names_of(named, shared, place, "shared")
            found[network] = (layers, None if common is None else LayerSet(shared, common))
        return found

    def _named(self) -> dict[str, tuple[str, ...]]:
        if not self._shares:
            return {}
        rows = self._read("SELECT digest, names FROM layer_sets")
        return {digest: self.cells.names(names, f"set of layers {digest!r}") for digest, names in rows}

    def figures(self, keys: Sequence[str]) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return key -> status, and `TOTALS` and ``ran``, of those results among ``keys`` that are there."""
        found, named = {}, self._named()
        columns = ("ran", *TOTALS)
        for start in range(0, len(keys), _MANY):
            part = keys[start : start + _MANY]
            query = f"SELECT key, status, {', '.join(columns)} FROM totals WHERE key IN ({', '.join('?' * len(part))})"
            for key, status, ran, *values in self._read(query, part):
                place = f"result {key[:12]}"
                ok = self.cells.status(status, place) == "ok"
                layers = self._names_of(named, ran, place, "ran")
                found[key] = (status, {"ran": layers, **self.cells.figures(TOTALS, values, place, ok)})
        return found

    def results(self) -> int:
        """Return how many results there are, planned or not."""
        ((number,),) = self._read("SELECT count(*) FROM totals")
        return int(number)

    def rows(self, parts: bool = True) -> Iterator[dict[str, Any]]:
        """Yield one dict per planned point that has a result or a reason, in the order of the plan.

        Besides `TOTALS` and `PARTS`: ``ran``, the names of the layers that were simulated (None where the store does
        not know), ``needed``, those that the network has, ``shared``, those that all points of the network simulate
        (None where no two points differ), and ``common``, `SUMS` and `PARTS` over these (None where just they ran). Of
        an attention all these name the parts; ``whole`` are the groups that some point has as one. Without ``parts``
        the mappings are left out: they take longer to read than all figures.
        """
        mappings = PARTS if parts else ()
        here = [name for name in TOTALS if name in self._columns]
        own = ", ".join(f"totals.{name}" for name in (*here, *mappings))
        more, joined = "NULL, NULL, NULL, ", ""
        if self._shares:
            more = (
                f"ran, networks.shared, common.layers, {', '.join(f'common.{name}' for name in (*SUMS, *mappings))}, "
            )
            joined = "LEFT JOIN networks USING (network) LEFT JOIN common ON common.key = plan.key AND layers = shared "
        query = (
            f"SELECT position, machine, network, axes, plan.reason, totals.status, totals.reason, {more}{own} "
            f"FROM plan LEFT JOIN totals ON totals.key = plan.key {joined}ORDER BY position"
        )
        named, known, cells, last = self._named(), self.networks(), self.cells, -1
        varied, whole = self._axis_keys(), json.loads(self.meta().get("whole", "{}"))
        for position, machine, network, axes, planned, status, reason, ran, shared, *values in self._read(query):
            place = f"point {cells.count(position, 'table plan', 'position')}"
            if position == last:
                cells.fail(place, "position", "two rows have it")
            last = position
            row = self._planned_row(place, position, machine, network, axes, varied)
            cells.reason(planned, place)
            if status is None and planned is None:
                continue
            ok = status is not None and cells.status(status, place) == "ok"
            if ok and self._shares and network not in known:
                cells.fail(place, "network", f"table networks has no {network!r}")
            row["status"] = status if planned is None else "excluded" if _by_constraint(planned) else "illegal"
            row["reason"] = planned or cells.reason(reason, place, needed=not ok and status is not None)
            row |= dict.fromkeys(TOTALS)
            row |= self._checked(values[-len(here) - len(mappings) :], here, mappings, place, ok)
            row["complete"] = None if row["complete"] is None else bool(row["complete"])
            row["ran"] = self._names_of(named, ran, place, "ran")
            row["needed"] = known[network][0].names if network in known else None
            row["whole"] = whole.get(network, [])
            row["shared"] = self._names_of(named, shared, f"network {network}", "shared")
            has = shared is not None and values[0] is not None and values[1] is not None
            row["common"] = self._checked(values[1:], SUMS, mappings, f"{place}, table common", True) if has else None
            yield row

    def layer_rows(self) -> Iterator[dict[str, Any]]:
        """Yield one dict per planned point and layer, in the order of the plan."""
        query = (
            "SELECT position, number, machine, network, axes, row FROM plan JOIN layers USING (key) "
            "WHERE reason IS NULL ORDER BY position, number"
        )
        varied = self._axis_keys()
        for position, number, machine, network, axes, row in self._read(query):
            place = f"point {self.cells.count(position, 'table plan', 'position')}"
            planned = self._planned_row(place, position, machine, network, axes, varied)
            yield planned | self.cells.plain(row, f"{place}, layer {number}", "row")

    def _axis_keys(self) -> list[str]:
        return [key for axis in json.loads(self.meta().get("axes", "[]")) for key in axis["keys"]]

    def _planned_row(
        self, place: str, position: int, machine: Any, network: Any, axes: Any, varied: Sequence[str]
    ) -> dict[str, Any]:
        names = {"machine": self.cells.text(machine, place, "machine"),
                 "network": self.cells.text(network, place, "network")}  # fmt: skip
        values = self.cells.plain(axes, place, "axes")
        for key in varied:
            if key not in values:
                self.cells.fail(place, "axes", f"it has no value for '{key}'")
        return {"point": position, **names, **values}

    def counts(self) -> tuple[int, int]:
        """Return the points of the plan, and how many of them have neither a result nor a reason."""
        ((total,),) = self._read("SELECT count(*) FROM plan")
        query = "SELECT count(*) FROM plan LEFT JOIN totals USING (key) WHERE status IS NULL AND plan.reason IS NULL"
        ((left,),) = self._read(query)
        return total, left

    def _checked(
        self, values: Sequence[Any], names: Sequence[str], mappings: Sequence[str], place: str, ok: bool
    ) -> dict[str, Any]:
        found = self.cells.figures(names, values[: len(names)], place, ok)
        given = dict(zip(mappings, values[len(names) : len(names) + len(mappings)], strict=True))
        return found | {name: self.cells.part(given[name], place, name, ok) if name in given else {} for name in PARTS}

    def _names_of(self, named: Mapping[str, tuple[str, ...]], digest: Any, place: str, column: str) -> Any:
        if digest is not None and digest not in named:
            self.cells.fail(place, column, f"no set of layers is called {digest!r}")
        return named.get(digest)

    def table(self, name: str, where: str = "", values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a table as they are, its columns in the order of `columns`."""
        yield from self._read(f"SELECT {', '.join(COLUMNS[name])} FROM {name} {where}", values)

    def insert(self, name: str, rows: Iterable[Sequence[Any]]) -> None:
        """Put rows of a table in place, as they are."""
        with self._write():
            marks = ", ".join("?" * len(COLUMNS[name]))
            self._db.executemany(f"INSERT OR REPLACE INTO {name} VALUES ({marks})", rows)

    def _read(self, query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        with _damage(self.path):
            yield from self._db.execute(query, values)

    @contextmanager
    def _write(self) -> Iterator[None]:
        """Make what is written in the block one transaction."""
        try:
            with self._db:
                yield
        except sqlite3.OperationalError as error:
            remedy = "free some space or mend the permissions; the same command goes on from there"
            raise ConfigError(f"cannot be written ({error})", remedy, file=str(self.path)) from None


def open_writer(path: Path, keep_layers: bool = False, model: str | None = None) -> Store:
    """Open a store for writing and lock it; a missing or empty file becomes a new store.

    ``model`` is the version whose results it holds, this build's by default.

    Raises
    ------
    ConfigError
        A file that is no store or is damaged, another model's store, another writer, layers wanted in a store
        without them. The file stays as it is.
    """
    _check_regular(path)
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
    _check_regular(path)
    if not path.exists():
        raise ConfigError("no such store", "'accelsim sweep SWEEP.yaml --store FILE' makes one", file=str(path))
    _check_header(path)
    store = Store(path, _connect(path, "ro"))
    if not _has_tables(store, path, formats):
        raise _not_a_store(path)
    return store


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=30)
    connection.text_factory = _text
    return connection


def _text(cell: bytes) -> str:
    return cell.decode("utf-8", "surrogateescape")  # what is no UTF-8 is found by `Cells.text`, which can name it


def _check_regular(path: Path) -> None:
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no regular file"
        raise ConfigError(f"a store is a file, this is {what}", "give the file of a sweep", file=str(path))


def _create(store: Store, keep_layers: bool, model: str) -> None:
    statements = [text for text in TABLES.split(";") if text.strip()]
    with store._write():
        store._db.execute("BEGIN")
        for statement in statements:
            store._db.execute(statement)
        meta = {"format": FORMAT, "model": model, "layers": "yes" if keep_layers else "no"}
        store._db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())


def _has_tables(store: Store, path: Path, formats: Sequence[str] = (FORMAT,)) -> bool:
    """Return whether the file has our tables, in one of some formats; False for an empty one."""
    with _damage(path):
        names = {name for (name,) in store._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not names:
            return False
        if not {"meta", "plan", "totals", "layers"} <= names:
            raise _not_a_store(path)
        (sound,) = store._db.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise _damaged(path)
        found = dict(store._db.execute("SELECT key, value FROM meta WHERE key = 'format'")).get("format")
        if found not in formats:
            raise ConfigError(f"the store has format {found}, this accelsim writes {FORMAT}", _AWAY, file=str(path))
        store.cells.columns(store._db, COLUMNS if found == FORMAT else FIRST)
        store.meta()
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
        raise ConfigError.unreadable(error, path) from None
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
