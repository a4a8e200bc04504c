"""Which names are matrices; loads nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

SUFFIXES = (".mtx", ".mtx.gz", ".txt", ".txt.gz", ".npz")
"""Matrix Market, SNAP edge lists, scipy archives."""
GENERATORS = ("rmat", "uniform", "banded", "powerlaw")
"""Generated matrices, ``rmat:n=1000,nnz=8000``."""
VECTOR = "vector"
"""A second matrix of one full column, as long as the first one is wide; ``MATRIX@vector`` is the product with it."""
PREFIX = "matrix:"
"""Names of real matrices: files in the folder ``matrices`` of ``ACCELSIM_DATA``."""


def suffix_of(name: str) -> str:
    """Return the suffix, ``.gz`` with the one before it, in lower case."""
    path = Path(name.lower())
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def is_matrix(name: str) -> bool:
    """Whether a network's name is a matrix: a file of a known type, a generator or ``matrix:<name>``."""
    name = name.removesuffix(f"@{VECTOR}")
    return name.startswith(PREFIX) or name.partition(":")[0] in GENERATORS or suffix_of(name) in SUFFIXES


def data_file(name: str) -> Path | None:
    """Return a file of the folder ``ACCELSIM_DATA``, or None where that is not set or does not hold it."""
    folder = os.environ.get("ACCELSIM_DATA")
    path = Path(folder or "") / name
    return path if folder and path.is_file() else None


def find_data(name: str) -> Path | None:
    """Return the file of a real matrix, or None where ``ACCELSIM_DATA`` is not set or does not hold it."""
    if not re.fullmatch(r"[\w.-]+", name):
        return None
    return next((path for suffix in SUFFIXES if (path := data_file(f"matrices/{name}{suffix}"))), None)
