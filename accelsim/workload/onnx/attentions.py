"""Attention among the layers of a graph: a product, work on its scores with one softmax, a product with the values.

Operators that are attentions and graphs that spell one out become the same layers first, and are found by the same
pattern; see docs/decisions/0093-attention-layers.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import takewhile
from typing import NamedTuple

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.lowering import SUFFIX
from accelsim.workload.shapes import Attention, Causal, Elementwise, Matmul, Softmax, View

MOST_PARTS = 64
"""Layers between the two products beyond which nobody looks."""
MOST_MASK = 1 << 22
"""Elements of a mask beyond which nobody looks whether it is causal."""
MASKED = -1e4
"""What is added to a score that does not count is at most this: exporters write -10,000 or less."""


class _Found(NamedTuple):
    """The parts of an attention by position, in order, and its three that say its dimensions."""

    parts: tuple[int, ...]
    scores: Matmul
    softmax: Softmax
    context: Matmul


def gathered(
    layers: tuple[Layer, ...],
    tensors: Mapping[str, Tensor],
    batch: int,
    causal: Collection[str],
    values: Mapping[str, np.ndarray],
) -> tuple[Layer, ...]:
    """Return the layers with those that make up an attention as the parts of one, in the place of its last.

    Parameters
    ----------
    layers : tuple of Layer
    tensors : mapping
        Tensor name -> tensor.
    batch : int
        Images of the graph.
    causal : collection of str
        Layers that come from operators which say that they are causal.
    values : mapping
        Constant -> its values.
    """
    maker = {name: i for i, layer in enumerate(layers) for name in layer.outputs}
    readers: dict[str, list[int]] = {}
    for i, layer in enumerate(layers):
        for name in dict.fromkeys(layer.inputs):
            readers.setdefault(name, []).append(i)
    taken: set[int] = set()
    whole: dict[int, Layer] = {}
    names = {layer.name for layer in layers}
    for start, layer in enumerate(layers):
        found = _found(layers, start, maker, readers) if isinstance(layer.shape, Matmul) else None
        if found is None or taken.intersection(found.parts):
            continue
        parts = tuple(layers[i] for i in found.parts)
        shape = _shape(parts, found, tensors, batch, causal, values)
        if shape is not None:
            made = _whole(parts, shape, _name(parts, names), layers, found.parts, readers)
            names.add(made.name)
            taken.update(found.parts)
            whole[found.parts[-1]] = made
    return tuple(whole.get(i, layer) for i, layer in enumerate(layers) if i in whole or i not in taken)


def _found(
    layers: tuple[Layer, ...], start: int, maker: Mapping[str, int], readers: Mapping[str, list[int]]
) -> _Found | None:
    """Return the attention whose scores a product makes, if nothing else lies on the way or needs it before its end."""
    made = set(layers[start].outputs)
    reached = [start]
    todo = sorted({i for name in made for i in readers.get(name, ())})
    while todo and len(reached) <= MOST_PARTS:
        at = todo.pop(0)
        layer = layers[at]
        if isinstance(layer.shape, Matmul) and layer.inputs[0] in made and layer.inputs[1] not in made:
            return _complete(layers, start, at, set(reached), maker, readers)
        if isinstance(layer.shape, Elementwise | View | Softmax):
            reached.append(at)
            made.update(layer.outputs)
            todo = sorted({*todo, *(i for name in layer.outputs for i in readers.get(name, ()))} - {*reached})
    return None


def _complete(
    layers: tuple[Layer, ...],
    start: int,
    end: int,
    reached: set[int],
    maker: Mapping[str, int],
    readers: Mapping[str, list[int]],
) -> _Found | None:
    inside, todo = {end}, [end]
    while todo:
        back = {maker[name] for name in layers[todo.pop()].inputs if name in maker} & reached - inside
        inside |= back
        todo += back
    parts = tuple(sorted(inside))
    early = {i for p in parts for name in layers[p].outputs for i in readers.get(name, ()) if i < end} - inside
    rows = [shape for p in parts if isinstance(shape := layers[p].shape, Softmax)]
    scores, context = layers[start].shape, layers[end].shape
    if early or len(rows) != 1 or not isinstance(scores, Matmul) or not isinstance(context, Matmul):
        return None
    fits = (context.batch, context.m, context.k) == (scores.batch, scores.m, scores.n) and context.n == scores.k
    if not fits or rows[0].length != scores.n or np.prod(rows[0].shape) != scores.batch * scores.m * scores.n:
        return None
    return _Found(parts, scores, rows[0], context)


def _shape(
    parts: tuple[Layer, ...],
    found: _Found,
    tensors: Mapping[str, Tensor],
    batch: int,
    causal: Collection[str],
    values: Mapping[str, np.ndarray],
) -> Attention | None:
    """Return the dimensions: those of the softmax say heads and queries, the product's rows how many share keys."""
    groups, rows, kv, size = found.scores.batch, found.scores.m, found.scores.n, found.scores.k
    dims = found.softmax.shape
    if len(dims) == 4:
        images, heads, q = dims[0], dims[1], dims[2]
    elif len(dims) == 3:
        images = batch if dims[0] % batch == 0 else 1
        heads, q = dims[0] // images, dims[1]
    else:
        images = batch if groups % batch == 0 else 1
        heads, q = groups // images, rows
    if groups % images or images * heads * q != groups * rows or heads % (groups // images):
        return None
    mode: Causal = "none"
    if q <= kv and (any(part.name in causal for part in parts) or _masked(parts, tensors, values, q, kv)):
        mode = "full"
    return Attention(images, heads, groups // images, q, kv, size, mode)


def _masked(
    parts: tuple[Layer, ...], tensors: Mapping[str, Tensor], values: Mapping[str, np.ndarray], q: int, kv: int
) -> bool:
    """Whether a constant (q, kv) that is added or chooses takes away what lies behind the diagonal, and no more."""
    for part in parts:
        if not isinstance(part.shape, Elementwise) or part.shape.op not in ("add", "where"):
            continue
        for name in part.weights:
            if tensors[name].elements != q * kv or q * kv > MOST_MASK or name not in values:
                continue
            try:
                mask = np.asarray(values[name]).reshape(q, kv)
            except WorkloadError:  # the file is damaged, which whoever needs the values will say
                continue
            seen = mask == 0 if part.shape.op == "add" else mask.astype(bool)
            away = mask <= MASKED if part.shape.op == "add" else ~seen
            below = np.tri(q, kv, kv - q, dtype=bool)
            if q > 1 and np.array_equal(seen, below) and np.array_equal(away, ~below):
                return True
    return False


def _whole(
    parts: tuple[Layer, ...],
    shape: Attention,
    name: str,
    layers: tuple[Layer, ...],
    at: tuple[int, ...],
    readers: Mapping[str, list[int]],
) -> Layer:
    made = {output for part in parts for output in part.outputs}
    operands = (*parts[0].inputs, parts[-1].inputs[1])
    others = [x for part in parts for x in part.inputs if x not in made and x not in operands]
    weights = dict.fromkeys(weight for part in parts for weight in part.weights)
    result = parts[-1].outputs[0]
    besides = [x for part in parts for x in part.outputs if x != result and set(readers.get(x, ())) - set(at)]
    inputs = (*operands, *dict.fromkeys(others))
    return Layer(name, shape, inputs, tuple(weights), (result, *besides), parts=parts)


def _name(parts: tuple[Layer, ...], names: Collection[str]) -> str:
    """Return the operator's name, else what the parts' names have in common."""
    paths = zip(*(part.name.split(".") for part in parts), strict=False)
    common = ".".join(words[0] for words in takewhile(lambda words: len({*words}) == 1, paths))
    base = parts[0].parent or (common + SUFFIX if common else SUFFIX[1:])
    name, copies = base, 1
    while name in names:
        copies += 1
        name = f"{base}.{copies}"
    return name
