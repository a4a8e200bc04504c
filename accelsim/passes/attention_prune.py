"""Cascade pruning: tokens and heads that matter little leave all later layers, and what they fed shrinks.

Source: H. Wang, Z. Zhang and S. Han, "SpAtten: Efficient Sparse Attention Architecture with Cascade Token and Head
Pruning", HPCA 2021, section III and the settings of its evaluation.

A token that is pruned behind an attention takes no part in what comes after it, fully connected layers included. A
head that is pruned has no queries, keys and values: the layers that make them and the one that reads its output are
narrower.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from accelsim.errors import WorkloadError
from accelsim.units import exact
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.network import Network
from accelsim.workload.shapes import Attention, Dims, Elementwise, Linear, Normalization, Shape, View

TOKENS_FROM, HEADS_FROM = 0.15, 0.3
"""Shares of the layers at the beginning that keep all tokens, all heads."""


class Keep(NamedTuple):
    """Tokens that an attention sees, and its heads."""

    tokens: int
    heads: int


class Kept(NamedTuple):
    """Which tokens and heads each attention sees: their numbers, rising."""

    tokens: tuple[np.ndarray, ...]
    heads: tuple[np.ndarray, ...]

    @property
    def counts(self) -> list[Keep]:
        """How many they are."""
        return [Keep(len(t), len(h)) for t, h in zip(self.tokens, self.heads, strict=True)]


def schedule(depth: int, average: float, start: float, first: float) -> list[float]:
    """Return the share that each of ``depth`` layers leaves out.

    None in the ``first`` share of the layers; in the others it runs linearly from ``start`` to an end such that both
    have the mean ``average``.

    Raises
    ------
    WorkloadError
        Shares outside [0, 1).
    """
    end = 2 * exact(average) - exact(start)
    for share in (exact(start), end):
        if not 0 <= share < 1:
            raise WorkloadError(f"a layer would leave out {float(share):g} of it", "use shares from 0 to below 1")
    whole = math.floor(exact(first) * depth)
    steps = max(1, depth - whole - 1)
    ramp = [float(exact(start) + (end - exact(start)) * i / steps) for i in range(depth - whole)]
    return [0.0] * whole + ramp


def keeps(tokens: int, heads: int, token_shares: Sequence[float], head_shares: Sequence[float]) -> list[Keep]:
    """Return what each attention keeps of ``tokens`` and ``heads``: at least one, at most what the one before does."""
    found, least = [], Keep(tokens, heads)
    for token, head in zip(token_shares, head_shares, strict=True):
        kept = (max(1, math.floor(n * (1 - exact(share)))) for n, share in ((tokens, token), (heads, head)))
        least = Keep(*map(min, least, kept))
        found.append(least)
    return found


def by_importance(probabilities: Sequence[np.ndarray], outputs: Sequence[np.ndarray], counts: Sequence[Keep]) -> Kept:
    """Return which tokens and heads stay, by the importance that layers before have added up.

    A token's importance is the sum of its probabilities over heads and queries, a head's the sum of the magnitudes of
    its output; those of pruned tokens and heads do not count. Of equal ones the first stay.

    Parameters
    ----------
    probabilities : sequence of ndarray, each of shape (heads, queries, keys)
        Of each attention over all tokens.
    outputs : sequence of ndarray, each of shape (heads, queries, dim)
    counts : sequence of Keep

    Raises
    ------
    WorkloadError
        Arrays that are not as many as the counts, or not of one size.
    """
    if not len(probabilities) == len(outputs) == len(counts):
        raise WorkloadError(
            f"{len(probabilities)} layers have probabilities, {len(counts)} counts", "give each layer's"
        )
    heads, _, keys = probabilities[0].shape
    if any(p.shape != probabilities[0].shape for p in probabilities) or any(len(o) != heads for o in outputs):
        raise WorkloadError("probabilities of several sizes", "give those of all tokens and heads in every layer")
    tokens, alive = np.arange(keys), np.arange(heads)
    token_sums, head_sums = np.zeros(keys), np.zeros(heads)
    found = Kept((), ())
    for p, output, keep in zip(probabilities, outputs, counts, strict=True):
        tokens, alive = _top(token_sums, tokens, keep.tokens), _top(head_sums, alive, keep.heads)
        found = Kept((*found.tokens, tokens), (*found.heads, alive))
        token_sums[tokens] += p[np.ix_(alive, tokens, tokens)].sum(axis=(0, 1))
        head_sums[alive] += np.abs(output[np.ix_(alive, tokens)]).sum(axis=(1, 2))
    return found


def _top(importance: np.ndarray, among: np.ndarray, count: int) -> np.ndarray:
    order = np.argsort(-importance[among], kind="stable")[:count]
    return np.asarray(np.sort(among[order]))


def pruned(network: Network, counts: Sequence[Keep]) -> Network:
    """Return the network in which its attentions, in order, see so many tokens and have so many heads.

    Raises
    ------
    WorkloadError
        Another number of counts than of attentions, counts that grow or exceed what there is, attentions that are no
        self-attention of one length, heads that share keys, layers of a kind that does not shrink.
    """
    attentions = [layer for layer in network.layers if isinstance(layer.shape, Attention)]
    if len(attentions) != len(counts):
        problem = f"'{network.name}' has {len(attentions)} attention layers, and {len(counts)} are given counts"
        raise WorkloadError(problem, "give tokens and heads of each")
    before: Keep | None = None
    for layer, keep in zip(attentions, counts, strict=True):
        _check(layer, keep, attentions[0], before)
        before = keep
    return _Cutter(network, dict(zip((layer.name for layer in attentions), counts, strict=True))).cut()


def _check(layer: Layer, keep: Keep, first: Layer, before: Keep | None) -> None:
    a: Any = layer.shape
    if a.q != a.kv or a.q != first.shape.q or a.batch != first.shape.batch:  # type: ignore[union-attr]
        problem = f"layer '{layer.name}': {a.q} queries and {a.kv} keys"
        raise WorkloadError(problem, "prune networks whose attentions see the same tokens on both sides")
    most = before or Keep(a.kv, a.heads)
    for name, count, limit in (
        ("tokens", keep.tokens, min(most.tokens, a.kv)),
        ("heads", keep.heads, min(most.heads, a.heads)),
    ):
        if not 1 <= count <= limit:
            problem = f"layer '{layer.name}': keeps {count} {name}"
            raise WorkloadError(problem, f"keep from 1 to {limit}: what is pruned does not return")
    if keep.heads < a.heads and a.heads != a.kv_heads:
        raise WorkloadError(f"layer '{layer.name}': its heads share keys", "prune tokens alone")
    if layer.parts or len(layer.inputs) > 3:
        raise WorkloadError(f"layer '{layer.name}': has a mask or parts of its own", "prune before they are added")


class _Cutter:
    """Goes through the layers in order with the tokens that are left."""

    def __init__(self, network: Network, counts: dict[str, Keep]) -> None:
        self.network, self.counts = network, counts
        first: Any = next(layer.shape for layer in network.layers if layer.name in counts)
        self.batch, self.length = first.batch, first.kv
        self.makers = {name: layer for layer in network.layers for name in layer.outputs}
        self.widths: dict[str, int] = {}
        """Tensor -> features, where heads have left."""
        self.now = next(iter(counts.values())).tokens
        self.layers: list[Layer] = []
        self.tensors: dict[str, Tensor] = {}
        self.tokens: dict[str, int] = {}

    def cut(self) -> Network:
        for layer in self.network.layers:
            if layer.name in self.counts:
                self.narrow(layer)
        after = iter([*self.counts.values()][1:])
        for layer in self.network.layers:
            self.add(layer)
            if layer.name in self.counts:
                self.now = next(after, self.counts[layer.name]).tokens
        same = {name: t for name, t in self.tensors.items() if self.network.tensors.get(name) == t}
        return replace(
            self.network, layers=tuple(self.layers), tensors=self.tensors, program=None,
            values={name: value for name, value in self.network.values.items() if name in same},
        )  # fmt: skip

    def narrow(self, layer: Layer) -> None:
        """Say how wide the tensors around an attention are that has lost heads."""
        a: Any = layer.shape
        width = self.counts[layer.name].heads * a.head_dim
        if self.counts[layer.name].heads == a.heads:
            return
        self.widths |= dict.fromkeys((*layer.inputs, *layer.outputs), width)
        for name in layer.inputs:
            maker = self.makers.get(name)
            while maker is not None and isinstance(maker.shape, View):
                if maker.shape.op == "slice" and maker.shape.axis == len(maker.shape.shape) - 1:
                    width *= maker.shape.inputs[0][-1] // maker.shape.shape[-1]
                self.widths[maker.inputs[0]] = width
                maker = self.makers.get(maker.inputs[0])
            width = self.counts[layer.name].heads * a.head_dim
            if maker is not None and not isinstance(maker.shape, Linear):
                raise WorkloadError(
                    f"layer '{layer.name}': '{maker.name}' ({maker.kind}) makes its operands", "prune tokens alone"
                )
        for reader in self.network.layers:
            if set(reader.inputs) & set(layer.outputs) and not isinstance(reader.shape, Linear):
                raise WorkloadError(
                    f"layer '{layer.name}': '{reader.name}' ({reader.kind}) reads its output", "prune tokens alone"
                )

    def dims(self, dims: Dims, tokens: int, width: int | None) -> Dims:
        """Return dimensions with so many tokens, and so many features."""
        found = list(dims)
        if len(dims) > 2 and dims[1] == self.length:
            found[1] = tokens
        elif dims and dims[0] == self.batch * self.length:
            found[0] = self.batch * tokens
        if width is not None:
            found[-1] = width
        return tuple(found)

    def read(self, name: str, isolated: bool) -> str:
        """Return the name of a tensor with the tokens that are left: itself, or what a view takes of it."""
        old = self.network.tensors[name]
        had = self.tokens.get(name, self.now if isolated else self.length)
        if name not in self.tensors:
            self.tensors[name] = replace(old, shape=self.dims(old.shape, had, self.widths.get(name)))
            self.tokens[name] = had
        wanted = self.dims(old.shape, self.now, self.widths.get(name))
        if wanted == self.tensors[name].shape:
            return name
        left = f"{name}.tokens{self.now}"
        if left not in self.tensors:
            self.layers.append(Layer(left, View("crop", (self.tensors[name].shape,), wanted), (name,), (), (left,)))
            self.tensors[left] = replace(old, name=left, shape=wanted)
        return left

    def add(self, layer: Layer) -> None:
        inputs = tuple(self.read(name, self.network.isolated) for name in layer.inputs)
        shape = self.shape(layer)
        weights = tuple(self.weight(name, layer, shape) for name in layer.weights)
        for name in layer.outputs:
            old = self.network.tensors[name]
            self.tensors[name] = replace(old, shape=self.dims(old.shape, self.now, self.widths.get(name)))
            self.tokens[name] = self.now
        self.layers.append(replace(layer, shape=shape, inputs=inputs, weights=weights))

    def shape(self, layer: Layer) -> Shape:
        """Return the layer's shape with the tokens and features that are left."""
        shape, into, out = (
            layer.shape,
            [self.widths.get(name) for name in layer.inputs],
            self.widths.get(layer.outputs[0]),
        )
        if isinstance(shape, Attention):
            keep = self.counts[layer.name]
            kv_heads = keep.heads if shape.heads == shape.kv_heads else shape.kv_heads
            return replace(shape, q=keep.tokens, kv=keep.tokens, heads=keep.heads, kv_heads=kv_heads)
        if isinstance(shape, Linear):
            whole = shape.n == self.batch * self.length
            n = self.batch * self.now if whole else shape.n
            return Linear(n, into[0] or shape.c, out or shape.k)
        if isinstance(shape, Normalization):
            return replace(shape, shape=self.dims(shape.shape, self.now, out))
        if isinstance(shape, Elementwise | View):
            operands = tuple(self.dims(d, self.now, w) for d, w in zip(shape.inputs, into, strict=True))
            found = replace(shape, shape=self.dims(shape.shape, self.now, out), inputs=operands)
            if (
                isinstance(found, View)
                and found.op == "slice"
                and out is not None
                and found.axis == len(found.shape) - 1
            ):
                found = replace(found, start=found.start // shape.shape[-1] * out)
            return found
        if self.now == self.length:
            return shape
        raise WorkloadError(f"layer '{layer.name}': {layer.kind} layers do not shrink", "prune transformers")

    def weight(self, name: str, layer: Layer, shape: Shape) -> str:
        """Enter a constant in the size that the layer has now; one that others read in another size gets a new name."""
        old = self.network.tensors[name]
        dims = old.shape
        if isinstance(shape, Attention):
            dims = (shape.q, shape.kv)
        elif isinstance(shape, Linear):
            dims = shape.weight_shape if len(dims) == 2 else (shape.k,)
        elif isinstance(shape, Elementwise):
            dims = self.dims(dims, self.now, None)
        if dims != old.shape and sum(name in other.weights for other in self.network.layers) > 1:
            name = f"{name}.{dims[0]}"
        self.tensors[name] = replace(old, name=name, shape=dims)
        return name
