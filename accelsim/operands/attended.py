"""How often non-zero operands of an attention meet: queries and keys, and values and the shares that they get."""

from __future__ import annotations

import numpy as np

from accelsim.workload.shapes import Attention


def meetings(
    a: Attention, query: np.ndarray | None = None, key: np.ndarray | None = None, value: np.ndarray | None = None
) -> int:
    """Return the multiply-accumulates of scores and context whose operands are not zero, exactly.

    Pairs behind the diagonal of a causal one are none: the share is zero. All other shares are not.

    Parameters
    ----------
    query, key, value : ndarray of bool, or None
        Where they are not zero, in any shape of as many elements; None stands for everywhere.
    """
    shared = a.heads // a.kv_heads
    seen = np.full(a.q, a.kv, np.int64) if a.causal == "none" else np.arange(a.kv - a.q + 1, a.kv + 1)
    each = a.batch * a.heads * int(seen.sum()) * a.head_dim

    def seen_of(mask: np.ndarray) -> np.ndarray:
        """Return how many keys that each query sees are not zero: (batch, q, kv_heads, head_dim)."""
        sums = np.cumsum(mask.reshape(a.batch, a.kv, a.kv_heads, a.head_dim), axis=1, dtype=np.int64)
        found: np.ndarray = sums[:, seen - 1]
        return found

    scores = each
    if query is not None or key is not None:
        met = seen[None, :, None, None] if key is None else seen_of(key)
        if query is None:
            scores = int((met * np.ones((a.batch, 1, a.kv_heads, a.head_dim), np.int64)).sum()) * shared
        else:
            by_group = query.reshape(a.batch, a.q, a.kv_heads, shared, a.head_dim).sum(axis=3, dtype=np.int64)
            scores = int((met * by_group).sum())
    return scores + (each if value is None else int(seen_of(value).sum()) * shared)
