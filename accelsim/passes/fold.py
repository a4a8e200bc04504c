"""Folding: work on each element of a product's result joins the product; docs/decisions/0089-residency.md."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from accelsim.workload.layers import Layer, Post
from accelsim.workload.network import Network
from accelsim.workload.shapes import PRODUCTS, Elementwise, Normalization

Fold: TypeAlias = Literal["none", "unary"]
FOLDS: tuple[Fold, ...] = get_args(Fold)

MOVES = ("copy",)
"""Elementwise operations that may put an element somewhere else."""


@dataclass(frozen=True)
class Folded:
    """A network after folding.

    Attributes
    ----------
    network : Network
        Without the layers that left; their hosts list them under `Layer.post`.
    hosts : mapping
        Layer that left -> the layer that does its work.
    """

    network: Network
    hosts: dict[str, str]


def fold(network: Network, rule: Fold = "unary") -> Folded:
    """Return the network with layers folded into the products that feed them.

    Under ``unary`` a layer leaves that works on each element of one activation (constants may join), or scales and
    shifts its channels; whose input nobody else reads and has as many bits as its result; and whose input comes from a
    product or from a layer that left. Values are not computed: of a folded network the truth is the unfolded one.
    """
    if rule == "none":
        return Folded(network, {})
    readers = Counter(name for layer in network.layers for name in layer.inputs)
    hosts: dict[str, str] = {}
    kept: dict[str, Layer] = {}
    maker: dict[str, str] = {}
    for layer in network.layers:
        host = maker.get(layer.inputs[0]) if _unary(layer) and readers[layer.inputs[0]] == 1 else None
        if host is not None and _as_large(network, layer):
            hosts[layer.name] = host
            post = (*kept[host].post, Post(layer.name, layer.shape, layer.weights))
            kept[host] = replace(kept[host], outputs=layer.outputs, post=post)
            maker[layer.outputs[0]] = host
        else:
            kept[layer.name] = layer
            if layer.kind in PRODUCTS and len(layer.outputs) == 1:
                maker[layer.outputs[0]] = layer.name
    used = {name for layer in kept.values() for name in (*layer.inputs, *layer.weights, *layer.outputs)}
    used |= {name for layer in kept.values() for post in layer.post for name in post.weights}
    tensors = {name: tensor for name, tensor in network.tensors.items() if name in used}
    return Folded(replace(network, layers=tuple(kept.values()), tensors=tensors, program=None), hosts)


def _unary(layer: Layer) -> bool:
    """Whether each element of the result comes from the element at its place, and from constants."""
    if len(layer.inputs) != 1 or len(layer.outputs) != 1:
        return False
    if isinstance(layer.shape, Elementwise):
        return layer.shape.op not in MOVES
    return isinstance(layer.shape, Normalization) and layer.shape.op in ("batch", "affine")


def _as_large(network: Network, layer: Layer) -> bool:
    """Whether the result has as many elements of as many bits as the input."""
    source, made = network.tensors[layer.inputs[0]], network.tensors[layer.outputs[0]]
    return source.elements == made.elements and source.bits == made.bits
