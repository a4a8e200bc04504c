"""EIE and ESE: the walk, the format, the limits."""

import runpy
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from contract import random_case, reference_of

from accelsim import load_arch, load_network, simulate
from accelsim.engine import Machine, NoMapping
from accelsim.engines import registry
from accelsim.engines.eie import kernel
from accelsim.engines.eie.passes import cut, pass_count, tree_links
from accelsim.errors import MappingError, WorkloadError
from accelsim.memory.dram import DramModel
from accelsim.operands.csc import Csc
from accelsim.operands.golden import golden
from accelsim.operands.handle import of
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Linear

ENGINE = registry.get("eie")
MACHINE = Machine({"core": Fraction(800)}, DramModel(Fraction(256), 80, 512))
ROOT = Path(__file__).parent.parent


def layer(weights, inputs, bits=16, **homes):
    """Return view and operands of W (k, c) times the rows of ``inputs`` (n, c)."""
    w, x = np.asarray(weights), np.atleast_2d(np.asarray(inputs))
    shape = Linear(n=x.shape[0], c=w.shape[1], k=w.shape[0])
    view = LayerView(
        "fc",
        shape,
        (Tensor("x", x.shape, 16, home=homes.get("input", "dram")),),
        (Tensor("w", w.shape, bits, weight=True, home=homes.get("weight", "dram")),),
        (Tensor("y", shape.output_shape, 16, home=homes.get("output", "dram")),),
        x.shape[0],
    )
    return view, of(view, given={"x": x, "w": w})


def params(name="eie", **changes):
    return ENGINE.params_schema.model_validate(load_arch(name).units[0].params.model_dump() | changes)


def run(weights, inputs, name="eie", bits=16, **changes):
    view, operands = layer(weights, inputs, bits)
    plan = ENGINE.plan(view, operands, params(name, **changes), NoMapping(), MACHINE)
    return ENGINE.run(plan, operands)


def causes(activity):
    return {cause: n for cause, n in activity.accounts["pes"].items() if n}


def test_the_hand_computed_example():
    activity = run([[5, 0], [3, 2]], [7, 9], pes=2)
    assert activity.compute_cycles == 7
    assert causes(activity) == {"busy": 3, "control": 1, "fill_drain": 10}
    assert activity.values.tolist() == [[35, 39]]


def test_a_full_queue_stops_the_broadcast():
    activity = run([[5, 0], [3, 2]], [7, 9], pes=2, queue_depth=1)
    assert activity.compute_cycles == 9
    assert causes(activity) == {"busy": 3, "control": 1, "fill_drain": 10, "starved": 4}


def test_a_peer_with_a_full_queue_is_imbalance():
    # PE 0 has 3 entries in each of 4 columns, PE 1 one: from the second on the queues of PE 0 hold it up
    weights = np.ones((6, 4), int)
    weights[3:, :] = weights[3:, :] * 0
    weights = weights[[0, 3, 1, 4, 2, 5]]
    weights[1, :] = 1
    activity = run(weights, [1] * 4, pes=2, queue_depth=3)
    assert activity.compute_cycles == 2 + 12 + 3
    assert causes(activity) == {"busy": 16, "fill_drain": 10, "imbalance": 8}


def test_zero_inputs_are_never_broadcast():
    activity = run(np.ones((4, 6), int), [0, 3, 0, 0, 2, 0], pes=2)
    assert activity.details["broadcasts"] == 2
    assert activity.compute_cycles == 2 + 4 + 3


def test_a_long_run_takes_padding_entries_that_cost_a_cycle_each():
    column = np.zeros((40, 1), int)
    column[39] = 3
    with_cycle = run(column, [2], pes=1)
    without = run(column, [2], pes=1, padding_cycle=False)
    assert (with_cycle.details["padding_entries"], without.details["padding_entries"]) == (2, 2)
    assert causes(with_cycle) == {"busy": 1, "padding": 2, "fill_drain": 5}
    assert causes(without) == {"busy": 1, "fill_drain": 5}
    assert with_cycle.values[0, 39] == without.values[0, 39] == 6


def test_an_empty_column_costs_a_cycle_only_with_the_switch():
    weights = [[1, 0, 0, 1], [1, 1, 1, 1]]
    dear = run(weights, [1] * 4, pes=2)
    cheap = run(weights, [1] * 4, pes=2, empty_cycle=False)
    assert (causes(dear)["control"], dear.compute_cycles) == (2, 2 + 4 + 3)
    assert cheap.compute_cycles == 2 + 4 + 3
    assert causes(cheap)["busy"] == causes(dear)["busy"] == 6


def test_without_a_bypass_an_accumulator_rests_a_cycle():
    assert run([[1, 2, 3]], [1, 1, 1], pes=1).compute_cycles == 2 + 3 + 3
    activity = run([[1, 2, 3]], [1, 1, 1], pes=1, bypass=False)
    assert (activity.compute_cycles, causes(activity)["conflict"]) == (2 + 5 + 3, 2)


def test_one_pointer_bank_takes_two_cycles_per_column():
    activity = run([[1, 2, 3]], [1, 1, 1], pes=1, pointer_banks=1)
    assert (activity.compute_cycles, causes(activity)["conflict"]) == (1 + 6 + 1 + 3, 3)


def test_more_outputs_than_registers_broadcast_again_and_drain_again():
    activity = run(np.ones((4, 3), int), [1, 1, 1], pes=1, registers=2)
    # two groups of two outputs, inputs in batches of two and one: 4 entries + 2, 2 entries + 2, drain 3
    assert activity.details["passes"] == 4
    assert activity.details["broadcasts"] == 6
    assert activity.compute_cycles == 2 * ((2 + 4) + (2 + 2) + 3)


def test_a_deeper_queue_is_never_slower():
    rng = np.random.default_rng(3)
    weights, inputs = (rng.random((40, 60)) < 0.3).astype(int), (rng.random(60) < 0.5).astype(int)
    cycles = [run(weights, inputs, pes=8, queue_depth=d).compute_cycles for d in range(1, 20)]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > cycles[-1]


def test_the_slowest_pe_bounds_the_time_from_below():
    rng = np.random.default_rng(4)
    weights = (rng.random((64, 50)) < 0.3).astype(int)
    activity = run(weights, np.ones(50, int), pes=8, queue_depth=4096)
    slowest = max(np.maximum(Csc(8).entries(weights), 1).sum(axis=1))
    assert slowest <= activity.compute_cycles - 5 <= slowest + 50


@pytest.mark.parametrize("pes", [1, 3, 64, 1024])
def test_values_are_exact_through_the_codebook(pes):
    rng = np.random.default_rng(pes)
    book = rng.choice(np.arange(-32768, 32768), 15, replace=False)
    weights = np.where(rng.random((130, 90)) < 0.2, rng.choice(book, (130, 90)), 0)
    inputs = rng.integers(-32768, 32768, (2, 90)) * (rng.random((2, 90)) < 0.4)
    activity = run(weights, inputs, pes=pes, registers=2)
    assert (activity.values == inputs @ weights.T).all()


def test_the_kernel_compresses_as_the_codec_does():
    rng = np.random.default_rng(5)
    codes = rng.integers(1, 16, (70, 33)) * (rng.random((70, 33)) < 0.15)
    starts, values, runs = kernel.compress(codes.astype(np.int32), 3, 2)
    coded = Csc(3, 4, 2).encode(codes)
    assert (values == coded.values).all()
    assert (runs == coded.runs).all()
    assert (starts == coded.pointers + coded.starts[:-1, None]).all()


def test_more_weights_than_codes_are_refused_by_name():
    with pytest.raises(WorkloadError, match=r"layer 'fc'.* 16 non-zero values, a codebook of 4 bits holds 15"):
        run([list(range(17))], [1] * 17)
    view, _ = layer(np.ones((2, 2), int), [1, 1], bits=8)
    with pytest.raises(WorkloadError, match=r"255 non-zero values"):
        ENGINE.plan(view, of(view), params(), NoMapping(), MACHINE)


def test_a_layer_that_is_no_product_with_vectors_is_refused_with_the_reason():
    result = simulate(load_arch("eie"), load_network("alexnet"), layers="conv1")
    reasons = {layer.name: layer.reason for layer in result.layers}
    assert reasons["conv1"] == "EIE multiplies a matrix by vectors: it has no conv2d unit"


def test_too_wide_operands_are_refused_with_their_names():
    view, _ = layer(np.ones((2, 2), int), [1, 1], bits=16)
    assert ENGINE.refuses(view, params(name="ese")) == "'w' has 16 bits, the entries take 12"
    assert ENGINE.refuses(view, params(input_bits=8)) == "'x' has 16 bits, the multipliers take 8"


def test_weights_that_do_not_fit_stream_and_a_pass_that_does_not_fit_is_refused():
    weights = np.ones((4, 64), int)
    assert run(weights, [1] * 64, pes=4, registers=4).details["resident"] == 1
    streamed = run(weights, [1] * 64, pes=4, registers=4, matrix_bytes=32, pointer_bytes=136)
    assert streamed.details["resident"] == 0
    assert sum(t.bits for step in streamed.schedule for t in step.loads if t.tensor == "weight") == 256 * 4
    with pytest.raises(MappingError, match=r"two of its passes take 256 bits .* matrix memory, which has 248"):
        run(weights, [1] * 64, pes=4, registers=4, matrix_bytes=31, pointer_bytes=136)
    with pytest.raises(MappingError, match=r"pointer memory"):
        run(weights, [1] * 64, pes=4, registers=4, matrix_bytes=32, pointer_bytes=1)


def test_a_slice_beyond_the_pointers_is_refused():
    with pytest.raises(MappingError, match=r"raise params.pointer_bits to 5"):
        run(np.ones((4, 4), int), [1] * 4, pes=1, pointer_bits=4)


def test_activations_that_do_not_fit_are_fetched_again_for_every_group_of_outputs():
    weights, inputs = np.ones((8, 8), int), [1] * 8
    few = {"pes": 1, "registers": 2}
    kept = run(weights, inputs, **few)
    again = run(weights, inputs, **few, activation_bytes=12)
    read = [sum(t.bits for s in a.schedule for t in s.loads if t.tensor == "input") for a in (kept, again)]
    assert read == [8 * 16, 4 * 8 * 16]
    with pytest.raises(MappingError, match=r"activations take 96 bits"):
        run(weights, inputs, **few, activation_bytes=11)


def test_channels_take_a_vector_each_and_wait_for_the_slowest():
    weights, inputs = np.ones((2, 4), int), [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]]
    activity = run(weights, inputs, pes=2, channels=2)
    assert activity.compute_cycles == (2 + 4 + 3) + (2 + 2 + 3)
    assert causes(activity)["imbalance"] == 2 * 3
    assert causes(activity)["unmapped"] == 2 * 7


def test_ese_streams_its_gates_one_after_another():
    result = simulate(load_arch("ese"), load_network("ese_lstm"), layers="gates_input")
    assert result.layers[0].details["passes"] == 4
    assert result.layers[0].details["resident"] == 0
    # every stored entry has 12 bits of weight
    stored = result.layers[0].details["stored_entries"]
    assert sum(r.bits for r in result.layers[0].traffic if r[:3] == ("dram", "weight", "read")) == 12 * stored


def test_an_lstm_step_of_ese_equals_numpy():
    network = load_network("ese_lstm")
    result = simulate(load_arch("ese"), network, layers="gates_input", batch=2, check=True)
    assert result.layers[0].checked is True


def test_balanced_pruning_leaves_only_format_and_control_to_wait_for():
    rng = np.random.default_rng(6)

    def cycles(per_pe):
        weights = np.zeros((32, 100), int)
        for pe, count in enumerate(per_pe):
            flat = np.zeros(4 * 100, int)
            flat[rng.permutation(400)[:count]] = 1
            weights[pe::8] = flat.reshape(4, 100)
        return run(weights, np.ones(100, int), name="ese", pes=8, registers=32, channels=1).compute_cycles

    assert cycles([200] * 8) < cycles([120, 280] * 4)


def test_queue_depth_gains_and_its_knee_is_at_eight():
    study = runpy.run_path(str(ROOT / "examples" / "eie_load_balance" / "study.py"))
    view = study["views"]()["Alex-7"]
    found = {d: study["balance"](a) for d, a in study["by_depth"](view, (1, 4, 8, 16, 256)).items()}
    # "around half of the total cycles are idle" at 1, "diminishing returns beyond a depth of 8" (the paper's words)
    assert 0.4 < found[1] < 0.6
    assert found[8] - found[4] > 2 * (found[16] - found[8])
    assert found[256] - found[8] < 0.05


def test_the_reference_sees_what_the_kernel_sees_in_every_cause():
    seen = set()
    for seed in range(60):
        case = random_case("eie", seed)
        activity = case.engine.run(case.plan())
        assert activity.same_integers(reference_of(case)) == []
        assert activity.accounts["pes"]["busy"] == case.operands.effective_macs
        seen |= set(causes(activity))
    assert seen == {"busy", "padding", "control", "fill_drain", "conflict", "starved", "imbalance", "unmapped"}


def test_one_vector_at_a_time_or_all_give_the_same_outputs():
    rng = np.random.default_rng(7)
    weights = rng.integers(-7, 8, (20, 30)) * (rng.random((20, 30)) < 0.3)
    inputs = rng.integers(0, 99, (3, 30))
    view, operands = layer(weights, inputs)
    for channels in (1, 2, 3):
        plan = ENGINE.plan(view, operands, params(channels=channels), NoMapping(), MACHINE)
        assert (ENGINE.run(plan, operands).values == golden(operands)).all()


def test_tensors_at_home_on_the_chip_cross_no_dram():
    view, operands = layer(np.ones((4, 4), int), [1] * 4, input="chip", output="chip", weight="chip")
    plan = ENGINE.plan(view, operands, params(weights="streamed"), NoMapping(), MACHINE)
    assert not [f for f in ENGINE.run(plan).traffic if f.boundary == "dram"]
    tight = params(matrix_bytes=1)
    with pytest.raises(MappingError, match=r"all its passes take"):
        ENGINE.plan(replace(view, outputs=view.outputs), operands, tight, NoMapping(), MACHINE)


def test_the_pictures_and_the_sensitivity_can_be_made(tmp_path):
    folder = ROOT / "examples" / "eie_load_balance"
    for script, made in (("draw.py", "eie_load_balance.png"), ("sensitivity.py", "eie_sensitivity.md")):
        subprocess.run(
            [sys.executable, str(folder / script), str(tmp_path), "NT-LSTM"], check=True, capture_output=True, cwd=ROOT
        )
        assert (tmp_path / made).stat().st_size > 500


def test_a_layer_that_few_registers_cut_into_too_many_passes_is_refused_before_they_are_made():
    view = LayerView(
        "fc", Linear(64, 1 << 20, 1 << 20), (Tensor("x", (64, 1 << 20), 16),),
        (Tensor("w", (1 << 20, 1 << 20), 4, weight=True),), (Tensor("y", (64, 1 << 20), 16),), 64,
    )  # fmt: skip
    refusal = (
        r"layer 'fc': 1,099,511,627,776 passes of 64 vectors are more than 131,072 to walk; raise params.registers"
    )
    with pytest.raises(MappingError, match=refusal):
        ENGINE.plan(view, of(view), params(pes=1, registers=1), NoMapping(), MACHINE)


def test_passes_are_counted_as_they_are_cut():
    for seed in range(30):
        case = random_case("eie", seed)
        assert pass_count(case.view, case.params) == len(cut(case.view, case.params).passes)


@pytest.mark.parametrize(
    ("pes", "links", "levels"),
    [(1, 0, 0), (4, 4, 1), (5, 5 + 2, 2), (6, 6 + 2, 2), (64, 64 + 16 + 4, 3), (65, 65 + 17 + 5 + 2, 4)],
)
def test_the_detection_tree_joins_four_and_has_one_root(pes, links, levels):
    assert tree_links(pes) == (links, levels)
