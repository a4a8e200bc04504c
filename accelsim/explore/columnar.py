"""The totals of a point without results per layer: all layers of a unit in one call, sums over arrays.

Gives the bytes of the plain path (`accelsim.results.NetworkResult`): integers are exact, and every sum of floats has
the same terms in the same order, or is a correctly rounded `math.fsum`. Where something is in the way (an engine
without `closed_form_many`, a layer it declines, a missing price, counts beyond 2^53), the answer is None and the plain
path speaks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Any, NamedTuple

import numpy as np

from accelsim import simulation
from accelsim.activity import CAUSES, Event
from accelsim.energy import LEAKAGE, Table, area_mm2, leakage_mw
from accelsim.engines import registry
from accelsim.errors import PriceError
from accelsim.layer import (
    Options,
    Task,
    energy_table,
    full_name,
    machine_components,
    machine_view,
    price_of,
    simulate_layer,
    unit_components,
)  # fmt: skip
from accelsim.operands import handle
from accelsim.seam import Many
from accelsim.spec.arch import Arch, Unit
from accelsim.workload.network import Layer, Network

EXACT = 2**53
"""Integers below this are floats without rounding, so that their quotient is the same however it is computed."""
KNOWN, CYCLES, READ, WRITE, FIRST_CAUSE = 0, 1, 2, 3, 4


class Block(NamedTuple):
    """Distinct layers of one unit: their rows for its engine, and a task of each."""

    unit: int
    rows: np.ndarray
    keys: tuple[bytes, ...]
    tasks: tuple[Task, ...]


class Deal(NamedTuple):
    """Who runs which layer of a network: the same for all machines whose units support the same.

    Attributes
    ----------
    blocks : tuple of Block
        Their rows are numbered through.
    index : ndarray of int64, shape (simulated layers,)
        The row of each simulated layer, in the order of the network.
    times : ndarray of int64, shape (rows,)
        How many layers share a row.
    facts : mapping
        The totals that do not depend on the machine.
    """

    blocks: tuple[Block, ...]
    index: np.ndarray
    times: np.ndarray
    facts: Mapping[str, Any]


class Terms(NamedTuple):
    """Component -> columns of an engine's table and pJ of each; and the columns that have no price."""

    parts: dict[str, list[tuple[int, float]]]
    unpriced: list[int]


@dataclass
class Memory:
    """What has been found of a machine, for all networks that run on it."""

    rows: dict[int, dict[bytes, np.ndarray]] = field(default_factory=dict)
    """Evaluated layers: unit -> row of the engine -> row of its table."""
    heads: dict[int, Many] = field(default_factory=dict)
    terms: dict[int, Terms] = field(default_factory=dict)
    static: tuple[float, float | None] | None = None
    """Leakage in mW, area in mm2."""


def deal_key(arch: Arch) -> tuple[Any, ...]:
    """Return what decides which unit runs a layer."""
    key: list[Any] = []
    for unit in arch.units:
        seen = registry.get(unit.engine).support_params
        looks = unit.params if seen is None else tuple(getattr(unit.params, name) for name in seen)
        key.append((unit.name, unit.engine, unit.layers, looks))
    return tuple(key)


def deal(arch: Arch, network: Network, layers: Sequence[Layer], chosen: Collection[str], seed: int) -> Deal | None:
    """Deal layers out to units; None if an engine cannot take one of them in this form.

    Parameters
    ----------
    layers, chosen : sequence of Layer, collection of str
        The layers with work, and the names of those that are to run.
    """
    found: list[dict[bytes, tuple[tuple[int, ...], Task]]] = [{} for _ in arch.units]
    simulated: list[tuple[int, bytes]] = []
    macs = effective = 0
    for layer in layers:
        if layer.name not in chosen:
            continue
        task = simulation.task_for(arch, network, layer, None, {}, "skip")
        if task.unit is None:
            continue
        view, unit = task.view, arch.units.index(task.unit)
        useful = handle.of(view, seed, task.values()).effective_macs if view.macs else 0
        row = registry.get(task.unit.engine).encode(view, useful)
        if row is None:
            return None
        key = np.array(row, dtype=np.int64).tobytes()
        found[unit].setdefault(key, (row, task))
        simulated.append((unit, key))
        macs, effective = macs + view.macs, effective + useful
    if not simulated:
        return None
    blocks, place = [], {}
    for unit, rows in enumerate(found):
        if rows:
            place |= {(unit, key): len(place) + i for i, key in enumerate(rows)}
            table = np.array([row for row, _ in rows.values()], dtype=np.int64)
            blocks.append(Block(unit, table, tuple(rows), tuple(task for _, task in rows.values())))
    index = np.array([place[at] for at in simulated], dtype=np.int64)
    whole = sum(layer.macs for layer in layers)
    facts = {
        "macs": macs,
        "effective_macs": effective,
        "complete": not network.isolated and len(simulated) == len(layers),
        "coverage_macs": macs / whole if whole else 1.0,
        "coverage_layers": len(simulated) / len(layers),
    }
    return Deal(tuple(blocks), index, np.bincount(index, minlength=len(place)), facts)


def totals(arch: Arch, dealt: Deal, options: Options, memory: Memory) -> dict[str, Any] | None:
    """Return the totals row of a network on a machine, or None.

    Raises
    ------
    UserError
        What the plain path raises of the first layer that cannot be mapped.
    """
    table = energy_table(arch.energy.table)
    found = [_counts(arch, block, table, memory) for block in dealt.blocks]
    many = [each for each in found if each is not None]
    if len(many) < len(found):
        return None
    for block, each in zip(dealt.blocks, many, strict=True):
        if not each.table[:, KNOWN].all():
            if len(many) == 1:  # the first layer in the order of the network is the one to complain
                unknown = dealt.index[each.table[dealt.index, KNOWN] == 0]
                simulate_layer(arch, block.tasks[unknown[0]], options)
            return None
    cycles = _stacked([each.table[:, CYCLES] for each in many])
    account = _account(arch, dealt, many, cycles)
    energy = _energy(arch, dealt, many, cycles, table, memory)
    if account is None or energy is None:
        return None
    facts, total_pj, area = dealt.facts, fsum(energy.values()), _static(arch, table, memory)[1]
    whole, read, write = (
        int(_stacked([each.table[:, column] for each in many]) @ dealt.times) for column in (CYCLES, READ, WRITE)
    )
    time_s = whole / (float(arch.clocks_mhz["core"]) * 1e6)
    return {
        **facts,
        "cycles": whole,
        "time_s": time_s,
        "total_energy_pj": float(total_pj),
        "edp_pj_s": float(total_pj * time_s),
        "dram_read_bits": read,
        "dram_write_bits": write,
        "dram_bits": read + write,
        "occupancy": account.occupancy,
        "utilization": account.utilization,
        "tops": 2 * facts["macs"] / time_s / 1e12,
        "tops_per_w": 2 * facts["macs"] / total_pj if total_pj else 0.0,
        "area_mm2": area,
        "energy_pj": energy,
        "cycles_by_cause": {cause: part * whole for cause, part in account.shares.items()},
    }


def _stacked(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _counts(arch: Arch, block: Block, table: Table, memory: Memory) -> Many | None:
    """Return what the engine says of a block's layers, each asked for once per machine."""
    unit = arch.units[block.unit]
    engine = registry.get(unit.engine)

    def ask(rows: np.ndarray) -> Many | None:
        price = price_of(unit_components(arch, unit), table)
        return engine.closed_form_many(rows, unit.params, machine_view(arch), arch.mapping, price)

    known = memory.rows.setdefault(block.unit, {})
    new = [i for i, key in enumerate(block.keys) if key not in known]
    many = ask(block.rows[new] if len(new) < len(block.keys) else block.rows) if new else memory.heads[block.unit]
    if many is None:
        return None
    known.update(zip((block.keys[i] for i in new), many.table, strict=False))
    memory.heads[block.unit] = many
    return many if len(new) == len(block.keys) else many._replace(table=np.array([known[key] for key in block.keys]))


class _Account(NamedTuple):
    """Ratios of the network, and the share of its time by cause."""

    occupancy: float
    utilization: float
    shares: dict[str, float]


def _account(arch: Arch, dealt: Deal, many: list[Many], cycles: np.ndarray) -> _Account | None:
    """Return the account of the primary units over all layers; None if a quotient might be rounded twice."""
    spent: dict[str, list[np.ndarray]] = {}
    sums, whole, start = dict.fromkeys(CAUSES, 0), 0, 0
    for block, each in zip(dealt.blocks, many, strict=True):
        unit = arch.units[block.unit]
        engine = registry.get(unit.engine)
        units, own = engine.units(unit.params)[engine.primary], each.table[:, CYCLES]
        if int(own.max()) * units >= EXACT:
            return None
        unit_cycles = each.table[:, FIRST_CAUSE : FIRST_CAUSE + len(each.causes)]
        times = dealt.times[start : start + len(own)]
        whole += int((own * units) @ times)
        parts = unit_cycles / (own * units)[:, None] * own[:, None]
        for at, cause in enumerate(each.causes):
            sums[cause] += int(unit_cycles[:, at] @ times)
            row = spent.setdefault(cause, np.zeros(len(cycles)))
            row[start : start + len(own)] = parts[:, at]
        start += len(own)
    time = {cause: sum(spent[cause][dealt.index].tolist()) for cause in CAUSES if sums[cause]}
    total = sum(time.values())
    useful = sums["busy"] + sums["zero"]
    return _Account(useful / whole, sums["busy"] / whole, {cause: t / total for cause, t in time.items()})


def _energy(
    arch: Arch, dealt: Deal, many: list[Many], cycles: np.ndarray, table: Table, memory: Memory
) -> dict[str, float] | None:
    """Return the energy by component; None where an event has no price."""
    columns: dict[str, np.ndarray] = {}
    start = 0
    for block, each in zip(dealt.blocks, many, strict=True):
        if block.unit not in memory.terms:
            memory.terms[block.unit] = _terms(arch, arch.units[block.unit], each, table)
        terms, stop = memory.terms[block.unit], start + len(each.table)
        if terms.unpriced and each.table[:, terms.unpriced].any():
            return None
        for name, parts in terms.parts.items():
            found = [each.table[:, column] * pj for column, pj in parts]
            column = columns.setdefault(name, np.zeros(len(cycles)))
            if len(found) > 2:
                column[start:stop] = [fsum(row) for row in zip(*(f.tolist() for f in found), strict=True)]
            elif found:  # the sum of two floats is rounded once, as by fsum
                column[start:stop] += found[0] if len(found) == 1 else found[0] + found[1]
        start = stop
    leakage, clock = _static(arch, table, memory)[0], arch.clocks_mhz["core"]
    # whole numbers divide as the exact fraction does
    up, down = 1000 * clock.denominator, clock.numerator
    columns[LEAKAGE] = np.array([leakage * (count * up / down) for count in cycles.tolist()])
    return {name: fsum(column[dealt.index].tolist()) for name, column in columns.items()}


def _terms(arch: Arch, unit: Unit, many: Many, table: Table) -> Terms:
    first = FIRST_CAUSE + len(many.causes)
    places = {event: first + i for i, event in enumerate(many.events)}
    places |= {Event("dram", "read"): READ, Event("dram", "write"): WRITE}
    parts: dict[str, list[tuple[int, float]]] = {}
    unpriced: list[int] = []
    for component in unit_components(arch, unit):
        found = parts.setdefault(full_name(arch, unit, component.name), [])
        for action in component.actions:
            place = places.pop(Event(component.name, action), None)
            if place is None:
                continue
            try:
                found.append((place, table.price(component, action).pj))
            except PriceError:
                unpriced.append(place)
    return Terms(parts, [*unpriced, *places.values()])


def _static(arch: Arch, table: Table, memory: Memory) -> tuple[float, float | None]:
    """Return leakage in mW and area in mm2 of the machine."""
    if memory.static is None:
        components = machine_components(arch)
        area = area_mm2(components, table).mm2
        memory.static = leakage_mw(components, table), sum(area.values()) if area else None
    return memory.static
