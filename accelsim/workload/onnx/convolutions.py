"""ONNX convolutions of one to three dimensions, transposed ones, and those whose filters are activations."""

from __future__ import annotations

from dataclasses import replace
from math import gcd, prod

from accelsim.units import ceil_div
from accelsim.workload.onnx.node import Node, RefusedError
from accelsim.workload.onnx.products import bias as bias_of
from accelsim.workload.onnx.window import spans, window
from accelsim.workload.onnx.work import Weight, Work, apply, chained, gathered, inner, output
from accelsim.workload.shapes import Conv2d, Dims, Matmul, output_size

MAX_TAPS = 256
"""A transposed convolution in which more inputs meet in one output is refused."""


def conv(node: Node, filters: int = 1, bias: int | None = 2) -> list[Work]:
    """Return a convolution; one over a single dimension works on images of one row.

    Over three dimensions the frames under a filter's depth are channels of one image: views place them, and a frame is
    read once for every position of the filter. ``filters`` and ``bias`` say which inputs they are.
    """
    name = node.input(filters)
    x, k = node.shape(node.input(0)), node.shape(name)
    if len(x) not in (3, 4, 5) or len(k) != len(x):
        raise RefusedError(f"convolutions of {len(x) - 2} dimensions are not supported")
    groups = node.integer("group", 1)
    if groups < 1 or k[1] * groups != x[1]:
        raise RefusedError(f"its filters have {k[1]} channels where {x[1]} inputs come in {groups} groups")
    if len(x) == 5:
        return _frames(node, name, groups, bias)
    h, w = x[2:] if len(x) == 4 else (1, x[2])
    r, s = k[2:] if len(x) == 4 else (1, k[2])
    stride, dilation, pad = window(node, (h, w), (r, s), len(x) - 2)
    shape = Conv2d(x[0], x[1], k[0], h, w, r, s, groups, stride, pad, dilation)
    if not node.constant(name):
        return _dynamic(node, name, shape, bias)
    weights = (Weight(name, shape.weight_shape), *(bias_of(node, bias, shape.k) if bias is not None else ()))
    return [Work(shape, (node.input(0),), output(node), weights)]


def _frames(node: Node, name: str, groups: int, bias: int | None) -> list[Work]:
    x, k = node.shape(node.input(0)), node.shape(name)
    if not node.constant(name):
        raise RefusedError("its filters are no constants")
    deep, tall, wide = spans(node, x[2:], k[2:])
    frames = output_size(x[2], k[2], deep.stride, deep.pads, deep.dilation)
    pads = (tall.pads[0], wide.pads[0], tall.pads[1], wide.pads[1])
    shape = Conv2d(
        x[0] * frames, x[1] * k[2], k[0], x[3], x[4], k[3], k[4], groups,
        (tall.stride, wide.stride), pads, (tall.dilation, wide.dilation),
    )  # fmt: skip
    if frames < 1:
        raise RefusedError(f"a filter of depth {k[2]} does not fit {x[2]} frames")
    views, read = gathered(node, "frames", node.input(0), x, shape.input_shapes[0])
    weights = (Weight(name, shape.weight_shape), *(bias_of(node, bias, shape.k) if bias is not None else ()))
    return chained(node, [*views, Work(shape, (read,), output(node), weights, "conv")])


def _dynamic(node: Node, name: str, shape: Conv2d, bias: int | None) -> list[Work]:
    """Return a product of windows and filters: both operands are activations."""
    taps = shape.c // shape.groups * shape.r * shape.s
    pixels = shape.n * shape.e * shape.f
    matmul = Matmul(shape.groups, pixels, shape.k // shape.groups, taps)
    views, read = gathered(node, "windows", node.input(0), shape.input_shapes[0], matmul.input_shapes[0])
    works = [*views, Work(matmul, (read, name), (inner(node, "product"),), (), "product")]
    added = node.optional(bias) if bias is not None else ""
    if added:
        dims = (shape.k, *(1,) * (len(node.shape(node.input(0))) - 2))
        out = shape.output_shape if len(dims) == 3 else (shape.n, shape.k, shape.f)
        given = ((inner(node, "product"), out),)
        if node.constant(added):
            works.append(apply(node, "add", "add", out, *given, weights=(Weight(added, dims),)))
        else:
            works.append(apply(node, "add", "add", out, *given, (added, dims)))
    return chained(node, works)


def transposed(node: Node) -> list[Work]:
    """Return a transposed convolution: a product of every input with all filters, and the sums of what overlaps.

    The product has a column for each output channel and tap, as ``gemm`` and ``col2im`` of software; each output then
    adds as many products as can meet in it.
    """
    x, name = node.shape(node.input(0)), node.input(1)
    k, groups = node.shape(name), node.integer("group", 1)
    if not node.constant(name):
        raise RefusedError("its filters are no constants")
    if len(x) < 3 or len(k) != len(x) or k[0] != x[1] or groups < 1 or k[0] % groups:
        raise RefusedError(f"its filters {list(k)} do not fit its input {list(x)} in {groups} groups")
    rank = len(x) - 2
    stride, dilation = node.integers("strides", (1,) * rank), node.integers("dilations", (1,) * rank)
    if len(stride) != rank or len(dilation) != rank or min((*stride, *dilation)) < 1:
        raise RefusedError(f"its strides {list(stride)} do not fit {rank} dimensions")
    each = prod(k[2:])
    h, w = (x[2], x[3]) if rank == 2 else (1, prod(x[2:]))
    shape = Conv2d(x[0], x[1], k[1] * groups * each, h, w, 1, 1, groups)
    filters = Weight(name, shape.weight_shape, (0, 2, 3, 1), (groups, k[0] // groups, k[1], each))
    works = [Work(shape, (node.input(0),), (inner(node, "product"),), (filters,), "product")]
    meet = prod(ceil_div(size, s // gcd(s, d)) for size, s, d in zip(k[2:], stride, dilation, strict=True))
    if meet > MAX_TAPS:
        raise RefusedError(f"{meet} of its inputs meet in an output, more than {MAX_TAPS}")
    out = node.shape(node.outputs[0])
    read: list[tuple[str, Dims]] = []
    for tap in range(meet):
        part = f"tap{tap}" if meet > 1 else "taps"
        views, source = gathered(node, part, inner(node, "product"), shape.output_shape, out)
        works += views
        read.append((source, out))
    if len({source for source, _ in read}) < len(read):  # as many products as outputs: each is read as it is
        read = read[:1] * meet
    added = bias_of(node, 2, out[1])
    weights = tuple(replace(b, shape=(out[1], *(1,) * rank)) for b in added)
    op = "add" if meet > 1 or weights else "copy"
    return chained(node, [*works, apply(node, "sum", op, out, *read, weights=weights)])
