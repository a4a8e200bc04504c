"""SnaPEA in exact mode: positive weights first, then negative ones until the sum falls below zero.

Source: V. Akhlaghi et al., "SnaPEA: Predictive Early Activation for Reducing Computation in Deep Convolutional Neural
Networks", ISCA 2018.

Modelled:
- Weights of each kernel reordered by sign; a window stops after the multiplication that makes its sum negative, as
  its output is zero after ReLU. Inputs that may be negative (the first layer) never stop a window.
- Four lanes of a PE on neighbouring windows of one kernel wait for the slowest of them; PEs for each other at the end
  of an image.
- An index per weight. The ReLU: values are those after it.

Not modelled:
- The predictive mode, which needs trained thresholds.
- Bias, pooling, capacity of the buffers.

Assumed:
- Windows in row order, in groups of as many as there are lanes; group i of an image goes to PE i mod PEs.
- Weights keep their order within a sign; zero weights go with the positive ones and take a cycle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from accelsim.activity import Activity
from accelsim.components import Component, Mac, Registers, Sram
from accelsim.compressed import sample
from accelsim.compressed.engine import LayerPlan, MultiplierEngine
from accelsim.compressed.values import windows
from accelsim.config.schema import Strict
from accelsim.engine import Machine, NoMapping, Sample, check_counts, drawing
from accelsim.engines.snapea import totals
from accelsim.operands.golden import golden
from accelsim.operands.handle import Operands, from_conv_output
from accelsim.remedy import Remedy, reshaped
from accelsim.results import StoredBits
from accelsim.units import KIB_BITS, ceil_div
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Conv2d


class Params(Strict):
    """PEs of a few lanes."""

    pes: int = Field(64, ge=1, le=1 << 16, description="PEs")
    lanes: int = Field(4, ge=1, le=1024, description="compute lanes per PE, a window each")
    operand_bits: int = Field(16, ge=1, le=32, description="widest input and weight that is multiplied")
    accumulator_bits: int = Field(32, ge=2, le=64, description="width of a partial sum")
    buffer_kib: int = Field(20, ge=1, le=1 << 20, description="input and output buffer per PE: prices its accesses")
    weight_kib: int = Field(1, ge=1, le=1 << 20, description="weight and index buffer per PE: prices its accesses")


@dataclass(frozen=True, eq=False)
class Plan(LayerPlan):
    """Time depends on values, so it has them. ``x`` (n, c, h, w), ``w`` (k, c / groups, r, s)."""

    stops: bool
    x: np.ndarray
    w: np.ndarray


class Snapea(MultiplierEngine[Params]):
    """The engine of this folder."""

    name = "snapea"
    params_schema = Params
    primary = "lanes"
    support_params = ("operand_bits", "accumulator_bits")

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return more PEs of fewer lanes or the reverse."""
        return reshaped(params, "pes", "lanes")

    def units(self, params: Params) -> dict[str, int]:
        """Return the lanes."""
        return {"lanes": params.pes * params.lanes}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only convolutions, which a ReLU follows."""
        del params
        if not isinstance(view.shape, Conv2d):
            return f"SnaPEA runs convolutions with a ReLU, not {view.kind} layers"
        return None

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers and the buffers of the PEs."""
        p = params
        return (
            Mac("macs", p.pes * p.lanes, p.operand_bits, p.operand_bits, p.accumulator_bits),
            Registers(
                "registers",
                p.pes,
                clocked_bits=p.lanes * (3 * p.operand_bits + p.accumulator_bits) + 2 * p.operand_bits + 64,
                source="assumed: per lane an input, a product, a sum; per PE a weight with its index, 64 bits of "
                "control",
            ),
            Sram("pe.data", p.pes, p.buffer_kib * KIB_BITS, p.lanes * p.operand_bits),
            Sram("pe.weights", p.pes, p.weight_kib * KIB_BITS, 2 * p.operand_bits),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Take the values, on which time depends."""
        del mapping
        check_counts(view, 64 * params.pes * params.lanes)
        x, w = operands.conv_arrays()
        return Plan(view, view.conv, params, machine, bool((x >= 0).all()) and not view.input.signed, x, w)

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk every window to where it stops."""
        from accelsim.engines.snapea.kernel import walk_kernels

        conv, p = plan.conv, plan.params
        kg, outputs = conv.k // conv.groups, conv.e * conv.f
        x = plan.x.reshape(conv.n, conv.groups, -1, conv.h, conv.w)
        w = np.ascontiguousarray(plan.w.reshape(conv.groups, kg, -1))
        order = np.argsort(w < 0, axis=2, kind="stable").astype(np.int64)
        out = np.zeros((conv.n, conv.groups, kg, outputs), dtype=np.int64)
        sums, now = np.zeros(5, dtype=np.int64), np.zeros((conv.n, p.pes), dtype=np.int64)
        for n, g in np.ndindex(conv.n, conv.groups):
            first = g * kg * ceil_div(outputs, p.lanes)
            columns = np.ascontiguousarray(windows(conv, x[n, g]).reshape(outputs, -1))
            sums += walk_kernels(columns, order[g], w[g], plan.stops, p.lanes, first, now[n], out[n, g])
        counts = totals.Counts(tuple(now.max(axis=1).tolist()), *sums.tolist())
        return totals.activity(plan, counts, None if operands is None else from_conv_output(operands.view, out))

    def truth(self, operands: Operands) -> np.ndarray:
        """Return the layer's output after the ReLU."""
        return np.maximum(golden(operands), 0)

    def stored(self, plan: Plan) -> dict[str, StoredBits]:
        """Return the weights in the order of their signs, each with its place."""
        return {"weight": totals.weights(plan).stored(plan.view.weight)}

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small convolution on a few lanes."""
        draw = drawing(rng)
        shape = sample.convolution(draw, n=(1, 2), c=(1, 4), k=(1, 4), plane=(5, 7), stride=(1, 3))
        return Sample(shape, {"pes": draw(1, 5), "lanes": draw(1, 4)}, widest_bits=16)


ENGINE = Snapea()
