"""Values of a round: every stream of a row pair by pair through the layers of the tree."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel
from accelsim.operands.product_kernel import merge


@kernel
def merge_rows(  # type: ignore[no-untyped-def]
    rows,
    slots,
    begins,
    ends,
    from_b,
    factors,
    b_columns,
    b_values,
    p_columns,
    p_values,
    layers,
    out_columns,
    out_values,
):
    """Multiply and merge the pieces of some rows, sorted by row and slot; return the number of elements out.

    A piece is ``begins:ends`` of a row of B, times its factor, or of the partial products. At most one enters at each
    slot of a row. ``out_columns, out_values`` take the rows one after another.
    """
    ways = 1 << layers
    stops = np.zeros(ways, np.int64)
    size = 16
    left_columns, right_columns = np.empty(size, np.int64), np.empty(size, np.int64)
    left_values, right_values = np.empty(size, out_values.dtype), np.empty(size, out_values.dtype)
    piece, out = 0, 0
    while piece < rows.size:
        row, total, after = rows[piece], 0, piece
        while after < rows.size and rows[after] == row:
            total += ends[after] - begins[after]
            after += 1
        if total > size:
            size = 2 * total
            left_columns, right_columns = np.empty(size, np.int64), np.empty(size, np.int64)
            left_values, right_values = np.empty(size, out_values.dtype), np.empty(size, out_values.dtype)
        to, streams = 0, 1
        for slot in range(ways):
            if piece < after and slots[piece] == slot:
                for j in range(begins[piece], ends[piece]):
                    if from_b[piece]:
                        left_columns[to], left_values[to] = b_columns[j], factors[piece] * b_values[j]
                    else:
                        left_columns[to], left_values[to] = p_columns[j], p_values[j]
                    to += 1
                piece += 1
                while streams <= slot:
                    streams *= 2
            stops[slot] = to
        # nodes behind the last piece are empty: a row with few pieces passes only the layers that it needs
        while streams > 1:
            to, begin = 0, 0
            streams //= 2
            for node in range(streams):
                middle, end = stops[2 * node], stops[2 * node + 1]
                to = merge(left_columns, left_values, begin, middle, end, right_columns, right_values, to)
                begin = end
                stops[node] = to
            left_columns, right_columns = right_columns, left_columns
            left_values, right_values = right_values, left_values
        out_columns[out : out + to], out_values[out : out + to] = left_columns[:to], left_values[:to]
        out += to
        piece = after
    return out
