"""Attention in ONNX graphs: found whichever way it is written, and lowered to the layers of the graph."""

from dataclasses import replace

import numpy as np
import onnx
import onnx_values
import pytest
from onnx import helper, numpy_helper
from onnx_graphs import tensor

import accelsim
from accelsim.operands import chain, golden
from accelsim.workload.layers import Layer, Tensor
from accelsim.workload.lowering import lowered
from accelsim.workload.network import Network
from accelsim.workload.onnx import importer
from accelsim.workload.shapes import Attention
from accelsim.workload.yaml_dump import dump
from accelsim.workload.yaml_network import load

runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def reals(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def node(op, inputs, outputs, name, **attributes):
    return helper.make_node(op, inputs, outputs, name=name, **attributes)


def saved(path, nodes, feed, constants=(), outputs=("y",), opset=17):
    """Return the network of a graph, and what ONNX Runtime makes of the inputs."""
    inputs = [tensor(name, array.shape) for name, array in feed.items()]
    stored = [numpy_helper.from_array(array, name) for name, array in constants]
    graph = helper.make_graph(nodes, "g", inputs, [onnx.ValueInfoProto(name=name) for name in outputs], stored)
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=10)
    onnx.save(model, path)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return accelsim.load_network(str(path)), dict(zip(outputs, session.run(list(outputs), feed), strict=True))


FEED = {"q": reals(2, 3, 5, 4), "kt": reals(2, 3, 4, 7), "v": reals(2, 3, 7, 4)}
"""Two sequences, three heads of four features, five queries and seven keys, which lie transposed."""


def written(masked=(), softmax="masked", between=(), outputs=("y",)):
    """Return the nodes of an attention: scores, quotient, what masks them, softmax, context."""
    return [
        node("MatMul", ["q", "kt"], ["s"], "/b/attn/MatMul"),
        node("Div", ["s", "root"], ["scaled"], "/b/attn/Div"),
        *masked,
        *between,
        node("Softmax", [softmax], ["p"], "/b/attn/Softmax", axis=-1),
        node("MatMul", ["p", "v"], ["y"], "/b/attn/MatMul_1"),
    ]


ADDED = [node("Add", ["scaled", "mask"], ["masked"], "/b/attn/Add")]
CHOSEN = [node("Where", ["mask", "scaled", "low"], ["masked"], "/b/attn/Where")]
TRIANGLE = np.tri(5, 7, 2, dtype=bool)
ROOT = ("root", np.float32(2))


def additive(low, seen=TRIANGLE):
    return ("mask", np.where(seen, np.float32(0), np.float32(low)).reshape(1, 1, 5, 7))


@pytest.mark.parametrize(
    ("masked", "constants", "causal"),
    [
        (ADDED, (additive(-1e9),), "full"),
        (ADDED, (additive(-1.0),), "none"),
        (ADDED, (additive(-1e9, np.tri(5, 7, 1, dtype=bool)),), "none"),
        (ADDED, (additive(-1e9, np.ones((5, 7), bool)),), "none"),
        (CHOSEN, (("mask", TRIANGLE.reshape(1, 1, 5, 7)), ("low", np.float32(-1e4))), "full"),
        (CHOSEN, (("mask", ~TRIANGLE.reshape(1, 1, 5, 7)), ("low", np.float32(-1e4))), "none"),
    ],
)
def test_a_graph_that_spells_an_attention_out_has_one(masked, constants, causal, tmp_path):
    net, expected = saved(tmp_path / "m.onnx", written(masked), FEED, (ROOT, *constants))
    (layer,) = net.layers
    assert (layer.name, layer.shape) == ("b.attn.attention", Attention(2, 3, 3, 5, 7, 4, causal))
    assert layer.inputs == ("q", "kt", "v")
    assert net.macs == 2 * 2 * 3 * 5 * 7 * 4
    chained = chain.propagate(with_widths(net), 0)
    assert not any("not known" in note for note in chained.notes)
    if masked is ADDED:  # the reader of the tests has no quotient and no choice by a constant
        return
    assert expected["y"].shape == (2, 3, 5, 4)


def with_widths(net):
    return net.with_tensors({name: replace(t, bits=t.bits or 16) for name, t in net.tensors.items()})


def test_without_a_mask_it_computes_what_the_runtime_does(tmp_path):
    feed = {name: array / 2 for name, array in FEED.items()}
    nodes = [
        node("MatMul", ["q", "kt"], ["s"], "s"),
        node("Softmax", ["s"], ["p"], "p", axis=-1),
        node("MatMul", ["p", "v"], ["y"], "y"),
    ]
    net, expected = saved(tmp_path / "m.onnx", nodes, feed)
    assert [layer.kind for layer in net.layers] == ["attention"]
    np.testing.assert_allclose(onnx_values.run(net, feed)["y"], expected["y"], rtol=1e-4, atol=1e-5)
    q, k, v = (array.astype(np.float64) for array in feed.values())
    scores = np.exp(q @ k)
    np.testing.assert_allclose(scores / scores.sum(-1, keepdims=True) @ v, expected["y"], rtol=1e-4, atol=1e-5)


def graphs():
    past = {name: reals(1, 2, 9, 8) for name in ("pk", "pv")}
    heads = {"q": reals(1, 4, 6, 8), "k": reals(1, 2, 6, 8), "v": reals(1, 2, 6, 8)}
    wide = {name: reals(2, 5, 24) for name in "qkv"}
    grouped = {"q": reals(1, 1, 64), "k": reals(1, 1, 16), "v": reals(1, 1, 16)} | past
    microsoft = {"domain": "com.microsoft"}
    return {
        "spelled out": (written(ADDED), FEED, (ROOT, additive(-1e9)), 17, Attention(2, 3, 3, 5, 7, 4, "full")),
        "Attention": (
            [node("Attention", ["q", "k", "v"], ["y"], "it", is_causal=1)], heads, (), 23,
            Attention(1, 4, 2, 6, 6, 8, "full"),
        ),
        "MultiHeadAttention": (
            [node("MultiHeadAttention", ["q", "k", "v"], ["y"], "it", num_heads=6, **microsoft)], wide, (), 17,
            Attention(2, 6, 6, 5, 5, 4),
        ),
        "packed Attention": (
            [node("Attention", ["q", "w", "b"], ["y"], "it", num_heads=6, unidirectional=1, **microsoft)],
            {"q": wide["q"]}, (("w", reals(24, 72)), ("b", reals(72))), 17, Attention(2, 6, 6, 5, 5, 4, "full"),
        ),
        "GroupQueryAttention": (
            [node("GroupQueryAttention", [*grouped], ["y"], "it", num_heads=8, kv_num_heads=2, **microsoft)], grouped,
            (), 17, Attention(1, 8, 2, 1, 10, 8, "full"),
        ),
    }  # fmt: skip


def imported(path, nodes, feed, constants, opset):
    inputs = [tensor(name, array.shape) for name, array in feed.items()]
    stored = [numpy_helper.from_array(array, name) for name, array in constants]
    graph = helper.make_graph(nodes, "g", inputs, [onnx.ValueInfoProto(name="y")], stored)
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=10), path)
    return accelsim.load_network(str(path))


@pytest.mark.parametrize("name", graphs())
def test_every_way_to_write_one_is_found_and_lowers_to_the_layers_of_the_graph(name, tmp_path, monkeypatch):
    *graph, shape = graphs()[name]
    net = imported(tmp_path / "m.onnx", *graph)
    assert [layer.shape for layer in net.layers if layer.kind == "attention"] == [shape]
    monkeypatch.setattr(importer, "gathered", lambda layers, *_: layers)
    flat = imported(tmp_path / "m.onnx", *graph)
    assert not any(layer.kind == "attention" for layer in flat.layers)

    def said(layers):
        return [(x.name, x.shape, x.inputs, x.weights, x.outputs) for x in layers]

    assert said(lowered(net).layers) == said(flat.layers)
    assert lowered(net).tensors == flat.tensors
    assert net.macs == flat.macs
    results = [accelsim.simulate("edge_npu", each) for each in (net, flat)]
    assert [r.cycles for r in results[0].layers] == [r.cycles for r in results[1].layers]
    assert results[0].total_energy_pj == results[1].total_energy_pj


@pytest.mark.parametrize("name", graphs())
def test_yaml_keeps_it_with_its_parts(name, tmp_path):
    *graph, _ = graphs()[name]
    net = imported(tmp_path / "m.onnx", *graph)
    path = tmp_path / "net.yaml"
    path.write_text(dump(net))
    again = load(path)
    assert (again.layers, again.tensors) == (net.layers, net.tensors)


def test_scores_that_are_read_elsewhere_afterwards_are_an_output(tmp_path):
    nodes = [*written(softmax="scaled"), node("Relu", ["p"], ["z"], "relu")]
    net, _ = saved(tmp_path / "m.onnx", nodes, FEED, (ROOT,), ("y", "z"))
    assert [layer.kind for layer in net.layers] == ["attention", "elementwise"]
    assert net.layers[0].outputs == ("y", "p")


@pytest.mark.parametrize(
    "nodes",
    [
        [*written(softmax="twice", between=[node("Softmax", ["scaled"], ["twice"], "other", axis=-1)])],
        [node("MatMul", ["q", "kt"], ["s"], "s"), node("MatMul", ["s", "v"], ["y"], "y")],
        [
            node("MatMul", ["q", "kt"], ["s"], "s"),
            node("Softmax", ["s"], ["p"], "p", axis=1),
            node("MatMul", ["p", "v"], ["y"], "y"),
        ],
    ],
    ids=["two softmaxes", "none", "over heads"],
)
def test_what_is_no_attention_stays_layers(nodes, tmp_path):
    net, _ = saved(tmp_path / "m.onnx", nodes, FEED, (ROOT,) if len(nodes) > 3 else ())
    assert not any(layer.kind == "attention" for layer in net.layers)


def test_layers_in_between_that_need_no_scores_come_first(tmp_path):
    nodes = written(softmax="scaled")
    nodes[-1] = node("MatMul", ["p", "w"], ["y"], "/b/attn/MatMul_1")
    nodes.insert(1, node("Relu", ["v"], ["w"], "values"))
    net, _ = saved(tmp_path / "m.onnx", nodes, FEED, (ROOT,))
    assert [layer.name for layer in net.layers] == ["values", "b.attn.attention"]


def by_layers(net, feed):
    """Return what the parts of an attention give, one after another in NumPy, heads taken apart by hand."""
    a = net.layers[0].shape
    q, k, v = (feed[name].astype(np.float64) for name in "qkv")
    values = {}
    for layer in lowered(net).layers:
        part, shape = layer.name.rpartition(".")[2], layer.shape
        given = [values.get(name) for name in layer.inputs]
        if part == "query_heads":
            result = q.reshape(a.batch, a.q, a.heads, a.head_dim).transpose(0, 2, 1, 3)
        elif part == "key_heads":
            result = k.reshape(a.batch, a.kv, a.kv_heads, a.head_dim).transpose(0, 2, 3, 1)
        elif part == "value_heads":
            result = v.reshape(a.batch, a.kv, a.kv_heads, a.head_dim).transpose(0, 2, 1, 3)
        elif layer.kind == "matmul":
            left, right = (x.reshape(dims) for x, dims in zip(given, shape.input_shapes, strict=True))
            result = left @ right
        elif part == "scale":
            result = given[0] / np.sqrt(a.head_dim)
        elif part == "mask":
            result = given[0].reshape(shape.shape) + np.where(np.tri(a.q, a.kv, a.kv - a.q), 0, -np.inf)
        elif part == "softmax":
            powers = np.exp(given[0] - given[0].max(-1, keepdims=True))
            result = powers / powers.sum(-1, keepdims=True)
        else:
            assert part == "joined"
            result = given[0].reshape(a.batch, a.heads, a.q, a.head_dim).transpose(0, 2, 1, 3)
        values[layer.outputs[0]] = result.reshape(lowered(net).tensors[layer.outputs[0]].shape)
    return values["y"]


@pytest.mark.parametrize("causal", ["none", "full", "skip"])
@pytest.mark.parametrize(("heads", "shared"), [(4, 4), (4, 2), (6, 1)])
def test_the_parts_give_what_numpy_and_the_runtime_do(heads, shared, causal, tmp_path):
    """ONNX's Attention has its causal mask at the left, ours the queries at the end: the same for q = kv."""
    shape = Attention(2, heads, shared, 5, 5, 4, causal)
    feed = {name: reals(*dims, seed=i) for i, (name, dims) in enumerate(zip("qkv", shape.input_shapes, strict=True))}
    op = node("Attention", ["q", "k", "v"], ["y"], "it", is_causal=int(causal != "none"), q_num_heads=heads,
              kv_num_heads=shared)  # fmt: skip
    net, expected = saved(tmp_path / "m.onnx", [op], feed, opset=23)
    assert net.layers[0].shape == replace(shape, causal="none" if causal == "none" else "full")
    truth = golden.attention(shape, *feed.values())
    np.testing.assert_allclose(truth, expected["y"], rtol=1e-4, atol=1e-5)
    masks = () if causal == "none" else ("m",)
    ours = Layer("a", shape, ("q", "k", "v"), masks, ("y",))
    tensors = {name: Tensor(name, array.shape) for name, array in feed.items()} | {"y": Tensor("y", shape.output_shape)}
    tensors |= {name: Tensor(name, (5, 5), weight=True) for name in masks}
    np.testing.assert_allclose(by_layers(Network("n", (ours,), tensors), feed), truth, rtol=1e-12)


def test_queries_are_the_last_positions_and_masks_are_added():
    """By hand: one head of one feature, zero queries, so that each query takes the mean of the values that it sees."""
    shape = Attention(1, 1, 1, 2, 3, 1, "full")
    q, k, v = np.zeros((1, 2, 1)), np.ones((1, 3, 1)), np.array([3.0, 5.0, 10.0]).reshape(1, 3, 1)
    assert golden.attention(shape, q, k, v).ravel().tolist() == pytest.approx([4, 6])
    some = np.array([[0, -np.inf, -np.inf], [-np.inf, 0, 0]])
    assert golden.attention(replace(shape, causal="none"), q, k, v, some).ravel().tolist() == pytest.approx([3, 7.5])
