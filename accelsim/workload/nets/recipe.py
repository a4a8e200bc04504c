"""What a family of networks says of each of its members."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Recipe(NamedTuple):
    """How a network is built.

    Attributes
    ----------
    build : callable
        Adds all layers to a `Builder`, given ``parameters`` and, of a network with further sizes, these by name.
    parameters : tuple
    source : str
        Paper, and the definition whose details are followed.
    sizes, most : mapping
        Sizes by name beside the batch, with what each is by default and at most.
    notes : tuple of str
        What a reader of results must know.
    """

    build: Callable[..., None]
    parameters: tuple[Any, ...]
    source: str
    sizes: Mapping[str, int] = {}
    most: Mapping[str, int] = {}
    notes: tuple[str, ...] = ()
