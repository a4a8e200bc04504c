"""Multiplications of an attention whose operands are not zero; probabilities never are."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from accelsim.workload.shapes import Attention


class Drawn(Protocol):
    """An operand with its zeros."""

    @property
    def dense(self) -> bool:
        """Whether there are none."""

    @property
    def mask(self) -> np.ndarray:
        """Which elements are not zero."""


class Macs(NamedTuple):
    """Multiply-accumulates with a non-zero query or probability, key or value, and both."""

    input: int
    weight: int
    both: int


def count(a: Attention, query: Drawn, key: Drawn, value: Drawn) -> Macs:
    """Count pairs of a query and a key that it sees; those behind the diagonal of ``causal: skip`` are left out."""
    half = (a.macs - a.skipped_macs) // 2
    if query.dense and key.dense and value.dense:
        return Macs(2 * half, 2 * half, 2 * half)
    shared, d = a.heads // a.kv_heads, a.head_dim
    # how many queries see a key, and how many keys a query sees
    ahead = a.kv - a.q if a.causal == "skip" else a.kv
    seers = a.q - np.clip(np.arange(a.kv) - ahead, 0, a.q)
    sees = np.minimum(ahead + np.arange(a.q) + 1, a.kv)
    q = query.mask.reshape(a.batch, a.q, a.kv_heads, shared, d).sum(axis=3, dtype=np.int64)
    k, v = (x.mask.reshape(a.batch, a.kv, a.kv_heads, d).astype(np.int64) for x in (key, value))
    keys_before = k.cumsum(axis=1)[:, sees - 1]
    values = shared * int(np.einsum("bjgd,j->", v, seers))
    return Macs(
        int(np.einsum("bigd,i->", q, sees)) + half,
        shared * int(np.einsum("bjgd,j->", k, seers)) + values,
        int((q * keys_before).sum()) + values,
    )
