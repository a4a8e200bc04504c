"""The row prefetcher: which rows of B stay, which are read. Goes from use to use, never ticks."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def push(heap, size, key):  # type: ignore[no-untyped-def]
    """Add a key to a max-heap; return its size."""
    i = size
    heap[i] = key
    while i > 0:
        parent = (i - 1) // 2
        if heap[parent] >= heap[i]:
            break
        heap[parent], heap[i] = heap[i], heap[parent]
        i = parent
    return size + 1


@kernel
def pop(heap, size):  # type: ignore[no-untyped-def]
    """Drop the largest key of a max-heap; return its size."""
    size -= 1
    heap[0] = heap[size]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if heap[i] >= heap[child]:
            break
        heap[i], heap[child] = heap[child], heap[i]
        i = child
    return size


@kernel
def fetch_rows(uses, b_pointers, lookahead, lines, line_elements, held, latest):  # type: ignore[no-untyped-def]
    """Return the elements read for each use of a row of B, and last the peak of lines held.

    ``uses`` is the row of B of each entry of A in the order of the FIFO. ``held, latest`` are scratch, one number per
    row of B, all 0 and -1 before and after: rounds are many, and most touch few rows.
    """
    n = uses.size
    read = np.zeros(n + 1, np.int64)
    never = n + lookahead + 1
    following = np.empty(n, np.int64)
    for t in range(n - 1, -1, -1):
        following[t] = latest[uses[t]] if latest[uses[t]] >= 0 else never
        latest[uses[t]] = t
    for t in range(n):
        latest[uses[t]] = -1
    known = np.empty(n + 1, np.int64)
    n_known, free, oldest, peak = 0, lines, 0, 0
    for t in range(n):
        row, entering = uses[t], t + lookahead - 1
        if lookahead - 1 > 0 and entering < n and held[uses[entering]] > 0 and uses[entering] != row:
            n_known = push(known, n_known, entering) if following[latest[uses[entering]]] == entering else n_known
        length = b_pointers[row + 1] - b_pointers[row]
        need = min((length + line_elements - 1) // line_elements, lines)
        read[t] = length - min(length, held[row] * line_elements)
        missing = need - held[row]
        latest[row] = t
        while free < missing:
            while oldest < t and (
                latest[uses[oldest]] != oldest or held[uses[oldest]] == 0 or following[oldest] <= entering
            ):
                oldest += 1
            victim = uses[oldest] if oldest < t else uses[known[0]]
            dropped = min(held[victim], missing - free)
            held[victim] -= dropped
            free += dropped
            if oldest == t and held[victim] == 0:
                n_known = pop(known, n_known)
        held[row] += missing
        free -= missing
        peak = max(peak, lines - free)
        if following[t] <= entering:
            n_known = push(known, n_known, following[t])
    for t in range(n):
        held[uses[t]], latest[uses[t]] = 0, -1
    read[n] = peak
    return read
