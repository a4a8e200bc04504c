"""A copy of the tree in which one mutation after another is made, tested and taken back."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.mutants.table import Mutant

ROOT = Path(__file__).resolve().parents[2]
_LEFT_OUT = (".git", ".venv*", "__pycache__", "*.egg-info", "build", "dist", ".*_cache", ".hypothesis", "out")
CPU_LIMIT_S = 90
"""A mutant that computes for longer is in a loop without end."""
MEMORY_LIMIT_BYTES = 8 << 30
_ENDED = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)


class Verdict(NamedTuple):
    """What became of a mutant: ``killed`` by a test, ``survived``, or ``unfit`` (nothing could be tested)."""

    mutant: Mutant
    state: str
    by: str
    cpu_s: float


class Tree:
    """A copy of the sources with compiled kernels of its own."""

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        self.path = folder / "tree"
        self._kernels = folder / "kernels"
        shutil.copytree(root, self.path, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        self._clock = int(max(path.stat().st_mtime for path in self.path.rglob("*.py")))

    def judge(self, mutant: Mutant) -> Verdict:
        """Make one mutation, run its tests up to the first failure, and take the mutation back."""
        path = self.path / mutant.file
        text = path.read_text(encoding="utf-8")
        before = _children_s()
        # what a mutated kernel compiles must neither be found by others nor push theirs out
        kernels = self._kernels.with_name(f"kernels-{mutant.id}") if mutant.in_kernel else self._kernels
        try:
            self._write(path, mutant.apply(text))
            done = self._pytest(kernels, mutant.interpreted, "-x", *mutant.tests)
        finally:
            self._write(path, text)
            if mutant.in_kernel:
                shutil.rmtree(kernels, ignore_errors=True)
        return Verdict(mutant, *_meaning(done), _children_s() - before)

    def failing(self, verdicts: Sequence[Verdict]) -> list[str]:
        """Return which of the tests that killed fail without any mutation: they prove nothing."""
        found = []
        for interpreted in (False, True):
            mine = [v for v in verdicts if v.mutant.interpreted == interpreted]
            if tests := sorted({v.by for v in mine if v.by.startswith("tests/")}):
                found += _ENDED.findall(self._pytest(self._kernels, interpreted, *tests).stdout)
        return found

    def _pytest(self, kernels: Path, interpreted: bool, *args: str) -> subprocess.CompletedProcess[str]:
        options = ("-q", "--tb=no", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin", "--hypothesis-seed=0")
        env = {
            **os.environ, "PYTHONPATH": str(self.path), "ACCELSIM_CACHE_DIR": str(kernels), "COLUMNS": "400",
            "NUMBA_DISABLE_JIT": str(int(interpreted)),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # plugins that no test here uses take half of a short run
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "pytest", *options, *args],
            cwd=self.path, env=env, capture_output=True, text=True, check=False, preexec_fn=_limit,
        )  # fmt: skip

    def _write(self, path: Path, text: str) -> None:
        """Write a file with a time of its own: Python tells stale byte code by size and whole seconds."""
        path.write_text(text, encoding="utf-8")
        self._clock += 1
        os.utime(path, (self._clock, self._clock))


@contextmanager
def tree() -> Iterator[Tree]:
    """Give a copy of the sources and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Tree(Path(folder))
        code = "import accelsim; print(accelsim.__file__)"
        env = {**os.environ, "PYTHONPATH": str(copy.path)}
        done = subprocess.run([sys.executable, "-c", code], cwd=copy.path, env=env, capture_output=True, text=True)
        if not done.stdout.startswith(str(copy.path)):
            raise RuntimeError(f"the copy is not what Python imports, but {done.stdout or done.stderr}")
        yield copy


def _meaning(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """Return the state and what killed, from how pytest ended."""
    if done.returncode == 0:
        return "survived", ""
    failed = _ENDED.findall(done.stdout)
    if done.returncode == 1 and failed:
        return "killed", failed[0]
    if done.returncode < 0:
        return "killed", f"(signal {-done.returncode}: more than {CPU_LIMIT_S} s of CPU, or a crash)"
    return "unfit", (done.stdout + done.stderr).strip()[-500:]


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
