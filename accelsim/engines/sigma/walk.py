"""Packs A into groups and feeds the kernel."""

from __future__ import annotations

import numpy as np

from accelsim.engines.sigma import kernel
from accelsim.engines.sigma.plan import Plan, Tally
from accelsim.units import ceil_div
from accelsim.workload.csr_matrix import CsrMatrix, product_count


def walk(plan: Plan, with_values: bool) -> tuple[Tally, list[CsrMatrix]]:
    """Return the sums over all groups and, asked for, the product of each pair."""
    p = plan.params
    depth = (p.dpe_pes - 1).bit_length() if p.pipeline else 0
    total = np.zeros(len(Tally._fields), np.int64)
    found = []
    for a, b in plan.pairs:
        chunk_of = a.columns // p.dpe_pes
        sizes = np.bincount(chunk_of, minlength=ceil_div(a.shape[1], p.dpe_pes)).astype(np.int64)
        per_chunk = -(-sizes // p.pes)
        # place of each entry within its chunk, row by row
        order = np.argsort(chunk_of, kind="stable")
        place = np.empty(a.nnz, np.int64)
        place[order] = np.arange(a.nnz) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        groups = (np.cumsum(per_chunk) - per_chunk)[chunk_of] + place // p.pes
        count = int(per_chunk.sum())
        filled = np.bincount(groups, minlength=count).astype(np.int64)
        width = b.shape[1]
        loads = int((-(-filled // p.load_words)).sum())
        parts = np.unique(groups * a.shape[0] + a.rows).size * width
        used = np.unique(groups * a.shape[1] + a.columns).size
        streamed = count * width
        total += (
            loads, streamed, count * depth, count, a.nnz, a.nnz * width, product_count(a, b), parts, used * width
        )  # fmt: skip
        if with_values:
            found.append(_values(a, b, groups))
    return Tally(*total.tolist()), found


def _values(a: CsrMatrix, b: CsrMatrix, groups: np.ndarray) -> CsrMatrix:
    size = product_count(a, b)
    heads, columns = np.zeros(a.shape[0] + 1, np.int64), np.empty(size, np.int64)
    values = np.empty(size, (a.values[:0] * b.values[:0]).dtype)
    kernel.stream(
        a.rows,
        groups,
        a.columns,
        a.values,
        b.pointers,
        b.columns,
        b.values,
        b.shape[1],
        a.shape[0],
        heads,
        columns,
        values,
    )
    made = int(heads[-1])
    return CsrMatrix((a.shape[0], b.shape[1]), heads, columns[:made].copy(), values[:made].copy())
