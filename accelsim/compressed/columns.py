"""Layers as columns: the numbers of each in arrays, under the names that a view, its convolution and tensors have.

So formulas of a layer's counts take many layers as they take one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from accelsim.activity import Event, Flow
from accelsim.engine import Counted, Machine
from accelsim.memory.dram import DramModel
from accelsim.operands.handle import Operands
from accelsim.workload.layers import LayerView, Tensor

MOST = 2.0**61
"""No count may come near 64 bits."""


class Tensors(NamedTuple):
    """A tensor of each layer; ``chip`` says whether it is at home there."""

    elements: np.ndarray
    width: np.ndarray
    chip: np.ndarray


class Convs(NamedTuple):
    """`Conv2d` of each layer."""

    n: np.ndarray
    c: np.ndarray
    k: np.ndarray
    h: np.ndarray
    w: np.ndarray
    r: np.ndarray
    s: np.ndarray
    e: np.ndarray
    f: np.ndarray
    groups: np.ndarray
    macs: np.ndarray


class Layers(NamedTuple):
    """`LayerView` of each layer, and its multiplications without a zero."""

    conv: Convs
    input: Tensors
    weight: Tensors
    output: Tensors
    effective_macs: np.ndarray


def stacked(layers: Sequence[tuple[LayerView, Operands]]) -> Layers:
    """Return layers as columns."""
    convs = [[getattr(view.conv, name) for name in Convs._fields] for view, _ in layers]

    def tensors(each: Sequence[Tensor]) -> Tensors:
        elements, width = _columns([(t.elements, t.width) for t in each])
        return Tensors(elements, width, np.array([t.home == "chip" for t in each]))

    return Layers(
        Convs(*_columns(convs)),
        tensors([view.input for view, _ in layers]),
        tensors([view.weight for view, _ in layers]),
        tensors([view.output for view, _ in layers]),
        np.array([operands.effective_macs for _, operands in layers]),
    )


def planned(layers: Layers, params: Any, machine: Machine, **more: Any) -> SimpleNamespace:
    """Return what a `LayerPlan` has, of many layers, and ``more`` that formulas of an engine ask for."""
    return SimpleNamespace(
        view=layers, conv=layers.conv, params=params, machine=machine, effective_macs=layers.effective_macs, **more
    )


def _columns(rows: Sequence[Sequence[int]]) -> list[np.ndarray]:
    return list(np.array(rows, dtype=np.int64).T.copy())


def smaller(a: Any, b: Any) -> Any:
    """Return the smaller of two numbers, or of each two of two columns."""
    return np.minimum(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else min(a, b)


Column: TypeAlias = Any
"""A number of each layer or step, ndarray of int64 or bool; the formulas of an engine are written for one."""


class Steps(NamedTuple):
    """Steps of layers one behind the other: where those of each layer begin, of each step its layer and its place."""

    first: np.ndarray
    owner: np.ndarray
    place: np.ndarray

    @classmethod
    def of(cls, number: Column) -> Steps:
        """Return as many steps of each layer."""
        first = np.concatenate(([0], np.cumsum(number)))
        owner = np.repeat(np.arange(len(number)), number)
        return cls(first, owner, np.arange(first[-1]) - first[owner])


def on_bus(bits: Column, dram: DramModel) -> Column:
    """Return `DramModel.bus_bits` of transfers of one run."""
    return -(-bits // dram.burst_bits) * dram.burst_bits


def pieces_on_bus(whole: Any, place: Column, pieces: Column, dram: DramModel) -> Column:
    """Return the bits on the bus of ``whole.piece(place, pieces)``; ``whole`` is a `sizes.Size` of each step."""
    values, index = whole.piece(place, pieces)
    return on_bus(values, dram) + on_bus(index, dram)


def in_rows(loads: Column, compute: Column, stores: Column) -> np.ndarray:
    """Return steps as `timeline.run_each` takes them; transfers in bits on the bus."""
    from accelsim.memory import clock_kernel as kernel

    rows = np.zeros((len(compute), kernel.COLUMNS), dtype=np.int64)
    for column, values in ((kernel.LOAD, loads), (kernel.COMPUTED, compute), (kernel.STORE, stores)):
        rows[:, column] = values
    return rows


def told(
    layers: Layers, cycles: Column, performed: Column, account: Mapping[str, Column], events: Mapping[Event, Column],
    traffic: Mapping[Flow, Column], rows: np.ndarray, first: np.ndarray,
) -> Counted:  # fmt: skip
    """Return counts as a table; ``rows`` and ``first`` are the schedules."""
    from accelsim.memory import clock_kernel as kernel

    found = dict(events)
    for flow, bits in traffic.items():
        event = Event(flow.boundary, flow.direction)
        found[event] = found.get(event, 0) + bits
    moved = np.add.reduceat(rows, first[:-1])
    columns = (
        1, cycles, moved[:, kernel.LOAD], moved[:, kernel.STORE], performed, *account.values(), *found.values()
    )  # fmt: skip
    table = np.empty((len(layers.effective_macs), len(columns)), dtype=np.int64)
    for place, column in enumerate(columns):
        table[:, place] = column
    return Counted(table, tuple(account), tuple(found), rows, first)


def small(layers: Layers, growth: int, dram: DramModel) -> np.ndarray:
    """Return which layers have no count near 64 bits: a multiplication adds at most ``growth``, and two bursts."""
    return layers.conv.macs * float(growth + 2 * dram.burst_bits) < MOST
