"""ShiDianNao: a block of neighbouring outputs on an array of PEs that hand inputs to each other; no DRAM in between.

Source: Z. Du et al., "ShiDianNao: Shifting Vision Processing Closer to the Sensor", ISCA 2015 (abstract read, the body
recalled).

Modelled:
- Blocks of outputs, one kernel position of one input map per cycle; pooling alike; classifiers with an output per PE.
- FIFOs: a PE takes an input that its right or lower neighbour had, within their depth; what is left comes from NBin.
- NBin, NBout and SB hold all of a layer; what is larger is refused.

Not modelled:
- The cycle that starts a block, the cycles that write the last one; activation functions and instructions.
- Whether the synapses of all layers fit SB together; partial connections of maps, which are layers of their own.
- Sums are exact: the rounding to 16 bits is not.

Assumed:
- A FIFO takes only what a neighbour will read, and one towards the row above holds as many rows of a kernel as it has
  words. Averages are divided beside the array while results are written.
- Inputs in the padding are read from NBin like others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Flow
from accelsim.components import Alu, Component, Mac, RegisterFile, Registers, Sram
from accelsim.config.schema import Strict
from accelsim.engine import Sample, drawing
from accelsim.remedy import Remedy, reshaped
from accelsim.units import KIB_BITS, ceil_div
from accelsim.whole import sample
from accelsim.whole.engine import SEPARATE, Count, Layer, WholeEngine, WholePlan


class Params(Strict):
    """The array and its memories."""

    pe_rows: int = Field(8, ge=1, le=256, description="rows of PEs (Py)")
    pe_cols: int = Field(8, ge=1, le=256, description="columns of PEs (Px)")
    fifo_words: int = Field(4, ge=0, le=64, description="inputs that a PE keeps for each of its two neighbours")
    operand_bits: int = Field(16, ge=1, le=32, description="widest neuron and synapse that is multiplied")
    input_kib: int = Field(64, ge=1, le=1 << 20, description="NBin")
    weight_kib: int = Field(128, ge=1, le=1 << 20, description="SB")
    output_kib: int = Field(64, ge=1, le=1 << 20, description="NBout")
    instruction_kib: int = Field(32, ge=1, le=1 << 20, description="IB: area only")
    alu_lanes: int = Field(16, ge=1, le=1024, description="dividers beside the array")


class Counts(NamedTuple):
    """Counts of a layer: cycles, words from NBin, words from SB."""

    cycles: Count
    inputs: Count
    weights: Count


class ShiDianNao(WholeEngine[Params]):
    """The engine of this folder."""

    name = "shidiannao"
    params_schema = Params
    primary = "pes"
    support_params = ("operand_bits",)
    stores = SEPARATE
    counts = Counts
    what = "the PEs multiply, add and compare: it"
    pools = True

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return another shape of the array."""
        return reshaped(params, "pe_rows", "pe_cols")

    def units(self, params: Params) -> dict[str, int]:
        """Return the PEs."""
        return {"pes": params.pe_rows * params.pe_cols}

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return PEs, ALU and memories in banks: two a row of PEs for neurons, one for synapses, all a row wide."""
        p, pes, bits = params, params.pe_rows * params.pe_cols, params.operand_bits
        banks = [(store, count * p.pe_rows) for store, count in zip(self.stores, (2, 1, 2), strict=True)]
        pipeline = Registers(
            "registers", pes, clocked_bits=6 * bits + 16, gated_words=2 * p.fifo_words,
            source="assumed: an input, a synapse, a product, a sum of twice the width, 16 bits of control; gated: "
            "words of the FIFOs",
        )  # fmt: skip
        return (
            Mac("macs", pes, bits, bits, bits),
            pipeline,
            Alu("pool", pes, bits, parts=("comparator",)),
            Alu("alu", p.alu_lanes, bits),
            *((RegisterFile("pe.fifos", 2 * pes, p.fifo_words * bits, bits),) if p.fifo_words else ()),
            Sram("ib", 1, p.instruction_kib * KIB_BITS),
            *(Sram(s.boundary, n, ceil_div(s.capacity_bits(p), n), p.pe_cols * bits, banks=1) for s, n in banks),
        )  # fmt: skip

    def count(self, layer: Layer, params: Params) -> Counts:
        """Return the counts in closed form."""
        p, alone = params, 1 * (layer.e * layer.f == 1)
        filters = ceil_div(layer.k // layer.groups, 1 + alone * (p.pe_rows * p.pe_cols - 1))
        maps = layer.n * layer.groups * filters * layer.channels
        rows, cols = ceil_div(layer.e, p.pe_rows), ceil_div(layer.f, p.pe_cols)
        near_r, near_s = near(layer, p.fifo_words)
        words = (layer.e * near_r + rows * (layer.r - near_r)) * (layer.f * near_s + cols * (layer.s - near_s))
        cycles = maps * rows * cols * layer.r * layer.s
        return Counts(cycles, maps * words, layer.product * (alone * layer.work + (1 - alone) * cycles))

    def walk_layer(self, plan: WholePlan, sizes: tuple[int, ...], *take: Any) -> Any:
        """Walk the layer cycle by cycle."""
        from accelsim.engines.shidiannao.kernel import walk

        array = plan.params.pe_rows, plan.params.pe_cols
        return walk(sizes, array, near(plan.layer, plan.params.fifo_words), *take)

    def on_chip(self, layer: Layer, total: Counts, params: Params) -> dict[Flow, Count]:
        """Return what PEs read and write; in a classifier all of them hear one input."""
        passed = (layer.e * layer.f > 1) * (layer.work - total.inputs) * layer.input_bits
        return {
            Flow("glb.inputs", "input", "read"): total.inputs * layer.input_bits,
            Flow("glb.weights", "weight", "read"): total.weights * layer.weight_bits,
            Flow("glb.outputs", "output", "write"): layer.bits("output"),
            Flow("pe.fifos", "input", "read"): passed,
            Flow("pe.fifos", "input", "write"): passed,
        }

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small product or pooling layer on a small array."""
        draw = drawing(rng)
        params = {"pe_rows": draw(1, 4), "pe_cols": draw(1, 4), "fifo_words": draw(0, 2)}
        return Sample(sample.layer(draw), params, widest_bits=16, on_chip=True)


def near(layer: Layer, fifo_words: int) -> tuple[Count, ...]:
    """Return how many first rows and columns of a kernel all PEs take from NBin.

    A neighbour had a later input ``stride / dilation`` positions ago, if that is whole and a FIFO keeps so many.
    """
    axes = (layer.r, layer.stride_e, layer.dilation_r), (layer.s, layer.stride_f, layer.dilation_s)
    return tuple(
        taps - (stride % gap == 0) * (stride // gap <= fifo_words) * np.maximum(taps - stride // gap, 0)
        for taps, stride, gap in axes
    )


ENGINE = ShiDianNao()
