"""Rows that are reduced, by brute force: softmax and layer normalisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from accelsim.engines.vector.reference_lanes import Layer, Operand


class Rows(Layer):
    """Layers that reduce rows: partial results of the lanes are combined pairwise, then sent to all of them.

    A row that does not fit passes through the scratchpad three times, in pieces of whole groups of lanes as large as
    two of them fit; a tile is then (row, pass, elements of the row). Nothing of it stays but what the lanes hold.
    """

    scratch = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if self.pressed:
            self.scratch = False
            self.facts["passes"] = 3
            self.partials: list[Any] = []

    def tiles(self) -> Iterable[Any]:
        """Return rows, or their pieces pass by pass."""
        if not self.pressed:
            return super().tiles()
        each = sum(operand.bits for operand in self.given) + (self.view.output.bits or 0)
        piece = self.params.lanes
        while 2 * (piece + self.params.lanes) * each <= self.params.buffer_kib * 8192:
            piece += self.params.lanes
        row = range(self.row_length())
        pieces = [row[i : i + piece] for i in range(0, len(row), piece)]
        return [(number, turn, some) for number in range(self.rows()) for turn in range(3) for some in pieces]

    def written(self, tile: Any) -> Sequence[int]:
        """Return what a tile writes, of pieces in the last pass alone."""
        if not self.pressed:
            return super().written(tile)
        return self.within(tile) if tile[1] == 2 else []

    def within(self, tile: Any) -> list[int]:
        """Return the places in the tensor of a piece's elements."""
        number, _, some = tile
        return [number * self.row_length() + i for i in some]

    def taken(self, operand: Operand, tile: Any) -> Sequence[int]:
        """Return what a tile fetches; constants only in the last pass."""
        if not self.pressed:
            return super().taken(operand, tile)
        if operand.tensor == "input":
            return self.within(tile)
        return tile[2] if tile[1] == 2 else []

    def work(self, tile: Any) -> None:
        """Work on whole rows, or on a piece."""
        if not self.pressed:
            length = self.row_length()
            for number in tile:
                row = range(number * length, (number + 1) * length)
                for i, value in zip(row, self.row([float(self.given[0].values[i]) for i in row]), strict=True):
                    self.out.flat[i] = value
            return
        at, (_, turn, some) = self.within(tile), tile
        x = [float(self.given[0].values[i]) for i in at]
        if not some.start:
            self.partials = []
        for i, value in zip(at, self.piece(turn, x, some.stop == self.row_length()), strict=False):
            self.out.flat[i] = value

    def row(self, x: list[float]) -> list[float]:
        """Work on a whole row and return it."""
        raise NotImplementedError

    def piece(self, turn: int, x: list[float], last: bool) -> list[float]:
        """Work on a piece in one of three passes; return it in the last one."""
        raise NotImplementedError

    def add_up(self, x: list[float], join: Callable[[Any, Any], Any]) -> None:
        """Join the elements of a piece to the lanes' partial results."""
        for i, value in enumerate(x):
            lane = i % self.params.lanes
            if lane == len(self.partials):
                self.partials.append(value)
            else:
                self.partials[lane] = join(self.partials[lane], value)

    def combine(self, unit: str, partials: list[Any], join: Callable[[Any, Any], Any]) -> Any:
        """Combine the partial results pairwise and send the result to all lanes."""
        bits, everyone = self.params.lane_bits, len(partials)
        while len(partials) > 1:
            keep = (len(partials) + 1) // 2
            moved = partials[keep:]
            self.operate(unit, [True] * len(moved), "imbalance")
            self.add("array", "psum", "write", len(moved) * bits)
            partials = [join(a, b) for a, b in zip(partials, moved, strict=False)] + partials[len(moved) : keep]
        self.add("array", "psum", "read", everyone * bits)
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
            self.operate(units, [True] * len(group))
            self.add("glb", reads, "read", len(group) * widths[reads])
            if writes:
                self.add("glb", writes, "write", len(group) * widths[writes])


class Softmax(Rows):
    """Exponentials of what lies below the highest element, over their sum."""

    def row_length(self) -> int:
        """Return the elements of a row."""
        return int(self.shape.length)

    def row(self, x: list[float]) -> list[float]:
        """Work on a whole row and return it."""
        self.over(x, "c", "input", "")
        highest = self.combine("c", self.accumulate(x, max), max)
        powers = [math.exp(v - highest) for v in x]
        self.over(x, "asa", "input", "psum")
        total = self.combine("a", self.accumulate(powers, lambda a, b: a + b), lambda a, b: a + b)
        self.over(x, "s", "psum", "")
        return [v / total for v in powers]

    def piece(self, turn: int, x: list[float], last: bool) -> list[float]:
        """Work on a piece."""
        if turn == 0:
            self.over(x, "c", "input", "")
            self.add_up(x, max)
            if last:
                self.highest = self.combine("c", self.partials, max)
            return []
        powers = [math.exp(v - self.highest) for v in x]
        if turn == 1:
            self.over(x, "asa", "input", "")
            self.add_up(powers, lambda a, b: a + b)
            if last:
                self.total = self.combine("a", self.partials, lambda a, b: a + b)
            return []
        self.over(x, "ass", "input", "")
        return [v / self.total for v in powers]


class LayerNorm(Rows):
    """Elements less their mean, over the root of their variance."""

    def row_length(self) -> int:
        """Return the elements of a row."""
        return int(self.shape.shape[-1])

    def row(self, x: list[float]) -> list[float]:
        """Work on a whole row and return it."""
        add: Callable[[float, float], float] = lambda a, b: a + b  # noqa: E731
        self.over(x, "a", "input", "")
        mean = self.combine("a", self.accumulate(x, add), add) / len(x)
        self.operate("s", [True], "imbalance")
        centred = [v - mean for v in x]
        self.over(x, "ama", "input", "psum")
        variance = self.combine("a", self.accumulate([v * v for v in centred], add), add) / len(x)
        self.operate("sas", [True], "imbalance")
        weights = [o for o in self.given if o.tensor == "weight"][:2]
        self.over(x, "m" + "ma"[: len(weights)], "psum", "")
        for operand in weights:
            self.add("glb", "weight", "read", len(x) * operand.bits)
        return [v / math.sqrt(variance + 1e-5) for v in centred]

    def piece(self, turn: int, x: list[float], last: bool) -> list[float]:
        """Work on a piece."""
        add: Callable[[float, float], float] = lambda a, b: a + b  # noqa: E731
        length = self.row_length()
        if turn == 0:
            self.over(x, "a", "input", "")
            self.add_up(x, add)
            if last:
                self.mean = self.combine("a", self.partials, add) / length
                self.operate("s", [True], "imbalance")
            return []
        centred = [v - self.mean for v in x]
        if turn == 1:
            self.over(x, "ama", "input", "")
            self.add_up([v * v for v in centred], add)
            if last:
                self.variance = self.combine("a", self.partials, add) / length
                self.operate("sas", [True], "imbalance")
            return []
        weights = [o for o in self.given if o.tensor == "weight"][:2]
        self.over(x, "am" + "ma"[: len(weights)], "input", "")
        for operand in weights:
            self.add("glb", "weight", "read", len(x) * operand.bits)
        return [v / math.sqrt(self.variance + 1e-5) for v in centred]
