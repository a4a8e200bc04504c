"""ONNX operators that multiply and accumulate, as accelsim's kinds of work."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from accelsim.workload.onnx.node import Node, RefusedError
from accelsim.workload.onnx.window import window
from accelsim.workload.shapes import Conv2d, Dims, Linear, Matmul, Shape


@dataclass(frozen=True)
class Weight:
    """A constant that the work reads: its tensor, and the shape in which the work wants it.

    Attributes
    ----------
    order : tuple of int or None
        Dimensions of the constant in the order in which the work wants them.
    """

    name: str
    shape: Dims
    order: Dims | None = None


@dataclass(frozen=True)
class Work:
    """What an operator comes to."""

    shape: Shape
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: tuple[Weight, ...] = ()


def output(node: Node) -> tuple[str, ...]:
    """Return the first output, the one that counts at inference."""
    return node.outputs[:1]


def conv(node: Node, filters: int = 1, bias: int | None = 2) -> list[Work]:
    """Return a convolution; one over a single dimension works on images of one row.

    ``filters`` and ``bias`` say which inputs they are.
    """
    name = node.input(filters)
    x, k = node.shape(node.input(0)), node.shape(name)
    if len(x) not in (3, 4) or len(k) != len(x):
        raise RefusedError(f"convolutions of {len(x) - 2} dimensions are not supported")
    if not node.constant(name):
        raise RefusedError("its filters are no constants")
    h, w = x[2:] if len(x) == 4 else (1, x[2])
    r, s = k[2:] if len(x) == 4 else (1, k[2])
    stride, dilation, pad = window(node, (h, w), (r, s), len(x) - 2)
    groups = node.integer("group", 1)
    shape = Conv2d(x[0], x[1], k[0], h, w, r, s, groups, stride, pad, dilation)
    if groups < 1 or k[1] * groups != x[1]:
        raise RefusedError(f"its filters have {k[1]} channels where {x[1]} inputs come in {groups} groups")
    weights = (Weight(name, shape.weight_shape), *(_bias(node, bias, shape.k) if bias is not None else ()))
    return [Work(shape, (node.input(0),), output(node), weights)]


def _bias(node: Node, index: int, k: int) -> tuple[Weight, ...]:
    name = node.optional(index)
    if not name:
        return ()
    if not node.constant(name):
        raise RefusedError("its bias is no constant")
    if prod(node.shape(name)) != k:
        raise RefusedError(f"its bias has {prod(node.shape(name))} elements for {k} outputs")
    return (Weight(name, (k,)),)


def gemm(node: Node) -> list[Work]:
    """Return a linear layer, or a product of two activations."""
    a, b = node.shape(node.input(0)), node.shape(node.input(1))
    if len(a) != 2 or len(b) != 2:
        raise RefusedError("its operands are no matrices")
    if node.integer("transA", 0):
        raise RefusedError("it transposes its first operand")
    turned = bool(node.integer("transB", 0))
    c, k = (b[1], b[0]) if turned else b
    if node.constant(node.input(1)):
        filters = Weight(node.input(1), (k, c), None if turned else (1, 0))
        return [Work(Linear(a[0], c, k), node.activations[:1], output(node), (filters, *_bias(node, 2, k)))]
    if turned or node.optional(2):
        raise RefusedError("it multiplies two activations and transposes or adds to the product")
    return [Work(Matmul(1, a[0], k, c), (node.input(0), node.input(1)), output(node))]


def matmul(node: Node, second: int = 1) -> list[Work]:
    """Return a linear layer if one operand is a constant matrix, else a product of two activations."""
    left, right = node.input(0), node.input(second)
    a, b = node.shape(left), node.shape(right)
    if len(a) < 2 or len(b) < 2:
        raise RefusedError("a product with a vector is not supported")
    *lead, m, inner = a
    *others, _, n = b
    out = output(node)
    if node.constant(right) and prod(others) == 1:
        return [Work(Linear(prod(lead) * m, inner, n), (left,), out, (Weight(right, (n, inner), _swapped(b)),))]
    if node.constant(left) and prod(lead) == 1:
        conv = Conv2d(prod(others), inner, m, 1, n, 1, 1)
        return [Work(conv, (right,), out, (Weight(left, conv.weight_shape),))]
    if prod(others) == 1:
        return [Work(Matmul(1, prod(lead) * m, n, inner), (left, right), out)]
    if lead != others:
        raise RefusedError("it broadcasts one operand over the matrices of the other")
    return [Work(Matmul(prod(lead), m, n, inner), (left, right), out)]


def _swapped(shape: Dims) -> Dims:
    """Return the order of dimensions with the last two exchanged."""
    rank = len(shape)
    return (*range(rank - 2), rank - 1, rank - 2)
