"""Counts of a whole layer from counts of its kinds of tile: full or at an edge, along each of six axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np

from accelsim.mapping.loopnest import FIELDS
from accelsim.workload.shapes import Conv2d


def tile_sizes(groups: Any, n: Any, e: Any, f: Any, k: Any, c: Any) -> tuple[Any, ...]:
    """Return groups, pixels, output and input channels of a tile cut by a tiling."""
    return groups, n * e * f, k, c


def of_candidates(conv: Conv2d, columns: Mapping[str, np.ndarray], cost: Callable[..., Any]) -> Any:
    """Return the counts of a layer under each of many tilings.

    Parameters
    ----------
    columns : mapping
        Field of the tiling -> array of int64, shape (candidates,).
    cost : callable
        (taps of a filter; groups, pixels, output and input channels of tiles, as arrays) -> a named tuple of counts.

    Returns
    -------
    The same named tuple, of arrays of int64 of shape (candidates,).
    """
    sizes = (conv.groups, conv.n, conv.e, conv.f, conv.k // conv.groups, conv.c // conv.groups)
    pieces = [_full_and_edge(size, columns[axis]) for axis, size in zip(FIELDS, sizes, strict=True)]
    found: Any = None
    for picked in product(*pieces):
        times = np.prod([number for _, number in picked], axis=0)
        if found is None or times.any():
            g, n, e, f, k, c = (np.maximum(extent, 1) for extent, _ in picked)
            counts = cost(conv.r * conv.s, g, n * e * f, k, c)
            scaled = [times * count for count in counts]
            found = type(counts)(*scaled) if found is None else type(counts)(*map(np.add, found, scaled))
    return found


def _full_and_edge(size: int, tile: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (extent, how often) of full tiles along an axis, and of the last one where it is smaller."""
    full, rest = size // tile, size % tile
    pieces = [(tile, full)]
    return [*pieces, (rest, (rest > 0).astype(np.int64))] if rest.any() else pieces
