"""The six dataflows as values: storage per PE, symbols of a mapping, formulas, active PEs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from accelsim.replicas.isca16 import formulas
from accelsim.replicas.isca16.area import WORD_BYTES, buffer_words
from accelsim.replicas.isca16.formulas import Hardware, Limit, Mapping, Traffic
from accelsim.replicas.isca16.layers import Layer

ENERGY = {"dram": 200, "buffer": 6, "array": 2, "rf": 1, "alu": 1}
"""Energy of one 16-bit access relative to one multiplication; ISCA 2016, Table IV."""


@dataclass(frozen=True)
class Flow:
    """One dataflow. ``active``: symbols whose product, times ``R**filter_sides``, is the active PEs."""

    name: str
    title: str
    rf_bytes: int
    symbols: tuple[str, ...]
    active: tuple[str, ...]
    filter_sides: int
    traffic: Callable[[Layer, int, Mapping], Traffic]
    limits: Callable[[Layer, int, Hardware, Mapping], tuple[Limit, ...]]

    def hardware(self, pes: int) -> Hardware:
        """Return what this flow gets out of the area budget of ``pes`` PEs."""
        return Hardware(pes, buffer_words(pes, self.rf_bytes), self.rf_bytes // WORD_BYTES)

    def active_pes(self, layer: Layer, x: Mapping) -> int:
        """Return how many PEs the mapping uses."""
        return int(layer.R**self.filter_sides) * prod(x[symbol] for symbol in self.active)

    def broken(self, layer: Layer, batch: int, pes: int, x: Mapping) -> tuple[Limit, ...]:
        """Return the constraints that mapping ``x`` breaks; none means that it is legal."""
        limits = self.limits(layer, batch, self.hardware(pes), x) + formulas.range_limits(layer, batch, x)
        return tuple(limit for limit in limits if limit.used > limit.available)


FLOWS = {
    flow.name: flow
    for flow in (
        Flow(
            name="RS",
            title="row stationary",
            rf_bytes=512,
            symbols=tuple("mnfpqrt"),
            active=tuple("frt"),
            filter_sides=1,
            traffic=formulas.rs_traffic,
            limits=formulas.rs_limits,
        ),
        Flow(
            name="WS",
            title="weight stationary",
            rf_bytes=2,
            symbols=tuple("rtf"),
            active=tuple("rt"),
            filter_sides=2,
            traffic=formulas.ws_traffic,
            limits=formulas.ws_limits,
        ),
        Flow(
            name="OSA",
            title="output stationary, one filter and many outputs (SOC-MOP)",
            rf_bytes=(4 + 4 * 11 + 1) * WORD_BYTES,  # U + U R + 1 words, for the largest U and R of AlexNet
            symbols=tuple("mnef"),
            active=tuple("nef"),
            filter_sides=0,
            traffic=formulas.osa_traffic,
            limits=formulas.osa_limits,
        ),
        Flow(
            name="OSB",
            title="output stationary, many filters and many outputs (MOC-MOP)",
            rf_bytes=(4 + 1) * WORD_BYTES,  # U + 1 words, likewise
            symbols=tuple("mnpf"),
            active=tuple("npf"),
            filter_sides=0,
            traffic=formulas.osb_traffic,
            limits=formulas.osb_limits,
        ),
        Flow(
            name="OSC",
            title="output stationary, many filters and one output (MOC-SOP)",
            rf_bytes=2,
            symbols=tuple("mnp"),
            active=tuple("np"),
            filter_sides=0,
            traffic=formulas.osc_traffic,
            limits=formulas.osc_limits,
        ),
        Flow(
            name="NLR",
            title="no local reuse",
            rf_bytes=0,
            symbols=tuple("nmpqef"),
            active=tuple("pq"),
            filter_sides=0,
            traffic=formulas.nlr_traffic,
            limits=formulas.nlr_limits,
        ),
    )
}
"""The flows in the paper's order."""
