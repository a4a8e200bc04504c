"""Closed forms of the paper's comparison: SIGMA with expected counts, and the systolic array beside it.

Source: TeAAL, MICRO 2023 artifact (FPSG-UIUC/micro23-teaal-artifact), for E. Qin et al., "SIGMA", HPCA 2020.
"""

from __future__ import annotations

from fractions import Fraction

from accelsim.units import ceil_div


def sigma_cycles(m: int, n: int, k: int, density: Fraction, *, pes: int = 16384, chunk: int = 128) -> Fraction:
    """Return the expected cycles of (m, k) x (k, n): streaming of every group, and loading at 128 words per cycle."""
    stream = Fraction(0)
    for start in range(0, k, chunk):
        held = m * min(chunk, k - start) * density
        stream += ceil_div(held.numerator, held.denominator * pes) * n
    return stream + m * k * density / 128


def tpu_cycles(m: int, n: int, k: int, size: int = 128) -> int:
    """Return the cycles of a dense size x size weight-stationary array, the better of the two operands held."""
    per_fold = size + min(k, size)
    folds_k = ceil_div(k, size)
    return min(ceil_div(m, size) * folds_k * (n + per_fold), ceil_div(n, size) * folds_k * (m + per_fold))
