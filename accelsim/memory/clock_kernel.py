"""The rules of the double-buffered timeline, in machine code: a clock, tiles that pass, and periods that are skipped.

The only statement of what `accelsim.memory.timeline` says. `jit.plain` of it takes integers of any size.
"""

from __future__ import annotations

from accelsim.jit import kernel, lean

BUS, DONE, EARLIER, STORED, PENDING, PENDING_AFTER, COMPUTE = range(7)
"""A clock, in core cycles: when the bus is free, when the last tile, the one before it and the store of that have been
computed and written, what the last one has still to store and to move after computing, and computation in all."""
CLOCK = 7

ROUNDS, SINCE, GAP, DONE_THEN, COMPUTE_THEN, ROW = range(5, 11)
"""A loop on its way: behind the five columns of `standing` at some round, the rounds that have passed, that round, how
many later it is compared next (0: never), two columns of the clock then, and the row of the loop."""
LOOP = 11

REPEAT, END, LOAD, BEFORE, COMPUTED, STORE, AFTER = range(7)
"""Columns of a schedule laid out in rows: of a loop, which stands before its body, how often it repeats and the row
behind it; of a tile 0, the cycles of its computation and of each of its transfers."""
COLUMNS = 7

MOST = 2**60
"""No clock may come near 64 bits."""


@lean
def tick(clock, load, before, compute, store, after, latency):  # type: ignore[no-untyped-def]
    """Let one tile pass, and what the tile before has left; return when each begins that takes time.

    Returns
    -------
    Begin of the load, of the store and of what is moved after by the tile before, of what is moved before, of the
    computation.
    """
    arrived = 0
    load_at = max(clock[BUS], clock[EARLIER])
    if load:
        clock[BUS] = load_at + load
        arrived = load_at + load + latency
    computed, stored_before = clock[DONE], clock[STORED]
    store_at = max(clock[BUS], computed)
    if clock[PENDING]:
        clock[BUS] = clock[STORED] = store_at + clock[PENDING]
    after_at = max(clock[BUS], computed)
    if clock[PENDING_AFTER]:
        clock[BUS] = computed = after_at + clock[PENDING_AFTER]
    before_at = max(clock[BUS], computed)
    if before:
        clock[BUS] = before_at + before
        arrived = max(arrived, before_at + before + latency)
    begin = max(arrived, computed, stored_before)
    clock[EARLIER] = clock[DONE]
    clock[DONE] = begin + compute
    clock[PENDING], clock[PENDING_AFTER] = store, after
    clock[COMPUTE] += compute
    return load_at, store_at, after_at, before_at, begin


@lean
def finish(clock):  # type: ignore[no-untyped-def]
    """Return the end of the last computation, store or transfer after it; only `COMPUTE` is left as it was."""
    tick(clock, 0, 0, 0, 0, 0, 0)
    return max(clock[DONE], clock[STORED])


@lean
def standing(clock):  # type: ignore[no-untyped-def]
    """Return the clock seen from the end of the computation, with all that can no longer matter folded together."""
    done = clock[DONE]
    bus, stored = max(clock[BUS], clock[EARLIER]) - done, max(clock[STORED], done) - done
    return bus, clock[EARLIER] - done, stored, clock[PENDING], clock[PENDING_AFTER]


@lean
def note(clock, loop):  # type: ignore[no-untyped-def]
    """Write how the clock stands."""
    loop[0], loop[1], loop[2], loop[3], loop[4] = standing(clock)
    loop[DONE_THEN], loop[COMPUTE_THEN] = clock[DONE], clock[COMPUTE]


@lean
def enter(clock, loop):  # type: ignore[no-untyped-def]
    """Begin a loop."""
    loop[ROUNDS], loop[SINCE], loop[GAP] = 0, 0, 1
    note(clock, loop)


@lean
def again(clock, loop, repeat):  # type: ignore[no-untyped-def]
    """End a round of a loop of ``repeat`` rounds; return whether one is left.

    The clock is compared with how it stood at rounds 0, 1, 3, 7, ..., so that any period is found. If it stands as it
    did, whole periods are skipped: the recurrence only adds and takes maxima. A clock that would leave 64 bits ends at
    twice `MOST`, beyond what callers take.
    """
    loop[ROUNDS] += 1
    left, since = repeat - loop[ROUNDS], loop[ROUNDS] - loop[SINCE]
    if left > 0 and loop[GAP] > 0:
        bus, earlier, stored, pending, after = standing(clock)
        if (
            bus == loop[0] and earlier == loop[1] and stored == loop[2] and pending == loop[3] and after == loop[4]
        ):  # fmt: skip
            jumps = left // since
            loop[ROUNDS] += jumps * since
            loop[GAP] = 0  # fewer rounds than a period are left: no more looking
            cycles, compute = clock[DONE] - loop[DONE_THEN], clock[COMPUTE] - loop[COMPUTE_THEN]
            if cycles > 0 and jumps > MOST // cycles:
                clock[DONE] = 2 * MOST
            else:
                for i in range(PENDING):
                    clock[i] += jumps * cycles
                clock[COMPUTE] += jumps * compute
        elif since == loop[GAP]:
            loop[SINCE], loop[GAP] = loop[ROUNDS], 2 * since
            note(clock, loop)
    return loop[ROUNDS] < repeat


@lean
def put(rows, at, repeat, load, compute, store):  # type: ignore[no-untyped-def]
    """Write so many equal tiles as the rows from ``at``; return the row behind them."""
    if repeat <= 0:
        return at
    rows[at : at + 2] = 0
    rows[at, REPEAT], rows[at, END] = repeat, at + 2
    rows[at + 1, LOAD], rows[at + 1, COMPUTED], rows[at + 1, STORE] = load, compute, store
    return at + 2


@lean
def walk(rows, count, clock, loops, latency):  # type: ignore[no-untyped-def]
    """Let the tiles of the first ``count`` rows pass; ``loops``, shape (depth, `LOOP`), is room to work in."""
    at, depth = 0, -1
    while at < count:
        row = rows[at]
        if row[REPEAT]:
            depth += 1
            loops[depth, ROW] = at
            enter(clock, loops[depth])
        else:
            tick(clock, row[LOAD], row[BEFORE], row[COMPUTED], row[STORE], row[AFTER], latency)
        at += 1
        while depth >= 0 and at == rows[loops[depth, ROW], END]:
            if again(clock, loops[depth], rows[loops[depth, ROW], REPEAT]):
                at = loops[depth, ROW] + 1
            else:
                depth -= 1


@kernel
def passed(rows, clock, loops, latency):  # type: ignore[no-untyped-def]
    """Let all tiles pass and return when the last store is over: `walk`, for callers in Python."""
    walk(rows, len(rows), clock, loops, latency)
    return finish(clock)


@kernel
def passed_each(rows, first, clock, loops, latency, ends):  # type: ignore[no-untyped-def]
    """Write when each of several schedules is over, of the rows from ``first[i]`` to ``first[i + 1]``: `passed`."""
    for i in range(len(ends)):
        clock[:] = 0
        one = rows[first[i] : first[i + 1]]
        walk(one, len(one), clock, loops, latency)
        ends[i] = finish(clock)


@kernel
def order(rows, rounds, loops, found):  # type: ignore[no-untyped-def]
    """Write the places of the tiles as they pass, loops at most ``rounds`` times; return how many there are.

    They are written as far as there is room in ``found``; ``loops`` is as in `walk`.
    """
    at, depth, count = 0, -1, 0
    while at < len(rows):
        if rows[at, REPEAT]:
            depth += 1
            loops[depth, ROW], loops[depth, ROUNDS] = at, 0
        else:
            if count < len(found):
                found[count] = at
            count += 1
        at += 1
        while depth >= 0 and at == rows[loops[depth, ROW], END]:
            loops[depth, ROUNDS] += 1
            if loops[depth, ROUNDS] < min(rounds, rows[loops[depth, ROW], REPEAT]):
                at = loops[depth, ROW] + 1
            else:
                depth -= 1
    return count
