"""Packaged networks as connected networks, ``net:<name>``: all that runs at inference, with real edges."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from accelsim.errors import WorkloadError
from accelsim.workload.check import nearest
from accelsim.workload.nets.builder import Builder
from accelsim.workload.nets.recipe import Recipe
from accelsim.workload.network import Network

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


def whole_network(name: str, dims: Mapping[str, int] | None = None) -> Network:
    """Return a packaged network with all of its layers.

    Parameters
    ----------
    name : str
        ``net:<name>``.
    dims : mapping, optional
        Sizes by name: ``batch``, and ``seq`` where the network has it.

    Raises
    ------
    WorkloadError
        A name or a size that is not there, a size below 1 or above what the network has positions for.
    """
    known = recipes()
    recipe = known.get(name.removeprefix(PREFIX))
    if recipe is None:
        names = [PREFIX + key for key in known]
        raise WorkloadError(f"no network is called '{name}'", nearest(name, names, f"one of {', '.join(names)}"))
    sizes = {"batch": 1, **recipe.sizes}
    for key, size in (dims or {}).items():
        if key not in sizes:
            raise WorkloadError(f"{name} has no size '{key}'", f"its sizes: {', '.join(sizes)}", file="--dim")
        if not 1 <= size <= recipe.most.get(key, size):
            most = f" to {recipe.most[key]}" if key in recipe.most else " on"
            raise WorkloadError(f"{name} cannot have {key}={size}", f"give {key} from 1{most}", file="--dim")
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
