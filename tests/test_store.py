"""The store of a sweep by itself: what its rows say of points that ran, failed, or were ruled out."""

from dataclasses import replace

import numpy as np
import pytest

import accelsim
from accelsim.errors import ConfigError
from accelsim.explore.sweep import evaluate, export, identity, store
from accelsim.explore.sweep import run as sweep
from accelsim.explore.sweep.choose import on_front
from accelsim.explore.sweep.grid import Grid
from accelsim.explore.sweep.layersets import layer_set
from accelsim.explore.sweep.merge import merge
from accelsim.explore.sweep.schema import OptionsSpec, read_sweep
from accelsim.explore.sweep.space import Point
from accelsim.explore.sweep.store import Row
from accelsim.explore.sweep.tables import TOTALS
from accelsim.report.points import Shown
from accelsim.workload.network import Network, make_layer
from accelsim.workload.shapes import Linear

META = {"name": "s", "question": "", "axes": "[]", "sweep": "{}", "objectives": '["cycles"]'}
SHARES = {"occupancy": 0.3, "utilization": 0.2, "coverage_macs": 0.8, "coverage_layers": 0.9, "coverage_dram_bits": 0.7}
WORDS = {"energy_table": "45nm", "no_area": "array"}
FIGURES = {name: i + 1 for i, name in enumerate(TOTALS)} | SHARES | WORDS | {"complete": True}


def point(position, key, reason=None, network="net"):
    return Point(position, position, "machine", network, (("params.rows", position),), (), key, reason)


def ran(key, layers=(), **changes):
    totals = FIGURES | {"energy_pj": {"dram": 2.0, "macs": 1.0}, "cycles_by_cause": {"busy": 7.0}} | changes
    return Row(key, "ok", None, totals, layers)


def made(path, points, rows, meta=META, model=None):
    with store.open_writer(path, keep_layers=True, model=model) as opened:
        opened.set_plan(points, meta, {"net": (layer_set(("a", "b")), None)})
        opened.add(rows)
    return path


LAYERS = ({"layer": "a", "cycles": 1}, {"layer": "b", "cycles": 2})
POINTS = [
    point(0, "good"),
    point(1, "good", "constraint: params.rows < 1"),  # the same machine as point 0, but ruled out
    point(2, "wide", "params.rows: 2: too wide"),
    point(3, "unfit"),
    point(4, "open"),
    point(5, "broken"),
]
ROWS = [ran("good", LAYERS), Row("unfit", "illegal", "it does not fit"), Row("broken", "failed", "KeyError: 1")]


@pytest.fixture
def opened(tmp_path):
    with store.open_reader(made(tmp_path / "s.db", POINTS, ROWS)) as found:
        yield found


def test_rows_say_what_became_of_each_point_and_why(opened):
    assert [(row["point"], row["status"], row["reason"]) for row in opened.rows()] == [
        (0, "ok", None),
        (1, "excluded", "constraint: params.rows < 1"),
        (2, "illegal", "params.rows: 2: too wide"),
        (3, "illegal", "it does not fit"),
        (5, "failed", "KeyError: 1"),
    ]
    first = next(opened.rows())
    assert {name: first[name] for name in TOTALS} == FIGURES
    assert (first["energy_pj"], first["cycles_by_cause"]) == ({"dram": 2.0, "macs": 1.0}, {"busy": 7.0})
    assert first["params.rows"] == 0


def test_points_that_are_ruled_out_have_no_layer_rows(opened):
    assert [(row["point"], row["layer"], row["cycles"]) for row in opened.layer_rows()] == [(0, "a", 1), (0, "b", 2)]


def test_points_do_not_stand_before_the_first(tmp_path):
    made(tmp_path / "s.db", [point(-2, "good")], [ran("good")])
    with store.open_reader(tmp_path / "s.db") as opened, pytest.raises(ConfigError, match="-2 is no whole number"):
        list(opened.rows())


def test_only_points_without_a_result_or_a_reason_are_left(opened):
    assert opened.counts() == (6, 1)
    assert opened.results() == 3
    assert opened.done() == {"good": "ok", "unfit": "illegal", "broken": "failed"}


def test_figures_of_any_number_of_keys_are_found(tmp_path):
    keys = [f"k{i}" for i in range(1203)]
    made(tmp_path / "s.db", [], [ran(key, cycles=i) for i, key in enumerate(keys)])
    with store.open_reader(tmp_path / "s.db") as opened:
        found = opened.figures([*keys, "absent"])
    assert {key: figures["cycles"] for key, (status, figures) in found.items() if status == "ok"} == {
        key: i for i, key in enumerate(keys)
    }


def test_merged_stores_hold_the_results_and_the_layers_of_all(tmp_path):
    points = [point(0, "one"), point(1, "two"), point(2, "three")]
    first = made(tmp_path / "a.db", points, [ran("one", LAYERS[:1], cycles=1)])
    second = made(tmp_path / "b.db", points, [ran("two", LAYERS[1:], cycles=2)])
    assert merge([first, second], tmp_path / "all.db") == (3, 1)
    with store.open_reader(tmp_path / "all.db") as opened:
        assert [(row["point"], row["cycles"]) for row in opened.rows()] == [(0, 1), (1, 2)]
        assert [(row["point"], row["layer"]) for row in opened.layer_rows()] == [(0, "a"), (1, "b")]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"points": [point(0, "other")]}, "in its points"),
        ({"meta": META | {"sweep": '{"name": "t"}'}}, "in its sweep file"),
        ({"model": "0.0+other"}, "in its version of accelsim"),
    ],
)
def test_stores_that_differ_are_not_merged(tmp_path, changes, what):
    plain = {"points": [point(0, "one")], "rows": [ran("one")]}
    first, second = made(tmp_path / "a.db", **plain), made(tmp_path / "b.db", **(plain | changes))
    with pytest.raises(ConfigError, match=what):
        merge([first, second], tmp_path / "all.db")
    assert not (tmp_path / "all.db").exists()


def test_an_exported_table_has_the_columns_of_all_rows_and_nothing_where_there_is_no_value(tmp_path):
    rows = [ran("one", energy_pj={"dram": 2.0}), ran("two", energy_pj={"macs": 3.0}, area_mm2=None)]
    made(tmp_path / "s.db", [point(0, "one"), point(1, "two")], rows)
    with store.open_reader(tmp_path / "s.db") as opened:
        head, first, second = export.to_csv(export.rows(opened)).splitlines()
    one, two = (dict(zip(head.split(","), line.split(","), strict=True)) for line in (first, second))
    assert (one["energy_pj.dram"], one["energy_pj.macs"]) == ("2.0", "")
    assert (two["energy_pj.dram"], two["energy_pj.macs"], two["area_mm2"]) == ("", "3.0", "")


def test_each_network_has_a_front_of_its_own():
    def shown(network, cycles, area):
        return Shown("m", network, {}, {"cycles": cycles, "area_mm2": area})

    points = [shown("small", 1, 5), shown("large", 10, 5), shown("large", 9, 6), shown("large", 11, 6)]
    assert on_front(points, ("cycles", "area_mm2")) == {0, 1, 2}


# --- identity


def network(k=4, batch=1, values=None):
    layer, tensors = make_layer("a", Linear(n=batch, c=3, k=k))
    return Network("net", (layer,), tensors, isolated=True, batch=batch, values=values or {})


def test_networks_differ_by_shape_batch_and_stored_values():
    ones = {"a.weight": np.ones((4, 3), np.int64)}
    others = {"a.weight": np.eye(4, 3, dtype=np.int64)}
    same_tensors = replace(network(), batch=2)  # as an isolated layer of two rows, or as two images
    every = [network(), network(k=5), same_tensors, network(values=ones), network(values=others)]
    assert len({identity.network_digest(found) for found in every}) == len(every)
    assert identity.network_digest(network()) == identity.network_digest(network())


def test_the_key_of_a_point_depends_on_the_version_of_the_model(monkeypatch):
    before = identity.point_key("m", "n", "o")
    monkeypatch.setattr(identity, "model_version", lambda: "another")
    assert identity.point_key("m", "n", "o") != before


# --- points that are simulated


def test_densities_of_inputs_and_of_weights_are_set_together():
    found = evaluate.with_densities(network(), weight=0.25, inputs=0.5)
    assert (found.tensors["a.weight"].density, found.tensors["a.input"].density) == (0.25, 0.5)


def test_a_points_totals_are_those_of_its_simulation(tmp_path):
    arch = accelsim.load_arch("systolic_ws")
    context = evaluate.Context({"m": arch.document}, {"net": network(k=40)}, tmp_path)
    sets = (("params.rows", 4), ("params.cols", 8))
    row = evaluate.run_point(context, evaluate.Job("key", "m", "net", sets, OptionsSpec()))
    result = accelsim.simulate(arch.replace("params.rows", 4).replace("params.cols", 8), network(k=40))
    assert row.status == "ok"
    for name in (*TOTALS[:8], "dram_bits", "occupancy", "utilization", "tops", "tops_per_w"):
        assert row.totals[name] == getattr(result, name), name
    assert sum(row.totals["cycles_by_cause"].values()) == pytest.approx(result.cycles)
    again = evaluate.run_point(context, evaluate.Job("key", "m", "net", sets, OptionsSpec(seed=1, batch=2)))
    assert again.totals["macs"] == 2 * row.totals["macs"]


TWO = """\
name: two
machines: [systolic_ws, systolic_os]
networks: [./one.yaml, ./two.yaml]
axes:
  params.rows: [2, 4, 8]
constraints:
  - network == "./one.yaml" or params.rows < 8
objectives: [cycles]
"""
NETWORK = "name: {0}\nsource: made up\nisolated: true\nlayers:\n  - {{name: c, kind: linear, c: 8, k: 4}}\n"


def test_a_design_is_legal_on_all_networks_or_not_at_all_and_its_points_are_its_own(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(NETWORK.format(name))
    (tmp_path / "sweep.yaml").write_text(TWO)
    grid = Grid(read_sweep(tmp_path / "sweep.yaml"))
    assert grid.all_legal.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    found = grid.points(np.array([[1, 0], [0, 1]]), first=10)
    assert [[(p.position, p.machine, p.network, dict(p.sets)["params.rows"]) for p in mine] for mine in found] == [
        [(10, "systolic_os", "./one.yaml", 2), (11, "systolic_os", "./two.yaml", 2)],
        [(12, "systolic_ws", "./one.yaml", 4), (13, "systolic_ws", "./two.yaml", 4)],
    ]


SMALL = """\
name: small
machines: [systolic_ws]
networks: [{networks}]
axes:
  params.rows: [2, 4, 6, 8, 10]
objectives: [cycles]
"""


def small(folder, networks):
    """Write a sweep of five machines over networks that are all the same but for their names."""
    for name in networks:
        (folder / f"{name}.yaml").write_text(NETWORK.format(name))
    path = folder / "sweep.yaml"
    path.write_text(SMALL.format(networks=", ".join(f"./{name}.yaml" for name in networks)))
    return path


def test_what_two_networks_share_is_run_once(tmp_path):
    path = small(tmp_path, ["one", "same"])
    assert sweep.count(path) == sweep.Counts(points=10, excluded=0, reused=5, elsewhere=0, to_run=5)
    assert sweep.run(path, tmp_path / "s.db", workers=0).counts.to_run == 5
    assert sweep.run(path, tmp_path / "s.db", workers=0).counts == sweep.Counts(10, 0, 10, 0, 0)


def test_shards_share_the_machines_out_and_leave_none(tmp_path):
    path = small(tmp_path, ["one"])
    rows = []
    for shard in ((1, 3), (2, 3), (3, 3)):
        counts = sweep.run(path, tmp_path / f"{shard[0]}.db", workers=0, shard=shard).counts
        with store.open_reader(tmp_path / f"{shard[0]}.db") as opened:
            mine = [row["params.rows"] for row in opened.rows()]
        assert (counts.to_run, counts.elsewhere) == (len(mine), 5 - len(mine))
        rows.append(mine)
    assert rows == [[2, 8], [4, 10], [6]]


def test_closed_forms_for_many_layers_at_once_count_layers_that_are_alike_each_time(tmp_path):
    layers, tensors = [], {}
    for name, k in (("a", 40), ("b", 24), ("c", 40), ("d", 40)):
        layer, own = make_layer(name, Linear(n=2, c=16, k=k))
        layers.append(layer)
        tensors |= own
    repeated = Network("repeated", tuple(layers), tensors, isolated=True)
    arch = accelsim.load_arch("systolic_ws")
    plain, many = (
        evaluate.run_point(
            evaluate.Context({"m": arch.document}, {"net": repeated}, tmp_path, columnar=columnar),
            evaluate.Job("key", "m", "net", (), OptionsSpec()),
        )
        for columnar in (False, True)
    )
    assert plain.status == "ok"
    assert {name: many.totals[name] for name in TOTALS} == {name: plain.totals[name] for name in TOTALS}
    assert many.totals["cycles"] == accelsim.simulate(arch, repeated).cycles
