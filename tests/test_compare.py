"""Machines side by side, over the layers that all of them ran."""

import json

import pytest
from click.testing import CliRunner

import accelsim
from accelsim.cli.compare import command
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
