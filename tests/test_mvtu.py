"""Matrix-vector-threshold units keep the contract of all engines, and what they count and compute is FINN's."""

import itertools
import random

import numpy as np
import pytest

import accelsim
from accelsim import contract
from accelsim.cli import main
from accelsim.engines.mvtu.engine import ENGINE
from accelsim.engines.mvtu.reference import reference
from accelsim.engines.mvtu.thresholds import activate, edges, thresholds
from accelsim.operands.golden import golden
from accelsim.operands.handle import Operand, Operands, of
from accelsim.validate import compare
from accelsim.workload.layers import LayerView, Tensor
from accelsim.workload.shapes import Conv2d, Linear


@pytest.mark.parametrize("seed", range(40))
def test_kernel_reference_and_numpy_agree_on_a_random_case(seed):
    assert contract.amiss(ENGINE, reference, seed) == []


def test_every_figure_of_cases_yaml_holds():
    assert [row.case.case for row in compare.validate([ENGINE.name]) if not row.passed] == []


def layer(shape, rng, input_bits, values=(-1, 1), weight_bits=1):
    """Return a layer and operands of which every number is one of the values; inputs wider than a bit are of 8."""
    x = Tensor("x", shape.input_shapes[0], input_bits, True)
    w = Tensor("w", shape.weight_shape, weight_bits, True, weight=True)
    view = LayerView("layer", shape, (x,), (w,), (Tensor("y", shape.output_shape, 16),))
    drawn = rng.choice((-1, 1), x.shape) if input_bits == 1 else rng.integers(0, 256, x.shape) - 128
    return view, Operands(view, (Operand(x, given=drawn),), (Operand(w, given=rng.choice(values, w.shape)),))


SHAPES = [
    Conv2d(1, 5, 7, 6, 6, 3, 3), Conv2d(2, 6, 4, 5, 7, 3, 2, groups=2, stride=(2, 1), pad=(1, 0, 2, 1)),
    Linear(n=2, c=13, k=5),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("input_bits", "weight_bits", "weights"), [(1, 1, (-1, 1)), (8, 1, (-1, 1)), (8, 2, (-1, 0, 1))]
)
@pytest.mark.parametrize("order", ["matrix", "window"])
def test_binary_and_ternary_sums_and_the_first_layer_are_exact(shape, input_bits, weight_bits, weights, order):
    rng = np.random.default_rng(5)
    view, operands = layer(shape, rng, input_bits, weights, weight_bits)
    params = ENGINE.params_schema(pe=3, simd=4, pad_matrix=True, order=order, weight_bits=2)
    plan = ENGINE.plan(view, operands, params, None, contract.MACHINE)
    computed = ENGINE.run(plan, operands)
    assert np.array_equal(computed.values, golden(operands))
    assert computed.same_integers(reference(view, operands, params, None, contract.MACHINE)) == []
    if input_bits == 1:  # not sums of products that happen to be right: XNOR sees signs alone
        assert set(np.unique(operands.input.values)) == {-1, 1}


@pytest.mark.parametrize("gain", [0.37, -1.25, 3.0])
@pytest.mark.parametrize("shift", [-4.5, 0.0, 2.2])
def test_one_threshold_is_batch_normalisation_and_sign(gain, shift):
    sums = np.arange(-60, 61).reshape(1, 1, -1)
    at = thresholds([gain], [shift], edges(1))
    assert np.array_equal(activate(sums, [gain], at), (gain * sums + shift >= 0).astype(int))


@pytest.mark.parametrize("bits", [2, 3])
@pytest.mark.parametrize("step", [0.5, 1.0, 3.0])
def test_several_thresholds_are_normalising_scaling_and_rounding(bits, step):
    gains, shifts = [0.25, -0.5, 2.0], [0.125, -1.0, 0.75]
    sums = np.arange(-40, 41)[None, None].repeat(3, axis=1)
    at = thresholds(gains, shifts, edges(bits, step))
    assert at.shape == (3, 2**bits - 1)
    real = np.array(gains)[None, :, None] * sums + np.array(shifts)[None, :, None]
    rounded = np.clip(np.floor(real / step + 0.5), 0, 2**bits - 1).astype(int)
    assert np.array_equal(activate(sums, gains, at), rounded)


@pytest.mark.parametrize("order", ["matrix", "window"])
def test_layers_of_two_bits_one_behind_another_through_thresholds_are_numpys(order):
    """W2A2: ternary weights, sums, thresholds, levels 0 to 3 that the next unit reads.

    NumPy convolves, normalises, divides by the step, rounds and clips, in exact reals. Some gains are negative.
    """
    rng = np.random.default_rng(7)
    shapes = [Conv2d(2, 3, 8, 7, 7, 3, 3, pad=(1, 1, 1, 1)), Conv2d(2, 8, 6, 7, 7, 3, 3, stride=(2, 2))]
    values = expected = rng.integers(-128, 128, shapes[0].input_shapes[0])
    for depth, (shape, step) in enumerate(zip(shapes, (32.0, 2.0), strict=True)):
        x = Tensor("x", shape.input_shapes[0], 2 if depth else 8, depth == 0)
        w = Tensor("w", shape.weight_shape, 2, True, weight=True)
        weights = rng.integers(-1, 2, w.shape)
        gains = rng.choice([-0.5, 0.25, 0.75], shape.k)
        shifts = rng.integers(-8, 9, shape.k) / 4

        view = LayerView("layer", shape, (x,), (w,), (Tensor("y", shape.output_shape, 2),))
        operands = Operands(view, (Operand(x, given=values),), (Operand(w, given=weights),))
        params = ENGINE.params_schema(pe=2, simd=3, pad_matrix=True, order=order, weight_bits=2)
        done = ENGINE.run(ENGINE.plan(view, operands, params, None, contract.MACHINE), operands)
        values = activate(done.values, gains, thresholds(gains, shifts, edges(2, step)))
        counted = {(e.component, e.action): n for e, n in done.events.items()}
        assert counted["thresholds", "compare"] == 3 * values.size

        padded = np.pad(expected, ((0, 0), (0, 0), (shape.pad[0], shape.pad[2]), (shape.pad[1], shape.pad[3])))
        taken = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        taken = taken[:, :, :: shape.stride[0], :: shape.stride[1]]
        real = np.einsum("ncefrs,kcrs->nkef", taken, weights) * gains[:, None, None] + shifts[:, None, None]
        expected = np.clip(np.floor(real / step + 0.5), 0, 3).astype(np.int64)
        assert np.array_equal(values, expected)
        assert set(np.unique(values)) == {0, 1, 2, 3}


def test_the_example_by_hand():
    view = contract.view_of(Linear(n=1, c=7, k=5), np.random.default_rng(0))
    bits = {"pe": 2, "simd": 3, "pad_matrix": True, "weight_bits": 8, "accumulator_bits": 16}
    params = ENGINE.params_schema(**bits)
    outputs = (Tensor("output", view.output.shape, 1),)
    view = LayerView("layer", view.shape, view.inputs, view.weights, outputs)
    done = ENGINE.closed_form(ENGINE.plan(view, of(view, 0), params, None, contract.MACHINE))
    flows = {(flow.boundary, flow.direction): bits for flow, bits in done.traffic.items()}
    assert done.compute_cycles == 9
    assert done.accounts["multipliers"]["padding"] == 19
    assert flows["glb.inputs", "read"] == 21 * view.input.width
    assert flows["glb.weights", "read"] == 35 * view.weight.width
    assert flows["glb.thresholds", "read"] == 5 * 16
    assert {(e.component, e.action): n for e, n in done.events.items()}["thresholds", "compare"] == 5


@pytest.mark.parametrize("seed", range(20))
def test_a_unit_takes_a_cycle_for_each_block_of_its_matrix(seed):
    draw = random.Random(seed)
    conv = Conv2d(1, draw.randint(1, 5), draw.randint(1, 9), 6, 5, draw.randint(1, 3), draw.randint(1, 3))
    pe, simd, filters = draw.randint(1, 4), draw.randint(1, 12), draw.randint(1, 3)
    taps = conv.r * conv.s
    for order in ("matrix", "window"):
        params = ENGINE.params_schema(pe=pe, simd=simd, pad_matrix=True, order=order, filters=filters, weight_bits=8)
        view = contract.view_of(conv, np.random.default_rng(seed))
        at_once = pe * max(n for n in range(1, filters + 1) if n == 1 or n * taps <= simd) if order == "window" else pe
        runs = [taps] * conv.c if order == "window" else [conv.c * taps]
        blocks = sum(
            1
            for _ in itertools.product(range(conv.e * conv.f), range(0, conv.k, at_once))
            for run in runs
            for _ in range(0, run, simd)
        )
        plan = ENGINE.plan(view, of(view, 0), params, None, contract.MACHINE)
        assert ENGINE.closed_form(plan).compute_cycles == blocks


@pytest.mark.parametrize(("machine", "network"), [("finn_cnv", "cnv_w1a1"), ("finn_lfc", "lfc_w1a1")])
@pytest.mark.parametrize("fidelity", ["closed", "cycle"])
def test_released_networks_run_whole_and_cross_dram_with_image_and_result_alone(machine, network, fidelity):
    result = accelsim.simulate(machine, network, fidelity=fidelity, check=machine == "finn_lfc")
    assert result.complete
    image, classes = result.layers[0], result.layers[-1]
    assert image.dram_read_bits == {"finn_cnv": 3 * 32 * 32 * 8, "finn_lfc": 1024}[machine]  # 832 in whole bursts
    assert classes.dram_write_bits == 64 * 16
    assert all(not x.dram_read_bits for x in result.layers[1:])
    assert all(not x.dram_write_bits for x in result.layers[:-1])
    assert all(not x.account.get("padding") for x in result.layers)


def test_a_network_of_given_signs_is_computed_layer_by_layer():
    rng, sizes = np.random.default_rng(3), {"fc1": (1024, 832), "fc2": (1024, 1024), "fc4": (64, 1024)}
    given = {f"{name}.weight": rng.choice((-1, 1), size) for name, size in sizes.items()}
    given["fc1.input"] = rng.choice((-1, 1), (1, 832))
    result = accelsim.simulate("finn_lfc", "lfc_w1a1", operands=given, check=True)
    assert [x.checked for x in result.layers] == [True] * 4


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("pe", 0, "must be at least 1"), ("simd", 20000, "must be at most 16384"), ("simd", 1.5, "whole number"),
        ("pad_matrix", 1, "pad_matrix"), ("pooling", "or", "pooling"),
        ("order", "rows", "order"), ("filters", 0, "must be at least 1"),
        ("input_bits", 33, "must be at most 32"), ("weight_bits", -1, "must be at least 0"),
        ("accumulator_bits", 65, "must be at most 64"), ("threshold_bits", 5, "must be at most 4"),
        ("threshold_kib", 0, "must be at least 1"), ("input_kib", "many", "whole number"),
        ("weight_kib", 0, "must be at least 1"), ("output_kib", 0, "must be at least 1"),
        ("pes", 8, "unknown key"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_one_line(key, value, words, tmp_path, capsys):
    machine = tmp_path / "m.yaml"
    machine.write_text(f"base: mvtu\nparams:\n  {key}: {value}\n")
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(machine), "lfc_w1a1"])
    said = capsys.readouterr().err
    assert (stopped.value.code, said.count("\n")) == (2, 1)
    assert said.startswith(f"error: {machine}:3: params.{key}: ")
    assert words in said


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["params.pad_matrix=false", "params.simd=64", "params.pe=48"],
         "pe takes 48 of 1024 rows, which it does not divide; fold otherwise, or pad them to 1056"),
        (["params.pad_matrix=false", "params.simd=25"],
         "simd takes 25 of 832 columns, which it does not divide; fold otherwise, or pad them to 850"),
        (["params.threshold_kib=1"], "32,768 bits of thresholds, and 'glb.thresholds' holds 8,192; raise params"),
        (["params.weight_bits=0"], "has 1 bits, the multipliers take 0"),
        (["params.weight_kib=8"], "bits of weight, and 'glb.weights' holds 65,536; raise params.weight_kib to 104"),
    ],
)  # fmt: skip
def test_a_layer_that_does_not_fit_is_refused_in_one_line(sets, words, capsys):
    options = [word for each in sets for word in ("--set", each)]
    with pytest.raises(SystemExit) as stopped:
        main(["run", "mvtu", "lfc_w1a1", "--unsupported", "error", *options])
    (line,) = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 2
    assert words in line


def test_averages_are_refused():
    net = {"name": "n", "isolated": True, "layers": [
        {"name": "p", "kind": "pool", "op": "average", "c": 4, "h": 4, "w": 4, "r": 2, "s": 2, "stride": 2},
        {"name": "m", "kind": "pool", "op": "max", "c": 4, "h": 4, "w": 4, "r": 2, "s": 2, "stride": 2}]}  # fmt: skip
    average, most = accelsim.simulate("mvtu", net, check=True).layers
    assert average.reason == "a matrix-vector unit multiplies, adds and compares: it has no average pooling"
    assert (most.checked, most.compute_cycles) == (True, 4)


def test_yodann_takes_two_small_filters_in_a_unit():
    def cycles(size, c, k):
        side = {"h": size + 7, "w": size + 7, "r": size, "s": size}
        net = {"name": "n", "isolated": True, "layers": [{"name": "l", "kind": "conv2d", "c": c, "k": k, **side}]}
        (found,) = accelsim.simulate("yodann", net, check=True).layers
        assert found.checked, found.reason
        return found.compute_cycles

    assert cycles(7, 32, 32) == 64 * 32
    assert cycles(7, 32, 64) == 64 * 32 * 2
    assert cycles(5, 32, 64) == cycles(3, 32, 64) == 64 * 32
    assert cycles(3, 20, 64) == 64 * 20
