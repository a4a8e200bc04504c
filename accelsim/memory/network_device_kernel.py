"""The network timeline whose DRAM is a device, in machine code; docs/decisions/0110-one-clock-and-a-dram-device.md.

Units, lists and the ports of buffers are those of `network_kernel`; what goes to DRAM is granted in device clocks and
served by the channels of `device.machine_kernel`. A channel that has requests left runs ahead of the clock: whatever
is granted meanwhile stands behind them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelsim.jit import kernel, lean
from accelsim.memory.device import kernel as k
from accelsim.memory.device import machine_kernel as mk
from accelsim.memory.device.cursor_kernel import (
    CUR_BITS,
    CUR_REGION,
    CUR_RUNS,
    CUR_WRITE,
    MOVED_ALL,
    RUN,
    move,
    open_tile,
    start,
)  # fmt: skip
from accelsim.memory.network_kernel import (
    apart,
    arrive,
    begin,
    chosen_of,
    compute,
    computed,
    fed,
    following,
    grant,
    known,
    served,
    settle,
)
from accelsim.memory.network_rows_kernel import (
    AT,
    BITS,
    BUSY,
    FED,
    FINISHED,
    HERE,
    LAST,
    LEAD,
    MAKES,
    MOVED,
    NEVER,
    NOW,
    OPENS,
    PROG,
    READY,
    ROOM_FREE,
    STAGE,
    STORED,
    UNDER_WAY,
    USED,
)  # fmt: skip

LIST, WHAT, TILE, OWNER, OVER, ENDED = range(6)
"""A request under way, by its number modulo `machine_kernel.GROUPS`: its list, stage, tile of the unit, program, the
core cycle at which it is over (-1: not known yet), whether that has come."""
GROUP = 6
CLOCK, OLDEST, OPEN, WHOSE, CURSORS, LOOK = range(6)
"""The device clock; the first request that is not over; cursors of the last one that still move something, which of
them is next and how many there are; clocks from a read command to the end of its data."""
SHARED = 6
FAR = 2**61
ANYTHING, OF_OTHERS, CONSTANTS = range(3)
"""What of a tile's loads a request brings."""
OVER_ALL, MORE_ROOM, TOO_FAR = range(3)
"""Why the walk returns: everything is over; channels need room for more requests; clocks leave their range."""


class Shared(NamedTuple):
    """What lists move, and what is under way, int64.

    ``rows`` are those of `network_rows_kernel`, as `machine_kernel.Tiles` has them, of all programs; ``moves`` have a
    fifth column: whether other layers make it. ``geometry`` and ``axes`` are one per program, ``cut`` says whether it
    has them, ``made`` which of a cut layer's loads other layers make, ``base`` the number of its first tile in its
    unit. ``line`` and ``tile`` are room.

    ``done``: tiles computed, by unit; ``left``: stores of a program that are not over; ``pending``: of a list, loads
    under way of the next tile and the one after, then stores under way that the next tile waits for, and others;
    ``first``: of a channel, the first request that has not been taken; ``groups``: see `LIST`; ``moved``, of a program:
    transactions, cycle of its first grant (-1: none), cycle at which its last request is over.
    """

    rows: np.ndarray
    moves: np.ndarray
    geometry: np.ndarray
    axes: np.ndarray
    cut: np.ndarray
    made: np.ndarray
    base: np.ndarray
    regions: np.ndarray
    cursors: np.ndarray
    line: np.ndarray
    tile: np.ndarray
    done: np.ndarray
    left: np.ndarray
    pending: np.ndarray
    first: np.ndarray
    groups: np.ndarray
    moved: np.ndarray
    now: np.ndarray


@lean
def opened(part, which, row, program, tile, s):  # type: ignore[no-untyped-def]
    """Set the cursors on what a tile moves in a part of it; return how many."""
    if s.cut[program] == 0:
        count = 0
        first = s.rows[row, mk.FIRST + 2 * part]
        for i in range(first, first + s.rows[row, mk.FIRST + 2 * part + 1]):
            if which == ANYTHING or (which == OF_OTHERS) == (s.moves[i, 4] != 0):
                cursor = s.cursors[count]
                cursor[CUR_REGION], cursor[CUR_WRITE] = s.moves[i, 0], s.moves[i, 1]
                cursor[CUR_BITS], cursor[CUR_RUNS] = s.moves[i, 2], s.moves[i, 3]
                count += 1
        return count
    for i in range(s.line.shape[0]):
        s.line[i] = s.rows[row, i]
    for i in range(3):
        if which != ANYTHING and (which == OF_OTHERS) != (s.made[program, i] != 0):
            s.line[RUN + i] = 0
    for i in range(5, -1, -1):
        axis, trips = s.axes[program, i, 0], s.axes[program, i, 1]
        s.tile[axis] = tile % trips
        tile = tile // trips
    return open_tile(part, s.line, s.tile, s.geometry[program], s.cursors)


@lean
def dry(c, s, d):  # type: ignore[no-untyped-def]
    """Return whether a channel has taken all that it was given."""
    return s.first[c] == d.fill[c]


@lean
def fill_up(m, s, d):  # type: ignore[no-untyped-def]
    """Make requests of the last grant as long as a channel has none left; return whether there was room."""
    channels = d.fill.shape[0]
    while s.now[OPEN] > 0:
        wanted = False
        for c in range(channels):
            wanted = wanted or dry(c, s, d)
        if not wanted:
            return True
        for c in range(channels):
            if d.fill[c] > mk.CHUNK:
                s.first[c] = mk.compact(c, s.first[c], m, d)
            if d.fill[c] + mk.CHUNK > d.requests.shape[2]:
                return False
        made = 0
        while made < mk.CHUNK and s.now[OPEN] > 0:
            cursor = s.cursors[s.now[WHOSE]]
            t = move(cursor, s.regions, m[mk.M_SHIFT], m[mk.M_TURN])
            if 0 <= t < MOVED_ALL:
                mk.put(t, cursor[CUR_WRITE], s.now[CLOCK], m, d)
                s.moved[s.groups[m[mk.M_TAG] % mk.GROUPS, OWNER], 0] += 1
                made += 1
                continue
            if t == -2:
                s.now[OPEN] -= 1
            s.now[WHOSE] = s.now[WHOSE] + 1 if s.now[WHOSE] + 1 < s.now[CURSORS] else 0
    return True


@lean
def front_is_free(m, s, d):  # type: ignore[no-untyped-def]
    """Return whether a request may be granted: a channel has taken its share of all before it, and not 64 wait."""
    if s.now[OPEN] > 0 or m[mk.M_TAG] - s.now[OLDEST] + 2 > mk.GROUPS:
        return False
    free = False
    for c in range(d.fill.shape[0]):
        free = free or (dry(c, s, d) and d.channel[c, k.OFFERED] < s.now[CLOCK])
    return free


@lean
def give(net, state, m, s, d):  # type: ignore[no-untyped-def]
    """Grant a request at the device clock of the moment; return whether there was one."""
    i, program = chosen_of(net, state, net.dram)
    if i < 0:
        return False
    one, kind, unit = state.lists[i], i % net.kinds, i // (len(state.lists) // len(state.units))
    stage, row, tile, part, which = one[STAGE], one[AT], s.done[unit] + one[LEAD], mk.LOADS, ANYTHING
    if kind:
        which = CONSTANTS
        one[USED] += net.moves[row, net.dram, BITS]
    elif stage in (STORED, MOVED):
        part, row, tile = mk.STORES if stage == STORED else mk.AFTER, one[LAST], tile - 1
        if stage == MOVED:
            one[UNDER_WAY] += 1
        else:
            s.pending[i, 2 if tile <= s.done[unit] - 2 else 3] += 1
    else:
        if stage == FED:
            part = mk.BEFORE
        elif stage == MAKES or net.kinds > 1:
            which = OF_OTHERS
        elif apart(net, one):
            which = CONSTANTS
        s.pending[i, one[LEAD]] += 1
        state.times[2 * len(state.units) + 3 * i + one[LEAD]] = NEVER
    m[mk.M_TAG] += 1
    at = m[mk.M_TAG] % mk.GROUPS
    group = s.groups[at]
    group[LIST], group[WHAT], group[TILE], group[OWNER], group[OVER], group[ENDED] = i, stage, tile, program, -1, 0
    d.ends[at] = 0
    count = opened(part, which, row, program, tile - s.base[program], s)
    s.now[OPEN], s.now[CURSORS], s.now[WHOSE] = count, count, 0
    for j in range(count):
        start(s.cursors[j], m[mk.M_TURN])
    if s.moved[program, 1] < 0:
        s.moved[program, 1] = mk.to_core(s.now[CLOCK], m)
    one[STAGE] = FED + 1 if kind else stage + 1
    settle(net, state, i, kind, net.dram)
    return True


@lean
def take(until, m, s, d):  # type: ignore[no-untyped-def]
    """Let channels that have requests left take them, up to a clock; return whether there was room."""
    for c in range(d.fill.shape[0]):
        r = d.requests[c]
        while True:
            if dry(c, s, d) and not fill_up(m, s, d):
                return False
            if dry(c, s, d) or d.channel[c, k.CLOCK] >= until:
                break
            first, low, high = s.first[c], s.first[c], d.fill[c]
            while high - low > 1:  # the end of this request's share: numbers never fall
                middle = (low + high) // 2
                if r[mk.TAG, middle] == r[mk.TAG, first]:
                    low = middle
                else:
                    high = middle
            r[mk.EARLIEST, first] = max(r[mk.EARLIEST, first], d.channel[c, k.OFFERED] + 1)
            came = mk.go(c, first, high, k.PAUSE, until, d)
            if came > first:
                taken, at = r[mk.EARLIEST, came - 1], r[mk.TAG, first] % mk.GROUPS
                d.channel[c, k.OFFERED] = taken
                d.ends[at] = max(d.ends[at], taken + 1)
                m[mk.M_TAKEN] = max(m[mk.M_TAKEN], taken)
            s.first[c] = came
            if came < high:
                break
    return True


@lean
def landing(m, s, d):  # type: ignore[no-untyped-def]
    """Note when requests are over whose reads have all been issued; return whether others wait for nothing else."""
    some = False
    for tag in range(s.now[OLDEST], m[mk.M_TAG] + 1):
        group = s.groups[tag % mk.GROUPS]
        if group[OVER] >= 0 or (tag == m[mk.M_TAG] and s.now[OPEN] > 0):
            continue
        taken, issued = True, True
        for c in range(d.fill.shape[0]):
            r = d.requests[c]
            taken = taken and (dry(c, s, d) or r[mk.TAG, s.first[c]] > tag)
            waits = k.waits(tag, d.channel[c], d.queue[c], r[mk.TAG], r[mk.WRITE])
            issued = issued and not waits
        if not taken:
            break  # nor is any behind it
        if not issued:
            some = True
            continue
        at = tag % mk.GROUPS
        for c in range(d.fill.shape[0]):
            r = d.requests[c]
            for j in range(s.first[c] - 1, -1, -1):
                if r[mk.TAG, j] < tag:
                    break
                if r[mk.TAG, j] == tag and not r[mk.WRITE, j]:
                    d.ends[at] = max(d.ends[at], r[mk.DONE, j])
        group[OVER] = mk.to_core(d.ends[at], m)
    return some


@lean
def over(net, state, m, s):  # type: ignore[no-untyped-def]
    """End the requests that are over by now."""
    now, units = state.clock[NOW], len(state.units)
    for tag in range(s.now[OLDEST], m[mk.M_TAG] + 1):
        group = s.groups[tag % mk.GROUPS]
        if group[ENDED] or group[OVER] < 0 or group[OVER] > now:
            continue
        i, program = group[LIST], group[OWNER]
        one, unit, spot = state.lists[i], i // (len(state.lists) // units), 2 * units + 3 * i
        if i % net.kinds:
            first = True
            for other in range(s.now[OLDEST], tag):
                each = s.groups[other % mk.GROUPS]
                first = first and (each[LIST] != i or each[ENDED] != 0)
            if not first:
                continue
            if one[HERE] == 0:
                state.times[spot] = group[OVER]
            one[HERE] += 1
        elif group[WHAT] in (STORED, MOVED):
            needed = group[TILE] <= s.done[unit] - 2
            if group[WHAT] == MOVED:
                one[UNDER_WAY] -= 1
            else:
                s.pending[i, 2 if needed else 3] -= 1
            if needed or group[WHAT] == MOVED:
                state.times[spot + 2] = now
            s.left[program] -= 1
            if s.left[program] == 0:
                state.stored[program, net.dram] = 1
                state.stored_when[program, net.dram] = now
                state.clock[FINISHED] += 1
        else:
            ahead = group[TILE] - s.done[unit]
            s.pending[i, ahead] -= 1
            if s.pending[i, ahead] == 0:
                state.times[spot + ahead] = now
        group[ENDED] = 1
        s.moved[program, 2] = max(s.moved[program, 2], group[OVER])
    while s.now[OLDEST] <= m[mk.M_TAG] and s.groups[s.now[OLDEST] % mk.GROUPS, ENDED]:
        s.now[OLDEST] += 1


@lean
def tile_is_over(net, state, u, s):  # type: ignore[no-untyped-def]
    """Move on what is counted from a unit's next tile."""
    per = len(state.lists) // len(state.units)
    s.done[u] += 1
    i = u * per + net.dram * net.kinds
    pending = s.pending[i]
    pending[0], pending[1] = pending[1], 0
    pending[2], pending[3] = pending[2] + pending[3], 0


@lean
def core(net, state, record, m, s):  # type: ignore[no-untyped-def]
    """Let everything happen that happens in a core cycle, but for grants of the device."""
    units, places, per = len(state.units), len(net.latency), len(state.lists) // len(state.units)
    buses = len(state.times) - places
    changed = True
    while changed:
        changed = False
        for p in range(places):
            if state.serving[p] >= 0 and state.times[buses + p] <= state.clock[NOW]:
                served(net, state, p)
        over(net, state, m, s)
        for u in range(units):
            if state.units[u, BUSY] and state.times[u] <= state.clock[NOW]:
                computed(net, state, u)
                tile_is_over(net, state, u, s)
                changed = True
            for i in range(u * per, u * per + per):
                if i % net.kinds:
                    arrive(net, state, i)
                settle(net, state, i, i % net.kinds, (i - u * per) // net.kinds)
            mine = u * per + net.dram * net.kinds
            if state.units[u, BUSY] or state.units[u, AT] < 0 or not fed(net, state, u):
                continue
            if s.pending[mine, 2] or state.lists[mine, UNDER_WAY]:
                continue
            program = state.units[u, PROG]
            if state.units[u, OPENS] and not (
                known(net, state, program, READY) & known(net, state, program, ROOM_FREE)
            ):
                continue
            compute(net, state, record, u)
            changed = True
    for p in range(places):
        if state.serving[p] < 0 and p != net.dram:
            grant(net, state, record, p)


@lean
def soonest(net, state, m, s):  # type: ignore[no-untyped-def]
    """Return the next core cycle in which something is known to end or arrive; `NEVER` if nothing is."""
    soon = following(net, state)
    for tag in range(s.now[OLDEST], m[mk.M_TAG] + 1):
        when = s.groups[tag % mk.GROUPS, OVER]
        if when > state.clock[NOW]:
            soon = min(soon, when)
    return soon


@lean
def horizon(net, state, lands, m, s):  # type: ignore[no-untyped-def]
    """Return the device clock before which nothing happens that nobody knows of."""
    soon = soonest(net, state, m, s)
    clock = FAR if soon == NEVER else mk.to_device(soon, m)
    return min(clock, s.now[CLOCK] + s.now[LOOK]) if lands else clock


@kernel
def run(net, state, record, m, s, d):  # type: ignore[no-untyped-def]
    """Go on until everything is over; return why the walk stops. Nothing under way although something is left is a
    deadlock, and over too.
    """
    if state.clock[NOW] < 0:
        state.clock[NOW] = 0
        begin(net, state)
        core(net, state, record, m, s)
    while True:
        while True:
            if not fill_up(m, s, d):
                return MORE_ROOM
            if not front_is_free(m, s, d) or not give(net, state, m, s, d):
                break
        lands = landing(m, s, d)
        until = horizon(net, state, lands, m, s)
        if not take(until, m, s, d):
            return MORE_ROOM
        lands = landing(m, s, d)
        clock = horizon(net, state, lands, m, s)
        for c in range(d.fill.shape[0]):
            if not dry(c, s, d):
                clock = min(clock, until)
            elif d.channel[c, k.OFFERED] >= s.now[CLOCK]:
                clock = min(clock, d.channel[c, k.OFFERED] + 1)
        if clock >= FAR:
            return OVER_ALL
        if clock > FAR // max(m[mk.M_UP], m[mk.M_DOWN]):
            return TOO_FAR
        if lands:
            for c in range(d.fill.shape[0]):
                if dry(c, s, d):
                    mk.go(c, d.fill[c], d.fill[c], -1, clock, d)
            landing(m, s, d)
        s.now[CLOCK] = clock
        soon = soonest(net, state, m, s)
        while soon != NEVER and mk.to_device(soon, m) <= clock:
            state.clock[NOW] = soon
            core(net, state, record, m, s)
            soon = soonest(net, state, m, s)


@kernel
def finish(cycle, m, d):  # type: ignore[no-untyped-def]
    """Serve what waits, and refresh until the end; return the core cycle at which all is over, not before ``cycle``."""
    end = cycle
    for c in range(d.fill.shape[0]):
        mk.go(c, d.fill[c], d.fill[c], k.NEVER, 0, d)
        end = max(end, mk.to_core(max(d.channel[c, k.LAST], d.channel[c, k.OFFERED] + 1), m))
    for c in range(d.fill.shape[0]):
        mk.go(c, d.fill[c], d.fill[c], -1, mk.to_device(end, m), d)
    return end
