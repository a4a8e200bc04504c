"""What a layer computes, by NumPy alone: the truth that every engine is held to.

Products and sums are exact integers. Layers that divide or exponentiate give float64.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from accelsim.errors import ModelError, WorkloadError
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.workload.csr_matrix import CsrMatrix
from accelsim.workload.shapes import (
    Attention,
    Conv2d,
    Elementwise,
    Normalization,
    Pool,
    Softmax,
    SpGemm,
    Unsupported,
    View,
    elements,
)

EXACT_FLOAT = 2**53
"""Integers of smaller magnitude are exact in float64, whose matrix product is fast."""

LRN_ALPHA, LRN_BETA, LRN_BIAS = 1e-4, 0.75, 1.0
"""Local response normalisation: defaults of the ONNX operator LRN."""

LAYER_EPSILON = 1e-5
"""Added to the variance: default of the ONNX operator LayerNormalization."""

LEAK = 0.01
"""Slope below zero: default of the ONNX operator LeakyRelu."""

GELU_CUBE, GELU_SLOPE = 0.044715, 2 * math.sqrt(2 / math.pi)
"""Of GELU by tanh, as a logistic function: D. Hendrycks, K. Gimpel, "Gaussian Error Linear Units", arXiv 1606.08415."""


def golden(operands: Operands) -> Any:
    """Return the layer's output, in the layer's output shape: an array, or a `CsrMatrix` of a sparse product.

    Raises
    ------
    WorkloadError
        A layer whose computation is not known.
    """
    view, shape = operands.view, operands.view.shape
    if hasattr(shape, "as_conv"):
        x, w = operands.conv_arrays()
        return from_conv_output(view, convolve(shape.as_conv(), x, w))
    if isinstance(shape, SpGemm):
        return multiply(operands.input.sparse, operands.weight.sparse)
    values = arrays(operands)
    if isinstance(shape, Pool):
        return pool(shape, values[0])
    if isinstance(shape, Elementwise):
        result = elementwise(shape.op, values, view.name)
        # copies that permute elements: the permutation is not part of the shape
        return result.reshape(shape.shape) if result.size == elements(shape.shape) else result
    if isinstance(shape, Softmax):
        return softmax(values[0].astype(np.float64).reshape(-1, shape.length)).reshape(shape.shape)
    if isinstance(shape, Attention):
        return attention(shape, *values)
    if isinstance(shape, Normalization):
        return normalize(shape, values[0].astype(np.float64))
    if isinstance(shape, View):
        return reshape(shape, values, view.name)
    what = shape.op if isinstance(shape, Unsupported) else view.kind
    raise WorkloadError(f"layer '{view.name}': no values are known for '{what}'", "run it without --check")


def multiply(a: CsrMatrix, b: CsrMatrix) -> CsrMatrix:
    """Return A x B by scipy, with the sums that cancel kept as zeros."""
    from scipy.sparse import csr_array

    def scipy_of(matrix: CsrMatrix, values: np.ndarray) -> Any:
        return csr_array((values, matrix.columns, matrix.pointers), shape=matrix.shape)

    terms = scipy_of(a, np.ones(a.nnz, np.int64)) @ scipy_of(b, np.ones(b.nnz, np.int64))
    terms.sort_indices()
    product = scipy_of(a, a.values) @ scipy_of(b, b.values)
    product.sort_indices()
    pointers, columns = terms.indptr.astype(np.int64), terms.indices.astype(np.int64)
    values = product.data
    if product.nnz != terms.nnz:
        # scipy drops sums that cancel: put its values where the pattern has them
        values = np.zeros(terms.nnz, product.dtype)
        keys = np.repeat(np.arange(a.shape[0]), np.diff(pointers)) * b.shape[1] + columns
        kept = np.repeat(np.arange(a.shape[0]), np.diff(product.indptr)) * b.shape[1] + product.indices
        values[np.searchsorted(keys, kept)] = product.data
    return CsrMatrix((a.shape[0], b.shape[1]), pointers, columns, values)


def agree(ours: Any, truth: Any, operands: Operands) -> bool:
    """Return whether two outputs are equal: integers exactly, reals within 1e-12.

    An output of attention is a mean of values: its error is relative to the largest of them.

    Of a sparse product the pattern must be equal too, and the error is relative to the sum of the magnitudes of an
    entry's terms, since a sum that nearly cancels has no better bound in any order of addition.
    """
    if isinstance(operands.view.shape, Attention):
        largest = float(np.abs(operands.inputs[2].values).max(initial=0))
        return bool(np.allclose(ours, truth, rtol=1e-12, atol=1e-12 * largest))
    if not isinstance(truth, CsrMatrix):
        return bool(np.allclose(ours, truth, rtol=1e-12, atol=0, equal_nan=True))
    same = isinstance(ours, CsrMatrix) and ours.shape == truth.shape
    if not same or not np.array_equal(ours.pointers, truth.pointers) or not np.array_equal(ours.columns, truth.columns):
        return False
    if truth.values.dtype.kind == "i":
        return np.array_equal(ours.values, truth.values)
    a, b = operands.input.sparse, operands.weight.sparse
    size = multiply(replace(a, values=np.abs(a.values)), replace(b, values=np.abs(b.values)))
    return bool(np.all(np.abs(ours.values - truth.values) <= 1e-12 * size.values))


def arrays(operands: Operands) -> list[np.ndarray]:
    """Return the int64 values of the inputs in the shapes that the layer gives them, then those of its weights.

    Of several operands, constant ones come last: a network does not say where they stood.
    """
    shapes = operands.view.shape.input_shapes
    inputs = [operand.values.reshape(dims) for operand, dims in zip(operands.inputs, shapes, strict=True)]
    return inputs + [operand.values for operand in operands.weights]


def convolve(conv: Conv2d, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return the grouped convolution of int64 arrays, exactly.

    Parameters
    ----------
    x : ndarray (n, c, h, w) of int64
    w : ndarray (k, c/groups, r, s) of int64

    Returns
    -------
    ndarray (n, k, e, f) of int64
    """
    taps = conv.c // conv.groups * conv.r * conv.s
    bound = float(np.abs(x).max(initial=0)) * float(np.abs(w).max(initial=0)) * taps
    return _convolve(conv, x, w, np.float64 if bound < EXACT_FLOAT else np.int64).astype(np.int64)


def convolve_reals(conv: Conv2d, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return the same convolution of float64 arrays, rounded in float64."""
    return _convolve(conv, x, w, np.float64)


def _convolve(conv: Conv2d, x: np.ndarray, w: np.ndarray, dtype: Any) -> np.ndarray:
    top, left, bottom, right = conv.pad
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    g, cg, kg = conv.groups, conv.c // conv.groups, conv.k // conv.groups
    span_h = (conv.e - 1) * conv.stride[0] + 1
    span_w = (conv.f - 1) * conv.stride[1] + 1
    out = np.zeros((conv.n, g, conv.e * conv.f, kg), dtype=dtype)
    filters = w.reshape(g, kg, cg, conv.r, conv.s).astype(dtype)
    for i in range(conv.r):
        for j in range(conv.s):
            row, col = i * conv.dilation[0], j * conv.dilation[1]
            part = padded[:, :, row : row + span_h : conv.stride[0], col : col + span_w : conv.stride[1]]
            pixels = part.reshape(conv.n, g, cg, conv.e * conv.f).astype(dtype)
            out += np.matmul(pixels.transpose(0, 1, 3, 2), filters[None, :, :, :, i, j].transpose(0, 1, 3, 2))
    return out.transpose(0, 1, 3, 2).reshape(conv.n, conv.k, conv.e, conv.f)


def elementwise(op: str, arrays: list[np.ndarray], name: str = "") -> np.ndarray:
    """Return ``op`` over the arrays: integers stay integers where the operation allows it."""
    first = arrays[0]
    if op == "where" and len(arrays) > 1:
        return np.asarray(np.where(first != 0, arrays[1], arrays[2] if len(arrays) > 2 else 0))
    if op in BINARY or op == "where":
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(functools.reduce(BINARY.get(op, np.add), arrays))
    if op in INTEGER_UNARY:
        return INTEGER_UNARY[op](first)
    if op in REAL_UNARY:
        with np.errstate(all="ignore"):
            return REAL_UNARY[op](first.astype(np.float64))
    raise WorkloadError(f"layer '{name}': no values are known for '{op}'", "run it without --check")


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sum": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "div": np.divide,
    "pow": lambda x, y: np.power(x.astype(np.float64), y),
    "mod": lambda x, y: np.where(y == 0, np.nan, np.mod(x, np.where(y == 0, 1, y))),
    "equal": lambda x, y: (x == y).astype(np.int64),
    "greater": lambda x, y: (x > y).astype(np.int64),
    "greaterorequal": lambda x, y: (x >= y).astype(np.int64),
    "less": lambda x, y: (x < y).astype(np.int64),
    "lessorequal": lambda x, y: (x <= y).astype(np.int64),
    "and": lambda x, y: ((x != 0) & (y != 0)).astype(np.int64),
    "or": lambda x, y: ((x != 0) | (y != 0)).astype(np.int64),
    "xor": lambda x, y: ((x != 0) ^ (y != 0)).astype(np.int64),
    "prelu": lambda x, slope: np.where(x > 0, x, x * slope),
}
INTEGER_UNARY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "copy": lambda x: x.copy(),
    "cast": lambda x: x.copy(),
    "neg": lambda x: -x,
    "abs": np.abs,
    "clip": lambda x: np.clip(x, 0, 6),
    "clip6": lambda x: np.clip(x, 0, 6),
    **dict.fromkeys(("floor", "ceil", "round", "linear", "bilinear", "trilinear"), lambda x: x.copy()),
    "sign": np.sign,
    "not": lambda x: (x == 0).astype(np.int64),
    "quantize": lambda x: np.clip(x, -128, 127),
}
"""Bounds of a clip are not part of a layer's shape: it clips to 0 and 6, as MobileNets do."""

_erf = np.vectorize(math.erf, otypes=[np.float64])

REAL_UNARY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "erf": _erf,
    "gelu": lambda x: 0.5 * x * (1 + _erf(x * (1 / math.sqrt(2)))),
    "gelu_tanh": lambda x: x / (1 + np.exp(-((x * x * GELU_CUBE + 1) * x * GELU_SLOPE))),
    "leakyrelu": lambda x: np.where(x < 0, LEAK * x, x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "reciprocal": np.reciprocal,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "softplus": lambda x: np.log(np.exp(x) + 1),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "hardsigmoid": lambda x: np.clip(x * (1 / 6) + 0.5, 0, 1),
    "hardswish": lambda x: x * np.clip(x * (1 / 6) + 0.5, 0, 1),
    "swish": lambda x: x / (1 + np.exp(-x)),
}


def pool(pool: Pool, x: np.ndarray) -> np.ndarray:
    """Return maximum, minimum, sum or average under each window, of integers or reals.

    An average divides by the taps inside the image (by all of them with ``count_pad``), as float64.
    """
    top, left, bottom, right = pool.pad
    need_h = (pool.e - 1) * pool.stride[0] + pool.r
    need_w = (pool.f - 1) * pool.stride[1] + pool.s
    extra = ((0, 0), (0, 0), (top, max(bottom, need_h - pool.h - top)), (left, max(right, need_w - pool.w - left)))
    reals = x.dtype.kind == "f"
    dtype: Any = np.float64 if reals else np.int64
    least, most = (-np.inf, np.inf) if reals else (np.iinfo(np.int64).min, np.iinfo(np.int64).max)
    padded = np.pad(x.astype(dtype), extra, constant_values={"max": least, "min": most}.get(pool.op, 0))
    inside = np.pad(np.ones((pool.h, pool.w), dtype=np.int64), extra[2:])
    if pool.count_pad:
        inside[: top + pool.h + bottom, : left + pool.w + right] = 1
    windows = [
        (slice(i, i + (pool.e - 1) * pool.stride[0] + 1, pool.stride[0]),
         slice(j, j + (pool.f - 1) * pool.stride[1] + 1, pool.stride[1]))
        for i in range(pool.r) for j in range(pool.s)
    ]  # fmt: skip
    if pool.op == "max":
        return np.maximum.reduce([padded[:, :, row, col] for row, col in windows])
    if pool.op == "min":
        return np.minimum.reduce([padded[:, :, row, col] for row, col in windows])
    total = sum((padded[:, :, row, col] for row, col in windows), np.zeros(pool.output_shape, dtype))
    if pool.op == "sum":
        return total
    taps = sum((inside[row, col] for row, col in windows), np.zeros((pool.e, pool.f), np.int64))
    return np.asarray(total / np.maximum(taps, 1))


def softmax(rows: np.ndarray) -> np.ndarray:
    """Return the softmax of each row, float64."""
    shifted = np.exp(rows - rows.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def normalize(norm: Normalization, x: np.ndarray) -> np.ndarray:
    """Normalise with unit scale and zero shift: trained statistics are not part of a layer's shape."""
    if norm.op in ("batch", "affine"):
        return x
    if norm.op == "layer":
        centred = x - x.mean(axis=-1, keepdims=True)
        return np.asarray(centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + LAYER_EPSILON))
    below, above = (norm.size - 1) // 2, norm.size // 2
    squares = np.pad(x**2, ((0, 0), (below, above), *((0, 0),) * (x.ndim - 2)))
    window = sum(squares[:, i : i + x.shape[1]] for i in range(norm.size))
    return np.asarray(x / (LRN_BIAS + LRN_ALPHA / norm.size * window) ** LRN_BETA)


def attention(shape: Attention, *operands: np.ndarray) -> np.ndarray:
    """Return softmax(Q K^T / sqrt(head_dim) + mask) V of every head.

    Parameters
    ----------
    shape : Attention
        One that is causal has the mask that this means, whatever is given.
    operands : ndarray
        Queries, keys and values of the shape's ``input_shapes``, and masks that are broadcast to
        (batch, heads, q, kv).

    Returns
    -------
    ndarray
        Float64 of the shape's ``output_shape``.
    """
    a, (q, k, v, *masks) = shape, (each.astype(np.float64) for each in operands)
    shared = a.heads // a.kv_heads
    query = q.reshape(a.batch, a.q, a.kv_heads, shared, a.head_dim).transpose(0, 2, 3, 1, 4)
    key, value = (x.reshape(a.batch, a.kv, a.kv_heads, 1, a.head_dim).transpose(0, 2, 3, 1, 4) for x in (k, v))
    scores = query @ key.transpose(0, 1, 2, 4, 3) / math.sqrt(a.head_dim)
    scores = scores.reshape(a.batch, a.heads, a.q, a.kv)
    if a.causal != "none":
        scores = np.where(np.tri(a.q, a.kv, a.kv - a.q, dtype=bool), scores, -np.inf)
    else:
        scores = sum(masks, scores)
    shares = softmax(scores.reshape(-1, a.kv)).reshape(a.batch, a.kv_heads, shared, a.q, a.kv)
    return (shares @ value).transpose(0, 3, 1, 2, 4).reshape(a.output_shape)


def reshape(view: View, arrays: list[np.ndarray], name: str = "") -> np.ndarray:
    """Return the renamed tensor: concatenated or cut along ``axis``, or the same elements in another shape.

    Raises
    ------
    WorkloadError
        A view that does not say which elements it takes.
    """
    if view.op == "slice":
        taken = np.arange(view.start, view.start + view.shape[view.axis])
        return arrays[0].take(taken, axis=view.axis)
    if view.op in ("crop", "repeat"):
        problem = f"layer '{name}': a view '{view.op}' does not say which elements it takes"
        raise WorkloadError(problem, "run it without '--operands chain'")
    joined = np.concatenate(arrays, axis=view.axis) if view.op == "concat" else arrays[0]
    if joined.size != np.prod(view.shape, dtype=np.int64):
        raise ModelError(f"view '{view.op}' of {joined.size} elements as {view.shape}")
    return joined.reshape(view.shape)
