"""Which names are matrices; loads nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

SUFFIXES = (".mtx", ".mtx.gz", ".txt", ".txt.gz", ".npz")
"""Matrix Market, SNAP edge lists, scipy archives."""
GENERATORS = ("rmat", "uniform", "banded", "powerlaw")
"""Generated matrices, ``rmat:n=1000,nnz=8000``."""
PREFIX = "matrix:"
"""Names of real matrices: files in the folder ``matrices`` of ``ACCELSIM_DATA``."""


def suffix_of(name: str) -> str:
    """Return the suffix, ``.gz`` with the one before it, in lower case."""
    path = Path(name.lower())
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def is_matrix(name: str) -> bool:
    """Whether a network's name is a matrix: a file of a known type, a generator or ``matrix:<name>``."""
    return name.startswith(PREFIX) or name.partition(":")[0] in GENERATORS or suffix_of(name) in SUFFIXES


def find_data(name: str) -> Path | None:
    """Return the file of a real matrix, or None where ``ACCELSIM_DATA`` is not set or does not hold it."""
    folder = os.environ.get("ACCELSIM_DATA")
    if not folder or not re.fullmatch(r"[\w.-]+", name):
        return None
    paths = (Path(folder) / "matrices" / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)
