"""Real activations of an ONNX model: captured, written, and taken by a run."""

import builtins
import json

import numpy as np
import onnx_graphs
import pytest
from click.testing import CliRunner
from onnx import helper

from accelsim.cli import app, main
from accelsim.errors import WorkloadError
from accelsim.operands.capture import capture
from accelsim.operands.files import read_npz
from accelsim.passes.density import read_density, with_density
from accelsim.workload.load import load_network

RNG = np.random.default_rng(11)
FILTERS = RNG.standard_normal((3, 2, 1, 1)).astype(np.float32)
MATRIX = (RNG.standard_normal((5, 48)) * (RNG.random((5, 48)) < 0.5)).astype(np.float32)


@pytest.fixture
def model(tmp_path):
    """A convolution, ReLU, flattening and a linear layer, for any number of images."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Flatten", ["b"], ["c"], name="flat"),
        helper.make_node("Gemm", ["c", "m"], ["y"], name="gemm", transB=1),
    ]
    path = tmp_path / "model.onnx"
    onnx_graphs.save(path, nodes, {"x": ("n", 2, 4, 4)}, constants=[("w", FILTERS), ("m", MATRIX)])
    return path


@pytest.fixture
def image(tmp_path):
    array = RNG.standard_normal((2, 2, 4, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", array)
    return array


def run(*args):
    done = CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def fails(capsys, *args):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in args])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    return said


def needs_runtime():
    pytest.importorskip("onnxruntime", reason="extra 'profile' is not installed")


def test_each_layer_gets_the_inputs_that_numpy_computes(model, image, tmp_path):
    needs_runtime()
    run("profile", model, "--input", tmp_path / "x.npy", "-o", tmp_path / "p.npz")
    found = np.load(tmp_path / "p.npz")
    hidden = np.einsum("nchw,kc->nkhw", image, FILTERS[:, :, 0, 0])
    assert set(found.files) == {"conv.input", "relu.input", "gemm.input"}  # a view does nothing
    np.testing.assert_array_equal(found["conv.input"], image)
    np.testing.assert_allclose(found["relu.input"], hidden, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["gemm.input"], np.maximum(hidden, 0).reshape(2, 48), rtol=1e-5, atol=1e-6)


def test_the_density_profile_says_what_was_seen(model, image, tmp_path):
    needs_runtime()
    run("profile", model, "--input", tmp_path / "x.npy", "--density", tmp_path / "d.yaml")
    tensors = with_density(load_network(str(model)), read_density(tmp_path / "d.yaml")).tensors
    hidden = np.einsum("nchw,kc->nkhw", image, FILTERS[:, :, 0, 0])
    assert tensors["c"].density == (hidden > 0).mean()
    assert 0.2 < tensors["c"].density < 0.8
    assert tensors["m"].density == (MATRIX != 0).mean()
    assert tensors["x"].density == tensors["a"].density == 1


def test_a_run_takes_the_archive_with_the_same_batch(model, image, tmp_path):
    needs_runtime()
    run("profile", model, "--input", tmp_path / "x.npy", "-o", tmp_path / "p.npz", "--density", tmp_path / "d.yaml")
    args = ("run", "systolic_ws", model, "--batch", 2, "--check", "--format", "json")
    layers = {layer["name"]: layer for layer in json.loads(run(*args, "--operands", tmp_path / "p.npz"))["layers"]}
    assert layers["gemm"]["checked"] is True
    hidden = np.maximum(np.einsum("nchw,kc->nkhw", image, FILTERS[:, :, 0, 0]), 0).reshape(2, 48)
    step = hidden.max() / 127  # what quantisation to 8 bits leaves of it
    assert layers["gemm"]["effective_macs"] == int(
        ((np.rint(hidden / step) != 0).astype(int) @ (np.rint(MATRIX / np.abs(MATRIX).max() * 127) != 0).T).sum()
    )
    run(*args, "--density", tmp_path / "d.yaml")


def test_second_operands_are_kept_too(tmp_path):
    needs_runtime()
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node("MatMul", ["r", "z"], ["y"], name="prod"),
    ]
    onnx_graphs.save(tmp_path / "m.onnx", nodes, {"x": (1, 3, 4), "z": (1, 4, 2)})
    arrays = {"x": RNG.standard_normal((1, 3, 4)), "z": RNG.standard_normal((1, 4, 2))}  # float64 for a float32 model
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    given = ("--input", f"x={tmp_path / 'x.npy'}", "--input", f"z={tmp_path / 'z.npy'}")
    run("profile", tmp_path / "m.onnx", *given, "-o", tmp_path / "p.npz")
    read = read_npz(tmp_path / "p.npz", load_network(str(tmp_path / "m.onnx")))
    np.testing.assert_array_equal(read["z"], arrays["z"].astype(np.float32))
    np.testing.assert_array_equal(read["r"], np.maximum(arrays["x"], 0).astype(np.float32))


@pytest.mark.parametrize(
    ("shape", "words"),
    [((1, 3, 4, 4), r"input 'x' is \(1, 2, 4, 4\) but the array given is \(1, 3, 4, 4\)"), ((2, 4, 4), "input 'x' is")],
)
def test_an_input_of_another_shape_is_refused(model, tmp_path, shape, words):
    needs_runtime()
    np.save(tmp_path / "x.npy", np.ones(shape, np.float32))
    with pytest.raises(WorkloadError, match=words):
        capture(model, load_network(str(model)), {"": tmp_path / "x.npy"})


def test_inputs_go_by_name(model, image, tmp_path, capsys):
    needs_runtime()
    file = tmp_path / "x.npy"
    said = fails(capsys, "profile", model, "--input", f"z={file}", "-o", tmp_path / "p.npz")
    assert "the model has no input 'z'; it has x" in said
    assert "cannot be read as .npy" in fails(capsys, "profile", model, "--input", model, "-o", tmp_path / "p.npz")
    twice = ("--input", file, "--input", file)
    assert "is given twice" in fails(capsys, "profile", model, *twice, "-o", tmp_path / "p.npz")


def test_without_the_runtime_one_line_names_the_extra(model, image, tmp_path, capsys, monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == "onnxruntime":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    said = fails(capsys, "profile", model, "--input", tmp_path / "x.npy", "-o", tmp_path / "p.npz")
    assert said == "error: onnxruntime is not installed; pip install 'accelsim[profile]'\n"
    assert not (tmp_path / "p.npz").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("model.yaml", "-o", "p.npz"), "only ONNX models can be profiled"),
        (("model.onnx",), "nothing to write; add -o FILE.npz or --density OUT.yaml"),
        (("model.onnx", "--density", "d.csv"), "d.csv: a density profile ends in .yaml"),
    ],
)
def test_mistakes_are_one_line(model, image, tmp_path, monkeypatch, capsys, args, words):
    monkeypatch.chdir(tmp_path)
    assert words in fails(capsys, "profile", *args, "--input", "x.npy")
