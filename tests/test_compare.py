"""Machines side by side, over the layers that all of them ran."""

import json

import pytest
from click.testing import CliRunner

import accelsim
from accelsim.cli.compare import command
from accelsim.errors import WorkloadError
from accelsim.report import comparison


@pytest.fixture(scope="module")
def results():
    network = accelsim.load_network("onnx:squeezenet")
    return [accelsim.simulate(accelsim.load_arch(name), network) for name in ("edge_npu", "systolic_ws")]


def test_totals_are_over_the_layers_that_both_simulated(results):
    full, partial = results
    first, second = comparison.rows(results)
    assert first["layers"] == second["layers"] == len(partial.simulated) < len(full.simulated)
    shared = {layer.name for layer in partial.simulated}
    assert first["cycles"] == sum(layer.cycles for layer in full.layers if layer.name in shared)


def test_gains_are_over_the_first_machine(results):
    first, second = comparison.rows(results)
    assert first["speed_up"] == first["energy_gain"] == first["edp_gain"] == 1
    assert second["speed_up"] == pytest.approx(first["time_s"] / second["time_s"])
    assert second["edp_gain"] == pytest.approx(second["speed_up"] * second["energy_gain"])


def test_every_format_comes_out():
    for style in ("table", "json", "csv", "markdown"):
        done = CliRunner().invoke(
            command, ["systolic_ws", "systolic_os", "-n", "alexnet", "--format", style], catch_exceptions=False
        )
        assert done.exit_code == 0
        assert "systolic_os" in done.output
        if style == "json":
            assert len(json.loads(done.output)["rows"]) == 2


def test_a_partial_comparison_says_so():
    done = CliRunner().invoke(
        command, ["edge_npu", "systolic_ws", "--network", "onnx:squeezenet", "alexnet"], catch_exceptions=False
    )
    assert "PARTIAL" in done.output
    assert "alexnet" in done.output


def test_machines_without_a_common_layer_are_not_compared():
    network = accelsim.load_network("lstm_neuraltalk_h512_t1")
    ran = [accelsim.simulate(name, network) for name in ("sparch", "systolic_ws_8")]
    with pytest.raises(WorkloadError, match=r"runs on all machines: sparch runs 0: layer '.*': a sparse"):
        comparison.rows(ran)


def test_rates_of_sparse_products_count_multiplications():
    result = accelsim.simulate("gamma", "rmat:n=64,nnz=300,seed=1")
    (row,) = comparison.rows([result])
    assert row["tops"] == pytest.approx(2 * result.effective_macs / result.time_s / 1e12)
    assert row["tops"] < result.tops / 2
