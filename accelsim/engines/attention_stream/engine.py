"""Attention a row at a time: keys, Q x K, softmax, decision, top-k, values, prob x V, as SpAtten, A3 and MNNFast.

Source: H. Wang, Z. Zhang and S. Han, "SpAtten: Efficient Sparse Attention Architecture with Cascade Token and Head
Pruning", HPCA 2021; T. J. Ham et al., "A3: Accelerating Attention Mechanisms in Neural Networks with Approximation",
HPCA 2020; H. Jang et al., "MnnFast: A Fast and Scalable System Architecture for Memory-Augmented Neural Networks", ISCA
2019. Rules and an example by hand: docs/decisions/0099-attention-stream.md.

Modelled:
- A row, one query of one head, takes the longest of its stages; vectors that do not fill a line; latency once a layer.
- Greedy candidates and their second selection; top-k by quick-select, serial or overlapped; thresholds, lazily or not.
- Keys without their low bits, fetched again where no probability is large.
- Keys and values once for all rows of a head where a buffer holds them, else once a row.

Not modelled:
- Crossbars of the fetcher, order of addresses, conflicts of banks, and that values are asked for after the decision.
- Sorting of the keys for greedy candidates, which the host does; capacity for a row's scores.
- Fixed point behind the scores: softmax and what follows are in float64.

Assumed:
- Two heads share the bursts that a vector does not fill; whole lines of vectors are fetched.
- Top-k meets no equal values: the time of its rounds follows from ranks.
- A zero operand is multiplied like any other.
- The arrays run fully connected layers with a half of the weights' rows in each buffer.
"""

from __future__ import annotations

import numpy as np

from accelsim.activity import Activity
from accelsim.components import Alu, Component, Mac, RegisterFile, Registers, Sram, dot_product_bits
from accelsim.engine import Engine, Machine, Sample, Word, check_counts
from accelsim.engines.attention_stream import linear, report, rows, sample
from accelsim.engines.attention_stream.params import Params, Pick
from accelsim.engines.attention_stream.plan import Plan
from accelsim.engines.attention_stream.topk import expected
from accelsim.engines.attention_stream.truth import truth
from accelsim.errors import MappingError
from accelsim.operands.golden import golden
from accelsim.operands.handle import Operands
from accelsim.remedy import Remedy, doubled
from accelsim.units import KIB_BITS, ceil_div, exact
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import Attention, Linear

MAX_LOOKED_AT = 1 << 34
"""Scores of a layer that are computed because counts depend on them, and keys for which rounds are expected."""


class AttentionStream(Engine[Params, Pick]):
    """The engine of this folder."""

    name = "attention_stream"
    params_schema = Params
    mapping_schema = Pick
    primary = "qk"
    attends = True
    support_params = ("operand_bits", "word_bits", "linear")

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return rows that go on during the top-k, a wider top-k, more rows in the buffers."""
        waits = (Remedy({"topk": "overlapped"}, ("imbalance",)),) if params.topk == "serial" else ()
        return (
            *waits,
            *doubled(params, "imbalance", "topk_parallel", "softmax_lanes"),
            *doubled(params, "memory", "buffer_rows"),
        )

    def units(self, params: Params) -> dict[str, int]:
        """Return the multipliers of both arrays."""
        return {"qk": params.multipliers, "pv": params.multipliers}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only attention without masks of its own, and linear layers if it has them."""
        if isinstance(view.shape, Linear) and params.linear:
            return None
        if not isinstance(view.shape, Attention):
            return f"a pipeline for attention has no {view.kind} unit"
        if len(view.inputs) > 3 or (view.weights and view.shape.causal == "none"):
            return "a pipeline for attention has no adder for masks"
        return None

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the width of operands."""
        del view
        stored = max(params.word_bits, default=params.operand_bits)
        word = Word(params.operand_bits, "multipliers")
        if stored < params.operand_bits:
            word = Word(stored, "words of DRAM")
        return {"input": word, "weight": word}

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return arrays, softmax lanes, selectors, buffers, and the registers of the pipeline."""
        p, m, bits = params, params.multipliers, params.operand_bits
        parts: list[Component] = [
            Mac("qk", m, bits, bits, 32),
            Mac("pv", m, p.score_bits, bits, 32),
            Alu("softmax", p.softmax_lanes, bits=32),
            Registers(
                "registers",
                1,
                clocked_bits=dot_product_bits(1, m, bits) + p.softmax_lanes * 8 * 32 + 64,
                source="assumed: dot products of Q x K, 8 words in each softmax lane, 64 bits of control",
            ),
            Registers(
                "registers.pv",
                m,
                clocked_bits=2 * bits + p.score_bits + 32,
                unit="pv",
                source="assumed: a value, a product, a probability, a sum",
            ),
            Sram("glb.keys", 1, p.buffer_kib * KIB_BITS, m * bits),
            Sram("glb.values", 1, p.buffer_kib * KIB_BITS, m * bits),
            Sram("pe.scores", 1, 2048 * p.score_bits, p.softmax_lanes * p.score_bits),
            RegisterFile("pe.queries", 1, 2 * m * bits, m * bits),
        ]
        if p.select == "topk":
            parts.append(Alu("topk", 2 * p.topk_parallel, bits=p.score_bits, parts=("comparator",)))
        if p.select == "greedy":
            parts.append(Alu("select", 2 * m, bits=2 * bits, parts=("comparator",)))
            width = 2 * (bits + 16)
            parts.append(Sram("glb.sorted", 1, ceil_div(p.buffer_kib * KIB_BITS * (bits + 16), bits), width))
        return tuple(parts)

    def plan(
        self, view: LayerView, operands: Operands, params: Params, mapping: Pick, machine: Machine
    ) -> Plan | linear.Plan:
        """Check counts and what is pinned; look at the values where counts depend on them."""
        check_counts(view, 64 * (1 + params.row_cycles))
        if isinstance(view.shape, Linear):
            return linear.plan(view, params, machine)
        a = view.shape
        assert isinstance(a, Attention)
        _check_pinned(view, a, params, mapping)
        by_values = (
            params.select == "greedy"
            or (params.select == "threshold" and params.threshold > 0)
            or (params.low_bits > 0 and mapping.refetched is None)
        )
        searched = params.select == "topk" and params.pivot == "expected" and a.causal == "skip"
        if (by_values or searched) and a.batch * a.heads * a.q * a.kv > MAX_LOOKED_AT:
            remedy = "cut the layer" if by_values else "use pivot: seeded"
            raise MappingError(f"layer '{view.name}': too many scores to look at each", remedy)
        known = np.array([[-1, -1, -1, 0]], np.int64)
        if by_values:
            known, _ = rows.decide(a, params, mapping, operands, wanted=False)
        vectors = max(1, params.multipliers // a.head_dim)
        held = ceil_div(a.kv, vectors) * vectors * a.head_dim * params.operand_bits
        return Plan(view, a, params, mapping, machine, known, _expected(a, params, mapping), held)

    def run(self, plan: Plan | linear.Plan, operands: Operands | None = None) -> Activity:
        """Walk the rows; with operands, compute them."""
        if isinstance(plan, linear.Plan):
            return linear.run(plan, operands)
        from accelsim.engines.attention_stream import kernel

        a, p = plan.shape, plan.params
        total = a.batch * a.heads * a.q
        blocks = np.zeros((ceil_div(total, plan.in_block), 7), np.int64)
        totals = np.zeros(kernel.TOTALS, np.int64)
        share = exact(p.iterations if p.select == "greedy" else p.keep_values)
        refetched = (-1 if plan.pick.refetched is None else plan.pick.refetched) if p.low_bits else 0
        kernel.walk(
            (total, plan.group, a.q, a.kv, int(a.causal == "skip"), plan.in_block, int(plan.resident),
             int(p.fetch_skipped)),
            (max(1, p.multipliers // a.head_dim), ceil_div(a.head_dim, p.multipliers), p.softmax_lanes),
            (p.row_cycles, int(p.topk == "serial")),
            (rows.SELECTORS[p.select], share.numerator, share.denominator, plan.pick.values or 0, refetched),
            (p.topk_parallel, ("expected", "seeded", "middle").index(p.pivot), p.pivot_seed),
            plan.known, plan.expected, blocks, totals,
        )  # fmt: skip
        values = None
        if operands is not None:
            values = rows.output(a, rows.decide(a, p, plan.pick, operands, wanted=True)[1])
        return report.activity(plan, blocks, totals.tolist(), values)

    def truth_of(self, plan: Plan | linear.Plan, operands: Operands) -> np.ndarray:
        """Return the output of what the rows keep, by NumPy."""
        if isinstance(plan, linear.Plan):
            return np.asarray(golden(operands))
        return truth(plan.shape, plan.params, plan.pick, operands).output

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer under a random selector."""
        return sample.sample(rng)


def _check_pinned(view: LayerView, a: Attention, params: Params, pick: Pick) -> None:
    """Raise MappingError for what is pinned and the machine cannot do."""
    if pick.values is not None and params.select != "topk":
        problem = f"layer '{view.name}': pins values {pick.values}, and params.select is {params.select}"
        raise MappingError(problem, "set params.select=topk")
    if pick.values is not None and pick.values > a.kv:
        raise MappingError(f"layer '{view.name}': pins {pick.values} values of {a.kv} keys", f"use at most {a.kv}")
    total, key = a.batch * a.heads * a.q, view.inputs[1]
    if key.width <= params.low_bits:
        problem = (
            f"layer '{view.name}': '{key.name}' has {key.width} bits, of which {params.low_bits} are fetched apart"
        )
        raise MappingError(problem, f"set params.low_bits below {key.width}")
    if pick.refetched and not params.low_bits:
        raise MappingError(f"layer '{view.name}': pins refetched rows, and params.low_bits is 0", "set params.low_bits")
    if pick.refetched is not None and pick.refetched > total:
        problem = f"layer '{view.name}': pins {pick.refetched} refetched rows of {total}"
        raise MappingError(problem, f"use at most {total}")


def _expected(a: Attention, p: Params, pick: Pick) -> np.ndarray:
    """Return cycles and comparisons of each query's search with expected pivots; zeros where there is none."""
    if p.select != "topk" or p.pivot != "expected":
        return np.zeros((1, 2), np.int64)
    share = exact(p.keep_values)
    keys = [a.kv] if a.causal != "skip" else range(a.kv - a.q + 1, a.kv + 1)
    found = []
    for n in keys:
        kept = min(n, pick.values) if pick.values is not None else max(1, n * share.numerator // share.denominator)
        found.append(expected(n, kept, p.topk_parallel) if kept < n else (0, 0))
    return np.array(found, np.int64)


ENGINE = AttentionStream()
