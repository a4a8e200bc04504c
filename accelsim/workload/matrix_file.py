"""Reading sparse matrices: Matrix Market, SNAP edge lists, scipy archives."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.text import quoted
from accelsim.workload.csr_matrix import MAX_ENTRIES, CsrMatrix, check_size, from_entries
from accelsim.workload.matrix_names import suffix_of
from accelsim.workload.npy_file import UNREADABLE, check_npz

LINE_BYTES = 128
"""No entry of a matrix file takes a longer line; bounds what a compressed file may unpack to."""
EDGE_BYTES = 1 << 31
"""A longer edge list is refused: it has no header that says its size."""
FREE_BYTES = 1 << 20
"""Comments and header on top of the entries."""


def read_matrix(path: Path, name: str | None = None) -> CsrMatrix:
    """Return the matrix of a file of one of the types in `matrix_names`.

    Raises
    ------
    WorkloadError
        Anything wrong with the file, in one line, before memory is spent on it.
    """
    name = name or str(path)
    suffix = suffix_of(name)
    try:
        if suffix == ".npz":
            return _read_npz(path, name)
        if suffix in (".mtx", ".mtx.gz"):
            return _read_mtx(path, name)
        return read_edges(path, name)
    except UNREADABLE as error:
        problem = f"cannot be read as {suffix} ({quoted(error)})"
        raise WorkloadError(problem, "is it cut off or another format?", file=name) from None


def _open(path: Path) -> io.BufferedIOBase:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _bounded(stream: io.BufferedIOBase, limit: int, name: str) -> bytes:
    body = io.BytesIO()
    while chunk := stream.read(1 << 20):  # not all at once: a header may allow more than there is memory
        body.write(chunk)
        if body.tell() > limit:
            raise WorkloadError(
                f"holds more than the {limit:,} bytes that its size allows", "correct its header", file=name
            )
    return body.getvalue()


def _read_mtx(path: Path, name: str) -> CsrMatrix:
    with _open(path) as stream:
        banner = stream.readline(LINE_BYTES * 8)
        has_banner = banner.lower().startswith(b"%%matrixmarket")
        # without the banner (SNAP's wiki-Vote) a third number appears on some lines only: it is no value
        field, symmetry = _banner(banner, name) if has_banner else ("pattern", "general")
        line = stream.readline(LINE_BYTES * 8) if has_banner else banner
        skipped = 0
        while line.startswith(b"%") or (line and not line.strip()):
            skipped += len(line)
            if skipped > FREE_BYTES:
                raise WorkloadError("more than 1 MiB of comments before the size line", "shorten them", file=name)
            line = stream.readline(LINE_BYTES * 8)
        rows, columns, entries = _sizes(line, name)
        check_size((rows, columns), entries, name)
        body = _bounded(stream, entries * LINE_BYTES + FREE_BYTES, name)
    width = 2 if field == "pattern" else 3
    table = _table(body, (width,) if has_banner else (2, 3), entries, name, width)
    i, j = _indices(table[:, 0], 1, name), _indices(table[:, 1], 1, name)
    v = table[:, 2] if width == 3 else np.ones(len(table), np.int64)
    if field == "integer":
        v = _whole(v, name)
    if symmetry != "general":
        if np.any(j > i):
            raise WorkloadError(f"a {symmetry} matrix with an entry above its diagonal", "store one half", file=name)
        off = i != j
        sign = -1 if symmetry == "skew-symmetric" else 1
        i, j, v = np.r_[i, j[off]], np.r_[j, i[off]], np.r_[v, sign * v[off]]
    return from_entries((rows, columns), i, j, v, name)


def _banner(line: bytes, name: str) -> tuple[str, str]:
    words = line.decode("latin-1").lower().split()
    if len(words) != 5 or words[1:3] != ["matrix", "coordinate"]:
        raise WorkloadError(
            f"'{' '.join(words)[:60]}' is no sparse matrix", "use 'matrix coordinate'", file=name, line=1
        )
    field, symmetry = words[3:]
    if field not in ("real", "double", "integer", "pattern"):
        raise WorkloadError(f"values are {field}", "use real, integer or pattern", file=name, line=1)
    if symmetry not in ("general", "symmetric", "skew-symmetric"):
        raise WorkloadError(f"symmetry is {symmetry}", "use general, symmetric or skew-symmetric", file=name, line=1)
    return field, symmetry


def _sizes(line: bytes, name: str) -> tuple[int, int, int]:
    words = line.split()
    if len(words) != 3 or not all(word.isdigit() and len(word) < 16 for word in words):
        shown = line.decode("latin-1").strip()[:40]
        raise WorkloadError(f"'{shown}' is no size line", "write rows, columns, entries before the entries", file=name)
    rows, columns, entries = map(int, words)
    return rows, columns, entries


def _table(body: bytes, widths: tuple[int, ...], entries: int | None, name: str, keep: int = 2) -> np.ndarray:
    """Return the numbers of a text, one entry a line, as float64 (entries, keep)."""
    first = next((line for line in io.BytesIO(body) if line.strip() and line[:1] not in b"%#"), b"")
    width = len(first.split())
    if first and width not in widths:
        raise WorkloadError(f"an entry of {width} numbers", f"give {' or '.join(map(str, widths))}", file=name)
    if first:
        table = np.loadtxt(io.BytesIO(body), dtype=np.float64, comments=["%", "#"], ndmin=2, usecols=range(keep))
    else:
        table = np.zeros((0, keep))
    if entries is not None and len(table) != entries:
        raise WorkloadError(f"{len(table):,} entries where the header says {entries:,}", "is it cut off?", file=name)
    return table


def _whole(numbers: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(numbers).all() or np.any(numbers != np.rint(numbers)) or np.any(np.abs(numbers) > 2**53):
        raise WorkloadError("a number that should be whole is not, or exceeds 2^53", "correct it", file=name)
    return numbers.astype(np.int64)


def _indices(numbers: np.ndarray, base: int, name: str) -> np.ndarray:
    return _whole(numbers, name) - base


def read_edges(path: Path, name: str | None = None, *, base: int | None = None, symmetrize: bool = False) -> CsrMatrix:
    """Return the adjacency matrix of a SNAP edge list, whose entries are 1.

    Comment lines start with ``#``. A first line of one number is the node count; identifiers then count from 0.
    Without it, identifiers are relabelled in ascending order, so that nodes without edges take no rows.

    Parameters
    ----------
    base : int, optional
        What the identifiers count from, where there is a node count.
    symmetrize : bool
        Read every edge in both directions.
    """
    name = name or str(path)
    with _open(path) as stream:
        body = _bounded(stream, EDGE_BYTES, name)
    lines = io.BytesIO(body)
    count, start = None, 0
    for line in lines:
        if line.startswith(b"#") or not line.strip():
            continue
        words = line.split()
        if len(words) == 1 and words[0].isdigit() and len(words[0]) < 16:
            count, start = int(words[0]), lines.tell()
        break
    table = _table(body[start:], (2, 3), None, name)
    if len(table) > MAX_ENTRIES:
        raise WorkloadError(f"{len(table):,} edges are too many", f"at most {MAX_ENTRIES:,}", file=name)
    i, j = _indices(table[:, 0], base or 0, name), _indices(table[:, 1], base or 0, name)
    if count is None:
        known = np.unique(np.r_[i, j])
        count, i, j = len(known), np.searchsorted(known, i), np.searchsorted(known, j)
    if symmetrize:
        i, j = np.r_[i, j], np.r_[j, i]
        i, j = np.unique(np.stack((i, j)), axis=1) if i.size else (i, j)
    return from_entries((count, count), i, j, np.ones(i.size, np.int64), name)


def _read_npz(path: Path, name: str) -> CsrMatrix:
    check_npz(path, 16 * MAX_ENTRIES)
    with np.load(path, allow_pickle=False) as arrays:
        missing = {"format", "shape", "data"} - set(arrays.files)
        if missing:
            raise WorkloadError(f"has no array '{min(missing)}'", "save it with scipy.sparse.save_npz", file=name)
        shape = arrays["shape"]
        if shape.dtype.kind not in "iu":
            raise WorkloadError(f"its shape is of {shape.dtype}", "give whole numbers", file=name)
        if shape.shape != (2,):
            raise WorkloadError(f"is {shape.size}-dimensional", "give a matrix", file=name)
        check_size((int(shape[0]), int(shape[1])), 0, name)
    import scipy.sparse

    try:
        stored = scipy.sparse.load_npz(path)
        if stored.format in ("csr", "csc", "bsr"):
            stored.check_format(full_check=True)  # scipy's loops trust their indices
        found = stored.tocoo()
    except Exception as error:
        raise ValueError(str(error)) from None
    if found.dtype.kind not in "iufb":
        raise WorkloadError(f"values are {found.dtype}", "give integers or real numbers", file=name)
    return from_entries((int(shape[0]), int(shape[1])), found.row, found.col, found.data, name)
