"""Looks at .npy and .npz files before memory is spent on them: what a header says must be in the file."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

_MAGIC = b"\x93NUMPY"
UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged archive raises, encrypted or oddly compressed members included."""


def check_npz(path: Path, most_bytes: int) -> None:
    """Raise ValueError, or what `zipfile` raises, unless `numpy.load` can read the archive within ``most_bytes``."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > most_bytes:
            raise ValueError(f"unpacks to more than {most_bytes / 2**30:g} GiB")
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            with archive.open(entry) as stream:
                # numpy goes by the first bytes of a member, whatever its name, and gives others as they are
                if stream.read(len(_MAGIC)) != _MAGIC:
                    raise ValueError(f"'{name}' is no array")
                stream.seek(0)
                _check(stream, entry.file_size, f"array '{name}' ")


def check_npy(path: Path) -> None:
    """Raise ValueError unless `numpy.load` can read the array."""
    with path.open("rb") as stream:
        _check(stream, path.stat().st_size, "")


def _check(stream: IO[bytes], size: int, what: str) -> None:
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    except (tokenize.TokenError, SyntaxError, TypeError, ValueError, RecursionError):
        raise ValueError(f"{what}has a damaged header") from None
    if dtype.hasobject:
        raise ValueError(f"{what}holds Python objects, which are never read")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize > size - stream.tell():
        raise ValueError(f"{what}is cut off: its header says {shape} of {dtype}")
