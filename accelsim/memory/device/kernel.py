"""One DRAM channel and its controller, in machine code: from one event to the next.

The rules are those of docs/decisions/0084-dram-device.md. Time jumps to the next clock at which a command is legal, a
request is offered or a refresh falls due: between two of these nothing can change. Constraints are kept as the first
clock at which a command is legal again; every command raises those that it binds.
"""

from __future__ import annotations

from accelsim.jit import lean, part

(
    RCD_RD, RCD_WR, RAS, RC, RP, RP_ALL, RTP, WR_PRE, RD_RD, RD_RD_SAME, WR_WR, WR_WR_SAME, WR_RD, WR_RD_SAME, RD_WR,
    RRD, RRD_SAME, FAW, RFC, REFI, PPD, RD_RD_RANK, RD_WR_RANK, WR_RD_RANK, WR_WR_RANK, CL, CWL, BL, ACT_LATE,
    TWO_BUSES, CLOSED, CAP, GROUP_BITS, RANK_BITS, BUS_BITS, QUEUE, HIGH, LOW,
) = range(38)  # fmt: skip
"""Rules: minima in device clocks between commands (see `rules.rules`), and the shape of channel and controller.
``GROUP_BITS``, ``RANK_BITS``, ``BUS_BITS``: a bank's index shifted right by them is that of its bank group, rank and
pseudo channel; ``HIGH`` and ``LOW`` are the marks of write mode in queued writes; ``CAP`` accesses close a row."""
RULES = 38

B_ROW, B_ACT, B_PRE, B_RD, B_WR, B_OWNER, B_USED, B_WAITING = range(8)
"""Of a bank: its open row (-1: none), the first clocks of commands, the request for which it was opened and that has
not been served yet (-1: none), accesses since, requests that wait for the open row (kept where rows are closed)."""
BANK_ROWS = 8
G_ACT, G_RD, G_WR = range(3)
"""Of a bank group: the first clocks of commands."""
GROUP_ROWS = 3
R_ACT, R_RD, R_WR, R_PRE, R_REF, R_RING, R_LAST, R_OPEN, R_SINCE, R_OPEN_CLOCKS, R_OWNED, R_DUE, R_DONE = (
    0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 15,
)  # fmt: skip
"""Of a rank: the first clocks of commands; its last four activates and which of them is next to be forgotten; open
rows, since when there are any, clocks in which there were; requests that own an open row; when the refresh at hand fell
due and when the last was over."""
RANK_ROWS = 16
D_END, D_WROTE, D_BUSY, D_REFRESH, D_TURNAROUND, D_BANK, D_BUS, D_IDLE = range(8)
"""Of a data bus: where its last burst ends, whether that was a write; clocks with data, and without by cause."""
BUS_ROWS = 8
(
    CLOCK, TAKEN, READS, WRITES, ACTIVE, WRITING, NEXT_REF, REF_WAITING, REF_HEAD, ROW_FREE, HITS, MISSES, CONFLICTS,
    LATENCY, ANSWERED, ACTS, PRES, ALL_PRES, RDS, WRS, REFS, FORWARDED, MERGED, LOGGED, LAST, OFFERED,
) = range(26)  # fmt: skip
"""Of the channel: clock, requests taken, lengths of the queues, whether it writes, next refresh, refreshes that wait,
the rank of the first, when the row bus is free; requests by their first command, clocks and number of answered reads;
commands; reads answered from queued writes, writes merged; commands logged; end of the last burst; when the
last request of a machine was taken."""
CHANNEL = 26
READ_QUEUE, WRITE_QUEUE, ACTIVE_QUEUE = range(3)
ACT, PRE, ALL_PRE, RD, WR, REF = range(6)
"""Commands, as logged."""
HIT, MISS, CONFLICT, DIRECT = range(1, 5)
"""What a request found: by its first command, or a queued write."""
LOG_COLUMNS = 5
NEVER = 2**62
PAUSE = -2
ANY, COLUMN, ROW = range(3)
"""Which bus a command takes."""


@part
def offer(i, clock, rules, channel, bank, queue, at, row, place, write, done, found):  # type: ignore[no-untyped-def]
    """Let the front end offer request ``i``; return whether it was taken."""
    for k in range(channel[WRITES]):
        if place[queue[WRITE_QUEUE, k]] == place[i]:
            found[i] = DIRECT
            done[i] = clock + 1
            if write[i]:
                channel[MERGED] += 1
            else:
                channel[FORWARDED] += 1
                channel[ANSWERED] += 1
                channel[LATENCY] += 1
            channel[TAKEN] += 1
            return True
    which = WRITE_QUEUE if write[i] else READ_QUEUE
    if channel[READS + which] >= rules[QUEUE]:
        return False
    queue[which, channel[READS + which]] = i
    channel[READS + which] += 1
    channel[TAKEN] += 1
    found[i] = 0
    done[i] = clock
    if rules[CLOSED] and bank[B_ROW, at[i]] == row[i]:
        bank[B_WAITING, at[i]] += 1
    return True


@part
def first(kind, which, clock, rules, channel, bank, group, rank, queue, at, row, write):  # type: ignore[no-untyped-def]
    """Return the place in a queue of the request whose next command is legal first, and when; the oldest of several.

    Only commands of the bus ``kind`` count. A command that is legal at ``clock`` ends the search.
    """
    best, chosen = NEVER, -1
    group_bits, rank_bits, closed, cap = rules[GROUP_BITS], rules[RANK_BITS], rules[CLOSED], rules[CAP]
    for k in range(channel[READS + which]):
        i = queue[which, k]
        b = at[i]
        g, r = b >> group_bits, b >> rank_bits
        open_row = bank[B_ROW, b]
        if open_row == row[i] and (which == ACTIVE_QUEUE or not closed or bank[B_USED, b] < cap):
            if kind == ROW:
                continue
            if write[i]:
                ready = max(bank[B_WR, b], group[G_WR, g], rank[R_WR, r])
            else:
                ready = max(bank[B_RD, b], group[G_RD, g], rank[R_RD, r])
        elif kind == COLUMN:
            continue
        elif open_row < 0:
            ready = max(max(bank[B_ACT, b], group[G_ACT, g], rank[R_ACT, r]) - rules[ACT_LATE], channel[ROW_FREE])
        elif bank[B_OWNER, b] >= 0:
            continue
        else:
            ready = max(bank[B_PRE, b], rank[R_PRE, r], channel[ROW_FREE])
        if ready < best:
            best, chosen = ready, k
            if ready <= clock:
                break
    return best, chosen


@lean
def refresh_ready(rules, channel, bank, rank):  # type: ignore[no-untyped-def]
    """Return when the next command of the first waiting refresh is legal: a precharge of all banks, or the refresh."""
    r = channel[REF_HEAD]
    if rank[R_OPEN, r] == 0:
        return max(rank[R_REF, r], channel[ROW_FREE])
    if rank[R_OWNED, r] > 0:
        return NEVER
    ready = max(rank[R_PRE, r], channel[ROW_FREE])
    for b in range(r << rules[RANK_BITS], (r + 1) << rules[RANK_BITS]):
        ready = max(ready, bank[B_PRE, b])
    return ready


@lean
def idle_row(clock, rules, channel, bank, rank):  # type: ignore[no-untyped-def]
    """Return the bank whose row the closed-page policy may close first, and when: used up, or nothing waits for it."""
    best, chosen = NEVER, -1
    for b in range(bank.shape[1]):
        used_up = bank[B_USED, b] >= rules[CAP] or bank[B_WAITING, b] == 0
        if bank[B_ROW, b] >= 0 and bank[B_OWNER, b] < 0 and used_up:
            ready = max(clock, bank[B_PRE, b], rank[R_PRE, b >> rules[RANK_BITS]], channel[ROW_FREE])
            if ready < best:
                best, chosen = ready, b
    return best, chosen


@part
def choose(kind, clock, rules, channel, bank, group, rank, queue, at, row, write):  # type: ignore[no-untyped-def]
    """Return the next command of bus ``kind`` if nothing happens before: when, from which queue and place.

    Queues -1 and -2 are a waiting refresh, and a row that the closed-page policy closes (its place is the bank).
    """
    when, place = first(kind, ACTIVE_QUEUE, clock, rules, channel, bank, group, rank, queue, at, row, write)
    which = ACTIVE_QUEUE
    if when <= clock:
        return when, which, place
    if channel[REF_WAITING] > 0:
        if kind != COLUMN:
            ready = refresh_ready(rules, channel, bank, rank)
            if ready < when:
                return ready, -1, 0
        return when, which, place
    if channel[WRITING]:
        if channel[WRITES] < rules[LOW] and channel[READS] > 0:
            channel[WRITING] = 0
    elif channel[WRITES] > rules[HIGH] or channel[READS] == 0:
        channel[WRITING] = 1
    mode = WRITE_QUEUE if channel[WRITING] else READ_QUEUE
    ready, k = first(kind, mode, clock, rules, channel, bank, group, rank, queue, at, row, write)
    if ready < when:
        when, which, place = ready, mode, k
    if rules[CLOSED] and kind != COLUMN and when > clock:
        ready, b = idle_row(clock, rules, channel, bank, rank)
        if ready < when:
            return ready, -2, b
    return when, which, place


@lean
def note(command, clock, b, row, i, channel, log):  # type: ignore[no-untyped-def]
    """Write a command to the log, as long as it has room: clock, command, bank (or rank), row, request."""
    k = channel[LOGGED]
    if k < log.shape[0]:
        log[k, 0], log[k, 1], log[k, 2], log[k, 3], log[k, 4] = clock, command, b, row, i
    channel[LOGGED] += 1


@lean
def activate(i, clock, rules, channel, bank, group, rank, queue, at, row):  # type: ignore[no-untyped-def]
    """Open the row of request ``i``, which owns it until it is served."""
    b = at[i]
    g, r = b >> rules[GROUP_BITS], b >> rules[RANK_BITS]
    t = clock + rules[ACT_LATE]
    channel[ROW_FREE] = t + 1
    bank[B_ROW, b], bank[B_OWNER, b], bank[B_USED, b] = row[i], i, 0
    bank[B_RD, b], bank[B_WR, b] = t + rules[RCD_RD], t + rules[RCD_WR]
    bank[B_PRE, b] = max(bank[B_PRE, b], t + rules[RAS])
    bank[B_ACT, b] = t + rules[RC]
    group[G_ACT, g] = max(group[G_ACT, g], t + rules[RRD_SAME])
    last = rank[R_LAST, r]
    rank[R_RING + last, r] = t
    last = (last + 1) & 3
    rank[R_LAST, r] = last
    rank[R_ACT, r] = max(rank[R_ACT, r], t + rules[RRD], rank[R_RING + last, r] + rules[FAW])
    rank[R_REF, r] = max(rank[R_REF, r], t + rules[RC])
    if rank[R_OPEN, r] == 0:
        rank[R_SINCE, r] = t
    rank[R_OPEN, r] += 1
    rank[R_OWNED, r] += 1
    channel[ACTS] += 1
    if rules[CLOSED]:
        bank[B_WAITING, b] = 1
        for which in range(2):
            for k in range(channel[READS + which]):
                other = queue[which, k]
                if at[other] == b and row[other] == row[i] and other != i:
                    bank[B_WAITING, b] += 1


@lean
def precharge(b, clock, rules, channel, bank, rank):  # type: ignore[no-untyped-def]
    """Close the row of a bank."""
    r = b >> rules[RANK_BITS]
    bank[B_ROW, b] = -1
    bank[B_ACT, b] = max(bank[B_ACT, b], clock + rules[RP])
    rank[R_PRE, r] = max(rank[R_PRE, r], clock + rules[PPD])
    rank[R_REF, r] = max(rank[R_REF, r], clock + rules[RP])
    rank[R_OPEN, r] -= 1
    if rank[R_OPEN, r] == 0:
        rank[R_OPEN_CLOCKS, r] += clock - rank[R_SINCE, r]
    channel[PRES] += 1


@lean
def refresh(clock, rules, channel, bank, rank, log):  # type: ignore[no-untyped-def]
    """Issue the next command of the first waiting refresh."""
    r = channel[REF_HEAD]
    if rank[R_OPEN, r] > 0:
        for b in range(r << rules[RANK_BITS], (r + 1) << rules[RANK_BITS]):
            bank[B_ROW, b] = -1
            bank[B_ACT, b] = max(bank[B_ACT, b], clock + rules[RP_ALL])
        rank[R_PRE, r] = max(rank[R_PRE, r], clock + rules[PPD])
        rank[R_REF, r] = max(rank[R_REF, r], clock + rules[RP_ALL])
        rank[R_OPEN, r] = 0
        rank[R_OPEN_CLOCKS, r] += clock - rank[R_SINCE, r]
        channel[ALL_PRES] += 1
        note(ALL_PRE, clock, r, -1, -1, channel, log)
        return
    rank[R_ACT, r] = max(rank[R_ACT, r], clock + rules[RFC])
    rank[R_REF, r] = max(rank[R_REF, r], clock + rules[RFC])
    rank[R_DONE, r] = clock + rules[RFC]
    channel[REFS] += 1
    channel[REF_WAITING] -= 1
    channel[REF_HEAD] = (r + 1) % rank.shape[1]
    note(REF, clock, r, -1, -1, channel, log)


@lean
def account(i, begin, clock, r, d, rules, rank, bus, write, done, found):  # type: ignore[no-untyped-def]
    """Say of the clocks between the last burst of a data bus and one at ``begin`` what they were lost to."""
    last = bus[D_END, d]
    bus[D_END, d] = begin + rules[BL]
    bus[D_BUSY, d] += rules[BL]
    lost = begin - last
    came = min(lost, max(0, done[i] + 1 + (begin - clock) - last))
    bus[D_IDLE, d] += came
    lost -= came
    held = min(lost, max(0, min(clock, rank[R_DONE, r]) - max(rank[R_DUE, r], last + came - (begin - clock))))
    bus[D_REFRESH, d] += held
    lost -= held
    if bus[D_WROTE, d] != write[i]:
        if write[i]:
            turned = min(lost, max(0, rules[RD_WR] + rules[CWL] - rules[CL] - rules[BL]))
        else:
            turned = min(lost, rules[WR_RD] + rules[CL] - rules[CWL] - rules[BL])
        bus[D_TURNAROUND, d] += turned
        lost -= turned
    if found[i] != HIT:
        bus[D_BANK, d] += lost
    else:
        bus[D_BUS, d] += lost
    bus[D_WROTE, d] = write[i]


@part
def access(i, clock, rules, channel, bank, group, rank, bus, at, write, done, found):  # type: ignore[no-untyped-def]
    """Read or write: bind what follows, free the row of its owner, note when the data will have passed."""
    b = at[i]
    g, r, d = b >> rules[GROUP_BITS], b >> rules[RANK_BITS], b >> rules[BUS_BITS]
    ranks = rules[BUS_BITS] - rules[RANK_BITS]
    if write[i]:
        bank[B_PRE, b] = max(bank[B_PRE, b], clock + rules[WR_PRE])
        group[G_WR, g] = max(group[G_WR, g], clock + rules[WR_WR_SAME])
        group[G_RD, g] = max(group[G_RD, g], clock + rules[WR_RD_SAME])
        same_rd, same_wr, other_rd, other_wr = rules[WR_RD], rules[WR_WR], rules[WR_RD_RANK], rules[WR_WR_RANK]
        begin = clock + rules[CWL]
        channel[WRS] += 1
    else:
        bank[B_PRE, b] = max(bank[B_PRE, b], clock + rules[RTP])
        group[G_RD, g] = max(group[G_RD, g], clock + rules[RD_RD_SAME])
        same_rd, same_wr, other_rd, other_wr = rules[RD_RD], rules[RD_WR], rules[RD_RD_RANK], rules[RD_WR_RANK]
        begin = clock + rules[CL]
        channel[RDS] += 1
    for other in range(d << ranks, (d + 1) << ranks):
        rank[R_RD, other] = max(rank[R_RD, other], clock + (same_rd if other == r else other_rd))
        rank[R_WR, other] = max(rank[R_WR, other], clock + (same_wr if other == r else other_wr))
    account(i, begin, clock, r, d, rules, rank, bus, write, done, found)
    if not write[i]:
        channel[ANSWERED] += 1
        channel[LATENCY] += begin + rules[BL] - done[i]
    if bank[B_OWNER, b] == i:
        bank[B_OWNER, b] = -1
        rank[R_OWNED, r] -= 1
    bank[B_USED, b] += 1
    if rules[CLOSED]:
        bank[B_WAITING, b] -= 1
    done[i] = begin + rules[BL]
    channel[LAST] = max(channel[LAST], done[i])


@part
def issue(clock, which, k, rules, channel, bank, group, rank, bus, queue, at, row, write, done, found, log):  # type: ignore[no-untyped-def]
    """Issue the chosen command."""
    if which == -1:
        refresh(clock, rules, channel, bank, rank, log)
        return
    if which == -2:
        precharge(k, clock, rules, channel, bank, rank)
        note(PRE, clock, k, -1, -1, channel, log)
        return
    i = queue[which, k]
    b = at[i]
    open_row = bank[B_ROW, b]
    used_up = rules[CLOSED] and bank[B_USED, b] >= rules[CAP] and which != ACTIVE_QUEUE
    if open_row >= 0 and (open_row != row[i] or used_up):
        if found[i] == 0:
            found[i] = CONFLICT
            channel[CONFLICTS] += 1
        precharge(b, clock, rules, channel, bank, rank)
        note(PRE, clock, b, -1, i, channel, log)
        return
    channel[READS + which] -= 1
    for j in range(k, channel[READS + which]):
        queue[which, j] = queue[which, j + 1]
    if open_row < 0:
        if found[i] == 0:
            found[i] = MISS
            channel[MISSES] += 1
        activate(i, clock, rules, channel, bank, group, rank, queue, at, row)
        queue[ACTIVE_QUEUE, channel[ACTIVE]] = i
        channel[ACTIVE] += 1
        note(ACT, clock, b, row[i], i, channel, log)
        return
    if found[i] == 0:
        found[i] = HIT
        channel[HITS] += 1
    access(i, clock, rules, channel, bank, group, rank, bus, at, write, done, found)
    note(WR if write[i] else RD, clock, b, row[i], i, channel, log)


@part
def waits(need, channel, queue, tag, write):  # type: ignore[no-untyped-def]
    """Whether a read of group ``need`` has not been issued; with `NEVER` of any group, writes too."""
    if need < 0:
        return False
    if need == NEVER:
        return channel[READS] + channel[WRITES] + channel[ACTIVE] > 0
    found = False
    for k in range(channel[READS]):
        found = found or tag[queue[READ_QUEUE, k]] == need
    for k in range(channel[ACTIVE]):
        found = found or (tag[queue[ACTIVE_QUEUE, k]] == need and not write[queue[ACTIVE_QUEUE, k]])
    return found


@lean
def serve(  # type: ignore[no-untyped-def]
    start, stop, need, until, rules, channel, bank, group, rank, bus, queue,
    earliest, at, row, place, write, tag, done, found, log,
):  # fmt: skip
    """Offer requests ``start`` to ``stop`` in order until all are taken, then go on as long as `waits` or ``until``.

    ``tag`` has the number of each request's group, which never falls; ``need`` is -1 if nothing is waited for, `PAUSE`
    to stop when all are taken, or at ``until`` although some are left; returns how far it came.
    ``earliest`` becomes the clock at which each request was taken.
    A request may follow in a later call: its earliest clock must then be beyond that of the last one's taking.
    """
    clock = channel[CLOCK]
    refi, two = rules[REFI], rules[TWO_BUSES]
    i = start
    blocked = False
    known = False
    when, which, k = 0, 0, 0
    row_when, row_which, row_k = NEVER, 0, 0
    while (i < stop or clock < until or waits(need, channel, queue, tag, write)) and (need != PAUSE or clock < until):
        if i < stop and not blocked and earliest[i] <= clock:
            if offer(i, clock, rules, channel, bank, queue, at, row, place, write, done, found):
                earliest[i] = clock
                i += 1
                known = False
            else:
                blocked = True
        if i == stop and (need == PAUSE or (need < 0 and clock >= until)):
            break
        clock += 1
        if clock >= channel[NEXT_REF]:
            channel[NEXT_REF] += refi
            channel[REF_WAITING] += rank.shape[1]
            for r in range(rank.shape[1]):
                rank[R_DUE, r] = clock
            known = False
        if not known:
            kind = COLUMN if two else ANY
            when, which, k = choose(kind, clock, rules, channel, bank, group, rank, queue, at, row, write)
            known = True
        acted = False
        if when <= clock:
            issue(clock, which, k, rules, channel, bank, group, rank, bus, queue, at, row, write, done, found, log)
            acted = True
        if two:
            row_when, row_which, row_k = choose(ROW, clock, rules, channel, bank, group, rank, queue, at, row, write)
            if row_when <= clock:
                issue(
                    clock, row_which, row_k, rules, channel, bank, group, rank, bus, queue, at, row, write, done, found,
                    log,
                )  # fmt: skip
                acted = True
        if acted:
            known = False
            blocked = False
            continue
        event = min(when, row_when, channel[NEXT_REF])
        if i < stop and not blocked:
            event = min(event, max(clock, earliest[i]) + 1)
        if until > 0:
            event = min(event, max(until, clock + 1))
        clock = max(clock, event - 1)
    channel[CLOCK] = clock
    return i
