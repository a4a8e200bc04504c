"""What engines suggest against lost cycles, and what came of trying it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel


class Remedy(NamedTuple):
    """Parameters of an engine to set together, and the causes of lost unit-cycles that they address."""

    sets: Mapping[str, Any]
    causes: tuple[str, ...]


class Tried(NamedTuple):
    """A remedy that was run: key paths as ``--set`` takes them (``batch``: of ``--batch``), and the run's totals.

    ``area_mm2`` is of the machine; None where its table has no areas, and of reports older than the figure.
    """

    sets: Mapping[str, Any]
    batch: int
    cycles: int
    total_energy_pj: float
    area_mm2: float | None = None


class Advice(NamedTuple):
    """The remedies that gained cycles, largest gain first.

    Attributes
    ----------
    gained : tuple of Tried
    tried : int
        Remedies that ran, those without gain included.
    left_out : str
        What was not tried and why; empty where nothing was left out.
    """

    gained: tuple[Tried, ...] = ()
    tried: int = 0
    left_out: str = ""


def doubled(params: BaseModel, cause: str, *keys: str) -> tuple[Remedy, ...]:
    """Return a remedy per key: twice as much of it. One that the schema refuses is dropped when it is tried."""
    return tuple(Remedy({key: 2 * getattr(params, key)}, (cause,)) for key in keys)


def reshaped(params: BaseModel, rows: str, cols: str, times: int = 2) -> tuple[Remedy, ...]:
    """Return other shapes of an array of as many units, for layers that do not fill it."""
    sizes = {rows: getattr(params, rows), cols: getattr(params, cols)}
    pairs = ((rows, cols), (cols, rows))
    return tuple(
        Remedy({less: sizes[less] // times, more: sizes[more] * times}, ("unmapped", "imbalance"))
        for less, more in pairs
        if sizes[less] % times == 0
    )


def said(value: Any) -> str:
    """Return a value as ``--set`` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
