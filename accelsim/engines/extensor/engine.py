"""ExTensor: products of sparse matrices by intersections of tiles within tiles, on PEs that share a last-level buffer.

Source: K. Hegde et al., "ExTensor: An Accelerator for Sparse Tensor Algebra", MICRO 2019, as stated in the artifact of
N. Nayak et al., "TeAAL: A Declarative Framework for Modeling Sparse Tensor Accelerators", MICRO 2023.

Modelled:
- Loops N2 K2 M2 M1 N1 K1 M0 N0 K0 over tiles of tiles of both operands; skip-ahead intersection at K2, K1 and K0.
- A skip-ahead intersection: a cycle for each match and for each run of skips of one side, until one list ends.
- A tile of A is read once per step (n2, k2, m2) if B has its k1, tuples until the lists end; B once per (n2, k2).
- Fibres and their arrays take whole lines of the buffer; the result is a list of coordinates and values.
- Pairs of tiles that match are dealt to the PEs, to the one that is free first or in turn; a step ends with the last.
- Outputs that a later k2 touches again leave as partial outputs after a step, and come back.
- Tiles given, or searched: of those that fit the last-level buffer the least traffic before anything is skipped.
- DRAM bandwidth: a step takes as long as the slowest of its PEs, its K1 intersections and its traffic.
- Values: products of a tile are added first, then tiles in order of k.

Not modelled:
- Tiles that exceed the buffer of a PE, which would pass in pieces; banks, ports and the network between buffers.
- Partial outputs that leave before a step ends: published traffic has more of them.
- DRAM latency and bursts, which fetches ahead of use would hide.

Assumed:
- As many K1 intersections side by side as PEs: one unit would need more cycles for p2p-Gnutella31 than are published.
- K2 intersections hide behind nothing, and take a cycle each at least.
- Each fibre pair with a product sends one partial output to the last-level buffer.
- Partial outputs that are given, not counted, are spread over steps as their products are.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from accelsim.activity import Activity, Event, Flow, Phase
from accelsim.components import Alu, Component, Link, Registers, Sram
from accelsim.engine import Engine, Machine, NoMapping, Sample, Walk, Word
from accelsim.engines.extensor import tiles
from accelsim.engines.extensor.tiles import Cut, Held, Params, Tiles
from accelsim.errors import MappingError, ModelError
from accelsim.operands.handle import Operands
from accelsim.operands.product import check_reach, filled, row_sizes
from accelsim.remedy import Remedy, doubled
from accelsim.units import INT64_MAX, KIB_BITS, ceil_div
from accelsim.workload.csr_matrix import CsrMatrix, product_count
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import SpGemm


class Plan(NamedTuple):
    """Both matrices as they are and in tiles (B by columns), what steps hold, the parameters and the DRAM."""

    a: CsrMatrix
    b: CsrMatrix
    a_tiles: Tiles
    b_tiles: Tiles
    cut: Cut
    held: Held
    params: Params
    bits_per_cycle: Fraction


class ExTensor(Engine[Params, NoMapping]):
    """The engine of this folder."""

    name = "extensor"
    params_schema = Params
    primary = "pes"
    support_params = ("value_bits",)

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return a larger buffer, more sequencers, pairs of tiles for whoever is free."""
        free = () if params.deal == "free" else (Remedy({"deal": "free"}, ("imbalance",)),)
        return (*free, *doubled(params, "memory", "llb_kib"), *doubled(params, "starved", "sequencers"))

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
        """Return multipliers, adders, the comparators of all intersections, and both levels of buffers."""
        element = params.coordinate_bits + params.value_bits
        return (
            Alu("multipliers", params.pes, bits=params.value_bits, parts=("multiplier",)),
            Alu("adders", params.pes, bits=params.value_bits, parts=("adder",)),
            Alu("intersectors", params.pes + params.sequencers + 1, params.coordinate_bits, parts=("comparator",)),
            Registers(
                "registers",
                params.pes,
                clocked_bits=3 * element + 2 * params.value_bits + 4 * params.coordinate_bits + 64,
                source="assumed: heads of two fibres and of a result, a product, a sum, places in four loops, 64 bits "
                "of control",
            ),
            Link("bus", 1, params.line_bits, reach="trunk", carries=("glb.llb/read", "glb.llb/write")),
            Sram("glb.llb", 1, size_bits=params.llb_kib * KIB_BITS, width_bits=params.line_bits),
            Sram("pe", params.pes, size_bits=params.peb_kib * KIB_BITS, width_bits=params.line_bits),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Choose tiles that fit; check that no count can overflow, and that coordinates and pointers reach."""
        del mapping
        a, b, p = operands.input.sparse, operands.weight.sparse, params
        growth = 4 * p.pes * (p.output_bits + p.line_bits + p.coordinate_bits + p.pointer_bits)
        if max(product_count(a, b), a.nnz, b.nnz) * growth > INT64_MAX:
            raise MappingError.too_many(view.name)
        check_reach(view.name, "coordinates", p.coordinate_bits, max(a.shape + b.shape) - 1)
        check_reach(view.name, "pointers", p.pointer_bits, max(a.nnz, b.nnz))
        columns = b.transposed()
        found = tiles.choose(a, columns, b, p)
        if found is None:
            raise MappingError(
                f"layer '{view.name}': no tiles fit a buffer of {p.llb_kib} KiB in {tiles.MAX_STEPS:,} steps",
                "raise llb_kib, or change m1_tiles, k1_tiles and n1_tiles; 0 searches them",
            )
        a_tiles, b_tiles = (tiles.cut(matrix, p.tile_elements, found[0].k1, p) for matrix in (a, columns))
        if tiles.longest(a_tiles, b_tiles, ceil_div(a.shape[1], p.tile_elements)) * growth > INT64_MAX:
            raise MappingError.too_many(view.name)
        return Plan(a, b, a_tiles, b_tiles, *found, p, machine.dram.bits_per_cycle)

    def walk(self, plan: Plan, operands: Operands | None = None) -> Walk:
        """Walk step by step, then fill the result."""
        from accelsim.engines.extensor import kernel

        a, b, p, c, both = plan.a_tiles, plan.b_tiles, plan.params, plan.cut, plan.held
        n2s, k2s, m2s = both.made.shape
        found = np.zeros((n2s, k2s, m2s, 9), np.int64)
        present = np.zeros(ceil_div(plan.a.shape[1], c.t), np.int64)
        tops = []
        in_a = np.unique(a.k2)
        for n2 in range(n2s):
            in_b = np.flatnonzero(both.b[n2])
            tops.append(int(kernel.intersect(in_a, 0, in_a.size, in_b, 0, in_b.size)[0]))
            for k2 in np.intersect1d(in_a, in_b).tolist():
                ranges = a.lists(k2, 0, m2s * c.m1), b.lists(k2, n2 * c.n1, (n2 + 1) * c.n1)
                kernel.walk(
                    a, *ranges[0], b, *ranges[1], c.m1, p.pes, p.deal == "turn", 2 * p.coordinate_bits, present,
                    found[n2, k2],
                )  # fmt: skip
                yield (n2 * k2s + k2 + 1) / (n2s * k2s)
        product = None
        if operands is not None:
            sizes = yield from row_sizes(plan.a, plan.b, kernel.row_sizes)
            product = yield from filled(plan.a, plan.b, sizes, partial(kernel.add, c.t))
        return activity(plan, found, tops, product)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small product in tiles of a few elements, given or searched."""
        draw = [int(rng.integers(1, high + 1)) for high in (14, 14, 14, 4, 4, 5)]
        given = 0 if rng.random() < 0.4 else 3  # searched in a buffer that holds any one tile, but not all of them
        params: dict[str, Any] = {f"{one}1_tiles": int(rng.integers(0, given + 1)) for one in "mkn"}
        params |= {"pes": draw[3], "sequencers": draw[4], "tile_elements": draw[5], "llb_kib": 64 if given else 2}
        params |= {"deal": ("free", "turn")[int(rng.integers(2))], "line_bits": int(rng.choice([64, 128]))}
        params |= {"value_bits": int(rng.choice([32, 64])), "partial_bytes": int(rng.choice([-1, -1, 333]))}
        return Sample(SpGemm(*draw[:3]), params)


def activity(plan: Plan, found: np.ndarray, tops: list[int], values: Any) -> Activity:
    """Return the account and traffic of all steps: each takes as long as its PEs, its K1 intersections or its bus.

    ``found`` has what `kernel.walk` counts, (n2, k2, m2, 9); ``tops`` the K2 intersections of each n2.
    """
    p, rate, both = plan.params, plan.bits_per_cycle, plan.held
    n2s, k2s, m2s = both.made.shape
    total = found.sum(axis=(0, 1, 2)).tolist()
    k1, longest, k0, products, a_bits, partials, fed_a, fed_b, pairs = total
    given = 8 * p.partial_bytes if products else 0
    spread = np.diff([given * done // max(1, products) for done in np.append(0, found[..., 3].cumsum()).tolist()])
    counted = p.partial_bytes < 0
    moved = ((both.made + both.again) * p.output_bits if counted else (both.made - both.again) * p.output_bits).ravel()
    bits, slowest = found[..., 4].ravel() + moved + (0 if counted else spread), found[..., 1].ravel()
    side = -(-found[..., 0].ravel() // p.sequencers)
    compute = np.maximum(slowest, side).tolist()
    runs = (both.a[None] > 0) & (both.b[:, :, None] > 0)
    phases, b_bits = [], 0
    for n2 in range(n2s):
        phases.append(Phase(max(1, tops[n2]), 0, {"memory": p.pes}))
        for k2 in range(k2s):
            steps = np.flatnonzero(runs[n2, k2]) + (n2 * k2s + k2) * m2s
            for i, step in enumerate(steps.tolist()):
                fetched = 0 if i else int(both.b[n2, k2])
                b_bits += fetched
                phases.append(Phase(compute[step], int(bits[step]) + fetched, {"memory": p.pes}))
    stall = sum(phase.stall_cycles(rate) for phase in phases)
    own = sum(phase.compute_cycles for phase in phases)
    again = int(both.again.sum())
    outputs = int(both.made.sum()) - again
    back = again * p.output_bits if counted else given // 2
    traffic = {
        Flow("dram", "input", "read"): a_bits,
        Flow("dram", "weight", "read"): b_bits,
        Flow("dram", "psum", "read"): back,
        Flow("dram", "psum", "write"): back if counted else given - back,
        Flow("dram", "output", "write"): outputs * p.output_bits,
        Flow("glb.llb", "input", "write"): a_bits,
        Flow("glb.llb", "weight", "write"): b_bits,
        Flow("glb.llb", "input", "read"): fed_a,
        Flow("glb.llb", "weight", "read"): fed_b,
        Flow("glb.llb", "psum", "write"): partials * p.output_bits,
        Flow("glb.llb", "psum", "read"): partials * p.output_bits,
        Flow("pe", "input", "write"): fed_a,
        Flow("pe", "weight", "write"): fed_b,
        Flow("pe", "index", "read"): 2 * k0 * p.coordinate_bits,
        Flow("pe", "input", "read"): products * p.value_bits,
        Flow("pe", "weight", "read"): products * p.value_bits,
    }
    on_bus = sum(count for flow, count in traffic.items() if flow.boundary == "dram")
    shares = (ceil_div(k0, p.pes), ceil_div(k1, p.sequencers), sum(tops))
    bound = max(*shares, ceil_div(on_bus * rate.denominator, rate.numerator))
    if own + stall < bound:
        raise ModelError(f"{own + stall} cycles are below the analytic bound of {bound}")
    return Activity(
        compute_cycles=own + stall,
        accounts={
            "pes": {
                "busy": products,
                "control": k0 - products,
                "imbalance": p.pes * longest - k0,
                "starved": p.pes * (own - longest),
                "memory": p.pes * stall,
            }
        },
        traffic=traffic,
        events={
            Event("multipliers", "mul"): products,
            Event("adders", "add"): products - outputs,
            Event("intersectors", "compare"): k0 + k1 + sum(tops),
        },
        schedule=None,
        stall_cycles=stall,
        phases=tuple(phases),
        buffers={"glb.llb": (p.llb_kib * KIB_BITS, both.peak(p.output_bits))},
        details={
            "products": products,
            "additions": products - outputs,
            "outputs": outputs,
            "k2_intersections": sum(tops),
            "k1_intersections": k1,
            "k0_intersections": k0,
            "tile_pairs": pairs,
            "m1_tiles": plan.cut.m1,
            "k1_tiles": plan.cut.k1,
            "n1_tiles": plan.cut.n1,
            "partial_outputs": again,
            "bound_cycles": bound,
            "dram_bytes": on_bus // 8,
        },
        performed_macs=products,
        values=values,
    )


ENGINE = ExTensor()
