"""Cascade pruning of tokens and heads: shares by layer, importance, and networks that shrink."""

import numpy as np
import pytest

import accelsim
from accelsim.cli import main
from accelsim.errors import WorkloadError
from accelsim.passes.attention_prune import (
    HEADS_FROM,
    TOKENS_FROM,
    Keep,
    by_importance,
    keeps,
    pruned,
    schedule,
)
from accelsim.workload import nets, yaml_network
from accelsim.workload.shapes import Attention, Linear
from accelsim.workload.yaml_dump import dump


def test_the_first_layers_keep_all_and_the_others_lie_on_a_line():
    assert schedule(12, 0.4, 0.1, TOKENS_FROM)[:2] == [0.0, 0.1]
    shares = schedule(12, 0.4, 0.1, HEADS_FROM)
    assert shares[:3] == [0.0, 0.0, 0.0]
    assert shares[3] == 0.1
    assert shares[-1] == 0.7
    assert np.mean(shares[3:]) == pytest.approx(0.4)
    assert np.allclose(np.diff(shares[3:]), np.diff(shares[3:])[0])


def test_a_share_out_of_range_is_refused():
    with pytest.raises(WorkloadError, match=r"would leave out 1\.1 of it; use shares from 0 to below 1"):
        schedule(12, 0.6, 0.1, 0)


def test_counts_are_rounded_down_and_never_grow():
    assert keeps(10, 4, [0, 0.35, 0.2], [0, 0.99, 0]) == [Keep(10, 4), Keep(6, 1), Keep(6, 1)]


def test_importance_adds_up_over_layers_of_what_is_left():
    probabilities = np.zeros((3, 2, 4, 4))
    probabilities[0, :, :, 1] = 0.5
    probabilities[0, 0, :, 3] = 0.4
    probabilities[0, 1, :, 2] = 0.3  # sums: 0, 4, 1.2, 1.6
    probabilities[1, :, :, 0] = 9.0  # pruned by then
    probabilities[1, 0, 3, 1] = 0.1
    outputs = np.zeros((3, 2, 4, 1))
    outputs[0, 0], outputs[0, 1] = 0.1, -0.2
    kept = by_importance(probabilities, outputs, [Keep(4, 2), Keep(3, 2), Keep(2, 1)])
    assert [t.tolist() for t in kept.tokens] == [[0, 1, 2, 3], [1, 2, 3], [1, 3]]
    assert [h.tolist() for h in kept.heads] == [[0, 1], [0, 1], [1]]
    assert kept.counts == [Keep(4, 2), Keep(3, 2), Keep(2, 1)]


def test_equal_importance_keeps_the_first():
    flat = np.full((2, 3, 5, 5), 0.2)
    kept = by_importance(flat, np.ones((2, 3, 5, 2)), [Keep(5, 3), Keep(2, 1)])
    assert kept.tokens[1].tolist() == [0, 1]
    assert kept.heads[1].tolist() == [0]


@pytest.mark.parametrize(("name", "outputs"), [("net:bert_base", 768), ("net:gpt2_small", 50257)])
def test_a_network_shrinks_where_it_must(name, outputs):
    net = nets.whole_network(name, {"seq": 32})
    counts = [Keep(32, 12)] * 2 + [Keep(20, 12)] * 4 + [Keep(7, 5)] * 6
    small = pruned(net, counts)
    shapes = {layer.name: layer.shape for layer in small.layers}
    block = "encoder" if "bert" in name else "decoder"
    assert [x for x in shapes.values() if isinstance(x, Attention)] == [
        Attention(1, k.heads, k.heads, k.tokens, k.tokens, 64, "full" if block == "decoder" else "none") for k in counts
    ]
    assert shapes[f"{block}.6.attention_out"] == Linear(7, 5 * 64, 768)
    assert shapes[f"{block}.5.attention_out"] == Linear(7, 768, 768)  # tokens leave behind the attention
    if block == "encoder":
        assert shapes["encoder.6.query"] == Linear(7, 768, 5 * 64)
        assert shapes["encoder.5.ffn_in"] == Linear(7, 768, 3072)
    else:
        assert shapes["decoder.6.qkv"] == Linear(7, 768, 3 * 5 * 64)
        assert [shapes[f"decoder.6.{part}"].start for part in ("query", "key", "value")] == [0, 320, 640]
        assert small.tensors["causal_mask.7"].shape == (7, 7)
        assert small.tensors["causal_mask"].shape == (32, 32)
    last = [x for x in shapes.values() if isinstance(x, Linear)][-1]
    assert last == Linear(1 if block == "encoder" else 7, 768, outputs)
    assert pruned(net, [Keep(32, 12)] * 12) == net


def test_macs_of_a_pruned_network_are_those_of_its_layers_by_hand():
    net = nets.whole_network("net:bert_base", {"seq": 16})
    small = pruned(net, [Keep(16, 12)] + [Keep(8, 6)] * 11)
    d, f = 768, 3072
    first = 3 * 16 * d * d + 2 * 16 * 16 * d + 8 * d * d + 2 * 8 * d * f
    other = 3 * 8 * d * d // 2 + 2 * 8 * 8 * d // 2 + 8 * d * d // 2 + 2 * 8 * d * f
    assert small.macs == first + 11 * other + d * d


@pytest.mark.parametrize("machine", ["spatten_e2e", "edge_npu_128"])
def test_a_pruned_network_runs_complete_and_faster(machine):
    net = nets.whole_network("net:gpt2_small", {"seq": 64})
    small = pruned(net, [Keep(64, 12)] * 2 + [Keep(16, 6)] * 10)
    whole, less = (accelsim.simulate(machine, each) for each in (net, small))
    assert whole.complete
    assert less.complete
    assert less.cycles < whole.cycles


def test_a_pruned_network_is_written_and_read(tmp_path):
    small = pruned(nets.whole_network("net:bert_base", {"seq": 16}), [Keep(16, 12)] * 6 + [Keep(8, 6)] * 6)
    path = tmp_path / "net.yaml"
    path.write_text(dump(small))
    assert yaml_network.load(path).macs == small.macs


def test_a_table_of_layers_shrinks_too():
    net = yaml_network.build(accelsim.config.yamlfile.of_values(
        {"name": "t", "isolated": True, "layers": [
            {"name": "q", "kind": "linear", "n": 8, "c": 12, "k": 12},
            {"name": "a", "kind": "attention", "heads": 2, "q": 8, "head_dim": 6},
            {"name": "b", "kind": "attention", "heads": 2, "q": 8, "head_dim": 6},
            {"name": "f", "kind": "linear", "n": 8, "c": 12, "k": 20},
        ]}, "t",
    ))  # fmt: skip
    small = pruned(net, [Keep(8, 2), Keep(3, 2)])
    assert [layer.shape for layer in small.layers] == [
        Linear(8, 12, 12), Attention(1, 2, 2, 8, 8, 6), Attention(1, 2, 2, 3, 3, 6), Linear(3, 12, 20),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([Keep(16, 12)], "has 12 attention layers, and 1 are given counts; give tokens and heads of each"),
        ([Keep(17, 12)] * 12, r"layer 'encoder\.0\.attention': keeps 17 tokens; keep from 1 to 16"),
        ([Keep(8, 12)] * 6 + [Keep(9, 12)] * 6, r"'encoder\.6\.attention': keeps 9 tokens; keep from 1 to 8"),
        ([Keep(8, 6)] * 6 + [Keep(8, 7)] * 6, r"'encoder\.6\.attention': keeps 7 heads; keep from 1 to 6"),
        ([Keep(8, 0)] * 12, "keeps 0 heads"),
    ],
)
def test_counts_that_do_not_fit_are_one_line(counts, said):
    with pytest.raises(WorkloadError, match=said):
        pruned(nets.whole_network("net:bert_base", {"seq": 16}), counts)


def test_the_command_writes_the_network_and_says_what_is_left(tmp_path, capsys):
    out = tmp_path / "small.yaml"
    words = ["prune", "net:bert_base", "--dim", "seq=16", "--tokens", "0.1:0.7", "--heads", "0:0.4", "-o", str(out)]
    with pytest.raises(SystemExit) as stop:
        main(words)
    said = capsys.readouterr().out
    assert stop.value.code == 0
    assert said.count(" heads") == 12
    small = yaml_network.load(out)
    assert f"{small.macs:,} MACs of" in said
    shares = schedule(12, 0.4, 0.1, TOKENS_FROM), schedule(12, 0.2, 0, HEADS_FROM)
    assert small.macs == pruned(nets.whole_network("net:bert_base", {"seq": 16}), keeps(16, 12, *shares)).macs


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["net:bert_base", "--tokens", "0.5", "-o", "x.yaml"], "--tokens: '0.5' is no pair of shares; write 0.1:0.7"),
        (
            ["net:bert_base", "--heads", "0:1", "-o", "x.yaml"],
            "--heads: 0:1 leaves [0, 1); use shares from 0 to below 1",
        ),
        (["alexnet", "-o", "x.yaml"], "'alexnet' has no attention layers; give a transformer"),
        (["net:bert_base", "-o", "x.txt"], "x.txt: a network file ends in .yaml; choose another name"),
    ],
)
def test_a_mistake_in_the_command_is_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["prune", *words])
    printed = capsys.readouterr().err
    assert stop.value.code == 2
    assert printed.count("\n") == 1
    assert said in printed
