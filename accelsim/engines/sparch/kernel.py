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
def time_round(groups, slots, reads, writes, late, scans, layers, capacities, lookahead, cost, order, when):  # type: ignore[no-untyped-def]
    """Return the time of a round and how the multipliers waited, in ticks.

    Stage 0 multiplies, stages 1 .. layers merge, stage layers + 1 writes. A stage passes a row on as it works on it.
    The bus takes reads in the order of the rows, and writes too: whichever can begin first, and of two the write.

    Parameters
    ----------
    groups : as `count_rows` fills it
    slots : cycles of a multiplier group per row
    reads, writes : ticks for which the bus is held by what is read before a row and written after it
    late : ticks from the end of a row's reads on the bus to that of their data
    scans : cycle at which the fetcher has reached a row
    capacities : elements that fit behind each stage
    cost : ticks per slot, per merged element, per cycle, layer latency
    order, when : take, in the order in which they begin on the bus, the number of a row whose reads do, or rows and the
        number of one whose writes do; and the tick at which each begins, by that number
    """
    n, stages = groups.shape[0], layers + 1
    last = stages - 1
    per_slot, per_element, per_cycle, passing = cost[0], cost[1], cost[2], cost[3]
    begun = np.zeros((n, stages + 1), np.int64)
    read_at, done, ready = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    scan_bound = np.zeros(n, np.bool_)
    free = np.zeros(stages, np.int64)
    blocker, waiting = np.full(stages, -1, np.int64), np.zeros(stages, np.int64)
    asked, walked, written = 0, 0, 0  # rows whose reads are issued, that went through the stages, that are written
    bus, busy = 0, 0
    ahead, fetched = -1, groups[0, 1] if n else 0
    memory, conflict, control = 0, 0, 0
    while written < n:
        while walked < asked:
            g = walked
            for s in range(stages):
                while waiting[s] > capacities[s] and blocker[s] < g - 1:
                    blocker[s] += 1
                    waiting[s] -= groups[blocker[s], 4 + s]
            if blocker[last] >= written:
                break  # it waits for a row that the bus has not taken yet
            first = read_at[g] + late[g] * (2 if groups[g, 3] > 0 and groups[g, 1] > 0 else 1)
            before_begin, before_end = first, first + reads[g]
            for s in range(stages):
                block = begun[blocker[s], s + 1] if blocker[s] >= 0 else 0
                begin = max(free[s], before_begin, block)
                work = slots[g] * per_slot if s == 0 else groups[g, 3 + s] * per_element
                end = max(begin + work, before_end)
                if s == 0:
                    came = min(begin, max(free[0], before_begin))
                    if scan_bound[g]:
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
            ready[g] = free[last]
            walked += 1
        # a read waits for the scan, and for room in the look-ahead FIFO, which a row that waits itself does not make
        asks = asked < n and ahead < walked
        space = done[ahead] if ahead >= 0 and asks else 0
        reached = scans[asked] * per_cycle if asks else 0
        if written < walked and (not asks or max(bus, ready[written]) <= max(bus, space, reached)):
            begun[written, stages] = max(bus, ready[written])
            bus = begun[written, stages] + writes[written]
            busy += writes[written]
            order[asked + written], when[n + written] = n + written, begun[written, stages]
            written += 1
        else:
            scan_bound[asked] = reached > max(bus, space)
            read_at[asked] = max(bus, space, reached)
            bus = read_at[asked] + reads[asked]
            busy += reads[asked]
            order[asked + written], when[asked] = asked, read_at[asked]
            asked += 1
            fetched += groups[asked, 1] if asked < n else 0
            while fetched > lookahead and ahead < asked - 1:
                ahead += 1
                fetched -= groups[ahead, 1]
    finish = bus
    for s in range(stages):
        finish = max(finish, free[s])
    return np.array([finish, memory, conflict, control, busy], np.int64)
