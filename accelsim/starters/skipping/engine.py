"""PEs with an output channel each, which take the non-zero inputs of a window one by one and skip the zeros.

Source: made up for the documentation of accelsim.

Modelled:
- A cycle for every non-zero input of a window and row of output channels; PEs without a channel.
- Inputs as non-zero values and a bit for each place, in DRAM and on the chip.

Not modelled:
- The capacity of the buffers: their sizes price accesses.

Assumed:
- The next non-zero of a window is found in no time; zero weights are multiplied.
- All weights fit on the chip and come with the first image.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Activity, Event, Flow, Step, Transfer
from accelsim.components import Component, Mac, Registers, Sram
from accelsim.config.schema import Strict
from accelsim.engine import Engine, Machine, NoMapping, Sample, Word, check_counts, drawing
from accelsim.memory.timeline import dram_traffic
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.results import StoredBits
from accelsim.tiled import sample
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import PRODUCTS, Conv2d


class Params(Strict):
    """PEs and their buffers."""

    pes: int = Field(16, ge=1, le=4096, description="PEs, an output channel each")
    operand_bits: int = Field(8, ge=1, le=32, description="widest operand")
    input_kib: int = Field(32, ge=1, le=1 << 20, description="input buffer: prices its accesses")
    weight_kib: int = Field(2, ge=1, le=1 << 20, description="weight buffer of a PE: prices its accesses")


class Plan(NamedTuple):
    """What a walk needs; time depends on values, so it has them: ``x`` (n, c, h, w), ``w`` (k, c / groups, r, s)."""

    view: LayerView
    conv: Conv2d
    params: Params
    machine: Machine
    x: np.ndarray
    w: np.ndarray


class Skipping(Engine[Params, NoMapping]):
    """The engine of this folder."""

    name = "skipping"
    params_schema = Params
    primary = "pes"
    support_params = ("operand_bits",)

    def units(self, params: Params) -> dict[str, int]:
        """Return how many units of each kind there are; their accounts must close."""
        return {"pes": params.pes}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run here, or None."""
        del params
        return None if view.kind in PRODUCTS else f"the PEs multiply and add: there is no {view.kind}"

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the widest tensor of each role; wider ones are refused, in the same words on every machine."""
        del view
        operand = Word(params.operand_bits, "multipliers")
        return {"input": operand, "weight": operand}

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return the hardware. A storage that bears a boundary's name pays for that boundary's traffic."""
        width = params.operand_bits
        return (
            Mac("macs", params.pes, input_bits=width, weight_bits=width),
            Registers(
                "registers",
                params.pes,
                clocked_bits=4 * width + 32 + 16,
                source="assumed: two operands, a product, a sum of 32 bits, 16 bits of counters",
            ),
            Sram("glb.inputs", 1, size_bits=params.input_kib * KIB_BITS, width_bits=width),
            Sram("pe.weights", params.pes, size_bits=params.weight_kib * KIB_BITS, width_bits=width),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Take the values, on which time depends."""
        del mapping
        check_counts(view, 64 * params.pes)
        return Plan(view, view.conv, params, machine, *operands.conv_arrays())

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk the layer; its values are computed on the way."""
        from accelsim.starters.skipping.kernel import walk

        conv = plan.conv
        out, cycles = np.zeros(conv.output_shape, dtype=np.int64), np.zeros(conv.n, dtype=np.int64)
        window = (conv.groups, conv.stride, conv.dilation, conv.pad)
        busy, zero = map(int, walk(plan.x, plan.w, *window, plan.params.pes, cycles, out))
        return activity(plan, cycles.tolist(), busy, zero, from_conv_output(plan.view, out) if operands else None)

    def stored(self, plan: Plan) -> dict[str, StoredBits]:
        """Return the size of the compressed inputs: plain, values, places."""
        size, width = plan.x.size, plan.view.input.width
        return {"input": StoredBits(size * width, int(np.count_nonzero(plan.x)) * width, size)}

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small random case: the contract tests run hundreds of them."""
        draw = drawing(rng)
        return Sample(sample.product(draw), {"pes": draw(1, 5)})


def activity(plan: Plan, cycles: list[int], busy: int, zero: int, values: np.ndarray | None) -> Activity:
    """Return the report of a walk: ``cycles`` of each image, multiplications by non-zero and by zero weights."""
    view, conv, p = plan.view, plan.conv, plan.params
    bits = {"input": view.input.width, "weight": view.weight.width, "output": view.output.width}
    made, steps = plan.view.output.elements // conv.n * bits["output"], []
    for n, length in enumerate(cycles):
        values_bits, places = int(np.count_nonzero(plan.x[n])) * bits["input"], plan.x[n].size
        loads = [Transfer("input", "read", values_bits), Transfer("index", "read", places)]
        if n == 0:
            loads.append(Transfer("weight", "read", plan.w.size * bits["weight"]))
        steps.append(Step(tuple(t for t in loads if t.bits), length, (Transfer("output", "write", made),)))
    traffic = dram_traffic(steps, plan.machine.dram)
    total, products = sum(cycles), busy + zero
    windows = conv.n * conv.e * conv.f * conv.groups * ceil_div(conv.k // conv.groups, p.pes)
    traffic |= {
        Flow("glb.inputs", "input", "write"): int(np.count_nonzero(plan.x)) * bits["input"],
        Flow("glb.inputs", "index", "write"): plan.x.size,
        Flow("glb.inputs", "input", "read"): total * bits["input"],
        Flow("glb.inputs", "index", "read"): windows * (conv.c // conv.groups) * conv.r * conv.s,
        Flow("pe.weights", "weight", "write"): plan.w.size * bits["weight"],
        Flow("pe.weights", "weight", "read"): products * bits["weight"],
    }
    return Activity(
        compute_cycles=total,
        accounts={"pes": {"busy": busy, "zero": zero, "unmapped": total * p.pes - products}},
        traffic=traffic,
        events={Event("macs", "mac"): products},
        schedule=tuple(steps),
        performed_macs=products,
        values=values,
    )


ENGINE = Skipping()
