"""Matrix-vector-threshold units: PE rows and SIMD columns of a layer's matrix a cycle, a unit for each layer (FINN).

Source: Y. Umuroglu et al., "FINN: A Framework for Fast, Scalable Binarized Neural Network Inference", FPGA 2017
(abstract read), and the foldings of its release, Xilinx/BNN-PYNQ 65f2124.

Modelled:
- Blocks of the matrix, taken once for each output pixel; XNOR and popcount of one-bit operands, else products.
- Thresholds behind the sums: comparisons and accesses. Max pooling as an OR.
- Columns by filter position, then channel; or windows of one channel each, of several filters side by side (YodaNN).

Not modelled:
- Buffers between layers and images in flight: `accelsim search folding` says them beside a run.
- Values behind thresholds, which a network does not carry: a layer's output are its sums.
- The FPGA: energy and area are those of the table's cells.

Assumed:
- Inputs and outputs of a layer are held whole beside its unit; a sliding window needs some lines of them.
- Inputs in the padding are read like others. Pooling meets as many inputs a cycle as products.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Event, Flow
from accelsim.components import Alu, Component, Mac, Registers, Sram
from accelsim.config.schema import Strict
from accelsim.engine import Sample, Word, drawing
from accelsim.remedy import Remedy, reshaped
from accelsim.units import KIB_BITS, ceil_div
from accelsim.whole import sample
from accelsim.whole.engine import SEPARATE, Count, Layer, WholeEngine, WholePlan, pooling, windows
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Pool


class Params(Strict):
    """A unit, its memories and its widths."""

    pe: int = Field(1, ge=1, le=1 << 14, description="rows of the matrix at once: outputs")
    simd: int = Field(1, ge=1, le=1 << 14, description="columns at once: inputs")
    pad_matrix: bool = Field(
        False, description="pad matrices that pe and simd do not divide, in place of refusing them"
    )
    pooling: bool = Field(False, description="comparators for pooling, as many as multipliers")
    order: Literal["matrix", "window"] = Field(
        "matrix", description="columns as they come, or the window of one input channel after another"
    )
    filters: int = Field(1, ge=1, le=64, description="most filters that a row takes at once, of small windows")
    input_bits: int = Field(8, ge=1, le=32, description="widest input")
    weight_bits: int = Field(1, ge=0, le=32, description="widest weight; 0 for no multipliers")
    accumulator_bits: int = Field(16, ge=1, le=64, description="sums, and thresholds")
    threshold_bits: int = Field(2, ge=0, le=4, description="widest output that thresholds make; 0 for none")
    threshold_kib: int = Field(1, ge=1, le=1 << 20, description="thresholds")
    input_kib: int = Field(64, ge=1, le=1 << 20, description="inputs of a layer")
    weight_kib: int = Field(64, ge=1, le=1 << 20, description="weights of a layer")
    output_kib: int = Field(64, ge=1, le=1 << 20, description="outputs of a layer")


class Counts(NamedTuple):
    """Counts of a layer: cycles, inputs that are read, and sums of a cycle that are added up."""

    cycles: Count
    inputs: Count
    sums: Count


class Mvtu(WholeEngine[Params]):
    """The engine of this folder."""

    name = "mvtu"
    params_schema = Params
    primary = "multipliers"
    support_params = (
        "pe", "simd", "pad_matrix", "pooling", "order", "filters", "input_bits", "weight_bits", "accumulator_bits",
        "threshold_bits", "threshold_kib",
    )  # fmt: skip
    stores = SEPARATE
    counts = Counts
    what = "a matrix-vector unit multiplies, adds and compares: it"
    pools = True
    spare = "padding"

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return another folding."""
        return reshaped(params, "pe", "simd")

    def units(self, params: Params) -> dict[str, int]:
        """Return the multipliers."""
        return {"multipliers": params.pe * params.simd}

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the widths of operands; pooling has no weights."""
        del view
        return {"input": Word(params.input_bits, "multipliers"), "weight": Word(params.weight_bits, "multipliers")}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: its kind, a folding that does not divide it, or too many thresholds."""
        reason = super().supports(view, params)
        if reason is None and (pooling(view) in ("sum", "average") or (pooling(view) and not params.pooling)):
            reason = f"{self.what} has no {pooling(view)} pooling" + (
                "" if params.pooling else "; set params.pooling: true"
            )
        return reason or self._unfolded(view, params) or self._unheld(view, params)

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return adder trees, comparators and memories, each as wide as what a cycle takes."""
        p, macs = params, params.pe * params.simd
        heard = (macs if p.pooling and not p.weight_bits else p.simd) * p.input_bits
        ports = (heard, macs * max(p.weight_bits, 1), p.pe * p.accumulator_bits)
        products = macs * (p.input_bits + 2 * p.weight_bits) + p.pe * p.filters * p.accumulator_bits
        tree = (  # adders of a tree are as wide as the products, most of them
            Mac("macs", macs, p.input_bits, p.weight_bits, p.input_bits + p.weight_bits),
            Alu("accumulators", p.pe * p.filters, p.accumulator_bits, parts=("adder",)),
        )
        thresholds = (
            Alu("thresholds", p.pe, p.accumulator_bits, parts=("comparator",)),
            Sram("glb.thresholds", 1, p.threshold_kib * KIB_BITS, p.pe * p.accumulator_bits),
        )
        return (
            *(tree if p.weight_bits else ()),
            Registers(
                "registers", 1, clocked_bits=heard + (products if p.weight_bits else macs * p.input_bits) + 64,
                source="assumed: latches of inputs and weights, products, sums, 64 bits of control; of pooling inputs "
                "and results",
            ),
            *((Alu("pool", macs, p.input_bits, parts=("comparator",)),) if p.pooling else ()),
            *(thresholds if p.threshold_bits else ()),
            *(Sram(s.boundary, 1, s.capacity_bits(p), width) for s, width in zip(self.stores, ports, strict=True)),
        )  # fmt: skip

    def count(self, layer: Layer, params: Params) -> Counts:
        """Return the counts in closed form."""
        matrices = layer.product * layer.groups + 1 - layer.product  # channels of pooling are rows of one
        taps = layer.r * layer.s
        rows = ceil_div(layer.k // matrices, params.pe * side_by_side(taps, params))
        if params.order == "window":
            columns = layer.channels * ceil_div(taps, params.simd)
        else:
            columns = ceil_div(layer.channels * taps, params.simd)
        passes = layer.n * layer.e * layer.f * matrices * rows
        read = layer.product * passes * layer.channels * taps + (1 - layer.product) * layer.work
        return Counts(passes * columns, read, layer.product * layer.outputs * columns)

    def walk_layer(self, plan: WholePlan, sizes: tuple[int, ...], *take: Any) -> Any:
        """Walk the layer block by block; one-bit operands of -1 and 1 meet XNORs."""
        from accelsim.engines.mvtu.kernel import walk

        p, x, w = plan.params, take[-3], take[-2]
        one_bit = plan.layer.product and plan.layer.input_bits == plan.layer.weight_bits == 1
        binary = bool(one_bit and take[1] and np.all(abs(x) == 1) and np.all(abs(w) == 1))
        block = p.pe * int(side_by_side(plan.layer.r * plan.layer.s, p)), p.simd, p.order == "window"
        return walk(sizes, block, binary, *take)

    def events(self, layer: Layer, total: Counts, params: Params) -> dict[Event, Count]:
        """Return products and their sums, comparisons of pooling, and of sums with thresholds."""
        found = {}
        if params.pooling:
            found[Event("pool", "compare")] = (1 - layer.product) * layer.work
        if params.weight_bits:
            found[Event("macs", "mac")] = layer.product * layer.work
            found[Event("accumulators", "add")] = total.sums
        if params.threshold_bits:
            found[Event("thresholds", "compare")] = reached(layer, params)
        return found

    def on_chip(self, layer: Layer, total: Counts, params: Params) -> dict[Flow, Count]:
        """Return what the unit reads and writes."""
        flows = {
            Flow("glb.inputs", "input", "read"): total.inputs * layer.input_bits,
            Flow("glb.weights", "weight", "read"): layer.product * layer.work * layer.weight_bits,
            Flow("glb.outputs", "output", "write"): layer.bits("output"),
        }
        if params.threshold_bits:
            flows[Flow("glb.thresholds", "other", "read")] = reached(layer, params) * params.accumulator_bits
        return flows

    def growth(self, params: Params) -> int:
        """Return what a product adds to any count at most: unit-cycles, or bits of an output's thresholds."""
        return max(super().growth(params), params.accumulator_bits << params.threshold_bits)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small product or max-pooling layer on a small unit that pads."""
        draw = drawing(rng)
        params = {
            "pe": draw(1, 5), "simd": draw(1, 9), "pad_matrix": True, "pooling": True,
            "order": ("matrix", "window")[draw(0, 1)], "filters": draw(1, 3), "weight_bits": 8,
            "threshold_bits": draw(0, 3),
        }  # fmt: skip
        shape = sample.layer(draw)
        if isinstance(shape, Pool):
            shape = Pool("max", shape.n, shape.c, shape.h, shape.w, shape.r, shape.s, shape.stride, shape.pad)
        return Sample(shape, params, widest_bits=8, on_chip=True)

    def _unfolded(self, view: LayerView, params: Params) -> str | None:
        """Return which of pe and simd does not divide the matrix, and what it would be padded to."""
        if params.pad_matrix:
            return None
        conv, taps = windows(view), windows(view).r * windows(view).s
        matrices = 1 if pooling(view) else conv.groups
        columns = taps if params.order == "window" else conv.c // conv.groups * taps
        at_once = params.pe * int(side_by_side(taps, params))
        for key, size, what, part in (
            ("pe", conv.k // matrices, "rows", at_once),
            ("simd", columns, "columns", params.simd),
        ):
            if size % part:
                return (
                    f"{key} takes {part} of {size} {what}, which it does not divide; fold otherwise, "
                    f"or pad them to {ceil_div(size, part) * part} with params.pad_matrix: true"
                )
        return None

    def _unheld(self, view: LayerView, params: Params) -> str | None:
        """Return how many bits of thresholds there are too many."""
        outputs = windows(view).k * per_output(view.output.width, params) * params.accumulator_bits
        room = params.threshold_kib * KIB_BITS
        if pooling(view) or outputs <= room:
            return None
        problem = f"{outputs:,} bits of thresholds, and 'glb.thresholds' holds {room:,}"
        return f"{problem}; raise params.threshold_kib to {ceil_div(outputs, KIB_BITS)}"


def side_by_side(taps: Count, params: Params) -> Count:
    """Return how many filters a row of multipliers takes at once."""
    if params.order == "matrix":
        return 1
    return np.clip(params.simd // taps, 1, params.filters)


def per_output(bits: Count, params: Params) -> Count:
    """Return the thresholds of an output of so many bits: none of one that is wider than they make."""
    return ((1 << np.minimum(bits, params.threshold_bits)) - 1) * (bits <= params.threshold_bits)


def reached(layer: Layer, params: Params) -> Count:
    """Return how many comparisons with thresholds there are."""
    return layer.product * layer.outputs * per_output(layer.output_bits, params)


ENGINE = Mvtu()
