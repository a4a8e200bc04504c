"""The whole line: network and machine in, a closed and reproducible result out."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import accelsim
from accelsim.errors import ConfigError, FitError, ModelError, UserError, WorkloadError
from accelsim.report.document import to_json

SMALL = """\
name: small
source: made for a test
isolated: false
inputs: [x]
layers:
  - {name: a, kind: conv2d, n: 1, c: 3, k: 8, h: 9, w: 9, r: 3, s: 3, pad: 1, inputs: [x], outputs: [y]}
  - {name: act, kind: elementwise, op: relu, shape: [1, 8, 9, 9], inputs: [y], outputs: [z]}
  - {name: b, kind: conv2d, n: 1, c: 8, k: 4, h: 9, w: 9, r: 3, s: 3, stride: 2, inputs: [z], outputs: [u]}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)


def run(arch="edge_npu", network="alexnet", **options):
    return accelsim.simulate(accelsim.load_arch(arch), accelsim.load_network(network), **options)


def test_the_python_interface_is_as_documented():
    arch = accelsim.load_arch("systolic_ws").replace("params.rows", 16)
    result = accelsim.simulate(arch, accelsim.load_network("alexnet"), batch=4)
    assert result.cycles == sum(layer.cycles for layer in result.layers)
    assert result.edp_pj_s == pytest.approx(result.total_energy_pj * result.time_s)
    assert result.energy_pj["dram"] == pytest.approx(8 * result.dram_bits)  # lpddr4: 8 pJ per bit
    assert result.layers[0].account["busy"] > 0
    assert len(result.to_rows()) == len(result.layers)


def test_the_same_run_gives_the_same_bytes_whatever_the_workers():
    once = to_json(run(network="resnet18"))
    assert once == to_json(run(network="resnet18"))
    assert once == to_json(run(network="resnet18", workers=2))


def test_layers_do_not_depend_on_the_order_in_which_they_are_simulated():
    network = accelsim.load_network("alexnet")
    from dataclasses import replace

    turned = replace(network, layers=network.layers[::-1])
    arch = accelsim.load_arch("systolic_ws")
    profile = {"density": None}
    forward = accelsim.simulate(arch, network, **profile)
    backward = accelsim.simulate(arch, turned, **profile)
    for layer in forward.layers:
        twin = next(t for t in backward.layers if t.name == layer.name)
        assert (layer.cycles, layer.traffic, layer.energy_pj) == (twin.cycles, twin.traffic, twin.energy_pj)


def test_cycle_fidelity_gives_the_same_integers_as_closed_forms(small):
    closed, cycle = run(network=small), run(network=small, fidelity="cycle")
    for a, b in zip(closed.layers, cycle.layers, strict=True):
        assert (a.cycles, a.accounts, a.traffic) == (b.cycles, b.accounts, b.traffic)


def test_check_compares_every_layer_with_numpy(small):
    result = run(network=small, check=True)
    assert [layer.checked for layer in result.layers] == [True, True, True]


def test_a_wrong_value_is_noticed(small, monkeypatch):
    from accelsim import engine

    honest = engine.golden
    monkeypatch.setattr(engine, "golden", lambda operands: honest(operands) + 1)
    assert [layer.checked for layer in run(network=small, check=True).layers] == [False, False, False]


def test_chained_operands_propagate_computed_values(small):
    result = run(network=small, operands="chain", check=True)
    assert all(layer.checked for layer in result.layers)
    assert result.options["operands"] == "chain"
    # relu makes zeros, which the next convolution meets
    assert result.layers[2].account["zero"] > 0


def test_chained_operands_need_a_connected_network():
    with pytest.raises(WorkloadError, match="isolated layers"):
        run(network="alexnet", operands="chain")


def test_given_operands_are_used_and_checked(small, tmp_path):
    weights = np.zeros((8, 3, 3, 3), dtype=np.int64)
    np.savez(tmp_path / "w.npz", **{"a.weight": weights})
    result = run(network=small, operands=tmp_path / "w.npz")
    assert result.layers[0].effective_macs == 0
    np.savez(tmp_path / "w.npz", **{"a.weight": weights + 200})
    with pytest.raises(WorkloadError, match=r"a\.weight': values 0\.\.200 do not fit 8 bits signed; declare"):
        run(network=small, operands=tmp_path / "w.npz")
    np.savez(tmp_path / "w.npz", **{"a.weight": weights[:4]})
    with pytest.raises(WorkloadError, match="give the layer's shape"):
        run(network=small, operands=tmp_path / "w.npz")
    np.savez(tmp_path / "w.npz", **{"nowhere.weight": weights})
    with pytest.raises(WorkloadError, match="names no operand"):
        run(network=small, operands=tmp_path / "w.npz")


def test_a_pickle_inside_an_archive_is_not_executed(small, tmp_path):
    np.savez(tmp_path / "w.npz", **{"a.weight": np.array([{"x": 1}], dtype=object)})
    with pytest.raises(WorkloadError, match="cannot be read"):
        run(network=small, operands=tmp_path / "w.npz")


def test_image_i_is_the_same_in_every_batch_size(small, tmp_path):
    (tmp_path / "d.yaml").write_text("layers: {a: {input: 0.5}}\n")
    from accelsim.operands.handle import of

    network = accelsim.load_network(small)
    arch = accelsim.load_arch("edge_npu")
    from accelsim.simulation import prepare

    masks = {}
    for batch in (1, 3):
        prepared = prepare(arch, network, batch, tmp_path / "d.yaml", None)
        masks[batch] = of(prepared.view(prepared.layers[0]), 5).input.mask
    np.testing.assert_array_equal(masks[1][0], masks[3][0])
    assert not np.array_equal(masks[3][0], masks[3][1])


def test_a_machine_without_a_vector_unit_says_what_it_left_out(small):
    result = run("systolic_ws", small)
    assert not result.complete
    left = result.layers[1]
    assert (left.simulated, left.reason) == (False, "a systolic array has no elementwise unit")
    assert result.coverage["layers"] == pytest.approx(2 / 3)
    with pytest.raises(WorkloadError, match="layer 'act' cannot run"):
        run("systolic_ws", small, unsupported="error")


def test_a_connected_network_on_a_machine_with_both_units_is_complete(small):
    result = run("edge_npu", small)
    assert result.complete
    assert {layer.unit for layer in result.layers} == {"array", "vector"}


def test_a_pinned_mapping_is_used_and_named(small, tmp_path):
    (tmp_path / "m.yaml").write_text("a: {groups: 1, n: 1, e: 2, f: 9, k: 4, c: 1, order: cmk}\n")
    result = run("systolic_ws", small, mapping=tmp_path / "m.yaml")
    assert result.layers[0].mapping_source == "pinned"
    assert result.layers[0].mapping["e"] == 2
    assert result.layers[2].mapping_source == "searched"
    (tmp_path / "m.yaml").write_text("c: {groups: 1, n: 1, e: 2, f: 9, k: 4, c: 1, order: cmk}\n")
    with pytest.raises(ConfigError, match="'c' matches no layer"):
        run("systolic_ws", small, mapping=tmp_path / "m.yaml")
    (tmp_path / "m.yaml").write_text("a: {groups: 1, n: 1, e: 2, f: 9, k: 4, cc: 1, order: cmk}\n")
    with pytest.raises(ConfigError, match=r"m\.yaml:1: a\.cc: unknown key; did you mean 'c'"):
        run("systolic_ws", small, mapping=tmp_path / "m.yaml")


def test_a_scratchpad_too_small_says_by_how_much():
    arch = accelsim.load_arch("systolic_ws", [("params.input_kib", 1), ("precision.input_bits", 8)])
    network = accelsim.load_network("vgg16")
    accelsim.simulate(arch, network, layers="conv1*")
    sets = [("params.weight_kib", 1), ("params.operand_bits", 32), ("precision.weight_bits", 32)]
    with pytest.raises(FitError, match=r"no tile fits.*weight needs 8,192 bits, has 4,096"):
        accelsim.simulate(accelsim.load_arch("systolic_ws", sets), "vit_b_16", layers="*patch*", unsupported="error")


def test_other_objectives_choose_other_mappings():
    cycles = run("systolic_ws_8", "vgg16")
    arch = accelsim.load_arch("systolic_ws_8", [("mapping.objective", "dram")])
    dram = accelsim.simulate(arch, accelsim.load_network("vgg16"))
    assert dram.dram_bits < cycles.dram_bits
    assert dram.cycles > cycles.cycles


@pytest.mark.parametrize("objective", ["energy", "edp"])
def test_energy_objectives_are_priced(objective):
    arch = accelsim.load_arch("systolic_os", [("mapping.objective", objective)])
    result = accelsim.simulate(arch, accelsim.load_network("alexnet"), layers="conv*")
    assert result.total_energy_pj <= run("systolic_os", "alexnet", layers="conv*").total_energy_pj * 1.001


def test_a_selection_of_layers_is_partial_and_says_so(small):
    result = run(network=small, layers="a")
    assert not result.complete
    assert [layer.simulated for layer in result.layers] == [True, False, False]
    assert result.layers[1].reason == "not selected"
    assert result.coverage["layers"] == pytest.approx(1 / 3)


def test_no_layer_matching_a_pattern_is_an_error():
    with pytest.raises(WorkloadError, match="no layer of 'alexnet' matches 'zz'"):
        run(layers="zz")


def test_a_name_that_a_table_shortened_leads_to_the_whole_one():
    with pytest.raises(WorkloadError, match=r"matches 'blo1\.dept\.norm'; did you mean 'block1\.depthwise\.norm'"):
        accelsim.simulate("edge_npu", "net:mobilenet_v2", layers="blo1.dept.norm")


def test_a_broken_account_is_our_error(small, monkeypatch):
    from accelsim.engines.systolic import engine

    honest = engine.Systolic.activity
    monkeypatch.setattr(engine.Systolic, "activity", lambda *a: dataclasses.replace(honest(*a), compute_cycles=1))
    with pytest.raises(ModelError, match="causes sum to"):
        run(network=small)


def accelsim_cli(*args, cwd=None, **env):
    command = [sys.executable, "-m", "accelsim", *args]
    path = str(Path(accelsim.__file__).parents[1])
    found = {**os.environ, "PYTHONPATH": path, **env}
    return subprocess.run(command, cwd=cwd, env=found, capture_output=True, text=True, timeout=300)


def test_each_variant_has_a_folder_of_its_own(small, tmp_path):
    args = ("run", "edge_npu", small)
    for extra in ((), ("--set", "units.array.params.rows=8"), ("--batch", "2"), ("--layers", "a")):
        assert accelsim_cli(*args, *extra, cwd=tmp_path).returncode == 0
    found = {p.name for p in (tmp_path / "reports" / "out").iterdir()}
    assert found == {
        "edge_npu-small",
        "edge_npu-small-units.array.params.rows=8",
        "edge_npu-small-batch=2",
        "edge_npu-small-layers=a",
    }


def test_a_file_in_place_of_the_folder_is_noticed_before_the_run(small, tmp_path):
    (tmp_path / "file").write_text("")
    done = accelsim_cli("run", "edge_npu", small, "-o", "file", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: file: is a file, not a folder; choose another folder with -o\n"


def test_a_run_of_nothing_is_an_error(small, tmp_path):
    done = accelsim_cli("run", "systolic_ws", small, "--set", "precision.input_bits=16", cwd=tmp_path)
    assert done.returncode == 2
    assert "no layer of 'small' ran on 'systolic_ws': layer 'a': 'x' has 16 bits, the multipliers take 8" in done.stderr


def test_memory_binds_a_layer_whose_traffic_takes_longer_than_its_work():
    slow = accelsim.load_arch("edge_npu", [("memory.dram.gb_per_s", 1)])
    layer = accelsim.simulate(slow, "alexnet", layers="fc7").simulated[0]
    assert layer.dram_cycles >= layer.compute_cycles
    assert layer.bound_by == "memory"
    fast = accelsim.load_arch("edge_npu", [("memory.dram.gb_per_s", 1000)])
    assert accelsim.simulate(fast, "alexnet", layers="fc7").simulated[0].bound_by != "memory"


def test_json_on_standard_output_is_only_the_document(small, tmp_path):
    done = accelsim_cli("run", "edge_npu", small, "--format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["totals"]["complete"] is True
    assert not (tmp_path / "reports").exists()


def test_a_table_writes_the_report_files(small, tmp_path):
    done = accelsim_cli("run", "edge_npu", small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "reports" / "out" / "edge_npu-small"
    assert {p.name for p in folder.iterdir()} >= {"report.json", "layers.csv", "report.md", "breakdown.png"}
    assert str(folder.relative_to(tmp_path)) in done.stdout


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["run", "systolic_sw", "alexnet"], "error: no machine is called 'systolic_sw'; did you mean 'systolic_ws'?"),
        (["run", "systolic_ws", "alexnt"], "error: no network is called 'alexnt'; did you mean 'alexnet'?"),
        (["run", "systolic_ws", "alexnet", "--set", "params.rows"], "error: --set: 'params.rows' has no '='"),
        (["run", "systolic_ws", "alexnet", "--layers", "z"], "error: no layer of 'alexnet' matches 'z'"),
        (["run", "systolic_ws", "x.onnx"], "error: no such network file: 'x.onnx'; check the path"),
        (["run", "systolic_ws"], "error: Missing argument 'NETWORK'."),
        (["rnu"], "error: No such command 'rnu'."),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_status_2(args, expected, tmp_path):
    done = accelsim_cli(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(expected)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_user_errors_survive_the_way_between_processes():
    import pickle

    error = ConfigError("problem", "remedy", file="f", line=3, key="k")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, UserError)
    assert str(again) == str(error) == "f:3: k: problem; remedy"


def test_weights_of_an_onnx_graph_are_quantised_and_their_zeros_counted(tmp_path):
    from onnx import helper
    from onnx_graphs import save

    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    weights[1] = 0
    path = tmp_path / "m.onnx"
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    save(path, nodes, {"x": [1, 3, 8, 8]}, constants=[("w", weights)])
    result = run("edge_npu", str(path), check=True)
    assert [layer.checked for layer in result.layers] == [True, True]
    conv = result.layers[0]
    # a quarter of the filters is zero, besides small weights that round to it
    assert conv.effective_macs <= 0.75 * conv.macs
    assert run("edge_npu", str(path), workers=2).layers[0].effective_macs == conv.effective_macs
    assert all(layer.checked for layer in run("edge_npu", str(path), operands="chain", check=True).layers)
