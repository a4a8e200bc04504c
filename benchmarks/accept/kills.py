"""Sweeps and searches that are killed at random instants, and exports from different executors."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from accelsim.explore.search import design as search
from accelsim.explore.search.design import Settings
from accelsim.explore.sweep import export, store
from accelsim.explore.sweep import run as sweep

from .check import ROOT, Check

NETWORK = """\
name: one
source: made up for this check
isolated: true
layers:
  - {name: c, kind: linear, c: 64, k: 32}
"""
SPACE = """\
name: kills
machines: [systolic_ws]
networks: [./one.yaml]
axes:
  params.rows: {from: 1, to: 40, step: 1}
  params.cols: {from: 1, to: 26, step: 1}
  params.dataflow: [ws, os]
  memory.dram.gb_per_s: [1, 2, 4]
  params.input_kib: {from: 16, to: 256, step: 16}
constraints:
  - params.rows * params.cols <= 1000
objectives: [cycles, area_mm2]
"""
KILLS = 10
SEARCH_KILLS = 4
BUDGET = 1200


def checks() -> Iterator[Check]:
    """Yield the checks of this part."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "one.yaml").write_text(NETWORK)
        (folder / "space.yaml").write_text(SPACE)
        start = time.monotonic()
        end = sweep.run(folder / "space.yaml", folder / "all.db", workers=2)
        seconds = time.monotonic() - start
        yield Check("an undisturbed sweep, 2 workers", f"{end.pace.done:,} points in {seconds:.0f} s")
        yield from _executors(folder)
        yield _killed_sweep(folder, seconds)
        yield from _searches(folder)


def _executors(folder: Path) -> Iterator[Check]:
    expected = _table(folder / "all.db"), _parquet(folder / "all.db")
    for words in (["--workers", "1"], ["--workers", "4"], ["--executor", "dask", "--workers", "2"]):
        done = subprocess.run(
            _command("sweep", "part.db", *words), cwd=folder, env=_environment(), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        same = done.returncode == 0 and (_table(folder / "part.db"), _parquet(folder / "part.db")) == expected
        figure = f"{len(expected[0]):,} bytes of CSV and {len(expected[1]):,} of Parquet"
        yield Check(f"byte-identical exports with {' '.join(words)}", figure, same)
        (folder / "part.db").unlink()


def _killed_sweep(folder: Path, seconds: float) -> Check:
    """Kill a worker and then its parent, each at a random instant, until ten kills have hit a running sweep."""
    rng, hits, whole, wrong = random.Random(11), 0, 0, 0
    killed = folder / "killed.db"
    while hits < KILLS:
        process = _start(folder, "sweep", killed.name)
        for find in (_workers, lambda pid: [pid]):
            time.sleep(rng.uniform(0, 1 + seconds / 8))
            victims = find(process.pid) if process.poll() is None else []
            if victims:
                os.kill(rng.choice(victims), signal.SIGKILL)
                hits += 1
        if process.wait() == 0:  # it was over before its parent was killed: begin another one
            whole += 1
            wrong += _table(killed) != _table(folder / "all.db")
            killed.unlink()
    _finish(_start(folder, "sweep", killed.name))
    wrong += _table(killed) != _table(folder / "all.db")
    figure = f"{hits} kills of workers and parents in turn, over {whole + 1} sweeps; {wrong} ended with other rows"
    return Check("SIGKILLed at random instants, then resumed", figure, not wrong)


def _searches(folder: Path) -> Iterator[Check]:
    rng = random.Random(12)
    for method in ("nsga2", "cma", "random"):
        settings = Settings(method, BUDGET)
        db = folder / f"{method}.db"
        found = search.run(folder / "space.yaml", db, settings, against=folder / "all.db", workers=0)
        far = found.distance
        assert far is not None
        figure = (
            f"{far.exact - far.missed} of {far.exact} points of the front, {100 * far.hypervolume:.2f} % of its "
            f"hypervolume, within {100 * (far.factor - 1):.2g} %; {found.tried:,} of {found.legal:,} designs"
        )
        yield Check(f"search by {method}, against the exhaustive front", figure)
        if method == "random":
            continue
        words = ["--method", method, "--budget", str(BUDGET)]
        killed = folder / f"{method}-killed.db"
        for _ in range(SEARCH_KILLS):
            process = _start(folder, "search design", killed.name, *words)
            time.sleep(rng.uniform(1, 5))
            process.kill()
            process.wait()
        _finish(_start(folder, "search design", killed.name, *words))
        same = _table(killed) == _table(db)
        yield Check(f"search by {method}, SIGKILLed {SEARCH_KILLS} times, 2 workers", "the rows of the undisturbed one "
                    "in the same order" if same else "other rows", same)  # fmt: skip


def _command(name: str, db: str, *words: str) -> list[str]:
    return [sys.executable, "-m", "accelsim", *name.split(), "space.yaml", "--store", db, *words]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _start(folder: Path, name: str, db: str, *words: str) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    command = _command(name, db, "--workers", "2", *words)
    return subprocess.Popen(command, cwd=folder, env=_environment(), stdout=quiet, stderr=quiet)


def _finish(process: subprocess.Popen[bytes]) -> None:
    status = process.wait()
    assert status == 0, f"status {status}"


def _workers(pid: int) -> list[int]:
    """Return the descendants of a process that simulate: those that the fork server has forked."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    return [grandchild for child in parents.get(pid, []) for grandchild in parents.get(child, [])]


def _table(path: Path) -> str:
    with store.open_reader(path) as opened:
        return export.to_csv(export.rows(opened))


def _parquet(path: Path) -> bytes:
    target = path.with_suffix(".parquet")
    with store.open_reader(path) as opened:
        export.write(opened, target)
    return target.read_bytes()
