"""Feeds the kernel: leaves, rounds, partial products."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from accelsim.engines.sparch import kernel
from accelsim.engines.sparch.engine import Params, Plan, Tally
from accelsim.engines.sparch.schedule import Schedule
from accelsim.units import ceil_div
from accelsim.workload.csr_matrix import CsrMatrix


class Stream(NamedTuple):
    """A partial product in coordinates, sorted by row and column."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray


@dataclass
class _Machine:
    """What stays the same over all rounds, and the sums so far."""

    plan: Plan
    leaf_of: np.ndarray
    """Leaf of each entry of A."""
    order: np.ndarray
    """Entries of A by leaf."""
    bounds: np.ndarray
    """Where each leaf begins in ``order``."""
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Tally._fields, 0))
    bound_by: list[int] = field(default_factory=lambda: [0, 0, 0, 0])

    @property
    def params(self) -> Params:
        return self.plan.params

    def add(self, **counts: int) -> None:
        for key, count in counts.items():
            self.totals[key] += int(count)

    def read_rows(self, uses: np.ndarray) -> np.ndarray:
        """Return how many elements of B each use reads from DRAM."""
        p, b = self.params, self.plan.b
        if not p.prefetch:
            return b.row_lengths[uses]
        read = kernel.fetch_rows(uses, b.pointers, p.lookahead, p.prefetch_lines, p.line_elements)
        self.totals["peak_lines"] = max(self.totals["peak_lines"], int(read[-1]))
        return read[:-1]

    def spend(
        self, groups: np.ndarray, uses: np.ndarray, read: np.ndarray, scans: np.ndarray, layers: int, out_bits: int
    ) -> None:
        """Time a round whose rows are ``groups`` and add it up."""
        p, plan = self.params, self.plan
        ends = np.append(0, np.cumsum(groups[:, 2]))
        lanes = -(-plan.b.row_lengths[uses] // p.multiplier_lanes)
        slots, fetched = _sums(lanes, ends), _sums(read, ends)
        bits = (groups[:, 2] + fetched) * p.element_bits + groups[:, 3] * p.partial_bits
        writes = groups[:, 5 + layers] * out_bits
        rate = plan.bits_per_cycle
        per_bit = plan.ticks * rate.denominator // rate.numerator
        per_slot, per_element = plan.ticks // p.multiplier_groups, plan.ticks // p.merger_width
        cost = np.array(
            [per_slot, per_element, per_bit, plan.ticks, plan.latency_cycles * plan.ticks,
             p.layer_latency_cycles * plan.ticks], np.int64,
        )  # fmt: skip
        capacities = np.array([p.tree_fifo] * layers + [p.writer_fifo], np.int64)
        finish, memory, conflict, control, bus = kernel.time_round(
            groups, slots, bits, writes, scans, layers, capacities, p.lookahead, cost
        ).tolist()
        scanned = int(scans[-1]) if scans.size else 0
        merged = [int(groups[:, 5 + layer].sum()) for layer in range(layers)]
        parts = (
            int(slots.sum()) * per_slot,
            max(merged, default=0) * per_element,
            scanned * plan.ticks,
            bus,
        )
        bound = max(parts)
        self.bound_by[parts.index(bound)] += 1
        self.add(
            cycles=ceil_div(finish, plan.ticks), bound_cycles=ceil_div(bound, plan.ticks), rounds=1,
            a_read=groups[:, 2].sum(), b_used=plan.b.row_lengths[uses].sum(), b_read=read.sum(),
            partial_read=groups[:, 3].sum(), products=groups[:, 4].sum(), slots=slots.sum(),
            layer_elements=sum(merged), scans=scanned, memory_ticks=memory, conflict_ticks=conflict,
            control_ticks=control, bus_ticks=bus,
        )  # fmt: skip


def _sums(counts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the sum of ``counts`` between consecutive ``ends``."""
    sums = np.append(0, np.cumsum(counts))
    return np.asarray(sums[ends[1:]] - sums[ends[:-1]])


def walk(plan: Plan) -> tuple[Tally, CsrMatrix]:
    """Return the sums over all rounds, and the product."""
    a, b, p = plan.a, plan.b, plan.params
    if p.condense:
        leaf_of = np.arange(a.nnz, dtype=np.int64) - np.repeat(a.pointers[:-1], a.row_lengths)
    else:
        leaf_of = np.unique(a.columns, return_inverse=True)[1].astype(np.int64)
    leaves = int(leaf_of.max(initial=-1)) + 1
    order = np.argsort(leaf_of, kind="stable").astype(np.int64)
    bounds = np.append(0, np.cumsum(np.bincount(leaf_of, minlength=leaves))).astype(np.int64)
    machine = _Machine(plan, leaf_of, order, bounds)
    weights = np.bincount(leaf_of, b.row_lengths[a.columns].astype(np.float64), leaves).astype(np.int64).tolist()
    streams: dict[int, Stream] = {}
    if not p.pipeline_merge and leaves:
        streams = _multiply_all(machine)
    schedule = Schedule(weights, p.ways, p.huffman, p.plain_schedule == "running")
    empty = np.zeros(0, np.int64)
    done = Stream(empty, empty, (a.values[:0] * b.values[:0]))
    weight_of = dict(enumerate(weights))
    while not schedule.finished:
        nodes = schedule.next_round()
        done = _round(machine, nodes, streams, schedule.finished)
        if schedule.finished:
            break
        weight = done.rows.size if p.weights == "exact" else sum(weight_of[node] for node in nodes)
        made = schedule.add(weight)
        weight_of[made] = weight
        streams[made] = done
        machine.add(partial_written=done.rows.size)
    pointers = np.append(0, np.cumsum(np.bincount(done.rows, minlength=a.shape[0]))).astype(np.int64)
    machine.add(output=done.rows.size, leaves=leaves)
    machine.totals["additions"] = machine.totals["products"] - done.rows.size
    totals = {**machine.totals, "bound_by": tuple(machine.bound_by)}
    return Tally(**totals), CsrMatrix((a.shape[0], b.shape[1]), pointers, done.columns, done.values)  # type: ignore[arg-type]


def _round(machine: _Machine, nodes: list[int], streams: dict[int, Stream], final: bool) -> Stream:
    """Multiply and merge the nodes of a round."""
    plan, p = machine.plan, machine.params
    a, b = plan.a, plan.b
    fresh = [(node, slot) for slot, node in enumerate(nodes) if node not in streams]
    pieces = [machine.order[machine.bounds[node] : machine.bounds[node + 1]] for node, _ in fresh]
    entries = np.sort(np.concatenate([*pieces, np.zeros(0, np.int64)]))
    slot_of = dict(fresh)
    leaves = np.array(sorted(slot_of), np.int64)
    places = np.array([slot_of[int(leaf)] for leaf in leaves], np.int64)
    rows = np.searchsorted(a.pointers, entries, side="right").astype(np.int64) - 1
    slots = places[np.searchsorted(leaves, machine.leaf_of[entries])] if entries.size else entries
    old = [(streams.pop(node), slot) for slot, node in enumerate(nodes) if node in streams]
    nothing = np.zeros(0, np.int64)
    values = a.values[:0] * b.values[:0]
    starts = np.append(0, np.cumsum([stream.rows.size for stream, _ in old])).astype(np.int64)
    uses = a.columns[entries]
    size = int(b.row_lengths[uses].sum() + starts[-1])
    out = Stream(np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, values.dtype))
    groups = np.zeros((len(np.unique(rows)) + int(starts[-1]), 6 + p.layers), np.int64)
    count, made = kernel.merge_rows(
        rows, slots, uses, a.values[entries], b.pointers, b.columns, b.values, p.layers, starts,
        np.concatenate([*(s.rows for s, _ in old), nothing]), np.concatenate([*(s.columns for s, _ in old), nothing]),
        np.concatenate([*(s.values for s, _ in old), values]), np.array([slot for _, slot in old], np.int64),
        *out, groups,
    )  # fmt: skip
    groups = groups[:count]
    scans = groups[:, 0] + 1 if p.condense and fresh else np.zeros(count, np.int64)
    out_bits = p.output_bits if final else p.partial_bits
    machine.spend(groups, uses, machine.read_rows(uses), scans, p.layers, out_bits)
    return Stream(*(part[:made].copy() for part in out))


def _multiply_all(machine: _Machine) -> dict[int, Stream]:
    """Write the products of every leaf to DRAM, as an outer product does; return them by leaf."""
    a, b = machine.plan.a, machine.plan.b
    uses = a.columns[machine.order]
    lengths = b.row_lengths[uses]
    groups = np.zeros((uses.size, 6), np.int64)
    groups[:, 2], groups[:, 4], groups[:, 5] = 1, lengths, lengths
    ends = np.append(0, np.cumsum(lengths)).astype(np.int64)
    inside = np.arange(ends[-1], dtype=np.int64) - np.repeat(ends[:-1], lengths)
    places = np.repeat(b.pointers[uses], lengths) + inside
    rows = np.repeat(a.rows[machine.order], lengths)
    values = np.repeat(a.values[machine.order], lengths) * b.values[places]
    machine.spend(groups, uses, machine.read_rows(uses), np.zeros(uses.size, np.int64), 0, machine.params.partial_bits)
    machine.add(partial_written=ends[-1])
    cuts = ends[machine.bounds]
    return {
        leaf: Stream(rows[cuts[leaf] : cuts[leaf + 1]], b.columns[places[cuts[leaf] : cuts[leaf + 1]]], part)
        for leaf in range(len(cuts) - 1)
        for part in (values[cuts[leaf] : cuts[leaf + 1]],)
    }
