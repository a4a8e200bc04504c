"""Cnvlutin: DaDianNao's lanes fed with the non-zero neurons of bricks; without skipping, the dense lanes themselves.

Source: J. Albericio et al., "Cnvlutin: Ineffectual-Neuron-Free Deep Neural Network Computing", ISCA 2016; base
machine Y. Chen et al., "DaDianNao: A Machine-Learning Supercomputer", MICRO 2014.

Modelled:
- Units of lanes x filters multipliers; one window at a time for as many filters as all units hold.
- Bricks of a window dealt to the lanes, brick b to lane b mod lanes; a lane takes a cycle per non-zero neuron.
- Empty bricks, padding outside the image among them, cost a lane one cycle; lanes meet at the end of a window.
- Without skipping: one cycle per position and `lanes` channels, filters and channels padded up.
- The offsets of ZFNAf in neuron memory traffic. Groups, strides, dilation, fully connected layers.

Not modelled:
- Bank conflicts of the neuron memory, the dispatcher's buffers, the encoder's time.
- Bias, and the activation function.

Assumed:
- Bricks are numbered channel fastest, then columns, then rows of the window.
- Layers with fewer input channels than a brick (the image) run without skipping, as the paper's first layers do.
- Synapses and neurons that fit the eDRAM are there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Activity
from accelsim.components import Component, Link, Mac, RegisterFile, Registers, Sram, dot_product_bits
from accelsim.compressed import sample
from accelsim.compressed.columns import Layers, planned, small, stacked
from accelsim.compressed.engine import LayerPlan, MultiplierEngine
from accelsim.compressed.sizes import check_homes
from accelsim.compressed.values import Values
from accelsim.config.schema import Strict
from accelsim.engine import Counted, Machine, NoMapping, Room, Sample, check_counts, drawing
from accelsim.engines.cnvlutin import totals
from accelsim.operands.codec import split
from accelsim.operands.handle import Operands, to_conv_input
from accelsim.remedy import Remedy, doubled, reshaped
from accelsim.results import StoredBits
from accelsim.units import KIB_BITS
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import PRODUCTS, Conv2d, Linear, Matmul


class Params(Strict):
    """Units of neuron lanes by filters."""

    units: int = Field(16, ge=1, le=1024, description="units, each with filters of its own")
    filters: int = Field(16, ge=1, le=1024, description="filters per unit")
    lanes: int = Field(16, ge=1, le=1024, description="neuron lanes per unit")
    brick: int = Field(16, ge=1, le=256, description="neurons of a brick, along the channels")
    skip_zeros: bool = Field(True, description="skip zero neurons; without it this is the DaDianNao base")
    operand_bits: int = Field(16, ge=1, le=32, description="widest neuron and synapse that is multiplied")
    accumulator_bits: int = Field(32, ge=2, le=64, description="width of a partial sum")
    neuron_kib: int = Field(4096, ge=1, le=1 << 22, description="neuron memory, inputs and outputs together")
    synapse_kib: int = Field(32768, ge=1, le=1 << 24, description="synapse buffers of all units")
    stay: bool = Field(True, description="tensors that fit the eDRAM do not come from DRAM")


@dataclass(frozen=True, eq=False)
class Plan(LayerPlan):
    """``nonzeros`` int64 (n, groups, bricks, h, w)."""

    skips: bool
    nonzeros: np.ndarray
    effective_macs: int


class Looked(NamedTuple):
    """Layers, and the sums over their windows in columns."""

    layers: Layers
    counts: totals.Counts


class Cnvlutin(MultiplierEngine[Params]):
    """The engine of this folder."""

    name = "cnvlutin"
    params_schema = Params
    support_params = ("operand_bits", "accumulator_bits", "stay")
    looks = ("brick", "lanes", "skip_zeros")

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return zeros that are skipped, another split of filters and lanes, tensors that stay in larger memories."""
        skip = () if params.skip_zeros else (Remedy({"skip_zeros": True}, ("zero",)),)
        stay = () if params.stay else (Remedy({"stay": True}, ("memory",)),)
        memories = doubled(params, "memory", "neuron_kib", "synapse_kib")
        return (*skip, *stay, *reshaped(params, "filters", "lanes"), *memories)

    def units(self, params: Params) -> dict[str, int]:
        """Return the multipliers."""
        return {"multipliers": params.units * params.filters * params.lanes}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products, and only operands that fit the multipliers."""
        del params
        if view.kind not in PRODUCTS:
            return f"neuron lanes have no {view.kind} unit"
        return None

    def rooms(self, params: Params) -> tuple[Room, ...]:
        """Return the eDRAM, where tensors stay."""
        kept = (Room("glb.neurons", ("input", "output")), Room("glb.synapses", ("weight", "input2")))
        return kept if params.stay else ()

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers, partial-sum registers and eDRAM."""
        p = params
        offset = (p.brick - 1).bit_length()
        slot = p.brick * (p.operand_bits + offset)
        unit = dot_product_bits(p.filters, p.lanes, p.operand_bits) + (p.lanes * offset if p.skip_zeros else 0)
        pipeline = Registers(
            "registers", p.units, clocked_bits=unit + 2000, gated_words=p.filters,
            source="assumed: per unit operand latches, offsets of the neurons, products, sums within the trees, "
            "2,000 bits of control; gated: partial sums",
        )  # fmt: skip
        return (
            Mac("macs", p.units * p.filters * p.lanes, p.operand_bits, p.operand_bits, p.accumulator_bits),
            RegisterFile("pe.partial", p.units, p.filters * p.accumulator_bits, p.accumulator_bits),
            pipeline,
            Link("bus", 1, slot, reach="trunk", carries=("glb.neurons/read", "glb.neurons/write")),
            Sram("glb.neurons", 1, p.neuron_kib * KIB_BITS, slot),
            Sram("glb.synapses", p.units, p.synapse_kib * KIB_BITS // p.units, p.filters * p.lanes * p.operand_bits),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Count the non-zeros of every brick."""
        del mapping
        check_counts(view, _growth(params))
        skips, nonzeros = _bricks(view, operands, params)
        plan = Plan(view, view.conv, params, machine, skips, nonzeros, operands.effective_macs)
        neurons, synapses = totals.stay(plan)
        check_homes(view, (view.input, view.output), neurons, "the neuron memory", "params.neuron_kib")
        check_homes(view, (view.weight,), synapses, "the synapse memory", "params.synapse_kib")
        return plan

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk every window; with operands, multiply lane by lane."""
        values = Values(plan.conv, operands)
        counts = _walk(plan.conv, plan.params.lanes, plan.skips, plan.nonzeros, values)
        return totals.activity(plan, counts, values.output())

    def closed_form(self, plan: Plan) -> Activity | None:
        """Evaluate the base machine's product of ceilings; with skipping there is none."""
        return None if plan.skips else totals.activity(plan, totals.dense(plan.conv, plan.params), None)

    def looked_up(self, layers: Sequence[tuple[LayerView, Operands]], params: Params) -> Looked:
        """Return the numbers of layers and the sums over their windows, which are walked."""
        counts = []
        for view, operands in layers:
            conv, (skips, nonzeros) = view.conv, _bricks(view, operands, params)
            walked = _walk(conv, params.lanes, skips, nonzeros, Values(conv, None)) if skips else None
            counts.append(walked or totals.dense(conv, params))
        return Looked(stacked(layers), totals.Counts(*np.array(counts, dtype=np.int64).T.copy()))

    def counted(self, looked: Looked, params: Params, machine: Machine) -> Counted | None:
        """Count all layers by the formulas of one."""
        layers = looked.layers
        plan = planned(layers, params, machine)
        neurons, synapses = totals.stay(plan)
        homeless = (layers.input.chip | layers.output.chip) & ~neurons | layers.weight.chip & ~synapses
        if homeless.any() or not small(layers, _growth(params), machine.dram).all():
            return None
        return totals.columns(plan, looked.counts)

    def stored(self, plan: Plan) -> dict[str, StoredBits]:
        """Return the neurons in bricks with offsets; plain ones without skipping."""
        if not plan.params.skip_zeros:
            return {}
        tensors = {"input": plan.view.input, "output": plan.view.output}
        return {name: size.stored(tensors[name]) for name, size in totals.neurons(plan).items()}

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer on a few narrow units."""
        draw = drawing(rng)
        params = {
            "units": draw(1, 3), "filters": draw(1, 3), "lanes": draw(1, 4), "brick": draw(1, 4),
            "skip_zeros": bool(draw(0, 3)), "neuron_kib": draw(1, 2), "synapse_kib": 1, "stay": bool(draw(0, 2)),
        }  # fmt: skip
        kind = draw(0, 5)
        if kind == 0:
            return Sample(Linear(n=draw(1, 3), c=draw(1, 20), k=draw(1, 9)), params, widest_bits=16)
        if kind == 1:
            return Sample(Matmul(draw(1, 3), draw(1, 4), draw(1, 9), draw(1, 20)), params, widest_bits=16)
        shape = sample.convolution(draw, n=(1, 2), c=(1, 9), k=(1, 7), plane=(5, 7), stride=(1, 3))
        return Sample(shape, params, widest_bits=16)


def _growth(params: Params) -> int:
    """Return what a multiplication adds to any count at most."""
    return 16 * params.units * params.filters * params.lanes


def _bricks(view: LayerView, operands: Operands, params: Params) -> tuple[bool, np.ndarray]:
    """Return whether a layer's zeros are skipped, and the non-zeros of every brick."""
    conv = view.conv
    mask = to_conv_input(view, operands.input.mask).reshape(conv.n, conv.groups, -1, conv.h, conv.w)
    bricks = split(np.moveaxis(mask, 2, -1), params.brick).sum(axis=-1, dtype=np.int64)
    skips = params.skip_zeros and conv.c // conv.groups >= params.brick
    return skips, np.ascontiguousarray(np.moveaxis(bricks, -1, 2))


def _walk(conv: Conv2d, lanes: int, skips: bool, nonzeros: np.ndarray, values: Values) -> totals.Counts:
    """Walk the windows of all images and groups."""
    from accelsim.engines.cnvlutin.kernel import walk_windows

    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    numbers = [cg, conv.r, conv.s, conv.e, conv.f, *conv.stride, *conv.pad[:2], *conv.dilation, lanes, kg]
    packed, sums = np.array(numbers, dtype=np.int64), np.zeros(5, dtype=np.int64)
    for n, g in np.ndindex(conv.n, conv.groups):
        sums += walk_windows(nonzeros[n, g], packed, skips, values.given, *values.of(n, g))
    return totals.Counts(*sums.tolist())


ENGINE = Cnvlutin()
