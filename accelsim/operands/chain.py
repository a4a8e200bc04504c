"""Chained operands: each layer computed from the layers before it, rounded where a layer reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import sqrt

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.operands import graph_values, streams
from accelsim.operands.handle import MAX_VALUE_BITS, Operand, one
from accelsim.operands.layer_values import SETTINGS, layer_reals
from accelsim.operands.rounding import Chain, RefusedValuesError, Rounding, limits, rounded
from accelsim.workload.layers import Layer, LayerView, Tensor
from accelsim.workload.network import Network
from accelsim.workload.onnx.node import Node, UnknownShapeError
from accelsim.workload.onnx.program import Program
from accelsim.workload.shapes import PRODUCTS, UNKNOWN, Elementwise, elements

INDEX_BITS = 16
"""Drawn integers of more bits are indices or 0 and 1: as lengths or positions they would fit nothing."""

TOLERANCE = 1e-4
"""Share of the largest value by which the parts of an operator may miss what it gives: float32 sums."""

MAX_NAMED = 8
"""So many refusals are named in a note; the others are counted."""


def propagate(network: Network, seed: int) -> Chain:
    """Return the activations that layers compute, as the integers that their readers see.

    Parameters
    ----------
    network : Network
        Connected; tensors have widths.
    seed : int
        For what has no values: network inputs, weights.

    Raises
    ------
    WorkloadError
        Isolated layers; a number of images that is no multiple of what the graph is written for.
    """
    if network.isolated:
        raise WorkloadError(
            f"network '{network.name}' has isolated layers: nothing connects them",
            "run it without '--operands chain'",
        )
    run = _Shapes(network, seed) if network.program is None else _Graph(network, seed, network.program)
    reals = run.reals()
    return run.finished(reals)


@dataclass
class _Run:
    """One propagation: what was drawn, what was refused, which operations took their default settings."""

    network: Network
    seed: int
    refused: dict[str, str] = field(default_factory=dict)
    roundings: dict[str, Rounding] = field(default_factory=dict)
    given: dict[str, np.ndarray] = field(default_factory=dict)
    settings: set[str] = field(default_factory=set)

    def reals(self) -> dict[str, np.ndarray]:
        """Return tensor name -> what layers compute, for all images; drawn tensors are not among them."""
        raise NotImplementedError

    def operand(self, name: str) -> Operand:
        """Return the synthetic operand of a tensor."""
        return one(self.network.tensors[name], self.seed, self.network.batch)

    def draw(self, name: str, code: Rounding | None = None) -> np.ndarray:
        """Return the reals that the synthetic operand of a tensor stands for: from -1 to 1, or 0 to 1."""
        operand = self.operand(name)
        self.roundings[name] = code or Rounding(1 / max(limits(operand.tensor)[1], 1))
        step, zero = self.roundings[name]
        return (operand.values - zero) * step

    def note(self, layer: str, reason: str) -> None:
        """Note a refusal; the first reason of a layer stands."""
        self.refused.setdefault(layer, reason)

    def finished(self, reals: Mapping[str, np.ndarray], codes: Mapping[str, Rounding] | None = None) -> Chain:
        """Return the integers of all tensors."""
        tensors = self.network.tensors
        makers = {name: layer.name for layer in self.network.layers for name in layer.outputs}
        for name, array in reals.items():
            tensor = tensors.get(name)
            if tensor is None or tensor.shape == UNKNOWN or tensor.weight:
                continue
            try:
                code = (codes or {}).get(name)
                self.given[name], self.roundings[name] = rounded(array.reshape(tensor.shape), tensor, code)
            except RefusedValuesError as error:
                self.note(makers.get(name, f"input {name}"), str(error))
        return Chain(self.given, self.roundings, tuple(self.notes()))

    def notes(self) -> Iterator[str]:
        """Yield what a reader of results must know."""
        tensors = self.network.tensors
        scaled = sorted({tensors[name].width for name, (step, _) in self.roundings.items()
                         if name in self.given and step != 1})  # fmt: skip
        if scaled:
            shares = ", ".join(f"{100 / (2**bits - 2 if bits > 1 else 1):.2g} % at {bits} bits" for bits in scaled)
            yield (
                "chained operands: computed in reals from the layers before, rounded once where a layer reads, one "
                f"step per tensor (in each layer's details): off by at most {shares} of a tensor's largest magnitude"
            )
        if any(t.bits == 1 and t.signed and name in self.given for name, t in tensors.items()):
            yield "chained operands of one bit are signs: how far they are from the computed values is not bounded"
        if self.refused:
            named = [f"'{layer}' ({why})" for layer, why in list(self.refused.items())[:MAX_NAMED]]
            more = len(self.refused) - len(named)
            rest = f" and {more} more" if more else ""
            yield (
                "values that are not known, synthetic operands in their place from there on: "
                + "; ".join(named) + rest
            )  # fmt: skip


class _Shapes(_Run):
    """A network without a graph: its layers' shapes say what is computed."""

    def reals(self) -> dict[str, np.ndarray]:
        """Return what layers compute, layer by layer."""
        found: dict[str, np.ndarray] = {}
        drawn: dict[str, np.ndarray] = {}
        for layer in self.network.layers:
            view = self.network.view(layer)
            try:
                if isinstance(layer.shape, Elementwise) and layer.shape.op == "copy":
                    raise RefusedValuesError("a 'copy' does not say where an element goes")
                inputs = []
                for name in layer.inputs:
                    if name not in found and name not in drawn:
                        drawn[name] = self.draw(name)
                    inputs.append(found[name] if name in found else drawn[name])
                result = layer_reals(view, inputs, self._weights(layer, view))
            except RefusedValuesError as error:
                self.note(layer.name, str(error))
                continue
            if getattr(layer.shape, "op", "") in SETTINGS:
                self.settings.add(getattr(layer.shape, "op", ""))
            found[layer.outputs[0]] = result
        return found

    def _weights(self, layer: Layer, view: LayerView) -> list[np.ndarray]:
        """Return a layer's constants: stored ones, else drawn filters and operands, and neutral biases and scales."""
        result = []
        for i, tensor in enumerate(view.weights):
            if tensor.name in self.network.values:
                result.append(np.asarray(self.network.values[tensor.name]))
            elif layer.kind in PRODUCTS and i == 0:
                taps = tensor.elements // max(tensor.shape[0], 1)
                result.append(self.draw(tensor.name) * sqrt(6 / max(taps, 1)))
            elif layer.kind == "elementwise":
                result.append(self.draw(tensor.name))
            else:
                scale = layer.kind == "normalization" and i == 0
                result.append(np.full(tensor.shape, float(scale)))
        return result

    def notes(self) -> Iterator[str]:
        """Yield what a reader of results must know, how weights without values were made among it."""
        yield from super().notes()
        parts = ["filters are drawn within sqrt(6 / taps)", "biases and shifts are 0, scales 1"]
        parts += [f"'{op}' has ONNX's default setting" for op in sorted(self.settings)]
        yield "chained operands of a network without values: " + ", ".join(parts)


class _Graph(_Run):
    """A network of an ONNX graph: its operators say what is computed."""

    def __init__(self, network: Network, seed: int, program: Program) -> None:
        super().__init__(network, seed)
        self.program = program
        factor = Fraction(network.batch, program.batch)
        if factor.denominator != 1:
            raise WorkloadError(
                f"chained operands of {network.batch} images: the graph is written for {program.batch}",
                f"use a multiple of {program.batch}",
            )
        self.turns = factor.numerator
        self.codes = graph_values.codes(program)
        self.bounds = graph_values.bounds(program)
        self.one_turn = replace(network, batch_doubt="").batched(program.batch)
        self.layers = {layer.name: layer for layer in self.one_turn.layers}

    def reals(self) -> dict[str, np.ndarray]:
        """Return what the graph computes, some images after others."""
        whole: dict[str, np.ndarray] = {}
        turns = [self._turn(turn, whole) for turn in range(self.turns)]
        names = [name for name in turns[0] if all(name in turn for turn in turns)]
        found = {}
        for name in names:
            parts = [turn[name] for turn in turns]
            if name in self.network.tensors:
                found[name] = np.concatenate(parts) if self.turns > 1 and parts[0].ndim else parts[0]
        for layer in self.network.layers:  # constants that a layer reads as activations have a name of their own
            for name in layer.inputs:
                stored = turns[0].get(name.removeprefix(f"{layer.name}."))
                if name not in found and name not in self.roundings and stored is not None:
                    found[name] = np.concatenate([stored] * self.turns) if stored.ndim else stored
        return found

    def finished(self, reals: Mapping[str, np.ndarray], codes: Mapping[str, Rounding] | None = None) -> Chain:
        """Return the integers of all tensors, by the graph's own steps where it has them."""
        return super().finished(reals, codes or self.codes)

    def _turn(self, turn: int, whole: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return tensor name -> value for the images of one turn; drawn tensors are kept in ``whole`` for all turns."""
        known: dict[str, np.ndarray] = {}
        drawn: dict[str, np.ndarray] = {}

        def value(name: str) -> np.ndarray | None:
            if name in known:
                return known[name]
            if name not in drawn:
                stored = self.program.constant(name)
                made = stored if stored is not None else self._drawn(name, turn, whole)
                if made is None:
                    return None
                if stored is not None or name in self.given:
                    known[name] = made
                else:
                    drawn[name] = made
            return known.get(name, drawn.get(name))

        for node in self.program.nodes:
            if node.outputs and self.program.constant(node.outputs[0]) is not None:
                continue
            names = self.program.layers.get(node.outputs[0] if node.outputs else "", ())
            lowered = len(names) > 1
            inputs = {name: value(name) for name in node.inputs}
            try:
                lacking = [name for name, array in inputs.items() if array is None]
                if lacking:
                    raise RefusedValuesError(f"nothing is known of its input '{lacking[0]}'")
                if lowered and graph_values.has_own_cell(node):
                    graph_values.check_states(node, inputs)
                    known |= self._parts(names, known | drawn)
                    continue
                layer = self.layers[names[0]] if len(names) == 1 else None
                outputs = self._outputs(node, inputs, layer)
            except (RefusedValuesError, UnknownShapeError, MemoryError) as error:
                self.note(", ".join(names[:1]) or node.label, f"{node.op}: {error or 'too large'}")
                continue
            known |= outputs
            if lowered:
                try:
                    known |= self._between(names, known | drawn, outputs)
                except RefusedValuesError as error:
                    parent = self.layers[names[0]].parent
                    self.note(parent, f"{node.op}: between its {len(names)} parts: {error}")
        return known

    def _outputs(
        self, node: Node, inputs: Mapping[str, np.ndarray | None], layer: Layer | None
    ) -> dict[str, np.ndarray]:
        results = graph_values.computed(node, inputs, self.program.opsets, layer.shape if layer else None)
        for name, result in zip(node.outputs, results, strict=True):
            if name in node.shapes and node.shapes[name] != result.shape:
                raise RefusedValuesError(f"it gives {list(result.shape)} where the graph has {list(node.shapes[name])}")
        return dict(zip(node.outputs, results, strict=True))

    def _between(
        self, names: tuple[str, ...], known: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Return the tensors between the layers of one operator, if these lead to what it gives."""
        found = self._parts(names, known)
        for name, truth in outputs.items():
            result = found.pop(name, None)
            if result is None:
                continue
            size = float(np.abs(truth).max(initial=0.0)) if truth.dtype.kind in "iuf" else 1.0
            same = truth.size == result.size
            if not same or not np.allclose(result.reshape(truth.shape), truth, rtol=0, atol=TOLERANCE * size):
                raise RefusedValuesError("they do not say all that it computes")
        return found

    def _parts(self, names: tuple[str, ...], known: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return what the layers of one operator compute by their shapes; a state that nobody gives is zero."""
        found: dict[str, np.ndarray] = {}
        made = {output for name in names for output in self.layers[name].outputs}
        for name in names:
            view = self.one_turn.view(self.layers[name])
            inputs = []
            for tensor in view.inputs:
                array = found.get(tensor.name, known.get(tensor.name, known.get(tensor.name.removeprefix(f"{name}."))))
                if array is None and tensor.name in (*made, *self.program.kinds):
                    raise RefusedValuesError(f"'{tensor.name}' is not known")
                inputs.append(np.zeros(tensor.shape) if array is None else array)
            lacking = [tensor.name for tensor in view.weights if tensor.name not in self.network.values]
            if lacking:
                raise RefusedValuesError(f"constant '{lacking[0]}' has no values")
            weights = [np.asarray(self.network.values[tensor.name]) for tensor in view.weights]
            found[view.output.name] = layer_reals(view, inputs, weights)
            if view.inputs:
                for tensor, array in zip(view.inputs, inputs, strict=True):
                    if tensor.name not in known:
                        found.setdefault(tensor.name, array)
        return found

    def _drawn(self, name: str, turn: int, whole: dict[str, np.ndarray]) -> np.ndarray | None:
        """Return synthetic values of a tensor for the images of one turn, in the graph's type; None without a shape."""
        from onnx import TensorProto, helper

        tensor = self.network.tensors.get(name)
        if tensor is None or tensor.weight or tensor.shape == UNKNOWN or not elements(tensor.shape):
            return None
        if name not in whole:
            kind = self.program.kinds.get(name, 0) or TensorProto.FLOAT
            try:
                dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind))
            except (KeyError, TypeError):
                return None
            whole[name] = self._whole(name, tensor, dtype)
        array = whole[name]
        if self.turns == 1 or not array.ndim:
            return array
        size = array.shape[0] // self.turns
        return array[turn * size : (turn + 1) * size]

    def _whole(self, name: str, tensor: Tensor, dtype: np.dtype[np.generic]) -> np.ndarray:
        if dtype.kind == "b":
            self.given[name] = np.ones(tensor.shape, np.uint8)
            self.roundings[name] = Rounding()
            return np.ones(tensor.shape, bool)
        if dtype.kind in "iu" and (name in self.bounds or tensor.width > INDEX_BITS):
            bound = self.bounds.get(name, 2)
            raw = streams.words(self.seed, name, 0, "indices", tensor.elements)
            drawn = (raw % np.uint64(bound)).astype(np.int64).reshape(tensor.shape)
            self.given[name], self.roundings[name] = drawn, Rounding()
            return drawn.astype(dtype)
        if dtype.kind in "iu":
            self.roundings[name] = Rounding()
            return self.operand(name).values.astype(dtype)
        if tensor.width > MAX_VALUE_BITS:
            raise WorkloadError(
                f"tensor '{name}': values of {tensor.width} bits cannot be made", f"at most {MAX_VALUE_BITS} bits"
            )
        return self.draw(name, self.codes.get(name)).astype(dtype)
