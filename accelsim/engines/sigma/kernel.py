"""Values of the groups: every cycle of a group is alike, so only the products are walked."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def stream(  # type: ignore[no-untyped-def]
    rows, groups, inner, factors, b_pointers, b_columns, b_values, width, m, heads, columns, values
):
    """Fill the product row by row: the products of a row within a group are added first, then the groups in order.

    ``rows, groups, inner, factors`` are the entries of A, sorted by row and group; ``heads, columns, values`` take C.
    """
    out = 0
    total, part = np.zeros(width, values.dtype), np.zeros(width, values.dtype)
    in_row, in_part = np.full(width, -1, np.int64), np.full(width, -1, np.int64)
    e = 0
    for row in range(m):
        begin = out
        while e < rows.size and rows[e] == row:
            first = e
            while e < rows.size and rows[e] == row and groups[e] == groups[first]:
                for j in range(b_pointers[inner[e]], b_pointers[inner[e] + 1]):
                    column = b_columns[j]
                    if in_part[column] != first:
                        in_part[column] = first
                        part[column] = 0
                    part[column] += factors[e] * b_values[j]
                    if in_row[column] != row:
                        in_row[column] = row
                        total[column] = 0
                        columns[out] = column
                        out += 1
                e += 1
            for at in range(begin, out):
                if in_part[columns[at]] == first:
                    total[columns[at]] += part[columns[at]]
        columns[begin:out] = np.sort(columns[begin:out])
        for at in range(begin, out):
            values[at] = total[columns[at]]
        heads[row + 1] = out
