"""Small sweep files, and what tests of sweeps share."""

import os
import signal
import sqlite3
import time
from pathlib import Path

from accelsim.explore.sweep import evaluate, export, store
from accelsim.explore.sweep.store import Row

NETWORK = """\
name: tiny
source: made up for tests
isolated: true
layers:
  - {name: a, kind: conv2d, c: 8, h: 12, w: 12, k: 16, r: 3, s: 3, pad: 1}
  - {name: b, kind: conv2d, c: 16, h: 12, w: 12, k: 8, r: 1, s: 1}
  - {name: c, kind: linear, c: 64, k: 32}
"""
SWEEP = """\
name: tiny_sweep
machines: [systolic_ws]
networks: [./tiny.yaml]
axes:
  params.rows: [2, 4, 8, 16]
  params.cols: {from: 2, to: 16, factor: 2}
constraints:
  - params.rows * params.cols <= 128
"""
LONG = SWEEP.replace("axes:\n", "axes:\n  memory.dram.gb_per_s: {from: 1, to: 12, step: 2}\n")


def listens():
    """Let a child end at SIGINT, which a shell's background jobs ignore: for ``preexec_fn``."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def write(folder, text=SWEEP, name="sweep.yaml"):
    """Write a sweep and its network, and return the sweep's path."""
    (folder / "tiny.yaml").write_text(NETWORK)
    path = folder / name
    path.write_text(text)
    return path


def table(path, layers=False):
    """Return the exported rows of a store as CSV."""
    with store.open_reader(path) as opened:
        return export.to_csv(export.rows(opened, layers))


def rows_in(path):
    """Return how many results a store has, whatever is writing to it."""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as db:
            return db.execute("SELECT count(*) FROM totals").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def wait_for(condition, process=None, seconds=900):
    """Wait until a condition gives something true, and return that; None if ``process`` is over without it.

    The bound is no measure of speed: a machine may be busy with other work for minutes.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        if process is not None and process.poll() is not None:
            return condition() or None
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)
    return found


def children(pid):
    """Return the living descendants of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            child = int(stat.parent.name)
            found += [child, *children(child)]
    return found


def deadly_chunk(packed, jobs):
    """Stand in for `run_chunk`: a point whose key is in ``packed`` kills its process."""
    time.sleep(0.002)
    if any(job.key in packed.decode().split() for job in jobs):
        os.kill(os.getpid(), signal.SIGKILL)
    return [Row(job.key, "ok", None) for job in jobs], 0.002, {}


SLOWLY = """\
from accelsim.cli import main
from accelsim.explore.sweep import execute
from sweep_files import slow_chunk

execute.run_chunk = slow_chunk
main()
"""


def slow_chunk(packed, jobs):
    """Stand in for `run_chunk`: a tenth of a second per point, so that a sweep is caught while it runs."""
    time.sleep(0.1 * len(jobs))
    rows, seconds, walked = evaluate.run_chunk(packed, jobs)
    return rows, seconds + 0.1 * len(jobs), walked


ONE = """\
name: one
source: made up for tests
isolated: true
layers:
  - {name: c, kind: linear, c: 64, k: 32}
"""
SPACE = """\
name: space
machines: [systolic_ws]
networks: [./one.yaml]
axes:
  params.rows: [2, 3, 4, 6, 8, 12, 16, 24, 32, 48]
  params.cols: {from: 2, to: 16, factor: 2}
  params.dataflow: [ws, os, is]
  memory.dram.gb_per_s: [1, 2, 4]
constraints:
  - params.rows * params.cols <= 256
objectives: [cycles, area_mm2]
"""


def write_space(folder, text=SPACE):
    """Write a space of 360 designs, 324 of them legal, and its network, and return the space's path."""
    (folder / "one.yaml").write_text(ONE)
    path = folder / "space.yaml"
    path.write_text(text)
    return path
