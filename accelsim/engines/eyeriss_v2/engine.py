"""Eyeriss v2: clusters of PEs that skip zeros in compressed inputs and weights, joined by a hierarchical mesh.

Source: Y.-H. Chen, T.-J. Yang, J. Emer, V. Sze, "Eyeriss v2: A Flexible Accelerator for Emerging Deep Neural Networks
on Mobile Devices", JETCAS 2019.

Modelled:
- CSC inputs and weights; a PE that fetches non-zero inputs alone and multiplies one by as many weights of its column
  per cycle as it has multipliers; inputs that meet no weight; the pipeline's fill.
- Dense mode: depthwise layers, layers without zeros, and machines whose PEs skip nothing (v1, v1.5).
- Loops unrolled over rows, columns and clusters along reduction, output channels, groups and positions, by a rule.
- Words of every router in its multicast mode: a pass takes as long as its slowest PE or its fullest router; or a flat
  network of one word per cycle and type.
- Psums in the buffer between steps of the reduction; weights that come again for every band of positions.

Not modelled:
- Cycles of psums between PEs, of address words, of reconfiguring the network for a layer.
- Halos that a band fetches again, residency of inputs between layers.

Assumed:
- One register couples fetch and weight stage; weights load before a pass.
- Inputs that the input banks cannot hold come again for every step of output channels.
- Outputs leave in segments of 16 channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from accelsim.activity import Activity
from accelsim.components import Component, Link, Mac, RegisterFile, Registers, Sram
from accelsim.compressed import sample
from accelsim.compressed.engine import LayerPlan, MultiplierEngine
from accelsim.compressed.sizes import total
from accelsim.config.schema import Strict
from accelsim.engine import Machine, NoMapping, Sample, check_counts, drawing
from accelsim.engines.eyeriss_v2 import totals
from accelsim.engines.eyeriss_v2.cut import choose, entries, per_pe
from accelsim.engines.eyeriss_v2.kernel_counts import COUNTS, Array, Cut, Shape
from accelsim.errors import WorkloadError
from accelsim.operands.handle import Operand, Operands, from_conv_output, to_conv_input, to_conv_weight
from accelsim.remedy import Remedy, doubled, reshaped
from accelsim.results import StoredBits
from accelsim.units import ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Conv2d, Linear


class Params(Strict):
    """Clusters of PEs, their spads, and routers."""

    cluster_rows: int = Field(8, ge=1, le=64, description="rows of clusters: the longest chain of psums")
    cluster_cols: int = Field(2, ge=1, le=64, description="columns of clusters")
    pe_rows: int = Field(3, ge=1, le=16, description="rows of PEs of a cluster, which add up psums")
    pe_cols: int = Field(4, ge=1, le=16, description="columns of PEs of a cluster")
    sparse: bool = Field(True, description="compressed operands; without it PEs take every input and weight")
    simd: int = Field(2, ge=1, le=16, description="multipliers of a PE")
    stages: int = Field(7, ge=1, le=64, description="pipeline stages of a PE")
    network: Literal["mesh", "flat"] = Field("mesh", description="routers of each cluster, or one network for all PEs")
    input_routers: int = Field(3, ge=1, le=64, description="input routers of a cluster; of a flat network, buses")
    port_pairs: int = Field(2, ge=1, le=64, description="compressed values per cycle of an input or weight router")
    port_words: int = Field(3, ge=1, le=64, description="plain values per cycle of an input or weight router")
    psum_words: int = Field(2, ge=1, le=64, description="psums per cycle and direction of a PE column's router")
    spad_inputs: int = Field(16, ge=1, le=256, description="inputs of a PE's window")
    spad_weights: int = Field(192, ge=1, le=1 << 16, description="weights or pairs of a PE")
    spad_psums: int = Field(32, ge=1, le=1024, description="psums of a PE: output channels at a time")
    input_bytes: int = Field(4608, ge=1, le=1 << 24, description="input banks of a cluster")
    psum_bank_bytes: int = Field(1920, ge=1, le=1 << 24, description="psum bank of a PE column")
    operand_bits: int = Field(8, ge=1, le=32, description="widest input and weight")
    accumulator_bits: int = Field(20, ge=2, le=62, description="width of a psum")
    count_bits: int = Field(4, ge=1, le=8, description="zeros before a value; address of an input segment")
    address_bits: int = Field(7, ge=1, le=16, description="address of a column of weights")


@dataclass(frozen=True, eq=False)
class Plan(LayerPlan):
    """Arrays as `kernel.walk` takes them; ``made`` are non-zero outputs, int64 (groups, k of a group)."""

    dense: bool
    cut: Cut
    mask: np.ndarray
    entries: np.ndarray
    pairs: np.ndarray
    found: np.ndarray
    made: np.ndarray
    macs: int
    effective_macs: int

    def over(self, dimension: int) -> int:
        """Return how many parts of a dimension the columns of a cluster take."""
        return int(self.params.pe_cols) if self.cut.columns == dimension else 1


class EyerissV2(MultiplierEngine[Params]):
    """The engine of this folder."""

    name = "eyeriss_v2"
    params_schema = Params
    support_params = ("spad_inputs", "operand_bits", "accumulator_bits")

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return more routers for inputs and partial sums, other shapes of the array, larger spads."""
        return (
            *doubled(params, "starved", "input_routers", "port_pairs", "psum_words"),
            *reshaped(params, "cluster_rows", "cluster_cols"),
            *doubled(params, "fill_drain", "spad_weights", "spad_psums"),
        )

    def units(self, params: Params) -> dict[str, int]:
        """Return the multipliers."""
        return {"multipliers": _pes(params) * params.simd}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only layers with weights, whose filter rows fit a PE."""
        if not isinstance(view.shape, Conv2d | Linear):
            return f"the PEs hold weights, which a {view.kind} layer does not have"
        if view.conv.s > params.spad_inputs:
            return f"a filter row of {view.conv.s} exceeds the {params.spad_inputs} inputs of a PE"
        return None

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers, spads, the routers and the two parts of the buffer."""
        p, pes, clusters = params, _pes(params), params.cluster_rows * params.cluster_cols
        pair = p.operand_bits + (p.count_bits if p.sparse else 0)
        pipeline = pair * (1 + p.simd) + p.simd * (2 * p.operand_bits + 2 * p.accumulator_bits) + 10 * p.stages
        ports = (3 + 3) * pair * p.port_pairs + p.pe_cols * p.accumulator_bits * p.psum_words
        return (
            Mac("macs", pes * p.simd, p.operand_bits, p.operand_bits, p.accumulator_bits),
            Registers(
                "registers", pes, clocked_bits=pipeline,
                source="assumed: an input, weights, products, psums in and out, 10 bits of control per stage",
            ),
            Registers(
                "routers", 1, clocked_bits=(1 if p.network == "flat" else clusters) * ports,
                source="assumed: a word in each port register of a cluster's routers",
            ),
            Link("array", clusters, 3 * pair * p.port_pairs, reach="trunk" if p.network == "flat" else "hop"),
            Sram("glb.inputs", 3 * clusters, ceil_div(p.input_bytes * 8, 3), p.port_words * p.operand_bits, banks=1),
            Sram("glb.psums", p.pe_cols * clusters, p.psum_bank_bytes * 8, p.psum_words * p.accumulator_bits, banks=1),
            RegisterFile("pe.inputs", pes, p.spad_inputs * pair, pair),
            Sram("pe.weights", pes, p.spad_weights * pair, p.simd * pair, banks=1),
            RegisterFile("pe.psums", pes, p.spad_psums * p.accumulator_bits, p.accumulator_bits),
            *((RegisterFile("pe.addresses", pes, p.spad_inputs * p.address_bits, p.address_bits),) if p.sparse else ()),
        )  # fmt: skip

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Choose the unrolling, and count the pairs of every column and the inputs of every pixel."""
        del mapping
        p, conv = params, view.conv
        check_counts(view, 256 * _pes(p) * p.simd * (p.simd + p.stages))  # what moves is multiplied
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        dense = not p.sparse or cg == kg == 1 or _no_zero(operands)
        kept = None if dense else to_conv_weight(view, operands.weight.mask)
        cut = choose(view.name, conv, p, dense, kept)
        starts = np.arange(0, cg, cut.c0)
        if kept is None:
            mask = np.zeros((1, 1, 1, 1), dtype=np.bool_)
            columns = np.zeros((conv.groups, ceil_div(kg, cut.m0), conv.r, 1, 1), dtype=np.int64)
            sizes = np.minimum(cut.c0, cg - starts)
            blocks = np.minimum(cut.m0, kg - np.arange(0, kg, cut.m0))
            words = (blocks[:, None] * sizes * conv.s)[None, :, :, None]
            pairs = np.tile(words, (conv.groups, 1, 1, conv.r))
            pixels = np.tile(sizes[None, :, None, None, None], (conv.groups, 1, conv.n, conv.h, conv.w))
        else:
            mask = np.ascontiguousarray(to_conv_input(view, operands.input.mask).transpose(0, 2, 3, 1))
            columns = entries(kept, conv.groups, cut.m0, p.count_bits)
            pairs = per_pe(columns, cut.c0, p.simd)
            by_group = mask.reshape(conv.n, conv.h, conv.w, conv.groups, cg)
            pixels = np.add.reduceat(by_group, starts, axis=4, dtype=np.int64).transpose(3, 4, 0, 1, 2)
        macs = operands.nonzero_input_macs if dense else 0
        return Plan(
            view, conv, params, machine, dense, cut, mask, columns, pairs, np.ascontiguousarray(pixels),
            _made(view, operands), macs, operands.effective_macs,
        )  # fmt: skip

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk all passes; with operands, multiply. WorkloadError if an output passes the psums' width."""
        from accelsim.engines.eyeriss_v2.kernel import walk

        conv, p, cut = plan.conv, plan.params, plan.cut
        cg, kg = conv.c // conv.groups, conv.k // conv.groups
        sides = (conv.h, conv.w, conv.r, conv.s, conv.e, conv.f, *conv.stride, *conv.pad[:2], *conv.dilation)
        shape = Shape(conv.n, conv.groups, cg, kg, *sides)
        port = p.port_words if plan.dense else p.port_pairs
        flat = p.network == "flat"
        array = Array(p.pe_rows, p.pe_cols, p.simd, p.stages, flat, plan.dense, p.input_routers, port, p.psum_words)
        x = w = out = np.zeros((1, 1, 1, 1), dtype=np.int64)
        if operands is not None:
            x, w = operands.conv_arrays()
            x, w = np.ascontiguousarray(x.transpose(0, 2, 3, 1)), np.ascontiguousarray(w)
            out = np.zeros(conv.output_shape, dtype=np.int64)
        counts, seen = np.zeros(COUNTS, dtype=np.int64), np.zeros((conv.n, conv.h, conv.w), dtype=np.int64)
        blocks = plan.pairs.shape[1]
        steps = (ceil_div(conv.groups, cut.kg * plan.over(1)), ceil_div(blocks, cut.km * plan.over(0)))
        cycles = np.zeros(steps, dtype=np.int64)
        given = operands is not None
        walk(shape, cut, array, plan.mask, plan.entries, plan.pairs, plan.found, given, x, w, out, seen, counts, cycles)
        if operands is None:
            return totals.activity(plan, counts, cycles, None)
        self._check_range(plan, out)
        return totals.activity(plan, counts, cycles, from_conv_output(plan.view, out))

    def _check_range(self, plan: Plan, out: np.ndarray) -> None:
        bits, largest = plan.params.accumulator_bits, max(int(out.max()), -1 - int(out.min()))
        if largest >> (bits - 1):
            raise WorkloadError(
                f"layer '{plan.view.name}': an output of {largest.bit_length() + 1} bits passes psums of {bits}",
                "give narrower operands, or raise params.accumulator_bits",
            )

    def stored(self, plan: Plan) -> dict[str, StoredBits]:
        """Return inputs and weights as pairs with addresses, and outputs."""
        every, view = slice(0, None), plan.view
        blocks = slice(0, plan.pairs.shape[1])
        outputs = totals.outputs_of(plan, every, blocks)
        found = {"output": outputs.stored(view.output)} if outputs.index_bits else {}
        if plan.dense:
            return found
        inputs, weights = total(totals.inputs_of(plan)), totals.weights_of(plan, every, blocks)
        return {"input": inputs.stored(view.input), "weight": weights.stored(view.weight), **found}

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer on a few small clusters."""
        draw = drawing(rng)
        params = {
            "cluster_rows": draw(1, 3), "cluster_cols": draw(1, 2), "pe_rows": draw(1, 3), "pe_cols": draw(1, 3),
            "sparse": bool(draw(0, 4)), "simd": draw(1, 3), "stages": draw(1, 7),
            "network": ("mesh", "flat")[draw(0, 3) == 0], "input_routers": draw(1, 3), "port_pairs": draw(1, 2),
            "port_words": draw(1, 3), "psum_words": draw(1, 2), "spad_inputs": draw(3, 9),
            "spad_weights": draw(9, 60), "spad_psums": draw(1, 24), "input_bytes": draw(1, 40),
            "psum_bank_bytes": draw(3, 60), "count_bits": draw(1, 4),
        }  # fmt: skip
        kind = draw(0, 5)
        if kind == 0:
            return Sample(Linear(n=draw(1, 3), c=draw(1, 20), k=draw(1, 60)), params, widest_bits=6)
        if kind == 1:
            n, c, h, w, stride = draw(1, 2), draw(1, 6), draw(3, 6), draw(3, 6), (draw(1, 2), draw(1, 2))
            depthwise = Conv2d(n, c, c, h, w, 3, 3, groups=c, stride=stride, pad=(1, 1, draw(0, 1), 1))
            return Sample(depthwise, params, widest_bits=6)
        shape = sample.convolution(draw, n=(1, 2), c=(1, 6), k=(1, 9), plane=(5, 7), stride=(1, 3))
        return Sample(shape, params, widest_bits=6)


def _pes(params: Params) -> int:
    return params.cluster_rows * params.cluster_cols * params.pe_rows * params.pe_cols


def _no_zero(operands: Operands) -> bool:
    """Whether neither inputs nor weights have a zero."""
    return all(each.nonzeros == each.tensor.elements for each in (operands.input, operands.weight))


def _made(view: LayerView, operands: Operands) -> np.ndarray:
    """Return the non-zero outputs of each channel as the layer's description has them, int64 (groups, k of a group)."""
    conv, output = view.conv, Operand(view.output, operands.input.seed, operands.input.batch)
    made = np.full(conv.k, conv.n * conv.e * conv.f, dtype=np.int64)
    if not output.dense:
        made = output.mask.reshape(conv.n, conv.k, -1).sum(axis=(0, 2), dtype=np.int64)
    return made.reshape(conv.groups, -1)


ENGINE = EyerissV2()
