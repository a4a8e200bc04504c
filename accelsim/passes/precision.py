"""Precision: the width and the sign of every tensor, from a profile, the network or the machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from glob import escape
from typing import Annotated, Any, NamedTuple

from pydantic import WrapValidator

from accelsim.config.schema import Bits, PrecisionSpec
from accelsim.passes.profile import ROLES, Entry, Given, assigned, read_entries, tensor_of, with_attribute
from accelsim.workload.network import Network, is_view

_TYPE = re.compile(r"(u?)int(\d{1,4})")


class Type(NamedTuple):
    """Width and sign, written ``int4`` or ``uint8``."""

    bits: int
    signed: bool

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}int{self.bits}"


def _width_and_sign(value: Any, width: Callable[[Any], int]) -> int | Type:
    """Return the width, or width and sign of a type such as ``uint8``."""
    if not isinstance(value, str):
        return width(value)
    found = _TYPE.fullmatch(value)
    return Type(width(int(found[2])), not found[1]) if found else width(value)


MaybeSigned = Annotated[Bits, WrapValidator(_width_and_sign)]


def read_precision(given: Given) -> tuple[Entry, ...]:
    """Return a precision profile of a file or of values; see `accelsim.passes.profile.read_entries`.

    A value is a width, which leaves the tensor's sign, or a type that gives both: ``int4``, ``uint8``.

    Raises
    ------
    ConfigError
        A file that cannot be read, unknown keys or columns, a width outside 1 to 64 bits.
    """
    return read_entries(given, "bits", MaybeSigned)


def with_precision(network: Network, profile: tuple[Entry, ...]) -> Network:
    """Return the network with the widths and signs of a profile.

    Raises
    ------
    ConfigError
        A layer that the network does not have, or contradictory widths for one tensor.
    """
    said = assigned(network, profile)
    signs = {name: value.signed for name, value in said.items() if isinstance(value, Type)}
    widths = {name: value.bits if isinstance(value, Type) else value for name, value in said.items()}
    return with_attribute(with_attribute(network, "bits", widths), "signed", signs)


def dump_precision(network: Network, types: Mapping[str, Type], source: str) -> str:
    """Return the YAML of a precision profile that `read_precision` reads: tensor name -> type, layer by layer."""
    import yaml

    layers: dict[str, dict[str, str]] = {}
    for layer in network.layers:
        named = {role: tensor_of(layer, role) for role in ROLES}
        said = {str(role): str(types[name]) for role, name in named.items() if name is not None and name in types}
        if said:
            layers[escape(layer.name)] = said
    document = {"source": source, "layers": layers}
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110))


def resolve(network: Network, precision: PrecisionSpec) -> Network:
    """Return the network with a width for every tensor; those that have one keep it.

    A constant (filters, bias, scales) takes ``weight_bits``. An activation that some layer reads takes
    ``input_bits``, also if another layer makes it: a tensor has one width, and it is stored as it will be read.
    ``output_bits`` is for what no layer reads: the network's outputs, and all outputs of isolated layers. A view
    reads nothing itself: its input counts as read if its output is, and its output has the width of its input.
    """
    reads = _read(network)
    bits: dict[str, int] = {}
    for layer in network.layers:
        for name in (*layer.inputs, *layer.weights, *layer.outputs):
            tensor = network.tensors[name]
            default = precision.input_bits if name in reads else precision.output_bits
            bits.setdefault(name, tensor.bits or (precision.weight_bits if tensor.weight else default))
        if is_view(layer) and network.tensors[layer.outputs[0]].bits is None:
            bits[layer.outputs[0]] = max(bits[name] for name in layer.inputs)
    return with_attribute(network, "bits", bits)


def _read(network: Network) -> set[str]:
    """Return the activations that layers read, seen through views."""
    reads: set[str] = set()
    for layer in reversed(network.layers):
        if not is_view(layer) or reads.intersection(layer.outputs):
            reads.update(layer.inputs)
    return reads
