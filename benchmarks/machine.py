"""The machine of a measurement, in general terms."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import numba
import numpy as np

from .c.twins import FLAGS, GCC


def machine() -> list[str]:
    """Return processor, cores, compiler and versions."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] if (
        info.exists()
    ) else []  # fmt: skip
    gcc = "none"
    if GCC:
        gcc = subprocess.run([GCC, "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    return [
        f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores",
        f"gcc {gcc} {' '.join(FLAGS)}",
        f"Python {platform.python_version()}, numba {numba.__version__}, numpy {np.__version__}",
    ]
