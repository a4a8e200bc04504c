"""SCALE-Sim's cycle loop: one demand line after the other, with the stalls of the three buffers.

Lines without words and without misses change nothing; the loop ticks through the rest because the OFMAP drain
arbitrates with what the array writes. Everything is in integers: SCALE-Sim's floats hold whole numbers here.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

from .operands import Ints
from .writes import Writes


@kernel
def read_offset(cycle: int, misses: int, last_fetch: int, step: int) -> tuple[int, int]:
    """Serve ``misses`` prefetches of ``step`` cycles; return the reply's offset and the last fetch's end.

    Each miss moves the reply to the end of its fetch, and a late one by the same amount once more.
    """
    offset = 1
    for _ in range(misses):
        last_fetch += step
        late = last_fetch - (cycle + offset)
        offset += late
        if late > 0:
            offset += late
    return offset, last_fetch


@kernel
def line_words(line: int, start: int, length: int, used: int) -> int:
    """Return how many of ``used`` ports write in ``line``: port j does so from start + j for ``length``."""
    newest, oldest = min(line - start, used - 1), max(line - start - length + 1, 0)
    return max(0, newest - oldest + 1)


@kernel
def store_partial(state: Ints, partial: Ints, gap: int) -> Ints:
    """Store the row being filled with ``gap`` words missing; return the rows of this kind not yet drained.

    ``partial`` (n, 2) holds (row, gap) from its start on, ``state[2]`` of them: see :func:`drain`.
    """
    if state[2] == partial.shape[0]:
        longer = np.empty((2 * state[2], 2), np.int64)
        for i in range(state[2]):
            longer[i, 0], longer[i, 1] = partial[i, 0], partial[i, 1]
        partial = longer
    partial[state[2], 0], partial[state[2], 1] = state[0], gap
    state[2] += 1
    state[0] += 1
    return partial


@kernel
def drain(now: int, state: Ints, partial: Ints, writes: Writes) -> int:
    """Send one drain buffer to DRAM from cycle ``now``; return the cycle of its last row.

    ``state`` is [rows stored, rows drained, partial rows not yet drained, free words, words written, first
    cycle, last cycle]. Only a partial row that ends the drain is counted without its gap.
    """
    begin, words = state[1], writes.words_per_cycle
    end = min(begin + (writes.drain + words - 1) // words, state[0])
    data, kept = (end - begin) * words, 0
    for i in range(state[2]):
        if partial[i, 0] == end - 1:
            data -= partial[i, 1]
        elif partial[i, 0] >= end:
            partial[kept, 0], partial[kept, 1] = partial[i, 0], partial[i, 1]
            kept += 1
    last: int = now + end - begin - 1
    state[1], state[2] = end, kept
    state[3] += data
    state[4] += data
    if state[5] < 0:
        state[5] = now
    state[6] = max(state[6], last)
    return last


@kernel
def run_lines(
    writes: Writes,
    ifmap_lines: Ints,
    ifmap_counts: Ints,
    ifmap_step: int,
    filter_lines: Ints,
    filter_counts: Ints,
    filter_step: int,
    marks: Ints,
) -> tuple[Ints, Ints]:
    """Walk all lines.

    Parameters
    ----------
    writes : Writes
        When the array writes, and the OFMAP buffer.
    ifmap_lines, ifmap_counts, filter_lines, filter_counts : int64 arrays
        Lines with misses and the prefetches each causes (empty in CALC mode).
    ifmap_step, filter_step : int
        Cycles by which one prefetch moves the end of the last one.
    marks : int64 array, ascending, without repetition
        Lines whose cycles are wanted; the last line must be among them.

    Returns
    -------
    seen : int64 array (len(marks), 4)
        Of each marked line: its cycle, and the cycles at which ifmap, filter and ofmap replied.
    totals : int64 array
        Stall cycles, last fetch of ifmap and of filter, ofmap words written, first and last ofmap cycle.
    """
    seen = np.zeros((marks.size, 4), np.int64)
    state = np.array([0, 0, 0, writes.capacity, 0, -1, -1])
    partial = np.empty((8, 2), np.int64)
    limit, words_per_cycle = writes.capacity - writes.drain, writes.words_per_cycle
    stalls, filled, busy_until = 0, 0, 0
    ifmap_fetch, filter_fetch = -1, -1
    a, b, m, line, ofmap_reply = 0, 0, 0, -1, 0
    for f in range(writes.row_folds * writes.col_folds):
        last_row, last_col = (f + 1) % writes.row_folds == 0, f // writes.row_folds == writes.col_folds - 1
        start = writes.last_start if last_row else writes.start
        length = writes.last_length if last_row else writes.length
        used = writes.last_used if last_col else writes.used
        for t in range(writes.fold_lines):
            line += 1
            cycle = line + stalls
            ifmap_offset, filter_offset, ofmap_reply = 1, 1, cycle
            if a < ifmap_lines.size and ifmap_lines[a] == line:
                ifmap_offset, ifmap_fetch = read_offset(cycle, ifmap_counts[a], ifmap_fetch, ifmap_step)
                a += 1
            if b < filter_lines.size and filter_lines[b] == line:
                filter_offset, filter_fetch = read_offset(cycle, filter_counts[b], filter_fetch, filter_step)
                b += 1
            left = line_words(t, start, length, used)
            while left > 0:
                draining = ofmap_reply < busy_until
                room = state[3] if draining else state[3] - limit + 1
                take = min(left, max(room, 1))
                left -= take
                state[3] -= take
                state[0] += (filled + take) // words_per_cycle
                filled = (filled + take) % words_per_cycle
                if take < room:
                    break
                if draining:
                    ofmap_reply = busy_until
                    continue
                if filled > 0:
                    partial = store_partial(state, partial, words_per_cycle - filled)
                    filled = 0
                busy_until = drain(ofmap_reply, state, partial, writes)
            if m < marks.size and marks[m] == line:
                seen[m, 0], seen[m, 1] = cycle, cycle + ifmap_offset
                seen[m, 2], seen[m, 3] = cycle + filter_offset, ofmap_reply
                m += 1
            stalls += max(ifmap_offset - 1, filter_offset - 1, ofmap_reply - cycle)
    if filled > 0:
        partial = store_partial(state, partial, words_per_cycle - filled)
    now = ofmap_reply
    while state[1] < state[0]:
        now = drain(now, state, partial, writes) + 1
    return seen, np.array([stalls, ifmap_fetch, filter_fetch, state[4], state[5], state[6]])
