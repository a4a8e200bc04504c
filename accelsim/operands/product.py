"""Sparse products in blocks of rows, so that a long one can say how far it is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import numpy as np

from accelsim.errors import MappingError, ModelError
from accelsim.workload.csr_matrix import CsrMatrix

BLOCK = 1 << 24
"""Products between two reports of progress: a tenth of a second."""


def check_reach(layer: str, what: str, bits: int, largest: int) -> None:
    """Raise MappingError if numbers of ``bits`` do not reach ``largest``; ``what`` they are, a plural noun."""
    if largest >> bits:
        raise MappingError(
            f"layer '{layer}': {what} of {bits} bits do not reach {largest:,}", f"use {largest.bit_length()} bits"
        )


def row_blocks(a: CsrMatrix, b: CsrMatrix) -> Iterator[tuple[int, int, float]]:
    """Yield (first row, row after the last, share of all products up to there) of blocks of about `BLOCK` products."""
    products = np.append(0, np.cumsum(b.row_lengths[a.columns]))[a.pointers]
    cuts = np.searchsorted(products, np.arange(BLOCK, products[-1], BLOCK))
    first = 0
    for stop in np.unique(np.append(cuts, a.shape[0])).tolist():
        if stop > first:
            yield first, stop, float(products[stop] / products[-1]) if products[-1] else 1.0
        first = stop


def row_sizes(a: CsrMatrix, b: CsrMatrix, count: Callable[..., None]) -> Generator[float, None, np.ndarray]:
    """Return the entries of each row of A x B, int64 (rows,); yield the share that is done.

    ``count`` is `product_kernel.row_sizes`, which the caller has loaded.
    """
    sizes, seen = np.empty(a.shape[0], np.int64), np.full(b.shape[1], -1, np.int64)
    for first, stop, share in row_blocks(a, b):
        count(a.pointers, a.columns, b.pointers, b.columns, first, stop, seen, sizes)
        yield share
    return sizes


def filled(
    a: CsrMatrix, b: CsrMatrix, sizes: np.ndarray, fill: Callable[..., int]
) -> Generator[float, None, CsrMatrix]:
    """Return A x B in an engine's own order of additions.

    ``fill(a_pointers, a_columns, a_values, b_pointers, b_columns, b_values, first, last, pointers, columns, values)``
    is the engine's kernel for some rows; it returns a row whose size is not the one in ``sizes``, or -1.
    """
    pointers = np.append(0, np.cumsum(sizes)).astype(np.int64)
    columns = np.empty(pointers[-1], np.int64)
    values = np.empty(pointers[-1], (a.values[:0] * b.values[:0]).dtype)
    for first, stop, share in row_blocks(a, b):
        wrong = fill(
            a.pointers, a.columns, a.values, b.pointers, b.columns, b.values, first, stop, pointers, columns, values
        )
        if wrong >= 0:
            raise ModelError(f"row {wrong} of the product has other entries than were counted")
        yield share
    return CsrMatrix((a.shape[0], b.shape[1]), pointers, columns, values)
