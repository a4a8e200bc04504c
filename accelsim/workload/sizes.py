"""Sizes of dimensions that a network leaves open, given by name: ``seq=128``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from accelsim.errors import ConfigError
from accelsim.text import nearest
from accelsim.workload.shapes import MAX_DIM

Sizes: TypeAlias = Mapping[str, int]
"""Name of a dimension -> its size."""

OPTION = "--dim"
"""How messages call the option that gives sizes."""


def parse_sizes(texts: Iterable[str]) -> dict[str, int]:
    """Return the sizes that ``NAME=N`` give; ConfigError for what is no such text, or a name that comes twice."""
    found: dict[str, int] = {}
    for text in texts:
        name, _, digits = text.rpartition("=")
        if not name or not (digits.isascii() and digits.isdigit()):
            raise ConfigError(f"'{text}' is no size", "write NAME=N, such as seq=128", file=OPTION)
        if name in found:
            raise ConfigError(f"'{name}' is given twice", "give each size once", file=OPTION)
        found[name] = int(digits) if len(digits) <= len(str(MAX_DIM)) else MAX_DIM + 1
    check_sizes(found)
    return found


def check_sizes(sizes: Sizes) -> None:
    """Raise ConfigError for a size that no dimension has."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MAX_DIM:
            problem = f"size {size!r} is not a whole number from 1 to {MAX_DIM:,}"
            raise ConfigError(problem, "correct it", file=OPTION, key=name)


def check_names(sizes: Sizes, known: Collection[str], shown: str) -> None:
    """Raise ConfigError for a name that is not among the open dimensions of the network called ``shown``."""
    check_sizes(sizes)
    for name in sizes:
        if name not in known:
            problem = f"'{shown}' has no open dimension '{name}'"
            listed = f"it leaves open: {', '.join(sorted(known))}" if known else "all its sizes are fixed: drop it"
            raise ConfigError(problem, nearest(name, known, listed), file=OPTION)


def said(sizes: Sizes) -> str:
    """Return the note that tells which sizes were given."""
    return "sizes given: " + ", ".join(f"{name} = {size}" for name, size in sorted(sizes.items()))
