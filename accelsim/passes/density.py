"""Density profiles: measured shares of non-zero elements put on a network's tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from glob import escape
from typing import Annotated, Any

from pydantic import WrapValidator

from accelsim.passes.profile import Entry, Given, assigned, read_entries, with_attribute
from accelsim.workload.network import Network, is_view
from accelsim.workload.pattern import parse
from accelsim.workload.schema import Density
from accelsim.workload.shapes import elements


def _density_and_pattern(value: Any, density: Callable[[Any], float]) -> float | tuple[float, str]:
    """Return the density, or density and pattern of a text such as "0.09 rows:0.5"."""
    if not isinstance(value, str) or len(words := value.split()) != 2:
        return density(value)
    try:
        number: Any = float(words[0])
    except ValueError:
        number = words[0]
    return density(number), str(parse(words[1]))


MaybePatterned = Annotated[Density, WrapValidator(_density_and_pattern)]


def read_density(given: Given) -> tuple[Entry, ...]:
    """Return a density profile of a file or of values; see `accelsim.passes.profile.read_entries`.

    A value is a density, or a density and a pattern of zeros: ``0.09 rows:0.5``, see
    `accelsim.workload.pattern.Pattern`. Without a pattern the tensor keeps its own.

    Raises
    ------
    ConfigError
        A file that cannot be read, unknown keys or columns, a density outside [0, 1], an unknown pattern.
    """
    return read_entries(given, "density", MaybePatterned)


def with_density(network: Network, profile: tuple[Entry, ...]) -> Network:
    """Return the network with the densities of a profile.

    Views pass no pattern on: whoever renames a tensor may also move its channels.

    A view (reshape, concat, ...) passes the density of what it renames on, unless the profile describes its output
    too; a concatenation has the mean over its elements.

    Raises
    ------
    ConfigError
        A layer that the network does not have, or contradictory densities for one tensor.
    """
    said = assigned(network, profile)
    patterns = {name: value[1] for name, value in said.items() if isinstance(value, tuple)}
    values = {name: value[0] if isinstance(value, tuple) else value for name, value in said.items()}
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
    return with_attribute(with_attribute(network, "density", values), "pattern", patterns)


def dump_density(layers: Mapping[str, Mapping[str, float]], source: str) -> str:
    """Return the YAML of a density profile that `read_density` reads: layer name -> role -> density."""
    import yaml

    document = {"source": source, "layers": {escape(name): dict(said) for name, said in layers.items()}}
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110))
