"""DCNN: SCNN's dense sibling, planar tiles of dot products; with gating and compressed DRAM traffic it is DCNN-opt.

Source: A. Parashar et al., "SCNN: An Accelerator for Compressed-sparse Convolutional Neural Networks", ISCA 2017,
dataflow PT-IS-DP-dense.

Modelled:
- Outputs tiled over the PEs; a dot product of `lanes` along (channel, tap) per PE and cycle, all PEs in step.
- Groups of output channels as large as the accumulators allow, each input vector reused for all of them.
- Activations that stay on the chip, or bands through DRAM with weights fetched again for each.
- Zero operands that are not multiplied (gating) and activations compressed in DRAM.

Not modelled:
- Draining of accumulators, which is hidden behind the next group, and the pipeline's filling.
- Input rows at the border of two bands, which would be fetched twice.
- Bias and ReLU: the output's density is that of the tensor as the network describes it.

Assumed:
- The dot product runs along the flattened (channel, tap) of a group; a last, shorter piece costs a cycle.
- A tensor that compression would enlarge moves uncompressed.
- Inputs that fit on the chip are there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Activity
from accelsim.components import Component, Mac, RegisterFile, Registers, Sram, dot_product_bits
from accelsim.compressed import sample
from accelsim.compressed.columns import Layers, planned, small, stacked
from accelsim.compressed.engine import LayerPlan, MultiplierEngine
from accelsim.compressed.sizes import Size, check_homes, total
from accelsim.config.schema import Strict
from accelsim.engine import Counted, Machine, NoMapping, Room, Sample, check_counts, drawing
from accelsim.engines.dcnn import totals
from accelsim.operands.handle import Operand, Operands
from accelsim.operands.zero_run import ZeroRun
from accelsim.results import StoredBits
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Conv2d


class Params(Strict):
    """The dense array."""

    pe_rows: int = Field(8, ge=1, le=256, description="PE rows: tiles of the output plane from top to bottom")
    pe_cols: int = Field(8, ge=1, le=256, description="PE columns")
    lanes: int = Field(16, ge=1, le=1024, description="multipliers per PE: length of a dot product")
    accumulator_entries: int = Field(1024, ge=1, le=1 << 20, description="accumulators per PE")
    accumulator_bits: int = Field(24, ge=2, le=64, description="width of an accumulator")
    operand_bits: int = Field(16, ge=1, le=32, description="widest input and weight that is multiplied")
    activation_kib: int = Field(32, ge=1, le=1 << 20, description="activation RAM per PE, inputs and outputs together")
    weight_buffer_bits: int = Field(4000, ge=1, le=1 << 30, description="weight buffer per PE: prices its accesses")
    activations_stay: bool = Field(True, description="inputs and outputs that fit the RAMs do not go through DRAM")
    gating: bool = Field(False, description="multiplications by zero are suppressed: no time, but energy is saved")
    compressed_dram: bool = Field(False, description="activations move through DRAM in zero-run form")
    run_bits: int = Field(4, ge=1, le=16, description="width of a zero run in DRAM")


@dataclass(frozen=True, eq=False)
class Plan(LayerPlan):
    """How the layer is cut, and what its activations take."""

    kc: int
    resident: bool
    bands: int
    input_bits: tuple[Size, ...]
    """Of each image, as it moves."""
    output_bits: tuple[Size, ...]
    effective_macs: int


class Looked(NamedTuple):
    """Layers, and what the images of all of them take, as they move, in columns."""

    layers: Layers
    input_bits: Size
    output_bits: Size


class Dcnn(MultiplierEngine[Params]):
    """The engine of this folder."""

    name = "dcnn"
    params_schema = Params
    support_params = (
        "operand_bits", "accumulator_bits", "pe_rows", "pe_cols", "accumulator_entries", "activations_stay",
    )  # fmt: skip
    looks = ("compressed_dram", "run_bits")

    def units(self, params: Params) -> dict[str, int]:
        """Return the multipliers."""
        return {"multipliers": params.pe_rows * params.pe_cols * params.lanes}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: convolutions only, their tile of outputs within the accumulators."""
        if not isinstance(view.shape, Conv2d):
            return f"DCNN runs convolutions, not {view.kind} layers: they have no plane to share out"
        tile = ceil_div(view.shape.e, params.pe_rows) * ceil_div(view.shape.f, params.pe_cols)
        if tile > params.accumulator_entries:
            return f"a tile of {tile} outputs exceeds the {params.accumulator_entries} accumulators of a PE"
        return None

    def rooms(self, params: Params) -> tuple[Room, ...]:
        """Return the activation RAMs, where activations stay."""
        return (Room("pe.activations", ("input", "output")),) if params.activations_stay else ()

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers, accumulators, activation RAMs and weight buffers."""
        p, pes = params, params.pe_rows * params.pe_cols
        accumulators = p.accumulator_entries * p.accumulator_bits
        return (
            Mac("macs", pes * p.lanes, p.operand_bits, p.operand_bits, p.accumulator_bits),
            Registers(
                "registers",
                pes,
                clocked_bits=dot_product_bits(1, p.lanes, p.operand_bits) + p.accumulator_bits + 256,
                source="assumed: operand latches, products, sums within the tree, an accumulator, 256 bits of control",
            ),
            Sram("pe.accumulators", 2 * pes, accumulators, p.accumulator_bits),
            Sram("pe.activations", pes, p.activation_kib * KIB_BITS, p.lanes * p.operand_bits),
            Sram("pe.weights", pes, p.weight_buffer_bits, p.lanes * p.operand_bits),
            RegisterFile("pe.vector", pes, p.lanes * p.operand_bits, p.lanes * p.operand_bits),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Choose the channel group, and the bands of a layer that does not fit."""
        del mapping
        conv, p = view.conv, params
        check_counts(view, _growth(p))
        kc, resident, bands = totals.fit(view, conv, p)
        check_homes(view, (view.input, view.output), resident, "the activation RAMs", "params.activation_kib")
        moves = _activations(view, operands, p)
        return Plan(view, conv, p, machine, kc, resident, bands, *moves, operands.effective_macs)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk the tiles; with operands, multiply."""
        from accelsim.engines.dcnn.walk import walk

        return totals.activity(plan, *walk(plan.conv, plan.params, plan.kc, operands))

    def closed_form(self, plan: Plan) -> Activity:
        """Evaluate the published product of ceilings."""
        return totals.activity(plan, totals.count(plan.conv, plan.params), None)

    def looked_up(self, layers: Sequence[tuple[LayerView, Operands]], params: Params) -> Looked:
        """Return the numbers of layers, and what their activations take."""
        sizes = [_activations(view, operands, params) for view, operands in layers]
        each = (Size(*np.array(list(chain(*part)), np.int64).T.copy()) for part in zip(*sizes, strict=True))
        return Looked(stacked(layers), *each)

    def counted(self, looked: Looked, params: Params, machine: Machine) -> Counted | None:
        """Count all layers by the formulas of one."""
        layers = looked.layers
        fit = totals.fit(layers, layers.conv, params)
        known = small(layers, _growth(params), machine.dram)
        known &= fit.resident | ~(layers.input.chip | layers.output.chip)
        if not known.all():
            return None
        sizes = {"input_bits": looked.input_bits, "output_bits": looked.output_bits}
        return totals.columns(planned(layers, params, machine, **fit._asdict(), **sizes))

    def stored(self, plan: Plan) -> dict[str, StoredBits]:
        """Return the activations as they move, where they move compressed."""
        if not plan.params.compressed_dram or plan.resident:
            return {}
        sizes = {"input": total(plan.input_bits), "output": total(plan.output_bits)}
        return {name: size.stored(getattr(plan.view, name)) for name, size in sizes.items()}

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small convolution on a small array."""
        draw = drawing(rng)
        large = draw(0, 5) == 0  # two images on one PE: more than stay, or than fit at once
        n, c, plane = ((2, 2), (4, 4), (9, 11)) if large else ((1, 2), (1, 4), (5, 11))
        shape = sample.convolution(draw, n=n, c=c, k=(1, 5), plane=plane, stride=(1, 3))
        params = {
            "pe_rows": 1 if large else draw(1, 4), "pe_cols": 1 if large else draw(1, 4), "lanes": draw(1, 9),
            "accumulator_entries": draw(169, 400),
            "activation_kib": 1, "activations_stay": bool(draw(0, 2)), "gating": bool(draw(0, 1)),
            "compressed_dram": bool(draw(0, 1)), "run_bits": draw(1, 4),
        }  # fmt: skip
        return Sample(shape, params, widest_bits=16)


def _growth(params: Params) -> int:
    """Return what a multiplication adds to any count at most."""
    return 64 * params.lanes * params.pe_rows * params.pe_cols


def _activations(view: LayerView, operands: Operands, params: Params) -> tuple[tuple[Size, ...], tuple[Size, ...]]:
    """Return what each image of inputs and outputs takes in DRAM."""
    described = Operand(view.output, operands.input.seed, operands.input.batch)
    conv = view.conv
    return _moved(operands.input, params, conv.input_shapes[0]), _moved(described, params, conv.output_shape)


def _moved(operand: Operand, params: Params, shape: tuple[int, ...]) -> tuple[Size, ...]:
    """Return what each image of an activation (n, c, h, w) takes in DRAM."""
    images, bits = shape[0], operand.bits
    plain = operand.tensor.elements // images * bits
    if not params.compressed_dram or operand.dense:
        return (Size(plain, 0),) * images
    code = ZeroRun(block_axes=2, value_bits=bits, run_bits=params.run_bits, count_bits=16)
    found = []
    for image in operand.mask.reshape(shape):
        counts = code.entries(image)
        entries = int(counts.sum())
        index = entries * params.run_bits + counts.size * code.count_bits
        found.append(Size(plain, 0) if entries * bits + index >= plain else Size(entries * bits, index))
    return tuple(found)


ENGINE = Dcnn()
