"""One measured promise."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Check(NamedTuple):
    """What was promised, what was measured, and whether it holds (None: a figure without a bar)."""

    promise: str
    figure: str
    holds: bool | None = None


def run(*args: str, cwd: str | Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder of its own."""
    command = [sys.executable, "-m", "accelsim", *args]
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            command, cwd=cwd or folder, env={**os.environ, **env}, capture_output=True, text=True, check=False
        )


def cpu_s(*command: str, **env: str) -> float:
    """Return the CPU seconds (user and system) of a command, the smallest of three runs."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def accelsim_cpu_s(*args: str) -> float:
    """Return the CPU seconds of an accelsim command."""
    return cpu_s(sys.executable, "-m", "accelsim", *args)


PROBE = """
import pathlib, resource
status = pathlib.Path("/proc/self/status")
if status.exists():  # the kernel's ru_maxrss remembers the parent
    print(next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2)
"""


def peak_mib(code: str) -> float:
    """Return the peak memory of a fresh Python that runs ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{PROBE}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])
