"""The area budget of the study: every flow gets the same silicon for storage.

A flow that keeps less in its PEs has a larger global buffer: ``area(buffer) = A(J) - J area(RF)`` with
``A(J) = J area(512 B) + area(512 B x J)``. Source: Chen, Emer, Sze, "Eyeriss", ISCA 2016, section VI-B; the
curve of area per byte and its rounded inverse are the ones of the authors' released model. The two tables are
not exact inverses of each other: both are kept as they are.
"""

from __future__ import annotations

from bisect import bisect_right

BASELINE_RF_BYTES = 512
"""Register file per PE of the baseline that sets the budget; its buffer is ``J`` times as large."""

WORD_BYTES = 2

AREA_PER_BYTE = (
    (2, 103.47),
    (4, 172.07),
    (8, 177.07),
    (16, 169.89),
    (32, 96.06),
    (64, 59.15),
    (128, 39.94),
    (256, 27.48),
    (512, 20.87),
    (1024, 16.14),
    (2048, 13.89),
    (4096, 12.70),
)
"""(bytes, um^2 per byte); linear in between, constant outside."""

SIZE_OF_AREA = (
    (207, 2),
    (689, 4),
    (1417, 8),
    (2718, 16),
    (3074, 32),
    (3785, 64),
    (5112, 128),
    (7034, 256),
    (10685, 512),
    (16523, 1024),
    (28455, 2048),
    (52020, 4096),
)
"""(um^2, bytes); linear in between, proportional above, nothing below."""


def area_um2(size_bytes: float) -> float:
    """Return the area of one memory of ``size_bytes`` bytes, in um^2."""
    return size_bytes * _interpolate(AREA_PER_BYTE, size_bytes)


def size_bytes(area_um2: float) -> float:
    """Return how many bytes one memory of ``area_um2`` um^2 holds."""
    last_area, last_size = SIZE_OF_AREA[-1]
    if area_um2 < SIZE_OF_AREA[0][0]:
        return 0.0
    if area_um2 >= last_area:
        return area_um2 / last_area * last_size
    return _interpolate(SIZE_OF_AREA, area_um2)


def budget_um2(pes: int) -> float:
    """Return the storage area every flow may spend with ``pes`` PEs, in um^2."""
    return pes * area_um2(BASELINE_RF_BYTES) + area_um2(BASELINE_RF_BYTES * pes)


def buffer_bytes(pes: int, rf_bytes: int) -> float:
    """Return the bytes of global buffer of a flow with ``rf_bytes`` of register file in each PE."""
    return size_bytes(budget_um2(pes) - pes * area_um2(rf_bytes))


def buffer_words(pes: int, rf_bytes: int) -> int:
    """Return the same buffer in whole 16-bit words."""
    return int(buffer_bytes(pes, rf_bytes) / WORD_BYTES)


def _interpolate(knots: tuple[tuple[float, float], ...], x: float) -> float:
    at = bisect_right(knots, x, key=lambda knot: knot[0])
    if at == 0:
        return knots[0][1]
    if at == len(knots):
        return knots[-1][1]
    (x0, y0), (x1, y1) = knots[at - 1], knots[at]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
