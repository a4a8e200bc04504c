"""SCALE-Sim's USER mode read buffer: a window over the fetched words that moves on when a word is missing.

The fetched words, in an order of their own, are cut into sets; the window holds half a buffer of sets and
advances by the other half, round and round, until the missing word is in it.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

from .demand_kernel import fold_words
from .operands import Ints, Ints32, Operand, Order


@kernel
def fetch_order(op: Operand, order: Order) -> Ints32:
    """Return the words in fetch order: the tiles stacked, read by rows, or along diagonals if skewed."""
    times, ports, table = op.times, op.ports, op.table
    time_row, port_row, rows = op.time_row, op.port_row, op.rows
    time_col, port_col, cols = op.time_col, op.port_col, op.cols
    stack = np.empty(times.size * ports.size, np.int32)
    stacked, n = (ports.size + op.width - 1) // op.width * times.size, 0
    skew = 0 if order.stationary else 1
    for diagonal in range(stacked + skew * (op.width - 1)):
        row = min(diagonal, stacked - 1)
        tile, t = row // times.size, row % times.size
        low = diagonal - row
        high = min(diagonal, op.width - 1) if skew else op.width - 1
        for col in range(low, high + 1):
            p = tile * op.width + col
            if p < ports.size:
                word = table[t, p] if table.size > 0 else times[t] + ports[p]
                stack[n] = word
                inside = time_row.size == 0 or ((time_row[t] + port_row[p] < rows) & (time_col[t] + port_col[p] < cols))
                n += (word >= 0) & inside
            t -= skew
            if t < 0:
                t = times.size - 1
                tile -= 1
    return stack[:n]


@kernel
def move_window(stack: Ints32, held_words: Ints32, start: int, step: int, held: int, size: int, sets: int) -> int:
    """Advance the window of ``held`` sets by ``step`` sets of ``size`` words; return its new first set."""
    for d in range(step):
        leaving, entering = (start + d) % sets, (start + held + d) % sets
        for q in range(leaving * size, min((leaving + 1) * size, stack.size)):
            held_words[stack[q]] -= 1
        for q in range(entering * size, min((entering + 1) * size, stack.size)):
            held_words[stack[q]] += 1
    return (start + step) % sets


@kernel
def user_misses(
    op: Operand, order: Order, active: int, prefetch: int, size: int, words: Ints32, ends: Ints
) -> tuple[Ints, Ints]:
    """Find the lines at which words are missing, and how often each makes the window advance.

    ``active`` and ``prefetch`` are the halves of the buffer in words, ``size`` the words of a set;
    ``words`` and ``ends`` are buffers for a chunk of lines.

    Returns
    -------
    lines, counts : int64 arrays, one entry per line with a miss.
    """
    stack = fetch_order(op, order)
    sets = stack.size // size + 1
    held = min(sets, (active + size - 1) // size)
    step = min(sets - held, (prefetch + size - 1) // size)
    if step == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    held_words = np.zeros(op.footprint, np.int32)  # how often each word is in the window
    for q in range(min(held * size, stack.size)):
        held_words[stack[q]] += 1
    walked = np.full(max(order.row_folds, order.col_folds), -1, np.int64)  # tile -> the last fold with it
    found, start, clean = 0, 0, 0
    lines, counts = np.empty(64, np.int64), np.empty(64, np.int64)
    for f in range(order.row_folds * order.col_folds):
        fr, fc = f % order.row_folds, f // order.row_folds
        tile = fc if order.by_column else fr
        if order.stationary or walked[tile] < clean:
            first = f * order.fold_lines + order.lead
            chunk = fold_words(op, order, fr, fc, 0, words, ends)
            while chunk > 0:
                begin = 0
                for line in range(chunk):
                    misses = 0
                    for q in range(begin, ends[line]):
                        while held_words[words[q]] == 0:
                            start = move_window(stack, held_words, start, step, held, size, sets)
                            misses += 1
                    begin = ends[line]
                    if misses > 0:
                        if found == lines.size:
                            lines = np.concatenate((lines, np.empty_like(lines)))
                            counts = np.concatenate((counts, np.empty_like(counts)))
                        lines[found], counts[found] = first + line, misses
                        found += 1
                        clean = f + 1
                first += chunk
                done = first - f * order.fold_lines - order.lead
                chunk = fold_words(op, order, fr, fc, done, words, ends)
        walked[tile] = f
    return lines[:found], counts[:found]
