"""The mapping of a tiled nest: what an engine tells of its machine, and the best tiling, found by `search_kernel`.

The list does not depend on bandwidth; a larger buffer only adds to it. Under ``cycles`` and ``dram`` the choice is the
best of the whole list by the timeline, which is exact: what is not timed has a bound that is worse.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from accelsim.errors import MappingError
from accelsim.mapping.choose import Bounds, Candidates, Choice
from accelsim.mapping.loopnest import FIELDS, MOST, ORDERS, ROLES, LoopNest, Tiling, Widths, check_counts, layer_row
from accelsim.mapping.tile_forms import COLUMNS
from accelsim.memory.dram import DramModel
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.shapes import Conv2d


class Variant(NamedTuple):
    """What a mapping says beside its tiling, and how long tiles then compute: a row of `tile_kernel`."""

    fields: Mapping[str, Any]
    form: tuple[int, ...]


class TiledNest(NamedTuple):
    """A layer on a machine that tiles it.

    Attributes
    ----------
    limits : mapping
        ``input``, ``weight``, ``output`` -> bits that a tile may take: half of a buffer.
    k_units : tuple of int
        Sizes that a tile of output channels should be a multiple of.
    c_unit : int
        The same of input channels; 0 if they cannot be cut.
    resident : collection of str
        Tensors whose home is the chip.
    """

    name: str
    conv: Conv2d
    widths: Widths
    limits: Mapping[str, int]
    k_units: tuple[int, ...]
    c_unit: int
    variants: tuple[Variant, ...]
    resident: Collection[str] = ()


class Measured(NamedTuple):
    """Figures of tilings, arrays of int64: cycles of computation; bits on the bus read and written; useful bits of
    inputs and weights that are fetched, and of partial sums that leave (as many come back)."""

    compute: np.ndarray
    read: np.ndarray
    write: np.ndarray
    input: np.ndarray
    weight: np.ndarray
    spill: np.ndarray


def row_of(nest: TiledNest) -> np.ndarray:
    """Return the layer in the order of `nest_kernel.LAYER`; raise MappingError if counts could leave 64 bits."""
    check_counts(nest.name, nest.conv)
    crosses = [role not in nest.resident for role in ROLES]
    return np.array(layer_row(nest.conv, nest.widths[:3], crosses), dtype=np.int64)


def bus_row(dram: DramModel) -> np.ndarray:
    """Return the DRAM in the order of `bound_kernel.BUS`; a rate of too many digits is rounded."""
    rate, latency, burst = dram
    if max(rate.numerator, rate.denominator) > MOST:
        rate = max(min(rate, Fraction(MOST)).limit_denominator(10**9), Fraction(1, MOST))
    return np.array([rate.numerator, rate.denominator, min(latency, MOST // 16), burst], dtype=np.int64)


def form_row(form: tuple[int, ...]) -> np.ndarray:
    """Return a form as the kernels take it."""
    return np.array([*form, *(0,) * (COLUMNS - len(form))], dtype=np.int64)


def machine_rows(nest: TiledNest) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of tiles, and the units of output channels."""
    limits = np.array([nest.limits[role] for role in ROLES], dtype=np.int64)
    return limits, np.array(sorted(set(nest.k_units)), dtype=np.int64)


def best(nest: TiledNest, dram: DramModel, objective: str) -> Choice | None:
    """Return the best mapping under ``cycles`` or ``dram``, ties by the other of the two and by the place in the list.

    None under another objective.

    Raises
    ------
    MappingError
        Nothing fits: says which buffer is too small for the smallest tile, and what would do.
    """
    from accelsim.mapping import list_kernel
    from accelsim.mapping import search_kernel as kernel

    if objective not in ("cycles", "dram"):
        return None
    layer, bus, (limits, units) = row_of(nest), bus_row(dram), machine_rows(nest)
    found: list[tuple[float, float, int, dict[str, Any]]] = []
    timed = 0
    for at, variant in enumerate(nest.variants):
        row, figures = np.zeros(7, dtype=np.int64), np.zeros(4)
        code = kernel.CYCLES if objective == "cycles" else kernel.DRAM
        form = form_row(variant.form)
        if not kernel.search(layer, form, limits, nest.widths.psum, units, nest.c_unit, bus, code, row, figures):
            raise too_small(nest)
        timed += int(figures[2])
        mapping = dict(zip(FIELDS, row[:6].tolist(), strict=True)) | {"order": ORDERS[row[6]]} | dict(variant.fields)
        found.append((figures[0], figures[1], at, mapping))
    score, _, _, mapping = min(found, key=lambda each: each[:3])
    number = len(nest.variants) * list_kernel.listed(
        layer, limits, nest.widths.psum, units, nest.c_unit, np.empty((0, 7), dtype=np.int64)
    )
    why = f"{objective} {score:.6g}, the least of {number:,} ({timed} timed, bounds rule out the others)"
    return Choice(mapping, number, objective, why)


def tilings(nest: TiledNest) -> Candidates:
    """Return the whole list, a row per tiling and variant; raise MappingError if nothing fits."""
    from accelsim.mapping import list_kernel as kernel

    layer, (limits, units) = row_of(nest), machine_rows(nest)
    table = np.empty((0, 7), dtype=np.int64)
    for _ in range(2):
        count = kernel.listed(layer, limits, nest.widths.psum, units, nest.c_unit, table)
        if len(table) < count:
            table = np.empty((count, 7), dtype=np.int64)
    if not len(table):
        raise too_small(nest)
    number = len(nest.variants)
    columns = {field: np.tile(table[:, i], number) for i, field in enumerate(FIELDS)}
    columns["order"] = np.tile(np.array(ORDERS)[table[:, 6]], number)
    for field in nest.variants[0].fields:
        columns[field] = np.repeat(np.array([variant.fields[field] for variant in nest.variants]), len(table))
    return columns


def bounds(
    nest: TiledNest, dram: DramModel, columns: Candidates, on_chip: Callable[[Measured], Mapping[tuple[str, str], Any]]
) -> Bounds:
    """Return what objectives need of each candidate; ``on_chip`` adds the traffic that is not DRAM's.

    Bits are exact below 2^53, cycles a bound below which no candidate stays; `Bounds.timed` gives the exact ones.
    """
    from accelsim.mapping import list_kernel as kernel
    from accelsim.mapping.bound_kernel import FOREVER

    layer, bus, psum = row_of(nest), bus_row(dram), nest.widths.psum
    table = np.stack([columns[field] for field in FIELDS] + [_orders(columns["order"])], axis=1).astype(np.int64)
    figures = np.zeros((len(table), 7))
    rows = [_rows(columns, variant) for variant in nest.variants]
    for variant, mine in zip(nest.variants, rows, strict=True):
        part = np.zeros((len(mine), 7))
        kernel.measure(layer, form_row(variant.form), psum, bus, table[mine], part)
        figures[mine] = part
    values = np.minimum(figures, FOREVER).astype(np.int64).T
    compute, least, read, write, inputs, weights, spill = values
    traffic = {("dram", "read"): read, ("dram", "write"): write}
    traffic |= on_chip(Measured(compute, read, write, inputs, weights, spill))

    def timed(places: np.ndarray) -> np.ndarray:
        cycles = np.zeros(len(places))
        for variant in nest.variants:
            mine = np.flatnonzero(np.isin(places, _rows(columns, variant)))
            part = np.zeros(len(mine))
            kernel.time_many(layer, form_row(variant.form), psum, bus, table[places[mine]], part)
            cycles[mine] = part
        return cycles.astype(np.int64)

    return Bounds(least, read + write, traffic, timed=timed)


def _rows(columns: Candidates, variant: Variant) -> np.ndarray:
    keep = np.ones(len(columns["k"]), dtype=np.bool_)
    for field, value in variant.fields.items():
        keep &= columns[field] == value
    return np.flatnonzero(keep)


def _orders(names: np.ndarray) -> np.ndarray:
    found, at = np.unique(names, return_inverse=True)
    return np.array([ORDERS.index(str(name)) for name in found], dtype=np.int64)[at]


def too_small(nest: TiledNest) -> MappingError:
    """Return the error that says which buffer holds no tile at all."""
    conv = nest.conv
    c = 1 if nest.c_unit else conv.c // conv.groups
    least = LoopNest(conv, Tiling(groups=1, n=1, e=1, f=1, k=1, c=c, order="mkc"), nest.widths)
    needed = least.largest_bits
    short = [t for t in nest.limits if needed[t] > nest.limits[t]]
    what = "; ".join(f"{t} needs {needed[t]:,} bits, has {nest.limits[t]:,}" for t in short)
    remedy = ", ".join(f"params.{t}_kib to {ceil_div(2 * needed[t], KIB_BITS)}" for t in short)
    return MappingError(
        "no tile fits half of each buffer" + (f" ({what})" if what else ""), f"raise {remedy or 'the buffers'}"
    )
