"""OuterSPACE: outer products in a multiply phase, linked lists of chunks, and a merge phase.

Source: S. Pal et al., "OuterSPACE: An Outer Product Based Sparse Matrix Multiplication Accelerator", HPCA 2018.

Modelled:
- Multiply phase: a tile takes column k of A and row k of B; each element takes an entry of A, waits for it and for the
  row, multiplies one product per cycle, and appends the chunk to the list of its row of C.
- The row of B is fetched once per column where it fits the tile's cache, else for every round of entries.
- Merge phase: an element walks the list of a row, holds the heads of its chunks in the scratchpad, and takes them one
  by one in order of their columns; lists with more chunks than the scratchpad holds take several passes.
- Latency: one request at a time per element; the replaced head of a chunk is asked for when it is taken.
- Bandwidth: whole bursts per chunk, column and row; what they move beyond the elements is traffic of tensor other.
- Columns and rows go, in order, to the tile or element that is free first; the phases follow each other.
- Values: the products of an entry of C are added in the order of k.

Not modelled:
- Conflicts in the crossbars and banks, and the second level of cache.
- Links between chunks as traffic (they cost latency), which the TeAAL model does not count either.
- Writes that wait: they are posted.

Assumed:
- Elements wait for each request: no prefetch within a chunk, since lists are short and scattered.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Phase
from accelsim.components import Alu, Component, Registers, Sram
from accelsim.engine import Engine, Machine, NoMapping, Sample, Walk, Word, beside
from accelsim.engines.outerspace.plan import Params, Plan
from accelsim.errors import MappingError, ModelError
from accelsim.operands.handle import Operands
from accelsim.operands.product import check_reach, filled, row_sizes
from accelsim.remedy import Remedy, doubled, reshaped
from accelsim.units import INT64_MAX, KIB_BITS, ceil_div
from accelsim.workload.csr_matrix import product_count
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import SpGemm


class Tally(NamedTuple):
    """What both phases add up to."""

    multiply_cycles: int
    multiply_wait: int
    """Cycles that elements wait for requests."""
    merge_cycles: int
    merge_wait: int
    products: int
    merged: int
    """Elements taken from lists, over all passes."""
    outputs: int
    b_read: int
    multiply_bus_bits: int
    """Bits on the bus, whole bursts."""
    merge_bus_bits: int


class OuterSpace(Engine[Params, NoMapping]):
    """The engine of this folder."""

    name = "outerspace"
    asks_device = "runs"
    params_schema = Params
    primary = "pes"
    support_params = ("merge_pes", "pes", "element_bits")
    dram_inside = ("latency_cycles",)

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return larger caches, more heads of chunks, elements that all merge, another cut into tiles."""
        rest = () if params.merge_pes >= params.pes else (Remedy({"merge_pes": params.pes}, ("unmapped", "memory")),)
        memories = doubled(params, "memory", "cache_kib", "scratchpad_elements")
        return (*rest, *reshaped(params, "tiles", "tile_pes"), *memories)

    def units(self, params: Params) -> dict[str, int]:
        """Return the processing elements."""
        return {"pes": params.pes}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products of sparse matrices."""
        if view.kind != "spgemm":
            return f"a sparse matrix multiplier has no {view.kind} unit"
        more = params.merge_pes > params.pes
        return f"{params.merge_pes} merge_pes are more than the {params.pes} elements" if more else None

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return what an element leaves beside its index: of the row in a column of A, of the column in B and C."""
        shape = view.shape
        assert isinstance(shape, SpGemm)
        index = {"input": shape.m, "weight": shape.n, "output": shape.n}
        return {role: beside(params.element_bits, size) for role, size in index.items()}

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return arithmetic, tile caches and scratchpads."""
        scratchpad = params.scratchpad_elements * params.element_bits
        return (
            Alu("alus", params.pes, bits=64),
            Registers(
                "registers",
                params.pes,
                clocked_bits=4 * params.element_bits + 64,
                source="assumed: two elements, a product, a sum or head of a chunk, 64 bits of pointers and control",
            ),
            Sram("glb.rows", params.tiles, size_bits=params.cache_kib * KIB_BITS, width_bits=params.element_bits),
            Sram("pe", params.merge_pes, size_bits=scratchpad, width_bits=params.element_bits),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Check that no count can overflow, and that pointers reach every element."""
        del mapping
        a, b, dram = operands.input.sparse, operands.weight.sparse, machine.dram
        if product_count(a, b) * 64 * (params.element_bits + dram.burst_bits + dram.latency_cycles) > INT64_MAX:
            raise MappingError.too_many(view.name)
        check_reach(view.name, "pointers", params.pointer_bits, max(a.nnz, b.nnz))
        return Plan(a.transposed(), a, b, params, dram.bits_per_cycle, dram.latency_cycles, dram.burst_bits,
                    machine.door)  # fmt: skip

    def walk(self, plan: Plan, operands: Operands | None = None) -> Walk:
        """Walk column by column, then row by row."""
        from accelsim.engines.outerspace import kernel

        a, b, p = plan.a, plan.b, plan.params
        fits = p.cache_kib * KIB_BITS // p.element_bits
        times = plan.latency_cycles, p.element_bits, plan.burst_bits
        first = kernel.multiply(plan.columns_of_a.pointers, b.pointers, p.tiles, p.tile_pes, fits, *times).tolist()
        sizes = yield from row_sizes(a, b, kernel.row_sizes)
        second = kernel.merge(
            a.pointers, a.columns, b.pointers, sizes, p.merge_pes, p.scratchpad_elements, *times
        ).tolist()
        product = None
        if operands is not None:
            product = yield from filled(a, b, sizes, kernel.add_values)
        made, size = int(sizes.sum()), product_count(a, b)
        tally = Tally(first[0], first[1], second[0], second[1], size, second[2], made, first[2], first[3], second[3])
        on_bus = None
        if plan.door is not None:
            from accelsim.engines.outerspace.asked import asked

            on_bus = asked(plan, plan.door, sizes, first[0])
        dims = a.shape[0], a.shape[1], a.nnz
        return activity(p, plan.bits_per_cycle, plan.burst_bits, dims, tally, product, on_bus)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small product on a few tiles with a small scratchpad."""
        draw = [int(rng.integers(1, high + 1)) for high in (14, 14, 14, 3, 3)]
        params = {
            "tiles": draw[3],
            "tile_pes": draw[4],
            "merge_pes": int(rng.integers(1, draw[3] * draw[4] + 1)),
            "cache_kib": 1,
            "scratchpad_elements": int(rng.integers(2, 6)),
            "element_bits": int(rng.choice([96, 2048])),
        }
        return Sample(SpGemm(*draw[:3]), params)


def activity(
    p: Params, rate: Fraction, burst: int, sizes: tuple[int, int, int], tally: Tally, values: Any,
    on_bus: tuple[int, int] | None = None,
) -> Activity:  # fmt: skip
    """Return the account and traffic of a tally: each phase takes the longer of its elements and its bus.

    ``sizes`` are rows, columns and entries of A; ``on_bus`` the cycles that a DRAM device takes in each phase: without
    one, ``rate`` decides.
    """
    m, k, nnz = sizes
    e, ptr = p.element_bits, p.pointer_bits
    fetched, written = (2 * (k + 1) + m) * ptr, (2 * m + 1) * ptr
    pointers = -(-2 * (k + 1) * ptr // burst) * burst, -(-(3 * m + 1) * ptr // burst) * burst
    bus = tally.multiply_bus_bits + pointers[0], tally.merge_bus_bits + pointers[1]
    dram = on_bus or tuple(ceil_div(bits * rate.denominator, rate.numerator) for bits in bus)
    phases = (
        Phase(tally.multiply_cycles, bus[0], {"memory": p.pes}),
        Phase(tally.merge_cycles, bus[1], {"memory": p.merge_pes, "unmapped": p.pes - p.merge_pes}),
    )
    stalls = tuple(max(0, on - phase.compute_cycles) for on, phase in zip(dram, phases, strict=True))
    times = tally.multiply_cycles + stalls[0], tally.merge_cycles + stalls[1]
    cycles = sum(times)
    bound = max(ceil_div(tally.products, p.pes), dram[0]) + max(ceil_div(tally.merged, p.merge_pes), dram[1])
    if cycles < bound:
        raise ModelError(f"{cycles} cycles are below the analytic bound of {bound}")
    memory = tally.multiply_wait + tally.merge_wait + stalls[0] * p.pes + stalls[1] * p.merge_pes
    unmapped = (p.pes - p.merge_pes) * times[1]
    busy = tally.products + tally.merged
    spilled = tally.merged - tally.products
    traffic = {
        Flow("dram", "input", "read"): nnz * e,
        Flow("dram", "weight", "read"): tally.b_read * e,
        Flow("dram", "psum", "write"): (tally.products + spilled) * e,
        Flow("dram", "psum", "read"): tally.merged * e,
        Flow("dram", "output", "write"): tally.outputs * e,
        Flow("dram", "index", "read"): fetched,
        Flow("dram", "index", "write"): written,
        Flow("glb.rows", "weight", "write"): tally.b_read * e,
        Flow("glb.rows", "weight", "read"): tally.products * e,
        Flow("pe", "psum", "write"): tally.merged * e,
        Flow("pe", "psum", "read"): tally.merged * e,
    }
    useful = sum(bits for flow, bits in traffic.items() if flow.boundary == "dram")
    traffic[Flow("dram", "other", "read")] = sum(bus) - useful
    return Activity(
        compute_cycles=cycles,
        accounts={
            "pes": {
                "busy": busy,
                "unmapped": unmapped,
                "memory": memory,
                "imbalance": p.pes * cycles - busy - unmapped - memory,
            }
        },
        traffic=traffic,
        events={
            Event("alus", "mul"): tally.products,
            Event("alus", "add"): tally.products - tally.outputs,
            Event("alus", "compare"): tally.merged,
        },
        schedule=None,
        stall_cycles=sum(stalls),
        phases=phases,
        details={
            "products": tally.products,
            "additions": tally.products - tally.outputs,
            "outputs": tally.outputs,
            "multiply_cycles": times[0],
            "merge_cycles": times[1],
            "bound_cycles": bound,
            "dram_bytes": useful // 8,
        },
        performed_macs=tally.products,
        values=values,
    )


ENGINE = OuterSpace()
