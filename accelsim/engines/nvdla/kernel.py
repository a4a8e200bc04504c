"""Hardware layers one after another through port, convolution buffer, MAC array and post-processing.

Time jumps from event to event: weights of a group or surfaces of a line at the port, a stripe in the array and behind
it; stripes that repeat are counted at once. Rules bear the numbers of `docs/decisions/0085-nvdla.md`.
"""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel

(
    LINES, SURFACES, LINE_BEATS, DATA_BYTES, KERNELS, KERNEL_BYTES, WEIGHT_BEATS, PACKAGES, POSITIONS, ROW, STRIPE,
    GROUP, RING_BEATS, SAME_SPLIT,
) = range(14)  # fmt: skip
"""Columns of a hardware layer: lines to fetch, surfaces of a line, beats of one of them, bytes in the buffer; kernels,
bytes of one, beats of all; packages of a stripe, output pixels, those of a row where stripes end with it (else 0),
longest stripe; kernels of a group; beats that the weight banks hold; 1 if the banks are split as before."""
FIELDS = 14

CYCLES, FIRST, LAST, ACTIVE, LOAD, WEIGHT, FLOOR, CREDIT, FILL, END = range(10)
"""What a walk counts, in cycles: all, the first product, the last one; with products, waiting for loads, for later
weights, for a package's least cycles, for credits, through pipelines at the start, at the end."""
COUNTS = 10
ASKED, COME, BUS, KIND = range(4)
"""Columns of a beat that is asked of a DRAM device: when it is asked for, when it comes, the cycles for which it then
keeps the device, 1 if it is one of weights."""
ASKS = 4
NOBODY = np.zeros((0, ASKS), np.int64)
"""A walk that asks no device."""
MOST = 2**62


@kernel
def stripe_of(left, row, stripe):  # type: ignore[no-untyped-def]
    """Return the pixels of the next stripe (rule 9), of ``left`` pixels to go; ``row`` pixels end one, or 0."""
    if row > 0:
        return min(stripe, (left - 1) % row + 1)
    if left >= 2 * stripe:
        return stripe
    return left if left <= stripe else stripe // 2


@kernel
def forward(clock, rates, count):  # type: ignore[no-untyped-def]
    """Move ``clock``, [cycle, ticks of it that are over, beats, when a device is free], by ``count`` beats."""
    clock[0] += count * rates.beat_cycles
    clock[2] += count
    most = MOST // max(1, rates.beat_ticks)  # at a time, within 64 bits
    while count > 0:
        some = min(count, most)
        clock[1] += some * rates.beat_ticks
        clock[0] += clock[1] // rates.ticks
        clock[1] %= rates.ticks
        count -= some


@kernel
def beats(clock, history, rates, asks, kind, count, earliest):  # type: ignore[no-untyped-def]
    """Let beats come one after another, the first no sooner than ``earliest``; return when the last one does (rule 1).

    Only where beats may wait for those on their way (rule 3) is each looked at. ``asks`` has a line for each beat of a
    walk that a DRAM device answers, whose rates are ``limited``; none of any other.
    """
    last = 0
    while count > 0:
        number = clock[2]
        if rates.limited and number >= rates.outstanding:
            earliest = max(earliest, history[number % rates.outstanding] + rates.latency + rates.outstanding_cycles)
        together = 1 if rates.limited else count
        begin = earliest
        if len(asks) > 0:
            asks[number, KIND], asks[number, ASKED] = kind, earliest - rates.latency
            if number > 0:
                asks[number, ASKED] = max(asks[number - 1, ASKED] + 1, earliest - rates.latency)
            clock[3] = max(clock[3], asks[number, ASKED] + rates.latency) + asks[number, BUS]
            begin = clock[3]
        if clock[0] < begin:
            clock[0], clock[1] = begin, 0
        forward(clock, rates, together - 1)
        last = clock[0] + (1 if clock[1] > 0 else 0)
        forward(clock, rates, 1)
        history[number % rates.outstanding] = last
        if len(asks) > 0:
            asks[number, COME] = last
        count -= together
    return last


@kernel
def line_cycles(surfaces, beats):  # type: ignore[no-untyped-def]
    """Return the cycles of the buffer's write port for a line of one to four surfaces (rule 5)."""
    if surfaces == 1:
        return beats + 1
    both = 2 * (beats + 1)
    if surfaces == 2:
        return both
    return both + (3 * ((beats + 1) // 2) if surfaces == 3 else 3 * beats)


@kernel
def walk(layers, rates, counts, asks):  # type: ignore[no-untyped-def]
    """Walk hardware layers, int64 (layers, FIELDS); add up ``counts``, int64 (COUNTS,); return where each ends.

    ``asks`` is int64 (all beats, ASKS) where a DRAM device answers, else (0, ASKS).

    Returns
    -------
    ndarray of int64, shape (layers, 5)
        First product, last product, done, last write of data, last beat of weights.
    """
    found = np.zeros((layers.shape[0], 5), np.int64)
    total = 0
    for i in range(layers.shape[0]):
        total += -(-layers[i, KERNELS] // layers[i, GROUP])
    ends, arrived, released = np.zeros(total, np.int64), np.zeros(total, np.int64), np.zeros(total, np.int64)
    history = np.zeros(rates.outstanding, np.int64)
    stripes = np.zeros((rates.credits + 2, 2), np.int64)  # pixels up to its last one, when that one is through
    head = 0  # the next stripe
    tail = 0  # the stripe that holds the next credit to wait for
    clock = np.zeros(4, np.int64)
    fetched = 0  # weight beats of the layers before
    group = 0  # of all layers
    held = 0  # the group whose place in the ring is the next to be overwritten
    positions = 0
    drain = 0  # when the post-processing is free
    now = 0  # until when cycles are accounted for
    last_beat = -rates.request - rates.latency  # the first layer starts at cycle 0: nothing was loaded before
    port = 0
    element = 0
    for i in range(layers.shape[0]):
        layer = layers[i]
        groups = -(-layer[KERNELS] // layer[GROUP])
        begin = 0
        room = 0
        if i > 0:
            begin = last_beat
            if i > 1:
                begin = max(begin, found[i - 2, 2])
            if layer[SAME_SPLIT] == 0:
                begin, held, fetched = found[i - 1, 2], group, 0
            begin += rates.request + rates.latency
            resident = layer[DATA_BYTES]
            for j in range(i - 1, -1, -1):
                resident += layers[j, DATA_BYTES]
                if resident > rates.data_bytes:
                    room = found[j, 1] + rates.latency  # its place is free after its last product
                    break
                if layers[j, SAME_SPLIT] == 0:
                    break
        else:
            begin = rates.request + rates.latency
        if clock[0] < begin:
            clock[0], clock[1] = begin, 0
        room = max(room, begin)
        acc = 0
        for g in range(groups):
            acc += min(layer[GROUP], layer[KERNELS] - g * layer[GROUP]) * layer[KERNEL_BYTES]
            ends[group + g] = fetched + -(-acc // rates.port_bytes)
        ends[group + groups - 1] = fetched + layer[WEIGHT_BEATS]

        # data, and weights until the ring is full of this layer's own (rules 2 and 4 to 6): as many at a time as come
        # before a group of kernels is complete, a place in the ring is another group's, or surfaces of a line are
        weights, most = 0, min(layer[WEIGHT_BEATS], layer[RING_BEATS])
        coming = 0  # the group whose weights come next
        line, surface = 0, 0
        surfaces = min(4, layer[SURFACES])
        missing = surfaces * layer[LINE_BEATS]  # of these surfaces
        while weights < most or line < layer[LINES]:
            some, wait = 0, begin
            if weights < most:
                some = min(most, ends[group + coming] - fetched) - weights
                place = fetched + weights - layer[RING_BEATS]
                if place >= 0:
                    while ends[held] <= place:
                        held += 1
                    wait = max(wait, released[held] + rates.latency)
                    some = min(some, ends[held] - place)
                else:
                    some = min(some, -place)
            data = missing if line < layer[LINES] else 0
            if some > 0 and weights < rates.weights_first:
                some, data = min(some, rates.weights_first - weights), 0
            elif some > 0 and data > 0:  # one and one in turn
                some = data = min(some, data)
                if rates.limited or clock[0] < max(room, wait):
                    some = data = 1
            if data > 0:
                last_beat = beats(clock, history, rates, asks, 0, data if some == 0 else 2 * data - 1, room)
                missing -= data
                if missing == 0:
                    if rates.line_buffer == 0:
                        port = last_beat + rates.data_write
                    else:
                        written = last_beat + rates.data_write + (rates.wide_line if surfaces > 2 else 0)
                        port = max(port + line_cycles(surfaces, layer[LINE_BEATS]), written)
                    surface += surfaces
                    if surface >= layer[SURFACES]:
                        surface, line = 0, line + 1
                    surfaces = min(4, layer[SURFACES] - surface)
                    missing = surfaces * layer[LINE_BEATS]
            if some > 0:
                last_beat = beats(clock, history, rates, asks, 1, some if data == 0 else 1, wait)
                weights += some
                while coming < groups and fetched + weights == ends[group + coming]:
                    arrived[group + coming] = last_beat + rates.weight_ready
                    coming += 1
        # rule 7: the whole input, the first group, and the layer before
        first = max(port + rates.data_ready, arrived[group])
        fill = rates.data_ready if port + rates.data_ready >= arrived[group] else rates.weight_ready
        if i > 0 and layer[SAME_SPLIT] != 0 and found[i - 1, 1] + rates.turn >= first:
            first = found[i - 1, 1] + rates.turn
            fill = first - now
        fill = min(fill, first - now)
        counts[FILL] += fill
        counts[LOAD] += first - now - fill
        found[i, 0] = first
        found[i, 3] = port
        now = first
        for g in range(groups):
            while fetched + weights < ends[group + g]:  # the ring's places come free, group by group
                place = fetched + weights - layer[RING_BEATS]
                while ends[held] <= place:
                    held += 1
                some = min(ends[group + coming] - fetched - weights, ends[held] - place)
                last_beat = beats(clock, history, rates, asks, 1, some, released[held] + rates.latency)
                weights += some
                while coming < groups and fetched + weights == ends[group + coming]:
                    arrived[group + coming] = last_beat + rates.weight_ready
                    coming += 1
            if now < arrived[group + g]:
                counts[WEIGHT] += arrived[group + g] - now
                now = arrived[group + g]
            here = min(layer[GROUP], layer[KERNELS] - g * layer[GROUP])
            left = layer[POSITIONS]
            period = alike = 0
            while left > 0:
                length = stripe_of(left, layer[ROW], layer[STRIPE])
                left -= length
                slot = max(rates.package, length, here)
                begun, before, waited = now, drain, 0
                now += (layer[PACKAGES] - 1) * slot
                counts[ACTIVE] += layer[PACKAGES] * length
                counts[FLOOR] += (layer[PACKAGES] - 1) * (slot - length)
                # rules 11 and 12: the last package needs its credits
                positions += length
                if positions > rates.credits:
                    needed = positions - 1 - rates.credits
                    while stripes[tail % len(stripes), 0] <= needed:
                        tail += 1
                    behind = stripes[tail % len(stripes), 0] - 1 - needed
                    free = stripes[tail % len(stripes), 1] - behind * rates.position + rates.credit
                    waited = max(0, free - now)
                    counts[CREDIT] += waited
                    now += waited
                drain = max(drain, now + rates.result) + length * rates.position
                stripes[head % len(stripes), 0], stripes[head % len(stripes), 1] = positions, drain
                head += 1
                element = drain - rates.position + rates.element - 1
                released[group + g] = now
                slot = length
                if left > 0:
                    slot = max(rates.package, length, here)
                elif g + 1 < groups:
                    slot = max(rates.package, length, min(layer[GROUP], layer[KERNELS] - (g + 1) * layer[GROUP]))
                counts[FLOOR] += slot - length
                now += slot
                # stripes that wait for credits all the same repeat as long as whole ones are left
                alike = alike + 1 if now - begun == period and drain - before == period else 0
                period = now - begun
                more = left // layer[STRIPE] - 1
                if layer[ROW] == 0 and more > 0 and alike > rates.credits // layer[STRIPE] + 1:
                    counts[ACTIVE] += more * layer[PACKAGES] * length
                    counts[FLOOR] += more * layer[PACKAGES] * (slot - length)
                    counts[CREDIT] += more * waited
                    for j in range(tail, head):
                        stripes[j % len(stripes), 0] += more * length
                        stripes[j % len(stripes), 1] += more * period
                    left -= more * length
                    positions += more * length
                    now += more * period
                    drain += more * period
        found[i, 1] = now - 1
        found[i, 2] = element + rates.end
        found[i, 4] = last_beat
        fetched += layer[WEIGHT_BEATS]
        group += groups
    last = layers.shape[0] - 1
    counts[CYCLES] = found[last, 2]
    counts[FIRST] = found[0, 0]
    counts[LAST] = found[last, 1]
    counts[END] = found[last, 2] - now
    return found


@kernel
def multiply(layer, part, conv, image, x, w, out):  # type: ignore[no-untyped-def]
    """Add the products of a hardware layer to ``out``, in the order of the array (rules 8 and 9).

    Parameters
    ----------
    layer : ndarray of int64, shape (FIELDS,)
    part : ndarray of int64, shape (4,)
        Image, first group of the convolution, groups, first output row.
    conv : NamedTuple of int
        Sizes of the convolution and channels at a time.
    image : bool
        Whether channels and filter columns are one dimension.
    x, w, out : ndarray of int64
        (n, c, h, w), (k, c / groups, r, s), (n, k, e, f).
    """
    n, first, groups, top = part
    cg, kg = w.shape[1], w.shape[0] // conv.groups
    depth = conv.pixel_channels * w.shape[3] if image else groups * cg
    columns = 1 if image else w.shape[3]
    for low in range(0, groups * kg, layer[GROUP]):
        done = 0
        while done < layer[POSITIONS]:
            length = stripe_of(layer[POSITIONS] - done, layer[ROW], layer[STRIPE])
            for block in range(0, depth, conv.at_a_time):
                for r in range(w.shape[2]):
                    for column in range(columns):
                        for at in range(done, done + length):
                            e, f = top + at // out.shape[3], at % out.shape[3]
                            up = e * conv.stride_y + r * conv.dilation_y - conv.pad_top
                            if up < 0 or up >= x.shape[2]:
                                continue
                            for each in range(block, min(depth, block + conv.at_a_time)):
                                c, s = each, column
                                if image:
                                    c, s = each % conv.pixel_channels, each // conv.pixel_channels
                                    if c >= cg:
                                        continue
                                left = f * conv.stride_x + s * conv.dilation_x - conv.pad_left
                                if left < 0 or left >= x.shape[3]:
                                    continue
                                for k in range(low, min(groups * kg, low + layer[GROUP])):
                                    if k // kg == c // cg:
                                        value = x[n, first * cg + c, up, left]
                                        out[n, first * kg + k, e, f] += value * w[first * kg + k, c % cg, r, s]
            done += length
