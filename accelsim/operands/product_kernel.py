"""What engines that multiply sparse matrices share: the sizes of the rows of a product, and a merger of two streams."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def row_sizes(a_pointers, a_columns, b_pointers, b_columns, first, last, seen, sizes):  # type: ignore[no-untyped-def]
    """Fill ``sizes[first:last]`` with the entries of these rows of A x B, sums that cancel included.

    ``seen`` is scratch, one number per column of B, at first negative.
    """
    for row in range(first, last):
        size = 0
        for e in range(a_pointers[row], a_pointers[row + 1]):
            for column in b_columns[b_pointers[a_columns[e]] : b_pointers[a_columns[e] + 1]]:
                # unsigned: numba looks whether a signed index counts from the end
                size += seen[np.uint64(column)] != row
                seen[np.uint64(column)] = row
        sizes[row] = size


@kernel
def merge(columns, values, first, middle, end, out_columns, out_values, to):  # type: ignore[no-untyped-def]
    """Merge two sorted streams, left plus right where columns meet; return where the result ends."""
    i, j, out, one = np.uint64(first), np.uint64(middle), np.uint64(to), np.uint64(1)
    left_end, right_end = np.uint64(middle), np.uint64(end)
    while i < left_end and j < right_end:
        left, right = columns[i], columns[j]
        if left < right:
            out_columns[out], out_values[out] = left, values[i]
            i += one
        elif right < left:
            out_columns[out], out_values[out] = right, values[j]
            j += one
        else:
            out_columns[out], out_values[out] = left, values[i] + values[j]
            i += one
            j += one
        out += one
    while i < left_end:
        out_columns[out], out_values[out] = columns[i], values[i]
        i += one
        out += one
    while j < right_end:
        out_columns[out], out_values[out] = columns[j], values[j]
        j += one
        out += one
    return np.int64(out)
