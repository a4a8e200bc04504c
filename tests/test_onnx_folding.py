"""Shapes that follow from constants, and control flow whose course is known."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_graphs import imported, tensor

import accelsim
from accelsim.errors import WorkloadError
from accelsim.workload.onnx import folding, importer
from accelsim.workload.onnx import graph as onnx_graph


def n(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def whole(*values):
    return np.array(values, np.int64)


def third(op="Div"):
    """A slice whose end is a third of a width, plus a division that ONNX's inference does not follow."""
    return [
        n("MatMul", ["x", "w"], ["q"]),
        n("Shape", ["q"], ["s"]),
        n("Gather", ["s", "two"], ["d"], axis=0),
        n(op, ["d", "three"], ["end"]),
        n("Slice", ["q", "zero", "end", "two"], ["k"]),
        n("MatMul", ["k", "v"], ["y"]),
    ]


NUMBERS = [("two", whole(2)), ("three", whole(3)), ("zero", whole(0)), ("w", np.ones((64, 192), "f")),
           ("v", np.ones((64, 32), "f"))]  # fmt: skip


def test_a_slice_that_ends_where_constants_say_has_a_shape(tmp_path):
    network = imported(tmp_path, third(), {"x": (1, 12, 64)}, constants=NUMBERS)
    assert network.tensors["k"].shape == (1, 12, 64)
    assert network.macs == 12 * 64 * 192 + 12 * 64 * 32
    note = "3 operators were computed from constants, for shapes and settings: 1 Div, 1 Gather, 1 Shape"
    assert network.notes == (note,)


def test_shapes_follow_the_sizes_that_are_given(tmp_path):
    nodes = [
        n("Shape", ["x"], ["s"]),
        n("Gather", ["s", "one"], ["d"], axis=0),
        n("Range", ["none", "d", "step"], ["places"]),
        n("Cast", ["places"], ["reals"], to=TensorProto.FLOAT),
        n("Add", ["x", "reals"], ["y"]),
    ]
    constants = [("one", np.array(1)), ("none", np.array(0)), ("step", np.array(1))]
    path = tmp_path / "m.onnx"
    imported(tmp_path, nodes, {"x": (1, 5)}, constants=constants)
    model = onnx.load(path)
    model.graph.input[0].CopyFrom(tensor("x", ("batch", "width")))
    onnx.save(model, path)
    network = accelsim.load_network(str(path), dims={"width": 9})
    assert network.tensors["y"].shape == (1, 9)
    assert network.tensors["reals"].weight


def test_a_large_constant_is_never_computed(tmp_path):
    nodes = [
        n("ConstantOfShape", ["big"], ["ones"]),
        n("Trilu", ["ones"], ["mask"]),
        n("Add", ["x", "mask"], ["y"]),
        *third()[:0],
    ]
    network = imported(tmp_path, nodes, {"x": (1, 2000, 2000)}, constants=[("big", whole(2000, 2000))])
    assert network.tensors["mask"].shape == (2000, 2000)
    assert "mask" not in network.values
    assert not any("computed" in note for note in network.notes)


def test_a_value_that_follows_from_a_large_constant_is_not_known(tmp_path, monkeypatch):
    computed, evaluate = [], folding.evaluated
    monkeypatch.setattr(folding, "evaluated", lambda node, *more: computed.append(node.op) or evaluate(node, *more))
    one = helper.make_tensor("value", TensorProto.INT64, [1], [1])
    nodes = [
        n("ConstantOfShape", ["big"], ["ones"], value=one),
        n("ReduceMax", ["ones"], ["most"], keepdims=0),
        n("Unsqueeze", ["most", "zero"], ["to"]),
        n("Slice", ["x", "zero", "to", "zero"], ["y"]),
    ]
    with pytest.raises(WorkloadError, match="cannot be inferred"):
        imported(tmp_path, nodes, {"x": (4, 3)}, constants=[("big", whole(100, 100)), ("zero", whole(0))])
    assert computed == []
    network = imported(tmp_path, nodes, {"x": (4, 3)}, constants=[("big", whole(10, 10)), ("zero", whole(0))])
    assert network.tensors["y"].shape == (1, 3)


@pytest.mark.parametrize("opset", [12, 17])
def test_the_branch_of_a_known_condition_stands_in_its_place(tmp_path, opset):
    def body(name, op):
        constant = numpy_helper.from_array(np.ones((1, 6), "f"), "c")
        nodes = [n(op, ["x", "c"], ["inner"], name="work"), n("Relu", ["inner"], [f"{name}.out"])]
        return helper.make_graph(nodes, name, [], [tensor(f"{name}.out", None)], [constant])

    nodes = [
        n("Shape", ["x"], ["s"]),
        n("Gather", ["s", "one"], ["d"], axis=0),
        n("Equal", ["d", "six"], ["holds"]),
        helper.make_node("If", ["holds"], ["y"], name="if", then_branch=body("a", "Add"), else_branch=body("b", "Mul")),
    ]
    constants = [("one", np.array(1)), ("six", np.array(6))]
    then = imported(tmp_path, nodes, {"x": (1, 6)}, constants=constants, opset=opset)
    assert [layer.shape.op for layer in then.layers] == ["add", "relu"]
    assert (then.layers[0].name, then.layers[-1].outputs) == ("if/work", ("y",))
    otherwise = imported(tmp_path, nodes, {"x": (1, 6)}, constants=[constants[0], ("six", np.array(7))], opset=opset)
    assert [layer.shape.op for layer in otherwise.layers] == ["mul", "relu"]


def test_a_condition_of_the_input_leaves_one_unsupported_layer(tmp_path):
    branch = helper.make_graph([n("Relu", ["x"], ["o"])], "b", [], [tensor("o", None)])
    nodes = [
        n("ReduceSum", ["x"], ["sum"], keepdims=0),
        n("Cast", ["sum"], ["holds"], to=TensorProto.BOOL),
        n("If", ["holds"], ["y"], then_branch=branch, else_branch=branch),
    ]
    network = imported(tmp_path, nodes, {"x": (1, 6)})
    assert [layer.kind for layer in network.layers] == ["pool", "elementwise", "unsupported"]


def loop(count, condition=None, node_name="loop"):
    """A loop that multiplies its state by a matrix and gives each state besides."""
    nodes = [
        n("MatMul", ["state", "w"], ["next"], name="product"),
        n("Identity", ["next"], ["seen"]),
        n("Identity", ["go"], ["on"]) if condition is None else n("Not", ["go"], ["on"]),
    ]
    inputs = [tensor("i", (), TensorProto.INT64), tensor("go", (), TensorProto.BOOL), tensor("state", (2, 3))]
    outputs = [tensor("on", (), TensorProto.BOOL), tensor("next", (2, 3)), tensor("seen", (2, 3))]
    body = helper.make_graph(nodes, "body", inputs, outputs)
    return helper.make_node("Loop", ["count", "", "x"], ["last", "all"], name=node_name, body=body)


@pytest.mark.parametrize("opset", [11, 17])
def test_a_loop_of_known_length_is_unrolled(tmp_path, opset):
    constants = [("count", np.array(4)), ("w", np.ones((3, 3), "f"))]
    network = imported(tmp_path, [loop(4)], {"x": (2, 3)}, constants=constants, outputs=("last", "all"), opset=opset)
    assert network.macs == 4 * 2 * 9
    assert network.params == 9
    assert (network.tensors["last"].shape, network.tensors["all"].shape) == ((2, 3), (4, 2, 3))
    assert "unsupported" not in {layer.kind for layer in network.layers}


@pytest.mark.parametrize("given", ["condition", "turns", "length"])
def test_a_loop_whose_end_is_not_known_or_far_stays_unsupported(tmp_path, monkeypatch, given):
    monkeypatch.setattr(onnx_graph, "MAX_TURNS", 3 if given == "turns" else 1024)
    constants = [("w", np.ones((3, 3), "f")), *([] if given == "length" else [("count", np.array(4))])]
    inputs = {"x": (2, 3), **({"count": ()} if given == "length" else {})}
    it = loop(4, "other" if given == "condition" else None)
    network = imported(tmp_path, [it], inputs, constants=constants, outputs=("last", "all"))
    assert [layer.kind for layer in network.layers] == ["unsupported"]


def test_a_scan_of_known_length_is_unrolled(tmp_path):
    nodes = [n("Add", ["state", "row"], ["next"], name="sum"), n("Identity", ["next"], ["seen"])]
    body = helper.make_graph(nodes, "body", [tensor("state", (3,)), tensor("row", (3,))],
                             [tensor("next", (3,)), tensor("seen", (3,))])  # fmt: skip
    it = helper.make_node("Scan", ["start", "x"], ["last", "all"], name="scan", body=body, num_scan_inputs=1)
    network = imported(
        tmp_path, [it], {"x": (5, 3)}, constants=[("start", np.zeros(3, "f"))], outputs=("last", "all"), opset=17
    )
    assert sum(layer.kind == "elementwise" for layer in network.layers) == 5
    assert network.tensors["all"].shape == (5, 3)


def test_a_value_that_decides_a_shape_and_comes_from_outside_is_asked_for(tmp_path):
    nodes = [n("Cast", ["e"], ["to"], to=TensorProto.INT64), n("Reshape", ["x", "to"], ["y"])]
    with pytest.raises(WorkloadError, match="what decides its shape as a constant"):
        imported(tmp_path, nodes, {"x": (1, 6), "e": (2,)})


def test_a_value_that_cannot_be_computed_is_not_known(tmp_path):
    nodes = [n("Shape", ["x"], ["s"]), n("Gather", ["s", "far"], ["bad"]), n("Reshape", ["x", "bad"], ["y"])]
    with pytest.raises(WorkloadError, match="cannot be inferred"):
        imported(tmp_path, nodes, {"x": (1, 12)}, constants=[("far", whole(99))])


@pytest.mark.parametrize("name", ["onnx:resnet50", "onnx:squeezenet"])
def test_graphs_whose_shapes_onnx_infers_load_no_evaluator(name):
    script = (
        f"import sys, accelsim; accelsim.load_network({name!r}); "
        "sys.exit(any(module.startswith(('onnx.reference', 'onnxruntime')) for module in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_an_integer_tensor_keeps_its_width(tmp_path):
    path = tmp_path / "m.onnx"
    inputs = [tensor("ids", (1, 4), TensorProto.INT64), tensor("small", (1, 4), TensorProto.INT32)]
    nodes = [n("Cast", ["ids"], ["a"], to=TensorProto.INT32), n("Add", ["a", "small"], ["y"])]
    graph = helper.make_graph(nodes, "g", inputs, [tensor("y", None, TensorProto.INT32)])
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    network = importer.load(path)
    assert {name: t.bits for name, t in network.tensors.items()} == dict.fromkeys(("ids", "a", "small", "y"), 32)


def test_a_bias_of_32_bits_runs_on_a_machine_of_8(tmp_path):
    path = tmp_path / "m.onnx"
    stored = {
        "xs": np.float32(0.02), "xz": np.uint8(128), "ws": np.float32(0.01), "wz": np.int8(0), "ys": np.float32(0.05),
        "yz": np.uint8(128), "w": np.ones((4, 3, 3, 3), np.int8), "b": np.array([40000, -70000, 5, 123456], np.int32),
    }  # fmt: skip
    node = n("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["y"])
    graph = helper.make_graph([node], "g", [tensor("x", (1, 3, 8, 8), TensorProto.UINT8)],
                              [tensor("y", None, TensorProto.UINT8)],
                              [numpy_helper.from_array(np.asarray(v), k) for k, v in stored.items()])  # fmt: skip
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    for machine in ("edge_npu", "bitfusion", "systolic_ws"):
        result = accelsim.simulate(machine, str(path), check=True)
        assert (result.complete, result.macs, result.layers[0].bits["weight"]) == (True, 4 * 27 * 36, 8)
    assert accelsim.load_network(str(path)).tensors["b"].bits == 32


def test_what_is_not_supported_is_listed_by_operator(tmp_path):
    nodes = [
        n("GridSample", ["x", "grid"], ["a"]),
        n("GridSample", ["a", "grid"], ["b"]),
        n("Fourier", ["b"], ["y"], domain="my"),
    ]
    network = imported(tmp_path, nodes, {"x": (1, 2, 4, 4), "grid": (1, 4, 4, 2)}, opset=20)
    assert network.notes[-1] == (
        "not supported: 2 GridSample (0 MACs, at least 192 elements read and written); "
        "1 my.Fourier (MACs unknown, at least 32 elements read and written)"
    )


def test_chained_values_follow_a_slice_and_name_a_view_that_does_not_say_what_it_takes(tmp_path):
    nodes = [n("Relu", ["x"], ["a"]), n("Split", ["a", "parts"], ["b", "y"], axis=1), n("Relu", ["b"], ["z"])]
    constants = [("parts", whole(2, 4))]
    network = imported(tmp_path, nodes, {"x": (1, 6)}, constants=constants, outputs=("y", "z"))
    assert accelsim.simulate("edge_npu", network, operands="chain", check=True).complete
    (tmp_path / "more").mkdir()
    nodes = [n("Relu", ["x"], ["a"]), n("Tile", ["a", "times"], ["y"])]
    network = imported(tmp_path / "more", nodes, {"x": (1, 6)}, constants=[("times", whole(1, 2))])
    result = accelsim.simulate("edge_npu", network, operands="chain", check=True)
    assert any("'tile1' (Tile: between its 2 parts: a view 'repeat' does not say" in note for note in result.notes)


def test_a_network_of_views_has_no_work(tmp_path):
    network = imported(tmp_path, [n("Reshape", ["x", "to"], ["y"])], {"x": (1, 3, 8)}, constants=[("to", whole(1, 24))])
    with pytest.raises(WorkloadError, match="'m' has no work: its 1 layers are views; give a network that computes"):
        accelsim.simulate("edge_npu", network)
