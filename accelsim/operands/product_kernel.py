"""The pattern of a sparse product, row by row: what engines that merge by rows count with."""

from __future__ import annotations

from accelsim.jit import kernel


@kernel
def row_sizes(a_pointers, a_columns, b_pointers, b_columns, first, last, seen, sizes):  # type: ignore[no-untyped-def]
    """Fill ``sizes[first:last]`` with the entries of these rows of A x B, sums that cancel included.

    ``seen`` is scratch, one number per column of B, at first negative.
    """
    for row in range(first, last):
        size = 0
        for e in range(a_pointers[row], a_pointers[row + 1]):
            for j in range(b_pointers[a_columns[e]], b_pointers[a_columns[e] + 1]):
                size += seen[b_columns[j]] != row
                seen[b_columns[j]] = row
        sizes[row] = size
