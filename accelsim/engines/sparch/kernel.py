"""One round of SpArch: elements through every layer of the tree, and the time of it. Skips, never ticks."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def count_rows(  # type: ignore[no-untyped-def]
    rows, slots, begins, ends, from_b, multiply, b_columns, p_columns, layers, last, serial, groups, out_columns
):
    """Count the elements of some rows through the tree; return rows and elements out, and the next serial number.

    A node of a layer puts out a column once, however many of its streams bring it. Slots come in ascending order, so
    the last slot that brought the column decides which nodes see it for the first time: those below the highest bit
    in which both slots differ.

    Parameters
    ----------
    rows, slots, begins, ends, from_b : pieces as in `values_kernel.merge_rows`
    multiply : whether rows of B are products of new entries of A; else they come back from DRAM
    last : number of the row and slot that brought each column last; scratch, 0 at first, shared by all rounds
    serial : larger than the number of any row before
    groups : takes of each row its number, entries of A, elements from DRAM, products, then the elements into each
        layer and out of the root
    out_columns : takes the columns out of the root, in the order of their first appearance
    """
    # unsigned where the inner loops index, and nowhere else: numba looks whether a signed index counts from the end
    depth = np.zeros(1 << layers, np.int64)
    for differing in range(1, 1 << layers):
        depth[differing] = depth[differing >> 1] + 1
    seen = np.zeros(layers + 2, np.int64)
    piece, count, out = 0, 0, 0
    while piece < rows.size:
        row, base, before = rows[piece], serial << layers, out
        seen[:] = 0
        entries, from_dram, total = 0, 0, 0
        while piece < rows.size and rows[piece] == row:
            tag, size = base + slots[piece], ends[piece] - begins[piece]
            total += size
            if from_b[piece] and multiply:
                entries += 1
            else:
                from_dram += size
            if from_b[piece]:
                for column in b_columns[begins[piece] : ends[piece]]:
                    differing = last[np.uint64(column)] ^ tag
                    last[np.uint64(column)] = tag
                    if differing >> layers:
                        out_columns[np.uint64(out)] = column
                        out += 1
                    else:
                        seen[np.uint64(depth[np.uint64(differing)])] += 1
            else:
                for column in p_columns[begins[piece] : ends[piece]]:
                    differing = last[np.uint64(column)] ^ tag
                    last[np.uint64(column)] = tag
                    if differing >> layers:
                        out_columns[np.uint64(out)] = column
                        out += 1
                    else:
                        seen[np.uint64(depth[np.uint64(differing)])] += 1
            piece += 1
        groups[count, 0], groups[count, 1], groups[count, 2] = row, entries, from_dram
        groups[count, 3], groups[count, 4 + layers] = total - from_dram, out - before
        into = out - before
        for layer in range(layers - 1, -1, -1):
            into += seen[layer + 1]
            groups[count, 4 + layer] = into
        count += 1
        serial += 1
    return count, out, serial


@kernel
def time_round(groups, slots, bits, writes, scans, layers, capacities, lookahead, cost):  # type: ignore[no-untyped-def]
    """Return the time of a round and how the multipliers waited, in ticks.

    Stage 0 multiplies, stages 1 .. layers merge, stage layers + 1 writes. A stage passes a row on as it works on it.

    Parameters
    ----------
    groups : as `count_rows` fills it
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
        fetched += groups[g, 1]
        while fetched > lookahead and ahead < g - 1:
            ahead += 1
            fetched -= groups[ahead, 1]
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
        delay = latency * (2 if groups[g, 3] > 0 and groups[g, 1] > 0 else 1)
        first, last = start + delay, start + bits[g] * per_bit + delay
        before_begin, before_end = first, last
        for s in range(stages):
            while waiting[s] > capacities[s] and blocker[s] < g - 1:
                blocker[s] += 1
                waiting[s] -= groups[blocker[s], 4 + s]
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
            work = slots[g] * per_slot if s == 0 else groups[g, 3 + s] * per_element
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
            waiting[s] += groups[g, 4 + s]
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
