"""One dot-product unit: lanes multipliers and an adder tree, one output at a time.

Source: made up for the documentation of accelsim.

Modelled:
- Multiplications, lanes without work in the last cycle of an output, one fetch of inputs and weights.
- Inputs in the padding of a convolution, which take their slot as zeros.
- Tensors at home on the chip, which stay in the scratchpad between layers.

Not modelled:
- The pipeline of the adder tree.

Assumed:
- The scratchpad delivers an input and a weight to every lane in every cycle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Activity, Event, Flow, Step, Transfer
from accelsim.components import Component, Mac, Registers, Sram, dot_product_bits
from accelsim.config.schema import Strict
from accelsim.engine import Engine, Machine, NoMapping, Room, Sample, Word, check_counts, drawing
from accelsim.errors import MappingError
from accelsim.memory.timeline import dram_traffic
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.tiled import sample
from accelsim.units import KIB_BITS
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import PRODUCTS, Conv2d


class Params(Strict):
    """A dot-product unit."""

    lanes: int = Field(2, ge=1, le=4096, description="multipliers")
    operand_bits: int = Field(8, ge=1, le=32, description="widest operand")
    buffer_kib: int = Field(64, ge=1, le=1 << 20, description="scratchpad for a layer's inputs, weights and outputs")


class Plan(NamedTuple):
    """What a walk needs."""

    view: LayerView
    conv: Conv2d
    params: Params
    effective_macs: int
    machine: Machine


class Plain(Engine[Params, NoMapping]):
    """The engine of this folder."""

    name = "plain"
    params_schema = Params
    primary = "lanes"
    support_params = ("operand_bits",)

    def units(self, params: Params) -> dict[str, int]:
        """Return how many units of each kind there are; their accounts must close."""
        return {"lanes": params.lanes}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run here, or None."""
        del params
        return None if view.kind in PRODUCTS else f"a dot-product unit has no {view.kind}"

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the widest tensor of each role; wider ones are refused, in the same words on every machine."""
        del view
        operand = Word(params.operand_bits, "multipliers")
        return {"input": operand, "weight": operand}

    def rooms(self, params: Params) -> tuple[Room, ...]:
        """Return where tensors may live between layers."""
        del params
        return (Room("glb", ("input", "input2", "weight", "output")),)

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return the hardware. A storage that bears a boundary's name pays for that boundary's traffic."""
        width = params.operand_bits
        return (
            Mac("macs", params.lanes, input_bits=width, weight_bits=width),
            Registers(
                "registers",
                1,
                clocked_bits=dot_product_bits(1, params.lanes, width) + 64,
                source="assumed: operand latches, products, sums within the tree, 64 bits of control",
            ),
            Sram("glb", 1, size_bits=params.buffer_kib * KIB_BITS, width_bits=2 * params.lanes * width),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Check that the layer fits and that no count overflows."""
        del mapping
        held, room = sum(size_bits(t) for t in (view.input, view.weight, view.output)), params.buffer_kib * KIB_BITS
        if held > room:
            problem = f"layer '{view.name}' takes {held:,} bits, the scratchpad holds {room:,}"
            raise MappingError(problem, f"raise params.buffer_kib to {-(-held // KIB_BITS)}")
        check_counts(view, params.lanes * params.operand_bits)
        return Plan(view, view.conv, params, operands.effective_macs, machine)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk the layer; with operands, compute it on the way."""
        from accelsim.starters.plain.kernel import walk

        conv = plan.conv
        out = np.zeros(conv.output_shape, dtype=np.int64)
        if operands is None:
            x = w = np.zeros((0, 0, 0, 0), dtype=np.int64)
        else:
            x, w = operands.conv_arrays()  # (n, c, h, w) and (k, c / groups, r, s), whatever shape the tensors have
        inputs = conv.c // conv.groups * conv.r * conv.s
        window = (conv.groups, conv.stride, conv.dilation, conv.pad)
        rows, lanes = conv.n * conv.e * conv.f, plan.params.lanes
        cycles, products = map(int, walk(rows, inputs, conv.k, lanes, operands is not None, *window, x, w, out))
        return activity(plan, cycles, products, from_conv_output(plan.view, out) if operands else None)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small random case: the contract tests run hundreds of them."""
        draw = drawing(rng)
        return Sample(sample.product(draw), {"lanes": draw(1, 9), "buffer_kib": 16}, on_chip=True)


def size_bits(tensor: Tensor) -> int:
    """Return the bits of a whole tensor."""
    return tensor.elements * tensor.width


def activity(plan: Plan, cycles: int, products: int, values: np.ndarray | None) -> Activity:
    """Return the report of a walk."""
    view, p = plan.view, plan.params
    fetched = {name: t for name, t in (("input", view.input), ("weight", view.weight)) if t.home == "dram"}
    loads = tuple(Transfer(name, "read", size_bits(tensor)) for name, tensor in fetched.items())
    made = size_bits(view.output)
    stores = (Transfer("output", "write", made),) if view.output.home == "dram" else ()
    schedule = (Step(loads, cycles, stores),)
    traffic = dram_traffic(schedule, plan.machine.dram)
    traffic |= {Flow("glb", load.tensor, "write"): load.bits for load in loads}
    traffic |= {
        Flow("glb", "input", "read"): products * view.input.width,
        Flow("glb", "weight", "read"): products * view.weight.width,
        Flow("glb", "output", "write"): made,
        Flow("glb", "output", "read"): made if stores else 0,
    }
    causes = {
        "busy": plan.effective_macs,
        "zero": products - plan.effective_macs,
        "padding": p.lanes * cycles - products,
    }
    return Activity(
        compute_cycles=cycles,
        accounts={"lanes": causes},
        traffic=traffic,
        events={Event("macs", "mac"): products},
        schedule=schedule,
        buffers={"glb": (p.buffer_kib * KIB_BITS, size_bits(view.input) + size_bits(view.weight) + made)},
        performed_macs=products,
        values=values,
    )


ENGINE = Plain()
