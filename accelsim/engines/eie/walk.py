"""Walks the passes with the kernel and adds them up to an activity."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.activity import Activity, Event, Flow, Step, Transfer
from accelsim.engines.eie import kernel
from accelsim.engines.eie.passes import Geometry, Pass, Slices, sized, tree_links
from accelsim.memory.timeline import dram_traffic
from accelsim.operands.handle import Operands
from accelsim.units import ceil_div

if TYPE_CHECKING:
    from accelsim.engines.eie.plan import Plan

CAUSES = ("busy", "padding", "control", "fill_drain", "conflict", "starved", "imbalance")
"""Order of the causes in the kernel's counts, from slot 1."""


def compress(geometry: Geometry, weights: np.ndarray, params: Any) -> tuple[Slices, ...]:
    """Compress every pass of a matrix of codes or of a mask, (k, c)."""
    found = []
    for one in geometry.passes:
        block = np.ascontiguousarray(weights[one.rows, one.columns], dtype=np.int32)
        mapped = min(params.pes, one.outputs)
        starts, values, runs = kernel.compress(block, mapped, params.run_bits)
        found.append(sized(starts, values, runs, params))
    return tuple(found)


def walk(plan: Plan, operands: Operands | None) -> Activity:
    """Walk all vectors; with operands, also return the outputs, (n, k)."""
    g, params = plan.geometry, plan.params
    book, slices = np.zeros(0, dtype=np.int64), plan.slices
    if operands is None:
        vectors = plan.operands.input.mask.reshape(g.n, g.c).astype(np.int64)
        out = None
    else:
        vectors = operands.input.values.reshape(g.n, g.c)
        codes, book = _codes(operands.weight.values, bool(params.codebook_bits))
        slices = compress(g, codes, params)
        out = np.zeros((g.n, g.k), dtype=np.int64)
    total = _Total(plan)
    for start in range(0, g.n, params.channels):
        batch = range(start, min(start + params.channels, g.n))
        for i, one in enumerate(g.passes):
            counts = [_walk_pass(plan, one, slices[i], vectors[v, one.columns], book, out, v) for v in batch]
            total.add(i, one, batch, np.stack(counts))
    return total.activity(out)


def _codes(weights: np.ndarray, coded: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return codes (0 for zero) and the codebook, empty if weights are stored as they are."""
    if not coded:
        return weights, np.zeros(0, dtype=np.int64)
    at = np.flatnonzero(weights)
    book, code = np.unique(weights.ravel()[at], return_inverse=True)
    codes = np.zeros(weights.shape, dtype=np.int32)
    codes.ravel()[at] = code + 1
    return codes, np.concatenate((np.zeros(1, dtype=np.int64), book))


def _walk_pass(
    plan: Plan, one: Pass, s: Slices, inputs: np.ndarray, book: np.ndarray, out: np.ndarray | None, vector: int
) -> np.ndarray:
    p, mapped = plan.params, s.starts.shape[0]
    sums = np.zeros((0, 0), dtype=np.int64)
    if out is not None:
        sums = np.zeros((ceil_div(one.outputs, mapped), mapped), dtype=np.int64)
    counts: np.ndarray = kernel.walk_pass(
        p.queue_depth, 3 - p.pointer_banks, p.bypass, p.padding_cycle, p.empty_cycle, p.row_entries, mapped,
        s.starts, s.values, s.runs, np.ascontiguousarray(inputs), book, sums,
    )  # fmt: skip
    if out is not None:
        out[vector, one.rows] += sums.ravel()[: one.outputs]
    return counts


class _Total:
    """Adds passes up: causes, bits that move, tiles. A layer may have tens of thousands of passes."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.causes = np.zeros(len(CAUSES), dtype=np.int64)
        """Of `CAUSES`; ``imbalance`` and ``fill_drain`` between passes and ``unmapped`` are apart."""
        self.imbalance = self.drain = self.unmapped = 0
        self.flows: Counter[Flow] = Counter()
        self.steps: list[Step] = []
        self.inputs = self.broadcasts = self.queued = self.rows = self.entries = self.outputs = 0
        ends = np.cumsum([[s.weight_bits, s.index_bits] for s in plan.slices], axis=0)
        self.places = [(0, 0), *map(tuple, ends.tolist())]

    def add(self, i: int, one: Pass, batch: range, counts: np.ndarray) -> None:
        """Add a pass that ``batch`` vectors went through; ``counts`` has a row per vector."""
        p, mapped, vectors = self.plan.params, min(self.plan.params.pes, one.outputs), len(batch)
        sums, walked = counts.sum(axis=0), int(counts[:, 0].max())
        drain = (p.pipeline_stages - 1) if one.last else 0
        cycles = walked + drain
        self.causes += sums[1 : 1 + len(CAUSES)]
        total, broadcasts, rows, entries = sums[[0, 8, 9, 10]].tolist()
        self.imbalance += mapped * (walked * vectors - total)
        self.drain += mapped * drain * vectors
        self.unmapped += cycles * (p.pes * p.channels - mapped * vectors)
        self.inputs += vectors * one.inputs
        self.broadcasts += broadcasts
        self.queued += broadcasts * mapped
        self.rows += rows
        self.entries += entries
        self.outputs += vectors * one.outputs if one.last else 0
        self.steps.append(Step(self._loads(i, one, batch), cycles, self._stores(one, batch)))

    def _on_chip(self, issued: int) -> dict[Flow, int]:
        """Return the bits that all passes moved on the chip, but for what came from DRAM and went there."""
        g, p = self.plan.geometry, self.plan.params
        column_bits = (p.pes * p.registers - 1).bit_length()
        down, up = tree_links(p.pes)
        flows = {
            Flow("glb.activations", "input", "read"): self.inputs * g.input_bits,
            Flow("pe", "input", "write"): self.inputs * g.input_bits,
            Flow("pe", "input", "read"): self.broadcasts * g.input_bits,
            Flow("glb.pointers", "index", "read"): 2 * self.queued * p.pointer_bits,
            Flow("glb.weights", "weight", "read"): self.rows * p.row_entries * p.value_bits,
            Flow("glb.weights", "index", "read"): self.rows * p.row_entries * p.run_bits,
            Flow("pe", "psum", "read"): issued * p.accumulator_bits,
            Flow("pe", "psum", "write"): issued * p.accumulator_bits,
            Flow("pe", "output", "read"): self.outputs * p.accumulator_bits,
            Flow("glb.activations", "output", "write"): self.outputs * g.output_bits,
        }
        for tensor, bits in (("input", g.input_bits), ("index", column_bits)):
            flows[Flow("array", tensor, "write")] = self.broadcasts * bits * up
            flows[Flow("array", tensor, "read")] = self.broadcasts * bits * down
            flows[Flow("pe.queue", tensor, "write")] = self.queued * bits
            flows[Flow("pe.queue", tensor, "read")] = self.queued * bits
        if p.codebook_bits:
            flows[Flow("pe.codebook", "weight", "read")] = issued * p.codebook_bits
        return flows

    def _loads(self, i: int, one: Pass, batch: range) -> tuple[Transfer, ...]:
        plan, g, s = self.plan, self.plan.geometry, self.plan.slices[i]
        loads = []
        if not plan.resident:
            weight, index = self.places[i]
            pointers = s.starts.shape[0] * s.pointer_bits
            self.flows[Flow("glb.weights", "weight", "write")] += s.weight_bits * len(batch)
            self.flows[Flow("glb.weights", "index", "write")] += (s.index_bits - pointers) * len(batch)
            self.flows[Flow("glb.pointers", "index", "write")] += pointers * len(batch)
            loads.append(Transfer("weight", "read", s.weight_bits, address_bits=weight))
            loads.append(Transfer("index", "read", s.index_bits, address_bits=index))
        if plan.operands.view.input.home == "dram" and (one.first or not plan.kept):
            at = (batch.start * g.c + one.columns.start) * g.input_bits
            stride = g.c * g.input_bits
            loads.append(Transfer("input", "read", one.inputs * g.input_bits, len(batch), stride, at))
            self.flows[Flow("glb.activations", "input", "write")] += loads[-1].bits
        return tuple(t for t in loads if t.bits)

    def _stores(self, one: Pass, batch: range) -> tuple[Transfer, ...]:
        plan, g = self.plan, self.plan.geometry
        if not one.last or plan.operands.view.output.home != "dram":
            return ()
        at, stride = (batch.start * g.k + one.rows.start) * g.output_bits, g.k * g.output_bits
        store = Transfer("output", "write", one.outputs * g.output_bits, len(batch), stride, at)
        self.flows[Flow("glb.activations", "output", "read")] += store.bits
        return (store,)

    def activity(self, out: np.ndarray | None) -> Activity:
        """Return everything added so far."""
        p, schedule = self.plan.params, tuple(self.steps)
        causes = dict(zip(CAUSES, self.causes.tolist(), strict=True))
        issued, padding = causes["busy"] + causes["padding"], self.entries - causes["busy"]
        causes["imbalance"] += self.imbalance
        causes["fill_drain"] += self.drain
        causes["unmapped"] = self.unmapped
        traffic = dict(self.flows) | dram_traffic(schedule, self.plan.machine.dram)
        for flow, bits in self._on_chip(issued).items():
            traffic[flow] = traffic.get(flow, 0) + bits
        return Activity(
            compute_cycles=sum(step.compute_cycles for step in schedule),
            accounts={"pes": causes},
            traffic=traffic,
            events={Event("macs", "mac"): issued},
            schedule=schedule,
            buffers=_buffers(self.plan),
            details={
                "passes": len(self.plan.slices),
                "resident": int(self.plan.resident),
                "broadcasts": self.broadcasts,
                "entries": self.entries,
                "padding_entries": padding,
                "stored_entries": sum(s.entries for s in self.plan.slices),
                "ideal_cycles": ceil_div(self.entries, p.pes * min(p.channels, self.plan.geometry.n)),
            },
            performed_macs=issued,
            values=out,
        )


def _buffers(plan: Plan) -> dict[str, tuple[int, int]]:
    """Return capacity and peak: of the fullest PE for weights and pointers, of a channel for activations."""
    p, g = plan.params, plan.geometry
    matrix, pointer = [s.matrix_bits for s in plan.slices], [s.pointer_bits for s in plan.slices]
    steps = len(plan.slices) * ceil_div(g.n, p.channels)
    held = sum if plan.resident else (lambda bits: max(bits) * min(2, steps))
    room = p.pes * p.activation_bytes * 8
    return {
        "glb.weights": (p.matrix_bytes * 8, held(matrix)),
        "glb.pointers": (p.pointer_bytes * 8, held(pointer)),
        "glb.activations": (room, g.vector_bits if plan.kept else g.batch_bits),
    }
