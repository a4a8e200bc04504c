"""Tiles that repeat, in machine code: `accelsim.memory.timeline.run` on a loop over runs of equal tiles.

A clock is that of `nest_kernel.tick`. Whole periods are skipped: the clock is compared with how it stood at rounds
0, 1, 3, 7, ...
"""

from __future__ import annotations

from accelsim.jit import lean
from accelsim.mapping import nest_kernel as nest

TIMES, LOAD, COMPUTE, STORE = range(4)
"""Columns of a run of equal tiles: how many, and the cycles of each on the bus, on the units, and on the bus again."""


@lean
def pass_run(clock, run, latency, state):  # type: ignore[no-untyped-def]
    """Let the tiles of a run pass; ``state``, shape (6,), is a row to work in."""
    done, since, gap = 0, 0, 1
    nest.relative(clock, state)
    while done < run[TIMES]:
        nest.tick(clock, run[LOAD], run[COMPUTE], run[STORE], latency)
        done += 1
        left = run[TIMES] - done
        if left > 0 and gap > 0:
            skipped = nest.jump(clock, state, done - since, left)
            done += skipped
            if skipped:
                gap = 0  # fewer rounds than a period are left: no more looking
            elif done - since == gap:
                since, gap = done, 2 * gap
                nest.relative(clock, state)


@lean
def pass_rounds(clock, runs, count, rounds, latency, states):  # type: ignore[no-untyped-def]
    """Let the first ``count`` of ``runs`` pass, one after the other, ``rounds`` times; ``states`` has two rows."""
    done, since, gap = 0, 0, 1
    nest.relative(clock, states[0])
    while done < rounds:
        for i in range(count):
            pass_run(clock, runs[i], latency, states[1])
        done += 1
        left = rounds - done
        if left > 0 and gap > 0:
            skipped = nest.jump(clock, states[0], done - since, left)
            done += skipped
            if skipped:
                gap = 0
            elif done - since == gap:
                since, gap = done, 2 * gap
                nest.relative(clock, states[0])
