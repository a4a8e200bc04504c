"""What the rows keep and compute: scores, softmax, and the values that are weighed."""

import math

import numpy as np

from accelsim.engines.attention_stream.kernel import GREEDY, NONE, THRESHOLD, TOPK
from accelsim.jit import kernel

SURELY = 1e-9
"""How far a difference of scores is below a logarithm that its exponential is below the power, however rounded."""


@kernel
def score(queries, columns, visible, scale, out):  # type: ignore[no-untyped-def]
    """Multiply queries with keys: exact sums, divided by a scale.

    Parameters
    ----------
    queries : ndarray of int32 or float64, shape (rows, dim)
    columns : the same, shape (dim, kv)
        The keys; the type holds all sums without rounding.
    visible : ndarray of int64, shape (rows,)
        Keys that a row sees; the others have -inf.
    scale : float
    out : ndarray of float64, shape (rows, kv)
        Filled in.
    """
    sums, whole = np.zeros(columns.shape[1], columns.dtype), len(columns) // 4 * 4
    for r in range(len(queries)):
        n = visible[r]
        sums[:n] = 0
        for c in range(0, whole, 4):  # four at a time: sums are read and written less often
            x, y, z, w = queries[r, c], queries[r, c + 1], queries[r, c + 2], queries[r, c + 3]
            for j in range(n):
                sums[j] += x * columns[c, j] + y * columns[c + 1, j] + z * columns[c + 2, j] + w * columns[c + 3, j]
        for c in range(whole, len(columns)):
            x = queries[r, c]
            for j in range(n):
                sums[j] += x * columns[c, j]
        for j in range(n):
            out[r, j] = sums[j] / scale
        out[r, n:] = -np.inf


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
def weigh(high, low, listed, values, counts, pick, levels, refetched, found, out):  # type: ignore[no-untyped-def]
    """Take the softmax of rows, select, and weigh the values.

    Parameters
    ----------
    high, low : ndarray of float64, shape (rows, kv)
        Scores of the keys without and with their low bits; hidden ones are -inf.
    listed : ndarray of int64, shape (rows, kv) or (0, 0)
        Greedy candidates; those that the second selection drops are overwritten.
    values : ndarray of int64, shape (kv, dim)
    counts : ndarray of int64, shape (rows, 3)
        Keys of a row, values that its top-k keeps, candidates.
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
    own, used = np.empty(high.shape[1]), np.ones(high.shape[1], np.bool_)
    for r in range(len(high)):
        n, scores = counts[r, 0], high[r]
        again = 0
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
        found[r, 0], found[r, 1], found[r, 2], found[r, 3] = n, n, n, again
        if not wanted and select in (NONE, TOPK):  # shapes say the rest
            continue
        if select == GREEDY:
            n = _survivors(scores, listed[r], counts[r, 2], least, own)
            found[r, 0], found[r, 1], found[r, 2] = counts[r, 2], n, n
            if not wanted:
                continue
            scores = own
        elif select == TOPK:
            _keep(scores, n, counts[r, 1], left, used)
        top, total, weighed = -np.inf, 0.0, 0
        step = chunk if chunk else n
        for start in range(0, n, step):
            end = min(start + step, n)
            before = top
            for i in range(start, end):
                top = max(top, scores[i])
            if start:
                shrink = math.exp(before - top)
                total *= shrink
                out[r] *= shrink
            for i in range(start, end):
                shares[i] = math.exp(scores[i] - top)
                total += shares[i]
            if not chunk:  # a whole row's sum is known: it divides first, as NumPy does
                for i in range(start, end):
                    shares[i] /= total
            if select == THRESHOLD:
                bound = threshold * total if chunk else threshold
                for i in range(start, end):
                    used[i] = shares[i] >= bound
            for i in range(start, end):
                weighed += used[i]
            if wanted:
                for i in range(start, end):
                    if used[i]:
                        j = listed[r, i] if select == GREEDY else i
                        for c in range(values.shape[1]):
                            out[r, c] += shares[i] * values[j, c]
        if chunk and wanted:
            out[r] /= total
        found[r, 2] = weighed


@kernel
def _survivors(scores, listed, count, least, own):  # type: ignore[no-untyped-def]
    """Keep the candidates whose exponential is at least ``least`` beside the largest; return how many.

    They move to the front of ``listed``, their scores to that of ``own``.
    """
    top, kept = -np.inf, 0
    for i in range(count):
        top = max(top, scores[listed[i]])
    floor = math.log(least) - SURELY if least > 0 else -np.inf
    for i in range(count):
        j = listed[i]
        less = scores[j] - top
        if less >= floor and math.exp(less) >= least:
            listed[kept], own[kept] = j, scores[j]
            kept += 1
    return kept


@kernel
def _keep(scores, n, k, left, used):  # type: ignore[no-untyped-def]
    """Mark the k largest of a row, of equal ones the first."""
    if k >= n:
        used[:n] = True
        return
    edge, equals = largest(scores, n, k, left)
    for j in range(n):
        used[j] = scores[j] > edge
        if scores[j] == edge and equals:
            used[j] = True
            equals -= 1
