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

MAX_SCORES = 1 << 18
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
    from accelsim.engines.attention_stream import softmax_kernel

    total = a.batch * a.heads * a.q
    known, out = np.zeros((total, 4), np.int64), np.zeros((total if wanted else 0, a.head_dim))
    share, held, kind = exact(p.keep_values), None, _kind(a, operands)
    both = p.low_bits > 0 and (wanted or p.select == "threshold")
    nothing = np.zeros((0, 0), np.int64)
    for head in heads(a, operands):
        if head.keys is not held:
            held = head.keys
            high_keys, low_keys = ((held >> bits << bits).T.astype(kind, order="C") for bits in (p.low_bits, 0))
            greedy = Greedy.of(held) if p.select == "greedy" else None
        visible, queries = seen(a, head.places), head.queries.astype(kind)
        n = visible if a.causal == "skip" else np.full(len(visible), a.kv)
        high = scores(queries, high_keys, visible, p)
        low = scores(queries, low_keys, visible, p) if both else high
        kept = np.maximum(1, n * share.numerator // share.denominator) if pick.values is None else pick.values
        listed, many = (nothing, n) if greedy is None else greedy.candidates(head.queries, visible, n, p)
        again = np.full(len(n), -1) if pick.refetched is None else spread(head.rows, total, pick.refetched)
        softmax_kernel.weigh(
            high, low, listed, head.values, np.stack((n, np.minimum(kept, n), many), axis=1),
            (SELECTORS[p.select], p.chunk_keys if p.softmax == "lazy" else 0, int(p.low_bits > 0), int(wanted)),
            (p.post_threshold, p.threshold, p.refetch_threshold), again, known[head.rows],
            out[head.rows] if wanted else np.zeros((len(n), a.head_dim)),
        )  # fmt: skip
    return known, out


def _kind(a: Attention, operands: Operands) -> type[np.int32 | np.float64]:
    """Return a type that holds all products and sums of scores without rounding; operands have 16 bits at most."""
    queries, keys = (int(np.abs(operand.values).max()) for operand in operands.inputs[:2])
    return np.int32 if a.head_dim * queries * keys < 1 << 31 else np.float64


class Greedy(NamedTuple):
    """A head's keys sorted by column, as `greedy_kernel.candidates` takes them."""

    order: np.ndarray
    ranked: np.ndarray
    shift: int

    @classmethod
    def of(cls, keys: np.ndarray) -> Greedy:
        """Sort keys of shape (kv, dim)."""
        from accelsim.engines.attention_stream.greedy_kernel import BUCKETS

        size = int(np.abs(keys).max())
        columns = np.ascontiguousarray(keys.T, np.int16 if size < 1 << 15 else np.int64)  # sorted by radix, or merging
        order = np.argsort(columns, axis=1, kind="stable")
        ranked = np.take_along_axis(columns, order, axis=1).astype(np.int64)
        return cls(order, ranked, max(0, (size - 1).bit_length() - (BUCKETS - 1).bit_length()))

    def candidates(
        self, queries: np.ndarray, visible: np.ndarray, n: np.ndarray, p: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the candidates of rows that have n keys, and how many each has."""
        from accelsim.engines.attention_stream import greedy_kernel

        share = exact(p.iterations)
        listed, many = np.empty((len(queries), self.order.shape[1]), np.int64), np.empty(len(queries), np.int64)
        steps = -(-n * share.numerator // share.denominator)
        greedy_kernel.candidates(queries, self.order, self.ranked, visible, steps, self.shift, listed, many)
        return listed, many


def scores(queries: np.ndarray, columns: np.ndarray, visible: np.ndarray, p: Params) -> np.ndarray:
    """Return the scores of rows of queries and columns of keys, exact but for their scale; hidden keys have -inf."""
    from accelsim.engines.attention_stream import softmax_kernel

    found = np.empty((len(queries), columns.shape[1]))
    softmax_kernel.score(queries, columns, visible, math.sqrt(len(columns)) * 2**p.score_shift, found)
    return found


SELECTORS = {"none": 0, "greedy": 1, "topk": 2, "threshold": 3}
"""As the kernel numbers them."""
