"""Greedy candidates: the keys whose largest products with a query outweigh their smallest ones.

A row's steps take as many of the largest products of all its columns, and as many of the smallest. So most of them need
no order: a table of how many keys of a column are beyond a value tells, by bisection, a product which no more than that
exceed. These are added column by column; only what is left is taken one after another.
"""

import numpy as np

from accelsim.jit import kernel

BUCKETS = 128
"""Of the table, for the values of a column on either side of 0; keys of 8 bits have one for each value."""
CLOSE = 16
"""Steps that are sooner taken one after another than a lower product is found."""
UP, DOWN = range(2)
"""Sides of 0: where keys are large, and where they are small."""


@kernel
def candidates(queries, order, ranked, visible, steps, shift, listed, many):  # type: ignore[no-untyped-def]
    """Find the greedy candidates of rows.

    Parameters
    ----------
    queries : ndarray of int64, shape (rows, dim)
    order, ranked : ndarray of int64, shape (dim, kv)
        Keys by rising value in a column, of equal ones the first first, and their values, below 2^31.
    visible, steps : ndarray of int64, shape (rows,)
        Keys that a row sees, and its steps.
    shift : int
        Low bits that a bucket does not tell apart: no value has more than BUCKETS of them on its side of 0.
    listed : ndarray of int64, shape (rows, kv)
        Filled in: the candidates of each row, ascending.
    many : ndarray of int64, shape (rows,)
        Filled in: how many.
    """
    dim, kv = order.shape
    counts, beyond = np.zeros((2 * dim + 1, BUCKETS + 2), np.int64), np.zeros((2 * dim + 1, BUCKETS + 2), np.int64)
    sizes, places = np.zeros(dim), np.zeros(dim, np.int64)
    factors, at, heads = np.zeros(dim, np.int64), np.zeros(dim, np.int64), np.zeros(dim, np.int64)
    partial = np.zeros(kv, np.int64)
    now = 0
    for r in range(len(queries)):
        n = visible[r]
        if n != now:
            _look(order, ranked, now, n, shift, counts, beyond)
            now = n
        partial[:n] = 0
        for sign in (1, -1):
            for c in range(dim):
                factors[c] = sign * queries[r, c]
            least = _bound(factors, steps[r], shift, beyond.ravel(), sizes, places)
            left = steps[r]
            for c in range(dim):
                factor, place, product = factors[c], kv - 1 if factors[c] > 0 else 0, 0
                move = -1 if factor > 0 else 1
                while 0 <= place < kv:
                    key = order[c, place]
                    if key < n:
                        product = factor * ranked[c, place]
                        if product <= least:
                            break
                        partial[key] += sign * product
                        left -= 1
                    place += move
                at[c], heads[c] = place, max(0, product) if 0 <= place < kv else 0
            while left > 0:
                most = heads.max()
                if most == 0:
                    break
                for c in range(dim):  # of equal products that of the lowest column is taken first
                    while heads[c] == most and left > 0:
                        partial[order[c, at[c]]] += sign * most
                        left -= 1
                        _move(c, n, factors[c], order, ranked, at, heads)
        count = top = 0
        for j in range(n):
            listed[r, count] = j
            count += partial[j] > 0
            if partial[j] > partial[top]:
                top = j
        if count == 0:
            listed[r, 0] = top
        many[r] = max(1, count)


@kernel
def _look(order, ranked, now, seen, shift, counts, beyond):  # type: ignore[no-untyped-def]
    """Count the first ``seen`` keys, of which ``now`` are counted: on each side those in a bucket or further out."""
    for c in range(len(order)):
        for i in range(order.shape[1]):
            key, value = order[c, i], ranked[c, i]
            if min(now, seen) <= key < max(now, seen):
                counts[2 * c + (UP if value > 0 else DOWN), abs(value) >> shift] += 1 if now < seen else -1
    for side in range(2 * len(order)):
        for b in range(BUCKETS, -1, -1):
            beyond[side, b] = beyond[side, b + 1] + counts[side, b]


@kernel
def _bound(factors, steps, shift, beyond, sizes, places):  # type: ignore[no-untyped-def]
    """Return a product, at least 0, which no more than ``steps`` exceed, and nearly so many if buckets can tell."""
    low, high, dim = -1, 0, len(factors)
    for c in range(dim):
        factor = abs(factors[c])
        high = max(high, factor * ((BUCKETS + 1) << shift))
        sizes[c] = max(1, factor)
        # a column without products looks into the last row, where there are none
        places[c] = (2 * c + (UP if factors[c] > 0 else DOWN) if factor else 2 * dim) * (BUCKETS + 2)
    while high - low > 1:
        middle = (low + high) // 2
        more = 0
        for c in range(dim):
            # exact: operands have 16 bits, so that a quotient is never rounded up to a whole number
            key = (int(middle / sizes[c]) + 1) >> shift
            more += beyond[places[c] + min(key, BUCKETS + 1)]
        if more > steps:
            low = middle
        else:
            high = middle
            if steps - more < CLOSE:
                break
    return high


@kernel
def _move(c, n, factor, order, ranked, at, heads):  # type: ignore[no-untyped-def]
    """Move a column's pointer to its next key that is seen, and look at the product: 0 at the end or past 0."""
    heads[c] = 0
    at[c] += -1 if factor > 0 else 1
    while 0 <= at[c] < order.shape[1]:
        if order[c, at[c]] < n:
            heads[c] = max(0, factor * ranked[c, at[c]])
            return
        at[c] += -1 if factor > 0 else 1
