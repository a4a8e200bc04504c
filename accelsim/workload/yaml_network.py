"""Networks written as YAML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelsim.config.yamlfile import Document, KeyPath, read, shown, validate
from accelsim.text import nearest
from accelsim.workload import peers
from accelsim.workload.check import edge_fault, layer_fault
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.network import Network, default_masks, input_names
from accelsim.workload.schema import (
    AttentionSpec,
    BlockSpec,
    LayerBase,
    LayerSpec,
    MatmulSpec,
    NetworkSpec,
    ProductBase,
    RoleSpec,
    SpGemmSpec,
    TensorSpec,
)
from accelsim.workload.shapes import SHAPE_TYPES, Attention, Dims, Shape

MAX_LAYERS = 100_000
"""More layers than this are refused, however they are repeated."""


def load(path: Path, name: str | None = None) -> Network:
    """Return the network of a YAML file: ours, ZigZag's layers or Timeloop's problem.

    Parameters
    ----------
    path : Path
    name : str, optional
        How messages call the file; the path by default.

    Raises
    ------
    ConfigError
        The file's first mistake, with line and key: unreadable, unknown or missing keys, values of the wrong kind,
        illegal dimensions, tensors that are unknown or differ in size between producer and consumer; a file of another
        tool that is no workload of products and convolutions.
    """
    document = read(path, name, listed=peers.LISTED)
    theirs = peers.network(document)
    return build(document) if theirs is None else theirs


def build(document: Document) -> Network:
    """Return the network that a document describes; see `load`."""
    _check_kinds(document, document.data.get("layers"), ("layers",))
    spec = validate(NetworkSpec, document)
    return _Builder(document, spec).network()


def _check_kinds(document: Document, layers: Any, path: KeyPath) -> None:
    """Raise for a layer whose kind is unknown: without it nothing else about the layer can be checked."""
    known = [*SHAPE_TYPES, "block"]
    for i, layer in enumerate(layers if isinstance(layers, list) else ()):
        if not isinstance(layer, dict):
            continue
        here, kind = (*path, i), layer.get("kind")
        if "kind" not in layer:
            raise document.error((*here, "kind"), "missing key", f"add 'kind: ...', one of {', '.join(known)}")
        if kind not in known:
            hint = nearest(str(kind), known, f"known kinds: {', '.join(known)}")
            raise document.error((*here, "kind"), f"{shown(kind)} is not a kind of layer", hint)
        _check_kinds(document, layer.get("layers"), (*here, "layers"))


@dataclass
class _Builder:
    """Lays out the layers one by one; ``given`` holds what the file says of each tensor."""

    document: Document
    spec: NetworkSpec
    layers: list[Layer] = field(default_factory=list)
    paths: dict[str, KeyPath] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    given: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    def network(self) -> Network:
        """Return the finished network."""
        spec = self.spec
        if spec.isolated and spec.inputs:
            raise self.document.error(
                ("inputs",), "an isolated network has no shared inputs", "remove it or write 'isolated: false'"
            )
        for name, layer_spec, path in self._expanded(spec.layers, ("layers",), ""):
            self.layers.append(self._layer(name, layer_spec, path))
        self._check_names_used()
        self._apply_defaults()
        for layer in self.layers:
            self._raise(layer, layer_fault(layer, self.tensors))
        if spec.isolated and (found := edge_fault(tuple(self.layers))):
            self._raise(*found)
        return Network(
            name=spec.name,
            layers=tuple(self.layers),
            tensors=self.tensors,
            source=spec.source,
            description=spec.description,
            isolated=spec.isolated,
            batch=spec.batch,
            notes=spec.notes,
        )

    def _raise(self, layer: Layer, fault: tuple[str, str] | None) -> None:
        if fault is not None:
            path = self.paths[layer.name]
            raise self.document.error(path, f"layer '{layer.name}': {fault[0]}", fault[1])

    def _expanded(
        self, specs: Sequence[LayerSpec], path: KeyPath, prefix: str
    ) -> Iterator[tuple[str, LayerBase, KeyPath]]:
        """Yield the layers with repeats and blocks unrolled: name, specification, where it stands."""
        for i, spec in enumerate(specs):
            here = (*path, i)
            repeated = spec.repeat > 1 or isinstance(spec, BlockSpec)
            if repeated and not self.spec.isolated:
                raise self.document.error(
                    here, "repetition joins no tensors", "write the layers of a connected network one by one"
                )
            for copy in range(spec.repeat):
                name = f"{prefix}{spec.name}.{copy}" if spec.repeat > 1 else f"{prefix}{spec.name}"
                if isinstance(spec, BlockSpec):
                    yield from self._expanded(spec.layers, (*here, "layers"), f"{name}.")
                else:
                    yield name, spec, here

    def _layer(self, name: str, spec: LayerBase, path: KeyPath) -> Layer:
        """Return a layer, its tensors noted, with the parts that an attention lists."""
        if name in self.paths:
            first = self.document.place(self.paths[name])[1]
            raise self.document.error(
                path, f"a layer called '{name}' is already on line {first}", "give each layer its own name"
            )
        if len(self.layers) == MAX_LAYERS:
            raise self.document.error(path, f"more than {MAX_LAYERS:,} layers", "repeat less")
        self.paths[name] = path
        shape = spec.to_shape()
        inputs = self._inputs(name, spec, shape, path)
        weights = self._weights(name, spec, shape, path)
        parts = self._parts(spec, path) if isinstance(spec, AttentionSpec) else ()
        made = {output for part in parts for output in part.outputs}
        outputs = spec.outputs if spec.outputs is not None else (f"{name}.output",)
        for i, output in enumerate(outputs):
            if output in made:
                continue
            if output in self.tensors or output in self.spec.inputs:
                fault = f"layer '{name}' makes tensor '{output}', which is already there"
                raise self.document.error(path, fault, "give each output its own name")
            self._tensor(output, shape.output_shape if i == 0 else None, spec.output if i == 0 else RoleSpec(), path)
            self.made.add(output)
        return Layer(name, shape, inputs, weights, outputs, spec.parent, parts=parts)

    def _parts(self, spec: AttentionSpec, path: KeyPath) -> tuple[Layer, ...]:
        if spec.parts and self.spec.isolated:
            raise self.document.error((*path, "parts"), "an isolated network connects no parts", "remove them")
        return tuple(self._layer(part.name, part, (*path, "parts", i)) for i, part in enumerate(spec.parts))

    def _inputs(self, name: str, spec: LayerBase, shape: Shape, path: KeyPath) -> tuple[str, ...]:
        count = len(shape.input_shapes)
        inputs = spec.inputs
        if inputs is None:
            if not self.spec.isolated and count:
                raise self.document.error(
                    (*path, "inputs"),
                    f"layer '{name}' of a connected network does not say what it reads",
                    "list the tensors: inputs: [...]",
                )
            inputs = input_names(name, count)
        for i, tensor in enumerate(inputs):
            role = spec.weight if i == 1 and isinstance(spec, MatmulSpec | SpGemmSpec) else spec.input
            if not self.spec.isolated and tensor not in self.made and tensor not in self.spec.inputs:
                hint = nearest(tensor, [*self.spec.inputs, *self.made], "add it to the network's 'inputs'")
                raise self.document.error((*path, "inputs"), f"no layer before '{name}' makes '{tensor}'", hint)
            self._tensor(tensor, shape.input_shapes[i] if i < count else None, role, path)
        return inputs

    def _weights(self, name: str, spec: LayerBase, shape: Shape, path: KeyPath) -> tuple[str, ...]:
        weight_shape = getattr(shape, "weight_shape", None)
        shapes: list[Dims] = [] if weight_shape is None else [weight_shape, (weight_shape[0],)]
        bias = isinstance(spec, ProductBase) and spec.bias
        weights = spec.weights
        if isinstance(shape, Attention):
            shapes = [(shape.q, shape.kv)]
            masked = spec.inputs is not None and len(spec.inputs) > 3
            weights = default_masks(name, shape)[: not masked] if weights is None else weights
        elif weights is None:
            weights = (f"{name}.weight", f"{name}.bias")[: len(shapes) and 1 + bias]
        elif bias and len(weights) != 2:
            raise self.document.error(
                (*path, "weights"), f"layer '{name}' has a bias but lists {len(weights)} weights", "list both"
            )
        for i, tensor in enumerate(weights):
            role = spec.weight if i == 0 and isinstance(spec, ProductBase) else RoleSpec()
            self._tensor(tensor, shapes[i] if i < len(shapes) else None, role, path, weight=True)
        return weights

    def _tensor(self, name: str, shape: Dims | None, role: RoleSpec, path: KeyPath, *, weight: bool = False) -> None:
        """Note a tensor of a layer, with what the layer says of it, unless it is already known."""
        said = role.model_dump(exclude_none=True)
        named = self.spec.tensors.get(name, TensorSpec()).model_dump(exclude_none=True)
        known = self.given.get(name)
        if said and known is not None:
            raise self.document.error(
                path, f"tensor '{name}' is described where another layer uses it", "say it once, or under 'tensors'"
            )
        if twice := said.keys() & named.keys():
            raise self.document.error(
                ("tensors", name, min(twice)), f"the layer that owns '{name}' says it too", "keep one of the two"
            )
        if known is not None:
            if weight != self.tensors[name].weight:
                raise self.document.error(path, f"tensor '{name}' is both weight and activation", "use two names")
            return
        found = named.pop("shape", shape)
        if found is None:
            fault = f"nothing tells the shape of tensor '{name}'"
            raise self.document.error(path, fault, f"add it under 'tensors': {name}: {{shape: [...]}}")
        self.given[name] = {**named, **said}
        self.tensors[name] = Tensor(name, found, weight=weight)

    def _check_names_used(self) -> None:
        used = self.tensors.keys()
        for name in self.spec.tensors:
            if name not in used:
                hint = nearest(name, used, "remove it")
                raise self.document.error(("tensors", name), "no layer uses a tensor of this name", hint)
        for i, name in enumerate(self.spec.inputs):
            if name not in used:
                raise self.document.error(("inputs", i), f"no layer reads '{name}'", "remove it")

    def _apply_defaults(self) -> None:
        defaults = self.spec.defaults
        read_by_layers = {name for layer in self.layers for each in (layer, *layer.parts) for name in each.inputs}
        for name, tensor in self.tensors.items():
            role = defaults.weight if tensor.weight else defaults.input if name in read_by_layers else defaults.output
            attributes = {**role.model_dump(exclude_none=True), **self.given[name]}
            if attributes.get("home") not in (None, "dram", "chip"):
                attributes["buffer"] = attributes.pop("home")
            self.tensors[name] = Tensor(name, tensor.shape, weight=tensor.weight, **attributes)
