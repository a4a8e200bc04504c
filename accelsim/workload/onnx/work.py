"""What an ONNX operator comes to: pieces of work of accelsim's kinds, and the constants that they read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from accelsim.workload.onnx.node import Node
from accelsim.workload.shapes import Dims, Elementwise, Shape, View, elements


@dataclass(frozen=True)
class Weight:
    """A constant that the work reads: its tensor, and the shape in which the work wants it.

    Attributes
    ----------
    shape : tuple of int
    order : tuple of int or None
        Dimensions of the constant, or of ``view``, in the order in which the work wants them.
    view : tuple of int or None
        Shape that the constant has before its dimensions change their order.
    start : int or None
        First element of the part that is meant; the rest follows by ``shape``.
    label : str
        What the tensor is called if not by the constant's name.
    """

    name: str
    shape: Dims
    order: Dims | None = None
    view: Dims | None = None
    start: int | None = None
    label: str = ""


@dataclass(frozen=True)
class Work:
    """What an operator comes to; of several pieces each has a ``part``, its name within the operator."""

    shape: Shape
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: tuple[Weight, ...] = ()
    part: str = ""


def output(node: Node) -> tuple[str, ...]:
    """Return the first output, the one that counts at inference."""
    return node.outputs[:1]


def inner(node: Node, part: str) -> str:
    """Return the name of a tensor between two pieces of an operator."""
    return f"{node.outputs[0]}.{part}"


def chained(node: Node, works: list[Work]) -> list[Work]:
    """Return pieces of work of which the last writes the operator's first output; a single one has no part."""
    if len(works) == 1:
        return [replace(works[0], outputs=output(node), part="")]
    return [*works[:-1], replace(works[-1], outputs=output(node))]


def apply(
    node: Node, part: str, op: str, shape: Dims, *read: tuple[str, Dims], weights: tuple[Weight, ...] = ()
) -> Work:
    """Return an operation element by element on tensors of some shapes; it writes the tensor of its part."""
    names, dims = zip(*read, strict=True)
    return Work(Elementwise(op, shape, dims), names, (inner(node, part),), weights, part)


def gathered(node: Node, part: str, name: str, dims: Dims, shape: Dims) -> tuple[list[Work], str]:
    """Return what makes a tensor be read in another shape, its elements more than once if there are more of them."""
    if elements(dims) == elements(shape):
        return [], name
    op = "repeat" if elements(shape) > elements(dims) else "crop"
    return [Work(View(op, (dims,), shape), (name,), (inner(node, part),), (), part)], inner(node, part)
