"""Vector unit for what does not multiply and accumulate: pooling, elementwise work, normalisation, softmax.

Source: no published machine; the generic vector unit beside a matrix unit, as in N. P. Jouppi et al., "In-Datacenter
Performance Analysis of a Tensor Processing Unit", ISCA 2017, section 2 (activation and pooling hardware).

Modelled:
- Lanes in lockstep: an operation takes all of them for one cycle, a special one (exp, tanh, erf, power, quotient,
  root) for special_cycles; lanes beyond the last element idle, as do lanes whose window tap lies outside the image.
- Operations per output element as in the table below; independent elements fill the lanes across rows.
- Softmax and layer normalisation spread one row over the lanes, then combine partial results pairwise.
- A double-buffered scratchpad: half of it holds a tile's inputs, outputs and intermediate results; tiles are chosen
  or pinned. Operands that are broadcast are fetched once and stay, or with each tile where they do not fit.
- A reduced row that does not fit is read three times, in pieces; its differences and exponentials are computed twice.
- Pooling fetches the input rows under its output rows, rows shared by two tiles twice.

Not modelled:
- Ports and banks of the scratchpad, and the time to broadcast, shift or transpose operands.
- Rounding of results to the width of the output; folding of a batch normalisation's statistics.
- Values of scalar constants, scales, shifts and clip bounds: 1, 0 and 0 to 6 stand for them; interpolation gives one
  of its points.

Assumed:
- Results are forwarded: the pipeline's latency is paid once per tile.
- Logarithm, sine, cosine and remainder are special operations like the others; logic and choices are compares.
- special_cycles and latency_cycles where a machine does not say otherwise.
- A zero operand is worked on like any other, so that all work is busy.
- Every operation reads and writes the lane's accumulator once.
- Windows recompute squares (lrn) and taps that they share with their neighbours.

====================== ============================================== =============================================
layer                  operations per output element                  per row (P = min(lanes, row), D = ceil(log2 P))
====================== ============================================== =============================================
max, min pool          r s compares
sum pool               r s adds
average pool           r s adds, 1 special (quotient)
k operands             k - 1 of add, mul, compare, special (div)
                       (div, pow, mod), compares for comparisons,
                       logic and where
prelu                  1 mul, 1 compare
relu, abs, not         1 compare
copy, cast, neg,       1 add
floor, ceil, round
clip, sign             2 compares
exp, tanh, erf, sqrt,  1 special
reciprocal, log, sin,
cos
softplus               1 add, 2 specials (exp, log)
softsign               1 add, 1 compare, 1 special (quotient)
elu                    1 add, 1 mul, 1 compare, 1 special (exp)
quantize               1 mul, 1 add, 2 compares
linear, bilinear,      1, 3, 7 times 1 mul, 2 adds
trilinear (resize)
sigmoid, swish         1 add, 2 specials (exp, quotient)
hardsigmoid            1 mul, 1 add, 2 compares
hardswish              2 muls, 1 add, 2 compares
leakyrelu              1 mul, 1 compare
gelu                   3 muls, 1 add, 1 special
gelu_tanh              4 muls, 2 adds, 2 specials (exp, quotient)
batch, affine          1 mul, 1 add
lrn of size t          t + 1 muls, t + 1 adds, 2 specials (power,
                       quotient)
layer normalisation    2 muls, 3 adds, with gain and shift 1 more     2 D cycles of P - 1 adds in all; 1 lane: 1 add,
                       each                                           3 specials
softmax                1 compare, 2 adds, 2 specials (exp, quotient)  D cycles of compares, D of adds, P - 1 each
====================== ============================================== =============================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Activity, Flow
from accelsim.components import Alu, Component, Link, RegisterFile, Registers, Sram
from accelsim.config.schema import MappingSpec, Strict
from accelsim.engine import Chosen, Engine, Machine, Many, Sample, Word
from accelsim.engines.vector import columnar, passes, sample, tiles
from accelsim.engines.vector.program import BINARY, OTHERS, UNARY, Counts, Tree, account, events, tile_cost
from accelsim.engines.vector.tiles import Cut, Pieces, Work
from accelsim.errors import MappingError
from accelsim.mapping.choose import Bounds, Candidates, PriceOf
from accelsim.memory import timeline
from accelsim.memory.timeline import dram_traffic
from accelsim.operands.handle import Operands
from accelsim.remedy import Remedy, doubled
from accelsim.units import INT64_MAX, KIB_BITS
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Elementwise, Normalization, Pool, Softmax, elements

MAX_POOL = 1 << 16
"""Most taps of a window, and most output rows or columns of pooling."""


class Params(Strict):
    """A vector unit and its scratchpad."""

    lanes: int = Field(ge=1, le=1 << 16, description="ALU lanes, each one operation per cycle")
    lane_bits: int = Field(32, ge=2, le=64, description="width of a lane and of intermediate results")
    buffer_kib: int = Field(ge=1, le=1 << 22, description="scratchpad, both halves")
    special_cycles: int = Field(
        4, ge=1, le=1024, description="cycles between two exp, tanh, erf, power, quotient or root operations of a lane"
    )
    latency_cycles: int = Field(8, ge=0, le=4096, description="pipeline depth from scratchpad to scratchpad")


class Plan(NamedTuple):
    """What a walk needs."""

    view: LayerView
    work: Work
    cut: Cut
    pieces: tuple[Pieces, ...]
    params: Params
    machine: Machine
    piece: int
    """Elements of a piece of a row that does not fit; 0 where whole rows do."""

    @property
    def refetched(self) -> int:
        """Operands that are broadcast and cannot stay in the scratchpad."""
        broadcast = sum(s.stays for s in tiles.work(self.view, self.params.lane_bits).streams)
        return broadcast if self.piece else broadcast - sum(s.stays for s in self.work.streams)


class Vector(Engine[Params, Cut]):
    """The engine of this folder."""

    name = "vector"
    params_schema = Params
    mapping_schema = Cut
    primary = "lanes"
    support_params = ("lane_bits",)

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return a larger scratchpad."""
        return doubled(params, "memory", "buffer_kib")

    def units(self, params: Params) -> dict[str, int]:
        """Return the lanes."""
        return {"lanes": params.lanes}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only memory-bound kinds, and known operations."""
        del params
        shape = view.shape
        if not isinstance(shape, Pool | Elementwise | Normalization | Softmax):
            return f"a vector unit has no {view.kind} unit"
        if isinstance(shape, Pool) and max(shape.r * shape.s, shape.e, shape.f) > MAX_POOL:
            return f"pooling has at most {MAX_POOL:,} taps, output rows and columns here"
        if isinstance(shape, Normalization) and shape.op == "lrn" and shape.size > MAX_POOL:
            return f"a local response normalisation has at most {MAX_POOL:,} taps here"
        if isinstance(shape, Elementwise):
            if shape.op not in UNARY and shape.op not in (*BINARY, *OTHERS):
                return f"a vector unit has no operation '{shape.op}'"
            for operand in (*shape.input_shapes, *(t.shape for t in view.weights)):
                if not _reaches(operand, shape.shape):
                    return f"'{shape.op}' from {operand} to {shape.shape} moves elements"
        return None

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the width of a lane."""
        del view
        return dict.fromkeys(("input", "weight", "output"), Word(params.lane_bits, "lanes"))

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return lanes, their accumulators, the links between them and the scratchpad."""
        lanes, bits = params.lanes, params.lane_bits
        return (
            Alu("lanes", lanes, bits=bits),
            RegisterFile("pe", lanes, size_bits=bits, width_bits=bits),
            Registers(
                "registers",
                lanes,
                clocked_bits=3 * bits + 8,
                gated_words=1,
                source="assumed: two operands, a result, 8 bits of control; gated: the accumulator",
            ),
            Link("array", lanes, width_bits=bits),
            Sram("glb", 1, size_bits=params.buffer_kib * KIB_BITS, width_bits=lanes * bits),
        )

    def candidates(self, view: LayerView, params: Params, machine: Machine) -> Candidates:
        """Return the cuts worth trying, large tiles first."""
        del machine
        work, buffer_bits = _counted_work(view, params), params.buffer_kib * KIB_BITS
        if passes.size(work, buffer_bits, params.lanes):
            found = [Cut(rows=1)]
        else:
            found = tiles.cuts(work, buffer_bits, params.lanes)
        return {name: np.array([getattr(c, name) for c in found], dtype=np.int64) for name in ("rows", "channels")}

    def bounds(self, view: LayerView, params: Params, machine: Machine, columns: Candidates) -> Bounds:
        """Return the exact cycles and traffic of each cut: there are few."""
        work = _counted_work(view, params)
        cycles, moved = [], []
        events: dict[tuple[str, str], int] = {}  # the same for all
        for rows, channels in zip(columns["rows"].tolist(), columns["channels"].tolist(), strict=True):
            activity = self.closed_form(_plan(view, work, params, Cut(rows=rows, channels=channels), machine))
            cycles.append(timeline.run(activity.schedule or (), machine.dram).cycles)
            traffic: dict[tuple[str, str], int] = {}
            for flow, bits in activity.traffic.items():
                key = (flow.boundary, flow.direction)
                traffic[key] = traffic.get(key, 0) + bits
            events = {(event.component, event.action): count for event, count in activity.events.items()}
            moved.append(traffic)
        table = {key: np.array([t.get(key, 0) for t in moved], dtype=np.int64) for key in moved[0]}
        dram_bits = sum((bits for (boundary, _), bits in table.items() if boundary == "dram"), np.int64(0))
        return Bounds(np.array(cycles, dtype=np.int64), np.asarray(dram_bits), table, events=events)

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: Cut, machine: Machine) -> Plan:
        """Check that the tiles fit and that no count can overflow."""
        del operands
        buffer_bits = params.buffer_kib * KIB_BITS
        plan = _plan(view, _counted_work(view, params), params, mapping, machine)
        work, largest = plan.work, max((tile for _, tile in tiles.tiles(plan.pieces)), key=plan.work.tile_bits)
        if not plan.piece and work.resident_bits + 2 * work.tile_bits(largest) > buffer_bits:
            raise tiles.too_large(work, largest, buffer_bits)
        return plan

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk every distinct tile; with operands, every tile with its values."""
        from accelsim.engines.vector import walk

        view, work, lanes = plan.view, plan.work, (plan.params.lanes, plan.params.special_cycles)
        counts: dict[Any, tuple[int, ...]]
        values = None
        if plan.piece:
            counts = {**walk.pass_counts(view, work, plan.piece, lanes)}
            if operands is not None:
                values = walk.pass_values(view, work, plan.piece, lanes, operands, counts)
        else:
            counts = {**walk.counts(view, work, tiles.tiles(plan.pieces), lanes)}
            if operands is not None:
                values = walk.values(view, work, plan.cut, lanes, operands, counts)
        latency = plan.params.latency_cycles
        return _activity(plan, {t: Counts(c[0] + latency, *c[1:]) for t, c in counts.items()}, values)

    def closed_form(self, plan: Plan) -> Activity:
        """Evaluate the closed form of every distinct tile."""
        p, work = plan.params, plan.work
        unit = (p.lanes, p.special_cycles, p.latency_cycles)
        if plan.piece:
            some = {part: passes.cost(work, part, *unit) for _, part in passes.row(work, plan.piece)}
            return _activity(plan, some, None)
        counts = {
            tile: tile_cost(work.program, *unit, work.size(tile), tile.taps * tile.channels)
            for _, tile in tiles.tiles(plan.pieces)
        }
        return _activity(plan, counts, None)

    def encode(self, view: LayerView, effective_macs: int) -> tuple[int, ...] | None:
        """Return a layer as `columnar.Row`."""
        del effective_macs  # there are none
        return columnar.encode(view)

    def closed_form_many(
        self, layers: np.ndarray, params: Params, machine: Machine, mapping: MappingSpec, price: PriceOf,
        leak_pj_per_cycle: float,
    ) -> Many | None:  # fmt: skip
        """Choose cuts and run the timeline in one kernel, and count by the same formulas as `closed_form`."""
        if mapping.fixed:
            return None
        unit, parts = _lanes(params), self.components(params)
        return columnar.totals(layers, unit, machine.dram, mapping.objective, price, leak_pj_per_cycle, parts)

    def mappings_of_many(
        self, layers: np.ndarray, params: Params, machine: Machine, mapping: MappingSpec
    ) -> Chosen | None:
        """Choose cuts in one kernel."""
        return None if mapping.fixed else columnar.mappings(layers, _lanes(params), machine.dram, mapping.objective)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer of any kind that runs here, cut at random."""
        return sample.sample(rng)


def _lanes(params: Params) -> columnar.Unit:
    """Return the unit as columns take it."""
    p = params
    return columnar.Unit(p.lanes, p.lane_bits, p.buffer_kib * KIB_BITS, p.special_cycles, p.latency_cycles)


def _counted_work(view: LayerView, params: Params) -> Work:
    """Return a layer as rows to be cut; MappingError if a count could leave 64 bits."""
    work = tiles.settled(tiles.work(view, params.lane_bits), params.buffer_kib * KIB_BITS)
    p = work.program
    each = p.per_element.plus(p.per_tap.times(p.window)).plus(p.trees).plus(p.scalars).cycles(params.special_cycles)
    if work.elements * (each * 32 + params.latency_cycles) * params.lanes * params.lane_bits > INT64_MAX // 4:
        raise MappingError.too_many(view.name)
    return work


def _reaches(operand: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether an operand has the result's elements or is broadcast to it."""
    if elements(operand) == elements(shape):
        return True
    ahead = len(shape) - len(operand)
    return ahead >= 0 and all(size in (1, whole) for size, whole in zip(operand, shape[ahead:], strict=True))


def _plan(view: LayerView, work: Work, params: Params, cut: Cut, machine: Machine) -> Plan:
    """Return the plan of a cut, whether it fits or not; a row that does not fit goes in pieces, one row at a time."""
    piece = passes.size(work, params.buffer_kib * KIB_BITS, params.lanes) if cut.rows == 1 else 0
    return Plan(view, work, cut, tiles.pieces(work, cut), params, machine, piece)


def _activity(plan: Plan, counts: Mapping[Any, Counts], values: np.ndarray | None) -> Activity:
    """Add tiles, or pieces of rows, up to the layer's account, traffic and schedule."""
    work, params = plan.work, plan.params
    facts, stays = work.facts(plan.view.shape), work.resident_bits
    cycles = {tile: c.cycles for tile, c in counts.items()}
    cut: list[tuple[int, Any]]
    if plan.piece:
        cut = [(work.rows * times, part) for times, part in passes.row(work, plan.piece)]
        schedule = passes.schedule(work, plan.piece, cycles)
        largest, stays = passes.bits(work, plan.piece), 0
        facts = facts._replace(reads=passes.TURNS * facts.elements, scratch_bits=0)
    else:
        cut = [*tiles.tiles(plan.pieces)]
        schedule = tiles.schedule(work, plan.pieces, cycles)
        largest = max(work.tile_bits(tile) for _, tile in cut)
    count = sum(times for times, _ in cut)
    total = Counts(*(sum(times * counts[tile][i] for times, tile in cut if times) for i in range(len(Counts._fields))))
    dram = dram_traffic(schedule, plan.machine.dram)
    came = dram.get(Flow("dram", "input", "read"), 0), dram.get(Flow("dram", "weight", "read"), 0)
    tree = Tree.of(params.lanes, work.program.length)
    refetched = {"refetched": plan.refetched} if plan.refetched else {}
    return Activity(
        compute_cycles=total.cycles,
        accounts={"lanes": account(total, count * params.latency_cycles * params.lanes)},
        traffic={**dram, **facts.traffic(tree, params.lane_bits, sum(total.ops), came)},
        events=events(total),
        schedule=schedule,
        buffers={"glb": (params.buffer_kib * KIB_BITS, stays + largest * min(2, count))},
        details={"tiles": count, **({"passes": passes.TURNS} if plan.piece else {}), **refetched},
        values=values,
    )


ENGINE = Vector()
