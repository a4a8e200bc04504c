"""Both phases of OuterSPACE. Skips from column to column and from row to row."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel
from accelsim.operands.product_kernel import row_sizes as row_sizes


@kernel
def multiply(a_pointers, b_pointers, tiles, tile_pes, fits, latency, element_bits, burst):  # type: ignore[no-untyped-def]
    """Return cycles, waits, elements of B read and bits on the bus of the multiply phase; A by columns."""
    free = np.zeros(tiles, np.int64)
    waits, b_read, bus = 0, 0, 0
    for k in range(a_pointers.size - 1):
        entries, length = a_pointers[k + 1] - a_pointers[k], b_pointers[k + 1] - b_pointers[k]
        if entries == 0:
            continue
        rounds = (entries + tile_pes - 1) // tile_pes
        fetches = 1 if length <= fits else rounds
        if length == 0:
            fetches = 0
        first = min(entries, tile_pes)
        tile = np.argmin(free)
        free[tile] += rounds * (latency + length) + fetches * latency
        waits += entries * latency
        if fetches == 1:
            waits += first * latency
        elif fetches > 1:
            waits += entries * latency
        b_read += fetches * length
        chunk = (length * element_bits + burst - 1) // burst * burst
        bus += (entries * element_bits + burst - 1) // burst * burst + (fetches + entries) * chunk
    return np.array([free.max(), waits, b_read, bus], np.int64)


@kernel
def merge(a_pointers, a_columns, b_pointers, sizes, pes, heads, latency, element_bits, burst):  # type: ignore[no-untyped-def]
    """Return cycles, waits, elements taken and bits on the bus of the merge phase; ``sizes`` are the rows of C."""
    free = np.zeros(pes, np.int64)
    waits, taken, bus = 0, 0, 0
    for row in range(a_pointers.size - 1):
        elements, chunks, chunk_bits = 0, 0, 0
        for e in range(a_pointers[row], a_pointers[row + 1]):
            length = b_pointers[a_columns[e] + 1] - b_pointers[a_columns[e]]
            chunks += length > 0
            elements += length
            chunk_bits += (length * element_bits + burst - 1) // burst * burst
        if elements == 0:
            continue
        passes, lists = 1, chunks
        while lists > heads:
            passes += 1
            lists = (lists + heads - 1) // heads
        whole = (elements * element_bits + burst - 1) // burst * burst
        wait = latency * (1 + chunks + passes * elements)
        free[np.argmin(free)] += wait + passes * elements
        waits += wait
        taken += passes * elements
        result = (sizes[row] * element_bits + burst - 1) // burst * burst
        bus += chunk_bits + 2 * (passes - 1) * whole + result
    return np.array([free.max(), waits, taken, bus], np.int64)


@kernel
def add_values(  # type: ignore[no-untyped-def]
    a_pointers, a_columns, a_values, b_pointers, b_columns, b_values, first, last, pointers, columns, values
):
    """Fill some rows of C, whose ``pointers`` are known; return the first row that holds another number, or -1.

    The products of an entry are added in the order of k.
    """
    width = 0
    for e in range(a_pointers[first], a_pointers[last]):
        if b_pointers[a_columns[e] + 1] > b_pointers[a_columns[e]]:
            width = max(width, b_columns[b_pointers[a_columns[e] + 1] - 1] + 1)
    total = np.empty(width, values.dtype)
    seen = np.full(width, -1, np.int64)
    for row in range(first, last):
        begin = pointers[row]
        out = begin
        for e in range(a_pointers[row], a_pointers[row + 1]):
            for j in range(b_pointers[a_columns[e]], b_pointers[a_columns[e] + 1]):
                column = b_columns[j]
                if seen[column] != row:
                    if out == pointers[row + 1]:
                        return row
                    seen[column] = row
                    total[column] = a_values[e] * b_values[j]
                    columns[out] = column
                    out += 1
                else:
                    total[column] += a_values[e] * b_values[j]
        if out != pointers[row + 1]:
            return row
        columns[begin:out] = np.sort(columns[begin:out])
        for j in range(begin, out):
            values[j] = total[columns[j]]
    return -1
