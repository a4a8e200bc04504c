"""What the rows must give, by NumPy alone: kept sets and outputs of every selector."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from accelsim.engines.attention_stream.params import Params, Pick
from accelsim.operands.handle import Operands
from accelsim.units import ceil_div, exact
from accelsim.workload.shapes import Attention


class Truth(NamedTuple):
    """Of a layer: its output, and by (image, head, query, key) what took part.

    Attributes
    ----------
    output : ndarray of float64, the layer's output shape
    candidates, kept, used : ndarray of bool, shape (batch, heads, q, kv)
        Keys with exact scores, keys in the softmax, values that are weighed.
    refetched : ndarray of bool, shape (batch, heads, q)
    """

    output: np.ndarray
    candidates: np.ndarray
    kept: np.ndarray
    used: np.ndarray
    refetched: np.ndarray


def truth(a: Attention, p: Params, pick: Pick, operands: Operands) -> Truth:
    """Return what a layer computes and keeps."""
    q, k, v = (operand.values for operand in operands.inputs[:3])
    q = q.reshape(a.batch, a.q, a.heads, a.head_dim).transpose(0, 2, 1, 3)
    k, v = (
        np.repeat(x.reshape(a.batch, a.kv, a.kv_heads, a.head_dim).transpose(0, 2, 1, 3), a.heads // a.kv_heads, axis=1)
        for x in (k, v)
    )
    visible = np.ones((a.q, a.kv), bool) if a.causal == "none" else np.tri(a.q, a.kv, a.kv - a.q, dtype=bool)
    visible = np.broadcast_to(visible, (a.batch, a.heads, a.q, a.kv))
    there = visible if a.causal == "skip" else np.ones_like(visible)
    full = _scores(q, k, visible, p)
    scores = _scores(q, (k >> p.low_bits) << p.low_bits, visible, p)
    refetched = np.zeros(scores.shape[:3], bool)
    if p.low_bits:
        if pick.refetched is None:
            refetched = _softmax(scores, there).max(axis=-1) < p.refetch_threshold
        else:
            ends = np.arange(refetched.size + 1) * pick.refetched // refetched.size
            refetched = np.diff(ends).astype(bool).reshape(refetched.shape)
        scores = np.where(refetched[..., None], full, scores)
    candidates = _greedy(q, k, visible, there, p) if p.select == "greedy" else there
    kept = candidates
    if p.select == "greedy":
        top = np.where(candidates, scores, -np.inf).max(axis=-1, keepdims=True)
        kept = candidates & (np.exp(np.minimum(scores - top, 0)) >= p.post_threshold)
    shares = _softmax(scores, kept)
    used = kept
    if p.select == "topk":
        share, n = exact(p.keep_values), there.sum(axis=-1)
        count = np.maximum(1, n * share.numerator // share.denominator) if pick.values is None else pick.values
        ranks = np.argsort(np.argsort(np.where(there, -scores, np.inf), axis=-1, kind="stable"), axis=-1)
        used = there & (ranks < np.minimum(count, n)[..., None])
    elif p.select == "threshold" and p.softmax == "lazy":
        used = there & ~_skipped_lazily(scores, there, p)
    elif p.select == "threshold":
        used = there & (shares >= p.threshold)
    output = np.where(used, shares, 0) @ v.astype(np.float64)
    return Truth(output.transpose(0, 2, 1, 3).reshape(a.output_shape), candidates, kept, used, refetched)


def _scores(q: np.ndarray, k: np.ndarray, visible: np.ndarray, p: Params) -> np.ndarray:
    found = q.astype(np.float64) @ k.astype(np.float64).transpose(0, 1, 3, 2)
    return np.where(visible, found / (math.sqrt(q.shape[-1]) * 2**p.score_shift), -np.inf)


def _softmax(scores: np.ndarray, where: np.ndarray) -> np.ndarray:
    scores = np.where(where, scores, -np.inf)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def _skipped_lazily(scores: np.ndarray, there: np.ndarray, p: Params) -> np.ndarray:
    """Return where exponentials are below the threshold of the sum as it was when their chunk had come."""
    scores = np.where(there, scores, -np.inf)
    last = np.minimum(np.arange(scores.shape[-1]) // p.chunk_keys * p.chunk_keys + p.chunk_keys, scores.shape[-1]) - 1
    top = np.maximum.accumulate(scores, axis=-1)[..., last]
    sums = np.empty_like(scores)
    for j, end in enumerate(last):
        sums[..., j] = np.exp(scores[..., : end + 1] - top[..., j : j + 1]).sum(axis=-1)
    return np.asarray(np.exp(scores - top) < p.threshold * sums)


def _greedy(q: np.ndarray, k: np.ndarray, visible: np.ndarray, there: np.ndarray, p: Params) -> np.ndarray:
    """Return the candidates: the same steps, over a table of all products of a row."""
    found, share = np.zeros(visible.shape, bool), exact(p.iterations)
    for at in np.ndindex(visible.shape[:3]):
        products = np.where(visible[at][:, None], q[at] * k[at[:2]], 0)  # (kv, dim)
        n = int(there[at].sum())
        # in a column of equal products, a pointer that comes from the end of the sorted keys meets the last one first
        partial, taken = np.zeros(len(products), np.int64), np.zeros(products.shape, bool)
        for _ in range(ceil_div(n * share.numerator, share.denominator)):
            for sign in (1, -1):
                left = np.where(taken, 0, sign * products)
                if (most := left.max()) <= 0:
                    continue
                column = int(np.flatnonzero((left == most).any(axis=0))[0])
                rows = np.flatnonzero(left[:, column] == most)
                key = int(rows[-1] if (q[at][column] >= 0) == (sign == 1) else rows[0])
                partial[key] += products[key, column]
                taken[key, column] = True
        found[at] = visible[at] & (partial > 0)
        if not found[at].any():
            found[at][int(np.argmax(np.where(visible[at], partial, np.iinfo(np.int64).min)))] = True
    return found
