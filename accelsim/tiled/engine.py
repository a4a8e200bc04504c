"""What engines share that cut a layer in tiles and hold two of each tensor: everything but the unit that works on one.

An engine gives its unit (the numbers that a tile's cost depends on), the cost of a tile in closed form, a kernel that
walks a tile, and what the counts of a tile mean: causes, traffic, events. Candidates, search, bounds, plan, closed
form, walk, activity and buffers are the same for all and stand here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from accelsim.activity import Activity, Flow, Loop, Step
from accelsim.config.schema import MappingSpec
from accelsim.engine import Chosen, Machine, Many, check_counts
from accelsim.errors import MappingError
from accelsim.mapping import loopnest, search
from accelsim.mapping.choose import Bounds, Candidates, Choice, PriceOf
from accelsim.mapping.loopnest import TILE, LoopNest, Tiling
from accelsim.mapping.search import TiledNest
from accelsim.memory.timeline import dram_traffic
from accelsim.operands.handle import Operands
from accelsim.remedy import Remedy, doubled
from accelsim.tiled import columns, totals
from accelsim.tiled.base import Count, ParamsT, TiledBase, TiledPlan, TilingT
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import PRODUCTS


class TiledEngine(TiledBase[ParamsT, TilingT]):
    """Base of engines with three double-buffered buffers: what follows from what they state."""

    def remedies(self, params: ParamsT) -> tuple[Remedy, ...]:
        """Return larger buffers."""
        return doubled(params, "memory", "input_kib", "weight_kib", "output_kib")

    def supports(self, view: LayerView, params: ParamsT) -> str | None:
        """Return why a layer cannot run: only products."""
        del params
        return None if view.kind in PRODUCTS else f"{self.what} has no {view.kind} unit"

    def tiled_nest(self, view: LayerView, params: ParamsT) -> TiledNest:
        """Return the layer as the search for its tiling sees it."""
        k_units, c_unit = self.grain(view, params)
        return TiledNest(
            view.name, view.conv, self.widths(view, params), self.limits(view, params), k_units, c_unit,
            self.variants(view, params), loopnest.resident(view),
        )  # fmt: skip

    def candidates(self, view: LayerView, params: ParamsT, machine: Machine) -> Candidates:
        """Return every tiling of the list that fits, with the engine's own fields."""
        del machine
        return self.completed(view, params, search.tilings(self.tiled_nest(view, params)))

    def search(
        self, view: LayerView, params: ParamsT, machine: Machine, objective: str, price: PriceOf,
        leak_pj_per_cycle: float,
    ) -> Choice | None:  # fmt: skip
        """Return the best mapping of the list under ``cycles`` and ``dram``."""
        del price, leak_pj_per_cycle
        choice = search.best(self.tiled_nest(view, params), machine.dram, objective)
        if choice is None:
            return None
        one = {name: np.array([value]) for name, value in choice.row.items()}
        row = {name: column[0].item() for name, column in self.completed(view, params, one).items()}
        return choice._replace(row=row)

    def bounds(self, view: LayerView, params: ParamsT, machine: Machine, candidates: Candidates) -> Bounds:
        """Return exact traffic and operations, and cycles that no candidate undercuts."""
        nest = self.tiled_nest(view, params)
        alike = [(self.unit(view, params, fields), rows) for fields, rows in self._by_fields(candidates)]
        count = len(candidates["k"])
        events: dict[tuple[str, str], np.ndarray] = {}

        def on_chip(moved: search.Measured) -> dict[tuple[str, str], np.ndarray]:
            traffic: dict[tuple[str, str], np.ndarray] = {}
            for unit, rows in alike:
                part = {name: column[rows] for name, column in candidates.items()}
                total = totals.of_candidates(nest.conv, part, lambda *tile, unit=unit: self.cost(unit, *tile))
                dram = {
                    Flow("dram", "input", "read"): moved.input[rows],
                    Flow("dram", "weight", "read"): moved.weight[rows],
                    Flow("dram", "psum", "read"): moved.spill[rows],
                    Flow("dram", "psum", "write"): moved.spill[rows],
                }
                for flow, bits in self.on_chip(unit, total, nest, dram).items():
                    _add(traffic, (flow.boundary, flow.direction), bits, rows, count)
                for event, times in self.events(unit, total, params, nest.conv.macs).items():
                    _add(events, (event.component, event.action), times, rows, count)
            return traffic

        return search.bounds(nest, machine.dram, candidates, on_chip)._replace(events=events)

    def plan(
        self, view: LayerView, operands: Operands, params: ParamsT, mapping: TilingT, machine: Machine
    ) -> TiledPlan:
        """Check that the tiles fit, that the engine can do what the mapping asks, and that no count overflows."""
        said = mapping.model_dump()
        tiling = Tiling(**{name: said.pop(name) for name in Tiling.model_fields})
        nest = LoopNest(view.conv, tiling, self.widths(view, params), loopnest.resident(view), self.whole(params))
        limits = self.limits(view, params)
        loopnest.check_counts(view.name, view.conv)
        check_fit(view.name, nest, limits)
        self.check(view, params, mapping, nest)
        check_counts(view, self.growth(params))
        return TiledPlan(nest, self.unit(view, params, said), params, machine, operands)

    def run(self, plan: TiledPlan, operands: Operands | None = None) -> Activity:
        """Walk every distinct tile; with operands, every tile with its values."""
        from accelsim.tiled import walk

        def tile(*args: Any) -> np.ndarray:
            return self.walk_tile(plan, operands, *args)

        found = walk.counts(plan.nest, tile, self.operand_axes)
        values = None if operands is None else walk.values(plan.nest, tile, operands.view, *self.coded(plan, operands))
        return self.activity(plan, found, values)

    def closed_form(self, plan: TiledPlan) -> Activity | None:
        """Evaluate the closed form of every tile in the schedule's table."""
        conv = plan.nest.conv
        counts = self.cost(plan.unit, conv.r * conv.s, *totals.tile_sizes(*plan.nest.steps[:, TILE].T))
        return self.activity(plan, np.stack(np.broadcast_arrays(*counts), axis=1), None)

    def encode(self, view: LayerView, effective_macs: int) -> tuple[int, ...] | None:
        """Return a product layer as a row of integers."""
        return columns.encode(view, effective_macs)

    def closed_form_many(
        self, layers: np.ndarray, params: ParamsT, machine: Machine, mapping: MappingSpec, price: PriceOf,
        leak_pj_per_cycle: float,
    ) -> Many | None:  # fmt: skip
        """Choose mappings and run the timeline in one kernel, and count by the same formulas as `closed_form`."""
        del price, leak_pj_per_cycle
        return columns.totals(self, layers, params, machine, mapping)

    def mappings_of_many(
        self, layers: np.ndarray, params: ParamsT, machine: Machine, mapping: MappingSpec
    ) -> Chosen | None:
        """Choose mappings in one kernel."""
        return columns.mappings(self, layers, params, machine, mapping)

    def activity(self, plan: TiledPlan, counts: np.ndarray, values: np.ndarray | None) -> Activity:
        """Add tiles up to the layer's account, traffic and schedule; ``counts`` has a row for each of its steps."""
        total = self.counts(*(plan.nest.times @ counts).tolist())
        return self.added_up(plan, total, plan.nest.schedule(counts[:, 0]), values)

    def added_up(
        self, plan: TiledPlan, total: Any, schedule: Sequence[Step | Loop], values: np.ndarray | None
    ) -> Activity:
        """Return the activity of a layer whose counts and schedule are known."""
        nest, unit, params = plan.nest, plan.unit, plan.params
        dram = dram_traffic(schedule, plan.machine.dram)
        return Activity(
            compute_cycles=total.cycles,
            accounts={self.primary: self.account(unit, total, params, plan.operands.effective_macs)},
            traffic={**dram, **self.on_chip(unit, total, nest, dram)},
            events=self.events(unit, total, params, nest.conv.macs),
            schedule=schedule,
            buffers=self.buffer_use(nest, params),
            details={"tiles": int(nest.times.sum()), **self.details(plan, total)},
            performed_macs=nest.conv.macs,
            values=values,
        )

    def _by_fields(self, candidates: Candidates) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """Yield the values that the engine's own fields have, and the candidates that have them."""
        own = [name for name in self.mapping_schema.model_fields if name not in Tiling.model_fields]
        if not own:
            yield {}, np.arange(len(candidates["k"]))
            return
        rows = list(zip(*(candidates[name].tolist() for name in own), strict=True))
        for values in dict.fromkeys(rows):
            yield dict(zip(own, values, strict=True)), np.array([i for i, row in enumerate(rows) if row == values])


def check_fit(layer: str, nest: LoopNest, limits: Mapping[str, int]) -> None:
    """Raise MappingError, naming layer, tensor and the size that would fit, unless each tile fits half a buffer."""
    needed = nest.largest_bits
    for tensor, half in limits.items():
        if needed[tensor] > half:
            raise MappingError(
                f"layer '{layer}': the {tensor} tile takes {needed[tensor]:,} bits, half the buffer holds {half:,}",
                f"cut it smaller or raise params.{tensor}_kib to {ceil_div(2 * needed[tensor], KIB_BITS)}",
            )
    if nest.tiling.groups > 1 and (nest.trips["k"], nest.trips["c"]) != (1, 1):
        raise MappingError(
            f"layer '{layer}': a tile of {nest.tiling.groups} groups must hold all their channels", "set groups: 1"
        )


def _add(sums: dict[tuple[str, str], np.ndarray], key: tuple[str, str], more: Count, rows: np.ndarray, n: int) -> None:
    if key not in sums:
        sums[key] = np.zeros(n, dtype=np.int64)
    sums[key][rows] += more
