"""What a tile costs the lookup-table units, in closed form and for many tiles at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Units(NamedTuple):
    """The units as a layer uses them.

    Attributes
    ----------
    pixels, across : int
        Units on different pixels, and units that share a pixel's inputs.
    outputs : int
        Output channels of a unit.
    inputs : int
        Inputs of a table: ``ports`` of it with one-bit weights, fewer otherwise.
    ports : int
        Inputs of the largest table: what a lookup could cover.
    planes : int
        Bits of a weight.
    """

    pixels: int
    across: int
    outputs: int
    inputs: int
    ports: int
    planes: int

    @property
    def all_ports(self) -> int:
        """Table inputs of all outputs of all units."""
        return self.pixels * self.across * self.outputs * self.ports


class TileCost(NamedTuple):
    """Counts of a tile: cycles; port-cycles with work; lookups; tables built; elements read and sums written."""

    cycles: np.ndarray
    work: np.ndarray
    lookups: np.ndarray
    tables: np.ndarray
    inputs: np.ndarray
    weights: np.ndarray
    sums: np.ndarray


def tile_cost(units: Units, taps: int, g: np.ndarray, m: np.ndarray, k: np.ndarray, c: np.ndarray) -> TileCost:
    """Return the cost of each tile of ``g`` groups, ``m`` pixels, ``k`` outputs, ``c`` channels of ``taps`` taps."""
    terms = c * taps
    tables = -(-terms // units.inputs)
    blocks = -(-k // units.outputs)
    rounds = -(-m // units.pixels)
    return TileCost(
        cycles=g * blocks * rounds * -(-tables // units.across) * units.planes,
        work=g * m * k * terms * units.planes,
        lookups=g * m * k * tables * units.planes,
        tables=g * blocks * m * tables,
        inputs=g * blocks * m * terms,
        weights=g * rounds * k * terms,
        sums=g * m * k,
    )
