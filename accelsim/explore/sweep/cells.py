"""What is read from a store, checked: SQLite keeps any value in any cell, and a file may have been edited."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, NoReturn, get_args

from accelsim.errors import ConfigError
from accelsim.explore.sweep.schema import Objective

STATUS = ("ok", "illegal", "failed")
OPTIONAL = ("area_mm2", "coverage_macs", "coverage_dram_bits", "no_area")
"""Figures that a point may lack."""
FLAGS = ("complete",)
WORDS = ("energy_table", "no_area")
SHARES = ("occupancy", "utilization", "coverage_macs", "coverage_layers", "coverage_dram_bits")
"""Figures of at most 1; a sum of shares may pass it by a rounding error."""
_COUNTS = ("cycles", "layers_simulated", "layers_needed")
_OBJECTIVES = set(get_args(Objective))
_AXES = {"name": str, "keys": list, "steps": int}


@dataclass(frozen=True)
class Cells:
    """Checks of the cells of one store; each raises a ConfigError that names file, place and column."""

    file: str

    def fail(self, place: str, column: str, problem: str) -> NoReturn:
        """Raise the error for a cell."""
        remedy = "this file is left as it is; sweep again into another one"
        raise ConfigError(f"the store is damaged: {problem}", remedy, file=self.file, key=f"{place}, column {column}")

    def columns(self, connection: sqlite3.Connection, wanted: Mapping[str, Sequence[str]]) -> None:
        """Raise if a table lacks a column."""
        for table, names in wanted.items():
            there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            for name in names:
                if name not in there:
                    self.fail(f"table {table}", name, "the table has no such column")

    def meta(self, rows: Sequence[tuple[Any, Any]]) -> dict[str, str]:
        """Return what a store says of itself; what a sweep adds is there as a whole or not at all."""
        found: dict[str, str] = {}
        for key, value in rows:
            name = self.text(key, "table meta", "key")
            found[name] = self.text(value, f"table meta, '{name}'", "value")
        wanted = ["format", "model", "layers"]
        wanted += ["name", "question", "objectives", "axes", "sweep", "plan"] if len(found) > len(wanted) else []
        for name in wanted:
            if name not in found:
                self.fail("table meta", "key", f"'{name}' is missing")
        if found["layers"] not in ("yes", "no"):
            self.fail("table meta, 'layers'", "value", f"{_shown(found['layers'])} is neither yes nor no")
        if "plan" in found:
            self._sweep(found)
        return found

    def _sweep(self, meta: Mapping[str, str]) -> None:
        place = "table meta, '{}'"
        objectives = self._json(meta["objectives"], place.format("objectives"), "value")
        if not isinstance(objectives, list) or not objectives or not set(map(str, objectives)) <= _OBJECTIVES:
            self.fail(place.format("objectives"), "value", "it is no list of objectives")
        if not isinstance(self._json(meta["sweep"], place.format("sweep"), "value"), dict):
            self.fail(place.format("sweep"), "value", "it is no sweep")
        machines = self._json(meta.get("classes", "{}"), place.format("classes"), "value")
        if not isinstance(machines, dict) or not all(map(_is_classes, machines.values())):
            self.fail(place.format("classes"), "value", "it is no mapping of machines, components and classes")
        axes = self._json(meta["axes"], place.format("axes"), "value")
        if not isinstance(axes, list) or not all(map(_is_axis, axes)):
            self.fail(place.format("axes"), "value", "it is no list of axes with name, keys and steps")

    def text(self, value: Any, place: str, column: str) -> str:
        """Return a cell that must be text."""
        if not isinstance(value, str):
            self.fail(place, column, f"{_shown(value)} is no text")
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            self.fail(place, column, "it is no text in UTF-8")
        return value

    def count(self, value: Any, place: str, column: str) -> int:
        """Return a cell that must be a whole number of at least 0."""
        if type(value) is not int or value < 0:
            self.fail(place, column, f"{_shown(value)} is no whole number of at least 0")
        return value

    def status(self, value: Any, place: str) -> str:
        """Return a cell that must be a status."""
        if value not in STATUS:
            self.fail(place, "status", f"{_shown(value)} is none of {', '.join(STATUS)}")
        return str(value)

    def reason(self, value: Any, place: str, needed: bool = False) -> str | None:
        """Return a cell that must be text, or nothing unless a reason is ``needed``."""
        return None if value is None and not needed else self.text(value, place, "reason")

    def figures(self, names: Sequence[str], values: Sequence[Any], place: str, ok: bool) -> dict[str, Any]:
        """Return the figures of a point: all there if it is ok, none otherwise, finite and not negative."""
        for name, value in zip(names, values, strict=True):
            if value is None:
                if ok and name not in OPTIONAL:
                    self.fail(place, name, "an ok point has no figure")
                continue
            if not ok:
                self.fail(place, name, f"{_shown(value)} is a figure of a point that is not ok")
            if name in FLAGS:
                good, what = type(value) is int and value in (0, 1), "neither 0 nor 1"
            elif name in WORDS:
                good, what = isinstance(self.text(value, place, name), str), ""
            elif name not in SHARES and (name in _COUNTS or name.endswith(("macs", "_bits"))):
                good, what = type(value) is int and value >= 0, "no whole number of at least 0"
            else:
                most = 1.000001 if name in SHARES else inf
                good = type(value) in (int, float) and 0 <= value <= most and value < inf
                what = "no share between 0 and 1" if name in SHARES else "no finite number of at least 0"
            if not good:
                self.fail(place, name, f"{_shown(value)} is {what}")
        return dict(zip(names, values, strict=True))

    def part(self, text: Any, place: str, column: str, ok: bool) -> dict[str, float]:
        """Return a mapping of names to numbers, which only a point that is ok has."""
        if not ok:
            return {} if text is None else self.fail(place, column, "it belongs to a point that is not ok")
        found = self._object(text, place, column)
        for name, value in found.items():
            if type(value) not in (int, float) or not 0 <= value < inf:
                self.fail(place, column, f"'{name}' is {_shown(value)}, no finite number of at least 0")
        return found

    def names(self, text: Any, place: str) -> tuple[str, ...]:
        """Return a list of names of layers."""
        found = self._json(self.text(text, place, "names"), place, "names")
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            self.fail(place, "names", f"{_shown(text)} is no list of names")
        return tuple(found)

    def plain(self, text: Any, place: str, column: str) -> dict[str, Any]:
        """Return a mapping of names to words and numbers (or lists and mappings of them)."""
        found = self._object(text, place, column)
        self._finite(found, place, column)
        return found

    def _object(self, text: Any, place: str, column: str) -> dict[str, Any]:
        found = self._json(self.text(text, place, column), place, column)
        if not isinstance(found, dict):
            self.fail(place, column, f"{_shown(text)} is no JSON mapping")
        return found

    def _json(self, text: str, place: str, column: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            self.fail(place, column, f"{_shown(text)} is no JSON")

    def _finite(self, value: Any, place: str, column: str) -> None:
        if isinstance(value, float) and not isfinite(value):
            self.fail(place, column, f"{value} is no finite number")
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            self._finite(item, place, column)


def _is_classes(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(group, str) for group in value.values())


def _is_axis(axis: Any) -> bool:
    if not isinstance(axis, dict) or any(not isinstance(axis.get(key), kind) for key, kind in _AXES.items()):
        return False
    return all(isinstance(key, str) for key in axis["keys"])


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
