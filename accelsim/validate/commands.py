"""What runs a validation case on a command line, in a shell: its files are written first."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def written(name: str, content: Any) -> str:
    """Return what writes a file of the case; JSON is YAML."""
    return f"echo {shlex.quote(json.dumps(content, ensure_ascii=False))} > {name} && "


def words(options: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Return options and their values, those that have their default left out."""
    return [
        word for name, (value, default) in options.items() if value != default for word in (f"--{name}", str(value))
    ]


def at_hand(path: str) -> str:
    """Return the path of a file of ACCELSIM_DATA, for a shell."""
    return f'"$ACCELSIM_DATA"/{shlex.quote(path)}'


def named_or_written(option: str, content: str | dict[str, Any] | None, key: str) -> tuple[str, list[str]]:
    """Return what writes a mapping or density, if anything must, and the option that takes it."""
    if content is None:
        return "", []
    if isinstance(content, str):
        return "", [f"--{option}", Path(content).stem]
    return written(f"{option}.yaml", {key: content}), [f"--{option}", f"{option}.yaml"]
