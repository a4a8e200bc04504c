"""Totals of many layers: the best cut of each in one kernel, then the formulas of `program` and `tiles` over arrays.

A layer is a row of integers. What a row cannot say exactly is declined: the plain path then speaks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Event
from accelsim.components import Component
from accelsim.engine import Chosen, Many
from accelsim.engines.vector.program import Ops, Pace, Program, Tree, account, events
from accelsim.engines.vector.tiles import Cut, Facts, listed, work
from accelsim.errors import PriceError
from accelsim.mapping.choose import PriceOf
from accelsim.memory.dram import DramModel
from accelsim.units import ceil_div
from accelsim.workload.layers import LayerView

MOST = 2**59
"""No count may come near 64 bits: what could grow beyond this is left to the plain path."""
WIDTHS = 4
"""Distinct widths of operands in a row."""


class Unit(NamedTuple):
    """The lanes and their scratchpad."""

    lanes: int
    lane_bits: int
    buffer_bits: int
    special: int
    latency: int


class Row(NamedTuple):
    """A layer, whatever it runs on: `tiles.Work` in numbers, or, over many layers, in arrays.

    Attributes
    ----------
    height, r, stride, pad : int
        Input rows of an image, and the window over them.
    input_streamed, weight_streamed, input_stays, weight_stays : int
        Bits of an element of operands that are streamed, and bits of those that stay.
    """

    images: int
    rows: int
    channels: int
    width: int
    in_width: int
    height: int
    r: int
    stride: int
    pad: int
    length: int
    window: int
    input_streamed: int
    weight_streamed: int
    input_stays: int
    weight_stays: int


OPERATIONS, FACTS, STREAMED, STAYS = (len(Row._fields) + at for at in (0, 16, 24, 24 + 2 * WIDTHS))
"""Where a row goes on: operations per element, tap, step of a tree and row; `Facts`, with a scratch of 1 bit for the
width of a lane; widths of streamed operands, and bits of those that stay, each with how many of them there are."""


def encode(view: LayerView) -> tuple[int, ...] | None:
    """Return a layer as a row, or None if its operands have too many widths or its counts are too large."""
    w = work(view, 1)
    streamed = Counter(s.bits for s in w.streams if not s.stays)
    stays = Counter(s.bits * s.elements for s in w.streams if s.stays)
    if max(len(streamed), len(stays)) > WIDTHS:
        return None
    each, whole = (
        [sum(s.bits * (s.elements if stay else 1) for s in w.streams if s.stays == stay and s.tensor == kind)
         for kind in ("input", "weight")]
        for stay in (False, True)
    )  # fmt: skip
    p, pool = w.program, w.pool
    windows = (pool.h, pool.r, pool.stride[0], pool.pad[0]) if pool else (w.rows, 1, 1, 0)
    row = (
        *Row(w.images, w.rows, w.channels, w.width, w.in_width, *windows, p.length, p.window, *each, *whole),
        *p.per_element, *p.per_tap, *p.trees, *p.scalars, *w.facts(view.shape), *_pairs(streamed), *_pairs(stays),
    )  # fmt: skip
    return row if max(row) < MOST else None


def _pairs(numbers: Counter[int]) -> Iterable[int]:
    found = [value for pair in sorted(numbers.items()) for value in pair]
    return [*found, *(0,) * (2 * WIDTHS - len(found))]


def totals(
    layers: np.ndarray, unit: Unit, dram: DramModel, objective: str, price: PriceOf, leak_pj_per_cycle: float,
    components: tuple[Component, ...],
) -> Many | None:  # fmt: skip
    """Return the totals of layers that `encode` described; None without a price, or if the rate of DRAM is too fine."""
    best = _best(layers, unit, dram, objective, price, leak_pj_per_cycle)
    if best is None:
        return None
    row, moved = best.row, dict(best.moved)
    columns: list[Any] = list(best.found.T)
    known, cycles, read, write, fetched, groups, tiles, computed, _ = columns
    moved["glb", "write"] += fetched * row.in_width * (row.input_streamed + row.weight_streamed)
    counts = best.cost(groups, tiles)
    causes: dict[str, Any] = account(counts, tiles * unit.latency * unit.lanes)
    causes["memory"] = (cycles - counts.cycles) * unit.lanes
    actions = {component.name: component.actions for component in components}
    counted: dict[Event, Any] = {}
    for (name, action), count in moved.items():
        event = Event(name, action if action in actions[name] else "transfer")
        counted[event] = counted.get(event, 0) + count
    known &= computed == counts.cycles  # if not, the plain path says so
    columns = [known, cycles, read, write, 0, *causes.values(), *counted.values()]
    table = np.empty((len(layers), len(columns)), dtype=np.int64)
    for place, column in enumerate(columns):
        table[:, place] = column
    return Many(table, tuple(causes), tuple(counted))


def mappings(layers: np.ndarray, unit: Unit, dram: DramModel, objective: str) -> Chosen | None:
    """Return the cuts of layers that `encode` described; None under a priced objective, or where one is not known."""
    from accelsim.engines.vector import columnar_kernel as kernel

    best = None if objective in ("energy", "edp") else _best(layers, unit, dram, objective, lambda *_: 0.0, 0.0)
    if best is None or not best.found[:, kernel.KNOWN].all():
        return None
    keys = tuple(map(tuple, best.cuts[best.found[:, kernel.CUT]].tolist()))
    return Chosen(keys, lambda i: Cut(rows=keys[i][0], channels=keys[i][1]))


class _Best(NamedTuple):
    """The best cut of each layer.

    Attributes
    ----------
    row : Row
        The layers, in arrays.
    cost : callable
        Groups of lanes and tiles -> `Counts`, in arrays.
    moved : dict
        (component, action) -> what is priced beside DRAM, but for what tiles fetch.
    cuts : ndarray of int64, shape (cuts of all layers, 2)
    found : ndarray of int64, shape (layers, `columnar_kernel.FACTS`)
    """

    row: Any
    cost: Callable[[Any, Any], Any]
    moved: dict[tuple[str, str], Any]
    cuts: np.ndarray
    found: np.ndarray


def _best(
    layers: np.ndarray, unit: Unit, dram: DramModel, objective: str, price: PriceOf, leak_pj_per_cycle: float
) -> _Best | None:
    from accelsim.engines.vector import columnar_kernel as kernel

    rate, latency, burst = dram
    if max(rate.numerator, rate.denominator) > MOST or objective not in kernel.OBJECTIVES:
        return None
    row: Any = Row._make(layers.T[: len(Row._fields)])
    ops: list[Any] = [Ops._make(layers.T[at : at + 4]) for at in range(OPERATIONS, FACTS, 4)]
    facts: Any = Facts._make(layers.T[FACTS:STREAMED])
    facts = facts._replace(scratch_bits=facts.scratch_bits * unit.lane_bits)
    lengths, owner = np.unique(row.length, return_inverse=True)
    tree: Any = Tree._make(np.array([Tree.of(unit.lanes, length) for length in lengths.tolist()])[owner].T)
    program = Program((), ops[0], False, row.window, None, ops[1], row.length, ops[2], ops[3])
    pace: Any = Pace.of(program, tree, unit.lanes, unit.special, unit.latency)

    def cost(groups: Any, tiles: Any) -> Any:
        return pace.cost(facts.elements, facts.taps, facts.rows, groups, tiles)

    whatever_cut = cost(0, 0)
    moved: dict[tuple[str, str], Any] = {}
    came = (row.input_stays, row.weight_stays)
    for flow, bits in facts.traffic(tree, unit.lane_bits, sum(whatever_cut.ops), came).items():
        moved[flow.boundary, flow.direction] = moved.get((flow.boundary, flow.direction), 0) + bits
    moved |= {(event.component, event.action): count for event, count in events(whatever_cut).items()}
    rates = np.zeros(len(moved) + 3)
    if objective in ("energy", "edp"):
        try:
            rates[:] = [*(price(*key) for key in (("dram", "read"), ("dram", "write"), *moved)), leak_pj_per_cycle]
        except PriceError:
            return None
    every = [
        listed(*sizes, unit.lanes)
        for sizes in zip(*(x.tolist() for x in (row.rows, row.channels, row.width, row.length)), strict=True)
    ]
    small = _most(layers, row, facts, pace, unit, dram) < MOST
    tried = [mine if known else mine[:0] for mine, known in zip(every, small, strict=True)]
    first = np.cumsum([0, *map(len, tried)])
    found = np.empty((len(layers), len(kernel.FACTS)), dtype=np.int64)
    cuts = np.concatenate(tried)
    kernel.evaluate(
        _rows(layers, row, facts, pace, unit, burst), cuts, first, unit.lanes, unit.latency,
        np.array([rate.numerator, rate.denominator, latency, burst], dtype=np.int64),
        kernel.OBJECTIVES.index(objective), np.array(list(moved.values())).T.copy(), rates, found,
    )  # fmt: skip
    return _Best(row, cost, moved, cuts, found)


def _most(layers: np.ndarray, row: Any, facts: Any, pace: Any, unit: Unit, dram: DramModel) -> np.ndarray:
    """Return more than any count of a layer, however it is cut, as floats, which do not overflow."""
    p, slow = pace.program, ceil_div(dram.bits_per_cycle.denominator, dram.bits_per_cycle.numerator)
    operands = layers[:, STREAMED + 1 :: 2].sum(axis=1)
    pixels = 1.0 * row.images * row.channels * row.rows * row.r * row.in_width
    bits = pixels * (row.input_streamed + row.weight_streamed + operands * dram.burst_bits)
    bits += 1.0 * facts.elements * (facts.output_bits + dram.burst_bits)
    bits += 1.0 * row.input_stays + row.weight_stays + operands * dram.burst_bits
    each = p.per_element.plus(p.per_tap.times(p.window)).plus(p.trees).plus(p.scalars).cycles(unit.special)
    work = 1.0 * facts.elements * (32 * each + unit.latency) * unit.lanes * unit.lane_bits
    tiles = 1.0 * row.images * row.channels * row.rows
    most: np.ndarray = work + unit.lanes * (bits * slow + tiles * (3 + dram.latency_cycles))
    return most


def _rows(layers: np.ndarray, row: Any, facts: Any, pace: Any, unit: Unit, burst: int) -> np.ndarray:
    """Return layers as `columnar_kernel` takes them."""
    from accelsim.engines.vector import columnar_kernel as kernel
    from accelsim.mapping import nest_kernel as nest

    stays: Any = layers[:, STAYS:].reshape(len(layers), WIDTHS, 2)
    windows = {
        nest.N: row.images, nest.C: row.channels, nest.E: row.rows, nest.H: row.height, nest.W: row.in_width,
        nest.R: row.r, nest.STRIDE_H: row.stride, nest.PAD_H: row.pad, nest.PAD_W: 0,
    }  # fmt: skip
    own = {
        kernel.WIDTH: row.width, kernel.LENGTH: row.length, kernel.ROW_GROUPS: ceil_div(row.length, unit.lanes),
        kernel.GROUP_CYCLES: pace.element, kernel.ROW_CYCLES: pace.row,
        kernel.STREAMED: row.input_streamed + row.weight_streamed, kernel.KEPT: facts.output_bits + facts.scratch_bits,
        kernel.OUTPUT: facts.output_bits, kernel.STAY: (ceil_div(stays[..., 0], burst) * stays[..., 1]).sum(1) * burst,
        kernel.HALF: (unit.buffer_bits - row.input_stays - row.weight_stays) // 2,
    }  # fmt: skip
    rows = np.ones((len(layers), len(kernel.LAYER)), dtype=np.int64)
    for place, column in (windows | own).items():
        rows[:, place] = column
    rows[:, kernel.OPERANDS :] = layers[:, STREAMED:STAYS]
    return rows
