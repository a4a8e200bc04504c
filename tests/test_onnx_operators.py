"""ONNX operators: shapes and values against ONNX's own reference, and what is skipped by name."""

# ruff: noqa: E501  (messages are tested whole)

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx_graphs import imported, save, tensor

from accelsim.errors import WorkloadError
from accelsim.workload.onnx import importer
from accelsim.workload.shapes import Conv2d, Linear, Matmul, Pool, Unsupported

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
    conv = importer.load(path).layers[0].shape
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
    pool = importer.load(path).layers[0].shape
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


def test_an_absurd_size_is_skipped_by_name(tmp_path):
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[1, 1], strides=[2**40, 1])
    network = imported(tmp_path, [node], {"x": (1, 1, 4, 4)})
    assert network.layers[0].shape.reason == "stride (1099511627776, 1) is too large"


def test_a_convolution_over_four_dimensions_is_skipped_by_name(tmp_path):
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="c3d")
    network = imported(tmp_path, [node], {"x": (1, 4, *(5,) * 4)}, constants=[("w", np.ones((8, 4, *(3,) * 4), "f"))])
    assert network.layers[0].name == "c3d"
    assert network.layers[0].shape.reason == "convolutions of 4 dimensions are not supported"
    assert network.layers[0].macs == 8 * 81 * 4 * 81  # outputs times taps: what a machine that runs it would do


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
        ((2, 1, 5, 3), (2, 4, 3, 6), Matmul(2, 5, 24, 3)),
        ((5, 3), (4, 3, 6), Matmul(1, 5, 24, 3)),
    ],
)
def test_a_product_of_two_activations_is_a_matmul(tmp_path, left, right, expected):
    network = imported(tmp_path, [helper.make_node("MatMul", ["a", "b"], ["y"])], {"a": left, "b": right})
    assert network.layers[0].shape == expected


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


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ([2, 3], Pool("average", 2, 3, 1, 20, 1, 20)),
        ([-1], Pool("average", 2, 12, 1, 5, 1, 5)),
        ([1], Pool("average", 2, 1, 3, 20, 3, 1)),
        ([0, 1], Pool("average", 1, 1, 6, 20, 6, 1)),
        ([0, 1, 2, 3], Pool("average", 1, 1, 1, 120, 1, 120)),
    ],
)
def test_a_mean_over_neighbouring_dimensions_is_a_pool(tmp_path, axes, shape):
    network = imported(tmp_path, [helper.make_node("ReduceMean", ["x"], ["y"], axes=axes)], {"x": (2, 3, 4, 5)})
    assert [layer.shape for layer in network.layers] == [shape]


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
    assert network.notes == (
        "the graph is fixed at a first dimension of 4, taken as the batch; --dim batch=N says otherwise",
    )
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
        ({"x": ("N", "tokens")}, "input 'x' has a dynamic dimension 'tokens' (number 1); give its size: --dim tokens=N"),
        ({"x": (1, None)}, "input 'x' has a dynamic dimension 'x.1' (number 1); give its size: --dim x.1=N"),
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
        importer.load(path)
