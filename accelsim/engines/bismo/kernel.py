"""The array, tile by tile and pair of planes by pair of planes; sums are shifted once per anti-diagonal."""

from __future__ import annotations

import numpy as np

from accelsim.jit import kernel


@kernel
def walk_product(cut, with_values, signs, a, b, out):  # type: ignore[no-untyped-def]
    """Walk one product; return its cycles without the drain, and its gate-cycles with work and with padding.

    Parameters
    ----------
    cut : Cut
    with_values : bool
        Whether to add up ``out``.
    signs : tuple of bool
        Whether the top planes of the operands subtract.
    a, b, out : ndarray of int64
        (m, k), (k, n), (m, n).
    """
    totals = np.zeros(3, dtype=np.int64)
    parts = -(-cut.k // cut.dk)
    top = cut.lhs_bits + cut.rhs_bits - 2
    for n0 in range(0, cut.n, cut.dn):
        for m0 in range(0, cut.m, cut.dm):
            rows, cols = min(cut.dm, cut.m - m0), min(cut.dn, cut.n - n0)
            for diagonal in range(top, -1, -1):
                if with_values:
                    for i in range(m0, m0 + rows):
                        for j in range(n0, n0 + cols):
                            out[i, j] <<= 1
                for l_plane in range(max(0, diagonal - cut.rhs_bits + 1), min(diagonal, cut.lhs_bits - 1) + 1):
                    r_plane = diagonal - l_plane
                    negate = (signs[0] and l_plane == cut.lhs_bits - 1) != (signs[1] and r_plane == cut.rhs_bits - 1)
                    totals[0] += cut.instruction_cycles
                    for part in range(parts):
                        depth = min(cut.dk, cut.k - part * cut.dk)
                        totals[0] += 1
                        totals[1] += rows * cols * depth
                        totals[2] += cut.dm * cut.dn * cut.dk - rows * cols * depth
                        if with_values:
                            for i in range(m0, m0 + rows):
                                for j in range(n0, n0 + cols):
                                    count = 0
                                    for k in range(part * cut.dk, part * cut.dk + depth):
                                        count += (a[i, k] >> l_plane) & (b[k, j] >> r_plane) & 1
                                    out[i, j] += -count if negate else count
    return totals
