"""Power over time: its area is the energy, no peak is below the mean, stalls are told apart."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from report_samples import alexnet

import accelsim
from accelsim.cli import app, main
from accelsim.memory import timeline
from accelsim.memory.timeline import Span, Traced
from accelsim.report import power
from accelsim.report.document import document
from accelsim.report.trace import MOST_POWERS, trace

MACHINES = [("edge_npu", "onnx:squeezenet"), ("eyeriss", "alexnet"), ("scnn", "alexnet"), ("tpu_v1", "alexnet")]


def traced(arch, network, **sets):
    machine = accelsim.load_arch(arch, list(sets.items()))
    return accelsim.simulate(machine, accelsim.load_network(network), trace=True, schedule="isolated")


def seen(result, most=1000):
    return {
        layer.name: timeline.trace(layer.tiles.schedule, layer.tiles.dram, most)
        for layer in result.simulated
        if layer.cycles and layer.tiles and layer.tiles.schedule
    }


@pytest.mark.parametrize(("arch", "network"), MACHINES)
@pytest.mark.parametrize("most", [0, 37, 2000])
def test_the_energy_under_the_curve_is_the_energy_of_the_report_component_by_component(arch, network, most):
    result = traced(arch, network)
    curve = power.of_tiles(result, seen(result, most)) if most else power.of_layers(result)
    assert curve.edges[0] == 0
    assert curve.edges[-1] == result.cycles
    assert (np.diff(curve.edges) > 0).all()
    for name, pj in result.energy_pj.items():
        assert curve.pj[name].sum() == pytest.approx(pj, rel=1e-9)
        assert (curve.pj[name] >= 0).all()
    assert curve.average_mw == pytest.approx(result.total_energy_pj / (result.time_s * 1e9))


@pytest.mark.parametrize(("arch", "network"), MACHINES)
def test_no_peak_is_below_the_mean_and_a_longer_window_has_no_higher_one(arch, network):
    result = traced(arch, network)
    curve = power.of_tiles(result, seen(result))
    whole = result.time_s * 1e6
    peaks = [curve.peak_mw(window) for window in (0.01, 1.0, 10.0, whole / 3, whole, 2 * whole)]
    assert min(peaks) >= curve.average_mw * (1 - 1e-12)
    assert peaks[0] >= peaks[1] * (1 - 1e-9)
    assert peaks[-1] == peaks[-2] == curve.average_mw


def test_a_window_that_no_run_is_a_multiple_of_still_has_no_peak_below_the_mean():
    # 15 cycles at 1 MHz, all energy in the first and the last: a window of 10 holds half of it at most
    pj = np.array([5.0, 0.0, 5.0])
    curve = power.Power(np.array([0, 1, 14, 15]), {"dram": pj}, 1.0)
    assert curve.average_mw == pytest.approx(10 / 15 / 1000)
    assert curve.peak_mw(10.0) == curve.average_mw
    assert curve.peak_mw(1.0) == pytest.approx(5 / 1000)


def test_a_peak_is_where_the_window_begins_or_ends_with_a_piece():
    # 100 pJ within cycles 10 to 12 of 100, at 1 MHz: a window of 4 us takes all of it, one of 1 us half
    curve = power.Power(np.array([0, 10, 12, 100]), {"a": np.array([0.0, 100.0, 0.0])}, 1.0)
    assert curve.peak_mw(4.0) == pytest.approx(100 / 4 / 1000)
    assert curve.peak_mw(1.0) == pytest.approx(50 / 1 / 1000)


def test_each_kind_of_energy_lies_where_it_is_spent():
    # loads 0-4, computes 4-10, stores 10-12 of 16 cycles; the clock takes 6 pJ while it waits
    layer = replace(
        alexnet().simulated[0], name="l", cycles=16, compute_cycles=6, stall_cycles=10, dram_cycles=6, start_cycle=0,
        energy_pj={"macs": 12.0, "dram": 18.0, "clock": 36.0, "leakage": 16.0},
        stalled_pj={"clock": 6.0, "leakage": 10.0},
    )  # fmt: skip
    result = replace(alexnet(), layers=(layer,), clock_mhz=1000.0)
    tiles = Traced([Span("loads", 0, 0, 4), Span("compute", 0, 4, 6), Span("stores", 0, 10, 2)], 1, 1)
    curve = power.of_tiles(result, {"l": tiles})
    assert curve.edges.tolist() == [0, 4, 10, 12, 16]
    assert curve.pj["macs"].tolist() == [0, 12, 0, 0]
    assert curve.pj["dram"] == pytest.approx([12, 0, 6, 0])
    assert curve.pj["leakage"] == pytest.approx([4, 6, 2, 4])
    assert curve.pj["clock"] == pytest.approx([2.4, 30, 1.2, 2.4])


def test_stalls_leak_their_share_of_the_time_and_repricing_keeps_it():
    result = traced("tpu_v1", "alexnet")
    for layer in result.simulated:
        part = layer.stalled_pj.get("leakage", 0.0)
        assert part == pytest.approx(layer.energy_pj["leakage"] * layer.stall_cycles / layer.cycles)
        assert all(pj <= layer.energy_pj[name] for name, pj in layer.stalled_pj.items())
    from accelsim.repricing import repriced

    again = repriced(result, "28nm")
    assert [layer.stalled_pj for layer in again.simulated] == [layer.stalled_pj for layer in result.simulated]


def test_the_track_of_the_trace_carries_the_energy_of_the_run_and_its_size_is_bounded():
    result = traced("edge_npu", "onnx:squeezenet")
    found = trace(result).document
    points = [event for event in found["traceEvents"] if event["ph"] == "C"]
    assert set(points[0]["args"]) == set(result.energy_pj)
    assert not any(points[-1]["args"].values())
    pj = sum(sum(a["args"].values()) * (b["ts"] - a["ts"]) * 1e3 for a, b in itertools.pairwise(points))
    assert pj == pytest.approx(result.total_energy_pj, rel=1e-4)
    about = found["otherData"]
    assert about["peak_mw"] >= about["average_mw"]
    assert about["power_window_us"] == 1.0
    fine = power.Power(np.arange(100_001), {"a": np.ones(100_000)}, 1.0).coarser(MOST_POWERS)
    assert len(fine.edges) <= MOST_POWERS + 1
    assert fine.total_pj.sum() == pytest.approx(100_000)


def test_the_report_says_mean_and_peak_and_the_window_can_be_chosen():
    found = document(alexnet())["totals"]["power"]
    assert found["window_us"] == 1.0
    assert found["peak_mw"] >= found["average_mw"]
    args = ["run", "tpu_v1", "alexnet", "--layers", "conv*", "--format", "json", "--power-window", "5000"]
    done = CliRunner().invoke(app, args, catch_exceptions=False)
    wide = json.loads(done.stdout)["totals"]["power"]
    assert wide["window_us"] == 5000
    assert wide["peak_mw"] == wide["average_mw"]


@pytest.mark.parametrize("window", ["0", "-1", "nan", "wide"])
def test_a_window_that_is_none_is_refused_in_one_line(window, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["run", "tpu_v1", "alexnet", "--power-window", window])
    assert stop.value.code == 2
    assert "--power-window" in capsys.readouterr().err
