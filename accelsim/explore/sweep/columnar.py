"""The totals of a point without results per layer: all layers of a unit in one call, sums over arrays.

Gives the bytes of the plain path (`accelsim.results.NetworkResult`): integers are exact, and every sum of floats has
the same terms in the same order, or is a correctly rounded `math.fsum`. Where something is in the way (an engine
without `closed_form_many`, a layer it declines, a missing price, counts beyond 2^53), the answer is None and the plain
path speaks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum
from typing import Any, NamedTuple

import numpy as np

from accelsim import simulation
from accelsim.activity import CAUSES, Event
from accelsim.charges import (
    areas_of,
    full_name,
    machine_components,
    table_of,
    unit_components,
    waiting_of_others,
)
from accelsim.config.arch import Arch, Unit
from accelsim.energy import LEAKAGE, Table, leakage_mw
from accelsim.engine import Many
from accelsim.engines import registry
from accelsim.errors import PriceError
from accelsim.explore.sweep import retimed
from accelsim.explore.sweep.followers import Clocks, Trunks, followers, told
from accelsim.explore.sweep.retimed import CYCLES, EXACT, FIRST_CAUSE, KNOWN, PERFORMED, READ, WRITE
from accelsim.layer import (  # fmt: skip
    Options,
    Task,
    chooses_by,
    leak_pj_per_cycle,
    machine_view,
    price_of,
    simulate_layer,
)
from accelsim.mapping.choose import PriceOf
from accelsim.operands import handle
from accelsim.results import NetworkResult, time_share
from accelsim.workload.layers import Layer
from accelsim.workload.network import Network

MACS = ("effective_macs", "nonzero_weight_macs", "nonzero_input_macs")
"""Multiply-accumulates by which of their operands are not zero: what `handle.Operands` counts."""


class Block(NamedTuple):
    """Distinct layers of one unit: their rows for its engine (None if it has no such form), what tells them apart, and
    a task of each (of the machine dealt for first).
    """

    unit: int
    rows: np.ndarray | None
    keys: tuple[Any, ...]
    tasks: tuple[Task, ...]


class Deal(NamedTuple):
    """Who runs which layer of a network: the same for all machines whose units support the same.

    Attributes
    ----------
    blocks : tuple of Block
        Their rows are numbered through.
    rows : ndarray of int64, shape (simulated layers,)
        The row of each simulated layer, in the order of the network.
    times : ndarray of int64, shape (rows,)
        How many layers share a row.
    facts : mapping
        The totals that do not depend on the machine.
    ran : tuple of str
        The simulated layers, in the order of the network.
    seed : int
        Of their synthetic operands.
    kept : Kept
        What was walked of them, on any machine.
    """

    blocks: tuple[Block, ...]
    rows: np.ndarray
    times: np.ndarray
    facts: Mapping[str, Any]
    ran: tuple[str, ...]
    seed: int
    kept: retimed.Kept


class Terms(NamedTuple):
    """What the events of a unit cost.

    Attributes
    ----------
    names : tuple of str
        Components.
    columns, prices : ndarray of int64 and of float64, shape (terms, components)
        Columns of the engine's table and pJ of each; a component with fewer events has terms without price.
    unpriced : list of int
        Columns of events that have no price.
    """

    names: tuple[str, ...]
    columns: np.ndarray
    prices: np.ndarray
    unpriced: list[int]


class Static(NamedTuple):
    """Leakage in mW, area in mm2 (None without any), and the components on the chip without a figure for it."""

    leakage_mw: float
    area_mm2: float | None
    no_area: tuple[str, ...]


@dataclass
class Rates:
    """What a machine costs, whatever runs on it and however fast its DRAM is: filled in when first asked for."""

    terms: dict[tuple[int, int, tuple[Event, ...]], Terms] = field(default_factory=dict)
    """By unit, and by the columns of its table."""
    static: Static | None = None
    followers: dict[int, tuple[Trunks, Clocks]] = field(default_factory=dict)
    """By unit: its trunks with what they carry, and its registers, their clocks and their kind of units."""
    waiting: dict[int, dict[str, float]] = field(default_factory=dict)
    """By unit that runs a layer: what the clocks of the others cost in a cycle."""


@dataclass
class Memo:
    """What has been found of a machine, for all networks that run on it."""

    rates: Rates
    rows: dict[int, dict[bytes, np.ndarray]] = field(default_factory=dict)
    """Evaluated layers: unit -> row of the engine -> row of its table."""
    heads: dict[int, Many] = field(default_factory=dict)


_RATES: dict[Any, Rates] = {}
MOST_RATES = 4096
"""Machines whose prices are kept; with more, all are forgotten."""


def memory_of(arch: Arch) -> Memo:
    """Return an empty memory; machines of the same hardware and energy table share their prices."""
    units = tuple((unit.name, unit.engine, unit.params) for unit in arch.units)
    built = arch.storage, arch.clock_gating
    key = (units, built, arch.memory.dram.standard, table_of(arch))  # a table that was edited is another one
    if key not in _RATES:
        if len(_RATES) >= MOST_RATES:
            _RATES.clear()
        _RATES[key] = Rates()
    return Memo(_RATES[key])


def deal_key(arch: Arch) -> tuple[Any, ...]:
    """Return what decides which unit runs a layer."""
    key: list[Any] = []
    for unit in arch.units:
        seen = registry.get(unit.engine).support_params
        looks = unit.params if seen is None else tuple(getattr(unit.params, name) for name in seen)
        key.append((unit.name, unit.engine, unit.layers, looks))
    return tuple(key)


def deal(
    arch: Arch, network: Network, layers: Sequence[Layer], chosen: Collection[str], seed: int,
    known: dict[Any, Deal | None],
) -> Deal | None:  # fmt: skip
    """Deal layers out to units; None if an engine cannot take one of them in this form.

    Parameters
    ----------
    layers, chosen : sequence of Layer, collection of str
        The layers with work, and the names of those that are to run.
    known : dict
        By who runs what: other machines may share the work of the same units in the same way.
    """
    tasks = [simulation.task_for(arch, network, layer, None, {}, "skip") for layer in layers if layer.name in chosen]
    dealt = [(task, arch.units.index(task.unit)) for task in tasks if task.unit is not None]
    units = tuple((unit.name, unit.engine, registry.get(unit.engine).walks(unit.params)) for unit in arch.units)
    key = (units, seed, tuple((task.view.name, unit) for task, unit in dealt))
    if key not in known:
        known[key] = _dealt(arch, network, layers, dealt, seed)
    return known[key]


def _dealt(
    arch: Arch, network: Network, layers: Sequence[Layer], dealt: Sequence[tuple[Task, int]], seed: int
) -> Deal | None:
    found: list[dict[Any, tuple[tuple[int, ...] | None, Task]]] = [{} for _ in arch.units]
    simulated: list[tuple[int, Any]] = []
    ran: list[str] = []
    sums = dict.fromkeys(("macs", *MACS), 0)
    for task, unit in dealt:
        view, params, engine = task.view, arch.units[unit].params, registry.get(arch.units[unit].engine)
        numbers = handle.of(view, seed, task.values())
        row = engine.encode(view, numbers.effective_macs if view.macs else 0)
        if engine.walks(params):
            key = simulation.likeness(task) or view.name
        elif row is None:
            return None
        else:
            key = np.array(row, dtype=np.int64).tobytes()
        found[unit].setdefault(key, (row, task))
        simulated.append((unit, key))
        ran.append(view.name)
        sums["macs"] += view.macs
        for name in MACS if view.macs else ():
            sums[name] += getattr(numbers, name)
    if not simulated:
        return None
    blocks: list[Block] = []
    place: dict[tuple[int, Any], int] = {}
    for unit, rows in enumerate(found):
        if rows:
            place |= {(unit, key): len(place) + i for i, key in enumerate(rows)}
            coded = [row for row, _ in rows.values() if row is not None]
            table = np.array(coded, dtype=np.int64) if len(coded) == len(rows) else None
            blocks.append(Block(unit, table, tuple(rows), tuple(task for _, task in rows.values())))
    index = np.array([place[at] for at in simulated], dtype=np.int64)
    facts = {**sums, **covered(arch, network, layers, ran)}
    return Deal(tuple(blocks), index, np.bincount(index, minlength=len(place)), facts, tuple(ran), seed, retimed.Kept())


def covered(arch: Arch, network: Network, layers: Sequence[Layer], ran: Collection[str]) -> dict[str, Any]:
    """Return what a result says of its coverage whose simulated ``layers`` are those named in ``ran``."""
    blanks = [simulate_layer(arch, Task(network.view(layer)), Options()) for layer in layers]
    parts = tuple(replace(blank, simulated=blank.name in ran) for blank in blanks)
    return coverage(NetworkResult({}, "", "", network.batch, parts, {}, 1.0, network.isolated))


def coverage(result: NetworkResult) -> dict[str, Any]:
    """Return the columns of a result that say which part of its network was simulated."""
    shares = result.coverage
    return {
        "complete": result.complete,
        "coverage_macs": shares["macs"],
        "coverage_layers": shares["layers"],
        "coverage_dram_bits": shares["dram_bits"],
        "layers_simulated": len(result.simulated),
        "layers_needed": len(result.layers),
    }


def totals(arch: Arch, dealt: Deal, memory: Memo) -> dict[str, Any] | None:
    """Return the totals row of a network on a machine, or None: a layer that does not fit is for the plain path."""
    table = table_of(arch)
    found = [_counts(arch, dealt, block, table, memory) for block in dealt.blocks]
    counted = [
        None if each is None else _with_followers(arch, block, each, memory)
        for block, each in zip(dealt.blocks, found, strict=True)
    ]
    many = [each for each in counted if each is not None]
    if len(many) < len(found):
        return None
    cycles = _stacked([each.table[:, CYCLES] for each in many])
    account = _account(arch, dealt, many, cycles)
    energy = _energy(arch, dealt, many, cycles, table, memory)
    if account is None or energy is None:
        return None
    facts, total_pj, static = dealt.facts, fsum(energy.values()), _static(arch, table, memory)
    columns = _stacked([each.table[:, [CYCLES, READ, WRITE, PERFORMED]] for each in many])
    whole, read, write, performed = (dealt.times @ columns).tolist()
    time_s = whole / (float(arch.clocks_mhz["core"]) * 1e6)
    return {
        **facts,
        "performed_macs": performed,
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
        "area_mm2": static.area_mm2,
        "no_area": ", ".join(static.no_area) or None,
        "clock_mhz": float(arch.clocks_mhz["core"]),
        "energy_table": table.name,
        "energy_pj": energy,
        "cycles_by_cause": {cause: part * whole for cause, part in account.shares.items()},
    }


def _stacked(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _counts(arch: Arch, dealt: Deal, block: Block, table: Table, memory: Memo) -> Many | None:
    """Return what the engine says of a block's layers, each asked for once per machine."""
    unit = arch.units[block.unit]
    layers, engine = block.rows, registry.get(unit.engine)
    if layers is None or engine.walks(unit.params):
        return retimed.totals(arch, unit, block.tasks, layers, dealt.seed, table, dealt.kept)

    priced: list[PriceOf] = []

    def price(boundary: str, direction: str) -> float:
        if not priced:  # only asked for energy objectives
            priced.append(price_of(unit_components(arch, unit), table, arch.memory.dram))
        return priced[0](boundary, direction)

    def ask(rows: np.ndarray) -> Many | None:
        if chooses_by(arch) is not None:
            return None  # the kernels that choose also price
        leaks = leak_pj_per_cycle(arch, lambda: _static(arch, table, memory).leakage_mw, table)
        return engine.closed_form_many(rows, unit.params, machine_view(arch), arch.mapping, price, leaks)

    known = memory.rows.setdefault(block.unit, {})
    new = [i for i, key in enumerate(block.keys) if key not in known]
    many = ask(layers[new] if len(new) < len(block.keys) else layers) if new else memory.heads[block.unit]
    if many is None or not many.table[:, KNOWN].all():
        return None  # a declined layer is for the plain path, in every network that has it
    known.update(zip((block.keys[i] for i in new), many.table, strict=False))
    memory.heads[block.unit] = many
    return many if len(new) == len(block.keys) else many._replace(table=np.array([known[key] for key in block.keys]))


def _with_followers(arch: Arch, block: Block, many: Many, memory: Memo) -> Many | None:
    """Return the totals with the events that follow: of trunks from what they carry, of registers and clocks from
    unit-cycles. None where those are of units that the totals do not tell of, or a count is too large.
    """
    unit = arch.units[block.unit]
    engine, known = registry.get(unit.engine), memory.rates.followers
    if block.unit not in known:
        known[block.unit] = told(unit_components(arch, unit))
    trunks, clocks = known[block.unit]
    if not (trunks or clocks):
        return many
    counted = (*((engine.primary, cause) for cause in many.causes), *many.others)
    if any(kind not in {told for told, _ in counted} for _, _, kind in clocks):
        return None
    events, columns = followers(trunks, clocks, arch.clock_gating, len(many.causes), counted, many.events)
    more = many.table[:, FIRST_CAUSE:] @ columns
    if more.max(initial=0) >= EXACT:
        return None
    plain = many.table[:, : FIRST_CAUSE + len(many.causes) + len(many.events)]
    return Many(np.concatenate([plain, more], axis=1), many.causes, (*many.events, *events))


class _Account(NamedTuple):
    """Ratios of the network, and the share of its time by cause."""

    occupancy: float
    utilization: float
    shares: dict[str, float]


def _account(arch: Arch, dealt: Deal, many: list[Many], cycles: np.ndarray) -> _Account | None:
    """Return the account of the primary units over all layers; None if a quotient might be rounded twice."""
    spent = np.zeros((len(CAUSES), len(cycles)))
    sums, start = [0] * len(CAUSES), 0
    worked: list[tuple[int, int, int]] = []
    busy: list[tuple[int, int, int]] = []
    for block, each in zip(dealt.blocks, many, strict=True):
        unit = arch.units[block.unit]
        engine = registry.get(unit.engine)
        units, own = engine.units(unit.params)[engine.primary], each.table[:, CYCLES]
        if int(own.max()) * units >= EXACT:
            return None
        stop, total = start + len(own), own * units
        unit_cycles = each.table[:, FIRST_CAUSE : FIRST_CAUSE + len(each.causes)].T
        places = [CAUSES.index(cause) for cause in each.causes]
        spent[places, start:stop] = unit_cycles / total * own
        times = dealt.times[start:stop]
        parts = dict(zip(places, (unit_cycles @ times).tolist(), strict=True))
        for place, part in parts.items():
            sums[place] += part
        useful = [parts.get(CAUSES.index(cause), 0) for cause in ("busy", "zero")]
        whole = int(own @ times)
        worked.append((units, whole, sum(useful)))
        busy.append((units, whole, useful[0]))
        start = stop
    by_layer = spent[:, dealt.rows].tolist()
    time = {cause: sum(by_layer[i]) for i, cause in enumerate(CAUSES) if sums[i]}
    total_time = sum(time.values())
    shares = {cause: part / total_time for cause, part in time.items()}
    return _Account(time_share(worked), time_share(busy), shares)


def _energy(
    arch: Arch, dealt: Deal, many: list[Many], cycles: np.ndarray, table: Table, memory: Memo
) -> dict[str, float] | None:
    """Return the energy by component; None where an event has no price."""
    energy: dict[str, list[float]] = {}
    start = 0
    for block, each in zip(dealt.blocks, many, strict=True):
        at = (block.unit, len(each.causes), each.events)
        if at not in memory.rates.terms:
            memory.rates.terms[at] = _terms(arch, arch.units[block.unit], each, table)
        terms = memory.rates.terms[at]
        if terms.unpriced and each.table[:, terms.unpriced].any():
            return None
        parts = each.table[:, terms.columns] * terms.prices  # layers, terms, components
        priced = parts[:, :2].sum(axis=1)  # the sum of two floats is rounded once, as by fsum
        for i in np.flatnonzero(terms.prices[2:].any(axis=0)):
            priced[:, i] = list(map(fsum, parts[:, :, i].tolist()))
        mine = dealt.rows[(dealt.rows >= start) & (dealt.rows < start + len(priced))] - start
        for name, column in zip(terms.names, priced[mine].T.tolist(), strict=True):
            energy.setdefault(name, []).extend(column)
        start += len(priced)
    leakage, clock = _static(arch, table, memory).leakage_mw, arch.clocks_mhz["core"]
    # whole numbers divide as the exact fraction does
    up, down = 1000 * clock.denominator, clock.numerator
    leaked = [leakage * (count * up / down) for count in cycles.tolist()]
    energy[LEAKAGE] = [leaked[i] for i in dealt.rows.tolist()]
    if len(arch.units) > 1:
        _wait(arch, dealt, many, table, energy, memory)
    return {name: fsum(terms) for name, terms in energy.items()}


def _wait(
    arch: Arch, dealt: Deal, many: list[Many], table: Table, energy: dict[str, list[float]], memory: Memo
) -> None:
    """Add what the clocks of the units cost that wait while another one runs a layer."""
    start, known = 0, memory.rates.waiting
    for block, each in zip(dealt.blocks, many, strict=True):
        stop = start + len(each.table)
        if block.unit not in known:
            known[block.unit] = waiting_of_others(arch, arch.units[block.unit], table)
        mine = dealt.rows[(dealt.rows >= start) & (dealt.rows < stop)] - start
        cycles = each.table[:, CYCLES][mine].tolist()
        for name, pj in known[block.unit].items():
            energy.setdefault(name, []).extend(pj * count for count in cycles)
        start = stop


def _terms(arch: Arch, unit: Unit, many: Many, table: Table) -> Terms:
    first = FIRST_CAUSE + len(many.causes)
    places = {event: first + i for i, event in enumerate(many.events)}
    places |= {Event("dram", "read"): READ, Event("dram", "write"): WRITE}
    found: dict[str, list[tuple[int, float]]] = {}
    unpriced: list[int] = []
    for component in unit_components(arch, unit):
        mine = found.setdefault(full_name(arch, unit, component.name), [])
        for action in component.actions:
            place = places.pop(Event(component.name, action), None)
            if place is None:
                continue
            try:
                mine.append((place, table.price(component, action).pj))
            except PriceError:
                unpriced.append(place)
    most = max(map(len, found.values()))
    rows = [terms + [(0, 0.0)] * (most - len(terms)) for terms in found.values()]
    columns, prices = (np.array([[term[i] for term in terms] for terms in rows]).T for i in (0, 1))
    return Terms(tuple(found), columns, prices, [*unpriced, *places.values()])


def _static(arch: Arch, table: Table, memory: Memo) -> Static:
    if memory.rates.static is None:
        memory.rates.static = static(arch, table)
    return memory.rates.static


def static(arch: Arch, table: Table) -> Static:
    """Return what a machine leaks and occupies."""
    components = machine_components(arch)
    areas = areas_of(arch, table)
    whole = sum(areas.mm2.values()) if areas.mm2 else None
    return Static(leakage_mw(components, table), whole, areas.left_out)
