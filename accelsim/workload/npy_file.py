"""Looks at .npy and .npz files before memory is spent on them: what a header says must be in the file."""

from __future__ import annotations

import lzma
import struct
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
    OverflowError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)
"""What reading a damaged archive raises, encrypted or oddly compressed members included."""


_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What NumPy writes; how far the other methods unpack is known only after it."""
_DEFLATE = 1032
"""Deflate makes at most so many bytes of one."""


def check_npz(path: Path, most_bytes: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of an archive, by name.

    Raises
    ------
    ValueError, or what `zipfile` raises
        Unless `numpy.load` can read the archive within ``most_bytes``.
    """
    shapes = {}
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > most_bytes:
            raise ValueError(f"unpacks to more than {most_bytes / 2**30:g} GiB")
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            if entry.compress_type not in _METHODS:
                raise ValueError(f"array '{name}' is packed by method {entry.compress_type}, which NumPy does not use")
            if name in shapes:
                raise ValueError(f"array '{name}' is there twice")
            most = entry.compress_size * (_DEFLATE if entry.compress_type == zipfile.ZIP_DEFLATED else 1)
            if entry.file_size > most or entry.compress_size > path.stat().st_size:
                raise ValueError(f"array '{name}' cannot hold what the archive says of its size")
            with archive.open(entry) as stream:
                # numpy goes by the first bytes of a member, whatever its name, and gives others as they are
                if stream.read(len(_MAGIC)) != _MAGIC:
                    raise ValueError(f"'{name}' is no array")
                stream.seek(0)
                shapes[name] = _check(stream, entry.file_size, f"array '{name}' ")
    return shapes


def check_npy(path: Path) -> None:
    """Raise ValueError unless `numpy.load` can read the array."""
    with path.open("rb") as stream:
        _check(stream, path.stat().st_size, "")


def _check(stream: IO[bytes], size: int, what: str) -> tuple[int, ...]:
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    except Exception:  # a header is read as Python: whatever stands there
        raise ValueError(f"{what}has a damaged header") from None
    if dtype.hasobject:
        raise ValueError(f"{what}holds Python objects, which are never read")
    if any(type(length) is not int for length in shape) or not dtype.itemsize:  # to Python, True is a number
        raise ValueError(f"{what}has a damaged header")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize > size - stream.tell():
        raise ValueError(f"{what}is cut off: its header says {shape} of {dtype}")
    return tuple(shape)
