"""ONNX normalisations: rows that are normalised together, whatever dimensions they span."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

from accelsim.workload.onnx.node import Node, RefusedError
from accelsim.workload.onnx.pools import blocks
from accelsim.workload.onnx.work import Weight, Work, apply, chained, inner, output
from accelsim.workload.shapes import Dims, Normalization, Softmax, elements


def constants(node: Node, *indices: int) -> tuple[Weight, ...]:
    """Return those of some inputs that are constants."""
    names = [node.optional(i) for i in indices]
    return tuple(Weight(name, node.shape(name)) for name in names if name and node.constant(name))


def batch_norm(node: Node) -> list[Work]:
    """Return a scaling per channel; at inference only."""
    if node.integer("training_mode", 0) or len(node.outputs) > 1:
        raise RefusedError("normalisation in training mode is not supported")
    x = node.input(0)
    return [Work(Normalization("batch", node.shape(x)), (x,), output(node), constants(node, 1, 2, 3, 4))]


def lrn(node: Node) -> list[Work]:
    """Return a division by a window of channels."""
    x = node.input(0)
    return [Work(Normalization("lrn", node.shape(x), max(node.integer("size", 1), 1)), (x,), output(node))]


def layer_norm(node: Node) -> list[Work]:
    """Return the normalisation of everything from ``axis`` on; mean and deviation are reductions of their own."""
    x = node.input(0)
    dims = node.shape(x)
    axis = node.integer("axis", -1) % max(len(dims), 1)
    rows = dims if axis == len(dims) - 1 else (*dims[:axis], prod(dims[axis:]))
    works = [Work(Normalization("layer", rows), (x,), output(node), constants(node, 1, 2))]
    for name in node.proto.output[1:3]:
        if name:
            part = f"statistic{len(works)}"
            made, _ = blocks(node, "average", x, dims, tuple(range(axis, len(dims))), f"{part}.")
            works += [*made[:-1], replace(made[-1], outputs=(name,), part=part)]
    return works


def group_norm(groups: int | None, *weights: int, attribute: str = "num_groups") -> Callable[[Node], list[Work]]:
    """Return the handler of a normalisation of groups of channels: one per channel where ``groups`` is 0."""

    def handler(node: Node) -> list[Work]:
        x = node.input(0)
        dims = node.shape(x)
        if len(dims) < 2:
            raise RefusedError("its input has no channels")
        count = node.integer(attribute, 1) if groups is None else dims[1]
        if count < 1 or dims[1] % count:
            raise RefusedError(f"{count} groups do not divide {dims[1]} channels")
        rows = (dims[0], count, elements(dims) // max(dims[0] * count, 1))
        return [Work(Normalization("layer", rows), (x,), output(node), constants(node, *weights))]

    return handler


def variance_norm(node: Node) -> list[Work]:
    """Return mean and variance normalisation; by default over all images and positions of a channel."""
    x = node.input(0)
    dims = node.shape(x)
    axes = {axis % max(len(dims), 1) for axis in node.integers("axes", (0, 2, 3))}
    kept = tuple(size for axis, size in enumerate(dims) if axis not in axes)
    return [Work(Normalization("layer", (*kept, elements(dims) // max(prod(kept), 1))), (x,), output(node))]


def rms(node: Node, x: str, dims: Dims, scale: str, axis: int) -> list[Work]:
    """Return a division by the root of the mean of squares, and the gain."""
    axis %= max(len(dims), 1)
    rows = (*dims[:axis], *(1,) * (len(dims) - axis))
    works = [apply(node, "squares", "mul", dims, (x, dims), (x, dims))]
    means, mean = blocks(node, "average", inner(node, "squares"), dims, tuple(range(axis, len(dims))))
    works += means
    works.append(apply(node, "epsilon", "add", rows, (mean, rows)))
    works.append(apply(node, "root", "sqrt", rows, (inner(node, "epsilon"), rows)))
    works.append(apply(node, "quotient", "div", dims, (x, dims), (inner(node, "root"), rows)))
    if scale:
        given: tuple[tuple[str, Dims], ...] = ((inner(node, "quotient"), dims),)
        weights = (Weight(scale, node.shape(scale)),) if node.constant(scale) else ()
        given += () if weights else ((scale, node.shape(scale)),)
        works.append(apply(node, "gain", "mul", dims, *given, weights=weights))
    return works


def rms_norm(node: Node) -> list[Work]:
    """Return an RMSNormalization."""
    x = node.input(0)
    return chained(node, rms(node, x, node.shape(x), node.optional(1), node.integer("axis", -1)))


def skip_norm(simplified: bool) -> Callable[[Node], list[Work]]:
    """Return the handler of an addition and a normalisation of its sum (com.microsoft)."""

    def handler(node: Node) -> list[Work]:
        dims = node.shape(node.input(0))
        extra = node.optional(3 if simplified else 4)
        given = [(name, node.shape(name)) for name in (node.input(0), node.input(1))]
        bias = (Weight(extra, node.shape(extra)),) if extra and node.constant(extra) else ()
        total = apply(node, "add", "add", dims, *given, weights=bias)
        if len(node.proto.output) > 3 and node.proto.output[3]:
            total = replace(total, outputs=(node.proto.output[3],))
        if simplified:
            return chained(node, [total, *rms(node, total.outputs[0], dims, node.optional(2), -1)])
        norm = Work(Normalization("layer", dims), total.outputs, output(node), constants(node, 2, 3), "norm")
        return chained(node, [total, norm])

    return handler


def lp_norm(node: Node) -> list[Work]:
    """Return a division by the sum of magnitudes (p = 1) or the root of the sum of squares."""
    x = node.input(0)
    dims = node.shape(x)
    axis = node.integer("axis", -1) % max(len(dims), 1)
    rows = tuple(1 if i == axis else size for i, size in enumerate(dims))
    first = node.integer("p", 2) == 1
    magnitudes = apply(node, "size", "abs" if first else "mul", dims, *(((x, dims),) * (1 if first else 2)))
    works = [magnitudes]
    sums, total = blocks(node, "sum", magnitudes.outputs[0], dims, (axis,))
    works += sums
    if not first:
        works.append(apply(node, "root", "sqrt", rows, (total, rows)))
        total = works[-1].outputs[0]
    return chained(node, [*works, apply(node, "quotient", "div", dims, (x, dims), (total, rows))])


def softmax(node: Node) -> list[Work]:
    """Return a softmax along ``axis``; before operator set 13 over everything from ``axis`` on."""
    x = node.shape(node.input(0))
    old = node.opset < 13
    axis = node.integer("axis", 1 if old else -1) % max(len(x), 1)
    length = prod(x[axis:]) if old else x[axis] if x else 1
    return [Work(Softmax(x, length), (node.input(0),), output(node))]


def hardmax(node: Node) -> list[Work]:
    """Return the maximum of each row, and the comparison with it."""
    x = node.input(0)
    dims = node.shape(x)
    axis = node.integer("axis", 1 if node.opset < 13 else -1) % max(len(dims), 1)
    rows = tuple(1 if i == axis else size for i, size in enumerate(dims))
    works, most = blocks(node, "max", x, dims, (axis,) if dims else ())
    return chained(node, [*works, apply(node, "equal", "equal", dims, (x, dims), (most, rows))])
