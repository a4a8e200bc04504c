"""Fuzzing one kind of file: the same inputs every time, each a seed of its own."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fuzz import watch
from benchmarks.fuzz.absurd_targets import ABSURD
from benchmarks.fuzz.targets import TARGETS, Target

ALL = {**TARGETS, **ABSURD}


def inputs(name: str, count: int, first: int = 0) -> Iterator[bytes]:
    """Yield the mutated inputs of a kind of file; number i does not depend on how many there are."""
    target = ALL[name]
    seeds = target.seeds()
    for i in range(first, first + count):
        yield target.make(seeds, random.Random(f"{name} {i}"))


def fuzz(name: str, count: int) -> watch.Outcome:
    """Use ``count`` mutated files as a user would."""
    target = ALL[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"input{target.suffix}"
        warm(target, path)
        return watch.run(target.use, inputs(name, count), path)


def warm(target: Target, path: Path) -> None:
    """Use every seed once: they are good, and load and compile what mutated inputs will need."""
    for seed in target.seeds():
        path.write_bytes(seed)
        target.use(path)
