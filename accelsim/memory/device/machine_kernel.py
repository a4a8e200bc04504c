"""A machine's tiles on its DRAM channels, in machine code: groups of requests in, the cycle at which all is over out.

The rules are those of docs/decisions/0088-dram-behind-machines.md. Requests are made and served a few thousand at a
time, whatever the layer's size; those that still wait move to the front of their channel's arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelsim.jit import lean
from accelsim.memory.device import kernel as k
from accelsim.memory.device.cursor_kernel import CUR_WRITE, MOVED_ALL, move, open_stream, open_tile, start

CHUNK = 2048
"""Transactions made before channels serve them, and requests of a channel that may lie behind before it is cleared."""
EARLIEST, AT, LINE, PLACE, WRITE, TAG, DONE, FOUND, NEW = range(9)
"""Rows of a channel's requests, as `kernel.serve` takes them; ``LINE`` is the row of the bank, ``TAG`` the number of
the group, ``NEW`` where a request moves."""
REQUEST = 9
REPEAT, END, FIRST = range(3)
"""Columns of a stream's schedule: as `clock_kernel`, then first move and number of moves of each part."""
LOADS, BEFORE, STORES, AFTER = range(4)
(
    M_DONE, M_COMPUTE, M_STORED, M_STORED_BEFORE, M_TAG, M_LOAD, M_BEFORE, M_AFTER, M_PENDING, M_TAKEN, M_READS,
    M_WRITES, M_TRACED, M_UP, M_DOWN, M_SHIFT, M_TURN, M_AT, M_DEPTH, M_FAR, M_LATEST,
) = range(21)  # fmt: skip
"""The machine: end of the last computation that is settled, cycles computed, when the last store and those before it
had been taken; number of the last group, and of the last load, before and after (-1: empty); cycles of the computation
that is not settled (-1: none); clock at which the last request was taken; reads, writes, traced requests; device clocks
per core cycle as a quotient; bits of a transaction as a shift; transactions of a turn (0: a run); row of the schedule
and depth of the walk; whether a clock left its range; the latest of all earliest times: those ahead go first."""
MACHINE = 21
GROUPS = 64
"""Groups whose ends are remembered; far fewer are under way."""


class Channels(NamedTuple):
    """Channels, arrays of int64 with one row a channel: state as `channel.State`, requests, how many there are.

    ``ends``, shape (GROUPS + channels,): last clock of each group, and room; ``pieces``: see `machine.pieces`;
    ``trace`` takes earliest clock, transaction and whether it is written, as far as it has room.
    """

    rules: np.ndarray
    channel: np.ndarray
    bank: np.ndarray
    group: np.ndarray
    rank: np.ndarray
    bus: np.ndarray
    queue: np.ndarray
    requests: np.ndarray
    fill: np.ndarray
    ends: np.ndarray
    pieces: np.ndarray
    trace: np.ndarray
    log: np.ndarray


class Tiles(NamedTuple):
    """A schedule: rows, and the cycles of each that is a tile; what a stream moves; geometry of a cut layer (or empty).

    ``axes``, shape (6, 2): axis and trips of its loops from the outside; ``tile``, shape (13,): tile along each axis,
    row of the last tile, that tile along each axis; ``loops``: row and rounds of each loop that the walk is in.
    """

    rows: np.ndarray
    cycles: np.ndarray
    moves: np.ndarray
    geometry: np.ndarray
    axes: np.ndarray
    tile: np.ndarray
    loops: np.ndarray
    cursors: np.ndarray
    regions: np.ndarray


@lean
def to_device(cycle, m):  # type: ignore[no-untyped-def]
    """Return the first device clock not before a core cycle."""
    return -(-cycle * m[M_UP] // m[M_DOWN])


@lean
def to_core(clock, m):  # type: ignore[no-untyped-def]
    """Return the first core cycle not before a device clock."""
    return -(-clock * m[M_DOWN] // m[M_UP])


@lean
def compact(c, first, m, d):  # type: ignore[no-untyped-def]
    """Keep the requests of a channel that still wait, in front; note when the reads of late groups were done.

    Those from ``first`` on have not been taken. Returns where they begin now.
    """
    channel, queue, requests, count, begin = d.channel[c], d.queue[c], d.requests[c], 0, 0
    for i in range(d.fill[c]):
        requests[NEW, i] = -1 if i < first else 0
    for which in range(3):
        for j in range(channel[k.READS + which]):
            requests[NEW, queue[which, j]] = 0
    for i in range(d.fill[c]):
        if i == first:
            begin = count
        if requests[NEW, i] < 0:
            if not requests[WRITE, i] and requests[TAG, i] + GROUPS > m[M_TAG]:
                at = requests[TAG, i] % GROUPS
                d.ends[at] = max(d.ends[at], requests[DONE, i])
            continue
        for field in range(NEW):
            requests[field, count] = requests[field, i]
        requests[NEW, i] = count
        count += 1
    for which in range(3):
        for j in range(channel[k.READS + which]):
            queue[which, j] = requests[NEW, queue[which, j]]
    for j in range(channel[k.ACTIVE]):
        i = queue[k.ACTIVE_QUEUE, j]
        d.bank[c, k.B_OWNER, requests[AT, i]] = i
    begin = begin if first < d.fill[c] else count
    d.fill[c] = count
    return begin


@lean
def go(c, first, stop, need, until, d):  # type: ignore[no-untyped-def]
    """Let a channel serve its requests ``first`` to ``stop``, as `kernel.serve` does."""
    r = d.requests[c]
    return k.serve(
        first, stop, need, until, d.rules, d.channel[c], d.bank[c], d.group[c], d.rank[c], d.bus[c], d.queue[c],
        r[EARLIEST], r[AT], r[LINE], r[PLACE], r[WRITE], r[TAG], r[DONE], r[FOUND], d.log,
    )  # fmt: skip


@lean
def place(t, pieces):  # type: ignore[no-untyped-def]
    """Return channel, bank and row of a transaction."""
    c, b, row = 0, 0, 0
    for i in range(pieces.shape[0]):
        value = ((t >> pieces[i, 0]) & pieces[i, 1]) << pieces[i, 3]
        if pieces[i, 2] == 0:
            c ^= value
        elif pieces[i, 2] == 1:
            b ^= value
        else:
            row ^= value
    return c, b, row


@lean
def put(t, write, at, m, d):  # type: ignore[no-untyped-def]
    """Write a request behind those of its channel."""
    c, b, row = place(t, d.pieces)
    j, r = d.fill[c], d.requests[c]
    r[EARLIEST, j], r[AT, j], r[LINE, j], r[PLACE, j], r[WRITE, j], r[TAG, j] = at, b, row, t, write, m[M_TAG]
    r[DONE, j], r[FOUND, j] = 0, 0
    d.fill[c] = j + 1
    m[M_READS + write] += 1
    traced = m[M_TRACED]
    if traced < d.trace.shape[0]:
        d.trace[traced, 0], d.trace[traced, 1], d.trace[traced, 2] = at, t, write
    m[M_TRACED] = traced + 1


@lean
def offer(count, cycle, m, tiles, d):  # type: ignore[no-untyped-def]
    """Offer a group: what ``count`` cursors move, none of it before core cycle ``cycle``; return its number, -1: empty.

    When all of it has been taken stands in ``ends``; the reads that are still under way are noted later.
    """
    if count == 0:
        return -1
    m[M_TAG] += 1
    m[M_LATEST] = max(m[M_LATEST], cycle)
    tag, at = m[M_TAG] % GROUPS, to_device(m[M_LATEST], m)
    d.ends[tag] = 0
    left, whose = count, 0
    for i in range(count):
        start(tiles.cursors[i], m[M_TURN])
    while left > 0:
        made = 0
        for c in range(d.fill.shape[0]):
            if d.fill[c] > CHUNK:
                compact(c, d.fill[c], m, d)
            d.ends[GROUPS + c] = d.fill[c]
        while made < CHUNK and left > 0:
            t = move(tiles.cursors[whose], tiles.regions, m[M_SHIFT], m[M_TURN])
            if 0 <= t < MOVED_ALL:
                put(t, tiles.cursors[whose, CUR_WRITE], at, m, d)
                made += 1
                continue
            if t == -2:
                left -= 1
            whose = whose + 1 if whose + 1 < count else 0
        for c in range(d.fill.shape[0]):
            first = d.ends[GROUPS + c]
            if d.fill[c] > first:
                # one request a clock: the channel may stand at the clock at which it took the last one
                d.requests[c, EARLIEST, first] = max(at, d.channel[c, k.OFFERED] + 1)
                go(c, first, d.fill[c], -1, 0, d)
                taken = d.channel[c, k.CLOCK]
                d.channel[c, k.OFFERED] = taken
                d.ends[tag] = max(d.ends[tag], taken + 1)
                m[M_TAKEN] = max(m[M_TAKEN], taken)
    return m[M_TAG]


@lean
def over(tag, m, d):  # type: ignore[no-untyped-def]
    """Advance until the reads of a group are issued; return the core cycle at which it is over."""
    if tag < 0:
        return 0
    for c in range(d.fill.shape[0]):
        go(c, d.fill[c], d.fill[c], tag, 0, d)
        r = d.requests[c]
        for i in range(d.fill[c] - 1, -1, -1):  # numbers of groups never fall
            if r[TAG, i] < tag:
                break
            if r[TAG, i] == tag and not r[WRITE, i]:
                d.ends[tag % GROUPS] = max(d.ends[tag % GROUPS], r[DONE, i])
    return to_core(d.ends[tag % GROUPS], m)


@lean
def opened(part, row, index, tiles):  # type: ignore[no-untyped-def]
    """Set the cursors on a part of a tile; return how many."""
    if tiles.geometry.shape[0] == 0:
        return open_stream(tiles.moves, row[FIRST + 2 * part], row[FIRST + 2 * part + 1], tiles.cursors)
    return open_tile(part, row, index, tiles.geometry, tiles.cursors)


@lean
def behind(m, tiles, d):  # type: ignore[no-untyped-def]
    """Settle the computation of the tile before, then offer what it has left: its store, and what moves after it."""
    if m[M_PENDING] < 0:
        return
    begin = max(m[M_DONE], m[M_STORED_BEFORE])
    for field in (M_LOAD, M_BEFORE, M_AFTER):
        begin = max(begin, over(m[field], m, d))
    m[M_DONE] = begin + m[M_PENDING]
    m[M_COMPUTE] += m[M_PENDING]
    m[M_PENDING] = -1
    m[M_STORED_BEFORE] = m[M_STORED]
    row, index = tiles.rows[tiles.tile[6]], tiles.tile[7:]
    tag = offer(opened(STORES, row, index, tiles), m[M_DONE], m, tiles, d)
    if tag >= 0:
        m[M_STORED] = max(m[M_STORED], to_core(d.ends[tag % GROUPS], m))
    m[M_AFTER] = offer(opened(AFTER, row, index, tiles), m[M_DONE], m, tiles, d)


@lean
def tile(at, m, tiles, d):  # type: ignore[no-untyped-def]
    """Let the tile of a row pass."""
    row, index = tiles.rows[at], tiles.tile
    load = offer(opened(LOADS, row, index, tiles), m[M_DONE], m, tiles, d)  # when the tile before the last is computed
    behind(m, tiles, d)
    m[M_LOAD], m[M_BEFORE] = load, -1
    moves = opened(BEFORE, row, index, tiles)
    if moves > 0:
        earliest = max(m[M_DONE], over(m[M_AFTER], m, d))
        moves = opened(BEFORE, row, index, tiles)
        m[M_BEFORE] = offer(moves, earliest, m, tiles, d)
    m[M_PENDING], index[6] = tiles.cycles[at], at
    if tiles.geometry.shape[0] > 0:
        for axis in range(6):
            index[7 + axis] = index[axis]
        for i in range(5, -1, -1):
            axis = tiles.axes[i, 0]
            index[axis] += 1
            if index[axis] < tiles.axes[i, 1]:
                break
            index[axis] = 0


@lean
def advance(most, m, tiles, d):  # type: ignore[no-untyped-def]
    """Let up to ``most`` tiles of a schedule pass; return whether one is left. ``m[M_AT]`` is where the walk stands."""
    depth, rows, loops = m[M_DEPTH], tiles.rows, tiles.loops
    while m[M_AT] < rows.shape[0] and most > 0 and not m[M_FAR]:
        at = m[M_AT]
        m[M_AT] = at + 1
        if rows[at, REPEAT]:
            depth += 1
            loops[depth, 0], loops[depth, 1] = at, 0
        else:
            most -= 1
            tile(at, m, tiles, d)
        while depth >= 0 and m[M_AT] == rows[loops[depth, 0], END]:
            loops[depth, 1] += 1
            if loops[depth, 1] < rows[loops[depth, 0], REPEAT]:
                m[M_AT] = loops[depth, 0] + 1
            else:
                depth -= 1
                if depth < 0:
                    break
        if max(m[M_DONE], m[M_TAKEN]) > 2**61 // max(m[M_UP], m[M_DOWN]):
            m[M_FAR] = 1
    m[M_DEPTH] = depth
    return m[M_AT] < rows.shape[0] and not m[M_FAR]


@lean
def finish(m, tiles, d):  # type: ignore[no-untyped-def]
    """Let the last tile end, serve what waits and refresh until then; return the core cycle at which all is over."""
    behind(m, tiles, d)
    end = max(m[M_DONE], over(m[M_AFTER], m, d))
    for c in range(d.fill.shape[0]):
        go(c, d.fill[c], d.fill[c], k.NEVER, 0, d)
        end = max(end, to_core(max(d.channel[c, k.LAST], d.channel[c, k.OFFERED] + 1), m))
    for c in range(d.fill.shape[0]):
        go(c, d.fill[c], d.fill[c], -1, to_device(end, m), d)
    return end
