"""One round of SpArch: rows of B kept or read, products merged by the tree, and the time of it. Skips, never ticks."""

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
def fetch_rows(uses, b_pointers, lookahead, lines, line_elements):  # type: ignore[no-untyped-def]
    """Return the elements read for each use of a row of B, and last the peak of lines held.

    ``uses`` is the row of B of each entry of A in the order of the FIFO.
    """
    n, n_rows = uses.size, b_pointers.size - 1
    read = np.zeros(n + 1, np.int64)
    never = n + lookahead + 1
    following = np.empty(n, np.int64)
    last = np.full(n_rows, never, np.int64)
    for t in range(n - 1, -1, -1):
        following[t] = last[uses[t]]
        last[uses[t]] = t
    held = np.zeros(n_rows, np.int64)
    latest = np.full(n_rows, -1, np.int64)
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
    read[n] = peak
    return read


@kernel
def merge(columns, values, first, middle, end, out_columns, out_values, to):  # type: ignore[no-untyped-def]
    """Merge two sorted streams, left plus right where columns meet; return where the result ends."""
    i, j = first, middle
    while i < middle or j < end:
        if j == end or (i < middle and columns[i] < columns[j]):
            out_columns[to], out_values[to] = columns[i], values[i]
            i += 1
        elif i == middle or columns[j] < columns[i]:
            out_columns[to], out_values[to] = columns[j], values[j]
            j += 1
        else:
            out_columns[to], out_values[to] = columns[i], values[i] + values[j]
            i += 1
            j += 1
        to += 1
    return to


@kernel
def merge_rows(  # type: ignore[no-untyped-def]
    rows, slots, uses, factors, b_pointers, b_columns, b_values, layers, starts, p_rows, p_columns, p_values, p_slots,
    out_rows, out_columns, out_values, groups,
):  # fmt: skip
    """Multiply and merge all rows of a round; return the numbers of rows and of elements out.

    Entries of A are ``rows, slots, uses, factors``, by row and slot. Stream i of the partial products is
    ``starts[i]:starts[i + 1]`` of ``p_*`` and enters at ``p_slots[i]``. Of each row, ``groups`` takes its number, the
    first entry of A, entries of A, elements from DRAM, then the elements into each layer and out of the root.
    """
    ways, rows_end = 1 << layers, 1 << 60
    at = starts[:-1].copy()
    segment, ends = np.zeros(ways + 1, np.int64), np.zeros(ways + 1, np.int64)
    entry_of, stream_of = np.empty(ways, np.int64), np.empty(ways, np.int64)
    size = 16
    left_columns, right_columns = np.empty(size, np.int64), np.empty(size, np.int64)
    left_values, right_values = np.empty(size, out_values.dtype), np.empty(size, out_values.dtype)
    e, out, count = 0, 0, 0
    while True:
        row = rows_end
        if e < rows.size:
            row = rows[e]
        for i in range(at.size):
            if at[i] < starts[i + 1]:
                row = min(row, p_rows[at[i]])
        if row == rows_end:
            break
        entry_of[:], stream_of[:] = -1, -1
        total, from_dram, first = 0, 0, e
        while e < rows.size and rows[e] == row:
            entry_of[slots[e]] = e
            total += b_pointers[uses[e] + 1] - b_pointers[uses[e]]
            e += 1
        products = total
        for i in range(at.size):
            stop = at[i]
            while stop < starts[i + 1] and p_rows[stop] == row:
                stop += 1
            stream_of[p_slots[i]] = i
            segment[p_slots[i]] = stop
            from_dram += stop - at[i]
        total += from_dram
        if total > size:
            size = 2 * total
            left_columns, right_columns = np.empty(size, np.int64), np.empty(size, np.int64)
            left_values, right_values = np.empty(size, out_values.dtype), np.empty(size, out_values.dtype)
        to = 0
        for slot in range(ways):
            if entry_of[slot] >= 0:
                use, factor = uses[entry_of[slot]], factors[entry_of[slot]]
                for j in range(b_pointers[use], b_pointers[use + 1]):
                    left_columns[to], left_values[to] = b_columns[j], factor * b_values[j]
                    to += 1
            elif stream_of[slot] >= 0:
                stream = stream_of[slot]
                for j in range(at[stream], segment[slot]):
                    left_columns[to], left_values[to] = p_columns[j], p_values[j]
                    to += 1
                at[stream] = segment[slot]
            ends[slot] = to
        groups[count, 0], groups[count, 1], groups[count, 2], groups[count, 3] = row, first, e - first, from_dram
        groups[count, 4] = products
        for layer in range(layers):
            groups[count, 5 + layer] = to
            to, begin = 0, 0
            for node in range(ways >> (layer + 1)):
                middle, end = ends[2 * node], ends[2 * node + 1]
                to = merge(left_columns, left_values, begin, middle, end, right_columns, right_values, to)
                begin = end
                ends[node] = to
            left_columns, right_columns = right_columns, left_columns
            left_values, right_values = right_values, left_values
        groups[count, 5 + layers] = to
        for j in range(to):
            out_rows[out], out_columns[out], out_values[out] = row, left_columns[j], left_values[j]
            out += 1
        count += 1
    return count, out


@kernel
def time_round(groups, slots, bits, writes, scans, layers, capacities, lookahead, cost):  # type: ignore[no-untyped-def]
    """Return the time of a round and how the multipliers waited, in ticks.

    Stage 0 multiplies, stages 1 .. layers merge, stage layers + 1 writes. A stage passes a row on as it works on it.

    Parameters
    ----------
    groups : as `merge_rows` fills it
    slots : cycles of a multiplier group per row
    bits, writes : bits read before a row and written after it
    scans : cycle at which the fetcher has reached a row
    capacities : elements that fit behind each stage
    cost : ticks per slot, per merged element, per bit, per cycle, DRAM latency, layer latency, B's latency per row
    """
    n, stages = groups.shape[0], layers + 1
    per_slot, per_element, per_bit, per_cycle, latency, passing = cost[0], cost[1], cost[2], cost[3], cost[4], cost[5]
    begun = np.zeros((n, stages + 1), np.int64)
    ready, done = np.zeros(n, np.int64), np.zeros(n, np.int64)
    free = np.zeros(stages, np.int64)
    blocker, waiting = np.full(stages, -1, np.int64), np.zeros(stages, np.int64)
    bus, written, ahead, fetched = 0, 0, -1, 0
    memory, conflict, control, busy = 0, 0, 0, 0
    gap_from, gap_to = 0, 0
    for g in range(n):
        fetched += groups[g, 2]
        while fetched > lookahead and ahead < g - 1:
            ahead += 1
            fetched -= groups[ahead, 2]
        space = done[ahead] if ahead >= 0 else 0
        reached = scans[g] * per_cycle
        while written < g and ready[written] <= max(bus, space, reached):
            begun[written, stages] = max(bus, ready[written])
            bus = begun[written, stages] + writes[written] * per_bit
            written += 1
        scan_bound = reached > max(bus, space)
        start = max(gap_from, space, reached)
        if start + bits[g] * per_bit <= gap_to:
            # reads go while the bus waits for the row that it must write next
            scan_bound = reached > max(gap_from, space)
            gap_from = start + bits[g] * per_bit
        else:
            start = max(bus, space, reached)
            bus = start + bits[g] * per_bit
        delay = latency * (2 if groups[g, 4] > 0 and groups[g, 2] > 0 else 1)
        first, last = start + delay, start + bits[g] * per_bit + delay
        before_begin, before_end = first, last
        for s in range(stages):
            while waiting[s] > capacities[s] and blocker[s] < g - 1:
                blocker[s] += 1
                waiting[s] -= groups[blocker[s], 5 + s]
            block = 0
            if blocker[s] >= 0:
                if s == stages - 1:
                    while written <= blocker[s]:
                        if ready[written] > bus:
                            gap_from, gap_to = bus, ready[written]
                        begun[written, stages] = max(bus, ready[written])
                        bus = begun[written, stages] + writes[written] * per_bit
                        written += 1
                block = begun[blocker[s], s + 1]
            begin = max(free[s], before_begin, block)
            work = slots[g] * per_slot if s == 0 else groups[g, 4 + s] * per_element
            end = max(begin + work, before_end)
            if s == 0:
                came = min(begin, max(free[0], before_begin))
                if scan_bound:
                    control += came - free[0]
                else:
                    memory += came - free[0]
                conflict += begin - came
                memory += end - begin - work
                done[g] = end
            begun[g, s] = begin
            free[s] = end
            waiting[s] += groups[g, 5 + s]
            before_begin, before_end = begin + passing, end + passing
        ready[g] = free[stages - 1]
        busy += bits[g] + writes[g]
    while written < n:
        bus = max(bus, ready[written]) + writes[written] * per_bit
        written += 1
    finish = bus
    for s in range(stages):
        finish = max(finish, free[s])
    return np.array([finish, memory, conflict, control, busy * per_bit], np.int64)
