"""Simulated layers on one clock: what waits for what, accounts of units, and the report that holds them."""

import json
from dataclasses import replace

import pytest

import accelsim
from accelsim.errors import WorkloadError
from accelsim.network_time import made_by_others, programs_of
from accelsim.report.document import document, to_json
from accelsim.report.reader import read_report
from accelsim.workload.layers import LayerView
from accelsim.workload.network import make_layer
from accelsim.workload.shapes import Matmul


def simulated(machine="edge_npu", network="onnx:bvlc_alexnet", **options):
    return accelsim.simulate(machine, network, schedule="network", **options)


@pytest.mark.parametrize("machine", ["edge_npu", "tpu_v1", "eyeriss", "systolic_ws", "diannao", "scnn"])
@pytest.mark.parametrize("network", ["onnx:bvlc_alexnet", "onnx:squeezenet"])
def test_every_unit_s_account_closes_and_the_path_sums_to_the_network_s_cycles(machine, network):
    try:
        result = simulated(machine, network)
    except WorkloadError:
        pytest.skip("no layer runs")
    found = result.schedule
    for kinds in found.accounts.values():
        for account in kinds.values():
            assert sum(account.causes.values()) == account.units * found.cycles
    assert sum(part.cycles for part in found.critical) == found.cycles
    assert found.lower_bound_cycles <= found.cycles
    assert found.isolated_cycles == result.cycles
    assert [layer.name for layer in found.layers] == [layer.name for layer in result.simulated]
    for layer, time in zip(result.simulated, found.layers, strict=True):
        assert time.isolated_cycles == layer.cycles
        assert time.cycles >= layer.compute_cycles
        assert time.end_cycle - time.start_cycle >= layer.compute_cycles


def test_one_unit_in_a_chain_takes_no_longer_than_layer_by_layer_and_no_prefetch_no_less_than_some():
    none, tile, room = (simulated("tpu_v1", prefetch=p).schedule.cycles for p in ("none", "tile", 4096))
    result = simulated("tpu_v1")
    # a layer's first load in two requests is rounded up twice
    assert room <= tile <= none <= result.cycles + len(result.simulated)
    assert tile < result.cycles


def test_without_a_schedule_nothing_changes():
    plain, timed = accelsim.simulate("edge_npu", "onnx:squeezenet"), simulated("edge_npu", "onnx:squeezenet")
    assert replace(timed, schedule=None, not_modelled=plain.not_modelled) == plain
    assert "schedule" not in document(plain)
    assert document(plain)["schema"] == 1


def test_a_report_with_a_schedule_is_of_format_2_and_is_read_again(tmp_path):
    result = simulated("edge_npu", "onnx:squeezenet")
    path = tmp_path / "report.json"
    path.write_text(to_json(result))
    written = json.loads(path.read_text())
    assert written["schema"] == 2
    assert written["schedule"]["cycles"] == result.schedule.cycles
    assert to_json(read_report(path)) == path.read_text()


def test_a_table_of_layers_has_no_edges_to_schedule_by():
    with pytest.raises(WorkloadError, match=r"'resnet50' is a table of isolated layers: .*; give a connected one"):
        simulated("edge_npu", "resnet50")


def test_an_edge_goes_through_views_and_ends_where_the_tensor_lives():
    network = accelsim.load_network("onnx:squeezenet")
    result = accelsim.simulate("edge_npu", network, trace=True)
    programs = programs_of(network, result.layers)
    numbers = {program.layer: number for number, program in enumerate(programs)}
    joined = [program for program in programs if len(program.producers) == 2]
    assert joined, "a fire module's two expansions are joined by a view, and the next layer reads both"
    for program in joined:
        names = sorted(programs[edge.producer].layer for edge in program.producers)
        assert all(numbers[name] < numbers[program.layer] for name in names)
        assert all(edge.place == "dram" for edge in program.producers)
        assert "input" in program.made
    assert programs[0].producers == ()
    assert "input" not in programs[0].made


def test_the_second_operand_of_a_product_of_activations_is_no_constant():
    found, tensors = make_layer("scores", Matmul(batch=1, m=4, n=4, k=8), inputs=("q", "k"))
    view = LayerView("scores", found.shape, (tensors["q"], tensors["k"]), (), (tensors["scores.output"],))
    assert made_by_others(view, {"k"}) >= {"weight"}
    assert "weight" not in made_by_others(view, {"q"})
    assert not made_by_others(view, set()) & {"input", "weight"}


def test_what_is_not_modelled_between_layers_depends_on_the_clock():
    machine, net = "edge_npu", "onnx:squeezenet"
    texts = [" ".join(accelsim.simulate(machine, net, schedule=mode).not_modelled) for mode in ("isolated", "network")]
    assert ["Layers run one after another" in text for text in texts] == [True, False]
    assert ["Layers on one clock wait for whole layers" in text for text in texts] == [False, True]
