"""Simulated layers on one clock: what waits for what, accounts of units, and the report that holds them."""

import io
import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.colors import to_hex
from rich.console import Console

import accelsim
from accelsim import simulation
from accelsim.cli import app
from accelsim.errors import ConfigError, WorkloadError
from accelsim.explore.sweep import evaluate, identity
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.network_time import made_by_others, programs_of
from accelsim.report import network_trace, palette, plots
from accelsim.report.document import document, to_json
from accelsim.report.markdown import to_markdown
from accelsim.report.reader import read_report
from accelsim.report.run_page import to_html
from accelsim.report.table import ResultView
from accelsim.report.trace import trace
from accelsim.units import si
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
    assert found.isolated_cycles == result.isolated_cycles
    assert result.cycles == found.cycles
    assert [layer.name for layer in found.layers] == [layer.name for layer in result.simulated]
    for layer, time in zip(result.simulated, found.layers, strict=True):
        assert time.isolated_cycles == layer.cycles
        if machine != "tpu_v1":  # beside tensors that live on the chip it has other tiles
            assert time.cycles >= layer.compute_cycles
            assert time.end_cycle - time.start_cycle >= layer.compute_cycles


def test_one_unit_in_a_chain_takes_no_longer_than_layer_by_layer_and_no_prefetch_no_less_than_some():
    none, tile, room = (simulated("tpu_v1", prefetch=p).schedule.cycles for p in ("none", "tile", 4096))
    result = simulated("tpu_v1")
    # a layer's first load in two requests is rounded up twice
    assert room <= tile <= none <= result.isolated_cycles + len(result.simulated)
    assert tile < result.isolated_cycles


def test_without_a_schedule_nothing_changes():
    plain = accelsim.simulate("edge_npu", "onnx:squeezenet", schedule="isolated")
    timed = simulated("edge_npu", "onnx:squeezenet")
    assert timed.alone.layers == plain.layers
    assert timed.alone.cycles == plain.cycles
    assert timed.alone.energy_pj == plain.energy_pj
    assert "schedule" not in document(plain)
    assert document(plain)["schema"] == 1


def test_time_rates_leakage_and_edp_are_of_the_one_clock():
    plain, timed = accelsim.simulate("edge_npu", "onnx:bvlc_alexnet", schedule="isolated"), simulated()
    assert timed.time_s == timed.schedule.cycles / 1e9
    assert timed.cycles < plain.cycles
    there, before = timed.energy_pj, plain.energy_pj
    assert there["leakage"] / before["leakage"] == pytest.approx(timed.cycles / plain.cycles)
    changed = {part for part in there if there[part] != pytest.approx(before[part], rel=1e-12)}
    assert changed == {"leakage", *(part for part in there if "clock" in part)}, "idle units are clocked"
    assert timed.edp_pj_s == pytest.approx(timed.total_energy_pj * timed.time_s)
    assert timed.tops == pytest.approx(2 * timed.macs / timed.time_s / 1e12)


def test_one_clock_is_the_default_of_connected_networks_that_run_whole():
    assert accelsim.simulate("edge_npu", "onnx:squeezenet").schedule is not None
    assert accelsim.simulate("edge_npu", "alexnet").schedule is None
    partial = accelsim.simulate("systolic_ws", "onnx:squeezenet")
    assert partial.partial
    assert partial.schedule is None
    assert all(layer.tiles is None for layer in partial.layers)
    assert simulated("systolic_ws", "onnx:squeezenet").schedule is not None
    device = simulation.load_arch("edge_npu", [("memory.dram.device", "ddr4-2400")])
    assert accelsim.simulate(device, "onnx:squeezenet").schedule is not None


def test_the_trace_has_a_track_per_unit_whose_slices_sum_to_its_account_and_counters_of_buses_and_buffers():
    result = accelsim.simulate("edge_npu_l2", "onnx:squeezenet", trace=True)
    found = [event for event in trace(result).document["traceEvents"] if event["pid"] == network_trace.PID]
    tracks = {e["args"]["name"]: e["tid"] for e in found if e["name"] == "thread_name"}
    for unit, kinds in result.schedule.accounts.items():
        slices = sorted(
            (e["args"] for e in found if e["ph"] == "X" and e["tid"] == tracks[f"unit {unit}"]),
            key=lambda a: a["cycle"],
        )
        assert sum(a["cycles"] for a in slices) == result.cycles
        assert all(a["cycle"] + a["cycles"] == b["cycle"] for a, b in pairwise(slices))
        spent = Counter()
        for event in (e for e in found if e["ph"] == "X" and e["tid"] == tracks[f"unit {unit}"]):
            args = event["args"]
            inside = {cause: args.get(f"{cause}_cycles", 0) for cause in ("memory", "conflict", "idle")}
            spent.update(inside)
            if event["name"] in inside:
                spent[event["name"]] += args["cycles"]
        account = next(iter(kinds.values()))
        for cause in ("memory", "conflict", "idle"):
            assert spent[cause] * account.units == account.causes.get(cause, 0)
    counters = {e["name"] for e in found if e["ph"] == "C"}
    assert counters == {"DRAM in use (%)", "l2 read in use (%)", "l2 write in use (%)", "l2 alive (KiB)"}
    peak = max(e["args"]["l2 alive"] for e in found if e["name"] == "l2 alive (KiB)")
    (buffer,) = result.schedule.buffers
    assert 0 < peak <= buffer.peak_bits / 8192


def test_what_buses_move_by_layer_sums_to_what_they_are_busy_with():
    result = accelsim.simulate("edge_npu_l2", "onnx:squeezenet")
    moved = Counter()
    for time in result.schedule.layers:
        for place, bus in time.moves.items():
            assert 0 <= bus.start_cycle < bus.end_cycle <= result.cycles
            assert bus.busy_cycles <= bus.end_cycle - bus.start_cycle
            moved[place] += bus.busy_cycles
    rate = result.arch["memory"]["dram"]["gb_per_s"] * 8 * 1000 / result.clock_mhz
    assert moved["dram"] == pytest.approx(result.dram_bits / rate, rel=0.01)


def test_some_layers_have_no_place_on_the_clock_of_all():
    result = simulated()
    assert result.over([layer.name for layer in result.layers]) is result
    some = result.over([layer.name for layer in result.layers[1:]])
    assert some.schedule is None
    assert some.cycles == result.isolated_cycles - result.layers[0].cycles
    part = simulated(layers="conv*")
    assert part.schedule is None
    assert part.cycles == sum(layer.cycles for layer in part.simulated)


def test_a_report_with_a_schedule_is_of_format_2_and_is_read_again(tmp_path):
    result = simulated("edge_npu", "onnx:squeezenet")
    path = tmp_path / "report.json"
    path.write_text(to_json(result))
    written = json.loads(path.read_text())
    assert written["schema"] == 2
    assert written["schedule"]["cycles"] == result.schedule.cycles
    assert to_json(read_report(path)) == path.read_text()


def test_the_report_says_where_each_layer_lies_and_both_totals():
    result = simulated()
    written = document(result)
    totals, layers = written["totals"], written["layers"]
    assert totals["cycles"] == written["schedule"]["cycles"]
    assert totals["isolated_cycles"] == sum(layer["isolated_cycles"] for layer in layers)
    assert totals["isolated_dram_bits"] == totals["dram_read_bits"] + totals["dram_write_bits"]
    assert totals["lower_bound_cycles"] <= totals["cycles"]
    assert written["arch"]["schedule"] == {
        "mode": "network", "residency": "exact", "fold": "hardware", "prefetch": "tile", "overlap": True,
    }  # fmt: skip
    for layer, time in zip(layers, written["schedule"]["layers"], strict=True):
        assert layer["start_cycle"] < layer["end_cycle"] <= totals["cycles"]
        assert layer["waits"] == time["waits"]
        assert sum(time["waits"].values()) + layer["compute_cycles"] == time["cycles"]


def test_people_read_both_totals_first_and_then_units_path_and_waits():
    result = simulated()
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(ResultView(result))
    shown = console.export_text()
    first = (
        f"{si(result.cycles, 'cycles', 4)} on one clock, 65.8 MB DRAM (isolated layers: 3.276 Mcycles, 65.8 MB): "
        "-0.3 % in all: one clock -0.1 %, units side by side -0.3 %"
    )
    for text in (shown, to_markdown(result), to_html(result)):
        assert first in " ".join(text.split())
        assert "DRAM transfer" in text
        assert "producer" in text
    assert shown.splitlines()[1].startswith(first)
    assert re.search(r"relu1 .* 109,623 +130,210 +108,883 producer", shown)
    assert re.search(r"\n  +vector +idle 89 %, busy 10 %", shown)
    plain = to_markdown(accelsim.simulate("edge_npu", "onnx:bvlc_alexnet", schedule="isolated"))
    assert "one clock" not in plain
    assert "Layers run one after another" in plain
    assert "Layers run one after another" not in to_markdown(result)


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        ([("schedule.mode", "networks")], "schedule.mode: 'networks' is not a known value; must be 'isolated' or"),
        ([("schedule.prefetch", 0)], "schedule.prefetch: 0 is no prefetch; write none, tile or KiB from 1 to"),
        ([("schedule.prefetch", "tiles")], "schedule.prefetch: 'tiles' is no prefetch; write none, tile or KiB"),
        ([("schedule.prefetch", 1 << 31)], "schedule.prefetch: 2147483648 is no prefetch"),
        ([("schedule.prefetch", True)], "schedule.prefetch: True is no prefetch"),
        ([("schedule.overlap", 1)], "schedule.overlap: 1 is of the wrong type; must be true or false"),
        ([("schedule.fetch", 1)], "schedule.fetch: unknown key; did you mean 'prefetch'?"),
    ],
)  # fmt: skip
def test_a_wrong_schedule_key_is_named_with_its_remedy(sets, told):
    with pytest.raises(ConfigError) as found:
        simulation.load_arch("edge_npu", sets)
    assert f"--set: {told}" in str(found.value)


def test_a_table_of_layers_has_no_edges_to_schedule_by(tmp_path):
    with pytest.raises(ConfigError, match=r"'resnet50' is a table of layers, isolated: no edges; use onnx:NAME"):
        simulated("edge_npu", "resnet50")
    path = tmp_path / "mine.yaml"
    path.write_text("base: edge_npu\nname: mine\nschedule:\n  mode: network\n  overlap: false\n")
    with pytest.raises(ConfigError, match=r"mine.yaml:4: schedule.mode: 'resnet50' is a table"):
        accelsim.simulate(str(path), "resnet50")
    assert accelsim.simulate(str(path), "resnet50", schedule="isolated").schedule is None
    assert accelsim.simulate(str(path), "onnx:squeezenet").schedule.overlap is False


def test_run_and_compare_take_the_clock_s_options():
    def of(*words):
        found = CliRunner().invoke(app, [*words, "--format", "json"])
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)

    run = of("run", "edge_npu", "onnx:squeezenet", "--network", "--prefetch", "64")
    assert run["schedule"]["prefetch"] == 64
    assert "schedule" not in of("run", "edge_npu", "onnx:squeezenet", "--network", "--isolated")
    compared = of("compare", "edge_npu", "-n", "onnx:squeezenet", "--set", "schedule.mode=network", "--prefetch", "64")
    assert compared["rows"][0]["cycles"] == run["totals"]["cycles"]
    wrong = CliRunner().invoke(app, ["run", "edge_npu", "onnx:squeezenet", "--prefetch", "some"])
    assert wrong.exit_code == 2
    assert "'some' is neither none, tile nor a whole number of KiB" in wrong.output


def test_the_gantt_picture_fills_every_unit_s_time_and_its_areas_are_the_accounts(tmp_path):
    result = simulated("edge_npu", "onnx:squeezenet")
    found = result.schedule
    axes = plots.gantt_figure(result).axes[0]
    looks = {to_hex(look.colour).upper(): cause for cause, look in palette.CAUSES.items()}
    for lane, unit in enumerate(found.accounts):
        area = dict.fromkeys(("busy", "memory", "conflict", "idle"), 0.0)
        for bars in axes.collections:
            for path in bars.get_paths():
                box = path.get_extents()
                if abs((box.y0 + box.y1) / 2 - lane) < 0.5:
                    area[looks[to_hex(bars.get_facecolor()[0]).upper()]] += box.width * box.height / 0.8
        account = next(iter(found.accounts[unit].values()))
        for cause in ("memory", "conflict", "idle"):
            assert area[cause] == pytest.approx(account.causes.get(cause, 0) / account.units, rel=1e-6, abs=1)
        assert sum(area.values()) == pytest.approx(found.cycles)
    path = tmp_path / "report.json"
    path.write_text(to_json(result))
    drawn = CliRunner().invoke(app, ["plot", str(path), "gantt", "-o", str(tmp_path / "gantt.png")])
    assert drawn.exit_code == 0, drawn.output
    with pytest.raises(ConfigError, match="not on one clock; run with --network"):
        plots.gantt_figure(result.alone)
    part = simulation.simulate("edge_npu", "onnx:squeezenet", layers="conv1")
    with pytest.raises(ConfigError, match="not on one clock; run the whole network, without --layers"):
        plots.gantt_figure(part)


def test_the_picture_of_buffers_has_what_lives_there_where_and_while_it_does(tmp_path):
    result = simulated("edge_npu_l2", "onnx:inception_v1")
    top, low = plots.buffers_figure(result).axes
    times = {time.name: time for time in result.schedule.layers}
    names = [layer.name for layer in result.layers]
    boxes = [
        (bar.get_x(), bar.get_y(), bar.get_x() + bar.get_width(), bar.get_height())
        for bar in top.patches
    ]  # fmt: skip
    expected = []
    for kept in result.schedule.kept:
        around = [times[name] for name in names[kept.first : kept.last + 1]]
        begin, end = min(time.start_cycle for time in around), max(time.end_cycle for time in around)
        expected.append((begin, kept.address_bits / 8192, end, kept.bits / 8192))
    assert len(expected) > 40
    assert boxes == [pytest.approx(box) for box in expected]
    alive = low.patches[0].get_data()
    for cycle in (0, 100_000, 1_400_000, 2_000_000):
        at = np.searchsorted(alive.edges, cycle, side="right") - 1
        assert alive.values[at] == pytest.approx(sum(box[3] for box in expected if box[0] <= cycle < box[2]))
    with pytest.raises(ConfigError, match="nothing lives in buffers between layers; run on a machine with"):
        plots.buffers_figure(simulated("edge_npu", "onnx:squeezenet"))
    with pytest.raises(ConfigError, match="not on one clock; run with --network"):
        plots.buffers_figure(result.alone)
    path = tmp_path / "report.json"
    path.write_text(to_json(result))
    drawn = CliRunner().invoke(app, ["plot", str(path), "buffers", "-o", str(tmp_path / "buffers.png")])
    assert drawn.exit_code == 0, drawn.output


def test_a_point_of_a_sweep_is_on_the_clock_that_its_machine_says():
    machine, net = simulation.load_arch("edge_npu"), accelsim.load_network("onnx:squeezenet")
    context = evaluate.Context({"m": machine.document}, {"n": net}, Path(), columnar=True)
    sets = (("schedule.mode", "network"),)
    row = evaluate.run_point(context, evaluate.Job("", "m", "n", sets, OptionsSpec()))
    first = evaluate.run_point(context, evaluate.Job("", "m", "n", (), OptionsSpec()))
    sets = (("schedule.mode", "isolated"),)
    alone = evaluate.run_point(context, evaluate.Job("", "m", "n", sets, OptionsSpec()))
    assert first.totals["cycles"] == row.totals["cycles"], "one clock is the default of what is connected"
    result = simulated("edge_npu", "onnx:squeezenet")
    assert row.totals["cycles"] == result.cycles
    assert row.totals["edp_pj_s"] == result.edp_pj_s
    assert alone.totals["cycles"] == result.isolated_cycles
    assert identity.MachineText(machine.config).of(sets) != identity.MachineText(machine.config).of(())
    wrong = evaluate.run_point(context, evaluate.Job("", "m", "n", (("schedule.mode", "net"),), OptionsSpec()))
    assert wrong.status == "illegal"


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
