"""Operators on quantised tensors: what they compute is what their real counterparts do, on integers.

``QLinear`` operators carry a scale and a zero point behind each operand; both are parameters, as for QuantizeLinear.
Source: ONNX QLinearConv, QLinearMatMul, DynamicQuantizeLinear; onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

from accelsim.workload.onnx.node import Node, RefusedError
from accelsim.workload.onnx.pools import PoolOp, blocks
from accelsim.workload.onnx.work import Weight, Work, apply, output
from accelsim.workload.shapes import Elementwise, Pool, Softmax, View


def elementwise(op: str, *indices: int) -> Callable[[Node], list[Work]]:
    """Return the handler of an operation on the tensors that stand at some inputs."""

    def handler(node: Node) -> list[Work]:
        names = [node.input(i) for i in indices]
        read = tuple(name for name in names if not node.constant(name))
        weights = tuple(Weight(n, node.shape(n)) for n in names if node.constant(n) and prod(node.shape(n)) > 1)
        shape = Elementwise(op, node.shape(*output(node)), tuple(map(node.shape, read)))
        return [Work(shape, read, output(node), weights)]

    return handler


def concat(node: Node) -> list[Work]:
    """Return tensors placed one behind the other: each is followed by its scale and zero point."""
    names = tuple(node.proto.input[2::3])
    shape = node.shape(*output(node))
    axis = node.integer("axis", 0) % max(len(shape), 1)
    return [Work(View("concat", tuple(map(node.shape, names)), shape, axis), names, output(node))]


def global_pool(node: Node) -> list[Work]:
    """Return an average over all positions."""
    x = node.shape(node.input(0))
    last = bool(node.integer("channels_last", 0))
    if last:
        area = prod(x[1:-1])
        shape = Pool("average", x[0], 1, area, x[-1], area, 1)
    else:
        area = prod(x[2:])
        shape = Pool("average", x[0], x[1], 1, area, 1, area)
    return [Work(shape, (node.input(0),), output(node))]


def softmax(node: Node) -> list[Work]:
    """Return a softmax along an axis."""
    x = node.shape(node.input(0))
    return [Work(Softmax(x, x[node.integer("axis", -1)]), (node.input(0),), output(node))]


def dynamic(node: Node) -> list[Work]:
    """Return the search of the range of a tensor, and its quantisation; scale and zero point follow from the range."""
    x = node.input(0)
    dims = node.shape(x)
    axes = tuple(range(len(dims)))
    if not dims or len(node.proto.output) < 3:
        raise RefusedError("it has no range to search")
    works: list[Work] = []
    ends: tuple[tuple[PoolOp, str], ...] = (("max", node.proto.output[1]), ("min", node.proto.output[2]))
    for op, name in ends:
        found, _ = blocks(node, op, x, dims, axes, f"{op}.")
        works += [*found[:-1], replace(found[-1], outputs=(name,), part=op)]
    quantised = apply(node, "quantize", "quantize", dims, (x, dims))
    return [*works, Work(quantised.shape, quantised.inputs, output(node), (), "quantize")]
