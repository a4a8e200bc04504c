"""The pipeline's rows: how long each takes, and what each keeps and computes."""

import math

import numpy as np

from accelsim.jit import kernel

MODULUS = 2**31 - 1
ROUND = 3
"""Cycles of a round of the quick-select beyond its comparisons."""
ROWS, FIRST, SECOND, KEYS, VALUES, LOW, SCORES = range(7)
"""Columns of a block."""
(CANDIDATES, PRODUCTS, EXPONENTIALS, SPECIALS, USED, REFETCHED, SELECT_CYCLES, QK_CYCLES, AGAIN_CYCLES,
 SOFTMAX_CYCLES, TOPK_CYCLES, PV_CYCLES, WAIT_CYCLES, COMPARED, TOTALS) = range(15)  # fmt: skip
"""Sums over the rows."""
NONE, GREEDY, TOPK, THRESHOLD = range(4)
EXPECTED, SEEDED, MIDDLE = range(3)


@kernel
def rounds(n, k, parallel, pivots, seed, row):  # type: ignore[no-untyped-def]
    """Return cycles and comparisons of the search for the k largest of n, from rank to rank."""
    state = (seed * 7919 + row * 104729 + n * 31 + k) % MODULUS
    for _ in range(3):
        state = (state * 48271 + 11) % MODULUS
    cycles = compared = 0
    left, rank = n, k
    while True:
        cycles += (left + parallel - 1) // parallel + ROUND
        compared += left
        state = (state * 48271 + 11) % MODULUS
        pivot = left // 2 if pivots == MIDDLE else state * left // MODULUS
        if pivot == rank:
            return cycles, compared
        if rank < pivot:
            left = pivot
        else:
            left, rank = left - pivot - 1, rank - pivot - 1


@kernel
def walk(layer, line, stages, keep, search, known, expected, blocks, totals):  # type: ignore[no-untyped-def]
    """Step through the rows of a layer in order.

    Parameters
    ----------
    layer : tuple of int
        Rows, rows of a head of keys, queries of a head, keys, 1 if hidden keys are left out, rows of a block, 1 if
        keys and values stay for all rows of their head, 1 if a row's unused values are fetched.
    line : tuple of int
        Vectors of a line, cycles of a line, softmax lanes.
    stages : tuple of int
        Cycles between rows, 1 if top-k holds rows up.
    keep : tuple of int
        Selector; numerator and denominator of its share (greedy: steps, top-k: values); values that are pinned or 0;
        rows that fetch low bits, -1 if ``known`` says.
    search : tuple of int
        Comparators, pivots, seed.
    known : ndarray of int64, shape (rows or 1, 4)
        Candidates, exponentials, values used (-1: by the shape), whether low bits are fetched.
    expected : ndarray of int64, shape (queries or 1, 2)
        Cycles and comparisons of a search with expected pivots.
    blocks : ndarray of int64, shape (blocks, 7)
        Added to.
    totals : ndarray of int64, shape (TOTALS,)
        Added to.
    """
    rows, group, queries, kv, skips, in_block, resident, fetch_skipped = layer
    vectors, line_cycles, lanes = line
    select, numerator, denominator, pinned, refetched = keep
    whole = (kv + vectors - 1) // vectors * vectors
    for r in range(rows):
        i, block, fact = r % queries, blocks[r // in_block], known[r % known.shape[0]]
        n = kv - queries + i + 1 if skips else kv
        mine = fact[0] if fact[0] >= 0 else n
        exps = fact[1] if fact[1] >= 0 else n
        used = fact[2] if fact[2] >= 0 else n
        if select == TOPK:
            used = min(n, pinned) if pinned else max(1, n * numerator // denominator)
        again = fact[3] if refetched < 0 else (r + 1) * refetched // rows - r * refetched // rows
        steps = (n * numerator + denominator - 1) // denominator if select == GREEDY else 0
        qk = (mine + vectors - 1) // vectors * line_cycles
        soft = (exps + lanes - 1) // lanes
        pv = (used + vectors - 1) // vectors * line_cycles
        topk = 0
        if select == TOPK and used < n:
            if search[1] == EXPECTED:
                cycles, compared = expected[i % expected.shape[0], 0], expected[i % expected.shape[0], 1]
            else:
                cycles, compared = rounds(n, used, search[0], search[1], search[2], r)
            topk = cycles + (n + lanes - 1) // lanes + 1
            totals[COMPARED] += compared
        others = max(qk * (1 + again), soft * (1 + again), steps, pv)
        time = max(others, topk) if stages[1] else others
        first = max(qk, soft, steps) if again else time
        totals[WAIT_CYCLES] += time - others
        filled = (n + vectors - 1) // vectors * vectors
        block[ROWS] += 1
        block[FIRST] += first + stages[0]
        block[SECOND] += time - first
        block[LOW] += filled * again
        block[SCORES] += n
        if not resident or r % group == 0:
            keys = whole if resident else filled
            values = keys
            if (not resident or group == 1) and not fetch_skipped:
                values = (used + vectors - 1) // vectors * vectors
            block[KEYS] += keys
            block[VALUES] += values
        totals[CANDIDATES] += mine
        totals[PRODUCTS] += mine * (1 + again)
        totals[EXPONENTIALS] += exps
        totals[SPECIALS] += exps * (1 + again)
        totals[USED] += used
        totals[REFETCHED] += again
        totals[SELECT_CYCLES] += steps
        totals[QK_CYCLES] += qk
        totals[AGAIN_CYCLES] += qk * again
        totals[SOFTMAX_CYCLES] += soft * (1 + again)
        totals[TOPK_CYCLES] += topk
        totals[PV_CYCLES] += pv


@kernel
def candidates(queries, keys, order, seen, steps, chosen):  # type: ignore[no-untyped-def]
    """Find the greedy candidates of rows.

    Parameters
    ----------
    queries : ndarray of int64, shape (rows, dim)
    keys : ndarray of int64, shape (kv, dim)
    order : ndarray of int64, shape (dim, kv)
        Keys by rising value in a column, of equal ones the first first.
    seen, steps : ndarray of int64, shape (rows,)
        Keys that a row sees, and its steps.
    chosen : ndarray of bool, shape (rows, kv)
        Filled in.
    """
    kv, dim = keys.shape
    leaves = 1
    while leaves < dim:
        leaves *= 2
    best = np.zeros((2, 2 * leaves), np.int64)  # a tree over the columns; 0 where a queue has run out: never taken
    at = np.zeros((2, dim), np.int64)
    for r in range(len(queries)):
        partial = np.zeros(seen[r], np.int64)
        for queue in range(2):
            for c in range(dim):
                at[queue, c] = -1
                best[queue, leaves + c] = _next(queries[r, c], keys, order, seen[r], at, queue, c)
            for node in range(leaves - 1, 0, -1):
                best[queue, node] = max(best[queue, 2 * node], best[queue, 2 * node + 1])
        for _ in range(steps[r]):
            for queue in range(2):
                most, node = best[queue, 1], 1
                if most == 0:
                    continue
                while node < leaves:
                    node = 2 * node if best[queue, 2 * node] == most else 2 * node + 1
                c = node - leaves
                partial[_place(queries[r, c], order, kv, at, queue, c)] += most if queue == 0 else -most
                best[queue, node] = _next(queries[r, c], keys, order, seen[r], at, queue, c)
                while node > 1:
                    node //= 2
                    best[queue, node] = max(best[queue, 2 * node], best[queue, 2 * node + 1])
        top, found = 0, False
        for j in range(seen[r]):
            chosen[r, j] = partial[j] > 0
            found |= partial[j] > 0
            if partial[j] > partial[top]:
                top = j
        if not found:
            chosen[r, top] = True


@kernel
def _place(x, order, kv, at, queue, c):  # type: ignore[no-untyped-def]
    """Return the key at a queue's pointer; the largest products of a negative element are at the smallest keys."""
    return order[c, kv - 1 - at[queue, c]] if (x >= 0) == (queue == 0) else order[c, at[queue, c]]


@kernel
def _next(x, keys, order, seen, at, queue, c):  # type: ignore[no-untyped-def]
    """Move a pointer to its next key that is seen; return the size of the product there, 0 at the end or past 0."""
    kv = len(keys)
    at[queue, c] += 1
    while at[queue, c] < kv:
        j = _place(x, order, kv, at, queue, c)
        if j < seen:
            return max(0, x * keys[j, c] if queue == 0 else -x * keys[j, c])
        at[queue, c] += 1
    return 0


@kernel
def largest(scores, count, k, left):  # type: ignore[no-untyped-def]
    """Return the k-th largest of the first ``count`` scores by quick-select, and how many of its equals are kept."""
    left[:count] = scores[:count]
    m = count
    while True:
        pivot = left[m // 2]
        greater = equal = 0
        for j in range(m):
            greater += left[j] > pivot
            equal += left[j] == pivot
        if greater < k <= greater + equal:
            return pivot, k - greater
        up = greater >= k
        if not up:
            k -= greater + equal
        kept = 0
        for j in range(m):
            if (left[j] > pivot) if up else (left[j] < pivot):
                left[kept] = left[j]
                kept += 1
        m = kept


@kernel
def weigh(high, low, chosen, values, counts, pick, levels, refetched, found, out):  # type: ignore[no-untyped-def]
    """Take the softmax of rows, select, and weigh the values.

    Parameters
    ----------
    high, low : ndarray of float64, shape (rows, kv)
        Scores of the keys without and with their low bits; hidden ones are -inf.
    chosen : ndarray of bool, shape (rows, kv) or (0, 0)
        Greedy candidates.
    values : ndarray of float64, shape (kv, dim)
    counts : ndarray of int64, shape (rows, 2)
        Keys of a row, and values that its top-k keeps.
    pick : tuple of int
        Selector, keys of a chunk (0: the row at once), 1 if there are low bits, 1 if values are wanted.
    levels : tuple of float
        Least exponential after greedy, threshold of values, of fetching again.
    refetched : ndarray of int64, shape (rows,)
        Whether a row fetches its low bits, -1 if that is to be found out.
    found : ndarray of int64, shape (rows, 4)
        Filled in, as ``known`` of `walk`.
    out : ndarray of float64, shape (rows, dim)
        Filled in.
    """
    select, chunk, progressive, wanted = pick
    least, threshold, decision = levels
    left, shares = np.empty(high.shape[1]), np.empty(high.shape[1])
    used = np.empty(high.shape[1], np.bool_)
    for r in range(len(high)):
        n, scores = counts[r, 0], high[r]
        mine = exps = n
        again = 0
        step = chunk if chunk else n
        if progressive:
            again = refetched[r]
            if again < 0:
                top = scores[:n].max()
                total = 0.0
                for j in range(n):
                    total += math.exp(scores[j] - top)
                again = 1 if 1 / total < decision else 0
            if again:
                scores = low[r]
        if not wanted and select in (NONE, TOPK):  # shapes say the rest
            found[r, 0], found[r, 1], found[r, 2], found[r, 3] = n, n, n, again
            continue
        top, total, weighed = -np.inf, 0.0, 0
        if select == GREEDY:
            mine = 0
            for j in range(n):
                if chosen[r, j]:
                    mine += 1
                    top = max(top, scores[j])
        for start in range(0, n, step):
            end = min(start + step, n)
            before = top
            if select != GREEDY:
                for j in range(start, end):
                    top = max(top, scores[j])
            shrink = math.exp(before - top) if start else 0.0
            total *= shrink
            if start:
                out[r] *= shrink
            for j in range(start, end):
                used[j] = select != GREEDY or chosen[r, j]
                shares[j] = math.exp(scores[j] - top) if used[j] else 0.0
                if select == GREEDY:
                    used[j] = used[j] and shares[j] >= least
                if used[j]:
                    total += shares[j]
            if select == GREEDY:
                exps = used[:n].sum()
            elif select == TOPK and wanted:
                _keep(scores, n, counts[r, 1], left, used)
            for j in range(start, end):
                # a whole row's sum is known: it divides first, as NumPy does
                share = shares[j] if chunk else shares[j] / total
                if select == THRESHOLD:
                    used[j] = share >= threshold * total if chunk else share >= threshold
                if used[j]:
                    weighed += 1
                    if wanted:
                        for c in range(values.shape[1]):
                            out[r, c] += share * values[j, c]
        if chunk and wanted:
            out[r] /= total
        found[r, 0], found[r, 1], found[r, 2], found[r, 3] = mine, exps, weighed, again


@kernel
def _keep(scores, n, k, left, used):  # type: ignore[no-untyped-def]
    """Mark the k largest of a row, of equal ones the first."""
    if k >= n:
        return
    edge, equals = largest(scores, n, k, left)
    for j in range(n):
        used[j] = scores[j] > edge
        if scores[j] == edge and equals:
            used[j] = True
            equals -= 1
