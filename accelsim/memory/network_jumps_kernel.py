"""Periods of the network timeline that are skipped: whenever all that matters stands as it did some rounds ago.

What happens next follows from where units and lists stand in the rows, from times seen from now, and from nothing else:
a round of a loop differs from another only in that it may be the last. So if everything stands as it did, but for one
loop of each unit and list that has gone on by some rounds, the same happens again as long as no such loop ends.
"""

from __future__ import annotations

from accelsim.jit import lean
from accelsim.memory.network_rows_kernel import (
    AT,
    DEPTH,
    EVENTS,
    FINISHED,
    JUMPS,
    LEAD,
    NEVER,
    NOW,
    PARENT,
    PROG,
    REPEAT,
    WRITTEN,
)  # fmt: skip

LOOP, SINCE, GAP = range(3)
"""Of a loop that a unit is in: its row, the round that has been kept, how many rounds later another is (0: no more)."""


@lean
def skip(net, state, jumps, u, depth):  # type: ignore[no-untyped-def]
    """Compare now, when unit ``u`` has ended a round, with a round before; return whether whole periods were skipped.

    As in `clock_kernel.again`, the rounds 1, 2, 4, 8, ... are kept, so that any period is found.
    """
    loop = net.rows[state.units[u, AT], PARENT]
    while loop >= 0 and net.rows[loop, DEPTH] > depth:
        loop = net.rows[loop, PARENT]
    if loop < 0 or net.rows[loop, DEPTH] != depth or net.rows[loop, REPEAT] < 4:
        return False
    at = u * state.counters.shape[1] + depth
    kept, rounds = state.kept[at], state.counters[u, depth]
    if kept[LOOP] != loop or rounds <= kept[SINCE]:
        kept[LOOP], kept[SINCE], kept[GAP] = loop, rounds, 1
        note(state, at)
        return False
    if kept[GAP] == 0:
        return False
    times = periods(net, state, state.past[at])
    if times > 0:
        jump(net, state, state.past[at], jumps, times)
        kept[GAP] = 0
        return True
    if rounds - kept[SINCE] >= kept[GAP]:
        kept[SINCE], kept[GAP] = rounds, 2 * kept[GAP]
        note(state, at)
    return False


@lean
def note(state, at):  # type: ignore[no-untyped-def]
    """Keep how everything stands."""
    past = state.past[at]
    for k in range(len(past)):
        past[k] = state.all[k]


@lean
def periods(net, state, past):  # type: ignore[no-untyped-def]
    """Return how often what has happened since ``past`` will happen again; 0 if nothing says so."""
    now, then = state.clock[NOW], past[NOW]
    if state.clock[FINISHED] != past[FINISHED]:
        return 0
    units, lists = len(state.units), len(state.lists)
    for k in range(net.units_at, net.lists_at):
        if state.all[k] != past[k]:
            return 0
    per, wide = lists // units, state.lists.shape[1]
    for i in range(lists):
        base = net.lists_at + i * wide
        for k in range(wide):
            # how far constants are ahead tells only which of two requests of one layer is first
            told = k != LEAD or i % net.kinds == 0 or state.lists[i, PROG] == state.units[i // per, PROG]
            if told and state.all[base + k] != past[base + k]:
                return 0
    for k in range(len(state.times)):
        time, before = state.times[k], past[net.times_at + k]
        if time >= now or before >= then:
            same = time - now == before - then and (
                state.refs[k] - state.clock[EVENTS] == past[net.refs_at + k] - past[EVENTS]
            )
        else:  # over, and told of only where a unit's waiting began
            same = k >= units or time - now == before - then or time == before
        if not same:
            return 0
    times, deep = NEVER, state.counters.shape[1]
    for c in range(units + lists):
        row = state.units[c, AT] if c < units else state.lists[c - units, AT]
        loop, gone = net.rows[row, PARENT] if row >= 0 else -1, 0
        while loop >= 0:
            depth = net.rows[loop, DEPTH]
            rounds = state.counters[c, depth]
            more = rounds - past[net.counters_at + c * deep + depth]
            if more:
                if more < 0 or gone:
                    return 0
                gone = more
                times = min(times, (net.rows[loop, REPEAT] - 1 - rounds) // more)
            loop = net.rows[loop, PARENT]
    return 0 if times == NEVER else times


@lean
def jump(net, state, past, jumps, times):  # type: ignore[no-untyped-def]
    """Let the time since ``past`` pass so many times more."""
    now, then, clock = state.clock[NOW], past[NOW], state.clock
    events = clock[EVENTS] - past[EVENTS]
    for k in range(len(state.times)):
        time, before = state.times[k], past[net.times_at + k]
        if time - now == before - then and (time >= now or k < len(state.units)):
            state.times[k] += times * (now - then)
            state.refs[k] += times * events
    for k in range(net.counters_at, net.times_at):
        state.all[k] += times * (state.all[k] - past[k])
    for k in range(net.sums_at, len(state.all)):
        state.all[k] += times * (state.all[k] - past[k])
    for i in range(len(state.lists)):
        before = past[net.lists_at + i * state.lists.shape[1] + LEAD]
        state.lists[i, LEAD] += times * (state.lists[i, LEAD] - before)
    for number in range(len(state.carried)):
        for place in range(state.carried.shape[1]):
            if state.carried[number, place, 1] > then:
                state.carried[number, place, 1] += times * (now - then)
    if clock[JUMPS] < len(jumps):
        row = jumps[clock[JUMPS]]
        row[0], row[1], row[2], row[3] = clock[EVENTS], clock[WRITTEN], events, times
        clock[JUMPS] += 1
    clock[NOW] += times * (now - then)
    clock[EVENTS] += times * events
