"""The array stepped cycle by cycle: FIFOs that hold words, networks that move them. Slow, plain, blind to any plan.

Every word on a network is an index of a tensor; psums are numbers that travel. `pass_reference.py` steps one pass.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from accelsim.activity import Activity, Direction, Event, Flow, Transfer
from accelsim.engine import Machine
from accelsim.engines.row_stationary.pass_reference import PassMachine, Work
from accelsim.operands.handle import Operand, Operands
from accelsim.operands.rlc import Rlc
from accelsim.stepped import SteppedConv
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Matmul


def reference(view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> Activity:
    """Return the activity of a layer, values included."""
    return _Layer(view, operands, params, mapping, machine).run()


def _cut(size: int, step: int) -> list[range]:
    return [range(start, min(start + step, size)) for start in range(0, size, step)]


class _Layer(SteppedConv):
    def __init__(self, view: LayerView, operands: Operands, params: Any, mapping: Any, machine: Machine) -> None:
        super().__init__(view, operands, params, machine.dram, ())
        self.mapping = mapping
        self.events = {"mac": 0, "gated": 0}
        self.passes = 0
        self.peaks: dict[str, int] = {}
        self.blocks: dict[str, dict[tuple[range, ...], int]] = {"input": {}, "output": {}}
        self.zeros = {"input": self._zeros_of_input(operands), "output": self._zeros_of_output(operands)}

    def run(self) -> Activity:
        plans = list(self._residencies())
        for at in plans:
            for tensor, block in self._moved(at):
                self.blocks[tensor][block] = 0
        coded = {tensor: self._coded(tensor) for tensor in self.blocks}
        for at in plans:
            self._residency(at, coded)
        p = self.p
        total = sum(step.compute_cycles for step in self.steps)
        used = self.conv.r * self.mapping.e * self.mapping.r * self.mapping.t
        self.causes["unmapped"] = (p.rows * p.cols - used) * total
        sides: tuple[tuple[str, Any], ...] = (("input", "read"), ("psum", "read"), ("psum", "write"))
        array = sum(self.flows.get(Flow("glb.fmaps", *side), 0) for side in sides)
        # ifmap words drive the bus of every row that takes them, all others that of one row
        loaded = self.flows.get(Flow("glb.filters", "weight", "read"), 0)
        taken = self.flows.get(Flow("pe.inputs", "input", "write"), 0)
        psums = sum(self.flows.get(Flow("glb.fmaps", "psum", way), 0) for way in ("read", "write"))
        bus = array + loaded + loaded + taken + psums
        return self.activity(
            "pes",
            {Event("macs", action): count for action, count in self.events.items()} | {Event("bus", "transfer"): bus},
            buffers=self._buffers(),
            details={
                "processing_cycles": total,
                "passes": self.passes,
                "active_pes": used,
                "glb_array_bits": array,
                "input_coded": int(coded["input"]),
                "output_coded": int(coded["output"]),
            },
            performed_macs=self.events["mac"],
        )

    def _residencies(self) -> Any:
        conv, mp = self.conv, self.mapping
        for g in range(conv.groups):
            yield from (
                {"g": g, "k": k, "n": n, "e": e}
                for k, n, e in product(_cut(conv.k // conv.groups, mp.m), _cut(conv.n, mp.n), _cut(conv.e, mp.e))
            )

    def _channels(self) -> list[range]:
        return _cut(self.conv.c // self.conv.groups, self.mapping.q * self.mapping.r)

    def _moved(self, at: Any) -> list[tuple[str, tuple[range, ...]]]:
        """Return the blocks of the feature maps that a residency loads and dumps."""
        return [("input", self._input_block(at, c)) for c in self._channels()] + [("output", self._output_block(at))]

    def _input_block(self, at: Any, channels: range) -> tuple[range, ...]:
        conv = self.conv
        base = at["g"] * (conv.c // conv.groups)
        # the strip has room for e output rows even where there are fewer
        first = at["e"].start * conv.stride[0] - conv.pad[0]
        last = first + (self.mapping.e - 1) * conv.stride[0] + conv.r
        rows = [y for y in range(first, last) if 0 <= y < conv.h]
        return (
            at["n"],
            range(base + channels.start, base + channels.stop),
            range(rows[0], rows[-1] + 1) if rows else range(0),
        )

    def _output_block(self, at: Any) -> tuple[range, ...]:
        base = at["g"] * (self.conv.k // self.conv.groups)
        return at["n"], range(base + at["k"].start, base + at["k"].stop), at["e"]

    def _zeros_of_input(self, operands: Operands) -> np.ndarray | None:
        if operands.input.given is None and self.view.input.density == 1:
            return None
        return np.asarray(self.x == 0)

    def _zeros_of_output(self, operands: Operands) -> np.ndarray | None:
        output = self.view.output
        if output.density == 1:
            return None
        mask = Operand(output, operands.input.seed, operands.input.batch).mask
        if isinstance(self.view.shape, Matmul):
            mask = np.moveaxis(mask, 0, 1)
        return ~mask.reshape(self.out.shape)

    def _coded(self, tensor: str) -> bool:
        """Size every block's stream; return whether the map is coded."""
        zeros, blocks, width = self.zeros[tensor], self.blocks[tensor], self.p.word_bits
        if zeros is None or not self.p.rlc:
            return False
        code = Rlc(5, width, 63 // (5 + width))
        plain = 0
        for block in blocks:
            part = zeros[np.ix_(*block)]
            plain += part.size * width
            blocks[block] = code.encode((~part).astype(np.int64)).bits if part.size else 0
        return sum(blocks.values()) < plain

    def _transfer(self, tensor: str, block: tuple[range, ...], coded: bool) -> list[Transfer]:
        direction: Direction = "read" if tensor == "input" else "write"
        conv, width = self.conv, self.p.word_bits
        if any(not len(part) for part in block):
            return []
        if coded:
            return self.move(tensor, direction, self.blocks[tensor][block])
        channels, height, columns = (conv.c, conv.h, conv.w) if tensor == "input" else (conv.k, conv.e, conv.f)
        rows = [(n * channels + c) * height + y for n, c, y in product(*block)]
        return self.move_elements(tensor, direction, rows, columns * width)

    def _residency(self, at: Any, coded: dict[str, bool]) -> None:
        conv, width, lag = self.conv, self.p.word_bits, 0
        strip = (self.mapping.e - 1) * conv.stride[0] + conv.r
        strip_words = strip * ((conv.f - 1) * conv.stride[1] + conv.s)
        for channels in self._channels():
            before = self._transfer("input", self._input_block(at, channels), coded["input"])
            self.add("glb.fmaps", "input", "write", len(at["n"]) * len(channels) * strip_words * width)
            ifmap = len(at["n"]) * len(channels) * strip_words
            self._peak("glb.fmaps", ifmap + len(at["n"]) * len(at["k"]) * self.mapping.e * conv.f)
            for held in _cut(len(at["k"]), self.mapping.p * self.mapping.t):
                filters = range(at["k"].start + held.start, at["k"].start + held.stop)
                words = len(filters) * len(channels) * conv.r * conv.s
                loads = self.move("weight", "read", words * width)
                self.add("glb.filters", "weight", "write", words * width)
                self._peak("glb.filters", words)
                cycles, lag = self._pass(at, channels, filters, lag)
                self.step(loads, cycles, before=before)
                before = []
        after = self._transfer("output", self._output_block(at), coded["output"])
        if self.p.psum_counting == "every_pass":
            outputs = len(at["n"]) * len(at["k"]) * len(at["e"]) * conv.f
            self.add("glb.fmaps", "output", "read", outputs * width)
        used = conv.r * self.mapping.e * self.mapping.r * self.mapping.t
        self.causes["fill_drain"] += lag * used
        self.steps[-1] = self.steps[-1]._replace(compute_cycles=self.steps[-1].compute_cycles + lag, after=tuple(after))

    def _pass(self, at: Any, channels: range, filters: range, lag: int) -> tuple[int, int]:
        conv = self.conv
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        every = self.p.psum_counting == "every_pass"
        work = Work(
            images=at["n"],
            channels=range(at["g"] * cg + channels.start, at["g"] * cg + channels.stop),
            filters=range(at["g"] * kg + filters.start, at["g"] * kg + filters.stop),
            rows=at["e"],
            first_channel=at["g"] * cg,
            reads_psums=every or channels.start > 0,
            keeps_psums=every or channels.stop < cg,
            lag=lag,
        )
        machine = PassMachine(self, conv, self.p, self.mapping, work)
        machine.run()
        self.passes += 1
        for cause, count in machine.causes.items():
            self.causes[cause] = self.causes.get(cause, 0) + count
        for action, count in machine.events.items():
            self.events[action] += count
        for name, words in machine.peaks.items():
            self._peak(name, words)
        return machine.ended, machine.written - machine.ended

    def _peak(self, name: str, words: int) -> None:
        self.peaks[name] = max(self.peaks.get(name, 0), words)

    def _buffers(self) -> dict[str, tuple[int, int]]:
        p = self.p
        bank = p.bank_kib * 8192
        capacity = {
            "glb.fmaps": p.fmap_banks * bank,
            "glb.filters": p.filter_banks * bank,
            "pe.filters": p.filter_spad_words * p.word_bits,
            "pe.inputs": p.ifmap_spad_words * p.word_bits,
            "pe.psums": p.psum_spad_words * p.word_bits,
        }
        return {name: (size, self.peaks[name] * p.word_bits) for name, size in capacity.items()}
