"""The network that holds layers and their tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from accelsim import basis
from accelsim.errors import WorkloadError
from accelsim.workload.check import Fault, edge_fault, layer_fault, order_fault
from accelsim.workload.layers import Home as Home
from accelsim.workload.layers import Layer, LayerView, Tensor
from accelsim.workload.shapes import PRODUCTS, Attention, Shape, View, batched_dims

if TYPE_CHECKING:
    import networkx as nx
    import numpy as np

    from accelsim.workload.onnx.program import Program


@dataclass(frozen=True, repr=False)
class Network:
    """Frozen layers in order of execution, and the tensors between them.

    Attributes
    ----------
    source : str
        Author, venue and year of the network, and where its shapes come from.
    isolated : bool
        True when the layers come from a table: each has tensors of its own and no edge is invented.
    batch : int
        Images; the totals of a simulation are for all of them.
    batch_doubt : str
        Why ``batch`` may be wrong; then no other batch is taken.
    notes : tuple of str
        What a reader of results must know: assumptions, what the source did not say.
    values : mapping
        Tensor name -> float or integer array, where the source carries values (not part of equality).
    absent : mapping
        Tensor name -> the file that should hold its values and is missing.
    program : Program, optional
        What the graph computes, where the layers come from one (not part of equality).

    Raises
    ------
    WorkloadError
        Layers that share a name, illegal dimensions, tensors that are missing or of another size than their layers
        need, layers out of order, edges in an isolated network.
    """

    name: str
    layers: tuple[Layer, ...]
    tensors: Mapping[str, Tensor]
    source: str = ""
    description: str = ""
    isolated: bool = False
    batch: int = 1
    batch_doubt: str = ""
    notes: tuple[str, ...] = ()
    values: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)
    absent: Mapping[str, str] = field(default_factory=dict, compare=False)
    program: Program | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        names: set[str] = set()
        for layer in self.layers:
            for name in (layer.name, *(part.name for part in layer.parts)):
                if name in names:
                    raise WorkloadError(f"two layers are called '{name}'", "give each layer its own name")
                names.add(name)
            _raise(layer, layer_fault(layer, self.tensors))
        for found in (order_fault(self.layers), edge_fault(self.layers) if self.isolated else None):
            if found is not None:
                _raise(*found)

    @cached_property
    def layouts(self) -> dict[int, Any]:
        """What `accelsim.passes.dram_layout` has found, by alignment."""
        return {}

    def __repr__(self) -> str:
        """Return name and size in a line."""
        macs = "MACs unknown" if self.macs is None else f"{self.macs:,} MACs"
        edges = "a table" if self.isolated else "connected"
        return f"<Network {self.name}: {len(self.layers)} layers, {edges}, batch {self.batch}, {macs}>"

    @property
    def macs(self) -> int | None:
        """Dense multiply-accumulates of all layers, None where those of one are unknown."""
        return basis.whole(layer.macs for layer in self.layers)

    @property
    def params(self) -> int:
        """Elements of all weights and biases of the layers that multiply, each shared tensor once."""
        return self._weight_elements(2)

    @property
    def filter_params(self) -> int:
        """`params` without the biases."""
        return self._weight_elements(1)

    def _weight_elements(self, kinds: int) -> int:
        used = {w for layer in self.layers if layer.kind in PRODUCTS for w in layer.weights[:kinds]}
        return sum(self.tensors[name].elements for name in used)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Activations that no layer makes, in order of first use."""
        made = {name for layer in self.layers for name in layer.outputs}
        return tuple(dict.fromkeys(n for layer in self.layers for n in layer.reads if n not in made))

    def batched(self, batch: int) -> Network:
        """Return the network for ``batch`` images in all: activations scale, weights do not.

        Raises
        ------
        WorkloadError
            A batch that is not positive, or that a graph with a fixed batch cannot be brought to; a graph that does
            not tell how many images it covers.
        """
        if batch < 1:
            raise WorkloadError(f"a batch of {batch} is too small", "use 1 or more")
        factor = Fraction(batch, self.batch)
        if factor == 1:
            return self
        if self.batch_doubt:
            raise WorkloadError(self.batch_doubt, "say how many images the graph covers: --dim batch=N")
        tensors = {
            name: t if t.weight else replace(t, shape=batched_dims(t.shape, factor)) for name, t in self.tensors.items()
        }
        layers = tuple(layer.batched(factor) for layer in self.layers)
        return replace(self, layers=layers, tensors=tensors, batch=batch)

    def refuse_absent(self, tensor: str) -> None:
        """Raise WorkloadError if the values of a tensor are wanted and the file that should hold them is missing."""
        if tensor in self.absent:
            problem = f"tensor '{tensor}' is kept in '{self.absent[tensor]}', which is missing"
            raise WorkloadError(problem, "put it beside the model")

    @cached_property
    def _views(self) -> dict[str, tuple[Layer, LayerView]]:
        """By name, a layer and its view."""
        return {}

    def view(self, layer: Layer) -> LayerView:
        """Return ``layer`` with its tensors resolved."""
        known = self._views.get(layer.name)
        if known is not None and known[0] is layer:
            return known[1]
        inputs, weights, outputs, joins = (
            tuple(self.tensors[name] for name in names)
            for names in (layer.inputs, layer.weights, layer.outputs, layer.joins)
        )
        view = LayerView(layer.name, layer.shape, inputs, weights, outputs, self.batch, joins)
        self._views[layer.name] = layer, view
        return view

    def with_tensors(self, changed: Mapping[str, Tensor]) -> Network:
        """Return the network with some tensors replaced."""
        return replace(self, tensors={**self.tensors, **changed})

    def graph(self) -> nx.DiGraph:
        """Return the layers as a networkx graph; an edge carries the tensor that connects two layers."""
        import networkx as nx

        graph = nx.DiGraph(name=self.name)
        producer = {t: layer.name for layer in self.layers for t in layer.outputs}
        for layer in self.layers:
            graph.add_node(layer.name, kind=layer.kind, macs=layer.macs)
        for layer in self.layers:
            for t in layer.reads:
                if t in producer:
                    graph.add_edge(producer[t], layer.name, tensor=t)
        return graph


def input_names(layer: str, count: int) -> tuple[str, ...]:
    """Return the default names of a layer's ``count`` inputs: ``<layer>.input``, ``<layer>.input2``, ..."""
    return tuple(f"{layer}.input{i if i > 1 else ''}" for i in range(1, count + 1))


def default_masks(layer: str, shape: Attention) -> tuple[str, ...]:
    """Return the default name of an attention's mask, a constant (q, kv): there is one if it is causal."""
    return () if shape.causal == "none" else (f"{layer}.mask",)


def make_layer(
    name: str,
    shape: Shape,
    *,
    inputs: tuple[str, ...] | None = None,
    output: str | None = None,
    bias: bool = False,
) -> tuple[Layer, dict[str, Tensor]]:
    """Return a layer and its tensors, named ``<layer>.input``, ``.weight``, ``.bias``, ``.output`` by default.

    Parameters
    ----------
    name : str
    shape : Shape
    inputs : tuple of str, optional
        Names of existing tensors to read instead of own ones.
    output : str, optional
        Name of the output tensor.
    bias : bool
        Whether a product layer has one bias per output channel.
    """
    names = inputs if inputs is not None else input_names(name, len(shape.input_shapes))
    if len(names) != len(shape.input_shapes):
        raise WorkloadError(
            f"layer '{name}' ({shape.kind}) takes {len(shape.input_shapes)} inputs but lists {len(names)}",
            "list one tensor per operand",
        )
    tensors = {t: Tensor(t, s) for t, s in zip(names, shape.input_shapes, strict=True)}
    weights: list[Tensor] = []
    weight_shape = getattr(shape, "weight_shape", None)
    if weight_shape is not None:
        weights.append(Tensor(f"{name}.weight", weight_shape, weight=True))
        if bias:
            weights.append(Tensor(f"{name}.bias", (weight_shape[0],), weight=True))
    out = Tensor(output or f"{name}.output", shape.output_shape)
    tensors |= {t.name: t for t in [*weights, out]}
    layer = Layer(name, shape, names, tuple(t.name for t in weights), (out.name,))
    return layer, tensors


def is_view(layer: Layer) -> bool:
    """Whether the layer is a renaming without work."""
    return isinstance(layer.shape, View)


def _raise(layer: Layer, fault: Fault | None) -> None:
    if fault is not None:
        raise WorkloadError(f"layer '{layer.name}': {fault[0]}", fault[1])
