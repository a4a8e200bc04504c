"""Layers and machines as the rows of integers that `columnar_kernel` takes, and its totals as `Many`."""

from __future__ import annotations

import numpy as np

from accelsim.activity import Event
from accelsim.config.schema import MappingSpec
from accelsim.engine import Machine, Many
from accelsim.engines.systolic.columnar_kernel import COUNTS, evaluate
from accelsim.engines.systolic.params import Params
from accelsim.engines.systolic.priced_kernel import EDP, ENERGY, PRICED
from accelsim.engines.systolic.tilecost import FLOWS
from accelsim.errors import PriceError
from accelsim.mapping.choose import PriceOf
from accelsim.mapping.search_kernel import CYCLES, DRAM
from accelsim.tiled.base import buffer_bits

MOST = 2**59
"""No count may come near 64 bits: what could grow beyond this is left to the plain path."""

OBJECTIVES = {"cycles": CYCLES, "dram": DRAM, "energy": ENERGY, "edp": EDP}
CAUSES = ("busy", "zero", "unmapped", "fill_drain", "starved", "memory")
EVENTS = (
    Event("macs", "mac"), Event("pe", "read"), Event("pe", "write"), Event("array", "transfer"),
    Event("glb.inputs", "read"), Event("glb.inputs", "write"), Event("glb.weights", "read"),
    Event("glb.weights", "write"), Event("glb.outputs", "read"), Event("glb.outputs", "write"),
)  # fmt: skip


def totals(
    layers: np.ndarray, params: Params, machine: Machine, mapping: MappingSpec, price: PriceOf, leak_pj_per_cycle: float
) -> Many | None:
    """Return the totals of layers that `encode` described; None where a mapping is not chosen from all candidates."""
    objective, bus = OBJECTIVES.get(mapping.objective), bus_row(params, machine)
    if objective is None or mapping.fixed or bus is None:
        return None
    rates = None
    if objective in (ENERGY, EDP):
        try:
            rates = np.array([*(price(name, action) for name, action in PRICED), leak_pj_per_cycle], dtype=np.float64)
        except PriceError:
            return None
    out = np.zeros((len(layers), len(COUNTS)), dtype=np.int64)
    evaluate(layers, array_row(params), bus, objective, rates, out)
    return Many(out, CAUSES, EVENTS)


def array_row(params: Params) -> np.ndarray:
    """Return the array in the order of `columnar_kernel.ARRAY`."""
    flow, sizes = FLOWS[params.dataflow], buffer_bits(params).values()
    row = [
        flow,
        params.rows,
        params.cols,
        params.overlap_folds,
        params.accumulator_bits,
        *sizes,
        params.tail,
        params.hold,
    ]
    return np.array(row, dtype=np.int64)


def bus_row(params: Params, machine: Machine) -> np.ndarray | None:
    """Return the DRAM in the order of `bound_kernel.BUS`, and the most that a layer may move; None if too fine."""
    rate, latency, burst = machine.dram
    if max(rate.numerator, rate.denominator) > MOST:
        return None
    slowest = -(-rate.denominator // rate.numerator)
    pes = params.rows * params.cols
    scale = max((64 + burst) * slowest, latency + 1, 64 * params.rows, 64 * params.cols, 4 * pes)
    return np.array([rate.numerator, rate.denominator, latency, burst, MOST // scale], dtype=np.int64)
