"""What a round of SpArch asks of a DRAM device, and its time when the device answers.

A round depends on when its reads come, and those on when the round asks for them. Three steps, not until both agree
(they need not: see docs/decisions/0096-coupled-engines-ask-the-device.md): the device serves the round's runs without a
pause; the round is walked with what each row took there; the device serves the runs when that walk asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from accelsim.engines.sparch.plan import Plan
from accelsim.engines.sparch.stream import Stream
from accelsim.memory.runs import Runs, in_order

if TYPE_CHECKING:
    from accelsim.memory.device.door import Door


class Bus(NamedTuple):
    """Ticks of each row, int64: its reads and its writes on the bus, and from there to the end of the reads' data."""

    reads: np.ndarray
    writes: np.ndarray
    late: np.ndarray


class Back(NamedTuple):
    """A partial product that comes back: first bit, the rows that it holds, and where each ends, in bits."""

    first_bit: int
    rows: np.ndarray
    ends: np.ndarray


class Reads(NamedTuple):
    """Of a round: entries of A that are multiplied, rows of B that they use, elements of them that are read; and of
    each row the pointers of A."""

    entries: np.ndarray
    uses: np.ndarray
    read: np.ndarray
    pointers: np.ndarray


class Written(NamedTuple):
    """First bit and bits per row of what a round writes."""

    first_bit: int
    bits: np.ndarray


def back_of(
    homes: Mapping[int, int], streams: Mapping[int, Stream], old: list[tuple[int, int]], partial_bits: int
) -> tuple[Back, ...]:
    """Return the partial products of nodes, each a (node, slot)."""
    return tuple(Back(homes[node], streams[node].rows, streams[node].ends * partial_bits) for node, _ in old)


def products_back(
    plan: Plan, first_bit: int, order: np.ndarray, bounds: np.ndarray, new: list[tuple[int, int]]
) -> tuple[Back, ...]:
    """Return the products of leaves, each a (leaf, slot), that were all written before, leaf by leaf from a bit on."""
    bits = plan.b.row_lengths[plan.a.columns[order]] * plan.params.partial_bits
    ends = np.cumsum(bits)
    found = []
    for leaf, _ in new:
        mine = slice(bounds[leaf], bounds[leaf + 1])
        held = bits[mine] > 0
        begin = int(ends[bounds[leaf]] - bits[bounds[leaf]])
        found.append(Back(first_bit + begin, plan.a.rows[order[mine]][held], ends[mine][held] - begin))
    return tuple(found)


def runs_of(
    plan: Plan, door: Door, groups: np.ndarray, ends: np.ndarray, reads: Reads, back: tuple[Back, ...], written: Written
) -> tuple[Runs, np.ndarray]:
    """Return the runs of a round and of each the row whose reads it is of, or rows and the row whose writes.

    Of a row: pointers of A, entries of A (those that lie side by side in one run), of each entry two pointers of B and
    what is read of its row, from its beginning; then what comes back. A stream moves no transaction twice.
    """
    p, a, b = plan.params, plan.a, plan.b
    n, e, ptr = len(groups), p.element_bits, p.pointer_bits
    rows, whose = np.arange(n), np.repeat(np.arange(n), np.diff(ends))
    none = np.zeros(reads.entries.size, np.int64)
    head = door.room("pointers of A", (max(a.shape) + 1) * ptr)
    passed = np.cumsum(reads.pointers) * ptr
    entry_at, row_at = door.room("input", a.nnz * e), door.room("weight", b.nnz * e)
    pointer_at = door.room("pointers of B", (b.shape[0] + 1) * ptr)
    parts = [
        (door.stream(head, passed, 0), 3 * rows),
        (_joined(reads.entries, whose, entry_at, e), 3 * whose + 1),
        (Runs(pointer_at + reads.uses * ptr, none + 2 * ptr, none), 3 * whose + 2),
        (Runs(row_at + b.pointers[reads.uses] * e, reads.read * e, none), 3 * whose + 2),
    ]
    of = [rows, whose, whose, whose]
    for each in back:
        row = np.searchsorted(groups[:, 0], each.rows)
        parts.append((door.stream(each.first_bit, each.ends, 0), 3 * row + 2))
        of.append(row)
    parts.append((door.stream(written.first_bit, np.cumsum(written.bits), 1), 3 * (n + rows)))
    of.append(n + rows)
    order = np.argsort(np.concatenate([key for _, key in parts]), kind="stable")
    return in_order(parts), np.concatenate(of)[order]


def _joined(entries: np.ndarray, whose: np.ndarray, first_bit: int, bits: int) -> Runs:
    """Return the entries of A as runs: of several of a row that lie side by side, the first one has all bits."""
    begins = np.ones(entries.size, np.bool_)
    begins[1:] = (np.diff(entries) != 1) | (np.diff(whose) != 0)
    heads = np.flatnonzero(begins)
    size = np.zeros(entries.size, np.int64)
    size[heads] = np.diff(np.append(heads, entries.size)) * bits
    return Runs(first_bit + entries * bits, size, np.zeros(entries.size, np.int64))


def answered(
    door: Door, timed: Callable[[Bus, np.ndarray, np.ndarray], list[int]], bus: Bus, runs: tuple[Runs, np.ndarray],
    start: int, ticks: int,
) -> list[int]:  # fmt: skip
    """Return what ``timed`` finds of a round that starts at a core cycle.

    ``bus`` is that of the simple model, which gives the order of reads and writes.
    """
    asked, of = runs
    n = bus.reads.size
    order, when, place = np.zeros(2 * n, np.int64), np.zeros(2 * n, np.int64), np.empty(2 * n, np.int64)

    def serve(door: Door, earliest: np.ndarray) -> tuple[np.ndarray, int]:
        """Return when the last of each row's reads, and writes, had been taken, and when all is over."""
        place[order] = np.arange(2 * n)
        at = np.argsort(place[of], kind="stable")
        ends = door.serve(Runs(*(column[at] for column in asked)), start * ticks + earliest[of[at]], ticks)
        taken = np.zeros(2 * n, np.int64)
        np.maximum.at(taken, of[at], ends.taken - start * ticks)
        return np.maximum.accumulate(taken[order]), int(ends.over.max(initial=0)) - start * ticks

    timed(bus, order, when)
    taken, _ = serve(door.mark(), 0 * when)
    held = np.empty(2 * n, np.int64)
    held[order] = np.diff(taken, prepend=0)
    finish, memory, *rest, on_bus = timed(Bus(held[:n], held[n:], bus.late), order, when)
    _, over = serve(door, when)
    late = max(0, over - finish)
    return [finish + late, memory + late, *rest, on_bus]
