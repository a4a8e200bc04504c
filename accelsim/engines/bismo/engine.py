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
from accelsim.config.schema import Strict
from pydantic import Field, model_validator

from accelsim.activity import Activity, Event, Flow
from accelsim.components import Alu, Component, Sram
from accelsim.engine import Engine, Machine, NoMapping, Sample, Word, too_wide
from accelsim.engines.bismo import sample
from accelsim.engines.bismo.cost import ADDER_DEPTH, RESULT_BITS, Cut
from accelsim.errors import MappingError
from accelsim.mapping import loopnest
from accelsim.operands.handle import Operands
from accelsim.units import INT64_MAX, ceil_div
from accelsim.workload.network import LayerView
from accelsim.workload.shapes import PRODUCTS

BLOCK_BITS = 8 * 2**15
"""Largest block of one plane of a stripe."""

STRIPES_HELD = 4
"""Stripes that an operand memory must hold at once: the tokens between fetch and execute."""


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

    def units(self, params: Params) -> dict[str, int]:
        """Return the AND gates."""
        return {"gates": params.dm * params.dk * params.dn}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products, of operands whose sums fit an accumulator."""
        if view.kind not in PRODUCTS:
            return f"a matrix product overlay has no {view.kind} unit"
        if (wide := too_wide(view, self.words(view, params))) is not None:
            return wide
        cut = _cut(view, params)
        needed = cut.lhs_bits + cut.rhs_bits + (cut.k - 1).bit_length()
        if needed > RESULT_BITS:
            return f"sums of {cut.k} products need {needed} bits, accumulators have {RESULT_BITS}"
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
            Alu("gates", p.dm * p.dk * p.dn, bits=1),
            Sram("glb.inputs", p.dm, size_bits=p.lhs_entries * p.dk, width_bits=p.dk),
            Sram("glb.weights", p.dn, size_bits=p.rhs_entries * p.dk, width_bits=p.dk),
            Sram("glb.outputs", 1, size_bits=2 * p.dm * p.dn * RESULT_BITS, width_bits=p.dm * RESULT_BITS),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Check that the stripes fit the operand memories and that no count can overflow."""
        del mapping
        cut = _cut(view, params)
        sides = (
            (view.input.name, "lhs_entries", params.lhs_entries, cut.lhs_bits, cut.lhs_stripe),
            (view.weight.name, "rhs_entries", params.rhs_entries, cut.rhs_bits, cut.rhs_stripe),
        )
        for tensor, key, entries, bits, stripe in sides:
            needed = STRIPES_HELD * bits * cut.tiles[1]
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
        if cut.total_tiles * cut.tile_cycles * cut.units > INT64_MAX // 4:
            raise MappingError(f"layer '{view.name}': its counts exceed 64-bit integers", "split the layer")
        return Plan(cut, params, machine, view.macs, view.output.elements, operands.effective_macs)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk one product; with operands, all of them with their values."""
        from accelsim.engines.bismo import walk

        counts = walk.walk(plan.cut)
        return _activity(plan, counts, None if operands is None else walk.values(plan.cut, operands))

    def closed_form(self, plan: Plan) -> Activity:
        """Evaluate the closed form."""
        cut = plan.cut
        work = plan.macs * cut.pairs
        whole = cut.total_tiles * cut.pairs * cut.tiles[1] * cut.units
        return _activity(plan, (cut.total_tiles * cut.tile_cycles, work, whole - work), None)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer of any product kind on a small array."""
        return sample.sample(rng)


def _cut(view: LayerView, params: Params) -> Cut:
    conv = view.conv
    return Cut(
        groups=conv.groups,
        m=conv.n * conv.e * conv.f,
        k=conv.c // conv.groups * conv.r * conv.s,
        n=conv.k // conv.groups,
        lhs_bits=view.input.width,
        rhs_bits=view.weight.width,
        dm=params.dm,
        dk=params.dk,
        dn=params.dn,
        instruction_cycles=params.instruction_cycles,
    )


def _activity(plan: Plan, counts: tuple[int, int, int], values: np.ndarray | None) -> Activity:
    """Return the layer's activity from cycles without drain, work and padding."""
    cut, (cycles, work, padding) = plan.cut, counts
    schedule = cut.schedule()
    dram = loopnest.dram_traffic(schedule, plan.machine.dram)
    busy = plan.effective_macs * cut.pairs
    computing = (work + padding) // cut.units
    results = cut.total_tiles * cut.dm * cut.dn * RESULT_BITS
    traffic = {
        Flow("glb.inputs", "input", "write"): dram[Flow("dram", "input", "read")],
        Flow("glb.inputs", "input", "read"): computing * cut.dm * cut.dk,
        Flow("glb.weights", "weight", "write"): dram[Flow("dram", "weight", "read")],
        Flow("glb.weights", "weight", "read"): computing * cut.dn * cut.dk,
        Flow("glb.outputs", "output", "write"): results,
        Flow("glb.outputs", "output", "read"): results,
    }
    p = plan.params
    more = cut.total_tiles > 1
    return Activity(
        compute_cycles=cycles + cut.drain,
        accounts={
            "gates": {
                "busy": busy,
                "zero": work - busy,
                "padding": padding,
                "control": (cycles - computing) * cut.units,
                "fill_drain": cut.drain * cut.units,
            }
        },
        traffic={**dram, **traffic},
        events={Event("gates", "add"): work + padding},
        schedule=schedule,
        buffers={
            "glb.inputs": (p.dm * p.lhs_entries * p.dk, cut.lhs_stripe.bits * (2 if more else 1)),
            "glb.weights": (p.dn * p.rhs_entries * p.dk, cut.rhs_stripe.bits * (2 if _columns(cut) > 1 else 1)),
            "glb.outputs": (2 * p.dm * p.dn * RESULT_BITS, cut.dm * cut.dn * RESULT_BITS * (2 if more else 1)),
        },
        details={"tiles": cut.total_tiles, "instructions": cut.total_tiles * cut.pairs},
        performed_macs=plan.macs,
        values=values,
    )


def _columns(cut: Cut) -> int:
    return cut.groups * cut.tiles[2]


ENGINE = Bismo()
