"""What makes two points the same: resolved machine, network, options and the version of the model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import accelsim
from accelsim.config.arch import key_path
from accelsim.engines.registry import GROUP
from accelsim.workload.network import Network

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str)
_PROSE = ("description", "source", "sources")
"""Keys of a machine that no figure depends on."""
MOST_TEXTS = 10_000
"""Parts of machines kept as text; with more, all are forgotten."""
_NOT_THE_MODEL = ("cli", "explore", "report", "validate", "replicas", "__pycache__")
"""Parts of the package that no figure of a simulation depends on."""


@cache
def model_version() -> str:
    """Return the release and a digest of every file that decides a figure, engines of other packages included."""
    root = Path(accelsim.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.suffix in (".py", ".yaml") and parts[0] not in _NOT_THE_MODEL and path.name != "cases.yaml":
            digest.update("/".join(parts).encode() + b"\0" + path.read_bytes() + b"\0")
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        digest.update(f"{entry.name} {entry.value} {entry.dist.version if entry.dist else ''}".encode())
    return f"{accelsim.__version__}+{digest.hexdigest()[:12]}"


def network_digest(network: Network) -> str:
    """Return a digest of layers, tensors, batch and stored values."""
    digest = hashlib.sha256(repr((network.layers, sorted(network.tensors.items()), network.batch)).encode())
    for name in sorted(network.values):
        digest.update(name.encode() + network.values[name].tobytes())
    return digest.hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return a digest of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def with_keys(config: Mapping[str, Any], sets: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a resolved configuration with some keys set; only what lies on their paths is copied."""
    found: Any = dict(config)
    for key, value in sets:
        target = found
        path: tuple[Any, ...] = key_path(found, key)
        *above, last = path
        for at in above:
            inner = target[at] if isinstance(target, list) else target.get(at)
            inner = list(inner) if isinstance(inner, list) else dict(inner or {})
            target[at] = inner
            target = inner
        target[last] = value
    return found


def canonical(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: one text per value."""
    return _CANONICAL.encode(value)


class MachineText:
    """The canonical text of variants of a machine, prose apart; only what a variant changes is written anew."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._parts = {k: f"{canonical(k)}:{canonical(v)}" for k, v in sorted(config.items()) if k not in _PROSE}
        self._changed: dict[Any, str] = {}

    def of(self, sets: Sequence[tuple[str, Any]]) -> str:
        """Return the text of the machine with some keys set."""
        parts = dict(self._parts)
        by_section: dict[str, list[tuple[str, Any]]] = {}
        for key, value in sets:
            by_section.setdefault(key.partition(".")[0], []).append((key, value))
        for section, inside in by_section.items():
            if section not in _PROSE:
                parts[section] = self._section(section, tuple(inside))
        return "{" + ",".join(parts[key] for key in sorted(parts)) + "}"

    def _section(self, section: str, sets: tuple[tuple[str, Any], ...]) -> str:
        known = repr(sets)  # values need not be hashable, and 1 is not 1.0
        if known not in self._changed:
            if len(self._changed) >= MOST_TEXTS:
                self._changed.clear()
            self._changed[known] = f"{canonical(section)}:{canonical(with_keys(self._config, sets)[section])}"
        return self._changed[known]


def point_key(machine: str, network: str, options: str) -> str:
    """Return the key of a point from the texts of machine, network and options."""
    return hashlib.sha256(f"{model_version()}\n{machine}\n{network}\n{options}".encode()).hexdigest()[:32]
