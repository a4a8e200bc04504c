"""Networks written out as YAML: what `accelsim.workload.yaml_network` reads back as an equal network."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from itertools import zip_longest
from typing import Any

from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.network import Network, default_masks, input_names
from accelsim.workload.schema import SPEC_KEYS
from accelsim.workload.shapes import PRODUCTS, Attention, Dims, Elementwise, Shape

_PLAIN = re.compile(r"[A-Za-z_][\w./-]*$", re.ASCII)
_WORDS = {"yes", "no", "on", "off", "true", "false", "null", "none"}


def dump(network: Network) -> str:
    """Return YAML text that loads as an equal network, one line per layer and per tensor; values are left out."""
    lines = [f"name: {_text(re.sub(r'[^A-Za-z0-9_.-]', '_', network.name))}"]
    lines += [f"{key}: {_text(value)}" for key in ("source", "description") if (value := getattr(network, key))]
    lines.append(f"isolated: {_text(network.isolated)}")
    if network.batch != 1:
        lines.append(f"batch: {network.batch}")
    if network.notes:
        lines += ["notes:", *(f"  - {_text(note)}" for note in network.notes)]
    if network.inputs and not network.isolated:
        lines.append(f"inputs: {_text(network.inputs)}")
    lines += ["layers:", *(f"  - {_text(_layer(layer, network.isolated))}" for layer in network.layers)]
    tensors = _tensors(network)
    if tensors:
        lines += ["tensors:", *(f"  {_text(name)}: {_text(entry)}" for name, entry in tensors.items())]
    return "\n".join(lines) + "\n"


def _layer(layer: Layer, isolated: bool) -> dict[str, Any]:
    shape = layer.shape
    entry: dict[str, Any] = {"name": layer.name, "kind": layer.kind} | _dimensions(shape)
    if not isolated or layer.inputs != input_names(layer.name, len(shape.input_shapes)):
        entry["inputs"] = layer.inputs
    weight, bias = f"{layer.name}.weight", f"{layer.name}.bias"
    own: tuple[str, ...] = (weight,) if getattr(shape, "weight_shape", None) is not None else ()
    if isinstance(shape, Attention) and len(layer.inputs) == 3:
        own = default_masks(layer.name, shape)
    if layer.kind in PRODUCTS and own and layer.weights == (weight, bias):
        entry["bias"] = True
    elif layer.weights != own:
        entry["weights"] = layer.weights
    if layer.outputs != (f"{layer.name}.output",):
        entry["outputs"] = layer.outputs
    if layer.parent:
        entry["parent"] = layer.parent
    if layer.parts:
        entry["parts"] = [_layer(part, isolated) for part in layer.parts]
    return entry


def _dimensions(shape: Shape) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for item in fields(shape):
        value, default = getattr(shape, item.name), item.default
        if value == default or (default is MISSING and value == 1 and item.name in ("n", "batch")):
            continue
        if item.name in ("stride", "dilation", "pad"):
            value = _shortest(value)
        entry[SPEC_KEYS.get(item.name, item.name)] = value
    if isinstance(shape, Elementwise):
        same = all(dims == shape.shape for dims in shape.inputs)
        if same:
            del entry["operand_shapes"]
        if same and shape.operands > 1:
            entry["operands"] = shape.operands
    return entry


def _shortest(sizes: tuple[int, ...]) -> int | tuple[int, ...]:
    """Return [2, 2] as 2, and [1, 2, 1, 2] as [1, 2]."""
    if len(set(sizes)) == 1:
        return sizes[0]
    return sizes[:2] if len(sizes) == 4 and sizes[:2] == sizes[2:] else sizes


def _tensors(network: Network) -> dict[str, dict[str, Any]]:
    """Return what the layers do not imply about each tensor."""
    implied = _implied_shapes(network)
    entries = {}
    for name, dims in implied.items():
        tensor = network.tensors[name]
        entry = {
            item.name: value
            for item in fields(Tensor)
            if item.name not in ("name", "shape", "weight") and (value := getattr(tensor, item.name)) != item.default
        }
        if dims != tensor.shape:
            entry = {"shape": tensor.shape, **entry}
        if entry:
            entries[name] = entry
    return entries


def _implied_shapes(network: Network) -> dict[str, Dims | None]:
    """Return for every tensor in use the shape that a reader takes from the first layer that names it."""
    implied: dict[str, Dims | None] = {}
    for layer in network.layers:
        _imply(implied, layer)
    return implied


def _imply(implied: dict[str, Dims | None], layer: Layer) -> None:
    """Enter what a layer implies about the shapes of its tensors, in the order in which a reader meets them."""
    weight = getattr(layer.shape, "weight_shape", None)
    weights: tuple[Dims, ...] = () if weight is None else (weight, (weight[0],))
    if isinstance(layer.shape, Attention):
        weights = ((layer.shape.q, layer.shape.kv),)
    shapes = (layer.shape.input_shapes, weights, (layer.shape.output_shape,))
    for i, (names, dims) in enumerate(zip((layer.inputs, layer.weights, layer.outputs), shapes, strict=True)):
        if i == 2:
            for part in layer.parts:
                _imply(implied, part)
        for name, implied_dims in zip_longest(names, dims):
            if name is not None:
                implied.setdefault(name, implied_dims)


def _text(value: Any) -> str:
    """Return a value in YAML's flow style, quoted where YAML would read another thing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        mantissa, exponent, power = repr(value).partition("e")
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}{exponent}{power}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(k)}: {_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return value if _PLAIN.match(value) and value.lower() not in _WORDS else _quoted(value)


def _quoted(text: str) -> str:
    def escaped(char: str) -> str:
        if char in '"\\':
            return "\\" + char
        return char if char.isprintable() else f"\\U{ord(char):08x}"

    return '"' + "".join(map(escaped, text)) + '"'
