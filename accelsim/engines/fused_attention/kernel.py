"""The array and its lanes, tile by tile; and the values in the same order."""

import math

import numpy as np

from accelsim.jit import kernel

COUNTS = 11
CYCLES, ARRAY, WAIT, ARRAY_EDGE, LANES, LANES_EDGE, LANE_WORK, TILES, TILE_QUERIES, TILE_KEYS, SCORES = range(COUNTS)
"""Cycles; of them, those in which the array works, waits for a maximum, is at an end of the pipe; those in which lanes
work, and are at an end; lane-cycles with a query; tiles, their queries and keys, and scores that count."""


@kernel
def walk(sizes, array, tiles, together):  # type: ignore[no-untyped-def]
    """Return the `COUNTS` of a layer.

    Parameters
    ----------
    sizes : tuple of int
        Heads of keys in the whole batch, queries, keys, size of a head, whether tiles are left out.
    array : tuple of int
        Rows, columns, and whether: fused, one pass, PEs with maxima and exponentials, interleaved.
    tiles : array of int64, shape (blocks,)
        Tiles of each query block of a head of keys.
    together : int
        Blocks of a group.
    """
    units, queries, keys, e, skip = sizes
    rows, cols, fused, one_pass, rich, interleave = array
    c = np.zeros(COUNTS, np.int64)
    blocks, along = tiles.size, (queries + cols - 1) // cols
    before = 0
    for unit in range(units):
        for first in range(0, blocks, together):
            end = min(first + together, blocks)
            now = 0
            for tile_row in range(tiles[first:end].max()):
                for block in range(first, end):
                    if tile_row >= tiles[block]:
                        continue
                    lowest = block % along * cols
                    width = min(cols, queries - lowest)
                    height = min(rows, keys - tile_row * rows)
                    scores = width * height
                    if skip:
                        scores = 0
                        for i in range(lowest, lowest + width):
                            scores += max(0, min(height, keys - queries + i + 1 - tile_row * rows))
                    start = c[TILES] == 0
                    c[TILES] += 1
                    c[TILE_QUERIES] += width
                    c[TILE_KEYS] += height
                    c[SCORES] += scores
                    c[ARRAY] += 2 * e + 9 * rich
                    now += 1
                    if not one_pass:
                        c[LANES] += 4 * rows
                        c[LANE_WORK] += 4 * scores
                        continue
                    division = e if tile_row == tiles[block] - 1 else 0
                    if rich:
                        c[LANES] += 10 + 2 * e + division
                        c[LANE_WORK] += width * (10 + 2 * e + division)
                    else:
                        c[LANES] += 4 * rows + 5 + 2 * e + division
                        c[LANE_WORK] += 4 * scores + width * (5 + 2 * e + division)
                    last = c[TILES] == units * tiles.sum()
                    if not rich:
                        c[CYCLES] += max(4 * rows + 5, e) + 2 * e + division
                        if start:
                            c[CYCLES] += e
                            c[LANES_EDGE] += e
                        if last:
                            c[CYCLES] += e
                            c[LANES_EDGE] += e
                            c[ARRAY_EDGE] += 2 * e + division
                        continue
                    if start:
                        fill = e + 1 + rows * interleave
                        c[CYCLES] += fill
                        c[LANES_EDGE] += fill
                        c[ARRAY_EDGE] += rows * interleave
                    behind = 1 + division + e * interleave
                    c[CYCLES] += 1 + 8 + max(e, e * (2 - interleave))
                    if not interleave:
                        c[CYCLES] += rows
                        c[WAIT] += rows
                    if last:
                        c[CYCLES] += behind
                        c[ARRAY_EDGE] += behind
                    else:
                        c[CYCLES] += max(e + 1, behind)
            if one_pass:
                continue
            if not fused:
                c[CYCLES] += now * (2 * e + 4 * rows)
                continue
            following = unit < units - 1 or end < blocks
            second, stop = (end, min(end + together, blocks)) if end < blocks else (0, min(together, blocks))
            ahead = tiles[second:stop].sum() if following else 0
            c[CYCLES] += max(4 * rows * now, e * (ahead + before))
            if before == 0:
                c[CYCLES] += e * now
                c[LANES_EDGE] += e * now
            if not following:
                c[CYCLES] += e * now
                c[LANES_EDGE] += e * now
            before = now
    return c


@kernel
def attend(sizes, rows, cols, one_pass, causal, tiles, together, q, k, v, out):  # type: ignore[no-untyped-def]
    """Write the output of every head, scores and sums in the order of the tiles.

    Parameters
    ----------
    sizes : tuple of int
        Heads of queries that share one of keys, queries, size of a head.
    q, k, v : arrays of int64, shape (batch, tokens, heads, size of a head)
    out : array of float64, shape of q
    """
    shared, queries, e = sizes
    keys, along, root = k.shape[1], tiles.size // shared, math.sqrt(e)
    most, total = np.empty(tiles.size * cols), np.empty(tiles.size * cols)
    for unit in range(k.shape[0] * k.shape[2]):
        n, kept = unit // k.shape[2], unit % k.shape[2]
        for first in range(0, tiles.size, together):
            end = min(first + together, tiles.size)
            for sweep in range(1 if one_pass else 3):
                for tile_row in range(tiles[first:end].max()):
                    for block in range(first, end):
                        if tile_row >= tiles[block]:
                            continue
                        head = kept * shared + block // along
                        for place in range(min(cols, queries - block % along * cols)):
                            i, at = block % along * cols + place, block * cols + place
                            seen = keys - queries + i + 1 if causal else keys
                            for j in range(tile_row * rows, min((tile_row + 1) * rows, seen)):
                                score = 0
                                for d in range(e):
                                    score += q[n, i, head, d] * k[n, j, kept, d]
                                x = score / root
                                if j == 0 and sweep == 0:
                                    most[at], total[at] = -np.inf, 0.0
                                if one_pass and x > most[at]:
                                    correction = math.exp(most[at] - x)
                                    total[at] *= correction
                                    for d in range(e):
                                        out[n, i, head, d] *= correction
                                    most[at] = x
                                if sweep == 0 and not one_pass:
                                    most[at] = max(most[at], x)
                                    continue
                                share = math.exp(x - most[at])
                                if one_pass or sweep == 1:
                                    total[at] += share
                                if sweep == 1:
                                    continue
                                if not one_pass:
                                    share /= total[at]
                                for d in range(e):
                                    out[n, i, head, d] += share * v[n, j, kept, d]
                            if one_pass and tile_row == tiles[block] - 1:
                                for d in range(e):
                                    out[n, i, head, d] /= total[at]
