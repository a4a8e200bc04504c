"""What engines share that cut a layer in tiles and hold two of each tensor: everything but the unit that works on one.

An engine gives its unit (the numbers that a tile's cost depends on), the cost of a tile in closed form, a kernel that
walks a tile, and what the counts of a tile mean: causes, traffic, events. Candidates, search, bounds, plan, closed
form, walk, activity and buffers are the same for all and stand here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar

import numpy as np
from pydantic import BaseModel

from accelsim.activity import Activity, Event, Flow, Loop, Step
from accelsim.config.schema import MappingSpec
from accelsim.engine import Engine, Machine, Many
from accelsim.errors import MappingError
from accelsim.mapping import loopnest, search
from accelsim.mapping.choose import Bounds, Candidates, Choice, PriceOf
from accelsim.mapping.loopnest import TILE, LoopNest, Tiling, Widths
from accelsim.mapping.search import TiledNest, Variant
from accelsim.memory.timeline import dram_traffic
from accelsim.operands.handle import Operands
from accelsim.tiled import columns, totals
from accelsim.units import INT64_MAX, KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import PRODUCTS, Conv2d

ParamsT = TypeVar("ParamsT", bound=BaseModel)
TilingT = TypeVar("TilingT", bound=Tiling)

Count: TypeAlias = Any
"""A count of a layer, int; of candidates, ndarray of int64."""
CutLayer: TypeAlias = LoopNest | TiledNest | columns.Stack
"""A layer with its widths and its tensors at home, whether its tiling is chosen or not; or many of them."""

BUFFERS = {"input": "glb.inputs", "weight": "glb.weights", "output": "glb.outputs"}
"""Tensor -> the buffer whose halves hold its tiles."""


class TiledPlan(NamedTuple):
    """What a walk needs."""

    nest: LoopNest
    unit: Any
    params: Any
    machine: Machine
    operands: Operands


class TiledEngine(Engine[ParamsT, TilingT]):
    """Base of engines with three double-buffered buffers, ``params.input_kib``, ``weight_kib`` and ``output_kib``."""

    counts: ClassVar[Any]
    """The named tuple of a tile's counts; the first is ``cycles``."""
    what: ClassVar[str]
    """The unit in words, as the subject of "has no pool unit"."""
    operand_axes: ClassVar[tuple[int, int]] = (4, 4)
    """Axes of input and weights as `walk_tile` takes them."""

    # what an engine gives

    def unit(self, view: LayerView, params: ParamsT, fields: Mapping[str, Any]) -> Any:
        """Return the numbers that a tile's cost depends on; ``fields`` are those of the mapping beside its tiling."""
        raise NotImplementedError

    def variants(self, view: LayerView, params: ParamsT) -> tuple[Variant, ...]:
        """Return the fields that a mapping may have beside its tiling, each with the form of a tile's cycles."""
        raise NotImplementedError

    def grain(self, view: LayerView, params: ParamsT) -> tuple[tuple[int, ...], int]:
        """Return what tiles of output channels should be multiples of, and of input channels (0: never cut)."""
        raise NotImplementedError

    def cost(self, unit: Any, taps: Count, g: Count, m: Count, k: Count, c: Count) -> Any:
        """Return the `counts` of tiles.

        Tiles are of ``g`` groups, ``m`` output pixels, ``k`` output and ``c`` input channels of a group, arrays of
        int64 of one length; ``taps`` are the positions of a filter.
        """
        raise NotImplementedError

    def account(self, unit: Any, total: Any, params: ParamsT, effective_macs: int) -> dict[str, Count]:
        """Return the unit-cycles of the primary units by cause, stalls apart."""
        raise NotImplementedError

    def events(self, unit: Any, total: Any, params: ParamsT, macs: int) -> dict[Event, Count]:
        """Return the operations."""
        raise NotImplementedError

    def growth(self, params: ParamsT) -> int:
        """Return what a multiplication adds to any count at most, with some room: counts stay below 2^63."""
        raise NotImplementedError

    def walk_tile(self, plan: TiledPlan, operands: Operands | None, *tile: Any) -> np.ndarray:
        """Call the kernel of a tile with ``(span, shape, with values, x, w, out)``; return counts as `cost` does."""
        raise NotImplementedError

    # what an engine may say otherwise

    def widths(self, view: LayerView, params: ParamsT) -> Widths:
        """Return the width of elements in buffers and DRAM."""
        return loopnest.widths(view, params.accumulator_bits)  # type: ignore[attr-defined]

    def limits(self, view: LayerView, params: ParamsT) -> dict[str, int]:
        """Return the bits that a tile of each tensor may take: half of its buffer."""
        del view
        return {tensor: size // 2 for tensor, size in buffer_bits(params).items()}

    def completed(self, view: LayerView, params: ParamsT, candidates: Candidates) -> Candidates:
        """Return candidates with the fields that follow from their tiling."""
        del view, params
        return candidates

    def settled(self, unit: Any, widths: Widths, taps: Count, g: Count, m: Count, k: Count, c: Count) -> Any:
        """Return the unit with what follows from its largest tile, as `completed` does; arrays as in `cost`."""
        del widths, taps, g, m, k, c
        return unit

    def check(self, view: LayerView, params: ParamsT, mapping: TilingT, nest: LoopNest) -> None:
        """Raise MappingError for a mapping that fits and still cannot run."""

    def on_chip(self, unit: Any, total: Any, cut: CutLayer, dram: Mapping[Flow, Count]) -> dict[Flow, Count]:
        """Return the traffic of the buffers in bits; ``dram`` is what crosses their other side.

        By default counts are called ``inputs``, ``weights`` (elements read) and ``sums`` (written, and but for the
        first of each output read before).
        """
        del unit
        w, outputs = cut.widths, output_elements(cut.conv)
        spilled, returned = (dram.get(Flow("dram", "psum", way), 0) for way in ("write", "read"))
        return feeds(total, w, dram) | {
            Flow("glb.outputs", "psum", "write"): total.sums * w.psum + returned,
            Flow("glb.outputs", "psum", "read"): (total.sums - outputs) * w.psum + spilled,
            Flow("glb.outputs", "output", "read"): outputs * w.psum,
        }

    def details(self, plan: TiledPlan, total: Any) -> dict[str, int]:
        """Return figures for the report beside the number of tiles."""
        del plan, total
        return {}

    def buffer_use(self, nest: LoopNest, params: ParamsT) -> dict[str, tuple[int, int]]:
        """Return capacity and peak of each buffer: two tiles where another one follows, else one."""
        largest, follows = nest.largest_bits(), nest.follows()
        sizes = buffer_bits(params).items()
        return {BUFFERS[tensor]: (size, largest[tensor] * (1 + follows[tensor])) for tensor, size in sizes}

    def coded(self, plan: TiledPlan, operands: Operands) -> tuple[np.ndarray, np.ndarray]:
        """Return input, shape (..., n, c, h, w), and weights, shape (..., k, c per group, r, s), for `walk_tile`."""
        del plan
        x, w = operands.conv_arrays()
        return x, w

    def alike(self, unit: Any) -> Any:
        """Return a key of units whose `cost` and accounts are the same formulas, so that arrays may stand in them."""
        del unit

    def in_columns(self, unit: Any) -> bool:
        """Whether counts do not depend on operands."""
        del unit
        return True

    # what follows

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
        nest = LoopNest(view.conv, tiling, self.widths(view, params), loopnest.resident(view))
        limits = self.limits(view, params)
        loopnest.check_counts(view.name, view.conv)
        check_fit(view.name, nest, limits)
        self.check(view, params, mapping, nest)
        if view.macs * self.growth(params) > INT64_MAX:
            raise MappingError.too_many(view.name)
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


def buffer_bits(params: Any) -> dict[str, int]:
    """Return the bits of each buffer, both halves."""
    kib = {"input": params.input_kib, "weight": params.weight_kib, "output": params.output_kib}
    return {tensor: size * KIB_BITS for tensor, size in kib.items()}


def feeds(total: Any, widths: Widths, dram: Mapping[Flow, Count]) -> dict[Flow, Count]:
    """Return what the buffers of inputs and weights give to the unit, and what fills them."""
    return {
        Flow("glb.inputs", "input", "read"): total.inputs * widths.input,
        Flow("glb.inputs", "input", "write"): dram.get(Flow("dram", "input", "read"), 0),
        Flow("glb.weights", "weight", "read"): total.weights * widths.weight,
        Flow("glb.weights", "weight", "write"): dram.get(Flow("dram", "weight", "read"), 0),
    }


def output_elements(conv: Conv2d) -> int:
    """Return the outputs of a layer."""
    return conv.n * conv.k * conv.e * conv.f


def check_fit(layer: str, nest: LoopNest, limits: Mapping[str, int]) -> None:
    """Raise MappingError, naming layer, tensor and the size that would fit, unless each tile fits half a buffer."""
    needed = nest.largest_bits()
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
