"""Density profiles: measured shares of non-zero elements put on a network's tensors."""

from __future__ import annotations

from pathlib import Path

from accelsim.passes.profile import Entry, assigned, read_entries, with_attribute
from accelsim.workload.network import Network, is_view
from accelsim.workload.schema import Density
from accelsim.workload.shapes import elements


def read_density(path: Path) -> tuple[Entry, ...]:
    """Return a density profile from YAML or CSV; see `accelsim.passes.profile.read_entries` for the formats.

    Raises
    ------
    ConfigError
        A file that cannot be read, unknown keys or columns, a density outside [0, 1].
    """
    return read_entries(path, "density", Density)


def with_density(network: Network, profile: tuple[Entry, ...]) -> Network:
    """Return the network with the densities of a profile.

    A view (reshape, concat, ...) passes the density of what it renames on, unless the profile describes its output
    too; a concatenation has the mean over its elements.

    Raises
    ------
    ConfigError
        A layer that the network does not have, or contradictory densities for one tensor.
    """
    values = assigned(network, profile)
    for layer in network.layers:
        if not is_view(layer) or layer.outputs[0] in values or not any(name in values for name in layer.inputs):
            continue
        parts = [
            (elements(dims), values.get(name, network.tensors[name].density))
            for name, dims in zip(layer.inputs, layer.shape.input_shapes, strict=True)
        ]
        densities = {density for _, density in parts}
        total = sum(count for count, _ in parts)
        mean = sum(count * density for count, density in parts) / total
        values[layer.outputs[0]] = densities.pop() if len(densities) == 1 else mean
    return with_attribute(network, "density", values)
