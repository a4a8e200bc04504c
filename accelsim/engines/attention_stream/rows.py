"""What the rows of a layer keep, by their values: counts for the walk, and the layer's output."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from accelsim.engines.attention_stream.params import Params, Pick
from accelsim.operands.handle import Operands
from accelsim.units import exact
from accelsim.workload.shapes import Attention

MAX_SCORES = 1 << 20
"""Scores at a time."""


class Head(NamedTuple):
    """Some rows of a head of keys.

    Attributes
    ----------
    rows : slice
        Among all rows of the layer.
    places : ndarray of int64, shape (rows,)
        Query of each.
    queries : ndarray of int64, shape (rows, dim)
    keys, values : ndarray of int64, shape (kv, dim)
    """

    rows: slice
    places: np.ndarray
    queries: np.ndarray
    keys: np.ndarray
    values: np.ndarray


def heads(a: Attention, operands: Operands) -> Iterator[Head]:
    """Yield all rows in order, a few at a time."""
    shared, d = a.heads // a.kv_heads, a.head_dim
    q, k, v = (operand.values for operand in operands.inputs[:3])
    q = q.reshape(a.batch, a.q, a.kv_heads, shared, d).transpose(0, 2, 3, 1, 4).reshape(-1, shared * a.q, d)
    k, v = (x.reshape(a.batch, a.kv, a.kv_heads, d).transpose(0, 2, 1, 3).reshape(-1, a.kv, d) for x in (k, v))
    each = max(1, MAX_SCORES // a.kv)
    for group in range(len(q)):
        keys, values = np.ascontiguousarray(k[group]), np.ascontiguousarray(v[group])
        for first in range(0, shared * a.q, each):
            part = np.ascontiguousarray(q[group, first : first + each])
            start = group * shared * a.q + first
            places = (first + np.arange(len(part))) % a.q
            yield Head(slice(start, start + len(part)), places, part, keys, values)


def output(a: Attention, rows: np.ndarray) -> np.ndarray:
    """Lay the rows' outputs (rows, dim) out as the layer's output."""
    shared = a.heads // a.kv_heads
    by_head = rows.reshape(a.batch, a.kv_heads, shared, a.q, a.head_dim)
    return by_head.transpose(0, 3, 1, 2, 4).reshape(a.output_shape)


def seen(a: Attention, places: np.ndarray) -> np.ndarray:
    """Return how many keys the queries at these places see."""
    return a.kv - a.q + places + 1 if a.causal != "none" else np.full(len(places), a.kv)


def spread(rows: slice, total: int, chosen: int) -> np.ndarray:
    """Return which rows are among ``chosen`` of ``total`` that are spread evenly."""
    at = np.arange(rows.start, rows.stop)
    return (at + 1) * chosen // total - at * chosen // total


def decide(a: Attention, p: Params, pick: Pick, operands: Operands, wanted: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return what every row keeps, as ``known`` of `kernel.walk`, and the output (rows, dim) if it is wanted."""
    from accelsim.engines.attention_stream import kernel

    total = a.batch * a.heads * a.q
    known, out = np.zeros((total, 4), np.int64), np.zeros((total if wanted else 0, a.head_dim))
    scale, share = math.sqrt(a.head_dim) * 2**p.score_shift, exact(p.keep_values)
    nothing, sorted_keys = np.zeros((0, 0), np.bool_), None
    for head in heads(a, operands):
        visible = seen(a, head.places)
        n = visible if a.causal == "skip" else np.full(len(visible), a.kv)
        high = scores(head, (head.keys >> p.low_bits) << p.low_bits, visible, a, scale)
        weighed = wanted or p.select == "threshold"
        low = scores(head, head.keys, visible, a, scale) if p.low_bits and weighed else high
        chosen = nothing
        if p.select == "greedy":
            share = exact(p.iterations)
            steps = -(-n * share.numerator // share.denominator)
            chosen = np.zeros(high.shape, np.bool_)
            if head.keys is not sorted_keys:
                sorted_keys, order = head.keys, np.ascontiguousarray(np.argsort(head.keys, axis=0, kind="stable").T)
            kernel.candidates(head.queries, head.keys, order, visible, steps, chosen)
        kept = np.maximum(1, n * share.numerator // share.denominator) if pick.values is None else pick.values
        again = np.full(len(n), -1) if pick.refetched is None else spread(head.rows, total, pick.refetched)
        kernel.weigh(
            high, low, chosen, head.values.astype(np.float64), np.stack((n, np.minimum(kept, n)), axis=1),
            (SELECTORS[p.select], p.chunk_keys if p.softmax == "lazy" else 0, int(p.low_bits > 0), int(wanted)),
            (p.post_threshold, p.threshold, p.refetch_threshold), again, known[head.rows],
            out[head.rows] if wanted else np.zeros((len(n), a.head_dim)),
        )  # fmt: skip
    return known, out


def scores(head: Head, keys: np.ndarray, visible: np.ndarray, a: Attention, scale: float) -> np.ndarray:
    """Return the scores of some rows, exact but for their scale; hidden keys have -inf."""
    found = head.queries.astype(np.float64) @ keys.T.astype(np.float64)
    found /= scale
    if a.causal != "none":
        found[np.arange(a.kv) >= visible[:, None]] = -np.inf
    return found


SELECTORS = {"none": 0, "greedy": 1, "topk": 2, "threshold": 3}
"""As the kernel numbers them."""
