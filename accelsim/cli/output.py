"""Where a run's files go: one folder per variant, checked before anything is simulated."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelsim.errors import ConfigError

DEFAULT = Path("reports") / "out"


def folder(arch: str, network: str, sets: tuple[str, ...], options: Mapping[str, Any]) -> Path:
    """Return ``reports/out/<arch>-<network>``, with what else makes the run a variant of its own."""
    parts = [arch, network, *sets]
    for name, default in _PLAIN.items():
        value = options[name]
        if value != default:
            parts.append(f"{name}={Path(value).stem if name in _FILES else value}")
    return DEFAULT / re.sub(r"[^A-Za-z0-9_.=+-]+", "_", "-".join(parts))[:200]


_FILES = ("mapping", "operands", "density", "precision")
_PLAIN = {"batch": None, "layers": "*", "seed": 0, "fidelity": "closed", **dict.fromkeys(_FILES)}
"""Options that change figures -> their defaults, which leave no mark in a folder's name."""


def check(path: Path) -> None:
    """Raise ConfigError if ``path`` can be seen not to become a folder with files in it."""
    if path.exists() and not path.is_dir():
        raise ConfigError("is a file, not a folder", "choose another folder with -o", file=str(path))
    parent = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not parent.is_dir():
        raise ConfigError(f"'{parent}' is not a folder", "choose another folder with -o", file=str(path))
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigError(f"'{parent}' cannot be written", "choose another folder with -o", file=str(path))
