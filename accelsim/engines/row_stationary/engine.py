"""Row-stationary array: filter rows stay in the processing elements, ifmap rows run diagonally, psums upwards.

Source: Y.-H. Chen, T. Krishna, J. Emer, V. Sze, "Eyeriss: An Energy-Efficient Reconfigurable Accelerator for Deep
Convolutional Neural Networks", JSSC 2017 (chip, pass structure, tables III and V); Y.-H. Chen, J. Emer, V. Sze,
"Eyeriss: A Spatial Architecture for Energy-Efficient Dataflow for Convolutional Neural Networks", ISCA 2016.

Modelled:
- One-dimensional primitives in PEs with filter, ifmap and psum spads; sets of R x e PEs, strip-mined, folded and
  replicated onto the array; passes over n images, q r channels and p t filters.
- The global filter, ifmap and psum networks word by word: a multicast waits until every destination has room.
- Filter spads with a single buffer: every pass starts with a filter load, then its first window.
- Buffer banks, each wholly ifmap or wholly psum; prefetch of the next pass's filters.
- Ifmap loads and ofmap dumps that overlap no processing; run-length coding of feature maps, sized from their zeros.
- Gating of zero inputs: events, not cycles.
- Groups, depthwise, padding, per-dimension stride, batch, fully connected layers, products of two activations.

Not modelled:
- Bias, pooling and activation functions on the way out; saturation of psums to the word's width.
- Latency of buses, local links and the PE pipeline beyond a cycle per bus word; port conflicts of the buffer's banks.
- The scan chain that configures a layer (below 100 us), and its limits on sizes and strides.
- Clock and control of networks and buffers; clock-gating of unused PEs unless `clock_gating` says so.

Assumed:
- The FIFO in front of an ifmap spad is as deep as the spad; those of psums hold one window.
- Loop bounds are set once per layer: passes at the edges take as long as full ones.
- What one load or dump moves is one coded stream; filters lie in DRAM in the order of the passes.
- Each multiplication reads the ifmap spad once, reads and writes the psum spad once (ISCA 2016).
- Words of every tensor are as wide as the machine's, whatever the tensor's own width.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelsim.activity import Activity
from accelsim.components import Component, Link, Mac, RegisterFile, Registers, Sram
from accelsim.config.schema import MappingSpec
from accelsim.engine import Chosen, Engine, Machine, Sample, Word, check_counts
from accelsim.engines.row_stationary import candidates, fmaps, sample
from accelsim.engines.row_stationary.cut import MOST_PASSES, Cut
from accelsim.engines.row_stationary.params import Mapping, Params
from accelsim.engines.row_stationary.plan import Plan
from accelsim.errors import MappingError, ModelError
from accelsim.mapping.choose import Bounds, Candidates, Choice, PriceOf
from accelsim.operands.handle import Operand, Operands, from_conv_output
from accelsim.remedy import Remedy, doubled, reshaped
from accelsim.units import KIB_BITS
from accelsim.workload.layers import LayerView
from accelsim.workload.shapes import PRODUCTS, Conv2d


class RowStationary(Engine[Params, Mapping]):
    """The engine of this folder."""

    name = "row_stationary"
    params_schema = Params
    mapping_schema = Mapping
    primary = "pes"
    support_params = ("word_bits", "ifmap_spad_words", "filter_spad_words", "rows")
    spread = ("rows", "cols")

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return another shape of the array, larger spads and banks, wider networks, coded feature maps."""
        coded = () if params.rlc else (Remedy({"rlc": True}, ("memory",)),)
        keys = ("filter_spad_words", "ifmap_spad_words", "psum_spad_words")
        spads = tuple(Remedy({key: 2 * getattr(params, key)}, ("unmapped", "fill_drain", "memory")) for key in keys)
        ways = ("filter_words_per_cycle", "ifmap_words_per_cycle", "psum_words_per_cycle")
        networks = tuple(Remedy({key: 2 * getattr(params, key)}, ("fill_drain", "starved")) for key in ways)
        memories = doubled(params, "memory", "fmap_banks", "filter_banks")
        return (*coded, *reshaped(params, "rows", "cols"), *spads, *networks, *memories)

    def units(self, params: Params) -> dict[str, int]:
        """Return the PEs."""
        return {"pes": params.rows * params.cols}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only products, filters that fit, and no dilation."""
        if view.kind not in PRODUCTS:
            return f"a row-stationary array has no {view.kind} unit"
        conv = _conv(view)
        if conv.dilation != (1, 1):
            return "a PE slides over neighbouring words: no dilation"
        spad = min(params.ifmap_spad_words, params.filter_spad_words)
        for what, need, room in (("rows", conv.r, params.rows), ("columns", conv.s, spad)):
            if need > room:
                return f"the filter has {need} {what}, the machine takes {room}"
        return None

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the one width that the machine has."""
        del view
        return dict.fromkeys(("input", "weight", "output"), Word(params.word_bits, "words"))

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers, spads, networks and buffer banks."""
        p, pes = params, params.rows * params.cols
        width, bank_bits = p.word_bits, p.bank_kib * KIB_BITS
        pipeline = Registers(
            "registers", pes, clocked_bits=8 * width + 48, gated_words=p.ifmap_spad_words + p.psum_spad_words + 9,
            source="assumed: three operands, products in two stages, a sum, 48 bits of counters and control; gated: "
            "words of the register spads and 9 of FIFOs",
        )  # fmt: skip
        return (
            Mac("macs", pes, input_bits=width, weight_bits=width, accumulator_bits=width),
            Sram("pe.filters", pes, size_bits=p.filter_spad_words * width, width_bits=width),
            RegisterFile("pe.inputs", pes, size_bits=p.ifmap_spad_words * width, width_bits=width),
            RegisterFile("pe.psums", pes, size_bits=p.psum_spad_words * width, width_bits=width),
            pipeline,
            Link("array", pes, width_bits=p.psum_words_per_cycle * width),
            Link("bus", 1, p.psum_words_per_cycle * width, length_mm=p.bus_mm or 0.0, reach="trunk"),
            Sram("glb.fmaps", p.fmap_banks, size_bits=bank_bits, width_bits=p.psum_words_per_cycle * width),
            Sram("glb.filters", p.filter_banks, size_bits=bank_bits, width_bits=p.filter_words_per_cycle * width),
        )

    def candidates(self, view: LayerView, params: Params, machine: Machine) -> Candidates:
        """Return the mappings that fit, at break-points of the loop counts and even cuts, those with more PEs first."""
        del machine
        return candidates.mappings(_conv(view), params)

    def search(
        self, view: LayerView, params: Params, machine: Machine, objective: str, price: PriceOf,
        leak_pj_per_cycle: float,
    ) -> Choice | None:  # fmt: skip
        """Return the best mapping of the list; under the authors' objective, of those that keep most filters."""
        return candidates.best(_conv(view), params, machine.dram, objective, price, leak_pj_per_cycle)

    def bounds(self, view: LayerView, params: Params, machine: Machine, columns: Candidates) -> Bounds:
        """Return cycles that no candidate undercuts, exact traffic, and the objective of the engine's own."""
        return candidates.bounds(_conv(view), params, machine.dram, columns)

    def walks(self, params: Params) -> bool:
        """Every pass is walked; only mappings are chosen for many layers at once."""
        del params
        return True

    def encode(self, view: LayerView, effective_macs: int) -> tuple[int, ...]:
        """Return what decides about a layer's mapping."""
        del effective_macs
        return tuple(candidates.layer_row(_conv(view)).tolist())

    def mappings_of_many(
        self, layers: np.ndarray, params: Params, machine: Machine, mapping: MappingSpec
    ) -> Chosen | None:
        """Return what the authors' objective chooses for layers; others ask for each alone."""
        del machine
        if mapping.objective != "engine" or mapping.fixed:
            return None
        keys = candidates.best_of_own(layers.tobytes(), params)
        if not all(map(all, keys)):
            return None
        return Chosen(keys, lambda i: Mapping(**dict(zip(candidates.FIELDS, keys[i], strict=True))))

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: Mapping, machine: Machine) -> Plan:
        """Check that everything fits and that no count can overflow; size the feature maps in DRAM."""
        cut = Cut(_conv(view), params, mapping)
        if found := cut.misfits():
            raise MappingError(f"layer '{view.name}': the mapping needs {found[0]}", "choose smaller factors")
        check_counts(view, params.word_bits)
        if cut.passes > MOST_PASSES:
            raise MappingError(
                f"layer '{view.name}': {cut.passes:,} passes for a block of outputs, at most {MOST_PASSES:,} run",
                "split the layer",
            )
        source, sink = fmaps.input_fmap(cut, operands), fmaps.output_fmap(cut, operands)
        return Plan(view, cut, machine, source, sink, operands.effective_macs, _input_macs(operands))

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk every kind of pass; with operands, every pass with its values."""
        from accelsim.engines.row_stationary import account, walk

        walked, values = walk.walk(plan.cut), None
        if operands is not None:
            values, total = walk.compute(plan.cut, *operands.conv_arrays())
            if total != walked.total:
                raise ModelError(f"layer '{plan.view.name}': passes with values take {total}, not {walked.total}")
            values = from_conv_output(plan.view, values)
        return account.activity(plan, walked, values)

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small layer on a small array, with a random mapping that fits."""
        return sample.sample(rng)


def _conv(view: LayerView) -> Conv2d:
    return view.shape.as_conv()  # type: ignore[union-attr]


def _input_macs(operands: Operands) -> int:
    """Return how many multiplications have a non-zero input, whatever the weight."""
    weight = operands.weight
    full = Operand(replace(weight.tensor, density=1.0), weight.seed, weight.batch)
    if operands.weights:
        return replace(operands, weights=(full,)).effective_macs
    return replace(operands, inputs=(operands.input, full)).effective_macs


ENGINE = RowStationary()
