"""Lookup-table units that take weights bit by bit: UNPU (approximate).

Source: J. Lee et al., "UNPU: A 50.6 TOPS/W Unified Deep Neural Network Accelerator with 1b-to-16b Fully-Variable Weight
Bit-Precision", ISSCC 2018; rates derived from its throughput at 16 bits and at 1 bit.

Modelled:
- Units with one table of three inputs at a time, whose partial sums all outputs of the unit look up, plane by plane.
- Weights of one bit (also +1 and -1) with tables of four inputs.
- Units on different pixels or on different inputs of one pixel, whose sums are added: chosen or pinned.
- Three double-buffered memories: half of each holds a tile; tiles and loop order are chosen or pinned.

Not modelled:
- The real mapping, which is not published in readable form: the split over units, outputs and inputs is derived.
- Bias, the 1-D SIMD unit, the controller; registers and the network between cores.
- Overlap between tiles inside the units, and of a layer's first load with the layer before it.

Assumed:
- A table is built while the one before it is in use; it costs an addition per entry that is no single input.
- Sums stay in a unit until its tile's inputs are complete.
- With tables of three inputs the fourth port of a lookup idles (unmapped).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Event
from accelsim.components import Alu, Component, Link, Registers, Sram
from accelsim.config.schema import Strict
from accelsim.engine import Sample, Word, drawing
from accelsim.errors import MappingError
from accelsim.mapping import tile_forms
from accelsim.mapping.loopnest import LoopNest, Tiling
from accelsim.mapping.search import Variant
from accelsim.operands import terms
from accelsim.operands.handle import Operands
from accelsim.tiled import sample
from accelsim.tiled.base import Count, TiledPlan
from accelsim.tiled.engine import TiledEngine
from accelsim.units import KIB_BITS
from accelsim.workload.layers import LayerView


class Params(Strict):
    """Lookup-table units and their memories."""

    units: int = Field(ge=1, le=1024, description="lookup-table units (LBPEs)")
    outputs: int = Field(ge=1, le=4096, description="output channels of a unit")
    table_inputs: int = Field(3, ge=1, le=8, description="inputs of a table")
    binary_inputs: int = Field(4, ge=1, le=8, description="inputs of a table with one-bit weights")
    input_bits: int = Field(16, ge=1, le=16, description="widest activation")
    weight_bits: int = Field(16, ge=1, le=16, description="widest weight")
    accumulator_bits: int = Field(32, ge=8, le=64, description="width of a partial sum")
    input_kib: int = Field(ge=1, le=1 << 22, description="activation memory, both halves")
    weight_kib: int = Field(ge=1, le=1 << 22, description="weight memory, both halves")
    output_kib: int = Field(ge=1, le=1 << 22, description="memory of partial sums, both halves")

    @property
    def ports(self) -> int:
        """Inputs of the largest table."""
        return max(self.table_inputs, self.binary_inputs)


class UnitTiling(Tiling):
    """A tiling, and how many units share a pixel's inputs."""

    across: int = Field(1, ge=1, description="units on different inputs of one pixel; divides the units")


class Units(NamedTuple):
    """The units as a layer uses them.

    Attributes
    ----------
    pixels, across : int
        Units on different pixels, and units that share a pixel's inputs.
    outputs : int
        Output channels of a unit.
    inputs : int
        Inputs of a table: ``ports`` of it with one-bit weights, fewer otherwise.
    ports : int
        Inputs of the largest table: what a lookup could cover.
    planes : int
        Bits of a weight.
    """

    pixels: int
    across: int
    outputs: int
    inputs: int
    ports: int
    planes: int

    @property
    def all_ports(self) -> int:
        """Table inputs of all outputs of all units."""
        return self.pixels * self.across * self.outputs * self.ports

    @property
    def entries(self) -> int:
        """Entries of a table that take an addition: all but zero and single inputs."""
        return (1 << self.inputs) - 1 - self.inputs


class Counts(NamedTuple):
    """Counts of a tile: cycles; port-cycles with work; lookups; tables built; elements read and sums written."""

    cycles: Count
    work: Count
    lookups: Count
    tables: Count
    inputs: Count
    weights: Count
    sums: Count


@lru_cache(maxsize=1024)
def _splits(units: int, planes: int, outputs: int, inputs: int, taps: int) -> tuple[Variant, ...]:
    """Return every split of the units over pixels and inputs."""
    return tuple(
        Variant(
            MappingProxyType({"across": across}),
            (tile_forms.PRODUCT, 0, planes, 1, units // across, outputs, taps, inputs, across),
        )
        for across in range(1, units + 1)
        if units % across == 0
    )


class Unpu(TiledEngine[Params, UnitTiling]):
    """The engine of this folder."""

    name = "unpu"
    params_schema = Params
    mapping_schema = UnitTiling
    primary = "ports"
    support_params = ("input_bits", "weight_bits", "accumulator_bits")
    what = "lookup-table units"
    counts = Counts
    operand_axes = (4, 5)

    def units(self, params: Params) -> dict[str, int]:
        """Return the table inputs that the outputs of all units could look up together."""
        return {"ports": params.units * params.outputs * params.ports}

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return what tables are built for, what comes as planes, and the width of sums."""
        del view
        return {
            "input": Word(params.input_bits, "tables"),
            "weight": Word(params.weight_bits, "planes"),
            "output": Word(params.accumulator_bits, "accumulators"),
        }

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return the accumulators behind the tables, the table builders and the memories."""
        p, acc = params, params.accumulator_bits
        moved = ("glb.inputs/read", "glb.weights/read", "glb.outputs/read", "glb.outputs/write")
        return (
            Alu("lookups", p.units * p.outputs, bits=acc, parts=("adder",)),
            Alu("builders", p.units, bits=p.input_bits, parts=("adder",)),
            Registers(
                "registers",
                p.units,
                clocked_bits=p.outputs * (acc + p.ports) + 2 * p.ports * p.input_bits + 64,
                gated_words=(1 << p.ports) - p.ports - 1,
                source="assumed: a sum and the weight bits of a plane per output, inputs of two tables, 64 bits of "
                "control; gated: words of the table",
            ),
            Link("bus", 1, p.input_bits, reach="trunk", carries=moved),
            Sram("glb.inputs", 1, size_bits=p.input_kib * KIB_BITS, width_bits=p.units * p.input_bits),
            Sram("glb.weights", 1, size_bits=p.weight_kib * KIB_BITS, width_bits=p.outputs),
            Sram("glb.outputs", 1, size_bits=p.output_kib * KIB_BITS, width_bits=p.units * acc),
        )

    def unit(self, view: LayerView, params: Params, fields: Mapping[str, Any]) -> Units:
        """Return the units as the mapping splits them over pixels and inputs, with tables for the weights' width."""
        planes, across = view.weight.width, fields["across"]
        inputs = params.binary_inputs if planes == 1 else params.table_inputs
        return Units(params.units // across, across, params.outputs, inputs, params.ports, planes)

    def variants(self, view: LayerView, params: Params) -> tuple[Variant, ...]:
        """Return every split of the units."""
        one = self.unit(view, params, {"across": 1})
        return _splits(one.pixels, one.planes, one.outputs, one.inputs, view.conv.r * view.conv.s)

    def grain(self, view: LayerView, params: Params) -> tuple[tuple[int, ...], int]:
        """Return the outputs of a unit and the inputs of a table."""
        del view
        return (params.outputs,), params.table_inputs

    def check(self, view: LayerView, params: Params, mapping: UnitTiling, nest: LoopNest) -> None:
        """Refuse a split with units left over."""
        if params.units % mapping.across:
            raise MappingError(
                f"layer '{view.name}': across {mapping.across} does not divide {params.units} units",
                "use a divisor",
            )

    def cost(self, unit: Units, taps: Count, g: Count, m: Count, k: Count, c: Count) -> Counts:
        """Return the cost of each tile."""
        inputs = c * taps
        tables = -(-inputs // unit.inputs)
        blocks = -(-k // unit.outputs)
        rounds = -(-m // unit.pixels)
        return Counts(
            cycles=g * blocks * rounds * -(-tables // unit.across) * unit.planes,
            work=g * m * k * inputs * unit.planes,
            lookups=g * m * k * tables * unit.planes,
            tables=g * blocks * m * tables,
            inputs=g * blocks * m * inputs,
            weights=g * rounds * k * inputs,
            sums=g * m * k,
        )

    def account(self, unit: Units, total: Counts, params: Params, effective_macs: int) -> dict[str, Count]:
        """Return port-cycles."""
        busy = effective_macs * unit.planes
        unmapped = unit.all_ports * total.cycles - total.work
        return {"busy": busy, "zero": total.work - busy, "unmapped": unmapped}

    def events(self, unit: Units, total: Counts, params: Params, macs: int) -> dict[Event, Count]:
        """Return sums that are looked up and added, and entries of tables."""
        return {Event("lookups", "add"): total.lookups, Event("builders", "add"): total.tables * unit.entries}

    def details(self, plan: TiledPlan, total: Counts) -> dict[str, int]:
        """Return the tables that were built."""
        return {"tables": total.tables}

    def growth(self, params: Params) -> int:
        """Return a bound from port-cycles of the widest weights and from bits of sums."""
        return 64 * 16 * params.units * params.outputs * params.ports

    def coded(self, plan: TiledPlan, operands: Operands) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights as masks of the planes that add and that subtract, shape (2, k, c per group, r, s)."""
        x, w = operands.conv_arrays()
        terms.check_operands(operands, x, w)
        return x, np.stack(terms.planes(w, operands.weight.bits, operands.view.weight.signed))

    def walk_tile(self, plan: TiledPlan, operands: Operands | None, *tile: Any) -> np.ndarray:
        """Go through a tile round by round."""
        from accelsim.engines.unpu.kernel import walk_tile

        counts: np.ndarray = walk_tile(plan.unit, *tile)
        return counts

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer of any product kind, cut at random, on a few small units."""
        draw = drawing(rng)
        shape, units = sample.product(draw), draw(1, 6)
        params = {
            "units": units, "outputs": draw(1, 5), "table_inputs": draw(1, 3), "binary_inputs": draw(1, 4),
            "input_kib": 8, "weight_kib": 8, "output_kib": 8,
        }  # fmt: skip
        divisors = [n for n in range(1, units + 1) if units % n == 0]
        cut = sample.tiling(shape.as_conv(), draw, 8, 32, 32768)
        return Sample(shape, params, cut | {"across": divisors[draw(0, len(divisors) - 1)]})


ENGINE = Unpu()
