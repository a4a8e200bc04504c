"""What OuterSPACE asks of a DRAM device, in the order of its columns and of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from accelsim.engines.outerspace.plan import Plan
from accelsim.memory.runs import Runs, in_order
from accelsim.units import KIB_BITS

if TYPE_CHECKING:
    from accelsim.memory.device.door import Door


def asked(plan: Plan, door: Door, sizes: np.ndarray, multiply_cycles: int) -> tuple[int, int]:
    """Return the cycles in which a DRAM device moves what each phase does; ``sizes`` are the rows of C.

    Chunks lie one behind the other in the order in which the multiply phase makes them, each from a burst on; the merge
    phase finds them there. Phases follow each other: the second one begins when elements and DRAM are done with the
    first.
    """
    made = _chunks(plan)
    first = int(door.serve(_multiply(plan, door, made), 0).over.max(initial=0))
    begin = max(first, multiply_cycles)
    second = int(door.serve(_merge(plan, door, made, sizes), begin).over.max(initial=begin))
    return first, second - begin


def _chunks(plan: Plan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each entry of A by columns the column, the bits of its chunk, and those of whole bursts before it."""
    by_columns = plan.columns_of_a
    column = np.repeat(np.arange(by_columns.shape[0]), by_columns.row_lengths)
    bits = plan.b.row_lengths[column] * plan.params.element_bits
    whole = -(-bits // plan.burst_bits) * plan.burst_bits
    return column, bits, np.cumsum(whole) - whole


def _multiply(plan: Plan, door: Door, made: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Runs:
    """Return per column of A: pointers, its entries, the row of B as often as it is fetched, its chunks."""
    p, b, (column, bits, before) = plan.params, plan.b, made
    e, ptr, entries = p.element_bits, p.pointer_bits, plan.columns_of_a.row_lengths
    k = entries.size
    keys = 4 * np.arange(k)
    fits = p.cache_kib * KIB_BITS // e
    fetches = np.where(b.row_lengths <= fits, 1, -(-entries // p.tile_pes))
    fetches = np.where((entries > 0) & (b.row_lengths > 0), fetches, 0)
    whose = np.repeat(np.arange(k), fetches)
    pointers, ends = (k + 1) * ptr, np.arange(2, k + 2) * ptr
    none = np.zeros(k, np.int64)
    starts = plan.columns_of_a.pointers[:-1] * e
    rows = Runs(
        door.room("weight", b.nnz * e) + b.pointers[whose] * e, b.row_lengths[whose] * e, np.zeros(whose.size, np.int64)
    )
    chunks = Runs(door.room("psum", _size(plan, made)) + before, bits, np.ones(bits.size, np.int64))
    return in_order([
        (door.stream(door.room("pointers of A", pointers), ends, 0), keys),
        (door.stream(door.room("pointers of B", pointers), ends, 0), keys),
        (Runs(door.room("input", plan.a.nnz * e) + starts, entries * e, none), keys + 1),
        (rows, 4 * whose + 2),
        (chunks, 4 * column + 3),
    ])  # fmt: skip


def _merge(plan: Plan, door: Door, made: tuple[np.ndarray, np.ndarray, np.ndarray], sizes: np.ndarray) -> Runs:
    """Return per row of C: its pointer, the chunks of its list, what further passes write and read, the row."""
    p, a, (_, bits, before) = plan.params, plan.a, made
    e, ptr, m = p.element_bits, p.pointer_bits, plan.a.shape[0]
    rows = np.repeat(np.arange(m), a.row_lengths)
    by_columns = np.argsort(a.columns, kind="stable")
    place = np.empty(a.nnz, np.int64)
    place[by_columns] = np.arange(a.nnz)  # of each entry by rows, where it stands by columns
    elements = np.zeros(m, np.int64)
    np.add.at(elements, rows, bits[place] // e)
    lists = np.zeros(m, np.int64)
    np.add.at(lists, rows, (bits[place] > 0).astype(np.int64))
    more = np.zeros(m, np.int64)
    while (long := lists > p.scratchpad_elements).any():
        more += long
        lists = np.where(long, -(-lists // p.scratchpad_elements), lists)
    spilled = np.repeat(np.arange(m), 2 * more)
    write = (np.arange(spilled.size) - np.repeat(np.cumsum(2 * more) - 2 * more, 2 * more) + 1) % 2
    whole = -(-elements * e // plan.burst_bits) * plan.burst_bits
    begun = np.cumsum(whole) - whole
    spill = door.room("spilled", int(whole.sum())) if spilled.size else 0
    out = -(-sizes * e // plan.burst_bits) * plan.burst_bits
    keys, ends = 4 * np.arange(m), np.arange(1, m + 1) * ptr
    psum = door.room("psum", _size(plan, made))
    return in_order([
        (door.stream(door.room("lists", m * ptr), ends, 0), keys),
        (Runs(psum + before[place], bits[place], np.zeros(a.nnz, np.int64)), 4 * rows),
        (Runs(spill + begun[spilled], elements[spilled] * e, write), 4 * spilled + 1),
        (Runs(door.room("output", int(out.sum())) + np.cumsum(out) - out, sizes * e, np.ones(m, np.int64)), keys + 2),
        (door.stream(door.room("pointers of C", (2 * m + 1) * ptr), 2 * ends + ptr, 1), keys + 2),
    ])  # fmt: skip


def _size(plan: Plan, made: tuple[np.ndarray, np.ndarray, np.ndarray]) -> int:
    """Return the bits of all chunks in whole bursts."""
    _, bits, before = made
    return int(before[-1] + bits[-1] + plan.burst_bits) if bits.size else 0
