"""Feeds the kernels: leaves, rounds, partial products."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accelsim.engines.sparch import asked, kernel, prefetch_kernel, values_kernel
from accelsim.engines.sparch.plan import UNITS, Params, Plan, Round, Tally
from accelsim.engines.sparch.schedule import Schedule
from accelsim.engines.sparch.stream import Pieces, Stream, blocks, pieces_of_leaves, pieces_of_stream
from accelsim.errors import ModelError
from accelsim.units import ceil_div
from accelsim.workload.csr_matrix import CsrMatrix, product_count


@dataclass
class _Machine:
    """What stays the same over all rounds, scratch that they share, and the sums so far."""

    plan: Plan
    with_values: bool
    leaf_of: np.ndarray
    """Leaf of each entry of A."""
    order: np.ndarray
    """Entries of A by leaf."""
    bounds: np.ndarray
    """Where each leaf begins in ``order``."""
    last: np.ndarray
    held: np.ndarray
    latest: np.ndarray
    products: int
    """Of all leaves, at least 1."""
    serial: int = 1
    merged: int = 0
    """Elements of rows of B that were merged so far."""
    streams: dict[int, Stream] = field(default_factory=dict)
    """Node -> partial product in DRAM."""
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Tally._fields, 0))
    rounds: list[Round] = field(default_factory=list)
    written_at: int = 0
    """First bit in DRAM of what the last round wrote, on a machine with a device."""
    homes: dict[int, int] = field(default_factory=dict)
    """Node -> first bit of its partial product."""
    products_at: int = 0
    """First bit of the products of all leaves, by leaf, where merging is not pipelined."""

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
        read = prefetch_kernel.fetch_rows(
            uses, b.pointers, p.lookahead, p.prefetch_lines, p.line_elements, self.held, self.latest
        )
        self.totals["peak_lines"] = max(self.totals["peak_lines"], int(read[-1]))
        return read[:-1]

    def spend(
        self,
        groups: np.ndarray,
        uses: np.ndarray,
        scans: bool,
        layers: int,
        out_bits: int,
        nodes: tuple[int, int],
        entries: np.ndarray,
        back: tuple[asked.Back, ...] = (),
    ) -> None:
        """Time a round whose rows are ``groups`` and add it up; ``nodes`` are new leaves and partial products.

        With ``scans`` the column fetcher goes over the rows of A. ``entries`` of A are multiplied, whose rows of B are
        the ``uses``; partial products come ``back``.
        """
        p, plan = self.params, self.plan
        read = self.read_rows(uses)
        ends = np.append(0, np.cumsum(groups[:, 1]))
        lanes = -(-plan.b.row_lengths[uses] // p.multiplier_lanes)
        slots, fetched = _sums(lanes, ends), _sums(read, ends)
        reached = groups[:, 0] + 1 if scans else np.zeros(len(groups), np.int64)
        pointers = self.pointers(reached, scans) + 2 * groups[:, 1]
        elements = groups[:, 1] + fetched
        bits = elements * p.element_bits + groups[:, 2] * p.partial_bits + pointers * p.pointer_bits
        writes = groups[:, 4 + layers] * out_bits
        rate = plan.bits_per_cycle
        per_bit = plan.ticks * rate.denominator // rate.numerator
        per_slot, per_element = plan.ticks // p.multiplier_groups, plan.ticks // p.merger_width
        cost = np.array(
            [per_slot, per_element, plan.ticks, p.layer_latency_cycles * plan.ticks], np.int64,
        )  # fmt: skip
        capacities = np.array([p.tree_fifo] * layers + [p.writer_fifo], np.int64)
        bus_of = asked.Bus(
            bits * per_bit, writes * per_bit, np.full(len(groups), plan.latency_cycles * plan.ticks, np.int64)
        )

        def timed(bus: asked.Bus, order: np.ndarray, when: np.ndarray) -> list[int]:
            found: list[int] = kernel.time_round(
                groups, slots, *bus, reached, layers, capacities, p.lookahead, cost, order, when
            ).tolist()
            return found

        if plan.door is None:
            none = np.zeros(2 * len(groups), np.int64)
            finish, memory, conflict, control, bus = timed(bus_of, none, none.copy())
        else:
            made_runs = asked.runs_of(
                plan, plan.door, groups, ends, asked.Reads(entries, uses, read, pointers - 2 * groups[:, 1]), back,
                asked.Written(self.home(writes, out_bits), writes),
            )  # fmt: skip
            finish, memory, conflict, control, bus = asked.answered(
                plan.door, timed, bus_of, made_runs, self.total_cycles, plan.ticks
            )
        scanned = int(reached[-1]) if scans else 0
        merged = [int(groups[:, 4 + layer].sum()) for layer in range(layers)]
        parts = (
            int(slots.sum()) * per_slot,
            max(merged, default=0) * per_element,
            scanned * plan.ticks,
            bus,
        )
        bound = max(parts)
        made = Round(
            ceil_div(finish, plan.ticks), ceil_div(bound, plan.ticks), parts.index(bound), *nodes,
            *map(int, (groups[:, 1].sum(), read.sum(), groups[:, 2].sum(), groups[:, 4 + layers].sum(),
                   pointers.sum())),
        )  # fmt: skip
        self.rounds.append(made)
        self.add(
            b_used=plan.b.row_lengths[uses].sum(), products=groups[:, 3].sum(), slots=slots.sum(),
            layer_elements=sum(merged), scans=scanned, memory_ticks=memory, conflict_ticks=conflict,
            control_ticks=control, bus_ticks=bus,
        )  # fmt: skip

    @property
    def total_cycles(self) -> int:
        """Cycles of the rounds so far."""
        return sum(made.cycles for made in self.rounds)

    def home(self, writes: np.ndarray, out_bits: int) -> int:
        """Take room for what a round writes; return its first bit."""
        door = self.plan.door
        assert door is not None
        self.written_at = door.room(f"round {len(self.rounds)}", int(writes.sum()) + out_bits)
        return self.written_at

    def pointers(self, reached: np.ndarray, scans: bool) -> np.ndarray:
        """Return how many pointers of A come with each row of a round that is ``reached`` at these cycles."""
        p, a, found = self.params, self.plan.a, np.zeros(reached.size, np.int64)
        if scans:
            found[:] = np.diff(reached, prepend=-1)
            found[-1] += a.shape[0] - reached[-1]
        elif not self.rounds and not (p.condense and p.pipeline_merge):
            found[0] = a.shape[0 if p.condense else 1] + 1
        return found

    def spend_nothing(self) -> None:
        """Time the look at an A without entries: its pointers are read, and then nothing is left to do."""
        p, plan = self.params, self.plan
        pointers = plan.a.shape[0 if p.condense else 1] + 1
        bus = pointers * p.pointer_bits * plan.ticks * plan.bits_per_cycle.denominator // plan.bits_per_cycle.numerator
        finish = bus + plan.latency_cycles * plan.ticks
        if plan.door is not None:
            bits = np.array([pointers * p.pointer_bits])
            runs = plan.door.stream(plan.door.room("pointers of A", int(bits[0])), bits, 0)
            bus = finish = int(plan.door.serve(runs, 0).over[0]) * plan.ticks
        ends = ceil_div(finish, plan.ticks), ceil_div(bus, plan.ticks)
        self.rounds.append(Round(*ends, UNITS.index("channels"), 0, 0, 0, 0, 0, 0, pointers))
        self.add(memory_ticks=finish, bus_ticks=bus)


def _sums(counts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the sum of ``counts`` between consecutive ``ends``."""
    sums = np.append(0, np.cumsum(counts))
    return np.asarray(sums[ends[1:]] - sums[ends[:-1]])


def walk(plan: Plan, with_values: bool) -> Generator[float, None, tuple[Tally, CsrMatrix | None]]:
    """Return the sums over all rounds and, asked for, the product; yield the share that is done."""
    a, b, p = plan.a, plan.b, plan.params
    if p.condense:
        leaf_of = np.arange(a.nnz, dtype=np.int64) - np.repeat(a.pointers[:-1], a.row_lengths)
    else:
        leaf_of = np.unique(a.columns, return_inverse=True)[1].astype(np.int64)
    leaves = int(leaf_of.max(initial=-1)) + 1
    order = np.argsort(leaf_of, kind="stable").astype(np.int64)
    bounds = np.append(0, np.cumsum(np.bincount(leaf_of, minlength=leaves))).astype(np.int64)
    last, held = np.zeros(b.shape[1], np.int64), np.zeros(b.shape[0], np.int64)
    latest, products = np.full(b.shape[0], -1, np.int64), max(1, product_count(a, b))
    machine = _Machine(plan, with_values, leaf_of, order, bounds, last, held, latest, products)
    weights = np.bincount(leaf_of, b.row_lengths[a.columns].astype(np.float64), leaves).astype(np.int64).tolist()
    if not leaves:
        machine.spend_nothing()
    elif not p.pipeline_merge:
        _multiply_all(machine)
    schedule = Schedule(weights, p.ways, p.huffman, p.plain_schedule == "running")
    weight_of = dict(enumerate(weights))
    empty = np.zeros(0, np.int64)
    done = Stream(empty, empty, empty, a.values[:0] * b.values[:0])
    while not schedule.finished:
        nodes = schedule.next_round()
        done = yield from _round(machine, nodes, leaves, schedule.finished)
        if schedule.finished:
            break
        weight = machine.rounds[-1].written if p.weights == "exact" else sum(weight_of[node] for node in nodes)
        made = schedule.add(weight)
        weight_of[made] = weight
        machine.streams[made], machine.homes[made] = done, machine.written_at
    totals: dict[str, Any] = machine.totals | {"leaves": leaves, "rounds": tuple(machine.rounds)}
    return Tally(**totals), _product(a.shape[0], b.shape[1], done) if with_values else None


def _product(rows: int, columns: int, made: Stream) -> CsrMatrix:
    pointers = np.zeros(rows + 1, np.int64)
    pointers[made.rows + 1] = np.diff(made.ends, prepend=0)
    assert made.values is not None
    return CsrMatrix((rows, columns), np.cumsum(pointers), made.columns.astype(np.int64), made.values)


def _round(machine: _Machine, nodes: list[int], leaves: int, final: bool) -> Generator[float, None, Stream]:
    """Multiply and merge the nodes of a round; yield the share of the whole walk that is done."""
    plan, p = machine.plan, machine.params
    new = [(node, slot) for slot, node in enumerate(nodes) if node < leaves]
    old = [(node, slot) for slot, node in enumerate(nodes) if node >= leaves]
    leaf = _leaf_pieces(machine, new)
    back = asked.back_of(machine.homes, machine.streams, old, p.partial_bits)
    if not p.pipeline_merge:
        back += asked.products_back(plan, machine.products_at, machine.order, machine.bounds, new)
    partial, parts = _partial_products(machine, old)
    size = leaf.elements + partial.columns.size
    groups = np.zeros((min(plan.a.shape[0], leaf.rows.size + partial.rows.size), 5 + p.layers), np.int64)
    keep = not final or machine.with_values
    kept = np.empty(size if keep else 0, np.int32)
    values = np.empty(size, partial.values.dtype) if partial.values is not None else None
    count, out = 0, 0
    for block in blocks([leaf, *parts], plan.a.shape[0], p.ways):
        columns = np.empty(block.elements, np.int32)
        rows, made, machine.serial = kernel.count_rows(
            *block[:5], p.pipeline_merge, plan.b.columns, partial.columns, p.layers, machine.last, machine.serial,
            groups[count:], columns,
        )  # fmt: skip
        if values is not None:
            factors = plan.a.values[block.entries]
            _merge(plan, p.layers, block, factors, partial, columns, values[out:], made)
        if keep:
            kept[out : out + made] = columns[:made]
        count, out = count + rows, out + made
        machine.merged += int((block.ends - block.begins)[block.from_b].sum())
        yield machine.merged / machine.products
    groups = groups[:count]
    multiplied = leaf.entries if p.pipeline_merge else leaf.entries[:0]
    scans = bool(p.condense and multiplied.size)
    out_bits = p.output_bits if final else p.partial_bits
    fresh = len(new) if p.pipeline_merge else 0
    machine.spend(
        groups, plan.a.columns[multiplied], scans, p.layers, out_bits, (fresh, len(nodes) - fresh), multiplied, back
    )
    kept.resize(out if keep else 0, refcheck=False)  # gives the rest back without a copy
    if values is not None:
        values.resize(out, refcheck=False)
    held = groups[:, 4 + p.layers] > 0
    return Stream(groups[held, 0], np.cumsum(groups[held, 4 + p.layers]), kept, values)


def _leaf_pieces(machine: _Machine, new: list[tuple[int, int]]) -> Pieces:
    """Return the rows of B of new leaves, each a (leaf, slot), in the order of the entries of A."""
    plan = machine.plan
    taken = [machine.order[machine.bounds[node] : machine.bounds[node + 1]] for node, _ in new]
    entries = np.concatenate([*taken, np.zeros(0, np.int64)])
    slots = np.repeat(np.array([slot for _, slot in new], np.int64), [part.size for part in taken])
    order = np.argsort(entries)
    leaf = pieces_of_leaves(plan.a, plan.b, entries[order], slots[order])
    if plan.params.pipeline_merge:
        return leaf
    # a product that was written before is nothing where the row of B is empty
    held = leaf.ends > leaf.begins
    return Pieces(*(column[held] for column in leaf))


def _partial_products(machine: _Machine, old: list[tuple[int, int]]) -> tuple[Stream, list[Pieces]]:
    """Take partial products, each a (node, slot), off the DRAM; return them laid end to end, and their pieces."""
    size = sum(machine.streams[node].columns.size for node, _ in old)
    columns, offset, parts = np.empty(size, np.int32), 0, []
    kind = (machine.plan.a.values[:0] * machine.plan.b.values[:0]).dtype
    values = np.empty(size, kind) if machine.with_values else None
    for node, slot in old:
        stream = machine.streams.pop(node)
        parts.append(pieces_of_stream(stream, slot, offset))
        within = slice(offset, offset + stream.columns.size)
        columns[within] = stream.columns
        if values is not None and stream.values is not None:
            values[within] = stream.values
        offset = within.stop
    rows = np.concatenate([*(part.rows for part in parts), np.zeros(0, np.int64)])
    return Stream(rows, rows, columns, values), parts


def _merge(
    plan: Plan, layers: int, block: Pieces, factors: np.ndarray, partial: Stream, columns: np.ndarray,
    values: np.ndarray, expected: int,
) -> None:  # fmt: skip
    """Fill columns, now in order, and values of a block; ModelError if the tree puts out another number."""
    out = values_kernel.merge_rows(
        *block[:5], factors, plan.b.columns, plan.b.values, partial.columns, partial.values, layers, columns, values
    )
    if out != expected:
        raise ModelError(f"the tree puts out {out} elements, counted were {expected}")


def _multiply_all(machine: _Machine) -> None:
    """Time an outer product that writes the products of every leaf to DRAM."""
    a, b = machine.plan.a, machine.plan.b
    uses = a.columns[machine.order]
    lengths = b.row_lengths[uses]
    groups = np.zeros((uses.size, 5), np.int64)
    groups[:, 1], groups[:, 3], groups[:, 4] = 1, lengths, lengths
    machine.spend(groups, uses, False, 0, machine.params.partial_bits, (len(machine.bounds) - 1, 0), machine.order)
    machine.products_at = machine.written_at
