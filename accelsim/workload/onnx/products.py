"""ONNX operators that multiply and accumulate matrices, as accelsim's kinds of work.

A product of two tensors has four kinds of dimensions: shared (in both operands and the result), own (in one of them and
the result) and contracted. With constants as one operand it is a linear layer, or a grouped 1 x 1 convolution with a
group per shared index; with two activations a batched matrix product.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import NamedTuple

from accelsim.workload.onnx.node import Node, RefusedError
from accelsim.workload.onnx.work import Weight, Work, apply, chained, inner, output
from accelsim.workload.shapes import Conv2d, Dims, Linear, Matmul


class Roles(NamedTuple):
    """Which dimensions of an operand are shared, its own, and contracted."""

    shape: Dims
    shared: Dims
    own: Dims
    contracted: Dims

    def size(self, axes: Dims) -> int:
        """Return the elements that some of the dimensions span."""
        return prod(self.shape[axis] for axis in axes)

    def weight(self, name: str) -> Weight:
        """Return the operand as filters: (shared, own, contracted)."""
        others = tuple(i for i, _ in enumerate(self.shape) if i not in (*self.shared, *self.own, *self.contracted))
        order = (*others, *self.shared, *self.own, *self.contracted)
        rows = self.size(self.shared) * self.size(self.own)
        turned = None if order == tuple(range(len(order))) else order
        return Weight(name, (rows, self.size(self.contracted)), turned, self.shape if turned else None)


def product(node: Node, names: tuple[str, str], roles: tuple[Roles, Roles]) -> Work:
    """Return the product of two operands; at most one of them is constant."""
    left, right = roles
    shared, k = left.size(left.shared), left.size(left.contracted)
    a, b = left.size(left.own), right.size(right.own)
    if not node.constant(names[0]) and not node.constant(names[1]):
        return Work(Matmul(shared, a, b, k), names, output(node), (), "product")
    at = 1 if node.constant(names[1]) else 0
    rows, columns = (a, b) if at else (b, a)
    weight = roles[at].weight(names[at])
    if shared == 1:
        return Work(Linear(rows, k, columns), (names[1 - at],), output(node), (weight,), "product")
    conv = Conv2d(rows, shared * k, shared * columns, 1, 1, 1, 1, shared)
    grouped = replace(weight, shape=conv.weight_shape)
    return Work(conv, (names[1 - at],), output(node), (grouped,), "product")


def bias(node: Node, index: int, k: int) -> tuple[Weight, ...]:
    """Return the constant that is added per output channel, if there is one."""
    name = node.optional(index)
    if not name:
        return ()
    if not node.constant(name):
        raise RefusedError("its bias is no constant")
    if prod(node.shape(name)) != k:
        raise RefusedError(f"its bias has {prod(node.shape(name))} elements for {k} outputs")
    return (Weight(name, (k,)),)


def gemm(node: Node, second: int = 1, added: int = 2) -> list[Work]:
    """Return a product of two matrices and what is added to it: a bias per output, or an addition of its own.

    Factors of constants are folded into them; of activations they are multiplications. ``second`` and ``added`` say
    which inputs the other matrix and the addend are.
    """
    names = (node.input(0), node.input(second))
    a, b = (node.shape(name) for name in names)
    if len(a) != 2 or len(b) != 2:
        raise RefusedError("its operands are no matrices")
    first, last = node.integer("transA", 0) != 0, node.integer("transB", 0) != 0
    m, n = a[first], b[not last]
    left = Roles(a, (), (int(first),), (int(not first),))
    right = Roles(b, (), (int(not last),), (int(last),))
    work = product(node, names, (left, right))
    works = [work]
    if node.real("alpha", 1.0) != 1 and not work.weights:
        made = inner(node, "product")
        works = [replace(work, outputs=(made,)), _scaled(node, "scale", made, (m, n))]
    c = node.optional(added)
    if not c or node.real("beta", 1.0) == 0:
        return chained(node, works)
    dims = node.shape(c)
    per_output = prod(dims[-1:]) == prod(dims) == n
    if node.constant(c) and node.constant(names[1]) and isinstance(work.shape, Linear) and per_output:
        return chained(node, [replace(work, weights=(*work.weights, Weight(c, (n,))))])
    works = [replace(w, outputs=(inner(node, w.part),)) for w in works]
    last_name = works[-1].outputs[0]
    if node.constant(c):
        added_weights = (Weight(c, dims),) if prod(dims) > 1 else ()
        return chained(node, [*works, apply(node, "add", "add", (m, n), (last_name, (m, n)), weights=added_weights)])
    if node.real("beta", 1.0) != 1:
        works.append(_scaled(node, "beta", c, dims))
        c = inner(node, "beta")
    return chained(node, [*works, apply(node, "add", "add", (m, n), (last_name, (m, n)), (c, dims))])


def _scaled(node: Node, part: str, name: str, dims: Dims) -> Work:
    """Return a multiplication by a constant number."""
    return apply(node, part, "mul", dims, (name, dims))


def matmul(node: Node, second: int = 1) -> list[Work]:
    """Return a product with NumPy's rules: vectors, and leading dimensions that broadcast."""
    names = (node.input(0), node.input(second))
    return matrices(node, names, (node.shape(names[0]), node.shape(names[1])))


def matrices(node: Node, names: tuple[str, str], dims: tuple[Dims, Dims]) -> list[Work]:
    """Return the product of the last two dimensions of two tensors of these shapes."""
    a, b = dims
    if not a or not b:
        raise RefusedError("an operand is a scalar")
    left = _roles(a if len(a) > 1 else (1, *a), b, rows=-2, contracted=-1)
    right = _roles(b if len(b) > 1 else (*b, 1), a, rows=-1, contracted=-2)
    lead = a[:-2]
    if node.constant(names[0]) and prod(lead) == 1 and len(a) > 1 and len(b) > 1:
        *others, inner_size, n = b
        conv = Conv2d(prod(others), inner_size, a[-2], 1, n, 1, 1)
        return [Work(conv, names[1:], output(node), (Weight(names[0], conv.weight_shape),))]
    if left.size(left.contracted) != right.size(right.contracted):
        raise RefusedError(f"its operands {list(a)} and {list(b)} do not fit")
    return chained(node, [product(node, names, (left, right))])


def _roles(mine: Dims, other: Dims, rows: int, contracted: int) -> Roles:
    """Return the roles of an operand: a leading dimension is shared if both have it, else its own."""
    rank = len(mine)
    shared: list[int] = []
    own: list[int] = []
    for axis in range(rank - 2):
        back = rank - axis
        if mine[axis] == 1:
            continue
        (shared if len(other) >= back and other[-back] == mine[axis] else own).append(axis)
    return Roles(mine, tuple(shared), (*own, rank + rows), (rank + contracted,))


def einsum(node: Node) -> list[Work]:
    """Return a product of two tensors by their indices; each index is in the result or in both operands."""
    if len(node.inputs) != 2:
        raise RefusedError("an Einsum of other than two operands is not supported")
    names = (node.input(0), node.input(1))
    equation = node.text("equation", "").replace(" ", "")
    terms, arrow, result = equation.partition("->")
    sides = terms.split(",")
    if len(sides) != 2:
        raise RefusedError(f"its equation '{equation}' has other than two operands")
    indices = [_indices(side, len(node.shape(name))) for side, name in zip(sides, names, strict=True)]
    if not arrow:
        once = sorted(i for i in set(terms) - {",", "."} if terms.count(i) == 1)
        result = ("..." if "..." in terms else "") + "".join(once)
    dots = max((i for side in indices for i in side if i.startswith(".")), key=lambda i: int(i[1:]), default=".0")
    wanted = set(_expanded(result, int(dots[1:])))
    roles: list[Roles] = []
    for side, other, name in zip(indices, indices[::-1], names, strict=True):
        if len(set(side)) != len(side):
            raise RefusedError(f"its equation '{equation}' takes a diagonal")
        dims, theirs = node.shape(name), dict(zip(other, node.shape(names[1 - len(roles)]), strict=True))
        shared: list[tuple[str, int]] = []
        own: list[tuple[str, int]] = []
        contracted: list[tuple[str, int]] = []
        for axis, index in enumerate(side):
            both = theirs.get(index, 1) == dims[axis] or (index in theirs and not index.startswith("."))
            if index in wanted:
                if dims[axis] != 1 or index not in theirs:
                    (shared if index in theirs and both else own).append((index, axis))
            elif index in theirs:
                contracted.append((index, axis))
            elif dims[axis] != 1:
                raise RefusedError(f"its equation '{equation}' sums one operand over '{index}' alone")
        roles.append(Roles(dims, *(tuple(axis for _, axis in sorted(part)) for part in (shared, own, contracted))))
    return chained(node, [product(node, names, (roles[0], roles[1]))])


def _indices(term: str, rank: int) -> list[str]:
    """Return the index of each dimension; those under the dots are numbered from the right."""
    return _expanded(term, rank - len(term.replace("...", "")))


def _expanded(term: str, more: int) -> list[str]:
    head, dots, tail = term.partition("...")
    if more < 0 or (more and not dots and "." in term):
        raise RefusedError(f"its term '{term}' does not fit its operand")
    return [*head, *(f".{more - i}" for i in range(more if dots else 0)), *tail]
