"""Cambricon-X: each PE makes one output from its own non-zero synapses, picked out of shared blocks of neurons.

Source: S. Zhang et al., "Cambricon-X: An Accelerator for Sparse Neural Networks", MICRO 2016.

Modelled:
- Outputs in groups of as many as there are PEs; a window's inputs in blocks of 256, channel fastest.
- Step-indexed synapses, padding entries for long steps included; a block costs ceil(entries / multipliers) cycles,
  at least one.
- PEs that meet at the end of every block, or only at the end of an output group.
- Synapses compressed in DRAM, streamed group by group; dense neurons.
- Without skipping: all synapses of a block, as DianNao multiplies them.

Not modelled:
- The size of the synapse buffer: a group's synapses come once and stay for all windows.
- The indexing module's pipeline, bias, activation function.

Assumed:
- Inputs that the input buffer cannot hold are streamed again for every output group.
- An 8-bit step, counted afresh in each block; 16 bits of count per output and block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from accelsim.activity import Activity
from accelsim.components import Component, Link, Mac, Registers, Sram, dot_product_bits
from accelsim.compressed import sample
from accelsim.compressed.engine import LayerPlan, MultiplierEngine
from accelsim.compressed.values import Values, windows
from accelsim.config.schema import Strict
from accelsim.engine import Machine, NoMapping, Sample, check_counts, drawing
from accelsim.engines.cambricon_x import totals
from accelsim.operands.handle import Operands, to_conv_weight
from accelsim.operands.step_index import StepIndex
from accelsim.remedy import Remedy, doubled, reshaped
from accelsim.results import StoredBits
from accelsim.units import KIB_BITS
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Conv2d, Linear


class Params(Strict):
    """PEs with multipliers and synapses of their own."""

    pes: int = Field(16, ge=1, le=4096, description="PEs, each with one output at a time")
    multipliers: int = Field(16, ge=1, le=4096, description="multipliers per PE")
    block: int = Field(256, ge=1, le=1 << 16, description="inputs that the indexing module chooses from")
    step_bits: int = Field(8, ge=1, le=16, description="width of a step")
    count_bits: int = Field(16, ge=1, le=32, description="width of the count of an output's entries in a block")
    barrier: Literal["group", "block"] = Field("group", description="where the PEs wait for each other")
    skip_zeros: bool = Field(True, description="skip zero synapses; without it all are stored and multiplied")
    operand_bits: int = Field(16, ge=1, le=32, description="widest neuron and synapse that is multiplied")
    accumulator_bits: int = Field(32, ge=2, le=64, description="width of a sum")
    input_kib: int = Field(8, ge=1, le=1 << 20, description="input neuron buffer")
    output_kib: int = Field(8, ge=1, le=1 << 20, description="output neuron buffer: prices its accesses")
    synapse_kib: int = Field(2, ge=1, le=1 << 20, description="synapse buffer per PE: prices its accesses")


@dataclass(frozen=True, eq=False)
class Plan(LayerPlan):
    """``entries`` int64 (k, blocks)."""

    entries: np.ndarray
    effective_macs: int


class CambriconX(MultiplierEngine[Params]):
    """The engine of this folder."""

    name = "cambricon_x"
    params_schema = Params
    support_params = ("operand_bits", "accumulator_bits")

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return zeros that are skipped, another split of the multipliers, blocks that even out, larger memories."""
        skip = () if params.skip_zeros else (Remedy({"skip_zeros": True}, ("zero", "memory")),)
        shapes = (*reshaped(params, "pes", "multipliers"), *doubled(params, "imbalance", "block"))
        return (*skip, *shapes, *doubled(params, "memory", "input_kib", "output_kib", "synapse_kib"))

    def units(self, params: Params) -> dict[str, int]:
        """Return the multipliers."""
        return {"multipliers": params.pes * params.multipliers}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only layers with synapses of their own."""
        del params
        if not isinstance(view.shape, Conv2d | Linear):
            return f"the PEs hold synapses, which a {view.kind} layer does not have"
        return None

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers and the three buffers."""
        p = params
        entry = p.operand_bits + (p.step_bits if p.skip_zeros else 0)
        macs, trees = p.pes * p.multipliers, p.pes * dot_product_bits(1, p.multipliers, p.operand_bits)
        # steps of the entries, and the places that they add up to
        indexing = p.block * p.operand_bits + (2 * macs * p.step_bits if p.skip_zeros else 0)
        pipeline = Registers(
            "registers", 1, clocked_bits=trees + p.pes * p.accumulator_bits + indexing + 3000,
            source="assumed: per PE operand latches, products, sums within the tree and an accumulator; in the "
            "indexing module a block of neurons, steps and places; 3,000 bits of control",
        )  # fmt: skip
        return (
            Mac("macs", p.pes * p.multipliers, p.operand_bits, p.operand_bits, p.accumulator_bits),
            pipeline,
            Link("bus", 1, p.operand_bits, reach="trunk", carries=("glb.inputs/read", "glb.outputs/write")),
            Sram("glb.inputs", 1, p.input_kib * KIB_BITS, p.multipliers * p.operand_bits),
            Sram("glb.outputs", 1, p.output_kib * KIB_BITS, p.multipliers * p.operand_bits),
            Sram("pe.synapses", p.pes, p.synapse_kib * KIB_BITS, p.multipliers * entry),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Count the entries of each output in each block."""
        del mapping
        conv = view.conv
        check_counts(view, 16 * params.pes * params.multipliers)
        mask = to_conv_weight(view, operands.weight.mask)
        matrix = mask.transpose(0, 2, 3, 1).reshape(conv.k, -1)
        if params.skip_zeros:
            entries = StepIndex(block=params.block, step_bits=params.step_bits).entries(matrix)
        else:
            starts = np.arange(0, matrix.shape[1], params.block)
            lengths = np.minimum(params.block, matrix.shape[1] - starts)
            entries = np.broadcast_to(lengths, (conv.k, len(starts))).astype(np.int64)
        return Plan(view, conv, params, machine, np.ascontiguousarray(entries), operands.effective_macs)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk every output group; with operands, every window."""
        from accelsim.engines.cambricon_x.kernel import multiply, walk_group

        p, conv, values = plan.params, plan.conv, Values(plan.conv, operands)
        groups = totals.output_groups(plan)
        walked = [walk_group(plan.entries[k0:k1], p.multipliers, p.barrier == "block") for k0, k1 in groups]
        cycles, worked, waited = np.array(walked, dtype=np.int64).T
        for n, g in np.ndindex(conv.n, conv.groups) if values.given else ():
            x, w, out = values.of(n, g)
            columns = windows(conv, x).transpose(0, 1, 3, 4, 2).reshape(conv.e * conv.f, -1)  # channel fastest
            synapses = w.transpose(0, 2, 3, 1).reshape(len(w), -1)
            sums = out.reshape(len(w), -1)
            multiply(np.ascontiguousarray(columns), np.ascontiguousarray(synapses), p.block, p.pes, sums)
        return totals.activity(plan, totals.Counts(cycles, int(worked.sum()), int(waited.sum())), values.output())

    def closed_form(self, plan: Plan) -> Activity:
        """Add ceilings up: windows are alike."""
        return totals.activity(plan, totals.count(plan), None)

    def stored(self, plan: Plan) -> dict[str, StoredBits]:
        """Return the synapses with steps and counts; plain ones without skipping."""
        return {"weight": totals.synapses(plan).stored(plan.view.weight)} if plan.params.skip_zeros else {}

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer on a few PEs, with short blocks and narrow steps."""
        draw = drawing(rng)
        params = {
            "pes": draw(1, 4), "multipliers": draw(1, 4), "block": draw(1, 9), "step_bits": draw(1, 3),
            "barrier": ("group", "block")[draw(0, 1)], "skip_zeros": bool(draw(0, 3)), "input_kib": 1,
        }  # fmt: skip
        if draw(0, 3) == 0:
            return Sample(Linear(n=draw(1, 3), c=draw(1, 30), k=draw(1, 9)), params, widest_bits=16)
        shape = sample.convolution(draw, n=(1, 2), c=(1, 6), k=(1, 6), plane=(5, 8), stride=(1, 3))
        return Sample(shape, params, widest_bits=16)


ENGINE = CambriconX()
