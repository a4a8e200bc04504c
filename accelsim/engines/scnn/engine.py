"""SCNN: planar tiles of compressed activations times compressed weights, products scattered to accumulators.

Source: A. Parashar et al., "SCNN: An Accelerator for Compressed-sparse Convolutional Neural Networks", ISCA 2017,
dataflow PT-IS-CP-sparse; bank function and step cost after the public model isakedo/DNNsim.

Modelled:
- Planar tiles, groups of Kc output channels, F x I products of non-zeros per step, half-filled vectors included.
- Zero-run blocks with placeholders for long runs; strides as phases; groups, dilation, batch.
- Coordinates: products outside the output plane are dropped, those of neighbouring tiles go through the halo.
- Crossbar to the accumulator banks with a queue before each: depth 0 is a strict stall, unlimited never stalls.
- A barrier at the end of every channel group, or of every channel; draining behind the next group.
- Activations that stay on the chip, or bands of output rows with weights fetched again for each.

Not modelled:
- The size of the weight FIFO: a block is read again for each vector of activations, however large it is.
- Wires of the broadcast, and filling the pipeline of a PE.
- Bias and ReLU: the output's density is that of the tensor as the network describes it.
- Accumulators wrap at their width in the machine; here values are 64-bit integers.

Assumed:
- Weights stream tap by tap with the output channel fastest; placeholders' products do not enter the crossbar.
- The count of a block has the fewest bits that hold the block's size; counts are kept beside the activation RAMs,
  whose 10 KB are 4096 entries of 16 + 4 bits.
- Drain and halo rates; see the machine file.
- Inputs that fit the activation RAMs are there already: a network's first fetch of its image is not counted.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from accelsim.activity import Activity
from accelsim.components import Component, Link, Mac, Registers, Sram
from accelsim.compressed.engine import MultiplierEngine
from accelsim.config.schema import Strict
from accelsim.engine import Machine, NoMapping, Room, Sample
from accelsim.engines.scnn import plan as planning
from accelsim.engines.scnn import sample, totals
from accelsim.engines.scnn.plan import Plan
from accelsim.operands.handle import Operands
from accelsim.results import StoredBits
from accelsim.units import KIB_BITS
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Conv2d


class Params(Strict):
    """SCNN's array of PEs."""

    pe_rows: int = Field(8, ge=1, le=256, description="PE rows: tiles of the input plane from top to bottom")
    pe_cols: int = Field(8, ge=1, le=256, description="PE columns")
    f: int = Field(4, ge=1, le=64, description="weights of a vector (F)")
    i: int = Field(4, ge=1, le=64, description="activations of a vector (I)")
    banks: int = Field(32, ge=1, le=1024, description="accumulator banks per PE (A)")
    accumulator_entries: int = Field(1024, ge=1, le=1 << 20, description="accumulators per PE, one of the two halves")
    accumulator_bits: int = Field(24, ge=2, le=64, description="width of an accumulator")
    queue_depth: int | Literal["unlimited"] = Field(8, description="products that wait before a bank; 0 stalls at once")
    barrier: Literal["group", "channel"] = Field("group", description="where the PEs wait for each other")
    kc: int | Literal["capacity", "own_tile"] = Field(
        "capacity",
        description="output channels of a group, cut to what the accumulators hold; own_tile leaves the halo out",
    )
    empty_costs_a_cycle: bool = Field(False, description="a PE with nothing to do in a channel spends a cycle on it")
    operand_bits: int = Field(16, ge=1, le=32, description="widest input and weight that is multiplied")
    run_bits: int = Field(4, ge=1, le=16, description="width of a zero run")
    iaram_kib: int = Field(10, ge=1, le=1 << 16, description="input activation RAM per PE, runs included")
    oaram_kib: int = Field(10, ge=1, le=1 << 16, description="output activation RAM per PE, the same")
    weight_fifo_bits: int = Field(4000, ge=1, le=1 << 30, description="weight FIFO per PE: prices its accesses")
    activations_stay: bool = Field(True, description="inputs and outputs that fit the RAMs do not go through DRAM")
    drain_entries_per_cycle: int = Field(32, ge=1, le=4096, description="accumulators that a PE encodes per cycle")
    halo_entries_per_cycle: int = Field(8, ge=1, le=4096, description="halo accumulators that a PE sends per cycle")
    crossbar_mm: float = Field(0.2, gt=0, le=100, allow_inf_nan=False, description="wire of a product to its bank")

    def model_post_init(self, context: object) -> None:
        """Check what may be a number or a word."""
        del context
        for key in ("queue_depth", "kc"):
            value, least = getattr(self, key), {"queue_depth": 0, "kc": 1}[key]
            if isinstance(value, int) and not least <= value <= 1 << 20:
                raise ValueError(f"{key}: {value} is not a count; give {least} to {1 << 20}")


class Scnn(MultiplierEngine[Params]):
    """The engine of this folder."""

    name = "scnn"
    params_schema = Params
    support_params = ("operand_bits", "accumulator_bits", "activations_stay")

    def units(self, params: Params) -> dict[str, int]:
        """Return the multipliers."""
        return {"multipliers": params.pe_rows * params.pe_cols * params.f * params.i}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only convolutions, and only operands that fit the multipliers."""
        del params
        if not isinstance(view.shape, Conv2d):
            return f"SCNN runs convolutions, not {view.kind} layers: they have no plane to share out"
        return None

    def rooms(self, params: Params) -> tuple[Room, ...]:
        """Return the activation RAMs, where activations stay."""
        return (Room("pe.iaram", ("input",)), Room("pe.oaram", ("output",))) if params.activations_stay else ()

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers, crossbar, accumulators, activation RAMs and weight FIFOs."""
        p, pes = params, params.pe_rows * params.pe_cols
        word = p.operand_bits + p.run_bits
        address = (p.banks * p.accumulator_entries - 1).bit_length()
        product = 2 * p.operand_bits + address
        landed = p.banks * (p.accumulator_bits + address)
        pipeline = Registers(
            "registers", pes, clocked_bits=(p.f + p.i) * word + p.f * p.i * product + landed + 256,
            source="assumed: both vectors with their runs, products with their addresses before the crossbar, "
            "behind it a sum with its address per bank, 256 bits of control",
        )  # fmt: skip
        return (
            Mac("macs", pes * p.f * p.i, p.operand_bits, p.operand_bits, p.accumulator_bits),
            pipeline,
            Link("array", pes, width_bits=p.accumulator_bits, length_mm=p.crossbar_mm),
            Sram("pe.accumulators", 2 * pes * p.banks, _bank_bits(p), p.accumulator_bits),
            Sram("pe.iaram", pes, p.iaram_kib * KIB_BITS, p.i * word),
            Sram("pe.oaram", pes, p.oaram_kib * KIB_BITS, p.i * word),
            Sram("pe.weights", pes, p.weight_fifo_bits, p.f * word),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Count the blocks, cut the layer in bands where it must be."""
        del mapping
        return planning.make(view, operands, params, machine)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk every pass; with operands, scatter the products' values."""
        from accelsim.engines.scnn.walk import walk

        return totals.activity(plan, *walk(plan, operands))

    def closed_form(self, plan: Plan) -> Activity | None:
        """Count the steps of every block where no queue can fill up."""
        if plan.params.queue_depth != "unlimited":
            return None
        return totals.activity(plan, totals.count(plan), None)

    def stored(self, plan: Plan) -> dict[str, StoredBits]:
        """Return all three tensors: blocks of values with their runs and counts, each band's and group's own."""
        return {name: size.stored(getattr(plan.view, name)) for name, size in totals.sizes(plan).items()}

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small convolution on a small array."""
        return sample.sample(rng)


def _bank_bits(params: Params) -> int:
    return -(-params.accumulator_entries // params.banks) * params.accumulator_bits


ENGINE = Scnn()
