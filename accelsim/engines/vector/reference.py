"""The lanes stepped cycle by cycle, one by one, over tiles made by brute force: slow, plain, blind to any plan.

Operations are named by their unit: a (add), m (multiply), c (compare), s (special).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step, Transfer
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.workload.network import LayerView

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
NAMES = {"a": "add", "m": "mul", "c": "compare", "s": "special"}


class _Operand(NamedTuple):
    tensor: str
    bits: int
    values: list[Any]
    """One per output element, in the layer's order."""
    stays: bool
    elements: int


def reference(view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    kind = {"pool": _Pool, "softmax": _Softmax, "elementwise": _Elementwise}.get(view.kind)
    if kind is None:
        op = view.shape.op  # type: ignore[union-attr]
        kind = {"lrn": _Lrn, "layer": _LayerNorm}.get(op, _ScaleShift)
    with np.errstate(all="ignore"):
        return kind(view, operands, params, mapping, machine).run()


class _Layer:
    """What all kinds share: the lanes, DRAM, counters. A kind says which rows there are and how to work on them."""

    scratch = False

    def __init__(self, view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> None:
        self.view, self.operands, self.params, self.mapping, self.machine = view, operands, params, mapping, machine
        self.shape: Any = view.shape
        self.out = np.zeros(self.shape.output_shape, dtype=np.object_)
        self.causes = dict.fromkeys(("busy", "padding", "unmapped", "imbalance", "fill_drain"), 0)
        self.ops = dict.fromkeys(NAMES, 0)
        self.flows: dict[Flow, int] = {}
        self.now = 0
        self.given = self._operands()

    def _operands(self) -> list[_Operand]:
        whole = self.shape.output_shape
        found = []
        sources = [("input", o, dims) for o, dims in zip(self.operands.inputs, self.shape.input_shapes, strict=True)]
        sources += [("weight", o, o.tensor.shape) for o in self.operands.weights]
        for tensor, operand, dims in sources:
            array = operand.values.reshape(dims)
            stays = array.size != math.prod(whole)
            if stays and self.view.kind == "elementwise":
                array = np.broadcast_to(array, whole)
            found.append(_Operand(tensor, operand.bits, array.ravel().tolist(), stays, operand.tensor.elements))
        return found

    def run(self) -> Activity:
        steps, sizes = [], []
        kept = sum(o.bits * o.elements for o in self.given if o.stays)
        tiles = list(self.tiles())
        for number, tile in enumerate(tiles):
            loads: list[Transfer] = []
            size = 0
            for operand in self.given:
                addresses = range(operand.elements) if operand.stays else self.fetched(tile)
                if number == 0 or not operand.stays:
                    loads += self.move(operand.tensor, "read", addresses, operand.bits)
                if not operand.stays:
                    size += len(addresses) * operand.bits
            begin = self.now
            self.work(tile)
            for _ in range(self.params.latency_cycles):
                self.now += 1
                self.causes["fill_drain"] += self.params.lanes
            made = self.written(tile)
            bits = self.view.output.bits or 0
            size += len(made) * (bits + (self.params.lane_bits if self.scratch else 0))
            self.flow("glb", "output", "write", len(made) * bits)
            steps.append(Step(tuple(loads), self.now - begin, tuple(self.move("output", "write", made, bits))))
            sizes.append(size)
        return Activity(
            compute_cycles=self.now,
            accounts={"lanes": self.causes},
            traffic=self.flows,
            events={Event("lanes", NAMES[unit]): count for unit, count in self.ops.items()},
            schedule=tuple(steps),
            buffers={"glb": (self.params.buffer_kib * 8192, kept + max(sizes) * (2 if len(tiles) > 1 else 1))},
            details={"tiles": len(tiles)},
            values=self.out.astype(np.float64),
        )

    def rows(self) -> int:
        """Return the rows that the mapping cuts; consecutive in DRAM."""
        return self.out.size // self.row_length()

    def row_length(self) -> int:
        return 1

    def tiles(self) -> Iterable[Any]:
        rows = range(self.rows())
        return [rows[i : i + self.mapping.rows] for i in range(0, len(rows), self.mapping.rows)]

    def written(self, tile: Any) -> Sequence[int]:
        """Return the output addresses of a tile."""
        length = self.row_length()
        return [row * length + i for row in tile for i in range(length)]

    def fetched(self, tile: Any) -> Sequence[int]:
        """Return the input addresses of a tile."""
        return self.written(tile)

    def work(self, tile: Any) -> None:
        raise NotImplementedError

    def groups(self, items: Sequence[Any]) -> list[Sequence[Any]]:
        lanes = self.params.lanes
        return [items[i : i + lanes] for i in range(0, len(items), lanes)]

    def step(self, units: str, states: Sequence[bool], idle: str = "unmapped") -> None:
        """Execute operations on the first lanes, those that are True; the lanes behind them are idle."""
        for unit in units:
            for _ in range(self.params.special_cycles if unit == "s" else 1):
                self.now += 1
                for lane in range(self.params.lanes):
                    cause = idle if lane >= len(states) else "busy" if states[lane] else "padding"
                    self.causes[cause] += 1
            self.ops[unit] += sum(states)
            for direction in ("read", "write"):
                self.flow("pe", "psum", direction, sum(states) * self.params.lane_bits)

    def flow(self, boundary: str, tensor: str, direction: Any, bits: int) -> None:
        flow = Flow(boundary, tensor, direction)
        self.flows[flow] = self.flows.get(flow, 0) + bits

    def move(self, tensor: str, direction: Any, addresses: Sequence[int], width: int) -> list[Transfer]:
        if not addresses:
            return []
        ordered = sorted(addresses)
        runs = 1 + sum(b != a + 1 for a, b in pairwise(ordered))
        length, burst = len(ordered) // runs * width, self.machine.dram.burst_bits
        self.flow("dram", tensor, direction, len(ordered) * width)
        self.flow("dram", "other", direction, runs * (-(-length // burst) * burst - length))
        self.flow("glb", tensor, "write" if direction == "read" else "read", len(ordered) * width)
        return [Transfer(tensor, direction, length, runs)]


class _Elementwise(_Layer):
    def work(self, tile: Any) -> None:
        op = self.shape.op
        for group in self.groups(tile):
            all_lanes = [True] * len(group)
            for operand in self.given:
                self.flow("glb", operand.tensor, "read", len(group) * operand.bits)
            if op in UNARY:
                self.step(UNARY[op][0], all_lanes)
            elif op in ("where", "prelu"):
                self.step("mc" if op == "prelu" else "c" * max(1, len(self.given) - 1), all_lanes)
            else:
                self.step(BINARY[op][0] * max(1, len(self.given) - 1), all_lanes)
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


class _ScaleShift(_Layer):
    """Batch normalisation at inference: x times scale plus shift, by 1 and 0."""

    def work(self, tile: Any) -> None:
        for group in self.groups(tile):
            self.step("ma", [True] * len(group))
            weights = [o for o in self.given if o.tensor == "weight"][:2]
            for operand in [self.given[0], *weights]:
                self.flow("glb", operand.tensor, "read", len(group) * operand.bits)
            for i in group:
                self.out.flat[i] = self.given[0].values[i]


class _Lrn(_Layer):
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
                self.step("ma", inside)
                self.flow("glb", "input", "read", sum(inside) * bits)
                totals = [
                    t + int(x[row, c]) ** 2 if ok else t
                    for t, (row, c), ok in zip(totals, at, inside, strict=True)
                ]  # fmt: skip
            self.step("mass", [True] * len(group))
            self.flow("glb", "input", "read", len(group) * bits)
            for total, (row, c) in zip(totals, group, strict=True):
                y[row, c] = x[row, c] / (1.0 + 1e-4 / size * total) ** 0.75
        out = np.moveaxis(self.out, 1, -1).reshape(-1, channels)
        out[list(tile)] = y[list(tile)]
        dims = self.shape.shape
        self.out = np.moveaxis(out.reshape(dims[0], *dims[2:], channels), -1, 1)


class _Pool(_Layer):
    """A tile is (image, output rows, channels)."""

    def _operands(self) -> list[_Operand]:
        operand = self.operands.input
        return [_Operand("input", operand.bits, [], False, operand.tensor.elements)]

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
                self.step("c" if p.op in ("max", "min") else "a", inside)
                self.flow("glb", "input", "read", sum(inside) * self.given[0].bits)
            if p.op == "average":
                self.step("s", [True] * len(group))
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


class _Rows(_Layer):
    """Layers that reduce rows: partial results of the lanes are combined pairwise, then sent to all of them."""

    scratch = True

    def combine(self, unit: str, partials: list[Any], join: Callable[[Any, Any], Any]) -> Any:
        bits, everyone = self.params.lane_bits, len(partials)
        while len(partials) > 1:
            keep = (len(partials) + 1) // 2
            moved = partials[keep:]
            self.step(unit, [True] * len(moved), "imbalance")
            self.flow("array", "psum", "write", len(moved) * bits)
            partials = [join(a, b) for a, b in zip(partials, moved, strict=False)] + partials[len(moved) : keep]
        self.flow("array", "psum", "read", everyone * bits)
        return partials[0]

    def accumulate(self, row: list[Any], join: Callable[[Any, Any], Any]) -> list[Any]:
        """Return each lane's partial result of a row spread over the lanes."""
        partials: list[Any] = []
        for group in self.groups(row):
            for lane, value in enumerate(group):
                if lane == len(partials):
                    partials.append(value)
                else:
                    partials[lane] = join(partials[lane], value)
        return partials

    def over(self, row: list[Any], units: str, reads: str, writes: str) -> None:
        """Execute one pass over a row."""
        widths = {"input": self.given[0].bits, "psum": self.params.lane_bits}
        for group in self.groups(row):
            self.step(units, [True] * len(group))
            self.flow("glb", reads, "read", len(group) * widths[reads])
            if writes:
                self.flow("glb", writes, "write", len(group) * widths[writes])

    def work(self, tile: Any) -> None:
        length = self.row_length()
        for number in tile:
            at = range(number * length, (number + 1) * length)
            for i, value in zip(at, self.row([float(self.given[0].values[i]) for i in at]), strict=True):
                self.out.flat[i] = value

    def row(self, x: list[float]) -> list[float]:
        raise NotImplementedError


class _Softmax(_Rows):
    def row_length(self) -> int:
        return int(self.shape.length)

    def row(self, x: list[float]) -> list[float]:
        self.over(x, "c", "input", "")
        highest = self.combine("c", self.accumulate(x, max), max)
        powers = [math.exp(v - highest) for v in x]
        self.over(x, "asa", "input", "psum")
        total = self.combine("a", self.accumulate(powers, lambda a, b: a + b), lambda a, b: a + b)
        self.over(x, "s", "psum", "")
        return [v / total for v in powers]


class _LayerNorm(_Rows):
    def row_length(self) -> int:
        return int(self.shape.shape[-1])

    def row(self, x: list[float]) -> list[float]:
        add: Callable[[float, float], float] = lambda a, b: a + b  # noqa: E731
        self.over(x, "a", "input", "")
        mean = self.combine("a", self.accumulate(x, add), add) / len(x)
        self.step("s", [True], "imbalance")
        centred = [v - mean for v in x]
        self.over(x, "ama", "input", "psum")
        variance = self.combine("a", self.accumulate([v * v for v in centred], add), add) / len(x)
        self.step("sas", [True], "imbalance")
        weights = [o for o in self.given if o.tensor == "weight"][:2]
        self.over(x, "m" + "ma"[: len(weights)], "psum", "")
        for operand in weights:
            self.flow("glb", "weight", "read", len(x) * operand.bits)
        return [v / math.sqrt(variance + 1e-5) for v in centred]
