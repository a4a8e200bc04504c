"""This build against an earlier one, taken from the repository's own history: both measured by `probe` in one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

BUILD = "0ef236b"
ROOT = Path(__file__).parents[1]
PROBE = Path(__file__).with_name("probe.py")


class Figure(NamedTuple):
    """A figure of this build and of the one before; what is a rate is better if larger."""

    what: str
    now: float
    before: float

    @property
    def better(self) -> float:
        """How many times better this build is."""
        return self.now / self.before if "per CPU s" in self.what else self.before / self.now


def archive(build: str = BUILD, root: Path = ROOT) -> bytes | None:
    """Return the tree of an earlier build as a tar file; None where the history does not have it."""
    try:
        done = subprocess.run(["git", "archive", "--format=tar", build], cwd=root, capture_output=True)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def figures() -> list[Figure] | None:
    """Measure both builds with this interpreter; None without the history."""
    packed = archive()
    if packed is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        with tarfile.open(fileobj=BytesIO(packed)) as tar:
            tar.extractall(tree, filter="data")
        caches = Path(folder) / "cache"
        before, now = (measured(where, caches / where.name) for where in (tree, ROOT))
    return [Figure(what, now[what], before[what]) for what in now]


def measured(tree: Path, cache: Path) -> dict[str, Any]:
    """Return what `probe` says of the package in a tree."""
    environment = os.environ | {"PYTHONPATH": str(tree), "ACCELSIM_CACHE_DIR": str(cache)}
    found: dict[str, Any] = {}
    for arguments in ([], ["--peak"]):
        words = [sys.executable, str(PROBE), *arguments]
        done = subprocess.run(words, cwd=tree, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        found |= json.loads(done.stdout.splitlines()[-1])
    return found
