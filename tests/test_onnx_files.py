"""ONNX files: weights beside the model, and files that are refused in one line."""

# ruff: noqa: E501  (messages are tested whole)

import pickle

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_graphs import tensor

import accelsim
from accelsim.cli import main
from accelsim.errors import ConfigError, UserError, WorkloadError
from accelsim.workload.onnx import importer
from accelsim.workload.onnx.file import light_path


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
    network = importer.load(path)
    assert np.array_equal(network.values["w"], expected.T)
    again = pickle.loads(pickle.dumps(network))
    assert again == network
    assert np.array_equal(again.values["w"], expected.T)


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
    assert importer.load(path).tensors["y"].shape == (2, 6)


@pytest.mark.parametrize(
    ("location", "data", "message"),
    [
        ("w.bin", b"short", "tensor 'w' ends behind the end of 'w.bin'; copy the whole file"),
        ("../w.bin", b"x" * 48, "tensor 'w' is kept in '../w.bin', outside the model's folder; put the file beside the model"),
        ("/etc/hostname", None, "tensor 'w' is kept in '/etc/hostname', outside the model's folder; put the file beside the model"),
    ],
)  # fmt: skip
def test_weights_elsewhere_or_too_short_are_refused(tmp_path, location, data, message):
    folder = tmp_path / "inner"
    folder.mkdir()
    path = with_external(folder / "m.onnx", location, data)
    with pytest.raises(WorkloadError) as caught:
        importer.load(path, "m.onnx")
    assert str(caught.value) == f"m.onnx: {message}"


def test_shapes_suffice_where_weights_are_missing(tmp_path):
    network = importer.load(with_external(tmp_path / "m.onnx", "w.bin"))
    assert (dict(network.values), dict(network.absent)) == ({}, {"w": "w.bin"})
    assert network.notes == ("the file of 1 constants is missing (w.bin): synthetic values, density 1, stand in",)
    assert accelsim.simulate("systolic_ws", network, check=True).complete


@pytest.mark.parametrize("command", ["quantize", "compress"])
def test_what_needs_values_asks_for_missing_weights(tmp_path, capsys, command):
    path = with_external(tmp_path / "m.onnx", "w.bin")
    with pytest.raises(SystemExit) as stop:
        main([command, str(path)])
    said = capsys.readouterr().err.strip()
    assert (stop.value.code, said) == (
        2,
        "error: tensor 'w' is kept in 'w.bin', which is missing; put it beside the model",
    )


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(b"x" * 48)
    folder = tmp_path / "inner"
    folder.mkdir()
    (folder / "w.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(WorkloadError, match="outside the model's folder"):
        importer.load(with_external(folder / "m.onnx", "w.bin"))


@pytest.mark.parametrize("content", [b"", b"hello, I am text", b"\x00" * 100, b"\xff" * 100])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        importer.load(path, "m.onnx")
    assert str(caught.value) == "m.onnx: not an ONNX model; give a file that an ONNX exporter wrote"


def test_another_protocol_buffer_is_refused(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(numpy_helper.from_array(np.ones((2, 2)), "t").SerializeToString())
    with pytest.raises(ConfigError, match="not an ONNX model"):
        importer.load(path)


def test_a_file_too_large_to_parse_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "m.onnx"
    with path.open("wb") as stream:
        stream.truncate(2**31)
    with pytest.raises(ConfigError, match="larger than 2 GiB; export it with the weights in a file of their own"):
        importer.load(path)


def test_damaged_models_end_in_one_line_or_in_a_network(tmp_path):
    data = light_path("onnx:bvlc_alexnet").read_bytes()
    rng = np.random.default_rng(7)
    path, messages = tmp_path / "m.onnx", []
    for _ in range(150):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            importer.load(path)
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert not any("\n" in message for message in messages)
