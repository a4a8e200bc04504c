"""ONNX import: totals of real graphs, each operator's shapes against ONNX's own, and what is refused and how."""

# ruff: noqa: E501  (messages are tested whole)

import csv
import os
import pickle
import time
from math import prod
from pathlib import Path

import networkx as nx
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from accelsim.cli.import_ import command
from accelsim.errors import ConfigError, UserError, WorkloadError
from accelsim.spec.yamlfile import parse
from accelsim.workload import onnx_import
from accelsim.workload.load import load_network
from accelsim.workload.onnx_file import light_names, light_path
from accelsim.workload.shapes import Conv2d, Linear, Matmul, Pool, Unsupported
from accelsim.workload.yaml_dump import dump
from accelsim.workload.yaml_network import build

# Parameters without biases and multiply-accumulates of the light graphs of the onnx wheel: counted over the graphs
# with another program when the project began.
LIGHT = {
    "bvlc_alexnet": (60_954_656, 654_560_384),
    "densenet121": (7_894_208, 2_834_161_664),
    "inception_v1": (6_990_272, 1_431_556_352),
    "inception_v2": (11_174_080, 2_018_851_840),
    "resnet50": (25_502_912, 4_089_184_256),
    "shufflenet": (1_365_464, 124_664_528),
    "squeezenet": (1_231_552, 349_151_936),
    "vgg19": (143_652_544, 19_632_062_464),
    "zfnet512": (87_242_528, 1_481_727_008),
}


def tensor(name, dims, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, dims)


def save(path, nodes, inputs, outputs=("y",), constants=(), opset=17, **more):
    """Write a model of the nodes; constants are (name, array)."""
    graph = helper.make_graph(
        nodes,
        "g",
        [tensor(name, dims) for name, dims in inputs.items()],
        [tensor(name, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants],
        **more,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("my", 1)])
    model.ir_version = 8
    onnx.save(model, path)
    return model


def imported(tmp_path, nodes, inputs, **more):
    path = tmp_path / "m.onnx"
    save(path, nodes, inputs, **more)
    return onnx_import.load(path)


@pytest.fixture(scope="module")
def light():
    return {name: load_network(f"onnx:{name}") for name in LIGHT}


@pytest.mark.parametrize("name", LIGHT)
def test_totals_of_the_light_graphs_are_the_known_ones(light, name):
    assert (light[name].filter_params, light[name].macs) == LIGHT[name]


def test_the_known_totals_are_those_of_the_table():
    folder = os.environ.get("ACCELSIM_DATA")
    if not folder:
        pytest.skip("ACCELSIM_DATA does not name a folder with the layer tables")
    with (Path(folder) / "layers" / "onnx_light_totals.csv").open() as stream:
        rows = {row["model"]: (int(row["params"]), int(row["macs"])) for row in csv.DictReader(stream)}
    assert rows == {f"light_{name}.onnx": totals for name, totals in LIGHT.items()}


def counted(path):
    """Count filter elements, biases and multiply-accumulates over the protocol buffer alone."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    graph = model.graph
    dims = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*graph.input, *graph.value_info, *graph.output)
    }
    filters = biases = macs = 0
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        weight = dims[node.input[1]]
        filters += prod(weight)
        biases += prod(dims[node.input[2]]) if len(node.input) > 2 else 0
        per_output = prod(weight[1:])  # every output of a filter takes all of the filter; Gemm here has transB
        macs += prod(dims[node.output[0]]) * per_output
    return filters, filters + biases, macs


@pytest.mark.parametrize("name", LIGHT)
def test_totals_agree_with_a_count_over_the_protocol_buffer(light, name):
    network = light[name]
    assert (network.filter_params, network.params, network.macs) == counted(light_path(f"onnx:{name}"))


def test_the_wheel_has_the_nine_graphs():
    assert light_names() == sorted(f"onnx:{name}" for name in LIGHT)


def test_every_tensor_has_the_shape_that_onnx_infers(light):
    for name, network in light.items():
        graph = onnx.shape_inference.infer_shapes(onnx.load(light_path(f"onnx:{name}"))).graph
        for value in (*graph.value_info, *graph.output):
            if value.name in network.tensors and not network.tensors[value.name].weight:
                dims = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
                assert network.tensors[value.name].shape == dims, (name, value.name)


def test_work_on_constants_is_folded_away(light):
    """DenseNet-121 has 836 ConstantOfShape nodes and 242 Unsqueeze nodes of constants among its 1,746."""
    assert len(light["densenet121"].layers) == 1746 - 836 - 242
    assert not any(layer.kind == "unsupported" for network in light.values() for layer in network.layers)


def test_resnet50_is_one_connected_graph_without_cycles(light):
    graph = light["resnet50"].graph()
    assert len(graph) == len(light["resnet50"].layers)
    assert nx.is_weakly_connected(graph)
    assert nx.is_directed_acyclic_graph(graph)
    sums = [layer.name for layer in light["resnet50"].layers if getattr(layer.shape, "op", "") == "sum"]
    assert len(sums) == 16
    assert all(graph.in_degree(name) == 2 for name in sums)


def test_shufflenet_moves_its_channels_with_copies(light):
    copies = [layer for layer in light["shufflenet"].layers if getattr(layer.shape, "op", "") == "copy"]
    assert len(copies) == 16


def test_layers_are_called_after_their_filters_where_the_nodes_have_no_names(light):
    names = [layer.name for layer in light["bvlc_alexnet"].layers]
    assert [n for n in names if n.startswith(("conv", "fc"))] == [
        "conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"
    ]  # fmt: skip
    assert light["resnet50"].layers[4].name == "res2_0_branch2a"


def test_fills_are_no_values_and_the_network_says_so(light):
    network = light["vgg19"]
    assert "conv1_1_w_0" not in network.values  # 64 x 3 x 3 x 3, made by ConstantOfShape
    assert network.values["conv1_1_b_0"].shape == (64,)  # an initialiser of the file
    assert network.notes == (
        "36 constants of the graph are fills (ConstantOfShape): their shapes count, their values say nothing about "
        "sparsity",
    )


@pytest.mark.parametrize("name", LIGHT)
def test_an_imported_graph_written_as_yaml_loads_as_an_equal_network(light, name):
    assert build(parse(dump(light[name]), "dump")) == light[name]


def test_densenet_takes_seconds_at_most():
    start = time.process_time()
    load_network("onnx:densenet121")
    assert time.process_time() - start < 5


@pytest.mark.parametrize(("name", "batch"), [("resnet50", 4), ("shufflenet", 3)])
def test_a_batch_multiplies_work_and_leaves_weights(light, name, batch):
    network = load_network(f"onnx:{name}", batch=batch)
    assert (network.batch, network.macs, network.params) == (batch, batch * light[name].macs, light[name].params)
    assert network.batched(1) == light[name]


WINDOWS = [
    {"strides": [2, 3], "pads": [1, 0, 2, 3]},
    {"dilations": [2, 1], "group": 2, "pads": [0, 2, 0, 1]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"auto_pad": "SAME_LOWER", "strides": [3, 2], "dilations": [1, 2]},
    {"auto_pad": "VALID", "strides": [1, 4]},
]


@pytest.mark.parametrize("attributes", WINDOWS)
def test_a_convolution_has_the_output_that_onnx_computes(tmp_path, attributes):
    rng = np.random.default_rng(0)
    x, w = rng.integers(-4, 5, (2, 4, 11, 9)), rng.integers(-4, 5, (6, 4 // attributes.get("group", 1), 3, 2))
    x, w = x.astype(np.float32), w.astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], **attributes)]
    path = tmp_path / "m.onnx"
    save(path, nodes, {"x": x.shape}, constants=[("w", w)])
    conv = onnx_import.load(path).layers[0].shape
    (expected,) = ReferenceEvaluator(str(path)).run(None, {"x": x})
    assert isinstance(conv, Conv2d)
    assert conv.output_shape == expected.shape
    assert np.array_equal(direct(conv, x, w), expected)


def direct(conv, x, w):
    """Convolve by the definition, one output at a time."""
    top, left, bottom, right = conv.pad
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    out = np.zeros(conv.output_shape)
    cg, kg = conv.c // conv.groups, conv.k // conv.groups
    for k, e, f in np.ndindex(conv.k, conv.e, conv.f):
        rows = e * conv.stride[0] + conv.dilation[0] * np.arange(conv.r)
        cols = f * conv.stride[1] + conv.dilation[1] * np.arange(conv.s)
        group = k // kg
        part = x[:, group * cg : (group + 1) * cg][:, :, rows][:, :, :, cols]
        out[:, k, e, f] = (part * w[k]).sum(axis=(1, 2, 3))
    return out


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 0, 1]}),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
        ("MaxPool", {"kernel_shape": [2, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ("AveragePool", {"kernel_shape": [3, 3], "strides": [3, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
        ("GlobalAveragePool", {}),
        ("GlobalMaxPool", {}),
    ],
)
def test_a_pool_has_the_output_that_onnx_computes(tmp_path, op, attributes):
    path = tmp_path / "m.onnx"
    save(path, [helper.make_node(op, ["x"], ["y"], **attributes)], {"x": (2, 3, 10, 8)})
    pool = onnx_import.load(path).layers[0].shape
    (expected,) = ReferenceEvaluator(str(path)).run(None, {"x": np.ones((2, 3, 10, 8), np.float32)})
    assert isinstance(pool, Pool)
    assert pool.output_shape == expected.shape
    assert pool.count_pad == bool(attributes.get("count_include_pad"))


def test_work_whose_size_onnx_sees_differently_is_skipped_with_both_sizes(tmp_path):
    """The operator's text drops a window that starts behind the image; ONNX's own shape inference keeps it."""
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[1, 1], strides=[2, 2], ceil_mode=1)
    network = imported(tmp_path, [node], {"x": (1, 1, 4, 4)}, opset=12)
    assert network.layers[0].shape.reason == "its output would be [1, 1, 2, 2] where ONNX infers [1, 1, 3, 3]"


def test_a_convolution_over_one_dimension_works_on_images_of_one_row(tmp_path):
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2], pads=[1, 2])
    network = imported(tmp_path, [node], {"x": (1, 4, 16)}, constants=[("w", np.ones((8, 4, 3), np.float32))])
    assert network.layers[0].shape == Conv2d(1, 4, 8, 1, 16, 1, 3, 1, (1, 2), (0, 1, 0, 2))
    assert network.tensors["y"].shape == (1, 8, 9)


def test_a_convolution_over_three_dimensions_is_skipped_by_name(tmp_path):
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="c3d")
    network = imported(tmp_path, [node], {"x": (1, 4, 5, 5, 5)}, constants=[("w", np.ones((8, 4, 3, 3, 3), "f"))])
    assert network.layers[0].name == "c3d"
    assert network.layers[0].shape.reason == "convolutions of 3 dimensions are not supported"
    assert network.layers[0].macs == 0


def values_of(network, layer):
    return network.values[network.layers[layer].weights[0]]


@pytest.mark.parametrize("turned", [0, 1])
def test_gemm_weights_come_as_outputs_by_inputs(tmp_path, turned):
    w = np.arange(12, dtype=np.float32).reshape((4, 3) if turned else (3, 4))
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=turned)
    network = imported(tmp_path, [node], {"x": (2, 3)}, constants=[("w", w), ("b", np.ones(4, "f"))])
    assert network.layers[0].shape == Linear(2, 3, 4)
    assert network.params == 16
    x = np.array([[1, 2, 3], [4, 5, 7]], np.float32)
    assert np.array_equal(x @ values_of(network, 0).T, x @ (w.T if turned else w))


def test_a_matmul_with_a_constant_matrix_is_linear_and_keeps_its_values(tmp_path):
    w = np.arange(15, dtype=np.float32).reshape(3, 5)
    network = imported(
        tmp_path, [helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": (2, 7, 3)}, constants=[("w", w)]
    )
    assert network.layers[0].shape == Linear(14, 3, 5)
    assert network.tensors["x"].shape == (2, 7, 3)
    assert np.array_equal(values_of(network, 0), w.T)


def test_a_constant_matrix_on_the_left_is_a_convolution_over_columns(tmp_path):
    w = np.arange(12, dtype=np.float32).reshape(4, 3)
    network = imported(
        tmp_path, [helper.make_node("MatMul", ["w", "x"], ["y"])], {"x": (2, 3, 6)}, constants=[("w", w)]
    )
    assert network.layers[0].shape == Conv2d(2, 3, 4, 1, 6, 1, 1)
    x = np.arange(36, dtype=np.float32).reshape(2, 3, 6)
    got = direct(network.layers[0].shape, x.reshape(2, 3, 1, 6), values_of(network, 0)).reshape(2, 4, 6)
    assert np.array_equal(got, w @ x)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ((2, 4, 5, 3), (2, 4, 3, 6), Matmul(8, 5, 6, 3)),
        ((5, 3), (3, 6), Matmul(1, 5, 6, 3)),
        ((2, 5, 3), (3, 6), Matmul(1, 10, 6, 3)),
        ((2, 1, 5, 3), (2, 4, 3, 6), None),
    ],
)
def test_a_product_of_two_activations_is_a_matmul(tmp_path, left, right, expected):
    network = imported(tmp_path, [helper.make_node("MatMul", ["a", "b"], ["y"])], {"a": left, "b": right})
    shape = network.layers[0].shape
    if expected is None:
        assert shape.reason == "it broadcasts one operand over the matrices of the other"
    else:
        assert shape == expected


def test_one_constant_in_two_layouts_becomes_two_tensors(tmp_path):
    w = np.arange(9, dtype=np.float32).reshape(3, 3)
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["t"], transB=1),
        helper.make_node("MatMul", ["t", "w"], ["y"], name="last"),
    ]
    network = imported(tmp_path, nodes, {"x": (1, 3)}, constants=[("w", w)])
    assert [layer.weights for layer in network.layers] == [("w",), ("last.w",)]
    assert np.array_equal(network.values["last.w"], network.values["w"].T)


def test_views_join_and_split_without_work(tmp_path):
    nodes = [
        helper.make_node("Split", ["x", "sizes"], ["a", "b"], axis=1),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Concat", ["c", "a"], ["y"], axis=-1),
    ]
    network = imported(tmp_path, nodes, {"x": (2, 5)}, constants=[("sizes", np.array([2, 3]))])
    first, second, _, joined = (layer.shape for layer in network.layers)
    assert (first.op, first.shape, first.start) == ("slice", (2, 2), 0)
    assert (second.op, second.shape, second.start) == ("slice", (2, 3), 2)
    assert (joined.op, joined.inputs, joined.axis) == ("concat", ((2, 3), (2, 2)), 1)
    assert network.inputs == ("x",)


def test_a_constant_that_is_joined_to_activations_grows_with_the_batch(tmp_path):
    nodes = [helper.make_node("Concat", ["cls", "x"], ["y"], axis=1)]
    network = imported(tmp_path, nodes, {"x": ("N", 7, 4)}, constants=[("cls", np.ones((1, 1, 4), "f"))])
    assert network.batched(3).tensors["y"].shape == (3, 8, 4)
    assert network.batched(3).layers[0].shape.inputs == ((3, 1, 4), (3, 7, 4))


def test_elementwise_operators_read_broadcast_activations_and_larger_constants(tmp_path):
    nodes = [
        helper.make_node("Mul", ["x", "gate"], ["a"]),
        helper.make_node("Add", ["a", "shift"], ["b"]),
        helper.make_node("Clip", ["b", "zero", "six"], ["c"]),
        helper.make_node("Mul", ["c", "six"], ["d"]),
        helper.make_node("Transpose", ["d"], ["y"], perm=[0, 2, 3, 1]),
    ]
    constants = [("shift", np.ones((4, 1, 1), "f")), ("zero", np.float32(0)), ("six", np.float32(6))]
    network = imported(tmp_path, nodes, {"x": (1, 4, 3, 3), "gate": (1, 4, 1, 1)}, constants=constants)
    gated, shifted, clipped, multiplied, moved = network.layers
    assert gated.shape.inputs == ((1, 4, 3, 3), (1, 4, 1, 1))
    assert (shifted.inputs, shifted.weights) == (("a",), ("shift",))
    assert (clipped.inputs, clipped.weights) == (("b",), ())
    assert (multiplied.inputs, multiplied.weights) == (("c",), ())
    assert (moved.kind, moved.shape.op, moved.shape.shape) == ("elementwise", "copy", (1, 3, 3, 4))
    assert network.params == 0


@pytest.mark.parametrize(("opset", "axis", "length"), [(9, 1, 12), (13, 1, 3), (13, -1, 4)])
def test_softmax_follows_the_operator_set(tmp_path, opset, axis, length):
    network = imported(tmp_path, [helper.make_node("Softmax", ["x"], ["y"], axis=axis)], {"x": (2, 3, 4)}, opset=opset)
    assert network.layers[0].shape.length == length


@pytest.mark.parametrize(("axes", "reason"), [([2, 3], None), ([-1], None), ([1], "not"), ([0, 1, 2, 3], "not")])
def test_a_mean_over_the_last_dimensions_is_a_pool(tmp_path, axes, reason):
    network = imported(tmp_path, [helper.make_node("ReduceMean", ["x"], ["y"], axes=axes)], {"x": (2, 3, 4, 5)})
    shape = network.layers[0].shape
    if reason:
        assert shape.reason == "it reduces over other dimensions than the last ones"
    else:
        assert (shape.kind, shape.op) == ("pool", "average")
        assert shape.r * shape.s == prod((2, 3, 4, 5)[axis] for axis in axes)
        assert prod(shape.output_shape) == 120 // prod((2, 3, 4, 5)[axis] for axis in axes)


def test_shape_arithmetic_is_folded_and_a_symbolic_batch_is_one_image(tmp_path):
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "first"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "axis"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    constants = [
        ("first", np.int64(0)), ("axis", np.array([0])), ("rest", np.array([-1])), ("w", np.ones((48, 5), "f"))
    ]  # fmt: skip
    network = imported(tmp_path, nodes, {"x": ("batch", 3, 4, 4)}, constants=constants)
    assert [layer.kind for layer in network.layers] == ["view", "linear"]
    assert (network.batch, network.macs) == (1, 240)
    assert network.batched(8).tensors["y"].shape == (8, 5)


def test_a_fixed_batch_is_rescaled_both_ways(tmp_path):
    nodes = [
        helper.make_node("Reshape", ["x", "to"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["y"]),
    ]
    constants = [("to", np.array([4, 6])), ("w", np.ones((6, 5), "f"))]
    network = imported(tmp_path, nodes, {"x": (4, 2, 3)}, constants=constants)
    assert (network.batch, network.macs) == (4, 120)
    assert network.notes == ("the graph is fixed at a first dimension of 4, taken as the batch",)
    assert network.batched(1).macs == 30
    assert network.batched(12).batched(4) == network


def test_an_unknown_operator_is_a_named_skip_and_what_follows_it_too(tmp_path):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Fourier", ["a"], ["b"], domain="my", name="fft"),
        helper.make_node("Relu", ["b"], ["y"], name="after"),
    ]
    network = imported(tmp_path, nodes, {"x": (1, 4)})
    relu, fourier, after = network.layers
    assert relu.kind == "elementwise"
    assert fourier.shape == Unsupported("my.Fourier", "the operator my.Fourier is not supported", ((1, 4),), (0,))
    assert after.shape.reason == "it comes after an unsupported operator, its shapes are unknown"


def test_declared_shapes_help_behind_an_unknown_operator(tmp_path):
    nodes = [
        helper.make_node("Fourier", ["x"], ["b"], domain="my"),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    network = imported(tmp_path, nodes, {"x": ("N", 4)}, value_info=[tensor("b", ("N", 7))])
    assert [layer.kind for layer in network.layers] == ["unsupported", "elementwise"]
    assert network.tensors["y"].shape == (1, 7)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": ("N", "tokens")}, "input 'x' has a dynamic dimension 'tokens' (number 1); export the model with fixed sizes; only the first dimension, the batch, may be symbolic"),
        ({"x": (1, None)}, "input 'x' has a dynamic dimension (number 1); export the model with fixed sizes; only the first dimension, the batch, may be symbolic"),
        ({"x": None}, "input 'x' is no tensor of known rank; export with the shape of the input"),
    ],
)  # fmt: skip
def test_dynamic_dimensions_besides_the_batch_are_refused(tmp_path, inputs, message):
    with pytest.raises(WorkloadError) as caught:
        imported(tmp_path, [helper.make_node("Relu", ["x"], ["y"])], inputs)
    assert str(caught.value) == f"{tmp_path / 'm.onnx'}: {message}"


def test_a_shape_that_depends_on_data_is_refused(tmp_path):
    nodes = [helper.make_node("Reshape", ["x", "to"], ["a"]), helper.make_node("Relu", ["a"], ["y"], name="r")]
    path = tmp_path / "m.onnx"
    graph = helper.make_graph(
        nodes, "g", [tensor("x", (4,)), tensor("to", (2,), TensorProto.INT64)], [tensor("y", None)]
    )
    onnx.save(helper.make_model(graph), path)
    with pytest.raises(WorkloadError, match=r"the shape of tensor 'a' at operator 'a' \(Reshape\) cannot be inferred"):
        onnx_import.load(path)


def with_external(path, location, data=None, offset=0, length=None):
    w = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(3, 4), "w")
    w.ClearField("raw_data")
    w.data_location = TensorProto.EXTERNAL
    entries = {"location": location, "offset": offset, "length": 48 if length is None else length}
    for key, value in entries.items():
        w.external_data.add(key=key, value=str(value))
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", [tensor("x", (1, 3))], [tensor("y", None)], [w])
    path.write_bytes(helper.make_model(graph).SerializeToString())
    if data is not None:
        (path.parent / location).write_bytes(data)
    return path


def test_weights_beside_the_model_are_read_when_asked_for(tmp_path):
    expected = np.arange(12, dtype=np.float32).reshape(3, 4)
    path = with_external(tmp_path / "m.onnx", "w.bin", b"skip" + expected.tobytes(), offset=4)
    network = onnx_import.load(path)
    assert np.array_equal(values_of(network, 0), expected.T)
    again = pickle.loads(pickle.dumps(network))
    assert again == network
    assert np.array_equal(values_of(again, 0), expected.T)


def test_a_small_constant_beside_the_model_takes_part_in_shape_inference(tmp_path):
    to = numpy_helper.from_array(np.array([2, 6]), "to")
    (tmp_path / "to.bin").write_bytes(to.raw_data)
    to.ClearField("raw_data")
    to.data_location = TensorProto.EXTERNAL
    to.external_data.add(key="location", value="to.bin")
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "to"], ["y"])], "g", [tensor("x", (4, 3))], [tensor("y", None)], [to]
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert onnx_import.load(path).tensors["y"].shape == (2, 6)


@pytest.mark.parametrize(
    ("location", "data", "message"),
    [
        ("w.bin", None, "tensor 'w' is kept in 'w.bin', which is missing; put it beside the model"),
        ("w.bin", b"short", "tensor 'w' ends behind the end of 'w.bin'; copy the whole file"),
        ("../w.bin", b"x" * 48, "tensor 'w' is kept in '../w.bin', outside the model's folder; put the file beside the model"),
        ("/etc/hostname", None, "tensor 'w' is kept in '/etc/hostname', outside the model's folder; put the file beside the model"),
    ],
)  # fmt: skip
def test_weights_elsewhere_or_missing_are_refused(tmp_path, location, data, message):
    folder = tmp_path / "inner"
    folder.mkdir()
    path = with_external(folder / "m.onnx", location, data)
    with pytest.raises(WorkloadError) as caught:
        onnx_import.load(path, "m.onnx")
    assert str(caught.value) == f"m.onnx: {message}"


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(b"x" * 48)
    folder = tmp_path / "inner"
    folder.mkdir()
    (folder / "w.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(WorkloadError, match="outside the model's folder"):
        onnx_import.load(with_external(folder / "m.onnx", "w.bin"))


@pytest.mark.parametrize("content", [b"", b"hello, I am text", b"\x00" * 100, b"\xff" * 100])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        onnx_import.load(path, "m.onnx")
    assert str(caught.value) == "m.onnx: not an ONNX model; give a file that an ONNX exporter wrote"


def test_another_protocol_buffer_is_refused(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(numpy_helper.from_array(np.ones((2, 2)), "t").SerializeToString())
    with pytest.raises(ConfigError, match="not an ONNX model"):
        onnx_import.load(path)


def test_a_file_too_large_to_parse_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "m.onnx"
    with path.open("wb") as stream:
        stream.truncate(2**31)
    with pytest.raises(ConfigError, match="larger than 2 GiB; export it with the weights in a file of their own"):
        onnx_import.load(path)


def test_damaged_models_end_in_one_line_or_in_a_network(tmp_path):
    data = light_path("onnx:bvlc_alexnet").read_bytes()
    rng = np.random.default_rng(7)
    path, messages = tmp_path / "m.onnx", []
    for _ in range(150):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            onnx_import.load(path)
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert not any("\n" in message for message in messages)


def test_import_writes_a_network_that_loads_equal(tmp_path, light):
    out = tmp_path / "net.yaml"
    done = CliRunner().invoke(command, ["onnx:squeezenet", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "66 layers" in done.output
    assert "1.24 M params" in done.output
    assert load_network(str(out)) == light["squeezenet"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.yaml"]


def test_import_does_not_replace_a_file_unasked(tmp_path):
    out = tmp_path / "net.yaml"
    out.write_text("mine")
    done = CliRunner().invoke(command, ["onnx:squeezenet", "-o", str(out)])
    assert str(done.exception) == f"{out}: the file exists; choose another name or add --force"
    assert out.read_text() == "mine"


def test_a_failed_import_leaves_no_file(tmp_path):
    done = CliRunner().invoke(command, ["onnx:resnet5", "-o", str(tmp_path / "net.yaml")])
    assert isinstance(done.exception, ConfigError)
    assert list(tmp_path.iterdir()) == []
