"""Units and exact integer arithmetic shared by everything."""

from __future__ import annotations

from fractions import Fraction

KIB_BITS = 8 * 1024
"""Bits in one KiB."""

INT64_MAX = 2**63 - 1


def ceil_div(a: int, b: int) -> int:
    """Return the smallest integer not below ``a / b`` for ``b > 0``, exactly."""
    return -(-a // b)


def exact(value: float | int | str) -> Fraction:
    """Return the decimal number a person wrote as an exact rational: 0.1 is 1/10."""
    return Fraction(str(value))


def si(value: float, unit: str = "", digits: int = 3) -> str:
    """Return ``value`` with an SI prefix: ``si(2.5e9, "b") == '2.5 Gb'``."""
    size = abs(value)
    for prefix, factor in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if size >= factor:
            return f"{value / factor:.{digits}g} {prefix}{unit}"
    if size >= 1 or size == 0:
        return f"{value:.{digits}g} {unit}".rstrip()
    for prefix, factor in (("m", 1e-3), ("u", 1e-6), ("n", 1e-9), ("p", 1e-12)):
        if size >= factor:
            return f"{value / factor:.{digits}g} {prefix}{unit}"
    return f"{value:.{digits}g} {unit}".rstrip()
