"""The pipeline's rows: how long each takes."""

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
