"""Layers, named tensors and the network that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

from accelsim import basis
from accelsim.errors import ModelError, WorkloadError
from accelsim.workload.check import Fault, edge_fault, layer_fault, order_fault
from accelsim.workload.pattern import BERNOULLI
from accelsim.workload.shapes import PRODUCTS, Conv2d, Linear, Matmul, Shape, View, batched_dims, elements, macs

if TYPE_CHECKING:
    import networkx as nx
    import numpy as np

Home: TypeAlias = Literal["dram", "chip"]


@dataclass(frozen=True)
class Tensor:
    """A named tensor.

    Attributes
    ----------
    name : str
    shape : tuple of int
        The first dimension of an activation covers the batch.
    bits : int or None
        Width of an element; None until the machine's default precision is applied.
    signed : bool
    density : float
        Share of non-zero elements, in [0, 1].
    weight : bool
        A constant of the network: the same for every image.
    home : "dram" or "chip"
        Where it lives between layers.
    pattern : str
        Where the zeros of synthetic values fall: a text that `accelsim.workload.pattern.parse` reads.
    """

    name: str
    shape: tuple[int, ...]
    bits: int | None = None
    signed: bool = True
    density: float = 1.0
    weight: bool = False
    home: Home = "dram"
    pattern: str = BERNOULLI

    @property
    def elements(self) -> int:
        """Number of elements."""
        return elements(self.shape)

    @property
    def width(self) -> int:
        """Bits of an element; ModelError before the machine's default precision is applied."""
        if self.bits is None:
            raise ModelError(f"tensor '{self.name}' has no width yet")
        return self.bits


@dataclass(frozen=True)
class Layer:
    """One piece of work on named tensors.

    Of a layer that multiplies, the first of ``weights`` are the filters and a second one is the bias; other layers
    list their constants there (scales, shifts, constant operands). ``parent`` is the operator of which it is a part.
    """

    name: str
    shape: Shape
    inputs: tuple[str, ...]
    weights: tuple[str, ...]
    outputs: tuple[str, ...]
    parent: str = ""

    @property
    def kind(self) -> str:
        """``conv2d``, ``linear``, ``matmul``, ``pool``, ..."""
        return self.shape.kind

    @property
    def macs(self) -> int | None:
        """Dense multiply-accumulates; 0 for the memory-bound kinds, None where they are unknown."""
        return macs(self.shape)


@dataclass(frozen=True)
class LayerView:
    """A layer with its tensors resolved: all that an engine sees of a network."""

    name: str
    shape: Shape
    inputs: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    batch: int = 1

    @property
    def kind(self) -> str:
        """The kind of work."""
        return self.shape.kind

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates; a unit sees only layers whose number is known."""
        return macs(self.shape) or 0

    @cached_property
    def conv(self) -> Conv2d:
        """A product as a convolution; of a layer of another kind, ModelError."""
        if isinstance(self.shape, Conv2d | Linear | Matmul):
            return self.shape.as_conv()
        raise ModelError(f"layer '{self.name}' is no convolution but {self.kind}")

    @property
    def input(self) -> Tensor:
        """The first input."""
        return self.inputs[0]

    @property
    def weight(self) -> Tensor:
        """The filters; of a matmul, the second activation."""
        return self.weights[0] if self.weights else self.inputs[1]

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]


@dataclass(frozen=True)
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
    values: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)
    absent: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        names: set[str] = set()
        for layer in self.layers:
            if layer.name in names:
                raise WorkloadError(f"two layers are called '{layer.name}'", "give each layer its own name")
            names.add(layer.name)
            _raise(layer, layer_fault(layer, self.tensors))
        for found in (order_fault(self.layers), edge_fault(self.layers) if self.isolated else None):
            if found is not None:
                _raise(*found)

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
        return tuple(dict.fromkeys(n for layer in self.layers for n in layer.inputs if n not in made))

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
        layers = tuple(replace(layer, shape=layer.shape.batched(factor)) for layer in self.layers)
        return replace(self, layers=layers, tensors=tensors, batch=batch)

    def refuse_absent(self, tensor: str) -> None:
        """Raise WorkloadError if the values of a tensor are wanted and the file that should hold them is missing."""
        if tensor in self.absent:
            problem = f"tensor '{tensor}' is kept in '{self.absent[tensor]}', which is missing"
            raise WorkloadError(problem, "put it beside the model")

    def view(self, layer: Layer) -> LayerView:
        """Return ``layer`` with its tensors resolved."""
        inputs, weights, outputs = (
            tuple(self.tensors[name] for name in names) for names in (layer.inputs, layer.weights, layer.outputs)
        )
        return LayerView(layer.name, layer.shape, inputs, weights, outputs, self.batch)

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
            for t in layer.inputs:
                if t in producer:
                    graph.add_edge(producer[t], layer.name, tensor=t)
        return graph


def input_names(layer: str, count: int) -> tuple[str, ...]:
    """Return the default names of a layer's ``count`` inputs: ``<layer>.input``, ``<layer>.input2``, ..."""
    return tuple(f"{layer}.input{i if i > 1 else ''}" for i in range(1, count + 1))


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
