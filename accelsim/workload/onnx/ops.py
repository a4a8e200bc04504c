"""ONNX operators as accelsim's kinds of work: which handler takes which."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TypeAlias

from accelsim.workload.onnx import attention, moves, norms, pools, quantised
from accelsim.workload.onnx.convolutions import conv, transposed
from accelsim.workload.onnx.node import Node, RefusedError
from accelsim.workload.onnx.products import einsum, gemm, matmul, matrices
from accelsim.workload.onnx.recurrent import recurrent
from accelsim.workload.onnx.work import Weight, Work, apply, chained, inner, output
from accelsim.workload.shapes import Elementwise, View

Handler: TypeAlias = Callable[[Node], list[Work]]


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


def _elementwise(op: str) -> Handler:
    """Return the handler of an operator on one activation; scalars and small constants are parameters of it."""

    def handler(node: Node) -> list[Work]:
        out = output(node)
        return [Work(Elementwise(op, node.shape(*out), (node.shape(node.input(0)),)), (node.input(0),), out)]

    return handler


def _arithmetic(op: str) -> Handler:
    """Return the handler of an operator on several broadcast tensors; larger constants than scalars are read."""

    def handler(node: Node) -> list[Work]:
        out = output(node)
        weights = tuple(Weight(n, node.shape(n)) for n in node.inputs if node.constant(n) and prod(node.shape(n)) > 1)
        read = node.activations
        return [Work(Elementwise(op, node.shape(*out), tuple(map(node.shape, read))), read, out, weights)]

    return handler


def _renamed(node: Node) -> list[Work]:
    """Take the same elements in another shape; a mask of what was dropped is all ones at inference, and a copy."""
    x, out = node.input(0), output(node)
    works = [Work(View(node.op.rpartition(".")[2].lower(), (node.shape(x),), node.shape(*out)), (x,), out)]
    if node.op == "Dropout" and len(node.outputs) > 1:
        dims = node.shape(x)
        works.append(Work(Elementwise("copy", dims, (dims,)), (x,), node.outputs[1:], (), "mask"))
    return works


def _swiglu(node: Node) -> list[Work]:
    """Return the gate's swish times the other half."""
    names = node.inputs
    out = node.shape(*output(node))
    if len(names) == 2:
        gate, other = names
        works = []
    else:
        x = node.shape(names[0])
        gate, other = inner(node, "gate"), inner(node, "other")
        works = [
            Work(View("slice", (x,), out, len(x) - 1, start), names, (name,), (), part)
            for start, name, part in ((0, gate, "gate"), (x[-1] // 2, other, "other"))
        ]
    swish = apply(node, "swish", "swish", out, (gate, out))
    return chained(node, [*works, swish, apply(node, "product", "mul", out, (inner(node, "swish"), out), (other, out))])


def _fused(handler: Handler, activations: str = "activation") -> Handler:
    """Return the handler of an operator followed by an activation function."""

    def fused(node: Node) -> list[Work]:
        works = handler(node)
        op = node.text(activations, "").lower()
        if not op:
            return works
        out = node.shape(*output(node))
        first = [Work(w.shape, w.inputs, (inner(node, "fused"),) if w.outputs == output(node) else w.outputs, w.weights,
                      w.part or "product") for w in works]  # fmt: skip
        return chained(node, [*first, apply(node, op, op, out, (inner(node, "fused"), out))])

    return fused


def _fused_matmul(node: Node) -> list[Work]:
    """A product whose operands may be stored transposed."""
    if node.integer("transBatchA", 0) or node.integer("transBatchB", 0):
        raise RefusedError("it moves the batch of an operand")
    names = (node.input(0), node.input(1))
    turned = node.integer("transA", 0), node.integer("transB", 0)
    if any(turned) and any(node.constant(name) for name in names):
        raise RefusedError("it transposes beside a constant")
    dims = [node.shape(name) for name in names]
    swapped = [(*d[:-2], d[-1], d[-2]) if turn else d for d, turn in zip(dims, turned, strict=True)]
    return matrices(node, names, (swapped[0], swapped[1]))


def _mish(node: Node) -> list[Work]:
    """Return x tanh(softplus(x))."""
    x = node.input(0)
    dims = node.shape(x)
    plus = apply(node, "softplus", "softplus", dims, (x, dims))
    bent = apply(node, "tanh", "tanh", dims, (plus.outputs[0], dims))
    return chained(node, [plus, bent, apply(node, "product", "mul", dims, (x, dims), (bent.outputs[0], dims))])


# fmt: off
ONE_OPERAND = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitCast", "BitwiseNot", "Cast", "CastLike", "Ceil",
    "Celu", "Clip", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "IsInf", "IsNaN",
    "LeakyRelu", "Log", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink",
    "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu",
)
SEVERAL_OPERANDS = (
    "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual",
    "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor",
)
MOVED = (
    "CenterCropPad", "DepthToSpace", "EyeLike", "Expand", "GatherElements", "GatherND", "MaxUnpool", "Pad",
    "ReverseSequence", "SpaceToDepth", "Tile", "Transpose", "Trilu",
)
"""Operators that move data without computing: element-wise copies."""
RENAMED = (
    "DequantizeLinear", "Dropout", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Squeeze", "Unsqueeze",
    "com.microsoft.DequantizeLinear", "com.microsoft.QuantizeLinear",
)
"""Operators after which a machine finds the same elements; quantised ones are stored as integers throughout."""
# fmt: on

MICROSOFT = "com.microsoft."

HANDLERS: dict[str, Handler] = {
    **{op: _elementwise(op.lower()) for op in ONE_OPERAND},
    **{op: _arithmetic(op.lower()) for op in SEVERAL_OPERANDS},
    **dict.fromkeys(MOVED, moves.moved()),
    **dict.fromkeys(("Resize", "Upsample"), moves.resize),
    **dict.fromkeys(RENAMED, _renamed),
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"), pools.pool),
    **dict.fromkeys(("LpPool", "GlobalLpPool"), pools.lp_pool),
    "ReduceMean": pools.reduce("average"),
    "ReduceMax": pools.reduce("max"),
    "ReduceMin": pools.reduce("min"),
    "ReduceSum": pools.reduce("sum"),
    "ReduceL1": pools.reduce("sum", "abs"),
    "ReduceL2": pools.reduce("sum", "mul", "sqrt"),
    "ReduceSumSquare": pools.reduce("sum", "mul"),
    "ReduceLogSum": pools.reduce("sum", "", "log"),
    "ReduceLogSumExp": pools.reduce("sum", "exp", "log"),
    **dict.fromkeys(("ArgMax", "ArgMin"), pools.arg),
    "TopK": pools.top,
    **dict.fromkeys(("Softmax", "LogSoftmax"), norms.softmax),
    "Hardmax": norms.hardmax,
    **dict.fromkeys(("Slice", "Gather"), moves.gather),
    **dict.fromkeys(("Scatter", "ScatterElements", "ScatterND", "TensorScatter"), moves.scattered),
    "OneHot": moves.one_hot,
    "CumSum": moves.scan("add"),
    "CumProd": moves.scan("mul"),
    "Col2Im": moves.col2im,
    "Concat": moves.concat,
    "Split": moves.split,
    "Conv": conv,
    "ConvInteger": lambda node: conv(node, bias=None),
    "QLinearConv": lambda node: conv(node, filters=3, bias=8),
    "ConvTranspose": transposed,
    "Gemm": gemm,
    "MatMul": matmul,
    "MatMulInteger": matmul,
    "QLinearMatMul": lambda node: matmul(node, second=3),
    "Einsum": einsum,
    **dict.fromkeys(("LSTM", "GRU", "RNN"), recurrent),
    "BatchNormalization": norms.batch_norm,
    "LRN": norms.lrn,
    "LayerNormalization": norms.layer_norm,
    "InstanceNormalization": norms.group_norm(0, 1, 2),
    "GroupNormalization": norms.group_norm(None, 1, 2),
    "MeanVarianceNormalization": norms.variance_norm,
    "LpNormalization": norms.lp_norm,
    "RMSNormalization": norms.rms_norm,
    "SimplifiedLayerNormalization": norms.rms_norm,
    "Attention": attention.attention,
    "RotaryEmbedding": attention.rotary(1, 2),
    "Mish": _mish,
    "SwiGLU": _swiglu,
    "DynamicQuantizeLinear": quantised.dynamic,
    MICROSOFT + "Attention": attention.packed,
    MICROSOFT + "BiasGelu": _arithmetic("gelu"),
    MICROSOFT + "FastGelu": _arithmetic("gelu"),
    MICROSOFT + "FusedConv": _fused(conv),
    MICROSOFT + "FusedGemm": _fused(gemm),
    MICROSOFT + "FusedMatMul": _fused_matmul,
    MICROSOFT + "Gelu": _elementwise("gelu"),
    MICROSOFT + "GroupQueryAttention": attention.group_query,
    MICROSOFT + "MultiHeadAttention": attention.multi_head,
    MICROSOFT + "QGemm": lambda node: gemm(node, second=3, added=6),
    MICROSOFT + "QLinearAdd": quantised.elementwise("add", 0, 3),
    MICROSOFT + "QLinearAveragePool": pools.pool,
    MICROSOFT + "QLinearConcat": quantised.concat,
    MICROSOFT + "QLinearGlobalAveragePool": quantised.global_pool,
    MICROSOFT + "QLinearLeakyRelu": quantised.elementwise("leakyrelu", 0),
    MICROSOFT + "QLinearMul": quantised.elementwise("mul", 0, 3),
    MICROSOFT + "QLinearSigmoid": quantised.elementwise("sigmoid", 0),
    MICROSOFT + "QLinearSoftmax": quantised.softmax,
    MICROSOFT + "QuickGelu": _elementwise("swish"),
    MICROSOFT + "RotaryEmbedding": attention.rotary(2, 3),
    MICROSOFT + "SimplifiedLayerNormalization": norms.rms_norm,
    MICROSOFT + "SkipLayerNormalization": norms.skip_norm(False),
    MICROSOFT + "SkipSimplifiedLayerNormalization": norms.skip_norm(True),
}
"""Operator -> how it becomes work."""
