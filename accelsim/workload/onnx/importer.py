"""ONNX graphs as connected networks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from accelsim import basis
from accelsim.errors import WorkloadError
from accelsim.workload.check import illegal
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.network import Network
from accelsim.workload.onnx.attention import is_causal
from accelsim.workload.onnx.attentions import gathered
from accelsim.workload.onnx.file import Constant, LazyValues, read_model
from accelsim.workload.onnx.graph import Graph, prepare
from accelsim.workload.onnx.macs import macs
from accelsim.workload.onnx.names import SCOPES, Label, layer_names, module_path
from accelsim.workload.onnx.node import Node, RefusedError, UnknownShapeError
from accelsim.workload.onnx.ops import convert
from accelsim.workload.onnx.work import Weight, Work
from accelsim.workload.shapes import PRODUCTS, UNKNOWN, Dims, Unsupported, elements
from accelsim.workload.sizes import Sizes


def load(path: Path, name: str | None = None, dims: Sizes | None = None, source: str = "") -> Network:
    """Return the network of an ONNX file.

    Operators that accelsim does not know become layers of kind ``unsupported`` with the reason. Nodes that only
    work on constants are folded away. The values of initialisers are read when they are asked for.

    Parameters
    ----------
    path : Path
    name : str, optional
        How messages call the file; the path by default.
    dims : mapping, optional
        Sizes of dimensions that the graph leaves open, by name.
    source : str, optional
        Where the graph comes from; the file's name and exporter by default.

    Raises
    ------
    ConfigError, WorkloadError
        A file that is no ONNX model, sizes that are not given or not open, weights that are missing.
    """
    shown = name or str(path)
    model = read_model(path, shown)
    if not source:
        source = f"ONNX file {path.name}" + (f", exported by {model.producer_name}" if model.producer_name else "")
    return network_of(model, path.parent, shown, dims or {}, path.stem, source)


def network_of(model: Any, folder: Path, shown: str, dims: Sizes, name: str, source: str) -> Network:
    """Return the network of a model whose local functions are expanded; see `load`.

    Parameters
    ----------
    model : onnx.ModelProto
    folder : Path
        Where weights beside the model are.
    shown : str
        How messages call the model.
    """
    graph = prepare(model, folder, shown, dims)
    try:
        return _Importer(graph, shown).network(re.sub(r"[^A-Za-z0-9_.-]", "_", name), source)
    except WorkloadError as error:
        raise WorkloadError(error.problem, error.remedy, file=error.file or shown) from None


@dataclass
class _Importer:
    """Turns nodes into layers; ``made`` are shapes of tensors between the layers of one operator, ``unknown`` are
    tensors whose shapes nobody can infer."""

    graph: Graph
    shown: str
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    made: dict[str, Dims] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)

    def network(self, name: str, source: str) -> Network:
        """Return the finished network."""
        works = [(node, work) for node in self.graph.nodes for work in self._works(node)]
        if not works:
            raise WorkloadError("the graph has no layers", "give a model that computes something")
        layers = tuple(self._layer(*named) for named in _named(works))
        parts: dict[str, tuple[str, ...]] = {}
        for (node, _), layer in zip(works, layers, strict=True):
            made = next(iter(node.outputs), "")
            parts[made] = (*parts.get(made, ()), layer.name)
        values = LazyValues({name: c for name, c in self.constants.items() if c.origin is not None and not c.absent})
        softmax = ((node, layer) for (node, work), layer in zip(works, layers, strict=True) if work.part == "softmax")
        causal = {layer.name for node, layer in softmax if is_causal(node)}
        return Network(
            name=name,
            layers=gathered(layers, self.tensors, self.graph.sizes.batch, causal, values),
            tensors=self.tensors,
            source=source,
            batch=self.graph.sizes.batch,
            batch_doubt=self.graph.sizes.doubt,
            notes=(*self._notes(), *_unsupported_notes(layers)),
            values=values,
            absent={name: c.absent for name, c in self.constants.items() if c.absent},
            program=replace(self.graph.program, batch=self.graph.sizes.batch, layers=parts),
        )

    def _works(self, node: Node) -> list[Work]:
        """Return the node's work; if it is refused, one unsupported layer that says why."""
        try:
            if not node.outputs:
                raise RefusedError("it has no output")
            works = self._needed(node, convert(node))
            for work in works:
                self._note_shapes(work)
                self._compare(work)
            if self.used.intersection(node.outputs).difference(*(work.outputs for work in works)):
                raise RefusedError("more than one of its outputs is used")
            return works
        except RefusedError as refusal:
            return [self._unsupported(node, str(refusal))]
        except UnknownShapeError as missing:
            if not self.unknown.intersection((*node.inputs, str(missing))):
                raise WorkloadError(
                    f"the shape of tensor '{missing}' at operator '{node.label}' ({node.op}) cannot be inferred",
                    "export with fixed sizes, and what decides its shape as a constant",
                ) from None
            return [self._unsupported(node, "it comes after an unsupported operator, its shapes are unknown")]

    def _note_shapes(self, work: Work) -> None:
        """Enter the shapes of tensors between the layers of one operator, which the graph does not know."""
        known = self.graph.shapes
        for name, dims in zip(work.inputs, work.shape.input_shapes, strict=True):
            if name not in known:
                self.made.setdefault(name, dims)
        self.made.setdefault(work.outputs[0], work.shape.output_shape)

    def _needed(self, node: Node, works: list[Work]) -> list[Work]:
        """Leave out what an operator could give besides and nobody reads."""
        if len(works) == 1:
            return works
        wanted = self.used | set(node.outputs[:1])
        kept: list[Work] = []
        for work in reversed(works):
            if wanted.intersection(work.outputs):
                kept.append(work)
                wanted |= set(work.inputs)
        return kept[::-1]

    @cached_property
    def used(self) -> set[str]:
        """Tensors that somebody reads."""
        return {name for node in self.graph.nodes for name in node.inputs} | set(self.graph.outputs)

    def _compare(self, work: Work) -> None:
        """Refuse work with illegal dimensions, or with other sizes than the graph's tensors have."""
        fault = illegal(work.shape)
        if fault is not None:
            raise RefusedError(fault[0])
        found, ours = self.graph.shapes.get(work.outputs[0]), work.shape.output_shape
        if found is not None and elements(found) != elements(ours):
            raise RefusedError(f"its output would be {list(ours)} where ONNX infers {list(found)}")
        for weight in work.weights:
            stored = self.graph.constants[weight.name].shape
            if weight.start is None and elements(stored) != elements(weight.shape):
                raise RefusedError(f"its constant '{weight.name}' is {list(stored)}, not {list(weight.shape)}")

    def _unsupported(self, node: Node, reason: str) -> Work:
        shapes = self.graph.shapes
        self.unknown |= {name for name in node.outputs if name not in shapes}
        outputs = node.outputs or (f"{node.label}.output",)
        inputs = tuple(shapes.get(name, UNKNOWN) for name in node.activations)
        shape = Unsupported(node.op, reason, inputs, shapes.get(outputs[0], UNKNOWN), macs(node))
        weights = tuple(Weight(n, node.shape(n)) for n in dict.fromkeys(node.inputs) if node.constant(n))
        return Work(shape, node.activations, outputs, weights)

    def _layer(self, name: str, work: Work, parent: str) -> Layer:
        inputs = tuple(self._activation(name, tensor) for tensor in work.inputs)
        weights = tuple(self._weight(name, weight) for weight in work.weights)
        outputs = tuple(self._activation(name, tensor) for tensor in work.outputs)
        return Layer(name, work.shape, inputs, weights, outputs, parent)

    def _activation(self, layer: str, name: str) -> str:
        """Note an activation; a constant among them becomes one of the layer's own, present for every image."""
        constant = self.graph.constants.get(name)
        if constant is not None:
            own, shape = f"{layer}.{name}", constant.shape
        else:
            own, shape = name, self.graph.shapes.get(name, self.made.get(name, UNKNOWN))
        self.tensors.setdefault(own, self._typed(Tensor(own, shape), name))
        return own

    def _typed(self, tensor: Tensor, name: str) -> Tensor:
        """Return the tensor with the width and sign that the graph gives to ``name``, if any."""
        found = self.graph.types.get(name)
        return tensor if found is None else replace(tensor, bits=found.bits, signed=found.signed)

    def _weight(self, layer: str, weight: Weight) -> str:
        """Note a constant in the layout of its layer; a layer that wants another layout gets a name of its own."""
        found = self.graph.constants[weight.name]
        if weight.start is not None:
            found = found.part(weight.start, weight.shape)
        if weight.view is not None:
            found = found.reshaped(weight.view)
        if weight.order is not None:
            found = found.transposed(weight.order)
        found = found.reshaped(weight.shape)
        name = weight.label or weight.name
        if self.constants.get(name, found) != found or name in self.tensors.keys() - self.constants.keys():
            name = f"{layer}.{name}"
        self.constants[name] = found
        self.tensors[name] = self._typed(Tensor(name, weight.shape, weight=True), weight.name)
        return name

    def _notes(self) -> Iterator[str]:
        yield from self.graph.sizes.notes
        if absent := [c.absent for c in self.constants.values() if c.absent]:
            files = ", ".join(sorted(set(absent)))
            yield f"the file of {len(absent)} constants is missing ({files}): synthetic values, density 1, stand in"
        if counts := self.graph.values.counts:
            kinds = ", ".join(f"{count} {op}" for op, count in sorted(counts.items()))
            yield f"{counts.total()} operators were computed from constants, for shapes and settings: {kinds}"
        if self.graph.fills:
            yield (
                f"{self.graph.fills} constants of the graph are fills (ConstantOfShape): "
                "their shapes count, their values say nothing about sparsity"
            )


def _unsupported_notes(layers: tuple[Layer, ...]) -> Iterator[str]:
    """Yield what is not supported: by operator its number, multiply-accumulates, and elements read and written."""
    groups: dict[str, list[Unsupported]] = {}
    for layer in layers:
        if isinstance(layer.shape, Unsupported):
            groups.setdefault(layer.shape.op, []).append(layer.shape)
    said = []
    for op, shapes in sorted(groups.items()):
        macs = basis.whole(shape.macs for shape in shapes)
        moved = sum(elements(dims) for shape in shapes for dims in (*shape.inputs, shape.shape))
        work = "MACs unknown" if macs is None else f"{macs:,} MACs"
        said.append(f"{len(shapes)} {op} ({work}, at least {moved:,} elements read and written)")
    if said:
        yield "not supported: " + "; ".join(said)


def _named(works: list[tuple[Node, Work]]) -> Iterator[tuple[str, Work, str]]:
    """Yield each work with its layer's name and its parent's: parts of an operator share the operator's name."""
    first: dict[int, int] = {}
    for i, (node, work) in enumerate(works):
        if work.part:
            first.setdefault(id(node), i)
    single = [i for i, (node, work) in enumerate(works) if not work.part or first[id(node)] == i]
    filters = {id(node): _filters(work) for node, work in reversed(works) if _filters(work)}
    labels = [_label(node, filters.get(id(node), "") if work.part else _filters(work))
              for node, work in (works[i] for i in single)]  # fmt: skip
    names = dict(zip(single, layer_names(labels), strict=True))
    taken = {names[i] for i in single if not works[i][1].part}
    for i, (node, work) in enumerate(works):
        if not work.part:
            yield names[i], work, ""
            continue
        parent = names[first[id(node)]]
        name, copies = f"{parent}.{work.part}", 1
        while name in taken:
            copies += 1
            name = f"{parent}.{work.part}.{copies}"
        taken.add(name)
        yield name, work, parent


def _label(node: Node, filters: str) -> Label:
    scopes = next((entry.value for entry in getattr(node.proto, "metadata_props", ()) if entry.key == SCOPES), "")
    return Label(node.proto.name, node.op, filters, module_path(node.proto.name, node.op, scopes))


def _filters(work: Work) -> str:
    return work.weights[0].name if work.shape.kind in PRODUCTS and work.weights else ""
