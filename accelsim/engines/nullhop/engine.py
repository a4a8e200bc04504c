"""NullHop: pixels decoded from a sparsity map, each non-zero one multiplied with every kernel position it touches.

Source: A. Aimar et al., "NullHop: A Flexible Convolutional Neural Network Accelerator Based on Sparse Representations
of Feature Maps", IEEE TNNLS 2019.

Modelled:
- Zero pixels skipped; a non-zero pixel takes a cycle per kernel position that lands in the output, for up to 128
  output maps at once; more maps take more passes, fewer leave multipliers idle.
- With split_rows, a pass of no more than half as many maps: each half of the multipliers takes a pixel row of its own,
  and the shorter of two rows waits for the other.
- Feature maps as one bit per pixel and a list of non-zero values, read again for every pass.
- Rows of pixels streamed in and out beside the computation; kernels fetched at the start of a pass.
- Groups, strides, dilation, batch.

Not modelled:
- Decoding of the map, which is taken to keep ahead of the multipliers.
- Pooling and ReLU on the way out: the output's density is that of the tensor as the network describes it.
- Capacity of the kernel and pixel memories.

Assumed:
- An output row leaves with the last input row that reaches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Activity
from accelsim.components import Component, Link, Mac, RegisterFile, Registers, Sram
from accelsim.compressed import sample
from accelsim.compressed.columns import Layers, planned, small, stacked
from accelsim.compressed.engine import LayerPlan, MultiplierEngine
from accelsim.compressed.sizes import Size
from accelsim.compressed.values import Values
from accelsim.config.schema import Strict
from accelsim.engine import Counted, Machine, NoMapping, Sample, check_counts, drawing
from accelsim.engines.nullhop import totals
from accelsim.operands.handle import Operand, Operands, to_conv_input
from accelsim.remedy import Remedy
from accelsim.results import StoredBits
from accelsim.units import KIB_BITS
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Conv2d


class Params(Strict):
    """The multipliers, one output map each."""

    macs: int = Field(128, ge=1, le=1 << 16, description="multipliers: output maps of a pass")
    split_rows: bool = Field(
        False, description="passes of half as many maps or fewer take two pixel rows at once, a half each"
    )
    largest_kernel: int = Field(7, ge=1, le=64, description="rows and columns of the largest kernel")
    operand_bits: int = Field(16, ge=1, le=32, description="widest pixel and weight that is multiplied")
    accumulator_bits: int = Field(32, ge=2, le=64, description="width of a partial sum")
    kernel_kib: int = Field(576, ge=1, le=1 << 20, description="kernel memories together: prices their accesses")
    pixel_kib: int = Field(512, ge=1, le=1 << 20, description="pixel memory: prices its accesses")


@dataclass(frozen=True, eq=False)
class Plan(LayerPlan):
    """``mask`` bool (n, c, h, w), output non-zeros int64 (n, k, e)."""

    mask: np.ndarray
    made: np.ndarray
    effective_macs: int


class Looked(NamedTuple):
    """Layers; of each the cycles of a pass by one row and by two at once, its non-zeros; the rest for the kernel."""

    layers: Layers
    once: np.ndarray
    paired: np.ndarray
    pixels: np.ndarray
    cycles: np.ndarray
    found: np.ndarray
    made: np.ndarray
    leaving: np.ndarray


class NullHop(MultiplierEngine[Params]):
    """The engine of this folder."""

    name = "nullhop"
    params_schema = Params
    support_params = ("largest_kernel", "operand_bits", "accumulator_bits")

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return passes of few maps that share the multipliers."""
        return () if params.split_rows else (Remedy({"split_rows": True}, ("unmapped",)),)

    def units(self, params: Params) -> dict[str, int]:
        """Return the multipliers."""
        return {"multipliers": params.macs}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only convolutions, of kernels up to a size."""
        if not isinstance(view.shape, Conv2d):
            return f"NullHop runs convolutions, not {view.kind} layers"
        if max(view.shape.r, view.shape.s) > params.largest_kernel:
            return f"a {view.shape.r} x {view.shape.s} kernel exceeds {params.largest_kernel} x {params.largest_kernel}"
        return None

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers, accumulators and the two memories."""
        p = params
        return (
            Mac("macs", p.macs, p.operand_bits, p.operand_bits, p.accumulator_bits),
            RegisterFile("pe", p.macs, p.accumulator_bits, p.accumulator_bits),
            Registers(
                "registers",
                1,
                clocked_bits=3 * p.macs * p.operand_bits + 4 * p.operand_bits + 2000,
                gated_words=p.macs,
                source="assumed: a weight and a product per multiplier, four pixels, 2,000 bits of decoder and "
                "control; gated: accumulators",
            ),
            Link("bus", 1, p.operand_bits, reach="trunk", carries=("glb.pixels/read", "glb.pixels/write")),
            Sram("glb.pixels", 1, p.pixel_kib * KIB_BITS, 4 * p.operand_bits),
            Sram("glb.kernels", 1, p.kernel_kib * KIB_BITS, p.macs * p.operand_bits),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Count the non-zeros of every output row."""
        del mapping
        check_counts(view, 64 * params.macs)
        return Plan(view, view.conv, params, machine, *_zeros(view, operands), operands.effective_macs)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk every pixel; with operands, multiply."""
        from accelsim.engines.nullhop.kernel import walk_image

        conv, values = plan.conv, Values(plan.conv, operands)
        numbers = [conv.r, conv.s, conv.e, conv.f, *conv.stride, *conv.pad[:2], *conv.dilation]
        packed, mask = np.array(numbers, dtype=np.int64), plan.mask.reshape(conv.n, conv.groups, -1, conv.h, conv.w)
        cycles = np.zeros((conv.n, conv.groups, conv.h), dtype=np.int64)
        for n, g in np.ndindex(conv.n, conv.groups):
            walk_image(mask[n, g], packed, plan.params.macs, values.given, *values.of(n, g), cycles[n, g])
        return totals.activity(plan, cycles, values.output())

    def closed_form(self, plan: Plan) -> Activity:
        """Weight the non-zeros of every row with the positions that they touch."""
        return totals.activity(plan, totals.count(plan.conv, plan.mask), None)

    def looked_up(self, layers: Sequence[tuple[LayerView, Operands]], params: Params) -> Looked:
        """Return the numbers of layers, and of every row its cycles and non-zeros."""
        once, paired, pixels, parts = [], [], [], []
        for view, operands in layers:
            conv, (mask, produced) = view.conv, _zeros(view, operands)
            cycles, last = totals.count(conv, mask), totals.leaves(conv)
            made = np.zeros((conv.n, conv.k + 1, conv.h), dtype=np.int64)
            for row, leaves in enumerate(last.tolist()):
                made[:, 1:, leaves] += produced[:, :, row]
            leaving = np.bincount(last, minlength=conv.h) * conv.f
            once.append(cycles.sum())
            paired.append(totals.in_turn(cycles, 2).sum())
            pixels.append(np.count_nonzero(mask))
            parts.append([part.ravel() for part in (cycles, totals.per_row(conv, mask), made.cumsum(axis=1), leaving)])
        columns = map(np.concatenate, zip(*parts, strict=True))
        return Looked(stacked(layers), *map(np.array, (once, paired, pixels)), *columns)

    def counted(self, looked: Looked, params: Params, machine: Machine) -> Counted | None:
        """Count all layers by the formulas of one."""
        layers = looked.layers
        if not small(layers, 64 * params.macs, machine.dram).all():
            return None
        return totals.columns(planned(layers, params, machine), looked)

    def stored(self, plan: Plan) -> dict[str, StoredBits]:
        """Return the feature maps: a bit per pixel, and the list of non-zeros."""
        sizes = ((plan.view.input, np.count_nonzero(plan.mask)), (plan.view.output, plan.made.sum()))
        inputs, outputs = (Size(int(nonzeros) * t.width, t.elements).stored(t) for t, nonzeros in sizes)
        return {"input": inputs, "output": outputs}

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small convolution on a few multipliers."""
        draw = drawing(rng)
        shape = sample.convolution(draw, n=(1, 2), c=(1, 4), k=(1, 7), plane=(5, 8), stride=(1, 4))
        return Sample(shape, {"macs": draw(1, 6), "split_rows": bool(draw(0, 1))}, widest_bits=16)


def _zeros(view: LayerView, operands: Operands) -> tuple[np.ndarray, np.ndarray]:
    """Return which pixels are not zero, bool (n, c, h, w), and how many of each output row, int64 (n, k, e)."""
    conv, output = view.conv, Operand(view.output, operands.input.seed, operands.input.batch)
    made = np.full((conv.n, conv.k, conv.e), conv.f, dtype=np.int64)
    if not output.dense:
        made = output.mask.reshape(conv.n, conv.k, conv.e, conv.f).sum(axis=3, dtype=np.int64)
    return to_conv_input(view, operands.input.mask), made


ENGINE = NullHop()
