"""Runs of bits that a unit asks DRAM for, in its own order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Runs(NamedTuple):
    """Runs of bits in the order in which a unit asks for them, int64 arrays of one length.

    ``first_bit`` counts from the device's first; ``write`` is 0 or 1. A run of no bits asks for nothing.
    """

    first_bit: np.ndarray
    bits: np.ndarray
    write: np.ndarray


def in_order(parts: Sequence[tuple[Runs, np.ndarray]]) -> Runs:
    """Return runs of several parts as one, by ascending key; of equal keys, those of the part named first."""
    order = np.argsort(np.concatenate([key for _, key in parts]), kind="stable")
    return Runs(*(np.concatenate(columns)[order] for columns in zip(*(runs for runs, _ in parts), strict=True)))
