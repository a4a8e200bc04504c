"""What engines that tile a nest share beside the search: counts of a whole layer, buffers, refusals.

Candidates are columns, one array per field of `Tiling`. Engines bring their own counts of a tile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import TypeAlias

import numpy as np

from accelsim.errors import MappingError
from accelsim.mapping.loopnest import LoopNest
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.shapes import Conv2d

Columns: TypeAlias = dict[str, np.ndarray]
TileCost: TypeAlias = Callable[..., np.ndarray]
"""(groups, n, e, f, k, c) of tiles, as arrays -> a count of each tile."""

FIELDS = ("groups", "n", "e", "f", "k", "c")


def total(conv: Conv2d, columns: Columns, cost: TileCost) -> np.ndarray:
    """Return a count of the whole layer: that of every kind of tile, full or at an edge, times how often it occurs.

    ``cost`` may give several counts, as rows; so does the sum then.
    """
    sizes = (conv.groups, conv.n, conv.e, conv.f, conv.k // conv.groups, conv.c // conv.groups)
    pieces = [_full_and_edge(size, columns[axis]) for axis, size in zip(FIELDS, sizes, strict=True)]
    result: np.ndarray = np.zeros(len(columns["k"]), dtype=np.int64)
    for picked in product(*pieces):
        times = np.prod([count for _, count in picked], axis=0)
        if times.any():
            result = result + times * cost(*(np.maximum(size, 1) for size, _ in picked))
    return result


def check_halves(layer: str, nest: LoopNest, halves: Mapping[str, int]) -> None:
    """Raise MappingError, naming layer, tensor and the size that would fit, unless each tile fits half a buffer."""
    needed = nest.largest_bits()
    for tensor, half in halves.items():
        if needed[tensor] > half:
            raise MappingError(
                f"layer '{layer}': the {tensor} tile takes {needed[tensor]:,} bits, half the buffer holds {half:,}",
                f"cut it smaller or raise params.{tensor}_kib to {ceil_div(2 * needed[tensor], KIB_BITS)}",
            )
    if nest.tiling.groups > 1 and (nest.trips["k"], nest.trips["c"]) != (1, 1):
        raise MappingError(
            f"layer '{layer}': a tile of {nest.tiling.groups} groups must hold all their channels", "set groups: 1"
        )


def buffer_use(nest: LoopNest, halves: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return capacity and peak of ``glb.inputs`` and so on: two tiles where another one follows, else one."""
    largest, trips = nest.largest_bits(), nest.trips
    follows = {
        "input": trips["groups"] * trips["m"] * trips["c"] > 1,
        "weight": trips["groups"] * trips["k"] * trips["c"] > 1,
        "output": trips["groups"] * trips["m"] * trips["k"] > 1,
    }
    return {f"glb.{t}s": (2 * halves[t], largest[t] * (2 if follows[t] else 1)) for t in follows}


def _full_and_edge(size: int, tile: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    full, rest = size // tile, size % tile
    pieces = [(tile, full)]
    return [*pieces, (rest, (rest > 0).astype(np.int64))] if rest.any() else pieces
