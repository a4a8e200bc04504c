"""The lanes stepped cycle by cycle, one by one, over tiles made by brute force: slow, plain, blind to any plan.

Operations are named by their unit: a (add), m (multiply), c (compare), s (special).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np

from accelsim.activity import Activity
from accelsim.engine import Machine
from accelsim.engines.vector.reference_lanes import Layer, Operand
from accelsim.engines.vector.reference_rows import LayerNorm, Softmax
from accelsim.operands.handle import Operands
from accelsim.workload.layers import LayerView

UNARY: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "relu": ("c", lambda x: x if x > 0 else 0),
    "copy": ("a", lambda x: x),
    "cast": ("a", lambda x: x),
    "neg": ("a", lambda x: -x),
    "abs": ("c", abs),
    "clip": ("cc", lambda x: min(max(x, 0), 6)),
    "clip6": ("cc", lambda x: min(max(x, 0), 6)),
    "exp": ("s", math.exp),
    "tanh": ("s", math.tanh),
    "erf": ("s", math.erf),
    "sigmoid": ("sas", lambda x: 1 / (1 + math.exp(-x))),
    "swish": ("sas", lambda x: x / (1 + math.exp(-x))),
    "hardsigmoid": ("macc", lambda x: min(max(x / 6 + 0.5, 0), 1)),
    "hardswish": ("maccm", lambda x: x * min(max(x / 6 + 0.5, 0), 1)),
    "leakyrelu": ("mc", lambda x: x if x > 0 else 0.01 * x),
    "floor": ("a", lambda x: x),
    "ceil": ("a", lambda x: x),
    "round": ("a", lambda x: x),
    "sign": ("cc", lambda x: (x > 0) - (x < 0)),
    "not": ("c", lambda x: int(x == 0)),
    "sqrt": ("s", lambda x: math.sqrt(x) if x >= 0 else math.nan),
    "reciprocal": ("s", lambda x: float(np.float64(1) / np.float64(x))),
    "log": ("s", lambda x: float(np.log(np.float64(x)))),
    "sin": ("s", math.sin),
    "cos": ("s", math.cos),
    "softplus": ("sas", lambda x: math.log(math.exp(x) + 1)),
    "softsign": ("cas", lambda x: x / (1 + abs(x))),
    "elu": ("samc", lambda x: x if x > 0 else math.exp(x) - 1),
    "quantize": ("macc", lambda x: min(max(x, -128), 127)),
    "linear": ("ama", lambda x: x),
    "bilinear": ("ama" * 3, lambda x: x),
    "trilinear": ("ama" * 7, lambda x: x),
    "gelu": ("msamm", lambda x: 0.5 * x * (1 + math.erf(x * (1 / math.sqrt(2))))),
    "gelu_tanh": (
        "mmammsas",
        lambda x: x / (1 + float(np.exp(-((x * x * 0.044715 + 1) * x * (2 * math.sqrt(2 / math.pi)))))),
    ),
}
BINARY: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "add": ("a", lambda x, y: x + y),
    "sum": ("a", lambda x, y: x + y),
    "sub": ("a", lambda x, y: x - y),
    "mul": ("m", lambda x, y: x * y),
    "max": ("c", max),
    "min": ("c", min),
    "div": ("s", lambda x, y: float(np.float64(x) / np.float64(y))),
    "pow": ("s", lambda x, y: float(np.float64(x) ** np.float64(y))),
    "mod": ("s", lambda x, y: x % y if y else math.nan),
    "equal": ("c", lambda x, y: int(x == y)),
    "greater": ("c", lambda x, y: int(x > y)),
    "greaterorequal": ("c", lambda x, y: int(x >= y)),
    "less": ("c", lambda x, y: int(x < y)),
    "lessorequal": ("c", lambda x, y: int(x <= y)),
    "and": ("c", lambda x, y: int(bool(x) and bool(y))),
    "or": ("c", lambda x, y: int(bool(x) or bool(y))),
    "xor": ("c", lambda x, y: int(bool(x) != bool(y))),
    "prelu": ("mc", lambda x, slope: x if x > 0 else x * slope),
}


def reference(view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    kind = {"pool": _Pool, "softmax": Softmax, "elementwise": _Elementwise}.get(view.kind)
    if kind is None:
        op = view.shape.op  # type: ignore[union-attr]
        kind = {"lrn": _Lrn, "layer": LayerNorm}.get(op, _ScaleShift)
    with np.errstate(all="ignore"):
        return kind(view, operands, params, mapping, machine).run()


class _Elementwise(Layer):
    def work(self, tile: Any) -> None:
        op = self.shape.op
        for group in self.groups(tile):
            all_lanes = [True] * len(group)
            for operand in self.given:
                self.add("glb", operand.tensor, "read", len(group) * operand.bits)
            if op in UNARY:
                self.operate(UNARY[op][0], all_lanes)
            elif op in ("where", "prelu"):
                self.operate("mc" if op == "prelu" else "c" * max(1, len(self.given) - 1), all_lanes)
            else:
                self.operate(BINARY[op][0] * max(1, len(self.given) - 1), all_lanes)
            for i in group:
                value = self.given[0].values[i]
                if op in UNARY:  # constants beside the operand, such as the bounds of a clip, do not matter
                    value = UNARY[op][1](value)
                elif op == "where":
                    choices = [operand.values[i] for operand in self.given[1:]]
                    value = (choices[0] if value else [*choices, 0][1]) if choices else value
                else:
                    for operand in self.given[1:]:
                        value = BINARY[op][1](value, operand.values[i])
                self.out.flat[i] = value


class _ScaleShift(Layer):
    """Batch normalisation at inference: x times scale plus shift, by 1 and 0."""

    def work(self, tile: Any) -> None:
        for group in self.groups(tile):
            self.operate("ma", [True] * len(group))
            weights = [o for o in self.given if o.tensor == "weight"][:2]
            for operand in [self.given[0], *weights]:
                self.add("glb", operand.tensor, "read", len(group) * operand.bits)
            for i in group:
                self.out.flat[i] = self.given[0].values[i]


class _Lrn(Layer):
    """Rows are pixels with all their channels."""

    def row_length(self) -> int:
        return int(self.shape.shape[1])

    def work(self, tile: Any) -> None:
        channels, size = self.row_length(), self.shape.size
        x = np.moveaxis(self.operands.input.values.reshape(self.shape.shape), 1, -1).reshape(-1, channels)
        y = np.zeros(x.shape)
        bits = self.given[0].bits
        for group in self.groups([(row, c) for row in tile for c in range(channels)]):
            totals = [0] * len(group)
            for tap in range(size):
                at = [(row, c - (size - 1) // 2 + tap) for row, c in group]
                inside = [0 <= c < channels for _, c in at]
                self.operate("ma", inside)
                self.add("glb", "input", "read", sum(inside) * bits)
                totals = [
                    t + int(x[row, c]) ** 2 if ok else t
                    for t, (row, c), ok in zip(totals, at, inside, strict=True)
                ]  # fmt: skip
            self.operate("mass", [True] * len(group))
            self.add("glb", "input", "read", len(group) * bits)
            for total, (row, c) in zip(totals, group, strict=True):
                y[row, c] = x[row, c] / (1.0 + 1e-4 / size * total) ** 0.75
        out = np.moveaxis(self.out, 1, -1).reshape(-1, channels)
        out[list(tile)] = y[list(tile)]
        dims = self.shape.shape
        self.out = np.moveaxis(out.reshape(dims[0], *dims[2:], channels), -1, 1)


class _Pool(Layer):
    """A tile is (image, output rows, channels)."""

    def _operands(self) -> list[Operand]:
        operand = self.operands.input
        return [Operand("input", operand.bits, [], False, operand.tensor.elements)]

    def tiles(self) -> Iterable[Any]:
        p, cut = self.shape, self.mapping
        channels = [range(c, min(c + cut.channels, p.c)) for c in range(0, p.c, cut.channels)]
        rows = [range(e, min(e + cut.rows, p.e)) for e in range(0, p.e, cut.rows)]
        return [(n, e, c) for c in channels for n in range(p.n) for e in rows]

    def fetched(self, tile: Any) -> Sequence[int]:
        n, rows, channels = tile
        p = self.shape
        taps = [e * p.stride[0] - p.pad[0] + i for e in rows for i in range(p.r)]
        reach = [h for h in range(min(taps), max(taps) + 1) if 0 <= h < p.h]
        return [((n * p.h + h) * p.w + w) * p.c + c for h in reach for w in range(p.w) for c in channels]

    def written(self, tile: Any) -> Sequence[int]:
        n, rows, channels = tile
        p = self.shape
        return [((n * p.e + e) * p.f + f) * p.c + c for e in rows for f in range(p.f) for c in channels]

    def work(self, tile: Any) -> None:
        n, rows, channels = tile
        p = self.shape
        x = self.operands.input.values.reshape(p.n, p.c, p.h, p.w)
        for group in self.groups([(e, f, c) for e in rows for f in range(p.f) for c in channels]):
            met: list[list[int]] = [[] for _ in group]
            for i, j in product(range(p.r), range(p.s)):
                inside = []
                for (e, f, c), values in zip(group, met, strict=True):
                    h, w = e * p.stride[0] - p.pad[0] + i, f * p.stride[1] - p.pad[1] + j
                    inside.append(0 <= h < p.h and 0 <= w < p.w)
                    if inside[-1]:
                        values.append(int(x[n, c, h, w]))
                self.operate("c" if p.op in ("max", "min") else "a", inside)
                self.add("glb", "input", "read", sum(inside) * self.given[0].bits)
            if p.op == "average":
                self.operate("s", [True] * len(group))
            for (e, f, c), values in zip(group, met, strict=True):
                divisor = self._counted(e, f) if p.count_pad else len(values)
                joined: dict[str, Callable[[list[int]], float]] = {"max": max, "min": min, "sum": sum}
                self.out[n, c, e, f] = joined[p.op](values) if p.op in joined else sum(values) / divisor

    def _counted(self, e: int, f: int) -> int:
        """Return the taps of a window that lie in the image or its padding."""
        p = self.shape
        h = [e * p.stride[0] - p.pad[0] + i for i in range(p.r)]
        w = [f * p.stride[1] - p.pad[1] + j for j in range(p.s)]
        return sum(1 for a in h if a < p.h + p.pad[2]) * sum(1 for b in w if b < p.w + p.pad[3])
