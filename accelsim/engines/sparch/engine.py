"""SpArch: outer products of condensed columns, merged on the fly by a tree and scheduled as a Huffman code.

Source: Z. Zhang et al., "SpArch: Efficient Architecture for Sparse Matrix Multiplication", HPCA 2020.

Modelled:
- Condensed columns (the i-th entries of all rows), leaf weights and a k-ary Huffman schedule over them.
- Rounds of up to k streams: new columns are multiplied, earlier partial products come back from DRAM.
- Column fetcher with a look-ahead FIFO; a prefetcher that keeps lines of rows of B and evicts the one whose next use
  within the FIFO is furthest, and before those the ones without a known use, oldest first.
- Groups of multipliers that each take one entry of A at a time; a merge tree with one merger per layer.
- FIFOs between the units with back-pressure, a writer with a FIFO, and DRAM shared by reads and writes.
- Values: products are added where equal coordinates meet in the tree, left stream plus right stream, layer by layer.
- Row pointers: all of A's in every round that scans them, else once; two of B's for each entry of A. They take the bus
  with what they lead to.
- Each technique switched off: condense, huffman, prefetch, pipeline_merge.

Not modelled:
- Bursts, banks and the assignment of addresses to channels: DRAM is one pipe as wide as all channels.
- The memory that holds row pointers on the chip; pointers of C, which leaves with its coordinates.
- Overlap of a round with the next one.
- The order of nodes within a layer: the nodes of a layer share its merger in the order of the rows.

Assumed:
- The column fetcher scans one row of A per cycle, to the last that holds something of the round; without condensing, A
  is stored by columns and nothing is scanned.
- Pointers come ahead of the scan, those behind the last entry with it: they cost bandwidth and no latency.
- The rate of a unit is a fluid: a row starts where the one before it ends, also within a cycle.
- A row of B is asked for once its entry of A has arrived: one DRAM latency more.
- Reads and writes share the bus, each in the order of the rows; what can begin first goes first, and of two that can,
  the write.
- The prefetch buffer is empty at the start of a round.
- One comparison per element and layer in the energy: comparators that lose are not counted.
"""

from __future__ import annotations

from math import lcm
from typing import Any

import numpy as np

from accelsim.activity import Activity, Event, Flow
from accelsim.components import Alu, Component, Registers, Sram
from accelsim.engine import Engine, Machine, NoMapping, Sample, Walk, Word, beside
from accelsim.engines.sparch import sample
from accelsim.engines.sparch.plan import UNITS, Params, Plan, Round, Tally
from accelsim.errors import MappingError, ModelError
from accelsim.operands.handle import Operands
from accelsim.operands.product import check_reach
from accelsim.remedy import Remedy, doubled
from accelsim.units import INT64_MAX
from accelsim.workload.csr_matrix import product_count
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import SpGemm


class Sparch(Engine[Params, NoMapping]):
    """The engine of this folder."""

    name = "sparch"
    asks_device = "rounds"
    params_schema = Params
    primary = "multipliers"
    support_params = ("element_bits", "partial_bits", "output_bits")
    dram_inside = ("bits_per_cycle", "latency_cycles")

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return what the paper adds one by one where it is off, more lines, a longer look-ahead, a taller tree."""
        off = [key for key in ("condense", "huffman", "prefetch", "pipeline_merge") if not getattr(params, key)]
        added = (*(Remedy({key: True}, ("memory",)) for key in off), Remedy({"layers": params.layers + 1}, ("memory",)))
        return (
            *added,
            *doubled(params, "memory", "prefetch_lines", "lookahead"),
            *doubled(params, "starved", "tree_fifo"),
        )

    def units(self, params: Params) -> dict[str, int]:
        """Return multipliers, lanes of the mergers, the column fetcher and the channels."""
        return {
            "multipliers": params.multiplier_groups * params.multiplier_lanes,
            "merger_lanes": params.layers * params.merger_width,
            "fetchers": 1,
            "channels": params.channels,
        }

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products of sparse matrices."""
        del params
        return None if view.kind == "spgemm" else f"a sparse matrix multiplier has no {view.kind} unit"

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return what an element leaves beside its column, and a partial product beside its row too."""
        shape = view.shape
        assert isinstance(shape, SpGemm)
        p, m, n = params, shape.m, shape.n
        return {
            "input": beside(p.element_bits, shape.k),
            "weight": beside(p.element_bits, n),
            "output": min(beside(p.output_bits, n), beside(p.partial_bits, m, n)),
        }

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers, adders and comparators of the tree, and the buffers."""
        lanes = params.layers * params.merger_width
        line = params.line_elements * params.element_bits
        fifos = params.layers * params.tree_fifo * params.partial_bits
        return (
            Alu("multipliers", params.multiplier_groups * params.multiplier_lanes, bits=64, parts=("multiplier",)),
            Alu("adders", lanes, bits=64, parts=("adder",)),
            Alu("comparators", lanes * params.merger_width, bits=64, parts=("comparator",)),
            Registers(
                "registers.multipliers",
                params.multiplier_groups * params.multiplier_lanes,
                clocked_bits=3 * params.element_bits,
                unit="multipliers",
                source="assumed: an element of each matrix, a product",
            ),
            Registers(
                "registers.tree",
                lanes,
                clocked_bits=(params.layer_latency_cycles + 2) * params.partial_bits,
                unit="merger_lanes",
                source="assumed: two elements that are compared, one in each cycle of a layer's latency",
            ),
            Sram("glb.lookahead", 1, size_bits=params.lookahead * params.element_bits, width_bits=params.element_bits),
            Sram("glb.rows", 1, size_bits=params.prefetch_lines * line, width_bits=params.element_bits),
            Sram("glb.tree", 1, size_bits=fifos, width_bits=params.partial_bits),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Check that no count can overflow and choose the ticks."""
        del mapping
        a, b = operands.input.sparse, operands.weight.sparse
        check_reach(view.name, "pointers", params.pointer_bits, max(a.nnz, b.nnz))
        rate = machine.dram.bits_per_cycle
        ticks = lcm(rate.numerator, params.multiplier_groups, params.merger_width)
        p, pointers = params, (max(a.shape) + 2 * a.nnz + 1) * params.pointer_bits
        bits = product_count(a, b) * 2 * (p.layers + 2) * max(p.partial_bits, p.element_bits) + pointers * p.ways
        if (bits + a.nnz + a.shape[0]) * ticks * max(1, rate.denominator) > INT64_MAX // 16:
            raise MappingError(
                f"layer '{view.name}': its times exceed 64-bit integers",
                "give a bandwidth that is a rounder multiple of the clock, or split the layer",
            )
        return Plan(a, b, params, rate, machine.dram.latency_cycles, ticks, machine.door)

    def walk(self, plan: Plan, operands: Operands | None = None) -> Walk:
        """Walk round by round."""
        from accelsim.engines.sparch import walk

        tally, product = yield from walk.walk(plan, operands is not None)
        return activity(plan.params, plan.ticks, tally, product)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small product on a small machine with any technique off."""
        return sample.sample(rng)


def activity(params: Params, ticks: int, tally: Tally, values: Any) -> Activity:
    """Return the account, traffic and events of a tally; raise ModelError if it beats its own bound."""
    for number, made in enumerate(tally.rounds):
        if made.cycles < made.bound_cycles:
            raise ModelError(
                f"round {number}: {made.cycles} cycles are below the analytic bound of {made.bound_cycles}"
            )
    dram = {
        Flow("dram", "input", "read"): tally.total("a_read") * params.element_bits,
        Flow("dram", "weight", "read"): tally.total("b_read") * params.element_bits,
        Flow("dram", "index", "read"): tally.total("pointers") * params.pointer_bits,
        Flow("dram", "psum", "read"): tally.total("partial_read") * params.partial_bits,
        Flow("dram", "psum", "write"): (tally.total("written") - tally.output) * params.partial_bits,
        Flow("dram", "output", "write"): tally.output * params.output_bits,
    }
    cycles, multipliers = tally.total("cycles"), params.multiplier_groups * params.multiplier_lanes
    a_read, b_read, output = tally.total("a_read"), tally.total("b_read"), tally.output
    lanes = params.layers * params.merger_width
    padding = tally.slots * params.multiplier_lanes - tally.products
    waits = {
        "memory": tally.memory_ticks * multipliers // ticks,
        "conflict": tally.conflict_ticks * multipliers // ticks,
        "control": tally.control_ticks * multipliers // ticks,
    }
    rest = cycles * multipliers - tally.products - padding - sum(waits.values())
    bus = tally.bus_ticks * params.channels // ticks
    e, p = params.element_bits, params.partial_bits
    return Activity(
        compute_cycles=cycles,
        accounts={
            "multipliers": {"busy": tally.products, "padding": padding, **waits, "fill_drain": rest},
            "merger_lanes": {"busy": tally.layer_elements, "starved": lanes * cycles - tally.layer_elements},
            "fetchers": {"busy": tally.scans, "starved": cycles - tally.scans},
            "channels": {"busy": bus, "starved": params.channels * cycles - bus},
        },
        traffic={
            **dram,
            Flow("glb.lookahead", "input", "write"): a_read * e,
            Flow("glb.lookahead", "input", "read"): a_read * e,
            Flow("glb.rows", "weight", "write"): b_read * e,
            Flow("glb.rows", "weight", "read"): tally.b_used * e,
            Flow("glb.tree", "psum", "write"): tally.layer_elements * p,
            Flow("glb.tree", "psum", "read"): tally.layer_elements * p,
        },
        events={
            Event("multipliers", "mul"): tally.products,
            Event("adders", "add"): tally.products - output,
            Event("comparators", "compare"): tally.layer_elements,
        },
        schedule=None,
        stall_cycles=tally.memory_ticks // ticks,
        buffers={
            "glb.rows": (
                params.prefetch_lines * params.line_elements * e,
                tally.peak_lines * params.line_elements * e,
            )
        },
        details={
            "products": tally.products,
            "additions": tally.products - output,
            "outputs": output,
            "leaves": tally.leaves,
            "rounds": len(tally.rounds),
            "b_elements_used": tally.b_used,
            "b_elements_read": b_read,
            "bound_cycles": tally.total("bound_cycles"),
            "dram_bytes": sum(dram.values()) // 8,
            **{f"rounds_bound_by_{unit}": sum(r.bound_by == i for r in tally.rounds) for i, unit in enumerate(UNITS)},
            "round_log": _log(tally.rounds),
        },
        performed_macs=tally.products,
        values=values,
    )


def _log(rounds: tuple[Round, ...]) -> dict[str, list[Any]]:
    """Return the rounds as columns: what bounded each, and what it moved in elements."""
    columns: dict[str, list[Any]] = {name: [getattr(made, name) for made in rounds] for name in Round._fields}
    return columns | {"bound_by": [UNITS[made.bound_by] for made in rounds]}


ENGINE = Sparch()
