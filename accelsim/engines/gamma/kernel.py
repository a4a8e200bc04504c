"""Rows through the FiberCache and through the mergers."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel
from accelsim.operands.product_kernel import merge
from accelsim.operands.product_kernel import row_sizes as row_sizes

READ, TOUCHED = 1, 2


@kernel
def cache_rows(uses, b_pointers, capacity, fetched):  # type: ignore[no-untyped-def]
    """Return rows touched, elements read and the peak of elements held, for rows of B used in this order.

    ``fetched`` takes of each use 0 if the row is held, `READ` if it is read, `TOUCHED` more if that is the first time.

    The cache holds whole rows, up to ``capacity`` elements; the least recently used leave first. A row that does not
    fit is read every time.
    """
    n_rows = b_pointers.size - 1
    before, after = np.full(n_rows + 1, -1, np.int64), np.full(n_rows + 1, -1, np.int64)
    held, touched = np.zeros(n_rows, np.bool_), np.zeros(n_rows, np.bool_)
    end = n_rows  # of a ring: after it comes the oldest, before it the youngest
    before[end], after[end] = end, end
    room, read, count, peak = capacity, 0, 0, 0
    for t in range(uses.size):
        row = uses[t]
        length = b_pointers[row + 1] - b_pointers[row]
        if not touched[row]:
            touched[row] = True
            count += 1
            fetched[t] = TOUCHED
        if held[row]:
            after[before[row]], before[after[row]] = after[row], before[row]
        else:
            read += length
            fetched[t] += READ
            if length > capacity:
                continue
            while room < length:
                oldest = after[end]
                held[oldest] = False
                after[end] = after[oldest]
                before[after[oldest]] = end
                room += b_pointers[oldest + 1] - b_pointers[oldest]
            held[row] = True
            room -= length
            peak = max(peak, capacity - room)
        before[row], after[row] = before[end], end
        after[before[end]] = row
        before[end] = row
    return np.array([count, read, peak], np.int64)


@kernel
def merge_cost(a_pointers, a_columns, b_pointers, radix, pes):  # type: ignore[no-untyped-def]
    """Return end of the last row, cycles of work, swaps and products of merging every row of A."""
    free = np.zeros(pes, np.int64)
    swaps, products, work = 0, 0, 0
    for row in range(a_pointers.size - 1):
        elements, fibres = 0, 0
        for e in range(a_pointers[row], a_pointers[row + 1]):
            length = b_pointers[a_columns[e] + 1] - b_pointers[a_columns[e]]
            elements += length
            fibres += length > 0
        cost, heads = 0, fibres
        while heads > 1:
            cost += elements + heads
            heads = (heads + radix - 1) // radix
        spent = max(cost, elements)
        free[np.argmin(free)] += spent
        swaps, products, work = swaps + cost, products + elements, work + spent
    return np.array([free.max(), work, swaps, products], np.int64)


@kernel
def merge_values(  # type: ignore[no-untyped-def]
    a_pointers, a_columns, a_values, b_pointers, b_columns, b_values, first_row, last_row, pointers, columns, values
):
    """Fill some rows of C, whose ``pointers`` are known; return the first row that holds another number, or -1.

    Fibres of a row that meet in a merger are added pair by pair, neighbours first; the radix decides only what that
    costs.
    """
    size = 16
    left_c, right_c = np.empty(size, np.int64), np.empty(size, np.int64)
    left_v, right_v = np.empty(size, values.dtype), np.empty(size, values.dtype)
    ends = np.empty(16, np.int64)
    for row in range(first_row, last_row):
        first, last = a_pointers[row], a_pointers[row + 1]
        elements = 0
        for e in range(first, last):
            elements += b_pointers[a_columns[e] + 1] - b_pointers[a_columns[e]]
        if elements > size:
            size = 2 * elements
            left_c, right_c = np.empty(size, np.int64), np.empty(size, np.int64)
            left_v, right_v = np.empty(size, values.dtype), np.empty(size, values.dtype)
        if last - first > ends.size:
            ends = np.empty(2 * (last - first), np.int64)
        to, streams = 0, 0
        for e in range(first, last):
            begin, stop = b_pointers[a_columns[e]], b_pointers[a_columns[e] + 1]
            for j in range(begin, stop):
                left_c[to], left_v[to] = b_columns[j], a_values[e] * b_values[j]
                to += 1
            if stop > begin:
                ends[streams] = to
                streams += 1
        while streams > 1:
            to, begin, made = 0, 0, 0
            for pair in range(0, streams, 2):
                middle = ends[pair]
                stop = ends[pair + 1] if pair + 1 < streams else middle
                to = merge(left_c, left_v, begin, middle, stop, right_c, right_v, to)
                begin = stop
                ends[made] = to
                made += 1
            streams = made
            left_c, right_c = right_c, left_c
            left_v, right_v = right_v, left_v
        out = pointers[row]
        if to != pointers[row + 1] - out:
            return row
        columns[out : out + to], values[out : out + to] = left_c[:to], left_v[:to]
    return -1
