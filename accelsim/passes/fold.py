"""Folding: work on each element of a product's result joins the product; docs/decisions/0089-residency.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from accelsim.workload.layers import Layer, Post, Tensor
from accelsim.workload.network import Network
from accelsim.workload.shapes import PRODUCTS, Conv2d, Elementwise, Linear, Normalization

if TYPE_CHECKING:
    import numpy as np

Fold: TypeAlias = Literal["none", "unary"]
FOLDS: tuple[Fold, ...] = get_args(Fold)
"""Rules of a plan, which computes no values."""

Into: TypeAlias = "Callable[[Layer, Layer], Literal['', 'weights', 'lanes']]"
"""(host, layer) -> what of the host does the layer's work."""

MOVES = ("copy",)
"""Elementwise operations that may put an element somewhere else."""
SUMS = ("add", "sum")
"""Those that of two operands give the sum."""


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


def fold(network: Network, rule: Fold = "unary", into: Into | None = None) -> Folded:
    """Return the network with layers folded into the products that feed them.

    Under ``unary`` a layer leaves that works on each element of one activation (constants may join), or scales and
    shifts its channels; whose input nobody else reads and has as many bits as its result; and whose input comes from a
    product or from a layer that left. Values are not computed: of a folded network the truth is the unfolded one.

    On a machine a sum of two activations may leave too: the other one must be there when the product begins, which is
    the later one of two. See docs/decisions/0108-residual-additions.md.

    Parameters
    ----------
    into : callable, optional
        What a machine does with a layer behind its host, which lists what has joined it: nothing if empty.
    """
    if rule == "none":
        return Folded(network, {})
    readers = Counter(name for layer in network.layers for name in layer.reads)
    hosts: dict[str, str] = {}
    kept: dict[str, Layer] = {}
    maker: dict[str, str] = {}
    places = dict.fromkeys(network.inputs, -1)
    """Activation -> where the layer that makes it stands among those that are kept."""
    for layer in network.layers:
        joined: tuple[str, ...] = ()
        host = maker.get(layer.inputs[0]) if _unary(layer) and readers[layer.inputs[0]] == 1 else None
        if into is not None and _sums(layer):
            for mine, other in (layer.inputs, layer.inputs[::-1]):
                found = maker.get(mine) if readers[mine] == 1 else None
                if found is not None and places[other] < places[mine] and _alike(network, other, layer.outputs[0]):
                    host, joined = found, (other,)
        way = into(kept[host], layer) if host is not None and into is not None else ""
        if host is not None and _as_large(network, kept[host].outputs[0], layer) and (into is None or way):
            hosts[layer.name] = host
            post = (*kept[host].post, Post(layer.name, layer.shape, layer.weights, way, joined))
            places[layer.outputs[0]] = places[kept[host].outputs[0]]
            kept[host] = replace(kept[host], outputs=layer.outputs, post=post)
            maker[layer.outputs[0]] = host
        else:
            places |= dict.fromkeys(layer.outputs, len(kept))
            kept[layer.name] = layer
            if layer.kind in PRODUCTS and len(layer.outputs) == 1:
                maker[layer.outputs[0]] = layer.name
    used = {name for layer in kept.values() for name in (*layer.reads, *layer.weights, *layer.outputs)}
    used |= {name for layer in kept.values() for post in layer.post for name in post.weights}
    tensors = {name: tensor for name, tensor in network.tensors.items() if name in used}
    return Folded(replace(network, layers=tuple(kept.values()), tensors=tensors, program=None), hosts)


def fold_weights(network: Network) -> Folded:
    """Return the network with scales and shifts per channel taken into the filters and the bias ahead of them.

    A batch or affine normalisation with a scale and a shift leaves if a convolution or linear layer makes its input and
    nobody else reads that. The product gets filters W' = W scale and a bias b' = b scale + shift, per output channel,
    under names of their own; where the network carries all of their values, those of W' and b' are computed. Filters
    with widths of their own are integers already and stay as they are. Of a quotient by a deviation the constants do
    not say the epsilon, so that a normalisation with mean and variance stays too.
    """
    readers = Counter(name for layer in network.layers for name in layer.inputs)
    maker: dict[str, Layer] = {}
    kept: dict[str, Layer] = {}
    hosts: dict[str, str] = {}
    tensors, values = dict(network.tensors), dict(network.values)
    for layer in network.layers:
        host = maker.get(layer.inputs[0])
        if host is None or readers[layer.inputs[0]] != 1 or not _scales(layer, host, tensors):
            kept[layer.name] = layer
            if isinstance(layer.shape, Conv2d | Linear):
                maker[layer.outputs[0]] = layer
            continue
        names = (f"{layer.name}.folded.weight", f"{layer.name}.folded.bias")
        old = (*host.weights, *layer.weights)
        tensors[names[0]] = replace(tensors[host.weights[0]], name=names[0])
        tensors[names[1]] = replace(tensors[layer.weights[1]], name=names[1])
        if all(name in values for name in old):
            values |= zip(names, scaled(*(values[name] for name in old)), strict=True)
        hosts[layer.name] = host.name
        kept[host.name] = replace(host, weights=names, outputs=layer.outputs)
        maker[layer.outputs[0]] = kept[host.name]
    used = {name for layer in kept.values() for name in (*layer.inputs, *layer.weights, *layer.outputs)}
    left = {name: tensor for name, tensor in tensors.items() if name in used}
    values = {name: value for name, value in values.items() if name in used}
    return Folded(replace(network, layers=tuple(kept.values()), tensors=left, values=values, program=None), hosts)


def scaled(weight: np.ndarray, *rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return filters and bias of a product and the scaling behind it.

    Parameters
    ----------
    weight : ndarray
        Output channels first.
    rest : ndarray
        The bias (k,) if there is one, then scale and shift (k,).
    """
    *bias, scale, shift = (array.reshape(-1).astype(float) for array in rest)
    filters = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    return filters, bias[0] * scale + shift if bias else shift


def _scales(layer: Layer, host: Layer, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a layer scales and shifts each output channel of a product whose filters are reals."""
    if not (isinstance(layer.shape, Normalization) and layer.shape.op in ("batch", "affine")):
        return False
    channels = tensors[host.weights[0]].shape[0]
    dims = layer.shape.shape
    sizes = [tensors[name].elements for name in layer.weights]
    reals = all(tensors[name].bits is None for name in (*host.weights, *layer.weights))
    return reals and len(dims) > 1 and dims[1] == channels and sizes == [channels] * 2


def _unary(layer: Layer) -> bool:
    """Whether each element of the result comes from the element at its place, and from constants."""
    return len(layer.inputs) == len(layer.outputs) == 1 and _on_elements(layer)


def _on_elements(layer: Layer) -> bool:
    """Whether each element of the result comes from those at its place, and from constants."""
    if isinstance(layer.shape, Elementwise):
        return layer.shape.op not in MOVES
    return isinstance(layer.shape, Normalization) and layer.shape.op in ("batch", "affine")


def _sums(layer: Layer) -> bool:
    """Whether a layer adds two activations, and nothing else."""
    if not isinstance(layer.shape, Elementwise) or layer.weights:
        return False
    return layer.shape.op in SUMS and len(set(layer.inputs)) == 2 == len(layer.inputs) and len(layer.outputs) == 1


def _alike(network: Network, tensor: str, made: str) -> bool:
    """Whether two tensors have as many elements."""
    return network.tensors[tensor].elements == network.tensors[made].elements


def _as_large(network: Network, name: str, layer: Layer) -> bool:
    """Whether the result of a layer has as many elements of as many bits as one of its inputs."""
    source, made = network.tensors[name], network.tensors[layer.outputs[0]]
    return source.elements == made.elements and source.bits == made.bits and source.place == made.place


def per_channel(layer: Layer, host: Layer) -> bool:
    """Whether a layer scales and shifts each output channel of a product, so that filters and a bias can."""
    if not isinstance(layer.shape, Normalization) or layer.shape.op not in ("batch", "affine"):
        return False
    dims = layer.shape.shape
    return isinstance(host.shape, Conv2d | Linear) and len(dims) > 1 and dims[1] == host.shape.as_conv().k
