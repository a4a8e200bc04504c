"""Hardening: damaged and absurd files, a fixed number of each kind; ``make fuzz`` runs ten thousand damaged ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from benchmarks.fuzz.absurd_targets import ABSURD
from benchmarks.fuzz.run import ALL, fuzz

from .check import Check

COUNT, ABSURD_COUNT = 300, 5_000


def checks() -> Iterator[Check]:
    """Yield one line per kind of file."""
    warnings.filterwarnings("ignore", "Duplicate name")
    for name in ALL:
        count, words = (ABSURD_COUNT, "absurd") if name in ABSURD else (COUNT, "damaged")
        outcome = fuzz(name, count)
        ends = ", ".join(f"{times:,} {end}" for end, times in sorted(outcome.ends.items()))
        yield Check(f"{count:,} {words} files, {name}: a result or one line each", ends, not outcome.defects)
