"""Codes and groups of rows, stripes of entries that go down and right, and the product."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

HITS, GROUPS, LONGEST, BITMAPS, RUNS, ENTRIES = range(6)
"""Columns of what `rows` counts for each block of columns."""


@kernel
def rows(pointers, columns, present, lanes, width, block, longest_run, found):  # type: ignore[no-untyped-def]
    """Count in ``found`` (column blocks of ``width``, 6): products, groups of the lanes row by row, groups of the
    longest row, bitmaps of ``block`` columns, runs of neighbours, entries.

    ``present`` tells of each element of x whether it is not zero.
    """
    for row in range(pointers.size - 1):
        part, last, length, size = -1, -2, 0, 0
        for e in range(pointers[row], pointers[row + 1] + 1):
            ends = e == pointers[row + 1]
            column = -1 if ends else columns[e]
            now = -1 if ends else column // width
            if now != part and part >= 0:
                groups = (size + lanes - 1) // lanes
                found[part, GROUPS] += groups
                found[part, LONGEST] = max(found[part, LONGEST], groups)
                found[part, ENTRIES] += size
            if ends:
                break
            if now != part:
                part, last, length, size = now, -2, 0, 0
            size += 1
            found[part, HITS] += present[column]
            found[part, BITMAPS] += last < 0 or column // block != last // block
            if column == last + 1 and length < longest_run:
                length += 1
            else:
                found[part, RUNS] += 1
                length = 1
            last = column


@kernel
def stripes(pointers, columns, of_entry):  # type: ignore[no-untyped-def]
    """Give each entry a stripe, whose entries go down and right; return lengths of the stripes and the longest step.

    Row by row, the entry furthest right goes to the stripe that ends furthest right, of those that end left of it (of
    equal ends the older one) and have no entry in this row; a new stripe if there is none.
    """
    most = 16
    ends, order = np.empty(most, np.int64), np.empty(most, np.int64)  # of stripes in ascending order of their ends
    merged, merged_order = np.empty(most, np.int64), np.empty(most, np.int64)
    row_of, sizes = np.empty(most, np.int64), np.zeros(most, np.int64)
    count, step = 0, 0
    for row in range(pointers.size - 1):
        first, stop = pointers[row], pointers[row + 1]
        if count + stop - first > most:
            more = 2 * (count + stop - first)
            ends, order = np.append(ends, np.empty(more, np.int64)), np.append(order, np.empty(more, np.int64))
            merged = np.empty(most + more, np.int64)
            merged_order = np.empty(most + more, np.int64)
            row_of, sizes = np.append(row_of, np.empty(more, np.int64)), np.append(sizes, np.zeros(more, np.int64))
            most += more
        before, left = count, count - 1
        for e in range(stop - 1, first - 1, -1):
            while left >= 0 and ends[left] >= columns[e]:
                left -= 1
            if left < 0:
                of_entry[e] = count
                count += 1
            else:
                of_entry[e] = order[left]
                step = max(step, columns[e] - ends[left], row - row_of[order[left]])
                order[left] = -1  # it ends here now
                left -= 1
            sizes[of_entry[e]] += 1
            row_of[of_entry[e]] = row
        i, e, to = 0, first, 0
        while i < before or e < stop:
            if i < before and order[i] < 0:
                i += 1
            elif e == stop or (
                i < before and (ends[i] < columns[e] or (ends[i] == columns[e] and order[i] > of_entry[e]))
            ):
                merged[to], merged_order[to] = ends[i], order[i]
                i += 1
                to += 1
            else:
                merged[to], merged_order[to] = columns[e], of_entry[e]
                e += 1
                to += 1
        ends, merged = merged, ends
        order, merged_order = merged_order, order
    return sizes[:count], step


@kernel
def multiply(pointers, columns, values, present, x, y, met):  # type: ignore[no-untyped-def]
    """Add each row's products in order of its columns into ``y``; ``met`` tells which rows have any."""
    for row in range(pointers.size - 1):
        for e in range(pointers[row], pointers[row + 1]):
            if present[columns[e]]:
                y[row] += values[e] * x[columns[e]]
                met[row] = True
