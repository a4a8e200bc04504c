"""Generated matrices: ``rmat:n=1000,nnz=8000,seed=1`` and its like. The same name is the same matrix everywhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.text import nearest
from accelsim.workload.csr_matrix import CsrMatrix, check_size, from_entries

RMAT = (0.57, 0.19, 0.19)
"""Quadrant probabilities a, b, c; Graph500 specification, section 3.2 (d is what remains)."""


def make_matrix(name: str) -> CsrMatrix:
    """Return the matrix that a name of the form ``kind:key=number,...`` describes.

    ``rmat`` (n, nnz), ``uniform`` (n, nnz), ``banded`` (n, width: entries on each side of the diagonal), ``powerlaw``
    (n, nnz, longest: length of the longest row). All take ``seed``, 0 by default. Values are whole, from 1 to 9.

    Raises
    ------
    WorkloadError
        Unknown kinds and keys, missing or impossible numbers.
    """
    kind, _, text = name.partition(":")
    if kind not in KINDS:
        raise WorkloadError(f"'{kind}' is no generator", nearest(kind, KINDS, f"generators: {', '.join(KINDS)}"))
    keys, make = KINDS[kind]
    found = {"seed": 0}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        if key not in (*keys, "seed"):
            raise WorkloadError(f"'{name}': unknown key '{key}'", f"keys of {kind}: {', '.join((*keys, 'seed'))}")
        if not value.isdigit() or len(value) > 15:
            raise WorkloadError(f"'{name}': {key} is '{value}'", "give a whole number")
        found[key] = int(value)
    if missing := [key for key in keys if key not in found]:
        raise WorkloadError(f"'{name}': no {missing[0]}", f"write {kind}:{','.join(k + '=...' for k in keys)}")
    rng = np.random.Generator(np.random.Philox(key=found.pop("seed")))
    n = found["n"]
    check_size((n, n), found.get("nnz", 0), name)
    places = make(rng, name, **found)
    rows, columns = np.divmod(places, n)
    values = (rng.bit_generator.random_raw(places.size) % np.uint64(9)).astype(np.int64) + 1
    return from_entries((n, n), rows, columns, values, name)


def _draw(rng: np.random.Generator, size: int, below: int) -> np.ndarray:
    """Return integers below a limit; from raw words, so that no library's distribution changes a matrix."""
    return (rng.bit_generator.random_raw(size) % np.uint64(below)).astype(np.int64)


def _distinct(name: str, nnz: int, draw: Callable[[int], np.ndarray]) -> np.ndarray:
    """Return ``nnz`` different places, in the order in which they were drawn first."""
    places = np.zeros(0, np.int64)
    for _ in range(200):
        drawn = np.concatenate((places, draw(max(64, 2 * (nnz - places.size)))))
        _, first = np.unique(drawn, return_index=True)
        places = drawn[np.sort(first)]
        if places.size >= nnz:
            return places[:nnz]
    raise WorkloadError(f"'{name}': {nnz} different entries cannot be drawn", "ask for fewer")


def _rmat(rng: np.random.Generator, name: str, n: int, nnz: int) -> np.ndarray:
    """Return places after D. Chakrabarti et al., "R-MAT: A Recursive Model for Graph Mining", SDM 2004."""
    levels = max(1, (n - 1).bit_length())
    a, b, c = (int(p * 2**32) for p in RMAT)

    def draw(size: int) -> np.ndarray:
        rows, columns = np.zeros(size, np.int64), np.zeros(size, np.int64)
        for _ in range(levels):
            word = _draw(rng, size, 2**32)
            rows = 2 * rows + (word >= a + b)
            columns = 2 * columns + ((word >= a) & (word < a + b) | (word >= a + b + c))
        inside = (rows < n) & (columns < n)
        return rows[inside] * n + columns[inside]

    return _distinct(name, nnz, draw)


def _uniform(rng: np.random.Generator, name: str, n: int, nnz: int) -> np.ndarray:
    return _distinct(name, nnz, lambda size: _draw(rng, size, n) * n + _draw(rng, size, n))


def _banded(rng: np.random.Generator, name: str, n: int, width: int) -> np.ndarray:
    del rng
    width = min(width, n - 1)
    check_size((n, n), min(n * (2 * width + 1), n * n), name)
    rows = np.repeat(np.arange(n, dtype=np.int64), 2 * width + 1)
    columns = rows + np.tile(np.arange(-width, width + 1), n)
    inside = (columns >= 0) & (columns < n)
    return rows[inside] * n + columns[inside]


def _powerlaw(rng: np.random.Generator, name: str, n: int, nnz: int, longest: int) -> np.ndarray:
    """Return places with row lengths ``longest / (i + 1)^s``, ``s`` such that they sum to ``nnz``; rows shuffled."""
    if not 1 <= longest <= n or not longest <= nnz <= n * longest:
        raise WorkloadError(f"'{name}': rows of at most {longest} cannot hold {nnz} entries", "change nnz or longest")
    ranks, low, high = np.arange(1, n + 1, dtype=np.float64), 0.0, 64.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.floor(longest * ranks**-middle).sum() > nnz else (low, middle)
    lengths = np.floor(longest * ranks**-high).astype(np.int64)
    for i in range(1, n):
        if (lack := nnz - int(lengths.sum())) <= 0:
            break
        lengths[i] += min(lack, longest - lengths[i])
    order = np.argsort(_draw(rng, n, 2**62), kind="stable")
    places = []
    for row, length in zip(order.tolist(), lengths.tolist(), strict=True):
        if length > n // 4:
            columns = np.argsort(_draw(rng, n, 2**62), kind="stable")[:length]
        elif length:
            columns = _distinct(name, length, lambda size: _draw(rng, size, n))
        else:
            continue
        places.append(row * n + columns)
    return np.concatenate(places)


KINDS: dict[str, tuple[tuple[str, ...], Callable[..., np.ndarray]]] = {
    "rmat": (("n", "nnz"), _rmat),
    "uniform": (("n", "nnz"), _uniform),
    "banded": (("n", "width"), _banded),
    "powerlaw": (("n", "nnz", "longest"), _powerlaw),
}
"""Kind -> the keys it needs, and what draws its places."""
