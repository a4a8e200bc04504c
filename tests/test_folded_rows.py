"""Layers that are parts of others stay in reports: rows of no cycles that say where their work is done."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console

import accelsim
from accelsim import comparison
from accelsim.config.packaged import find
from accelsim.explore.sweep import evaluate
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.layer import with_rows
from accelsim.report import network_trace
from accelsim.report.comparison_page import to_html as comparison_html
from accelsim.report.document import to_json
from accelsim.report.markdown import to_markdown
from accelsim.report.reader import read_report
from accelsim.report.rows import to_csv
from accelsim.report.run_page import to_html
from accelsim.report.table import ResultView
from accelsim.repricing import repriced
from accelsim.workload.nets.builder import Builder
from accelsim.workload.network import Network

L2 = yaml.safe_load(Path(find("arch_configs", "edge_npu_l2")[0]).read_text())
ROWS = [("conv1", ""), ("bn", "conv1"), ("relu1", "conv1"), ("pool", ""), ("conv2", ""), ("sum", "conv2"), ("last", "")]


def machine(name="lanes"):
    values = json.loads(json.dumps(L2)) | {"name": name}
    values["units"][0]["post_ops"] = {"ops": ["relu", "residual"], "lanes": 32}
    return accelsim.load_arch(values)


def network():
    b = Builder()
    x = b.conv("conv1", b.input("x", 8, 12, 12), 8, 3)
    x = b.pool("pool", b.elementwise("relu1", "relu", b.norm("bn", x)), "max", 3, 1, pad=1)
    x = b.elementwise("sum", "add", b.conv("conv2", x, 8, 3), x)
    b.pool("last", x, "max", 2, 2)
    return Network("n", tuple(b.layers), b.tensors)


@pytest.fixture(scope="module")
def result():
    return accelsim.simulate(machine(), network())


def text(result, width=160, **options):
    out = io.StringIO()
    Console(file=out, width=width).print(ResultView(result, **options))
    return out.getvalue()


def test_a_folded_layer_is_a_row_that_takes_nothing_and_is_no_skipped_one(result):
    assert [(layer.name, layer.folded_into) for layer in result.layers] == ROWS
    assert not result.partial
    assert result.complete
    assert result.coverage == {"macs": 1.0, "layers": 1.0, "dram_bits": 1.0}
    for layer in (layer for layer in result.layers if layer.folded_into):
        host = next(other for other in result.layers if other.name == layer.folded_into)
        assert (layer.simulated, layer.reason, layer.unit) == (True, f"folded into {host.name}", host.unit)
        assert (layer.cycles, layer.macs, layer.dram_bits, layer.total_energy_pj) == (0, 0, 0, 0)
        assert (layer.start_cycle, layer.bound_by, layer.mapping_efficiency) == (host.start_cycle, "", 0.0)
    assert result.isolated_cycles == result.schedule.factors[1].cycles
    assert repr(result.layers[1]) == "<LayerResult bn (normalization): folded into conv1>"


def test_layers_one_after_another_have_no_such_rows():
    alone = accelsim.simulate(machine(), network(), schedule="isolated")
    assert {layer.folded_into for layer in alone.layers} == {""}
    assert '"folded_into"' not in to_json(alone)
    assert '"folded_into"' not in to_json(accelsim.simulate("edge_npu_l2", network(), fold="none"))


def test_tables_say_where_the_work_is_done(result):
    shown = text(result)
    for name, host in ROWS:
        line = next(line for line in shown.splitlines() if line.startswith(f"{name} "))
        assert (f"folded into {host}" in line) == bool(host)
    assert "without work" not in shown
    assert "not simulated" not in shown
    assert "all 7 layers" in shown
    assert "sum  " in text(result, depth=1)
    written = to_markdown(result)
    assert "| sum | elementwise | array | 0 | 0 |" in written
    assert written.count("folded into conv1") == 2
    assert "Not simulated" not in written
    page = to_html(result)
    assert page.count(">folded into conv1</td>") == 2
    assert "layers without work" not in page
    rows = {row["layer"]: row for row in csv.DictReader(io.StringIO(to_csv(result)))}
    assert [rows["sum"][key] for key in ("simulated", "reason", "cycles")] == ["true", "folded into conv2", "0"]


def test_report_json_has_the_rows_and_is_read_again(result, tmp_path):
    document = json.loads(to_json(result))
    rows = {row["name"]: row for row in document["layers"]}
    assert [(row["name"], row.get("folded_into", "")) for row in document["layers"]] == ROWS
    assert (rows["sum"]["cycles"], rows["sum"]["macs"], rows["sum"]["simulated"]) == (0, 0, True)
    assert document["totals"]["partial"] is False
    path = tmp_path / "report.json"
    path.write_text(to_json(result))
    assert to_json(read_report(path)) == path.read_text()


def test_older_reports_without_the_rows_compare_as_before(result, tmp_path):
    document = json.loads(to_json(result))
    document["layers"] = [row for row in document["layers"] if "folded_into" not in row]
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document))
    old = read_report(path)
    plain = accelsim.simulate("edge_npu_l2", network())
    works = comparison.works_of([old, plain, result]).ran
    assert set(works[0]) == set(works[1]) == set(works[2])
    assert old.cycles == result.cycles


def test_machines_that_fold_differently_run_as_many_layers(result):
    plain = accelsim.simulate("edge_npu_l2", network())
    found = comparison.of_results([plain, result])
    assert [(row["layers"], row["layers_run"], row["layers_in_all"], row["partial"]) for row in found.to_rows()] == [
        (7, 7, 7, False), (7, 7, 7, False),
    ]  # fmt: skip
    assert found.rows[1].over.cycles == result.schedule.cycles
    assert "folded into conv2" in comparison_html(found, {})


def test_parts_of_a_layer_that_another_machine_has_whole_keep_their_parent():
    b = Builder()
    x = b.conv("conv1", b.input("x", 8, 12, 12), 8, 3)
    b.pool("last", b.elementwise("relu1", "relu", x), "max", 2, 2)
    layers = tuple(layer if layer.name != "relu1" else replace(layer, parent="block") for layer in b.layers)
    found = accelsim.simulate(machine(), Network("n", layers, b.tensors))
    assert [(layer.name, layer.parent) for layer in found.layers] == [("conv1", ""), ("relu1", "block"), ("last", "")]


def test_what_lives_in_a_buffer_when_is_not_moved_by_the_rows(result):
    """The pooled tensor is read and added by the last product, its input is written by the first layer that runs."""
    times = {time.name: time for time in result.schedule.layers}
    levels = dict(network_trace.live(result, result.schedule)["l2"])
    bits = 8 * 8 * 144
    assert levels[times["conv1"].start_cycle] == bits
    assert max(levels.values()) <= 3 * bits
    assert levels[times["last"].end_cycle] == 0


def test_other_prices_leave_the_rows_without_energy(result):
    other = repriced(result, "28nm")
    for layer in other.layers:
        assert bool(layer.energy_pj) == (not layer.folded_into)


@pytest.mark.parametrize("keep", [False, True])
def test_points_of_a_sweep_that_fold_differently_count_the_same_layers(result, keep):
    arch, given = machine(), network()
    context = evaluate.Context({"m": arch.document}, {"n": given}, Path(), keep_layers=keep, columnar=True)
    for rule in ("none", "hardware"):
        row = evaluate.run_point(context, evaluate.Job("", "m", "n", (("schedule.fold", rule),), OptionsSpec()))
        assert set(row.ran.names) == {name for name, _ in ROWS}
        assert [row.totals[key] for key in ("layers_simulated", "layers_needed", "complete")] == [7, 7, True]
        reasons = [layer["reason"] or "" for layer in row.layers]
        hosts = [f"folded into {host}" if host and rule == "hardware" else "" for _, host in ROWS]
        assert reasons == (hosts if keep else [])


def test_what_joins_a_layer_that_did_not_run_did_not_run_either(result):
    arch, whole = machine(), network()
    ready = accelsim.simulation.prepare(arch, whole, None, None, None)
    folded = accelsim.simulation.folded_for(arch, ready, one_clock=True)
    own = [layer for layer in result.layers if not layer.folded_into]
    own = [replace(layer, simulated=layer.name != "conv2") for layer in own]
    rows = {layer.name: layer for layer in with_rows(own, folded, ready)}
    assert list(rows) == [name for name, _ in ROWS]
    assert [rows[name].simulated for name in ("relu1", "sum")] == [True, False]
