"""Points of a sweep on one clock: the rows of the plain path, and no layer walked, plan made or tile laid out again
where nothing that they depend on has changed."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sweep_files

import accelsim
from accelsim import network_time, rooms
from accelsim.explore.sweep import clocked, evaluate
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep.layersets import layer_set
from accelsim.explore.sweep.schema import OptionsSpec
from accelsim.layer import machine_view
from accelsim.memory import network_rows
from accelsim.memory import network_rows_kernel as kernel
from accelsim.memory.elsewhere import Elsewhere
from accelsim.results import Tiles

MACHINES = {
    "edge_npu": ("onnx:squeezenet", "net:resnet18"),
    "edge_npu_l2": ("onnx:squeezenet", "net:mobilenet_v3_small"),
    "systolic_ws": ("net:resnet18",),
    "scnn": ("onnx:bvlc_alexnet",),
    "eyeriss": ("onnx:bvlc_alexnet",),
    "nvdla_small": ("onnx:bvlc_alexnet",),
}
"""Machine -> connected networks: of two units, with a buffer, with layers that no unit runs, of engines that walk, of
one that models its memory by itself."""
AXES = {
    "memory.dram.gb_per_s": (0.7, 3.3, 12.8, 25.600999999999999, 400.0),
    "memory.dram.latency_ns": (0.0, 90.0),
    "memory.dram.burst_bits": (64, 512),
    "clocks_mhz.core": (200.0, 700.0),
    "energy.table": ("65nm",),
    "schedule.mode": (None, "isolated"),
    "schedule.fold": ("none", "weights"),
    "schedule.residency": ("none", "greedy"),
    "schedule.prefetch": ("none", 64),
    "schedule.overlap": (False,),
    "mapping.objective": ("dram", "energy"),
    "units.array.params.rows": (5, 24),
    "units.vector.params.lanes": (3, 48),
    "units.vector.params.buffer_kib": (4, 96),
}


def contexts(machine, network, **options):
    arch, net = accelsim.load_arch(machine), accelsim.load_network(network)
    return [
        evaluate.Context({"m": arch.document}, {"n": net}, Path(), columnar=each, **options) for each in (True, False)
    ]


def job(sets=None):
    return evaluate.Job("", "m", "n", tuple(({"schedule.mode": "network"} | (sets or {})).items()), OptionsSpec())


def drawn(machine, rng, most):
    """Return the values of a few axes that a machine has."""
    keys = [key for key in AXES if not key.startswith("units.") or machine.startswith("edge")]
    keys = [key for key in keys if key != "mapping.objective" or machine not in ("eyeriss", "nvdla_small")]
    some = map(str, rng.choice(keys, size=most, replace=False))
    return {key: AXES[key][rng.integers(len(AXES[key]))] for key in some}


@pytest.mark.parametrize(("machine", "network"), [(m, n) for m, names in MACHINES.items() for n in names])
def test_a_point_on_one_clock_has_the_row_of_the_plain_path(machine, network, monkeypatch):
    fast, plain = contexts(machine, network)
    rng, taken, known = np.random.default_rng(7), [], clocked.results
    monkeypatch.setattr(clocked, "results", lambda *given: taken.append(found := known(*given)) or found)
    for i in range(8):
        one = job(drawn(machine, rng, min(i, 3)))
        found, expected = evaluate.run_point(fast, one), evaluate.run_point(plain, one)
        assert expected.status in ("ok", "illegal"), expected.reason
        assert found == expected, one
    assert any(each is not None for each in taken), "no point went by what was kept"


@pytest.mark.parametrize(
    ("axis", "values"),
    [("schedule.residency", ("exact", "none", "greedy", "exact")), ("memory.dram.burst_bits", (512, 64, 2048, 512)),
     ("schedule.fold", ("none", "weights", "none")), ("schedule.prefetch", ("tile", "none", 64, "tile"))],
)  # fmt: skip
def test_points_that_plan_or_lay_out_otherwise_take_nothing_over(axis, values):
    fast, plain = contexts("edge_npu_l2", "net:mobilenet_v3_small")
    rows = [evaluate.run_point(fast, job({axis: value})) for value in values]
    expected = {value: evaluate.run_point(plain, job({axis: value})) for value in values}
    assert rows == [expected[value] for value in values]
    assert len({row.totals["cycles"] for row in rows}) > 1


def test_a_layer_whose_time_has_the_bus_inside_is_walked_at_every_bandwidth():
    layers = [{"name": "a", "kind": "linear", "n": 8, "c": 64, "k": 48, "inputs": ["x"]},
              {"name": "b", "kind": "linear", "n": 8, "c": 48, "k": 32, "inputs": ["a.output"]}]  # fmt: skip
    network = {"name": "two", "isolated": False, "inputs": ["x"], "layers": layers}
    fast, plain = contexts("sigma", network)
    for speed in (400.0, 0.05, 3.3):
        one = job({"memory.dram.gb_per_s": speed})
        found = evaluate.run_point(fast, one)
        assert found.status == "ok", found.reason
        assert found == evaluate.run_point(plain, one)


@pytest.mark.parametrize("machine", ["sigma", "nvdla_small", "edge_npu_l2"])
def test_points_with_a_dram_device_have_the_rows_of_the_plain_path(machine):
    layers = [{"name": "a", "kind": "linear", "n": 8, "c": 64, "k": 48, "inputs": ["x"]},
              {"name": "b", "kind": "linear", "n": 8, "c": 48, "k": 32, "inputs": ["a.output"]}]  # fmt: skip
    fast, plain = contexts(machine, {"name": "two", "isolated": False, "inputs": ["x"], "layers": layers})
    for device in (None, "ddr4-2400", "ddr3-1600"):  # on the last a layer's writes take longer than all else
        one = job({"memory.dram.device": device})
        found = evaluate.run_point(fast, one)
        assert found.status == "ok", found.reason
        assert found == evaluate.run_point(plain, one)


@pytest.mark.parametrize("machine", ["systolic_ws", "edge_npu"])
def test_sums_over_the_layers_that_all_machines_run_are_those_of_the_plain_path(machine):
    names = [layer.name for layer in accelsim.load_network("net:resnet18").layers if layer.kind == "conv2d"]
    for each in (names, names[:3], [*names, "no such layer"]):
        fast, plain = contexts(machine, "net:resnet18", shared={"n": layer_set(each)})
        rows = [evaluate.run_point(context, job({"memory.dram.gb_per_s": 3.3})) for context in (fast, plain)]
        assert rows[0] == rows[1]
        assert rows[0].common is not None


def test_a_default_machine_without_a_unit_for_some_layer_goes_by_columns(monkeypatch):
    fast, plain = contexts("systolic_ws", "net:resnet18")
    expected = evaluate.run_point(plain, job({"schedule.mode": None}))
    monkeypatch.setattr(evaluate, "_simulate", lambda *_: 1 / 0)
    assert evaluate.run_point(fast, job({"schedule.mode": None})) == expected


def counted(monkeypatch):
    """Count layers walked, plans made, layers put elsewhere and layers laid out from now on."""
    calls = Counter()

    def count(module, name):
        known = getattr(module, name)

        def called(*args, **kwargs):
            calls[name] += 1
            return known(*args, **kwargs)

        monkeypatch.setattr(module, name, called)

    for module, name in ((clocked, "front_of"), (rooms, "reside"), (rooms, "_rehoused"), (network_rows, "_rows")):
        count(module, name)
    return calls


@pytest.mark.parametrize("machine", ["edge_npu_l2", "scnn"])
def test_where_only_latency_and_prices_change_nothing_is_walked_planned_or_laid_out_again(machine, monkeypatch):
    fast, _ = contexts(machine, MACHINES[machine][0])
    calls = counted(monkeypatch)
    assert evaluate.run_point(fast, job()).status == "ok"
    assert calls["front_of"]
    assert calls["_rows"]
    assert calls["reside"] == (machine == "edge_npu_l2")
    calls.clear()
    assert evaluate.run_point(fast, job({"energy.table": "65nm"})).status == "ok"
    assert evaluate.run_point(fast, job({"memory.dram.standard": "DDR3"})).status == "ok"
    assert not calls


def test_at_another_bandwidth_only_layers_with_another_mapping_are_walked_and_nothing_is_planned(monkeypatch):
    fast, _ = contexts("edge_npu_l2", "onnx:squeezenet")
    calls, mapped, known = counted(monkeypatch), [], clocked.retimed.mappings
    monkeypatch.setattr(clocked.retimed, "mappings", lambda *given: mapped.append(found := known(*given)) or found)
    for speed in (12.8, 13.0, 12.8):
        calls.clear()
        assert evaluate.run_point(fast, job({"memory.dram.gb_per_s": speed})).status == "ok"
        if speed == 13.0:
            others = [a != b for old, new in zip(mapped[:2], mapped[2:], strict=True)
                      for a, b in zip(old.keys, new.keys, strict=True)]  # fmt: skip
            assert 0 < calls["front_of"] == sum(others) < len(others)
            assert not calls["reside"]
    assert not calls


def test_another_array_walks_the_layers_of_the_array_alone(monkeypatch):
    fast, _ = contexts("edge_npu", "onnx:squeezenet")
    calls, walked, known = counted(monkeypatch), [], clocked.front_of
    evaluate.run_point(fast, job())
    monkeypatch.setattr(
        clocked,
        "front_of",
        lambda arch, unit, *given, **more: walked.append(unit.name) or known(arch, unit, *given, **more),
    )
    assert evaluate.run_point(fast, job({"units.array.params.rows": 24})).status == "ok"
    assert set(walked) == {"array"}
    assert calls["front_of"]


def test_what_is_kept_of_units_is_bounded_and_the_oldest_goes_first(monkeypatch):
    monkeypatch.setattr(clocked, "MOST_UNITS", 2)
    kept = clocked.Kept()
    first, second = kept.of("a"), kept.of("b")
    assert kept.of("a") is first
    kept.of("c")
    assert kept.of("a") is first
    assert kept.of("b") is not second
    monkeypatch.setattr(clocked, "MOST_FRONTS", 3)
    for i in range(4):
        kept.of("b")[i] = None
    assert len(kept.of("b")) == 0


def test_a_sweep_on_one_clock_has_the_same_bytes_with_one_worker_and_with_four(tmp_path):
    axes = "  memory.dram.gb_per_s: [3.2, 6.4, 12.8]\n  units.array.params.rows: [8, 16]\n"
    path = tmp_path / "sweep.yaml"
    path.write_text(f"name: clocked\nmachines: [edge_npu_l2, edge_npu]\nnetworks: [onnx:squeezenet]\naxes:\n{axes}")
    tables = []
    for workers in (0, 4):
        store = tmp_path / f"{workers}.db"
        sweep.run(path, store, workers=workers)
        tables.append(sweep_files.table(store))
    assert tables[0] == tables[1]
    assert tables[0].count("\n") == 13


@pytest.mark.parametrize("network", ["onnx:squeezenet", "net:resnet18"])
def test_tiles_in_rows_put_elsewhere_are_their_steps_put_elsewhere(network):
    arch, net = accelsim.load_arch("edge_npu_l2"), accelsim.load_network(network)
    ready = accelsim.simulation.prepare(arch, net, None, None, None)
    layers = accelsim.simulate(arch, net, schedule="isolated", trace=True).layers
    homes = rooms.homes(arch, ready, layers, "exact")
    stepped = [replace(layer, tiles=Tiles(tuple(layer.tiles.schedule), layer.tiles.dram)) for layer in layers]
    in_rows, in_steps = (rooms.moves(ready, some, homes.places) for some in (layers, stepped))
    buses = {network_time.DRAM: machine_view(arch).dram, **rooms.ports(arch)}
    ports = {place: bus for place, bus in buses.items() if bus is not None}
    assert len(ports) == 3
    assert any(isinstance(move.schedule, Elsewhere) for move in in_rows)
    programs = [network_time.programs_of(ready, layers, homes, moves) for moves in (in_rows, in_steps)]
    for found, expected, one, other in zip(in_rows, in_steps, *programs, strict=True):
        assert found._replace(schedule=None) == expected._replace(schedule=None)
        assert tuple(found.schedule) == tuple(expected.schedule)
        (cells, bits), (others, expected_bits) = (network_rows._rows(program, ports) for program in (one, other))
        told = [kernel.REPEAT, kernel.END, kernel.COMPUTED]  # how rows lie in loops is filled in later
        assert np.array_equal(cells[:, told], others[:, told])
        assert np.array_equal(bits, expected_bits)
