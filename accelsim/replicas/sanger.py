"""The two latency scripts of Sanger's repository: one attention layer, 768 wide, at 1 GHz.

Source: L. Lu et al., "Sanger: A Co-Design Framework for Enabling Sparse Attention using Reconfigurable Architecture",
MICRO 2021; hatsu3/Sanger. Both divide the work of the output projection by the density, though it is dense; the second
has the rows after splitting in both of its loops.
"""

from __future__ import annotations

from accelsim.errors import ConfigError

HIDDEN = 768
OPERATIONS_PER_MS = 2048e6
"""1,024 MACs at 1 GHz."""
CYCLES_PER_MS = 1e6
TILE = 64
"""Rows of a tile, and cycles that each of its two steps takes to drain."""
SPLIT_DENSITY = 0.25
"""Of a row segment: 16 of 64."""
BYTES_PER_CYCLE = 128
VALUE_BYTES = 2


def projection_ms(length: int) -> float:
    """Return the time of the projections of Q, K and V."""
    return 6 * length * HIDDEN**2 / OPERATIONS_PER_MS


def v1_ms(density: float, balance: float, length: int) -> float:
    """Return the time of the first script: all but the projections at the peak rate, over density, times balance."""
    _check(density, balance)
    rest = 4 * length**2 * HIDDEN + 2 * length * HIDDEN**2
    return projection_ms(length) + rest / (OPERATIONS_PER_MS / density * balance)


def v2_ms(density: float, balance: float, length: int) -> float:
    """Return the time of the second script: tiles of rows after splitting, fractions of tiles counted."""
    _check(density, balance)
    rows = density / balance / SPLIT_DENSITY * length
    slower = max(1.0, TILE * VALUE_BYTES / BYTES_PER_CYCLE)
    tile_cycles = (HIDDEN + TILE) + (rows + TILE)
    attention = tile_cycles * (length / TILE) * (rows / TILE) * slower / CYCLES_PER_MS
    output = 2 * length * HIDDEN**2 / (OPERATIONS_PER_MS / density * balance)
    return projection_ms(length) + attention + output


def figures(density: float, balance: float, length: int) -> dict[str, float]:
    """Return the times of both scripts.

    Raises
    ------
    ConfigError
        A density or balance that is no share of 1.
    """
    return {"v1_ms": v1_ms(density, balance, length), "v2_ms": v2_ms(density, balance, length)}


def _check(density: float, balance: float) -> None:
    for key, value in (("--density", density), ("--balance", balance)):
        if not 0 < value <= 1:
            raise ConfigError(f"{value:g} is no share", "use a number above 0, 1 at most", key=key)
