"""Tables of storages: what is alive when, where no network is at hand."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from accelsim.config import packaged
from accelsim.config.scalesim.cells import read_text
from accelsim.errors import WorkloadError
from accelsim.text import nearest
from accelsim.workload.storage import Role, Storage

PREFIX = "lifetimes:"
NEEDED = ("storage", "bytes", "first", "last")
FREE = ("network", "rule", "moved_bytes", "is_network_input_or_output")
MOST = 2**40
"""Largest number in a table."""
UNTOLD = "the table says nothing of traffic: a storage counts as written once and read once"


class Lifetimes(NamedTuple):
    """Storages of a network that a table lists, in its order; ``positions`` are its layers."""

    network: str
    storages: tuple[Storage, ...]
    positions: int
    notes: tuple[str, ...]


def packaged_path() -> Path:
    """Return the packaged table."""
    return packaged.folder("workloads") / "lifetimes.csv"


def lifetime_names() -> list[str]:
    """Return the packaged names ``lifetimes:<name>``."""
    return [PREFIX + name for name in dict.fromkeys(row["network"] for _, row in _rows(packaged_path(), "packaged"))]


def is_lifetimes(name: str) -> bool:
    """Whether a network's name is one of a packaged table, or the path of a table of storages."""
    if name.startswith(PREFIX):
        return True
    if Path(name).suffix.lower() != ".csv" or not packaged.is_file(Path(name)):
        return False
    with Path(name).open("rb") as file:
        head = file.read(4096).decode("utf-8-sig", "replace").splitlines()
    first = next((line for line in head if not line.startswith("#")), "")
    return set(NEEDED) <= {cell.strip() for cell in first.split(",")}


def load(name: str, only: str | None = None) -> Lifetimes:
    """Return the storages of one network.

    Parameters
    ----------
    name : str
        ``lifetimes:<name>``, or the path of a CSV file with the columns storage, bytes, first, last; further ones may
        be network, rule, moved_bytes and is_network_input_or_output (0 or 1). Lines that begin with # are comments.
    only : str, optional
        Which network, where the file holds several.

    Raises
    ------
    WorkloadError
        A name that is not there, and whatever is wrong with the file.
    """
    path, shown = (packaged_path(), "workloads/lifetimes.csv") if name.startswith(PREFIX) else (Path(name), name)
    rows = _rows(path, shown)
    names = list(dict.fromkeys(row.get("network", "") for _, row in rows))
    wanted = name.removeprefix(PREFIX) if name.startswith(PREFIX) else only
    if wanted is None and len(names) > 1:
        raise WorkloadError(f"holds {len(names)} networks", f"choose with --only: {', '.join(names)}", file=shown)
    wanted = names[0] if wanted is None else wanted
    if wanted not in names:
        shown = PREFIX.rstrip(":") if name.startswith(PREFIX) else shown
        raise WorkloadError(f"no network '{wanted}'", nearest(wanted, names, f"one of {', '.join(names)}"), file=shown)
    storages: dict[str, Storage] = {}
    told = True
    for line, row in rows:
        if row.get("network", "") == wanted:
            storage = _storage(row, shown, line)
            if storage.name in storages:
                raise WorkloadError(f"storage '{storage.name}' comes twice", "keep one", file=shown, line=line)
            storages[storage.name] = storage
            told = told and bool(row.get("moved_bytes"))
    found = tuple(storages.values())
    notes = () if told else (UNTOLD,)
    return Lifetimes(wanted or path.stem, found, max(storage.last for storage in found) + 1, notes)


def _rows(path: Path, shown: str) -> list[tuple[int, dict[str, str]]]:
    """Return line and cells of every row."""
    lines = enumerate(read_text(path, WorkloadError, shown).splitlines(), 1)
    cells = [(n, next(csv.reader([text]))) for n, text in lines if text and not text.startswith("#")]
    if len(cells) < 2:
        raise WorkloadError("lists no storages", f"give rows under {', '.join(NEEDED)}", file=shown)
    (line, header), *rows = cells
    for column in header:
        if column not in (*NEEDED, *FREE):
            known = (*NEEDED, *FREE)
            hint = nearest(column, known, f"use {', '.join(known)}")
            raise WorkloadError(f"unknown column '{column}'", hint, file=shown, line=line)
    if len(set(header)) != len(header) or not set(NEEDED) <= set(header):
        raise WorkloadError("columns are missing or double", f"needed: {', '.join(NEEDED)}", file=shown, line=line)
    for line, row in rows:
        if len(row) != len(header):
            problem = f"{len(row)} values for {len(header)} columns"
            raise WorkloadError(problem, "give one per column", file=shown, line=line)
    return [(line, dict(zip(header, row, strict=True))) for line, row in rows]


def _storage(row: dict[str, str], shown: str, line: int) -> Storage:
    size, first, last = (_number(row, key, shown, line) for key in ("bytes", "first", "last"))
    if last < first:
        problem = f"{last} is ahead of first, {first}"
        raise WorkloadError(problem, "both ends belong to a lifetime", file=shown, line=line, key="last")
    moved = _number(row, "moved_bytes", shown, line) if row.get("moved_bytes") else 2 * size
    outside = _number(row, "is_network_input_or_output", shown, line) if row.get("is_network_input_or_output") else 0
    role: Role = "inner" if not outside else "output" if first else "input"
    return Storage(row["storage"], (row["storage"],), 8 * size, first, last, 8 * moved, role)


def _number(row: dict[str, str], key: str, shown: str, line: int) -> int:
    text = row[key].strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 13 or int(text) > MOST:
        raise WorkloadError(f"'{text}' is no number from 0 to 2^40", "correct it", file=shown, line=line, key=key)
    return int(text)
