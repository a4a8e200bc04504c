"""What a network must satisfy, whichever source it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from accelsim.text import nearest
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.pattern import FOLLOWS
from accelsim.workload.shapes import (
    MAX_DIM,
    PRODUCTS,
    UNKNOWN,
    Attention,
    Conv2d,
    Dims,
    Pool,
    Shape,
    Softmax,
    Unsupported,
    View,
    elements,
)

WINDOW = {"r": 1 << 16, "s": 1 << 16, "pad": 1 << 10}
"""Largest window and padding: work and memory grow with the taps of a window and with the tiles under padding."""
Fault: TypeAlias = tuple[str, str]
"""What is wrong, and how to mend it."""


def illegal(shape: Shape) -> Fault | None:
    """Return what is wrong with the dimensions and how to mend it, or None."""
    if isinstance(shape, Unsupported):
        return None
    for item in fields(shape):
        least, sizes = 0 if item.name in ("pad", "axis", "start") else 1, _integers(getattr(shape, item.name))
        if min(sizes, default=least) < least:
            return f"{item.name} {getattr(shape, item.name)} is too small", f"must be at least {least}"
        most = WINDOW.get(item.name, MAX_DIM) if isinstance(shape, Conv2d | Pool) else MAX_DIM
        if max(sizes, default=0) > most:
            return f"{item.name} {getattr(shape, item.name)} is too large", f"must be at most {most:,}"
    if isinstance(shape, Conv2d) and (shape.c % shape.groups or shape.k % shape.groups):
        return f"groups {shape.groups} do not divide c {shape.c} and k {shape.k}", "correct one of them"
    if isinstance(shape, Conv2d | Pool) and (shape.e < 1 or shape.f < 1):
        image = f"{shape.h} x {shape.w}"
        return f"a window of {shape.r} x {shape.s} does not fit an image of {image}", "correct window or padding"
    if isinstance(shape, Softmax) and elements(shape.shape) % shape.length:
        return f"length {shape.length} does not divide {elements(shape.shape)} elements", "give the softmax dimension"
    if isinstance(shape, Attention) and shape.heads % shape.kv_heads:
        return f"kv_heads {shape.kv_heads} do not divide heads {shape.heads}", "correct one of them"
    if isinstance(shape, Attention) and shape.causal != "none" and shape.q > shape.kv:
        return f"causal, but q {shape.q} is more than kv {shape.kv}", "its queries are the last of the kv positions"
    return None


def _integers(value: Any) -> list[int]:
    if isinstance(value, tuple):
        return [number for part in value for number in _integers(part)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []


def layer_fault(layer: Layer, tensors: Mapping[str, Tensor]) -> Fault | None:
    """Return what is wrong with one layer: dimensions, missing tensors, tensors of another size; or None."""
    for name in (*layer.inputs, *layer.weights, *layer.outputs):
        if name not in tensors:
            hint = nearest(name, tensors, "add it under 'tensors' or correct the name")
            return f"uses tensor '{name}', which does not exist", hint
    return (
        illegal(layer.shape)
        or _wrong_count(layer)
        or _wrong_size(layer, tensors)
        or _wrong_pattern(layer, tensors)
        or _wrong_view(layer)
        or _wrong_parts(layer, tensors)
    )


def order_fault(layers: tuple[Layer, ...]) -> tuple[Layer, Fault] | None:
    """Return the first layer that reads what is made later or writes what is already there, or None."""
    producer: dict[str, str] = {}
    last = {name: i for i, layer in enumerate(layers) for name in layer.outputs}
    for i, layer in enumerate(layers):
        for name in layer.reads:
            if name not in producer and name in last:
                other = "itself" if last[name] == i else f"layer '{layers[last[name]].name}' further down"
                return layer, (f"reads tensor '{name}', which is made by {other}", "list layers in running order")
        for name in layer.outputs:
            if name in producer:
                fault = f"writes tensor '{name}', which layer '{producer[name]}' already made"
                return layer, (fault, "give each output its own name")
            producer[name] = layer.name
    return None


def edge_fault(layers: tuple[Layer, ...]) -> tuple[Layer, Fault] | None:
    """Return the first layer that shares an activation with another one, or None."""
    owner: dict[str, str] = {}
    for layer in layers:
        for name in dict.fromkeys((*layer.inputs, *layer.outputs)):
            if name in owner:
                fault = f"shares tensor '{name}' with layer '{owner[name]}', but the network is isolated"
                return layer, (fault, "write 'isolated: false' or give each layer its own tensors")
            owner[name] = layer.name
    return None


def _wrong_count(layer: Layer) -> Fault | None:
    needed = len(layer.shape.input_shapes)
    masked = layer.kind == "attention" and len(layer.inputs) > needed
    if len(layer.inputs) != needed and not masked:
        return f"({layer.kind}) takes {needed} inputs but lists {len(layer.inputs)}", "list one tensor per operand"
    if not layer.outputs:
        return "has no output", "name its output"
    weights = len(layer.weights)
    if layer.kind in PRODUCTS and not (weights == 0 if layer.kind == "matmul" else 1 <= weights <= 2):
        return f"({layer.kind}) lists {weights} weights", "list the filters and at most one bias, none for a matmul"
    return None


def _wrong_pattern(layer: Layer, tensors: Mapping[str, Tensor]) -> Fault | None:
    filters = layer.weights[:1] if layer.kind in ("conv2d", "linear") else ()
    for name in (*layer.inputs, *layer.weights, *layer.outputs):
        if name not in filters and tensors[name].pattern.startswith(FOLLOWS):
            fault = f"has zeros by '{tensors[name].pattern}' in tensor '{name}', which is no filters"
            return fault, "only filters of a convolution or linear layer follow its input"
    return None


def _wrong_size(layer: Layer, tensors: Mapping[str, Tensor]) -> Fault | None:
    if isinstance(layer.shape, Unsupported):
        return None
    expected = [
        *zip(layer.inputs, layer.shape.input_shapes, strict=False),
        (layer.outputs[0], layer.shape.output_shape),
    ]
    weight_shape = getattr(layer.shape, "weight_shape", None)
    if weight_shape is not None:
        expected += zip(layer.weights, (weight_shape, (weight_shape[0],)), strict=False)
    for name, dims in expected:
        found = tensors[name].shape
        if elements(found) != elements(dims):
            fault = f"needs {_shown(dims)} where tensor '{name}' has {_shown(found)}"
            return fault, "make the dimensions of both agree"
    return None


def _wrong_view(layer: Layer) -> Fault | None:
    if not isinstance(layer.shape, View):
        return None
    source = sum(elements(dims) for dims in layer.shape.inputs)
    result = elements(layer.shape.shape)
    if layer.shape.op == "repeat":
        return None
    if layer.shape.op in ("slice", "crop"):
        return (f"takes {result:,} elements out of {source:,}", "correct its shape") if result > source else None
    if source != result:
        return f"views {source:,} elements as {result:,}", "correct its shape"
    return None


def _wrong_parts(layer: Layer, tensors: Mapping[str, Tensor]) -> Fault | None:
    """Return what is wrong with an attention: its mask, or the layers that it says it stands for."""
    if not isinstance(layer.shape, Attention):
        return ("has parts", "only an attention has them") if layer.parts else None
    if not layer.parts:
        masks = len(layer.inputs) - 3 + len(layer.weights)
        least = int(layer.shape.causal != "none")
        if not least <= masks <= 1 or len(layer.outputs) > 1:
            fault = f"(attention) lists {masks} masks and {len(layer.outputs)} outputs"
            return fault, f"list {'one mask' if least else 'at most one mask'} and one output, or its 'parts'"
        return None
    for part in layer.parts:
        found = layer_fault(part, tensors)
        if found is None and part.kind == "attention":
            found = "is an attention within an attention", "list layers that are none"
        if found is not None:
            return f"part '{part.name}': {found[0]}", found[1]
    if (wrong := order_fault(layer.parts)) is not None:
        return f"part '{wrong[0].name}': {wrong[1][0]}", wrong[1][1]
    made = {name for part in layer.parts for name in part.outputs}
    read = {name for part in layer.parts for name in (*part.inputs, *part.weights)} - made
    stray = (read ^ {*layer.inputs, *layer.weights}) or set(layer.outputs) - made
    if stray:
        return f"and its parts do not agree on tensor '{min(stray)}'", "list what the parts read, and what they make"
    macs = sum(part.macs or 0 for part in layer.parts)
    if macs != layer.macs:
        return f"takes {layer.macs:,} MACs where its parts take {macs:,}", "correct its dimensions"
    return None


def _shown(dims: Dims) -> str:
    if dims == UNKNOWN:
        return "an unknown number of elements"
    return f"{' x '.join(map(str, dims)) or 'scalar'} = {elements(dims):,} elements"
