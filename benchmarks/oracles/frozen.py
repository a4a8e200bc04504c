"""Frozen figures on disk, and what differs from them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

NOTHING = "nothing"
"""Where one side has no such figure."""


class Difference(NamedTuple):
    """A figure that is not what it was."""

    where: str
    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        text = f"{self.where}: {self.key}: {_shown(self.old)} -> {_shown(self.new)}"
        if isinstance(self.old, int | float) and isinstance(self.new, int | float) and self.old:
            text += f" ({100 * (self.new / self.old - 1):+.4g} %)"
        return text


def write(path: Path, figures: Iterable[tuple[str, Any]]) -> int:
    """Write named trees, one JSON line each, compressed without a time; return how many."""
    lines = [_line(name, tree) for name, tree in figures]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(lines).encode(), compresslevel=9, mtime=0))
    return len(lines)


def read(path: Path) -> list[str]:
    """Return the lines as they were written."""
    return gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)


def differences(lines: list[str], figures: Iterable[tuple[str, Any]]) -> Iterator[Difference]:
    """Yield what differs between frozen lines and figures of today: lines first, then the figures in them."""
    old = {json.loads(line)[0]: line for line in lines}
    for name, tree in figures:
        line, before = _line(name, tree), old.pop(name, None)
        if before is None:
            yield Difference(name, "all", NOTHING, "new")
        elif before != line:
            yield from _between(name, "", json.loads(before)[1], json.loads(line)[1])
    for name in old:
        yield Difference(name, "all", "frozen", NOTHING)


def _line(name: str, tree: Any) -> str:
    return json.dumps([name, tree], separators=(",", ":"), ensure_ascii=False) + "\n"


def _between(where: str, path: str, old: Any, new: Any) -> Iterator[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _between(where, f"{path}.{key}" if path else key, old.get(key, NOTHING), new.get(key, NOTHING))
        if list(old) != list(new) and set(old) == set(new):
            yield Difference(where, f"{path or 'all'}: order of its keys", list(old), list(new))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, pair in enumerate(zip(old, new, strict=True)):
            yield from _between(where, f"{path}[{i}]", *pair)
    elif json.dumps(old) != json.dumps(new):
        yield Difference(where, path, old, new)


def _shown(value: Any) -> str:
    if value == NOTHING:
        return NOTHING
    whole = isinstance(value, int) and not isinstance(value, bool)
    text = f"{value:,}" if whole else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:197] + "..."
