"""Sizes that a network leaves open, given by name."""

import csv
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_graphs import save

import accelsim
from accelsim.cli import main
from accelsim.errors import ConfigError, WorkloadError


def shape_of(model, name, *dims):
    """Write the dimensions of an input: numbers, symbols, or None for neither."""
    value = next(v for v in model.graph.input if v.name == name)
    value.CopyFrom(helper.make_tensor_value_info(name, value.type.tensor_type.elem_type, dims))


def tokens(tmp_path, dims=("batch", "seq", 8), inputs=("x",)):
    """A product on (batch, sequence, 8): 8 x 4 MACs per token."""
    path = tmp_path / "tokens.onnx"
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    model = save(path, [node], dict.fromkeys(inputs, (1, 1, 8)), constants=[("w", np.ones((8, 4), "f"))])
    for name in inputs:
        shape_of(model, name, *dims)
    onnx.save(model, path)
    return path


def command(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code, capsys.readouterr()


def test_sizes_are_given_by_the_names_of_the_graph(tmp_path):
    network = accelsim.load_network(str(tokens(tmp_path)), dims={"seq": 128, "batch": 4})
    assert (network.batch, network.macs) == (4, 4 * 128 * 32)
    assert "sizes given: batch = 4, seq = 128" in network.notes


def test_a_batch_that_nobody_gives_is_one(tmp_path):
    network = accelsim.load_network(str(tokens(tmp_path)), batch=3, dims={"seq": 5})
    assert (network.batch, network.macs) == (3, 3 * 5 * 32)


def test_a_size_that_is_not_given_is_asked_for_by_name(tmp_path):
    with pytest.raises(
        WorkloadError, match=r"input 'x' has a dynamic dimension 'seq' \(number 1\); give its size: --dim seq=N$"
    ):
        accelsim.load_network(str(tokens(tmp_path)))


def test_all_sizes_that_are_not_given_are_asked_for_at_once(tmp_path):
    with pytest.raises(
        WorkloadError, match=r"dimensions: 'seq' \(.*\), 'width' \(.*\); give their sizes: --dim seq=N --dim width=N"
    ):
        accelsim.load_network(str(tokens(tmp_path, ("batch", "seq", "width"))))


def test_a_dimension_without_a_name_is_called_by_its_place(tmp_path):
    path = str(tokens(tmp_path, ("batch", None, 8)))
    with pytest.raises(WorkloadError, match=r"--dim x\.1=N"):
        accelsim.load_network(path)
    assert accelsim.load_network(path, dims={"x.1": 7}).macs == 7 * 32


def test_a_batch_of_minus_one_is_open(tmp_path):
    path = str(tokens(tmp_path, (-1, 6, 8)))
    assert accelsim.load_network(path, batch=4).macs == 4 * 6 * 32
    assert accelsim.load_network(path, dims={"batch": 4}).batch == 4


def test_a_size_of_an_expression_follows_from_its_names(tmp_path):
    path = str(tokens(tmp_path, ("batch", "past + 2*new", 8)))
    with pytest.raises(WorkloadError, match=r"--dim past=N --dim new=N"):
        accelsim.load_network(path)
    assert accelsim.load_network(path, dims={"past": 3, "new": 2}).macs == 7 * 32


def test_an_expression_that_is_not_positive_is_refused(tmp_path):
    with pytest.raises(WorkloadError, match=r"dimension 'past - 2' of input 'x' becomes 0"):
        accelsim.load_network(str(tokens(tmp_path, ("batch", "past - 2", 8))), dims={"past": 2})


def test_a_sequence_first_graph_has_its_batch_where_the_name_stands(tmp_path):
    network = accelsim.load_network(str(tokens(tmp_path, ("seq", "batch", 8))), dims={"seq": 5})
    assert (network.batch, network.macs) == (1, 5 * 32)


def test_a_first_dimension_called_a_length_is_no_batch(tmp_path):
    with pytest.raises(WorkloadError, match="--dim seq_len=N"):
        accelsim.load_network(str(tokens(tmp_path, ("seq_len", 2, 8))))


def test_an_odd_name_that_is_taken_as_the_batch_is_said(tmp_path):
    network = accelsim.load_network(str(tokens(tmp_path, ("unk__6", 2, 8))))
    assert network.notes == ("dimension 'unk__6', open and the first of an input, is taken as the batch",)


@pytest.mark.parametrize("dims", [{"sqe": 3}, {"x.0": 2}])
def test_a_name_that_is_not_open_is_refused(tmp_path, dims):
    with pytest.raises(ConfigError, match=r"^--dim: '.*tokens.onnx' has no open dimension"):
        accelsim.load_network(str(tokens(tmp_path)), dims={"seq": 2, **dims})


@pytest.mark.parametrize("size", [0, -1, True, 2.0, 2**31])
def test_a_size_that_no_dimension_has_is_refused(tmp_path, size):
    with pytest.raises(ConfigError, match=r"^--dim: seq: size .* is not a whole number"):
        accelsim.load_network(str(tokens(tmp_path)), dims={"seq": size})


@pytest.mark.parametrize("name", ["alexnet", "rmat:n=10,nnz=10"])
def test_networks_of_fixed_sizes_take_none(name):
    with pytest.raises(
        ConfigError, match=r"^--dim: '.*' has no open dimension 'seq'; all its sizes are fixed: drop it"
    ):
        accelsim.load_network(name, dims={"seq": 2})


def states(tmp_path, first, data=(1, 64), nodes=None):
    """A state input before the data input, and a product of the data."""
    nodes = nodes or [
        helper.make_node("Gather", ["states", "zero"], ["h"], axis=0),
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "h"], ["y"]),
    ]
    constants = [("w", np.ones((64, 32), "f")), ("zero", np.array(0))]
    path = tmp_path / "states.onnx"
    save(path, nodes, {"states": first, "x": data}, constants=constants)
    return str(path)


def test_a_state_before_the_data_is_not_the_batch(tmp_path):
    network = accelsim.load_network(states(tmp_path, (2, 1, 32)))
    assert network.batch == 1
    assert network.batched(4).macs == 4 * 64 * 32
    assert "(states: 2, x: 1); the batch is 1, that of its outputs" in network.notes[0]


def test_a_batch_that_inputs_do_not_tell_is_asked_for(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Transpose", ["a"], ["y"]),
    ]
    path = states(tmp_path, (3, 2), (2, 64), nodes)
    network = accelsim.load_network(path)
    assert (network.batch, "the graph is taken as one image" in network.notes[0]) == (1, True)
    with pytest.raises(WorkloadError, match=r"\(states: 3, x: 2\): the batch is not known; .* --dim batch=N"):
        accelsim.load_network(path, batch=4)
    assert accelsim.load_network(path, batch=4, dims={"batch": 2}).macs == 4 * 64 * 32


def test_a_recurrent_operator_says_which_dimension_is_the_batch(tmp_path):
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=4)
    path = tmp_path / "lstm.onnx"
    constants = [("w", np.ones((1, 16, 8), "f")), ("r", np.ones((1, 16, 4), "f"))]
    save(path, [node], {"x": (20, 3, 8)}, constants=constants)
    network = accelsim.load_network(str(path))
    assert network.batch == 3
    assert network.notes[0] == "the batch of its recurrent operators, 3, is taken as the graph's"


def test_a_symbol_without_a_letter_is_no_name(tmp_path):
    path = str(tokens(tmp_path, ("?", "?", 8)))
    with pytest.raises(WorkloadError, match=r"--dim x\.1=N"):
        accelsim.load_network(path)
    assert accelsim.load_network(path, dims={"x.1": 7}).macs == 7 * 32


def test_an_input_of_one_integer_is_given_like_a_size_and_decides_branches(tmp_path):
    def body(name, op):
        return helper.make_graph(
            [helper.make_node(op, ["x"], [name])], name, [], [helper.make_empty_tensor_value_info(name)]
        )

    nodes = [
        helper.make_node("Equal", ["rate", "high"], ["holds"]),
        helper.make_node("If", ["holds"], ["y"], then_branch=body("a", "Relu"), else_branch=body("b", "Tanh")),
    ]
    path = tmp_path / "m.onnx"
    model = save(path, nodes, {"x": (1, 8), "rate": ()}, constants=[("high", np.array(16000))])
    model.graph.input[1].CopyFrom(helper.make_tensor_value_info("rate", TensorProto.INT64, ()))
    onnx.save(model, path)
    assert accelsim.load_network(str(path)).layers[-1].kind == "unsupported"
    network = accelsim.load_network(str(path), dims={"rate": 16000})
    assert [layer.shape.op for layer in network.layers] == ["relu"]
    assert "inputs whose values are given: rate = 16000" in network.notes
    assert [layer.shape.op for layer in accelsim.load_network(str(path), dims={"rate": 8000}).layers] == ["tanh"]


def test_run_takes_sizes(tmp_path, capsys):
    path = tokens(tmp_path)
    code, said = command(capsys, "run", "systolic_ws", path, "--dim", "seq=16", "--dim", "batch=2", "--format", "json")
    assert code == 0
    report = json.loads(said.out)
    assert (report["network"]["batch"], report["totals"]["macs"]) == (2, 2 * 16 * 32)
    assert "sizes given: batch = 2, seq = 16" in json.dumps(report)


def test_compare_takes_sizes(tmp_path, capsys):
    words = (
        "compare",
        "systolic_ws",
        "systolic_os",
        "--network",
        tokens(tmp_path),
        "--dim",
        "seq=16",
        "--format",
        "csv",
    )
    code, said = command(capsys, *words)
    assert (code, str(16 * 32) in said.out) == (0, True)


def test_import_writes_the_sizes_that_were_given(tmp_path, capsys):
    out = tmp_path / "net.yaml"
    assert command(capsys, "import", tokens(tmp_path), "-o", out, "--dim", "seq=16")[0] == 0
    assert accelsim.load_network(str(out)).macs == 16 * 32


@pytest.mark.parametrize("words", [("quantize",), ("compress",), ("show",)])
def test_other_commands_take_sizes(tmp_path, capsys, words):
    path = tokens(tmp_path)
    assert command(capsys, *words, path)[0] == 2
    assert command(capsys, *words, path, "--dim", "seq=16")[0] == 0


def test_profile_takes_sizes(tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    np.save(tmp_path / "x.npy", np.ones((2, 16, 8), "f"))
    words = ("profile", tokens(tmp_path), "--input", tmp_path / "x.npy", "-o", tmp_path / "p.npz", "--dim", "seq=16")
    assert command(capsys, *words)[0] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seq", "error: --dim: 'seq' is no size; write NAME=N, such as seq=128"),
        ("seq=", "error: --dim: 'seq=' is no size; write NAME=N, such as seq=128"),
        ("seq=x", "error: --dim: 'seq=x' is no size; write NAME=N, such as seq=128"),
        ("seq=0", "error: --dim: seq: size 0 is not a whole number from 1 to 2,147,483,647; correct it"),
        (
            "seq=" + "9" * 40,
            "error: --dim: seq: size 2147483648 is not a whole number from 1 to 2,147,483,647; correct it",
        ),
    ],
)
def test_a_bad_size_is_one_line(tmp_path, capsys, text, message):
    code, said = command(capsys, "run", "systolic_ws", tokens(tmp_path), "--dim", text)
    assert (code, said.err.strip()) == (2, message)


def test_a_size_that_comes_twice_is_refused(tmp_path, capsys):
    code, said = command(capsys, "run", "systolic_ws", tokens(tmp_path), "--dim", "seq=1", "--dim", "seq=2")
    assert (code, said.err.strip()) == (2, "error: --dim: 'seq' is given twice; give each size once")


SWEEP = """
name: lengths
machines: [systolic_ws]
networks: [./tokens.onnx]
axes:
  options.dim.seq: [4, 8]
"""


def rows(tmp_path, capsys, text):
    (tmp_path / "s.yaml").write_text(text)
    assert command(capsys, "sweep", tmp_path / "s.yaml", "--store", tmp_path / "s.db")[0] == 0
    assert command(capsys, "export", tmp_path / "s.db", "-o", tmp_path / "s.csv")[0] == 0
    with open(tmp_path / "s.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_varies_a_size(tmp_path, capsys):
    tokens(tmp_path)
    found = rows(tmp_path, capsys, SWEEP)
    assert [(row["options.dim.seq"], row["macs"]) for row in found] == [("4", str(4 * 32)), ("8", str(8 * 32))]


def test_a_sweep_fixes_a_size(tmp_path, capsys):
    tokens(tmp_path)
    fixed = SWEEP.replace("axes:\n  options.dim.seq: [4, 8]", "options: {dim: {seq: 6}, batch: 2}")
    assert [row["macs"] for row in rows(tmp_path, capsys, fixed)] == [str(2 * 6 * 32)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("options.dim.seq: [4, 8]", "options.dim.sqe: [4, 8]", "has no open dimension 'sqe'; did you mean 'seq'?"),
        ("options.dim.seq: [4, 8]", "options.dim: [{seq: 4}]", "no option 'dim' to vary"),
        ("axes:\n  options.dim.seq: [4, 8]", "options: {dim: 3}", "options.dim: sizes have names; write {seq: 128}"),
        ("axes:\n  options.dim.seq: [4, 8]", "options: {dim: {seq: 0}}", "seq: size 0 is not a whole number"),
    ],
)
def test_a_sweep_with_bad_sizes_is_refused(tmp_path, capsys, old, new, message):
    tokens(tmp_path)
    (tmp_path / "s.yaml").write_text(SWEEP.replace(old, new))
    code, said = command(capsys, "sweep", tmp_path / "s.yaml", "--store", tmp_path / "s.db")
    assert code == 2
    assert message in said.err


def test_a_size_that_is_not_allowed_is_a_row_with_its_reason(tmp_path, capsys):
    tokens(tmp_path)
    found = rows(tmp_path, capsys, SWEEP.replace("[4, 8]", "[4, 0]"))
    assert [row["status"] for row in found] == ["ok", "illegal"]


def test_integers_may_come_in_any_input(tmp_path):
    path = tmp_path / "tokens.onnx"
    model = save(path, [helper.make_node("Cast", ["x"], ["y"], to=1)], {"x": (1, 1)})
    value = model.graph.input[0]
    value.CopyFrom(helper.make_tensor_value_info("x", TensorProto.INT64, ("batch_size", "sequence")))
    onnx.save(model, path)
    assert accelsim.load_network(str(path), dims={"sequence": 9}).layers[0].shape.shape == (1, 9)
