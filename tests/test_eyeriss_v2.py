"""Eyeriss v2 keeps the contract of all engines; its PE walks by the rule, its variants stand in the right order."""

import os
from pathlib import Path

import numpy as np
import pytest

import accelsim
from accelsim import contract
from accelsim.cli import main
from accelsim.engines.eyeriss_v2 import kernel
from accelsim.engines.eyeriss_v2 import kernel_counts as count
from accelsim.engines.eyeriss_v2.cut import entries, per_pe, shares
from accelsim.engines.eyeriss_v2.engine import ENGINE
from accelsim.engines.eyeriss_v2.reference import reference
from accelsim.errors import ConfigError, WorkloadError
from accelsim.operands.csc import Csc
from accelsim.validate import cases, compare

MOBILENET = "mobilenet_v1_050_128"
VARIANTS = ("eyeriss_v1_scaled", "eyeriss_v1_5", "eyeriss_v2")


@pytest.mark.parametrize("seed", range(40))
def test_kernel_reference_and_numpy_agree_on_a_random_case(seed):
    assert contract.amiss(ENGINE, reference, seed) == []


def test_every_figure_of_cases_yaml_holds():
    assert [row.case.case for row in compare.validate([ENGINE.name]) if not row.passed] == []


def stream(inputs, pairs, simd=2):
    """Walk one window of a fully connected layer through a PE; return its end and counts."""
    channels, one = len(inputs), np.zeros((1, 1, 1, 1), np.int64)
    shape = count.Shape(1, 1, channels, max(pairs), 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1)
    counts = np.zeros(count.COUNTS, np.int64)
    mask = (np.array(inputs) != 0).reshape(1, 1, 1, channels)
    block = (0, 0, 0, channels, 0, max(pairs))
    args = (mask, np.array([pairs], np.int64), False, one, one, one, counts)
    return kernel.stream(shape, False, simd, block, (0, 1), *args), counts


def test_a_pe_walks_as_by_hand():
    end, counts = stream([3, 0, 1, 2, 5], [4, 9, 0, 1, 3])
    assert end == 6
    found = [counts[i] for i in (count.FETCHED, count.PRODUCTS, count.WORK, count.WAITED)]
    assert found == [4, 8, 5, 1]


def test_the_slot_of_a_dropped_input_shows_where_the_stage_behind_is_idle():
    end, counts = stream([3, 0, 1, 2, 5], [2, 9, 0, 1, 3])
    assert (end, counts[count.WAITED]) == (6, 2)


@pytest.mark.parametrize(
    ("pairs", "end"), [([0], 1), ([0, 0, 0], 3), ([1], 2), ([2, 2, 2], 4), ([9, 0], 6), ([1, 0, 0], 3)]
)
def test_streams_end_with_their_last_fetch_or_product(pairs, end):
    """Dropped inputs behind the last product are fetched all the same."""
    assert stream([1] * len(pairs), pairs)[0] == end


def test_columns_with_long_runs_and_none_at_all_come_back_from_the_code():
    matrix = np.zeros((40, 4), np.int64)
    matrix[[0, 39], 0] = 5, -7  # 38 zeros between: two pairs of their own
    matrix[39, 2] = 1  # 39 zeros before it
    matrix[:, 3] = np.arange(1, 41)
    code = Csc(pes=1, value_bits=8, run_bits=4, pointer_bits=7, signed=True)
    coded = code.encode(matrix)
    assert np.diff(coded.pointers[0]).tolist() == [4, 0, 3, 40]
    assert np.array_equal(code.decode(coded), matrix)
    found = entries(matrix[:, :, None, None] != 0, 1, 40, 4)
    assert found.ravel().tolist() == [4, 0, 3, 40]


def test_a_word_of_weights_never_reads_beyond_its_column():
    found = np.array([3, 0, 1, 4], np.int64).reshape(1, 1, 1, 1, 4)
    assert per_pe(found, 4, 2).ravel().tolist() == [4 + 0 + 2 + 4]
    assert per_pe(found, 2, 2).ravel().tolist() == [4, 6]
    assert stream([1, 1, 1, 1], [3, 0, 1, 4])[1][count.WORK] == 2 + 1 + 2


def test_clusters_are_shared_out_without_rest_and_psums_go_down_a_column():
    ways = shares(16, 8)
    assert (ways.prod(axis=1) == 16).all()
    assert ways[:, 0].max() == 8
    assert len(ways) == 34


def masks():
    folder = os.environ.get("ACCELSIM_DATA")
    path = Path(folder or "") / "eyeriss_v2_masks.npz"
    if not folder or not path.is_file():
        pytest.skip("ACCELSIM_DATA has no eyeriss_v2_masks.npz")
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def pointwise(folder, **layers):
    text = "name: net\nsource: masks\nisolated: true\nlayers:\n"
    text += "".join(f"  - {{name: {n}, kind: conv2d, c: {c}, k: {c}, h: {h}, w: {h}, r: 1, s: 1}}\n"
                    for n, (c, h) in layers.items())  # fmt: skip
    (folder / "net.yaml").write_text(text)
    return accelsim.load_network(str(folder / "net.yaml"))


@pytest.mark.parametrize(
    ("name", "channels", "side", "released", "bound"),
    [("L07", 64, 32, 1_702_141, 874_618), ("L21", 256, 8, 1_677_685, 860_466)],
)
def test_effectual_multiplications_are_those_of_the_released_pe(name, channels, side, released, bound, tmp_path):
    found = masks()
    x, w = found[f"{name}_inputs"], found[f"{name}_weights"]
    given = {f"{name}.input": x.T.reshape(1, channels, side, side), f"{name}.weight": w[:, :, None, None]}
    net = pointwise(tmp_path, **{name: (channels, side)})
    layer = accelsim.simulate("eyeriss_v2", net, operands=given, check=True).layers[0]
    assert layer.checked
    assert layer.account["busy"] == layer.effective_macs == layer.performed_macs == released - 1
    # one PE with room for everything and columns of 32 outputs: the sheet's bound of two multipliers
    arch = accelsim.load_arch("eyeriss_v2")
    for key, value in {"cluster_rows": 1, "cluster_cols": 1, "pe_rows": 1, "pe_cols": 1, "spad_inputs": 256,
                       "spad_weights": 1 << 16, "count_bits": 8}.items():  # fmt: skip
        arch = arch.replace(f"params.{key}", value)
    alone = accelsim.simulate(arch, net, operands=given).layers[0]
    assert alone.details["outputs_per_pe"] == 32
    assert sum(alone.account.get(cause, 0) for cause in ("busy", "zero", "padding")) == 2 * bound


@pytest.fixture(scope="module")
def runs():
    profile = "mobilenet_v1_050_128_eyerissv2"
    return {name: accelsim.simulate(name, MOBILENET, density=profile) for name in VARIANTS}


def test_the_mesh_gains_and_so_do_sparsity_and_a_second_multiplier(runs):
    cycles = [sum(layer.compute_cycles for layer in runs[name].layers) for name in VARIANTS]
    energy = [runs[name].total_energy_pj - runs[name].energy_pj["dram"] for name in VARIANTS]
    assert cycles == sorted(cycles, reverse=True)
    assert energy == sorted(energy, reverse=True)


def test_dense_mobilenet_keeps_the_order(tmp_path):
    net = accelsim.load_network(MOBILENET)
    cycles = [sum(layer.compute_cycles for layer in accelsim.simulate(name, net).layers) for name in VARIANTS]
    assert cycles == sorted(cycles, reverse=True)


def test_a_depthwise_layer_is_not_faster_than_on_v1_5(runs):
    """No zeros to skip, one multiplier of two, a deeper pipeline."""
    pairs = list(zip(runs["eyeriss_v2"].layers, runs["eyeriss_v1_5"].layers, strict=True))
    depthwise = [(new, old) for new, old in pairs if "depthwise" in new.name]
    assert len(depthwise) == 13
    for new, old in depthwise:
        assert new.compute_cycles == old.compute_cycles + 4 * new.details["passes"]
        assert new.account["padding"] >= new.account["busy"]


def test_a_layer_without_zeros_moves_plain_words(tmp_path):
    net = pointwise(tmp_path, a=(16, 8))
    layer = accelsim.simulate("eyeriss_v2", net).layers[0]
    assert not any(row.tensor == "index" for row in layer.traffic)


def test_a_sum_beyond_twenty_bits_is_refused_in_one_line(tmp_path):
    net = pointwise(tmp_path, a=(64, 2))
    given = {"a.input": np.full((1, 64, 2, 2), 127), "a.weight": np.full((64, 64, 1, 1), 127)}
    with pytest.raises(WorkloadError) as refused:
        accelsim.simulate("eyeriss_v2", net, operands=given, check=True)
    assert "layer 'a': an output of 21 bits passes psums of 20" in str(refused.value)
    given["a.weight"] = np.full((64, 64, 1, 1), 64)  # 64 x 127 x 64 = 520,192
    assert accelsim.simulate("eyeriss_v2", net, operands=given, check=True).layers[0].checked


def masked(**changes):
    masks = {"input": "masks.npz:x", "weight": "masks.npz:w"}
    case = {
        "case": "c",
        "arch": "eyeriss_v2",
        "quantity": "account.busy",
        "expected": 3,
        "kind": "exact",
        "masks": masks,
        "origin": "hand-derived",
        "source": "s",
        "layer": {"kind": "linear", "c": 4, "k": 2},
    }
    return cases.CaseSpec.model_validate({**case, **changes})


def test_a_case_takes_its_masks_from_the_data_or_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "engine_cases", lambda: {"e": (masked(),)})
    monkeypatch.setenv("ACCELSIM_DATA", str(tmp_path))
    assert [row.verdict for row in compare.validate(["e"])] == ["skipped"]
    x, w = np.array([[1, 0, 1, 1]], bool), np.array([[1, 1, 1, 0], [0, 1, 0, 1]], bool)
    np.savez(tmp_path / "masks.npz", x=x, w=w)
    assert [row.ours for row in compare.validate(["e"])] == [3]


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "engine_cases", lambda: {"e": (masked(seed=1),)})
    monkeypatch.setenv("ACCELSIM_DATA", str(tmp_path))
    np.savez(tmp_path / "masks.npz", x=np.ones((1, 5), bool))
    with pytest.raises(ConfigError, match=r"'x' has 5 elements, the input of the layer 4; name an array"):
        compare.validate(["e"])


def test_masks_are_of_one_layer():
    with pytest.raises(ValueError, match="masks are operands of one layer"):
        masked(layer=None, workload="alexnet")


def status(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return stopped.value.code, capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"a.input": np.ones((1, 4, 4, 16), bool)}, "array 'a.input' is (1, 4, 4, 16), the layer's tensor is"),
        ({"a.weights": np.ones((16, 16, 1, 1), bool)}, "array 'a.weights' names no operand"),
        ({"b.input": np.ones((1, 16, 4, 4), bool)}, "array 'b.input' names no operand"),
        ({"a.input": np.full((1, 16, 4, 4), "x")}, "give integers or real numbers"),
        ({"a.input": np.full((1, 16, 4, 4), np.nan)}, "holds NaN"),
    ],
)
def test_a_bad_mask_is_one_line(arrays, problem, tmp_path, capsys):
    pointwise(tmp_path, a=(16, 4))
    np.savez(tmp_path / "masks.npz", **arrays)
    code, said = status(
        capsys, "run", "eyeriss_v2", str(tmp_path / "net.yaml"), "--operands", str(tmp_path / "masks.npz")
    )
    assert (code, said.count("\n")) == (2, 0)
    assert problem in said


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("cluster_rows", 0, "must be at least 1"), ("cluster_cols", 65, "must be at most 64"),
        ("pe_rows", 17, "must be at most 16"), ("pe_cols", 0, "must be at least 1"), ("sparse", 2, "true or false"),
        ("simd", 0, "must be at least 1"), ("stages", 0, "must be at least 1"), ("network", "ring", "mesh"),
        ("input_routers", 0, "must be at least 1"), ("port_pairs", 1.5, "whole number"),
        ("port_words", 0, "must be at least 1"), ("psum_words", 0, "must be at least 1"),
        ("spad_inputs", 257, "must be at most 256"), ("spad_weights", 0, "must be at least 1"),
        ("spad_psums", "many", "whole number"), ("input_bytes", 0, "must be at least 1"),
        ("psum_bank_bytes", 0, "must be at least 1"), ("operand_bits", 33, "must be at most 32"),
        ("accumulator_bits", 1, "must be at least 2"), ("count_bits", 9, "must be at most 8"),
        ("address_bits", 17, "must be at most 16"), ("pe_row", 3, "did you mean 'pe_rows'?"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_one_line(key, value, problem, tmp_path, capsys):
    machine = tmp_path / "m.yaml"
    machine.write_text(f"base: eyeriss_v2\nname: m\nparams: {{{key}: {str(value).lower()}}}\n")
    code, said = status(capsys, "run", str(machine), MOBILENET)
    assert (code, said.count("\n")) == (2, 0)
    assert said.startswith("error: ")
    assert problem in said


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (("params.psum_bank_bytes=2",), "a filter row of 3 does not fit a PE"),
        (("params.spad_weights=2",), "a filter row of 3 does not fit a PE"),
        (("params.spad_inputs=2",), "a filter row of 3 exceeds the 2 inputs of a PE"),
    ],
)
def test_what_fits_no_pe_is_one_line(changes, problem, capsys):
    sets = [word for change in changes for word in ("--set", change)]
    code, said = status(capsys, "run", "eyeriss_v2", MOBILENET, "--layers", "conv1", *sets)
    assert (code, said.count("\n")) == (2, 0)
    assert problem in said


@pytest.mark.parametrize(("rows", "cols"), [(16, 4), (32, 32)])
def test_a_larger_chip_is_faster_nearly_in_proportion(rows, cols):
    """The paper: 256 to 1,024 and 16,384 PEs of one multiplier in clusters of 4 x 4, at least 85 % of linear."""
    arch = accelsim.load_arch("eyeriss_v2")
    for key, value in {"simd": 1, "pe_rows": 4, "cluster_rows": 4, "cluster_cols": 4}.items():
        arch = arch.replace(f"params.{key}", value)
    small = accelsim.simulate(arch, "alexnet", layers="conv*")
    wide = arch.replace("params.cluster_rows", rows).replace("params.cluster_cols", cols)
    large = accelsim.simulate(wide, "alexnet", layers="conv*")
    before, after = (sum(layer.compute_cycles for layer in run.layers) for run in (small, large))
    assert 0.85 <= before / after / (rows * cols / 16) <= 1
