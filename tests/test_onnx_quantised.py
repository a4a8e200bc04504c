"""ONNX graphs with integers: widths, signs and values, against onnxruntime."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_graphs import save, tensor

import accelsim
from accelsim.errors import WorkloadError
from accelsim.operands.golden import golden
from accelsim.operands.handle import of
from accelsim.workload.onnx import importer
from accelsim.workload.shapes import View

ort = pytest.importorskip("onnxruntime", reason="extra 'profile' is not installed")


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def written(tmp_path, nodes, inputs, constants, outputs=("y",), opset=21):
    """Write a model whose inputs may be (dims, ONNX type); return its path."""
    path = tmp_path / "q.onnx"
    graph = helper.make_graph(
        nodes,
        "g",
        [tensor(name, *dims) if isinstance(dims[0], tuple) else tensor(name, dims) for name, dims in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10
    onnx.save(model, path)
    return path


def run(path, feed):
    model = onnx.load(path)
    names = [name for n in model.graph.node for name in n.output]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, feed), strict=True))


RNG = np.random.default_rng(0)
W = RNG.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8)
FC = RNG.integers(-128, 128, (10, 64)).astype(np.int8)
ONE = {"xs": np.float32(1 / 64), "ws": np.float32(1 / 256), "ys": np.float32(0.5),
       "u0": np.uint8(0), "i0": np.int8(0), "i64": np.int8(3)}  # fmt: skip


@pytest.fixture
def qdq(tmp_path):
    """x -> Q -> DQ -> conv with stored int8 filters -> relu -> Q -> DQ -> flatten -> linear."""
    nodes = [
        node("QuantizeLinear", ["x", "xs", "i64"], ["xq"]), node("DequantizeLinear", ["xq", "xs", "i64"], ["xd"]),
        node("DequantizeLinear", ["w", "ws", "i0"], ["wd"]), node("Conv", ["xd", "wd"], ["a"]),
        node("Relu", ["a"], ["b"]), node("QuantizeLinear", ["b", "ys", "u0"], ["bq"]),
        node("DequantizeLinear", ["bq", "ys", "u0"], ["bd"]), node("Flatten", ["bd"], ["f"]),
        node("DequantizeLinear", ["fc", "ws", "i0"], ["fcd"]), node("Gemm", ["f", "fcd"], ["y"], transB=1),
    ]  # fmt: skip
    return written(tmp_path, nodes, {"x": (1, 3, 6, 6)}, ONE | {"w": W, "fc": FC})


def test_tensors_between_quantise_and_dequantise_have_its_width_and_sign(qdq):
    net = importer.load(qdq)
    said = {name: (t.bits, t.signed) for name, t in net.tensors.items() if t.bits}
    assert said == {
        "x": (8, True), "xq": (8, True), "xd": (8, True), "wd": (8, True), "fcd": (8, True),
        "b": (8, False), "bq": (8, False), "bd": (8, False), "f": (8, False),
    }  # fmt: skip
    assert [layer.kind for layer in net.layers if not isinstance(layer.shape, View)] == [
        "conv2d",
        "elementwise",
        "linear",
    ]


def test_the_filters_are_the_integers_in_the_file(qdq):
    net = importer.load(qdq)
    assert np.array_equal(net.values["wd"], W)
    assert np.array_equal(net.values["fcd"], FC)


def test_integer_products_times_scales_are_what_the_runtime_computes(qdq):
    net = importer.load(qdq)
    seen = run(qdq, {"x": RNG.standard_normal((1, 3, 6, 6)).astype(np.float32)})
    conv, fc = (layer for layer in net.layers if layer.macs)
    x = seen["xq"].astype(np.int64) - 3  # this zero point is not 0
    ours = golden(of(net.view(conv), 0, {"xd": x, "wd": net.values["wd"]}))
    assert np.array_equal(ours / (64 * 256), seen["a"])
    codes = {"f": seen["bq"].reshape(1, -1).astype(np.int64), "fcd": net.values["fcd"]}
    assert np.array_equal(golden(of(net.view(fc), 0, codes)) / (2 * 256), seen["y"])


def test_a_quantised_graph_runs_with_its_own_widths_and_is_checked(qdq):
    result = accelsim.simulate("edge_npu", str(qdq), check=True)
    assert result.complete
    conv, _, fc = result.layers
    assert (conv.bits["input"], fc.bits["input"], fc.bits["weight"], conv.checked, fc.checked) == (8, 8, 8, True, True)


def test_a_tensor_that_is_also_read_as_reals_keeps_its_width(tmp_path):
    nodes = [
        node("Relu", ["x"], ["a"]), node("QuantizeLinear", ["a", "xs", "u0"], ["q"]),
        node("DequantizeLinear", ["q", "xs", "u0"], ["d"]), node("Add", ["a", "d"], ["y"]),
    ]  # fmt: skip
    net = importer.load(written(tmp_path, nodes, {"x": (1, 8)}, ONE))
    assert (net.tensors["a"].bits, net.tensors["d"].bits) == (None, 8)


@pytest.mark.parametrize(
    ("zero", "axis", "scale"),
    [
        (np.int8(0), 1, np.float32(0.5)),
        (np.uint8(128), 1, np.float32(0.25)),
        (np.zeros(4, np.int8), 0, np.array([0.5, 0.25, 1.0, 0.125], np.float32)),
        (np.int16(-5), 1, np.float32(2**-9)),
    ],
)
def test_filters_that_the_graph_quantises_become_the_runtimes_codes(tmp_path, zero, axis, scale):
    reals = (RNG.integers(-400, 400, (4, 3, 1, 1)) / 8).astype(np.float32)  # many halves, and values out of range
    nodes = [
        node("QuantizeLinear", ["r", "s", "z"], ["rq"], axis=axis),
        node("DequantizeLinear", ["rq", "s", "z"], ["rd"], axis=axis),
        node("Conv", ["x", "rd"], ["y"]),
    ]
    path = written(tmp_path, nodes, {"x": (1, 3, 4, 4)}, {"r": reals, "s": scale, "z": zero})
    net = importer.load(path)
    codes = run(path, {"x": np.zeros((1, 3, 4, 4), np.float32)})["rq"]
    assert np.array_equal(net.values["rd"], codes)
    assert (net.tensors["rd"].bits, net.tensors["rd"].signed) == (8 * codes.itemsize, codes.dtype.kind == "i")


def test_a_scale_that_is_not_positive_is_refused(tmp_path):
    nodes = [node("QuantizeLinear", ["r", "s"], ["q"]), node("DequantizeLinear", ["q", "s"], ["d"]),
             node("Conv", ["x", "d"], ["y"])]  # fmt: skip
    constants = {"r": np.ones((1, 1, 1, 1), np.float32), "s": np.float32(0)}
    net = importer.load(written(tmp_path, nodes, {"x": (1, 1, 2, 2)}, constants))
    with pytest.raises(WorkloadError, match=r"scales of .* that do not fit or are not positive"):
        net.values["d"]


def test_four_bit_filters_keep_their_values(tmp_path):
    import ml_dtypes

    codes = np.arange(-8, 8).reshape(4, 4, 1, 1)
    nodes = [node("DequantizeLinear", ["w", "ws"], ["wd"]), node("Conv", ["x", "wd"], ["y"])]
    constants = {"w": codes.astype(ml_dtypes.int4), "ws": np.float32(0.5)}
    net = importer.load(written(tmp_path, nodes, {"x": (1, 4, 2, 2)}, constants))
    assert (net.tensors["wd"].bits, net.tensors["wd"].signed) == (4, True)
    assert np.array_equal(net.values["wd"], codes)


def test_integer_operators_give_the_runtimes_sums(tmp_path):
    x, a = RNG.integers(0, 256, (1, 3, 5, 5)).astype(np.uint8), RNG.integers(0, 256, (2, 64)).astype(np.uint8)
    nodes = [node("ConvInteger", ["x", "w"], ["y"]), node("MatMulInteger", ["a", "b"], ["z"])]
    inputs = {"x": (x.shape, TensorProto.UINT8), "a": (a.shape, TensorProto.UINT8)}
    path = written(tmp_path, nodes, inputs, {"w": W, "b": FC.T.copy()}, ("y", "z"))
    net, seen = importer.load(path), run(path, {"x": x, "a": a})
    for layer, given, out in zip(net.layers, ({"x": x}, {"a": a}), ("y", "z"), strict=True):
        view = net.view(layer)
        assert (view.input.bits, view.input.signed, view.weight.bits, view.output.bits) == (8, False, 8, 32)
        filters = {view.weight.name: net.values[view.weight.name]}
        assert np.array_equal(golden(of(view, 0, given | filters)), seen[out].reshape(view.output.shape))


def test_a_quantised_convolution_has_its_filters_and_bias_in_place(tmp_path):
    nodes = [node("QLinearConv", ["x", "xs", "u0", "w", "ws", "i0", "ys", "u0", "b"], ["y"])]
    inputs = {"x": ((1, 3, 5, 5), TensorProto.UINT8)}
    constants = ONE | {"w": W, "b": np.arange(4, dtype=np.int32)}
    net = importer.load(written(tmp_path, nodes, inputs, constants))
    view = net.view(net.layers[0])
    assert (view.kind, [w.name for w in view.weights]) == ("conv2d", ["w", "b"])
    assert (view.output.bits, view.output.signed) == (8, False)


def test_unquantised_graphs_say_nothing(tmp_path):
    path = tmp_path / "m.onnx"
    save(path, [node("Conv", ["x", "w"], ["y"])], {"x": (1, 3, 6, 6)}, constants=[("w", W.astype(np.float32))])
    assert all(t.bits is None for t in importer.load(path).tensors.values())


def test_shapes_and_widths_go_on_behind_quantised_operators_of_the_runtime(tmp_path):
    """A QLinearAdd, a QLinearGlobalAveragePool, a QLinearConcat and a QGemm, then real numbers again."""
    path = tmp_path / "m.onnx"
    scale, zero = ("s", np.float32(0.1)), ("z", np.uint8(128))
    constants = [scale, zero, ("w", np.ones((8, 3), np.int8)), ("wz", np.int8(0))]
    one = ("s", "z")
    nodes = [
        helper.make_node("QLinearAdd", ["x", *one, "x", *one, *one], ["a"], domain="com.microsoft"),
        helper.make_node("QLinearGlobalAveragePool", ["a", *one, *one], ["p"], domain="com.microsoft"),
        helper.make_node("QLinearConcat", [*one, "p", *one, "p", *one], ["c"], domain="com.microsoft", axis=1),
        helper.make_node("Flatten", ["c"], ["f"]),
        helper.make_node("QGemm", ["f", *one, "w", "s", "wz", "", *one], ["g"], domain="com.microsoft"),
        helper.make_node("DequantizeLinear", ["g", *one], ["y"]),
    ]
    stored = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants]
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, (2, 4, 5, 5))
    graph = helper.make_graph(nodes, "g", [x], [helper.make_empty_tensor_value_info("y")], stored)
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=domains).SerializeToString())
    network = importer.load(path)
    assert [layer.kind for layer in network.layers] == ["elementwise", "pool", "view", "view", "linear", "view"]
    assert (network.macs, network.tensors["y"].shape) == (2 * 8 * 3, (2, 3))
    assert {network.tensors[name].bits for name in ("a", "p", "c", "f", "g", "w")} == {8}
