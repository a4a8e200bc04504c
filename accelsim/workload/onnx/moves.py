"""ONNX operators that move elements: copies of what they give, and views where nothing needs to move.

An operator that gives elements in another order, or more or fewer than it takes, reads and writes each element of its
result once: a view places them, a copy by the vector unit moves them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from accelsim.workload.onnx.node import Node, RefusedError
from accelsim.workload.onnx.work import Weight, Work, apply, chained, gathered, inner, output
from accelsim.workload.shapes import Dims, Elementwise, View, elements

RESIZE = {1: "linear", 2: "bilinear", 3: "trilinear"}
"""Dimensions along which a resize interpolates -> operation."""


def moved(op: str = "copy") -> Callable[[Node], list[Work]]:
    """Return the handler of an operator that gives each element of its first input once, or chooses among them."""

    def handler(node: Node) -> list[Work]:
        return move(node, node.input(0), op)

    return handler


def move(node: Node, name: str, op: str = "copy") -> list[Work]:
    """Return the copy of a tensor into the operator's first output, of constants too."""
    x, out = node.shape(name), node.shape(node.outputs[0])
    if node.constant(name):
        if not elements(x):
            raise RefusedError("it moves a constant without elements")
        rows = inner(node, "rows")
        return [Work(Elementwise(op, out, (out, *_indices(node, out))), (rows, *_read(node, out)), output(node))]
    if elements(x) == elements(out):
        return [Work(Elementwise(op, out, (x,)), (name,), output(node))]
    views, read = gathered(node, "reads", name, x, out)
    return chained(node, [*views, apply(node, "move", op, out, (read, out))])


def _indices(node: Node, out: Dims) -> tuple[Dims, ...]:
    """Return the shape in which the index of a looked-up row is broadcast over the row, where it is."""
    if not _read(node, out):
        return ()
    ids = node.shape(node.input(1))
    return ((*ids, *(1,) * (len(out) - len(ids))),)


def _read(node: Node, out: Dims) -> tuple[str, ...]:
    if node.op != "Gather" or node.integer("axis", 0) or node.constant(node.input(1)):
        return ()
    ids = node.shape(node.input(1))
    return (node.input(1),) if out[: len(ids)] == ids else ()


def gather(node: Node) -> list[Work]:
    """Return a look-up: rows of a constant table are reads of those rows alone; of an activation, a view or a copy."""
    x = node.input(0)
    if node.constant(x) or elements(node.shape(node.outputs[0])) > elements(node.shape(x)):
        return move(node, x)
    if node.op == "Gather" and not node.constant(node.input(1)):
        return move(node, x)
    return part(node)


def part(node: Node) -> list[Work]:
    """Take a part of a tensor: nothing moves, whoever reads it next reads less."""
    x, out = node.input(0), output(node)
    if node.constant(x):
        return move(node, x)
    return [Work(View("crop", (node.shape(x),), node.shape(*out)), (x,), out)]


def resize(node: Node) -> list[Work]:
    """Return a copy for the nearest element, or interpolations between two along each dimension that changes."""
    x, out = node.shape(node.input(0)), node.shape(node.outputs[0])
    mode = node.text("mode", "nearest")
    if mode == "nearest":
        return move(node, node.input(0))
    changed = sum(a != b for a, b in zip(x, out, strict=True))
    if mode != "linear" or changed > len(RESIZE):
        raise RefusedError(f"a resize of mode '{mode}' along {changed} dimensions is not supported")
    return move(node, node.input(0), RESIZE.get(changed, "copy"))


def one_hot(node: Node) -> list[Work]:
    """Return the comparison of each element of the result with its index."""
    return move(node, node.input(0), "equal")


def scan(op: str) -> Callable[[Node], list[Work]]:
    """Return the handler of running sums or products: one operation per element."""

    def handler(node: Node) -> list[Work]:
        x = node.input(0)
        return [Work(Elementwise(op, node.shape(x), (node.shape(x),)), (x,), output(node))]

    return handler


def scattered(node: Node) -> list[Work]:
    """Return the copy of the data, and of the updates into it."""
    x, updates = node.input(0), node.input(2)
    out, dims = node.shape(node.outputs[0]), node.shape(updates)
    given = node.constant(x), node.constant(updates)
    weights = (Weight(x, out),) if given[0] and elements(out) > 1 else ()
    works = []
    if not given[1]:
        works.append(apply(node, "updates", "copy", dims, (updates, dims)))
    if given[0]:
        if given[1]:
            raise RefusedError("it scatters constants into a constant")
        views, read = gathered(node, "placed", inner(node, "updates"), dims, out)
        return chained(node, [*works, *views, apply(node, "move", "copy", out, (read, out), weights=weights)])
    return [*works, Work(Elementwise("copy", out, (out,)), (x,), output(node), (), "move" if works else "")]


def concat(node: Node) -> list[Work]:
    """Return tensors placed one behind the other."""
    out = output(node)
    shape = node.shape(*out)
    axis = node.integer("axis", 1) % max(len(shape), 1)
    names = tuple(name for name in node.inputs if elements(node.shape(name)))
    return [Work(View("concat", tuple(map(node.shape, names)), shape, axis), names, out)]


def split(node: Node) -> list[Work]:
    """Return a view of each part."""
    x = node.shape(node.input(0))
    axis = node.integer("axis", 0) % max(len(x), 1)
    works, start = [], 0
    for name in node.outputs:
        shape = node.shape(name)
        works.append(Work(View("slice", (x,), shape, axis, start), (node.input(0),), (name,)))
        start += shape[axis]
    return works


def col2im(node: Node) -> list[Work]:
    """Return the sums of blocks where they overlap."""
    x, out = node.shape(node.input(0)), node.shape(node.outputs[0])
    meet = max(-(-elements(x) // max(elements(out), 1)), 1)
    views, read = gathered(node, "blocks", node.input(0), x, out)
    op = "add" if meet > 1 else "copy"
    if meet * prod(out) > 2**40:
        raise RefusedError("too many blocks overlap")
    return chained(node, [*views, apply(node, "sum", op, out, *(((read, out),) * meet))])
