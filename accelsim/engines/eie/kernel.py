"""EIE's passes: compression into slices, and the walk. It skips everywhere and ticks nowhere: a broadcast waits for
the slowest of known times and every PE issues in order, so nothing arbitrates.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

CAUSES = 7
"""Slots 1 to 7 of `walk_pass`'s counts: busy, padding, control, fill_drain, conflict, starved, imbalance."""


@kernel
def compress(codes, pes, run_bits):  # type: ignore[no-untyped-def]
    """Compress one pass into the slices of its PEs, column by column.

    Parameters
    ----------
    codes : ndarray of any integer or bool (rows, columns)
        0 is a zero weight.
    pes : int
        Row i belongs to PE ``i % pes``.
    run_bits : int
        Width of a run; a padding entry stands for 2 ** run_bits zeros.

    Returns
    -------
    starts : ndarray of int64, shape (pes, columns + 1)
        Where each slice begins in the two others; the last is the end of the PE.
    values, runs : ndarray of int64, shape (entries,)
        Ordered by PE, column, row; padding is (0, 2 ** run_bits - 1).
    """
    rows, columns = codes.shape
    longest = (np.int64(1) << run_bits) - 1
    starts = np.zeros((pes, columns + 1), dtype=np.int64)
    last = np.full((pes, columns), -1, dtype=np.int64)
    for row in range(rows):
        pe, place = row % pes, row // pes
        for column in range(columns):
            if codes[row, column]:
                starts[pe, column + 1] += 1 + ((place - last[pe, column] - 1) >> run_bits)
                last[pe, column] = place
    total = np.int64(0)
    for pe in range(pes):
        starts[pe, 0] = total
        for column in range(columns):
            total += starts[pe, column + 1]
            starts[pe, column + 1] = total
    values, runs = np.zeros(total, dtype=np.int64), np.full(total, longest, dtype=np.int64)
    fill = starts[:, :columns].copy()
    last[:, :] = -1
    for row in range(rows):
        pe, place = row % pes, row // pes
        for column in range(columns):
            if codes[row, column]:
                gap = place - last[pe, column] - 1
                at = fill[pe, column] + (gap >> run_bits)
                values[at], runs[at] = codes[row, column], gap & longest
                fill[pe, column] = at + 1
                last[pe, column] = place
    return starts, values, runs


@kernel
def walk_pass(  # type: ignore[no-untyped-def]
    depth, pointer_cycles, bypass, padding_cycle, empty_cycle, row_entries, mapped,
    starts, values, runs, inputs, codebook, sums,
):  # fmt: skip
    """Walk one pass for one vector and return its counts.

    Parameters
    ----------
    depth : int
        Places in each PE's queue.
    pointer_cycles : int
        Cycles to read a pair of pointers.
    bypass, padding_cycle, empty_cycle : bool
        As in `Params`.
    row_entries : int
        Entries in a row of the matrix memory.
    mapped : int
        PEs that own rows of the pass.
    starts, values, runs : ndarray of int64
        As `compress` returns them.
    inputs : ndarray of int64, shape (columns,)
        Zeros are not broadcast.
    codebook : ndarray of int64
        Code -> weight; empty if codes are weights.
    sums : ndarray of int64, shape (rows of a PE, pes)
        Accumulators, added to. A walk without values has them empty.

    Returns
    -------
    ndarray of int64, shape (11,)
        Cycles without drain; unit-cycles by cause (`CAUSES`) of the mapped PEs; broadcasts; rows of the matrix
        memory read; entries, padding included.
    """
    columns = inputs.shape[0]
    with_values = sums.size > 0
    counts = np.zeros(11, dtype=np.int64)
    ends = np.zeros((depth, mapped), dtype=np.int64)  # of the columns that may still be in the queues
    end, begin = np.zeros(mapped, dtype=np.int64), np.zeros(mapped, dtype=np.int64)
    last_row, last_cycle = np.full(mapped, -1, dtype=np.int64), np.full(mapped, -2, dtype=np.int64)
    held = np.full(mapped, -1, dtype=np.int64)  # row of the matrix memory in the PE's register
    slot, done, free = np.int64(-1), np.int64(0), np.int64(0)
    busy = padding = empty = rows = entries = np.int64(0)
    for column in range(columns):
        if inputs[column] == 0:
            continue
        place = done % depth
        before = slot
        slot += 1
        if done >= depth:
            for pe in range(mapped):
                slot = max(slot, ends[place, pe])
        for pe in range(mapped):
            arrived = max(slot + 2, end[pe])
            ready = max(max(slot + 1, begin[pe]) + pointer_cycles, end[pe])
            if done == 0:
                counts[4] += 2
                counts[5] += ready - 2
            else:
                known = max(arrived, begin[pe] + 1)
                mine = before + 1 if done < depth else max(before + 1, ends[place, pe])
                alone = max(0, min(arrived - 2, mine) - (end[pe] - 2))
                counts[6] += alone
                counts[7] += arrived - end[pe] - alone
                counts[3] += known - arrived
                counts[5] += ready - known
            begin[pe] = ready
            cycle = ready
            row = np.int64(-1)
            first, stop = starts[pe, column], starts[pe, column + 1]
            if stop > first:
                from_row, to_row = (first - starts[pe, 0]) // row_entries, (stop - 1 - starts[pe, 0]) // row_entries
                rows += to_row - from_row + (from_row != held[pe])
                held[pe] = to_row
            elif empty_cycle:
                empty += 1
                cycle += 1
            for at in range(first, stop):
                row += runs[at] + 1
                value = values[at]
                if value == 0 and not padding_cycle:
                    continue
                if not bypass and row == last_row[pe] and cycle == last_cycle[pe] + 1:
                    counts[5] += 1
                    cycle += 1
                if value == 0:
                    padding += 1
                else:
                    busy += 1
                    if with_values:
                        weight = value if codebook.size == 0 else codebook[value]
                        sums[row, pe] += weight * inputs[column]
                last_row[pe], last_cycle[pe] = row, cycle
                cycle += 1
            entries += stop - first
            end[pe] = cycle
            ends[place, pe] = cycle
            free = max(free, cycle)
        done += 1
    for pe in range(mapped):
        counts[7] += free - end[pe]
    counts[0], counts[1], counts[2], counts[8], counts[9], counts[10] = free, busy, padding, done, rows, entries
    counts[3] += empty
    return counts
