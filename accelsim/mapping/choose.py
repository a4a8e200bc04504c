"""Choosing a mapping: the candidate with the smallest objective, or a pinned one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from pydantic import BaseModel, ValidationError

from accelsim.config import packaged
from accelsim.config.schema import MappingSpec
from accelsim.config.yamlfile import Document, of_values, read, validate
from accelsim.errors import ConfigError, MappingError

Candidates: TypeAlias = dict[str, np.ndarray]
"""Candidate mappings, one array per field of the engine's mapping, all of one length."""


MOST_TIMED = 256
"""Candidates that are timed at most; `benchmarks/regret.md` says how much fewer would lose,
`benchmarks/monotone.md` what better machines never do."""


class Bounds(NamedTuple):
    """What the mapper's objective needs of each candidate, as arrays.

    Attributes
    ----------
    cycles : ndarray of int64
        Cycles that the candidate takes at least, DRAM included; exact ones if there is no ``timed``.
    dram_bits : ndarray of int64
        Whole bursts, read and written.
    traffic : dict
        (boundary, direction) -> bits, all boundaries whose traffic a mapping changes; with ``events``, it prices
        energy objectives.
    own : tuple of str and ndarray of float64, or None
        For ``mapping.objective: engine``: the engine's own objective in words, and its value. Candidates that it
        does not tell apart are taken in their order.
    events : dict
        (component, action) -> count of operations, one number or one per candidate.
    timed : callable or None
        Places of candidates -> their exact cycles.
    others : int
        Candidates that were left out because none can be better than the best of these, or, if these are more than
        ``most``, because none has a better bound.
    most : int
        Candidates that are timed at most.
    """

    cycles: np.ndarray
    dram_bits: np.ndarray
    traffic: Mapping[tuple[str, str], Any]
    own: tuple[str, np.ndarray] | None = None
    events: Mapping[tuple[str, str], Any] = {}
    timed: Callable[[np.ndarray], np.ndarray] | None = None
    others: int = 0
    most: int = MOST_TIMED


PriceOf: TypeAlias = Callable[[str, str], float]
"""(boundary, direction) -> pJ per bit."""


class Choice(NamedTuple):
    """The winner, how many candidates it beat, and the figures that decided."""

    row: dict[str, Any]
    candidates: int
    objective: str
    why: str


def choose(
    columns: Candidates, bounds: Bounds, spec: MappingSpec, price: PriceOf, leak_pj_per_cycle: float = 0.0
) -> Choice:
    """Return the best candidate: smallest objective, then cycles, then DRAM bits, then order of preference.

    Candidates are timed in the order of their bounds until the next bound is no better than the best: that one is then
    the best of all. At most ``bounds.most`` are timed. Under an engine's own objective, ties go by order of preference
    at once and nothing is timed.

    Parameters
    ----------
    columns : mapping
        Field of the mapping -> one value per candidate.
    bounds : Bounds
    spec : MappingSpec
        Objective and fixed keys.
    price : callable
        (boundary, direction) -> pJ per bit, (component, action) -> pJ; called for energy objectives only.
    leak_pj_per_cycle : float
        Of the whole machine; part of energy objectives.
    """
    kept = np.flatnonzero(_keep(columns, len(bounds.cycles), spec.fixed))
    if spec.objective == "engine":
        if bounds.own is None:
            raise MappingError("the engine has no objective of its own", "set mapping.objective to cycles")
        name, own = bounds.own
        order = np.lexsort((kept, own[kept]))
        why = f"{name} {own[kept[order[0]]]:.6g}"
        if len(order) > 1:
            why += f", next best {own[kept[order[1]]]:.6g}"
        return Choice(_row(columns, int(kept[order[0]])), len(kept), spec.objective, why)
    keys = keys_of(bounds, spec.objective, price, leak_pj_per_cycle)
    least = keys(kept, bounds.cycles[kept])
    order = np.lexsort(least.T[::-1])
    if bounds.timed is None:
        best, timed = tuple(least[order[0]]), len(order)
    else:
        best, timed, most = (np.inf,) * 4, 0, min(len(order), bounds.most)
        while timed < most and tuple(least[order[timed]]) < best:
            some = kept[order[timed : min(2 * timed + 1, most)]]
            best = min(best, *map(tuple, keys(some, bounds.timed(some))))
            timed += len(some)
    listed = len(kept) + bounds.others
    why = f"{spec.objective} {best[0]:.6g}, the least of "
    if timed == listed:
        why += f"{timed:,}"
    elif timed == len(order) or tuple(least[order[timed]]) >= best:
        why += f"{listed:,} ({timed} timed, bounds rule out the others)"
    else:
        why += f"the {timed} most promising of {listed:,}"
    return Choice(_row(columns, int(best[3])), listed, spec.objective, why)


def keys_of(
    bounds: Bounds, objective: str, price: PriceOf, leak_pj_per_cycle: float
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return what compares candidates: (places, their cycles) -> score, cycles, DRAM bits and place, a row of each."""
    dynamic = dynamic_pj(bounds, price) if objective in ("energy", "edp") else np.zeros(0)

    def keys(places: np.ndarray, cycles: np.ndarray) -> np.ndarray:
        score: np.ndarray = cycles
        if objective == "dram":
            score = bounds.dram_bits[places]
        elif objective != "cycles":
            score = dynamic[places] + leak_pj_per_cycle * cycles
            score = score * cycles if objective == "edp" else score
        return np.stack([score, cycles, bounds.dram_bits[places], places], axis=1, dtype=np.float64)

    return keys


def _row(columns: Candidates, place: int) -> dict[str, Any]:
    return {name: column[place].item() for name, column in columns.items()}


def _keep(columns: Candidates, count: int, fixed: Mapping[str, Any]) -> np.ndarray:
    keep = np.ones(count, dtype=np.bool_)
    for key, value in fixed.items():
        if key not in columns:
            raise MappingError(f"mapping.fixed names '{key}'", f"known keys: {', '.join(columns)}")
        keep &= columns[key] == value
    if not keep.any():
        raise MappingError(f"no candidate has {dict(fixed)}", "loosen mapping.fixed or pin a mapping with --mapping")
    return keep


def dynamic_pj(bounds: Bounds, price: PriceOf) -> np.ndarray:
    """Return the energy of each candidate, leakage apart."""
    energy = np.zeros(len(bounds.cycles))
    for (name, action), count in (*bounds.traffic.items(), *bounds.events.items()):
        energy += count * price(name, action)
    return energy


class Pinned:
    """Pinned mappings: layer name or pattern -> mapping, the first match wins.

    Of a file, of a packaged one by name, or the content of one as values.
    """

    def __init__(self, given: str | Path | Mapping[str, Any]) -> None:
        if isinstance(given, Mapping):
            self._document: Document = of_values(given, "<pinned mappings>")
        else:
            self._document = read(packaged.beside("mappings", given))
        self.name = self._document.name
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
