"""The exact time of a tiling, in machine code: its tiles pass one by one, periods are skipped.

Rows of integers as in `search_kernel`; ``runs`` and ``counts`` are the pieces of each axis (`nest_kernel.fill_runs`).
"""

from __future__ import annotations

from accelsim.jit import lean
from accelsim.mapping import nest_kernel as nest
from accelsim.mapping.bound_kernel import BURST, DENOMINATOR, FOREVER, LATENCY, NUMERATOR
from accelsim.mapping.tile_kernel import tile_cycles
from accelsim.memory import clock_kernel as timing

BITS, CLOCK, RUN = 12, 13, 14
"""Of the rows that a timeline works in: bits of a tile, the clock, the current run of each loop."""


@lean
def enter(at, runs, axis, run):  # type: ignore[no-untyped-def]
    """Let a run of an axis be the current one; return the axis as a bit, or 0 if its tiles are as large as before."""
    changed = at[axis, nest.EXTENT] != runs[axis, run, nest.EXTENT]
    changed = changed or at[axis, nest.INPUTS] != runs[axis, run, nest.INPUTS]
    for i in range(5):
        at[axis, i] = runs[axis, run, i]
    return 1 << axis if changed else 0


@lean
def timeline(layer, form, psum_width, order, runs, counts, innermost, stays, bus, stall, hands):  # type: ignore[no-untyped-def]
    """Let the tiles of a cut layer pass, loop by loop: `timeline.run` on `LoopNest.schedule`.

    ``hands`` are `bound_kernel.HANDS` rows to work in; row `CLOCK` is the clock at the end.
    Returns False as soon as the computations have waited for more than ``stall``, or if a count would leave 64 bits.
    """
    axes, at, loops, bits, clock, run = nest.AXES[order], hands[:6], hands[6:12], hands[BITS], hands[CLOCK], hands[RUN]
    compute = load_bits = store_bits = load = store = depth = 0
    for i in range(6):
        at[i, nest.EXTENT] = at[i, nest.INPUTS] = 0
    clock[:] = 0
    run[0] = 0
    stale = enter(at, runs, axes[0], 0)
    timing.enter(clock, loops[0])
    while True:
        if depth < 5:
            depth += 1
            run[depth] = 0
            stale |= enter(at, runs, axes[depth], 0)
            timing.enter(clock, loops[depth])
            continue
        if stale:
            nest.price_tile(layer, at, stale, psum_width, bus[BURST], bits)
            m = at[1, nest.EXTENT] * at[2, nest.EXTENT] * at[3, nest.EXTENT]
            compute = tile_cycles(form, at[0, nest.EXTENT], m, at[4, nest.EXTENT], at[5, nest.EXTENT])
            stale = 0
        loaded, stored = nest.step_bits(layer, at, bits, innermost, stays)
        if loaded != load_bits:
            load_bits, load = loaded, nest.on_bus_cycles(loaded, bus[NUMERATOR], bus[DENOMINATOR])
        if stored != store_bits:
            store_bits, store = stored, nest.on_bus_cycles(stored, bus[NUMERATOR], bus[DENOMINATOR])
        waited = clock[timing.DONE] - clock[timing.COMPUTE]
        if waited > stall or clock[timing.DONE] > timing.MOST or max(load, store, compute) > timing.MOST // 4:
            return False
        timing.tick(clock, load, 0, compute, store, 0, bus[LATENCY])
        while depth >= 0 and not timing.again(clock, loops[depth], runs[axes[depth], run[depth], nest.REPEAT]):
            run[depth] += 1
            if run[depth] < counts[axes[depth]]:
                stale |= enter(at, runs, axes[depth], run[depth])
                timing.enter(clock, loops[depth])
                break
            depth -= 1
        if depth < 0:
            return bool(clock[timing.DONE] <= timing.MOST)


@lean
def cut(layer, tiling, state):  # type: ignore[no-untyped-def]
    """Cut a layer by ``tiling``; return its innermost loop that goes on, and whether partial sums stay on the chip.

    ``state`` is a `bound_kernel.workspace` of the layer, whose runs, counts, tile and trips are written.
    """
    runs, counts, tile, whole, trips, _ = state
    for axis in range(6):
        tile[axis] = tiling[axis]
        counts[axis] = nest.fill_runs(layer, axis, whole[axis], tile[axis], runs[axis])
        trips[axis] = nest.ceil_div(whole[axis], tile[axis])
    live = nest.live_loops(trips[1] * trips[2] * trips[3], trips[4], trips[5])
    innermost = nest.INNERMOST[live, tiling[6]]
    return innermost, trips[5] == 1 or innermost == 2


@lean
def timed(layer, form, psum_width, bus, tiling, state, stall):  # type: ignore[no-untyped-def]
    """Return the cycles of a tiling, stalls included; `FOREVER` if these are more than ``stall`` or leave 64 bits."""
    innermost, stays = cut(layer, tiling, state)
    runs, counts, _, _, _, hands = state
    if not timeline(layer, form, psum_width, tiling[6], runs, counts, innermost, stays, bus, stall, hands):
        return FOREVER
    return float(timing.finish(hands[CLOCK]))
