"""What the operators of an ONNX graph compute, one after another: convolutions and pooling here, the rest by ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from accelsim.operands.golden import convolve, convolve_reals, pool, softmax
from accelsim.operands.rounding import RefusedValuesError, Rounding
from accelsim.workload.onnx.folding import evaluated
from accelsim.workload.onnx.node import Node
from accelsim.workload.onnx.program import Program
from accelsim.workload.onnx.quant import KEEPS_VALUES
from accelsim.workload.shapes import Conv2d, Pool, Shape

AXES_SINCE = 13
"""Operator set from which on a softmax works along one axis; before, on all that follow the axis as one."""
BROADCAST_SINCE = 7
"""Operator set from which on shapes are broadcast by themselves; before, attributes said how."""

RECURRENT = ("GRU", "LSTM", "RNN")
OWN_CELLS = ("activations", "activation_alpha", "activation_beta", "clip", "input_forget")
"""Attributes of recurrent operators that onnx.reference does not heed."""
LENGTHS = 4
"""The input of a recurrent operator that gives each sequence's length, which it does not heed either."""
STATES = (5, 6)
"""Inputs of a recurrent operator that are states before the first step."""
LATER = {"DequantizeLinear": 19}
"""Operators of which onnx.reference has only a later version, which gives the same."""

Arrays = Mapping[str, Any]


def computed(node: Node, given: Arrays, opsets: Mapping[str, int], shape: Shape | None) -> list[np.ndarray]:
    """Return an operator's outputs, those without a name left out.

    Parameters
    ----------
    node : Node
    given : mapping
        Name -> array for all of its inputs.
    opsets : mapping
        Domain -> version.
    shape : Shape or None
        Of the layer that it became, if it became a single one.

    Raises
    ------
    RefusedValuesError
        An operator whose values cannot be computed.
    """
    own = OWN.get(node.op)
    if own is not None:
        result = own(node, given, shape)
        if result is not None:
            return [result]
    if node.opset < BROADCAST_SINCE and node.has("broadcast"):
        raise RefusedValuesError("it broadcasts by the rules of before operator set 7")
    if has_own_cell(node):
        raise RefusedValuesError("it has activations, bounds or lengths of its own")
    if node.op.startswith("Random"):
        raise RefusedValuesError("it draws numbers")
    versions = {domain: max(version, LATER.get(node.op, 0)) for domain, version in opsets.items()}
    results = evaluated(node, given, versions)
    if results is None:
        raise RefusedValuesError(f"onnx.reference does not compute {node.op}")
    return results


def has_own_cell(node: Node) -> bool:
    """Whether a recurrent operator has settings that onnx.reference does not heed."""
    return node.op in RECURRENT and (bool(node.optional(LENGTHS)) or any(node.has(name) for name in OWN_CELLS))


def check_states(node: Node, given: Mapping[str, np.ndarray | None]) -> None:
    """Refuse a recurrent operator that starts from constants, which its layers do not carry."""
    for name in map(node.optional, STATES):
        if name and node.constant(name) and np.any(given[name]):
            raise RefusedValuesError("it has a cell of its own and starts from constants")


def _conv(node: Node, given: Arrays, shape: Shape | None) -> np.ndarray | None:
    if not isinstance(shape, Conv2d):
        return None
    x, w = given[node.input(0)], given[node.input(1)]
    result = convolve_reals(shape, x.reshape(shape.input_shapes[0]), w.reshape(shape.weight_shape))
    if node.optional(2):
        result = result + given[node.input(2)].reshape(-1, 1, 1)
    return _like(node, result).astype(x.dtype)


def _integers(node: Node, given: Arrays, shape: Conv2d, at: int, zeros: tuple[int, int]) -> np.ndarray:
    """Return the sums of a convolution of integers less their zero points."""

    def less(index: int, dims: tuple[int, ...], zero: int) -> np.ndarray:
        array = given[node.input(index)].astype(np.int64).reshape(dims)
        point = given[node.optional(zero)].astype(np.int64) if node.optional(zero) else np.zeros(1, np.int64)
        return np.asarray(array - point.reshape(-1, *(1,) * 3))

    return convolve(shape, less(0, shape.input_shapes[0], zeros[0]), less(at, shape.weight_shape, zeros[1]))


def _conv_integer(node: Node, given: Arrays, shape: Shape | None) -> np.ndarray | None:
    if not isinstance(shape, Conv2d):
        return None
    return _like(node, _integers(node, given, shape, 1, (2, 3))).astype(np.int32)


def _conv_quantised(node: Node, given: Arrays, shape: Shape | None) -> np.ndarray | None:
    """Return ``saturate(round(sums * x_scale * w_scale / y_scale) + y_zero)``."""
    if not isinstance(shape, Conv2d):
        return None
    sums = _integers(node, given, shape, 3, (2, 5))
    if node.optional(8):
        sums = sums + given[node.input(8)].reshape(-1, 1, 1)
    x_scale, w_scale, y_scale = (given[node.input(i)].astype(np.float32) for i in (1, 4, 6))
    factor = (x_scale * w_scale / y_scale).reshape(-1, 1, 1)
    zero = given[node.input(7)]
    range_ = np.iinfo(zero.dtype)
    result = np.rint(sums.astype(np.float32) * factor) + zero.astype(np.float32)
    return _like(node, np.clip(result, range_.min, range_.max)).astype(zero.dtype)


def _pooled(node: Node, given: Arrays, shape: Shape | None) -> np.ndarray | None:
    x = given[node.input(0)]
    if not isinstance(shape, Pool) or len(node.outputs) > 1 or set(node.integers("dilations", (1,))) != {1}:
        return None
    return _like(node, pool(shape, x.reshape(shape.input_shapes[0]))).astype(x.dtype)


def _flat_softmax(node: Node, given: Arrays, _: Shape | None) -> np.ndarray | None:
    """Return the softmax of before operator set 13: over all dimensions from the axis on."""
    x = given[node.input(0)]
    if node.opset >= AXES_SINCE:
        return None
    axis = node.integer("axis", 1) % max(x.ndim, 1)
    rows = x.astype(np.float64).reshape(prod(x.shape[:axis]), -1)
    if node.op == "Hardmax":
        result = np.zeros(rows.shape)
        result[np.arange(len(rows)), rows.argmax(axis=1)] = 1
    elif node.op == "LogSoftmax":
        less = rows - rows.max(axis=1, keepdims=True)
        result = less - np.log(np.exp(less).sum(axis=1, keepdims=True))
    else:
        result = softmax(rows)
    return result.reshape(x.shape).astype(x.dtype)


def _lp_normalised(node: Node, given: Arrays, _: Shape | None) -> np.ndarray:
    """Return x over the sum of its magnitudes, or over the root of that of their squares; 0 where that is 0."""
    x = given[node.input(0)]
    sizes = np.abs(x) if node.integer("p", 2) == 1 else x * x
    total = sizes.sum(axis=node.integer("axis", -1), keepdims=True)
    norm = total if node.integer("p", 2) == 1 else np.sqrt(total)
    return np.where(norm == 0, 0, x / np.where(norm == 0, 1, norm)).astype(x.dtype)


def _batch_normalised(node: Node, given: Arrays, _: Shape | None) -> np.ndarray | None:
    """Return the normalisation by stored statistics; one that is in training is left to ONNX."""
    if len(node.outputs) > 1 or node.integer("training_mode", 0):
        return None
    if not node.integer("spatial", 1):
        raise RefusedValuesError("its statistics are not per channel")
    x = given[node.input(0)]
    scale, shift, mean, variance = (given[node.input(i)].reshape(-1, *(1,) * (x.ndim - 2)) for i in range(1, 5))
    result = (x.astype(np.float64) - mean) / np.sqrt(variance + node.real("epsilon", 1e-5)) * scale + shift
    return result.astype(x.dtype)


def _response_normalised(node: Node, given: Arrays, _: Shape | None) -> np.ndarray:
    """Return x over the power of a window of channels: ``(bias + alpha / size * sum of squares) ** beta``."""
    x, size = given[node.input(0)], node.integer("size", 1)
    around = ((0, 0), ((size - 1) // 2, size // 2), *((0, 0),) * (x.ndim - 2))
    squares = np.pad(x.astype(np.float64) ** 2, around)
    total = sum((squares[:, i : i + x.shape[1]] for i in range(size)), np.zeros(x.shape))
    base = node.real("bias", 1.0) + node.real("alpha", 1e-4) / size * total
    return np.asarray(x / base ** node.real("beta", 0.75)).astype(x.dtype)


def _resized(node: Node, given: Arrays, _: Shape | None) -> None:
    """Leave a Resize to ONNX, but for corners that are aligned at sizes that are not whole: runtimes differ there."""
    scales = given.get(node.optional(2))
    if node.text("coordinate_transformation_mode", "") == "align_corners" and scales is not None and scales.size:
        sizes = np.array(node.shape(node.input(0)))[-scales.size :] * scales
        if np.any(sizes != np.rint(sizes)):
            raise RefusedValuesError("it aligns corners at sizes that are not whole, which runtimes do differently")


def _like(node: Node, array: np.ndarray) -> np.ndarray:
    return array.reshape(node.shape(node.outputs[0]))


OWN: dict[str, Callable[[Node, Arrays, Shape | None], np.ndarray | None]] = {
    "Conv": _conv,
    "ConvInteger": _conv_integer,
    "QLinearConv": _conv_quantised,
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"), _pooled),
    "BatchNormalization": _batch_normalised,
    "LRN": _response_normalised,
    "LpNormalization": _lp_normalised,
    **dict.fromkeys(("Resize", "Upsample"), _resized),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _flat_softmax),
}
"""Operator -> how it is computed here; None where it is left to ONNX."""


def codes(program: Program) -> dict[str, Rounding]:
    """Return what the integers of real tensors stand for, where the graph itself quantises them by one step.

    These are the tensors around QuantizeLinear and DequantizeLinear, and what only moves the values of such a tensor.
    """
    found: dict[str, Rounding | None] = {}
    for node in program.nodes:
        source = node.optional(0)
        if node.op == "DequantizeLinear" and node.outputs:
            found[node.outputs[0]] = _rounding(program, node)
        elif node.op in KEEPS_VALUES and found.get(source) and node.outputs:
            found[node.outputs[0]] = found[source]
    wanted: dict[str, set[Rounding | None]] = {}
    for node in program.nodes:
        if node.op == "QuantizeLinear" and node.outputs:
            wanted.setdefault(node.input(0), set()).add(_rounding(program, node))
    for name, roundings in wanted.items():
        if found.get(name) is None and len(roundings) == 1:
            found[name] = next(iter(roundings))
    return {name: code for name, code in found.items() if code is not None and name in program.types}


def _rounding(program: Program, node: Node) -> Rounding | None:
    """Return step and zero point of a QuantizeLinear or DequantizeLinear; None if they are not one constant each."""
    step = program.constant(node.input(1))
    zero = program.constant(node.optional(2)) if node.optional(2) else np.zeros(1, np.int64)
    if step is None or zero is None or step.size != 1 or zero.size != 1 or not step.reshape(-1)[0] > 0:
        return None
    return Rounding(float(step.reshape(-1)[0]), int(zero.reshape(-1)[0]))


def bounds(program: Program) -> dict[str, int]:
    """Return tensor name -> rows of the smallest table that its integers look up, as far as that is direct."""
    found: dict[str, int] = {}
    for node in reversed(program.nodes):
        name = node.optional(0)
        if node.op in ("Cast", *KEEPS_VALUES) and node.outputs and node.outputs[0] in found:
            found[name] = min(found.get(name, found[node.outputs[0]]), found[node.outputs[0]])
        elif node.op == "Gather" and len(node.inputs) > 1:
            dims = node.constants[name].shape if node.constant(name) else node.shapes.get(name, ())
            indices = node.input(1)
            rows = dims[node.integer("axis", 0)] if dims else 1
            found[indices] = min(found.get(indices, rows), rows)
    return found
