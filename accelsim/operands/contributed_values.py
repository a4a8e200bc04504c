"""What operators of com.microsoft compute: the quantised ones on reals between their codes, and those of transformers.

Source: onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from accelsim.operands.golden import REAL_UNARY, pool
from accelsim.operands.rounding import RefusedValuesError
from accelsim.workload.onnx.node import Node
from accelsim.workload.shapes import Pool, Shape

Arrays = Mapping[str, Any]
Contributed = Callable[[Node, Arrays, Shape | None], np.ndarray]

QUICK = 1.702
"""Slope of QuickGelu by default."""


def _at(node: Node, given: Arrays, index: int) -> Any:
    """Return an input, or None."""
    name = node.optional(index)
    return given[name] if name else None


def _reals(node: Node, given: Arrays, index: int) -> np.ndarray:
    """Return what the codes at an input stand for, with the scale and zero point that follow; float32."""
    codes, scale, zero = (_at(node, given, index + i) for i in range(3))
    if scale.size != 1:
        raise RefusedValuesError("it has more than one scale")
    less = codes.astype(np.float32) - (0 if zero is None else zero.astype(np.float32).reshape(()))
    return np.asarray(less * np.float32(scale.reshape(())))


def _codes(node: Node, given: Arrays, reals: np.ndarray, index: int) -> np.ndarray:
    """Return the codes of reals by the scale at an input and the zero point behind it, in the first output's type."""
    scale, zero = _at(node, given, index), _at(node, given, index + 1)
    zero = np.zeros((), np.uint8) if zero is None else zero.reshape(())
    ends = np.iinfo(zero.dtype)
    scaled = np.rint(reals.astype(np.float32) / np.float32(scale.reshape(())))
    return np.clip(scaled + np.float32(zero), ends.min, ends.max).astype(zero.dtype)


def _two(op: Callable[[Any, Any], Any]) -> Contributed:
    return lambda node, given, _: _codes(node, given, op(_reals(node, given, 0), _reals(node, given, 3)), 6)


def _one(op: Callable[[Node, np.ndarray, Shape | None], np.ndarray]) -> Contributed:
    return lambda node, given, shape: _codes(node, given, op(node, _reals(node, given, 0), shape), 3)


def _concat(node: Node, given: Arrays, _: Shape | None) -> np.ndarray:
    parts = [_reals(node, given, i) for i in range(2, len(node.proto.input), 3)]
    return _codes(node, given, np.concatenate(parts, axis=node.integer("axis", 0)), 0)


def _pooled(node: Node, x: np.ndarray, shape: Shape | None) -> np.ndarray:
    if not isinstance(shape, Pool) or node.integer("channels_last", 0):
        raise RefusedValuesError("its channels come last")
    return pool(shape, x.reshape(shape.input_shapes[0])).reshape(node.shape(node.outputs[0]))


def _leaky(node: Node, x: np.ndarray, _: Shape | None) -> np.ndarray:
    return np.where(x < 0, np.float32(node.real("alpha", 0.01)) * x, x)


def _gemm(node: Node, given: Arrays, _: Shape | None) -> np.ndarray:
    """Return alpha A B + C of integers; C has the scale alpha x a_scale x b_scale, one per output at most."""
    a, b = (_at(node, given, i).astype(np.int64) for i in (0, 3))
    a_zero, b_zero = (_at(node, given, i).astype(np.int64) for i in (2, 5))
    b_scale = _at(node, given, 4).astype(np.float32)
    a, b = (a - a_zero).T if node.integer("transA", 0) else a - a_zero, b
    b = (b.T - b_zero.reshape(1, -1)) if node.integer("transB", 0) else b - b_zero.reshape(1, -1)
    sums = a @ b
    if node.optional(6):
        sums = sums + _at(node, given, 6)
    factor = np.float32(node.real("alpha", 1.0)) * _at(node, given, 1).astype(np.float32) * b_scale.reshape(1, -1)
    reals = (sums.astype(np.float32) * factor).astype(np.float32)
    return _codes(node, given, reals, 7) if node.optional(7) else reals


def _gelu(name: str) -> Contributed:
    def gelu(node: Node, given: Arrays, _: Shape | None) -> np.ndarray:
        x, bias = _at(node, given, 0), _at(node, given, 1)
        total = x.astype(np.float64) + (0 if bias is None else bias)
        return REAL_UNARY[name](total).astype(x.dtype)

    return gelu


def _quick(node: Node, given: Arrays, _: Shape | None) -> np.ndarray:
    x = _at(node, given, 0).astype(np.float64)
    return np.asarray(x / (1 + np.exp(-node.real("alpha", QUICK) * x))).astype(_at(node, given, 0).dtype)


def _matmul(node: Node, given: Arrays, _: Shape | None) -> np.ndarray:
    if node.integer("transBatchA", 0) or node.integer("transBatchB", 0):
        raise RefusedValuesError("it moves the batch of an operand")
    a, b = _at(node, given, 0), _at(node, given, 1)
    a = a.swapaxes(-1, -2) if node.integer("transA", 0) and a.ndim > 1 else a
    b = b.swapaxes(-1, -2) if node.integer("transB", 0) and b.ndim > 1 else b
    return np.asarray(np.float32(node.real("alpha", 1.0)) * np.matmul(a, b)).astype(a.dtype)


MICROSOFT = "com.microsoft."

CONTRIBUTED: dict[str, Contributed] = {
    MICROSOFT + "QLinearAdd": _two(np.add),
    MICROSOFT + "QLinearMul": _two(np.multiply),
    MICROSOFT + "QLinearSigmoid": _one(lambda _, x, __: REAL_UNARY["sigmoid"](x)),
    MICROSOFT + "QLinearLeakyRelu": _one(_leaky),
    MICROSOFT + "QLinearGlobalAveragePool": _one(_pooled),
    MICROSOFT + "QLinearAveragePool": _one(_pooled),
    MICROSOFT + "QLinearConcat": _concat,
    MICROSOFT + "QGemm": _gemm,
    MICROSOFT + "Gelu": _gelu("gelu"),
    MICROSOFT + "BiasGelu": _gelu("gelu"),
    MICROSOFT + "FastGelu": _gelu("gelu_tanh"),
    MICROSOFT + "QuickGelu": _quick,
    MICROSOFT + "FusedMatMul": _matmul,
}
"""Operator -> its first output, in the shape that the graph has."""
