"""The pass that turns attention layers into products, softmax and views, for units that take no attention.

It is the only place where that happens: simulations, sweeps, comparisons, chained operands and every pass that names
layers see what `lowered` gives. See docs/decisions/0093-attention-layers.md.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from accelsim.errors import WorkloadError
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.network import Network, is_view, make_layer
from accelsim.workload.shapes import Attention, Dims, Elementwise, Matmul, Shape, Softmax, View

SUFFIX = ".attention"
"""A layer ``x.attention`` has parts ``x.scores`` and so on; one of another name ``y`` has ``y.scores``."""

SKIP_NOTE = (
    "causal: skip, but no unit takes the attention whole: what is behind the diagonal is computed and masked, layers: "
)


def attentions(network: Network) -> tuple[Layer, ...]:
    """Return the attention layers of a network."""
    return tuple(layer for layer in network.layers if isinstance(layer.shape, Attention))


def stands_for(network: Network) -> dict[str, tuple[str, ...]]:
    """Return each layer with work -> itself, or the parts with work that an attention stands for.

    These are the names by which machines that take an attention whole and others have the same work.
    """
    found = {}
    for layer in network.layers:
        if isinstance(layer.shape, Attention):
            own = {name: network.tensors[name] for name in (*layer.inputs, *layer.weights)}
            parts = layer.parts or _composed(layer, layer.shape, own, network.isolated)
            found[layer.name] = tuple(part.name for part in parts if not is_view(part))
        elif not is_view(layer):
            found[layer.name] = (layer.name,)
    return found


def lowered(network: Network, whole: Collection[str] = ()) -> Network:
    """Return the network with its attention layers as the layers that they stand for.

    Parameters
    ----------
    network : Network
    whole : collection of str
        Names of attention layers that stay.

    Raises
    ------
    WorkloadError
        A layer or a tensor that has the name of a part.
    """
    layers: list[Layer] = []
    tensors = dict(network.tensors)
    skipping = 0
    for layer in network.layers:
        if not isinstance(layer.shape, Attention) or layer.name in whole:
            layers.append(layer)
            continue
        parts = layer.parts or _composed(layer, layer.shape, tensors, network.isolated)
        layers += [replace(part, parent=part.parent or layer.name) for part in parts]
        skipping += layer.shape.causal == "skip"
    if len(layers) == len(network.layers):
        return network
    used = {name for layer in layers for name in (*layer.inputs, *layer.weights, *layer.outputs)}
    notes = (f"{SKIP_NOTE}{skipping}",) if skipping else ()
    return replace(
        network,
        layers=tuple(layers),
        tensors={name: tensor for name, tensor in tensors.items() if name in used},
        notes=network.notes + notes,
    )


def _composed(layer: Layer, shape: Attention, tensors: dict[str, Tensor], isolated: bool) -> list[Layer]:
    """Return the layers of an attention by its shape, and enter the tensors between them.

    Heads of queries that share one of keys and values are rows of one product, so that keys and values are read once
    for all of them. Tensors between layers have the width of the queries.
    """
    a, parts = shape, _Parts(layer, tensors, isolated)
    query, key, value = layer.inputs[:3]
    groups, rows = a.batch * a.kv_heads, a.heads // a.kv_heads * a.q
    by_head = a.batch * a.heads, a.q, a.head_dim
    query = parts.view("query_heads", query, a.input_shapes[0], by_head)
    key = parts.view("key_heads", key, a.input_shapes[1], (groups, a.head_dim, a.kv))
    value = parts.view("value_heads", value, a.input_shapes[2], (groups, a.kv, a.head_dim))
    scores = a.batch * a.heads, a.q, a.kv
    x = parts.add("scores", Matmul(groups, rows, a.kv, a.head_dim), query, key, dims=scores)
    x = parts.add("scale", Elementwise("mul", scores), x)
    masks, fixed = layer.inputs[3:], layer.weights
    if masks or fixed:
        read = (scores, *(tensors[name].shape for name in masks))
        x = parts.add("mask", Elementwise("add", scores, read), x, *masks, weights=fixed)
    x = parts.add("softmax", Softmax(scores, a.kv), x)
    context = Matmul(groups, rows, a.head_dim, a.kv)
    if isolated:
        parts.add("context", context, x, value)
    else:
        x = parts.add("context", context, x, value, dims=by_head)
        parts.joined(View("transpose", (by_head,), a.output_shape), x)
    return parts.layers


@dataclass
class _Parts:
    """Lays out the parts of one attention; in an isolated network each has tensors of its own, and views are none."""

    layer: Layer
    tensors: dict[str, Tensor]
    isolated: bool
    layers: list[Layer] = field(default_factory=list)

    def view(self, part: str, name: str, seen: Dims, dims: Dims) -> str:
        """Take an operand by head: its tensor, of whatever kind its values are, in another shape."""
        if self.isolated:
            return name
        made = self.add(part, View("transpose", (seen,), dims), name)
        self.tensors[made] = replace(self.tensors[name], name=made, shape=dims)
        return made

    def joined(self, shape: View, x: str) -> None:
        """Put the heads side by side again, which gives the output of the attention."""
        name = f"{self._stem}.joined"
        self.layers.append(Layer(name, shape, (x,), (), self.layer.outputs))

    def add(
        self, part: str, shape: Shape, *inputs: str, weights: tuple[str, ...] = (), dims: Dims | None = None
    ) -> str:
        """Add a part; its output has the shape ``dims`` if that is another one of the same elements."""
        name = f"{self._stem}.{part}"
        own = None if self.isolated else inputs
        made, tensors = make_layer(name, shape, inputs=own)
        width = self.tensors[self.layer.inputs[0]].bits
        output = made.outputs[0]
        found = {output: Tensor(output, dims or shape.output_shape, width)}
        if self.isolated:
            for new, old in zip(made.inputs, inputs, strict=True):
                found[new] = replace(self.tensors[old], name=new, shape=tensors[new].shape)
        if taken := found.keys() & self.tensors.keys():
            problem = f"attention '{self.layer.name}' makes tensor '{min(taken)}', which is already there"
            raise WorkloadError(problem, "give the other one another name")
        self.tensors.update(found)
        self.layers.append(replace(made, weights=weights))
        return output

    @property
    def _stem(self) -> str:
        return self.layer.name.removesuffix(SUFFIX)
