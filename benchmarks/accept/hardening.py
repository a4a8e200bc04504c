"""Hardening: damaged files, a fixed number of each kind; ``make fuzz`` runs ten thousand."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from benchmarks.fuzz.run import fuzz
from benchmarks.fuzz.targets import TARGETS

from .check import Check

COUNT = 300


def checks() -> Iterator[Check]:
    """Yield one line per kind of file."""
    warnings.filterwarnings("ignore", "Duplicate name")
    for name in TARGETS:
        outcome = fuzz(name, COUNT)
        ends = ", ".join(f"{times:,} {end}" for end, times in sorted(outcome.ends.items()))
        yield Check(f"{COUNT} damaged files, {name}: a result or one line each", ends, not outcome.defects)
