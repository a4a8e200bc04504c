"""Shapes of operators that ONNX's inference does not know, those of other domains above all.

Source: onnxruntime, docs/ContribOperators.md (com.microsoft).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from accelsim.workload.onnx.node import Node, UnknownShapeError
from accelsim.workload.onnx.window import spans
from accelsim.workload.shapes import Dims, output_size

Shapes = Callable[[Node], list[Dims | None]]


def shapes(node: Node) -> dict[str, Dims]:
    """Return the shapes of an operator's outputs, as far as they are known."""
    rule = RULES.get(node.op)
    if rule is None:
        return {}
    try:
        found = rule(node)
    except (UnknownShapeError, IndexError, ValueError, ZeroDivisionError):
        return {}
    return {name: dims for name, dims in zip(node.proto.output, found, strict=False) if name and dims is not None}


def kind(node: Node, kinds: Mapping[str, int]) -> int:
    """Return the element type of an operator's first output: of its zero point or its operand; 0 if not known.

    A quantised operator gives what its operands are, a quantisation what its zero point is.
    """
    name = node.op.rpartition(".")[2]
    at = {"QuantizeLinear": 2, "QGemm": 8, "QLinearConcat": 2}.get(name, 0)
    return kinds.get(node.optional(at), 0) if name.startswith("Q") else kinds.get(node.optional(1), 0)


def _same(index: int = 0) -> Shapes:
    return lambda node: [node.shape(node.input(index))]


def _broadcast(*indices: int) -> Shapes:
    def rule(node: Node) -> list[Dims | None]:
        dims = [node.shape(node.input(i)) for i in indices]
        rank = max(map(len, dims))
        padded = [(*(1,) * (rank - len(d)), *d) for d in dims]
        return [tuple(max(sizes) if 0 not in sizes else 0 for sizes in zip(*padded, strict=True))]

    return rule


def _gemm(second: int) -> Shapes:
    def rule(node: Node) -> list[Dims | None]:
        a, b = node.shape(node.input(0)), node.shape(node.input(second))
        return [(a[node.integer("transA", 0)], b[1 - node.integer("transB", 0)])]

    return rule


def _matmul(node: Node) -> list[Dims | None]:
    a, b = node.shape(node.input(0)), node.shape(node.input(1))
    a = (*a[:-2], a[-1], a[-2]) if node.integer("transA", 0) else a
    b = (*b[:-2], b[-1], b[-2]) if node.integer("transB", 0) else b
    rank = max(len(a), len(b)) - 2
    lead = [(*(1,) * (rank - len(d) + 2), *d[:-2]) for d in (a, b)]
    return [(*map(max, zip(*lead, strict=True)), a[-2], b[-1])]


def _concat(node: Node) -> list[Dims | None]:
    dims = [node.shape(name) for name in node.proto.input[2::3]]
    axis = node.integer("axis", 0) % len(dims[0])
    return [(*dims[0][:axis], sum(d[axis] for d in dims), *dims[0][axis + 1 :])]


def _global_pool(node: Node) -> list[Dims | None]:
    x = node.shape(node.input(0))
    ones = (1,) * (len(x) - 2)
    return [(x[0], *ones, x[-1]) if node.integer("channels_last", 0) else (*x[:2], *ones)]


def _pool(node: Node) -> list[Dims | None]:
    x, kernel = node.shape(node.input(0)), node.integers("kernel_shape", ())
    axes = zip(x[2:], kernel, spans(node, x[2:], kernel), strict=True)
    ceil = bool(node.integer("ceil_mode", 0))
    return [(*x[:2], *(output_size(size, k, s.stride, s.pads, s.dilation, ceil) for size, k, s in axes))]


def _conv(node: Node) -> list[Dims | None]:
    x, k = node.shape(node.input(0)), node.shape(node.input(1))
    axes = zip(x[2:], k[2:], spans(node, x[2:], k[2:]), strict=True)
    return [(x[0], k[0], *(output_size(size, r, s.stride, s.pads, s.dilation) for size, r, s in axes))]


def _heads(node: Node) -> list[Dims | None]:
    """MultiHeadAttention: the context, and keys and values up to now."""
    q, k, v = (node.shape(node.input(i)) for i in range(3))
    heads = node.integer("num_heads", 0)
    wide = v[1] * v[3] if len(v) == 4 else v[2]
    new = k[2] if len(k) == 4 else k[1]
    past = node.shape(node.optional(6))[2] if node.optional(6) else 0
    kept = [(q[0], heads, past + new, size // heads) for size in (q[2], wide)]
    return [(*q[:2], wide), *kept]


def _group_query(node: Node) -> list[Dims | None]:
    q, shared, heads = node.shape(node.input(0)), node.integer("kv_num_heads", 0), node.integer("num_heads", 0)
    size = q[2] // heads if node.optional(1) else q[2] // (heads + 2 * shared)
    past = node.shape(node.optional(3))[2] if node.optional(3) else 0
    kept = (q[0], shared, past + q[1], size)
    return [(*q[:2], heads * size), kept, kept]


def _packed(node: Node) -> list[Dims | None]:
    x, w = node.shape(node.input(0)), node.shape(node.input(1))
    return [(*x[:2], node.integers("qkv_hidden_sizes", (w[1] // 3,) * 3)[2])]


def _skip(node: Node) -> list[Dims | None]:
    x = node.shape(node.input(0))
    return [x, None, None, x]


MICROSOFT = "com.microsoft."
RULES: dict[str, Shapes] = {
    **{MICROSOFT + op: _same() for op in (
        "BiasGelu", "BiasSoftmax", "DequantizeLinear", "FastGelu", "Gelu", "QLinearLeakyRelu", "QLinearSigmoid",
        "QLinearSoftmax", "QuantizeLinear", "QuickGelu", "RotaryEmbedding", "SimplifiedLayerNormalization", "GroupNorm",
    )},
    **{MICROSOFT + op: _broadcast(0, 3) for op in ("QLinearAdd", "QLinearMul")},
    MICROSOFT + "QLinearConcat": _concat,
    MICROSOFT + "QLinearGlobalAveragePool": _global_pool,
    MICROSOFT + "QLinearAveragePool": _pool,
    MICROSOFT + "QGemm": _gemm(3),
    MICROSOFT + "FusedGemm": _gemm(1),
    MICROSOFT + "FusedMatMul": _matmul,
    MICROSOFT + "DynamicQuantizeMatMul": _matmul,
    MICROSOFT + "MatMulIntegerToFloat": _matmul,
    MICROSOFT + "MatMulNBits": lambda node: [(*node.shape(node.input(0))[:-1], node.integer("N", 0))],
    MICROSOFT + "FusedConv": _conv,
    MICROSOFT + "MultiHeadAttention": _heads,
    MICROSOFT + "GroupQueryAttention": _group_query,
    MICROSOFT + "Attention": _packed,
    MICROSOFT + "SkipLayerNormalization": _skip,
    MICROSOFT + "SkipSimplifiedLayerNormalization": _skip,
    **{op: _same() for op in ("GroupNormalization", "MeanVarianceNormalization", "SimplifiedLayerNormalization")},
}  # fmt: skip
"""Operator with its domain -> the shapes of its outputs."""
