"""The table of mutations: found by text, so that it survives a move of lines and complains when the text is gone.

Every ``*.yaml`` beside this file but ``survivors.yaml`` is an area: a list of groups, each a file of accelsim, the
tests that must notice, and the mutations of that file as ``id: [old text, new text]``. ``interpreted: true`` runs these
tests without the compiler: for kernels whose callers take longer to compile than small layers to step through.
"""

from __future__ import annotations

import hashlib
import random
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

HERE = Path(__file__).parent
SURVIVORS = HERE / "survivors.yaml"


class Mutant(NamedTuple):
    """One change: ``old``, which stands once in ``file``, becomes ``new``; ``tests`` are arguments of pytest."""

    id: str
    area: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    interpreted: bool = False

    @property
    def in_kernel(self) -> bool:
        """Whether the file holds code that is compiled; see `accelsim.jit`."""
        return self.file.endswith(("/kernel.py", "_kernel.py")) and not self.interpreted

    def apply(self, text: str) -> str:
        """Return the mutated text of the file; ValueError if the old text does not stand in it exactly once."""
        if (times := text.count(self.old)) != 1:
            raise ValueError(f"{self.id}: the old text stands {times} times in {self.file}")
        if self.old == self.new:
            raise ValueError(f"{self.id}: changes nothing")
        return text.replace(self.old, self.new)


def load(folder: Path = HERE) -> list[Mutant]:
    """Return all mutations, by area and in the order of the files."""
    return [mutant for path in sorted(folder.glob("*.yaml")) if path.name != SURVIVORS.name for mutant in _area(path)]


def survivors() -> dict[str, str]:
    """Return id -> why no test notices that mutation."""
    return yaml.safe_load(SURVIVORS.read_text(encoding="utf-8")) or {}


def choose(mutants: Sequence[Mutant], names: Sequence[str], number: int | None, seed: str) -> list[Mutant]:
    """Return the mutations of the named ids or areas (all without names), or ``number`` of them drawn by ``seed``."""
    known = {mutant.id for mutant in mutants} | {mutant.area for mutant in mutants}
    if unknown := sorted(set(names) - known):
        raise ValueError(f"no such mutation or area: {', '.join(unknown)}")
    found = [mutant for mutant in mutants if not names or {mutant.id, mutant.area} & set(names)]
    if number is None or number >= len(found):
        return found
    drawn = set(random.Random(seed).sample([mutant.id for mutant in found], number))
    return [mutant for mutant in found if mutant.id in drawn]


def seed_of(mutants: Sequence[Mutant], root: Path) -> str:
    """Return a digest of the files that are mutated: the same sources draw the same mutations."""
    digest = hashlib.sha256()
    for file in sorted({mutant.file for mutant in mutants}):
        digest.update((root / file).read_bytes())
    return digest.hexdigest()[:12]


def _area(path: Path) -> Iterator[Mutant]:
    for group in yaml.safe_load(path.read_text(encoding="utf-8")):
        tests, interpreted = tuple(shlex.split(group["tests"])), group.get("interpreted", False)
        for name, (old, new) in group["mutants"].items():
            yield Mutant(name, path.stem, group["file"], old, new, tests, interpreted)
