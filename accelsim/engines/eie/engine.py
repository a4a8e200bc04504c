"""Sparse matrix times sparse vector on compressed columns, interleaved over PEs that share broadcast inputs.

Source: S. Han et al., "EIE: Efficient Inference Engine on Compressed Deep Neural Network", ISCA 2016, sections III
and IV; channels and streamed weights after S. Han et al., "ESE: Efficient Speech Recognition Engine with Sparse LSTM
on FPGA", FPGA 2017.

Modelled:
- Row i in PE i mod N; columns as (code, run) entries, padding entries where a run is too long for its field.
- Detection tree: one non-zero input per cycle to the queues of all PEs; it stops while any queue is full.
- Pointer banks, read one column ahead; one entry per cycle; padding entries and empty columns cost a cycle each
  (switches); accumulator hazard and bypass; drain of the pipeline per group of outputs.
- Batches of at most N x registers inputs and outputs; the inputs are broadcast again for each group of outputs.
- Rows of the matrix memory that are read; codebook; several channels that take a vector each through the same pass.
- Weights resident, or streamed pass by pass through half of the memories.

Not modelled:
- Bias and activation function: outputs are compared before them; element-wise work of an LSTM overlaps in ESE.
- Rounding and saturation of sums to the width of an accumulator.
- Latency of the detection tree, loading of the source registers, and the start of a streamed pass.
- Overlap of a layer's first load with the layer before it.

Assumed:
- Weights that fit the memories of the PEs are there before the layer starts (the paper's times contain no loading).
- PEs without a row of a pass take no part in it; the slices of a pass start at a row of the matrix memory.
- A place in a queue is free in the cycle after the last entry of its column was issued.
- All channels take the same pass at the same time, and a pass starts when the last PE has finished the one before.
"""

from __future__ import annotations

import numpy as np

from accelsim.activity import Activity
from accelsim.components import Component, Link, Mac, RegisterFile, Registers, Sram
from accelsim.compressed.sizes import Size, total
from accelsim.engine import Engine, Machine, NoMapping, Room, Sample, Word, check_counts
from accelsim.engines.eie import sample
from accelsim.engines.eie.passes import Geometry, Slices, cut, pass_count, tree_links
from accelsim.engines.eie.plan import Params, Plan
from accelsim.errors import MappingError, WorkloadError
from accelsim.operands.handle import Operands
from accelsim.remedy import Remedy, doubled
from accelsim.results import StoredBits
from accelsim.workload.layers import LayerView

MOST_WALKS = 1 << 17
"""Most passes of vectors that are walked: some ten seconds."""


class Eie(Engine[Params, NoMapping]):
    """The engine of this folder."""

    name = "eie"
    params_schema = Params
    primary = "pes"
    support_params = ("input_bits", "codebook_bits", "value_bits", "accumulator_bits")

    def remedies(self, params: Params) -> tuple[Remedy, ...]:
        """Return deeper queues, longer runs, pointers in two banks, more destinations, weights that stay."""
        p = params
        switches = (
            *(Remedy({"run_bits": p.run_bits + 1}, ("padding",)),),
            *(() if p.pointer_banks == 2 else (Remedy({"pointer_banks": 2}, ("control", "conflict")),)),
            *(() if p.bypass else (Remedy({"bypass": True}, ("conflict",)),)),
            *(() if p.weights == "resident" else (Remedy({"weights": "resident"}, ("memory",)),)),
        )
        return (*switches, *doubled(p, "imbalance", "queue_depth"), *doubled(p, "memory", "registers"))

    def units(self, params: Params) -> dict[str, int]:
        """Return the PEs of all channels."""
        return {"pes": params.pes * params.channels}

    def supports(self, view: LayerView, params: Params) -> str | None:
        """Return why a layer cannot run: only matrix times vector."""
        del params
        return None if view.kind == "linear" else f"EIE multiplies a matrix by vectors: it has no {view.kind} unit"

    def words(self, view: LayerView, params: Params) -> dict[str, Word]:
        """Return the width of inputs, of weights as they are decoded, and of sums."""
        del view
        decoded = Word(params.codebook_bits, "codebooks") if params.codebook_bits else None
        return {
            "input": Word(params.input_bits, "multipliers"),
            "weight": decoded or Word(params.value_bits, "entries"),
            "output": Word(params.accumulator_bits, "accumulators"),
        }

    def rooms(self, params: Params) -> tuple[Room, ...]:
        """Return the memories of the PEs."""
        del params
        return (Room("glb.activations", ("input", "output")), Room("glb.weights", ("weight",)))

    def components(self, params: Params) -> tuple[Component, ...]:
        """Return multipliers, registers, queues, codebooks, the tree and the memories."""
        p, pes = params, params.pes * params.channels
        weight = p.codebook_bits or p.value_bits
        acc, entry = p.accumulator_bits, p.value_bits + p.run_bits
        registers = p.registers * (p.input_bits + acc)
        queued = p.queue_depth * (p.input_bits + (p.pes * p.registers - 1).bit_length())
        banks = p.pointer_banks
        weights = (1 << p.value_bits) if p.codebook_bits else 0
        stages = 2 * (p.row_entries * entry + banks * p.pointer_bits) + 2 * (p.input_bits + weight) + acc
        pipeline = Registers(
            "registers", pes, clocked_bits=stages + 64, gated_words=2 * p.registers + weights,
            source="assumed: two rows of entries, two sets of pointers, operands, product, sum, 64 bits of "
            "addresses and control; gated: words of the activation registers and the codebook",
        )  # fmt: skip
        book = (RegisterFile("pe.codebook", pes, size_bits=weight << p.value_bits, width_bits=weight),)
        return (
            Mac("macs", pes, input_bits=p.input_bits, weight_bits=weight, accumulator_bits=acc),
            RegisterFile("pe", pes, size_bits=registers, width_bits=acc),
            RegisterFile("pe.queue", pes, size_bits=queued, width_bits=p.input_bits),
            *(book if p.codebook_bits else ()),
            pipeline,
            Link("array", p.channels * max(1, tree_links(p.pes)[0]), width_bits=p.input_bits),
            Sram("glb.weights", pes, size_bits=p.matrix_bytes * 8, width_bits=p.row_entries * entry),
            Sram("glb.pointers", pes * banks, size_bits=p.pointer_bytes * 8 // banks, width_bits=p.pointer_bits),
            Sram("glb.activations", pes, size_bits=p.activation_bytes * 8, width_bits=p.input_bits),
        )

    def plan(self, view: LayerView, operands: Operands, params: Params, mapping: NoMapping, machine: Machine) -> Plan:
        """Compress the layer and check that codes, pointers and memories hold it."""
        del mapping
        from accelsim.engines.eie import walk

        check_counts(view, 256 * params.pes)
        _check_codes(view, operands, params)
        _check_passes(view, params)
        geometry = cut(view, params)
        slices = walk.compress(geometry, operands.weight.mask, params)
        return Plan(
            geometry, params, machine, operands, slices,
            _check_weights(view, slices, params), _check_activations(view, geometry, params),
        )  # fmt: skip

    def run(self, plan: Plan, operands: Operands | None = None) -> Activity:
        """Walk every pass of every vector; with operands, decode and accumulate on the way."""
        from accelsim.engines.eie import walk

        return walk.walk(plan, operands)

    def stored(self, plan: Plan) -> dict[str, StoredBits]:
        """Return the weights: entries of codes and runs, and the pointers of all slices; the codebook is left out."""
        size = total(Size(s.weight_bits, s.index_bits) for s in plan.slices)
        return {"weight": size.stored(plan.operands.view.weight)}

    def sample(self, rng: np.random.Generator) -> Sample:
        """Return a small matrix on a few PEs with shallow queues and short runs."""
        return sample.sample(rng)


def _check_passes(view: LayerView, params: Params) -> None:
    """Refuse a layer that few registers cut into more passes than can be walked one by one."""
    passes, vectors = pass_count(view, params), view.shape.n  # type: ignore[union-attr]
    if passes * vectors > MOST_WALKS:
        raise MappingError(
            f"layer '{view.name}': {passes:,} passes of {vectors:,} vectors are more than {MOST_WALKS:,} to walk",
            "raise params.registers, or params.pass_rows if it is not 0",
        )


def _check_codes(view: LayerView, operands: Operands, params: Params) -> None:
    """Refuse a layer with more distinct non-zero weights than the codebook has codes."""
    if not params.codebook_bits:
        return
    given, codes = operands.weight.given, (1 << params.value_bits) - 1
    distinct = np.unique(given[given != 0]).size if given is not None else (1 << view.weight.width) - 1
    if distinct > codes:
        raise WorkloadError(
            f"layer '{view.name}': its weights take {distinct} non-zero values, a codebook of {params.value_bits} bits "
            f"holds {codes}",
            f"share weights or give '{view.weight.name}' {params.value_bits} bits",
        )


def _check_weights(view: LayerView, slices: tuple[Slices, ...], params: Params) -> bool:
    """Return whether the weights are resident; refuse passes too large to stream."""
    largest = max(s.longest for s in slices)
    if largest >> params.pointer_bits:
        raise MappingError(
            f"layer '{view.name}': a slice of {largest:,} entries is beyond pointers of {params.pointer_bits} bits",
            f"raise params.pointer_bits to {largest.bit_length()}",
        )
    home = view.weight.home == "chip"
    rooms = {"matrix": params.matrix_bytes * 8, "pointer": params.pointer_bytes * 8}
    needs = {name: [getattr(s, f"{name}_bits") for s in slices] for name in rooms}
    if (params.weights == "resident" or home) and all(sum(needs[m]) <= rooms[m] for m in rooms):
        return True
    for name, room in rooms.items():
        need = sum(needs[name]) if home else 2 * max(needs[name])
        if need > room:
            what = "all its passes" if home else "two of its passes"
            raise MappingError(
                f"layer '{view.name}': {what} take {need:,} bits of the fullest PE's {name} memory, which has {room:,}",
                f"raise params.{name}_bytes to {-(-need // 8)}" + ("" if home else " or cut params.pass_rows"),
            )
    return False


def _check_activations(view: LayerView, geometry: Geometry, params: Params) -> bool:
    """Return whether a vector stays on the chip between groups of outputs; refuse batches that do not fit."""
    room = params.pes * params.activation_bytes * 8
    if geometry.vector_bits <= room:
        return True
    pinned = "chip" in (view.input.home, view.output.home)
    need = geometry.vector_bits if pinned else geometry.batch_bits
    if need > room:
        raise MappingError(
            f"layer '{view.name}': its activations take {need:,} bits, the activation memories hold {room:,}",
            f"raise params.activation_bytes to {-(-need // (8 * params.pes))}",
        )
    return False


ENGINE = Eie()
