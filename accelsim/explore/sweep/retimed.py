"""Layers of engines that are walked: each once, then timed anew where only DRAM's speed or prices change.

See ``docs/decisions/0080-retimed.md``. An activity with a schedule says nothing of bandwidth or latency: only how long
bursts are changes it. So it is kept, as a row of counts and its schedule in rows, and another point costs one timeline.
An engine that models its memory itself (no schedule) is kept for the very same DRAM alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import CAUSES, Activity, Event
from accelsim.config.arch import Arch, Unit
from accelsim.energy import Table
from accelsim.engine import Many, NoMapping
from accelsim.engines import registry
from accelsim.errors import FitError, ModelError
from accelsim.layer import Task, events, machine_view, mapping_of, unit_components, walked
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel

KNOWN, CYCLES, READ, WRITE, PERFORMED, FIRST_CAUSE = range(6)
"""Columns of `Many.table`."""
MEMORY = FIRST_CAUSE + CAUSES.index("memory")
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
    primary : int
        Primary units.
    events : tuple of Event
    dram : DramModel or None
        The only DRAM for which this holds, or None.
    """

    table: np.ndarray
    rows: np.ndarray
    first: np.ndarray
    primary: int
    events: tuple[Event, ...]
    dram: DramModel | None

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return self.table.nbytes + self.rows.nbytes + self.first.nbytes


@dataclass
class Kept:
    """What was walked of the layers of a network, by all that decides it, the least recently used first."""

    parts: OrderedDict[Any, Walked] = field(default_factory=OrderedDict)
    nbytes: int = 0

    def get(self, key: Any) -> Walked | None:
        """Return what is kept under a key."""
        if key in self.parts:
            self.parts.move_to_end(key)
        return self.parts.get(key)

    def put(self, key: Any, part: Walked) -> None:
        """Keep a part in place of an earlier one of this key, and no more in all than `MOST_BYTES` but for this one."""
        earlier = self.parts.pop(key, None)
        self.nbytes += part.nbytes - (0 if earlier is None else earlier.nbytes)
        while self.parts and self.nbytes > MOST_BYTES:
            self.nbytes -= self.parts.popitem(last=False)[1].nbytes
        self.parts[key] = part


def totals(arch: Arch, unit: Unit, tasks: Sequence[Task], seed: int, table: Table, kept: Kept) -> Many | None:
    """Return the totals of layers on a unit, walked only if they have not been; None where one is for the plain path.

    ``tasks`` are of this network and may be of another machine.
    """
    dram = machine_view(arch).dram
    hardware = (unit.engine, unit.params, tuple(arch.clocks_mhz.items()), dram.burst_bits)
    try:
        mappings = _mappings(arch, unit, tasks, table)
        key = (hardware, tuple(task.view.name for task in tasks), mappings)
        part = kept.get(key)
        if part is None or part.dram not in (None, dram):
            pairs = zip(tasks, mappings, strict=True)
            ones = [_one(arch, unit, task, mapping, seed, kept, hardware) for task, mapping in pairs]
            known = [one for one in ones if one is not None]
            if len(known) < len(ones):
                return None
            part = known[0] if len(known) == 1 else _together(known)
            kept.put(key, part)
    except FitError:
        return None
    cycles = np.array(timeline.run_each(part.rows, part.first, dram), dtype=object)
    counts, timed = part.table.copy(), np.diff(part.first) > 0
    stall = np.where(timed, cycles - counts[:, CYCLES], 0)
    if max((cycles.max(), (stall * part.primary).max())) >= EXACT:
        return None
    counts[:, MEMORY] += (stall * part.primary).astype(np.int64)
    counts[:, CYCLES] += stall.astype(np.int64)
    return Many(counts, CAUSES, part.events)


def _mappings(arch: Arch, unit: Unit, tasks: Sequence[Task], table: Table) -> tuple[Any, ...]:
    """Return the mapping of each layer, which may depend on the whole machine."""
    if registry.get(unit.engine).mapping_schema is NoMapping:
        return (NoMapping(),) * len(tasks)
    return tuple(mapping_of(arch, unit, task.view, None, table)[0] for task in tasks)


def _one(arch: Arch, unit: Unit, task: Task, mapping: Any, seed: int, kept: Kept, hardware: Any) -> Walked | None:
    """Return one layer, walked if it has not been; None for counts that are too large."""
    dram, key = machine_view(arch).dram, (hardware, task.view.name, mapping)
    part = kept.get(key)
    if part is None or part.dram not in (None, dram):
        part = _part(arch, unit, walked(arch, unit, task, mapping, seed), dram)
        if part is not None:
            kept.put(key, part)
    return part


def _part(arch: Arch, unit: Unit, activity: Activity, dram: DramModel) -> Walked | None:
    """Lay an activity out in rows."""
    engine, components = registry.get(unit.engine), unit_components(arch, unit)
    counted = events(components, activity)
    moved = [counted.pop(Event("dram", way), 0) for way in ("read", "write")]
    named = tuple(Event(c.name, action) for c in components if c.name != "dram" for action in c.actions)
    if not counted.keys() <= set(named):
        return None
    causes = activity.accounts[engine.primary]
    row = [1, activity.compute_cycles, *moved, activity.performed_macs, *(causes.get(cause, 0) for cause in CAUSES)]
    row += [counted.get(event, 0) for event in named]
    rows = timeline.rows_of(() if activity.schedule is None else activity.schedule, dram)
    if rows.dtype == object or max(row) >= EXACT:
        return None
    ran = timeline.run(rows, dram) if activity.schedule is not None else None
    if ran is not None and ran.cycles - ran.stall_cycles != activity.compute_cycles:
        raise ModelError(f"tiles compute {ran.cycles - ran.stall_cycles} cycles, not {activity.compute_cycles}")
    return Walked(
        np.array([row], np.int64), rows, np.array([0, len(rows)]), engine.units(unit.params)[engine.primary], named,
        dram if activity.schedule is None else None,
    )  # fmt: skip


def _together(parts: Sequence[Walked]) -> Walked:
    """Return the layers of several parts of a unit in one."""
    first = np.cumsum([0, *(len(part.rows) for part in parts)])
    return parts[0]._replace(
        table=np.concatenate([part.table for part in parts]),
        rows=np.concatenate([part.rows for part in parts]),
        first=first,
        dram=next((part.dram for part in parts if part.dram is not None), None),
    )
