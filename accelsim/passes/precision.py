"""Precision: the width of every tensor, from a profile, the network or the machine."""

from __future__ import annotations

from pathlib import Path

from accelsim.passes.profile import Entry, assigned, read_entries, with_attribute
from accelsim.spec.schema import Bits, PrecisionSpec
from accelsim.workload.network import Network, is_view


def read_precision(path: Path) -> tuple[Entry, ...]:
    """Return a precision profile from YAML or CSV; see `accelsim.passes.profile.read_entries` for the formats.

    Raises
    ------
    ConfigError
        A file that cannot be read, unknown keys or columns, a width outside 1 to 64 bits.
    """
    return read_entries(path, "bits", Bits)


def with_precision(network: Network, profile: tuple[Entry, ...]) -> Network:
    """Return the network with the widths of a profile.

    Raises
    ------
    ConfigError
        A layer that the network does not have, or contradictory widths for one tensor.
    """
    return with_attribute(network, "bits", assigned(network, profile))


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
