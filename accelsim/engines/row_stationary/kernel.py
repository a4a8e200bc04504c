"""One pass, word by word on the four networks. Multiplications are skipped over: a window takes p q S cycles."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def send(bus, rate, ready):  # type: ignore[no-untyped-def]
    """Send a word no earlier than ``ready`` over a bus of ``rate`` words per cycle; return when it is there.

    ``bus`` is the cycle of the last word sent, and how many went in it.
    """
    if ready > bus[0]:
        bus[0], bus[1] = ready, 0
    elif bus[1] == rate:
        bus[0], bus[1] = bus[0] + 1, 0
    bus[1] += 1
    return bus[0] + 1


@kernel
def deliver(g, channels, window, starts, arrived, bus):  # type: ignore[no-untyped-def]
    """Send the ifmap words that ``window`` is the first to need, each when all its destinations have room.

    starts : int64 (fifo + 1, PEs), when each PE started the last windows; the row of window w is w % (fifo + 1)
    arrived : int64 (PEs,), when the last word came to each PE
    """
    rows, step = g.stride_v * (g.e - 1) + g.filter_rows, min(g.taps, g.stride_h)
    used = g.taps + step * (g.outputs - 1)
    height, depth = g.r * g.filter_rows, g.fifo + 1
    image, f = window // g.outputs, window % g.outputs
    first = g.stride_h * (f - 1) + g.taps if f > 0 else 0
    met = max(first, g.stride_h * f)
    before = image * used + (g.taps + step * (f - 1) if f > 0 else 0)
    for column in range(first, g.stride_h * f + g.taps):
        for channel in range(channels):
            rho = channel // g.q
            own = min(g.q, channels - rho * g.q)
            # the window whose start makes room: the first to take this many words from the FIFO
            taken = (before + column - met) * own + channel - rho * g.q + 1 - g.fifo
            frees = np.int64(-1)
            if column >= met and taken > 0:
                whole = (taken - 1) // (used * own)
                columns = (taken - whole * used * own + own - 1) // own
                frees = whole * g.outputs + max(0, (columns - g.taps + step - 1) // step)
            for y in range(rows):
                low, high = max(0, (y - g.filter_rows + g.stride_v) // g.stride_v), min(g.e - 1, y // g.stride_v)
                ready = np.int64(0)
                if frees >= 0:
                    for tau in range(g.t):
                        for j in range(low, high + 1):
                            pe = (tau * height + rho * g.filter_rows + y - g.stride_v * j) * g.e + j
                            ready = max(ready, starts[frees % depth, pe])
                there = send(bus, g.ifmap_rate, ready)
                if column >= met:
                    for tau in range(g.t):
                        for j in range(low, high + 1):
                            pe = (tau * height + rho * g.filter_rows + y - g.stride_v * j) * g.e + j
                            arrived[pe] = there


@kernel
def multiply(g, channels, image, f, h, j, k0, count, x, w, moving):  # type: ignore[no-untyped-def]
    """Add one PE's window of ``count`` filters from ``k0`` on to the sums on their way up."""
    rho, i = h // g.filter_rows, h % g.filter_rows
    for kappa in range(rho * g.q, min(rho * g.q + g.q, channels)):
        for s in range(g.taps):
            value = x[image, kappa, g.stride_v * j + i, g.stride_h * f + s]
            for k in range(count):
                moving[k] += w[k0 + k, kappa, i, s] * value


@kernel
def walk_pass(g, c, with_values, x, w, out):  # type: ignore[no-untyped-def]
    """Walk one pass.

    Parameters
    ----------
    g : Geometry
    c : Content
    with_values : bool
        Whether to multiply; otherwise the arrays are not looked at.
    x : ndarray of int64, (images, channels, strip rows, row words)
    w : ndarray of int64, (filters, channels, R, S)
    out : ndarray of int64, (images, filters, rows, F)
        Psums in the buffer, read and written back.

    Returns
    -------
    ndarray of int64, shape (5,)
        Cycles; cycles from then until all psums are in the buffer; PE-cycles of ramps, of waiting for ifmap words,
        and of waiting for psums to move on.
    """
    height, depth, slot = g.r * g.filter_rows, g.fifo + 1, g.p * g.q * g.taps
    pes, windows = g.t * height * g.e, g.n * g.outputs
    begin = (c.filters * c.channels * g.filter_rows * g.taps + g.filter_rate - 1) // g.filter_rate
    gate = max(begin, c.lag)
    starts = np.zeros((depth, pes), dtype=np.int64)
    arrived, pushed = np.zeros(pes, dtype=np.int64), np.zeros(pes, dtype=np.int64)
    emptied = np.zeros(g.t * g.e, dtype=np.int64)
    ifmap_bus, in_bus = np.array([begin, 0], dtype=np.int64), np.array([gate, 0], dtype=np.int64)
    out_bus = np.zeros(2, dtype=np.int64)
    moving = np.zeros(g.p, dtype=np.int64)
    fill = starved = conflict = np.int64(0)
    for window in range(windows):
        image, f, now = window // g.outputs, window % g.outputs, window % depth
        if image < c.images:
            deliver(g, c.channels, window, starts, arrived, ifmap_bus)
        for pe in range(pes):
            if window == 0:
                starts[now, pe] = max(gate, arrived[pe])
                fill += starts[now, pe]
            else:
                ended = starts[(window - 1) % depth, pe] + slot
                fed = max(ended, arrived[pe])
                starts[now, pe] = max(fed, pushed[pe])
                starved += fed - ended
                conflict += starts[now, pe] - fed
        for tau in range(g.t):
            for j in range(g.e):
                words = 0
                if j < c.rows and image < c.images:
                    words = max(0, min(g.p, c.filters - tau * g.p))
                top = tau * height * g.e + j
                moved = np.int64(0)
                if c.reads_psums:
                    for _ in range(words):
                        moved = send(in_bus, g.psum_rate, pushed[top + (height - 1) * g.e])
                if with_values:
                    for k in range(words):
                        moving[k] = out[image, tau * g.p + k, j, f]
                for h in range(height - 1, -1, -1):
                    pe = top + h * g.e
                    room = pushed[pe - g.e] if h > 0 else emptied[tau * g.e + j]
                    moved = max(moved, starts[now, pe] + slot, room)
                    pushed[pe] = moved
                    if with_values and words > 0:
                        multiply(g, c.channels, image, f, h, j, tau * g.p, words, x, w, moving)
                for k in range(words):
                    emptied[tau * g.e + j] = send(out_bus, g.psum_rate, moved)
                    if with_values:
                        out[image, tau * g.p + k, j, f] = moving[k]
    last = (windows - 1) % depth
    cycles = starts[last].max() + slot
    for pe in range(pes):
        fill += cycles - starts[last, pe] - slot
    counts = np.zeros(5, dtype=np.int64)
    counts[0], counts[1] = cycles, max(emptied.max(), cycles) - cycles
    counts[2], counts[3], counts[4] = fill, starved, conflict
    return counts
