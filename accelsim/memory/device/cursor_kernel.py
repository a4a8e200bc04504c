"""Transfers as transactions, in machine code: a cursor walks the runs of one transfer.

A stream's cursor goes on where its region's last transfer stopped; a tile's has true addresses.
"""

from __future__ import annotations

from accelsim.jit import lean

(
    CUR_WRITE, CUR_RUNS, CUR_NEXT, CUR_AT, CUR_LEFT, CUR_TURN, CUR_REGION, CUR_BASE, CUR_BITS, CUR_LEVELS,
) = range(10)  # fmt: skip
"""Of a cursor: whether it writes; runs, and the next of them; next transaction and how many are left of the run, and of
the turn; the region of a stream (-1: a tile); first bit and bits of a run (of a stream: its transactions); then number
and stride in bits of up to four levels, from the inside."""
CURSOR = 18
MOVED_ALL = 2**62
FIRST_TX, SIZE_TX, GONE, FOLLOWS, PIECE = range(5)
"""Of a piece of a stream's region: first transaction and how many, those gone since it began, the piece that follows;
of the first piece also which one the stream is in."""

(
    G_SIZE, G_TILE, G_CG, G_KG, G_H, G_W, G_TAPS, G_E, G_F, G_STRIDE, G_PAD, G_WIDTH, G_BASE,
) = (0, 6, 12, 13, 14, 15, 16, 17, 18, 19, 21, 23, 27)  # fmt: skip
"""Of a cut layer: sizes of the axes groups, n, e, f, k, c, and of their tiles; channels of a group; map; filter
positions; strides, pads; widths of input, weight, output and partial sum, and the first bit of each."""
GEOMETRY = 31
TILE, RUN = 3, 11
"""Columns of `loopnest.LoopNest.table`: extents of a tile, its input rows and columns; bits of a run of each move."""


@lean
def start(cursor, turn):  # type: ignore[no-untyped-def]
    """Set a cursor on its first run."""
    cursor[CUR_NEXT], cursor[CUR_LEFT], cursor[CUR_TURN] = 0, 0, turn


@lean
def move(cursor, regions, shift, turn):  # type: ignore[no-untyped-def]
    """Return the next transaction; -1: the turn is over, -2: so is the transfer, `MOVED_ALL`: it was before."""
    if cursor[CUR_LEFT] == 0:
        if cursor[CUR_NEXT] > cursor[CUR_RUNS]:
            return MOVED_ALL
        if cursor[CUR_NEXT] == cursor[CUR_RUNS]:
            cursor[CUR_NEXT] += 1
            return -2
        if turn == 0 and cursor[CUR_TURN] == -1:
            cursor[CUR_TURN] = 0
            return -1
        if turn == 0:
            cursor[CUR_TURN] = -1
        i = cursor[CUR_NEXT]
        cursor[CUR_NEXT] = i + 1
        if cursor[CUR_REGION] >= 0:
            cursor[CUR_LEFT] = cursor[CUR_BITS]
        else:
            bit = cursor[CUR_BASE]
            for level in range(4):
                number = cursor[CUR_LEVELS + 2 * level]
                bit += i % number * cursor[CUR_LEVELS + 2 * level + 1]
                i = i // number
            cursor[CUR_AT] = bit >> shift
            cursor[CUR_LEFT] = ((bit + cursor[CUR_BITS] - 1) >> shift) - cursor[CUR_AT] + 1
    if turn > 0:
        if cursor[CUR_TURN] == 0:
            cursor[CUR_TURN] = turn
            return -1
        cursor[CUR_TURN] -= 1
    cursor[CUR_LEFT] -= 1
    if cursor[CUR_REGION] >= 0:
        head = cursor[CUR_REGION]
        piece = regions[head, PIECE]
        t = regions[piece, FIRST_TX] + regions[piece, GONE]
        regions[piece, GONE] += 1
        if regions[piece, GONE] == regions[piece, SIZE_TX]:
            regions[piece, GONE], regions[head, PIECE] = 0, regions[piece, FOLLOWS]
        return t
    t = cursor[CUR_AT]
    cursor[CUR_AT] = t + 1
    return t


@lean
def open_stream(moves, first, count, cursors):  # type: ignore[no-untyped-def]
    """Set cursors on so many moves from ``first``: region, whether written, transactions of a run, runs."""
    for i in range(count):
        cursors[i, CUR_REGION], cursors[i, CUR_WRITE] = moves[first + i, 0], moves[first + i, 1]
        cursors[i, CUR_BITS], cursors[i, CUR_RUNS] = moves[first + i, 2], moves[first + i, 3]
    return count


@lean
def open_tile(part, row, index, g, cursors):  # type: ignore[no-untyped-def]
    """Set cursors on what a tile loads (0) or stores (2); ``index`` counts tiles along each axis."""
    count = 0
    groups, n, e, f, kk, c = (
        index[0] * g[G_TILE], index[1] * g[G_TILE + 1], index[2] * g[G_TILE + 2], index[3] * g[G_TILE + 3],
        index[4] * g[G_TILE + 4], index[5] * g[G_TILE + 5],
    )  # fmt: skip
    if part == 0:
        if row[RUN]:
            top = max(0, e * g[G_STRIDE] - g[G_PAD])
            left = max(0, f * g[G_STRIDE + 1] - g[G_PAD + 1])
            across = g[G_SIZE] * g[G_CG]
            block(
                cursors[count], 0, g[G_WIDTH], g[G_BASE],
                row[TILE + 5], g[G_CG], 1, c, row[TILE], g[G_SIZE], g[G_CG], groups,
                row[TILE + 7], g[G_W], across, left, row[TILE + 6], g[G_H], across * g[G_W], top,
                row[TILE + 1], across * g[G_W] * g[G_H], n,
            )  # fmt: skip
            count += 1
        if row[RUN + 1]:
            taps = g[G_TAPS]
            block(
                cursors[count], 0, g[G_WIDTH + 1], g[G_BASE + 1],
                taps, taps, 1, 0, row[TILE + 5], g[G_CG], taps, c,
                row[TILE + 4], g[G_KG], g[G_CG] * taps, kk,
                row[TILE], g[G_SIZE], g[G_KG] * g[G_CG] * taps, groups, 1, 0, 0,
            )  # fmt: skip
            count += 1
        if row[RUN + 2]:
            outputs(cursors[count], 0, 3, row, g, groups, n, e, f, kk)
            count += 1
    elif part == 2:
        if row[RUN + 3]:
            outputs(cursors[count], 1, 2, row, g, groups, n, e, f, kk)
            count += 1
        if row[RUN + 4]:
            outputs(cursors[count], 1, 3, row, g, groups, n, e, f, kk)
            count += 1
    return count


@lean
def outputs(cursor, write, tensor, row, g, groups, n, e, f, kk):  # type: ignore[no-untyped-def]
    """Set a cursor on a tile of outputs or partial sums."""
    across = g[G_SIZE] * g[G_KG]
    block(
        cursor, write, g[G_WIDTH + tensor], g[G_BASE + tensor],
        row[TILE + 4], g[G_KG], 1, kk, row[TILE], g[G_SIZE], g[G_KG], groups,
        row[TILE + 3], g[G_F], across, f, row[TILE + 2], g[G_E], across * g[G_F], e,
        row[TILE + 1], across * g[G_F] * g[G_E], n,
    )  # fmt: skip


@lean
def block(  # type: ignore[no-untyped-def]
    cursor, write, width, base, x0, full0, s0, a0, x1, full1, s1, a1, x2, full2, s2, a2, x3, full3, s3, a3, x4, s4, a4
):  # fmt: skip
    """Set a cursor on a block: from the inside, extent, full size, stride and first index of each dimension."""
    cursor[CUR_REGION], cursor[CUR_WRITE] = -1, write
    cursor[CUR_BASE] = base + width * (a0 * s0 + a1 * s1 + a2 * s2 + a3 * s3 + a4 * s4)
    run, runs, whole = x0, 1, x0 == full0
    levels = CUR_LEVELS
    for extent, full, stride in ((x1, full1, s1), (x2, full2, s2), (x3, full3, s3), (x4, -1, s4)):
        number = 1
        if whole:
            run *= extent
        else:
            number = extent
        runs *= number
        cursor[levels], cursor[levels + 1] = number, stride * width
        levels += 2
        whole = whole and extent == full
    cursor[CUR_BITS], cursor[CUR_RUNS] = run * width, runs
