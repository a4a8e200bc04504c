"""`--operands chain`: every tensor of a graph equals ONNX Runtime's, within the rounding that the report names."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_graphs import save, tensor

import accelsim
from accelsim.operands import chain
from accelsim.operands.handle import one
from accelsim.simulation import load_arch, prepare
from accelsim.workload.load import load_network

ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'accelsim[profile]'")

FLOAT_ERROR = 2e-5
"""Share of a tensor's largest magnitude by which float32 sums in another order may differ."""
N = helper.make_node


def real(*dims, seed=0):
    return np.random.default_rng(seed).standard_normal(dims).astype(np.float32)


def chained(path, batch=None, machine="edge_npu"):
    """Return the network as a machine gets it, its chain, and the inputs that it was computed from."""
    network = prepare(load_arch(machine), load_network(str(path)), batch, None, None)
    found = chain.propagate(network, 0)
    feed = {}
    for name in network.program.inputs:
        step, zero = found.roundings[name]
        drawn = found.values.get(name)
        if drawn is None:
            drawn = one(network.tensors[name], 0, network.batch).values
        kind = helper.tensor_dtype_to_np_dtype(network.program.kinds[name])
        real = drawn if np.dtype(kind).kind in "iub" else (drawn - float(zero)) * step
        feed[name] = real.astype(kind)
    return network, found, feed


def truths(path, feed):
    """Return every tensor that ONNX Runtime computes."""
    model = onnx.load(path)
    names = [name for node in model.graph.node for name in node.output if name]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = {value.name for value in session.get_inputs()}
    return dict(zip(names, session.run(names, {k: v for k, v in feed.items() if k in wanted}), strict=True))


def agree(path, batch=None, machine="edge_npu"):
    """Compare all tensors; return the chain and the names that were compared."""
    _, found, feed = chained(path, batch, machine)
    truth = truths(path, feed)
    compared = []
    for name, array in truth.items():
        if name not in found.values:
            continue
        step, zero = found.roundings[name]
        ours = (found.values[name].astype(np.float64) - zero) * step
        size = float(np.abs(array.astype(np.float64)).max(initial=0))
        worst = np.abs(ours - array).max(initial=0)
        assert worst <= (step / 2 + FLOAT_ERROR * size if array.dtype.kind == "f" else 0), f"{name}: {worst} of {size}"
        compared.append(name)
    return found, compared


def whole(tmp_path, nodes, inputs, outputs=("y",), **more):
    """Write a graph, compare it, and check that nothing was left out."""
    path = tmp_path / "m.onnx"
    save(path, nodes, inputs, outputs, **more)
    found, compared = agree(path)
    layers = {name for node in nodes for name in node.output}
    assert set(compared) == layers, found.notes
    assert not any("not known" in note for note in found.notes)
    return found


def test_a_bias_is_added(tmp_path):
    nodes = [N("Conv", ["x", "w", "b"], ["a"]), N("Relu", ["a"], ["c"]), N("Conv", ["c", "v"], ["y"])]
    constants = [("w", real(4, 3, 3, 3)), ("b", np.full(4, -100, np.float32)), ("v", real(4, 4, 3, 3))]
    whole(tmp_path, nodes, {"x": [1, 3, 8, 8]}, constants=constants)
    result = accelsim.simulate("scnn", str(tmp_path / "m.onnx"), operands="chain")
    assert result.layers[2].nonzero_input_macs == 0


def test_scales_shifts_and_scalars_are_applied(tmp_path):
    nodes = [N("Mul", ["x", "s"], ["a"]), N("Add", ["a", "t"], ["b"]), N("Mul", ["b", "k"], ["y"])]
    constants = [("s", real(3, 1, 1)), ("t", real(3, 1, 1, seed=1)), ("k", np.float32(-0.37))]
    whole(tmp_path, nodes, {"x": [2, 3, 4, 4]}, constants=constants)


def test_a_batch_normalisation_uses_its_statistics(tmp_path):
    constants = [("s", real(3)), ("t", real(3, seed=1)), ("m", real(3, seed=2)), ("v", real(3, seed=3) ** 2)]
    whole(
        tmp_path, [N("BatchNormalization", ["x", "s", "t", "m", "v"], ["y"])], {"x": [1, 3, 4, 4]}, constants=constants
    )


def test_a_clip_has_its_own_bounds(tmp_path):
    nodes = [N("Clip", ["x", "lo", "hi"], ["a"]), N("Clip", ["a", "", "top"], ["y"])]
    constants = [("lo", np.float32(-0.5)), ("hi", np.float32(0.25)), ("top", np.float32(0.1))]
    found = whole(tmp_path, nodes, {"x": [1, 64]}, constants=constants)
    assert found.roundings["a"].step == pytest.approx(0.5 / 127)


@pytest.mark.parametrize("op", ["Sub", "Div"])
def test_operands_keep_their_order(tmp_path, op):
    nodes = [
        N(op, ["one", "x"], ["a"]),
        N(op, ["a", "half"], ["b"]),
        N(op, ["x", "b"], ["c"]),
        N(op, ["v", "c"], ["y"]),
    ]
    constants = [("one", np.float32(1)), ("half", np.float32(0.5)), ("v", real(16))]
    whole(tmp_path, nodes, {"x": [2, 16]}, constants=constants)


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("axis", [1, 3, None])
def test_a_softmax_has_its_axis(tmp_path, op, axis, opset):
    node = N(op, ["x"], ["y"], **({} if axis is None else {"axis": axis}))
    save(tmp_path / "m.onnx", [node], {"x": [2, 3, 4, 5]}, opset=opset)
    assert agree(tmp_path / "m.onnx")[1] == ["y"]


@pytest.mark.parametrize("turned", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("added", [(), (5,), (1, 5), (4, 1), (4, 5)])
def test_a_gemm_has_alpha_beta_and_its_transpositions(tmp_path, turned, added):
    first, last = turned
    x = [3, 4] if first else [4, 3]
    constants = [("w", real(*((5, 3) if last else (3, 5)))), ("c", real(*added, seed=1) if added else np.float32(2))]
    node = N("Gemm", ["x", "w", "c"], ["y"], alpha=0.5, beta=-3.0, transA=first, transB=last)
    path = tmp_path / "m.onnx"
    save(path, [node], {"x": x}, constants=constants)
    assert agree(path)[1] == ["y"]


def test_products_of_two_activations_and_transpositions(tmp_path):
    nodes = [
        N("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        N("MatMul", ["x", "t"], ["a"]),
        N("MatMul", ["w", "x"], ["b"]),
        N("MatMul", ["a", "b"], ["y"]),
    ]
    whole(tmp_path, nodes, {"x": [2, 4, 4]}, constants=[("w", real(4, 4))])


@pytest.mark.parametrize("zeros", [(), (7, 130)])
def test_a_product_of_integers_has_zero_points(tmp_path, zeros):
    names = ["x", "w", *(("xz", "wz") if zeros else ())]
    constants = [("w", np.random.default_rng(0).integers(0, 256, (8, 5)).astype(np.uint8))]
    constants += [(name, np.uint8(value)) for name, value in zip(("xz", "wz"), zeros, strict=False)]
    graph = helper.make_graph(
        [N("MatMulInteger", names, ["y"])],
        "g",
        [tensor("x", [3, 8], TensorProto.UINT8)],
        [tensor("y", None, TensorProto.INT32)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    found, compared = agree(tmp_path / "m.onnx")
    assert compared == ["y"]
    assert found.roundings["y"] == (1, 0)


@pytest.mark.parametrize("op", ["ConvInteger", "QLinearConv"])
def test_a_convolution_of_integers_has_zero_points(tmp_path, op):
    draw = np.random.default_rng(0).integers
    constants = [("w", draw(0, 256, (4, 3, 3, 3)).astype(np.uint8)), ("xz", np.uint8(100)), ("wz", np.uint8(130))]
    names = ["x", "w", "xz", "wz"]
    if op == "QLinearConv":
        names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"]
        constants += [("xs", np.float32(0.02)), ("ws", np.float32(0.01)), ("ys", np.float32(0.1))]
        constants += [("yz", np.uint8(50)), ("b", draw(-5000, 5000, 4).astype(np.int32))]
    kind = TensorProto.INT32 if op == "ConvInteger" else TensorProto.UINT8
    graph = helper.make_graph(
        [N(op, names, ["y"], pads=[1, 1, 0, 0])],
        "g",
        [tensor("x", [2, 3, 6, 6], TensorProto.UINT8)],
        [tensor("y", None, kind)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    assert agree(tmp_path / "m.onnx")[1] == ["y"]


def test_quantised_tensors_have_the_graph_s_codes(tmp_path):
    nodes = [
        N("QuantizeLinear", ["x", "s", "z"], ["q"]),
        N("DequantizeLinear", ["q", "s", "z"], ["d"]),
        N("Transpose", ["d"], ["t"], perm=[0, 2, 1]),
        N("DequantizeLinear", ["wq", "s"], ["w"]),
        N("MatMul", ["t", "w"], ["y"]),
    ]
    draw = np.random.default_rng(0).integers
    wq = draw(-127, 128, (6, 5)).astype(np.int8)
    constants = [("s", np.float32(0.0625)), ("z", np.uint8(90)), ("wq", wq)]
    path = tmp_path / "m.onnx"
    save(path, nodes, {"x": [1, 6, 4]}, constants=constants)
    found, compared = agree(path)
    assert {"q", "d", "t", "y"} <= set(compared)
    assert found.roundings["d"] == found.roundings["t"] == (0.0625, 90)
    assert np.array_equal(found.values["d"], found.values["q"])


@pytest.mark.parametrize("counted", [0, 1])
@pytest.mark.parametrize("ceil", [0, 1])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pools_have_their_kind_and_count_padding_as_asked(tmp_path, op, ceil, counted):
    more = {"count_include_pad": counted} if op == "AveragePool" else {}
    node = N(op, ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 1], ceil_mode=ceil, **more)
    whole(tmp_path, [node], {"x": [1, 2, 7, 8]}, opset=19 if op == "AveragePool" else 17)


def test_reductions_and_global_pools(tmp_path):
    nodes = [
        N("GlobalAveragePool", ["x"], ["a"]),
        N("ReduceMean", ["x"], ["b"], axes=[1], keepdims=1),
        N("ReduceMax", ["x"], ["c"], axes=[2, 3], keepdims=1),
        N("Mul", ["a", "c"], ["d"]),
        N("Mul", ["b", "d"], ["y"]),
    ]
    path = tmp_path / "m.onnx"
    save(path, nodes, {"x": [1, 3, 5, 5]})
    assert set(agree(path)[1]) == {"a", "b", "c", "d", "y"}


def test_concatenation_slices_and_reshapes(tmp_path):
    nodes = [
        N("Slice", ["x", "from", "to", "axes", "steps"], ["a"]),
        N("Slice", ["x", "zero", "three", "axes"], ["b"]),
        N("Concat", ["a", "k", "b"], ["c"], axis=2),
        N("Reshape", ["c", "shape"], ["d"]),
        N("Split", ["d"], ["e", "f"], axis=0),
        N("Sub", ["e", "f"], ["y"]),
    ]
    constants = [("from", np.array([6])), ("to", np.array([0])), ("axes", np.array([2])), ("steps", np.array([-2]))]
    constants += [("zero", np.array([0])), ("three", np.array([3])), ("shape", np.array([2, -1])), ("k", real(1, 2, 2))]
    path = tmp_path / "m.onnx"
    save(path, nodes, {"x": [1, 2, 7]}, constants=constants)
    assert set(agree(path)[1]) == {"a", "b", "c", "d", "e", "f", "y"}


def test_indices_look_up_rows_and_integers_keep_their_width(tmp_path):
    nodes = [N("Gather", ["table", "ids"], ["a"]), N("MatMul", ["a", "w"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "g",
        [tensor("ids", [2, 300], TensorProto.INT64)],
        [tensor("y", None)],
        [onnx.numpy_helper.from_array(real(1000, 8), "table"), onnx.numpy_helper.from_array(real(8, 4), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    found, compared = agree(tmp_path / "m.onnx")
    assert compared == ["a", "y"]
    assert 255 < found.values["ids"].max() < 1000


def test_several_images_are_computed_in_turns(tmp_path):
    nodes = [
        N("Conv", ["x", "w", "b"], ["a"]),
        N("Reshape", ["a", "shape"], ["c"]),
        N("Gemm", ["c", "v"], ["y"]),
    ]
    constants = [("w", real(4, 3, 3, 3)), ("b", real(4)), ("shape", np.array([1, -1])), ("v", real(144, 5))]
    path = tmp_path / "m.onnx"
    save(path, nodes, {"x": [1, 3, 8, 8]}, constants=constants)
    _, found, feed = chained(path, batch=3)
    for name in ("a", "c", "y"):
        rows = [truths(path, {"x": feed["x"][i : i + 1]})[name] for i in range(3)]
        ours = found.values[name] * found.roundings[name].step
        assert np.abs(ours - np.concatenate(rows)).max() <= 0.501 * found.roundings[name].step


def test_what_cannot_be_computed_is_refused_by_name_and_synthetic_from_there_on(tmp_path):
    nodes = [
        N("Relu", ["x"], ["a"]),
        N("Strange", ["a"], ["b"], domain="my"),
        N("RandomNormalLike", ["a"], ["r"]),
        N("Add", ["a", "r"], ["y"]),
    ]
    path = tmp_path / "m.onnx"
    save(path, nodes, {"x": [1, 8]}, ("b", "y"))
    result = accelsim.simulate("edge_npu", str(path), operands="chain", check=True)
    note = next(note for note in result.notes if "not known" in note)
    assert "my.Strange" in note
    assert "it draws numbers" in note
    assert "synthetic operands" in note
    _, found, _ = chained(path)
    assert "a" in found.values
    assert "r" not in found.values


def test_an_unsigned_tensor_does_not_swallow_negative_values(tmp_path):
    path = tmp_path / "m.onnx"
    save(path, [N("Neg", ["x"], ["a"]), N("Abs", ["a"], ["y"])], {"x": [1, 64]})
    profile = tmp_path / "p.yaml"
    profile.write_text("layers: {abs1: {input: uint8}}\n")
    network = prepare(load_arch("edge_npu"), load_network(str(path)), None, None, profile)
    found = chain.propagate(network, 0)
    assert "a" not in found.values
    assert any("negative" in note for note in found.notes)


def test_the_report_names_the_rounding_of_each_layer(tmp_path):
    path = tmp_path / "m.onnx"
    save(
        path,
        [N("Relu", ["x"], ["a"]), N("Conv", ["a", "w"], ["y"])],
        {"x": [1, 3, 8, 8]},
        constants=[("w", real(4, 3, 3, 3))],
    )
    result = accelsim.simulate("edge_npu", str(path), operands="chain", check=True)
    _, found, _ = chained(path)
    assert result.layers[1].details["input_step"] == found.roundings["a"].step
    assert any("0.39 % at 8 bits" in note for note in result.notes)
    assert all(layer.checked for layer in result.layers)
    plain = accelsim.simulate("edge_npu", str(path))
    assert "input_step" not in plain.layers[1].details
    assert not any("chained" in note for note in plain.notes)


def test_parts_of_an_operator_are_right_or_refused(tmp_path):
    nodes = [N("Gemm", ["x", "w", "c"], ["y"])]
    path = tmp_path / "m.onnx"
    constants = [("w", real(3, 5)), ("c", real(4, 5))]
    save(path, nodes, {"x": [4, 3]}, constants=constants)
    network, found, _ = chained(path)
    inner = network.layers[0].outputs[0]
    assert len(network.layers) == 2
    assert inner in found.values
    save(
        path,
        [N("Gemm", ["x", "w", "c"], ["y"], alpha=0.5)],
        {"x": [4, 3]},
        constants=[("w", real(3, 5)), ("c", real(4, 5))],
    )
    _, found, _ = chained(path)
    assert inner not in found.values
    assert any("between its 2 parts" in note for note in found.notes)
    assert "y" in found.values


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(
    ("op", "gates", "more"),
    [("LSTM", 4, {}), ("GRU", 3, {}), ("GRU", 3, {"linear_before_reset": 1}), ("RNN", 1, {"activations": ["Relu"]})],
)
def test_recurrent_layers_hand_on_what_the_runtime_computes(tmp_path, op, gates, more, direction):
    d = 2 if direction == "bidirectional" else 1
    more = {key: value * d if key == "activations" else value for key, value in more.items()}
    outputs = ["y", "h", "c"] if op == "LSTM" else ["y", "h"]
    node = N(op, ["x", "w", "r", "b"], outputs, hidden_size=6, direction=direction, **more)
    constants = [("w", real(d, gates * 6, 3)), ("r", real(d, gates * 6, 6)), ("b", real(d, gates * 12))]
    path = tmp_path / "m.onnx"
    save(path, [node], {"x": [5, 2, 3]}, outputs, constants=constants)
    found, compared = agree(path)
    assert compared == outputs
    network, _, _ = chained(path)
    assert set(network.layers[-1].inputs) <= found.values.keys()
    assert not any("not known" in note for note in found.notes)
