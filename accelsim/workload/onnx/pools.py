"""ONNX pooling and reductions: one window, or one block, per result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Literal, TypeAlias

from accelsim.workload.onnx.node import Node, RefusedError
from accelsim.workload.onnx.window import spans, window
from accelsim.workload.onnx.work import Work, apply, chained, gathered, inner, output
from accelsim.workload.shapes import Dims, Pool, elements

MOST_TAPS, STAGE = 1 << 16, 1 << 12
"""Elements that one window reduces at most; of more, stages reduce up to so many each."""
MOST_ROWS = 1 << 14
"""Elements under the windows side by side, which buffers hold at once: of more, stages reduce them if sizes divide."""

PoolOp: TypeAlias = Literal["max", "min", "sum", "average"]


def pool(node: Node) -> list[Work]:
    """Return pooling; over three dimensions or dilated, every window is read by itself.

    The indices of a maximum are written by a copy of its own.
    """
    x = node.shape(node.input(0))
    op: PoolOp = "max" if "Max" in node.op else "average"
    if len(x) < 3:
        raise RefusedError(f"pooling over {len(x) - 2} dimensions is not supported")
    if "Global" in node.op:
        if elements(x[2:]) > MOST_ROWS:
            return chained(node, blocks(node, op, node.input(0), x, tuple(range(2, len(x))))[0])
        h, w = x[2:] if len(x) == 4 else (1, prod(x[2:]))
        return [Work(Pool(op, x[0], x[1], h, w, h, w), (node.input(0),), output(node))]
    kernel = node.integers("kernel_shape", ())
    if len(kernel) != len(x) - 2:
        raise RefusedError("its window has another rank than its input")
    axes = spans(node, x[2:], kernel)
    if len(x) <= 4 and all(axis.dilation == 1 for axis in axes):
        h, w = x[2:] if len(x) == 4 else (1, x[2])
        r, s = kernel if len(kernel) == 2 else (1, kernel[0])
        stride, _, pad = window(node, (h, w), (r, s), len(x) - 2)
        ceil, counted = bool(node.integer("ceil_mode", 0)), bool(node.integer("count_include_pad", 0))
        works = [Work(Pool(op, x[0], x[1], h, w, r, s, stride, pad, ceil, counted), (node.input(0),), output(node))]
    else:
        works = windows(node, op, node.input(0), x, kernel)
    return [*works, *_indices(node)]


def windows(node: Node, op: PoolOp, name: str, x: Dims, kernel: Dims) -> list[Work]:
    """Return pooling in which each result reads a window of its own."""
    out, taps = node.shape(node.outputs[0]), prod(kernel)
    positions = elements(out) // max(out[0], 1)
    shape = Pool(op, out[0], positions, 1, taps, 1, taps)
    views, read = gathered(node, "windows", name, x, shape.input_shapes[0])
    return chained(node, [*views, Work(shape, (read,), output(node), (), "pool")])


def _indices(node: Node) -> list[Work]:
    if len(node.proto.output) < 2 or not node.proto.output[1]:
        return []
    out = node.shape(node.outputs[0])
    copy = apply(node, "indices", "copy", out, (node.outputs[0], out))
    return [Work(copy.shape, copy.inputs, (node.proto.output[1],), (), "indices")]


def lp_pool(node: Node) -> list[Work]:
    """Return the root of the sum of powers under a window."""
    x, out = node.shape(node.input(0)), node.shape(node.outputs[0])
    kernel = x[2:] if "Global" in node.op else node.integers("kernel_shape", ())
    powers = apply(node, "powers", "pow", x, (node.input(0), x))
    works = windows(node, "sum", powers.outputs[0], x, kernel)
    last = replace(works[-1], outputs=(inner(node, "sum"),), part="sum")
    return chained(node, [powers, *works[:-1], last, apply(node, "root", "pow", out, (inner(node, "sum"), out))])


def axes_of(node: Node, rank: int) -> Dims:
    """Return the dimensions over which an operator reduces, in ascending order; all by default."""
    axes = node.integers("axes", ())
    if node.optional(1):
        axes = node.numbers(node.optional(1))
    if any(not -rank <= axis < rank for axis in axes):
        raise RefusedError(f"it reduces over {list(axes)} of {rank} dimensions")
    if not axes and not node.integer("noop_with_empty_axes", 0):
        return tuple(range(rank))
    return tuple(sorted({axis % rank for axis in axes}))


def blocks(node: Node, op: PoolOp, name: str, x: Dims, axes: Dims, head: str = "") -> tuple[list[Work], str]:
    """Return reductions over some dimensions, neighbours together, and the tensor that they make.

    ``head`` tells several reductions of one operator apart.
    """
    works: list[Work] = []
    rest = list(axes)
    while rest:
        last = first = rest.pop()
        while rest and rest[-1] == first - 1:
            first = rest.pop()
        ahead, block, behind = x[:first], prod(x[first : last + 1]), prod(x[last + 1 :])
        n, c = (ahead[0], prod(ahead[1:])) if ahead else (1, 1)
        part = f"{head}reduce{first}"
        while block * behind > MOST_ROWS:  # in stages, each over as many as divide the rest
            taken = _divisor(block, min(STAGE, MOST_ROWS // behind))
            if taken == 1 and block > MOST_TAPS:
                taken = _divisor(block, STAGE)
                if taken == 1:
                    raise RefusedError(f"it reduces {block:,} elements at once, which have no divisor up to {STAGE:,}")
            if taken == 1:
                break
            block //= taken
            stage = Pool(op, n, c * block, 1, taken, 1, taken)
            if behind > 1:
                stage = Pool(op, n, c, block * taken, behind, taken, 1, (taken, 1))
            works.append(Work(stage, (name,), (inner(node, f"{part}.{block}"),), (), f"{part}.{block}"))
            name = inner(node, f"{part}.{block}")
        shape = Pool(op, n, c, 1, block, 1, block) if behind == 1 else Pool(op, n, c, block, behind, block, 1)
        works.append(Work(shape, (name,), (inner(node, part),), (), part))
        name, x = inner(node, part), (*ahead, *(1,) * (last + 1 - first), *x[last + 1 :])
    return works, name


def _divisor(block: int, most: int) -> int:
    """Return the largest divisor of ``block`` that is at most ``most``."""
    return next((size for size in range(min(most, block), 1, -1) if block % size == 0), 1)


def reduce(op: PoolOp, before: str = "", after: str = "") -> Callable[[Node], list[Work]]:
    """Return the handler of a reduction, with an operation on its operand or its result."""

    def handler(node: Node) -> list[Work]:
        name, works = node.input(0), []
        x, out = node.shape(name), node.shape(node.outputs[0])
        axes = axes_of(node, len(x))
        if before:
            read = ((name, x), (name, x)) if before == "mul" else ((name, x),)
            works.append(apply(node, before, before, x, *read))
            name = works[-1].outputs[0]
        reduced, name = blocks(node, op, name, x, axes)
        works += reduced
        if after:
            works.append(apply(node, after, after, out, (name, out)))
        if not works:
            works.append(apply(node, "copy", "copy", out, (name, out)))
        return chained(node, works)

    return handler


def arg(node: Node) -> list[Work]:
    """Return the search of an extreme: what it costs to find the value; its place is known with it."""
    name = node.input(0)
    x = node.shape(name)
    axis = node.integer("axis", 0) % max(len(x), 1)
    works, _ = blocks(node, "min" if "Min" in node.op else "max", name, x, (axis,) if x else ())
    return chained(node, works) if works else [apply(node, "copy", "copy", x, (name, x))]


def top(node: Node) -> list[Work]:
    """Return the selection of the k largest, one pass over a row for each, and the copy of their places."""
    name, out = node.input(0), node.shape(node.outputs[0])
    x = node.shape(name)
    axis = node.integer("axis", -1) % max(len(x), 1)
    rows = elements(out) // max(out[0], 1)
    shape = Pool("max" if node.integer("largest", 1) else "min", out[0], rows, 1, x[axis], 1, x[axis])
    if axis == 0:
        shape = Pool(shape.op, 1, elements(out), 1, x[0], 1, x[0])
    views, read = gathered(node, "passes", name, x, shape.input_shapes[0])
    works = chained(node, [*views, Work(shape, (read,), output(node), (), "select")])
    return [*works, *_indices(node)]
