"""Sets of a network's layers, by name and in its order, with a digest that is short enough to stand in every row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

MOST_SETS = 4096
"""Sets whose digests are kept; a sweep has few."""


class LayerSet(NamedTuple):
    """Names of layers, in the order of their network, and what stands for them."""

    digest: str
    names: tuple[str, ...]

    def holds(self, other: LayerSet) -> bool:
        """Return whether all layers of ``other`` are in this set."""
        return _holds(self.names, other.names)


def layer_set(names: Iterable[str]) -> LayerSet:
    """Return a set of layers."""
    return _digested(tuple(names))


@lru_cache(MOST_SETS)
def _digested(names: tuple[str, ...]) -> LayerSet:
    return LayerSet(hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16], names)


@lru_cache(MOST_SETS)
def _holds(whole: tuple[str, ...], part: tuple[str, ...]) -> bool:
    return set(part) <= set(whole)
