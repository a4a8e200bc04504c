"""Attention a row at a time: the example by hand, what selectors keep, and what is refused."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import accelsim
from accelsim import contract
from accelsim.activity import Flow, count, flatten
from accelsim.cli import main
from accelsim.engines.attention_stream import kernel, report, softmax_kernel, topk
from accelsim.engines.attention_stream.engine import ENGINE
from accelsim.engines.attention_stream.params import Params, Pick
from accelsim.engines.attention_stream.reference import reference
from accelsim.engines.attention_stream.rows import Greedy, _kind
from accelsim.engines.attention_stream.truth import _greedy, truth
from accelsim.errors import MappingError
from accelsim.operands.golden import golden
from accelsim.operands.handle import of
from accelsim.simulation import load_arch
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Attention

SMALL = {"multipliers": 16, "softmax_lanes": 2, "operand_bits": 8, "score_shift": 6, "latency_cycles": 5}


def view(a, bits=(6, 6, 6, 8)):
    inputs = tuple(Tensor(name, dims, b) for name, dims, b in zip("qkv", a.input_shapes, bits, strict=False))
    return LayerView("a", a, inputs, (), (Tensor("y", a.output_shape, bits[3]),))


def run(a, params, values=True, pick=None, seed=0):
    """Return the walk of a layer, with its operands."""
    layer, params = view(a), Params(**params)
    operands = of(layer, seed)
    plan = ENGINE.plan(layer, operands, params, Pick(**(pick or {})), contract.MACHINE)
    return ENGINE.run(plan, operands if values else None), operands


def test_the_example_of_the_decision_by_hand():
    params = {
        "multipliers": 8, "softmax_lanes": 2, "select": "topk", "keep_values": 0.4, "topk_parallel": 2,
        "pivot": "middle", "latency_cycles": 5, "stages_behind": 1,
    }  # fmt: skip
    a = Attention(1, 1, 1, 2, 5, 4)
    layer = view(a, (8, 8, 8, 8))
    plan = ENGINE.plan(layer, of(layer), Params(**params), Pick(), contract.MACHINE)
    walked = ENGINE.run(plan)
    assert walked.compute_cycles == 28
    assert walked.accounts["qk"] == {"busy": 40, "padding": 8, "refetch": 0, "fill_drain": 64, "imbalance": 112}
    assert walked.accounts["pv"] == {"busy": 16, "padding": 0, "fill_drain": 64, "imbalance": 144}
    moved = {flow[1:]: bits for flow, bits in walked.traffic.items() if flow.boundary == "dram"}
    assert moved == {("weight", "read"): 384, ("input", "read"): 64, ("output", "write"): 64}
    assert walked.details["topk_cycles"] == 20
    assert walked.details["topk_wait_cycles"] == 14


def test_no_selector_gives_what_numpy_gives():
    a = Attention(2, 4, 2, 3, 7, 5, "skip")
    walked, operands = run(a, {**SMALL, "score_shift": 0})
    np.testing.assert_allclose(walked.values, golden(operands), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(
    "params",
    [
        {"select": "topk", "keep_values": 1.0},
        {"select": "threshold", "threshold": 0.0},
        {"select": "greedy", "iterations": 4096.0, "post_threshold": 0.0},
        {"select": "none", "low_bits": 2, "refetch_threshold": 1.0},
    ],
)
def test_a_selector_that_leaves_nothing_out_gives_dense_attention_bit_for_bit(params):
    a = Attention(1, 2, 2, 4, 9, 4)
    dense, operands = run(a, SMALL)
    if params["select"] == "greedy":  # only keys with a positive score are candidates
        given = {"q": np.abs(operands.inputs[0].values), "k": np.abs(operands.inputs[1].values)}
        layer, plain, keen = view(a), Params(**SMALL), Params(**{**SMALL, **params})
        operands = of(layer, 0, given)
        plans = [ENGINE.plan(layer, operands, p, Pick(), contract.MACHINE) for p in (plain, keen)]
        dense, sparse = (ENGINE.run(plan, operands) for plan in plans)
    else:
        sparse, _ = run(a, {**SMALL, **params})
    assert (dense.values == sparse.values).all()


def test_the_lazy_softmax_gives_what_two_passes_give_for_any_chunk():
    a = Attention(1, 2, 1, 5, 23, 4, "skip")
    expected, _ = run(a, {**SMALL, "softmax": "two_pass"})
    for chunk in (1, 3, 8, 23, 100):
        found, _ = run(a, {**SMALL, "softmax": "lazy", "chunk_keys": chunk})
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize(
    "params",
    [
        {"select": "topk", "keep_values": 0.3},
        {"select": "threshold", "threshold": 0.1},
        {"select": "threshold", "threshold": 0.1, "softmax": "lazy", "chunk_keys": 4},
        {"select": "greedy", "iterations": 0.5, "post_threshold": 0.2},
        {"select": "topk", "keep_values": 0.5, "low_bits": 3, "refetch_threshold": 0.5},
    ],
)
def test_kept_sets_are_those_of_numpy(params):
    for seed, causal in itertools.product(range(5), ("none", "skip", "full")):
        a = Attention(1, 4, 2, 6, 20, 8, causal)
        walked, operands = run(a, {**SMALL, **params}, seed=seed)
        expected = truth(a, Params(**{**SMALL, **params}), Pick(), operands)
        np.testing.assert_allclose(walked.values, expected.output, rtol=1e-12, atol=1e-10)
        for fact, kept in (
            ("candidates", expected.candidates), ("exponentials", expected.kept), ("values_used", expected.used),
            ("refetched_rows", expected.refetched),
        ):  # fmt: skip
            assert walked.details[fact] == kept.sum(), fact
        assert walked.details["values_used"] > 0


def test_with_all_steps_the_partial_score_is_the_score():
    a = Attention(1, 1, 1, 8, 12, 6)
    operands = of(view(a))
    q, k = (operand.values.reshape(-1, 6) for operand in operands.inputs[:2])
    every, params = np.full(8, 12), Params(select="greedy", iterations=6)
    listed, many = Greedy.of(k).candidates(q, every, every, params)
    chosen = np.zeros((8, 12), bool)
    for row in range(8):
        chosen[row, listed[row, : many[row]]] = True
    scores = q @ k.T
    found = scores > 0
    for row in np.flatnonzero(~found.any(axis=1)):
        found[row, scores[row].argmax()] = True
    assert (chosen == found).all()


@pytest.mark.parametrize("size", [2, 127, 128, 129, 256, 257, 4000, 32767, 65535])
def test_candidates_are_those_of_the_steps_one_by_one_whatever_a_bucket_holds(size):
    rng = np.random.default_rng(size)
    for case in range(40):
        a = Attention(1, 2, 1, int(rng.integers(1, 9)), int(rng.integers(9, 40)), int(rng.integers(1, 7)),
                      ("none", "skip", "full")[case % 3])  # fmt: skip
        low = 0 if case % 4 == 0 else -size - 1
        q, k = (rng.integers(low, size + 1, (1, n, a.head_dim)) for n in (2 * a.q, a.kv))
        q[rng.random(q.shape) < 0.2] = 0
        q = q.reshape(1, 2, a.q, a.head_dim)
        params = Params(select="greedy", iterations=int(rng.integers(1, 40)) / 16)
        visible = np.ones((a.q, a.kv), bool) if a.causal == "none" else np.tri(a.q, a.kv, a.kv - a.q, dtype=bool)
        visible = np.broadcast_to(visible, (1, 2, a.q, a.kv))
        there = visible if a.causal == "skip" else np.ones_like(visible)
        expected = _greedy(q, np.repeat(k[:, None], 2, axis=1), visible, there, params).reshape(-1, a.kv)
        listed, many = Greedy.of(k[0]).candidates(
            q.reshape(-1, a.head_dim), visible.sum(axis=-1).ravel(), there.sum(axis=-1).ravel(), params
        )
        for row, found in enumerate(expected):
            assert listed[row, : many[row]].tolist() == np.flatnonzero(found).tolist()


def test_tiles_that_repeat_head_by_head_are_the_tiles_of_all_heads(monkeypatch):
    rng, periodic = np.random.default_rng(5), 0
    for case in range(60):
        kv_heads, kv = int(rng.integers(1, 3)), int(rng.integers(2, 30))
        a = Attention(int(rng.integers(1, 3)), kv_heads * int(rng.integers(1, 3)), kv_heads,
                      int(rng.integers(1, kv + 1)), kv, 8, ("skip", "skip", "none")[case % 3])  # fmt: skip
        params = {**SMALL, "buffer_kib": 1, "buffer_halves": int(rng.integers(1, 3)), "multipliers": 8}
        low = {"low_bits": 2} if case % 2 else {}
        for pick in ({}, {"refetched": a.batch * a.heads * a.q if case % 4 == 1 else 1} if low else {}):
            walked, _ = run(replace(a, head_dim=64), {**params, **low}, values=False, pick=pick)
            with monkeypatch.context() as patched:
                patched.setattr(report, "_period", lambda plan, blocks: len(blocks))
                whole, _ = run(replace(a, head_dim=64), {**params, **low}, values=False, pick=pick)
            assert list(flatten(walked.schedule)) == list(flatten(whole.schedule))
            assert replace(walked, schedule=None) == replace(whole, schedule=None)
            periodic += len(walked.schedule) < len(whole.schedule)
    assert periodic > 20


@pytest.mark.parametrize("dim", [1, 3, 4, 9])
@pytest.mark.parametrize("kind", [np.int32, np.float64])
def test_scores_are_exact_sums_and_hidden_keys_have_none(dim, kind):
    rng = np.random.default_rng(dim)
    q, k = rng.integers(-99, 99, (5, dim)), rng.integers(-99, 99, (7, dim))
    found, visible = np.zeros((5, 7)), np.array([1, 7, 3, 7, 6])
    softmax_kernel.score(q.astype(kind), k.T.astype(kind, order="C"), visible, 3.0, found)
    assert (found == np.where(np.arange(7) < visible[:, None], q @ k.T / 3.0, -np.inf)).all()


def test_operands_whose_sums_need_more_than_31_bits_are_added_without_rounding():
    for bits, kind in ((8, np.int32), (16, np.float64)):
        a = Attention(1, 1, 1, 8, 64, 64)
        assert _kind(a, of(view(a, (bits,) * 4))) is kind


@pytest.mark.parametrize("k", [1, 3, 7])
def test_the_quick_select_keeps_the_first_of_equals(k):
    rng = np.random.default_rng(k)
    for _ in range(50):
        scores = rng.integers(0, 4, 9).astype(float)
        used = np.zeros(9, bool)
        softmax_kernel._keep(scores, 9, k, np.empty(9), used)
        assert set(np.flatnonzero(used)) == set(np.argsort(-scores, kind="stable")[:k])


def test_expected_rounds_are_those_of_the_recursion():
    def recursion(n, rank, of_round):
        after = (
            recursion(p, rank, of_round) if rank < p else recursion(n - p - 1, rank - p - 1, of_round)
            for p in range(n) if p != rank
        )  # fmt: skip
        return of_round(n) + sum(after, Fraction(0)) / n

    for n in range(1, 7):
        for rank in range(n):
            cycles = recursion(n, rank, lambda m: -(-m // 2) + 3)
            compared = recursion(n, rank, lambda m: m)
            assert topk.expected(n, rank, 2) == (int(cycles + Fraction(1, 2)), int(compared + Fraction(1, 2)))
    assert topk.expected(1024, 128, 16)[0] == 215
    assert topk.expected(1024, 16, 16)[0] == 171


def test_seeded_rounds_have_the_expected_mean():
    drawn = [kernel.rounds(276, 55, 16, kernel.SEEDED, 3, row)[0] for row in range(4000)]
    assert np.mean(drawn) == pytest.approx(topk.expected(276, 55, 16)[0], rel=0.02)
    assert len(set(drawn)) > 20


def test_serial_top_k_holds_rows_up_and_overlapped_does_not():
    a = Attention(4, 2, 2, 1, 64, 8)
    serial, _ = run(a, {**SMALL, "select": "topk", "keep_values": 0.25})
    hidden, _ = run(a, {**SMALL, "select": "topk", "keep_values": 0.25, "topk": "overlapped"})
    assert serial.compute_cycles - hidden.compute_cycles == serial.details["topk_wait_cycles"] > 0
    assert hidden.details["topk_wait_cycles"] == 0
    assert (serial.values == hidden.values).all()


def test_a_causal_layer_skips_what_is_behind_the_diagonal():
    skip, full = (run(Attention(1, 2, 2, 64, 64, 16, causal), SMALL)[0] for causal in ("skip", "full"))
    assert full.accounts["qk"]["busy"] - skip.accounts["qk"]["busy"] == 2 * (64 * 63 // 2) * 16
    assert full.performed_macs - skip.performed_macs == Attention(1, 2, 2, 64, 64, 16, "skip").skipped_macs
    assert skip.compute_cycles < 0.55 * full.compute_cycles
    np.testing.assert_allclose(skip.values, full.values, rtol=1e-12, atol=1e-11)


def test_rows_that_fetch_low_bits_are_a_cause_of_their_own():
    a = Attention(8, 1, 1, 1, 16, 8)
    pick = {"refetched": 3}
    params = {**SMALL, "low_bits": 2}
    walked, operands = run(a, params, pick=pick)
    lines = 16 // 2
    assert walked.details["refetched_rows"] == 3
    assert walked.accounts["qk"]["refetch"] == 3 * lines * 16
    assert walked.traffic[Flow("dram", "weight", "read")] == 8 * 16 * 8 * (4 + 6) + 3 * 16 * 8 * 2
    again = truth(a, Params(**params), Pick(**pick), operands).refetched.ravel()
    assert np.flatnonzero(again).tolist() == [2, 5, 7]
    outputs = walked.values.reshape(8, 8)
    fine = ENGINE.truth_of(ENGINE.plan(view(a), operands, Params(**SMALL), Pick(), contract.MACHINE), operands)
    same = np.isclose(outputs, fine.reshape(8, 8), rtol=1e-12, atol=1e-11).all(axis=1)
    assert same.tolist() == again.tolist()


def test_generation_fetches_the_values_that_it_keeps_and_a_prompt_all():
    params = {**SMALL, "select": "topk", "keep_values": 0.25, "fetch_skipped": False}
    one, _ = run(Attention(1, 1, 1, 1, 16, 8), params)
    many, _ = run(Attention(1, 1, 1, 2, 16, 8), params)
    assert one.traffic[Flow("dram", "weight", "read")] == (16 + 4) * 8 * 6
    assert many.traffic[Flow("dram", "weight", "read")] == (16 + 16) * 8 * 6


def test_keys_that_do_not_fit_come_again_for_each_row_unless_the_softmax_is_lazy():
    params = {**SMALL, "buffer_kib": 1}
    a = Attention(1, 1, 1, 4, 100, 16)
    streamed, _ = run(a, params)
    lazy, _ = run(a, {**params, "softmax": "lazy"})
    whole = 2 * 100 * 16 * 6
    assert streamed.traffic[Flow("dram", "weight", "read")] == 4 * whole
    assert lazy.traffic[Flow("dram", "weight", "read")] == whole


def test_a_million_tokens_take_few_tiles():
    for causal, params in (
        ("none", {}), ("skip", {}), ("skip", {"select": "topk", "keep_values": 0.1, "pivot": "seeded"}),
        ("none", {"softmax": "lazy"}),
    ):  # fmt: skip
        layer = view(Attention(1, 2, 2, 10**6, 10**6, 64, causal))
        plan = ENGINE.plan(layer, of(layer), Params(**params), Pick(), contract.MACHINE)
        walked = ENGINE.run(plan)
        walked.check(ENGINE.units(plan.params))
        assert count(walked.schedule) <= 2**16 + 2
        assert len(walked.schedule) < 2**17


def test_a_transfer_of_a_one_half_buffer_overlaps_nothing():
    walked, _ = run(Attention(1, 2, 2, 3, 8, 8), {**SMALL, "buffer_halves": 1})
    main, other, drain = flatten(walked.schedule)
    assert [t.tensor for t in main.before] == [t.tensor for t in other.before] == ["weight", "weight"]
    assert [t.tensor for t in main.loads] == ["input"]
    assert (drain.compute_cycles, [t.tensor for t in drain.stores]) == (5 + 4, ["output"])


def test_references_and_kernels_agree_on_layers_of_several_blocks():
    for seed in range(1000, 1030):
        assert contract.amiss(ENGINE, reference, seed) == []


A3 = ("a3_base", "a3_conservative", "a3_aggressive")


def attention_net(**layer):
    return {"name": "n", "isolated": True, "layers": [{"name": "a", "kind": "attention", **layer}]}


def test_a3_is_faster_the_more_it_leaves_out_and_linear_in_its_keys():
    cycles = [accelsim.simulate(m, attention_net(heads=1, q=64, kv=320, head_dim=64)).cycles for m in A3]
    assert cycles == sorted(cycles, reverse=True)
    assert len(set(cycles)) == 3
    one, two, three = (
        accelsim.simulate("a3_base", attention_net(heads=1, q=64, kv=n, head_dim=64)).layers[0].details["qk_cycles"]
        for n in (80, 160, 240)
    )
    assert two - one == three - two == 64 * 80
    dense = {m: accelsim.simulate(m, attention_net(heads=1, q=64, kv=320, head_dim=64)).dram_bits for m in A3}
    assert len(set(dense.values())) == 1


def test_mnnfast_gains_by_streaming_and_by_skipping():
    def cycles(**sets):
        arch = load_arch("mnnfast", [("memory.dram.gb_per_s", 1), ("params.multipliers", 256), *sets.items()])
        return accelsim.simulate(arch, attention_net(heads=1, q=8, kv=256, head_dim=512)).cycles

    by_layer = cycles(**{"params.softmax": "two_pass", "params.select": "none"})
    streamed = cycles(**{"params.select": "none"})
    skipped = cycles(**{"params.fetch_skipped": False})
    assert by_layer > streamed >= skipped


@pytest.mark.parametrize("name", ["net:bert_base", "net:gpt2_small"])
def test_whole_networks_run_complete_on_spatten_e2e(name):
    network = accelsim.load_network(name, dims={"seq": 16})
    result = accelsim.simulate("spatten_e2e", network)
    assert result.complete
    assert {layer.unit for layer in result.layers} == {"attention", "vector"}
    assert not any(layer.parent for layer in result.layers)
    checked = accelsim.simulate("spatten_e2e", network, layers="*coder.0.*", check=True)
    assert {layer.checked for layer in checked.layers if layer.simulated} == {True}


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        (["params.multipliers=0"], "multipliers"),
        (["params.word_bits=[0]"], "a word of DRAM has 1 to 32 bits"),
        (["params.select=best"], "select"),
        (["params.softmax=lazy"], "look at all scores of a row; use softmax: row"),
        (["params.select=greedy", "params.low_bits=2"], "use low_bits: 0"),
        (["params.keep_values=0"], "keep_values"),
        (["params.iterations=0"], "iterations"),
        (["params.post_threshold=1"], "post_threshold"),
        (["params.threshold=1"], "threshold"),
        (["params.refetch_threshold=2"], "refetch_threshold"),
        (["params.low_bits=9"], "low_bits"),
        (["params.topk=fast"], "topk"),
        (["params.topk_parallel=0"], "topk_parallel"),
        (["params.pivot=last"], "pivot"),
        (["params.pivot_seed=-1"], "pivot_seed"),
        (["params.buffer_halves=3"], "buffer_halves"),
        (["params.buffer_rows=1"], "buffer_rows"),
        (["params.buffer_kib=0"], "buffer_kib"),
        (["params.softmax_lanes=0"], "softmax_lanes"),
        (["params.chunk_keys=0"], "chunk_keys"),
        (["params.score_bits=1"], "score_bits"),
        (["params.score_shift=31"], "score_shift"),
        (["params.row_cycles=-1"], "row_cycles"),
        (["params.latency_cycles=-1"], "latency_cycles"),
        (["params.stages_behind=5"], "stages_behind"),
        (["params.fetch_skipped=3"], "fetch_skipped"),
        (["params.linear=3"], "linear"),
        (["params.operand_bits=17"], "operand_bits"),
    ],
)
def test_a_bad_parameter_is_one_line(sets, problem, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["show", "spatten", *(part for each in sets for part in ("--set", each))])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert problem in said


def test_widths_that_the_machine_lacks_are_refused_by_name():
    a = Attention(1, 1, 1, 2, 4, 8)
    wide, params = view(a, (12, 13, 12, 12)), Params(word_bits=(4, 8, 12))
    assert ENGINE.refuses(wide, params) == "'k' has 13 bits, the multipliers take 12"
    assert ENGINE.refuses(view(a, (6, 14, 6, 8)), Params()) == "'k' has 14 bits, the multipliers take 12"
    assert ENGINE.refuses(view(a, (6, 6, 9, 8)), Params(word_bits=(4, 8))) == "'v' has 9 bits, the words of DRAM take 8"
    masked = replace(view(a), inputs=(*view(a).inputs, Tensor("m", (2, 4), 8)))
    assert ENGINE.refuses(masked, Params()) == "a pipeline for attention has no adder for masks"


@pytest.mark.parametrize(
    ("params", "pick", "said"),
    [
        ({}, {"values": 2}, "pins values 2, and params.select is none; set params.select=topk"),
        ({"select": "topk"}, {"values": 5}, "pins 5 values of 4 keys"),
        ({}, {"refetched": 1}, "pins refetched rows, and params.low_bits is 0"),
        ({"low_bits": 2}, {"refetched": 3}, "pins 3 refetched rows of 2"),
        ({"low_bits": 6}, {}, "'k' has 6 bits, of which 6 are fetched apart; set params.low_bits below 6"),
    ],
)
def test_what_a_machine_cannot_do_is_not_pinned(params, pick, said):
    layer = view(Attention(1, 1, 1, 2, 4, 8))
    with pytest.raises(MappingError) as found:
        ENGINE.plan(layer, of(layer), Params(**params), Pick(**pick), contract.MACHINE)
    assert said in str(found.value)


def test_scores_are_not_looked_at_without_end():
    layer = view(Attention(1, 1, 1, 2**18, 2**18, 8))
    with pytest.raises(MappingError, match="too many scores to look at each; cut the layer"):
        ENGINE.plan(layer, of(layer), Params(select="threshold", threshold=0.1), Pick(), contract.MACHINE)


def test_a_fully_connected_layer_by_hand():
    """8 rows of 64 weights fit half a buffer: blocks of 16 and 4 outputs, 2 cycles a row, 3 vectors."""
    layer = {"name": "n", "isolated": True, "layers": [{"name": "a", "kind": "linear", "n": 3, "c": 64, "k": 20}]}
    sets = {"multipliers": 32, "buffer_kib": 1, "operand_bits": 8}
    arch = load_arch("spatten_e2e", [(f"units.0.params.{key}", value) for key, value in sets.items()])
    result = accelsim.simulate(arch, layer, precision={"*": {"input": 8, "weight": 8, "output": 8}}, check=True)
    (found,) = result.layers
    assert found.checked
    assert found.cycles - found.stall_cycles == 3 * 2 * (8 + 2) + 11
    assert found.accounts["qk"].causes["busy"] == found.accounts["pv"].causes["busy"] == 3 * 10 * 64
    moved = {(r.tensor, r.direction): r.bits for r in found.traffic if r.boundary == "dram"}
    assert moved["weight", "read"] == 20 * 64 * 8
    assert moved["input", "read"] == 2 * 3 * 64 * 8


def test_weights_that_do_not_fit_a_buffer_are_one_line():
    with pytest.raises(accelsim.UserError, match=r"raise params\.buffer_kib to"):
        accelsim.simulate(
            load_arch("spatten_e2e", [("units.0.params.buffer_kib", 1)]),
            {"name": "n", "isolated": True, "layers": [{"name": "a", "kind": "linear", "c": 4096, "k": 8}]},
            unsupported="error",
        )
