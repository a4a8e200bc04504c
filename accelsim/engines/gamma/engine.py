"""Gamma: Gustavson's algorithm, row by row, with radix-64 mergers and a cache of rows.

Source: G. Zhang et al., "Gamma: Leveraging Gustavson's Algorithm to Accelerate Sparse Matrix Multiplication",
ASPLOS 2021.

Modelled:
- Each row of A is merged by a processing element; a row with more fibres than the radix is merged level by level.
- Swaps of a row: per level its elements and its heads, levels until one fibre is left (rule of the TeAAL artifact).
- Rows go to the processing element that is free first, in order; a product and a swap take one cycle each, side by
  side in the pipeline of the element.
- FiberCache: whole rows of B with a byte budget, the least recently used leave first; reuse is counted, not assumed.
- Values: fibres are added in the order of the merge tree, level by level, left before right.
- DRAM bandwidth: the whole product takes as long as the slower of DRAM and processing elements.

Not modelled:
- Banks and ports of the FiberCache, its explicit fetch before use, and its priorities: plain least recently used.
- Intermediate fibres of rows beyond the radix leaving the FiberCache: they stay on the chip.
- Row reordering before the run.
- DRAM latency, which the fetch ahead of use hides; bursts.

Assumed:
- Pointers of 32 bits for A, the touched rows of B, and C.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Activity, Event, Flow, Phase
from accelsim.components import Alu, Component, Link, Registers, Sram
from accelsim.config.schema import Strict
from accelsim.engine import Engine, Machine, NoMapping, Sample, Walk, Word
from accelsim.errors import MappingError, ModelError
from accelsim.memory.runs import Runs, in_order
from accelsim.operands.handle import Operands
from accelsim.operands.product import check_reach, filled, row_sizes
from accelsim.remedy import Remedy, doubled
from accelsim.units import INT64_MAX, KIB_BITS, ceil_div
from accelsim.workload.csr_matrix import CsrMatrix, product_count
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import SpGemm

if TYPE_CHECKING:
    from accelsim.memory.device.door import Door


class Params(Strict):
    """A Gamma machine."""

    pes: int = Field(32, ge=1, le=4096, description="processing elements, each with a multiplier and a merger")
    radix: int = Field(64, ge=2, le=1024, description="fibres that a merger takes")
    cache_kib: int = Field(3072, ge=1, le=1 << 22, description="FiberCache")
    coordinate_bits: int = Field(32, ge=1, le=64, description="coordinate of an element")
    value_bits: int = Field(64, ge=1, le=64, description="value of an element")
    pointer_bits: int = Field(32, ge=1, le=64, description="pointer to a row")

    @property
    def element_bits(self) -> int:
        """Coordinate and value."""
        return self.coordinate_bits + self.value_bits


class Plan(NamedTuple):
    """Both matrices, the parameters and the DRAM."""

    a: CsrMatrix
    b: CsrMatrix
    params: Params
    bits_per_cycle: Fraction
    door: Door | None = None


class Tally(NamedTuple):
    """What all rows add up to."""

    pe_cycles: int
    """End of the last row on a processing element, without DRAM."""
    work: int
    """Cycles that processing elements work: per row its swaps or its products, whichever are more."""
    swaps: int
    products: int
    outputs: int
    rows_touched: int
    b_elements_read: int
    peak_elements: int


class Gamma(Engine[Params, NoMapping]):
    """The engine of this folder."""

    name = "gamma"
    asks_device = "runs"
    params_schema = Params
    primary = "pes"
    support_params = ("value_bits",)

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return a larger cache, mergers of more fibres."""
        return (*doubled(params, "memory", "cache_kib"), *doubled(params, "imbalance", "radix"))

    def units(self, params: Params) -> dict[str, int]:
        """Return the processing elements."""
        return {"pes": params.pes}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products of sparse matrices."""
        del params
        return None if view.kind == "spgemm" else f"a sparse matrix multiplier has no {view.kind} unit"

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the width of a value, which an element has beside its coordinate."""
        del view
        return dict.fromkeys(("input", "weight", "output"), Word(params.value_bits, "values"))

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers, adders, comparators of the mergers and the FiberCache."""
        return (
            Alu("multipliers", params.pes, bits=params.value_bits, parts=("multiplier",)),
            Alu("adders", params.pes, bits=params.value_bits, parts=("adder",)),
            Alu("comparators", params.pes * params.radix, bits=params.coordinate_bits, parts=("comparator",)),
            Registers(
                "registers",
                params.pes,
                clocked_bits=(params.radix.bit_length() + 4) * params.element_bits + 64,
                gated_words=2 * params.radix,
                source="assumed: a path of a merge tree, two elements, a product, a sum, 64 bits of control; gated: "
                "two heads of each fibre",
            ),
            Link("bus", 1, params.element_bits, reach="trunk", carries=("glb.fibers/read",)),
            Sram("glb.fibers", 1, size_bits=params.cache_kib * KIB_BITS, width_bits=params.element_bits),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Check that no count can overflow, and that coordinates and pointers reach every element."""
        del mapping
        a, b = operands.input.sparse, operands.weight.sparse
        if product_count(a, b) * 4096 > INT64_MAX:
            raise MappingError.too_many(view.name)
        check_reach(view.name, "coordinates", params.coordinate_bits, max(a.shape[1], b.shape[1]) - 1)
        check_reach(view.name, "pointers", params.pointer_bits, max(a.nnz, b.nnz))
        return Plan(a, b, params, machine.dram.bits_per_cycle, machine.door)

    def walk(self, plan: Plan, operands: Operands | None = None) -> Walk:
        """Walk row by row."""
        from accelsim.engines.gamma import kernel

        a, b, p = plan.a, plan.b, plan.params
        capacity = p.cache_kib * KIB_BITS // p.element_bits
        fetched = np.zeros(a.nnz, np.int8)
        read = kernel.cache_rows(a.columns, b.pointers, capacity, fetched)
        counts = kernel.merge_cost(a.pointers, a.columns, b.pointers, p.radix, p.pes)
        sizes = yield from row_sizes(a, b, kernel.row_sizes)
        product = None
        if operands is not None:
            product = yield from filled(a, b, sizes, kernel.merge_values)
        end, work, swaps, products = counts.tolist()
        tally = Tally(end, work, swaps, products, int(sizes.sum()), *read.tolist())
        on_bus = None if plan.door is None else asked(plan, plan.door, fetched, sizes)
        return activity(p, plan.bits_per_cycle, a.nnz, a.shape[0], tally, product, on_bus)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small product on a few elements with a small radix and cache."""
        draw = [int(rng.integers(1, high + 1)) for high in (14, 14, 14, 4, 4)]
        params = {"pes": draw[3], "radix": draw[4] + 1, "cache_kib": 1, "value_bits": (64, 32)[int(rng.integers(2))]}
        return Sample(SpGemm(*draw[:3]), params)


def asked(plan: Plan, door: Door, fetched: np.ndarray, sizes: np.ndarray) -> int:
    """Return the cycles in which a DRAM device moves all, row by row of A.

    Pointers and elements of A, of each use of a row of B that is not held its pointers and elements, then C.
    """
    from accelsim.engines.gamma.kernel import READ, TOUCHED

    a, b, e, ptr = plan.a, plan.b, plan.params.element_bits, plan.params.pointer_bits
    rows = 4 * np.arange(a.shape[0])
    uses = 4 * np.repeat(np.arange(a.shape[0]), a.row_lengths) + 2
    head, row = door.room("pointers of B", (b.shape[0] + 1) * ptr), door.room("weight", b.nnz * e)
    first, again = (fetched & TOUCHED) > 0, (fetched & READ) > 0
    zeros = np.zeros(a.nnz, np.int64)
    heads = Runs(head + a.columns * ptr, np.where(first, 2 * ptr, 0), zeros)
    bodies = Runs(row + b.pointers[a.columns] * e, np.where(again, b.row_lengths[a.columns] * e, 0), zeros)
    out = np.cumsum(sizes)
    pointers = (a.shape[0] + 1) * ptr
    runs = in_order([
        (door.stream(door.room("pointers of A", pointers), np.arange(2, a.shape[0] + 2) * ptr, 0), rows),
        (door.stream(door.room("input", a.nnz * e), a.pointers[1:] * e, 0), rows + 1),
        (heads, uses), (bodies, uses),
        (door.stream(door.room("output", int(sizes.sum()) * e), out * e, 1), rows + 3),
        (door.stream(door.room("pointers of C", pointers), np.arange(2, a.shape[0] + 2) * ptr, 1), rows + 3),
    ])  # fmt: skip
    return int(door.serve(runs, 0).over.max(initial=0))


def activity(
    p: Params, rate: Fraction, nnz_a: int, rows: int, tally: Tally, values: Any, on_bus: int | None = None
) -> Activity:
    """Return the account and traffic of a tally; the slower of elements and DRAM is the time.

    ``on_bus`` are the cycles that a DRAM device takes; without one, ``rate`` decides.
    """
    e, ptr = p.element_bits, p.pointer_bits
    traffic = {
        Flow("dram", "input", "read"): nnz_a * e,
        Flow("dram", "weight", "read"): tally.b_elements_read * e,
        Flow("dram", "output", "write"): tally.outputs * e,
        Flow("dram", "index", "read"): (rows + 1 + 2 * tally.rows_touched) * ptr,
        Flow("dram", "index", "write"): (rows + 1) * ptr,
        Flow("glb.fibers", "weight", "write"): tally.b_elements_read * e,
        Flow("glb.fibers", "weight", "read"): tally.products * e,
    }
    dram_bits = sum(bits for flow, bits in traffic.items() if flow.boundary == "dram")
    phase = Phase(tally.pe_cycles, dram_bits, {"memory": p.pes})
    stall = phase.stall_cycles(rate) if on_bus is None else max(0, on_bus - tally.pe_cycles)
    cycles = tally.pe_cycles + stall
    dram = ceil_div(dram_bits * rate.denominator, rate.numerator) if on_bus is None else on_bus  # which posts writes
    bound = max(ceil_div(tally.swaps, p.pes), ceil_div(tally.products, p.pes), dram)
    if cycles < bound:
        raise ModelError(f"{cycles} cycles are below the analytic bound of {bound}")
    return Activity(
        compute_cycles=cycles,
        accounts={
            "pes": {
                "busy": tally.work,
                "imbalance": p.pes * tally.pe_cycles - tally.work,
                "memory": p.pes * stall,
            }
        },
        traffic=traffic,
        events={
            Event("multipliers", "mul"): tally.products,
            Event("adders", "add"): tally.products - tally.outputs,
            Event("comparators", "compare"): tally.swaps,
        },
        schedule=None,
        stall_cycles=stall,
        phases=(phase,),
        buffers={"glb.fibers": (p.cache_kib * KIB_BITS, tally.peak_elements * e)},
        details={
            "products": tally.products,
            "additions": tally.products - tally.outputs,
            "outputs": tally.outputs,
            "swaps": tally.swaps,
            "b_elements_used": tally.products,
            "b_elements_read": tally.b_elements_read,
            "bound_cycles": bound,
            "dram_bytes": dram_bits // 8,
        },
        performed_macs=tally.products,
        values=values,
    )


ENGINE = Gamma()
