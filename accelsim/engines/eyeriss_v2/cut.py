"""What a PE takes and how the loops lie over the clusters: the unrolling of least estimate (decision 0102)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from accelsim.engines.eyeriss_v2.kernel_counts import BLOCKS, GROUPS, POSITIONS, Cut
from accelsim.errors import MappingError
from accelsim.operands.zero_run import ZeroRun
from accelsim.units import ceil_div
from accelsim.workload.shapes import Conv2d

SIZES = (32, 24, 16, 12, 8, 4, 2, 1)
"""Output channels of a PE."""


def entries(mask: np.ndarray, groups: int, m0: int, run_bits: int) -> np.ndarray:
    """Return the pairs of each column of ``m0`` outputs: (k, c, r, s) to int64 (groups, blocks, r, s, c)."""
    k, c, r, s = mask.shape
    kg = k // groups
    blocks = ceil_div(kg, m0)
    whole = np.zeros((groups, blocks * m0, c, r, s), dtype=np.bool_)
    whole[:, :kg] = mask.reshape(groups, kg, c, r, s)
    columns = np.ascontiguousarray(whole.reshape(groups, blocks, m0, c, r, s).transpose(0, 1, 4, 5, 3, 2))
    found = ZeroRun(block_axes=1, run_bits=run_bits).entries(columns)
    return found.reshape(groups, blocks, r, s, c)


def per_pe(found: np.ndarray, c0: int, simd: int) -> np.ndarray:
    """Return the pairs that PEs store, whole words of ``simd``: int64 (groups, blocks, chunks, r)."""
    words = (-(-found // simd) * simd).sum(axis=3)
    starts = np.arange(0, words.shape[-1], c0)
    return np.ascontiguousarray(np.add.reduceat(words, starts, axis=3).transpose(0, 1, 3, 2))


def shares(clusters: int, rows: int) -> np.ndarray:
    """Return clusters over reduction, blocks, groups and positions, rising: int64 (ways, 4)."""
    parts = [d for d in range(1, clusters + 1) if clusters % d == 0]
    found = [
        (q, m, g, clusters // (q * m * g))
        for q in parts if rows % q == 0
        for m in parts for g in parts if clusters % (q * m * g) == 0
    ]  # fmt: skip
    return np.array(found, dtype=np.int64)


def segment_columns(conv: Conv2d, params: Any) -> int:
    """Return the columns of inputs in a segment: those that come new with an output, as far as a run can reach."""
    return int(min(conv.s, conv.stride[1], 1 << params.count_bits))


def choose(name: str, conv: Conv2d, params: Any, dense: bool, mask: np.ndarray | None) -> Cut:
    """Return the cut with the least estimate; ``mask`` (k, c, r, s) says which weights are not zero, if not dense.

    MappingError if no block fits a PE.
    """
    best = None
    kept = (1, 1) if mask is None else (int(np.count_nonzero(mask)), mask.size)
    ways = shares(params.cluster_rows * params.cluster_cols, params.cluster_rows)
    for m0, c0 in _fitting(conv, params, dense, mask):
        for columns in (BLOCKS, GROUPS, POSITIONS):
            estimate, band = _estimates(conv, params, dense, m0, c0, columns, ways, kept)
            i = int(np.argmin(estimate))
            if best is None or estimate[i] < best[0]:
                q, m, g, parts = map(int, ways[i])
                best = (int(estimate[i]), Cut(m0, c0, columns, q, m, g, parts, int(band[i])))
    if best is None:
        raise MappingError(
            f"layer '{name}': a filter row of {conv.s} does not fit a PE",
            "raise params.spad_inputs, spad_weights or psum_bank_bytes",
        )
    return best[1]


def _fitting(conv: Conv2d, p: Any, dense: bool, mask: np.ndarray | None) -> Iterator[tuple[int, int]]:
    """Yield output and input channels that fit a PE, both falling."""
    kg, cg = conv.k // conv.groups, conv.c // conv.groups
    most_outputs = min(p.spad_psums, p.psum_bank_bytes * 8 // p.accumulator_bits)
    for m0 in sorted({min(size, kg) for size in SIZES if min(size, kg) <= most_outputs}, reverse=True):
        found = None
        for c0 in range(min(cg, p.spad_inputs // conv.s, (1 << p.count_bits) // segment_columns(conv, p)), 0, -1):
            words = c0 * conv.s * (m0 if dense else ceil_div(m0, p.simd) * p.simd)
            if words > p.spad_weights and mask is not None:
                found = entries(mask, conv.groups, m0, p.count_bits) if found is None else found
                words = int(per_pe(found, c0, p.simd).max())
            if words <= p.spad_weights:
                yield m0, c0


def _estimates(
    conv: Conv2d, p: Any, dense: bool, m0: int, c0: int, columns: int, ways: np.ndarray, kept: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return cycles as if no input were zero, and positions of a band, of each way to share out the clusters.

    ``kept`` are the weights that are not zero, and all.
    """
    q_at, m_at, g_at, parts = ways.T * np.array([p.pe_rows, 1, 1, 1])[:, None]
    over = [p.pe_cols if columns == dimension else 1 for dimension in (BLOCKS, GROUPS, POSITIONS)]
    m_at, g_at, parts = m_at * over[0], g_at * over[1], parts * over[2]
    pieces, blocks = conv.r * ceil_div(conv.c // conv.groups, c0), ceil_div(conv.k // conv.groups, m0)
    positions = conv.n * conv.e * conv.f
    strip, q_steps = -(-positions // parts), -(-pieces // q_at)
    room = p.psum_bank_bytes * 8 // p.accumulator_bits // m0
    band = np.where(q_steps == 1, strip, np.minimum(strip, room))
    passes = -(-blocks // m_at) * -(-conv.groups // g_at) * -(-strip // band) * q_steps
    port = p.port_words if dense else p.port_pairs
    weights = ceil_div(c0 * conv.s * (m0 if dense else ceil_div(m0, p.simd) * p.simd) * kept[0], kept[1])
    inputs = band * c0 * min(conv.s, conv.stride[1])
    q, m, g = np.minimum(q_at, pieces), np.minimum(m_at, blocks), np.minimum(g_at, conv.groups)
    if p.network == "flat":
        weights, inputs, psums = weights * q * m * g, inputs * q * g * parts, band * m0 * m * g * parts
    else:
        weights = weights * min(p.pe_cols, (blocks, conv.groups, 1)[columns])
        inputs, psums = inputs * np.minimum(p.pe_rows, pieces) * min(over[1], conv.groups) * over[2], band * m0
    stream = -(-band * c0 * conv.s * ceil_div(m0, p.simd) * kept[0] // kept[1])
    moving = np.maximum(-(-inputs // (p.input_routers * port)), -(-psums // p.psum_words))
    return passes * (-(-weights // port) + np.maximum(stream, moving)), band
