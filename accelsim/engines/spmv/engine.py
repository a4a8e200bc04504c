"""Sparse matrix times vector on FPGAs: lanes of multipliers and adders behind one stream of a compressed matrix.

Source: L. Zhuo, V. Prasanna, "Sparse Matrix-Vector Multiplication on FPGAs", FPGA 2005 (csr); Y. El-Kurdi, W. Gross,
D. Giannacopoulos, "Sparse Matrix-Vector Multiplication for Finite Element Method Matrices on FPGAs", FCCM 2006
(stripes); D. Zou et al., BVCSR, 2013 (bitmap, runs); P. Grigoras et al., block-diagonal, 2016 (blocks). Abstracts only.

Modelled:
- csr: a tree of binary operators takes the entries of a row, as many per cycle as there are lanes.
- bitmap, runs: two readings of bit-vector CSR; lanes take entries without regard to rows; index bits are saved.
- stripes: entries that go down and right, a stripe per PE; more stripes than PEs take passes, longest stripes first.
- blocks: dense blocks on the diagonal, whose zeros are multiplied; x is not copied.
- x on the chip, a copy per lane; where it does not fit, blocks of columns with sums read and written between them.
- Memory: everything streams once beside the computation, at the machine's bandwidth.
- Values: products of a row are added in order of its columns.

Not modelled:
- Conflicts between channels and banks of a memory, latency, bursts; the order of additions within a tree.

Assumed:
- Empty rows take no cycle; a reduction drains in two adder latencies per level of the longest row's groups.
- An entry of a stripe has one index word, half for the step down and half for the step right; a stripe two pointers.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.activity import Activity, Event, Flow, Phase
from accelsim.components import Alu, Component, Link, Registers, Sram
from accelsim.config.schema import Strict
from accelsim.engine import Engine, Machine, NoMapping, Sample, Word, drawing
from accelsim.errors import MappingError, ModelError
from accelsim.operands.handle import Operands
from accelsim.operands.product import check_reach
from accelsim.remedy import Remedy, doubled
from accelsim.units import INT64_MAX, ceil_div
from accelsim.workload.csr_matrix import CsrMatrix, from_entries
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import SpGemm


class Params(Strict):
    """A machine that multiplies a sparse matrix by a vector."""

    lanes: int = Field(4, ge=1, le=4096, description="multipliers, each with an adder; of stripes the PEs")
    format: Literal["csr", "bitmap", "runs", "stripes", "blocks"] = Field("csr", description="of the matrix")
    value_bits: int = Field(64, ge=1, le=64, description="value")
    index_bits: int = Field(32, ge=1, le=64, description="column of an entry, bitmap or run; of stripes two steps")
    pointer_bits: int = Field(32, ge=1, le=64, description="pointer to a row, place where a stripe begins")
    block: int = Field(32, ge=1, le=1 << 20, description="columns of a bitmap, rows and columns of a diagonal block")
    run_bits: int = Field(8, ge=0, le=32, description="length of a run of neighbours")
    adder_latency: int = Field(12, ge=0, le=1024, description="stages of an adder")
    vector_elements: int = Field(65536, ge=1, le=1 << 30, description="elements of x on the chip, of each copy")

    @property
    def copies(self) -> int:
        """Copies of x: lanes read at different places, but for PEs that hand x on and blocks that share none."""
        return 1 if self.format in ("stripes", "blocks") else self.lanes


class Tally(NamedTuple):
    """What a format makes of a matrix."""

    own: int
    """Cycles without DRAM."""
    products: int
    performed: int
    """Products, of zeros too."""
    padding: int
    imbalance: int
    unmapped: int
    groups: int
    codes: int
    index_bits: int
    rounds: int
    """Blocks of columns, or passes of stripes."""


class Plan(NamedTuple):
    """The matrix, the vector's elements and which are not zero, the parameters and the rates."""

    a: CsrMatrix
    x: np.ndarray
    present: np.ndarray
    tally: Tally
    params: Params
    bits_per_cycle: Fraction
    core_mhz: Fraction


class SpMV(Engine[Params, NoMapping]):
    """The engine of this folder."""

    name = "spmv"
    params_schema = Params
    primary = "lanes"
    support_params = ("value_bits",)

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return half the lanes for short rows, room for more of the vector."""
        halved = (Remedy({"lanes": params.lanes // 2}, ("padding", "fill_drain")),) if params.lanes % 2 == 0 else ()
        return (*halved, *doubled(params, "memory", "vector_elements"))

    def units(self, params: Params) -> dict[str, int]:
        """Return the multipliers."""
        return {"lanes": params.lanes}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products of a matrix and one vector."""
        del params
        if not isinstance(view.shape, SpGemm):
            return f"a sparse matrix-vector multiplier has no {view.kind} unit"
        columns = view.shape.n
        return None if columns == 1 else f"it multiplies by one vector, not by {columns:,} columns; write MATRIX@vector"

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the width of a value, which an element has beside its index."""
        del view
        return dict.fromkeys(("input", "weight", "output"), Word(params.value_bits, "values"))

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers, adders, and the memories of x."""
        p, width = params, params.value_bits
        return (
            Alu("multipliers", p.lanes, bits=width, parts=("multiplier",)),
            Alu("adders", p.lanes, bits=width, parts=("adder",)),
            Registers(
                "registers",
                p.lanes,
                clocked_bits=(3 + p.adder_latency) * width + p.index_bits + 64,
                source="assumed: two operands, a product, the stages of an adder, an index, 64 bits of control",
            ),
            Link("array", p.lanes, width_bits=width),
            Sram("glb.vector", p.copies, size_bits=p.vector_elements * width, width_bits=width),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Write the matrix in the machine's format; check that codes reach and blocks hold every entry."""
        del mapping
        a, b, p = operands.input.sparse, operands.weight.sparse, params
        parts = ceil_div(a.shape[1], p.vector_elements)
        growth = 4 * p.lanes * (p.value_bits + p.index_bits + p.pointer_bits + p.block + p.run_bits)
        if (max(a.shape) * max(p.block if p.format == "blocks" else 1, parts) + a.nnz) * growth > INT64_MAX:
            raise MappingError.too_many(view.name)
        if parts * a.shape[0] > 1 << 32 or parts > 1 << 24:
            raise MappingError(f"layer '{view.name}': {parts:,} blocks of columns", "raise vector_elements")
        check_reach(view.name, "pointers", p.pointer_bits, a.nnz)
        x, present = np.zeros(a.shape[1], b.values.dtype), np.zeros(a.shape[1], np.bool_)
        x[b.rows], present[b.rows] = b.values, True
        tally = {"stripes": _stripes, "blocks": _blocks}.get(p.format, _rows)(view.name, a, present, p)
        return Plan(a, x, present, tally, p, machine.dram.bits_per_cycle, machine.clocks_mhz["core"])

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Return the account of the format; with operands, multiply."""
        from accelsim.engines.spmv import kernel

        a, product = plan.a, None
        if operands is not None:
            y, met = np.zeros(a.shape[0], (a.values[:0] * plan.x[:0]).dtype), np.zeros(a.shape[0], np.bool_)
            kernel.multiply(a.pointers, a.columns, a.values, plan.present, plan.x, y, met)
            places = np.flatnonzero(met)
            product = from_entries((a.shape[0], 1), places, np.zeros(places.size, np.int64), y[places])
        return activity(plan, product)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small matrix times a vector, in any format; all of it is one diagonal block."""
        draw = drawing(rng)
        way = ("csr", "bitmap", "runs", "stripes", "blocks")[draw(0, 4)]
        params: dict[str, Any] = {"lanes": draw(1, 6), "format": way, "adder_latency": draw(0, 5)}
        params |= {"run_bits": draw(0, 2), "value_bits": (32, 64)[draw(0, 1)]}
        params |= {"block": 20, "vector_elements": 20} if way == "blocks" else {}
        params |= {} if way == "blocks" else {"block": draw(1, 5), "vector_elements": draw(1, 20)}
        return Sample(SpGemm(draw(1, 16), 1, draw(1, 16)), params)


def _levels(size: int) -> int:
    """Return how deep a binary tree over so many is."""
    return max(0, size - 1).bit_length()


def _rows(name: str, a: CsrMatrix, present: np.ndarray, p: Params) -> Tally:
    """Count csr, bitmaps or runs, a block of columns at a time."""
    from accelsim.engines.spmv import kernel

    check_reach(name, "indices", p.index_bits, a.shape[1] - 1)
    found = np.zeros((ceil_div(a.shape[1], p.vector_elements), 6), np.int64)
    kernel.rows(
        a.pointers, a.columns, present, p.lanes, p.vector_elements, p.block, 1 << p.run_bits, found
    )  # fmt: skip
    products, groups, _, bitmaps, runs, _ = found.sum(axis=0).tolist()
    longest = int(found[:, kernel.LONGEST].max())
    codes, code_bits = {
        "csr": (0, a.nnz * p.index_bits),
        "bitmap": (bitmaps, bitmaps * (p.index_bits + p.block)),
        "runs": (runs, runs * (p.index_bits + p.run_bits)),
    }[p.format]
    if p.format != "csr":
        groups, longest = int((-(-found[:, kernel.ENTRIES] // p.lanes)).sum()), 1
    index_bits = code_bits + len(found) * (a.shape[0] + 1) * p.pointer_bits
    own = _own(groups, longest, p)
    return Tally(own, products, a.nnz, groups * p.lanes - a.nnz, 0, 0, groups, codes, index_bits, len(found))


def _own(groups: int, longest: int, p: Params) -> int:
    """Return the cycles of groups, the tree and the reduction of the longest row behind them."""
    return groups + p.adder_latency * (_levels(p.lanes) + 2 * _levels(longest)) if groups else 0


def _blocks(name: str, a: CsrMatrix, present: np.ndarray, p: Params) -> Tally:
    """Count dense blocks on the diagonal; refuse entries elsewhere."""
    outside = np.flatnonzero(a.rows // p.block != a.columns // p.block)
    if outside.size:
        at = int(a.rows[outside[0]]), int(a.columns[outside[0]])
        raise MappingError(
            f"layer '{name}': {outside.size:,} entries lie outside diagonal blocks of {p.block}, the first at {at}",
            "raise block, or take another format",
        )
    if p.block > p.vector_elements:
        raise MappingError(f"layer '{name}': blocks of {p.block} exceed vector_elements", "raise vector_elements")
    first = np.arange(a.shape[0], dtype=np.int64) // p.block * p.block
    widths = np.clip(a.shape[1] - first, 0, p.block)
    groups = -(-widths // p.lanes)
    total, performed = int(groups.sum()), int(widths.sum())
    products = int(np.count_nonzero(present[a.columns]))
    own = _own(total, int(groups.max()), p)
    return Tally(own, products, performed, total * p.lanes - performed, 0, 0, total, 0, 0, 1)


def _stripes(name: str, a: CsrMatrix, present: np.ndarray, p: Params) -> Tally:
    """Count stripes and deal them to PEs, the longest first."""
    from accelsim.engines.spmv import kernel

    sizes, step = kernel.stripes(a.pointers, a.columns, np.empty(a.nnz, np.int64))
    check_reach(name, "steps of half an index", p.index_bits // 2, int(step))
    check_reach(name, "places of stripes", p.pointer_bits, max(a.shape) - 1)
    rounds = ceil_div(sizes.size, p.lanes)
    lengths = np.zeros(rounds * p.lanes, np.int64)
    lengths[: sizes.size] = np.sort(sizes)[::-1]
    longest = int(lengths[:: p.lanes].sum())
    unmapped = int(lengths[-p.lanes]) * (lengths.size - sizes.size) if sizes.size else 0
    products = int(np.count_nonzero(present[a.columns]))
    return Tally(
        longest + rounds * (p.lanes + p.adder_latency), products, a.nnz, 0, longest * p.lanes - a.nnz - unmapped,
        unmapped, 0, sizes.size, a.nnz * p.index_bits + sizes.size * 2 * p.pointer_bits, max(1, rounds),
    )  # fmt: skip


def activity(plan: Plan, values: Any) -> Activity:
    """Return the account and traffic of a tally: computation beside DRAM, whichever is longer."""
    p, t, rate, (m, n) = plan.params, plan.tally, plan.bits_per_cycle, plan.a.shape
    streamed = n * p.value_bits * (t.rounds if p.format == "stripes" else 1)
    back = (t.rounds - 1) * m * p.value_bits
    traffic = {
        Flow("dram", "input", "read"): t.performed * p.value_bits,
        Flow("dram", "index", "read"): t.index_bits,
        Flow("dram", "weight", "read"): streamed,
        Flow("dram", "psum", "read"): back,
        Flow("dram", "psum", "write"): back,
        Flow("dram", "output", "write"): m * p.value_bits,
        Flow("glb.vector", "weight", "write"): streamed * p.copies,
        Flow("glb.vector", "weight", "read"): streamed if p.format == "stripes" else t.performed * p.value_bits,
        Flow("array", "psum", "read"): t.performed * p.value_bits,
    }
    bits = sum(count for flow, count in traffic.items() if flow.boundary == "dram")
    phase = Phase(t.own, bits, {"memory": p.lanes})
    stall = phase.stall_cycles(rate)
    bound = max(ceil_div(t.performed, p.lanes), ceil_div(bits * rate.denominator, rate.numerator))
    if t.own + stall < bound:
        raise ModelError(f"{t.own + stall} cycles are below the analytic bound of {bound}")
    causes = {"busy": t.products, "zero": t.performed - t.products, "padding": t.padding, "imbalance": t.imbalance,
              "unmapped": t.unmapped}  # fmt: skip
    causes["fill_drain"] = t.own * p.lanes - sum(causes.values())
    held = p.copies * p.value_bits
    return Activity(
        compute_cycles=t.own + stall,
        accounts={"lanes": causes | {"memory": p.lanes * stall}},
        traffic=traffic,
        events={Event("multipliers", "mul"): t.performed, Event("adders", "add"): t.performed},
        schedule=None,
        stall_cycles=stall,
        phases=(phase,),
        buffers={"glb.vector": (held * p.vector_elements, held * min(n, p.vector_elements))},
        details={
            "products": t.products,
            "entries": plan.a.nnz,
            "groups": t.groups,
            "codes": t.codes,
            "index_bits": t.index_bits,
            "rounds": t.rounds,
            "peak_mflop_per_s": int(2 * p.lanes * plan.core_mhz),
            "bound_cycles": bound,
            "dram_bytes": bits // 8,
        },
        performed_macs=t.performed,
        values=values,
    )


ENGINE = SpMV()
