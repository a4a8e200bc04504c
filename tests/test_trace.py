"""The trace: what Perfetto needs of an event, and that its times are those of the report."""

import json
from fractions import Fraction
from itertools import pairwise

import pytest
from click.testing import CliRunner
from report_samples import alexnet

import accelsim
from accelsim.activity import Loop, Step, Transfer
from accelsim.cli import app
from accelsim.errors import UserError
from accelsim.memory import timeline
from accelsim.memory.dram import DramModel
from accelsim.report.trace import trace

BUS = 1


def traced(arch="edge_npu", network="onnx:squeezenet", **options):
    return accelsim.simulate(
        accelsim.load_arch(arch), accelsim.load_network(network), trace=True, schedule="isolated", **options
    )


@pytest.fixture(scope="module")
def squeezenet():
    return traced()


def slices(found, **having):
    return [
        e for e in found.document["traceEvents"] if e["ph"] == "X" and all(e[key] == v for key, v in having.items())
    ]


def read_ns(us):
    """Convert as Perfetto does: a double of microseconds, times 1000, cut."""
    return int(us * 1000.0)


def check_nesting(events):
    """Slices of a track lie one after another or one inside the other."""
    for track in {e["tid"] for e in events}:
        spans = [(read_ns(e["ts"]), read_ns(e["dur"])) for e in events if e["tid"] == track]
        open_ends = []
        for start, length in sorted(spans, key=lambda span: (span[0], -span[1])):
            while open_ends and open_ends[-1] <= start:
                open_ends.pop()
            assert not open_ends or start + length <= open_ends[-1], (track, start, length)
            open_ends.append(start + length)


@pytest.mark.parametrize(
    ("arch", "network"), [("edge_npu", "onnx:squeezenet"), ("tpu_v1", "alexnet"), ("scnn", "alexnet")]
)
def test_every_event_is_complete_and_slices_nest(arch, network):
    found = json.loads(trace(traced(arch, network)).to_json())
    assert found["displayTimeUnit"] == "ns"
    for event in found["traceEvents"]:
        assert {"name", "ph", "ts", "pid", "args"} <= set(event)
        assert event["ph"] in "XMC"
        assert isinstance(event["name"], str)
        assert event["ts"] >= 0
        assert event["ph"] in "MC" or event["dur"] >= 0
    named = {e["tid"] for e in found["traceEvents"] if e["name"] == "thread_name"}
    assert {e["tid"] for e in found["traceEvents"] if e["ph"] == "X"} <= named
    check_nesting([e for e in found["traceEvents"] if e["ph"] == "X"])


def test_the_slices_of_a_layer_sum_to_its_cycles(squeezenet):
    found = trace(squeezenet)
    layers = slices(found, cat="layer")
    assert [e["name"] for e in layers] == [layer.name for layer in squeezenet.simulated if layer.cycles]
    for event, layer in zip(layers, [x for x in squeezenet.simulated if x.cycles], strict=True):
        first, last = layer.start_cycle, layer.start_cycle + layer.cycles
        inside = [e for e in slices(found) if first <= e["args"]["cycle"] < last and e["cat"] != "layer"]
        tiles = [e for e in inside if e["cat"] == "compute"]
        assert event["args"]["cycles"] == layer.cycles
        assert sum(e["args"]["cycles"] for e in tiles) == layer.compute_cycles
        assert max(e["args"]["cycle"] + e["args"]["cycles"] for e in inside) == last
        assert {e["tid"] for e in tiles} == {event["tid"]}
    assert sum(e["args"]["cycles"] for e in layers) == squeezenet.cycles


def test_times_are_microseconds_at_the_core_clock(squeezenet):
    slow = traced("tpu_v1", "alexnet")  # 700 MHz: a cycle is no whole number of nanoseconds
    for result in (squeezenet, slow):
        for event in slices(trace(result)):
            ends = event["args"]["cycle"], event["args"]["cycle"] + event["args"]["cycles"]
            begin, end = (Fraction(cycle * 1000) / Fraction(result.clock_mhz) for cycle in ends)
            assert abs(read_ns(event["ts"]) - begin) <= Fraction(1, 2)
            assert abs(read_ns(event["ts"]) + read_ns(event["dur"]) - end) <= Fraction(1, 2)


def test_the_bus_does_one_thing_at_a_time(squeezenet):
    moves = sorted((e["args"]["cycle"], e["args"]["cycles"]) for e in slices(trace(squeezenet), tid=BUS))
    assert len(moves) > 100
    assert all(a + n <= b for (a, n), (b, _) in pairwise(moves))


def test_what_is_too_much_is_dropped_and_said(squeezenet):
    whole, cut = trace(squeezenet), trace(squeezenet, most=500)
    assert (whole.dropped_events, whole.dropped_tiles, whole.remarks()) == (0, 0, [])
    assert cut.events + cut.dropped_events == whole.events
    assert cut.events <= 500 + 5 * len(squeezenet.layers)
    rests = slices(cut, cat="dropped")
    assert sum(e["args"]["dropped_tiles"] for e in rests) == cut.dropped_tiles
    assert sum(e["args"]["dropped_events"] for e in rests) == cut.dropped_events
    assert cut.document["otherData"]["dropped_events"] == cut.dropped_events
    assert f"leaves out {cut.dropped_events:,}" in cut.remarks()[0]
    assert [e["name"] for e in slices(cut, cat="layer")] == [e["name"] for e in slices(whole, cat="layer")]
    check_nesting(slices(cut))
    ends = [e["args"]["cycle"] + e["args"]["cycles"] for e in slices(cut)]
    assert max(ends) == squeezenet.cycles


def test_the_slice_of_what_is_not_drawn_ends_with_its_layer_wherever_that_begins(squeezenet):
    cut = trace(squeezenet, 200)
    layers = {
        e["name"]: (e["args"]["cycle"], e["args"]["cycle"] + e["args"]["cycles"]) for e in slices(cut, cat="layer")
    }
    rests = slices(cut, cat="dropped")
    ends = {e["args"]["cycle"] + e["args"]["cycles"] for e in rests}
    assert len(rests) > 3
    assert ends <= {end for _, end in layers.values()}


def test_an_engine_that_models_memory_itself_shows_its_layers():
    result = traced("sparch", "rmat:n=64,nnz=256,seed=1")
    found = trace(result)
    (event,) = slices(found)
    assert event["args"]["cycles"] == result.cycles
    assert event["args"]["stall_cycles"] == result.layers[0].stall_cycles
    assert found.coupled == (result.layers[0].name,)
    assert "models memory itself" in found.remarks()[0]


def test_spans_are_those_of_the_timeline_by_hand():
    tile = Step((Transfer("weight", "read", 8),), 10, (Transfer("output", "write", 4),))
    last = Step((), 3, (), before=(Transfer("input", "read", 2),), after=(Transfer("output", "write", 5),))
    found = timeline.trace((Loop(2, (tile,)), last), DramModel(Fraction(1), 2, 1), 99)
    assert (found.tiles, found.drawn) == (3, 3)
    assert found.spans == [
        ("loads", 0, 0, 8), ("compute", 0, 10, 10),
        ("loads", 1, 8, 8), ("stores", 0, 20, 4), ("compute", 1, 20, 10),
        ("stores", 1, 30, 4), ("before", 2, 34, 2), ("compute", 2, 38, 3), ("after", 2, 41, 5),
    ]  # fmt: skip
    assert timeline.run((Loop(2, (tile,)), last), DramModel(Fraction(1), 2, 1)).cycles == 46


def test_workers_and_a_second_run_give_the_same_bytes(squeezenet):
    assert trace(traced(workers=2)).to_json() == trace(squeezenet).to_json()


def test_without_tiles_there_is_no_trace():
    with pytest.raises(UserError, match="trace=True"):
        trace(alexnet())


def test_run_writes_a_trace_beside_the_report_and_removes_an_old_one(tmp_path):
    words = ["run", "systolic_ws_8", "alexnet", "--layers", "conv1", "-o", str(tmp_path)]
    done = CliRunner().invoke(app, [*words, "--trace"])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "trace.json").read_text())["otherData"]["network"] == "alexnet"
    CliRunner().invoke(app, words)
    assert not (tmp_path / "trace.json").exists()
    lost = CliRunner().invoke(app, ["run", "systolic_ws", "alexnet", "--trace", "--format", "json"])
    assert lost.exit_code == 2
    assert "-o" in lost.output
