"""The layers of points on one clock: mappings chosen for all at once, and each walked once where only memory changes.

See docs/decisions/0107-clocked-points.md. What comes out are results as `accelsim.layer.simulate_layer` gives them, to
be put on the clock by the plain path; only what the mapper saw is not among their details.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from accelsim import simulation
from accelsim.charges import table_of
from accelsim.config.arch import Arch
from accelsim.engines import registry
from accelsim.errors import FitError
from accelsim.explore.sweep import retimed
from accelsim.layer import Front, Options, Task, front_of, machine_view, result_of, simulate_layer
from accelsim.operands import handle
from accelsim.operands.handle import MacCounts
from accelsim.results import LayerResult
from accelsim.workload.network import Network, is_view


class Block(NamedTuple):
    """Distinct layers of one unit (of the machine dealt first), their rows for its engine (None if it has no such
    form), and what is counted of their operands."""

    unit: int
    tasks: tuple[Task, ...]
    rows: np.ndarray | None
    counts: tuple[MacCounts, ...]


class Deal(NamedTuple):
    """Who runs which layer of a folded network: the same for all machines whose units support the same.

    Attributes
    ----------
    blocks : tuple of Block
        Their layers are numbered through.
    places : tuple of int or LayerResult
        Of each layer with work its number, or what is said of one that no unit runs.
    """

    blocks: tuple[Block, ...]
    places: tuple[int | LayerResult, ...]

    @property
    def whole(self) -> bool:
        """Whether there is a unit for every layer."""
        return all(isinstance(at, int) for at in self.places)


def deal(arch: Arch, network: Network, chosen: Collection[str], seed: int) -> Deal:
    """Deal the layers of a folded network out to units; ``chosen`` are those that are to run."""
    found: list[dict[Any, Task]] = [{} for _ in arch.units]
    dealt: list[LayerResult | tuple[int, Any]] = []
    for layer in network.layers:
        if is_view(layer):
            continue
        task = Task(network.view(layer), reason=simulation.NOT_SELECTED)
        if layer.name in chosen:
            task = simulation.task_for(arch, network, layer, None, {}, "skip")
        if task.unit is None:
            dealt.append(simulate_layer(arch, task, Options()))
            continue
        unit, key = arch.units.index(task.unit), simulation.likeness(task) or layer.name
        found[unit].setdefault(key, task)
        dealt.append((unit, key))
    numbers = {(unit, key): 0 for unit, tasks in enumerate(found) for key in tasks}
    numbers = {at: number for number, at in enumerate(numbers)}
    blocks = tuple(_block(arch, unit, tasks, seed) for unit, tasks in enumerate(found) if tasks)
    return Deal(blocks, tuple(numbers[at] if isinstance(at, tuple) else at for at in dealt))


def _block(arch: Arch, unit: int, tasks: Mapping[Any, Task], seed: int) -> Block:
    engine = registry.get(arch.units[unit].engine)
    counts = tuple(handle.of(task.view, seed, task.values()).counts for task in tasks.values())
    rows = [engine.encode(t.view, c.effective_macs) for t, c in zip(tasks.values(), counts, strict=True)]
    known = [row for row in rows if row is not None]
    coded = np.array(known, np.int64) if len(known) == len(rows) else None
    return Block(unit, tuple(tasks.values()), coded, counts)


class Kept:
    """What was walked of the layers of a deal, by all of a unit and of DRAM that decides it; the oldest goes first."""

    def __init__(self) -> None:
        self.units: OrderedDict[Any, dict[Any, Front]] = OrderedDict()

    def of(self, hardware: Any) -> dict[Any, Front]:
        """Return what is known of a unit: (number of the layer, its mapping) -> what was walked; to be filled."""
        found = self.units.setdefault(hardware, {})
        self.units.move_to_end(hardware)
        if len(self.units) > MOST_UNITS:
            self.units.popitem(last=False)
        if len(found) > MOST_FRONTS:
            found.clear()
        return found


MOST_UNITS, MOST_FRONTS = 32, 1024
"""Units whose layers are kept, and how many of one: another bandwidth may choose another mapping."""


def results(arch: Arch, dealt: Deal, seed: int, kept: Kept) -> list[LayerResult] | None:
    """Return a result for each layer with work; None where one does not fit: which, and why, the plain path says.

    Layers that are alike share a result, and a name. With a DRAM device a layer that models memory by itself is walked
    again, with operands, which are not kept here: None too.
    """
    ran: list[LayerResult] = []
    options = Options(seed, trace=True, brief=True)
    try:
        for block in dealt.blocks:
            some = _ran(arch, block, options, kept)
            if some is None:
                return None
            ran += some
    except FitError:
        return None
    return [ran[at] if isinstance(at, int) else at for at in dealt.places]


def _ran(arch: Arch, block: Block, options: Options, kept: Kept) -> list[LayerResult] | None:
    unit, engine, dram = arch.units[block.unit], registry.get(arch.units[block.unit].engine), machine_view(arch).dram
    chosen = retimed.mappings(arch, unit, block.tasks, block.rows, table_of(arch))
    inside = tuple(getattr(dram, name) for name in engine.dram_inside)
    known = kept.of((unit, tuple(arch.clocks_mhz.items()), dram.burst_bits, inside))
    found = []
    for i, task in enumerate(block.tasks):
        at = (i, chosen.keys[i : i + 1])
        front = known.get(at) or known.get((at, dram))
        if front is None:
            if engine.walks(unit.params):
                retimed.note_walk(unit.engine)
            front = front_of(arch, unit, task, options, chosen.mapping(i), counts=block.counts[i])
            front = front._replace(operands=None, plan=None)
            known[(at, dram) if front.rows is None else at] = front  # without rows, the bus is inside
        if front.rows is None and arch.memory.dram.device is not None:
            return None
        found.append(result_of(arch, unit, task, options, front))
    return found
