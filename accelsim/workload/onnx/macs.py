"""Multiply-accumulates of ONNX operators that accelsim does not simulate: what a machine would have to do for them.

Dense counts, as for the kinds that are simulated: padding taps, masked and skipped positions count; products element
by element (gates, rotary embeddings), means and norms do not. Sources: the operators' own definitions (ONNX, and
onnxruntime's docs/ContribOperators.md for ``com.microsoft``).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from math import prod

from accelsim.workload.onnx.node import Node, UnknownShapeError
from accelsim.workload.shapes import Dims

Count = Callable[[Node], int | None]

MICROSOFT = "com.microsoft."


def macs(node: Node) -> int | None:
    """Return the multiply-accumulates of an operator; None where its shapes or its definition do not tell them."""
    if node.op in NONE:
        return 0
    count = COUNTS.get(node.op)
    if count is None:
        return None
    try:
        return count(node)
    except (UnknownShapeError, IndexError, ValueError):  # behind an unsupported operator, or contradictory shapes
        return None


def _conv(filters: int) -> Count:
    """Return the count of a convolution over any number of dimensions: each output takes its group's whole filter."""

    def count(node: Node) -> int:
        _, channels, *window = node.shape(node.input(filters))
        return prod(node.shape(node.outputs[0])) * channels * prod(window)

    return count


def _transposed(node: Node) -> int:
    """Each input goes into the window of each output channel of its group: filters are (c, k / groups, window)."""
    _, channels, *window = node.shape(node.input(1))
    return prod(node.shape(node.input(0))) * channels * prod(window)


def _matmul(second: int) -> Count:
    """Return the count of a product with NumPy's rules: vectors, and leading dimensions that broadcast."""

    def count(node: Node) -> int:
        return _product(node.shape(node.input(0)), node.shape(node.input(second)))

    return count


def _product(a: Dims, b: Dims) -> int:
    left, right = a[:-2][::-1], b[:-2][::-1]
    lead = prod(max(x, y) if x and y else 0 for x, y in zip_longest(left, right, fillvalue=1))
    return lead * prod(a[-2:]) * (b[-1] if len(b) > 1 else 1)


def _fused_matmul(node: Node) -> int | None:
    """A product whose operands may be stored transposed."""
    if node.integer("transBatchA", 0) or node.integer("transBatchB", 0):
        return None
    a, b = (node.shape(node.input(i)) for i in (0, 1))
    return _product(_turned(a, node.integer("transA", 0)), _turned(b, node.integer("transB", 0)))


def _turned(dims: Dims, turn: int) -> Dims:
    return (*dims[:-2], dims[-1], dims[-2]) if turn and len(dims) > 1 else dims


def _gemm(second: int) -> Count:
    """Return the count of a product of two matrices; scaling and adding C are no part of it."""

    def count(node: Node) -> int:
        (m, k), b = _turned(node.shape(node.input(0)), node.integer("transA", 0)), node.shape(node.input(second))
        return m * k * _turned(b, node.integer("transB", 0))[1]

    return count


def _blocks(node: Node) -> int:
    """A product with filters of K x N that are stored as blocks of few bits."""
    return prod(node.shape(node.input(0))) * node.integer("N", 0)


def _einsum(node: Node) -> int | None:
    """One for each combination of all indices, as the definition says; of more than two operands the order decides."""
    if len(node.inputs) == 1:
        return 0
    if len(node.inputs) > 2:
        return None
    sizes: dict[str, int] = {}
    terms = node.text("equation", "").replace(" ", "").partition("->")[0].split(",")
    for term, name in zip(terms, node.inputs, strict=True):
        dims = node.shape(name)
        head, dots, tail = term.partition("...")
        more = len(dims) - len(head) - len(tail)
        if more < 0 or (more and not dots):
            raise ValueError(term)
        # dimensions under the dots broadcast from the right, as in NumPy
        names = [*head, *(f".{more - i}" for i in range(more)), *tail]
        for index, size in zip(names, dims, strict=True):
            sizes[index] = max(sizes.get(index, 1), size)
    return prod(sizes.values())


def _recurrent(node: Node) -> int:
    """Both products of every gate, at each step, of each direction: W is (directions, gates x hidden, inputs)."""
    steps, batch = node.shape(node.input(0))[:2]  # or the other way round (layout 1)
    return steps * batch * (prod(node.shape(node.input(1))) + prod(node.shape(node.input(2))))


def _attention(node: Node) -> int:
    """Queries times keys and weights times values, over past and new positions, with all heads; masks skip nothing.

    Tensors are (batch, positions, heads x size) or (batch, heads, positions, size); values may have a size of their
    own, and several heads of queries may share one of keys and values.
    """
    q, k, v = (node.shape(node.input(i)) for i in range(3))
    past = node.shape(node.optional(4))[2] if node.optional(4) else 0
    if len(q) == 4:
        return q[0] * q[1] * q[2] * (k[2] + past) * (q[3] + v[3])
    heads, shared = node.integer("q_num_heads", 0), node.integer("kv_num_heads", 0)
    if heads < 1 or shared < 1 or v[2] % shared:
        raise ValueError(heads, shared)
    return q[0] * q[1] * (k[1] + past) * (q[2] + heads * (v[2] // shared))


def _multi_head(node: Node) -> int:
    """MultiHeadAttention: keys and values are (batch, positions, heads x size) or by head."""
    q, k, v = (node.shape(node.input(i)) for i in range(3))
    past = node.shape(node.optional(6))[2] if node.optional(6) else 0
    wide = v[1] * v[3] if len(v) == 4 else v[2]
    return q[0] * q[1] * (past + k[-2]) * (q[2] + wide)


def _group_query(node: Node) -> int:
    """GroupQueryAttention over the whole buffer of keys; queries, keys and values may lie in one tensor."""
    q, heads, shared = node.shape(node.input(0)), node.integer("num_heads", 0), node.integer("kv_num_heads", 0)
    size = q[2] // (heads if node.optional(1) else heads + 2 * shared)
    past = node.shape(node.optional(3))[2] if node.optional(3) else 0
    return q[0] * q[1] * (past + q[1]) * 2 * heads * size


def _packed(node: Node) -> int:
    """Attention of com.microsoft: the projection to queries, keys and values, then the attention."""
    x, w = node.shape(node.input(0)), node.shape(node.input(1))
    q, _, v = node.integers("qkv_hidden_sizes", (w[1] // 3,) * 3)
    past = node.shape(node.optional(4))[3] if node.optional(4) else 0
    return x[0] * x[1] * (x[2] * w[1] + (past + x[1]) * (q + v))


COUNTS: dict[str, Count] = {
    "Conv": _conv(1),
    "ConvInteger": _conv(1),
    "DeformConv": _conv(1),
    "QLinearConv": _conv(3),
    "ConvTranspose": _transposed,
    "MatMul": _matmul(1),
    "MatMulInteger": _matmul(1),
    "QLinearMatMul": _matmul(3),
    "Gemm": _gemm(1),
    "Einsum": _einsum,
    **dict.fromkeys(("RNN", "GRU", "LSTM"), _recurrent),
    "Attention": _attention,
    **{MICROSOFT + op: _matmul(1) for op in ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")},
    MICROSOFT + "Attention": _packed,
    MICROSOFT + "GroupQueryAttention": _group_query,
    MICROSOFT + "MultiHeadAttention": _multi_head,
    MICROSOFT + "FusedConv": _conv(1),
    MICROSOFT + "FusedGemm": _gemm(1),
    MICROSOFT + "FusedMatMul": _fused_matmul,
    MICROSOFT + "MatMulNBits": _blocks,
    MICROSOFT + "QGemm": _gemm(3),
}
"""Operator -> its count."""

# fmt: off
_ELEMENTWISE = (
    "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitCast", "BitShift", "BitwiseAnd",
    "BitwiseNot", "BitwiseOr", "BitwiseXor", "BlackmanWindow", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos",
    "Cosh", "Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual",
    "HammingWindow", "HannWindow", "HardSigmoid", "HardSwish", "Hardmax", "IsInf", "IsNaN", "LeakyRelu", "Less",
    "LessOrEqual", "Log", "LogSoftmax", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow",
    "Reciprocal", "Relu", "RotaryEmbedding", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax",
    "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "SwiGLU", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor",
)
_QUANTISED = ("DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear")
_NORMALISED = (
    "BatchNormalization", "GroupNormalization", "InstanceNormalization", "LRN", "LayerNormalization",
    "LpNormalization", "MeanVarianceNormalization", "RMSNormalization", "SimplifiedLayerNormalization",
)
_REDUCED = (
    "ArgMax", "ArgMin", "AveragePool", "CumProd", "CumSum", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool",
    "LpPool", "MaxPool", "MaxRoiPool", "MaxUnpool", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "RoiAlign", "TopK",
)
_MOVED = (
    "CenterCropPad", "Col2Im", "Compress", "Concat", "ConcatFromSequence", "ConstantOfShape", "DepthToSpace", "Expand",
    "EyeLike", "Flatten", "Gather", "GatherElements", "GatherND", "GridSample", "Identity", "NonMaxSuppression",
    "NonZero", "OneHot", "Optional", "OptionalGetElement", "OptionalHasElement", "Pad", "Range", "Reshape", "Resize",
    "ReverseSequence", "Scatter", "ScatterElements", "ScatterND", "SequenceAt", "SequenceConstruct", "SequenceEmpty",
    "SequenceErase", "SequenceInsert", "SequenceLength", "Shape", "Size", "Slice", "SpaceToDepth", "Split",
    "SplitToSequence", "Squeeze", "TensorScatter", "Tile", "Transpose", "Trilu", "Unique", "Unsqueeze", "Upsample",
)
_DRAWN = (
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
)
_MICROSOFT = (
    "BiasGelu", "BiasSoftmax", "DequantizeLinear", "EmbedLayerNormalization", "FastGelu", "Gelu", "GroupNorm",
    "NhwcMaxPool", "QLinearAdd", "QLinearAveragePool", "QLinearConcat", "QLinearGlobalAveragePool", "QLinearLeakyRelu",
    "QLinearMul", "QLinearReduceMean", "QLinearSigmoid", "QLinearSoftmax", "QLinearWhere", "QuantizeLinear",
    "QuickGelu", "RotaryEmbedding", "SimplifiedLayerNormalization", "SkipGroupNorm", "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
)
# fmt: on

NONE = frozenset(
    (*_ELEMENTWISE, *_QUANTISED, *_NORMALISED, *_REDUCED, *_MOVED, *_DRAWN, *(MICROSOFT + op for op in _MICROSOFT))
)
"""Operators without multiply-accumulates, whatever their shapes: element by element, by sums or comparisons, or moves.

What is neither here nor in `COUNTS` is unknown: operators of other domains, bodies of If, Loop and Scan, transforms
(DFT, STFT) and determinants, whose algorithm decides.
"""
