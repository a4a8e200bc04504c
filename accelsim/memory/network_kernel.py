"""The rules of the network timeline, event by event, in machine code; `jit.plain` of it takes integers of any size.

Whenever something ends or arrives, computations begin that can; then each free bus takes a request. What the arrays
hold stands in `network_rows_kernel`; `network` fills them.
"""

from __future__ import annotations

from accelsim.jit import kernel, lean
from accelsim.memory.network_jumps_kernel import skip
from accelsim.memory.network_rows_kernel import (
    AFTER,
    AFTERS,
    AT,
    BEFORE,
    BEGIN,
    BEHIND,
    BITS,
    BUSY,
    CAUSE,
    COMING,
    COMPUTE_END,
    COMPUTED,
    CONSTANT,
    EDGE,
    EVENTS,
    FED,
    FINISHED,
    FIRST,
    HELD,
    HERE,
    JUMPS,
    LATE,
    LAYER,
    LEAD,
    LENGTH,
    LOAD,
    LOADS,
    MADE,
    MAKES,
    MEMORY,
    MOVED,
    NEVER,
    NOW,
    ON_BUS,
    OPENS,
    PRODUCER_WAIT,
    PROG,
    READY,
    RESOURCE,
    ROOM,
    ROOM_FREE,
    ROOM_WAIT,
    STAGE,
    START,
    STOP,
    STORE,
    STORED,
    STORER,
    STORES,
    USED,
    WAITS,
    WORK,
    WRITTEN,
    advance,
    descend,
)  # fmt: skip


@lean
def begin(net, state):  # type: ignore[no-untyped-def]
    """Put units and lists to their first tiles."""
    units, places = len(state.units), len(net.latency)
    for u in range(units):
        program = net.first[u]
        row = descend(net.rows, state.counters[u], net.programs[program, FIRST], net.programs[program, BEHIND])
        state.units[u, AT], state.units[u, PROG], state.units[u, OPENS] = row, program, 1
    for i in range(len(state.lists)):
        u = i // (len(state.lists) // units)
        state.lists[i, AT], state.lists[i, PROG], state.lists[i, OPENS] = state.units[u, AT], net.first[u], 1
        state.lists[i, STORER] = -1
        for depth in range(state.counters.shape[1]):
            state.counters[units + i, depth] = state.counters[u, depth]
    for p in range(places):
        state.serving[p] = -1


@lean
def known(net, state, program, what):  # type: ignore[no-untyped-def]
    """Return whether what a program reads is there (`READY`), or where it writes is free (`ROOM_FREE`), and note when.

    An edge waits until its producer has been computed and has stored what it stores there (-1: nowhere).
    """
    if state.flags[program, what]:
        return True
    column = EDGE if what == READY else ROOM
    edges = net.edges if what == READY else net.rooms
    time, cause = 0, -1
    for e in range(net.programs[program, column], net.programs[program + 1, column]):
        producer, place = edges[e, 0], edges[e, 1]
        if not state.flags[producer, COMPUTE_END] or (place >= 0 and not state.stored[producer, place]):
            return False
        if state.when[producer, COMPUTE_END] >= time:
            time, cause = state.when[producer, COMPUTE_END], state.who[producer, COMPUTE_END]
        if place >= 0 and state.stored_when[producer, place] > time:
            time, cause = state.stored_when[producer, place], state.stored_who[producer, place]
    state.flags[program, what], state.when[program, what], state.who[program, what] = 1, time, cause
    return True


@lean
def apart(net, cursor):  # type: ignore[no-untyped-def]
    """Return whether constants and what other layers make are requests of their own: first tiles that wait."""
    program = cursor[PROG]
    return cursor[OPENS] and net.programs[program, EDGE] < net.programs[program + 1, EDGE]


@lean
def request(net, one, kind, place):  # type: ignore[no-untyped-def]
    """Return the cycles of a list's next request; 0: there is none."""
    stage, row = one[STAGE], one[AT]
    if stage == STORED:
        return one[STORES]
    if stage == MOVED:
        return one[AFTERS]
    if row < 0:
        return 0
    if kind:
        return net.moves[row, place, CONSTANT]
    if stage == LOADS:
        if not apart(net, one):
            return net.moves[row, place, LOAD]
        return 0 if net.kinds > 1 else net.moves[row, place, CONSTANT]
    if stage == MAKES:
        return net.moves[row, place, MADE] if apart(net, one) else 0
    return net.moves[row, place, BEFORE]


@lean
def ready(net, state, one, kind, place):  # type: ignore[no-untyped-def]
    """Return whether a list's next request may have the bus."""
    stage, lead = one[STAGE], one[LEAD]
    if stage in (STORED, MOVED):
        return lead <= 0
    moves = net.moves[one[AT], place]
    if kind:
        return one[USED] == 0 or one[USED] + moves[BITS] <= net.room
    waits = moves[WAITS] if stage == FED else moves[MADE] if stage == MAKES or not apart(net, one) else 0
    if stage == FED and lead > 0:
        return False
    if lead > 1 or (one[OPENS] and lead >= net.early):
        return False
    return waits == 0 or known(net, state, one[PROG], READY)


@lean
def settle(net, state, i, kind, place):  # type: ignore[no-untyped-def]
    """Let a list pass what it has nothing to move for: whenever its request, or its unit's tile, has ended."""
    one, counters = state.lists[i], state.counters[len(state.units) + i]
    while one[AT] > -2 and not one[ON_BUS]:
        if one[STAGE] > FED or (one[AT] < 0 and one[STAGE] > MOVED):
            turn(net, state, i, place, one, counters)
            continue
        if (one[STAGE] == LOADS and one[LEAD] > 1 and not kind) or request(net, one, kind, place):
            break
        one[STAGE] = FED + 1 if kind else one[STAGE] + 1


@lean
def turn(net, state, i, place, one, counters):  # type: ignore[no-untyped-def]
    """Go on to the next tile of a list."""
    one[STAGE] = LOADS
    if one[AT] < 0:
        one[AT] = -2
        return
    row, program = one[AT], one[PROG]
    one[STORES], one[AFTERS] = net.moves[row, place, STORE], net.moves[row, place, AFTER]
    if one[STORER] != program:
        one[STORER] = program
        state.left[i] = net.stores[program, place]
    one[LEAD] += 1
    advance(net, one, counters)


@lean
def served(net, state, place):  # type: ignore[no-untyped-def]
    """End the request that is on a bus."""
    units, now = len(state.units), state.clock[NOW]
    i, cause = state.serving[place], state.refs[len(state.times) - len(net.latency) + place]
    one, kind, times = state.lists[i], i % net.kinds, 2 * units + 3 * i
    state.serving[place], one[ON_BUS] = -1, 0
    arrival = now + net.latency[place]
    if kind:
        spot = net.coming + net.window * i + one[COMING]
        state.times[spot], state.refs[spot] = arrival, cause
        one[COMING] += 1
    elif one[STAGE] in (STORED, MOVED):
        if one[STAGE] == MOVED or one[LEAD] < 0:  # the next tile does not wait for the store of the one before it
            state.times[times + 2], state.refs[times + 2] = now, cause
        state.left[i] -= 1
        if state.left[i] == 0:
            program = one[STORER]
            state.stored[program, place] = 1
            state.stored_when[program, place], state.stored_who[program, place] = now, cause
            state.clock[FINISHED] += 1
    else:
        spot = times + (1 if one[LEAD] > 0 else 0)
        state.times[spot], state.refs[spot] = arrival, cause
    one[STAGE] = FED + 1 if kind else one[STAGE] + 1


@lean
def arrive(net, state, i):  # type: ignore[no-untyped-def]
    """Let constants that are there by now wait for their tiles."""
    one, spot = state.lists[i], net.coming + net.window * i
    while one[COMING] and state.times[spot] <= state.clock[NOW]:
        latest = 2 * len(state.units) + 3 * i
        state.times[latest], state.refs[latest] = state.times[spot], state.refs[spot]
        one[COMING] -= 1
        one[HERE] += 1
        for k in range(spot, spot + one[COMING]):
            state.times[k], state.refs[k] = state.times[k + 1], state.refs[k + 1]
        state.times[spot + one[COMING]], state.refs[spot + one[COMING]] = 0, -1


@lean
def fed(net, state, u):  # type: ignore[no-untyped-def]
    """Return whether no list keeps a unit's next tile from being computed."""
    row, per, units = state.units[u, AT], len(state.lists) // len(state.units), len(state.units)
    for i in range(u * per, u * per + per):
        one, place = state.lists[i], (i - u * per) // net.kinds
        if i % net.kinds:
            if net.moves[row, place, CONSTANT] and one[HERE] == 0:
                return False
            continue
        if one[LEAD] < 0 or state.times[2 * units + 3 * i] > state.clock[NOW]:
            return False
        if one[LEAD] == 0:
            stage = one[STAGE]
            if stage == LOADS or (stage <= MOVED and one[AFTERS]):
                return False
            if stage <= MAKES and apart(net, one) and net.moves[row, place, MADE]:
                return False
            if stage <= FED and net.moves[row, place, BEFORE]:
                return False
    return True


@lean
def waited_for(net, state, u):  # type: ignore[no-untyped-def]
    """Return why a unit computes now, not before: the event, whether that is of another port, and how late it tells.

    Of several reasons, the first of: a load, the tile before, a store, another layer's result, room.
    """
    units, now, per = len(state.units), state.clock[NOW], len(state.lists) // len(state.units)
    row, program, cause, conflict = state.units[u, AT], state.units[u, PROG], -1, True
    late = 0
    for which in (2, 0):
        for i in range(u * per, u * per + per):
            place = (i - u * per) // net.kinds
            if i % net.kinds and (state.lists[i, HERE] != 1 or net.moves[row, place, CONSTANT] == 0):
                continue  # what came last is for a later tile
            if state.times[2 * units + 3 * i + which] == now:
                conflict = conflict and place != net.dram
                cause, late = state.refs[2 * units + 3 * i + which], 0 if which else net.latency[place]
        if which and state.times[u] == now:
            cause, late = state.refs[u], 0
    if cause < 0 and state.units[u, OPENS]:
        for what in (ROOM_FREE, READY):
            if state.when[program, what] == now:
                cause = state.who[program, what]
    return cause, conflict, late


@lean
def write(state, record, resource, program, cycles, cause, late):  # type: ignore[no-untyped-def]
    """Note an event that begins now; return its number."""
    clock, number = state.clock, state.clock[EVENTS]
    at = clock[WRITTEN]
    if at < len(record):
        record[at, RESOURCE], record[at, LAYER], record[at, LENGTH] = resource, program, cycles
        record[at, CAUSE], record[at, LATE] = cause, late
    clock[EVENTS] += 1
    clock[WRITTEN] += 1
    return number


@lean
def compute(net, state, record, u):  # type: ignore[no-untyped-def]
    """Begin to compute a unit's next tile."""
    unit, now, done = state.units[u], state.clock[NOW], state.times[u]
    program, found = unit[PROG], state.found[unit[PROG]]
    cause, conflict, late = waited_for(net, state, u)
    if unit[OPENS]:
        found[BEGIN], found[START] = done, now
        there, free = max(done, state.when[program, READY]), state.when[program, ROOM_FREE]
        found[PRODUCER_WAIT] = there - done
        found[ROOM_WAIT] = max(0, free - there)
        done = max(there, free)
    state.spent[u, 2 if conflict else 1] += now - done
    cycles = net.rows[unit[AT], COMPUTED]
    state.spent[u, 0] += cycles
    unit[BUSY] = 1
    state.refs[u] = write(state, record, u, program, cycles, cause, late)
    state.times[u] = now + cycles
    if net.kinds > 1:
        per = len(state.lists) // len(state.units)
        for i in range(u * per + 1, u * per + per, 2):
            if net.moves[unit[AT], (i - u * per) // 2, CONSTANT]:
                state.lists[i, HERE] -= 1


@lean
def computed(net, state, u):  # type: ignore[no-untyped-def]
    """End the computation of a tile; return the depth of the loop that has another round, -1 if none."""
    unit, units, per = state.units[u], len(state.units), len(state.lists) // len(state.units)
    row, program = unit[AT], unit[PROG]
    unit[BUSY] = 0
    state.times[units + u], state.refs[units + u] = state.times[u], state.refs[u]
    ended = advance(net, unit, state.counters[u])
    over = unit[AT] < 0 or unit[OPENS]
    for i in range(u * per, u * per + per):
        one, place = state.lists[i], (i - u * per) // net.kinds
        one[LEAD] -= 1
        if i % net.kinds:
            one[HELD] = one[HELD] + net.moves[row, place, BITS]
            if over or net.moves[unit[AT], place, BITS]:
                one[USED] -= one[HELD]
                one[HELD] = 0
        else:
            spot = 2 * units + 3 * i
            state.times[spot], state.refs[spot] = state.times[spot + 1], state.refs[spot + 1]
            state.times[spot + 1], state.refs[spot + 1] = 0, -1
    if over:
        found = state.found[program]
        found[STOP] = state.times[u]
        for k in range(3):
            found[WORK if k == 0 else MEMORY + k - 1] += state.spent[u, k]
            state.spent[u, k] = 0
        state.flags[program, COMPUTE_END], state.clock[FINISHED] = 1, state.clock[FINISHED] + 1
        state.when[program, COMPUTE_END], state.who[program, COMPUTE_END] = state.times[u], state.refs[u]
    return ended


@lean
def grant(net, state, record, place):  # type: ignore[no-untyped-def]
    """Give a free bus to the request of the earliest layer that may have it; of one layer, in the order of tiles."""
    units, now, per = len(state.units), state.clock[NOW], len(state.lists) // len(state.units)
    chosen, best, whose = -1, 0, 0
    for i in range(place * net.kinds, len(state.lists), per):
        for k in range(i + net.kinds - 1, i - 1, -1):  # constants with a room, then the rest
            one, kind = state.lists[k], k % net.kinds
            if one[AT] < -1 or (one[LEAD] > 1 and not kind) or not request(net, one, kind, place):
                continue
            layer = one[STORER] if one[STAGE] in (STORED, MOVED) else one[PROG]
            earlier = layer < best or (layer == best and not kind and one[LEAD] < state.lists[chosen, LEAD])
            if (chosen < 0 or earlier) and ready(net, state, one, kind, place):
                chosen, best, whose = k, layer, i // per
    if chosen < 0:
        return
    one, bus = state.lists[chosen], len(state.times) - len(net.latency) + place
    cycles = request(net, one, chosen % net.kinds, place)
    cause = -1
    if state.times[bus] == now:
        cause = state.refs[bus]
    elif state.times[units + whose] == now:
        cause = state.refs[units + whose]
    elif state.when[best, READY] == now:
        cause = state.who[best, READY]
    one[ON_BUS] = 1
    if chosen % net.kinds:
        one[USED] += net.moves[one[AT], place, BITS]
    state.serving[place] = chosen
    state.refs[bus] = write(state, record, units + place, best, cycles, cause, 0)
    state.times[bus] = now + cycles
    state.busy[place] += cycles
    if state.carried[best, place, 0] < 0:
        state.carried[best, place, 0] = now
    state.carried[best, place, 1] = now + cycles


@lean
def following(net, state):  # type: ignore[no-untyped-def]
    """Return when something ends or arrives next; `NEVER` if nothing is under way."""
    units, now, soon = len(state.units), state.clock[NOW], NEVER
    per, buses = len(state.lists) // units, len(state.times) - len(net.latency)
    for p in range(len(net.latency)):
        if state.serving[p] >= 0:
            soon = min(soon, state.times[buses + p])
    for u in range(units):
        if state.units[u, BUSY]:
            soon = min(soon, state.times[u])
        for i in range(u * per, u * per + per):
            if i % net.kinds:
                if state.lists[i, COMING]:
                    soon = min(soon, state.times[net.coming + net.window * i])
            elif not state.units[u, BUSY] and state.times[2 * units + 3 * i] > now:
                soon = min(soon, state.times[2 * units + 3 * i])
    return soon


@kernel
def run(net, state, marks, record, jumps):  # type: ignore[no-untyped-def]
    """Go on until everything is over, or until there is no room for more events or jumps; return whether it is over.

    Nothing under way although something is left is a deadlock, and over too.
    """
    units, places, per = len(state.units), len(net.latency), len(state.lists) // len(state.units)
    buses = len(state.times) - places
    if state.clock[NOW] < 0:
        state.clock[NOW] = 0
        begin(net, state)
        for i in range(len(state.lists)):
            settle(net, state, i, i % net.kinds, i % per // net.kinds)
    while True:
        changed = True
        while changed:
            changed = False
            for p in range(places):
                if state.serving[p] >= 0 and state.times[buses + p] <= state.clock[NOW]:
                    i = state.serving[p]
                    served(net, state, p)
                    settle(net, state, i, i % net.kinds, p)
            for u in range(units):
                if state.units[u, BUSY] and state.times[u] <= state.clock[NOW]:
                    marks[u] = computed(net, state, u)
                    changed = True
                    for i in range(u * per, u * per + per):
                        settle(net, state, i, i % net.kinds, (i - u * per) // net.kinds)
                if net.kinds > 1:
                    for i in range(u * per + 1, u * per + per, 2):
                        arrive(net, state, i)
                if state.units[u, BUSY] or state.units[u, AT] < 0 or not fed(net, state, u):
                    continue
                program = state.units[u, PROG]
                if state.units[u, OPENS] and not (
                    known(net, state, program, READY) & known(net, state, program, ROOM_FREE)
                ):
                    continue
                compute(net, state, record, u)
                changed = True
        for p in range(places):
            if state.serving[p] < 0:
                grant(net, state, record, p)
        soon = following(net, state)
        if soon == NEVER:
            return True
        for u in range(units):
            if marks[u] >= 0 and skip(net, state, jumps, u, marks[u]):
                soon = following(net, state)
            marks[u] = -1
        state.clock[NOW] = soon
        if len(record) and (state.clock[WRITTEN] > net.full or state.clock[JUMPS] == len(jumps)):
            return False
