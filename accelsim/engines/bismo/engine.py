"""Bit-serial matrix product overlay: AND and popcount over pairs of bit planes (BISMO).

Source: Y. Umuroglu, L. Rasnayake, M. Sjalander, "BISMO: A Scalable Bit-Serial Matrix Multiplication Overlay for
Reconfigurable Computing", FPL 2018; cycle rules after the released design EECS-NTNU/bismo.

Modelled:
- Dm x Dn dot products of Dk bits: a cycle per pair of planes and part of K; planes along anti-diagonals from the top,
  one shift each, negated where exactly one is a sign plane.
- Fetch, execute and result stages that overlap tile by tile: a stripe of the right-hand side per column of tiles, a
  stripe of the left-hand side per tile, results written one by one.
- Padding to the array, which is stored, fetched and computed; the drain of the adder tree.
- Legality: four stripes fit each operand memory; a block of a stripe stays below 32 KiB.

Not modelled:
- Bias; the host, which lowers convolutions and cuts matrices in planes: operands stand in memory in that form.
- The token queues' depths beyond double buffering: tiles overlap with their neighbours only.
- The FPGA: energy is that of the table's cells.

Assumed:
- Timing is unverified: taken from the design's source, not co-simulated.
- Instructions issue back to back; `instruction_cycles` adds to each pair of planes.
- Groups of a layer are products of their own, one after another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydantic import Field, model_validator

from accelsim.activity import Activity, Event
from accelsim.components import Alu, Component, Registers, Sram
from accelsim.config.schema import MappingSpec, Strict
from accelsim.engine import Engine, Machine, Many, NoMapping, Sample, Word, too_wide
from accelsim.engines.bismo import cost, sample
from accelsim.engines.bismo.cost import ADDER_DEPTH, RESULT_BITS, STRIPES_HELD, Cut
from accelsim.errors import MappingError
from accelsim.mapping.choose import PriceOf
from accelsim.memory.timeline import moved
from accelsim.operands.handle import Operands
from accelsim.remedy import Remedy, doubled, reshaped
from accelsim.units import INT64_MAX, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import PRODUCTS

BLOCK_BITS = 8 * 2**15
"""Largest block of one plane of a stripe."""

MOST_COUNT = INT64_MAX // 4
"""Of gate-cycles."""


class Params(Strict):
    """A dot-product array and its operand memories."""

    dm: int = Field(ge=1, le=64, description="rows of results")
    dk: int = Field(ge=32, le=512, description="bits of a dot product: 32, 64, 128, 256 or 512")
    dn: int = Field(ge=1, le=64, description="columns of results")
    lhs_entries: int = Field(1024, ge=1, le=1 << 20, description="words of dk bits per row of the left-hand memory")
    rhs_entries: int = Field(1024, ge=1, le=1 << 20, description="words of dk bits per column of the right-hand memory")
    operand_bits: int = Field(8, ge=1, le=16, description="widest operand")
    instruction_cycles: int = Field(0, ge=0, le=1000, description="cycles of an instruction beside its dot products")

    @model_validator(mode="after")
    def _coherent(self) -> Params:
        if self.dk not in ADDER_DEPTH:
            raise ValueError(f"dk {self.dk} has no adder tree; use one of {', '.join(map(str, ADDER_DEPTH))}")
        return self


class Plan(NamedTuple):
    """What a walk needs."""

    cut: Cut
    params: Params
    machine: Machine
    macs: int
    outputs: int
    effective_macs: int


class Bismo(Engine[Params, NoMapping]):
    """The engine of this folder."""

    name = "bismo"
    params_schema = Params
    primary = "gates"
    support_params = ("operand_bits",)

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return another shape of the array, shorter dot products of more results, larger memories."""
        half = {"dk": params.dk // 2, "dn": 2 * params.dn}
        shapes = (*reshaped(params, "dm", "dn"), Remedy(half, ("padding", "fill_drain")))
        return (*shapes, *doubled(params, "memory", "lhs_entries", "rhs_entries"))

    def units(self, params: Params) -> dict[str, int]:
        """Return the AND gates."""
        return {"gates": params.dm * params.dk * params.dn}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products, of operands whose sums fit an accumulator."""
        if view.kind not in PRODUCTS:
            return f"a matrix product overlay has no {view.kind} unit"
        if (wide := too_wide(view, self.words(view, params))) is not None:
            return wide
        conv = view.conv
        products = conv.c // conv.groups * conv.r * conv.s
        needed = view.input.width + view.weight.width + (products - 1).bit_length()
        if needed > RESULT_BITS:
            return f"sums of {products} products need {needed} bits, accumulators have {RESULT_BITS}"
        return None

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the width of operands and of sums."""
        del view
        operand = Word(params.operand_bits, "overlay's operands")
        return {"input": operand, "weight": operand, "output": Word(RESULT_BITS, "accumulators")}

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return gates and memories; per result two buffers."""
        p = params
        return (
            Alu("gates", p.dm * p.dk * p.dn, bits=1, parts=("adder",)),
            Registers(
                "registers",
                p.dm * p.dn,
                clocked_bits=4 * p.dk + 2 * RESULT_BITS,
                source="assumed: two operands, their products, counts within the tree, a shifted count, a sum",
            ),
            Sram("glb.inputs", p.dm, size_bits=p.lhs_entries * p.dk, width_bits=p.dk),
            Sram("glb.weights", p.dn, size_bits=p.rhs_entries * p.dk, width_bits=p.dk),
            Sram("glb.outputs", 1, size_bits=2 * p.dm * p.dn * RESULT_BITS, width_bits=p.dm * RESULT_BITS),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Check that the stripes fit the operand memories and that no count can overflow."""
        del mapping
        cut = _cut(view, params)
        lhs, rhs = cut.entries
        sides = (
            (view.input.name, "lhs_entries", params.lhs_entries, lhs, cut.lhs_stripe),
            (view.weight.name, "rhs_entries", params.rhs_entries, rhs, cut.rhs_stripe),
        )
        for tensor, key, entries, needed, stripe in sides:
            if needed > entries:
                most = entries // (STRIPES_HELD * cut.tiles[1])
                raise MappingError(
                    f"layer '{view.name}': {STRIPES_HELD} stripes of '{tensor}' take {needed} entries of {params.dk} "
                    f"bits, the memory has {entries}",
                    f"raise params.{key} to {needed}{f' or use at most {most} bits' if most else ''}",
                )
            if stripe.run_bits > BLOCK_BITS:
                raise MappingError(
                    f"layer '{view.name}': a plane of a stripe of '{tensor}' takes {ceil_div(stripe.run_bits, 8)} "
                    f"bytes, a block holds {BLOCK_BITS // 8}",
                    "use a smaller array or fewer inputs per output",
                )
        if cut.total_tiles * cut.tile_cycles * cut.units > MOST_COUNT:
            raise MappingError.too_many(view.name)
        return Plan(cut, params, machine, view.macs, view.output.elements, operands.effective_macs)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk one product; with operands, all of them with their values."""
        from accelsim.engines.bismo import walk

        counts = cost.Counts(*walk.walk(plan.cut))
        return _activity(plan, counts, None if operands is None else walk.values(plan.cut, operands))

    def closed_form(self, plan: Plan) -> Activity:
        """Evaluate the closed form."""
        return _activity(plan, cost.counted(plan.cut, plan.macs), None)

    def encode(self, view: LayerView, effective_macs: int) -> tuple[int, ...] | None:
        """Return a layer as the sizes and widths of a `Cut`, and its multiply-accumulates."""
        return None if view.macs > MOST_COUNT else (*_sizes(view), view.macs, effective_macs)

    def closed_form_many(
        self, layers: np.ndarray, params: Params, machine: Machine, mapping: MappingSpec, price: PriceOf,
        leak_pj_per_cycle: float,
    ) -> Many | None:  # fmt: skip
        """Run the timelines in one kernel, and count by the same formulas as `closed_form`."""
        from accelsim.engines.bismo import columnar

        del mapping, price, leak_pj_per_cycle  # there is nothing to choose
        cut = Cut._make((*layers.T[:6], *_array(params)))
        fits = (cut.entries[0] <= params.lhs_entries) & (cut.entries[1] <= params.rhs_entries)
        for stripe in (cut.lhs_stripe, cut.rhs_stripe):
            fits &= stripe.run_bits <= BLOCK_BITS
        return columnar.totals(cut, np.asarray(fits), layers[:, 6], layers[:, 7], machine.dram)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer of any product kind on a small array."""
        return sample.sample(rng)


def _sizes(view: LayerView) -> tuple[int, int, int, int, int, int]:
    """Return products, M, K, N, and the planes of the operands."""
    conv = view.conv
    m, k, n = conv.n * conv.e * conv.f, conv.c // conv.groups * conv.r * conv.s, conv.k // conv.groups
    return conv.groups, m, k, n, view.input.width, view.weight.width


def _array(params: Params) -> tuple[int, int, int, int]:
    return params.dm, params.dk, params.dn, params.instruction_cycles


def _cut(view: LayerView, params: Params) -> Cut:
    return Cut(*_sizes(view), *_array(params))


def _activity(plan: Plan, counts: cost.Counts, values: np.ndarray | None) -> Activity:
    """Return the layer's activity."""
    cut, p = plan.cut, plan.params
    more = cut.total_tiles > 1
    return Activity(
        compute_cycles=counts.cycles + cut.drain,
        accounts={"gates": cost.account(cut, counts, plan.effective_macs)},
        traffic={**moved(cut.transfers(), plan.machine.dram), **cost.on_chip(cut, counts)},
        events={Event("gates", "add"): counts.work + counts.padding},
        schedule=cut.schedule(),
        buffers={
            "glb.inputs": (p.dm * p.lhs_entries * p.dk, cut.lhs_stripe.bits * (2 if more else 1)),
            "glb.weights": (p.dn * p.rhs_entries * p.dk, cut.rhs_stripe.bits * (2 if cut.columns > 1 else 1)),
            "glb.outputs": (2 * p.dm * p.dn * RESULT_BITS, cut.dm * cut.dn * RESULT_BITS * (2 if more else 1)),
        },
        details={"tiles": cut.total_tiles, "instructions": cut.total_tiles * cut.pairs},
        performed_macs=plan.macs,
        values=values,
    )


ENGINE = Bismo()
