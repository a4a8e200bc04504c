"""What a tile costs the functional unit, in closed form and for many tiles at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class TileCost(NamedTuple):
    """Counts of a tile: cycles; products, each with a synapse of its own; inputs read; sums that go to NBout."""

    cycles: np.ndarray
    work: np.ndarray
    inputs: np.ndarray
    sums: np.ndarray


def tile_cost(params: Any, taps: int, g: np.ndarray, m: np.ndarray, k: np.ndarray, c: np.ndarray) -> TileCost:
    """Return the cost of each tile of ``g`` groups, ``m`` pixels, ``k`` outputs, ``c`` channels of ``taps`` taps."""
    blocks = -(-k // params.outputs)
    return TileCost(
        cycles=g * m * taps * blocks * -(-c // params.inputs),
        work=g * m * k * taps * c,
        inputs=g * m * blocks * taps * c,
        sums=g * m * k,
    )
