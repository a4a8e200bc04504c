"""Exhaustive search of the cheapest mapping of each flow; exact integers, same formulas as ``formulas.py``.

Energy is the fraction ``num / den`` (``den``: the ofmap piece, through the halo). It is split into whole part
and remainder, so that ties are real ties; among them most active PEs win, then the mapping met first.

What is not walked, and why nothing is lost: the energy knows ``n``, ``p`` and ``q`` only through ceil(N/n),
ceil(M/p) and ceil(C/q) (as ceil(C/qr) = ceil(ceil(C/q)/r), likewise for pt), and every constraint only
tightens as they grow, so the smallest value of each class stands for its class. The energy never rises with
``m`` and, for RS, ``t``: the largest that fit are taken. NLR's active PEs do grow with p and q within a
class, so among ties it looks for the largest product there (``_nlr_widest``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.jit import kernel

Ints = NDArray[np.int64]
Shape = tuple[int, int, int, int, int, int]
"""H R U C M G."""
Cost = tuple[int, int, int, int]
"""Energy of an access to DRAM, buffer, array, RF."""


@kernel
def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


@kernel
def _classes(total: int) -> Ints:
    """Return, ascending, the smallest x for each value of ceil(total / x)."""
    count, x = 0, 1
    found = np.empty(total, np.int64)
    while True:
        found[count] = x
        count += 1
        groups = _ceil_div(total, x)
        if groups == 1:
            return found[:count].copy()
        x = _ceil_div(total, groups - 1)


@kernel
def _offer(best: Ints, num: int, den: int, active: int) -> bool:
    """Note num/den in ``best`` = [whole, rest, den, active, seen] and say so, if it is better."""
    best[4] += 1
    whole = num // den
    rest = num - whole * den
    if best[3] > 0:
        if whole > best[0]:
            return False
        if whole == best[0]:
            left, right = rest * best[2], best[1] * den
            if left > right or (left == right and active <= best[3]):
                return False
    best[0], best[1], best[2], best[3] = whole, rest, den, active
    return True


@kernel
def search_rs(shape: Shape, N: int, J: int, Q: int, RF: int, cost: Cost) -> tuple[Ints, Ints]:
    """Return (best, [m n f p q r t]) of row stationary; ``best[3] == 0`` when nothing fits."""
    H, R, U, C, M, G = shape
    E = (H - R) // U + 1
    weights, outs, lines = G * M * C * R * R, G * N * M * E * E, G * N * C * H * E
    macs = outs * C * R * R
    best, x = np.zeros(5, np.int64), np.zeros(7, np.int64)
    ps, qs = _classes(M), _classes(C)
    for n in _classes(N):
        for f in range(1, min(E, J // R) + 1):
            w = U * f + R - U
            if n * E * f + n * H * w > Q:
                break
            fixed = cost[0] * (weights * _ceil_div(N, n) * _ceil_div(E, f) + outs)
            fixed += cost[2] * weights * _ceil_div(N, n) * E + cost[3] * 2 * macs
            for r in range(1, min(C, J // (R * f)) + 1):
                for q in qs:
                    m = min(M, (Q - n * q * r * H * w) // (n * E * f))
                    if q * r > C or 2 * q * R + 1 > RF or m < 1:
                        break
                    in_pe, passes = _ceil_div(C, q), _ceil_div(C, q * r)
                    sums = cost[1] * (passes - 1) + cost[2] * (in_pe * R - passes)
                    sums = 2 * outs * (sums + cost[3] * (C * R * R - in_pe * R)) + fixed
                    for p in ps:
                        if p * q * R + q * R + p > RF or p > m:
                            break
                        t = min(J // (R * f * r), m // p)
                        whole = sums + cost[2] * lines * R * _ceil_div(M, p)
                        strips = cost[0] * _ceil_div(M, m) + cost[1] * _ceil_div(M, p * t)
                        if _offer(best, whole * f + strips * lines * w, f, R * f * r * t):
                            x[0], x[1], x[2], x[3], x[4], x[5], x[6] = m, n, f, p, q, r, t
    return best, x


@kernel
def search_ws(shape: Shape, N: int, J: int, Q: int, RF: int, cost: Cost) -> tuple[Ints, Ints]:
    """Return (best, [r t f]) of weight stationary; every mapping is walked."""
    H, R, U, C, M, G = shape
    E = (H - R) // U + 1
    weights, outs, lines = G * M * C * R * R, G * N * M * E * E, G * N * C * H * E
    macs = outs * C * R * R
    best, x = np.zeros(5, np.int64), np.zeros(3, np.int64)
    if RF < 1:
        return best, x
    for r in range(1, min(C, J // (R * R)) + 1):
        for t in range(1, min(M, J // (R * R * r)) + 1):
            if N * t * E * E > Q:
                break
            rows = _ceil_div(C, r) * R
            whole = cost[0] * (weights + outs) + cost[1] * 2 * outs * (rows - 1)
            whole += cost[2] * (macs + 2 * outs * (C * R * R - rows)) + cost[3] * macs
            for f in range(1, E + 1):
                w = U * f + R - U
                if N * t * E * E + r * t * (w - R) * (R - 1) > Q:
                    break
                num = whole * f + cost[0] * lines * w * _ceil_div(M, t)
                if _offer(best, num, f, r * t * R * R):
                    x[0], x[1], x[2] = r, t, f
    return best, x


@kernel
def search_osa(shape: Shape, N: int, J: int, Q: int, RF: int, cost: Cost) -> tuple[Ints, Ints]:
    """Return (best, [m n e f]) of output stationary SOC-MOP; every (n, e, f) is walked."""
    H, R, U, C, M, G = shape
    E = (H - R) // U + 1
    weights, outs, area = G * M * C * R * R, G * N * M * E * E, G * N * C * E * E
    macs = outs * C * R * R
    best, x = np.zeros(5, np.int64), np.zeros(4, np.int64)
    if U + U * R + 1 > RF:
        return best, x
    for n in range(1, min(N, J) + 1):
        for e in range(1, min(E, J // n) + 1):
            for f in range(1, min(E, J // (n * e)) + 1):
                h, w = U * e + R - U, U * f + R - U
                m = min(M, (Q - n * C * h * w) // (C * R * R))
                if m < 1:
                    break
                tiles = _ceil_div(N, n) * _ceil_div(E, e) * _ceil_div(E, f)
                whole = cost[0] * (weights + outs) + cost[1] * weights * tiles
                whole += cost[2] * 2 * macs + cost[3] * 2 * outs * (C * R * R - 1)
                num = whole * e * f + (cost[0] * _ceil_div(M, m) + cost[1] * M) * area * h * w
                if _offer(best, num, e * f, n * e * f):
                    x[0], x[1], x[2], x[3] = m, n, e, f
    return best, x


@kernel
def search_osb(shape: Shape, N: int, J: int, Q: int, RF: int, cost: Cost) -> tuple[Ints, Ints]:
    """Return (best, [m n p f]) of output stationary MOC-MOP; every (n, f, p) is walked."""
    return _search_rows(shape, N, J, Q, RF, cost, shape[2] + 1, (shape[0] - shape[1]) // shape[2] + 1)


@kernel
def search_osc(shape: Shape, N: int, J: int, Q: int, RF: int, cost: Cost) -> tuple[Ints, Ints]:
    """Return (best, [m n p f]) of output stationary MOC-SOP, which is MOC-MOP with ``f`` = 1."""
    return _search_rows(shape, N, J, Q, RF, cost, 1, 1)


@kernel
def _search_rows(
    shape: Shape, N: int, J: int, Q: int, RF: int, cost: Cost, rf_need: int, f_most: int
) -> tuple[Ints, Ints]:
    H, R, U, C, M, G = shape
    E = (H - R) // U + 1
    weights, outs, area = G * M * C * R * R, G * N * M * E * E, G * N * C * E * E
    macs = outs * C * R * R
    best, x = np.zeros(5, np.int64), np.zeros(4, np.int64)
    if rf_need > RF:
        return best, x
    for n in range(1, min(N, J) + 1):
        for f in range(1, min(f_most, J // n) + 1):
            w = U * f + R - U
            m = min(M, (Q - n * C * R * w) // (C * R * R))
            if m < 1:
                break
            tiles = _ceil_div(N, n) * E * _ceil_div(E, f)
            whole = cost[0] * (weights + outs) + cost[1] * weights * tiles
            whole += cost[2] * 2 * macs + cost[3] * 2 * outs * (C * R * R - 1)
            for p in range(1, min(m, J // (n * f)) + 1):
                pieces = (cost[0] * _ceil_div(M, m) + cost[1] * _ceil_div(M, p)) * area * R * w
                if _offer(best, whole * f + pieces, f, n * p * f):
                    x[0], x[1], x[2], x[3] = m, n, p, f
    return best, x


@kernel
def _nlr_widest(x: Shape, shape: Shape, J: int, Q: int) -> Ints:
    """Return ``x`` with the largest p q that leaves every ceil of its energy as it is."""
    _, R, U, C, M, _ = shape
    n, m, p, q, e, f = x
    h, w = U * e + R - U, U * f + R - U
    wide = np.array(x)
    for q1 in range(q, C + 1):
        fit = min(M, (Q - n * q1 * h * w) // (q1 * R * R + n * e * f))
        if _ceil_div(C, q1) != _ceil_div(C, q) or fit < p or _ceil_div(M, fit) != _ceil_div(M, m):
            break
        p1 = min(fit, J // q1)
        if _ceil_div(M, p) > 1:
            p1 = min(p1, _ceil_div(M, _ceil_div(M, p) - 1) - 1)
        if p1 >= p and p1 * q1 > wide[2] * wide[3]:
            wide[1], wide[2], wide[3] = fit, p1, q1
    return wide


@kernel
def search_nlr(shape: Shape, N: int, J: int, Q: int, RF: int, cost: Cost) -> tuple[Ints, Ints]:
    """Return (best, [n m p q e f]) of no local reuse; ``RF`` is not used."""
    H, R, U, C, M, G = shape
    E = (H - R) // U + 1
    weights, outs, area = G * M * C * R * R, G * N * M * E * E, G * N * C * E * E
    macs = outs * C * R * R
    best, x = np.zeros(5, np.int64), np.zeros(6, np.int64)
    ps, qs = _classes(M), _classes(C)
    for n in _classes(N):
        for e in range(1, E + 1):
            for f in range(1, E + 1):
                h, w = U * e + R - U, U * f + R - U
                tiles = _ceil_div(N, n) * _ceil_div(E, e) * _ceil_div(E, f)
                for q in qs:
                    m = min(M, (Q - n * q * h * w) // (q * R * R + n * e * f))
                    if m < 1 or q > J:
                        break
                    sums = _ceil_div(C, q) * R * R
                    whole = cost[0] * (weights * tiles + outs) + cost[1] * (macs + 2 * outs * (sums - 1))
                    whole += cost[2] * (macs + 2 * outs * (C * R * R - sums))
                    pieces = cost[0] * _ceil_div(M, m) * area * h * w
                    for p in ps:
                        if p * q > J or p > m:
                            break
                        num = (whole + cost[1] * area * R * R * _ceil_div(M, p)) * e * f + pieces
                        if best[3] > 0 and num // (e * f) > best[0]:
                            best[4] += 1
                            continue
                        wide = _nlr_widest((n, m, p, q, e, f), shape, J, Q)
                        if _offer(best, num, e * f, wide[2] * wide[3]):
                            x[:] = wide
    return best, x
