"""Choosing a mapping: the candidate with the smallest objective, or a pinned one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from pydantic import BaseModel, ValidationError

from accelsim.errors import ConfigError, MappingError
from accelsim.spec.schema import MappingSpec
from accelsim.spec.yamlfile import Document, read, validate

Columns: TypeAlias = Mapping[str, np.ndarray]


class CandidateBounds(Protocol):
    """What the objective needs of each candidate, as arrays."""

    @property
    def cycles(self) -> np.ndarray:
        """Estimated cycles."""

    @property
    def dram_bits(self) -> np.ndarray:
        """DRAM bits."""

    @property
    def traffic(self) -> Mapping[tuple[str, str], np.ndarray]:
        """(boundary, direction) -> bits."""

    @property
    def own(self) -> tuple[str, np.ndarray] | None:
        """The engine's own objective: its formula in words, and its value."""


Price: TypeAlias = Callable[[str, str], float]
"""(boundary, direction) -> pJ per bit."""


class Choice(NamedTuple):
    """The winner, how many candidates it beat, and the figures that decided."""

    row: dict[str, Any]
    candidates: int
    objective: str
    why: str


def choose(columns: Columns, bounds: CandidateBounds, spec: MappingSpec, price: Price) -> Choice:
    """Return the best candidate: smallest objective, then cycles, then DRAM bits, then order of preference.

    Under an engine's own objective, ties go by order of preference at once.

    Parameters
    ----------
    columns : mapping
        Field of the mapping -> one value per candidate.
    bounds : Bounds
    spec : MappingSpec
        Objective and fixed keys.
    price : callable
        pJ per bit of a boundary and direction; called for energy objectives only.
    """
    count = len(bounds.cycles)
    keep = np.ones(count, dtype=np.bool_)
    for key, value in spec.fixed.items():
        if key not in columns:
            raise MappingError(f"mapping.fixed names '{key}'", f"known keys: {', '.join(columns)}")
        keep &= columns[key] == value
    if not keep.any():
        raise MappingError(
            f"no candidate has {dict(spec.fixed)}", "loosen mapping.fixed or pin a mapping with --mapping"
        )
    kept = np.flatnonzero(keep)
    name, score = _score(bounds, spec.objective, price)
    ties: tuple[np.ndarray, ...] = ()
    if spec.objective != "engine":
        ties = (bounds.dram_bits[kept], bounds.cycles[kept])
    order = np.lexsort((kept, *ties, score[kept]))
    best = int(kept[order[0]])
    row = {name: column[best].item() for name, column in columns.items()}
    why = f"{name} {score[best]:.6g}"
    if len(order) > 1:
        why += f", next best {score[int(kept[order[1]])]:.6g}"
    return Choice(row, len(kept), spec.objective, why)


def _score(bounds: CandidateBounds, objective: str, price: Price) -> tuple[str, np.ndarray]:
    """Return what the objective is called, and its value for each candidate."""
    if objective == "engine":
        if bounds.own is None:
            raise MappingError("the engine has no objective of its own", "set mapping.objective to cycles")
        return bounds.own
    if objective == "cycles":
        return objective, bounds.cycles.astype(np.float64)
    if objective == "dram":
        return objective, bounds.dram_bits.astype(np.float64)
    energy = np.zeros(len(bounds.cycles))
    for (boundary, direction), bits in bounds.traffic.items():
        energy += bits * price(boundary, direction)
    return objective, energy * bounds.cycles if objective == "edp" else energy


class Pinned:
    """Mappings read from a file: layer name or pattern -> mapping, the first match wins."""

    def __init__(self, path: Path) -> None:
        self._document: Document = read(path)
        for pattern, entry in self._document.data.items():
            if not isinstance(entry, dict):
                raise self._document.error((pattern,), "not a mapping", "write 'layer: {key: value, ...}'")

    def get(self, layer: str, schema: type[BaseModel]) -> BaseModel | None:
        """Return the mapping pinned for ``layer``, or None if the file does not name it."""
        for pattern in self._document.data:
            if fnmatchcase(layer, pattern):
                return validate(schema, self._document, (pattern,))
        return None

    def unused(self, layers: list[str]) -> list[str]:
        """Return the patterns that match no layer."""
        return [p for p in self._document.data if not any(fnmatchcase(name, p) for name in layers)]


def build(schema: type[BaseModel], row: Mapping[str, Any]) -> BaseModel:
    """Return the engine's mapping with the fields of a row."""
    try:
        return schema.model_validate(row)
    except ValidationError as error:
        raise ConfigError(f"mapping {dict(row)} is not legal: {error.errors()[0]['msg']}") from None
