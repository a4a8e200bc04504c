"""ONNX operators as accelsim's kinds of work, one small function per family."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Literal, TypeAlias

from accelsim.workload.onnx.node import Node, RefusedError
from accelsim.workload.onnx.products import Weight, Work, conv, gemm, matmul, output
from accelsim.workload.onnx.window import window
from accelsim.workload.shapes import Elementwise, Normalization, Pool, Softmax, View

PoolOp: TypeAlias = Literal["max", "average"]


def convert(node: Node) -> list[Work]:
    """Return the work of an operator.

    Raises
    ------
    RefusedError
        An operator, or a variant of one, that has no counterpart here; the text is the reason.
    """
    handler = HANDLERS.get(node.op)
    if handler is None:
        raise RefusedError(f"the operator {node.op} is not supported")
    return handler(node)


def _constants(node: Node, *indices: int) -> tuple[Weight, ...]:
    names = [node.optional(i) for i in indices]
    return tuple(Weight(name, node.shape(name)) for name in names if name and node.constant(name))


def _pool(node: Node) -> list[Work]:
    x = node.shape(node.input(0))
    if len(x) not in (3, 4):
        raise RefusedError(f"pooling over {len(x) - 2} dimensions is not supported")
    h, w = x[2:] if len(x) == 4 else (1, x[2])
    op: PoolOp = "max" if "Max" in node.op else "average"
    if node.op.startswith("Global"):
        return [Work(Pool(op, x[0], x[1], h, w, h, w), (node.input(0),), output(node))]
    kernel = node.integers("kernel_shape", ())
    if len(kernel) != len(x) - 2:
        raise RefusedError("its window has another rank than its input")
    r, s = kernel if len(kernel) == 2 else (1, kernel[0])
    stride, dilation, pad = window(node, (h, w), (r, s), len(x) - 2)
    if dilation != (1, 1):
        raise RefusedError("dilated pooling is not supported")
    ceil, counted = bool(node.integer("ceil_mode", 0)), bool(node.integer("count_include_pad", 0))
    return [Work(Pool(op, x[0], x[1], h, w, r, s, stride, pad, ceil, counted), (node.input(0),), output(node))]


def _reduce(node: Node) -> list[Work]:
    """Reduce over the last dimensions: one pooling window per remaining element."""
    x = node.shape(node.input(0))
    axes = node.integers("axes", ())
    if node.optional(1):
        axes = node.numbers(node.optional(1))
    ahead = len(x) - len(axes)
    if sorted(axis % max(len(x), 1) for axis in axes) != list(range(ahead, len(x))) or not 0 < ahead < len(x):
        raise RefusedError("it reduces over other dimensions than the last ones")
    op: PoolOp = "max" if node.op == "ReduceMax" else "average"
    block = prod(x[ahead:])
    return [Work(Pool(op, x[0], prod(x[1:ahead]), 1, block, 1, block), (node.input(0),), output(node))]


def _elementwise(op: str) -> Callable[[Node], list[Work]]:
    """Return the handler of an operator on one activation; scalars and small constants are parameters of it."""

    def handler(node: Node) -> list[Work]:
        out = output(node)
        return [Work(Elementwise(op, node.shape(*out), (node.shape(node.input(0)),)), (node.input(0),), out)]

    return handler


def _arithmetic(op: str) -> Callable[[Node], list[Work]]:
    """Return the handler of an operator on several broadcast tensors; larger constants than scalars are read."""

    def handler(node: Node) -> list[Work]:
        out = output(node)
        weights = tuple(Weight(n, node.shape(n)) for n in node.inputs if node.constant(n) and prod(node.shape(n)) > 1)
        read = node.activations
        return [Work(Elementwise(op, node.shape(*out), tuple(map(node.shape, read))), read, out, weights)]

    return handler


def _batch_norm(node: Node) -> list[Work]:
    if node.integer("training_mode", 0) or len(node.outputs) > 1:
        raise RefusedError("normalisation in training mode is not supported")
    x = node.input(0)
    return [Work(Normalization("batch", node.shape(x)), (x,), output(node), _constants(node, 1, 2, 3, 4))]


def _lrn(node: Node) -> list[Work]:
    x = node.input(0)
    return [Work(Normalization("lrn", node.shape(x), max(node.integer("size", 1), 1)), (x,), output(node))]


def _layer_norm(node: Node) -> list[Work]:
    x = node.input(0)
    if node.integer("axis", -1) not in (-1, len(node.shape(x)) - 1):
        raise RefusedError("normalisation over several dimensions is not supported")
    return [Work(Normalization("layer", node.shape(x)), (x,), output(node), _constants(node, 1, 2))]


def _softmax(node: Node) -> list[Work]:
    """Softmax along ``axis``; before operator set 13 over everything from ``axis`` on."""
    x = node.shape(node.input(0))
    old = node.opset < 13
    axis = node.integer("axis", 1 if old else -1) % max(len(x), 1)
    length = prod(x[axis:]) if old else x[axis] if x else 1
    return [Work(Softmax(x, length), (node.input(0),), output(node))]


def _renamed(node: Node) -> list[Work]:
    """Take the same elements in another shape."""
    x, out = node.input(0), output(node)
    return [Work(View(node.op.lower(), (node.shape(x),), node.shape(*out)), (x,), out)]


def _concat(node: Node) -> list[Work]:
    out = output(node)
    shape = node.shape(*out)
    axis = node.integer("axis", 1) % max(len(shape), 1)
    return [Work(View("concat", tuple(map(node.shape, node.inputs)), shape, axis), node.inputs, out)]


def _split(node: Node) -> list[Work]:
    x = node.shape(node.input(0))
    axis = node.integer("axis", 0) % max(len(x), 1)
    works, start = [], 0
    for name in node.outputs:
        shape = node.shape(name)
        works.append(Work(View("slice", (x,), shape, axis, start), (node.input(0),), (name,)))
        start += shape[axis]
    return works


def _part(node: Node) -> list[Work]:
    """Take a part of a tensor: nothing moves, whoever reads it next reads less."""
    x, out = node.input(0), output(node)
    if node.constant(x):
        raise RefusedError("it looks constants up by an activation")
    if prod(node.shape(*out)) > prod(node.shape(x)):
        raise RefusedError("it takes some elements more than once")
    return [Work(View("crop", (node.shape(x),), node.shape(*out)), (x,), out)]


# fmt: off
ONE_OPERAND = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos",
    "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "IsInf", "IsNaN",
    "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink",
    "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu",
)
# fmt: on
# fmt: off
SEVERAL_OPERANDS = (
    "Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual", "Less",
    "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor",
)
# fmt: on
MOVED = ("DepthToSpace", "Expand", "Pad", "SpaceToDepth", "Tile", "Transpose")
"""Operators that move data without computing: element-wise copies."""
RENAMED = (
    "DequantizeLinear",
    "Dropout",
    "Flatten",
    "Identity",
    "QuantizeLinear",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
)
"""Operators after which a machine finds the same elements; quantised ones are stored as integers throughout."""

HANDLERS: dict[str, Callable[[Node], list[Work]]] = {
    **{op: _elementwise(op.lower()) for op in ONE_OPERAND},
    **{op: _arithmetic(op.lower()) for op in SEVERAL_OPERANDS},
    **{op: _elementwise("copy") for op in MOVED},
    **{op: _elementwise("resize") for op in ("Resize", "Upsample")},
    **dict.fromkeys(RENAMED, _renamed),
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"), _pool),
    **dict.fromkeys(("ReduceMean", "ReduceMax"), _reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    **dict.fromkeys(("Slice", "Gather"), _part),
    "Conv": conv,
    "ConvInteger": lambda node: conv(node, bias=None),
    "QLinearConv": lambda node: conv(node, filters=3, bias=8),
    "Gemm": gemm,
    "MatMul": matmul,
    "MatMulInteger": matmul,
    "QLinearMatMul": lambda node: matmul(node, second=3),
    "BatchNormalization": _batch_norm,
    "LRN": _lrn,
    "LayerNormalization": _layer_norm,
    "Concat": _concat,
    "Split": _split,
}
"""Operator -> how it becomes work."""
