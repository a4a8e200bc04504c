"""Layers of engines that are walked: each once, then timed anew where only DRAM's speed or prices change.

See ``docs/decisions/0080-retimed.md``. An activity with a schedule says nothing of bandwidth or latency: only how long
bursts are changes it. So it is kept, as a row of counts and its schedule in rows, and another point costs one timeline.
Of an engine that takes the longer of computation and bus, phases are kept in place of a schedule. What else of DRAM is
inside an engine's activities (`Engine.dram_inside`) they are kept for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import CAUSES, Activity, Event, Phase
from accelsim.charges import events, unit_components
from accelsim.components import Registers
from accelsim.config.arch import Arch, Unit
from accelsim.energy import CLOCKED, Table
from accelsim.engine import Chosen, Many, NoMapping
from accelsim.engines import registry
from accelsim.errors import FitError, ModelError, UserError
from accelsim.layer import Options, Task, front_of, machine_view, mapping_of
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel
from accelsim.operands import handle

KNOWN, CYCLES, READ, WRITE, PERFORMED, FIRST_CAUSE = range(6)
"""Columns of `Many.table`."""
NOTHING = NoMapping()
MEMORY, UNMAPPED = (FIRST_CAUSE + CAUSES.index(cause) for cause in ("memory", "unmapped"))
EXACT = 2**53
"""Integers below this are floats without rounding, so that their quotient is the same however it is computed; counts
beyond it are for the plain path."""
MOST_BYTES = 1 << 23
"""What is kept of a network's layers; beyond it the parts that were used longest ago are forgotten."""


class Walked(NamedTuple):
    """Some layers of a unit, DRAM's speed apart.

    Attributes
    ----------
    table : ndarray of int64, shape (layers, 5 + causes + events)
        As `Many.table`, without the stalls that a timeline adds.
    rows, first : ndarray of int64
        Their schedules, as `timeline.run_each` takes them.
    phases, owner : ndarray of int64, shape (phases, 2 + causes), (phases,)
        `Phase` by `Phase`, those of all layers one behind the other, and the layer of each.
    primary : int
        Primary units.
    events : tuple of Event
    others : tuple of (str, int)
        Kinds of units beside the primary one whose registers are clocked, and how many there are; the table has their
        unit-cycles by `CAUSES` behind the events.
    """

    table: np.ndarray
    rows: np.ndarray
    first: np.ndarray
    phases: np.ndarray
    owner: np.ndarray
    primary: int
    events: tuple[Event, ...]
    others: tuple[tuple[str, int], ...] = ()


def _nbytes(part: Any) -> int:
    """Return the bytes of all arrays."""
    if isinstance(part, tuple):
        return sum(map(_nbytes, part))
    return part.nbytes if isinstance(part, np.ndarray) else 0


@dataclass
class Kept:
    """What was walked and looked up of the layers of a network, by all that decides it, the least recently used first.

    Tuples of arrays and of such tuples.
    """

    parts: OrderedDict[Any, Any] = field(default_factory=OrderedDict)
    nbytes: int = 0

    def get(self, key: Any) -> Any | None:
        """Return what is kept under a key."""
        if key in self.parts:
            self.parts.move_to_end(key)
        return self.parts.get(key)

    def put(self, key: Any, part: Any) -> None:
        """Keep a part in place of an earlier one of this key, and no more in all than `MOST_BYTES` but for this one."""
        earlier = self.parts.pop(key, None)
        self.nbytes += _nbytes(part) - _nbytes(earlier)
        while self.parts and self.nbytes > MOST_BYTES:
            self.nbytes -= _nbytes(self.parts.popitem(last=False)[1])
        self.parts[key] = part


DEVICE = "a DRAM device"
"""Stands among engines that walk for points whose tiles meet in a device: their time has no closed form."""
_WALKS = threading.local()


def take_walks() -> set[str]:
    """Return the engines that have walked a layer in this thread since this was last asked."""
    engines: set[str] = getattr(_WALKS, "engines", set())
    _WALKS.engines = set()
    return engines


def note_walk(name: str) -> None:
    """Note that this thread walks a layer of an engine, or on `DEVICE`."""
    _WALKS.engines = {*getattr(_WALKS, "engines", ()), name}


def totals(
    arch: Arch, unit: Unit, tasks: Sequence[Task], layers: np.ndarray | None, seed: int, table: Table, kept: Kept
) -> Many | None:
    """Return the totals of layers on a unit, walked only if they have not been; None where one is for the plain path.

    ``tasks`` are of this network and may be of another machine; ``layers`` are what the engine encodes them as.
    """
    if arch.memory.dram.device is not None:
        return None  # tiles meet in a device: their addresses count
    dram, engine = machine_view(arch).dram, registry.get(unit.engine)
    inside = tuple(getattr(dram, name) for name in engine.dram_inside)
    params = unit.params if not engine.spread else tuple(v for name, v in unit.params if name not in engine.spread)
    hardware = (unit.engine, params, tuple(arch.clocks_mhz.items()), dram.burst_bits, *inside)
    try:
        chosen = mappings(arch, unit, tasks, layers, table)
        key = (hardware, tuple(task.view.name for task in tasks), chosen.keys)
        part = kept.get(key)
        if part is None and (part := _at_once(arch, unit, tasks, seed, kept)) is not None:
            kept.put(key, part)
        if part is None:
            ones = [_one(arch, unit, task, chosen, i, seed, kept, hardware) for i, task in enumerate(tasks)]
            known = [one for one in ones if one is not None]
            if len(known) < len(ones):
                return None
            part = known[0] if len(known) == 1 else _together(known)
            kept.put(key, part)
    except FitError:
        return None
    part = _spread(part, engine.units(unit.params)[engine.primary])
    counts = part.table.copy()
    timely = _stalled(counts, part, dram) and _beside(counts, part, dram)
    if not timely or not _closed(counts, part):
        return None
    return Many(counts, CAUSES, part.events, tuple((kind, cause) for kind, _ in part.others for cause in CAUSES))


def _closed(counts: np.ndarray, part: Walked) -> bool:
    """Let the other kinds of units wait for memory in what is left of the time; False if they leave `EXACT`."""
    for i, (_, units) in enumerate(part.others):
        start = FIRST_CAUSE + len(CAUSES) + len(part.events) + i * len(CAUSES)
        own = counts[:, start : start + len(CAUSES)]
        if int(counts[:, CYCLES].max(initial=0)) * units >= EXACT:
            return False
        own[:, CAUSES.index("memory")] += units * counts[:, CYCLES] - own.sum(axis=1)
    return True


def _stalled(counts: np.ndarray, part: Walked, dram: DramModel) -> bool:
    """Add the stalls of schedules to counts; False if they leave `EXACT`."""
    if len(part.rows):
        ends = timeline.run_each(part.rows, part.first, dram)
        if max(ends) >= EXACT:
            return False
        stall = np.where(np.diff(part.first) > 0, np.array(ends, np.int64) - counts[:, CYCLES], 0)
        if int(stall.max()) * part.primary >= EXACT:
            return False
        counts[:, MEMORY] += stall * part.primary
        counts[:, CYCLES] += stall
    return True


def _beside(counts: np.ndarray, part: Walked, dram: DramModel) -> bool:
    """Add the stalls of phases to counts; False if they leave `EXACT`."""
    if len(part.phases):
        phases = (Phase(compute, bits, {}) for compute, bits in part.phases[:, :2].tolist())
        stalls = [phase.stall_cycles(dram.bits_per_cycle) for phase in phases]
        if max(stalls) * part.primary >= EXACT:
            return False
        stall, waits = np.array(stalls), part.phases[:, 2:]
        np.add.at(counts[:, CYCLES], part.owner, stall)
        np.add.at(counts[:, FIRST_CAUSE : FIRST_CAUSE + len(CAUSES)], part.owner, stall[:, None] * waits)
    return True


def mappings(arch: Arch, unit: Unit, tasks: Sequence[Task], layers: np.ndarray | None, table: Table) -> Chosen:
    """Return the mapping of each layer, which may depend on the whole machine."""
    engine = registry.get(unit.engine)
    if engine.mapping_schema is NoMapping:
        return Chosen((), lambda _: NOTHING)
    if layers is not None:
        found = engine.mappings_of_many(layers, unit.params, machine_view(arch), arch.mapping)
        if found is not None:
            return found
    mappings = tuple(mapping_of(arch, unit, task.view, None, table)[0] for task in tasks)
    return Chosen(mappings, mappings.__getitem__)


def _at_once(arch: Arch, unit: Unit, tasks: Sequence[Task], seed: int, kept: Kept) -> Walked | None:
    """Return layers counted together; None where the engine has no such form, or one of them is to be walked alone."""
    engine = registry.get(unit.engine)
    looks = tuple(getattr(unit.params, name) for name in engine.looks)
    key = ("looked up", unit.engine, looks, tuple(task.view.name for task in tasks))
    looked = kept.get(key)
    if looked is None:
        try:
            layers = [(task.view, handle.of(task.view, seed, task.values())) for task in tasks]
            looked = engine.looked_up(layers, unit.params)
        except UserError:  # which of the layers is not to be counted, and why, others say
            return None
        if looked is None:
            return None
        _WALKS.engines = {*getattr(_WALKS, "engines", ()), unit.engine}
        kept.put(key, looked)
    counted = engine.counted(looked, unit.params, machine_view(arch))
    primary = engine.units(unit.params)[engine.primary]
    if counted is None:
        return None
    causes = counted.table[:, FIRST_CAUSE : FIRST_CAUSE + len(counted.causes)]
    closes = (causes.sum(axis=1) == counted.table[:, CYCLES] * primary).all()
    if not (counted.table[:, KNOWN].all() and closes and 0 <= counted.table.min() <= counted.table.max() < EXACT):
        return None
    table = np.zeros((len(tasks), FIRST_CAUSE + len(CAUSES) + len(counted.events)), np.int64)
    places = [*range(FIRST_CAUSE), *(FIRST_CAUSE + CAUSES.index(cause) for cause in counted.causes)]
    places += range(FIRST_CAUSE + len(CAUSES), table.shape[1])
    table[:, places] = counted.table
    nothing = np.zeros((0, 2 + len(CAUSES)), np.int64)
    return Walked(table, counted.rows, counted.first, nothing, nothing[:, 0], primary, counted.events)


def _one(
    arch: Arch, unit: Unit, task: Task, chosen: Chosen, i: int, seed: int, kept: Kept, hardware: Any
) -> Walked | None:
    """Return the i-th layer, walked if it has not been; None for counts that are too large."""
    key = (hardware, task.view.name, chosen.keys[i : i + 1])
    primary = registry.get(unit.engine).units(unit.params)[registry.get(unit.engine).primary]
    part = kept.get(key)
    if part is None:
        note_walk(unit.engine)
        front = front_of(arch, unit, task, Options(seed), chosen.mapping(i))
        part = _part(arch, unit, front.activity, machine_view(arch).dram)
        if part is not None:
            kept.put(key, part)
    return None if part is None else _spread(part, primary)


def _spread(part: Walked, primary: int) -> Walked:
    """Return layers on so many primary units: those that a mapping does not use do nothing."""
    if primary == part.primary:
        return part
    table = part.table.copy()
    table[:, UNMAPPED] += (primary - part.primary) * table[:, CYCLES]
    return part._replace(table=table, primary=primary)


def _part(arch: Arch, unit: Unit, activity: Activity, dram: DramModel) -> Walked | None:
    """Lay an activity out in rows."""
    engine, components = registry.get(unit.engine), unit_components(arch, unit)
    counted = events(components, activity)
    moved = [counted.pop(Event("dram", way), 0) for way in ("read", "write")]
    apart = ("dram", *CLOCKED)
    named = tuple(Event(c.name, action) for c in components if c.kind not in apart for action in c.actions)
    units = {c.unit: c.per_units for c in components if isinstance(c, Registers) and c.unit != engine.primary}
    if not counted.keys() <= set(named):
        return None
    causes = activity.accounts[engine.primary]
    phases = [[p.compute_cycles, p.bus_bits, *(p.waits.get(cause, 0) for cause in CAUSES)] for p in activity.phases]
    stalls = [phase.stall_cycles(dram.bits_per_cycle) for phase in activity.phases]
    # what does not depend on the bandwidth
    cycles = activity.compute_cycles - sum(stalls)
    if phases and cycles != sum(phase.compute_cycles for phase in activity.phases):
        raise ModelError(f"phases compute {sum(p.compute_cycles for p in activity.phases)} cycles, not {cycles}")
    waits = [sum(phase[2 + i] * s for phase, s in zip(phases, stalls, strict=True)) for i in range(len(CAUSES))]
    row = [1, cycles, *moved, activity.performed_macs]
    row += [causes.get(cause, 0) - wait for cause, wait in zip(CAUSES, waits, strict=True)]
    row += [counted.get(event, 0) for event in named]
    for kind in units:
        row += [activity.accounts[kind].get(cause, 0) for cause in CAUSES]
    rows = timeline.rows_of(() if activity.schedule is None else activity.schedule, dram)
    if rows.dtype == object or max(chain(row, *phases)) >= EXACT:
        return None
    ran = timeline.run(rows, dram) if activity.schedule is not None else None
    if ran is not None and ran.cycles - ran.stall_cycles != activity.compute_cycles:
        raise ModelError(f"tiles compute {ran.cycles - ran.stall_cycles} cycles, not {activity.compute_cycles}")
    return Walked(
        np.array([row], np.int64), rows, np.array([0, len(rows)]),
        np.array(phases, np.int64).reshape(-1, 2 + len(CAUSES)), np.zeros(len(phases), np.int64),
        engine.units(unit.params)[engine.primary], named, tuple(units.items()),
    )  # fmt: skip


def _together(parts: Sequence[Walked]) -> Walked:
    """Return the layers of several parts of a unit in one."""
    first = np.cumsum([0, *(len(part.rows) for part in parts)])
    return parts[0]._replace(
        table=np.concatenate([part.table for part in parts]),
        rows=np.concatenate([part.rows for part in parts]),
        first=first,
        phases=np.concatenate([part.phases for part in parts]),
        owner=np.repeat(np.arange(len(parts)), [len(part.phases) for part in parts]),
    )
