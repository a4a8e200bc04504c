"""Lists of tiles against lists of tiles, tiles against tiles, fibres against fibres; and the values in that order."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel
from accelsim.operands.product_kernel import row_sizes as row_sizes

K1, LONGEST, K0, PRODUCTS, A_BITS, PARTIALS, FED_A, FED_B, PAIRS = range(9)
"""Columns of what `walk` fills: K1 intersections, cycles of the slowest PE, K0 intersections, products, bits of A that
are read, fibre pairs with a product, bits of tiles of A and of B that PEs are given, tile pairs."""


@kernel
def intersect(a, i, a_end, b, j, b_end):  # type: ignore[no-untyped-def]
    """Return cycles, matches and elements of ``a`` that are looked at, of two ascending lists.

    A match takes a cycle. On a mismatch the lagging side skips ahead; a run of skips of one side takes one.
    """
    cycles, matches, last, first = 0, 0, 0, i
    while i < a_end and j < b_end:
        left, right = a[np.uint64(i)], b[np.uint64(j)]
        if left == right:
            cycles, matches, last = cycles + 1, matches + 1, 0
            i += 1
            j += 1
        elif left < right:
            cycles += last != 1
            last = 1
            i += 1
        else:
            cycles += last != 2
            last = 2
            j += 1
    return cycles, matches, i - first


@kernel
def multiply(a, x, b, y):  # type: ignore[no-untyped-def]
    """Return K0 intersections, products and fibre pairs with a product of two tiles."""
    spent, products, partials = 0, 0, 0
    for f in range(a.fibre[x], a.fibre[x + 1]):
        for g in range(b.fibre[y], b.fibre[y + 1]):
            cycles, matches, _ = intersect(a.k, a.begin[f], a.end[f], b.k, b.begin[g], b.end[g])
            spent, products, partials = spent + cycles, products + matches, partials + (matches > 0)
    return spent, products, partials


@kernel
def walk(a, a_first, a_stop, b, b_first, b_stop, m1, pes, in_turn, tuple_bits, present, found):  # type: ignore[no-untyped-def]
    """Fill a row of ``found`` (m2, 9) for each step of one (n2, k2): some lists of A against some of B.

    ``present`` is scratch, a zero per tile along k.
    """
    for j in range(b.tile[b_first], b.tile[b_stop]):
        present[b.at[j]] = 1
    free = np.zeros(pes, np.int64)
    last, turn = -1, 0
    for g in range(a_first, a_stop):
        row = found[a.row[g] // m1]
        if a.row[g] // m1 != last:
            last, turn = a.row[g] // m1, 0
            free[:] = 0
        first, stop, most = a.tile[g], a.tile[g + 1], 0
        for h in range(b_first, b_stop):
            begin, end = b.tile[h], b.tile[h + 1]
            cycles, matches, looked = intersect(a.at, first, stop, b.at, begin, end)
            most = max(most, looked)
            row[K1] += cycles
            y = begin
            for x in range(first, stop if matches else first):
                while y < end and b.at[y] < a.at[x]:
                    y += 1
                if y == end:
                    break
                if b.at[y] != a.at[x]:
                    continue
                spent, products, partials = multiply(a, x, b, y)
                pe = turn % pes if in_turn else np.argmin(free)
                free[pe] += spent
                turn += 1
                row[K0] += spent
                row[PRODUCTS] += products
                row[PARTIALS] += partials
                row[FED_A] += a.bits[x]
                row[FED_B] += b.bits[y]
                row[PAIRS] += 1
        row[A_BITS] += most * tuple_bits
        for x in range(first, stop):
            row[A_BITS] += a.bits[x] * present[a.at[x]]
        row[LONGEST] = free.max()
    for j in range(b.tile[b_first], b.tile[b_stop]):
        present[b.at[j]] = 0


@kernel
def outputs(a_pointers, a_columns, b_pointers, b_columns, t, m1, k1, n1, seen, made, again):  # type: ignore[no-untyped-def]
    """Count in (n2, k2, m2) the outputs that each step touches, and those that one of an earlier k2 has touched.

    ``seen`` is scratch, one number per column of B, at first negative. B is in rows here.
    """
    steps = made.shape[1]
    for row in range(a_pointers.size - 1):
        m2 = row // (t * m1)
        for e in range(a_pointers[row], a_pointers[row + 1]):
            k2 = a_columns[e] // (t * k1)
            now = row * steps + k2
            for j in range(b_pointers[a_columns[e]], b_pointers[a_columns[e] + 1]):
                column = b_columns[j]
                before = seen[np.uint64(column)]
                if before != now:
                    n2 = column // (t * n1)
                    made[n2, k2, m2] += 1
                    again[n2, k2, m2] += before >= row * steps
                    seen[np.uint64(column)] = now


@kernel
def add(  # type: ignore[no-untyped-def]
    t, a_pointers, a_columns, a_values, b_pointers, b_columns, b_values, first, last, pointers, columns, values
):
    """Fill some rows of C, whose ``pointers`` are known; return the first row that holds another number, or -1.

    The products of a tile are added first, in order of k; then the sums of tiles in order of k.
    """
    width = 0
    for column in b_columns:
        width = max(width, column + 1)
    block = np.full(width, -1, np.int64)
    part, total = np.zeros(width, values.dtype), np.zeros(width, values.dtype)
    for row in range(first, last):
        out = pointers[row]
        for e in range(a_pointers[row], a_pointers[row + 1]):
            now = a_columns[e] // t
            for j in range(b_pointers[a_columns[e]], b_pointers[a_columns[e] + 1]):
                column, made = b_columns[j], a_values[e] * b_values[j]
                if block[column] == now:
                    part[column] += made
                    continue
                if block[column] < 0:
                    if out == pointers[row + 1]:
                        return row
                    columns[out] = column
                    out += 1
                else:
                    total[column] += part[column]
                block[column], part[column] = now, made
        if out != pointers[row + 1]:
            return row
        columns[pointers[row] : out] = np.sort(columns[pointers[row] : out])
        for at in range(pointers[row], out):
            column = columns[at]
            values[at] = total[column] + part[column]
            block[column], total[column] = -1, 0
    return -1
