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

from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Flow
from accelsim.components import Component, Mac, Registers, Sram, dot_product_bits
from accelsim.config.schema import Strict
from accelsim.engine import Sample, drawing
from accelsim.tiled import sample
from accelsim.units import KIB_BITS, ceil_div
from accelsim.whole.engine import Count, Layer, Store, WholeEngine, WholePlan


class Params(Strict):
    """A dot-product unit."""

    lanes: int = Field(2, ge=1, le=4096, description="multipliers")
    operand_bits: int = Field(8, ge=1, le=32, description="widest operand")
    buffer_kib: int = Field(64, ge=1, le=1 << 20, description="scratchpad for a layer's inputs, weights and outputs")


class Counts(NamedTuple):
    """Counts of a layer: cycles, and multiplications."""

    cycles: Count
    products: Count


class Plain(WholeEngine[Params]):
    """The engine of this folder."""

    name = "plain"
    params_schema = Params
    primary = "lanes"
    support_params = ("operand_bits",)
    stores = (Store("glb", "buffer_kib", ("input", "weight", "output")),)
    counts = Counts
    what = "a dot-product unit multiplies and adds: it"
    spare = "padding"

    def units(self, params: Params) -> dict[str, int]:
        """Return how many units of each kind there are; their accounts must close."""
        return {"lanes": params.lanes}

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

    def count(self, layer: Layer, params: Params) -> Counts:
        """Return the counts in closed form: a cycle for each output and row of lanes."""
        inputs = layer.channels * layer.r * layer.s
        return Counts(layer.outputs * ceil_div(inputs, params.lanes), layer.work)

    def walk_layer(self, plan: WholePlan, sizes: tuple[int, ...], *take: Any) -> Any:
        """Walk the layer cycle by cycle."""
        from accelsim.starters.plain.kernel import walk

        return walk(sizes, plan.params.lanes, *take)

    def on_chip(self, layer: Layer, total: Counts, params: Params) -> dict[Flow, Count]:
        """Return what lanes read and the adder tree writes."""
        del params
        return {
            Flow("glb", "input", "read"): total.products * layer.input_bits,
            Flow("glb", "weight", "read"): total.products * layer.weight_bits,
            Flow("glb", "output", "write"): layer.bits("output"),
        }

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small random case: the contract tests run hundreds of them."""
        draw = drawing(rng)
        return Sample(sample.product(draw), {"lanes": draw(1, 9), "buffer_kib": 16}, on_chip=True)


ENGINE = Plain()
