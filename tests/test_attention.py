"""Layers of kind attention: counts by hand, what they are lowered to, and what is refused."""

import json
from dataclasses import replace

import pytest

import accelsim
from accelsim.cli import main
from accelsim.engines import registry
from accelsim.errors import WorkloadError
from accelsim.report.document import document
from accelsim.simulation import load_arch, prepare, taken_whole
from accelsim.workload import nets
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.lowering import lowered
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Attention, Elementwise, Matmul, Softmax, View
from accelsim.workload.yaml_dump import dump
from accelsim.workload.yaml_network import load

GROUPED = Attention(batch=1, heads=4, kv_heads=2, q=3, kv=5, head_dim=2)
"""The example of the decision: 240 MACs."""
SIZES = "kind: attention, heads: 4, kv_heads: 2, q: 3, kv: 5, head_dim: 2"
PARTS = ("scores", "scale", "softmax", "context")


def network(text, tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(text)
    return load(path)


def connected(line, tmp_path, inputs="q, k, v"):
    return network(f"name: n\nisolated: false\ninputs: [{inputs}]\nlayers:\n  - {line}\n", tmp_path)


def test_macs_are_those_counted_by_hand():
    assert GROUPED.macs == 4 * 3 * 5 * 2 * 2 == 240
    assert GROUPED.batched(3).macs == 720
    assert GROUPED.input_shapes == ((1, 3, 8), (1, 5, 4), (1, 5, 4))
    assert GROUPED.output_shape == (1, 3, 8)


def test_only_skipping_skips_and_the_dense_count_stays():
    """Query 0 of 3 sees keys 0 to 2 of 5, query 1 one more, query 2 all: 2 + 1 + 0 pairs of each head are skipped."""
    skip, full = (replace(GROUPED, causal=mode) for mode in ("skip", "full"))
    assert (skip.skipped_macs, full.skipped_macs, GROUPED.skipped_macs) == (4 * 3 * 2 * 2, 0, 0)
    assert skip.macs == full.macs == 240


def test_heads_that_share_keys_are_rows_of_one_product(tmp_path):
    net = connected(f"{{name: a, {SIZES}, inputs: [q, k, v]}}", tmp_path)
    assert net.macs == 240
    assert [(x.name, x.shape) for x in lowered(net).layers] == [
        ("a.query_heads", View("transpose", ((1, 3, 8),), (4, 3, 2))),
        ("a.key_heads", View("transpose", ((1, 5, 4),), (2, 2, 5))),
        ("a.value_heads", View("transpose", ((1, 5, 4),), (2, 5, 2))),
        ("a.scores", Matmul(2, 6, 5, 2)),
        ("a.scale", Elementwise("mul", (4, 3, 5))),
        ("a.softmax", Softmax((4, 3, 5), 5)),
        ("a.context", Matmul(2, 6, 2, 5)),
        ("a.joined", View("transpose", ((4, 3, 2),), (1, 3, 8))),
    ]  # fmt: skip
    assert {x.parent for x in lowered(net).layers} == {"a"}
    assert lowered(net).macs == 240


def test_what_a_unit_takes_stays_whole(tmp_path):
    net = connected("{name: a, kind: attention, heads: 1, q: 3, head_dim: 2, inputs: [q, k, v]}", tmp_path)
    assert lowered(net, {"a"}) is net
    assert lowered(lowered(net)) == lowered(net) != net


def test_the_name_of_a_part_follows_a_layer_that_is_called_attention(tmp_path):
    net = connected("{name: x.attention, kind: attention, heads: 1, q: 3, head_dim: 2, inputs: [q, k, v]}", tmp_path)
    assert [x.name for x in lowered(net).layers if x.kind == "matmul"] == ["x.scores", "x.context"]


@pytest.mark.parametrize("name", ["bert_base", "gpt2_small", "vit_b_16"])
def test_packaged_networks_lower_to_the_layers_that_they_had(name):
    """The parts of a block are laid out here as they were when networks had no attention layer."""
    net = nets.whole_network(f"net:{name}")
    found = {layer.name: layer for layer in lowered(net).layers}
    (first, *_) = (layer for layer in net.layers if layer.kind == "attention")
    block, heads, tokens = first.name.removesuffix(".attention"), first.shape.heads, first.shape.q
    query, key, value = first.inputs
    whole, split, turned = (1, tokens, heads * 64), (heads, tokens, 64), (heads, 64, tokens)
    scores = (heads, tokens, tokens)
    masked = name == "gpt2_small"
    expected = [
        ("query_heads", View("transpose", (whole,), split), (query,)),
        ("key_heads", View("transpose", (whole,), turned), (key,)),
        ("value_heads", View("transpose", (whole,), split), (value,)),
        ("scores", Matmul(heads, tokens, tokens, 64), ("query_heads", "key_heads")),
        ("scale", Elementwise("mul", scores), ("scores",)),
        *([("mask", Elementwise("add", scores), ("scale",))] if masked else []),
        ("softmax", Softmax(scores, tokens), ("mask" if masked else "scale",)),
        ("context", Matmul(heads, tokens, 64, tokens), ("softmax", "value_heads")),
        ("joined", View("transpose", (split,), whole), ("context",)),
    ]
    for part, shape, inputs in expected:
        layer = found[f"{block}.{part}"]
        read = inputs if inputs[0] in first.inputs else tuple(f"{block}.{each}.output" for each in inputs)
        weights = ("causal_mask",) if part == "mask" else ()
        assert (layer.shape, layer.inputs, layer.weights) == (shape, read, weights)
        assert layer.outputs == (f"{block}.{part}.output",)
    names = [layer.name for layer in lowered(net).layers]
    at = names.index(f"{block}.query_heads")
    assert names[at : at + len(expected)] == [f"{block}.{part}" for part, *_ in expected]
    assert f"{block}.joined.output" in found[f"{block}.attention_out"].inputs


@pytest.mark.parametrize("machine", ["edge_npu", "edge_npu_128"])
def test_a_machine_runs_the_attention_as_the_layers_written_out(machine, tmp_path):
    """The same work, once as one layer and once as the former lowering by hand, gives the same report."""
    one = connected(
        "{name: b.attention, kind: attention, heads: 2, q: 6, head_dim: 8, inputs: [q, k, v],"
        " outputs: [b.joined.output]}",
        tmp_path,
    )
    layers, tensors = [], {name: Tensor(name, (1, 6, 16)) for name in "qkv"}

    def add(part, shape, *inputs):
        layer, made = make_layer(f"b.{part}", shape, inputs=inputs)
        layers.append(layer)
        tensors.update(made | tensors)
        return layer.outputs[0]

    query = add("query_heads", View("transpose", ((1, 6, 16),), (2, 6, 8)), "q")
    key = add("key_heads", View("transpose", ((1, 6, 16),), (2, 8, 6)), "k")
    value = add("value_heads", View("transpose", ((1, 6, 16),), (2, 6, 8)), "v")
    x = add("scale", Elementwise("mul", (2, 6, 6)), add("scores", Matmul(2, 6, 6, 8), query, key))
    x = add("context", Matmul(2, 6, 8, 6), add("softmax", Softmax((2, 6, 6), 6), x), value)
    add("joined", View("transpose", ((2, 6, 8),), (1, 6, 16)), x)
    out = replace(one, layers=tuple(layers), tensors=tensors)
    found, expected = (document(accelsim.simulate(machine, net, check=True)) for net in (one, out))
    assert {layer.pop("parent", None) for layer in found["layers"]} == {"b.attention"}
    assert found == expected
    assert all(layer["simulated"] for layer in found["layers"])


def test_the_parent_is_in_the_report_and_comes_back(tmp_path, capsys):
    text = "{name: a, kind: attention, heads: 2, q: 4, head_dim: 4, inputs: [q, k, v]}"
    result = accelsim.simulate("edge_npu", connected(text, tmp_path))
    result.save(tmp_path / "out", pictures=False)
    rows = json.loads((tmp_path / "out" / "report.json").read_text())["layers"]
    assert {row["parent"] for row in rows} == {"a"}
    from accelsim.report.reader import read_report

    assert {layer.parent for layer in read_report(tmp_path / "out" / "report.json").layers} == {"a"}
    assert "parent" not in result.to_rows()[0]


def test_layers_of_no_attention_have_no_parent_in_the_report():
    rows = document(accelsim.simulate("edge_npu", "alexnet", layers="conv1"))["layers"]
    assert not any("parent" in row for row in rows)


def test_a_causal_layer_has_a_mask_and_a_skipped_triangle_is_told(tmp_path):
    net = connected(f"{{name: a, {SIZES}, causal: skip, inputs: [q, k, v]}}", tmp_path)
    assert net.tensors["a.mask"].shape == (3, 5)
    (mask,) = (layer for layer in lowered(net).layers if layer.name == "a.mask")
    assert (mask.shape, mask.weights) == (Elementwise("add", (4, 3, 5)), ("a.mask",))
    assert any("causal: skip" in note and note.endswith("1") for note in lowered(net).notes)
    full = replace(net, layers=(replace(net.layers[0], shape=replace(net.layers[0].shape, causal="full")),))
    assert not lowered(full).notes
    assert [x.shape for x in lowered(full).layers] == [x.shape for x in lowered(net).layers]


def test_a_mask_may_be_an_input(tmp_path):
    net = network(
        "name: n\nisolated: false\ninputs: [q, k, v, m]\nlayers:\n"
        "  - {name: a, kind: attention, heads: 2, q: 3, head_dim: 4, causal: full, inputs: [q, k, v, m]}\n"
        "tensors:\n  m: {shape: [3, 3]}\n",
        tmp_path,
    )
    (mask,) = (layer for layer in lowered(net).layers if layer.name == "a.mask")
    assert (mask.inputs, mask.weights) == (("a.scale.output", "m"), ())


def test_in_a_table_each_part_has_tensors_of_its_own(tmp_path):
    net = network(
        "name: n\nisolated: true\nlayers:\n  - {name: a, kind: attention, heads: 2, q: 3, head_dim: 4, repeat: 2,"
        " input: {density: 0.5, bits: 4}}\n",
        tmp_path,
    )
    flat = lowered(net)
    assert flat.isolated
    assert [x.name for x in flat.layers] == [
        f"a.{i}.{part}" for i in (0, 1) for part in ("scores", "scale", "softmax", "context")
    ]
    scores, *_, context = flat.layers[:4]
    assert [flat.tensors[name].density for name in scores.inputs] == [0.5, 0.5]
    assert [flat.tensors[name].density for name in context.inputs] == [1.0, 0.5]
    assert accelsim.simulate("edge_npu", net).macs == net.macs == 2 * 2 * 2 * 3 * 3 * 4


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("heads: 3, kv_heads: 2, q: 4, head_dim: 2", "layer 'a': kv_heads 2 do not divide heads 3"),
        ("heads: 2, q: 4, head_dim: 2, causal: maybe", "causal"),
        ("heads: 2, q: 4, kv: 3, head_dim: 2, causal: full", "layer 'a': causal, but q 4 is more than kv 3"),
        ("heads: 2, q: 4, head_dim: 3", "layer 'a': needs 1 x 4 x 6 = 24 elements where tensor 'x' has 1 x 4 x 4"),
        ("heads: 2, head_dim: 2", "missing key"),
        ("heads: 2, q: 4, head_dim: 0", "head_dim"),
        ("heads: 2, q: 4, head_dim: 2, size: 3", "size"),
        ("heads: 2, q: 4, head_dim: 2, weights: [m, n]", "nothing tells the shape of tensor 'n'"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(keys, message, tmp_path, capsys):
    path = tmp_path / "net.yaml"
    path.write_text(
        "name: n\nisolated: false\ninputs: [x]\nlayers:\n"
        "  - {name: r, kind: elementwise, op: relu, shape: [1, 4, 4], inputs: [x]}\n"
        f"  - {{name: a, kind: attention, {keys}, inputs: [x, x, x]}}\n"
    )
    with pytest.raises(SystemExit) as stop:
        main(["show", str(path)])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith(f"error: {path}:6: ")
    assert said.count("\n") == 1
    assert message in said


def test_show_and_the_schema_know_the_kind(tmp_path, capsys):
    path = tmp_path / "net.yaml"
    path.write_text(f"name: n\nisolated: true\nlayers:\n  - {{name: a, {SIZES}}}\n")
    with pytest.raises(SystemExit):
        main(["show", str(path)])
    shown = capsys.readouterr().out
    assert "240 MACs" in shown
    assert "heads=4 kv_heads=2 q=3 kv=5 head_dim=2" in shown
    with pytest.raises(SystemExit):
        main(["schema", "network"])
    schema = json.loads(capsys.readouterr().out)
    assert schema["$defs"]["AttentionSpec"]["properties"]["causal"]["enum"] == ["none", "skip", "full"]


@pytest.mark.parametrize("name", ["net:gpt2_small", "net:bert_base"])
def test_yaml_gives_an_equal_network(name, tmp_path):
    net = nets.whole_network(name, {"seq": 16})
    path = tmp_path / "net.yaml"
    path.write_text(dump(net))
    assert load(path) == replace(net, name=load(path).name)
    assert lowered(load(path)).layers == lowered(net).layers


def test_parts_that_do_not_fit_are_refused():
    tensors = {name: Tensor(name, (1, 3, 2)) for name in "qkvy"} | {
        "s": Tensor("s", (1, 3, 3)),
        "p": Tensor("p", (1, 3, 3)),
    }
    parts = (
        Layer("s", Matmul(1, 3, 3, 2), ("q", "k"), (), ("s",)),
        Layer("p", Softmax((1, 3, 3), 3), ("s",), (), ("p",)),
        Layer("c", Matmul(1, 3, 2, 3), ("p", "v"), (), ("y",)),
    )
    layer = Layer("a", Attention(1, 1, 1, 3, 3, 2), ("q", "k", "v"), (), ("y",), parts=parts)
    assert [x.name for x in lowered(Network("n", (layer,), tensors)).layers] == ["s", "p", "c"]
    for wrong, said in (
        (replace(layer, parts=parts[:2]), "do not agree on tensor"),
        (replace(layer, inputs=("q", "k", "q")), "do not agree on tensor"),
        (replace(layer, parts=parts[::-1]), "made by layer"),
        (replace(layer, parts=(*parts[:2], replace(parts[2], name="a"))), "two layers are called 'a'"),
        (replace(layer, parts=(replace(layer, name="b"),)), "attention within an attention"),
    ):
        with pytest.raises(WorkloadError, match=said):
            Network("n", (wrong,), tensors)


def test_a_unit_that_takes_the_kind_gets_it_whole_unless_it_refuses(tmp_path, monkeypatch):
    engine = registry.get("vector")
    narrow, wide = (
        connected(f"{{name: a, kind: attention, heads: 2, q: {q}, head_dim: 4, inputs: [q, k, v]}}", tmp_path)
        for q in (4, 8)
    )
    machine = load_arch("edge_npu")
    assert taken_whole(machine, narrow) == frozenset()
    monkeypatch.setattr(type(engine), "attends", True)
    assert taken_whole(machine, narrow) == frozenset()  # its `supports` knows no such kind
    supports = type(engine).supports

    def some(self, view, params):
        small = view.kind == "attention" and view.shape.q <= 4
        return None if small else supports(self, view, params)

    monkeypatch.setattr(type(engine), "supports", some)
    assert taken_whole(machine, narrow) == {"a"}
    assert [x.name for x in prepare(machine, narrow, 2, None, None).layers] == ["a"]
    assert "a.scores" in [x.name for x in prepare(machine, wide, 2, None, None).layers]


def test_profiles_name_the_parts_wherever_layers_are_named(tmp_path, capsys):
    from accelsim.passes.quantize import quantize_network

    net = connected("{name: x.attention, kind: attention, heads: 2, q: 4, head_dim: 4, inputs: [q, k, v]}", tmp_path)
    assert {row.layer for row in quantize_network(net).tensors} == {"x.scores", "x.context"}
    result = accelsim.simulate(
        "edge_npu", net, density={"x.scores": {"input": 0.5}}, precision={"x.softmax": {"output": 4}}
    )
    assert [layer.name for layer in result.layers] == ["x.scores", "x.scale", "x.softmax", "x.context"]
    assert accelsim.plan(net, capacity_kib=64).layers == ("x.scores", "x.scale", "x.softmax", "x.context")
