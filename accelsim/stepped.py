"""What blind references share: a ledger of what happens while a layer is stepped. It knows no plan and no engine.

A reference steps its machine in plain Python and says here piece by piece what moved, what every unit did in each cycle
and which tiles there were. The ledger adds up; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from accelsim.activity import Activity, Direction, Event, Flow, Step, Transfer
from accelsim.memory.dram import DramModel
from accelsim.operands.handle import Operand, Operands, from_conv_output
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Pool

WAYS: tuple[Direction, Direction] = ("read", "write")


class Ledger:
    """Traffic, unit-cycles by cause, and tiles.

    Parameters
    ----------
    dram : DramModel
    causes : iterable of str
        What the units may be doing in a cycle.
    """

    def __init__(self, dram: DramModel, causes: Iterable[str] = ()) -> None:
        self.dram = dram
        self.flows: dict[Flow, int] = {}
        self.causes = dict.fromkeys(causes, 0)
        self.steps: list[Step] = []

    def add(self, boundary: str, tensor: str, direction: Direction, bits: int) -> None:
        """Count bits across a boundary."""
        flow = Flow(boundary, tensor, direction)
        self.flows[flow] = self.flows.get(flow, 0) + bits

    def move(self, tensor: str, direction: Direction, run_bits: int, runs: int = 1) -> list[Transfer]:
        """Move runs of bits over the DRAM's bus, each in whole bursts; nothing moves where there are no bits."""
        if not run_bits * runs:
            return []
        self.add("dram", tensor, direction, run_bits * runs)
        self.add("dram", "other", direction, -run_bits % self.dram.burst_bits * runs)
        return [Transfer(tensor, direction, run_bits, runs)]

    def move_elements(self, tensor: str, direction: Direction, places: Sequence[int], width: int) -> list[Transfer]:
        """Move elements of ``width`` bits from different ``places`` in DRAM, counted in elements.

        Neighbours form a run; all runs must be of one length.
        """
        if not places:
            return []
        runs = 1 + sum(b != a + 1 for a, b in pairwise(sorted(places)))
        assert len(places) % runs == 0, "runs of several lengths"
        return self.move(tensor, direction, len(places) // runs * width, runs)

    def step(
        self,
        loads: Iterable[Transfer],
        cycles: int,
        stores: Iterable[Transfer] = (),
        before: Iterable[Transfer] = (),
        after: Iterable[Transfer] = (),
    ) -> None:
        """Finish a tile."""
        self.steps.append(Step(tuple(loads), cycles, tuple(stores), tuple(before), tuple(after)))

    def dram_bits(self) -> int:
        """Return all bits that have crossed the DRAM's boundary."""
        return sum(bits for flow, bits in self.flows.items() if flow.boundary == "dram")

    def activity(self, units: str, events: dict[Event, int], **more: Any) -> Activity:
        """Return the report of the tiles: ``units`` have spent the causes; ``more`` are other fields of `Activity`."""
        return Activity(
            compute_cycles=sum(step.compute_cycles for step in self.steps),
            accounts={units: self.causes},
            traffic=self.flows,
            events=events,
            schedule=tuple(self.steps),
            **more,
        )


class SteppedConv(Ledger):
    """A convolution while it is stepped: parameters, operands, and the outputs as far as they have been summed.

    Attributes
    ----------
    x : ndarray, shape (n, c, h, w)
    w : ndarray, shape (k, c / groups, r, s)
    out : ndarray of int64, shape (n, k, e, f)
    bits : dict
        Width of ``input``, ``weight`` and ``output`` elements.
    """

    def __init__(
        self, view: LayerView, operands: Operands, params: Any, dram: DramModel, causes: Iterable[str]
    ) -> None:
        super().__init__(dram, causes)
        self.view, self.p, self.conv = view, params, view.conv
        self.x, self.w = operands.conv_arrays()
        self.out = np.zeros(self.conv.output_shape, dtype=np.int64)
        self.bits = {"input": view.input.width, "weight": view.weight.width, "output": view.output.width}

    def place(self, e: int, f: int, r: int, s: int) -> tuple[int, int]:
        """Return row and column of the input that filter position (r, s) meets at output (e, f)."""
        conv = self.conv
        y = e * conv.stride[0] + r * conv.dilation[0] - conv.pad[0]
        x = f * conv.stride[1] + s * conv.dilation[1] - conv.pad[1]
        return y, x

    def value(self, n: int, c: int, e: int, f: int, r: int, s: int) -> int:
        """Return the input of channel ``c`` that filter position (r, s) meets at output (e, f); 0 in the padding."""
        conv, (y, x) = self.conv, self.place(e, f, r, s)
        return int(self.x[n, c, y, x]) if 0 <= y < conv.h and 0 <= x < conv.w else 0

    def pair(self, pixel: tuple[int, int, int], k: int, tap: tuple[int, int, int]) -> tuple[int, int]:
        """Return the operands of a multiplication.

        Parameters
        ----------
        pixel : tuple
            Image, row and column of the output.
        k : int
            Its channel.
        tap : tuple
            Channel within the group, row and column of the filter.
        """
        (n, e, f), (c, r, s) = pixel, tap
        first = k // (self.conv.k // self.conv.groups) * (self.conv.c // self.conv.groups)
        return self.value(n, first + c, e, f, r, s), int(self.w[k, c, r, s])

    def multiply(self, pixel: tuple[int, int, int], k: int, tap: tuple[int, int, int]) -> None:
        """Multiply in one unit-cycle, and add the product to the output."""
        a, b = self.pair(pixel, k, tap)
        self.causes["busy" if a and b else "zero"] += 1
        n, e, f = pixel
        self.out[n, k, e, f] += a * b

    def described(self, operands: Operands) -> np.ndarray:
        """Return which outputs the layer's description leaves non-zero, in the shape of ``out``."""
        mask = Operand(self.view.output, operands.input.seed, operands.input.batch).mask
        return mask.reshape(self.out.shape)

    def activity(self, units: str, events: dict[Event, int], **more: Any) -> Activity:
        """Return the report of the tiles, with the layer's output in the shape of its tensor."""
        return super().activity(units, events, values=from_conv_output(self.view, self.out), **more)


class SteppedWhole(SteppedConv):
    """A product or a pooling layer while it is stepped on a chip that holds all of it.

    Pooling has the attributes of a convolution of each channel with itself, but no ``w``.
    """

    def __init__(
        self, view: LayerView, operands: Operands, params: Any, dram: DramModel, causes: Iterable[str]
    ) -> None:
        self.pool = view.shape if isinstance(view.shape, Pool) else None
        self.taken: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        if self.pool is None:
            super().__init__(view, operands, params, dram, causes)
            return
        Ledger.__init__(self, dram, causes)
        self.view, self.p, self.conv = view, params, self.pool.windows()
        self.x = operands.input.values.reshape(self.conv.input_shapes[0])
        self.bits = {"input": view.input.width, "output": view.output.width}

    def take(self, pixel: tuple[int, int, int], k: int, tap: tuple[int, int, int]) -> None:
        """Multiply in one unit-cycle as `multiply` does, or pool."""
        if self.pool is None:
            self.multiply(pixel, k, tap)
            return
        (n, e, f), (_, r, s) = pixel, tap
        self.causes["busy"] += 1
        self.taken.setdefault((n, k, e, f), []).append(self.place(e, f, r, s))

    def finish(self, units: str, cycles: int, stores: Mapping[str, tuple[str, int]]) -> Activity:
        """Return the report: inputs and weights come before the first cycle, outputs leave after the last one.

        Parameters
        ----------
        stores : mapping
            ``input``, ``weight``, ``output`` -> boundary and bits of what holds it.
        """
        loads, leave, held = [], [], dict.fromkeys((boundary for boundary, _ in stores.values()), 0)
        for role, width in self.bits.items():
            tensor, boundary = getattr(self.view, role), stores[role][0]
            held[boundary] += tensor.elements * width
            if tensor.home == "dram" and role == "output":
                leave = self.move(role, "write", tensor.elements * width)
                self.add(boundary, role, "read", tensor.elements * width)
            elif tensor.home == "dram":
                loads += self.move(role, "read", tensor.elements * width)
                self.add(boundary, role, "write", tensor.elements * width)
        self.step(loads, cycles, leave)
        work, buffers = self.causes["busy"], {boundary: (size, held[boundary]) for boundary, size in stores.values()}
        if self.pool is None:
            work += self.causes["zero"]
            return self.activity(units, {Event("macs", "mac"): work}, buffers=buffers, performed_macs=work)
        events = {Event("pool", "compare" if self.pool.op in ("max", "min") else "add"): work}
        if self.pool.op == "average":
            events[Event("alu", "special")] = len(self.taken)
        return Ledger.activity(self, units, events, buffers=buffers, values=self._pooled(self.pool))

    def _pooled(self, pool: Pool) -> np.ndarray:
        """Return maximum, minimum, sum or average of what was taken for each output."""
        values = []
        for at in np.ndindex(pool.output_shape):
            plane, taken = self.x[at[0], at[1]], self.taken[at]
            seen = [int(plane[y, x]) for y, x in taken if 0 <= y < pool.h and 0 <= x < pool.w]
            top, left, bottom, right = pool.pad if pool.count_pad else (0, 0, 0, 0)
            divisor = sum(-top <= y < pool.h + bottom and -left <= x < pool.w + right for y, x in taken)
            made = {"max": max, "min": min}.get(pool.op, sum)(seen)
            values.append(made / max(1, divisor) if pool.op == "average" else made)
        return np.array(values).reshape(pool.output_shape)
