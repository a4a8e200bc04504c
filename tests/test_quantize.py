"""Quantisation: schemes by hand, against onnxruntime and against theory; the pass, its files and its errors."""

import csv
import io
import json
import math
import re

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import accelsim
from accelsim.cli import app, main
from accelsim.config.yamlfile import parse
from accelsim.errors import WorkloadError
from accelsim.operands.files import load_operands, to_integers
from accelsim.operands.quantizers import decibels, noise_ratio, quantize
from accelsim.passes.precision import Type, dump_precision, read_precision, with_precision
from accelsim.passes.quantize import QuantizedLayer, Settings, quantize_network
from accelsim.workload.layers import Tensor
from accelsim.workload.yaml_network import build

NET = """\
name: small
isolated: true
layers:
  - {name: conv, kind: conv2d, c: 4, k: 6, h: 7, w: 7, r: 3, s: 3, pad: 1, groups: 2}
  - {name: fc, kind: linear, n: 2, c: 40, k: 20, input: {signed: false}}
  - {name: scores, kind: matmul, batch: 2, m: 3, n: 4, k: 5}
"""
NORMAL = np.random.default_rng(0).standard_normal(100_000)


@pytest.fixture
def net():
    return build(parse(NET, "net.yaml"))


def db(reals, done):
    return decibels(noise_ratio(reals, done.values))


# ------------------------------------------------------------------------------------------------ schemes


def test_symmetric_codes_by_hand():
    done = quantize(np.array([-1.0, 0.0, 0.5, 3.5]), 4)
    assert (done.codes.tolist(), done.scale.item(), done.zero.item(), done.signed) == ([-2, 0, 1, 7], 0.5, 0, True)
    assert quantize(np.array([0.0, 1.0, 15.0]), 4, signed=False).codes.tolist() == [0, 1, 15]


def test_asymmetric_codes_by_hand_keep_zero_exact():
    done = quantize(np.array([-1.0, 0.0, 2.75]), 4, "asymmetric")
    assert (done.codes.tolist(), done.scale.item(), done.zero.item(), done.signed) == ([0, 4, 15], 0.25, 4, False)
    assert done.values.tolist() == [-1.0, 0.0, 2.75]
    assert quantize(np.array([-1.0, 5.0]), 2, "asymmetric").zero.item() == 0  # half a step
    assert quantize(np.array([3.0, 6.0]), 2, "asymmetric").codes.tolist() == [
        2,
        3,
    ]  # 0 to 6 in steps of 2, half to even


def test_halves_round_to_even():
    assert quantize(np.array([0.5, 1.5, 2.5, 7.0]), 4).codes.tolist() == [0, 2, 2, 7]


def test_ternary_codes_are_the_best_of_all_by_brute_force():
    rng = np.random.default_rng(1)
    for _ in range(50):
        x = rng.standard_normal(7)
        sorted_sizes = np.sort(np.abs(x))[::-1]
        least = min((x**2).sum() - sorted_sizes[:n].sum() ** 2 / n for n in range(1, 8))
        done = quantize(x, 2, "ternary")
        assert set(done.codes.tolist()) <= {-1, 0, 1}
        assert ((x - done.values) ** 2).sum() == pytest.approx(least)


def test_binary_codes_are_signs_with_the_mean_magnitude():
    done = quantize(np.array([-1.0, 0.0, 2.0, 5.0]), 1, "binary")
    assert (done.codes.tolist(), done.scale.item(), done.bits) == ([-1, 1, 1, 1], 2.0, 1)


def test_one_signed_bit_becomes_a_sign():
    assert quantize(NORMAL, 1).scheme == "binary"


def test_normal_numbers_lose_what_theory_says():
    # 1 - 2/pi of the energy; three levels of Lloyd and Max: 0.1902 (J. Max, 1960)
    assert noise_ratio(NORMAL, quantize(NORMAL, 1, "binary").values) == pytest.approx(1 - 2 / math.pi, rel=0.01)
    assert noise_ratio(NORMAL, quantize(NORMAL, 2, "ternary").values) == pytest.approx(0.1902, rel=0.01)


def test_uniform_numbers_lose_6_db_per_bit():
    uniform = np.random.default_rng(2).uniform(-1, 1, 100_000)
    found = [db(uniform, quantize(uniform, bits)) for bits in (6, 8, 10)]
    for bits, value in zip((6, 8, 10), found, strict=True):
        # steps of 1 / (2^(b-1) - 1): error step^2 / 12, signal 1/3
        assert value == pytest.approx(20 * math.log10(2 * (2 ** (bits - 1) - 1)), abs=0.1)


@given(st.integers(0, 2**31), st.sampled_from(["symmetric", "asymmetric"]), st.integers(2, 9), st.booleans())
@settings(max_examples=40, deadline=None)
def test_every_number_is_within_half_a_step_and_every_code_within_its_width(seed, scheme, bits, channels):
    x = np.random.default_rng(seed).standard_normal((4, 30)) * np.array([[1], [10], [0.1], [0]])
    done = quantize(x, bits, scheme, channels=channels)
    assert (np.abs(x - done.values) <= done.scale / 2 * (1 + 1e-12)).all() or scheme == "asymmetric"
    assert (np.abs(x - done.values) <= done.scale * (1 + 1e-12)).all()
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if done.signed else (0, 2**bits - 1)
    assert low <= done.codes.min() <= done.codes.max() <= high
    assert done.scale.size == (4 if channels else 1)


def test_more_bits_channels_and_a_fitted_range_lose_less():
    x = NORMAL.reshape(20, -1) * np.linspace(0.1, 2, 20)[:, None]
    by_bits = [db(x, quantize(x, bits)) for bits in range(2, 12)]
    assert by_bits == sorted(by_bits)
    assert db(x, quantize(x, 4, channels=True)) > db(x, quantize(x, 4)) + 3
    for scheme in ("symmetric", "asymmetric"):
        assert db(x, quantize(x, 3, scheme, limits="mse")) > db(x, quantize(x, 3, scheme)) + 3


def test_nothing_is_lost_where_codes_hold_the_numbers():
    assert db(np.arange(256.0), quantize(np.arange(256.0), 8, signed=False)) is None
    assert db(np.zeros(5), quantize(np.zeros(5), 8)) is None


@pytest.mark.parametrize(
    ("x", "bits", "scheme", "signed", "words"),
    [
        ([1.0, np.nan], 8, "symmetric", True, "holds NaN"),
        ([1.0, -1.0], 8, "symmetric", False, "negative values but is unsigned; declare it signed"),
        ([1.0], 0, "symmetric", True, "0 bits for symmetric codes; give 1 to 32"),
        ([1.0], 33, "asymmetric", True, "33 bits"),
        ([1.0], 3, "ternary", True, "3 bits for ternary codes; give 2"),
    ],
)
def test_what_cannot_be_quantised_is_refused(x, bits, scheme, signed, words):
    with pytest.raises(WorkloadError, match=words):
        quantize(np.array(x), bits, scheme, signed=signed)


@pytest.mark.parametrize(
    ("kind", "scheme", "least", "most"),
    [(np.int8, "symmetric", -127, 127), (np.uint8, "asymmetric", -100, 155), (np.int16, "symmetric", -32767, 32767)],
)
@pytest.mark.parametrize("steps", [(0.25,), (0.5, 0.25, 2.0)])
def test_codes_equal_the_runtimes_quantize_linear(kind, scheme, least, most, steps):
    """Numbers in quarters of a step, so that many are halves; steps are powers of two, exact in float32."""
    ort = pytest.importorskip("onnxruntime")
    from onnx import helper

    x = np.random.default_rng(0).integers(4 * least, 4 * most + 1, (len(steps), 500)) / 4
    x[:, 0], x[:, 1] = least, most
    x *= np.array(steps)[:, None]
    done = quantize(x, 8 * np.dtype(kind).itemsize, scheme, channels=len(steps) > 1)
    assert done.scale.ravel().tolist() == list(steps)
    shape = () if len(steps) == 1 else (len(steps),)
    feed = {
        "x": x.astype(np.float32),
        "s": done.scale.astype(np.float32).reshape(shape),
        "z": done.zero.astype(kind).reshape(shape),
    }
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"], axis=0)],
        "g",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feed.items()],
        [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(kind)), x.shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, feed)
    assert np.array_equal(done.codes, theirs)


# ------------------------------------------------------------------------------------------------ pass


def test_every_operand_of_a_product_is_quantised_once(net):
    done = quantize_network(net, Settings(weight_bits=4, input_bits=6))
    assert [(t.layer, t.role, t.bits, t.signed) for t in done.tensors] == [
        ("conv", "input", 6, True), ("conv", "weight", 4, True), ("fc", "input", 6, False), ("fc", "weight", 4, True),
        ("scores", "input", 6, True), ("scores", "weight", 4, True),
    ]  # fmt: skip
    assert sorted(done.arrays()) == [
        "conv.input", "conv.weight", "fc.input", "fc.weight", "scores.input", "scores.input2",
    ]  # fmt: skip


def test_symmetric_codes_of_a_tensor_equal_those_that_run_makes_of_reals(net):
    reals = {"fc.weight": np.random.default_rng(3).standard_normal((20, 40))}
    done = quantize_network(net, Settings(weight_bits=5), reals)
    assert np.array_equal(done.codes["fc.weight"], to_integers(reals["fc.weight"], Tensor("t", (20, 40), 5)))


@pytest.mark.parametrize(
    "settings", [Settings(), Settings("ternary", "asymmetric", True), Settings("binary", limits="mse")]
)
def test_the_estimate_of_an_output_is_near_what_is_measured(settings):
    text = "name: n\nisolated: true\nlayers: [{name: c, kind: conv2d, c: 32, k: 32, h: 14, w: 14, r: 3, s: 3}]\n"
    network = build(parse(text, "n.yaml"))
    (layer,) = quantize_network(network, Settings(**{**vars(settings), "measure": True, "input_bits": 4})).layers
    assert decibels(layer.measured_noise) == pytest.approx(decibels(layer.noise), abs=0.5)


@pytest.mark.parametrize("machine", ["loom", "bitfusion", "unpu", "stripes", "pragmatic", "systolic_ws_8"])
@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric", "ternary", "binary"])
def test_what_the_command_writes_runs_and_is_checked(tmp_path, machine, scheme):
    (tmp_path / "net.yaml").write_text(NET)
    files = ["-o", str(tmp_path / "q.npz"), "--profile", str(tmp_path / "q.yaml")]
    network = str(tmp_path / "net.yaml")
    done = CliRunner().invoke(
        app, ["quantize", network, "--weights", scheme, "--input-bits", "5", "--weight-bits", "3", *files]
    )
    assert done.exit_code == 0, done.output
    result = accelsim.simulate(machine, network, operands=tmp_path / "q.npz", precision=tmp_path / "q.yaml", check=True)
    assert [layer.checked for layer in result.layers if layer.simulated] == [True] * len(result.simulated)
    width = {"ternary": 2, "binary": 1}.get(scheme, 3)
    assert {layer.bits["weight"] for layer in result.layers} == {width}


def test_documents_hold_every_tensor(tmp_path):
    (tmp_path / "net.yaml").write_text(NET)

    def printed(style, *more):
        return CliRunner().invoke(app, ["quantize", str(tmp_path / "net.yaml"), "--format", style, *more]).stdout

    document = json.loads(printed("json", "--measure"))
    assert [row["tensor"] for row in document["tensors"]][:2] == ["conv.input", "conv.weight"]
    assert all(row["measured_output_sqnr_db"] > 20 for row in document["layers"])
    assert len(list(csv.DictReader(io.StringIO(printed("csv"))))) == 6
    assert "measured dB" in printed("table", "--measure")
    assert printed("json") == printed("json")


def test_a_profile_is_read_back_with_its_signs(net, tmp_path):
    types = {"conv.weight": Type(3, True), "fc.input": Type(5, False)}
    (tmp_path / "p.yaml").write_text(dump_precision(net, types, "here"))
    again = with_precision(net, read_precision(tmp_path / "p.yaml"))
    assert {n: (t.bits, t.signed) for n, t in again.tensors.items() if t.bits} == types
    (tmp_path / "p.csv").write_text("layer,input_bits,weight_bits\nconv,uint7,4\n")
    again = with_precision(net, read_precision(tmp_path / "p.csv"))
    assert (again.tensors["conv.input"].bits, again.tensors["conv.input"].signed) == (7, False)


@pytest.mark.parametrize(
    ("array", "more", "words"),
    [
        (np.full((20, 40), np.inf), [], "layer 'fc': tensor 'fc.weight': holds NaN or infinity; give finite numbers"),
        (np.ones((20, 41)), [], "array 'fc.weight' is (20, 41), the layer's tensor is (20, 40)"),
        (np.ones((20, 40)), ["--profile", "p.txt"], "p.txt: a precision profile ends in .yaml; choose another name"),
        (np.ones((20, 40)), ["-o", "p.txt"], "p.txt: an archive of operands ends in .npz; choose another name"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, capsys, monkeypatch, array, more, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NET)
    np.savez(tmp_path / "w.npz", **{"fc.weight": array})
    with pytest.raises(SystemExit) as stopped:
        main(["quantize", "net.yaml", "--operands", "w.npz", *more])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert words in said
    assert said.count("\n") == 1


def test_given_codes_that_do_not_fit_name_layer_tensor_and_width(net, tmp_path):
    np.savez(tmp_path / "w.npz", **{"fc.input": np.full((2, 40), -3)})
    net = with_precision(net, ())
    net = net.with_tensors({"fc.input": Tensor("fc.input", (2, 40), 4, signed=False)})
    words = "layer 'fc': tensor 'fc.input': values -3..0 do not fit 4 bits unsigned; declare at least 3 bits signed"
    with pytest.raises(WorkloadError, match=re.escape(words)):
        load_operands(tmp_path / "w.npz", net)


def test_the_noise_of_an_output_is_that_of_two_independent_errors():
    assert QuantizedLayer("a", "linear", 0.5, 0.2, None).noise == pytest.approx(1.5 * 1.2 - 1)
