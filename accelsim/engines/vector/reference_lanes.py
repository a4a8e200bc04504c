"""The lanes stepped one by one, with their scratchpad and DRAM: what the references of all kinds of layers share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Direction, Event, Transfer
from accelsim.engine import Machine
from accelsim.operands.handle import Operands
from accelsim.stepped import WAYS, Ledger
from accelsim.workload.layers import LayerView

NAMES = {"a": "add", "m": "mul", "c": "compare", "s": "special"}


class Operand(NamedTuple):
    """An input or constant of the layer."""

    tensor: str
    bits: int
    values: list[Any]
    """One per output element, in the layer's order."""
    stays: bool
    elements: int


class Layer(Ledger):
    """What all kinds share: the lanes, DRAM, counters. A kind says which rows there are and how to work on them."""

    scratch = False

    def __init__(self, view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> None:
        super().__init__(machine.dram, ("busy", "padding", "unmapped", "imbalance", "fill_drain"))
        self.view, self.operands, self.params, self.mapping = view, operands, params, mapping
        self.shape: Any = view.shape
        self.out = np.zeros(self.shape.output_shape, dtype=np.object_)
        self.ops = dict.fromkeys(NAMES, 0)
        self.now = 0
        self.given = self._operands()
        # what is broadcast stays only where two tiles of a row fit beside it
        self.pressed = self._kept() + 2 * self._row_bits() > self.params.buffer_kib * 8192
        self.facts: dict[str, int] = {}
        if self.pressed and (broadcast := sum(operand.stays for operand in self.given)):
            self.facts["refetched"] = broadcast
        if self.pressed:
            self.given = [operand._replace(stays=False) for operand in self.given]

    def _kept(self) -> int:
        return sum(o.bits * o.elements for o in self.given if o.stays)

    def _row_bits(self) -> int:
        streamed = sum(o.bits for o in self.given if not o.stays)
        scratch = self.params.lane_bits if self.scratch else 0
        return self.row_length() * (streamed + (self.view.output.bits or 0) + scratch)

    def _operands(self) -> list[Operand]:
        whole = self.shape.output_shape
        found = []
        sources = [("input", o, dims) for o, dims in zip(self.operands.inputs, self.shape.input_shapes, strict=True)]
        sources += [("weight", o, o.tensor.shape) for o in self.operands.weights]
        for tensor, operand, dims in sources:
            array = operand.values.reshape(dims)
            stays = array.size != math.prod(whole)
            if stays and self.view.kind == "elementwise":
                array = np.broadcast_to(array, whole)
            found.append(Operand(tensor, operand.bits, array.ravel().tolist(), stays, operand.tensor.elements))
        return found

    def run(self) -> Activity:
        """Step through all tiles and return what happened."""
        sizes, kept = [], self._kept()
        tiles = list(self.tiles())
        for number, tile in enumerate(tiles):
            loads: list[Transfer] = []
            size = 0
            for operand in self.given:
                addresses = range(operand.elements) if operand.stays else self.taken(operand, tile)
                if number == 0 or not operand.stays:
                    loads += self.pass_by(operand.tensor, "read", addresses, operand.bits)
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
            self.add("glb", "output", "write", len(made) * bits)
            self.step(loads, self.now - begin, self.pass_by("output", "write", made, bits))
            sizes.append(size)
        return self.activity(
            "lanes",
            {Event("lanes", NAMES[unit]): count for unit, count in self.ops.items()},
            buffers={"glb": (self.params.buffer_kib * 8192, kept + max(sizes) * (2 if len(tiles) > 1 else 1))},
            details={"tiles": len(tiles), **self.facts},
            values=self.out.astype(np.float64),
        )

    def rows(self) -> int:
        """Return the rows that the mapping cuts; consecutive in DRAM."""
        return self.out.size // self.row_length()

    def row_length(self) -> int:
        """Return the elements of a row."""
        return 1

    def tiles(self) -> Iterable[Any]:
        """Return the tiles in order."""
        rows = range(self.rows())
        return [rows[i : i + self.mapping.rows] for i in range(0, len(rows), self.mapping.rows)]

    def written(self, tile: Any) -> Sequence[int]:
        """Return the output addresses of a tile."""
        length = self.row_length()
        return [row * length + i for row in tile for i in range(length)]

    def fetched(self, tile: Any) -> Sequence[int]:
        """Return the input addresses of a tile."""
        return self.written(tile)

    def taken(self, operand: Operand, tile: Any) -> Sequence[int]:
        """Return the addresses of a tile in an operand that does not stay."""
        del operand
        return self.fetched(tile)

    def work(self, tile: Any) -> None:
        """Work on a tile."""
        raise NotImplementedError

    def groups(self, items: Sequence[Any]) -> list[Sequence[Any]]:
        """Return what the lanes take at a time."""
        lanes = self.params.lanes
        return [items[i : i + lanes] for i in range(0, len(items), lanes)]

    def operate(self, units: str, states: Sequence[bool], idle: str = "unmapped") -> None:
        """Execute operations on the first lanes, those that are True; the lanes behind them are idle."""
        for unit in units:
            for _ in range(self.params.special_cycles if unit == "s" else 1):
                self.now += 1
                for lane in range(self.params.lanes):
                    cause = idle if lane >= len(states) else "busy" if states[lane] else "padding"
                    self.causes[cause] += 1
            self.ops[unit] += sum(states)
            for way in WAYS:
                self.add("pe", "psum", way, sum(states) * self.params.lane_bits)

    def pass_by(self, tensor: str, direction: Direction, addresses: Sequence[int], width: int) -> list[Transfer]:
        """Move elements between DRAM and scratchpad."""
        self.add("glb", tensor, "write" if direction == "read" else "read", len(addresses) * width)
        return self.move_elements(tensor, direction, addresses, width)
