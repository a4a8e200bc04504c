"""Attention operators as products, softmax and context, and rotary position embedding as products and sums.

Tensors are (batch, heads, positions, size) or (batch, positions, heads x size); heads of queries that share one of
keys and values are rows of one product, so that keys and values are read once for all of them. How heads lie in memory
is not modelled. Sources: ONNX operators Attention and RotaryEmbedding (operator set 23); onnxruntime,
docs/ContribOperators.md, com.microsoft MultiHeadAttention and GroupQueryAttention.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from accelsim.workload.onnx.contributed import MICROSOFT
from accelsim.workload.onnx.node import Node, RefusedError
from accelsim.workload.onnx.work import Weight, Work, apply, chained, inner
from accelsim.workload.shapes import Dims, Linear, Matmul, Softmax, View, elements


class Operands(NamedTuple):
    """What an attention reads: names, and the sizes that matter."""

    query: str
    key: str
    value: str
    batch: int
    heads: int
    shared: int
    """Heads of keys and values."""
    positions: int
    size: int
    value_size: int
    new: int
    """Positions of new keys and values."""


def attention(node: Node) -> list[Work]:
    """Return an ONNX Attention."""
    q, k, v = (node.shape(node.input(i)) for i in range(3))
    names = (node.input(0), node.input(1), node.input(2))
    if len(q) == 4:
        given = Operands(*names, q[0], q[1], k[1], q[2], q[3], v[3], k[2])
    else:
        heads, shared = node.integer("q_num_heads", 0), node.integer("kv_num_heads", 0)
        if heads < 1 or shared < 1 or q[2] % heads or v[2] % shared:
            raise RefusedError(f"its {heads} and {shared} heads do not divide its operands")
        given = Operands(*names, q[0], heads, shared, q[1], q[2] // heads, v[2] // shared, k[1])
    return _attention(node, given, (node.optional(4), node.optional(5)), node.optional(3), (1, 2), _cap(node), [])


def multi_head(node: Node) -> list[Work]:
    """Return a com.microsoft MultiHeadAttention with operands of three dimensions, or keys by head."""
    q = node.shape(node.input(0))
    heads = node.integer("num_heads", 0)
    if len(q) != 3 or not node.optional(1) or not node.optional(2):
        raise RefusedError("packed queries, keys and values are not supported")
    k, v = node.shape(node.input(1)), node.shape(node.input(2))
    if heads < 1 or q[2] % heads:
        raise RefusedError(f"{heads} heads do not divide queries of {q[2]}")
    new = k[2] if len(k) == 4 else k[1]
    wide = v[3] if len(v) == 4 else v[2] // heads
    names = (node.input(0), node.input(1), node.input(2))
    works: list[Work] = []
    if node.optional(3):
        if not node.constant(node.optional(3)):
            raise RefusedError("its bias is no constant")
        start, named = 0, []
        for part, name, dims in zip(("query", "key", "value"), names, (q, k, v), strict=True):
            shape = (dims[-1],)
            weight = Weight(node.optional(3), shape, start=start, label=f"{node.optional(3)}.{part}")
            works.append(apply(node, part, "add", dims, (name, dims), weights=(weight,)))
            named.append(inner(node, part))
            start += dims[-1]
        names = (named[0], named[1], named[2])
    given = Operands(*names, q[0], heads, heads, q[1], q[2] // heads, wide, new)
    return _attention(node, given, (node.optional(6), node.optional(7)), node.optional(5), (1, 2), 0.0, works)


def group_query(node: Node) -> list[Work]:
    """Return a com.microsoft GroupQueryAttention, with rotary embedding if it has one.

    Past keys and values lie in buffers; all their positions count, as a buffer's length is all that a graph tells.
    """
    q = node.shape(node.input(0))
    heads, shared = node.integer("num_heads", 0), node.integer("kv_num_heads", 0)
    if len(q) != 3 or heads < 1 or shared < 1 or heads % shared:
        raise RefusedError(f"its {heads} and {shared} heads do not fit its operands")
    works: list[Work] = []
    if node.optional(1):
        size, names = q[2] // heads, (node.input(0), node.input(1), node.input(2))
    else:
        size = q[2] // (heads + 2 * shared)
        parts, start = [], 0
        for part, count in (("query", heads), ("key", shared), ("value", shared)):
            shape = (*q[:2], count * size)
            view = View("slice", (q,), shape, 2, start)
            works.append(Work(view, (node.input(0),), (inner(node, part),), (), part))
            parts.append(inner(node, part))
            start += count * size
        names = (parts[0], parts[1], parts[2])
    if node.integer("do_rotary", 0):
        turned = []
        for part, name, count in (("rotary_query", names[0], heads), ("rotary_key", names[1], shared)):
            rotated = _rotary(node, part, name, (q[0], q[1], count, size), node.optional(7), node.optional(8))
            works += rotated
            turned.append(rotated[-1].outputs[0])
        names = (turned[0], turned[1], names[2])
    given = Operands(*names, q[0], heads, shared, q[1], size, size, q[1])
    return _attention(node, given, (node.optional(3), node.optional(4)), node.optional(10), (1, 2), _cap(node), works)


def is_causal(node: Node) -> bool:
    """Whether an attention lets a query see only the keys up to its own position, queries being the last positions."""
    if node.op == MICROSOFT + "GroupQueryAttention":
        return node.integer("local_window_size", -1) < 1
    if node.op == MICROSOFT + "Attention":
        return bool(node.integer("unidirectional", 0))
    said = node.integer("is_causal", 0) or node.integer("unidirectional", 0)
    return bool(said) and node.shape(node.input(0))[-2] == node.shape(node.input(1))[-2]


def _cap(node: Node) -> float:
    return node.real("softcap", 0.0)


def _attention(
    node: Node, o: Operands, past: tuple[str, str], mask: str, present: tuple[int, int], cap: float, works: list[Work]
) -> list[Work]:
    if not o.shared or o.heads % o.shared:
        raise RefusedError(f"{o.shared} heads of keys do not divide {o.heads} of queries")
    names, total = [o.key, o.value], o.new
    for i, (part, size) in enumerate((("past_key", o.size), ("past_value", o.value_size))):
        kept = present[i] < len(node.proto.output) and node.proto.output[present[i]]
        before = node.shape(past[i])[2] if past[i] else 0
        total = before + o.new
        if elements((o.batch, o.shared, before)) and past[i]:
            shapes = tuple((o.batch, o.shared, length, size) for length in (before, o.new))
            out = kept or inner(node, part)
            view = View("concat", shapes, (o.batch, o.shared, total, size), 2)
            works.append(Work(view, (past[i], names[i]), (out,), (), part))
            names[i] = out
        elif kept:
            shape = (o.batch, o.shared, o.new, size)
            works.append(Work(View("reshape", (shape,), shape), (names[i],), (kept,), (), part))
    groups, rows = o.batch * o.shared, o.heads // o.shared * o.positions
    scores: Dims = (o.batch, o.heads, o.positions, total)
    works.append(Work(Matmul(groups, rows, total, o.size), (o.query, names[0]), (inner(node, "scores"),), (), "scores"))
    name = inner(node, "scores")
    if cap:
        works.append(apply(node, "cap", "tanh", scores, (name, scores)))
        name = inner(node, "cap")
    if mask:
        dims = node.shape(mask)
        if len(dims) == 4 and dims[1] != 1 and dims[1] != o.heads:
            raise RefusedError(f"its mask {list(dims)} does not fit {o.heads} heads")
        if elements(dims) > elements(scores) or dims[-1:] not in ((1,), (total,)):
            raise RefusedError(f"its mask {list(dims)} does not fit scores of {list(scores)}")
        fixed = node.constant(mask)
        works.append(apply(node, "mask", "add", scores, (name, scores), *(() if fixed else ((mask, dims),)),
                           weights=(Weight(mask, dims),) if fixed else ()))  # fmt: skip
        name = inner(node, "mask")
    works.append(Work(Softmax(scores, total), (name,), (inner(node, "softmax"),), (), "softmax"))
    context = Matmul(groups, rows, o.value_size, total)
    works.append(Work(context, (inner(node, "softmax"), names[1]), (inner(node, "context"),), (), "context"))
    done = chained(node, works)
    if len(node.proto.output) > 3 and node.proto.output[3]:  # the scores, at one of the stages
        stage = ("scores", "mask", "cap", "softmax")[min(node.integer("qk_matmul_output_mode", 0), 3)]
        found = next((w for w in done if w.part == stage), next(w for w in done if w.part == "scores"))
        copy = Work(View("reshape", (scores,), scores), found.outputs, (node.proto.output[3],), (), "stage")
        done.append(copy)
    return done


def rotary(cos: int, sin: int) -> Callable[[Node], list[Work]]:
    """Return the handler of a rotary embedding whose tables are these inputs."""

    def handler(node: Node) -> list[Work]:
        dims = node.shape(node.input(0))
        return chained(node, _rotary(node, "", node.input(0), dims, node.optional(cos), node.optional(sin)))

    return handler


def _rotary(node: Node, part: str, name: str, dims: Dims, cos: str, sin: str) -> list[Work]:
    """Return two products with the tables, each element's row of them, and their sum."""
    if not cos or not sin:
        raise RefusedError("its tables of cosines and sines are no inputs")
    head = f"{part}_" if part else ""
    works = []
    for word, table in (("cos", cos), ("sin", sin)):
        del table  # each element meets one entry, which is repeated over heads: as many reads as elements at most
        rows = f"{inner(node, head + word)}.table"
        works.append(apply(node, head + word, "mul", dims, (name, dims), (rows, dims)))
    pair = ((inner(node, f"{head}cos"), dims), (inner(node, f"{head}sin"), dims))
    return [*works, apply(node, f"{head}sum", "add", dims, *pair)]


def packed(node: Node) -> list[Work]:
    """Return a com.microsoft Attention: the projection of queries, keys and values, and the attention."""
    x, w = node.shape(node.input(0)), node.shape(node.input(1))
    heads, sizes = node.integer("num_heads", 0), node.integers("qkv_hidden_sizes", (w[1] // 3,) * 3)
    if not node.constant(node.input(1)) or heads < 1 or len(x) != 3 or sum(sizes) != w[1] or sizes[0] % heads:
        raise RefusedError(f"its filters {list(w)} do not fit {heads} heads")
    extra = node.optional(2)
    bias = (Weight(extra, (w[1],)),) if extra and node.constant(extra) else ()
    linear = Linear(x[0] * x[1], x[2], w[1])
    filters = Weight(node.input(1), (w[1], x[2]), (1, 0))
    works = [Work(linear, (node.input(0),), (inner(node, "qkv"),), (filters, *bias), "qkv")]
    names, start = [], 0
    for part, size in zip(("query", "key", "value"), sizes, strict=True):
        view = View("slice", ((*x[:2], w[1]),), (*x[:2], size), 2, start)
        works.append(Work(view, (inner(node, "qkv"),), (inner(node, part),), (), part))
        names.append(inner(node, part))
        start += size
    if node.optional(4):
        raise RefusedError("its past keys and values in one tensor are not supported")
    q, k, v = names
    given = Operands(q, k, v, x[0], heads, heads, x[1], sizes[0] // heads, sizes[2] // heads, x[1])
    return _attention(node, given, ("", ""), node.optional(5), (9, 9), 0.0, works)
