"""Putting the stores of shards together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from accelsim.errors import ConfigError
from accelsim.explore.sweep.store import Store, open_reader, open_writer
from accelsim.explore.sweep.tables import COMMON, FORMAT, PARTS, TOTALS
from accelsim.outputs import partial

_WORDS = {
    "model": "version of accelsim", "sweep": "sweep file", "layers": "layer rows", "plan": "points", "name": "name",
    "question": "question", "objectives": "objectives", "axes": "axes",
}  # fmt: skip
"""What stores of one sweep say alike -> how a message calls it."""
_PLAN = ("key", "machine", "network", "axes", "reason")
_RESULT = ("status", "reason", *TOTALS, *PARTS, "ran")


def merge(sources: Sequence[Path], target: Path) -> tuple[int, int]:
    """Put the results of several stores of one sweep into a new store.

    The target appears when it is whole.

    Returns
    -------
    tuple of int
        Points of the sweep, and how many of them still have no result.

    Raises
    ------
    ConfigError
        A target that exists, stores of different sweeps or of different versions of the model, or stores that disagree.
    """
    if target.exists():
        raise ConfigError("exists already", "choose another file with -o", file=str(target))
    with partial(target) as aside:
        _merge(sources, aside)
        with open_reader(aside) as merged:
            return merged.counts()


def _merge(sources: Sequence[Path], aside: Path) -> None:
    with open_reader(sources[0], (FORMAT,)) as first:
        said = first.meta()
    with open_writer(aside, said["layers"] == "yes", model=said["model"]) as merged:
        for path in sources:
            with open_reader(path, (FORMAT,)) as source:
                theirs = source.meta()
                for key, words in _WORDS.items():
                    if theirs.get(key) != said.get(key):
                        problem = f"differs from '{sources[0]}' in its {words}"
                        raise ConfigError(problem, "merge stores that one sweep file made", file=str(path))
                for _ in source.rows():  # which checks the plan
                    pass
                _Merging(merged, source).all()
        merged.insert("meta", said.items())


class _Merging:
    """One store put into another, which must not say anything else of what both have."""

    def __init__(self, merged: Store, source: Store) -> None:
        self._merged, self._source = merged, source
        self._position = {key: position for position, key, *_ in source.table("plan")}

    def all(self) -> None:
        """Take over the plan, the results and the layers' rows."""
        known = {position: rest for position, *rest in self._merged.table("plan")}
        new = []
        for position, *rest in self._source.table("plan"):
            if position in known:
                self._same(f"point {position}", _PLAN, known[position], rest)
            else:
                new.append((position, *rest))
        self._merged.insert("plan", new)
        for table, columns, keys in (("networks", ("needed", "shared"), 1), ("layer_sets", ("names",), 1)):
            self._take(table, columns, keys)
        self._merged.insert("totals", list(self._results()))
        self._take("common", COMMON[2:], 2)

    def _take(self, table: str, columns: Sequence[str], keys: int) -> None:
        """Take over the rows of a table whose first columns are its key."""
        known = {row[:keys]: row[keys:] for row in self._merged.table(table)}
        new = []
        for row in self._source.table(table):
            if row[:keys] in known:
                self._same(f"table {table}, {row[0]}", columns, known[row[:keys]], row[keys:])
            else:
                new.append(row)
        self._merged.insert(table, new)

    def _results(self) -> Iterator[tuple[Any, ...]]:
        there = self._merged.done()
        for key, *theirs in self._source.table("totals"):
            self._check(key, theirs)
            if key not in there:
                self._merged.insert("layers", self._layers(self._source, key))
                yield (key, *theirs)
                continue
            (ours,) = [rest for _, *rest in self._merged.table("totals", "WHERE key = ?", (key,))]
            if "failed" in (ours[0], theirs[0]):
                # a worker that died is no result: the other one stands, and of two the same one in any order
                if ours[0] == "failed" and (theirs[0] != "failed" or theirs[1] < ours[1]):
                    self._merged.insert("layers", self._layers(self._source, key))
                    yield (key, *theirs)
                continue
            self._same(self._place(key), _RESULT, ours, theirs)
            self._same_layers(key)

    def _check(self, key: Any, result: Sequence[Any]) -> None:
        cells = self._source.cells
        place = self._place(cells.text(key, "table totals", "key"))
        status, reason, *values = result
        ok = cells.status(status, place) == "ok"
        cells.reason(reason, place, needed=not ok)
        cells.figures(TOTALS, values[: len(TOTALS)], place, ok)
        for name, text in zip(PARTS, values[len(TOTALS) :], strict=False):
            cells.part(text, place, name, ok)

    def _same_layers(self, key: str) -> None:
        ours, theirs = self._layers(self._merged, key), self._layers(self._source, key)
        if len(ours) != len(theirs):
            self._refuse(self._place(key), "layers", f"{len(ours)} of them", f"{len(theirs)} of them")
        for (_, number, mine), (_, its, other) in zip(ours, theirs, strict=True):
            place = f"{self._place(key)}, layer {number}"
            self._same(place, ("number",), (number,), (its,))
            a, b = json.loads(mine), json.loads(other)
            names = list(dict.fromkeys((*a, *b)))
            self._same(place, names, [a.get(name) for name in names], [b.get(name) for name in names])

    def _layers(self, store: Store, key: str) -> list[tuple[Any, ...]]:
        found = list(store.table("layers", "WHERE key = ? ORDER BY number", (key,)))
        for _, number, row in found:
            store.cells.plain(row, f"{self._place(key)}, layer {number}", "row")
        return found

    def _place(self, key: str) -> str:
        position = self._position.get(key)
        return f"result {key[:12]}" if position is None else f"point {position}"

    def _same(self, place: str, columns: Sequence[str], ours: Sequence[Any], theirs: Sequence[Any]) -> None:
        for column, a, b in zip(columns, ours, theirs, strict=True):
            if a != b:
                self._refuse(place, column, a, b)

    def _refuse(self, place: str, column: str, ours: Any, theirs: Any) -> NoReturn:
        problem = f"{theirs} here, {ours} in a store before: one sweep and version cannot give both"
        remedy = "find out which machine or file is at fault; nothing was merged"
        raise ConfigError(problem, remedy, file=str(self._source.path), key=f"{place}, column {column}")
