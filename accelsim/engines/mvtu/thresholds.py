"""Thresholds on integer sums that stand for batch normalisation and rounding to a few bits (FINN, section 4.2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

import numpy as np


def edges(bits: int, step: float = 1.0) -> list[Fraction]:
    """Return where the next level begins, lowest first: of one bit at 0, else between multiples of ``step``."""
    if bits == 1:
        return [Fraction(0)]
    return [Fraction(step) * (2 * level - 1) / 2 for level in range(1, 2**bits)]


def thresholds(gains: Sequence[float], shifts: Sequence[float], at: Sequence[Fraction]) -> np.ndarray:
    """Return the least sums whose normalised value ``gain * sum + shift`` reaches each edge, exactly.

    A negative gain is for a channel whose weights, and so sums, change their sign, as `activate` has it.

    Returns
    -------
    ndarray of int64, shape (channels, edges)
    """
    rows = [
        [ceil((edge - Fraction(shift)) / abs(Fraction(gain))) for edge in at]
        for gain, shift in zip(gains, shifts, strict=True)
    ]
    return np.array(rows, dtype=np.int64)


def activate(sums: np.ndarray, gains: Sequence[float], at: np.ndarray) -> np.ndarray:
    """Return how many thresholds the sums of each channel reach.

    Parameters
    ----------
    sums : ndarray of int64, shape (n, channels, ...)
    at : ndarray of int64, shape (channels, edges)

    Returns
    -------
    ndarray of int64, of the sums' shape
    """
    shape = (1, -1, *(1,) * (sums.ndim - 2))
    turned = sums * np.sign(np.asarray(gains)).astype(np.int64).reshape(shape)
    return sum((turned >= column.reshape(shape) for column in at.T), np.zeros(sums.shape, dtype=np.int64))
