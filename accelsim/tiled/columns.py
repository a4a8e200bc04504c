"""Totals of many layers of a tiled machine: tilings in one kernel, then the engine's own formulas over arrays.

A layer is a row of integers, from which a view of it is made again where an engine asks for one. What a row cannot say
exactly is declined: the plain path then speaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Event, Flow
from accelsim.config.schema import MappingSpec
from accelsim.engine import Chosen, Machine, Many
from accelsim.errors import MappingError
from accelsim.mapping import search
from accelsim.mapping.choose import build
from accelsim.mapping.loopnest import FIELDS, MOST, ORDERS, ROLES, Widths, layer_row
from accelsim.mapping.tile_forms import COLUMNS
from accelsim.tiled.base import Stack, TiledBase
from accelsim.tiled.totals import tile_sizes
from accelsim.units import INT64_MAX, ceil_div
from accelsim.workload.layers import Home, LayerView, Tensor
from accelsim.workload.shapes import Conv2d


def encode(view: LayerView, effective_macs: int) -> tuple[int, ...] | None:
    """Return a layer in the order of `nest_kernel.LAYER`, or None for a layer with a tensor of unknown width."""
    conv, tensors = view.conv, (view.input, view.weight, view.output)
    if any(tensor.bits is None for tensor in tensors):
        return None
    crosses = [tensor.home == "dram" for tensor in tensors]
    at_home = [0 if away else t.elements * t.width for t, away in zip(tensors, crosses, strict=True)]
    # every count is at most one per element that the smallest tiles would move, or per multiplication
    most = conv.n * conv.c * (conv.k // conv.groups)
    for outputs, taps, stride, dilation in (
        (conv.e, conv.r, conv.stride[0], conv.dilation[0]), (conv.f, conv.s, conv.stride[1], conv.dilation[1])
    ):  # fmt: skip
        most *= outputs * ((taps - 1) * dilation + 1 + stride)
    widths, kept = [t.width for t in tensors], [min(bits, MOST) for bits in at_home]
    return layer_row(conv, widths, crosses, kept, effective_macs, min(most, MOST))


@lru_cache(maxsize=4096)
def decoded(row: bytes) -> tuple[LayerView, int]:
    """Return a view of a layer that `encode` gave as a row of int64, and its multiplications: of its kind, zeros and
    names nothing is left."""
    n, c, k, h, w, r, s, groups, *rest = np.frombuffer(row, dtype=np.int64).tolist()
    stride, start, dilation, (e, f) = (tuple(rest[i : i + 2]) for i in (0, 2, 4, 6))
    # as much behind the image as the last output needs
    end = [
        max(0, (outputs - 1) * step + (taps - 1) * gap + 1 - size - before)
        for outputs, step, taps, gap, size, before in zip((e, f), stride, (r, s), dilation, (h, w), start, strict=True)
    ]
    conv = Conv2d(n, c, k, h, w, r, s, groups=groups, stride=stride, pad=(*start, *end), dilation=dilation)
    shapes = ((n, c, h, w), (k, c // groups, r, s), (n, k, e, f))
    homes: list[Home] = ["dram" if crosses else "chip" for crosses in rest[11:14]]
    tensors = [
        Tensor(name, shape, bits, home=home)
        for name, shape, bits, home in zip(ROLES, shapes, rest[8:11], homes, strict=True)
    ]
    return LayerView("layer", conv, (tensors[0],), (tensors[1],), (tensors[2],)), conv.macs


CROSSING = (
    Flow("dram", "input", "read"), Flow("dram", "weight", "read"), Flow("dram", "psum", "write"),
    Flow("dram", "psum", "read"),
)  # fmt: skip
"""What `columns_kernel.CROSSING` are."""


def totals(
    engine: TiledBase[Any, Any], layers: np.ndarray, params: Any, machine: Machine, mapping: MappingSpec
) -> Many | None:
    """Return the totals of layers that `encode` described; None where a mapping is not chosen from the whole list."""
    chosen = _chosen(engine, layers, params, machine, mapping)
    return None if chosen is None else chosen.many()


def mappings(
    engine: TiledBase[Any, Any], layers: np.ndarray, params: Any, machine: Machine, mapping: MappingSpec
) -> Chosen | None:
    """Return the mappings of layers that `encode` described; None where one is not chosen so."""
    from accelsim.tiled.columns_kernel import KNOWN, VARIANT

    chosen = _chosen(engine, layers, params, machine, mapping)
    if chosen is None or not chosen.facts[:, KNOWN].all():
        return None
    tilings, variants = chosen.tilings, chosen.facts[:, VARIANT]

    def one(i: int) -> Any:
        asked, tiling = chosen.asked[i], tilings[i]
        row = dict(zip(FIELDS, tiling[:6, np.newaxis], strict=True)) | {"order": np.array([ORDERS[tiling[6]]])}
        row |= {name: np.array([value]) for name, value in asked.fields[variants[i]].items()}
        completed = engine.completed(asked.view, params, row)
        return build(engine.mapping_schema, {name: column[0].item() for name, column in completed.items()})

    return Chosen(tuple(map(tuple, np.column_stack([tilings, variants]).tolist())), one)


def _chosen(
    engine: TiledBase[Any, Any], layers: np.ndarray, params: Any, machine: Machine, mapping: MappingSpec
) -> _Columns | None:
    """Return layers with their tilings; None where a mapping is not chosen from the whole list."""
    from accelsim.mapping import bound_kernel, search_kernel
    from accelsim.mapping import nest_kernel as nest
    from accelsim.tiled import columns_kernel as kernel

    objective = {"cycles": search_kernel.CYCLES, "dram": search_kernel.DRAM}.get(mapping.objective)
    rate, latency, burst = machine.dram
    if objective is None or mapping.fixed or max(rate.numerator, rate.denominator) > MOST:
        return None
    growth = engine.growth(params)
    most = MOST // max((64 + burst) * ceil_div(rate.denominator, rate.numerator), latency + 1, growth)
    small = layers[:, nest.ACCESSES] <= most
    asked, numbers = _all_asked(engine, layers.tobytes(), params, small.tobytes())
    facts = np.zeros((len(layers), len(kernel.FACTS)), dtype=np.int64)
    tilings = np.ones((len(layers), 7), dtype=np.int64)
    kinds = np.empty((len(layers) * bound_kernel.MOST_KINDS, len(bound_kernel.TILE)), dtype=np.int64)
    if len(numbers.forms):
        kernel.evaluate(*numbers, search.bus_row(machine.dram), objective, tilings, facts, kinds)
    return _Columns(engine, params, numbers.layers, asked, tilings, facts, kinds)


class _Asked(NamedTuple):
    """What an engine says of a layer; no forms if it is declined."""

    view: LayerView
    macs: int
    widths: Widths
    limits: tuple[int, ...] = (0, 0, 0)
    k_units: tuple[int, ...] = ()
    c_unit: int = 0
    fields: tuple[Any, ...] = ()
    forms: tuple[tuple[int, ...], ...] = ()


class _Numbers(NamedTuple):
    """What an engine says of layers, as `columns_kernel.evaluate` takes it."""

    layers: np.ndarray
    forms: np.ndarray
    first: np.ndarray
    limits: np.ndarray
    psums: np.ndarray
    k_units: np.ndarray
    c_units: np.ndarray


@lru_cache(maxsize=128)
def _all_asked(
    engine: TiledBase[Any, Any], layers: bytes, params: Any, small: bytes
) -> tuple[tuple[_Asked, ...], _Numbers]:
    """Return what an engine says of layers. Nothing of it depends on DRAM, but for which of them are ``small`` enough.

    Both are `bytes` of arrays: int64, what `encode` returned, and bool.
    """
    from accelsim.mapping import nest_kernel as nest

    growth, rows = engine.growth(params), np.frombuffer(layers, dtype=np.int64).reshape(len(small), -1).copy()
    asked = tuple(_ask(engine, row, params, growth, bool(fits)) for row, fits in zip(rows, small, strict=True))
    for row, one in zip(rows, asked, strict=True):
        row[nest.INPUT_W : nest.OUTPUT_W + 1] = one.widths[:3]
    first = np.cumsum([0, *(len(one.forms) for one in asked)])
    said = zip(*((one.limits, one.widths.psum, one.k_units, one.c_unit) for one in asked), strict=True)
    forms = np.concatenate([_rows(one.forms) for one in asked])
    return asked, _Numbers(rows, forms, first, *(np.array(column, dtype=np.int64) for column in said))


@lru_cache(maxsize=1024)
def _rows(forms: tuple[tuple[int, ...], ...]) -> np.ndarray:
    rows = np.empty((len(forms), COLUMNS), dtype=np.int64)
    for i, form in enumerate(forms):
        rows[i] = search.form_row(form)
    return rows


def _ask(engine: TiledBase[Any, Any], row: np.ndarray, params: Any, growth: int, small: bool) -> _Asked:
    view, macs = decoded(row.tobytes())
    widths, (k_units, c_unit) = engine.widths(view, params), engine.grain(view, params)
    asked = _Asked(view, macs, widths, k_units=tuple(sorted(k_units)), c_unit=c_unit)
    if not small or macs * growth > INT64_MAX:
        return asked
    try:
        limits = engine.limits(view, params)
    except MappingError:
        return asked
    variants = engine.variants(view, params)
    return asked._replace(
        limits=tuple(limits[role] for role in ROLES),
        fields=tuple(variant.fields for variant in variants), forms=tuple(variant.form for variant in variants),
    )  # fmt: skip


class _Columns(NamedTuple):
    """Measured layers on their way to totals."""

    engine: TiledBase[Any, Any]
    params: Any
    rows: np.ndarray
    asked: tuple[_Asked, ...]
    tilings: np.ndarray
    facts: np.ndarray
    kinds: np.ndarray

    def many(self) -> Many:
        """Return a row of totals for each layer."""
        from accelsim.tiled.columns_kernel import CYCLES, KNOWN, READ, WRITE

        parts = [(index, *self._part(unit, index)) for unit, index in self._alike()]
        causes = tuple(dict.fromkeys(cause for _, account, _ in parts for cause in account))
        events = tuple(dict.fromkeys(event for _, _, found in parts for event in found))
        table = np.zeros((len(self.rows), 5 + len(causes) + len(events)), dtype=np.int64)
        table[:, :4] = self.facts[:, [KNOWN, CYCLES, READ, WRITE]]
        units = self.engine.units(self.params)[self.engine.primary]
        for index, account, found in parts:
            table[index, 4] = [self.asked[i].macs for i in index]
            for at, cause in enumerate(causes, 5):
                table[index, at] = account.get(cause, 0)
            for at, event in enumerate(events, 5 + len(causes)):
                table[index, at] = found.get(event, 0)
            own = table[index, 5 : 5 + len(causes)]
            closes = (own.min(axis=1) >= 0) & (own.sum(axis=1) == units * table[index, 1])
            table[index, 0] &= closes  # if not, the plain path says so
        return Many(table, causes, events)

    def _alike(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Yield units that work alike, their numbers in arrays, and the layers that they run."""
        from accelsim.tiled.columns_kernel import KNOWN, VARIANT

        found: dict[Any, list[tuple[int, Any]]] = {}
        for i, one in enumerate(self.asked):
            if not self.facts[i, KNOWN]:
                continue
            unit = self.engine.unit(one.view, self.params, one.fields[self.facts[i, VARIANT]])
            if self.engine.in_columns(unit):
                found.setdefault(self.engine.alike(unit), []).append((i, unit))
            else:
                self.facts[i, KNOWN] = 0
        for members in found.values():
            index = np.array([i for i, _ in members])
            yield stacked([unit for _, unit in members]), index

    def _part(self, unit: Any, index: np.ndarray) -> tuple[dict[str, Any], dict[Event, Any]]:
        """Return account and events of some layers."""
        from accelsim.mapping import nest_kernel as nest
        from accelsim.tiled import columns_kernel as kernel

        engine, params, rows, facts = self.engine, self.params, self.rows[index], self.facts[index]
        n, k, e, f = rows[:, [nest.N, nest.K, nest.E, nest.F]].T
        macs = n * k * e * f * rows[:, nest.CG] * rows[:, nest.R] * rows[:, nest.S]
        psums = np.array([self.asked[i].widths.psum for i in index])
        widths: Any = Widths(*rows[:, nest.INPUT_W : nest.OUTPUT_W + 1].T, psums)  # type: ignore[call-arg]
        cut = Stack(SimpleNamespace(n=n, k=k, e=e, f=f, macs=macs), widths)
        taps = rows[:, nest.R] * rows[:, nest.S]
        unit = engine.settled(unit, cut.widths, taps, *tile_sizes(*self.tilings[index, :6].T))
        total = self._total(unit, taps, index)
        dram = {flow: facts[:, column] for flow, column in zip(CROSSING, kernel.CROSSING, strict=True)}
        account = engine.account(unit, total, params, rows[:, nest.EFFECTIVE])
        stalls = (facts[:, kernel.CYCLES] - facts[:, kernel.COMPUTE]) * engine.units(params)[engine.primary]
        found = dict(engine.events(unit, total, params, macs))
        for flow, bits in engine.on_chip(unit, total, cut, dram).items():
            event = Event(flow.boundary, flow.direction)
            found[event] = found.get(event, 0) + bits
        return account | {"memory": stalls}, found

    def _total(self, unit: Any, taps: np.ndarray, index: np.ndarray) -> Any:
        """Return the counts of some layers: those of each kind of tile, times how often it occurs, added up."""
        from accelsim.tiled.columns_kernel import KINDS

        ends = np.cumsum(self.facts[:, KINDS])[index]
        number = self.facts[index, KINDS]
        starts = np.concatenate(([0], np.cumsum(number)[:-1]))
        owner = np.repeat(np.arange(len(index)), number)
        places = np.arange(number.sum()) + (ends - number - starts)[owner]
        times, *sizes = self.kinds[places].T
        each = type(unit)(*(value[owner] if isinstance(value, np.ndarray) else value for value in unit))
        counts = self.engine.cost(each, taps[owner], *sizes)
        return type(counts)(*(np.add.reduceat(times * count, starts) for count in counts))


def stacked(units: list[Any]) -> Any:
    """Return units as one: a number that all share as it is, others as an array."""
    columns = zip(*units, strict=True)
    return type(units[0])(*(column[0] if len(set(column)) == 1 else np.array(column) for column in columns))
