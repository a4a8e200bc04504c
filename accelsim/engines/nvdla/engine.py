"""NVDLA: a convolution buffer, kernels in stripes on weight-stationary MAC cells, and post-processing behind them.

Source: NVIDIA, open hardware repository nvdla/hw, branch nv_small at 771f20c, simulated cycle by cycle (counts in the
packaged tables of `accelsim validate --rtl`); nvdla/doc, unit description; branch nvdlav1 at 8e06b1b for nv_full.

Modelled:
- One memory port: latency, beats on their way, the order of weights and data, the line buffer before the convolution
  buffer, the ring of weight banks.
- The whole input of a hardware layer and its first kernels before the first product; later kernels beside the products.
- Kernel groups, stripes of output pixels, blocks of channels; a stripe's least cycles, in which the next weights come.
- The post-processing behind the array, one element per cycle, and the credits of pixels that wait for it.
- Layers in bands of output rows, groups and images as hardware layers that overlap: the next one loads while one
  computes, if the buffer has room.
- Layers that overlap as hardware layers do, told beside figures of each alone (`overlap_layers`).
- Element-wise layers, pooling and normalisation across channels from memory to memory; image mode (a mapping).

Not modelled:
- Winograd, weight compression, batches of fully connected layers, the second memory port and its SRAM.
- Configuration registers, counters and the memory interface, in energy and area.
- Programming by the host: the registers of the next hardware layer are written in time.
- Writes that hold up reads: none was seen. The range of the accumulator; rounding of outputs, which are int32 sums.

Assumed:
- Groups of a convolution that fill a block of channels share a hardware layer, their kernels filled up with zeros.
- Rows of a matrix are pixels, one below the other; 3 channels in image mode are pixels of 4.
- Registers of other configurations are as deep as those of nv_small; those of the normalisation unit.
- Before a DRAM device data and weights each keep the transaction that they ended in, and results leave evenly.
- Weights have room for two groups of kernels, data as few bands as fit beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from accelsim.activity import Activity
from accelsim.components import Alu, Component, Mac, RegisterFile, Sram
from accelsim.config.schema import MappingSpec
from accelsim.engine import Engine, Machine, Many, Sample, Word
from accelsim.engines.nvdla import asked, columns, post, totals
from accelsim.engines.nvdla.params import ACCUMULATOR_BITS, POST, Mapping, Params
from accelsim.engines.nvdla.plan import Work, in_turn, walked, work_of
from accelsim.engines.nvdla.registers import registers
from accelsim.errors import MappingError
from accelsim.mapping.choose import PriceOf
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.remedy import Remedy, doubled
from accelsim.units import INT64_MAX, KIB_BITS
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import PRODUCTS


class Plan(NamedTuple):
    """What a walk needs: hardware layers of a convolution, or one of the post-processing."""

    view: LayerView
    work: Work | post.Post
    params: Params
    machine: Machine
    effective_macs: int


class Nvdla(Engine[Params, Mapping]):
    """The engine of this folder."""

    name = "nvdla"
    params_schema = Params
    mapping_schema = Mapping
    primary = "macs"
    asks_device = "beats"
    dram_inside = ("bits_per_cycle", "latency_cycles")
    support_params = ("wide_kernels",)

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return layers that overlap, other channels and kernels at a time, a wider port, more banks and beats."""
        p = params
        overlap = () if p.overlap_layers else (Remedy({"overlap_layers": True}, ("memory", "starved", "fill_drain")),)
        sizes = ((2 * p.channels, p.kernels // 2), (p.channels // 2, 2 * p.kernels))
        shapes = tuple(Remedy({"channels": c, "kernels": k}, ("padding", "unmapped")) for c, k in sizes if c and k)
        waits = ("memory", "starved")
        port = tuple(Remedy({key: 2 * getattr(p, key)}, waits) for key in ("port_bytes", "outstanding_beats", "banks"))
        return (*overlap, *shapes, *port, *doubled(p, "starved", "post_elements"))

    def units(self, params: Params) -> dict[str, int]:
        """Return 8-bit multipliers, and the elements that each pipeline behind them takes at a time."""
        return {"macs": params.multipliers, **dict.fromkeys(POST, params.post_elements)}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run here, or None."""
        del params
        return None if view.kind in PRODUCTS else post.unsupported(view)

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the widths of operands and of sums."""
        del view
        operand = Word(params.widest_bits, "MAC cells")
        return {"input": operand, "weight": operand, "output": Word(32, "results")}

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return MAC cells with two sets of weights, sums of a stripe of every kernel, the banks, the lanes behind."""
        p = params
        sums = p.kernels * max(p.credits, p.stripe) * ACCUMULATOR_BITS
        return (
            Mac("macs", p.multipliers, 8, 8, ACCUMULATOR_BITS),
            RegisterFile("pe.weights", p.multipliers, size_bits=16, width_bits=8),
            RegisterFile("pe.sums", 1, size_bits=sums, width_bits=p.kernels * ACCUMULATOR_BITS),
            Sram("glb.cbuf", p.banks, size_bits=p.bank_kib * KIB_BITS, width_bits=p.channels * 8),
            Alu("post", p.post_elements, bits=32),
            *registers(p),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: Mapping, machine: Machine) -> Plan:
        """Cut the layer into hardware layers; MappingError where one does not fit the convolution buffer."""
        return self._plan(view, operands.effective_macs if view.macs else 0, params, mapping, machine)

    def _plan(self, view: LayerView, effective_macs: int, params: Params, mapping: Mapping, machine: Machine) -> Plan:
        if view.kind in PRODUCTS:
            work: Work | post.Post = work_of(view, params, mapping, machine.dram)
            return Plan(view, work, params, machine, effective_macs)
        if view.input.elements * params.multipliers > INT64_MAX >> 20:
            raise MappingError.too_many(view.name)
        return Plan(view, post.post_of(view, params, mapping), params, machine, 0)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk the hardware layers; with operands, compute them."""
        dram, door = plan.machine.dram, plan.machine.door
        if isinstance(plan.work, post.Post):
            values = None if operands is None else post.values_of(operands)
            return post.activity(plan.view, plan.work, plan.params, dram, values, door)
        made = None if operands is None else _values(plan.work, operands)
        work, p = plan.work, plan.params
        if door is None:
            found = walked(work)
        else:
            rows = (part.bottom - part.top for part in work.parts)
            parts = zip(work.parts, (count * work.conv.f for count in rows), strict=True)
            bits = [totals.written_bits(plan.view, work, part, positions, p) for part, positions in parts]
            found = asked.answered(work, bits, p, door)
        return totals.activity(plan.view, work, p, dram, plan.effective_macs, found, made)

    def closed_form(self, plan: Plan) -> Activity | None:
        """Return what the post-processing does; the loads of a convolution have no closed form."""
        return self.run(plan) if isinstance(plan.work, post.Post) else None

    def ends_together(
        self, views: Sequence[LayerView], mappings: Sequence[Mapping], params: Params, machine: Machine
    ) -> list[int] | None:
        """Return when each layer ends; None unless `overlap_layers` says that they overlap."""
        if not params.overlap_layers:
            return None
        return in_turn([work_of(v, params, m, machine.dram) for v, m in zip(views, mappings, strict=True)])

    def encode(self, view: LayerView, effective_macs: int) -> tuple[int, ...] | None:
        """Return a layer by its sizes and widths."""
        return columns.encode(view, effective_macs)

    def closed_form_many(
        self, layers: np.ndarray, params: Params, machine: Machine, mapping: MappingSpec, price: PriceOf,
        leak_pj_per_cycle: float,
    ) -> Many | None:  # fmt: skip
        """Run the layers without operands, prices and reports, each in the bands and banks that `plan` chooses."""
        del price, leak_pj_per_cycle  # there is nothing to choose
        if mapping.fixed:
            return None
        found: list[Activity | None] = []
        for row in layers.tolist():
            view, effective_macs = columns.decoded(tuple(row))
            try:
                found.append(self.run(self._plan(view, effective_macs, params, Mapping(), machine)))
            except MappingError:
                found.append(None)
        return columns.totals(found, self.components(params), self.primary)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer on a small machine."""
        from accelsim.engines.nvdla.sample import sample

        return sample(rng)


def _values(work: Work, operands: Operands) -> np.ndarray:
    """Return the output of the MAC array, hardware layer by hardware layer."""
    from accelsim.engines.nvdla.kernel import multiply

    conv = work.conv
    x, w = operands.conv_arrays()
    if operands.view.conv != conv:  # rows of a matrix: pixels below each other
        x = x[:, :, 0, 0].T.reshape(1, conv.c, conv.h, 1)
    x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
    out = np.zeros((conv.n, conv.k, conv.e, conv.f), np.int64)
    for part, layer in zip(work.parts, work.layers, strict=True):
        multiply(layer, np.array(part[:4], np.int64), work.sizes, work.image, x, w, out)
    if operands.view.conv != conv:
        out = np.ascontiguousarray(out[0, :, :, 0].T).reshape(conv.h, conv.k, 1, 1)
    return from_conv_output(operands.view, out)


ENGINE = Nvdla()
