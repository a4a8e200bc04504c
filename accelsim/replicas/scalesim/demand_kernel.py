"""Which words an operand is asked for in a fold, one line of the array's demand after the other.

Lines are written out a chunk at a time into a small buffer, so that memory stays with the operand, never
with its product with the folds. Arrays leave their tuples before the loops: numba counts references at every
access.
"""

from __future__ import annotations

from accelsim.jit import kernel

from .operands import Ints, Ints32, Operand, Order


@kernel
def fold_words(op: Operand, order: Order, row_fold: int, col_fold: int, begin: int, words: Ints32, ends: Ints) -> int:
    """Write the words of a fold from its line ``begin`` on, and where each line ends in ``words``.

    As many lines are written as ``ends`` is long, and ``words`` must hold them (see ``demand.demand``); their
    number is returned, 0 at the end of the fold.
    """
    if order.stationary:
        return stationary_words(op, order.depth, row_fold, col_fold, begin, words, ends)
    if order.block > 0:
        return block_words(op, order.depth, order.block, row_fold, begin, words, ends)
    return skewed_words(op, col_fold if order.by_column else row_fold, begin, words, ends)


@kernel
def skewed_words(op: Operand, tile: int, begin: int, words: Ints32, ends: Ints) -> int:
    """Write lines of a fold whose port i runs i lines behind port 0."""
    first = tile * op.width
    used = min(op.width, op.ports.size - first)
    times, ports, table = op.times, op.ports[first : first + used], op.table
    time_row, port_row, rows = op.time_row, op.port_row[first:], op.rows
    time_col, port_col, cols = op.time_col, op.port_col[first:], op.cols
    lines, n = min(ends.size, times.size + used - 1 - begin), 0
    for line in range(begin, begin + lines):
        low, high = max(0, line - times.size + 1), min(line, used - 1)
        if table.size > 0:
            for i in range(low, high + 1):
                if table[line - i, first + i] >= 0:
                    words[n] = table[line - i, first + i]
                    n += 1
        elif time_row.size > 0:
            for i in range(low, high + 1):
                t = line - i
                words[n] = times[t] + ports[i]
                n += (time_row[t] + port_row[i] < rows) & (time_col[t] + port_col[i] < cols)
        else:
            for i in range(low, high + 1):
                words[n + i - low] = times[line - i] + ports[i]
            n += high - low + 1
        ends[line - begin] = n
    return lines


@kernel
def stationary_words(
    op: Operand, depth: int, row_fold: int, col_fold: int, begin: int, words: Ints32, ends: Ints
) -> int:
    """Write lines of a fold that is loaded row by row, the bottom row first."""
    first = col_fold * op.width
    used = min(op.width, op.ports.size - first)
    times, ports, table = op.times, op.ports[first : first + used], op.table
    time_row, port_row, rows = op.time_row, op.port_row[first:], op.rows
    time_col, port_col, cols = op.time_col, op.port_col[first:], op.cols
    lines, n = min(ends.size, depth - begin), 0
    for line in range(begin, begin + lines):
        t = row_fold * depth + depth - 1 - line
        if t < times.size:
            for i in range(used):
                word = table[t, first + i] if table.size > 0 else times[t] + ports[i]
                words[n] = word
                inside = time_row.size == 0 or ((time_row[t] + port_row[i] < rows) & (time_col[t] + port_col[i] < cols))
                n += (word >= 0) & inside
        ends[line - begin] = n
    return lines


@kernel
def block_words(op: Operand, depth: int, block: int, row_fold: int, begin: int, words: Ints32, ends: Ints) -> int:
    """Write lines of row-wise sparse ws: in each, the j-th column of blocks is at pixel line - j.

    A fold spans two tiles; each block of them has B/2 columns.
    """
    first, half = row_fold * 2 * depth, block // 2
    end = min(first + 2 * depth, op.ports.size)
    times, ports = op.times, op.ports
    time_row, port_row, rows = op.time_row, op.port_row, op.rows
    time_col, port_col, cols = op.time_col, op.port_col, op.cols
    lines, n = min(ends.size, times.size + depth - 1 - begin), 0
    for line in range(begin, begin + lines):
        for j in range(max(0, line - times.size + 1), min(line, 2 * depth // block * half - 1) + 1):
            start, t = first + j // half * block, line - j
            for p in range(start, min(start + block, end)):
                words[n] = times[t] + ports[p]
                n += time_row.size == 0 or ((time_row[t] + port_row[p] < rows) & (time_col[t] + port_col[p] < cols))
        ends[line - begin] = n
    return lines
