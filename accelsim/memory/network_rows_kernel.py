"""Where a network's timeline stands, and how tiles follow one another: the columns of its arrays, said once."""

from __future__ import annotations

from accelsim.jit import kernel, lean

REPEAT, END, PARENT, DEPTH, COMPUTED = range(5)
"""Columns of a row. Of a loop: how often it repeats and the row behind it; of a tile 0, 0, and the cycles of its
computation. Of both: the loop around it (-1: none), and how many there are."""
CELLS = 5

NEVER = 2**62
"""No clock comes near it."""

LOAD, MADE, CONSTANT, BEFORE, STORE, AFTER, BITS, WAITS = range(8)
"""What a tile moves over one bus, in cycles: its load in one request, what of it other layers make and what they do not
apart, ...; then bits of its constants, and whether what moves ``before`` is made by other layers. Where constants have
a room, `LOAD` is what others make."""
MOVES = 8

FIRST, BEHIND, UNIT, NEXT, EDGE, ROOM = range(6)
"""A program: its rows, its unit, the unit's next program (-1: none), where its edges and room edges begin; there is one
more behind the last."""
PROGRAM = 6

AT, PROG, OPENS, BUSY = range(4)
"""A unit: the row of its next tile (-1: none is left), the program, whether it is that program's first tile, whether it
is being computed. A list begins in the same way, with the tile whose requests come next (-1: behind the last tile; -2:
nothing is left)."""
OF_UNIT = 4

LEAD, STAGE, STORES, AFTERS, STORER, LAST, ON_BUS, UNDER_WAY, USED, HELD, HERE, COMING = range(3, 15)
"""A list, after `OPENS`: how many tiles it is ahead of the one to be computed next, its next request, what the tile
before still stores and moves after, whose that is and its row, whether its request is on the bus, how many of `MOVED`
are under way on a DRAM device. Of constants with a room: bits in it, those of the tiles computed last, loads that are
there and wait, and loads that are coming."""
OF_LIST = 15

LOADS, STORED, MOVED, MAKES, FED = range(5)
"""Stages of a list: the requests of a tile, in order."""

COMPUTE_END, READY, ROOM_FREE = range(3)
"""What is known of a program: that it has been computed, that what it reads is there, that it may write; 0 or 1."""

BEGIN, START, STOP, WORK, PRODUCER_WAIT, ROOM_WAIT, MEMORY, CONFLICT = range(8)
"""What is found of a program."""
FOUND = 8

NOW, FINISHED, EVENTS, WRITTEN, JUMPS = range(5)
"""The clock, in cycles (-1: not begun); programs computed or stored; events, first with those that were jumped over,
then without; jumps."""
CLOCK = 5

RESOURCE, LAYER, LENGTH, CAUSE, LATE = range(5)
"""An event: unit, or units + place; program; cycles; the event that it waited for (-1: none), and for how many cycles
after the end of that."""
EVENT = 5


@lean
def descend(rows, counters, at, end):  # type: ignore[no-untyped-def]
    """Return the first tile from a row on, in loops that begin."""
    while at < end and rows[at, REPEAT] > 0:
        counters[rows[at, DEPTH]] = 0
        at += 1
    return at


@lean
def advance(net, cursor, counters):  # type: ignore[no-untyped-def]
    """Go to the unit's next tile; return the depth of the loop that has another round for it, -1 if none."""
    rows, at, program, ended = net.rows, cursor[AT] + 1, cursor[PROG], -1
    loop = rows[at - 1, PARENT]
    while loop >= 0 and at == rows[loop, END]:
        depth = rows[loop, DEPTH]
        counters[depth] += 1
        if counters[depth] < rows[loop, REPEAT]:
            at, ended = loop + 1, depth
            break
        loop = rows[loop, PARENT]
    end = net.programs[program, BEHIND]
    at = descend(rows, counters, at, end)
    cursor[OPENS] = 0
    if at == end:
        program = net.programs[program, NEXT]
        if program < 0:
            cursor[AT] = -1
            return -1
        cursor[PROG], cursor[OPENS] = program, 1
        at = descend(rows, counters, net.programs[program, FIRST], net.programs[program, BEHIND])
    cursor[AT] = at
    return ended


@kernel
def nest(rows, times):  # type: ignore[no-untyped-def]
    """Fill in `PARENT` and `DEPTH`, and write how often each row passes."""
    around = -1
    for at in range(len(rows)):
        while around >= 0 and at == rows[around, END]:
            around = rows[around, PARENT]
        rows[at, PARENT], rows[at, DEPTH], times[at] = around, 0, 1
        if around >= 0:
            rows[at, DEPTH], times[at] = rows[around, DEPTH] + 1, times[around] * rows[around, REPEAT]
        if rows[at, REPEAT]:
            around = at
