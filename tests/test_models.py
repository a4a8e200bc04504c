"""The independent count of `make models` against counts by hand, and the words of its table."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_graphs import save, tensor

from benchmarks.models import check, independent, table

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def reals(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("op", "x", "constants", "attributes", "macs"), [
    ("Conv", (1, 4, 6, 6), [(6, 2, 3, 3)], {"group": 2, "pads": [1, 1, 1, 1]}, 6 * 36 * 2 * 9),
    ("ConvTranspose", (1, 4, 5, 5), [(4, 3, 2, 2)], {"strides": [2, 2]}, 4 * 25 * 3 * 4),
    ("Gemm", (3, 4), [(3, 5)], {"transA": 1}, 4 * 3 * 5),
    ("MatMul", (2, 3, 4), [(4, 5)], {}, 2 * 3 * 4 * 5),
    ("LSTM", (7, 2, 3), [(1, 20, 3), (1, 20, 5)], {"hidden_size": 5}, 7 * 2 * 20 * (3 + 5)),
    ("GRU", (7, 2, 3), [(2, 15, 3), (2, 15, 5)], {"hidden_size": 5, "direction": "bidirectional"}, 7 * 2 * 2 * 15 * 8),
    ("Einsum", (2, 3, 4), [(4, 5)], {"equation": "...j,jk->...k"}, 2 * 3 * 4 * 5),
    ("Relu", (2, 3), [], {}, 0),
])  # fmt: skip
def test_an_operator_counts_what_its_definition_says(tmp_path, op, x, constants, attributes, macs):
    names = [f"c{i}" for i in range(len(constants))]
    nodes = [helper.make_node(op, ["x", *names], ["y"], **attributes)]
    stored = [(name, reals(*shape)) for name, shape in zip(names, constants, strict=True)]
    save(tmp_path / "m.onnx", nodes, {"x": x}, constants=stored)
    model = independent.opened(tmp_path / "m.onnx")
    assert independent.counted_macs(model, independent.feed(model, {})) == macs


def test_only_the_branch_that_runs_counts_and_products_of_constants_do_not(tmp_path):
    def branch(size):
        weight = onnx.numpy_helper.from_array(reals(4, size), f"w{size}")
        nodes = [
            helper.make_node("MatMul", ["x", weight.name], [f"p{size}"]),
            helper.make_node("ReduceSum", [f"p{size}"], [f"s{size}"], keepdims=0),
        ]
        return helper.make_graph(nodes, "b", [], [tensor(f"s{size}", ())], [weight])

    nodes = [
        helper.make_node("MatMul", ["a", "a"], ["square"]),
        helper.make_node("MatMul", ["x", "square"], ["z"]),
        helper.make_node("If", ["flag"], ["y"], then_branch=branch(5), else_branch=branch(7)),
    ]
    inputs = [tensor("x", ("n", 4)), tensor("flag", (), TensorProto.BOOL)]
    constants = [onnx.numpy_helper.from_array(reals(4, 4), "a")]
    graph = helper.make_graph(nodes, "g", inputs, [tensor("y", ()), tensor("z", ("n", 4))], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    for flag, size in ((True, 5), (False, 7)):
        model = independent.opened(tmp_path / "m.onnx")
        given = {"x": reals(3, 4), "flag": np.array(flag)}
        assert independent.counted_macs(model, given) == 3 * 4 * 4 + 3 * 4 * size


def test_a_whole_file_has_its_row(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Softmax", ["p"], ["y"])]
    save(tmp_path / "m.onnx", nodes, {"x": ("n", 4)}, constants=[("w", reals(4, 5))])
    row = check.check(tmp_path / "m.onnx", {"n": 3})
    assert (row["macs"], row["independent"], row["equal"], row["compared"], row["checked"]) == (60, 60, 2, 2, [2, 2])
    assert table.whole(row)
    assert table.verdict(row) == "whole"
    assert not table.faulty(row)
    assert table.faulty({**row, "independent": 61})
    assert table.faulty({**row, "equal": 1})


def test_what_is_left_out_is_named_and_excused_by_its_cause():
    behind = "Cast: operator 'Cast': it comes after an unsupported operator, its shapes are unknown"
    loop = {"left_out": {"Loop": 1, "Cast": 2}, "reasons": ["Loop: its trip count is not known", behind], "problem": ""}
    assert table.verdict(loop) == "left out: Cast x2, Loop x1"
    assert table.excused(loop)
    assert not table.whole(loop)
    assert not table.excused({**loop, "reasons": ["mish: no unit runs it", behind]})
