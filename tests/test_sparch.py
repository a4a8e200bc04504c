"""SpArch: the schedule, the prefetcher, and what each technique saves."""

import runpy
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from accelsim.engines.sparch import kernel as round_kernel
from accelsim.engines.sparch import prefetch_kernel as kernel
from accelsim.engines.sparch.engine import ENGINE, Params, Round, Tally, activity
from accelsim.engines.sparch.schedule import Schedule
from accelsim.errors import ModelError
from accelsim.simulation import load_arch, simulate
from accelsim.workload.matrix_make import make_matrix
from accelsim.workload.matrix_network import network_of
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import SpGemm
from benchmarks.accept.sparse_products import matrices, slower


def rounds(weights, ways, huffman=True, running=False):
    """Return the nodes of every round; a merged node weighs as much as its children."""
    schedule, found = Schedule(weights, ways, huffman, running), []
    known = dict(enumerate(weights))
    while not schedule.finished:
        found.append(schedule.next_round())
        if not schedule.finished:
            weight = sum(known[node] for node in found[-1])
            known[schedule.add(weight)] = weight
    return found


def test_the_first_round_leaves_full_rounds_for_the_rest():
    assert [len(r) for r in rounds([1] * 130, 64)] == [4, 64, 64]
    assert [len(r) for r in rounds([1] * 64, 64)] == [64]
    assert [len(r) for r in rounds([1] * 65, 64)] == [2, 64]
    assert [len(r) for r in rounds([5], 64)] == [1]


def test_the_lightest_nodes_are_merged_first():
    assert rounds([15, 15, 13, 12, 9, 7, 5, 3, 2, 2, 1, 1], 4) == [
        [10, 11, 8],
        [9, 7, 12, 6],
        [5, 4, 3, 2],
        [13, 0, 1, 14],
    ]


def test_plain_orders_take_the_oldest_or_the_running_result():
    assert rounds(list(range(5)), 2, False) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert rounds(list(range(5)), 2, False, True) == [[0, 1], [5, 2], [6, 3], [7, 4]]


def fetched(uses, lookahead, lines, lengths=(4, 4, 4, 4)):
    pointers = np.append(0, np.cumsum(lengths)).astype(np.int64)
    held, latest = np.zeros(len(lengths), np.int64), np.full(len(lengths), -1, np.int64)
    read = kernel.fetch_rows(np.array(uses, np.int64), pointers, lookahead, lines, 4, held, latest)
    assert set(held.tolist()) | set(latest.tolist()) == {0, -1}, "scratch is left as it was found"
    return read.tolist()[:-1]


def test_the_row_used_last_is_evicted():
    # two lines; at the third use row 1 is next used later than row 0
    assert fetched([0, 1, 2, 0, 1], 8, 2) == [4, 4, 4, 0, 4]


def test_a_use_behind_the_window_is_unknown_and_goes_first():
    # at row 2 the window shows only row 1 again: row 0, though used soon after, is unknown
    assert fetched([0, 1, 2, 1, 0], 2, 2) == [4, 4, 4, 0, 4]
    # of two unknown rows the one used longest ago goes
    assert fetched([0, 1, 2, 2, 1, 0], 2, 2) == [4, 4, 4, 0, 0, 4]


def test_a_long_row_loses_lines_from_its_end():
    assert fetched([0, 1, 0], 8, 3, (12, 4)) == [12, 4, 4]


def test_a_row_longer_than_the_buffer_keeps_its_beginning():
    assert fetched([0, 0], 8, 2, (12,)) == [12, 4]


def run(matrix, **changes):
    sets = [(f"params.{key}", value) for key, value in changes.items()]
    return simulate(load_arch("sparch", sets), network_of("m", matrix)).layers[0]


POWER = make_matrix("powerlaw:n=400,nnz=3000,longest=300,seed=1")


def test_leaves_are_the_longest_row_or_the_columns():
    assert run(POWER).details["leaves"] == 300
    assert run(POWER, condense=False).details["leaves"] == np.unique(POWER.columns).size


@pytest.mark.parametrize("technique", ["huffman", "prefetch", "pipeline_merge", "condense"])
def test_each_technique_saves_traffic_where_it_should(technique):
    small = {"layers": 3, "prefetch_lines": 256}
    with_all, without = run(POWER, **small), run(POWER, **small, **{technique: False})
    assert with_all.details["products"] == without.details["products"]
    assert with_all.details["dram_bytes"] < without.details["dram_bytes"]


def test_without_prefetching_each_entry_of_a_reads_its_row():
    details = run(POWER, prefetch=False).details
    assert details["b_elements_read"] == details["b_elements_used"] == details["products"]


def test_more_bandwidth_is_never_slower():
    def cycles(gb_per_s):
        return simulate(load_arch("sparch", [("memory.dram.gb_per_s", gb_per_s)]), network_of("m", POWER)).cycles

    found = [cycles(rate) for rate in (8, 16, 64, 128, 512)]
    assert found == sorted(found, reverse=True)


def five_rows(ticks_per_bit):
    """Return the time of five rows of one product each behind a FIFO of one element; see docs/engines/sparch.md."""
    groups = np.zeros((5, 5), np.int64)
    groups[:, [1, 3, 4]] = 1
    one, cost = np.ones(5, np.int64), np.array([1, 1, 1, 1])
    bus, none = one * ticks_per_bit, np.zeros(10, np.int64)
    finish = round_kernel.time_round(
        groups, 2 * one, bus, bus, 5 * one, 0 * one, 0, np.array([1]), 1 << 20, cost, none, none.copy()
    )[0]
    return int(finish)


def test_a_read_goes_while_the_bus_waits_for_a_row_that_is_not_ready():
    assert five_rows(2) == 22
    assert five_rows(1) == 21, "the gap before the write of row 0 is not forgotten for the one before row 1"


NARROW = {
    "layers": 2, "merger_width": 1, "multiplier_groups": 3, "multiplier_lanes": 16, "lookahead": 746,
    "prefetch_lines": 404, "line_elements": 1, "tree_fifo": 1, "writer_fifo": 62, "layer_latency_cycles": 15,
    "channels": 27, "element_bits": 84, "partial_bits": 381, "output_bits": 14, "huffman": False, "prefetch": False,
    "pipeline_merge": False, "plain_schedule": "running",
}  # fmt: skip


def test_a_shallow_writer_with_a_long_latency_is_not_slower_with_more_bandwidth():
    layer, tensors = make_layer("a", SpGemm(39, 35, 27))
    density = {"a.input": 0.3, "a.input2": 0.3}
    described = {name: replace(t, bits=8, density=density.get(name, 1.0)) for name, t in tensors.items()}
    net = Network("n", (layer,), described, isolated=True)
    sets = [*((f"params.{key}", value) for key, value in NARROW.items()), ("memory.dram.latency_ns", 100.0)]
    rates = (468.8, 937.0, 1875.0, 4000.0)
    cycles = [simulate(load_arch("sparch", [*sets, ("memory.dram.gb_per_s", rate)]), net).cycles for rate in rates]
    assert min(cycles) > 0
    assert cycles == sorted(cycles, reverse=True)


@pytest.mark.parametrize("name", [*islice(matrices(50), 0, 50, 10)])
def test_the_packaged_machine_is_not_slower_with_more_bandwidth(name):
    assert slower(name) == []


def test_a_time_below_the_bound_is_our_bug():
    zero = dict.fromkeys(Tally._fields, 0)
    with pytest.raises(ModelError, match="below the analytic bound"):
        activity(Params(), 1, Tally(**(zero | {"rounds": (Round(3, 4, 0, 1, 0, 1, 1, 0, 1, 4),)})), None)


def test_dense_layers_are_refused():
    from accelsim.workload.layers import LayerView
    from accelsim.workload.shapes import Linear

    assert "no linear unit" in ENGINE.supports(LayerView("l", Linear(1, 2, 3), (), (), ()), Params())


def test_the_prefetcher_reads_what_a_plain_search_for_the_furthest_use_reads():
    from accelsim.engines.sparch.reference import _Twin
    from accelsim.layer import machine_view

    machine = machine_view(load_arch("sparch"))
    for seed in range(300):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(0, 9, 6).tolist()
        uses = rng.integers(0, 6, 25).tolist()
        params = Params(lookahead=int(rng.integers(1, 9)), prefetch_lines=int(rng.integers(1, 6)), line_elements=4)
        twin = _Twin({}, {row: dict.fromkeys(range(length), 1) for row, length in enumerate(lengths)}, params, machine)
        found = fetched(uses, params.lookahead, params.prefetch_lines, lengths)
        assert found == twin.fetch(uses), seed


def test_every_round_says_what_bounded_it_and_what_it_moved():
    details = run(POWER, layers=2).details
    log = details["round_log"]
    assert {len(column) for column in log.values()} == {details["rounds"]}
    assert sum(log["new_leaves"]) == details["leaves"]
    assert sum(log["a_read"]) == POWER.nnz
    assert sum(log["partial_read"]) == sum(log["written"][:-1]), "what is written is read back once"
    assert log["written"][-1] == details["outputs"]
    assert all(bound <= cycles for bound, cycles in zip(log["bound_cycles"], log["cycles"], strict=True))
    for unit in ("multipliers", "mergers", "fetchers", "channels"):
        assert log["bound_by"].count(unit) == details[f"rounds_bound_by_{unit}"]


def test_the_ablation_switches_one_technique_on_after_another(tmp_path, monkeypatch):
    folder = Path(__file__).parents[1] / "examples" / "spgemm_ablation"
    study = runpy.run_path(str(folder / "ablation.py"))
    net = network_of("m", POWER)
    points = study["steps"](net)
    assert list(points) == list(study["STEPS"])
    whole = simulate(load_arch("sparch"), net)
    assert points["+ row prefetcher"].megabytes == pytest.approx(whole.layers[0].details["dram_bytes"] / 1e6)
    assert points["+ row prefetcher"].gflops == pytest.approx(whole.layers[0].details["gflop_per_s"])
    monkeypatch.setitem(study["write"].__globals__, "MATRICES", {"small": "uniform:n=200,nnz=900,seed=1"})
    text = study["write"](tmp_path).read_text()
    assert text.count("| + Huffman scheduler |") == 2
    assert "What comes out, and what does not" in text


def test_the_pictures_of_sparse_products_are_drawn(tmp_path):
    study = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "spgemm_pictures" / "draw.py"))
    nets = {"small": network_of("m", POWER)}
    study["draw_traffic"](nets, tmp_path / "traffic.png")
    study["draw_rounds"](nets["small"], "small", tmp_path / "rounds.png")
    study["draw_roofline"](nets, tmp_path / "roofline.png")
    assert all(path.stat().st_size > 10_000 for path in tmp_path.iterdir())
    found = study["by_source"](simulate(load_arch("sparch"), nets["small"]))
    assert sum(found.values()) == pytest.approx(run(POWER).details["dram_bytes"] / 1e6)
