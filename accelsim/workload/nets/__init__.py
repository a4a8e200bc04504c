"""Packaged networks as connected networks, ``net:<name>``: all that runs at inference, with real edges."""

from __future__ import annotations

from importlib import import_module

from accelsim.errors import ConfigError
from accelsim.text import nearest
from accelsim.workload.nets.builder import Builder
from accelsim.workload.nets.recipe import Recipe
from accelsim.workload.network import Network
from accelsim.workload.sizes import OPTION, Sizes, check_names

PREFIX = "net:"

FAMILIES = ("resnet", "plain", "mobile", "transformer")
"""Modules here with a table ``NETWORKS`` of recipes."""


def recipes() -> dict[str, Recipe]:
    """Return all recipes by name, without the prefix."""
    found: dict[str, Recipe] = {}
    for family in FAMILIES:
        found |= import_module(f"{__name__}.{family}").NETWORKS
    return dict(sorted(found.items()))


def net_names() -> list[str]:
    """Return the names ``net:<name>``."""
    return [PREFIX + name for name in recipes()]


def whole_network(name: str, dims: Sizes | None = None) -> Network:
    """Return a packaged network with all of its layers.

    Parameters
    ----------
    name : str
        ``net:<name>``.
    dims : mapping, optional
        Sizes by name: ``batch``, and ``seq`` where the network has it.

    Raises
    ------
    ConfigError
        A name or a size that is not there, a size below 1 or above what the network has positions for.
    """
    known = recipes()
    recipe = known.get(name.removeprefix(PREFIX))
    if recipe is None:
        names = [PREFIX + key for key in known]
        raise ConfigError(f"no network is called '{name}'", nearest(name, names, f"one of {', '.join(names)}"))
    sizes = {"batch": 1, **recipe.sizes}
    check_names(dims or {}, sizes, name)
    for key, size in (dims or {}).items():
        if size > recipe.most.get(key, size):
            problem = f"'{name}' has no positions for a {key} of {size:,}"
            raise ConfigError(problem, f"give at most {recipe.most[key]:,}", file=OPTION, key=key)
        sizes[key] = size
    builder = Builder(sizes.pop("batch"))
    recipe.build(builder, *recipe.parameters, **sizes)
    return Network(
        name="_".join(("net", name.removeprefix(PREFIX), *(f"{key[0]}{size}" for key, size in sizes.items()))),
        layers=tuple(builder.layers),
        tensors=builder.tensors,
        source=recipe.source,
        description="All that runs at inference, with the edges between layers; products as in the layer table.",
        batch=builder.batch,
        notes=recipe.notes,
    )
