"""Operators that become several layers give what ONNX Runtime gives, and MACs that were counted by hand."""

import numpy as np
import onnx
import onnx_values
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_graphs import tensor

import accelsim
from accelsim.workload.lowering import lowered

runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def reals(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def both(tmp_path, nodes, feed, constants=(), outputs=("y",), opset=17):
    """Return the imported network, what it computes, and what ONNX Runtime does."""
    kinds = {np.dtype("f"): TensorProto.FLOAT, np.dtype("int64"): TensorProto.INT64}
    inputs = [tensor(name, array.shape, kinds[array.dtype]) for name, array in feed.items()]
    stored = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants]
    graph = helper.make_graph(nodes, "g", inputs, [onnx.ValueInfoProto(name=name) for name in outputs], stored)
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=10)
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = dict(zip(outputs, session.run(list(outputs), feed), strict=True))
    network = accelsim.load_network(str(path))
    return network, onnx_values.run(network, feed), expected


def agree(found, expected, rtol=1e-4):
    for name, array in expected.items():
        np.testing.assert_allclose(found[name].reshape(array.shape), array, rtol=rtol, atol=1e-5)


def node(op, inputs, outputs=("y",), **attributes):
    return helper.make_node(op, inputs, outputs, name="it", **attributes)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(
    ("op", "gates", "more"),
    [
        ("LSTM", 4, {}),
        ("GRU", 3, {"linear_before_reset": 1}),
        ("GRU", 3, {"linear_before_reset": 0}),
        ("RNN", 1, {"activations": ["Relu"]}),
    ],
)
def test_recurrent_layers_compute_what_the_runtime_does(tmp_path, op, gates, more, direction):
    d, hidden, width, steps, batch = (2 if direction == "bidirectional" else 1), 5, 3, 4, 2
    if "activations" in more:
        more = {"activations": more["activations"] * d}
    constants = [
        ("w", reals(d, gates * hidden, width)),
        ("r", reals(d, gates * hidden, hidden)),
        ("b", reals(d, 2 * gates * hidden)),
    ]
    feed = {"x": reals(steps, batch, width), "h": reals(d, batch, hidden, seed=1)}
    names, outputs = ["x", "w", "r", "b", "", "h"], ["y", "last"]
    if op == "LSTM":
        feed["c"] = reals(d, batch, hidden, seed=2)
        names, outputs = [*names, "c"], [*outputs, "cell"]
    it = node(op, names, outputs, hidden_size=hidden, direction=direction, **more)
    network, found, expected = both(tmp_path, [it], feed, constants, outputs)
    agree(found, expected)
    assert network.macs == d * steps * batch * gates * hidden * (width + hidden)
    filters = d * gates * hidden * (width + hidden + 2)
    assert network.params == filters  # each step reads the same tensors
    assert {layer.parent for layer in network.layers} == {"it"}


@pytest.mark.parametrize(
    ("inputs", "attributes", "reason"),
    [
        (["x", "w", "r", "", "", "", "", "p"], {}, "its peepholes are not supported"),
        (["x", "w", "r"], {"clip": 1.0}, "its clip of cell inputs is not supported"),
        (["x", "w", "r"], {"input_forget": 1}, "its coupled input and forget gates are not supported"),
        (["x", "w", "r"], {"activations": ["Affine", "Tanh", "Tanh"]}, "its activations affine, tanh, tanh are not supported"),  # noqa: E501
        (["x", "w", "r", "", "n"], {}, "its sequences have lengths of their own"),
    ],
)  # fmt: skip
def test_what_a_recurrent_layer_cannot_be_is_said(tmp_path, inputs, attributes, reason):
    from onnx_graphs import imported

    constants = [("w", reals(1, 8, 3)), ("r", reals(1, 8, 2)), ("p", reals(1, 6)), ("n", np.array([2], np.int32))]
    it = node("LSTM", inputs, hidden_size=2, **attributes)
    network = imported(tmp_path, [it], {"x": (4, 1, 3)}, constants=constants)
    assert network.layers[0].shape.reason == reason
    assert network.macs == 4 * 8 * 5


@pytest.mark.parametrize(("op", "axes"), [
    *((op, axes) for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2",
                            "ReduceSumSquare", "ReduceLogSumExp") for axes in ([1], [0, 2], [-1], [1, 2, 3], None)),
])  # fmt: skip
def test_reductions_run_over_any_dimensions(tmp_path, op, axes):
    constants = [("axes", np.array(axes))] if axes else []
    it = node(op, ["x", "axes"] if axes else ["x"], keepdims=0)
    agree(*both(tmp_path, [it], {"x": reals(2, 3, 4, 5)}, constants, opset=18)[1:])


@pytest.mark.parametrize(("dims", "axes"), [((1, 8, 16384), [1, 2]), ((2, 70_000, 3), [1])])
def test_a_long_reduction_runs_in_stages(tmp_path, dims, axes):
    it = node("ReduceMax", ["x", "axes"], keepdims=0)
    network, found, expected = both(tmp_path, [it], {"x": reals(*dims)}, [("axes", np.array(axes))], opset=18)
    agree(found, expected)
    assert [layer.shape.r * layer.shape.s for layer in network.layers] == ([4096, 32] if axes == [1, 2] else [3500, 20])
    assert accelsim.simulate("edge_npu", network).complete


@pytest.mark.parametrize("op", ["GlobalMaxPool", "GlobalAveragePool"])
def test_a_global_pool_of_a_large_image_runs_in_stages(tmp_path, op):
    network, found, expected = both(tmp_path, [node(op, ["x"])], {"x": reals(1, 2, 150, 160)})
    agree(found, expected)
    assert [layer.shape.s for layer in network.layers] == [4000, 6]
    assert accelsim.simulate("edge_npu", network).complete
    small, *_ = both(tmp_path, [node(op, ["x"])], {"x": reals(1, 2, 112, 112)})
    assert [(layer.shape.r, layer.shape.s) for layer in small.layers] == [(112, 112)]


@pytest.mark.parametrize(("dims", "windows"), [
    ((1, 512, 256), [64, 8]),  # rows side by side
    ((1, 3, 20_000), [3]),  # which are too long for any stage
    ((1, 20_011, 1), [20_011]),  # a prime number of elements
])  # fmt: skip
def test_stages_are_as_long_as_sizes_divide(tmp_path, dims, windows):
    it = node("ReduceSum", ["x", "axes"], keepdims=0)
    network, found, expected = both(tmp_path, [it], {"x": reals(*dims)}, [("axes", np.array([1]))])
    agree(found, expected, rtol=1e-3)
    assert [layer.shape.r * layer.shape.s for layer in network.layers] == windows


def test_a_mish_is_three_operations(tmp_path):
    network, found, expected = both(tmp_path, [node("Mish", ["x"])], {"x": reals(2, 3)}, opset=18)
    agree(found, expected)
    assert [layer.shape.op for layer in network.layers] == ["softplus", "tanh", "mul"]


def test_the_range_of_a_long_tensor_is_searched_from_both_ends_in_stages(tmp_path):
    it = node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"])
    (network,) = imported_only(tmp_path / "m.onnx", [it, node("DequantizeLinear", ["y", "s", "z"], ["r"])],
                               {"x": reals(1, 16, 8192)}, outputs=("r",))  # fmt: skip
    made = {name for layer in network.layers for name in layer.outputs}
    assert network.inputs == ("x",)
    assert [layer.shape.op for layer in network.layers[:4]] == ["max", "max", "min", "min"]
    assert {"y", "s", "z"} <= made


def test_a_long_reduction_without_a_divisor_is_left_out(tmp_path):
    from onnx_graphs import imported

    network = imported(tmp_path, [node("ReduceMax", ["x"])], {"x": (1, 65_537)})
    assert network.layers[0].shape.reason.startswith("it reduces 65,537 elements at once")


@pytest.mark.parametrize(("a", "b", "c", "attributes", "macs"), [
    ((3, 4), (3, 5), None, {"transA": 1}, 60),
    ((4, 3), (5, 3), (5,), {"transB": 1}, 60),
    ((4, 3), (3, 5), (), {}, 60),
    ((4, 3), (3, 5), (4, 5), {}, 60),
    ((4, 3), (3, 5), (4, 1), {}, 60),
    ((5, 3), (3, 5), (5, 1), {}, 75),
    ((4, 3), (3, 5), (1, 5), {}, 60),
])  # fmt: skip
@pytest.mark.parametrize("constant", [True, False])
def test_a_gemm_comes_in_every_form(tmp_path, a, b, c, attributes, macs, constant):
    if attributes.get("transA"):
        a = a[::-1]  # laid out as it is stored, so that NumPy can follow
        attributes = {}
    if attributes.get("transB") and not constant:
        b, attributes = b[::-1], {}
    given = [("b", reals(*b)), *([("c", reals(*c, seed=3))] if c is not None else [])]
    it = node("Gemm", ["a", *(name for name, _ in given)], **attributes)
    feed = {"a": reals(*a)} if constant else {"a": reals(*a), "b": given[0][1]}
    network, found, expected = both(tmp_path, [it], feed, given if constant else given[1:])
    assert network.macs == macs
    scalar = c == ()
    if scalar:  # a lone number is a parameter of the addition
        found["y"] = found["y"] + given[1][1]
    agree(found, expected)


def test_factors_of_a_gemm_are_folded_into_constants_and_multiplied_with_activations(tmp_path):
    from onnx_graphs import imported

    it = node("Gemm", ["a", "b", "c"], alpha=2.0, beta=3.0)
    folded = imported(tmp_path, [it], {"a": (4, 3)}, constants=[("b", reals(3, 5)), ("c", reals(5))])
    assert [layer.kind for layer in folded.layers] == ["linear"]
    open_ = imported(tmp_path, [it], {"a": (4, 3), "b": (3, 5), "c": (5,)})
    assert [layer.name for layer in open_.layers] == ["it.product", "it.scale", "it.beta", "it.add"]


@pytest.mark.parametrize(("a", "b", "constant"), [
    ((3, 16), (16,), "b"), ((16,), (16, 3), "b"), ((16,), (3, 16, 2), "b"), ((2, 3), (3, 5), "b"),
    ((2, 3), (4, 3, 5), ""),
    ((1, 4, 10, 16), (4, 16, 8), ""), ((4, 2, 3), (4, 3, 5), ""), ((2, 3), (3,), ""),
])  # fmt: skip
def test_products_follow_the_rules_of_numpy(tmp_path, a, b, constant):
    feed, constants = {"a": reals(*a)}, []
    if constant:
        constants = [("b", reals(*b))]
    else:
        feed["b"] = reals(*b)
    network, found, expected = both(tmp_path, [node("MatMul", ["a", "b"])], feed, constants)
    y = expected["y"]
    inner = a[-1]
    assert network.macs == y.size * inner
    if len(a) == len(b) or len(b) < 3:  # else own dimensions of both lie side by side
        agree(found, expected)


def test_a_weight_per_head_is_a_group_each(tmp_path):
    """The layers of heads lie side by side as channels: NumPy puts them there."""
    x, w = reals(1, 4, 10, 16), reals(4, 16, 8)
    network, _, expected = both(tmp_path, [node("MatMul", ["x", "w"])], {"x": x}, [("w", w)])
    (layer,) = network.layers
    assert (layer.shape.groups, layer.macs) == (4, 4 * 10 * 16 * 8)
    channels = x.transpose(0, 2, 1, 3).reshape(10, 64, 1, 1)
    found = onnx_values.run(network, {"x": channels})["y"].reshape(10, 4, 8).transpose(1, 0, 2)
    np.testing.assert_allclose(found, expected["y"][0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("equation", "a", "b", "macs"), [
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5), 120),
    ("ij,kj->ik", (3, 4), (5, 4), 60),
    ("bhid,bhjd->bhij", (2, 3, 4, 5), (2, 3, 6, 5), 2 * 3 * 4 * 6 * 5),
    ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5), 120),
    ("i,j->ij", (3,), (4,), 12),
])  # fmt: skip
@pytest.mark.parametrize("constant", [True, False])
def test_an_einsum_of_two_operands_is_a_product(tmp_path, equation, a, b, macs, constant):
    feed, given = {"a": reals(*a)}, [("b", reals(*b))]
    feed |= {} if constant else dict(given)
    it = node("Einsum", ["a", "b"], equation=equation)
    network, found, expected = both(tmp_path, [it], feed, given if constant else ())
    assert network.macs == macs
    if constant and network.layers[0].kind == "linear":
        agree(found, expected)


def test_an_attention_of_heads_is_scores_softmax_and_context(tmp_path):
    feed = {"q": reals(2, 6, 5, 4), "k": reals(2, 2, 7, 4), "v": reals(2, 2, 7, 3)}
    feed |= {"pk": reals(2, 2, 3, 4), "pv": reals(2, 2, 3, 3)}
    outputs = ["y", "k2", "v2"]
    it = node("Attention", ["q", "k", "v", "", "pk", "pv"], outputs, scale=1.0)
    network, _, expected = both(tmp_path, [it], feed, (), outputs, opset=23)
    agree(onnx_values.run(network, feed, turned=["it.scores"]), expected)
    assert network.macs == 2 * 6 * 5 * 10 * (4 + 3)
    parts = ["it.past_key", "it.past_value", "it.scores", "it.softmax", "it.context"]
    assert [(layer.name, layer.parent) for layer in network.layers] == [(name, "it") for name in parts]


def test_multi_head_attention_of_the_runtime_has_products_that_were_counted_by_hand(tmp_path):
    feed = {"q": reals(2, 5, 24), "k": reals(2, 7, 24), "v": reals(2, 7, 24)}
    it = node("MultiHeadAttention", ["q", "k", "v", "b"], domain="com.microsoft", num_heads=6)
    path = tmp_path / "m.onnx"
    it.name = "it"
    network, *_ = imported_only(path, [it], feed, [("b", reals(72))])
    assert network.macs == 2 * 6 * 5 * 7 * 8
    assert network.tensors["y"].shape == (2, 5, 24)
    assert network.params == 0
    assert sum(t.elements for t in network.tensors.values() if t.weight) == 72


def imported_only(path, nodes, feed, constants=(), outputs=("y",)):
    inputs = [tensor(name, array.shape) for name, array in feed.items()]
    stored = [numpy_helper.from_array(array, name) for name, array in constants]
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph(nodes, "g", inputs, results, stored)
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=10), path)
    return (accelsim.load_network(str(path)),)


def test_a_group_query_attention_reads_keys_once_for_all_heads_that_share_them(tmp_path):
    feed = {
        "q": reals(1, 1, 64),
        "k": reals(1, 1, 16),
        "v": reals(1, 1, 16),
        "pk": reals(1, 2, 9, 8),
        "pv": reals(1, 2, 9, 8),
    }
    it = node("GroupQueryAttention", ["q", "k", "v", "pk", "pv"], domain="com.microsoft", num_heads=8, kv_num_heads=2)
    (network,) = imported_only(tmp_path / "m.onnx", [it], feed)
    scores = next(layer for layer in lowered(network).layers if layer.name == "it.scores")
    assert (scores.shape.batch, scores.shape.m, scores.shape.n) == (2, 4, 10)
    assert network.macs == 8 * 10 * 8 * 2


@pytest.mark.parametrize(("x", "w", "attributes"), [
    ((1, 4, 5, 5), (4, 3, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ((2, 4, 3, 5), (4, 2, 2, 2), {"strides": [2, 2], "group": 2}),
    ((1, 4, 6), (4, 3, 3), {"strides": [2]}),
])  # fmt: skip
def test_a_transposed_convolution_is_a_product_and_overlapping_sums(tmp_path, x, w, attributes):
    feed, bias = {"x": reals(*x)}, reals(w[1] * attributes.get("group", 1), seed=1)
    it = node("ConvTranspose", ["x", "w", "b"], **attributes)
    path = tmp_path / "m.onnx"
    (network,) = imported_only(path, [it], feed, [("w", reals(*w)), ("b", bias)])
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, feed)[0]
    assert network.macs == np.prod(x) * np.prod(w[1:])
    first = network.layers[0]
    filters = network.values[first.weights[0]].astype(np.float64)
    product = onnx_values.OPERATIONS["conv2d"](first.shape, [feed["x"].reshape(first.shape.input_shapes[0])], [filters])
    taps, rank = w[2:], len(x) - 2
    product = product.reshape(x[0], -1, *taps, *x[2:])
    stride, pads = attributes["strides"], attributes.get("pads", [0] * 2 * rank)
    full = np.zeros((x[0], product.shape[1], *((n - 1) * s + t for n, s, t in zip(x[2:], stride, taps, strict=True))))
    for tap in np.ndindex(*taps):
        places = tuple(slice(t, t + (n - 1) * s + 1, s) for t, n, s in zip(tap, x[2:], stride, strict=True))
        full[(slice(None), slice(None), *places)] += product[(slice(None), slice(None), *tap)]
    cut = tuple(slice(pads[i], size - pads[rank + i]) for i, size in enumerate(full.shape[2:]))
    found = full[(slice(None), slice(None), *cut)] + bias.reshape(-1, *(1,) * rank)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert network.tensors["y"].shape == expected.shape


def test_a_convolution_over_frames_has_the_frames_under_its_depth_as_channels(tmp_path):
    x, w = reals(1, 2, 5, 6, 6), reals(3, 2, 3, 3, 3)
    it = node("Conv", ["x", "w"], strides=[2, 1, 1], pads=[0, 1, 1, 0, 1, 1])
    path = tmp_path / "m.onnx"
    (network,) = imported_only(path, [it], {"x": x}, [("w", w)])
    expected = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    assert network.macs == expected.size * 2 * 27
    layer = network.layers[-1]
    frames = np.stack([x[0, :, t : t + 3].reshape(6, 6, 6) for t in (0, 2)])
    filters = network.values[layer.weights[0]].astype(np.float64)
    found = onnx_values.OPERATIONS["conv2d"](layer.shape, [frames.astype(np.float64)], [filters])
    np.testing.assert_allclose(found.transpose(1, 0, 2, 3), expected[0], rtol=1e-4, atol=1e-4)


def test_filters_that_are_activations_meet_windows_in_a_product(tmp_path):
    feed = {"x": reals(1, 4, 5, 5), "w": reals(6, 2, 3, 3)}
    (network,) = imported_only(tmp_path / "m.onnx", [node("Conv", ["x", "w"], group=2)], feed)
    assert network.macs == 6 * 9 * 18
    assert [layer.kind for layer in network.layers] == ["view", "matmul"]
    assert network.layers[1].inputs[1] == "w"


@pytest.mark.parametrize("op", ["RMSNormalization", "LpNormalization"])
def test_norms_by_roots_of_sums(tmp_path, op):
    constants = [("g", reals(6, seed=4))] if op.startswith("RMS") else []
    more = {"epsilon": 0.0} if constants else {"axis": 1}
    it = node(op, ["x", *(name for name, _ in constants)], **more)
    agree(*both(tmp_path, [it], {"x": reals(2, 5, 6)}, constants, opset=23 if constants else 17)[1:])


def test_an_embedding_reads_the_rows_that_are_looked_up(tmp_path):
    path = tmp_path / "m.onnx"
    ids = tensor("ids", (1, 7), TensorProto.INT64)
    graph = helper.make_graph([node("Gather", ["table", "ids"])], "g", [ids], [onnx.ValueInfoProto(name="y")],
                              [numpy_helper.from_array(reals(1000, 16), "table")])  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    result = accelsim.simulate("edge_npu", str(path), check=True)
    assert result.complete
    (layer,) = result.layers
    read = sum(t.bits for t in layer.traffic if (t.boundary, t.direction) == ("dram", "read"))
    assert read < 2 * (7 * 16 * 8 + 7 * 32)  # rows, not the table


@pytest.mark.parametrize(("op", "attributes", "constants"), [
    ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 2]}, []),
    ("Pad", {}, [("p", np.array([0, 0, 1, 1, 0, 0, 1, 1]))]),
    ("Tile", {}, [("n", np.array([1, 2, 1, 3]))]),
    ("Resize", {"mode": "linear"}, [("", None), ("k", np.array([1, 1, 2, 2], np.float32))]),
    ("TopK", {}, [("k", np.array([2]))]),
    ("ArgMax", {"axis": 1}, []),
    ("CumSum", {}, [("axis", np.array(1))]),
    ("Trilu", {}, []),
    ("GatherElements", {"axis": 2}, [("i", np.zeros((1, 4, 3, 6), np.int64))]),
    ("OneHot", {}, [("n", np.array(3.0, np.float32)), ("v", np.array([0, 1], np.float32))]),
    ("InstanceNormalization", {}, [("s", reals(4)), ("b", reals(4))]),
    ("Hardmax", {}, []),
    ("DynamicQuantizeLinear", {}, []),
    ("LpPool", {"kernel_shape": [2, 2]}, []),
])  # fmt: skip
def test_what_moves_searches_or_normalises_runs_on_a_vector_unit_with_values(tmp_path, op, attributes, constants):
    stored = [(name, array) for name, array in constants if name]
    outputs = {"TopK": ["y", "i2"], "DynamicQuantizeLinear": ["y", "s2", "z2"]}.get(op, ["y"])
    it = node(op, ["x", *(name for name, _ in constants)], outputs, **attributes)
    inputs = [tensor("x", (1, 4, 6, 6))]
    given = [numpy_helper.from_array(np.asarray(array), name) for name, array in stored]
    graph = helper.make_graph([it], "g", inputs, [onnx.ValueInfoProto(name=name) for name in outputs], given)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    result = accelsim.simulate("edge_npu", str(path), check=True)
    assert result.complete
    assert all(layer.checked for layer in result.layers)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    shapes = [array.shape for array in session.run(outputs, {"x": np.abs(reals(1, 4, 6, 6))})]
    network = accelsim.load_network(str(path))
    assert [network.tensors[name].shape for name in outputs] == shapes
